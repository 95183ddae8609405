//! Implicit matrix products, which matrix products and the three faces of a convolution are made of: operands that are
//! gathered out of a tensor, and the kernels that multiply them, tiled for the adapter.

use super::tuning::{MOST_TURNS, Variant};
use super::{Gpu, GpuBuffer, GpuTexture, Kernel, KernelCall, Textures, grid};
use crate::error::Result;
use bytemuck::{Pod, Zeroable, bytes_of, cast_slice};

/// A walk over one axis of an image: start + k·k_step + c·c_step, read as 0 unless below `len`.
#[derive(Clone, Copy)]
pub struct Walk {
    /// Where k = c = 0 lies; may be before the image.
    pub start: isize,
    /// Distance from one k to the next.
    pub k: isize,
    /// Distance from one column to the next.
    pub c: isize,
    /// The axis's length.
    pub len: usize,
}

impl Walk {
    /// An axis that is not walked along.
    pub const NONE: Walk = Walk { start: 0, k: 0, c: 0, len: 1 };
}

/// A matrix [k, columns] read out of a tensor of images, each `y.len` × `x.len`; see `shaders/lib/gather.wgsl`. The
/// digits of k and of the column choose an image, a row and a place in it.
#[derive(Clone, Copy)]
pub struct Operand {
    /// Elements from one matrix of the batch, or one group, to the next.
    pub step_z: usize,
    /// Elements from an image to the next along k's leading digit.
    pub plane_k: usize,
    /// The same for the column's leading digit.
    pub plane_c: usize,
    /// Rows, by the middle digits.
    pub y: Walk,
    /// Places in a row, by the last digits.
    pub x: Walk,
    /// How many values k's middle and last digit take.
    pub k_digits: [usize; 2],
    /// The same for the column.
    pub c_digits: [usize; 2],
}

/// Where y's elements go: a step for each matrix, row, and digit of the column (which are those of operand b).
#[derive(Clone, Copy)]
pub struct Target {
    /// Of the first element.
    pub offset: usize,
    /// From a matrix or group to the next.
    pub step_z: usize,
    /// From a row to the next.
    pub step_row: usize,
    /// By the three digits of the column.
    pub steps: [usize; 3],
}

/// y[z, row, c] = Σ_k a[z, k, row]·b[z, k, c] for `depth` matrices or groups z.
#[derive(Clone, Copy)]
pub struct Product {
    /// Rows: columns of operand a.
    pub m: usize,
    /// Columns of operand b.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// How many such products.
    pub depth: usize,
    /// [k, m]
    pub a: Operand,
    /// [k, n]
    pub b: Operand,
    /// Where the result goes.
    pub y: Target,
}

/// What becomes of the sums of an operation's products as they are written: y = f(Σ + b) with one b a channel of y.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// b, if any.
    pub bias: Option<&'a GpuBuffer>,
    /// The number of f in `lib/activation.wgsl`, 0 for none, and what it takes.
    pub f: (u32, f32),
    /// How many channels y has.
    pub channels: usize,
    /// How many elements of a channel lie together in y.
    pub plane: usize,
    /// Whether a channel is a column of the products; else it is a row of one of them.
    pub by_column: bool,
}

impl Finish<'_> {
    /// y = Σ.
    pub const NONE: Finish<'static> = Finish { bias: None, f: (0, 0.0), channels: 1, plane: 1, by_column: false };

    /// What kernels take, those of products with `rows` rows.
    pub fn epilogue(&self, rows: usize) -> Epilogue {
        let (f, slope) = self.f;
        Epilogue {
            f,
            slope: if f == 1 { slope } else { 1.0 },
            by: match (self.bias, self.by_column) {
                (None, _) => 0,
                (_, false) => 1,
                (_, true) => 2,
            },
            step_z: rows as u32,
            plane: self.plane as u32,
            channels: self.channels as u32,
        }
    }
}

/// Twin of `Epilogue` in `lib/epilogue.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct Epilogue {
    f: u32,
    slope: f32,
    by: u32,
    step_z: u32,
    plane: u32,
    channels: u32,
}

/// From this on, `divide` of `gather.wgsl` is not exact.
pub(super) const K_LIMIT: usize = 1 << 22;

/// Bytes of each operand that are packed at a time. The panels need not stay in a processor's cache: 4 MiB were no faster, and
/// made three times as many calls.
const PANEL_BYTES: usize = 64 << 20;

/// The most k in a panel: a loop of at most 16,384 turns.
const PANEL_K: usize = 64 << 10;

/// The most rows times k in a panel of a: a quarter of the largest texture.
const PANEL_ROWS_K: usize = 1 << 24;

/// Twin of `Gather` in `lib/gather.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Gather {
    offset: u32,
    plane_z: u32,
    plane_k: u32,
    plane_c: u32,
    y_start: u32,
    y_k: u32,
    y_c: u32,
    x_start: u32,
    x_k: u32,
    x_c: u32,
    h: u32,
    w: u32,
    row: u32,
    k_high: u32,
    k_low: u32,
    c_high: u32,
    c_low: u32,
    k_all_inverse: f32,
    k_low_inverse: f32,
}

/// Twin of `Scatter` in `lib/scatter.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Scatter {
    offset: u32,
    step_z: u32,
    step_row: u32,
    steps: [u32; 3],
    c_high: u32,
    c_low: u32,
}

/// Twin of `TileParams` in `gemm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct TileParams {
    a: Gather,
    b: Gather,
    y: Scatter,
    m: u32,
    n: u32,
    k: u32,
    run: u32,
    splits: u32,
    step_split: u32,
    row_tiles: u32,
    column_tiles: u32,
    depth: u32,
    products: u32,
    epilogue: Epilogue,
}

/// Twin of `CombineParams` in `gemm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct CombineParams {
    n: u32,
    splits: u32,
    accumulate: u32,
    epilogue: Epilogue,
}

/// Twin of `Params` in `gemm_pack.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PackParams {
    g: Gather,
    z_start: u32,
    depth: u32,
    k_start: u32,
    k_count: u32,
    k_padded: u32,
    c_start: u32,
    c_count: u32,
    blocks: u32,
    quads: u32,
    run: u32,
    runs: u32,
    base: u32,
    operand: u32,
    entries: u32,
    stride: u32,
}

/// Twin of `PanelParams` in `lib/panel.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PanelParams {
    y: Scatter,
    m: u32,
    n: u32,
    k: u32,
    z_start: u32,
    depth: u32,
    c_start: u32,
    row_blocks: u32,
    column_blocks: u32,
    base_a: u32,
    base_b: u32,
    products: u32,
    stride: u32,
    epilogue: Epilogue,
}

impl Operand {
    /// A matrix [k, columns] of which element (k, c) lies at k·step_k + c·step_c.
    pub fn matrix(step_z: usize, step_k: usize, step_c: usize) -> Operand {
        Operand {
            step_z,
            plane_k: step_k,
            plane_c: step_c,
            y: Walk::NONE,
            x: Walk::NONE,
            k_digits: [1, 1],
            c_digits: [1, 1],
        }
    }

    fn gather(&self) -> Gather {
        let (y, x) = (self.y, self.x);
        Gather {
            offset: 0,
            plane_z: self.step_z as u32,
            plane_k: self.plane_k as u32,
            plane_c: self.plane_c as u32,
            y_start: y.start as u32,
            y_k: y.k as u32,
            y_c: y.c as u32,
            x_start: x.start as u32,
            x_k: x.k as u32,
            x_c: x.c as u32,
            h: y.len as u32,
            w: x.len as u32,
            row: x.len as u32,
            k_high: self.k_digits[0] as u32,
            k_low: self.k_digits[1] as u32,
            c_high: self.c_digits[0] as u32,
            c_low: self.c_digits[1] as u32,
            k_all_inverse: 1.0 / (self.k_digits[0] * self.k_digits[1]) as f32,
            k_low_inverse: 1.0 / self.k_digits[1] as f32,
        }
    }
}

impl Product {
    fn scatter(&self) -> Scatter {
        Scatter {
            offset: self.y.offset as u32,
            step_z: self.y.step_z as u32,
            step_row: self.y.step_row as u32,
            steps: self.y.steps.map(|s| s as u32),
            c_high: self.b.c_digits[0] as u32,
            c_low: self.b.c_digits[1] as u32,
        }
    }
}

/// Computes products of the same two operands that together write each of y's `len` elements once, finished.
///
/// # Panics
/// If the variant is the naive one, which each op has for itself.
pub fn run(
    gpu: &Gpu,
    variant: Variant,
    products: &[Product],
    [a, b, y]: [&GpuBuffer; 3],
    finish: Finish,
    len: usize,
    label: &str,
) -> Result<()> {
    let call = Call { gpu, a, b, finish, label };
    match variant {
        Variant::Naive => panic!("{label}: the naive kernel is the op's own"),
        Variant::Tile { quads, fill } => call.tiles(quads, fill, products, y, len),
        Variant::Panel { rows, columns } => call.panels("gemm_panel", [rows, columns], products, y, len),
        Variant::Shuffle { rows, columns } => call.panels("gemm_shuffle", [rows, columns], products, y, len),
    }
}

struct Call<'a> {
    gpu: &'a Gpu,
    a: &'a GpuBuffer,
    b: &'a GpuBuffer,
    finish: Finish<'a>,
    label: &'a str,
}

impl Call<'_> {
    /// What is bound as the bias: anything, if there is none.
    fn bias(&self) -> &GpuBuffer {
        self.finish.bias.unwrap_or(self.a)
    }

    fn run(
        &self,
        kernel: Kernel,
        reads: &[&GpuBuffer],
        y: &GpuBuffer,
        params: &[u8],
        workgroups: [u32; 3],
    ) -> Result<()> {
        self.gpu.run(&KernelCall { kernel, reads, writes: &[y], params, workgroups, label: self.label })
    }

    /// The `tile` kernel. Where the tiles are too few to fill a device, k is split too, into partial sums that are then
    /// added in order.
    fn tiles(&self, quads: u32, fill: usize, products: &[Product], y: &GpuBuffer, len: usize) -> Result<()> {
        let side = 32 * quads as usize;
        let tiles = |p: &Product| p.m.div_ceil(side) * p.n.div_ceil(side) * p.depth;
        let k = products.iter().map(|p| p.k).max().unwrap_or(0);
        let wanted = fill / products.iter().map(tiles).sum::<usize>().max(1);
        // Not so many that the partial sums outweigh the operands or exceed a buffer.
        let room = self.gpu.max_binding_bytes() as usize / (len * 4).max(1);
        let splits = wanted.min(k / 256).min(room).clamp(1, 64).max(k.div_ceil(8 * MOST_TURNS));
        let partials = if splits > 1 { Some(self.gpu.alloc((splits * len * 4) as u64)?) } else { None };
        let count = |of: fn(&Product) -> usize| products.iter().map(of).max().unwrap_or(0);
        let (row_tiles, column_tiles) = (count(|p| p.m).div_ceil(side), count(|p| p.n).div_ceil(side));
        let depth = count(|p| p.depth);
        let params: Vec<TileParams> = products
            .iter()
            .map(|p| TileParams {
                a: p.a.gather(),
                b: p.b.gather(),
                y: p.scatter(),
                m: p.m as u32,
                n: p.n as u32,
                k: p.k as u32,
                run: p.k.div_ceil(splits).next_multiple_of(8) as u32,
                splits: splits as u32,
                step_split: len as u32,
                row_tiles: row_tiles as u32,
                column_tiles: column_tiles as u32,
                depth: depth as u32,
                products: products.len() as u32,
                epilogue: if splits > 1 { Finish::NONE } else { self.finish }.epilogue(p.m),
            })
            .collect();
        self.run(
            Kernel::new("gemm", "tile").constant("QUADS", quads.into()),
            &[self.a, self.b, self.bias()],
            partials.as_ref().unwrap_or(y),
            cast_slice(&params),
            grid((row_tiles * column_tiles * depth * splits * products.len()) as u64, 1),
        )?;
        match partials {
            None => Ok(()),
            Some(partials) => self.combine(&partials, splits, y, len, false, self.finish),
        }
    }

    /// Adds `count` partial sums of y's elements in order, to what y holds or to nothing, and finishes.
    fn combine(
        &self,
        partials: &GpuBuffer,
        count: usize,
        y: &GpuBuffer,
        len: usize,
        accumulate: bool,
        finish: Finish,
    ) -> Result<()> {
        let params = CombineParams {
            n: len as u32,
            splits: count as u32,
            accumulate: accumulate.into(),
            epilogue: finish.epilogue(1),
        };
        let reads = [partials, self.bias()];
        self.run(Kernel::new("gemm", "combine"), &reads, y, bytes_of(&params), grid(len as u64, 64))
    }

    /// A panel kernel: packs a part of a and of b of each product into panels, multiplies these, and goes on to the next
    /// part. Later parts of k make sums of their own, which are added to y in order.
    fn panels(
        &self,
        shader: &'static str,
        [rows, columns]: [u32; 2],
        products: &[Product],
        y: &GpuBuffer,
        len: usize,
    ) -> Result<()> {
        let (height, width) = (4 * rows as usize, 32 * columns as usize);
        let most = |of: &dyn Fn(&Product) -> usize| products.iter().map(of).max().unwrap_or(0);
        let (row_blocks, column_blocks) = (most(&|p| p.m.div_ceil(height)), most(&|p| p.n.div_ceil(width)));
        let (k, depth) = (most(&|p| p.k), most(&|p| p.depth));
        let k_most = (PANEL_ROWS_K / (row_blocks * height * products.len()).max(1)).clamp(8, PANEL_K);
        let k_parts = k.div_ceil(k_most).max(1);
        let k_part = k.div_ceil(k_parts).next_multiple_of(8);
        let bytes = |columns: usize| (columns * k_part * 4 * products.len()).max(1);
        let z_part = (PANEL_BYTES / bytes(row_blocks * height)).clamp(1, depth.max(1));
        let blocks = (PANEL_BYTES / bytes(width * z_part)).clamp(1, column_blocks.max(1));
        let kernel = match shader {
            "gemm_panel" => Kernel::new(shader, "plain"),
            _ => {
                Kernel::new(shader, "shuffle").constant("OWN", rows.min(4).into()).constant("SHARE", (8 / rows).into())
            }
        }
        .constant("ROWS", rows.into())
        .constant("COLUMNS", columns.into());
        // The first part goes to y, each other one beside it first.
        let partial = if k_parts > 1 { Some(self.gpu.alloc((len * 4) as u64)?) } else { None };
        let finish = if k_parts > 1 { Finish::NONE } else { self.finish };
        for part in 0..k_parts {
            let to = partial.as_ref().filter(|_| part > 0).unwrap_or(y);
            for z in (0..depth).step_by(z_part) {
                let depth = z_part.min(depth - z);
                for first in (0..column_blocks).step_by(blocks) {
                    let (mut packed, mut multiplied, mut texels) = (Vec::new(), Vec::new(), 0);
                    for p in products {
                        let count = p.n.div_ceil(width).saturating_sub(first).min(blocks);
                        if count == 0 {
                            continue; // a phase with fewer places than another
                        }
                        let k = [part * k_part, p.k.min((part + 1) * k_part).max(part * k_part)];
                        let z = [z, depth];
                        let base_a = place(&mut texels, depth * row_blocks * k_padded(k) * height / 4);
                        let base_b = place(&mut texels, depth * count * k_padded(k) * width / 4);
                        packed.push(PackParams::new(&p.a, p.m, z, k, [0, row_blocks], height, [base_a, 0]));
                        packed.push(PackParams::new(&p.b, p.n, z, k, [first, count], width, [base_b, 1]));
                        multiplied.push(PanelParams {
                            y: p.scatter(),
                            m: p.m as u32,
                            n: p.n as u32,
                            k: k_padded(k) as u32,
                            z_start: z[0] as u32,
                            depth: depth as u32,
                            c_start: (first * width) as u32,
                            row_blocks: row_blocks as u32,
                            column_blocks: count as u32,
                            base_a: base_a as u32,
                            base_b: base_b as u32,
                            products: 0,
                            stride: 0,
                            epilogue: finish.epilogue(p.m),
                        });
                    }
                    let panels = self.pack(packed, texels)?;
                    let groups = |p: &PanelParams| p.row_blocks * p.column_blocks * p.depth;
                    let stride = multiplied.iter().map(groups).max().unwrap_or(0);
                    let count = multiplied.len() as u32;
                    multiplied.iter_mut().for_each(|p| (p.products, p.stride) = (count, stride));
                    let call = KernelCall {
                        kernel: kernel.clone(),
                        reads: &[self.bias()],
                        writes: &[to],
                        params: cast_slice(&multiplied),
                        workgroups: grid(u64::from(count) * u64::from(stride), 1),
                        label: self.label,
                    };
                    self.gpu.run_with(&call, Textures { reads: &[&panels], write: None })?;
                }
            }
            if let Some(partial) = partial.as_ref().filter(|_| part > 0) {
                let finish = if part + 1 == k_parts { self.finish } else { Finish::NONE };
                self.combine(partial, 1, y, len, true, finish)?;
            }
        }
        Ok(())
    }

    /// The panels of these operands, in one texture.
    fn pack(&self, mut packed: Vec<PackParams>, texels: usize) -> Result<GpuTexture> {
        let panels = self.gpu.alloc_texels(texels as u64)?;
        let invocations = |p: &PackParams| p.depth * p.blocks * p.runs * p.quads;
        let stride = packed.iter().map(invocations).max().unwrap_or(0).next_multiple_of(64);
        let entries = packed.len() as u32;
        packed.iter_mut().for_each(|p| (p.entries, p.stride) = (entries, stride));
        let call = KernelCall {
            kernel: Kernel::new("gemm_pack", "pack"),
            reads: &[self.a, self.b],
            writes: &[],
            params: cast_slice(&packed),
            workgroups: grid(u64::from(entries) * u64::from(stride), 64),
            label: self.label,
        };
        self.gpu.run_with(&call, Textures { reads: &[], write: Some(&panels) })?;
        Ok(panels)
    }
}

/// The k of a panel: whole eights.
fn k_padded([start, end]: [usize; 2]) -> usize {
    (end - start).next_multiple_of(8)
}

/// Takes a place for so many texels behind those that are taken; eight k of a panel never fall into two rows of a texture.
fn place(taken: &mut usize, texels: usize) -> usize {
    let base = *taken;
    *taken = (base + texels).next_multiple_of(128);
    base
}

impl PackParams {
    /// Panels of `width` columns from panel `first` on, for these k of `depth` matrices from z on; where they begin and
    /// which operand they are of.
    #[allow(clippy::too_many_arguments)]
    fn new(
        operand: &Operand,
        columns: usize,
        [z, depth]: [usize; 2],
        k: [usize; 2],
        [first, blocks]: [usize; 2],
        width: usize,
        [base, number]: [usize; 2],
    ) -> PackParams {
        let k_padded = k_padded(k);
        let run = 32.min(k_padded.max(1));
        PackParams {
            g: operand.gather(),
            z_start: z as u32,
            depth: depth as u32,
            k_start: k[0] as u32,
            k_count: k[1] as u32,
            k_padded: k_padded as u32,
            c_start: (first * width) as u32,
            c_count: columns as u32,
            blocks: blocks as u32,
            quads: (width / 4) as u32,
            run: run as u32,
            runs: k_padded.div_ceil(run) as u32,
            base: base as u32,
            operand: number as u32,
            entries: 0,
            stride: 0,
        }
    }
}

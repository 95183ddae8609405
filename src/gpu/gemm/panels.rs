//! Products for software adapters: operands are packed into panels, which kernels without barriers multiply.

use super::params::{PackParams, PanelParams};
use super::{Call, Finish, Operand, Product};
use crate::error::Result;
use crate::gpu::{GpuBuffer, GpuTexture, Kernel, KernelCall, Textures, grid};
use bytemuck::cast_slice;

/// Bytes of each operand that are packed at a time. The panels need not stay in a processor's cache: 4 MiB were no faster, and
/// made three times as many calls.
const PANEL_BYTES: usize = 64 << 20;

/// The most k in a panel: a loop of at most 16,384 turns.
const PANEL_K: usize = 64 << 10;

/// The most rows times k in a panel of a: a quarter of the largest texture.
const PANEL_ROWS_K: usize = 1 << 24;
impl Call<'_> {
    /// A panel kernel: packs a part of a and of b of each product into panels, multiplies these, and goes on to the next
    /// part. Later parts of k make sums of their own, which are added to y in order.
    pub(super) fn panels(
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

//! Products for GPUs: the `tile` kernel, which keeps tiles of the operands in workgroup memory, and the sum of parts of k.

use super::params::{CombineParams, TileParams};
use super::{Call, Finish, Product};
use crate::error::Result;
use crate::gpu::tuning::{MOST_TURNS, Variant};
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, grid};
use bytemuck::{bytes_of, cast_slice};

/// How the `tile` kernel divides products that stand side by side in one grid.
struct Grid {
    /// Parts of k, each with partial sums of its own.
    splits: usize,
    row_tiles: usize,
    /// Tiles of each stretch of columns that has statistics of its own.
    span_tiles: usize,
    depth: usize,
}

impl Grid {
    fn new(gpu: &Gpu, quads: u32, fill: usize, products: &[Product], stretches: usize, len: usize) -> Grid {
        let side = 32 * quads as usize;
        let span_tiles = |p: &Product| (p.n / stretches).div_ceil(side);
        let tiles = |p: &Product| p.m.div_ceil(side) * stretches * span_tiles(p) * p.depth;
        let most = |of: &dyn Fn(&Product) -> usize| products.iter().map(of).max().unwrap_or(0);
        let k = most(&|p| p.k);
        let wanted = fill / products.iter().map(tiles).sum::<usize>().max(1);
        // Not so many that the partial sums outweigh the operands or exceed a buffer.
        let room = gpu.max_binding_bytes() as usize / (len * 4).max(1);
        Grid {
            splits: wanted.min(k / 256).min(room).clamp(1, 64).max(k.div_ceil(8 * MOST_TURNS)),
            row_tiles: most(&|p| p.m.div_ceil(side)),
            span_tiles: most(&span_tiles),
            depth: most(&|p| p.depth),
        }
    }
}

/// How many tiles of each row of y, in each of so many stretches of its columns, these products tell the moments of
/// ([`Finish::moments`]); none where the kernels cannot.
pub fn moment_tiles(gpu: &Gpu, variant: Variant, products: &[Product], stretches: usize, len: usize) -> Option<usize> {
    let Variant::Tile { quads, fill } = variant else { return None };
    let grid = Grid::new(gpu, quads, fill, products, stretches, len);
    (grid.splits == 1).then_some(grid.span_tiles * products.len())
}

impl Call<'_> {
    /// The `tile` kernel. Where the tiles are too few to fill a device, k is split too, into partial sums that are then
    /// added in order.
    pub(super) fn tiles(&self, quads: u32, fill: usize, products: &[Product], y: &GpuBuffer, len: usize) -> Result<()> {
        let stretches = self.finish.moments.map_or(1, |moments| moments.stretches);
        let Grid { splits, row_tiles, span_tiles, depth } = Grid::new(self.gpu, quads, fill, products, stretches, len);
        let column_tiles = stretches * span_tiles;
        let partials = if splits > 1 { Some(self.gpu.alloc((splits * len * 4) as u64)?) } else { None };
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
                span: (p.n / stretches) as u32,
                span_tiles: span_tiles as u32,
                epilogue: if splits > 1 { Finish::NONE } else { self.finish }.epilogue(p.m),
            })
            .collect();
        let kernel = Kernel::new("gemm", "tile").constant("QUADS", quads.into());
        let (kernel, moments) = match self.finish.moments {
            Some(moments) if splits == 1 => (kernel.constant("MOMENTS", 1.0), Some(moments.to)),
            _ => (kernel, None),
        };
        let to = partials.as_ref().unwrap_or(y);
        self.gpu.run(&KernelCall {
            kernel,
            reads: &[self.a, self.b, self.bias()],
            writes: &std::iter::once(to).chain(moments).collect::<Vec<_>>(),
            params: cast_slice(&params),
            workgroups: grid((row_tiles * column_tiles * depth * splits * products.len()) as u64, 1),
            label: self.label,
        })?;
        match partials {
            None => Ok(()),
            Some(partials) => self.combine(&partials, splits, y, len, false, self.finish),
        }
    }

    /// Adds `count` partial sums of y's elements in order, to what y holds or to nothing, and finishes.
    pub(super) fn combine(
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
        self.gpu.run(&KernelCall {
            kernel: Kernel::new("gemm", "combine"),
            reads: &[partials, self.bias()],
            writes: &[y],
            params: bytes_of(&params),
            workgroups: grid(len as u64, 64),
            label: self.label,
        })
    }
}

//! Products for GPUs: the `tile` kernel, which keeps tiles of the operands in workgroup memory, and the sum of parts of k.

use super::params::{CombineParams, TileParams};
use super::{Call, Finish, Product};
use crate::error::Result;
use crate::gpu::tuning::MOST_TURNS;
use crate::gpu::{GpuBuffer, Kernel, grid};
use bytemuck::{bytes_of, cast_slice};

impl Call<'_> {
    /// The `tile` kernel. Where the tiles are too few to fill a device, k is split too, into partial sums that are then
    /// added in order.
    pub(super) fn tiles(&self, quads: u32, fill: usize, products: &[Product], y: &GpuBuffer, len: usize) -> Result<()> {
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
        let reads = [partials, self.bias()];
        self.run(Kernel::new("gemm", "combine"), &reads, y, bytes_of(&params), grid(len as u64, 64))
    }
}

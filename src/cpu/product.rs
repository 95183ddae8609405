//! The blocked product of packed panels, split over the cores in pieces that depend on the sizes alone.

use super::CpuBuffer;
use super::pack::{Left, depth, panel_len};
use super::tile::{MR, NR, Tile, TileProduct};
use rayon::prelude::*;
use std::ops::Range;

/// Panels of b that a task takes at most, and the number of tasks that is aimed at where there are fewer.
const PANELS: usize = 8;
const TASKS: usize = 16;
/// The least panels of a (of MR rows) that make splitting them worth packing b again.
const LEFT_PANELS: usize = 8;

/// Multiplies `left` by a matrix of `columns` columns that `pack(panel, k range, buffer)` packs, and hands every finished
/// tile to `finish(first row, panel, tile)`. Sums run in one order, whatever the number of threads.
pub fn product(
    left: &Left,
    columns: usize,
    pack: impl Fn(usize, Range<usize>, &mut [f32]) + Sync,
    finish: impl Fn(usize, usize, &Tile) + Sync,
) {
    let (right, panels) = (columns.div_ceil(NR), left.panels());
    if right == 0 || panels == 0 {
        return;
    }
    let wide = right.div_ceil(TASKS).clamp(1, PANELS);
    let across = right.div_ceil(wide);
    let parts = (TASKS / 2).div_ceil(across).min(panels / LEFT_PANELS).max(1);
    let tall = panels.div_ceil(parts);
    let task = |task: usize| {
        let (part, first) = (task / across, task % across * wide);
        let rows = part * tall..panels.min((part + 1) * tall);
        block(left, rows, first..right.min(first + wide), &pack, &finish);
    };
    let tasks = across * panels.div_ceil(tall);
    if columns * left.m * left.k < 1 << 16 {
        (0..tasks).for_each(task)
    } else {
        (0..tasks).into_par_iter().for_each(task)
    }
}

fn block(
    left: &Left,
    rows: Range<usize>,
    right: Range<usize>,
    pack: &impl Fn(usize, Range<usize>, &mut [f32]),
    finish: &impl Fn(usize, usize, &Tile),
) {
    let depth = depth(left.k);
    let multiply = TileProduct::best();
    let mut panel = CpuBuffer::uninit(panel_len(depth));
    let mut sums = CpuBuffer::uninit((rows.len() * right.len() + 1) * (MR * NR));
    // SAFETY: a tile is MR·NR floats, any of which may have any bits; align_to cuts at its alignment.
    let (_, sums, _) = unsafe { sums.align_to_mut::<Tile>() };
    for from in (0..left.k.max(1)).step_by(depth) {
        let to = left.k.min(from + depth);
        let a = left.pass(from, to, rows.clone());
        for (i, sums) in sums.chunks_exact_mut(rows.len()).take(right.len()).enumerate() {
            pack(right.start + i, from..to, &mut panel);
            if a.is_empty() {
                sums.fill(Tile::ZERO);
            }
            for (a, tile) in a.chunks_exact((MR * (to - from)).max(1)).zip(sums) {
                multiply.run(a, &panel, tile, from > 0);
            }
        }
    }
    for (i, sums) in sums.chunks_exact(rows.len()).take(right.len()).enumerate() {
        for (row, tile) in rows.clone().zip(sums) {
            finish(row * MR, right.start + i, tile);
        }
    }
}

/// An output that several tasks write, each its own elements.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    start: *mut f32,
    len: usize,
    life: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: `write` and `write_spread` are unsafe, and their callers vouch that no two tasks write one element.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Borrows `y` for the tasks.
    pub fn new(y: &'a mut [f32]) -> Shared<'a> {
        Shared { start: y.as_mut_ptr(), len: y.len(), life: std::marker::PhantomData }
    }

    /// y[at..] = values
    ///
    /// # Safety
    /// No other task reads or writes these elements meanwhile.
    #[inline]
    pub unsafe fn write(&self, at: usize, values: &[f32]) {
        assert!(at + values.len() <= self.len);
        // SAFETY: inside the slice, and the caller vouches that nothing else touches the elements.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(at), values.len()) }
    }

    /// y[at + i·step] = values[i]
    ///
    /// # Safety
    /// As [`Shared::write`].
    #[inline]
    pub unsafe fn write_spread(&self, at: usize, step: usize, values: &[f32]) {
        assert!(values.is_empty() || at + (values.len() - 1) * step < self.len);
        for (i, &v) in values.iter().enumerate() {
            // SAFETY: as above.
            unsafe { *self.start.add(at + i * step) = v }
        }
    }
}

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

/// Packs the k range of a panel of the right matrix into the buffer.
pub trait Pack: Fn(usize, Range<usize>, &mut [f32]) + Sync {}
impl<T: Fn(usize, Range<usize>, &mut [f32]) + Sync> Pack for T {}

/// Takes the finished tiles below one another, from a first row on, of a panel.
pub trait Finish: Fn(usize, usize, &[Tile]) + Sync {}
impl<T: Fn(usize, usize, &[Tile]) + Sync> Finish for T {}

/// One product: `left` times a matrix of `columns` columns that `pack(panel, k range, buffer)` packs; the finished tiles
/// go to `finish(first row, panel, tiles below one another)`.
pub struct Job<P, F> {
    /// The left matrix.
    pub left: Left,
    /// Columns of the right one.
    pub columns: usize,
    /// Packs a panel.
    pub pack: P,
    /// Takes tiles.
    pub finish: F,
}

/// Computes the products. Sums run in one order, whatever the number of threads. Corresponding parts of the jobs follow
/// one another, so that jobs that read and write neighbouring places find them in the cache.
pub fn product<P: Pack, F: Finish>(jobs: &[Job<P, F>]) {
    let right: usize = jobs.iter().map(|job| job.columns.div_ceil(NR)).sum();
    let wide = right.div_ceil(TASKS).clamp(1, PANELS);
    let parts = (TASKS / 2).div_ceil(right.div_ceil(wide).max(1));
    let mut tasks = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let (right, panels) = (job.columns.div_ceil(NR), job.left.panels());
        let tall = panels.div_ceil(parts.min(panels / LEFT_PANELS).max(1)).max(1);
        for first in (0..right).step_by(wide) {
            for top in (0..panels).step_by(tall) {
                tasks.push((first, i, top..panels.min(top + tall), first..right.min(first + wide)));
            }
        }
    }
    tasks.sort_by_key(|(first, i, rows, _)| (*first, *i, rows.start));
    let work: usize = jobs.iter().map(|job| job.columns * job.left.m * job.left.k).sum();
    let run = |(_, i, rows, right): (usize, usize, Range<usize>, Range<usize>)| block(&jobs[i], rows, right);
    if work < 1 << 16 { tasks.into_iter().for_each(run) } else { tasks.into_par_iter().for_each(run) }
}

fn block<P: Pack, F: Finish>(job: &Job<P, F>, rows: Range<usize>, right: Range<usize>) {
    let Job { left, pack, finish, .. } = job;
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
        finish(rows.start * MR, right.start + i, sums);
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
        // The usual step as a constant, so that the loop has no multiplication.
        if step == 2 {
            for (i, &v) in values.iter().enumerate() {
                // SAFETY: inside the slice by the assertion, and the caller vouches that nothing else touches it.
                unsafe { *self.start.add(at).add(2 * i) = v }
            }
            return;
        }
        for (i, &v) in values.iter().enumerate() {
            // SAFETY: as above.
            unsafe { *self.start.add(at + i * step) = v }
        }
    }
}

//! The blocked product of packed panels, split over the cores in pieces that depend on the sizes alone.

use super::CpuBuffer;
use super::pack::{Left, depth, panel_len};
use super::parallel::for_tasks;
use super::tile::{Multiply, Tile, TileProduct};
use std::ops::Range;

/// Panels of b that a task takes at most, and the number of tasks that is aimed at where there are fewer.
const PANELS: usize = 8;
const TASKS: usize = 16;
/// The least panels of a (of MR rows) that make splitting them worth packing b again.
const LEFT_PANELS: usize = 8;

/// Packs the k range of a panel of a part's right matrix into the buffer, and multiplies it with the first panel of the
/// left one.
pub trait Pack<const MR: usize, const NR: usize>:
    Fn(usize, usize, Range<usize>, &mut [f32], Multiply<MR, NR>) + Sync
{
}
impl<const MR: usize, const NR: usize, T> Pack<MR, NR> for T where
    T: Fn(usize, usize, Range<usize>, &mut [f32], Multiply<MR, NR>) + Sync
{
}

/// Takes the finished tiles below one another, from a first row on, of a panel, part by part.
pub trait Finish<const MR: usize, const NR: usize>: Fn(usize, usize, &[&[Tile<MR, NR>]]) + Sync {}
impl<const MR: usize, const NR: usize, T: Fn(usize, usize, &[&[Tile<MR, NR>]]) + Sync> Finish<MR, NR> for T {}

/// The most parts of a job.
pub const PARTS: usize = 2;

/// One product, or several that belong together: part i is `left[i]` times a matrix of `columns` columns that
/// `pack(i, panel, k range, buffer, first tile)` packs; the finished tiles of all parts go to
/// `finish(first row, panel, tiles below one another of each part)`. All have the same number of rows.
pub struct Job<'a, const MR: usize, P, F> {
    /// The left matrices.
    pub left: Vec<&'a Left<MR>>,
    /// Columns of the right one.
    pub columns: usize,
    /// Packs a panel.
    pub pack: P,
    /// Takes tiles.
    pub finish: F,
}

/// Computes the products. Sums run in one order, whatever the number of threads. Corresponding parts of the jobs follow
/// one another, so that jobs that read and write neighbouring places find them in the cache. `spread` says whether over all
/// cores.
pub fn product<const MR: usize, const NR: usize, P: Pack<MR, NR>, F: Finish<MR, NR>>(
    jobs: &[Job<MR, P, F>],
    spread: bool,
) {
    // On one core nothing is gained by small tasks.

    let right: usize = jobs.iter().map(|job| job.columns.div_ceil(NR)).sum();
    let tasks = if spread { TASKS } else { 1 };
    let wide = right.div_ceil(tasks).clamp(1, PANELS);
    let parts = (tasks / 2).div_ceil(right.div_ceil(wide).max(1));
    let mut tasks = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let (right, panels) = (job.columns.div_ceil(NR), job.left[0].panels());
        let tall = panels.div_ceil(parts.min(panels / LEFT_PANELS).max(1)).max(1);
        for first in (0..right).step_by(wide) {
            for top in (0..panels).step_by(tall) {
                tasks.push((first, i, top..panels.min(top + tall), first..right.min(first + wide)));
            }
        }
    }
    tasks.sort_by_key(|(first, i, rows, _)| (*first, *i, rows.start));
    let work: usize = jobs.iter().flat_map(|job| job.left.iter().map(|left| job.columns * left.m * left.k)).sum();
    let run = |task: usize| {
        let (_, i, rows, right) = &tasks[task];
        block(&jobs[*i], rows.clone(), right.clone());
    };
    if !spread || work < 1 << 16 { (0..tasks.len()).for_each(run) } else { for_tasks(tasks.len(), run) }
}

fn block<const MR: usize, const NR: usize, P: Pack<MR, NR>, F: Finish<MR, NR>>(
    job: &Job<MR, P, F>,
    rows: Range<usize>,
    right: Range<usize>,
) {
    let (product, alone) = (TileProduct::<MR, NR>::best(), rows.len() == 1);
    let deepest = job.left.iter().map(|left| depth::<NR>(left.k)).max().unwrap_or(1);
    let mut panel = CpuBuffer::uninit(panel_len::<NR>(deepest));
    let mut sums = CpuBuffer::uninit((job.left.len() * rows.len() * right.len() + 1) * (MR * NR));
    // SAFETY: a tile is MR·NR floats, any of which may have any bits; align_to cuts at its alignment.
    let (_, sums, _) = unsafe { sums.align_to_mut::<Tile<MR, NR>>() };
    for (part, (left, sums)) in job.left.iter().zip(sums.chunks_exact_mut(rows.len() * right.len())).enumerate() {
        let depth = depth::<NR>(left.k);
        for from in (0..left.k.max(1)).step_by(depth) {
            let to = left.k.min(from + depth);
            let a = left.pass(from, to, rows.clone());
            for (i, sums) in sums.chunks_exact_mut(rows.len()).enumerate() {
                let columns = (job.columns - (right.start + i) * NR).min(NR);
                if a.is_empty() {
                    sums.fill(Tile::ZERO);
                    continue;
                }
                let panels = a.chunks_exact(MR * (to - from)).zip(rows.clone());
                for ((a, row), tile) in panels.zip(sums) {
                    let wanted = [(left.m - row * MR).min(MR), columns];
                    let multiply = Multiply { product, a, tile, wanted, add: from > 0, alone };
                    if row == rows.start {
                        (job.pack)(part, right.start + i, from..to, &mut panel, multiply);
                    } else {
                        multiply.run(&panel);
                    }
                }
            }
        }
    }
    for i in 0..right.len() {
        let mut parts: [&[Tile<MR, NR>]; PARTS] = [&[]; PARTS];
        for (part, tiles) in parts.iter_mut().enumerate().take(job.left.len()) {
            *tiles = &sums[(part * right.len() + i) * rows.len()..][..rows.len()];
        }
        (job.finish)(rows.start * MR, right.start + i, &parts[..job.left.len()]);
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

    /// Where it begins: who writes there vouches for what [`Shared::write`] asks for.
    pub fn start(&self) -> *mut f32 {
        self.start
    }

    /// Its elements.
    #[allow(clippy::len_without_is_empty)] // nobody asks
    pub fn len(&self) -> usize {
        self.len
    }

    /// What begins at element `at`.
    pub fn part(self, at: usize) -> Shared<'a> {
        assert!(at <= self.len);
        // SAFETY: inside the slice.
        Shared { start: unsafe { self.start.add(at) }, len: self.len - at, life: self.life }
    }

    /// Where the elements at..at + len begin.
    #[inline(always)]
    pub fn place(&self, at: usize, len: usize) -> *mut f32 {
        assert!(at + len <= self.len);
        // SAFETY: inside the slice.
        unsafe { self.start.add(at) }
    }

    /// y[at..] = values
    ///
    /// # Safety
    /// No other task reads or writes these elements meanwhile.
    #[inline]
    pub unsafe fn write(&self, at: usize, values: &[f32]) {
        assert!(at + values.len() <= self.len);
        // SAFETY: inside the slice, and the caller vouches that nothing else touches the elements.
        unsafe {
            let (from, to, n) = (values.as_ptr(), self.start.add(at), values.len());
            // Short runs without a call: whole vectors, the last of which may overlap the one before.
            if n < 4 {
                (0..n).for_each(|i| *to.add(i) = *from.add(i));
            } else if n < 16 {
                copy_vectors::<4>(from, to, n);
            } else {
                copy_vectors::<16>(from, to, n);
            }
        }
    }

    /// y[at + 2·i] = even[i], y[at + 2·i + 1] = odd[i]
    ///
    /// # Safety
    /// As [`Shared::write`].
    #[inline(always)]
    pub unsafe fn write_pairs(&self, at: usize, even: &[f32], odd: &[f32]) {
        assert!(even.len() == odd.len() && at + 2 * even.len() <= self.len);
        // SAFETY: inside the slice, and the caller vouches that nothing else touches the elements.
        let y = unsafe { std::slice::from_raw_parts_mut(self.start.add(at), 2 * even.len()) };
        for (y, (&even, &odd)) in y.chunks_exact_mut(2).zip(even.iter().zip(odd)) {
            y[0] = even;
            y[1] = odd;
        }
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

/// # Safety
/// Both places hold n elements, of which there are at least W.
#[inline(always)]
unsafe fn copy_vectors<const W: usize>(from: *const f32, to: *mut f32, n: usize) {
    let copy = |i: usize| {
        // SAFETY: i + W is at most n.
        unsafe { to.add(i).cast::<[f32; W]>().write_unaligned(from.add(i).cast::<[f32; W]>().read_unaligned()) }
    };
    (0..n - W).step_by(W).for_each(copy);
    copy(n - W);
}

//! Splitting work over the cores in pieces whose borders never depend on the number of threads.

use super::simd::vectorized;
pub use super::team::for_tasks;

/// Elements a piece of elementwise work has; fewer than two pieces run on the calling thread.
pub const PIECE: usize = 1 << 15;

/// Calls `work(start, piece of y)` for consecutive pieces of `y`, compiled for the widest vectors.
pub fn for_pieces(y: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    let work = |start: usize, piece: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || work(start, piece),
        )
    };
    if y.len() <= PIECE {
        work(0, y);
    } else {
        for_chunks([y], PIECE, |i, [piece]| work(i * PIECE, piece));
    }
}

/// Calls `work(i, chunk i of each slice)` for chunks of `size` elements, each a task. The slices are of one length.
#[track_caller]
pub fn for_chunks<T: Send, const N: usize>(
    mut y: [&mut [T]; N],
    size: usize,
    work: impl Fn(usize, [&mut [T]; N]) + Sync,
) {
    let (len, size) = (y.first().map_or(0, |y| y.len()), size.max(1));
    assert!(y.iter().all(|y| y.len() == len), "slices of different lengths");
    let starts = y.each_mut().map(|y| Start(y.as_mut_ptr()));
    for_tasks(len.div_ceil(size), |i| {
        let chunk = |start: &Start<T>| {
            let at = i * size;
            // SAFETY: it lies inside a slice that is borrowed meanwhile, and no other task has it.
            unsafe { std::slice::from_raw_parts_mut(start.0.add(at), size.min(len - at)) }
        };
        work(i, starts.each_ref().map(chunk));
    });
}

/// Where a slice begins of which every task has a part of its own.
struct Start<T>(*mut T);

// SAFETY: whoever makes one hands out each element to one task only.
unsafe impl<T: Send> Sync for Start<T> {}

/// Calls `work(i, row i of y)` for rows of `row_len` elements, several rows a task when rows are short.
pub fn for_rows(y: &mut [f32], row_len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if row_len == 0 || y.is_empty() {
        return;
    }
    let rows_a_task = (PIECE / 2 / row_len).max(1);
    let task = |task: usize, rows: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || {
                // A loop, for the closure of an iterator need not be inlined.
                for (i, row) in rows.chunks_mut(row_len).enumerate() {
                    work(task * rows_a_task + i, row);
                }
            },
        );
    };
    if y.len() <= row_len * rows_a_task {
        task(0, y);
    } else {
        for_chunks([y], row_len * rows_a_task, |i, [rows]| task(i, rows));
    }
}

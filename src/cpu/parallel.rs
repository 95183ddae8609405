//! Splitting work over the cores in pieces whose borders never depend on the number of threads.

use super::simd::vectorized;
use rayon::prelude::*;

/// Elements a piece of elementwise work has; fewer than two pieces run on the calling thread.
pub const PIECE: usize = 1 << 15;

/// Calls `work(start, piece of y)` for consecutive pieces of `y`, compiled for the widest vectors.
pub fn for_pieces(y: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    let work = |start: usize, piece: &mut [f32]| vectorized(|| work(start, piece));
    if y.len() <= PIECE {
        work(0, y);
    } else {
        y.par_chunks_mut(PIECE).enumerate().for_each(|(i, piece)| work(i * PIECE, piece));
    }
}

/// Calls `work(i, row i of y)` for rows of `row_len` elements, several rows a task when rows are short.
pub fn for_rows(y: &mut [f32], row_len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if row_len == 0 || y.is_empty() {
        return;
    }
    let rows_a_task = (PIECE / 2 / row_len).max(1);
    let task = |task: usize, rows: &mut [f32]| {
        vectorized(|| rows.chunks_mut(row_len).enumerate().for_each(|(i, row)| work(task * rows_a_task + i, row)));
    };
    if y.len() <= row_len * rows_a_task {
        task(0, y);
    } else {
        y.par_chunks_mut(row_len * rows_a_task).enumerate().for_each(|(i, rows)| task(i, rows));
    }
}

//! Panels for the tile product, packed from anything whose element (row, k) lies at row offset + k offset.

use super::CpuBuffer;
use super::simd::vectorized;
use super::tile::{MR, NR};
use rayon::prelude::*;

/// The most k that one pass over a panel of b takes: NR · DEPTH floats stay in the first-level cache.
const DEPTH: usize = 256;

/// How k is cut into passes: equal ones of at most [`DEPTH`].
pub fn depth(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1)
}

/// The left matrix in panels of MR rows, pass by pass.
#[derive(Default)]
pub struct Left {
    data: CpuBuffer,
    /// Rows.
    pub m: usize,
    /// Columns.
    pub k: usize,
}

impl Left {
    /// Packs the matrix whose element (i, k) is `source[row(i) + offsets[k]]`.
    pub fn pack(source: &[f32], m: usize, row: impl Fn(usize) -> usize + Sync, offsets: &[usize]) -> Left {
        let k = offsets.len();
        let (panels, depth) = (m.div_ceil(MR), depth(k));
        let mut data = CpuBuffer::uninit(panels * MR * k);
        if m == 0 || k == 0 {
            return Left { data, m, k };
        }
        let pass = |pass: usize, data: &mut [f32]| {
            let offsets = &offsets[pass * depth..k.min((pass + 1) * depth)];
            let stretches = stretches(offsets);
            for (panel, data) in data.chunks_exact_mut(MR * offsets.len()).enumerate() {
                let first = panel * MR;
                let rows: [usize; MR] = std::array::from_fn(|r| row((first + r).min(m - 1)));
                if stretches.len() * 8 <= offsets.len() {
                    vectorized(|| interleave_panel(source, rows, &stretches, data));
                } else {
                    vectorized(|| scatter_panel(source, rows, offsets, data));
                }
                for r in m.saturating_sub(first)..MR {
                    data.iter_mut().skip(r).step_by(MR).for_each(|v| *v = 0.0);
                }
            }
        };
        data.par_chunks_mut(panels * MR * depth).enumerate().for_each(|(i, data)| pass(i, data));
        Left { data, m, k }
    }

    /// Panels of MR rows.
    pub fn panels(&self) -> usize {
        self.m.div_ceil(MR)
    }

    /// The panels `panels` of the pass that takes k `from..to`, one after the other.
    pub fn pass(&self, from: usize, to: usize, panels: std::ops::Range<usize>) -> &[f32] {
        let pass = &self.data[self.panels() * MR * from..][..self.panels() * MR * (to - from)];
        &pass[panels.start * MR * (to - from)..panels.end * MR * (to - from)]
    }
}

/// The stretches of neighbours among offsets: the first offset and the number of each.
fn stretches(offsets: &[usize]) -> Vec<(usize, usize)> {
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for &offset in offsets {
        match stretches.last_mut() {
            Some((first, len)) if *first + *len == offset => *len += 1,
            _ => stretches.push((offset, 1)),
        }
    }
    stretches
}

/// As [`scatter_panel`], for offsets that are mostly neighbours.
#[inline(always)]
fn interleave_panel(source: &[f32], rows: [usize; MR], stretches: &[(usize, usize)], mut panel: &mut [f32]) {
    for &(offset, len) in stretches {
        let (here, rest) = std::mem::take(&mut panel).split_at_mut(len * MR);
        panel = rest;
        let [a, b, c, d] = rows.map(|row| &source[row + offset..][..len]);
        for ((((v, a), b), c), d) in here.chunks_exact_mut(MR).zip(a).zip(b).zip(c).zip(d) {
            v.copy_from_slice(&[*a, *b, *c, *d]);
        }
    }
}

/// panel[k, r] = source[rows[r] + offsets[k]]
#[inline(always)]
fn scatter_panel<const R: usize>(source: &[f32], rows: [usize; R], offsets: &[usize], panel: &mut [f32]) {
    let reach = rows.iter().max().map_or(0, |row| row + 1);
    assert!(offsets.iter().max().is_none_or(|offset| offset + reach <= source.len()));
    for (panel, &offset) in panel.chunks_exact_mut(R).zip(offsets) {
        for (v, row) in panel.iter_mut().zip(rows) {
            // SAFETY: the assertion above.
            *v = unsafe { *source.get_unchecked(row + offset) };
        }
    }
}

/// A run of neighbouring columns of the right matrix: columns `to..to + len` of a panel begin at `from` in the source.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The first column in the panel.
    pub to: usize,
    /// Its offset in the source.
    pub from: usize,
    /// Columns, up to NR.
    pub len: usize,
}

/// Reading whole vectors goes this far beyond the last element of a run: sources have so much room behind them.
pub const SLACK: usize = 8;

/// The size of a buffer for a panel of b: whole vectors are written, so there is room behind.
pub fn panel_len(depth: usize) -> usize {
    depth * NR + SLACK
}

/// panel[k, run.to + i] = source[run.from + offsets[k] + i]. Columns that no run covers become 0.
pub fn pack_runs(source: &[f32], runs: &[Run], offsets: &[usize], panel: &mut [f32]) {
    let Some(last) = runs.last() else { return };
    assert!(last.to + last.len <= NR && panel.len() >= panel_len(offsets.len()));
    if last.to + last.len < NR {
        for (row, &offset) in panel.chunks_exact_mut(NR).zip(offsets) {
            row.fill(0.0);
            runs.iter()
                .for_each(|run| row[run.to..][..run.len].copy_from_slice(&source[run.from + offset..][..run.len]));
        }
        return;
    }
    let reach = runs.iter().map(|run| run.from + run.len.next_multiple_of(8)).max().unwrap_or(0);
    assert!(offsets.iter().max().is_none_or(|offset| offset + reach <= source.len()), "the source lacks slack");
    let mut moves = [Move { from: 0, to: 0 }; NR];
    let mut count = 0;
    for run in runs {
        for i in (0..run.len).step_by(8) {
            moves[count] = Move { from: run.from + i, to: run.to + i };
            count += 1;
        }
    }
    // SAFETY: checked above: every run, extended to whole vectors, lies inside source and panel, which have SLACK
    // behind. What is written beyond a run is overwritten by the next run or the next k.
    vectorized(|| unsafe {
        match count {
            3 => copy_vectors::<3>(source, &moves, offsets, panel),
            4 => copy_vectors::<4>(source, &moves, offsets, panel),
            5 => copy_vectors::<5>(source, &moves, offsets, panel),
            6 => copy_vectors::<6>(source, &moves, offsets, panel),
            _ => copy_any(source, &moves[..count], offsets, panel),
        }
    });
}

/// panel[k, i] = source[columns(i) + offsets[k]] for columns that are no neighbours; those beyond `count` become 0.
pub fn pack_columns(
    source: &[f32],
    count: usize,
    columns: impl Fn(usize) -> usize,
    offsets: &[usize],
    panel: &mut [f32],
) {
    let columns: [usize; NR] = std::array::from_fn(|i| columns(i.min(count - 1)));
    vectorized(|| scatter_panel(source, columns, offsets, panel));
    if count < NR {
        panel.chunks_exact_mut(NR).for_each(|row| row[count..].fill(0.0));
    }
}

/// One vector of eight to be copied.
#[derive(Clone, Copy)]
struct Move {
    from: usize,
    to: usize,
}

/// How many k ahead the source is fetched into the cache: rows lie too far apart for the processor to guess.
const AHEAD: usize = 8;

/// # Safety
/// Every move lies inside the source at every offset, and inside a panel of as many rows.
#[inline(always)]
unsafe fn copy_vectors<const N: usize>(source: &[f32], moves: &[Move; NR], offsets: &[usize], panel: &mut [f32]) {
    let moves: [Move; N] = std::array::from_fn(|i| moves[i]);
    // SAFETY: the caller vouches for it.
    unsafe { copy_any(source, &moves, offsets, panel) }
}

/// # Safety
/// As [`copy_vectors`].
#[inline(always)]
unsafe fn copy_any(source: &[f32], moves: &[Move], offsets: &[usize], panel: &mut [f32]) {
    let mut to = panel.as_mut_ptr();
    for (k, &offset) in offsets.iter().enumerate() {
        #[cfg(target_arch = "x86_64")]
        if let Some(&next) = offsets.get(k + AHEAD) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint that reads nothing; every x86-64 processor has it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(source.as_ptr().wrapping_add(next + moves[0].from).cast()) };
        }
        for m in moves {
            // SAFETY: the caller vouches for it.
            unsafe {
                to.add(m.to)
                    .cast::<[f32; 8]>()
                    .write_unaligned(source.as_ptr().add(m.from + offset).cast::<[f32; 8]>().read_unaligned())
            }
        }
        // SAFETY: at most one past the end.
        to = unsafe { to.add(NR) };
    }
}

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
            for (panel, data) in data.chunks_exact_mut(MR * offsets.len()).enumerate() {
                let first = panel * MR;
                let rows: [usize; MR] = std::array::from_fn(|r| row((first + r).min(m - 1)));
                scatter_panel(source, rows, offsets, data);
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

/// panel[k, r] = source[rows[r] + offsets[k]]
#[inline(always)]
fn scatter_panel<const R: usize>(source: &[f32], rows: [usize; R], offsets: &[usize], panel: &mut [f32]) {
    for (panel, &offset) in panel.chunks_exact_mut(R).zip(offsets) {
        for (v, row) in panel.iter_mut().zip(rows) {
            *v = source[row + offset];
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
    let reach = runs.iter().map(|run| run.from + run.len).max().unwrap_or(0) + SLACK;
    assert!(offsets.iter().max().is_none_or(|offset| offset + reach <= source.len()), "the source lacks slack");
    if last.to + last.len < NR {
        panel.fill(0.0);
    }
    vectorized(|| copy_runs(source, runs, offsets, panel, last.to + last.len == NR));
}

#[inline(always)]
fn copy_runs(source: &[f32], runs: &[Run], offsets: &[usize], panel: &mut [f32], full: bool) {
    type Vector = [f32; 8];
    for (k, &offset) in offsets.iter().enumerate() {
        for run in runs {
            // SAFETY: `pack_runs` checked that every run, extended to whole vectors, lies inside source and panel:
            // a run is at most NR long and starts so that run.to + run.len <= NR, and both have SLACK behind.
            unsafe {
                let from = source.as_ptr().add(run.from + offset);
                let to = panel.as_mut_ptr().add(k * NR + run.to);
                if full {
                    // What is written beyond the run is overwritten by the next run or the next k.
                    for i in 0..run.len.div_ceil(8) {
                        to.add(i * 8)
                            .cast::<Vector>()
                            .write_unaligned(from.add(i * 8).cast::<Vector>().read_unaligned());
                    }
                } else {
                    std::ptr::copy_nonoverlapping(from, to, run.len);
                }
            }
        }
    }
}

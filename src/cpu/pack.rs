//! Panels for the tile product, packed from anything whose element (row, k) lies at row offset + k offset.

use super::CpuBuffer;
use super::parallel::{for_chunks, for_tasks};
use super::product::Shared;
use super::quads;
use super::simd::{Isa, fetch, vectorized};
use super::tile::{Move, Multiply};

/// How k is cut into passes: equal ones, so short that the panels of b stay in the first-level cache.
pub fn depth<const NR: usize>(k: usize) -> usize {
    let most = if NR > 24 { 192 } else { 256 };
    k.div_ceil(k.div_ceil(most).max(1)).max(1)
}

/// Rows of a weight that a task packs.
const ROWS: usize = 16;

/// The left matrix in panels of MR rows, pass by pass.
#[derive(Default)]
pub struct Left<const MR: usize> {
    data: CpuBuffer,
    /// Rows.
    pub m: usize,
    /// Columns.
    pub k: usize,
}

impl<const MR: usize> Left<MR> {
    /// Packs the matrix whose element (i, k) is `source[row(i) + offsets[k]]`, for passes of `depth` k.
    pub fn pack(
        source: &[f32],
        m: usize,
        depth: usize,
        row: impl Fn(usize) -> usize + Sync,
        offsets: &[usize],
    ) -> Left<MR> {
        let k = offsets.len();
        let panels = m.div_ceil(MR);
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
                    vectorized(
                        #[inline(always)]
                        || interleave_panel(source, rows, &stretches, data),
                    );
                } else {
                    vectorized(
                        #[inline(always)]
                        || scatter_panel(source, rows, offsets, data),
                    );
                }
                for r in m.saturating_sub(first)..MR {
                    data.iter_mut().skip(r).step_by(MR).for_each(|v| *v = 0.0);
                }
            }
        };
        for_chunks([&mut data[..]], panels * MR * depth, |i, [data]| pass(i, data));
        Left { data, m, k }
    }

    /// Packs the left matrices of several products from one weight [k, m, area] in one go: element (i, (l, t)) of the
    /// product with `taps` is `w[(l·m + i)·area + taps[t]]`. No two products share a tap.
    pub fn pack_taps<const NR: usize>(
        w: &[f32],
        k: usize,
        m: usize,
        area: usize,
        taps: &[Vec<usize>],
    ) -> Vec<Left<MR>> {
        let panels = m.div_ceil(MR);
        let left =
            |taps: &Vec<usize>| Left { data: CpuBuffer::uninit(panels * MR * k * taps.len()), m, k: k * taps.len() };
        let mut lefts: Vec<Left<MR>> = taps.iter().map(left).collect();
        let shared: Vec<Shared> = lefts.iter_mut().map(|left| Shared::new(&mut left.data)).collect();
        // Row l of the weight is one k of each tap: where the first panel has it in which product, and how far apart
        // the panels of its pass lie.
        let places = |l: usize| {
            let product = |(product, taps): (usize, &Vec<usize>)| {
                let (all, depth) = (k * taps.len(), depth::<NR>(k * taps.len()));
                let place = move |(t, tap): (usize, &usize)| {
                    let at = l * (all / k) + t;
                    let from = at / depth * depth;
                    (*tap, product, (panels * from + at - from) * MR, depth.min(all - from) * MR)
                };
                taps.iter().enumerate().map(place).collect::<Vec<_>>()
            };
            taps.iter().enumerate().flat_map(product).collect::<Vec<_>>()
        };
        for_tasks(k.div_ceil(ROWS), |task| {
            let mut block = CpuBuffer::uninit(area * MR);
            for l in task * ROWS..k.min((task + 1) * ROWS) {
                let places = places(l);
                for panel in 0..panels {
                    let row = |r: usize| &w[(l * m + (panel * MR + r).min(m - 1)) * area..][..area];
                    let rows: [&[f32]; MR] = std::array::from_fn(row);
                    vectorized(
                        #[inline(always)]
                        || {
                            let whole = interleave_blocks(rows, &mut block);
                            for (tap, v) in block.chunks_exact_mut(MR).enumerate().skip(whole) {
                                v.iter_mut().zip(rows).for_each(|(v, row)| *v = row[tap]);
                            }
                            for &(tap, product, at, step) in &places {
                                // SAFETY: every k of a product has its own place, and each is in one row of the weight.
                                unsafe { shared[product].write(at + panel * step, &block[tap * MR..][..MR]) };
                            }
                        },
                    );
                }
            }
        });
        lefts
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
fn interleave_panel<const MR: usize>(
    source: &[f32],
    rows: [usize; MR],
    stretches: &[(usize, usize)],
    mut panel: &mut [f32],
) {
    for &(offset, len) in stretches {
        let (here, rest) = std::mem::take(&mut panel).split_at_mut(len * MR);
        panel = rest;
        let rows = rows.map(|row| &source[row + offset..][..len]);
        let whole = interleave_blocks(rows, here);
        for (i, v) in here.chunks_exact_mut(MR).enumerate().skip(whole) {
            for (v, row) in v.iter_mut().zip(rows) {
                *v = row[i];
            }
        }
    }
}

/// panel[k, r] = rows[r][k] for as many k as fill whole blocks of 4 by 4; returns how many.
#[inline(always)]
pub fn interleave_blocks<const MR: usize>(rows: [&[f32]; MR], panel: &mut [f32]) -> usize {
    let blocks = panel.len() / MR / 4;
    assert!(MR.is_multiple_of(4) && rows.iter().all(|row| row.len() >= 4 * blocks));
    for at in 0..blocks {
        for r in (0..MR).step_by(4) {
            // SAFETY: row and panel hold these elements by the assertion.
            unsafe {
                let from = std::array::from_fn(|i| rows[r + i].as_ptr().add(4 * at));
                quads::turn(from, std::array::from_fn(|i| panel.as_mut_ptr().add((4 * at + i) * MR + r)));
            }
        }
    }
    4 * blocks
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
pub const SLACK: usize = 16;

/// The size of a buffer for a panel of b: whole vectors are written, so there is room behind.
pub fn panel_len<const NR: usize>(depth: usize) -> usize {
    depth * NR + SLACK
}

/// panel[k, run.to + i] = source[run.from + offsets[k] + i], and the first tile of the panel. Columns that no run covers
/// are arbitrary.
pub fn pack_runs<const MR: usize, const NR: usize>(
    source: &[f32],
    runs: &[Run],
    offsets: &[usize],
    panel: &mut [f32],
    first: Multiply<MR, NR>,
) {
    let Some(last) = runs.last() else { return };
    assert!(last.to + last.len <= NR && panel.len() >= panel_len::<NR>(offsets.len()));
    let lanes = Isa::best().lanes();
    let reach = runs.iter().map(|run| run.from + run.len.next_multiple_of(lanes)).max().unwrap_or(0);
    if last.to + last.len < NR && offsets.iter().any(|offset| offset + reach > source.len()) {
        // Whole vectors would go beyond the end of the source.
        for (row, &offset) in panel.chunks_exact_mut(NR).zip(offsets) {
            for run in runs {
                row[run.to..][..run.len].copy_from_slice(&source[run.from + offset..][..run.len]);
            }
        }
        return first.run(panel);
    }
    match Isa::best() {
        Isa::Avx512 => pack_whole::<16, MR, NR>(source, runs, offsets, panel, first),
        _ => pack_whole::<8, MR, NR>(source, runs, offsets, panel, first),
    }
}

/// [`pack_runs`] in vectors of W.
#[inline(always)]
fn pack_whole<const W: usize, const MR: usize, const NR: usize>(
    source: &[f32],
    runs: &[Run],
    offsets: &[usize],
    panel: &mut [f32],
    mut first: Multiply<MR, NR>,
) {
    let reach = runs.iter().map(|run| run.from + run.len.next_multiple_of(W)).max().unwrap_or(0);
    assert!(offsets.iter().max().is_none_or(|offset| offset + reach <= source.len()), "the source lacks slack");
    let mut moves = [Move { from: 0, to: 0 }; NR];
    let mut count = 0;
    for run in runs {
        for i in (0..run.len).step_by(W) {
            moves[count] = Move { from: run.from + i, to: run.to + i };
            count += 1;
        }
    }
    let moves = &moves[..count];
    // SAFETY: checked above: every run, extended to whole vectors, lies inside source and panel, which have SLACK
    // behind. What is written beyond a run is overwritten by the next run or the next k.
    unsafe {
        if first.run_packing(source, moves, offsets, panel) {
            return;
        }
        vectorized(
            #[inline(always)]
            || copy_moves::<W, NR>(source, moves, offsets, panel),
        );
    }
    first.run(panel);
}

/// panel[k, i] = source[columns(i) + k] for `count` columns, each of which lies together; those beyond are arbitrary.
pub fn pack_turned<const NR: usize>(
    source: &[f32],
    count: usize,
    columns: impl Fn(usize) -> usize,
    k: std::ops::Range<usize>,
    panel: &mut [f32],
) {
    let column = |i: usize| &source[columns(i.min(count - 1)) + k.start..][..k.len()];
    let columns: [&[f32]; NR] = std::array::from_fn(column);
    let panel = &mut panel[..k.len() * NR];
    vectorized(
        #[inline(always)]
        || {
            let whole = interleave_blocks(columns, panel);
            for (k, row) in panel.chunks_exact_mut(NR).enumerate().skip(whole) {
                row.iter_mut().zip(columns).for_each(|(v, column)| *v = column[k]);
            }
        },
    );
}

/// How many k ahead the source is fetched into the cache: rows lie too far apart for the processor to guess.
const AHEAD: usize = 8;

/// panel[k, move.to ..] = source[move.from + offsets[k] ..], W elements each.
///
/// # Safety
/// Every move of W lies inside the source at every offset, and inside a panel of as many rows.
#[inline(always)]
pub unsafe fn copy_moves<const W: usize, const NR: usize>(
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
    panel: &mut [f32],
) {
    let mut to = panel.as_mut_ptr();
    for (k, &offset) in offsets.iter().enumerate() {
        if let Some(&next) = offsets.get(k + AHEAD) {
            fetch(source.as_ptr().wrapping_add(next + moves[0].from));
        }
        for m in moves {
            // SAFETY: the caller vouches for it.
            unsafe {
                to.add(m.to)
                    .cast::<[f32; W]>()
                    .write_unaligned(source.as_ptr().add(m.from + offset).cast::<[f32; W]>().read_unaligned())
            }
        }
        // SAFETY: at most one past the end.
        to = unsafe { to.add(NR) };
    }
}

//! 4x4 convolutions of stride 2 by Winograd's F(2x2, 2x2): 9 products instead of 16 for each four results.
//!
//! With stride 2 the even and odd taps of the kernel meet even and odd pixels: a 4x4 convolution is a sum of four 2x2
//! convolutions of stride 1, one for each phase, and each phase of its input gradient is such a convolution. Along an axis
//! two results y0 = d0·g0 + d1·g1 and y1 = d1·g0 + d2·g1 take three products: y0 = m0 + m1 and y1 = m1 + m2 of
//! m0 = (d0 − d1)·g0, m1 = d1·(g0 + g1) and m2 = (d2 − d1)·g1 (Winograd 1980; Lavin and Gray 2016). As in `winograd`, the
//! sum over channels comes first, so that each of the nine places is a matrix product.

use super::CpuBuffer;
use super::conv::Sizes;
use super::pack::{depth, interleave_blocks};
use super::parallel::{for_chunks, for_tasks};
use super::product::Shared;
use super::simd::{Isa, fetch, vectorized};
use super::tile::{Multiply, Tile, TileProduct, with_tile};
use std::ops::Range;

/// Places of a transformed tile.
const PLACES: usize = 9;
/// Lanes that the transforms work on at a time.
const LANES: usize = 32;
/// The most tiles of a segment: two fill a panel.
const LONGEST: usize = 24;
/// Pixels of one row of the source for all lanes, and room for whole vectors behind them.
const LINE: usize = 4 * LANES + 24;
/// Rows of results whose sums are kept before they are transformed: they stay in the second-level cache.
const ROWS: usize = 128;
/// Units of work below which tiles are transformed first, then shared by tasks for some rows each.
const UNITS: usize = 16;

/// Elements of transformed weights that no second-level cache keeps.
const FAR: usize = 1 << 21;
/// How many channels ahead weights are fetched into the cache.
const AHEAD: usize = 6;

/// Channels and tiles from which on the transforms are worth it.
const LEAST_CHANNELS: usize = 32;
const LEAST_TILES: usize = 32;
/// The same of the input gradient, which uses a transformed weight for fewer pixels.
const LEAST_TILES_BACK: usize = 128;

/// Along one axis, the places of a result that one remainder of the stride reaches.
#[derive(Clone, Copy, Default)]
struct Phase {
    /// The tap of the kernel; the other is two further.
    tap: usize,
    /// The pixel of the source where the first tile begins.
    base: isize,
    /// The first place of the result.
    start: usize,
}

/// One of the two faces of a convolution that computes images.
pub struct Face {
    n: usize,
    /// Channels that are summed over, and channels of the result.
    channels: [usize; 2],
    source: [usize; 2],
    result: [usize; 2],
    /// Tiles along each axis.
    grid: [usize; 2],
    /// Elements from one channel of the sum to the next and from one of the result to the next in the weights.
    steps: [usize; 2],
    /// Zeros above and to the left: of the forward face; the other has phases instead.
    before: [usize; 2],
    /// Of the input gradient: the phases of rows, and of columns in the order in which they are written.
    phases: Option<[[Phase; 2]; 2]>,
}

impl Face {
    fn of(s: &Sizes) -> bool {
        s.groups == 1 && s.kernel == [4, 4] && s.stride == [2, 2] && s.dilation == [1, 1]
    }

    /// y = conv2d(x, w), if it pays.
    pub fn forward(s: &Sizes) -> Option<Face> {
        let face = Face {
            n: s.n,
            channels: [s.c, s.o],
            source: s.x,
            result: s.y,
            grid: s.y.map(|len| len.div_ceil(2)),
            steps: [16, 16 * s.c],
            before: s.before,
            phases: None,
        };
        Some(face).filter(|face| Face::of(s) && face.pays())
    }

    /// dx from dy and w, if it pays.
    pub fn input_gradient(s: &Sizes) -> Option<Face> {
        // Of an odd number of pixels the phases have different shares.
        if !Face::of(s) || s.x.iter().any(|len| len % 2 == 1) {
            return None;
        }
        let phases = s.before.map(|before| {
            let mut phases = [0, 1].map(|tap: usize| {
                let first = before.saturating_sub(tap).div_ceil(2);
                Phase { tap, base: first as isize - 1, start: 2 * first + tap - before }
            });
            phases.sort_by_key(|phase| phase.start);
            phases
        });
        let face = Face {
            n: s.n,
            channels: [s.o, s.c],
            source: s.y,
            result: s.x,
            grid: s.x.map(|len| (len / 2).div_ceil(2)),
            steps: [16 * s.c, 16],
            before: [0; 2],
            phases: Some(phases),
        };
        // Its products are short: where many tiles reach beyond the edge (odd numbers of them), nothing is gained.
        let wanted = |face: &Face| {
            face.pays() && face.tiles() >= LEAST_TILES_BACK && 16 * face.tiles() <= s.n * s.x[0] * s.x[1] * 5 / 4
        };
        Some(face).filter(wanted)
    }

    fn pays(&self) -> bool {
        self.channels[0].min(self.channels[1]) >= LEAST_CHANNELS && self.tiles() >= LEAST_TILES
    }

    fn tiles(&self) -> usize {
        self.n * self.grid[0] * self.grid[1]
    }

    /// Terms of the sums: forward, each channel has four phases.
    fn k(&self) -> usize {
        self.channels[0] * if self.phases.is_none() { 4 } else { 1 }
    }

    /// Results that are computed side by side from the same pixels: both phases of columns of the input gradient.
    fn sides(&self) -> usize {
        if self.phases.is_none() { 1 } else { 2 }
    }

    /// Phases of rows that are computed one after the other.
    fn rows(&self) -> usize {
        self.sides()
    }
}

/// The convolution of the source with the weights. Writes all of y.
pub fn convolve(face: &Face, source: &[f32], w: &[f32], y: &mut [f32]) {
    with_tile!(Isa::best(), tiled, (face, source, w, y));
}

fn tiled<const MR: usize, const NR: usize>(face: &Face, source: &[f32], w: &[f32], y: &mut [f32]) {
    let (k, m) = (face.k(), face.channels[1]);
    let weights = Weights::<MR>::transform(face, w);
    let y = Shared::new(y);
    let (blocks, panels) = (face.tiles().div_ceil(NR), m.div_ceil(MR));
    let (units, tall) = (face.rows() * blocks, ROWS / MR);
    let columns = |unit: usize| unit / face.rows() * NR..face.tiles().min((unit / face.rows() + 1) * NR);
    let size = face.sides() * PLACES * k * NR;
    if units >= UNITS {
        for_tasks(units, |unit| {
            let mut tiles = CpuBuffer::uninit(size + LANES);
            let groups = groups(face, columns(unit));
            let row = unit % face.rows();
            fill::<NR>(face, source, row, &groups, 0..face.channels[0], Shared::new(&mut tiles));
            for first in (0..panels).step_by(tall) {
                let rows = first..panels.min(first + tall);
                multiply::<MR, NR>(face, &weights, &tiles, row, columns(unit).len(), rows, &groups, y);
            }
        });
        return;
    }
    let mut tiles = CpuBuffer::uninit(units * size + LANES);
    let shared = Shared::new(&mut tiles);
    let parts = UNITS.div_ceil(units).min(face.channels[0]);
    for_tasks(units * parts, |task| {
        let (unit, part) = (task / parts, task % parts);
        let share = |part: usize| part * face.channels[0] / parts;
        let tiles = shared.part(unit * size);
        fill::<NR>(face, source, unit % face.rows(), &groups(face, columns(unit)), share(part)..share(part + 1), tiles);
    });
    let shares = panels.div_ceil(tall).max(UNITS.div_ceil(units)).min(panels);
    for_tasks(units * shares, |task| {
        let (unit, share) = (task % units, task / units);
        let rows = share * panels / shares..(share + 1) * panels / shares;
        for first in rows.clone().step_by(tall) {
            let rows = first..rows.end.min(first + tall);
            let tiles = &tiles[unit * size..];
            let groups = groups(face, columns(unit));
            multiply::<MR, NR>(face, &weights, tiles, unit % face.rows(), columns(unit).len(), rows, &groups, y);
        }
    });
}

/// The transformed weights: panel by panel of MR rows, for each phase of the result and each place a matrix [k, MR].
struct Weights<const MR: usize> {
    data: CpuBuffer,
    /// Elements from one matrix of a panel to the next, and of a panel.
    matrix: usize,
    panel: usize,
}

impl<const MR: usize> Weights<MR> {
    fn transform(face: &Face, w: &[f32]) -> Weights<MR> {
        // A little more than a power of two, or all matrices would meet in the same lines of the cache.
        let matrix = face.k() * MR + 32;
        let panel = face.rows() * face.sides() * PLACES * matrix;
        let mut data = CpuBuffer::uninit(face.channels[1].div_ceil(MR) * panel);
        for_chunks([&mut data[..]], panel, |i, [data]| {
            vectorized(
                #[inline(always)]
                || transform_weights::<MR>(face, w, i * MR, matrix, data),
            );
        });
        Weights { data, matrix, panel }
    }

    /// The k of one matrix of a panel.
    fn part(&self, panel: usize, matrix: usize, k: Range<usize>) -> &[f32] {
        &self.data[panel * self.panel + matrix * self.matrix..][k.start * MR..k.end * MR]
    }
}

/// Sums of taps, of the rows from `first` on: with the taps a b / c d of a phase below one another, those of
/// a, a + b, b / a + c, a + b + c + d, b + d / c, c + d, d.
#[inline(always)]
fn transform_weights<const MR: usize>(face: &Face, w: &[f32], first: usize, matrix: usize, data: &mut [f32]) {
    let [channels, m] = face.channels;
    let mut taps = [[0.0f32; MR]; 16];
    for channel in 0..channels {
        let rows: [&[f32]; MR] = std::array::from_fn(|r| {
            let row = (first + r).min(m - 1);
            &w[channel * face.steps[0] + row * face.steps[1]..][..16]
        });
        rows.iter().for_each(|row| fetch(row.as_ptr().wrapping_add(AHEAD * face.steps[0])));
        let whole = interleave_blocks(rows, taps.as_flattened_mut());
        for (tap, v) in taps.iter_mut().enumerate().skip(whole) {
            *v = rows.map(|row| row[tap]);
        }
        for phase in 0..4 {
            // Forward, the phases are terms of one sum; of the input gradient, sums of their own.
            let ([top, bottom], [left, right], place, k) = match &face.phases {
                None => ([phase / 2, phase / 2 + 2], [phase % 2, phase % 2 + 2], 0, 4 * channel + phase),
                Some([y, x]) => {
                    let [y, x] = [y[phase / 2].tap, x[phase % 2].tap];
                    ([y + 2, y], [x + 2, x], phase * PLACES, channel)
                }
            };
            let [a, b] = [&taps[4 * top + left], &taps[4 * top + right]];
            let [c, d] = [&taps[4 * bottom + left], &taps[4 * bottom + right]];
            let mut sums = [[0.0f32; MR]; PLACES];
            for r in 0..MR {
                let [above, below] = [a[r] + b[r], c[r] + d[r]];
                (sums[0][r], sums[1][r], sums[2][r]) = (a[r], above, b[r]);
                (sums[3][r], sums[4][r], sums[5][r]) = (a[r] + c[r], above + below, b[r] + d[r]);
                (sums[6][r], sums[7][r], sums[8][r]) = (c[r], below, d[r]);
            }
            for (i, sums) in sums.iter().enumerate() {
                data[(place + i) * matrix + k * MR..][..MR].copy_from_slice(sums);
            }
        }
    }
}

/// Tiles of one row of them, side by side: `len` from tile `x` of row `y` of image `n` on, the first in column `to` of a
/// panel and in lane `lane` of the transforms.
#[derive(Clone, Copy)]
struct Segment {
    n: usize,
    y: usize,
    x: usize,
    len: usize,
    to: usize,
    lane: usize,
}

/// Segments that are transformed at a time.
struct Group {
    segments: Vec<Segment>,
    /// The most tiles of one.
    longest: usize,
    /// Their columns in the panel, and the lane that each is computed in.
    columns: Range<usize>,
    lanes: [i32; LANES],
}

/// The segments of these tiles, in groups.
fn groups(face: &Face, tiles: Range<usize>) -> Vec<Group> {
    let [height, width] = face.grid;
    let mut groups: Vec<Group> = Vec::new();
    let mut tile = tiles.start;
    while tile < tiles.end {
        let (row, x, to) = (tile / width, tile % width, tile - tiles.start);
        let len = (width - x).min(tiles.end - tile).min(LONGEST);
        // A lane between segments, whose pixels are those behind the end of a row.
        let lane = match groups.last().and_then(|group| group.segments.last()) {
            Some(last)
                if last.lane + last.len + 1 + len < LANES
                    && to + len - groups[groups.len() - 1].columns.start <= LONGEST =>
            {
                last.lane + last.len + 1
            }
            _ => {
                groups.push(Group { segments: Vec::new(), longest: 0, columns: to..to, lanes: [0; LANES] });
                0
            }
        };
        let group = groups.last_mut().expect("a group was pushed");
        for i in 0..len {
            group.lanes[to - group.columns.start + i] = (lane + i) as i32;
        }
        group.columns.end = to + len;
        group.longest = group.longest.max(len);
        group.segments.push(Segment { n: row / height, y: row % height, x, len, to, lane });
        tile += len;
    }
    groups
}

/// Transforms the tiles of the segments, of some channels: tiles[side, place, k, column].
fn fill<const NR: usize>(
    face: &Face,
    source: &[f32],
    row: usize,
    groups: &[Group],
    channels: Range<usize>,
    tiles: Shared,
) {
    vectorized(
        #[inline(always)]
        || {
            let mut scratch = Scratch::default();
            for channel in channels {
                for group in groups {
                    match &face.phases {
                        None => {
                            let base = face.before.map(|before| -(before as isize));
                            gather::<4, 6>(face, source, channel, &group.segments, base, &mut scratch.lines);
                            forward::<NR>(face, channel, &mut scratch, group, tiles);
                        }
                        Some([y, x]) => {
                            let base = [y[row].base, x[0].base];
                            let lines = scratch.lines.first_chunk_mut().expect("three of six");
                            gather::<2, 3>(face, source, channel, &group.segments, base, lines);
                            let together = x[1].base == x[0].base;
                            transposed::<NR>(face, channel, &mut scratch, together, group, tiles);
                        }
                    }
                }
            }
        },
    );
}

/// lines[i, S·lane + j] = source(S·y + base + i, S·x + base + j), 0 outside, for the segments' tiles (y, x).
#[inline(always)]
fn gather<const S: usize, const HEIGHT: usize>(
    face: &Face,
    source: &[f32],
    channel: usize,
    group: &[Segment],
    base: [isize; 2],
    lines: &mut [[f32; LINE]; HEIGHT],
) {
    let [height, width] = face.source;
    for segment in group {
        let plane = (segment.n * face.channels[0] + channel) * height * width;
        let (column, count) = ((S * segment.x) as isize + base[1], S * segment.len + 2);
        // How many of them lie before the row, and where it ends.
        let before = (-column).max(0) as usize;
        let end = ((width as isize - column).max(0) as usize).min(count);
        for (i, line) in lines.iter_mut().enumerate() {
            let line = &mut line[S * segment.lane..];
            let row = (S * segment.y + i) as isize + base[0];
            if row < 0 || row >= height as isize {
                line[..count].fill(0.0);
                continue;
            }
            let start = (plane + row as usize * width) as isize + column;
            let whole = count.next_multiple_of(8);
            if start >= 0 && start as usize + whole <= source.len() && whole <= line.len() {
                let from = &source[start as usize..][..whole];
                for (to, from) in line[..whole].chunks_exact_mut(8).zip(from.chunks_exact(8)) {
                    to.copy_from_slice(from);
                }
            } else {
                for (j, v) in line[..count].iter_mut().enumerate() {
                    *v = usize::try_from(start + j as isize).ok().and_then(|at| source.get(at)).map_or(0.0, |v| *v);
                }
            }
            // What lies beside the row; nearly always one or two pixels.
            if before > 0 {
                line[0] = 0.0;
                line[1..before.max(1)].fill(0.0);
            }
            if end < count {
                line[end..end + 8].copy_from_slice(&[0.0; 8]);
                if end + 8 < count {
                    line[end + 8..count].fill(0.0);
                }
            }
        }
    }
}

/// The lanes, and those that a shift by one reads behind them.
type Lanes = [f32; LANES + 8];

/// What a transform keeps of a group of segments.
struct Scratch {
    lines: [[f32; LINE]; 6],
    pixels: [[Lanes; 4]; 6],
    halves: [[Lanes; 4]; 2],
    whole: Lanes,
}

impl Default for Scratch {
    fn default() -> Scratch {
        let lanes = [0.0; LANES + 8];
        Scratch { lines: [[0.0; LINE]; 6], pixels: [[lanes; 4]; 6], halves: [[lanes; 4]; 2], whole: lanes }
    }
}

/// y[t] = a[t + A] − b[t + B]
#[inline(always)]
fn difference<const A: usize, const B: usize>(a: &Lanes, b: &Lanes, y: &mut Lanes) {
    for t in 0..LANES {
        y[t] = a[t + A] - b[t + B];
    }
}

#[inline(always)]
fn forward<const NR: usize>(face: &Face, channel: usize, scratch: &mut Scratch, group: &Group, tiles: Shared) {
    let Scratch { lines, pixels, halves, whole } = scratch;
    for (line, [a, b, c, d]) in lines.iter().zip(&mut *pixels) {
        for t in 0..LANES {
            (a[t], b[t], c[t], d[t]) = (line[4 * t], line[4 * t + 1], line[4 * t + 2], line[4 * t + 3]);
        }
    }
    // d0, d1 and d2 of a phase are the pixels phase, phase + 2 and phase + 4 of a tile, along both axes.
    for ry in 0..2 {
        for j in 0..4 {
            difference::<0, 0>(&pixels[ry][j], &pixels[ry + 2][j], &mut halves[0][j]);
            difference::<0, 0>(&pixels[ry + 4][j], &pixels[ry + 2][j], &mut halves[1][j]);
        }
        for (i, half) in [&halves[0], &pixels[ry + 2], &halves[1]].into_iter().enumerate() {
            for rx in 0..2 {
                let at = |j: usize| ((3 * i + j) * face.k() + 4 * channel + 2 * ry + rx) * NR;
                difference::<0, 0>(&half[rx], &half[rx + 2], whole);
                scatter::<NR, 0>(whole, group, at(0), tiles);
                scatter::<NR, 0>(&half[rx + 2], group, at(1), tiles);
                difference::<1, 0>(&half[rx], &half[rx + 2], whole);
                scatter::<NR, 0>(whole, group, at(2), tiles);
            }
        }
    }
}

/// `together`: the tiles of both phases of columns begin with the same pixel; otherwise those of the second with the next.
#[inline(always)]
fn transposed<const NR: usize>(
    face: &Face,
    channel: usize,
    scratch: &mut Scratch,
    together: bool,
    group: &Group,
    tiles: Shared,
) {
    let Scratch { lines, pixels, halves, whole } = scratch;
    for (line, [a, b, ..]) in lines.iter().zip(&mut *pixels).take(3) {
        for t in 0..LANES {
            (a[t], b[t]) = (line[2 * t], line[2 * t + 1]);
        }
    }
    for j in 0..2 {
        difference::<0, 0>(&pixels[0][j], &pixels[1][j], &mut halves[0][j]);
        difference::<0, 0>(&pixels[2][j], &pixels[1][j], &mut halves[1][j]);
    }
    for (i, [even, odd, ..]) in [&halves[0], &pixels[1], &halves[1]].into_iter().enumerate() {
        for side in 0..2 {
            let at = |j: usize| ((side * PLACES + 3 * i + j) * face.k() + channel) * NR;
            if side == 0 || together {
                difference::<0, 0>(even, odd, whole);
                scatter::<NR, 0>(whole, group, at(0), tiles);
                scatter::<NR, 0>(odd, group, at(1), tiles);
                difference::<1, 0>(even, odd, whole);
                scatter::<NR, 0>(whole, group, at(2), tiles);
            } else {
                difference::<0, 1>(odd, even, whole);
                scatter::<NR, 0>(whole, group, at(0), tiles);
                scatter::<NR, 1>(even, group, at(1), tiles);
                difference::<1, 1>(odd, even, whole);
                scatter::<NR, 0>(whole, group, at(2), tiles);
            }
        }
    }
}

/// tiles[at + column] = lanes[lane + SHIFT], without the lanes between segments.
#[inline(always)]
fn scatter<const NR: usize, const SHIFT: usize>(lanes: &Lanes, group: &Group, at: usize, tiles: Shared) {
    #[cfg(target_arch = "x86_64")]
    if NR == 48 && group.columns.start + LONGEST <= NR && group.columns.len() > LONGEST - 8 {
        // SAFETY: panels of 48 columns are those of AVX-512; nobody else writes this row of this unit.
        return unsafe {
            let to = tiles.slice(at + group.columns.start, LONGEST);
            compact(lanes[SHIFT..].first_chunk().expect("more than the lanes"), &group.lanes, to);
        };
    }
    match group.longest {
        0..=4 => scatter_segments::<4, NR, SHIFT>(lanes, group, at, tiles),
        5..=8 => scatter_segments::<8, NR, SHIFT>(lanes, group, at, tiles),
        9..=16 => scatter_segments::<16, NR, SHIFT>(lanes, group, at, tiles),
        _ => scatter_segments::<24, NR, SHIFT>(lanes, group, at, tiles),
    }
}

/// The same by segments of at most W.
#[inline(always)]
fn scatter_segments<const W: usize, const NR: usize, const SHIFT: usize>(
    lanes: &Lanes,
    group: &Group,
    at: usize,
    tiles: Shared,
) {
    for &Segment { len, to, lane, .. } in &group.segments {
        // SAFETY: nobody else writes this row of this unit.
        unsafe {
            // Whole vectors, where what they write too much is overwritten by the segment behind, or not part of any.
            if to + W <= NR && lane + W <= LANES {
                let from: &[f32; W] = lanes[lane + SHIFT..].first_chunk().expect("lanes and more");
                tiles.slice(at + to, W).copy_from_slice(from);
            } else {
                tiles.write(at + to, &lanes[lane + SHIFT..][..len]);
            }
        }
    }
}

/// to[i] = lanes[places[i]] for 24 places.
///
/// # Safety
/// The processor has AVX-512F.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn compact(lanes: &[f32; LANES], places: &[i32; LANES], to: &mut [f32]) {
    use std::arch::x86_64::*;
    assert!(to.len() == LONGEST);
    // SAFETY: the arrays have 32 elements, the slice 24.
    unsafe {
        let (low, high) = (_mm512_loadu_ps(lanes.as_ptr()), _mm512_loadu_ps(lanes.as_ptr().add(16)));
        let [first, second] = [0, 16].map(|i| _mm512_loadu_si512(places.as_ptr().add(i).cast()));
        _mm512_storeu_ps(to.as_mut_ptr(), _mm512_permutex2var_ps(low, first, high));
        let second = _mm512_permutex2var_ps(low, second, high);
        _mm256_storeu_ps(to.as_mut_ptr().add(16), _mm512_castps512_ps256(second));
    }
}

/// The results of panels `rows` of one phase of rows, for the tiles of a unit.
#[allow(clippy::too_many_arguments)] // one step of `tiled`
fn multiply<const MR: usize, const NR: usize>(
    face: &Face,
    weights: &Weights<MR>,
    tiles: &[f32],
    row: usize,
    columns: usize,
    rows: Range<usize>,
    groups: &[Group],
    y: Shared,
) {
    let (k, m, product) = (face.k(), face.channels[1], TileProduct::<MR, NR>::best());
    let (depth, matrices) = (depth::<NR>(k), face.sides() * PLACES);
    let mut sums = CpuBuffer::uninit((matrices * rows.len() + 1) * (MR * NR));
    // SAFETY: a tile is MR·NR floats, any of which may have any bits; align_to cuts at its alignment.
    let (_, sums, _) = unsafe { sums.align_to_mut::<Tile<MR, NR>>() };
    for (matrix, sums) in sums.chunks_exact_mut(rows.len()).enumerate().take(matrices) {
        for from in (0..k).step_by(depth) {
            let to = k.min(from + depth);
            let b = &tiles[(matrix * k + from) * NR..][..(to - from) * NR];
            for (panel, tile) in rows.clone().zip(&mut *sums) {
                let a = weights.part(panel, row * matrices + matrix, from..to);
                // Weights beyond the cache: the next panel's are asked for while this one's are multiplied.
                if weights.data.len() > FAR && panel + 1 < rows.end {
                    let next = weights.part(panel + 1, row * matrices + matrix, from..to);
                    next.chunks(16).for_each(|line| fetch(line.as_ptr()));
                }
                let wanted = [(m - panel * MR).min(MR), columns];
                Multiply { product, a, tile, wanted, add: from > 0, alone: false }.run(b);
            }
        }
    }
    vectorized(
        #[inline(always)]
        || {
            for (i, panel) in rows.clone().enumerate() {
                for r in 0..(m - panel * MR).min(MR) {
                    let place = |matrix: usize| &sums[matrix * rows.len() + i].0[r];
                    // SAFETY: every tile of the result belongs to one unit, every channel to one row of one panel.
                    unsafe {
                        match &face.phases {
                            None => results::<1, NR>(face, place, panel * MR + r, [2, 1, 0], groups, y),
                            Some([phase, _]) => {
                                results::<2, NR>(face, place, panel * MR + r, [4, 2, phase[row].start], groups, y);
                            }
                        }
                    }
                }
            }
        },
    );
}

/// The results of a row of tiles: m0 + m1 and m1 + m2 along both axes, SIDES results side by side. The lines of a tile
/// begin at `tall`·y + start and are `step` apart.
///
/// # Safety
/// Nothing else touches these results meanwhile.
#[inline(always)]
unsafe fn results<'a, const SIDES: usize, const NR: usize>(
    face: &Face,
    place: impl Fn(usize) -> &'a [f32; NR],
    channel: usize,
    [tall, step, start]: [usize; 3],
    groups: &[Group],
    y: Shared,
) {
    // As long as 4·NR where SIDES is 2.
    let mut lines = [[0.0f32; 4 * 48]; 2];
    let mut sums = [[[0.0f32; 48]; 4]; 2];
    assert!(NR <= 48);
    for side in 0..SIDES {
        let m: [&[f32; NR]; PLACES] = std::array::from_fn(|p| place(side * PLACES + p));
        let [above, below] = &mut sums;
        for t in 0..NR {
            let [a, b, c] = [m[0][t] + m[3][t], m[1][t] + m[4][t], m[2][t] + m[5][t]];
            (above[side][t], above[SIDES + side][t]) = (a + b, b + c);
            let [a, b, c] = [m[3][t] + m[6][t], m[4][t] + m[7][t], m[5][t] + m[8][t]];
            (below[side][t], below[SIDES + side][t]) = (a + b, b + c);
        }
    }
    for (line, [a, b, c, d]) in lines.iter_mut().zip(&sums) {
        for t in 0..NR {
            if SIDES == 1 {
                (line[2 * t], line[2 * t + 1]) = (a[t], b[t]);
            } else {
                (line[4 * t], line[4 * t + 1], line[4 * t + 2], line[4 * t + 3]) = (a[t], b[t], c[t], d[t]);
            }
        }
    }
    let [height, width] = face.result;
    for segment in groups.iter().flat_map(|group| &group.segments) {
        let image = (segment.n * face.channels[1] + channel) * height;
        for (i, line) in lines.iter().enumerate() {
            let row = tall * segment.y + start + i * step;
            if row < height {
                let count = (2 * SIDES * segment.len).min(width - 2 * SIDES * segment.x);
                // SAFETY: the caller vouches for it.
                unsafe {
                    y.write((image + row) * width + 2 * SIDES * segment.x, &line[2 * SIDES * segment.to..][..count])
                };
            }
        }
    }
}

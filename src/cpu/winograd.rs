//! 3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3): 16 products instead of 36 for each four results (Lavin and Gray 2016).
//!
//! A 2x2 tile of results is Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for the 4x4 tile d of the input and the 3x3 weights g. The sum over
//! channels comes before Aᵀ … A, so each of the 16 places of a tile is a matrix product over channels.

use super::CpuBuffer;
use super::conv::Sizes;
use super::parallel::{for_chunks, for_tasks};
use super::product::Shared;
use super::simd::{Isa, vectorized};
use super::tile::{Multiply, Tile, TileProduct, with_tile};

/// Places of a transformed tile.
const PLACES: usize = 16;
/// Lanes that the transforms work on at a time.
const LANES: usize = 16;

/// Channels and tiles from which on the transforms are worth it.
const LEAST_CHANNELS: usize = 32;
const LEAST_TILES: usize = 32;

/// One of the two faces of a convolution that computes images: rows of results from channels of a source.
pub struct Face {
    /// Images.
    pub n: usize,
    /// Channels that are summed over, and channels of the result.
    pub channels: [usize; 2],
    /// Height and width of the source.
    pub source: [usize; 2],
    /// Height and width of the result.
    pub result: [usize; 2],
    /// Zeros above and to the left of the source.
    pub before: [usize; 2],
    /// Elements from one channel of the sum to the next and from one of the result to the next in the weights.
    pub steps: [usize; 2],
    /// Whether the weights are turned by half a turn.
    pub turned: bool,
}

impl Face {
    fn of(s: &Sizes) -> bool {
        s.groups == 1 && s.kernel == [3, 3] && s.stride == [1, 1] && s.dilation == [1, 1]
    }

    /// y = conv2d(x, w), if it pays.
    pub fn forward(s: &Sizes) -> Option<Face> {
        let face = Face {
            n: s.n,
            channels: [s.c, s.o],
            source: s.x,
            result: s.y,
            before: s.before,
            steps: [9, 9 * s.c],
            turned: false,
        };
        Some(face).filter(|face| Face::of(s) && face.pays())
    }

    /// dx from dy and w, if it pays: a convolution of dy with the turned weights.
    pub fn input_gradient(s: &Sizes) -> Option<Face> {
        if !Face::of(s) || s.before.iter().any(|&before| before > 2) {
            return None;
        }
        let face = Face {
            n: s.n,
            channels: [s.o, s.c],
            source: s.y,
            result: s.x,
            before: s.before.map(|before| 2 - before),
            steps: [9 * s.c, 9],
            turned: true,
        };
        Some(face).filter(Face::pays)
    }

    fn pays(&self) -> bool {
        self.channels[0].min(self.channels[1]) >= LEAST_CHANNELS && self.tiles() >= LEAST_TILES
    }

    /// Tiles along each axis of a result.
    fn grid(&self) -> [usize; 2] {
        self.result.map(|len| len.div_ceil(2))
    }

    fn tiles(&self) -> usize {
        self.n * self.grid()[0] * self.grid()[1]
    }
}

/// The convolution of the source with the weights. Writes all of y.
pub fn convolve(face: &Face, source: &[f32], w: &[f32], y: &mut [f32]) {
    with_tile!(Isa::best(), tiled, (face, source, w, y));
}

fn tiled<const MR: usize, const NR: usize>(face: &Face, source: &[f32], w: &[f32], y: &mut [f32]) {
    let [k, m] = face.channels;
    let panel = PLACES * k * MR;
    let mut left = CpuBuffer::uninit(m.div_ceil(MR) * panel);
    for_chunks([&mut left[..]], panel, |i, [left]| {
        vectorized(
            #[inline(always)]
            || transform_weights::<MR>(face, w, i * MR, left),
        );
    });
    let y = Shared::new(y);
    for_tasks(face.tiles().div_ceil(NR), |i| block::<MR, NR>(face, source, &left, i * NR, y));
}

/// left[place, k, r] = (G g Gᵀ)[place] of the weights of channel k and row first + r.
#[inline(always)]
fn transform_weights<const MR: usize>(face: &Face, w: &[f32], first: usize, left: &mut [f32]) {
    let [k, m] = face.channels;
    for channel in 0..k {
        let rows: [&[f32]; MR] = std::array::from_fn(|r| {
            let row = (first + r).min(m - 1);
            &w[channel * face.steps[0] + row * face.steps[1]..][..9]
        });
        let mut g = [[0.0f32; MR]; 9];
        for (tap, g) in g.iter_mut().enumerate() {
            let tap = if face.turned { 8 - tap } else { tap };
            for (g, row) in g.iter_mut().zip(rows) {
                *g = row[tap];
            }
        }
        // G by columns of the kernel, then by rows.
        let mut half = [[[0.0f32; MR]; 3]; 4];
        for j in 0..3 {
            for r in 0..MR {
                let [a, b, c] = [g[j][r], g[3 + j][r], g[6 + j][r]];
                let (outer, inner) = (0.5 * (a + c), 0.5 * b);
                [half[0][j][r], half[1][j][r], half[2][j][r], half[3][j][r]] = [a, outer + inner, outer - inner, c];
            }
        }
        for (i, half) in half.iter().enumerate() {
            let mut whole = [[0.0f32; MR]; 4];
            for r in 0..MR {
                let [a, b, c] = [half[0][r], half[1][r], half[2][r]];
                let (outer, inner) = (0.5 * (a + c), 0.5 * b);
                [whole[0][r], whole[1][r], whole[2][r], whole[3][r]] = [a, outer + inner, outer - inner, c];
            }
            for (j, whole) in whole.iter().enumerate() {
                left[((4 * i + j) * k + channel) * MR..][..MR].copy_from_slice(whole);
            }
        }
    }
}

/// Tiles of one row of them, side by side: `len` from tile `x` of row `y` of image `n` on, the first in column `to` of a
/// panel.
#[derive(Clone, Copy)]
struct Segment {
    n: usize,
    y: usize,
    x: usize,
    len: usize,
    to: usize,
}

/// The tiles first .. first + NR of the result.
fn block<const MR: usize, const NR: usize>(face: &Face, source: &[f32], left: &[f32], first: usize, y: Shared) {
    let [k, m] = face.channels;
    let grid = face.grid();
    let last = face.tiles().min(first + NR);
    let mut segments = Vec::new();
    let mut tile = first;
    while tile < last {
        let (row, x) = (tile / grid[1], tile % grid[1]);
        // At most LANES, so that a segment is one vector.
        let len = (grid[1] - x).min(last - tile).min(LANES);
        segments.push(Segment { n: row / grid[0], y: row % grid[0], x, len, to: tile - first });
        tile += len;
    }
    let mut panels = CpuBuffer::uninit(PLACES * k * NR + LANES);
    vectorized(
        #[inline(always)]
        || {
            for channel in 0..k {
                for segment in &segments {
                    transform_source::<NR>(face, source, channel, *segment, &mut panels);
                }
            }
        },
    );
    let product = TileProduct::<MR, NR>::best();
    let mut tiles = [Tile::<MR, NR>::ZERO; PLACES];
    for (i, left) in left.chunks_exact(PLACES * k * MR).enumerate() {
        let rows = (m - i * MR).min(MR);
        for ((a, panel), tile) in left.chunks_exact(k * MR).zip(panels.chunks_exact(k * NR)).zip(&mut tiles) {
            Multiply { product, a, tile, wanted: [rows, last - first], add: false, alone: false }.run(panel);
        }
        vectorized(
            #[inline(always)]
            || {
                for r in 0..rows {
                    for segment in &segments {
                        // SAFETY: every tile of the result belongs to one block, every channel to one row of one panel.
                        unsafe { transform_result(face, &tiles, r, *segment, i * MR + r, y) };
                    }
                }
            },
        );
    }
}

/// panels[place, channel, to ..] = (Bᵀ d B)[place] of a segment's tiles d.
#[inline(always)]
fn transform_source<const NR: usize>(
    face: &Face,
    source: &[f32],
    channel: usize,
    segment: Segment,
    panels: &mut [f32],
) {
    let [height, width] = face.source;
    let [k, _] = face.channels;
    let plane = &source[(segment.n * k + channel) * height * width..][..height * width];
    // Column 2·x − left of the source is column 0 of the first tile; so many columns of it lie before the source.
    let start = 2 * segment.x;
    let (skip, from) = (face.before[1].saturating_sub(start), start.saturating_sub(face.before[1]));
    let mut halves = [[[0.0f32; LANES]; 4]; 4];
    for (i, half) in halves.iter_mut().enumerate() {
        let mut line = [0.0f32; 2 * LANES + 2];
        if let Some(row) = (2 * segment.y + i).checked_sub(face.before[0]).filter(|&row| row < height) {
            let row = &plane[row * width..][..width];
            if skip == 0 && from + line.len() <= width {
                line.copy_from_slice(&row[from..][..2 * LANES + 2]);
            } else if from < width {
                let count = (width - from).min(line.len() - skip);
                line[skip..skip + count].copy_from_slice(&row[from..][..count]);
            }
        }
        // B by rows: d0 − d2, d1 + d2, d2 − d1, d1 − d3.
        let [a, b, c, d] = half;
        for t in 0..LANES {
            let [d0, d1, d2, d3] = [line[2 * t], line[2 * t + 1], line[2 * t + 2], line[2 * t + 3]];
            (a[t], b[t], c[t], d[t]) = (d0 - d2, d1 + d2, d2 - d1, d1 - d3);
        }
    }
    #[allow(clippy::needless_range_loop)] // j is also a place in the panels
    for j in 0..4 {
        let mut whole = [[0.0f32; LANES]; 4];
        for t in 0..LANES {
            let [d0, d1, d2, d3] = [halves[0][j][t], halves[1][j][t], halves[2][j][t], halves[3][j][t]];
            (whole[0][t], whole[1][t], whole[2][t], whole[3][t]) = (d0 - d2, d1 + d2, d2 - d1, d1 - d3);
        }
        for (i, whole) in whole.iter().enumerate() {
            // Lanes beyond the segment are overwritten by the next one or the next channel; behind the last there is room.
            let at = ((4 * i + j) * k + channel) * NR + segment.to;
            if segment.len == LANES {
                panels[at..at + LANES].copy_from_slice(whole);
            } else {
                panels[at..at + segment.len].copy_from_slice(&whole[..segment.len]);
            }
        }
    }
}

/// The results Aᵀ m A of a segment's tiles, row r of each of the 16 places.
///
/// # Safety
/// Nothing else touches these results meanwhile.
#[inline(always)]
unsafe fn transform_result<const MR: usize, const NR: usize>(
    face: &Face,
    tiles: &[Tile<MR, NR>; PLACES],
    r: usize,
    segment: Segment,
    channel: usize,
    y: Shared,
) {
    let [height, width] = face.result;
    let mut m = [[0.0f32; LANES]; PLACES];
    for (m, tile) in m.iter_mut().zip(tiles) {
        let row = &tile.0[r];
        if segment.to + LANES <= NR {
            m.copy_from_slice(&row[segment.to..][..LANES]);
        } else {
            m[..segment.len].copy_from_slice(&row[segment.to..][..segment.len]);
        }
    }
    // A by columns, then by rows: m0 + m1 + m2 and m1 − m2 − m3.
    let mut halves = [[[0.0f32; LANES]; 4]; 2];
    for j in 0..4 {
        for t in 0..LANES {
            let [m0, m1, m2, m3] = [m[j][t], m[4 + j][t], m[8 + j][t], m[12 + j][t]];
            halves[0][j][t] = m0 + m1 + m2;
            halves[1][j][t] = m1 - m2 - m3;
        }
    }
    let start = ((segment.n * face.channels[1] + channel) * height + 2 * segment.y) * width + 2 * segment.x;
    for (i, half) in halves.iter().enumerate().take(height - 2 * segment.y) {
        let (mut even, mut odd) = ([0.0f32; LANES], [0.0f32; LANES]);
        for t in 0..LANES {
            let [m0, m1, m2, m3] = [half[0][t], half[1][t], half[2][t], half[3][t]];
            (even[t], odd[t]) = (m0 + m1 + m2, m1 - m2 - m3);
        }
        let at = start + i * width;
        let pairs = segment.len.min((width - 2 * segment.x) / 2);
        // SAFETY: the caller vouches for it.
        unsafe {
            y.write_pairs(at, &even[..pairs], &odd[..pairs]);
            // An odd width ends with half a tile.
            if pairs < segment.len {
                y.write(at + 2 * pairs, &even[pairs..segment.len]);
            }
        }
    }
}

//! The three faces of convolution as packed products: unfolding happens while panels are packed, from planes with zeros
//! around in which every kernel element is a fixed shift.

use super::CpuBuffer;
use super::matmul::{Matrix, matmul};
use super::pack::{Left, Run, SLACK, depth, pack_runs};
use super::parallel::{for_rows, for_tasks};
use super::product::{Finish, Job, Pack, Shared, product};
use super::simd::{Isa, vectorized};
use super::tile::{Multiply, Tile, with_tile};
use super::{conv_direct, conv_weight, winograd};
use std::ops::Range;

/// The sizes of a convolution, as [`crate::ops::Conv2d`] defines it.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Images.
    pub n: usize,
    /// Groups.
    pub groups: usize,
    /// Input channels of a group.
    pub c: usize,
    /// Output channels of a group.
    pub o: usize,
    /// Input height and width.
    pub x: [usize; 2],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Output height and width.
    pub y: [usize; 2],
    /// Strides.
    pub stride: [usize; 2],
    /// Zeros above and to the left.
    pub before: [usize; 2],
    /// Dilations.
    pub dilation: [usize; 2],
}

impl Sizes {
    pub(super) fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Elements of an input and an output image's plane.
    pub(super) fn planes(&self) -> [usize; 2] {
        [self.x[0] * self.x[1], self.y[0] * self.y[1]]
    }

    /// The furthest that a kernel element reaches, in strides.
    fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] / self.stride[axis]
    }

    /// Images, output channels and elements of an image, if the kernel covers the image and meets it once: then the faces are
    /// plain products of [n, k], [o, k] and [n, o].
    fn dense(&self) -> Option<[usize; 3]> {
        let covers = self.kernel == self.x && self.y == [1, 1] && self.before == [0, 0] && self.dilation == [1, 1];
        (covers && self.groups == 1).then(|| [self.n, self.o, self.c * self.area()])
    }

    fn is_empty(&self) -> bool {
        let [x, y] = self.planes();
        self.n * self.groups * self.c * self.o * self.area() * x * y == 0
    }
}

/// Every `stride`-th row and column of images, for each of the stride² places to begin: plane (ry, rx) of an image has
/// (u, v) = image(u·sh + ry − above, v·sw + rx − left), 0 outside. A kernel element then reads one plane at a shift.
struct Planes {
    data: CpuBuffer,
}

impl Planes {
    fn new(
        x: &[f32],
        image: [usize; 2],
        phases: [usize; 2],
        before: [usize; 2],
        size: [usize; 2],
        spread: bool,
    ) -> Planes {
        let area = size[0] * size[1];
        let count = x.len() / (image[0] * image[1]);
        let used = count * phases[0] * phases[1] * area;
        // A row more, for products that go on behind the ends of rows.
        let mut data = CpuBuffer::uninit(used + size[1] + SLACK);
        data[used..].fill(0.0);
        let channel = Channel { image, phases, before, size };
        let x = |i: usize| &x[i * image[0] * image[1]..];
        let row = phases[0] * phases[1] * area;
        if spread {
            for_rows(
                &mut data[..used],
                row,
                #[inline(always)]
                |i, planes| channel.split(x(i), planes),
            );
        } else {
            vectorized(
                #[inline(always)]
                || {
                    for (i, planes) in data[..used].chunks_exact_mut(row).enumerate() {
                        channel.split(x(i), planes);
                    }
                },
            );
        }
        Planes { data }
    }
}

/// How [`Planes`] splits an image of one channel.
struct Channel {
    image: [usize; 2],
    phases: [usize; 2],
    before: [usize; 2],
    size: [usize; 2],
}

impl Channel {
    /// Writes all of `planes` from x, which begins with the image.
    #[inline(always)]
    fn split(&self, x: &[f32], planes: &mut [f32]) {
        let Channel { image, phases, before, size } = *self;
        planes.fill(0.0);
        // The rows and columns u with 0 <= u·s + r − before < length.
        let inside = |axis: usize, r: usize| {
            let last = (image[axis] + before[axis]).saturating_sub(r).div_ceil(phases[axis]).min(size[axis]);
            before[axis].saturating_sub(r).div_ceil(phases[axis]).min(last)..last
        };
        for ry in 0..phases[0] {
            for rx in 0..phases[1] {
                let columns = inside(1, rx);
                if columns.is_empty() {
                    continue;
                }
                for u in inside(0, ry) {
                    let row = ((ry * phases[1] + rx) * size[0] + u) * size[1];
                    let y = u * phases[0] + ry - before[0];
                    let from = &x[y * image[1] + columns.start * phases[1] + rx - before[1]..];
                    let row = &mut planes[row + columns.start..];
                    let done = match phases[1] {
                        1 => spread_line::<1>(from, row, columns.len()),
                        2 => spread_line::<2>(from, row, columns.len()),
                        _ => 0,
                    };
                    for i in done..columns.len() {
                        row[i] = from[i * phases[1]];
                    }
                }
            }
        }
    }
}

/// row[i] = from[i·S] for i below `count`, 0 for those behind as far as whole vectors reach, in vectors of 16 as long as there
/// is room on both sides; returns how far that went. What follows in `row` is zero or yet to be written.
#[inline(always)]
fn spread_line<const S: usize>(from: &[f32], row: &mut [f32], count: usize) -> usize {
    let mut done = 0;
    while done < count {
        let Some(row) = row[done..].first_chunk_mut::<16>() else { break };
        let Some(from) = from.get(done * S..(done + 16) * S) else { break };
        // Bits and a mask: a choice would be made by branches.
        let left = (count - done) as u32;
        let values: [u32; 16] = match from.first_chunk::<16>() {
            Some(from) if S == 1 => from.map(f32::to_bits),
            _ => std::array::from_fn(|i| from[i * S].to_bits()),
        };
        let masks: [u32; 16] = std::array::from_fn(|i| 0u32.wrapping_sub(u32::from((i as u32) < left)));
        *row = std::array::from_fn(|i| f32::from_bits(values[i] & masks[i]));
        done += 16;
    }
    done
}

/// Products that compute pixels: result[row i at i·row_stride + pixel] = Σ_k left[i, k]·source[pixel + offsets[k]].
/// Their columns are rows of `len` neighbouring pixels, of which the first `wide` are wanted. Row i goes to `to[i]`, `to[i] + step`, … in the result; two parts
/// take every other pixel of it.
pub(super) struct Pixels<const MR: usize> {
    pub parts: Vec<Part<MR>>,
    pub to: Vec<usize>,
    len: usize,
    pub wide: usize,
    pub step: usize,
}

/// How many columns a row of `wide` pixels takes that are `pitch` apart in the source. Few rows of results don't pay for
/// copying pixels together: then a product goes on across the ends of rows, where whole vectors can be read.
fn row_len<const MR: usize>(m: usize, wide: usize, pitch: usize) -> usize {
    if m <= MR && pitch <= wide + wide / 2 { pitch } else { wide }
}

/// One product of [`Pixels`]: row i comes from `from[i]` in the source.
pub(super) struct Part<const MR: usize> {
    pub left: Left<MR>,
    pub offsets: Vec<usize>,
    pub from: Vec<usize>,
}

impl<const MR: usize> Pixels<MR> {
    /// The runs of one panel, of the first `wide` columns of each row; `starts` are offsets of rows, and neighbouring rows
    /// join where those follow on.
    fn runs<const NR: usize>(
        &self,
        panel: usize,
        columns: usize,
        starts: &[usize],
        step: usize,
        wide: usize,
    ) -> ([Run; NR], usize) {
        let mut runs = [Run { to: 0, from: 0, len: 0 }; NR];
        let (mut count, mut at) = (0, panel * NR);
        let last = columns.min(at + NR);
        while at < last {
            let (row, x) = (at / self.len, at % self.len);
            let len = (self.len - x).min(last - at);
            let (from, to) = (starts[row] + x * step, at - panel * NR);
            let wanted = wide.saturating_sub(x).min(len);
            let follows = |run: &Run| step == 1 && run.from + run.len == from && run.to + run.len == to;
            if wanted > 0 && count > 0 && follows(&runs[count - 1]) {
                runs[count - 1].len += wanted;
            } else if wanted > 0 {
                runs[count] = Run { to, from, len: wanted };
                count += 1;
            }
            at += len;
        }
        (runs, count)
    }

    /// The product of the first `rows` rows of pixels, into a result that begins at `base`.
    ///
    /// # Safety
    /// No other of the products that run at a time writes the same pixels, nor do two pixels of this one lie in one
    /// place.
    unsafe fn job<'a, const NR: usize>(
        &'a self,
        source: &'a [f32],
        y: Shared<'a>,
        row_stride: usize,
        [base, rows]: [usize; 2],
    ) -> Job<'a, MR, impl Pack<MR, NR> + 'a, impl Finish<MR, NR> + 'a> {
        let left: Vec<&Left<MR>> = self.parts.iter().map(|part| &part.left).collect();
        let (pixels, m, columns) = (self, left[0].m, rows * self.len);
        let pack = move |part: usize, panel: usize, k: Range<usize>, data: &mut [f32], first: Multiply<MR, NR>| {
            let part = &pixels.parts[part];
            let (runs, count) = pixels.runs::<NR>(panel, columns, &part.from, 1, pixels.len);
            pack_runs(source, &runs[..count], &part.offsets[k], data, first);
        };
        let finish = move |first: usize, panel: usize, parts: &[&[Tile<MR, NR>]]| {
            let (runs, count) = pixels.runs::<NR>(panel, columns, &pixels.to, pixels.step, pixels.wide);
            let rows = |part: usize| parts[part].iter().flat_map(|tile| &tile.0);
            let write = |at: usize, values: &[f32]| {
                // SAFETY: each tile has its own pixels and rows, and the caller vouches for the rest.
                unsafe {
                    match pixels.step {
                        1 => y.write(at, values),
                        step => y.write_spread(at, step, values),
                    }
                }
            };
            if parts.len() == 1 {
                for (i, row) in (first..m).zip(rows(0)) {
                    runs[..count]
                        .iter()
                        .for_each(|run| write(base + run.from + i * row_stride, &row[run.to..][..run.len]));
                }
                return;
            }
            vectorized(
                #[inline(always)]
                || {
                    for (i, (even, odd)) in (first..m).zip(rows(0).zip(rows(1))) {
                        for run in &runs[..count] {
                            let [even, odd] = [even, odd].map(|row| &row[run.to..][..run.len]);
                            // SAFETY: as above.
                            unsafe { y.write_pairs(base + run.from + i * row_stride, even, odd) }
                        }
                    }
                },
            );
        };
        Job { left, columns, pack, finish }
    }
}

/// y = conv2d(x, w). Writes all of y.
pub fn forward(s: &Sizes, x: &[f32], w: &[f32], y: &mut [f32]) {
    if s.is_empty() {
        return y.fill(0.0);
    }
    if let Some([n, o, k]) = s.dense() {
        return matmul(y, Matrix::new(x, n, k, k), Matrix::new(w, o, k, k).t());
    }
    if let Some(plan) = winograd::Plan::of(s) {
        return plan.forward(x, w, y);
    }
    with_tile!(Isa::best(), tiled_forward, (s, x, w, y));
}

fn tiled_forward<const MR: usize, const NR: usize>(s: &Sizes, x: &[f32], w: &[f32], y: &mut [f32]) {
    let size = [0, 1].map(|axis| s.y[axis] + s.reach(axis));
    let (area, [x_plane, y_plane]) = (s.area(), s.planes());
    let [x_image, y_image] = [s.groups * s.c * x_plane, s.groups * s.o * y_plane];
    let plane = size[0] * size[1];
    let channel = s.stride[0] * s.stride[1] * plane; // elements that the planes of a channel take
    let direct = is_direct::<MR>(s.o, s.c * area, s.groups * s.c * channel);
    let chunk = chunk(s.n, s.groups * s.c * channel, y_plane, direct);
    let taps: Vec<usize> = (0..s.c * area)
        .map(|k| {
            let (c, i, j) = (k / area, k % area / s.kernel[1] * s.dilation[0], k % s.kernel[1] * s.dilation[1]);
            let phase = i % s.stride[0] * s.stride[1] + j % s.stride[1];
            c * channel + phase * plane + i / s.stride[0] * size[1] + j / s.stride[1]
        })
        .collect();
    let all: Vec<usize> = (0..s.c * area).collect();
    let row = |start: usize, image: usize, row: usize| {
        (0..chunk * s.y[0]).map(move |i| start + i / s.y[0] * image + i % s.y[0] * row).collect::<Vec<_>>()
    };
    let pixels: Vec<Pixels<MR>> = (0..s.groups)
        .map(|group| Pixels {
            parts: vec![Part {
                left: Left::pack(&w[group * s.o * all.len()..], s.o, depth::<NR>(all.len()), |o| o * all.len(), &all),
                offsets: taps.clone(),
                from: row(group * s.c * channel, s.groups * s.c * channel, size[1]),
            }],
            to: row(group * s.o * y_plane, y_image, s.y[1]),
            len: row_len::<MR>(s.o, s.y[1], size[1]),
            wide: s.y[1],
            step: 1,
        })
        .collect();
    let y = Shared::new(y);
    for_chunks(s.n, chunk, |images, spread| {
        let x = &x[images.start * x_image..images.end * x_image];
        let planes = Planes::new(x, s.x, s.stride, s.before, size, spread);
        let base = images.start * y_image;
        if direct {
            for p in &pixels {
                // SAFETY: every pixel has its own place.
                unsafe {
                    conv_direct::run::<MR, NR>(p, &planes.data, y, y_plane, [base, images.len() * s.y[0]], spread);
                }
            }
            return;
        }
        // SAFETY: as above.
        let job = |p| unsafe { Pixels::job::<NR>(p, &planes.data, y, y_plane, [base, images.len() * s.y[0]]) };
        product::<MR, NR, _, _>(&pixels.iter().map(job).collect::<Vec<_>>(), spread);
    });
}

/// Elements of source planes that stay in the second-level cache beside the rest.
const NEAR: usize = 1 << 17;
/// The least columns of a product that make reading the weights again worth it.
const COLUMNS: usize = 192;
/// The least chunks of images, so that all cores have work.
const CHUNKS: usize = 8;

/// How many images are computed from their planes at a time, where an image has `planes` elements of planes and `pixels`
/// results a channel: few enough for the second-level cache; all, if that would leave too little to do.
fn chunk(n: usize, planes: usize, pixels: usize, direct: bool) -> usize {
    let near = if direct { NEAREST } else { NEAR };
    let chunk = (near / planes.max(1)).min(n / CHUNKS).max(1);
    if n < CHUNKS || chunk * pixels < COLUMNS && !direct { n } else { chunk }
}

/// Whether products of `m` rows and `k` terms, from images with `planes` elements of planes, are computed directly: where the
/// packed right matrix would be used by few rows, or where there is so little to do a result that copying it costs more.
fn is_direct<const MR: usize>(m: usize, k: usize, planes: usize) -> bool {
    m <= MR || k <= FEW && planes <= NEAR
}

/// Terms of a sum up to which results are written straight from the registers.
const FEW: usize = 64;
/// Elements of source planes that stay in the first-level cache beside the rest.
const NEAREST: usize = 1 << 13;

/// Calls `work(images, whether it may use all cores)` for chunks of the images, one a core, or for all of them.
fn for_chunks(n: usize, chunk: usize, work: impl Fn(Range<usize>, bool) + Sync) {
    if chunk >= n {
        return work(0..n, true);
    }
    for_tasks(n.div_ceil(chunk), |i| work(i * chunk..n.min((i + 1) * chunk), false));
}

/// dx from dy and w, also the transposed convolution. Each of the stride² sub-pixel phases of dx is a convolution of dy
/// with its own share of the kernel, so nothing is multiplied by inserted zeros. Writes all of dx.
pub fn input_gradient(s: &Sizes, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    if s.is_empty() {
        return dx.fill(0.0);
    }
    if let Some([n, o, k]) = s.dense() {
        return matmul(dx, Matrix::new(dy, n, o, o), Matrix::new(w, o, k, k));
    }
    if let Some(plan) = winograd::Plan::of(s) {
        return plan.input_gradient(dy, w, dx);
    }
    with_tile!(Isa::best(), tiled_input_gradient, (s, dy, w, dx));
}

fn tiled_input_gradient<const MR: usize, const NR: usize>(s: &Sizes, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    // dx row iy takes kernel rows i with i·d ≡ iy + top (mod s), from dy row q − i·d / s with q = (iy + top) / s.
    let reach = [s.reach(0), s.reach(1)];
    let size = [0, 1].map(|axis| (s.x[axis] - 1 + s.before[axis]) / s.stride[axis] + 1 + reach[axis]);
    let (area, [x_plane, y_plane], plane) = (s.area(), s.planes(), size[0] * size[1]);
    let [x_image, y_image] = [s.groups * s.c * x_plane, s.groups * s.o * y_plane];
    let direct = is_direct::<MR>(s.c, s.o * area.div_ceil(s.stride[0] * s.stride[1]), s.groups * s.o * plane);
    let chunk = chunk(s.n, s.groups * s.o * plane, x_plane / (s.stride[0] * s.stride[1]), direct);
    // The columns of each phase: the first q inside the image, the column it writes, their number; and the taps.
    let [phases_y, phases_x] = [0, 1].map(|axis| {
        let phase = |r: usize| {
            let first = s.before[axis].saturating_sub(r).div_ceil(s.stride[axis]);
            let start = first * s.stride[axis] + r - s.before[axis];
            let hits = |i: &usize| i * s.dilation[axis] % s.stride[axis] == r;
            let taps: Vec<usize> = (0..s.kernel[axis]).filter(hits).collect();
            Phase { first, start, count: s.x[axis].saturating_sub(start).div_ceil(s.stride[axis]), taps }
        };
        let mut phases: Vec<Phase> = (0..s.stride[axis]).map(phase).filter(|phase| phase.count > 0).collect();
        phases.sort_by_key(|phase| phase.start);
        phases
    });
    // Two phases of equally many columns at stride 2 are computed side by side, so that whole vectors are written.
    let paired = phases_x.len() == 2 && s.stride[1] == 2 && phases_x[0].count == phases_x[1].count;
    let sides: Vec<&[Phase]> = phases_x.chunks(if paired { 2 } else { 1 }).collect();
    let taps = |rows: &Phase, columns: &Phase| {
        let row = |i: &usize| i * s.kernel[1];
        rows.taps.iter().map(row).flat_map(|row| columns.taps.iter().map(move |j| row + j)).collect::<Vec<usize>>()
    };
    let taps: Vec<Vec<usize>> =
        phases_y.iter().flat_map(|rows| phases_x.iter().map(|columns| taps(rows, columns))).collect();
    let weights = (0..s.groups).map(|group| &w[group * s.o * s.c * area..]);
    let lefts = weights.map(|w| Left::pack_taps::<NR>(w, s.o, s.c, area, &taps).into_iter().map(Some).collect());
    let mut lefts: Vec<Vec<Option<Left<MR>>>> = lefts.collect();
    let mut pixels = Vec::new();
    for (y, rows) in phases_y.iter().enumerate() {
        for (side, group) in sides.iter().flat_map(|side| (0..s.groups).map(move |group| (*side, group))) {
            let lines = |start: usize, image: usize, row: usize| {
                let line = move |i| start + i / rows.count * image + i % rows.count * row;
                (0..chunk * rows.count).map(line).collect::<Vec<_>>()
            };
            let mut part = |columns: &Phase| {
                let x = phases_x.iter().position(|phase| phase.start == columns.start).unwrap_or(0);
                let left = lefts[group][y * phases_x.len() + x].take().unwrap_or_default();
                let mut offsets = Vec::new();
                for o in 0..s.o {
                    for i in &rows.taps {
                        for j in &columns.taps {
                            let shift = [0, 1].map(|a| reach[a] - [i, j][a] * s.dilation[a] / s.stride[a]);
                            offsets.push(o * plane + shift[0] * size[1] + shift[1]);
                        }
                    }
                }
                let first = rows.first * size[1] + columns.first;
                let from = lines(group * s.o * plane + first, s.groups * s.o * plane, size[1]);
                Part { left, offsets, from }
            };
            pixels.push(Pixels {
                parts: side.iter().map(&mut part).collect(),
                to: lines(group * s.c * x_plane + rows.start * s.x[1] + side[0].start, x_image, s.stride[0] * s.x[1]),
                len: row_len::<MR>(s.c, side[0].count, size[1]),
                wide: side[0].count,
                step: s.stride[1],
            });
        }
    }
    let dx = Shared::new(dx);
    for_chunks(s.n, chunk, |images, spread| {
        let dy = &dy[images.start * y_image..images.end * y_image];
        let planes = Planes::new(dy, s.y, [1, 1], reach, size, spread);
        let base = images.start * x_image;
        let rows = |p: &Pixels<MR>| images.len() * p.to.len() / chunk;
        if direct {
            for p in &pixels {
                // SAFETY: every pixel has its own place.
                unsafe { conv_direct::run::<MR, NR>(p, &planes.data, dx, x_plane, [base, rows(p)], spread) };
            }
            return;
        }
        // SAFETY: as above.
        let job = |p| unsafe { Pixels::job::<NR>(p, &planes.data, dx, x_plane, [base, rows(p)]) };
        let jobs: Vec<_> = pixels.iter().map(job).collect();
        product::<MR, NR, _, _>(&jobs, spread);
    });
}

/// The places of dx along one axis that the taps with one remainder of the stride reach: `first` is the first q inside
/// the image, `start` the place that it writes, `count` their number.
struct Phase {
    first: usize,
    start: usize,
    count: usize,
    taps: Vec<usize>,
}

/// dw from x and dy. Writes all of dw.
pub fn weight_gradient(s: &Sizes, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    if s.is_empty() {
        return dw.fill(0.0);
    }
    if let Some([n, o, k]) = s.dense() {
        return matmul(dw, Matrix::new(dy, n, o, o).t(), Matrix::new(x, n, k, k));
    }
    if let Some(plan) = winograd::Plan::of(s) {
        return plan.weight_gradient(x, dy, dw);
    }
    with_tile!(Isa::best(), conv_weight::gradient, (s, x, dy, dw));
}

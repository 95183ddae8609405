//! The weight gradient of a convolution as packed products: a few channels to a side in parts of the images that are summed
//! apart, the others with the images whole.

use super::CpuBuffer;
use super::conv::Sizes;
use super::pack::{Left, Run, SLACK, copy_moves, depth, interleave_blocks, pack_runs, panel_len};
use super::parallel::{for_chunks, for_rows};
use super::product::{Job, Shared, product};
use super::simd::vectorized;
use super::tile::{Move, Multiply, Tile};
use super::tile_rows::{self, Right, Rows};
use std::ops::Range;

/// Panels of columns up to which a gradient is computed in parts, and of one that has a single tile of rows.
const PANELS: usize = 4;
const PANELS_OF_A_TILE: usize = 48;
/// Parts of the images, and so of each sum, whatever the number of threads.
const PARTS: usize = 16;
/// Elements of blocked images that a part has at a time: they stay in the second-level cache.
const NEAR: usize = 1 << 16;

/// The most k of a pass, as [`depth`] has it.
const DEEPEST: usize = 256;

/// dw from x and dy. Writes all of dw.
pub fn gradient<const MR: usize, const NR: usize>(s: &Sizes, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    // There are too few tiles to share out, and a packed dy would be used too seldom.
    let most = if s.o <= MR { PANELS_OF_A_TILE } else { PANELS };
    if s.c * s.area() <= most * NR {
        in_parts::<MR, NR>(s, x, dy, dw, NEAR);
    } else {
        whole::<MR, NR>(s, x, dy, dw);
    }
}

/// dw[o, column] = Σ_k dy[o, k]·x[k, column] for k over all pixels of all images, in parts of the images. dy is read where it
/// lies; the columns of x are packed for many rows of dy, else read where they lie, too. A part has `near` elements of blocked
/// images at a time, or one row of results.
fn in_parts<const MR: usize, const NR: usize>(s: &Sizes, x: &[f32], dy: &[f32], dw: &mut [f32], near: usize) {
    let [x_plane, y_plane] = s.planes();
    let [height, width] = [0, 1].map(|axis| (s.kernel[axis] - 1) * s.dilation[axis] + 1);
    let width = (s.y[1] - 1) * s.stride[1] + width;
    let block = s.c.min(8);
    let blocks = s.c.div_ceil(block);
    // A row of all channels: [blocks, width, block].
    let pitch = blocks * width * block;
    let columns = columns(s, block, |b, pixel| {
        let [i, j] = pixel;
        b * width * block + i * s.dilation[0] * pitch + j * s.dilation[1] * block
    });
    let panels: Vec<Panel> = columns.chunks(NR).map(Panel::new).collect();
    let (lines, rows) = (s.n * s.y[0], s.o.div_ceil(MR));
    let (parts, tiles) = (PARTS.div_ceil(s.groups).min(lines), rows * panels.len());
    let mut buffer = CpuBuffer::uninit((s.groups * parts * tiles + 1) * (MR * NR));
    // SAFETY: a tile is MR·NR floats, any of which may have any bits; align_to cuts at its alignment.
    let (_, sums, _) = unsafe { buffer.align_to_mut::<Tile<MR, NR>>() };
    let sums = &mut sums[..s.groups * parts * tiles];
    for_chunks([&mut *sums], tiles, |task, [sums]| {
        let (group, part) = (task / parts, task % parts);
        sums.fill(Tile::ZERO);
        let mut left = part * lines / parts..(part + 1) * lines / parts;
        let most = (near / pitch).max(height); // rows of x at a time
        let mut data = CpuBuffer::uninit(most * pitch + SLACK);
        data[most * pitch..].fill(0.0);
        let mut packed = CpuBuffer::uninit(panel_len::<NR>(DEEPEST));
        let (mut runs, mut offsets, mut cut) = (Vec::new(), Vec::new(), Vec::new());
        while !left.is_empty() {
            runs.clear();
            offsets.clear();
            let mut used = 0;
            while !left.is_empty() && used + height <= most {
                let (image, line) = (left.start / s.y[0], left.start % s.y[0]);
                let count = left.len().min(s.y[0] - line).min((most - used - height) / s.stride[0] + 1);
                let count_x = (count - 1) * s.stride[0] + height;
                let x = &x[(image * s.groups + group) * s.c * x_plane..][..s.c * x_plane];
                let data = &mut data[used * pitch..][..count_x * pitch];
                vectorized(
                    #[inline(always)]
                    || block_rows(x, s, line * s.stride[0], [width, block], data),
                );
                runs.push([(image * s.groups + group) * s.o * y_plane + line * s.y[1], count * s.y[1]]);
                for line in 0..count {
                    let from = (used + line * s.stride[0]) * pitch;
                    offsets.extend((0..s.y[1]).map(|x| from + x * s.stride[1] * block));
                }
                used += count_x;
                left.start += count;
            }
            let step = depth::<NR>(offsets.len());
            for (pass, offsets) in offsets.chunks(step).enumerate() {
                cut_runs(&runs, pass * step..pass * step + offsets.len(), &mut cut);
                for (panel, tiles) in panels.iter().zip(sums.chunks_exact_mut(rows)) {
                    let right = if rows == 1 && panel.whole {
                        Right::Source { source: &data, moves: &panel.moves, offsets }
                    } else {
                        panel.pack::<NR>(&data, offsets, &mut packed);
                        Right::Panel(&packed)
                    };
                    for (row, tile) in tiles.iter_mut().enumerate() {
                        let count = (s.o - row * MR).min(MR);
                        let a = Rows { source: &dy[row * MR * y_plane..], pitch: y_plane, count, runs: &cut };
                        tile_rows::multiply(a, right, panel.columns, tile);
                    }
                }
            }
        }
    });
    for_rows(dw, columns.len(), |row, dw| {
        let (group, o) = (row / s.o, row % s.o);
        for (i, columns) in columns.chunks(NR).enumerate() {
            let mut total = [0.0; NR];
            for part in 0..parts {
                let tile = &sums[(group * parts + part) * tiles + i * rows + o / MR];
                total.iter_mut().zip(&tile.0[o % MR]).for_each(|(total, v)| *total += v);
            }
            columns.iter().zip(&total).for_each(|((_, to), &v)| dw[*to] = v);
        }
    });
}

/// The columns of the product, block of channels by block, then kernel element by kernel element, so that neighbours lie
/// side by side in the blocked image: where each lies there, given where its pixel does, and its place in dw.
fn columns(s: &Sizes, block: usize, pixel: impl Fn(usize, [usize; 2]) -> usize) -> Vec<(usize, usize)> {
    let mut columns = Vec::with_capacity(s.c * s.area());
    for b in 0..s.c.div_ceil(block) {
        for i in 0..s.kernel[0] {
            for j in 0..s.kernel[1] {
                let from = pixel(b, [i, j]);
                let to = |c: usize| ((b * block + c) * s.kernel[0] + i) * s.kernel[1] + j;
                columns.extend((0..block.min(s.c - b * block)).map(|c| (from + c, to(c))));
            }
        }
    }
    columns
}

/// Which vectors of the source a panel of columns consists of.
struct Panel {
    columns: usize,
    moves: Vec<Move>,
    /// Whether these are one whole vector after the other.
    whole: bool,
}

impl Panel {
    fn new(columns: &[(usize, usize)]) -> Panel {
        let lanes = tile_rows::lanes();
        let mut moves: Vec<Move> = Vec::new();
        let mut end = None;
        for (to, &(from, _)) in columns.iter().enumerate() {
            match moves.last() {
                Some(last) if end == Some(from) && to < last.to + lanes => {}
                _ => moves.push(Move { from, to }),
            }
            end = Some(from + 1);
        }
        let whole = moves.iter().enumerate().all(|(i, m)| m.to == i * lanes);
        Panel { columns: columns.len(), moves, whole }
    }

    /// panel[k, move.to ..] = source[move.from + offsets[k] ..]
    fn pack<const NR: usize>(&self, source: &[f32], offsets: &[usize], panel: &mut [f32]) {
        let reach = self.moves.iter().map(|m| m.from).max().unwrap_or(0) + offsets.iter().max().unwrap_or(&0);
        assert!(reach + tile_rows::lanes() <= source.len() && panel.len() >= panel_len::<NR>(offsets.len()));
        let (lanes, moves) = (tile_rows::lanes(), &self.moves);
        vectorized(
            #[inline(always)]
            || {
                // SAFETY: checked above; what a vector writes beyond its columns the next vector or the next k overwrites.
                unsafe {
                    match lanes {
                        16 => copy_moves::<16, NR>(source, moves, offsets, panel),
                        _ => copy_moves::<8, NR>(source, moves, offsets, panel),
                    }
                }
            },
        );
    }
}

/// The part `k` of runs (begin, length) that follow one another.
fn cut_runs(runs: &[[usize; 2]], k: Range<usize>, cut: &mut Vec<[usize; 2]>) {
    cut.clear();
    let mut at = 0;
    for &[from, len] in runs {
        let (first, last) = (k.start.max(at), k.end.min(at + len));
        if first < last {
            cut.push([from + first - at, last - first]);
        }
        at += len;
    }
}

/// Rows `first`.. of an image with zeros around, [rows, blocks, width, block].
#[inline(always)]
fn block_rows(x: &[f32], s: &Sizes, first: usize, [width, block]: [usize; 2], data: &mut [f32]) {
    let plane = s.x[0] * s.x[1];
    let left = s.before[1].min(width);
    let inside = width.saturating_sub(s.before[1]).min(s.x[1]);
    for (u, row) in data.chunks_exact_mut(s.c.div_ceil(block) * width * block).enumerate() {
        let Some(y) = (first + u).checked_sub(s.before[0]).filter(|&y| y < s.x[0]) else {
            row.fill(0.0);
            continue;
        };
        for (b, row) in row.chunks_exact_mut(width * block).enumerate() {
            let channels = block.min(s.c - b * block);
            if channels < block {
                row.fill(0.0);
            }
            row[..left * block].fill(0.0);
            row[(left + inside) * block..].fill(0.0);
            let row = &mut row[left * block..][..inside * block];
            turn(&x[b * block * plane + y * s.x[1]..], plane, channels, row, block);
        }
    }
}

/// The same with dy packed and all of x blocked beforehand, shared out by columns.
fn whole<const MR: usize, const NR: usize>(s: &Sizes, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let size = [0, 1].map(|axis| (s.y[axis] - 1) * s.stride[axis] + (s.kernel[axis] - 1) * s.dilation[axis] + 1);
    let [_, y_plane] = s.planes();
    let blocked = Blocked::new(x, s, size);
    let positions = |image: usize, row: usize, column: usize| {
        let rows = (0..s.n * s.y[0]).map(move |r| r / s.y[0] * image + r % s.y[0] * row);
        rows.flat_map(|start| (0..s.y[1]).map(move |x| start + x * column)).collect::<Vec<_>>()
    };
    let from_dy = positions(s.groups * s.o * y_plane, s.y[1], 1);
    let from_x = positions(
        s.groups * blocked.blocks * blocked.plane,
        s.stride[0] * size[1] * blocked.block,
        s.stride[1] * blocked.block,
    );
    let columns = columns(s, blocked.block, |b, [i, j]| {
        b * blocked.plane + (i * s.dilation[0] * size[1] + j * s.dilation[1]) * blocked.block
    });
    let y = Shared::new(dw);
    for group in 0..s.groups {
        let left = Left::pack(&dy[group * s.o * y_plane..], s.o, depth::<NR>(from_dy.len()), |o| o * y_plane, &from_dy);
        let start = group * blocked.blocks * blocked.plane;
        let pack = |_, panel: usize, k: Range<usize>, data: &mut [f32], first: Multiply<MR, NR>| {
            let mut runs = [Run { to: 0, from: 0, len: 0 }; NR];
            let mut count = 0;
            for (to, (from, _)) in columns[panel * NR..].iter().take(NR).enumerate() {
                if count > 0 && runs[count - 1].from + runs[count - 1].len == start + from {
                    runs[count - 1].len += 1;
                } else {
                    runs[count] = Run { to, from: start + from, len: 1 };
                    count += 1;
                }
            }
            pack_runs(&blocked.data, &runs[..count], &from_x[k], data, first);
        };
        let finish = |first: usize, panel: usize, tiles: &[&[Tile<MR, NR>]]| {
            let rows = tiles[0].iter().flat_map(|tile| &tile.0);
            for (o, row) in (first..s.o).zip(rows) {
                for ((_, to), sum) in columns[panel * NR..].iter().zip(row) {
                    // SAFETY: every sum has its own place, and groups follow one another.
                    unsafe { y.write((group * s.o + o) * columns.len() + to, std::slice::from_ref(sum)) };
                }
            }
        };
        product::<MR, NR, _, _>(&[Job { left: vec![&left], columns: columns.len(), pack, finish }], true);
    }
}

/// Images with zeros around, [N, groups, blocks, size, block]: a block's channels of a pixel side by side.
struct Blocked {
    data: CpuBuffer,
    /// Channels of a block, and blocks of a group; the last one may be filled up with zeros.
    block: usize,
    blocks: usize,
    /// Elements of one block's images.
    plane: usize,
}

impl Blocked {
    fn new(x: &[f32], s: &Sizes, size: [usize; 2]) -> Blocked {
        let block = s.c.min(8);
        let blocks = s.c.div_ceil(block);
        let plane = size[0] * size[1] * block;
        let mut data = CpuBuffer::uninit(s.n * s.groups * blocks * plane + SLACK);
        let used = data.len() - SLACK;
        data[used..].fill(0.0);
        let [area, _] = s.planes();
        let [left, width] = [s.before[1].min(size[1]), size[1].saturating_sub(s.before[1]).min(s.x[1])];
        for_rows(&mut data[..used], plane, |i, y| {
            let first = i % blocks * block;
            let x = &x[(i / blocks * s.c + first) * area..];
            let channels = block.min(s.c - first);
            y.fill(0.0);
            for (u, row) in y.chunks_exact_mut(size[1] * block).enumerate() {
                let Some(iy) = u.checked_sub(s.before[0]).filter(|&iy| iy < s.x[0]) else { continue };
                let row = &mut row[left * block..][..width * block];
                turn(&x[iy * s.x[1]..], area, channels, row, block);
            }
        });
        Blocked { data, block, blocks, plane }
    }
}

/// y[j, c] = x[c·plane + j] for c in 0..channels
#[inline(always)]
fn turn(x: &[f32], plane: usize, channels: usize, y: &mut [f32], block: usize) {
    if channels == 3 && block == 3 {
        let rows = x[..y.len() / 3].iter().zip(&x[plane..]).zip(&x[2 * plane..]);
        for (pixel, ((&a, &b), &c)) in y.chunks_exact_mut(3).zip(rows) {
            [pixel[0], pixel[1], pixel[2]] = [a, b, c];
        }
    } else if channels == 8 && block == 8 {
        let rows: [&[f32]; 8] = std::array::from_fn(|c| &x[c * plane..][..y.len() / 8]);
        let whole = interleave_blocks(rows, y);
        for (j, pixel) in y.chunks_exact_mut(8).enumerate().skip(whole) {
            for (v, row) in pixel.iter_mut().zip(rows) {
                *v = row[j];
            }
        }
    } else {
        for c in 0..channels {
            let x = &x[c * plane..];
            y.chunks_exact_mut(block).zip(x).for_each(|(pixel, &v)| pixel[c] = v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Isa;
    use crate::cpu::tile::with_tile;
    use crate::rng::{Domain, Stream};

    #[test]
    fn parts_agree_with_the_whole_however_little_they_have_at_a_time() {
        let mut stream = Stream::new(4, Domain::Test, 0);
        for (n, [c, o], kernel, stride) in
            [(3, [3, 11], [4, 4], [2, 2]), (2, [9, 3], [3, 2], [1, 2]), (1, [1, 5], [1, 1], [1, 1])]
        {
            let (x, dilation) = ([19, 14], [1, 1]);
            let y = [0, 1].map(|axis| (x[axis] + 2 - kernel[axis]) / stride[axis] + 1);
            let s = Sizes { n, groups: 2, c, o, x, kernel, y, stride, before: [1, 1], dilation };
            let images = stream.normal_vec(n * 2 * c * x[0] * x[1]);
            let dy = stream.normal_vec(n * 2 * o * y[0] * y[1]);
            let mut want = vec![f32::NAN; 2 * o * c * s.area()];
            with_tile!(Isa::best(), whole, (&s, &images, &dy, &mut want));
            for near in [0, 300, NEAR] {
                let mut got = vec![f32::NAN; want.len()];
                with_tile!(Isa::best(), in_parts, (&s, &images, &dy, &mut got, near));
                let error = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-4, "{error} with {near} elements of {s:?}");
                assert!(got.iter().all(|v| v.is_finite()));
            }
        }
    }
}

//! Convolutions between few channels and many, computed from the planes of the images into the result, without packing.

use super::conv::Pixels;
use super::pack::depth;
use super::parallel::for_tasks;
use super::product::Shared;
use super::simd::Isa;
#[cfg(target_arch = "aarch64")]
use super::vector::Neon;
use super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};
use std::ops::Range;

/// Vectors of pixels that a task takes where images are not shared out.
const SPOTS: usize = 24;

/// Computes the first `rows` rows of pixels from `source` into a result that begins at `base` in y, as
/// [`Pixels::job`] does. `spread` says whether over all cores.
///
/// # Safety
/// As [`Pixels::job`].
pub unsafe fn run<const MR: usize, const NR: usize>(
    pixels: &Pixels<MR>,
    source: &[f32],
    y: Shared,
    row_stride: usize,
    [base, rows]: [usize; 2],
    spread: bool,
) {
    if rows * pixels.wide == 0 {
        return;
    }
    // The phases of a transposed convolution have terms of their own number, and are packed in passes of their own.
    let depths = [0, pixels.parts.len() - 1].map(|part| depth::<NR>(pixels.parts[part].left.k));
    let work = Work::<MR> { pixels, source, y, row_stride, base, rows, depths };
    let lanes = Isa::best().lanes();
    for part in &pixels.parts {
        let far = part.from[..rows].iter().max().unwrap_or(&0) + part.offsets.iter().max().unwrap_or(&0);
        assert!(far + pixels.wide.max(lanes) <= source.len() && part.left.k == part.offsets.len());
    }
    let last = pixels.to[..rows].iter().max().unwrap_or(&0) + (pixels.wide - 1) * pixels.step + pixels.parts.len() - 1;
    assert!(base + last + (pixels.parts[0].left.m - 1) * row_stride < y.len());
    let spots = work.spots(lanes);
    let block = |spots: Range<usize>| {
        // SAFETY: the processor has the instructions; the places were checked above.
        unsafe { blocks(&work, spots) }
    };
    if spread {
        for_tasks(spots.div_ceil(SPOTS), |i| block(i * SPOTS..spots.min((i + 1) * SPOTS)));
    } else {
        block(0..spots);
    }
}

/// All rows of the weights at some spots, with as many vectors at a time as the registers take.
///
/// # Safety
/// All places lie in their slices.
unsafe fn blocks<const MR: usize>(work: &Work<MR>, spots: Range<usize>) {
    let (rows, isa) = (work.pixels.parts[0].left.m, Isa::best());
    // SAFETY: as the caller's; the processor has the instructions.
    unsafe {
        match isa {
            // Of 32 registers 8 rows of 3 vectors fill 24, 3 of 7 21 and 4 of 4 16.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => match rows {
                ..=3 if spots.len().div_ceil(7) * 7 <= spots.len().div_ceil(4) * 4 => {
                    block::<__m512, 16, MR, 7>(work, spots)
                }
                ..=4 => block::<__m512, 16, MR, 4>(work, spots),
                _ => block::<__m512, 16, MR, 3>(work, spots),
            },
            // Of 16 registers 4 rows of 2 vectors fill 8, 3 of 3 9.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if rows <= 3 => block::<__m256, 8, MR, 3>(work, spots),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => block::<__m256, 8, MR, 2>(work, spots),
            // Of 32 registers, two a vector, 4 rows of 3 vectors or 3 of 4 fill 24.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon if rows <= 3 => block::<Neon, 8, MR, 4>(work, spots),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => block::<Neon, 8, MR, 3>(work, spots),
            _ => block::<[f32; 8], 8, MR, 2>(work, spots),
        }
    }
}

/// What is computed.
struct Work<'a, const MR: usize> {
    pixels: &'a Pixels<MR>,
    source: &'a [f32],
    y: Shared<'a>,
    row_stride: usize,
    base: usize,
    rows: usize,
    /// k of a pass, of either part.
    depths: [usize; 2],
}

/// A vector of pixels: neighbours in a row, or two short rows, half a vector each.
#[derive(Clone, Copy)]
struct Spot {
    rows: [usize; 2],
    /// Its first column, and how many of its (or either half's) elements are pixels.
    x: usize,
    len: usize,
}

impl<const MR: usize> Work<'_, MR> {
    /// Whether two rows of pixels fit into a vector.
    fn halves(&self, lanes: usize) -> bool {
        let pixels = self.pixels;
        pixels.parts.len() == 1 && pixels.step == 1 && self.rows > 1 && 2 * pixels.wide <= lanes
    }

    fn spots(&self, lanes: usize) -> usize {
        if self.halves(lanes) { self.rows.div_ceil(2) } else { self.rows * self.pixels.wide.div_ceil(lanes) }
    }

    /// The last vector of a row overlaps the one before.
    fn spot(&self, i: usize, lanes: usize) -> Spot {
        let wide = self.pixels.wide;
        if self.halves(lanes) {
            return Spot { rows: [2 * i, (2 * i + 1).min(self.rows - 1)], x: 0, len: wide };
        }
        let a_row = wide.div_ceil(lanes);
        let x = (i % a_row * lanes).min(wide.saturating_sub(lanes));
        Spot { rows: [i / a_row; 2], x, len: wide.min(lanes) }
    }
}

/// N vectors of pixels at a time, all rows of the weights.
///
/// # Safety
/// The processor has the instructions of V; all places lie in their slices.
unsafe fn block<V: Vector<W>, const W: usize, const MR: usize, const N: usize>(work: &Work<MR>, spots: Range<usize>) {
    let left = &work.pixels.parts[0].left;
    let halves = work.halves(W);
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                for first in spots.clone().step_by(N) {
                    // Where there are not so many left, the last one is computed again.
                    let near: [Spot; N] = std::array::from_fn(
                        #[inline(always)]
                        |i| work.spot((first + i).min(spots.end - 1), W),
                    );
                    for tile in 0..left.panels() {
                        match ((left.m - tile * MR).min(MR), halves) {
                            (1, false) => sums::<V, W, MR, 1, N, false>(work, tile, near),
                            (2, false) => sums::<V, W, MR, 2, N, false>(work, tile, near),
                            (3, false) => sums::<V, W, MR, 3, N, false>(work, tile, near),
                            (4, false) => sums::<V, W, MR, 4, N, false>(work, tile, near),
                            (_, false) => sums::<V, W, MR, 8, N, false>(work, tile, near),
                            (1, true) => sums::<V, W, MR, 1, N, true>(work, tile, near),
                            (2, true) => sums::<V, W, MR, 2, N, true>(work, tile, near),
                            (3, true) => sums::<V, W, MR, 3, N, true>(work, tile, near),
                            (4, true) => sums::<V, W, MR, 4, N, true>(work, tile, near),
                            (_, true) => sums::<V, W, MR, 8, N, true>(work, tile, near),
                        }
                    }
                }
            },
        )
    }
}

/// The results of a tile of R rows (the first ones of it where the weights end) at N spots.
///
/// # Safety
/// As [`block`].
#[inline(always)]
unsafe fn sums<V: Vector<W>, const W: usize, const MR: usize, const R: usize, const N: usize, const HALVES: bool>(
    work: &Work<MR>,
    tile: usize,
    spots: [Spot; N],
) {
    if R > MR {
        return; // never: a tile has MR rows
    }
    let pixels = work.pixels;
    let rows = R.min(pixels.parts[0].left.m - tile * MR);
    let len = spots[0].len;
    // SAFETY: as the caller's; `run` looked at all places.
    unsafe {
        let y = work.y.start().add(work.base + tile * MR * work.row_stride);
        let place = |spot: Spot, half: usize| y.add(pixels.to[spot.rows[half]] + spot.x * pixels.step);
        let to: [[*mut f32; 2]; N] = std::array::from_fn(
            #[inline(always)]
            |i| [place(spots[i], 0), place(spots[i], 1)],
        );
        let even = part_sums::<V, W, MR, R, N, HALVES>(work, 0, tile, spots);
        if HALVES {
            write::<V, W, R, N>(&even, rows, work.row_stride, to, |v, [low, high], _| v.write_halves(low, high, len));
        } else if pixels.parts.len() == 2 {
            let odd = part_sums::<V, W, MR, R, N, HALVES>(work, 1, tile, spots);
            write::<V, W, R, N>(&even, rows, work.row_stride, to, |v, [to, _], at| {
                v.write_pairs(odd[at[0]][at[1]], to, len)
            });
        } else if pixels.step > 1 {
            write::<V, W, R, N>(&even, rows, work.row_stride, to, |v, [to, _], _| {
                let mut values = [0.0; 16];
                v.write(values.as_mut_ptr());
                (0..len).for_each(|i| *to.add(i * pixels.step) = values[i]);
            });
        } else if len == W {
            write::<V, W, R, N>(&even, rows, work.row_stride, to, |v, [to, _], _| v.write(to));
        } else {
            write::<V, W, R, N>(&even, rows, work.row_stride, to, |v, [to, _], _| v.write_first(to, len));
        }
    }
}

/// Calls `store(vector, its places, [row, spot])` for all vectors of the first rows.
#[inline(always)]
fn write<V: Vector<W>, const W: usize, const R: usize, const N: usize>(
    sums: &[[V; N]; R],
    rows: usize,
    row_stride: usize,
    to: [[*mut f32; 2]; N],
    store: impl Fn(V, [*mut f32; 2], [usize; 2]),
) {
    for (r, sums) in sums.iter().enumerate().take(rows) {
        for (i, (sum, to)) in sums.iter().zip(to).enumerate() {
            store(*sum, to.map(|to| to.wrapping_add(r * row_stride)), [r, i]);
        }
    }
}

/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn part_sums<
    V: Vector<W>,
    const W: usize,
    const MR: usize,
    const R: usize,
    const N: usize,
    const HALVES: bool,
>(
    work: &Work<MR>,
    part: usize,
    tile: usize,
    spots: [Spot; N],
) -> [[V; N]; R] {
    let (part, depth) = (&work.pixels.parts[part], work.depths[part]);
    // SAFETY: as the caller's.
    unsafe {
        let from = |spot: Spot, half: usize| work.source.as_ptr().add(part.from[spot.rows[half]] + spot.x);
        let low: [*const f32; N] = std::array::from_fn(
            #[inline(always)]
            |i| from(spots[i], 0),
        );
        let high: [*const f32; N] = std::array::from_fn(
            #[inline(always)]
            |i| from(spots[i], 1),
        );
        let mut total = [[V::all(0.0); N]; R];
        for (pass, offsets) in part.offsets.chunks(depth).enumerate() {
            let start = pass * depth;
            let a = part.left.pass(start, start + offsets.len(), tile..tile + 1).as_ptr();
            let mut sums = [[V::all(0.0); N]; R];
            V::add_products(
                &mut sums,
                a,
                [1, MR],
                offsets.len(),
                #[inline(always)]
                |k, i| {
                    let offset = *offsets.get_unchecked(k);
                    if HALVES {
                        V::read_halves(low[i].add(offset), high[i].add(offset))
                    } else {
                        V::read(low[i].add(offset))
                    }
                },
            );
            if part.offsets.len() <= depth {
                return sums;
            }
            for (total, sums) in total.iter_mut().zip(sums) {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total = total.add(sum));
            }
        }
        total
    }
}

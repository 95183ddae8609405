//! Convolutions between few channels and many, computed from the planes of the images into the result, without packing.

use super::conv::Pixels;
use super::lanes::Lanes;
use super::pack::depth;
use super::parallel::for_tasks;
use super::product::Shared;
use super::simd::Isa;
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
    let work = Work::<MR> { pixels, source, y, row_stride, base, rows, depth: depth::<NR>(pixels.parts[0].left.k) };
    let lanes = if Isa::best() == Isa::Avx512 { 16 } else { 8 };
    for part in &pixels.parts {
        let far = part.from[..rows].iter().max().unwrap_or(&0) + part.offsets.iter().max().unwrap_or(&0);
        assert!(far + pixels.wide.max(lanes) <= source.len() && part.left.k == part.offsets.len());
    }
    let last = pixels.to[..rows].iter().max().unwrap_or(&0) + (pixels.wide - 1) * pixels.step + pixels.parts.len() - 1;
    assert!(base + last + (pixels.parts[0].left.m - 1) * row_stride < y.len());
    let spots = work.spots(lanes);
    let block = |spots: Range<usize>| {
        // SAFETY: the processor has the instructions; the places were checked above.
        unsafe {
            match Isa::best() {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => avx512(&work, spots),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => avx2(&work, spots),
                _ => block::<[f32; 8], MR, 2>(&work, spots),
            }
        }
    };
    if spread {
        for_tasks(spots.div_ceil(SPOTS), |i| block(i * SPOTS..spots.min((i + 1) * SPOTS)));
    } else {
        block(0..spots);
    }
}

/// # Safety
/// The processor has the instructions; all places lie in their slices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<const MR: usize>(work: &Work<MR>, spots: Range<usize>) {
    use std::arch::x86_64::__m512;
    // SAFETY: as the caller's. 8 rows of 3 vectors or 4 of 4 fill 24 or 16 of the 32 registers.
    unsafe {
        match work.pixels.parts[0].left.m {
            ..=3 if spots.len().div_ceil(7) * 7 <= spots.len().div_ceil(4) * 4 => block::<__m512, MR, 7>(work, spots),
            ..=4 => block::<__m512, MR, 4>(work, spots),
            _ => block::<__m512, MR, 3>(work, spots),
        }
    }
}

/// # Safety
/// As [`avx512`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const MR: usize>(work: &Work<MR>, spots: Range<usize>) {
    use std::arch::x86_64::__m256;
    // SAFETY: as the caller's. 4 rows of 2 vectors or 3 of 3 fill 8 or 9 of the 16 registers.
    unsafe {
        match work.pixels.parts[0].left.m {
            ..=3 => block::<__m256, MR, 3>(work, spots),
            _ => block::<__m256, MR, 2>(work, spots),
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
    /// k of a pass.
    depth: usize,
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
#[inline(always)]
unsafe fn block<V: Lanes, const MR: usize, const N: usize>(work: &Work<MR>, spots: Range<usize>) {
    let left = &work.pixels.parts[0].left;
    let halves = work.halves(V::COUNT);
    for first in spots.clone().step_by(N) {
        // Where there are not so many left, the last one is computed again.
        let spots: [Spot; N] = std::array::from_fn(|i| work.spot((first + i).min(spots.end - 1), V::COUNT));
        for tile in 0..left.panels() {
            // SAFETY: as the caller's.
            unsafe {
                match ((left.m - tile * MR).min(MR), halves) {
                    (1, false) => sums::<V, MR, 1, N, false>(work, tile, spots),
                    (2, false) => sums::<V, MR, 2, N, false>(work, tile, spots),
                    (3, false) => sums::<V, MR, 3, N, false>(work, tile, spots),
                    (4, false) => sums::<V, MR, 4, N, false>(work, tile, spots),
                    (_, false) => sums::<V, MR, 8, N, false>(work, tile, spots),
                    (1, true) => sums::<V, MR, 1, N, true>(work, tile, spots),
                    (2, true) => sums::<V, MR, 2, N, true>(work, tile, spots),
                    (3, true) => sums::<V, MR, 3, N, true>(work, tile, spots),
                    (4, true) => sums::<V, MR, 4, N, true>(work, tile, spots),
                    (_, true) => sums::<V, MR, 8, N, true>(work, tile, spots),
                }
            }
        }
    }
}

/// The results of a tile of R rows (the first ones of it where the weights end) at N spots.
///
/// # Safety
/// As [`block`].
#[inline(always)]
unsafe fn sums<V: Lanes, const MR: usize, const R: usize, const N: usize, const HALVES: bool>(
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
        let to: [[*mut f32; 2]; N] =
            spots.map(|spot| spot.rows.map(|row| y.add(pixels.to[row] + spot.x * pixels.step)));
        let even = part_sums::<V, MR, R, N, HALVES>(work, 0, tile, spots);
        if HALVES {
            write(&even, rows, work.row_stride, to, |v, [low, high], _| v.store_halves(low, high, len));
        } else if pixels.parts.len() == 2 {
            let odd = part_sums::<V, MR, R, N, HALVES>(work, 1, tile, spots);
            write(&even, rows, work.row_stride, to, |v, [to, _], at| v.store_pairs(odd[at[0]][at[1]], to, len));
        } else if pixels.step > 1 {
            write(&even, rows, work.row_stride, to, |v, [to, _], _| {
                let mut values = [0.0; 16];
                v.store(values.as_mut_ptr(), V::COUNT);
                (0..len).for_each(|i| *to.add(i * pixels.step) = values[i]);
            });
        } else if len == V::COUNT {
            write(&even, rows, work.row_stride, to, |v, [to, _], _| v.store(to, V::COUNT));
        } else {
            write(&even, rows, work.row_stride, to, |v, [to, _], _| v.store(to, len));
        }
    }
}

/// Calls `store(vector, its places, [row, spot])` for all vectors of the first rows.
#[inline(always)]
fn write<V: Lanes, const R: usize, const N: usize>(
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
/// As [`block`].
#[inline(always)]
unsafe fn part_sums<V: Lanes, const MR: usize, const R: usize, const N: usize, const HALVES: bool>(
    work: &Work<MR>,
    part: usize,
    tile: usize,
    spots: [Spot; N],
) -> [[V; N]; R] {
    let part = &work.pixels.parts[part];
    // SAFETY: as the caller's.
    unsafe {
        let from = |i: usize, half: usize| work.source.as_ptr().add(part.from[spots[i].rows[half]] + spots[i].x);
        let low: [*const f32; N] = std::array::from_fn(|i| from(i, 0));
        let high: [*const f32; N] = std::array::from_fn(|i| from(i, 1));
        let mut total = [[V::zero(); N]; R];
        for (pass, offsets) in part.offsets.chunks(work.depth).enumerate() {
            let start = pass * work.depth;
            let mut a = part.left.pass(start, start + offsets.len(), tile..tile + 1).as_ptr();
            let mut sums = [[V::zero(); N]; R];
            for &offset in offsets {
                let b: [V; N] = std::array::from_fn(|i| match HALVES {
                    true => V::load_halves(low[i].add(offset), high[i].add(offset)),
                    false => V::load(low[i].add(offset)),
                });
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = V::splat(a.add(r));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = sum.add_product(a, b);
                    }
                }
                a = a.add(MR);
            }
            if part.offsets.len() <= work.depth {
                return sums;
            }
            for (total, sums) in total.iter_mut().zip(sums) {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total = total.plus(sum));
            }
        }
        total
    }
}

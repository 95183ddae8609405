//! The whole register tile of 4 x 24 sums with AVX2.

use super::tile::Tile;
use super::tile_rows::Rows;
use std::arch::x86_64::*;

const MR: usize = 4;
const NR: usize = 24;

/// Vectors of the tile, row by row.
type Sums = [__m256; 12];

/// sums[r, i] += Σ_k a[r·row + k·step]·b[k, i] for `count` k, at least one.
///
/// # Safety
/// The processor has AVX2 and FMA; a and b hold these elements.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_products(sums: Sums, a: *const f32, [row, step]: [usize; 2], b: *const f32, count: usize) -> Sums {
    let [mut s0, mut s1, mut s2, mut s3, mut s4, mut s5, mut s6, mut s7, mut s8, mut s9, mut s10, mut s11] = sums;
    // SAFETY: as the caller's.
    unsafe {
        // In assembly because 12 sums, 3 vectors of b and 1 of a fill all 16 registers: compilers reorder the
        // loads, run out of registers and spill a sum, which halves the speed.
        std::arch::asm!(
            "2:",
            "vmovups ymm12, [{b}]",
            "vmovups ymm13, [{b} + 32]",
            "vmovups ymm14, [{b} + 64]",
            "vbroadcastss ymm15, [{a}]",
            "vfmadd231ps ymm0, ymm15, ymm12",
            "vfmadd231ps ymm1, ymm15, ymm13",
            "vfmadd231ps ymm2, ymm15, ymm14",
            "vbroadcastss ymm15, [{a} + {row}]",
            "vfmadd231ps ymm3, ymm15, ymm12",
            "vfmadd231ps ymm4, ymm15, ymm13",
            "vfmadd231ps ymm5, ymm15, ymm14",
            "vbroadcastss ymm15, [{a} + 2 * {row}]",
            "vfmadd231ps ymm6, ymm15, ymm12",
            "vfmadd231ps ymm7, ymm15, ymm13",
            "vfmadd231ps ymm8, ymm15, ymm14",
            "vbroadcastss ymm15, [{a} + {rows}]",
            "vfmadd231ps ymm9, ymm15, ymm12",
            "vfmadd231ps ymm10, ymm15, ymm13",
            "vfmadd231ps ymm11, ymm15, ymm14",
            "add {a}, {step}",
            "add {b}, 96",
            "dec {k}",
            "jnz 2b",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            k = inout(reg) count => _,
            row = in(reg) 4 * row,
            rows = in(reg) 12 * row,
            step = in(reg) 4 * step,
            inout("ymm0") s0, inout("ymm1") s1, inout("ymm2") s2, inout("ymm3") s3,
            inout("ymm4") s4, inout("ymm5") s5, inout("ymm6") s6, inout("ymm7") s7,
            inout("ymm8") s8, inout("ymm9") s9, inout("ymm10") s10, inout("ymm11") s11,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
        );
    }
    [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11]
}

/// # Safety
/// The processor has AVX2, c points to a tile.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn finish(sums: Sums, c: *mut f32, add: bool) {
    for (i, sum) in sums.into_iter().enumerate() {
        // SAFETY: 12 vectors of 8 are the tile.
        unsafe {
            let at = c.add(8 * i);
            _mm256_storeu_ps(at, if add { _mm256_add_ps(_mm256_loadu_ps(at), sum) } else { sum });
        }
    }
}

/// From packed panels: as [`super::tile::TileProduct::run`].
///
/// # Safety
/// The processor has AVX2 and FMA, the tile is 4 x 24, and b holds a.len() / 4 rows.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn multiply<const M: usize, const N: usize>(
    a: &[f32],
    b: &[f32],
    c: &mut Tile<M, N>,
    _: [usize; 2],
    add: bool,
) {
    debug_assert!(M == MR && N == NR);
    let mut sums = [_mm256_setzero_ps(); 12];
    // SAFETY: as the caller's.
    unsafe {
        if a.len() >= MR {
            sums = add_products(sums, a.as_ptr(), [1, MR], b.as_ptr(), a.len() / MR);
        }
        finish(sums, c.0.as_mut_ptr().cast(), add);
    }
}

/// Four rows that lie apart and a packed panel: as [`super::tile_rows::multiply`].
///
/// # Safety
/// The processor has AVX2 and FMA; all places of a lie in its source, b holds as many rows, c points to a tile.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn four_rows(a: Rows, b: &[f32], c: *mut f32) {
    let (mut sums, mut b) = ([_mm256_setzero_ps(); 12], b.as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        for &[from, len] in a.runs.iter().filter(|run| run[1] > 0) {
            sums = add_products(sums, a.source.as_ptr().add(from), [a.pitch, 1], b, len);
            b = b.add(len * NR);
        }
        finish(sums, c, true);
    }
}

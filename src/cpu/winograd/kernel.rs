//! The innermost product: rows of transformed tiles times a panel of transformed weights.

use super::super::simd::Isa;

/// y[t, i] = Σ_k a[t, k]·b[k, i] for 2·W columns, or y += … if `add`. Of a, blocks of 2·W k lie together: `a` holds for each
/// block all `tiles` rows of it; b and y are dense.
pub fn multiply<const W: usize>(a: &[f32], b: &[f32], y: &mut [f32], tiles: usize, add: bool) {
    let pair = 2 * W;
    let blocks = b.len() / (pair * pair);
    assert!(a.len() >= blocks * tiles * pair && b.len() == blocks * pair * pair && y.len() >= tiles * pair);
    let mut tile = 0;
    while tile < tiles {
        let left = tiles - tile;
        let (a, y) = (&a[tile * pair..], &mut y[tile * pair..]);
        let step = tiles * pair;
        // SAFETY: by the assertion a has `blocks` blocks of as many rows as are left, and y so many rows.
        tile += unsafe {
            match Isa::best() {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 if W == 16 => match left {
                    12.. => avx512::<12>(a, step, b, y, add),
                    8.. => avx512::<8>(a, step, b, y, add),
                    6.. => avx512::<6>(a, step, b, y, add),
                    4.. => avx512::<4>(a, step, b, y, add),
                    3 => avx512::<3>(a, step, b, y, add),
                    2 => avx512::<2>(a, step, b, y, add),
                    _ => avx512::<1>(a, step, b, y, add),
                },
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 | Isa::Avx512 if W == 8 => match left {
                    6.. => six_rows(a, step, b, y, add),
                    4.. => avx2::<4>(a, step, b, y, add),
                    2.. => avx2::<2>(a, step, b, y, add),
                    _ => avx2::<1>(a, step, b, y, add),
                },
                _ => match left {
                    4.. => plain::<4, W>(a, step, b, y, add),
                    _ => plain::<1, W>(a, step, b, y, add),
                },
            }
        };
    }
}

/// Any processor's. Returns how many rows it computed, as all of these.
#[inline(always)]
fn plain<const R: usize, const W: usize>(a: &[f32], step: usize, b: &[f32], y: &mut [f32], add: bool) -> usize {
    let pair = 2 * W;
    let mut sums = [[[0.0f32; W]; 2]; R];
    for (block, b) in b.chunks_exact(pair * pair).enumerate() {
        for (k, b) in b.chunks_exact(pair).enumerate() {
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = a[block * step + r * pair + k];
                for (sum, &b) in sums.as_flattened_mut().iter_mut().zip(b) {
                    if cfg!(target_arch = "aarch64") {
                        *sum = a.mul_add(b, *sum);
                    } else {
                        *sum += a * b;
                    }
                }
            }
        }
    }
    for (y, sums) in y.chunks_exact_mut(pair).zip(&sums) {
        for (y, sum) in y.iter_mut().zip(sums.as_flattened()) {
            *y = if add { *y + sum } else { *sum };
        }
    }
    R
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// # Safety
/// The processor has AVX-512F; a has R rows in each block of b, y has R rows of 32.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize>(a: &[f32], step: usize, b: &[f32], y: &mut [f32], add: bool) -> usize {
    const PAIR: usize = 32;
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    let (mut a, mut at) = (a.as_ptr(), b.as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        for _ in 0..b.len() / (PAIR * PAIR) {
            for k in 0..PAIR {
                let b = [_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16))];
                at = at.add(PAIR);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = _mm512_set1_ps(*a.add(r * PAIR + k));
                    sums[0] = _mm512_fmadd_ps(a, b[0], sums[0]);
                    sums[1] = _mm512_fmadd_ps(a, b[1], sums[1]);
                }
            }
            a = a.wrapping_add(step);
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                let y = y.as_mut_ptr().add(r * PAIR + 16 * i);
                _mm512_storeu_ps(y, if add { _mm512_add_ps(_mm512_loadu_ps(y), sum) } else { sum });
            }
        }
    }
    R
}

/// # Safety
/// The processor has AVX2 and FMA; a has R rows in each block of b, y has R rows of 16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(a: &[f32], step: usize, b: &[f32], y: &mut [f32], add: bool) -> usize {
    const PAIR: usize = 16;
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let (mut a, mut at) = (a.as_ptr(), b.as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        for _ in 0..b.len() / (PAIR * PAIR) {
            for k in 0..PAIR {
                let b = [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))];
                at = at.add(PAIR);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*a.add(r * PAIR + k));
                    sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                    sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
                }
            }
            a = a.wrapping_add(step);
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                store(y.as_mut_ptr().add(r * PAIR + 8 * i), sum, add);
            }
        }
    }
    R
}

/// # Safety
/// The processor has AVX, y points to 8 elements.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store(y: *mut f32, sum: __m256, add: bool) {
    // SAFETY: as the caller's.
    unsafe { _mm256_storeu_ps(y, if add { _mm256_add_ps(_mm256_loadu_ps(y), sum) } else { sum }) };
}

/// Six rows: 12 sums, 2 vectors of b and 2 of a fill all 16 registers. In assembly because compilers reorder the loads, run
/// out of registers and spill a sum.
///
/// # Safety
/// As [`avx2`] of six rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn six_rows(a: &[f32], step: usize, b: &[f32], y: &mut [f32], add: bool) -> usize {
    const PAIR: usize = 16;
    let zero = _mm256_setzero_ps();
    let [mut s0, mut s1, mut s2, mut s3, mut s4, mut s5] = [zero; 6];
    let [mut s6, mut s7, mut s8, mut s9, mut s10, mut s11] = [zero; 6];
    let (mut a, mut at) = (a.as_ptr(), b.as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        for _ in 0..b.len() / (PAIR * PAIR) {
            std::arch::asm!(
                "2:",
                "vmovups ymm12, [{b}]",
                "vmovups ymm13, [{b} + 32]",
                "vbroadcastss ymm14, [{a}]",
                "vbroadcastss ymm15, [{a} + 64]",
                "vfmadd231ps ymm0, ymm14, ymm12",
                "vfmadd231ps ymm1, ymm14, ymm13",
                "vfmadd231ps ymm2, ymm15, ymm12",
                "vfmadd231ps ymm3, ymm15, ymm13",
                "vbroadcastss ymm14, [{a} + 128]",
                "vbroadcastss ymm15, [{a} + 192]",
                "vfmadd231ps ymm4, ymm14, ymm12",
                "vfmadd231ps ymm5, ymm14, ymm13",
                "vfmadd231ps ymm6, ymm15, ymm12",
                "vfmadd231ps ymm7, ymm15, ymm13",
                "vbroadcastss ymm14, [{a} + 256]",
                "vbroadcastss ymm15, [{a} + 320]",
                "vfmadd231ps ymm8, ymm14, ymm12",
                "vfmadd231ps ymm9, ymm14, ymm13",
                "vfmadd231ps ymm10, ymm15, ymm12",
                "vfmadd231ps ymm11, ymm15, ymm13",
                "add {a}, 4",
                "add {b}, 64",
                "dec {k}",
                "jnz 2b",
                a = inout(reg) a => _,
                b = inout(reg) at => at,
                k = inout(reg) PAIR => _,
                inout("ymm0") s0, inout("ymm1") s1, inout("ymm2") s2, inout("ymm3") s3,
                inout("ymm4") s4, inout("ymm5") s5, inout("ymm6") s6, inout("ymm7") s7,
                inout("ymm8") s8, inout("ymm9") s9, inout("ymm10") s10, inout("ymm11") s11,
                out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nostack, readonly),
            );
            a = a.wrapping_add(step);
        }
        for (i, sum) in [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11].into_iter().enumerate() {
            store(y.as_mut_ptr().add(8 * i), sum, add);
        }
    }
    6
}

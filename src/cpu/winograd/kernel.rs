//! The innermost product: rows of transformed tiles times a panel of transformed weights.

use super::super::simd::Isa;
#[cfg(target_arch = "aarch64")]
use super::super::vector::Neon;
use super::super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

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
                    12.. => rows::<__m512, 16, 12>(a, step, b, y, add),
                    8.. => rows::<__m512, 16, 8>(a, step, b, y, add),
                    6.. => rows::<__m512, 16, 6>(a, step, b, y, add),
                    4.. => rows::<__m512, 16, 4>(a, step, b, y, add),
                    3 => rows::<__m512, 16, 3>(a, step, b, y, add),
                    2 => rows::<__m512, 16, 2>(a, step, b, y, add),
                    _ => rows::<__m512, 16, 1>(a, step, b, y, add),
                },
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 | Isa::Avx512 if W == 8 => match left {
                    6.. => six_rows(a, step, b, y, add),
                    4.. => rows::<__m256, 8, 4>(a, step, b, y, add),
                    2.. => rows::<__m256, 8, 2>(a, step, b, y, add),
                    _ => rows::<__m256, 8, 1>(a, step, b, y, add),
                },
                // Of 32 registers, two a vector, 6 rows of 2 vectors fill 24.
                #[cfg(target_arch = "aarch64")]
                Isa::Neon if W == 8 => match left {
                    6.. => rows::<Neon, 8, 6>(a, step, b, y, add),
                    4.. => rows::<Neon, 8, 4>(a, step, b, y, add),
                    2.. => rows::<Neon, 8, 2>(a, step, b, y, add),
                    _ => rows::<Neon, 8, 1>(a, step, b, y, add),
                },
                _ => match left {
                    4.. => plain::<4, W>(a, step, b, y, add),
                    _ => plain::<1, W>(a, step, b, y, add),
                },
            }
        };
    }
}

/// R rows in vectors. Returns how many rows it computed, as all of these.
///
/// # Safety
/// The processor has V's instructions; a has R rows in each block of b, y has R rows.
unsafe fn rows<V: Vector<W>, const W: usize, const R: usize>(
    a: &[f32],
    step: usize,
    b: &[f32],
    y: &mut [f32],
    add: bool,
) -> usize {
    let pair = 2 * W;
    let (blocks, y) = (b.len() / (pair * pair), y.as_mut_ptr());
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let mut sums = [[V::all(0.0); 2]; R];
                let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
                for _ in 0..blocks {
                    V::add_products(
                        &mut sums,
                        a,
                        [pair, 1],
                        pair,
                        #[inline(always)]
                        |k, i| V::read(b.add(k * pair + W * i)),
                    );
                    (a, b) = (a.wrapping_add(step), b.add(pair * pair));
                }
                for (r, sums) in sums.into_iter().enumerate() {
                    for (i, sum) in sums.into_iter().enumerate() {
                        let at = y.add(r * pair + W * i);
                        (if add { V::read(at).add(sum) } else { sum }).write(at);
                    }
                }
            },
        )
    }
    R
}

/// The same in plain loops, for any processor.
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

/// Six rows: 12 sums, 2 vectors of b and 2 of a fill all 16 registers. In assembly because compilers reorder the loads, run
/// out of registers and spill a sum.
///
/// # Safety
/// The processor has AVX2 and FMA; a has six rows in each block of b, y has six rows of 16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn six_rows(a: &[f32], step: usize, b: &[f32], y: &mut [f32], add: bool) -> usize {
    use std::arch::x86_64::*;
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
            let at = y.as_mut_ptr().add(8 * i);
            _mm256_storeu_ps(at, if add { _mm256_add_ps(_mm256_loadu_ps(at), sum) } else { sum });
        }
    }
    6
}

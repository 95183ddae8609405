//! The innermost product: one register tile of MR x NR sums from packed panels of a and b.

/// Rows of a tile.
pub const MR: usize = 4;
/// Columns of a tile: 4 x 24 sums fill 12 of the 16 vector registers of AVX2.
pub const NR: usize = 24;

/// A tile of sums, row by row, aligned for whole vectors.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct Tile(pub [[f32; NR]; MR]);

impl Tile {
    /// Zeros.
    pub const ZERO: Tile = Tile([[0.0; NR]; MR]);
}

/// A product of panels: see [`TileProduct::run`].
#[derive(Clone, Copy)]
pub struct TileProduct(unsafe fn(&[f32], &[f32], &mut Tile, bool));

impl TileProduct {
    /// The fastest for this processor.
    pub fn best() -> TileProduct {
        #[cfg(target_arch = "x86_64")]
        if super::simd::has_avx2() {
            return TileProduct(avx2);
        }
        TileProduct(plain)
    }

    /// c = Σ_k a[k]·b[k]ᵀ, or c += … if `add`, for panels a [k, MR] and b [k, NR].
    #[inline]
    pub fn run(self, a: &[f32], b: &[f32], c: &mut Tile, add: bool) {
        assert!(a.len() / MR * NR <= b.len());
        // SAFETY: the lengths fit each other, and `best` chose a function whose instructions the processor has.
        unsafe { (self.0)(a, b, c, add) }
    }
}

/// The same in plain loops, for processors without AVX2; compilers turn it into the vectors there are.
fn plain(a: &[f32], b: &[f32], c: &mut Tile, add: bool) {
    let mut sums = if add { c.0 } else { Tile::ZERO.0 };
    for (a, b) in a.chunks_exact(MR).zip(b.chunks_exact(NR)) {
        for (sums, &a) in sums.iter_mut().zip(a) {
            for (sum, &b) in sums.iter_mut().zip(b) {
                if cfg!(target_arch = "aarch64") {
                    *sum = a.mul_add(b, *sum);
                } else {
                    *sum += a * b;
                }
            }
        }
    }
    c.0 = sums;
}

/// # Safety
/// The processor has AVX2 and FMA, and b holds a.len() / MR rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(a: &[f32], b: &[f32], c: &mut Tile, add: bool) {
    use std::arch::x86_64::*;
    let zero = _mm256_setzero_ps();
    let [mut s0, mut s1, mut s2, mut s3, mut s4, mut s5] = [zero; 6];
    let [mut s6, mut s7, mut s8, mut s9, mut s10, mut s11] = [zero; 6];
    // SAFETY: the caller vouches for a.len() / MR rows in both panels; the tile has MR x NR elements.
    unsafe {
        if a.len() >= MR {
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
                "vbroadcastss ymm15, [{a} + 4]",
                "vfmadd231ps ymm3, ymm15, ymm12",
                "vfmadd231ps ymm4, ymm15, ymm13",
                "vfmadd231ps ymm5, ymm15, ymm14",
                "vbroadcastss ymm15, [{a} + 8]",
                "vfmadd231ps ymm6, ymm15, ymm12",
                "vfmadd231ps ymm7, ymm15, ymm13",
                "vfmadd231ps ymm8, ymm15, ymm14",
                "vbroadcastss ymm15, [{a} + 12]",
                "vfmadd231ps ymm9, ymm15, ymm12",
                "vfmadd231ps ymm10, ymm15, ymm13",
                "vfmadd231ps ymm11, ymm15, ymm14",
                "add {a}, 16",
                "add {b}, 96",
                "dec {k}",
                "jnz 2b",
                a = inout(reg) a.as_ptr() => _,
                b = inout(reg) b.as_ptr() => _,
                k = inout(reg) a.len() / MR => _,
                inout("ymm0") s0, inout("ymm1") s1, inout("ymm2") s2, inout("ymm3") s3,
                inout("ymm4") s4, inout("ymm5") s5, inout("ymm6") s6, inout("ymm7") s7,
                inout("ymm8") s8, inout("ymm9") s9, inout("ymm10") s10, inout("ymm11") s11,
                out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nostack, readonly),
            );
        }
        let sums = [[s0, s1, s2], [s3, s4, s5], [s6, s7, s8], [s9, s10, s11]];
        for (row, sums) in c.0.iter_mut().zip(sums) {
            for (i, sum) in sums.into_iter().enumerate() {
                let at = row.as_mut_ptr().add(i * 8);
                let sum = if add { _mm256_add_ps(_mm256_loadu_ps(at), sum) } else { sum };
                _mm256_storeu_ps(at, sum);
            }
        }
    }
}

//! The innermost product: one register tile of MR x NR sums from packed panels of a and b.

use super::simd::Isa;
#[cfg(target_arch = "x86_64")]
use super::tile_avx512 as avx512;

/// A tile of sums, row by row, aligned for whole vectors.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct Tile<const MR: usize, const NR: usize>(pub [[f32; NR]; MR]);

impl<const MR: usize, const NR: usize> Tile<MR, NR> {
    /// Zeros.
    pub const ZERO: Tile<MR, NR> = Tile([[0.0; NR]; MR]);
}

/// Calls `$function::<MR, NR>($arguments)` with the sizes of the register tile that the instruction set takes: 4 x 24
/// sums fill 12 of the 16 vector registers of AVX2, 8 x 48 sums 24 of the 32 of AVX-512.
macro_rules! with_tile {
    ($isa:expr, $function:path, ($($argument:expr),* $(,)?)) => {{
        use $function as tiled;
        match $isa {
            $crate::cpu::simd::Isa::Avx512 => tiled::<8, 48>($($argument),*),
            _ => tiled::<4, 24>($($argument),*),
        }
    }};
}
pub(super) use with_tile;

/// A product of panels of k rows into a tile, of which only the first rows and columns are wanted: see [`TileProduct::run`].
type Function<const MR: usize, const NR: usize> = unsafe fn(&[f32], &[f32], &mut Tile<MR, NR>, [usize; 2], bool);

/// A product of panels: see [`TileProduct::run`].
#[derive(Clone, Copy)]
pub struct TileProduct<const MR: usize, const NR: usize>(Function<MR, NR>);

impl<const MR: usize, const NR: usize> TileProduct<MR, NR> {
    /// The fastest for this processor.
    pub fn best() -> TileProduct<MR, NR> {
        #[cfg(target_arch = "x86_64")]
        match Isa::best() {
            Isa::Avx512 if MR == 8 && NR == 48 => return TileProduct(wide::<MR, NR>),
            Isa::Avx2 if MR == 4 && NR == 24 => return TileProduct(avx2::<MR, NR>),
            _ => {}
        }
        TileProduct(plain::<MR, NR>)
    }

    /// c = Σ_k a[k]·b[k]ᵀ, or c += … if `add`, for panels a [k, MR] and b [k, NR]. What it leaves in rows and
    /// columns beyond those that are `wanted` is arbitrary.
    #[inline]
    pub fn run(self, a: &[f32], b: &[f32], c: &mut Tile<MR, NR>, wanted: [usize; 2], add: bool) {
        assert!(a.len() / MR * NR <= b.len());
        // SAFETY: the lengths fit each other, and `best` chose a function whose instructions the processor has.
        unsafe { (self.0)(a, b, c, wanted, add) }
    }
}

/// A vector to be copied into a panel, in every row of it.
#[derive(Clone, Copy)]
pub struct Move {
    /// Where it lies in the source, before the row's offset.
    pub from: usize,
    /// Its column in the panel.
    pub to: usize,
}

/// The product of one panel of a with a panel of b that is yet to be packed.
pub struct Multiply<'a, const MR: usize, const NR: usize> {
    /// The product.
    pub product: TileProduct<MR, NR>,
    /// The panel of a.
    pub a: &'a [f32],
    /// The tile.
    pub tile: &'a mut Tile<MR, NR>,
    /// Rows and columns of it that are wanted.
    pub wanted: [usize; 2],
    /// Whether to add to the tile.
    pub add: bool,
    /// Whether nothing else multiplies the panel of b: then it need not be packed.
    pub alone: bool,
}

impl<const MR: usize, const NR: usize> Multiply<'_, MR, NR> {
    /// With a panel that is packed.
    #[inline]
    pub fn run(self, panel: &[f32]) {
        self.product.run(self.a, panel, self.tile, self.wanted, self.add);
    }

    /// Packs the panel, panel[k, move.to ..] = source[move.from + offsets[k] ..], and multiplies in one go, so that the
    /// copying hides behind the arithmetic. False if there is no kernel for it: then nothing was done.
    ///
    /// # Safety
    /// Every move lies inside the source at every offset, and inside a panel of as many rows.
    #[inline]
    pub unsafe fn run_packing(&mut self, source: &[f32], moves: &[Move], offsets: &[usize], panel: &mut [f32]) -> bool {
        #[cfg(target_arch = "x86_64")]
        if MR == 8 && NR == 48 && Isa::best() == Isa::Avx512 && self.a.len() == offsets.len() * MR {
            let tile = self.tile.0.as_mut_ptr().cast();
            // SAFETY: the processor has the instructions, MR is 8 where NR is 48, and the caller vouches for the rest.
            return unsafe {
                avx512::packing(self.a, tile, self.wanted, self.add, self.alone, source, moves, offsets, panel)
            };
        }
        false
    }
}

/// The same in plain loops, for processors without AVX2; compilers turn it into the vectors there are.
fn plain<const MR: usize, const NR: usize>(a: &[f32], b: &[f32], c: &mut Tile<MR, NR>, _: [usize; 2], add: bool) {
    let mut sums = if add { c.0 } else { Tile::<MR, NR>::ZERO.0 };
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
/// The processor has AVX-512F, MR is 8 and NR 48, and b holds a.len() / MR rows.
#[cfg(target_arch = "x86_64")]
unsafe fn wide<const MR: usize, const NR: usize>(
    a: &[f32],
    b: &[f32],
    c: &mut Tile<MR, NR>,
    wanted: [usize; 2],
    add: bool,
) {
    // SAFETY: as the caller's.
    unsafe { avx512::multiply(a, b, c.0.as_mut_ptr().cast(), wanted, add) }
}

/// # Safety
/// The processor has AVX2 and FMA, MR is 4 and NR 24, and b holds a.len() / MR rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const MR: usize, const NR: usize>(a: &[f32], b: &[f32], c: &mut Tile<MR, NR>, _: [usize; 2], add: bool) {
    debug_assert!(MR == 4 && NR == 24);
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

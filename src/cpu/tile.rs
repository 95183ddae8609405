//! The innermost product: one register tile of MR x NR sums from packed panels of a and b.

use super::simd::Isa;
#[cfg(target_arch = "x86_64")]
use super::tile_avx2;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::tile_kernels as kernels;
#[cfg(target_arch = "aarch64")]
use super::vector::Neon;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;

/// A tile of sums, row by row, aligned for whole vectors.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct Tile<const MR: usize, const NR: usize>(pub [[f32; NR]; MR]);

impl<const MR: usize, const NR: usize> Tile<MR, NR> {
    /// Zeros.
    pub const ZERO: Tile<MR, NR> = Tile([[0.0; NR]; MR]);
}

/// Calls `$function::<MR, NR>($arguments)` with the sizes of the register tile that the instruction set takes: 4 x 24
/// sums fill 12 of the 16 vector registers of AVX2 and 24 of the 32 of NEON, 8 x 48 sums 24 of the 32 of AVX-512.
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
        match Isa::best() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if MR == 8 && NR == 48 => TileProduct(kernels::multiply::<__m512, 16, MR, NR>),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if MR == 4 && NR == 24 => TileProduct(tile_avx2::multiply::<MR, NR>),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon if MR == 4 && NR == 24 => TileProduct(kernels::multiply::<Neon, 8, MR, NR>),
            _ => TileProduct(plain::<MR, NR>),
        }
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
        if self.a.len() != offsets.len() * MR {
            return false;
        }
        match Isa::best() {
            // SAFETY, of both: the processor has the instructions, and the caller vouches for the rest.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if MR == 8 && NR == 48 => unsafe {
                kernels::packing::<__m512, 16, MR, NR>(self, source, moves, offsets, panel)
            },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon if MR == 4 && NR == 24 => unsafe {
                kernels::packing::<Neon, 8, MR, NR>(self, source, moves, offsets, panel)
            },
            _ => {
                let _ = (source, moves, panel);
                false
            }
        }
    }
}

/// The same in plain loops, for any processor; compilers turn it into the vectors there are.
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

//! Products of register tiles whose left matrix is read where it lies, one row after the other, without packing.

use super::simd::Isa;
use super::tile::{Move, Tile};

/// Rows of a left matrix: element (r, k) is `source[r·pitch + place(k)]`, where the places are those of the runs
/// (begin, length), one run after the other.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// What holds the elements.
    pub source: &'a [f32],
    /// From row to row.
    pub pitch: usize,
    /// How many rows are wanted.
    pub count: usize,
    /// The places of k.
    pub runs: &'a [[usize; 2]],
}

/// The right matrix of a tile.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// A packed panel [k, NR].
    Panel(&'a [f32]),
    /// Where it lies: vectors of row k at the moves and `offsets[k]`.
    Source {
        /// What holds the elements.
        source: &'a [f32],
        /// One whole vector after the other.
        moves: &'a [Move],
        /// One for each k.
        offsets: &'a [usize],
    },
}

/// tile += Σ_k a[.., k]·b[k, ..] for the rows and `columns` columns; what lies in the tile beyond them is arbitrary.
pub fn multiply<const MR: usize, const NR: usize>(a: Rows, b: Right, columns: usize, tile: &mut Tile<MR, NR>) {
    let reach = a.runs.iter().map(|[from, len]| from + len).max().unwrap_or(0);
    let k: usize = a.runs.iter().map(|run| run[1]).sum();
    if k == 0 || a.count == 0 {
        return;
    }
    assert!(a.count <= MR && (a.count - 1) * a.pitch + reach <= a.source.len());
    match b {
        Right::Panel(panel) => assert!(panel.len() >= k * NR),
        Right::Source { source, moves, offsets } => {
            let far = moves.iter().map(|m| m.from).max().unwrap_or(0) + offsets.iter().max().unwrap_or(&0);
            assert!(offsets.len() == k && far + lanes() <= source.len() && moves.len() * lanes() <= NR);
        }
    }
    #[cfg(target_arch = "x86_64")]
    match Isa::best() {
        // SAFETY: the processor has the instructions, and all places were checked above.
        Isa::Avx512 if MR == 8 && NR == 48 => return unsafe { avx512::run(a, b, columns, tile.0.as_mut_ptr().cast()) },
        // SAFETY: as above.
        Isa::Avx2 if MR == 4 && NR == 24 => return unsafe { avx2::run(a, b, tile.0.as_mut_ptr().cast()) },
        _ => {}
    }
    let _ = columns;
    plain(a, b, tile);
}

/// Elements of a vector, as the moves of [`Right::Source`] count them.
pub fn lanes() -> usize {
    if Isa::best() == Isa::Avx512 { 16 } else { 8 }
}

fn plain<const MR: usize, const NR: usize>(a: Rows, b: Right, tile: &mut Tile<MR, NR>) {
    let places = a.runs.iter().flat_map(|&[from, len]| from..from + len);
    let mut sums = Tile::<MR, NR>::ZERO;
    let mut row = [0.0; NR];
    for (k, place) in places.enumerate() {
        let b = match b {
            Right::Panel(panel) => &panel[k * NR..][..NR],
            Right::Source { source, moves, offsets } => {
                for m in moves {
                    row[m.to..m.to + 8].copy_from_slice(&source[m.from + offsets[k]..][..8]);
                }
                &row
            }
        };
        for (r, sums) in sums.0.iter_mut().enumerate().take(a.count) {
            let a = a.source[r * a.pitch + place];
            for (sum, &b) in sums.iter_mut().zip(b) {
                if cfg!(target_arch = "aarch64") {
                    *sum = a.mul_add(b, *sum);
                } else {
                    *sum += a * b;
                }
            }
        }
    }
    for (tile, sums) in tile.0.iter_mut().zip(&sums.0) {
        tile.iter_mut().zip(sums).for_each(|(tile, sum)| *tile += sum);
    }
}

/// 8 x 48 sums, or fewer.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Right, Rows};
    use std::arch::x86_64::*;

    const NR: usize = 48;

    /// # Safety
    /// The processor has AVX-512F; all places of a and b lie in their sources, c is a tile of 8 rows.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn run(a: Rows, b: Right, columns: usize, c: *mut f32) {
        macro_rules! by_rows {
            ($rows:expr, $a:expr, $c:expr, $n:literal) => {
                match ($rows, b) {
                    (1, Right::Panel(b)) => panel::<1, $n>($a, a, b, $c),
                    (2, Right::Panel(b)) => panel::<2, $n>($a, a, b, $c),
                    (3, Right::Panel(b)) => panel::<3, $n>($a, a, b, $c),
                    (4, Right::Panel(b)) => panel::<4, $n>($a, a, b, $c),
                    (_, Right::Panel(b)) => panel::<8, $n>($a, a, b, $c),
                    (1, _) => source::<1, $n>($a, a, b, $c),
                    (2, _) => source::<2, $n>($a, a, b, $c),
                    (3, _) => source::<3, $n>($a, a, b, $c),
                    (4, _) => source::<4, $n>($a, a, b, $c),
                    (_, _) => source::<8, $n>($a, a, b, $c),
                }
            };
        }
        let n = match b {
            Right::Panel(_) => columns.div_ceil(16),
            Right::Source { moves, .. } => moves.len(),
        };
        // 5 to 7 rows as 4 and the rest.
        let [first, rest] = if (5..8).contains(&a.count) { [4, a.count - 4] } else { [a.count, 0] };
        for (from, rows) in [(0, first), (first, rest)] {
            if rows > 0 {
                // SAFETY: as the caller's.
                unsafe {
                    let (start, c) = (a.source.as_ptr().add(from * a.pitch), c.add(from * NR));
                    match n {
                        1 => by_rows!(rows, start, c, 1),
                        2 => by_rows!(rows, start, c, 2),
                        _ => by_rows!(rows, start, c, 3),
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`run`]; R rows of N vectors.
    #[target_feature(enable = "avx512f")]
    unsafe fn panel<const R: usize, const N: usize>(start: *const f32, a: Rows, b: &[f32], c: *mut f32) {
        let mut sums = [[_mm512_setzero_ps(); N]; R];
        let mut at = b.as_ptr();
        for &[from, len] in a.runs {
            for k in from..from + len {
                // SAFETY: as the caller's.
                unsafe {
                    let row: [__m512; N] = std::array::from_fn(|i| _mm512_loadu_ps(at.add(16 * i)));
                    add_row(&mut sums, start.add(k), a.pitch, row);
                    at = at.add(NR);
                }
            }
        }
        // SAFETY: as the caller's.
        unsafe { add_to(sums, c) }
    }

    /// # Safety
    /// As [`run`]; R rows of N vectors.
    #[target_feature(enable = "avx512f")]
    unsafe fn source<const R: usize, const N: usize>(start: *const f32, a: Rows, b: Right, c: *mut f32) {
        let Right::Source { source, moves, offsets } = b else { return };
        let mut sums = [[_mm512_setzero_ps(); N]; R];
        let from_b: [*const f32; N] = std::array::from_fn(|i| source[moves[i].from..].as_ptr());
        let mut offset = offsets.as_ptr();
        for &[from, len] in a.runs {
            for k in from..from + len {
                // SAFETY: as the caller's.
                unsafe {
                    let row = from_b.map(|from| _mm512_loadu_ps(from.add(*offset)));
                    add_row(&mut sums, start.add(k), a.pitch, row);
                    offset = offset.add(1);
                }
            }
        }
        // SAFETY: as the caller's.
        unsafe { add_to(sums, c) }
    }

    /// sums[r][i] += a[r·pitch]·b[i]
    ///
    /// # Safety
    /// The processor has AVX-512F, and these elements exist.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn add_row<const R: usize, const N: usize>(
        sums: &mut [[__m512; N]; R],
        a: *const f32,
        pitch: usize,
        b: [__m512; N],
    ) {
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller vouches for it.
            let a = _mm512_set1_ps(unsafe { *a.add(r * pitch) });
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = _mm512_fmadd_ps(a, b, *sum);
            }
        }
    }

    /// # Safety
    /// The processor has AVX-512F, c points to R rows of a tile.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn add_to<const R: usize, const N: usize>(sums: [[__m512; N]; R], c: *mut f32) {
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                // SAFETY: N is at most 3.
                unsafe {
                    let at = c.add(r * NR + 16 * i);
                    _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), sum));
                }
            }
        }
    }
}

/// 4 x 24 sums, or fewer.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Right, Rows};
    use std::arch::x86_64::*;

    const NR: usize = 24;

    /// # Safety
    /// The processor has AVX2 and FMA; all places of a and b lie in their sources, c is a tile of 4 rows.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn run(a: Rows, b: Right, c: *mut f32) {
        // SAFETY: as the caller's.
        unsafe {
            match (a.count, b) {
                (1, Right::Panel(b)) => few::<1, 3>(a, |k, i| b.as_ptr().add(k * NR + 8 * i), c),
                (2, Right::Panel(b)) => few::<2, 3>(a, |k, i| b.as_ptr().add(k * NR + 8 * i), c),
                (3, Right::Panel(b)) => few::<3, 3>(a, |k, i| b.as_ptr().add(k * NR + 8 * i), c),
                (_, Right::Panel(b)) => four(a, b, c),
                (rows, Right::Source { source, moves, offsets }) => {
                    // Vectors one, two and three of the tile; a missing one is read twice, to no harm.
                    let last = moves.len() - 1;
                    let from: [*const f32; 3] = std::array::from_fn(|i| source[moves[i.min(last)].from..].as_ptr());
                    let at = |k: usize, i: usize| from[i].add(*offsets.get_unchecked(k));
                    match rows {
                        1 => few::<1, 3>(a, at, c),
                        2 => few::<2, 3>(a, at, c),
                        3 => few::<3, 3>(a, at, c),
                        _ => few::<4, 3>(a, at, c),
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`run`], for R rows and N vectors of b, the i-th of row k at `b(k, i)`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn few<const R: usize, const N: usize>(a: Rows, b: impl Fn(usize, usize) -> *const f32, c: *mut f32) {
        let mut sums = [[_mm256_setzero_ps(); N]; R];
        let mut row = 0;
        for &[from, len] in a.runs {
            for k in from..from + len {
                let values: [__m256; N] = std::array::from_fn(|i| {
                    // SAFETY: the caller vouches for it.
                    unsafe { _mm256_loadu_ps(b(row, i)) }
                });
                for (r, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let a = _mm256_set1_ps(unsafe { *a.source.as_ptr().add(r * a.pitch + k) });
                    for (sum, b) in sums.iter_mut().zip(values) {
                        *sum = _mm256_fmadd_ps(a, b, *sum);
                    }
                }
                row += 1;
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                // SAFETY: inside the tile.
                unsafe {
                    let at = c.add(r * NR + 8 * i);
                    _mm256_storeu_ps(at, _mm256_add_ps(_mm256_loadu_ps(at), sum));
                }
            }
        }
    }

    /// Four rows of a packed panel. In assembly for the reason that [`crate::cpu::tile`] gives.
    ///
    /// # Safety
    /// As [`run`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn four(a: Rows, b: &[f32], c: *mut f32) {
        let zero = _mm256_setzero_ps();
        let [mut s0, mut s1, mut s2, mut s3, mut s4, mut s5] = [zero; 6];
        let [mut s6, mut s7, mut s8, mut s9, mut s10, mut s11] = [zero; 6];
        let mut b = b.as_ptr();
        for &[from, len] in a.runs.iter().filter(|run| run[1] > 0) {
            // SAFETY: the caller vouches for the elements.
            unsafe {
                std::arch::asm!(
                    "2:",
                    "vmovups ymm12, [{b}]",
                    "vmovups ymm13, [{b} + 32]",
                    "vmovups ymm14, [{b} + 64]",
                    "vbroadcastss ymm15, [{a}]",
                    "vfmadd231ps ymm0, ymm15, ymm12",
                    "vfmadd231ps ymm1, ymm15, ymm13",
                    "vfmadd231ps ymm2, ymm15, ymm14",
                    "vbroadcastss ymm15, [{a} + {pitch}]",
                    "vfmadd231ps ymm3, ymm15, ymm12",
                    "vfmadd231ps ymm4, ymm15, ymm13",
                    "vfmadd231ps ymm5, ymm15, ymm14",
                    "vbroadcastss ymm15, [{a} + 2 * {pitch}]",
                    "vfmadd231ps ymm6, ymm15, ymm12",
                    "vfmadd231ps ymm7, ymm15, ymm13",
                    "vfmadd231ps ymm8, ymm15, ymm14",
                    "vbroadcastss ymm15, [{a} + {pitch3}]",
                    "vfmadd231ps ymm9, ymm15, ymm12",
                    "vfmadd231ps ymm10, ymm15, ymm13",
                    "vfmadd231ps ymm11, ymm15, ymm14",
                    "add {a}, 4",
                    "add {b}, 96",
                    "dec {k}",
                    "jnz 2b",
                    a = inout(reg) a.source.as_ptr().add(from) => _,
                    b = inout(reg) b,
                    k = inout(reg) len => _,
                    pitch = in(reg) 4 * a.pitch,
                    pitch3 = in(reg) 12 * a.pitch,
                    inout("ymm0") s0, inout("ymm1") s1, inout("ymm2") s2, inout("ymm3") s3,
                    inout("ymm4") s4, inout("ymm5") s5, inout("ymm6") s6, inout("ymm7") s7,
                    inout("ymm8") s8, inout("ymm9") s9, inout("ymm10") s10, inout("ymm11") s11,
                    out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                    options(nostack, readonly),
                );
            }
        }
        let sums = [[s0, s1, s2], [s3, s4, s5], [s6, s7, s8], [s9, s10, s11]];
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                // SAFETY: inside the tile.
                unsafe {
                    let at = c.add(r * NR + 8 * i);
                    _mm256_storeu_ps(at, _mm256_add_ps(_mm256_loadu_ps(at), sum));
                }
            }
        }
    }
}

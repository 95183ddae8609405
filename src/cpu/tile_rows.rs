//! Products of register tiles whose left matrix is read where it lies, one row after the other, without packing.

use super::simd::Isa;
use super::tile::{Move, Tile};
#[cfg(target_arch = "x86_64")]
use super::tile_avx2;
use super::tile_kernels::finish;
#[cfg(target_arch = "aarch64")]
use super::vector::Neon;
use super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

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
    match Isa::best() {
        // SAFETY, of these: the processor has the instructions, and all places were checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if MR == 8 && NR == 48 => unsafe { in_vectors::<__m512, 16, MR, NR>(a, b, columns, tile) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if MR == 4 && NR == 24 => match b {
            Right::Panel(b) if a.count == 4 => unsafe { tile_avx2::four_rows(a, b, tile.0.as_mut_ptr().cast()) },
            _ => unsafe { in_vectors::<__m256, 8, MR, NR>(a, b, columns, tile) },
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon if MR == 4 && NR == 24 => unsafe { in_vectors::<Neon, 8, MR, NR>(a, b, columns, tile) },
        _ => plain(a, b, tile),
    }
}

/// Elements of a vector, as the moves of [`Right::Source`] count them.
pub fn lanes() -> usize {
    Isa::best().lanes()
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

/// NR is three vectors.
///
/// # Safety
/// The processor has V's instructions; all places of a and b lie in their sources.
unsafe fn in_vectors<V: Vector<W>, const W: usize, const MR: usize, const NR: usize>(
    a: Rows,
    b: Right,
    columns: usize,
    tile: &mut Tile<MR, NR>,
) {
    macro_rules! by_rows {
        ($rows:expr, $a:expr, $c:expr, $n:literal) => {
            match ($rows, b) {
                (1, Right::Panel(b)) => panel::<V, W, 1, $n, MR, NR>($a, a, b, $c),
                (2, Right::Panel(b)) => panel::<V, W, 2, $n, MR, NR>($a, a, b, $c),
                (3, Right::Panel(b)) => panel::<V, W, 3, $n, MR, NR>($a, a, b, $c),
                (4, Right::Panel(b)) => panel::<V, W, 4, $n, MR, NR>($a, a, b, $c),
                (_, Right::Panel(b)) => panel::<V, W, 8, $n, MR, NR>($a, a, b, $c),
                (1, _) => source::<V, W, 1, $n, MR, NR>($a, a, b, $c),
                (2, _) => source::<V, W, 2, $n, MR, NR>($a, a, b, $c),
                (3, _) => source::<V, W, 3, $n, MR, NR>($a, a, b, $c),
                (4, _) => source::<V, W, 4, $n, MR, NR>($a, a, b, $c),
                (_, _) => source::<V, W, 8, $n, MR, NR>($a, a, b, $c),
            }
        };
    }
    let n = match b {
        Right::Panel(_) => columns.div_ceil(W),
        Right::Source { moves, .. } => moves.len(),
    };
    let c: *mut f32 = tile.0.as_mut_ptr().cast();
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
/// As [`in_vectors`]; R rows of N vectors.
unsafe fn panel<V: Vector<W>, const W: usize, const R: usize, const N: usize, const MR: usize, const NR: usize>(
    start: *const f32,
    a: Rows,
    b: &[f32],
    c: *mut f32,
) {
    if R > MR {
        return; // never: a tile has MR rows
    }
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let (mut sums, mut b) = ([[V::all(0.0); N]; R], b.as_ptr());
                for &[from, len] in a.runs {
                    V::add_products(
                        &mut sums,
                        start.add(from),
                        [a.pitch, 1],
                        len,
                        #[inline(always)]
                        |k, i| V::read(b.add(k * NR + W * i)),
                    );
                    b = b.add(len * NR);
                }
                finish::<V, W, R, N, NR>(sums, c, true);
            },
        )
    }
}

/// # Safety
/// As [`in_vectors`]; R rows of N vectors.
unsafe fn source<V: Vector<W>, const W: usize, const R: usize, const N: usize, const MR: usize, const NR: usize>(
    start: *const f32,
    a: Rows,
    b: Right,
    c: *mut f32,
) {
    let Right::Source { source, moves, offsets } = b else { return };
    if R > MR {
        return; // never, as above
    }
    let places: [*const f32; N] = std::array::from_fn(|i| source[moves[i].from..].as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let (mut sums, mut offset) = ([[V::all(0.0); N]; R], offsets.as_ptr());
                for &[from, len] in a.runs {
                    V::add_products(
                        &mut sums,
                        start.add(from),
                        [a.pitch, 1],
                        len,
                        #[inline(always)]
                        |k, i| V::read(places[i].add(*offset.add(k))),
                    );
                    offset = offset.add(len);
                }
                finish::<V, W, R, N, NR>(sums, c, true);
            },
        )
    }
}

//! The register tile in vectors: from packed panels, while one is packed, and from where b lies.

use super::simd::fetch;
use super::tile::{Move, Multiply, Tile};
use super::vector::Vector;

/// c = Σ_k a[k]·b[k]ᵀ (or c += …) for packed panels, as [`super::tile::TileProduct::run`]. NR is three vectors.
///
/// # Safety
/// The processor has V's instructions, b holds a.len() / MR rows.
pub unsafe fn multiply<V: Vector<W>, const W: usize, const MR: usize, const NR: usize>(
    a: &[f32],
    b: &[f32],
    c: &mut Tile<MR, NR>,
    [rows, columns]: [usize; 2],
    add: bool,
) {
    macro_rules! by_rows {
        ($n:literal) => {
            match rows {
                0 => {}
                1 => packed::<V, W, 1, $n, MR, NR>(a, b, c, add),
                2 => packed::<V, W, 2, $n, MR, NR>(a, b, c, add),
                3 => packed::<V, W, 3, $n, MR, NR>(a, b, c, add),
                4 => packed::<V, W, 4, $n, MR, NR>(a, b, c, add),
                5 | 6 => packed::<V, W, 6, $n, MR, NR>(a, b, c, add),
                _ => packed::<V, W, 8, $n, MR, NR>(a, b, c, add),
            }
        };
    }
    // SAFETY: as the caller's.
    unsafe {
        match columns.div_ceil(W) {
            1 => by_rows!(1),
            2 => by_rows!(2),
            _ => by_rows!(3),
        }
    }
}

/// As [`super::tile::Multiply::run_packing`].
///
/// # Safety
/// The processor has V's instructions, a holds as many rows as there are offsets, and every move lies inside the source at
/// every offset, and inside a panel of as many rows.
pub unsafe fn packing<V: Vector<W>, const W: usize, const MR: usize, const NR: usize>(
    product: &mut Multiply<MR, NR>,
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
    panel: &mut [f32],
) -> bool {
    let Multiply { a, ref mut tile, wanted: [rows, columns], add, alone, .. } = *product;
    let c: &mut Tile<MR, NR> = tile;
    macro_rules! direct {
        ($n:literal) => {
            match rows {
                1 => direct::<V, W, 1, $n, MR, NR>(a, c, add, source, moves, offsets),
                2 => direct::<V, W, 2, $n, MR, NR>(a, c, add, source, moves, offsets),
                3 => direct::<V, W, 3, $n, MR, NR>(a, c, add, source, moves, offsets),
                4 => direct::<V, W, 4, $n, MR, NR>(a, c, add, source, moves, offsets),
                _ => direct::<V, W, 8, $n, MR, NR>(a, c, add, source, moves, offsets),
            }
        };
    }
    macro_rules! copying {
        ($n:literal) => {
            match rows {
                ..=4 => copying::<V, W, 4, $n, MR, NR>(a, c, add, source, moves, offsets, panel),
                _ => copying::<V, W, 8, $n, MR, NR>(a, c, add, source, moves, offsets, panel),
            }
        };
    }
    let whole = moves.len() <= 3 && (0..).zip(moves).all(|(i, m)| m.to == W * i);
    // SAFETY: as the caller's.
    unsafe {
        match moves.len() {
            1 if alone && whole => direct!(1),
            2 if alone && whole => direct!(2),
            3 if alone && whole => direct!(3),
            _ if columns <= 2 * W => return false,
            3 => copying!(3),
            4 => copying!(4),
            5 => copying!(5),
            6 => copying!(6),
            7 => copying!(7),
            8 => copying!(8),
            _ => return false,
        }
    }
    true
}

/// Writes the sums of R rows and N vectors, or adds them.
///
/// # Safety
/// The processor has V's instructions, c points to R rows of NR elements.
#[inline(always)]
pub unsafe fn finish<V: Vector<W>, const W: usize, const R: usize, const N: usize, const NR: usize>(
    sums: [[V; N]; R],
    c: *mut f32,
    add: bool,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: as the caller's.
            unsafe {
                let at = c.add(r * NR + W * i);
                (if add { V::read(at).add(sum) } else { sum }).write(at);
            }
        }
    }
}

/// R rows and N vectors of columns, from packed panels.
///
/// # Safety
/// As [`multiply`].
unsafe fn packed<V: Vector<W>, const W: usize, const R: usize, const N: usize, const MR: usize, const NR: usize>(
    a: &[f32],
    b: &[f32],
    c: &mut Tile<MR, NR>,
    add: bool,
) {
    if R > MR || N * W > NR {
        return; // never: not so many are wanted of a tile
    }
    let (k, a, b) = (a.len() / MR, a.as_ptr(), b.as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let mut sums = [[V::all(0.0); N]; R];
                V::add_products(
                    &mut sums,
                    a,
                    [1, MR],
                    k,
                    #[inline(always)]
                    |k, i| V::read(b.add(k * NR + W * i)),
                );
                finish::<V, W, R, N, NR>(sums, c.0.as_mut_ptr().cast(), add);
            },
        )
    }
}

/// R rows and N vectors of columns, from where b lies: row k at the moves and offsets[k].
///
/// # Safety
/// As [`packing`], of N moves.
unsafe fn direct<V: Vector<W>, const W: usize, const R: usize, const N: usize, const MR: usize, const NR: usize>(
    a: &[f32],
    c: &mut Tile<MR, NR>,
    add: bool,
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
) {
    if R > MR {
        return; // never, as above
    }
    let from: [*const f32; N] = std::array::from_fn(|i| source[moves[i].from..].as_ptr());
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let mut sums = [[V::all(0.0); N]; R];
                V::add_products(
                    &mut sums,
                    a.as_ptr(),
                    [1, MR],
                    offsets.len(),
                    #[inline(always)]
                    |k, i| V::read(from[i].add(*offsets.get_unchecked(k))),
                );
                finish::<V, W, R, N, NR>(sums, c.0.as_mut_ptr().cast(), add);
            },
        )
    }
}

/// Rows between the one that is packed and the one that is multiplied: so many stores may still be on their way.
const LEAD: usize = 12;

/// R rows and all columns, while N vectors a row are packed.
///
/// # Safety
/// As [`packing`], of N moves.
unsafe fn copying<V: Vector<W>, const W: usize, const R: usize, const N: usize, const MR: usize, const NR: usize>(
    a: &[f32],
    c: &mut Tile<MR, NR>,
    add: bool,
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
    panel: &mut [f32],
) {
    if R > MR {
        return; // never, as above
    }
    let moves: [Move; N] = std::array::from_fn(|i| moves[i]);
    let (source, panel, a) = (source.as_ptr(), panel.as_mut_ptr(), a.as_ptr());
    // Macros, for closures need not be inlined.
    macro_rules! copy {
        ($k:expr) => {{
            let (from, to) = (source.add(*offsets.get_unchecked($k)), panel.add(($k) * NR));
            for m in moves {
                V::read(from.add(m.from)).write(to.add(m.to));
            }
        }};
    }
    macro_rules! multiply {
        ($k:expr, $sums:expr) => {{
            let (a, b) = (a.add(($k) * MR), panel.add(($k) * NR));
            V::add_products(
                &mut $sums,
                a,
                [1, MR],
                1,
                #[inline(always)]
                |_, i| V::read(b.add(W * i)),
            );
        }};
    }
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let mut sums = [[V::all(0.0); 3]; R];
                let lead = offsets.len().min(LEAD);
                for k in 0..lead {
                    copy!(k);
                }
                for k in 0..offsets.len() - lead {
                    if let Some(&next) = offsets.get(k + lead + LEAD) {
                        fetch(source.wrapping_add(next + moves[0].from));
                    }
                    copy!(k + lead);
                    multiply!(k, sums);
                }
                for k in offsets.len() - lead..offsets.len() {
                    multiply!(k, sums);
                }
                finish::<V, W, R, 3, NR>(sums, c.0.as_mut_ptr().cast(), add);
            },
        )
    }
}

//! The register tile of 8 x 48 sums with AVX-512: from packed panels, while packing one, and from where b lies.

use super::simd::fetch;
use super::tile::Move;
use std::arch::x86_64::*;

/// Rows and columns of the tile.
const MR: usize = 8;
const NR: usize = 48;

/// c = Σ_k a[k]·b[k]ᵀ (or c += …) for packed panels, as [`super::tile::TileProduct::run`].
///
/// # Safety
/// The processor has AVX-512F, b holds a.len() / MR rows, c is a tile.
#[target_feature(enable = "avx512f")]
pub unsafe fn multiply(a: &[f32], b: &[f32], c: *mut f32, [rows, columns]: [usize; 2], add: bool) {
    macro_rules! by_rows {
        ($n:literal) => {
            match rows {
                0 => {}
                1 => packed::<1, $n>(a, b, c, add),
                2 => packed::<2, $n>(a, b, c, add),
                3 => packed::<3, $n>(a, b, c, add),
                4 => packed::<4, $n>(a, b, c, add),
                5 | 6 => packed::<6, $n>(a, b, c, add),
                _ => packed::<8, $n>(a, b, c, add),
            }
        };
    }
    // SAFETY: as the caller's.
    unsafe {
        match columns.div_ceil(16) {
            1 => by_rows!(1),
            2 => by_rows!(2),
            _ => by_rows!(3),
        }
    }
}

/// As [`super::tile::Multiply::run_packing`].
///
/// # Safety
/// The processor has AVX-512F, c is a tile, a holds as many rows as there are offsets, and every move lies inside the
/// source at every offset, and inside a panel of as many rows.
#[target_feature(enable = "avx512f")]
#[allow(clippy::too_many_arguments)] // a product and a copy at once
pub unsafe fn packing(
    a: &[f32],
    c: *mut f32,
    [rows, columns]: [usize; 2],
    add: bool,
    alone: bool,
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
    panel: &mut [f32],
) -> bool {
    macro_rules! direct {
        ($n:literal) => {
            match rows {
                1 => direct::<1, $n>(a, c, add, source, moves, offsets),
                2 => direct::<2, $n>(a, c, add, source, moves, offsets),
                3 => direct::<3, $n>(a, c, add, source, moves, offsets),
                4 => direct::<4, $n>(a, c, add, source, moves, offsets),
                _ => direct::<8, $n>(a, c, add, source, moves, offsets),
            }
        };
    }
    macro_rules! copying {
        ($n:literal) => {
            match rows {
                ..=4 => copying::<4, $n>(a, c, add, source, moves, offsets, panel),
                _ => copying::<8, $n>(a, c, add, source, moves, offsets, panel),
            }
        };
    }
    let whole = moves.len() <= 3 && (0..).zip(moves).all(|(i, m)| m.to == 16 * i);
    // SAFETY: as the caller's.
    unsafe {
        match moves.len() {
            1 if alone && whole => direct!(1),
            2 if alone && whole => direct!(2),
            3 if alone && whole => direct!(3),
            _ if columns <= 32 => return false,
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

/// sums[r][i] += a[r]·b[i]
///
/// # Safety
/// The processor has AVX-512F, a points to R elements.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add_row<const R: usize, const N: usize>(sums: &mut [[__m512; N]; R], a: *const f32, b: [__m512; N]) {
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: r is below R.
        let a = _mm512_set1_ps(unsafe { *a.add(r) });
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
}

/// # Safety
/// The processor has AVX-512F, c is a tile.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store<const R: usize, const N: usize>(sums: [[__m512; N]; R], c: *mut f32, add: bool) {
    for (r, sums) in sums.into_iter().enumerate() {
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: a tile has MR rows of NR elements; R is at most MR and N at most 3.
            unsafe {
                let at = c.add(r * NR + 16 * i);
                let sum = if add { _mm512_add_ps(_mm512_loadu_ps(at), sum) } else { sum };
                _mm512_storeu_ps(at, sum);
            }
        }
    }
}

/// R rows and N vectors of columns, from packed panels.
///
/// # Safety
/// As [`multiply`].
#[target_feature(enable = "avx512f")]
unsafe fn packed<const R: usize, const N: usize>(a: &[f32], b: &[f32], c: *mut f32, add: bool) {
    let mut sums = [[_mm512_setzero_ps(); N]; R];
    let (mut at_a, mut at_b) = (a.as_ptr(), b.as_ptr());
    // SAFETY: a and b hold as many rows as there are turns.
    unsafe {
        for _ in 0..a.len() / MR {
            let row: [__m512; N] = std::array::from_fn(|i| _mm512_loadu_ps(at_b.add(16 * i)));
            add_row(&mut sums, at_a, row);
            at_a = at_a.add(MR);
            at_b = at_b.add(NR);
        }
        store(sums, c, add);
    }
}

/// R rows and N vectors of columns, from where b lies: row k at the moves and offsets[k].
///
/// # Safety
/// As [`packing`], of N moves.
#[target_feature(enable = "avx512f")]
unsafe fn direct<const R: usize, const N: usize>(
    a: &[f32],
    c: *mut f32,
    add: bool,
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
) {
    let mut sums = [[_mm512_setzero_ps(); N]; R];
    let from: [*const f32; N] = std::array::from_fn(|i| source[moves[i].from..].as_ptr());
    let mut at_a = a.as_ptr();
    // SAFETY: the caller vouches for the source; a holds as many rows as there are offsets.
    unsafe {
        for &offset in offsets {
            add_row(&mut sums, at_a, from.map(|from| _mm512_loadu_ps(from.add(offset))));
            at_a = at_a.add(MR);
        }
        store(sums, c, add);
    }
}

/// Rows between the one that is packed and the one that is multiplied: so many stores may still be on their way.
const LEAD: usize = 12;

/// R rows and all columns, while N vectors a row are packed.
///
/// # Safety
/// As [`packing`], of N moves.
#[target_feature(enable = "avx512f")]
unsafe fn copying<const R: usize, const N: usize>(
    a: &[f32],
    c: *mut f32,
    add: bool,
    source: &[f32],
    moves: &[Move],
    offsets: &[usize],
    panel: &mut [f32],
) {
    let moves: [Move; N] = std::array::from_fn(|i| moves[i]);
    let (source, panel, a) = (source.as_ptr(), panel.as_mut_ptr(), a.as_ptr());
    let copy = |k: usize| {
        // SAFETY: the caller vouches for it.
        unsafe {
            let (from, to) = (source.add(*offsets.get_unchecked(k)), panel.add(k * NR));
            for m in moves {
                _mm512_storeu_ps(to.add(m.to), _mm512_loadu_ps(from.add(m.from)));
            }
        }
    };
    let mut sums = [[_mm512_setzero_ps(); 3]; R];
    let mut multiply = |k: usize| {
        // SAFETY: a and the panel hold as many rows as there are offsets.
        unsafe {
            let row: [__m512; 3] = std::array::from_fn(|i| _mm512_loadu_ps(panel.add(k * NR + 16 * i)));
            add_row(&mut sums, a.add(k * MR), row);
        }
    };
    let lead = offsets.len().min(LEAD);
    (0..lead).for_each(copy);
    for k in 0..offsets.len() - lead {
        if let Some(&next) = offsets.get(k + lead + LEAD) {
            fetch(source.wrapping_add(next + moves[0].from));
        }
        copy(k + lead);
        multiply(k);
    }
    (offsets.len() - lead..offsets.len()).for_each(multiply);
    // SAFETY: c is a tile.
    unsafe { store(sums, c, add) };
}

//! The sums before and after the products: of pixels, of results, and the adjoint of each.
//!
//! They are written out: what a closure does inside `array::from_fn` or `map` is not compiled for the widest vectors.

use super::super::product::Shared;
use super::lanes::{Lanes, add, subtract};
use super::{Panels, Strip};

/// Vectors of three neighbours.
type Three<const W: usize> = [Lanes<W>; 3];
/// A vector of each place of a tile.
type Nine<const W: usize> = [Three<W>; 3];

/// Bd of a strip's tiles: `pixels` begin with the first that the first tile reads, in rows of `pitch`; phase f of a
/// channel block becomes column `column + f·W`.
///
/// # Safety
/// Nothing else touches these elements of the panels meanwhile.
#[inline(always)]
pub unsafe fn places_of_pixels<const W: usize>(
    pixels: &[Lanes<W>],
    pitch: usize,
    strip: &Strip,
    width: usize,
    panels: &Panels,
    column: usize,
    to: Shared,
) {
    for phase in 0..4 {
        let start = panels.at(strip.tile, column + phase * W);
        for row in 0..strip.rows.len() {
            for x in 0..width {
                let at = (4 * row + phase / 2) * pitch + 4 * x + phase % 2;
                let [top, middle] = [three(pixels, at), three(pixels, at + 2 * pitch)];
                let bottom = three(pixels, at + 4 * pitch);
                let [above, below] = [subtract3(&top, &middle), subtract3(&bottom, &middle)];
                let places = [differences(&above), differences(&middle), differences(&below)];
                // SAFETY: as the caller's.
                unsafe { store(&places, panels, start + (row * width + x) * panels.width, to) };
            }
        }
    }
}

/// A dy of a strip's tiles: `results` are two rows of two a tile, in rows of 2·width.
///
/// # Safety
/// Nothing else touches these elements of the panels meanwhile.
#[inline(always)]
pub unsafe fn places_of_results<const W: usize>(
    results: &[Lanes<W>],
    strip: &Strip,
    width: usize,
    panels: &Panels,
    column: usize,
    to: Shared,
) {
    let start = panels.at(strip.tile, column);
    for row in 0..strip.rows.len() {
        for x in 0..width {
            let at = 4 * row * width + 2 * x;
            let [a, b] = [results[at], results[at + 1]];
            let [c, d] = [results[at + 2 * width], results[at + 2 * width + 1]];
            let [left, right] = [add(&a, &c), add(&b, &d)];
            let places = [[a, add(&a, &b), b], [left, add(&left, &right), right], [c, add(&c, &d), d]];
            // SAFETY: as the caller's.
            unsafe { store(&places, panels, start + (row * width + x) * panels.width, to) };
        }
    }
}

/// # Safety
/// As [`places_of_pixels`].
#[inline(always)]
unsafe fn store<const W: usize>(places: &Nine<W>, panels: &Panels, at: usize, to: Shared) {
    let place = panels.place();
    for (p, v) in places.as_flattened().iter().enumerate() {
        if panels.width >= W {
            // SAFETY: as the caller's.
            unsafe { to.slice(at + p * place, W).copy_from_slice(v) };
            continue;
        }
        // Panels narrower than a vector take a part of it each: half of one.
        let half = W / 2;
        for (i, part) in v.chunks_exact(half).enumerate() {
            // SAFETY: as the caller's.
            unsafe { to.slice(at + p * place + i * panels.tiles * half, half).copy_from_slice(part) };
        }
    }
}

/// results = Aᵀm of a strip's tiles, where place p of tile t begins at p·place + t·step in `sums`.
#[inline(always)]
pub fn results_of_places<const W: usize>(
    sums: &[f32],
    [place, step]: [usize; 2],
    strip: &Strip,
    width: usize,
    results: &mut [Lanes<W>],
) {
    for row in 0..strip.rows.len() {
        for x in 0..width {
            let m: Nine<W> = load(sums, place, (strip.tile + row * width + x) * step);
            let [above, below] = [add3(&m[0], &m[1]), add3(&m[1], &m[2])];
            let at = 4 * row * width + 2 * x;
            (results[at], results[at + 1]) = (add(&above[0], &above[1]), add(&above[1], &above[2]));
            let at = at + 2 * width;
            (results[at], results[at + 1]) = (add(&below[0], &below[1]), add(&below[1], &below[2]));
        }
    }
}

/// pixels += Bᵀm of a strip's tiles and one phase; pixels and sums as above.
#[inline(always)]
pub fn add_pixels_of_places<const W: usize>(
    sums: &[f32],
    [place, step]: [usize; 2],
    strip: &Strip,
    width: usize,
    phase: usize,
    pixels: &mut [Lanes<W>],
    pitch: usize,
) {
    for row in 0..strip.rows.len() {
        for x in 0..width {
            let m: Nine<W> = load(sums, place, (strip.tile + row * width + x) * step);
            // Along an axis: m0, m1 − m0 − m2, m2.
            let centre = subtract3(&m[1], &add3(&m[0], &m[2]));
            let at = (4 * row + phase / 2) * pitch + 4 * x + phase % 2;
            for (i, [a, b, c]) in [m[0], centre, m[2]].iter().enumerate() {
                let at = at + 2 * i * pitch;
                pixels[at] = add(&pixels[at], a);
                pixels[at + 2] = add(&pixels[at + 2], &subtract(b, &add(a, c)));
                pixels[at + 4] = add(&pixels[at + 4], c);
            }
        }
    }
}

#[inline(always)]
fn load<const W: usize>(sums: &[f32], place: usize, at: usize) -> Nine<W> {
    let mut m = [[[0.0; W]; 3]; 3];
    for (p, m) in m.as_flattened_mut().iter_mut().enumerate() {
        m.copy_from_slice(&sums[at + p * place..][..W]);
    }
    m
}

/// x[at], x[at + 2], x[at + 4]
#[inline(always)]
fn three<const W: usize>(x: &[Lanes<W>], at: usize) -> Three<W> {
    let x = &x[at..at + 5];
    [x[0], x[2], x[4]]
}

/// d0 − d1, d1, d2 − d1
#[inline(always)]
fn differences<const W: usize>(d: &Three<W>) -> Three<W> {
    [subtract(&d[0], &d[1]), d[1], subtract(&d[2], &d[1])]
}

#[inline(always)]
fn add3<const W: usize>(a: &Three<W>, b: &Three<W>) -> Three<W> {
    [add(&a[0], &b[0]), add(&a[1], &b[1]), add(&a[2], &b[2])]
}

#[inline(always)]
fn subtract3<const W: usize>(a: &Three<W>, b: &Three<W>) -> Three<W> {
    [subtract(&a[0], &b[0]), subtract(&a[1], &b[1]), subtract(&a[2], &b[2])]
}

//! Kernels and the sums of their taps.

use super::PLACES;
use super::lanes::{Lanes, add, turn_in};

/// A 4x4 kernel of each of some neighbouring channels.
pub type Taps<const W: usize> = [Lanes<W>; 16];

/// The kernels that begin `step` apart in w.
#[inline(always)]
pub fn read_taps<const W: usize>(w: &[f32], step: usize, channels: usize) -> Taps<W> {
    let mut taps = [[0.0; W]; 16];
    turn_in(w, step, channels, &mut taps);
    taps
}

/// The places of the taps in one phase: along an axis, those with taps g0 and g1 are g0, g0 + g1, g1.
#[inline(always)]
pub fn places_of_taps<const W: usize>(taps: &Taps<W>, phase: usize) -> [Lanes<W>; PLACES] {
    let first = phase / 2 * 4 + phase % 2;
    let [a, b] = [&taps[first], &taps[first + 2]];
    let [c, d] = [&taps[first + 8], &taps[first + 10]];
    let [above, below] = [add(a, b), add(c, d)];
    [*a, above, *b, add(a, c), add(&above, &below), add(b, d), *c, below, *d]
}

/// The adjoint: the taps of a phase from what their places get.
#[inline(always)]
pub fn taps_of_places<const W: usize>(m: &[Lanes<W>; PLACES], phase: usize, taps: &mut Taps<W>) {
    let first = phase / 2 * 4 + phase % 2;
    for j in 0..2 {
        let middle = add(&m[3 + j], &m[4 + j]);
        taps[first + 2 * j] = add(&add(&m[j], &m[j + 1]), &middle);
        taps[first + 8 + 2 * j] = add(&middle, &add(&m[6 + j], &m[7 + j]));
    }
}

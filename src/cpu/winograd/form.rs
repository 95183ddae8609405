//! The two forms: the sums before and after the products, for one tile of 2x2 results and a vector of channels.

use super::super::vector::Vector;

/// The places of a tile; forms with fewer repeat one in the last ones.
pub type Places<V> = [V; 16];
/// The results of a tile, row by row.
pub type Results<V> = [[V; 2]; 2];

/// A form: y = Aᵀ(Gg ⊙ Bd) for pixels d, taps g and results y, and the adjoint of each of these sums.
///
/// All of its functions need a processor that has V's instructions.
pub trait Form {
    /// Places of a tile.
    const PLACES: usize;
    /// Parts of the pixels and of the kernel that are transformed apart and summed over.
    const PHASES: usize;
    /// Pixels from one tile to the next.
    const STEP: usize;
    /// Elements of a kernel.
    const TAPS: usize;
    /// Channels of pixels are taken in whole multiples of so many vectors.
    const BLOCKS: usize;

    /// Where the pixels of a phase begin within a tile.
    fn first(phase: usize, pitch: usize) -> usize;

    /// Bd of the tile that begins with the first of these pixels, in rows of `pitch`.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn places_of_pixels<V: Vector<W>, const W: usize>(pixels: &[[f32; W]], pitch: usize) -> Places<V>;

    /// A dy
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn places_of_results<V: Vector<W>, const W: usize>(dy: Results<V>) -> Places<V>;

    /// Aᵀm
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn results_of_places<V: Vector<W>, const W: usize>(m: &Places<V>) -> Results<V>;

    /// Gg of a phase.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn places_of_taps<V: Vector<W>, const W: usize>(taps: &[[f32; W]; 16], phase: usize) -> Places<V>;

    /// Gᵀm: the taps of a phase.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn taps_of_places<V: Vector<W>, const W: usize>(m: &Places<V>, phase: usize, taps: &mut [[f32; W]; 16]);
}

/// 3x3 kernels of stride 1 by F(2x2, 3x3): 16 products instead of 36.
///
/// Along an axis (Lavin and Gray 2016): places of pixels d0 − d2, d1 + d2, d2 − d1, d1 − d3; of taps g0,
/// (g0 + g1 + g2) / 2, (g0 − g1 + g2) / 2, g2; results m0 + m1 + m2, m1 − m2 − m3.
pub struct Square;

// SAFETY, in all of these: the caller vouches for the instructions.
impl Form for Square {
    const PLACES: usize = 16;
    const PHASES: usize = 1;
    const STEP: usize = 2;
    const TAPS: usize = 9;
    const BLOCKS: usize = 2;

    #[inline(always)]
    fn first(_: usize, _: usize) -> usize {
        0
    }

    #[inline(always)]
    unsafe fn places_of_pixels<V: Vector<W>, const W: usize>(pixels: &[[f32; W]], pitch: usize) -> Places<V> {
        unsafe {
            let [a, b] = [four::<V, W>(pixels, 0), four::<V, W>(pixels, pitch)];
            let [c, d] = [four::<V, W>(pixels, 2 * pitch), four::<V, W>(pixels, 3 * pitch)];
            let [w, x, y, z] = along_rows::<V, W>(a, b, c, d);
            let [[a, b, c, d], [e, f, g, h]] = [differences_4::<V, W>(w), differences_4::<V, W>(x)];
            let [[i, j, k, l], [m, n, o, p]] = [differences_4::<V, W>(y), differences_4::<V, W>(z)];
            [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
        }
    }

    #[inline(always)]
    unsafe fn places_of_results<V: Vector<W>, const W: usize>([top, bottom]: Results<V>) -> Places<V> {
        unsafe {
            let none = V::all(0.0);
            let [a, b, c, d] = spread::<V, W>(top[0], top[1]);
            let [e, f, g, h] = spread::<V, W>(top[0].add(bottom[0]), top[1].add(bottom[1]));
            let [i, j, k, l] = spread::<V, W>(top[0].subtract(bottom[0]), top[1].subtract(bottom[1]));
            let [m, n, o, p] = spread::<V, W>(none.subtract(bottom[0]), none.subtract(bottom[1]));
            [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
        }
    }

    #[inline(always)]
    unsafe fn results_of_places<V: Vector<W>, const W: usize>(m: &Places<V>) -> Results<V> {
        unsafe {
            let [mut above, mut below] = [[m[0]; 4], [m[0]; 4]];
            for j in 0..4 {
                above[j] = m[j].add(m[4 + j]).add(m[8 + j]);
                below[j] = m[4 + j].subtract(m[8 + j]).subtract(m[12 + j]);
            }
            [pair::<V, W>(above), pair::<V, W>(below)]
        }
    }

    #[inline(always)]
    unsafe fn places_of_taps<V: Vector<W>, const W: usize>(g: &[[f32; W]; 16], _: usize) -> Places<V> {
        unsafe {
            let half = V::all(0.5);
            let mut rows = [[V::load(&g[0]); 3]; 4];
            for j in 0..3 {
                let [a, b, c] = [V::load(&g[j]), V::load(&g[3 + j]), V::load(&g[6 + j])];
                let [outer, inner] = [half.times(a.add(c)), half.times(b)];
                (rows[0][j], rows[1][j], rows[2][j], rows[3][j]) = (a, outer.add(inner), outer.subtract(inner), c);
            }
            let mut places = [half; 16];
            for (i, [a, b, c]) in rows.into_iter().enumerate() {
                let [outer, inner] = [half.times(a.add(c)), half.times(b)];
                (places[4 * i], places[4 * i + 1]) = (a, outer.add(inner));
                (places[4 * i + 2], places[4 * i + 3]) = (outer.subtract(inner), c);
            }
            places
        }
    }

    #[inline(always)]
    unsafe fn taps_of_places<V: Vector<W>, const W: usize>(m: &Places<V>, _: usize, taps: &mut [[f32; W]; 16]) {
        unsafe {
            let half = V::all(0.5);
            let mut rows = [[m[0]; 4]; 3];
            for j in 0..4 {
                let outer = half.times(m[4 + j].add(m[8 + j]));
                rows[0][j] = m[j].add(outer);
                rows[1][j] = half.times(m[4 + j].subtract(m[8 + j]));
                rows[2][j] = outer.add(m[12 + j]);
            }
            for (i, [a, b, c, d]) in rows.into_iter().enumerate() {
                let outer = half.times(b.add(c));
                a.add(outer).store(&mut taps[3 * i]);
                half.times(b.subtract(c)).store(&mut taps[3 * i + 1]);
                outer.add(d).store(&mut taps[3 * i + 2]);
            }
        }
    }
}

/// x[at] to x[at + 3]
///
/// # Safety
/// The processor has the instructions, here and in all that follow.
#[inline(always)]
unsafe fn four<V: Vector<W>, const W: usize>(x: &[[f32; W]], at: usize) -> [V; 4] {
    let x = &x[at..at + 4];
    unsafe { [V::load(&x[0]), V::load(&x[1]), V::load(&x[2]), V::load(&x[3])] }
}

/// Of rows a to d: a − c, b + c, c − b, b − d
#[inline(always)]
unsafe fn along_rows<V: Vector<W>, const W: usize>(a: [V; 4], b: [V; 4], c: [V; 4], d: [V; 4]) -> [[V; 4]; 4] {
    let mut y = [a, b, c, d];
    for j in 0..4 {
        unsafe {
            (y[0][j], y[1][j]) = (a[j].subtract(c[j]), b[j].add(c[j]));
            (y[2][j], y[3][j]) = (c[j].subtract(b[j]), b[j].subtract(d[j]));
        }
    }
    y
}

/// d0 − d2, d1 + d2, d2 − d1, d1 − d3
#[inline(always)]
unsafe fn differences_4<V: Vector<W>, const W: usize>([a, b, c, d]: [V; 4]) -> [V; 4] {
    unsafe { [a.subtract(c), b.add(c), c.subtract(b), b.subtract(d)] }
}

/// a, a + b, a − b, −b
#[inline(always)]
unsafe fn spread<V: Vector<W>, const W: usize>(a: V, b: V) -> [V; 4] {
    unsafe { [a, a.add(b), a.subtract(b), V::all(0.0).subtract(b)] }
}

/// m0 + m1 + m2, m1 − m2 − m3
#[inline(always)]
unsafe fn pair<V: Vector<W>, const W: usize>([a, b, c, d]: [V; 4]) -> [V; 2] {
    unsafe { [a.add(b).add(c), b.subtract(c).subtract(d)] }
}

/// 4x4 kernels of stride 2 by F(2x2, 2x2) of four phases: 9 products instead of 16.
///
/// Even and odd taps meet even and odd pixels, so that the convolution is a sum of four of 2x2 kernels and stride 1. Along an axis
/// (Winograd 1980): places of pixels d0 − d1, d1, d2 − d1; of taps g0, g0 + g1, g1; results m0 + m1, m1 + m2.
pub struct Strided;

// SAFETY, in all of these: the caller vouches for the instructions.
impl Form for Strided {
    const PLACES: usize = 9;
    const PHASES: usize = 4;
    const STEP: usize = 4;
    const TAPS: usize = 16;
    const BLOCKS: usize = 1;

    #[inline(always)]
    fn first(phase: usize, pitch: usize) -> usize {
        phase / 2 * pitch + phase % 2
    }

    #[inline(always)]
    unsafe fn places_of_pixels<V: Vector<W>, const W: usize>(pixels: &[[f32; W]], pitch: usize) -> Places<V> {
        unsafe {
            let [top, middle] = [three::<V, W>(pixels, 0), three::<V, W>(pixels, 2 * pitch)];
            let bottom = three::<V, W>(pixels, 4 * pitch);
            let [mut above, mut below] = [top, bottom];
            for j in 0..3 {
                (above[j], below[j]) = (top[j].subtract(middle[j]), bottom[j].subtract(middle[j]));
            }
            nine([differences::<V, W>(above), differences::<V, W>(middle), differences::<V, W>(below)])
        }
    }

    #[inline(always)]
    unsafe fn places_of_results<V: Vector<W>, const W: usize>([[a, b], [c, d]]: Results<V>) -> Places<V> {
        unsafe {
            let [left, right] = [a.add(c), b.add(d)];
            nine([[a, a.add(b), b], [left, left.add(right), right], [c, c.add(d), d]])
        }
    }

    #[inline(always)]
    unsafe fn results_of_places<V: Vector<W>, const W: usize>(m: &Places<V>) -> Results<V> {
        unsafe {
            let [a, b, c] = [m[0].add(m[3]), m[1].add(m[4]), m[2].add(m[5])];
            let [d, e, f] = [m[3].add(m[6]), m[4].add(m[7]), m[5].add(m[8])];
            [[a.add(b), b.add(c)], [d.add(e), e.add(f)]]
        }
    }

    #[inline(always)]
    unsafe fn places_of_taps<V: Vector<W>, const W: usize>(taps: &[[f32; W]; 16], phase: usize) -> Places<V> {
        let first = phase / 2 * 4 + phase % 2;
        unsafe {
            let top = [V::load(&taps[first]), V::load(&taps[first + 2])];
            let bottom = [V::load(&taps[first + 8]), V::load(&taps[first + 10])];
            // The same sums as of results.
            Self::places_of_results::<V, W>([top, bottom])
        }
    }

    #[inline(always)]
    unsafe fn taps_of_places<V: Vector<W>, const W: usize>(m: &Places<V>, phase: usize, taps: &mut [[f32; W]; 16]) {
        let first = phase / 2 * 4 + phase % 2;
        unsafe {
            let [[a, b], [c, d]] = Self::results_of_places::<V, W>(m);
            a.store(&mut taps[first]);
            b.store(&mut taps[first + 2]);
            c.store(&mut taps[first + 8]);
            d.store(&mut taps[first + 10]);
        }
    }
}

impl Strided {
    /// pixels += Bᵀm, from the tile's first pixel of the phase on.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[inline(always)]
    pub unsafe fn add_pixels_of_places<V: Vector<W>, const W: usize>(
        m: &Places<V>,
        pixels: &mut [[f32; W]],
        pitch: usize,
    ) {
        // Along an axis: m0, m1 − m0 − m2, m2.
        let [top, mut middle, bottom] = [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]];
        unsafe {
            for j in 0..3 {
                middle[j] = middle[j].subtract(top[j].add(bottom[j]));
            }
            for (i, [a, b, c]) in [top, middle, bottom].into_iter().enumerate() {
                let row = &mut pixels[2 * i * pitch..][..5];
                V::load(&row[0]).add(a).store(&mut row[0]);
                V::load(&row[2]).add(b.subtract(a.add(c))).store(&mut row[2]);
                V::load(&row[4]).add(c).store(&mut row[4]);
            }
        }
    }
}

#[inline(always)]
fn nine<V: Copy>([[a, b, c], [d, e, f], [g, h, i]]: [[V; 3]; 3]) -> Places<V> {
    [a, b, c, d, e, f, g, h, i, i, i, i, i, i, i, i]
}

/// x[at], x[at + 2], x[at + 4]
#[inline(always)]
unsafe fn three<V: Vector<W>, const W: usize>(x: &[[f32; W]], at: usize) -> [V; 3] {
    let x = &x[at..at + 5];
    unsafe { [V::load(&x[0]), V::load(&x[2]), V::load(&x[4])] }
}

/// d0 − d1, d1, d2 − d1
#[inline(always)]
unsafe fn differences<V: Vector<W>, const W: usize>([a, b, c]: [V; 3]) -> [V; 3] {
    unsafe { [a.subtract(b), b, c.subtract(b)] }
}

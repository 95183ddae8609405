//! The faces that compute images: results from pixels, and pixels from results.

use super::super::CpuBuffer;
use super::super::parallel::for_tasks;
use super::super::product::Shared;
use super::super::simd::vectorized;
use super::super::vector::{Vector, with_vectors};
use super::form::{Form, Places, Strided};
use super::kernel::multiply;
use super::lanes::{Images, Pixels, turn_in};
use super::{APART, Group, Panels, Plan, Strip, TILES};
use std::marker::PhantomData;
use std::ops::Range;

/// Which images are computed.
#[derive(Clone, Copy, PartialEq)]
pub enum Face {
    /// Results from pixels.
    Results,
    /// Pixels from results, of the strided form.
    Pixels,
}

/// Terms of a sum that are taken at a time: a panel of weights of so many stays in the first-level cache.
const DEPTH: usize = 256;
/// Groups of tiles below which work is shared out by channels too.
const GROUPS: usize = 8;

/// The convolution, with kernels turned by half a turn if `turned`, or its adjoint. Writes all of the result.
pub fn convolve<F: Form>(plan: &Plan, face: Face, turned: bool, source: &[f32], w: &[f32], result: &mut [f32]) {
    with_vectors!(in_vectors, [F], (plan, face, turned, source, w, result));
}

fn in_vectors<F: Form, V: Vector<W>, const W: usize>(
    plan: &Plan,
    face: Face,
    turned: bool,
    source: &[f32],
    w: &[f32],
    result: &mut [f32],
) {
    let work = Work::<F, V, W>::new(plan, face, turned);
    let groups = plan.groups(TILES, face == Face::Pixels);
    let result = Shared::new(result);
    // Weights that meet one group only are transformed where they are used.
    let whole = groups.len() > 1;
    let mut weights = CpuBuffer::uninit(if whole { work.units * work.unit() } else { 0 });
    if whole {
        let weights = Shared::new(&mut weights);
        for_tasks(work.units, |unit| {
            for k in work.passes() {
                work.weights(w, unit, k.clone(), weights.part(unit * work.unit() + work.before(k.start)));
            }
        });
    }
    let multiply = |group: &Group, panels: &Panels, tiles: &[f32], unit: usize| {
        let weights = if whole { Some(&weights[unit * work.unit()..][..work.unit()]) } else { None };
        work.products(group, panels, tiles, unit, weights, w, result);
    };
    if groups.len() >= GROUPS {
        return for_tasks(groups.len(), |i| {
            let panels = work.panels(groups[i].tiles);
            let mut tiles = CpuBuffer::uninit(panels.len());
            let shared = Shared::new(&mut tiles);
            (0..work.blocks).for_each(|block| work.transform(source, &groups[i], block, &panels, shared));
            (0..work.units).for_each(|unit| multiply(&groups[i], &panels, &tiles, unit));
        });
    }
    let panels: Vec<Panels> = groups.iter().map(|group| work.panels(group.tiles)).collect();
    let starts: Vec<usize> = (0..groups.len()).map(|i| panels[..i].iter().map(Panels::len).sum()).collect();
    let mut tiles = CpuBuffer::uninit(panels.iter().map(Panels::len).sum());
    let shared = Shared::new(&mut tiles);
    for_tasks(groups.len() * work.blocks, |task| {
        let (i, block) = (task / work.blocks, task % work.blocks);
        work.transform(source, &groups[i], block, &panels[i], shared.part(starts[i]));
    });
    for_tasks(groups.len() * work.units, |task| {
        let (i, unit) = (task / work.units, task % work.units);
        multiply(&groups[i], &panels[i], &tiles[starts[i]..][..panels[i].len()], unit);
    });
}

/// A face with its sizes.
struct Work<'a, F: Form, V: Vector<W>, const W: usize> {
    plan: &'a Plan,
    face: Face,
    turned: bool,
    /// Terms of the sums, filled up to whole pairs of vectors.
    k: usize,
    /// Blocks of channels of the source.
    blocks: usize,
    /// Units of channels of the result: two blocks, or one with its four phases.
    units: usize,
    form: PhantomData<fn() -> (F, V)>,
}

impl<'a, F: Form, V: Vector<W>, const W: usize> Work<'a, F, V, W> {
    /// Channels that a panel of weights computes.
    const PAIR: usize = 2 * W;

    fn new(plan: &'a Plan, face: Face, turned: bool) -> Work<'a, F, V, W> {
        let (c, o) = (plan.c.div_ceil(F::BLOCKS * W) * F::BLOCKS, plan.o.div_ceil(2 * W));
        let (k, blocks, units) = match face {
            Face::Results => (F::PHASES * c * W, c, o),
            Face::Pixels => (2 * o * W, 2 * o, c),
        };
        Work { plan, face, turned, k, blocks, units, form: PhantomData }
    }

    /// Panels of weights of a unit.
    fn sides(&self) -> usize {
        if self.face == Face::Results { 1 } else { 2 }
    }

    /// Elements of a unit's weights.
    fn unit(&self) -> usize {
        self.before(self.k)
    }

    /// Elements of a unit's weights before term k.
    fn before(&self, k: usize) -> usize {
        self.sides() * F::PLACES * (k * Self::PAIR + k.div_ceil(DEPTH) * APART)
    }

    fn passes(&self) -> impl Iterator<Item = Range<usize>> {
        let k = self.k;
        (0..k).step_by(DEPTH).map(move |first| first..k.min(first + DEPTH))
    }

    fn panels(&self, tiles: usize) -> Panels {
        Panels { places: F::PLACES, width: Self::PAIR, count: self.k / Self::PAIR, tiles }
    }

    /// Transforms the tiles of a block of channels of the source.
    fn transform(&self, source: &[f32], group: &Group, block: usize, panels: &Panels, to: Shared) {
        vectorized(
            #[inline(always)]
            || {
                let mut scratch = Pixels::default();
                for strip in &group.strips {
                    // SAFETY: nobody else has these channels of this group.
                    unsafe {
                        match self.face {
                            Face::Results => {
                                self.plan.pixels::<F, V, W>(source, strip, block, panels, to, &mut scratch)
                            }
                            Face::Pixels => {
                                self.plan.results::<F, V, W>(source, strip, block, panels, to, &mut scratch)
                            }
                        }
                    }
                }
            },
        );
    }

    /// The kernels of some channels of the result, of one channel of the sum; of no channels, zeros.
    #[inline(always)]
    fn taps(&self, w: &[f32], sum: usize, first: usize, channels: usize) -> [[f32; W]; 16] {
        // Elements from kernel to kernel along both kinds of channels.
        let (inner, outer) = (F::TAPS, F::TAPS * if self.turned { self.plan.o } else { self.plan.c });
        let [sum_step, step] = if self.turned || self.face == Face::Pixels { [outer, inner] } else { [inner, outer] };
        let start = if channels > 0 { sum * sum_step + first * step } else { 0 };
        let mut taps = [[0.0; W]; 16];
        turn_in(&w[start..], step, channels, &mut taps[..F::TAPS]);
        if self.turned {
            taps[..F::TAPS].reverse();
        }
        taps
    }

    /// Elements from place to place of so many rows of PAIR.
    fn matrix(rows: usize) -> usize {
        rows * Self::PAIR + APART
    }

    /// Where a transformed weight of the first place stands among those of these terms.
    #[inline(always)]
    fn weight(&self, k: &Range<usize>, side: usize, term: usize, half: usize) -> usize {
        side * F::PLACES * Self::matrix(k.len()) + (term - k.start) * Self::PAIR + half * W
    }

    /// # Safety
    /// Nothing else touches these weights.
    #[inline(always)]
    unsafe fn put(&self, places: Places<V>, terms: usize, at: usize, to: Shared) {
        let step = Self::matrix(terms);
        let to = to.place(at, (F::PLACES - 1) * step + W);
        #[allow(clippy::needless_range_loop)] // by numbers, so that the places stay in registers
        for place in 0..F::PLACES {
            // SAFETY: inside by `place`, and the caller vouches for the rest.
            unsafe { places[place].store(&mut *to.add(place * step).cast()) };
        }
    }

    /// The transformed weights of a unit: `[panel, place, k, 2·W]` for some k.
    fn weights(&self, w: &[f32], unit: usize, k: Range<usize>, to: Shared) {
        let Plan { c, o, .. } = *self.plan;
        vectorized(
            #[inline(always)]
            || match self.face {
                // The terms of a channel are W apart, one for each phase.
                Face::Results => {
                    for channel in k.start / F::PHASES..k.end / F::PHASES {
                        let term = channel / W * F::PHASES * W + channel % W;
                        for half in 0..2 {
                            let first = (2 * unit + half) * W;
                            let lanes = if channel < c { o.saturating_sub(first).min(W) } else { 0 };
                            let taps = self.taps(w, channel, first, lanes);
                            for phase in 0..F::PHASES {
                                let at = self.weight(&k, 0, term + phase * W, half);
                                // SAFETY: nobody else writes this unit.
                                unsafe { self.put(F::places_of_taps(&taps, phase), k.len(), at, to) };
                            }
                        }
                    }
                }
                Face::Pixels => {
                    for term in k.clone() {
                        let lanes = if term < o { (c - unit * W).min(W) } else { 0 };
                        let taps = self.taps(w, term, unit * W, lanes);
                        for phase in 0..F::PHASES {
                            let at = self.weight(&k, phase / 2, term, phase % 2);
                            // SAFETY: as above.
                            unsafe { self.put(F::places_of_taps(&taps, phase), k.len(), at, to) };
                        }
                    }
                }
            },
        );
    }

    /// The products of a group's tiles with a unit's weights, and the images of them.
    #[allow(clippy::too_many_arguments)] // one step of `convolve`
    fn products(
        &self,
        group: &Group,
        panels: &Panels,
        tiles: &[f32],
        unit: usize,
        weights: Option<&[f32]>,
        w: &[f32],
        result: Shared,
    ) {
        let matrix = Self::matrix(group.tiles);
        let mut sums = CpuBuffer::uninit(self.sides() * F::PLACES * matrix);
        let mut own = CpuBuffer::uninit(if weights.is_none() { self.before(DEPTH.min(self.k)) } else { 0 });
        for k in self.passes() {
            let size = Self::matrix(k.len());
            let weights = match weights {
                Some(weights) => &weights[self.before(k.start)..][..self.sides() * F::PLACES * size],
                None => {
                    self.weights(w, unit, k.clone(), Shared::new(&mut own));
                    &own
                }
            };
            for (i, (b, y)) in weights.chunks_exact(size).zip(sums.chunks_exact_mut(matrix)).enumerate() {
                let a = &tiles[i % F::PLACES * panels.place() + k.start * group.tiles..][..k.len() * group.tiles];
                multiply::<W>(a, &b[..k.len() * Self::PAIR], y, group.tiles, k.start > 0);
            }
        }
        vectorized(
            #[inline(always)]
            || {
                let mut scratch = Pixels::default();
                for strip in &group.strips {
                    for half in 0..2 / self.sides() {
                        // SAFETY: no two groups have the same rows of an image, no two units the same channels.
                        unsafe {
                            match self.face {
                                Face::Results => {
                                    let block = 2 * unit + half;
                                    self.write_results(&sums[half * W..], matrix, strip, block, result, &mut scratch);
                                }
                                Face::Pixels => {
                                    self.write_pixels(&sums, matrix, strip, unit, result, &mut scratch);
                                }
                            }
                        }
                    }
                }
            },
        );
    }

    /// # Safety
    /// Nothing else touches the strip's results of this block.
    #[inline(always)]
    unsafe fn write_results(
        &self,
        sums: &[f32],
        matrix: usize,
        strip: &Strip,
        block: usize,
        y: Shared,
        scratch: &mut Pixels,
    ) {
        if block * W >= self.plan.o {
            return;
        }
        let window = self.plan.results_window(strip);
        let results = scratch.zeros::<W>(&window);
        let width = self.plan.grid[1];
        for (row, results) in results.chunks_exact_mut(4 * width).enumerate() {
            let (above, below) = results.split_at_mut(2 * width);
            for x in 0..width {
                let at = (strip.tile + row * width + x) * Self::PAIR;
                // SAFETY: `in_vectors` has V's instructions.
                unsafe {
                    let m: Places<V> = load::<F, V, W>(sums, matrix, at);
                    let [top, bottom] = F::results_of_places(&m);
                    top[0].store(&mut above[2 * x]);
                    top[1].store(&mut above[2 * x + 1]);
                    bottom[0].store(&mut below[2 * x]);
                    bottom[1].store(&mut below[2 * x + 1]);
                }
            }
        }
        let images = Images { channels: self.plan.o, size: self.plan.y };
        // SAFETY: as the caller's.
        unsafe { scratch.write::<W>(y, images, strip.image, block, &window, 0..window.size[0]) };
    }

    /// # Safety
    /// Nothing else touches the strip's pixels of this block.
    #[inline(always)]
    unsafe fn write_pixels(
        &self,
        sums: &[f32],
        matrix: usize,
        strip: &Strip,
        block: usize,
        dx: Shared,
        scratch: &mut Pixels,
    ) {
        let plan = self.plan;
        let mut window = plan.pixels_window::<F>(strip);
        let last = strip.rows.end == plan.grid[0];
        // No tile reads the pixels beyond, which get zeros.
        let all = [0, 1].map(|axis| (plan.x[axis] as isize - window.origin[axis]) as usize);
        window.size[1] = window.size[1].max(all[1]);
        if last {
            window.size[0] = window.size[0].max(all[0]);
        }
        let pixels = scratch.zeros::<W>(&window);
        for phase in 0..F::PHASES {
            let sums = &sums[phase / 2 * F::PLACES * matrix + phase % 2 * W..];
            for row in 0..strip.rows.len() {
                for x in 0..plan.grid[1] {
                    let from = (strip.tile + row * plan.grid[1] + x) * Self::PAIR;
                    let at = F::STEP * (row * window.size[1] + x) + F::first(phase, window.size[1]);
                    // SAFETY: `in_vectors` has V's instructions.
                    unsafe {
                        let m: Places<V> = load::<F, V, W>(sums, matrix, from);
                        Strided::add_pixels_of_places(&m, &mut pixels[at..], window.size[1]);
                    }
                }
            }
        }
        // The first rows belong to the strip before, the last two to the next.
        let end = if last { window.size[0] } else { F::STEP * strip.rows.len() };
        let images = Images { channels: plan.c, size: plan.x };
        // SAFETY: as the caller's.
        unsafe { scratch.write::<W>(dx, images, strip.image, block, &window, F::STEP * strip.shared..end) };
    }
}

/// The vectors of all places of a tile, `matrix` elements apart.
///
/// # Safety
/// The processor has V's instructions.
#[inline(always)]
unsafe fn load<F: Form, V: Vector<W>, const W: usize>(sums: &[f32], matrix: usize, at: usize) -> Places<V> {
    // SAFETY: as the caller's.
    unsafe {
        let place = |place: usize| sums[at + place * matrix..].first_chunk().expect("a vector a place");
        let mut m = [V::load(place(0)); 16];
        for (i, m) in m.iter_mut().enumerate().take(F::PLACES) {
            *m = V::load(place(i));
        }
        m
    }
}

//! The two faces that compute images: results from pixels, and pixels from results.

use super::super::CpuBuffer;
use super::super::parallel::for_tasks;
use super::super::product::Shared;
use super::super::simd::vectorized;
use super::kernel::multiply;
use super::lanes::{Images, Pixels, Window};
use super::transforms::{add_pixels_of_places, places_of_pixels, places_of_results, results_of_places};
use super::weights::{places_of_taps, read_taps};
use super::{Group, PLACES, Panels, Plan, Strip, TILES};
use std::ops::Range;

/// Which images are computed.
#[derive(Clone, Copy, PartialEq)]
pub enum Face {
    /// y from x
    Forward,
    /// dx from dy
    InputGradient,
}

/// Terms of a sum that are taken at a time: a panel of weights of so many stays in the first-level cache.
const DEPTH: usize = 256;
/// Groups of tiles below which work is shared out by channels too.
const GROUPS: usize = 8;

/// The convolution or its input gradient. Writes all of the result.
pub fn convolve<const W: usize>(plan: &Plan, face: Face, source: &[f32], w: &[f32], result: &mut [f32]) {
    let work = Work::<W>::new(plan, face);
    let groups = plan.groups(TILES, face == Face::InputGradient);
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
struct Work<'a, const W: usize> {
    plan: &'a Plan,
    face: Face,
    /// Terms of the sums, filled up to whole pairs of vectors.
    k: usize,
    /// Blocks of channels of the source.
    blocks: usize,
    /// Units of channels of the result: two blocks, or one with its four phases.
    units: usize,
}

impl<'a, const W: usize> Work<'a, W> {
    /// Channels that a panel of weights computes.
    const PAIR: usize = 2 * W;

    fn new(plan: &'a Plan, face: Face) -> Work<'a, W> {
        let (c, o) = (plan.c.div_ceil(W), plan.o.div_ceil(2 * W));
        match face {
            Face::Forward => Work { plan, face, k: 4 * c * W, blocks: c, units: o },
            Face::InputGradient => Work { plan, face, k: 2 * o * W, blocks: 2 * o, units: c },
        }
    }

    /// Panels of weights of a unit.
    fn sides(&self) -> usize {
        if self.face == Face::Forward { 1 } else { 2 }
    }

    /// Elements of a unit's weights.
    fn unit(&self) -> usize {
        self.before(self.k)
    }

    /// Elements of a unit's weights before term k.
    fn before(&self, k: usize) -> usize {
        self.sides() * PLACES * k * Self::PAIR
    }

    fn passes(&self) -> impl Iterator<Item = Range<usize>> {
        let k = self.k;
        (0..k).step_by(DEPTH).map(move |first| first..k.min(first + DEPTH))
    }

    fn panels(&self, tiles: usize) -> Panels {
        Panels { width: Self::PAIR, count: self.k / Self::PAIR, tiles }
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
                            Face::Forward => self.plan.pixels::<W>(source, strip, block, panels, to, &mut scratch),
                            Face::InputGradient => {
                                self.plan.results::<W>(source, strip, block, panels, to, &mut scratch)
                            }
                        }
                    }
                }
            },
        );
    }

    /// The transformed weights of a unit: `[panel, place, k, 2·W]` for some k.
    fn weights(&self, w: &[f32], unit: usize, k: Range<usize>, to: Shared) {
        let Plan { c, o, .. } = *self.plan;
        let at = |side: usize, place: usize, term: usize, half: usize| {
            ((side * PLACES + place) * k.len() + term - k.start) * Self::PAIR + half * W
        };
        // SAFETY: nobody else writes this unit.
        let put = |at: usize, v: &[f32; W]| unsafe { to.slice(at, W).copy_from_slice(v) };
        vectorized(
            #[inline(always)]
            || match self.face {
                // In lanes: channels of the result; the terms of a channel are W apart, one for each phase.
                Face::Forward => {
                    for channel in k.start / 4..k.end / 4 {
                        let term = channel / W * 4 * W + channel % W;
                        for half in 0..2 {
                            let first = (2 * unit + half) * W;
                            let lanes = if channel < c { o.saturating_sub(first).min(W) } else { 0 };
                            let start = if lanes > 0 { (first * c + channel) * 16 } else { 0 };
                            let taps = read_taps::<W>(&w[start..], 16 * c, lanes);
                            for phase in 0..4 {
                                for (place, v) in places_of_taps(&taps, phase).iter().enumerate() {
                                    put(at(0, place, term + phase * W, half), v);
                                }
                            }
                        }
                    }
                }
                Face::InputGradient => {
                    let lanes = (c - unit * W).min(W);
                    for term in k.clone() {
                        let (lanes, start) = if term < o { (lanes, (term * c + unit * W) * 16) } else { (0, 0) };
                        let taps = read_taps::<W>(&w[start..], 16, lanes);
                        for phase in 0..4 {
                            for (place, v) in places_of_taps(&taps, phase).iter().enumerate() {
                                put(at(phase / 2, place, term, phase % 2), v);
                            }
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
        let matrix = group.tiles * Self::PAIR;
        let mut sums = CpuBuffer::uninit(self.sides() * PLACES * matrix);
        let mut own = CpuBuffer::uninit(if weights.is_none() { self.before(DEPTH.min(self.k)) } else { 0 });
        for k in self.passes() {
            let size = k.len() * Self::PAIR;
            let weights = match weights {
                Some(weights) => &weights[self.before(k.start)..][..self.sides() * PLACES * size],
                None => {
                    self.weights(w, unit, k.clone(), Shared::new(&mut own));
                    &own
                }
            };
            for (i, (b, y)) in weights.chunks_exact(size).zip(sums.chunks_exact_mut(matrix)).enumerate() {
                let a = &tiles[i % PLACES * panels.place() + k.start * group.tiles..][..k.len() * group.tiles];
                multiply::<W>(a, b, y, group.tiles, k.start > 0);
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
                                Face::Forward => {
                                    let block = 2 * unit + half;
                                    self.write_results(&sums[half * W..], matrix, strip, block, result, &mut scratch);
                                }
                                Face::InputGradient => {
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
        results_of_places(sums, [matrix, Self::PAIR], strip, self.plan.grid[1], results);
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
        let mut window = plan.pixels_window(strip);
        let last = strip.rows.end == plan.grid[0];
        // No tile reads the pixels beyond, which get zeros.
        let all = [0, 1].map(|axis| (plan.x[axis] as isize - window.origin[axis]) as usize);
        window.size[1] = window.size[1].max(all[1]);
        if last {
            window.size[0] = window.size[0].max(all[0]);
        }
        let pixels = scratch.zeros::<W>(&window);
        for phase in 0..4 {
            let sums = &sums[phase / 2 * PLACES * matrix + phase % 2 * W..];
            let width = plan.grid[1];
            add_pixels_of_places(sums, [matrix, Self::PAIR], strip, width, phase, pixels, window.size[1]);
        }
        // The first rows belong to the strip before, the last two to the next.
        let end = if last { window.size[0] } else { 4 * strip.rows.len() };
        let images = Images { channels: plan.c, size: plan.x };
        // SAFETY: as the caller's.
        unsafe { scratch.write::<W>(dx, images, strip.image, block, &window, 4 * strip.shared..end) };
    }
}

impl Plan {
    /// The pixels that a strip's tiles read.
    fn pixels_window(&self, strip: &Strip) -> Window {
        let top = 4 * strip.rows.start as isize - self.before[0] as isize;
        Window { origin: [top, -(self.before[1] as isize)], size: [4 * strip.rows.len() + 2, 4 * self.grid[1] + 2] }
    }

    /// The results of a strip's tiles.
    fn results_window(&self, strip: &Strip) -> Window {
        Window { origin: [2 * strip.rows.start as isize, 0], size: [2 * strip.rows.len(), 2 * self.grid[1]] }
    }

    /// The places of a strip's pixels, of a block of channels.
    ///
    /// # Safety
    /// Nothing else touches these elements of the panels meanwhile.
    #[inline(always)]
    pub(super) unsafe fn pixels<const W: usize>(
        &self,
        x: &[f32],
        strip: &Strip,
        block: usize,
        panels: &Panels,
        to: Shared,
        scratch: &mut Pixels,
    ) {
        let window = self.pixels_window(strip);
        let images = Images { channels: self.c, size: self.x };
        let pixels = scratch.read::<W>(x, images, strip.image, block, &window);
        // SAFETY: as the caller's.
        unsafe { places_of_pixels(pixels, window.size[1], strip, self.grid[1], panels, block * 4 * W, to) };
    }

    /// The places of a strip's results, of a block of channels.
    ///
    /// # Safety
    /// Nothing else touches these elements of the panels meanwhile.
    #[inline(always)]
    pub(super) unsafe fn results<const W: usize>(
        &self,
        dy: &[f32],
        strip: &Strip,
        block: usize,
        panels: &Panels,
        to: Shared,
        scratch: &mut Pixels,
    ) {
        let window = self.results_window(strip);
        let images = Images { channels: self.o, size: self.y };
        let results = scratch.read::<W>(dy, images, strip.image, block, &window);
        // SAFETY: as the caller's.
        unsafe { places_of_results(results, strip, self.grid[1], panels, block * W, to) };
    }
}

//! Images turned into transformed tiles: what both sides of a product are made of.

use super::super::product::Shared;
use super::super::vector::Vector;
use super::form::{Form, Places};
use super::lanes::{Images, Pixels, Window};
use super::{Panels, Plan, Strip};

impl Panels {
    /// Stores a block of channels of a tile's places, the first of which begins at `at`.
    ///
    /// # Safety
    /// Nothing else touches these elements meanwhile.
    #[inline(always)]
    unsafe fn store<F: Form, V: Vector<W>, const W: usize>(&self, places: Places<V>, at: usize, to: Shared) {
        let (place, panel) = (self.place(), self.tiles * self.width);
        let wide = self.width >= W;
        let to = to.place(at, (F::PLACES - 1) * place + if wide { W } else { panel + W / 2 });
        #[allow(clippy::needless_range_loop)] // by numbers, so that the places stay in registers
        for i in 0..F::PLACES {
            // SAFETY: inside by `place`, and the caller vouches for the rest.
            unsafe {
                let to = to.add(i * place);
                if wide {
                    places[i].store(&mut *to.cast());
                } else {
                    // Panels half as wide as a vector.
                    places[i].write_halves(to, to.add(panel), W / 2);
                }
            }
        }
    }
}

impl Plan {
    /// The pixels that a strip's tiles read.
    pub(super) fn pixels_window<F: Form>(&self, strip: &Strip) -> Window {
        Window {
            origin: [(F::STEP * strip.rows.start) as isize - self.before[0] as isize, -(self.before[1] as isize)],
            size: [F::STEP * strip.rows.len() + 2, F::STEP * self.grid[1] + 2],
        }
    }

    /// The results of a strip's tiles.
    pub(super) fn results_window(&self, strip: &Strip) -> Window {
        Window { origin: [2 * strip.rows.start as isize, 0], size: [2 * strip.rows.len(), 2 * self.grid[1]] }
    }

    /// The places of a strip's pixels, of a block of channels.
    ///
    /// # Safety
    /// The processor has V's instructions, and nothing else touches these elements of the panels meanwhile.
    #[inline(always)]
    pub(super) unsafe fn pixels<F: Form, V: Vector<W>, const W: usize>(
        &self,
        x: &[f32],
        strip: &Strip,
        block: usize,
        panels: &Panels,
        to: Shared,
        scratch: &mut Pixels,
    ) {
        let window = self.pixels_window::<F>(strip);
        let images = Images { channels: self.c, size: self.x };
        let (pixels, pitch) = (scratch.read::<W>(x, images, strip.image, block, &window), window.size[1]);
        for phase in 0..F::PHASES {
            let start = panels.at(strip.tile, (block * F::PHASES + phase) * W);
            for row in 0..strip.rows.len() {
                for x in 0..self.grid[1] {
                    let pixels = &pixels[F::STEP * (row * pitch + x) + F::first(phase, pitch)..];
                    let at = start + (row * self.grid[1] + x) * panels.width;
                    // SAFETY: as the caller's.
                    unsafe { panels.store::<F, V, W>(F::places_of_pixels(pixels, pitch), at, to) };
                }
            }
        }
    }

    /// The places of a strip's results, of a block of channels.
    ///
    /// # Safety
    /// The processor has V's instructions, and nothing else touches these elements of the panels meanwhile.
    #[inline(always)]
    pub(super) unsafe fn results<F: Form, V: Vector<W>, const W: usize>(
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
        let results: &[[f32; W]] = scratch.read(dy, images, strip.image, block, &window);
        let (start, width) = (panels.at(strip.tile, block * W), self.grid[1]);
        for (row, results) in results.chunks_exact(4 * width).enumerate() {
            let (top, bottom) = results.split_at(2 * width);
            for x in 0..width {
                let at = start + (row * width + x) * panels.width;
                // SAFETY: as the caller's.
                unsafe {
                    let tile = [
                        [V::load(&top[2 * x]), V::load(&top[2 * x + 1])],
                        [V::load(&bottom[2 * x]), V::load(&bottom[2 * x + 1])],
                    ];
                    panels.store::<F, V, W>(F::places_of_results(tile), at, to);
                }
            }
        }
    }
}

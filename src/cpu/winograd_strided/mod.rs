//! 4x4 convolutions of stride 2 by Winograd's F(2x2, 2x2): 9 products instead of 16 for each four results.
//!
//! With stride 2 the even and odd taps of the kernel meet even and odd pixels: a 4x4 convolution is a sum of four 2x2
//! convolutions of stride 1, one for each phase of the pixels. Along an axis two results y0 = d0·g0 + d1·g1 and
//! y1 = d1·g0 + d2·g1 take three products: y0 = m0 + m1 and y1 = m1 + m2 of m0 = (d0 − d1)·g0, m1 = d1·(g0 + g1) and
//! m2 = (d2 − d1)·g1 (Winograd 1980; Lavin and Gray 2016). With B, G and A for the sums that make the places of d, of g and
//! of the results, y = Aᵀ(Gg ⊙ Bd). The form is linear in each of d and g, so its two gradients are the adjoint forms,
//! with the same few products: dd = Bᵀ(Gg ⊙ A dy) and dg = Gᵀ(A dy ⊙ Bd).
//!
//! The sums over channels (for the weights: over tiles) stand between the transforms, so that each of the nine places of a
//! tile is a matrix product. Between planes of images and products, channels lie side by side in lanes: then every sum of a
//! transform is one vector operation, whatever the size of the image.

mod images;
mod kernel;
mod lanes;
#[cfg(test)]
mod tests;
mod transforms;
mod weight_gradient;
mod weights;

use super::conv::Sizes;
use std::ops::Range;

pub use images::Face;

/// Places of a transformed tile.
const PLACES: usize = 9;

/// Channels on either side and tiles from which on the transforms are worth it.
const LEAST_CHANNELS: usize = 32;
const LEAST_TILES: usize = 64;

/// Tiles that are worked on at a time, and those from which on an image is cut into strips.
const TILES: usize = 64;
const MOST_TILES: usize = 144;

/// Calls `$function::<W>($arguments)` with the lanes of a vector of the instruction set.
macro_rules! with_lanes {
    ($function:path, ($($argument:expr),* $(,)?)) => {{
        use $function as lanes;
        match $crate::cpu::simd::Isa::best() {
            $crate::cpu::simd::Isa::Avx512 => lanes::<16>($($argument),*),
            _ => lanes::<8>($($argument),*),
        }
    }};
}

/// A 4x4 convolution of stride 2 in tiles of 2x2 results, if that pays.
pub struct Plan {
    n: usize,
    /// Channels of pixels and of results.
    c: usize,
    o: usize,
    /// Heights and widths.
    x: [usize; 2],
    y: [usize; 2],
    /// Zeros above and to the left.
    before: [usize; 2],
    /// Tiles along each axis.
    grid: [usize; 2],
}

impl Plan {
    /// The rule looks at shapes only.
    pub fn of(s: &Sizes) -> Option<Plan> {
        let shape = s.groups == 1 && s.kernel == [4, 4] && s.stride == [2, 2] && s.dilation == [1, 1];
        let plan =
            Plan { n: s.n, c: s.c, o: s.o, x: s.x, y: s.y, before: s.before, grid: s.y.map(|len| len.div_ceil(2)) };
        let tiles = s.n * plan.grid[0] * plan.grid[1];
        let large = s.c.min(s.o) >= LEAST_CHANNELS && tiles >= LEAST_TILES;
        // What is computed for lanes and tiles that are filled up must not eat the gain, 16 products to 9.
        let whole = 4 * tiles * s.c.next_multiple_of(16) * s.o.next_multiple_of(32);
        (shape && large && whole as f64 <= 1.5 * (s.n * s.y[0] * s.y[1] * s.c * s.o) as f64).then_some(plan)
    }

    /// y = conv2d(x, w). Writes all of y.
    pub fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        with_lanes!(images::convolve, (self, Face::Forward, x, w, y));
    }

    /// dx from dy and w. Writes all of dx.
    pub fn input_gradient(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        with_lanes!(images::convolve, (self, Face::InputGradient, dy, w, dx));
    }

    /// dw from x and dy. Writes all of dw.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        weight_gradient::weight_gradient(self, x, dy, dw);
    }

    /// Groups of about `wanted` tiles: whole images, or strips of large ones. Where strips of results overlap, they begin one row of
    /// tiles earlier, whose results they share with the strip before.
    fn groups(&self, wanted: usize, overlap: bool) -> Vec<Group> {
        let [height, width] = self.grid;
        let rows = if height * width <= MOST_TILES { height } else { (2 * TILES).div_ceil(width).max(4).min(height) };
        let mut groups: Vec<Group> = Vec::new();
        for image in 0..self.n {
            for first in (0..height).step_by(rows) {
                let shared = usize::from(overlap && first > 0);
                let strip = Strip { image, rows: first - shared..height.min(first + rows), shared, tile: 0 };
                let tiles = strip.rows.len() * width;
                match groups.last_mut() {
                    Some(group) if group.tiles + tiles <= wanted => {
                        group.strips.push(Strip { tile: group.tiles, ..strip });
                        group.tiles += tiles;
                    }
                    _ => groups.push(Group { strips: vec![strip], tiles }),
                }
            }
        }
        groups
    }
}

/// Some rows of tiles of an image.
struct Strip {
    image: usize,
    rows: Range<usize>,
    /// Of them, those whose own results belong to the strip before.
    shared: usize,
    /// The number of its first tile within the group.
    tile: usize,
}

/// Strips that are worked on together.
struct Group {
    strips: Vec<Strip>,
    tiles: usize,
}

/// Transformed images: for each place, panel and tile `width` channels side by side.
struct Panels {
    width: usize,
    count: usize,
    tiles: usize,
}

impl Panels {
    fn len(&self) -> usize {
        PLACES * self.place()
    }

    /// Elements from one place to the next.
    fn place(&self) -> usize {
        self.count * self.tiles * self.width
    }

    /// Where channel `column` of a tile lies in the first place.
    fn at(&self, tile: usize, column: usize) -> usize {
        (column / self.width * self.tiles + tile) * self.width + column % self.width
    }
}

//! Winograd's convolutions: fewer products than terms, 16 instead of 36 (3x3, stride 1) or 9 instead of 16 (4x4, stride 2).
//!
//! A tile of 2x2 results is y = Aᵀ(Gg ⊙ Bd), where B, G and A are sums that make the places of a tile from its pixels d, of a
//! kernel from its taps g, and the results from the places. The form is linear in d and in g, so its gradients are the
//! adjoint forms with as few products: dg = Gᵀ(A dy ⊙ Bd), dd = Bᵀ(Gg ⊙ A dy). The latter is taken for stride 2; at stride 1
//! the input gradient is the convolution with the turned kernel. `form` has the sums.
//!
//! The sums over channels (for the weights: over tiles) stand between the transforms, so that each place of a tile is a
//! matrix product. Between planes of images and products, channels lie side by side in lanes: then every sum of a
//! transform is one vector operation, whatever the size of the image.

mod form;
mod images;
mod kernel;
mod lanes;
#[cfg(test)]
mod tests;
mod tiles;
mod weight_gradient;

use super::conv::Sizes;
use form::{Square, Strided};
use images::Face;
use std::ops::Range;

/// Channels on either side and tiles from which on the transforms are worth it.
const LEAST_CHANNELS: usize = 32;
const LEAST_TILES: usize = 64;

/// Tiles that are worked on at a time, and those from which on an image is cut into strips.
const TILES: usize = 64;
const MOST_TILES: usize = 144;

/// What is computed for lanes and tiles that are filled up must leave so much of the gain: 36 products to 16, or 16 to 9.
const MOST_WASTE: [f64; 2] = [1.8, 1.5];

/// Elements between the places of a tile beside what they hold: distances that are powers of two would all meet in the same lines
/// of the cache.
const APART: usize = 48;

/// A convolution in tiles of 2x2 results, if that pays.
pub struct Plan {
    /// Whether its kernels are 4x4 of stride 2; otherwise 3x3 of stride 1.
    strided: bool,
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
        let strided = match (s.kernel, s.stride) {
            ([4, 4], [2, 2]) => true,
            ([3, 3], [1, 1]) => false,
            _ => return None,
        };
        // The input gradient of the square form has 2 − before zeros around.
        let shape = s.groups == 1 && s.dilation == [1, 1] && (strided || s.before.iter().all(|&before| before <= 2));
        let grid = s.y.map(|len| len.div_ceil(2));
        let plan = Plan { strided, n: s.n, c: s.c, o: s.o, x: s.x, y: s.y, before: s.before, grid };
        let tiles = s.n * grid[0] * grid[1];
        let large = s.c.min(s.o) >= LEAST_CHANNELS && tiles >= LEAST_TILES;
        let c = s.c.next_multiple_of(if strided { 16 } else { 32 });
        let whole = (4 * tiles * c * s.o.next_multiple_of(32)) as f64;
        let needed = (s.n * s.y[0] * s.y[1] * s.c * s.o) as f64;
        (shape && large && whole <= MOST_WASTE[usize::from(strided)] * needed).then_some(plan)
    }

    /// y = conv2d(x, w). Writes all of y.
    pub fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        if self.strided {
            images::convolve::<Strided>(self, Face::Results, false, x, w, y);
        } else {
            images::convolve::<Square>(self, Face::Results, false, x, w, y);
        }
    }

    /// dx from dy and w. Writes all of dx.
    pub fn input_gradient(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        if self.strided {
            return images::convolve::<Strided>(self, Face::Pixels, false, dy, w, dx);
        }
        let turned = Plan {
            c: self.o,
            o: self.c,
            x: self.y,
            y: self.x,
            before: self.before.map(|before| 2 - before),
            grid: self.x.map(|len| len.div_ceil(2)),
            ..*self
        };
        images::convolve::<Square>(&turned, Face::Results, true, dy, w, dx);
    }

    /// dw from x and dy. Writes all of dw.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        if self.strided {
            weight_gradient::weight_gradient::<Strided>(self, x, dy, dw);
        } else {
            weight_gradient::weight_gradient::<Square>(self, x, dy, dw);
        }
    }

    /// Groups of about `wanted` tiles: whole images, or strips of large ones. Where strips of results overlap, they begin one row of
    /// tiles earlier, whose results they share with the strip before.
    fn groups(&self, wanted: usize, overlap: bool) -> Vec<Group> {
        let [height, width] = self.grid;
        // A row that is shared costs a quarter at most.
        let least = if overlap { 4 } else { 1 };
        let rows =
            if height * width <= MOST_TILES { height } else { (2 * TILES).div_ceil(width).max(least).min(height) };
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
    places: usize,
    width: usize,
    count: usize,
    tiles: usize,
}

impl Panels {
    fn len(&self) -> usize {
        self.places * self.place()
    }

    /// Elements from one place to the next.
    fn place(&self) -> usize {
        self.count * self.tiles * self.width + APART
    }

    /// Where channel `column` of a tile lies in the first place.
    fn at(&self, tile: usize, column: usize) -> usize {
        (column / self.width * self.tiles + tile) * self.width + column % self.width
    }
}

//! The fabric patterns: repeating tiles of anti-aliased shapes, and two patterns that span the whole garment.

use super::palette::{Rgb, mix};
use tiny_skia::{FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Shader, Stroke, Transform};

/// How the cloth is patterned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pattern {
    /// One colour.
    Plain,
    /// Bands and a fine line between them.
    Stripes,
    /// Woven checks of two colours and their mixture.
    Gingham,
    /// Tartan: crossing bands of several colours.
    Plaid,
    /// Staggered dots.
    Dots,
    /// The broken checks of twill.
    Houndstooth,
    /// Chevrons.
    Zigzag,
    /// Diamonds with crossing lines.
    Argyle,
    /// Overlapping scales.
    Scallop,
    /// Scattered flowers and leaves.
    Floral,
    /// A fade from one colour to another.
    Gradient,
    /// Three broad blocks of colour.
    Blocks,
}

impl Pattern {
    /// Every pattern, in the order of their ids.
    pub const ALL: [Pattern; 12] = [
        Pattern::Plain,
        Pattern::Stripes,
        Pattern::Gingham,
        Pattern::Plaid,
        Pattern::Dots,
        Pattern::Houndstooth,
        Pattern::Zigzag,
        Pattern::Argyle,
        Pattern::Scallop,
        Pattern::Floral,
        Pattern::Gradient,
        Pattern::Blocks,
    ];

    /// Small number that identifies the pattern: its place in [`Pattern::ALL`].
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The pattern's name, such as `houndstooth`.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Plain => "plain",
            Pattern::Stripes => "stripes",
            Pattern::Gingham => "gingham",
            Pattern::Plaid => "plaid",
            Pattern::Dots => "dots",
            Pattern::Houndstooth => "houndstooth",
            Pattern::Zigzag => "zigzag",
            Pattern::Argyle => "argyle",
            Pattern::Scallop => "scallop",
            Pattern::Floral => "floral",
            Pattern::Gradient => "gradient",
            Pattern::Blocks => "blocks",
        }
    }

    /// The pattern of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Pattern> {
        Pattern::ALL.into_iter().find(|pattern| pattern.name() == name)
    }

    /// Width and height of one repeat, as parts of a canvas of 100, at scale 1. At 28 pixels a repeat still has to be
    /// four pixels wide or more, or nobody could see it.
    pub(super) fn repeat(self) -> (f32, f32) {
        match self {
            Pattern::Plain | Pattern::Gradient | Pattern::Blocks => (100.0, 100.0),
            Pattern::Stripes => (15.5, 15.5),
            Pattern::Gingham => (14.5, 14.5),
            Pattern::Plaid => (25.0, 25.0),
            Pattern::Dots => (17.0, 17.0),
            Pattern::Houndstooth => (15.0, 15.0),
            Pattern::Zigzag => (15.0, 14.0),
            Pattern::Argyle => (17.0, 26.0),
            Pattern::Scallop => (16.0, 15.0),
            Pattern::Floral => (27.0, 27.0),
        }
    }

    /// The angle that the cloth is laid at, in degrees. Any cloth may get any pattern, so the angle drawn for a cloth
    /// is read sensibly by each: checks look the same after a quarter turn, and scales never lie on their side.
    pub(super) fn lay(self, angle: f32) -> f32 {
        match self {
            Pattern::Plain | Pattern::Stripes | Pattern::Zigzag | Pattern::Gradient | Pattern::Blocks => angle,
            Pattern::Gingham | Pattern::Plaid | Pattern::Houndstooth => angle % 90.0,
            Pattern::Dots | Pattern::Argyle | Pattern::Scallop | Pattern::Floral => {
                let straight = angle % 45.0;
                if straight > 22.5 { straight - 45.0 } else { straight }
            }
        }
    }
}

/// An opaque colour.
pub(super) fn solid(c: Rgb) -> tiny_skia::Color {
    tiny_skia::Color::from_rgba8(c[0], c[1], c[2], 255)
}

/// Paints one repeat: everything is drawn in a unit square and wraps around its edges.
pub(super) fn weave(pattern: Pattern, style: f32, colours: [Rgb; 4], width: u32, height: u32) -> Option<Pixmap> {
    let [ground, figure, accent, ink] = colours;
    let mut loom = Loom { tile: Pixmap::new(width, height)?, unit: Transform::from_scale(width as f32, height as f32) };
    loom.tile.fill(solid(ground));
    match pattern {
        Pattern::Plain | Pattern::Gradient | Pattern::Blocks => {}
        Pattern::Stripes if style < 0.4 => loom.bands(&[(0.25, 0.5, figure, 1.0)], true),
        Pattern::Stripes if style < 0.7 => {
            loom.bands(&[(0.28, 0.44, figure, 1.0), (0.02, 0.04, accent, 0.9), (0.94, 0.04, accent, 0.9)], true)
        }
        Pattern::Stripes => loom.bands(&[(0.14, 0.3, figure, 1.0), (0.56, 0.3, accent, 1.0)], true),
        Pattern::Gingham => {
            loom.tile.fill(solid(mix(figure, ground, 0.06)));
            for level in [true, false] {
                loom.bands(&[(0.25, 0.5, ground, 0.6)], level);
            }
        }
        Pattern::Plaid => {
            for level in [true, false] {
                loom.bands(&[(0.06, 0.3, figure, 0.62), (0.5, 0.16, ink, 0.5), (0.82, 0.05, accent, 0.9)], level);
                loom.bands(&[(0.19, 0.04, ground, 0.8), (0.575, 0.025, figure, 0.8)], level);
            }
        }
        Pattern::Dots => {
            let r = 0.19 + 0.045 * style.clamp(0.0, 1.0);
            let dots = wrap(&[(0.0, 0.0), (0.5, 0.5)], |b, x, y| b.push_circle(x, y, r));
            loom.fill(dots, figure, 1.0);
            if style > 0.75 {
                loom.fill(wrap(&[(0.5, 0.5)], |b, x, y| b.push_circle(x, y, r)), accent, 1.0);
            }
        }
        Pattern::Houndstooth => loom.fill(houndstooth(), figure, 1.0),
        Pattern::Zigzag => {
            let chevron = |y: f32, t: f32| {
                polygon(&[(-0.5, y + 0.5), (0.0, y), (0.5, y + 0.5), (1.0, y), (1.5, y + 0.5)], Some(t))
            };
            for y in [-1.0, 0.0, 1.0] {
                loom.fill(chevron(y - 0.12, 0.46), figure, 1.0);
                if style > 0.5 {
                    loom.fill(chevron(y + 0.55, 0.09), accent, 1.0);
                }
            }
        }
        Pattern::Argyle => {
            loom.fill(polygon(&[(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)], None), figure, 1.0);
            let mut lines = PathBuilder::new();
            for (x0, x1) in [(-0.5, 1.5), (1.5, -0.5)] {
                lines.move_to(x0, -0.5);
                lines.line_to(x1, 1.5);
            }
            loom.stroke(lines.finish(), accent, 0.05);
            if style > 0.5 {
                loom.fill(wrap(&[(0.0, 0.0)], |b, x, y| b.push_circle(x, y, 0.09)), accent, 1.0);
            }
        }
        Pattern::Scallop => {
            // From the lowest row up: each row covers the upper half of the one below it.
            for row in -1..4 {
                let (x, y) = (if row % 2 == 0 { 0.0 } else { 0.5 }, 1.0 - 0.5 * row as f32);
                for (r, c) in [(0.5, ground), (0.41, figure), (0.24, ground), (0.12, accent)] {
                    let mut scales = PathBuilder::new();
                    for i in [-1.0, 0.0, 1.0] {
                        scales.push_circle(x + i, y, r);
                    }
                    loom.fill(scales.finish(), c, 1.0);
                }
            }
        }
        Pattern::Floral => floral(&mut loom, style, colours),
    }
    Some(loom.tile)
}

/// Leaves first, then the petals of two flowers and a bud, then their hearts.
fn floral(loom: &mut Loom, style: f32, [ground, figure, accent, ink]: [Rgb; 4]) {
    let leaf = mix(mix(ground, ink, 0.55), accent, 0.25);
    let spin = style.clamp(0.0, 1.0) * 1.2;
    let flowers = [(0.27, 0.28, 0.135, spin), (0.77, 0.74, 0.115, spin + 0.6)];
    let leaves: [(f32, f32, f32, f32); 6] = [
        (0.27, 0.28, 0.9, 0.3),
        (0.27, 0.28, 3.6, 0.29),
        (0.77, 0.74, 2.2, 0.27),
        (0.77, 0.74, 5.4, 0.27),
        (0.79, 0.2, 2.4, 0.17),
        (0.24, 0.8, 5.6, 0.17),
    ];
    let mut path = PathBuilder::new();
    for (x, y, angle, length) in leaves {
        for (i, j) in around(x, y, length) {
            let (x, y) = (x + i, y + j);
            let (dx, dy) = (length * angle.cos(), length * angle.sin());
            path.move_to(x, y);
            path.quad_to(x + 0.5 * dx - 0.42 * dy, y + 0.5 * dy + 0.42 * dx, x + dx, y + dy);
            path.quad_to(x + 0.6 * dx + 0.34 * dy, y + 0.6 * dy - 0.34 * dx, x, y);
            path.close();
        }
    }
    loom.fill(path.finish(), leaf, 1.0);
    let mut petals = PathBuilder::new();
    for (x, y, r, spin) in flowers {
        for petal in 0..5 {
            let angle = spin + petal as f32 * 1.256_637;
            let (px, py) = (x + r * angle.cos(), y + r * angle.sin());
            for (i, j) in around(px, py, r) {
                petals.push_circle(px + i, py + j, 0.74 * r);
            }
        }
    }
    loom.fill(petals.finish(), figure, 1.0);
    loom.fill(wrap(&[(0.79, 0.2), (0.24, 0.8)], |b, x, y| b.push_circle(x, y, 0.07)), accent, 1.0);
    let mut hearts = PathBuilder::new();
    for (x, y, r, _) in flowers {
        hearts.push_circle(x, y, 0.52 * r);
    }
    loom.fill(hearts.finish(), accent, 1.0);
}

/// A tile being painted.
struct Loom {
    tile: Pixmap,
    unit: Transform,
}

impl Loom {
    fn paint(colour: Rgb, alpha: f32) -> Paint<'static> {
        let mut colour = solid(colour);
        colour.set_alpha(alpha);
        Paint { shader: Shader::SolidColor(colour), ..Paint::default() }
    }

    fn fill(&mut self, path: Option<Path>, colour: Rgb, alpha: f32) {
        if let Some(path) = path {
            self.tile.fill_path(&path, &Loom::paint(colour, alpha), FillRule::Winding, self.unit, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, colour: Rgb, width: f32) {
        if let Some(path) = path {
            let stroke = Stroke { width, ..Stroke::default() };
            self.tile.stroke_path(&path, &Loom::paint(colour, 1.0), &stroke, self.unit, None);
        }
    }

    /// Bands (start, width, colour, alpha) across the tile: level or upright.
    fn bands(&mut self, bands: &[(f32, f32, Rgb, f32)], level: bool) {
        for &(start, width, colour, alpha) in bands {
            let rect =
                if level { Rect::from_xywh(-0.1, start, 1.2, width) } else { Rect::from_xywh(start, -0.1, width, 1.2) };
            self.fill(rect.map(PathBuilder::from_rect), colour, alpha);
        }
    }
}

/// Draws a shape at each place and at those of its repeats that reach into the tile.
fn wrap(places: &[(f32, f32)], mut draw: impl FnMut(&mut PathBuilder, f32, f32)) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for &(x, y) in places {
        for (i, j) in around(x, y, 0.25) {
            draw(&mut builder, x + i, y + j);
        }
    }
    builder.finish()
}

/// The whole steps by which a shape of that reach has to be repeated to cover the tile.
fn around(x: f32, y: f32, reach: f32) -> impl Iterator<Item = (f32, f32)> {
    let touches = move |v: f32, step: f32| v + step + reach > 0.0 && v + step - reach < 1.0;
    let steps = [-1.0, 0.0, 1.0];
    steps
        .into_iter()
        .filter(move |&i| touches(x, i))
        .flat_map(move |i| steps.into_iter().filter(move |&j| touches(y, j)).map(move |j| (i, j)))
}

/// A closed polygon; with a thickness, the band below the polyline.
fn polygon(points: &[(f32, f32)], thickness: Option<f32>) -> Option<Path> {
    let mut builder = PathBuilder::new();
    builder.move_to(points[0].0, points[0].1);
    for &(x, y) in &points[1..] {
        builder.line_to(x, y);
    }
    if let Some(t) = thickness {
        for &(x, y) in points.iter().rev() {
            builder.line_to(x, y + t);
        }
    }
    builder.close();
    builder.finish()
}

/// The 2/2 twill of four dark and four light threads each way, its stair steps drawn as diagonals: in units of half a
/// tile, one square is all dark, one all light, and the other two are crossed by the diagonals.
fn houndstooth() -> Option<Path> {
    let pieces: [&[(f32, f32)]; 5] = [
        &[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
        &[(1.5, 0.0), (2.0, 0.0), (1.0, 1.0), (1.0, 0.5)],
        &[(2.0, 0.5), (2.0, 1.0), (1.5, 1.0)],
        &[(0.0, 1.0), (0.5, 1.0), (0.0, 1.5)],
        &[(1.0, 1.0), (1.0, 1.5), (0.5, 2.0), (0.0, 2.0)],
    ];
    let mut builder = PathBuilder::new();
    for piece in pieces {
        builder.move_to(piece[0].0 / 2.0, piece[0].1 / 2.0);
        for &(x, y) in &piece[1..] {
            builder.line_to(x / 2.0, y / 2.0);
        }
        builder.close();
    }
    builder.finish()
}

//! Cloth to cut pieces from: a woven tile or a fade, and its colour at any place of the picture.

use super::palette::{Rgb, mix};
use super::patterns::{Pattern, weave};
use super::{Cloth, Palette};
use tiny_skia::Transform;

/// A cloth made ready to paint with at one size.
pub(super) struct Fabric {
    tile: Option<Tile>,
    pattern: Pattern,
    /// From the tile's pixels (or, without a tile, from the canvas of 100 laid straight) to the canvas of 100.
    lay: Transform,
    pub colours: [Rgb; 4],
    /// Samples per pixel and axis: small pictures take several, or fine figures would alias.
    pub samples: usize,
}

/// One repeat of a pattern, as numbers to interpolate between.
struct Tile {
    width: usize,
    height: usize,
    colours: Vec<[f32; 3]>,
}

impl Fabric {
    /// Weaves the tile that `cloth` repeats, for a canvas of `size` pixels; without one if nobody will see the pattern.
    pub fn new(cloth: &Cloth, palette: &Palette, size: f32, patterned: bool) -> Fabric {
        let tint =
            |c: Rgb| if cloth.tint < 0.0 { mix(c, palette.ink, -cloth.tint) } else { mix(c, [255; 3], cloth.tint) };
        let colours = [tint(palette.ground), tint(palette.figure), tint(palette.accent), palette.ink];
        let scale = if cloth.scale.is_finite() { cloth.scale.clamp(0.25, 4.0) } else { 1.0 };
        let angle = if cloth.angle.is_finite() { cloth.angle } else { 0.0 };
        let (w, h) = cloth.pattern.repeat();
        let (w, h) = (w * scale, h * scale);
        let samples = if size < 200.0 { 2 } else { 1 };
        let around = Transform::from_rotate_at(cloth.pattern.lay(angle), 50.0, 50.0);
        let (tile, lay) = match cloth.pattern {
            Pattern::Plain | Pattern::Gradient | Pattern::Blocks => (None, around),
            _ if !patterned => (None, around),
            pattern => {
                let pixels = |length: f32| (length * size * samples as f32 / 100.0).round().clamp(2.0, 1024.0);
                let (tw, th) = (pixels(w), pixels(h));
                // A repeat is centred on the garment's middle line, which keeps stripes and checks symmetric.
                let lay = around.pre_translate(50.0 - 0.5 * w, 50.0 - 0.5 * h).pre_scale(w / tw, h / th);
                (weave(pattern, cloth.style, colours, tw as u32, th as u32), lay)
            }
        };
        let tile = tile.map(|pixmap| Tile {
            width: pixmap.width() as usize,
            height: pixmap.height() as usize,
            colours: pixmap.data().chunks_exact(4).map(|p| [p[0] as f32, p[1] as f32, p[2] as f32]).collect(),
        });
        Fabric { tile, pattern: cloth.pattern, lay, colours, samples }
    }

    /// A piece cut from the cloth, turned by `turn` degrees about a point of the canvas of 100, for a canvas with
    /// `unit` pixels per unit.
    pub fn cut(&self, turn: f32, pivot: (f32, f32), unit: f32) -> Piece<'_> {
        // Blocks and fades stay level across sleeves and panels, as if the parts had been cut from one length.
        let turn = if self.tile.is_some() { turn } else { 0.0 };
        let lay = Transform::from_rotate_at(turn, pivot.0, pivot.1).pre_concat(self.lay).post_scale(unit, unit);
        Piece { fabric: self, from_pixels: lay.invert().unwrap_or_default(), unit }
    }
}

/// A piece of cloth in its place on the picture.
pub(super) struct Piece<'a> {
    fabric: &'a Fabric,
    from_pixels: Transform,
    unit: f32,
}

impl Piece<'_> {
    /// The colour around a place on the picture, in pixels.
    pub fn colour(&self, x: f32, y: f32) -> [f32; 3] {
        let t = &self.from_pixels;
        let (u, v) = (t.sx * x + t.kx * y + t.tx, t.ky * x + t.sy * y + t.ty);
        let colour = |i: usize| self.fabric.colours[i].map(f32::from);
        let blend =
            |a: [f32; 3], b: [f32; 3], t: f32| std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t.clamp(0.0, 1.0));
        match (&self.fabric.tile, self.fabric.pattern) {
            (Some(tile), _) => tile.at(u, v),
            (None, Pattern::Gradient) => blend(colour(0), colour(1), (v - 12.0) / 76.0),
            (None, Pattern::Blocks) => {
                // The edge of a block is as soft as a pixel is wide, which is what anti-aliases it.
                let edge = |at: f32| (v - at) * self.unit + 0.5;
                blend(blend(colour(0), colour(1), edge(36.4)), colour(2), edge(62.4))
            }
            _ => colour(0),
        }
    }
}

impl Tile {
    /// The colour at a place in pixels, interpolated; the tile repeats in all directions.
    fn at(&self, u: f32, v: f32) -> [f32; 3] {
        let (u, v) = (u - 0.5, v - 0.5);
        let (left, top) = (u.floor(), v.floor());
        let (fx, fy) = (u - left, v - top);
        let (x0, y0) = (
            (left as i32).rem_euclid(self.width as i32) as usize,
            (top as i32).rem_euclid(self.height as i32) as usize,
        );
        let (x1, y1) = (if x0 + 1 == self.width { 0 } else { x0 + 1 }, if y0 + 1 == self.height { 0 } else { y0 + 1 });
        let (above, below) =
            (&self.colours[y0 * self.width..][..self.width], &self.colours[y1 * self.width..][..self.width]);
        let (a, b, c, d) = (above[x0], above[x1], below[x0], below[x1]);
        std::array::from_fn(|i| {
            let (top, bottom) = (a[i] + (b[i] - a[i]) * fx, c[i] + (d[i] - c[i]) * fx);
            top + (bottom - top) * fy
        })
    }
}

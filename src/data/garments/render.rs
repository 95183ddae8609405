//! The painter: turns a sketch into pixels. Shapes are anti-aliased by tiny-skia, cloth and light are filled in here.

use super::drawing::{LineKind, Op, Part, Stuff, dashes};
use super::fabric::{Fabric, Piece};
use super::palette::{Rgb, mix};
use super::patterns::solid;
use super::shading::{Relief, grain, light_level};
use super::{Garment, Trim};
use image::{GrayImage, RgbImage};
use tiny_skia::{BlendMode, FillRule, LineCap, LineJoin, Mask, Paint, Path, Pixmap, Point, Shader, Stroke, Transform};

/// Below this many pixels, stitches, folds and shadows would be noise, so they are left out.
const FINE: f32 = 96.0;

/// The colour of light.
const WARM: [f32; 3] = [255.0, 248.0, 236.0];

/// What the painter paints.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Cloth, light and folds.
    Full,
    /// Where the garment is, in white.
    Silhouette,
    /// Contours and seams of one colour on white shapes.
    Lines(Rgb),
}

/// The finished picture.
pub(super) fn picture(garment: &Garment, size: u32) -> RgbImage {
    let factor = 24_u32.div_ceil(size);
    let layer = paint(garment, size * factor, Mode::Full);
    let shadow = (size as f32 >= FINE).then(|| cast_shadow(&layer, garment));
    let tint = mix(garment.palette.ink, [60, 48, 44], 0.6);
    flatten(&layer, size, factor, |i| match &shadow {
        Some(shadow) => {
            let alpha = shadow.at(i % size, i / size);
            std::array::from_fn(|c| {
                garment.background[c] as f32 + (tint[c] as f32 - garment.background[c] as f32) * alpha
            })
        }
        None => garment.background.map(f32::from),
    })
}

/// The cloth alone.
pub(super) fn cloth(garment: &Garment, size: u32) -> RgbImage {
    let fabric = Fabric::new(&garment.cloth, &garment.palette, size as f32, true);
    let piece = fabric.cut(0.0, (50.0, 50.0), size as f32 / 100.0);
    let n = fabric.samples;
    RgbImage::from_fn(size, size, |x, y| {
        let mut sum = [0.0; 3];
        for k in 0..n * n {
            let at = |i: usize| (i as f32 + 0.5) / n as f32;
            let colour = piece.colour(x as f32 + at(k % n), y as f32 + at(k / n));
            sum = std::array::from_fn(|c| sum[c] + colour[c] / (n * n) as f32);
        }
        image::Rgb(sum.map(|v| (v + 0.5).clamp(0.0, 255.0) as u8))
    })
}

/// The line drawing on white.
pub(super) fn outline(garment: &Garment, size: u32, colour: Rgb) -> RgbImage {
    let factor = if size < FINE as u32 { 48_u32.div_ceil(size).max(2) } else { 1 };
    let layer = paint(garment, size * factor, Mode::Lines(colour));
    flatten(&layer, size, factor, |_| [255.0; 3])
}

/// The silhouette's coverage.
pub(super) fn mask(garment: &Garment, size: u32) -> GrayImage {
    let factor = 24_u32.div_ceil(size);
    let layer = paint(garment, size * factor, Mode::Silhouette);
    GrayImage::from_fn(size, size, |x, y| image::Luma([(average(&layer, x, y, factor)[3] + 0.5) as u8]))
}

/// The mean of a block of `factor` by `factor` pixels (premultiplied, 0 to 255).
fn average(layer: &Pixmap, x: u32, y: u32, factor: u32) -> [f32; 4] {
    let side = layer.width() as usize;
    let mut sum = [0u32; 4];
    for j in 0..factor {
        let start = (y * factor + j) as usize * side + (x * factor) as usize;
        for p in layer.data()[4 * start..4 * (start + factor as usize)].chunks_exact(4) {
            for (s, &v) in sum.iter_mut().zip(p) {
                *s += v as u32;
            }
        }
    }
    sum.map(|s| s as f32 / (factor * factor) as f32)
}

/// Lays the layer, scaled down by `factor`, over what lies below pixel `i`.
fn flatten(layer: &Pixmap, size: u32, factor: u32, below: impl Fn(u32) -> [f32; 3]) -> RgbImage {
    let mut image = RgbImage::new(size, size);
    for (i, pixel) in image.chunks_exact_mut(3).enumerate() {
        let i = i as u32;
        let [r, g, b, a] = average(layer, i % size, i / size, factor);
        let rest = 1.0 - a / 255.0;
        for ((v, c), under) in pixel.iter_mut().zip([r, g, b]).zip(below(i)) {
            *v = (c + under * rest + 0.5) as u8;
        }
    }
    image
}

/// Paints the garment on a transparent square of `size` pixels.
fn paint(garment: &Garment, size: u32, mode: Mode) -> Pixmap {
    let sketch = garment.kind.sketch(&garment.cut);
    let (fit, scale) = sketch.fit();
    let unit = size as f32 / 100.0;
    let fabric = Fabric::new(&garment.cloth, &garment.palette, size as f32, mode == Mode::Full);
    let mut painter = Painter {
        garment,
        layer: Pixmap::new(size, size).expect("the size is above 0 and fits memory"),
        mask: Mask::new(size, size).expect("the size is above 0 and fits memory"),
        to_canvas: fit.post_scale(unit, unit),
        fit,
        unit,
        scale,
        fabric: &fabric,
        mode,
    };
    for op in &sketch.ops {
        match op {
            Op::Part(part) => painter.part(part),
            Op::Line(path, kind) => painter.line(path, *kind),
            Op::Folds(clip, blades) if mode == Mode::Full && painter.is_fine() => {
                let mut relief = Relief::new(size, clip.bounds(), painter.to_canvas);
                for blade in blades {
                    relief.add(blade, painter.to_canvas);
                }
                relief.blur(0.35 * unit);
                painter.folds(clip, &relief);
            }
            Op::Folds(..) => {}
        }
    }
    if mode == Mode::Full && size >= 192 {
        grain(&mut painter.layer);
    }
    painter.layer
}

struct Painter<'a> {
    garment: &'a Garment,
    layer: Pixmap,
    /// The shape being filled; empty in between.
    mask: Mask,
    /// From the sketch to the canvas of 100.
    fit: Transform,
    /// From the sketch to pixels.
    to_canvas: Transform,
    /// Pixels per unit of the canvas of 100.
    unit: f32,
    /// Units of the canvas of 100 per unit of the sketch.
    scale: f32,
    fabric: &'a Fabric,
    mode: Mode,
}

/// What fills a shape.
enum Filling<'a> {
    Flat([f32; 3]),
    Cloth(Piece<'a>),
}

impl<'a> Painter<'a> {
    fn is_fine(&self) -> bool {
        self.unit * 100.0 >= FINE
    }

    /// The plain colour of a material.
    fn colour(&self, stuff: Stuff) -> Rgb {
        let [ground, _, accent, ink] = self.fabric.colours;
        match stuff {
            Stuff::Cloth { .. } => ground,
            Stuff::Trim => match self.garment.trim {
                Trim::Ground => mix(ground, ink, 0.22),
                Trim::Accent => accent,
                Trim::Ink => mix(ink, ground, 0.12),
            },
            Stuff::Ground => mix(ground, ink, 0.12),
            Stuff::Accent => accent,
            Stuff::Lining => mix(ground, ink, 0.62),
            Stuff::Ink => ink,
            Stuff::Pale => mix([226, 218, 203], ground, 0.06),
            Stuff::Metal => [190, 158, 104],
        }
    }

    /// The colour of shadows: the palette's ink, towards a cool dark, so that shading does not look like soot.
    fn shade(&self) -> Rgb {
        mix(self.garment.palette.ink, [34, 26, 48], 0.5)
    }

    fn part(&mut self, part: &Part) {
        if part.fine && !self.is_fine() {
            return;
        }
        let base = self.colour(part.stuff);
        let edge = mix(base, self.shade(), 0.72);
        let white = Filling::Flat([255.0; 3]);
        match (self.mode, part.stuff) {
            (Mode::Full, Stuff::Cloth { turn, pivot }) => {
                let mut p = Point::from_xy(pivot.0, pivot.1);
                self.fit.map_point(&mut p);
                let piece = self.fabric.cut(turn, (p.x, p.y), self.unit);
                self.fill(part, &Filling::Cloth(piece), edge);
            }
            (Mode::Full, _) => self.fill(part, &Filling::Flat(base.map(f32::from)), edge),
            (Mode::Silhouette, _) => self.fill(part, &white, [255; 3]),
            (Mode::Lines(_), _) => self.fill(part, &white, [255; 3]),
        }
        let (colour, alpha, width) = match self.mode {
            Mode::Lines(colour) => (colour, 1.0, self.line_width()),
            // In small pictures, filling already darkened the edges.
            _ if !self.is_fine() => return,
            Mode::Silhouette => ([255; 3], 0.85, 0.46 / self.scale),
            Mode::Full => (edge, 0.85, 0.46 / self.scale),
        };
        let mut colour = solid(colour);
        colour.set_alpha(alpha);
        let paint = Paint { shader: Shader::SolidColor(colour), ..Paint::default() };
        let stroke = Stroke { width, line_join: LineJoin::Round, line_cap: LineCap::Round, ..Stroke::default() };
        self.layer.stroke_path(&part.path, &paint, &stroke, self.to_canvas, None);
    }

    /// Contours of line drawings: never thinner than a pixel and a half, so that they survive scaling down.
    fn line_width(&self) -> f32 {
        0.9_f32.max(1.5 / self.unit) / self.scale
    }

    /// Fills a shape with cloth or a colour, and with light and shadow.
    fn fill(&mut self, part: &Part, filling: &Filling<'_>, edge: Rgb) {
        let Some(area) = self.cover(&part.path) else { return };
        let map = |(x, y): (f32, f32)| {
            let mut p = Point::from_xy(x, y);
            self.to_canvas.map_point(&mut p);
            p
        };
        let (from, to) = (map(part.light.0), map(part.light.1));
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = (dx * dx + dy * dy).max(1e-6);
        let (dx, dy) = (dx / length, dy / length);
        let lit = self.mode == Mode::Full && part.depth > 0.0;
        let (shade, edge) = (self.shade().map(f32::from), edge.map(f32::from));
        let rough_edge = self.mode == Mode::Full && !self.is_fine() && !part.joined;
        let side = self.layer.width() as usize;
        let n = self.fabric.samples;
        let step = 1.0 / n as f32;
        for y in area.rows() {
            let row = &mut self.mask.data_mut()[y * side..][area.left..area.right];
            let pixels = &mut self.layer.data_mut()[4 * (y * side + area.left)..][..4 * row.len()];
            for (i, (coverage, pixel)) in row.iter_mut().zip(pixels.chunks_exact_mut(4)).enumerate() {
                if *coverage == 0 {
                    continue;
                }
                let alpha = std::mem::take(coverage);
                let (px, py) = ((area.left + i) as f32, y as f32);
                let mut colour = match filling {
                    Filling::Flat(colour) => *colour,
                    Filling::Cloth(piece) if n == 1 => piece.colour(px + 0.5, py + 0.5),
                    Filling::Cloth(piece) => {
                        let mut sum = [0.0; 3];
                        for k in 0..n * n {
                            let (i, j) = ((k % n) as f32 + 0.5, (k / n) as f32 + 0.5);
                            let c = piece.colour(px + step * i, py + step * j);
                            sum = std::array::from_fn(|i| sum[i] + c[i] * step * step);
                        }
                        sum
                    }
                };
                if lit {
                    let t = (px + 0.5 - from.x) * dx + (py + 0.5 - from.y) * dy;
                    tone(&mut colour, part.depth * light_level(t), shade);
                }
                if rough_edge && alpha < 250 {
                    colour = std::array::from_fn(|c| 0.6 * colour[c] + 0.4 * edge[c]);
                }
                let a = alpha as f32 / 255.0;
                for (v, c) in pixel.iter_mut().zip([colour[0], colour[1], colour[2], 255.0]) {
                    *v = (*v as f32 * (1.0 - a) + c * a + 0.5) as u8;
                }
            }
        }
    }

    /// Darkens and lightens the cloth within a shape.
    fn folds(&mut self, clip: &Path, relief: &Relief) {
        let Some(area) = self.cover(clip) else { return };
        let shade = self.shade().map(f32::from);
        let side = self.layer.width() as usize;
        for y in area.rows() {
            let row = &mut self.mask.data_mut()[y * side..][area.left..area.right];
            let pixels = &mut self.layer.data_mut()[4 * (y * side + area.left)..][..4 * row.len()];
            for (i, (coverage, pixel)) in row.iter_mut().zip(pixels.chunks_exact_mut(4)).enumerate() {
                if *coverage == 0 {
                    continue;
                }
                let level = relief.at((area.left + i) as u32, y as u32) * std::mem::take(coverage) as f32 / 255.0;
                let mut colour = [pixel[0] as f32, pixel[1] as f32, pixel[2] as f32];
                let alpha = pixel[3] as f32 / 255.0;
                tone_over(&mut colour, level, shade, alpha);
                for (v, c) in pixel.iter_mut().zip(colour) {
                    *v = (c + 0.5) as u8;
                }
            }
        }
    }

    /// Rasterises a shape into the mask and says which pixels it may touch.
    fn cover(&mut self, path: &Path) -> Option<Area> {
        let area = Area::new(path.bounds().transform(self.to_canvas)?, self.layer.width())?;
        self.mask.fill_path(path, FillRule::Winding, true, self.to_canvas);
        Some(area)
    }

    fn line(&mut self, path: &Path, kind: LineKind) {
        let (width, alpha, dash) = match kind {
            LineKind::Seam => (0.42, 0.62, None),
            LineKind::Stitch => (0.28, 0.4, dashes(1.0 / self.scale)),
            LineKind::Rib => (0.4, 0.3, None),
        };
        let mut paint = Paint::default();
        let mut stroke = Stroke { width: width / self.scale, dash, line_cap: LineCap::Butt, ..Stroke::default() };
        match self.mode {
            Mode::Silhouette => return,
            Mode::Lines(_) if kind != LineKind::Seam => return,
            _ if kind != LineKind::Seam && self.unit < 1.6 => return,
            Mode::Lines(colour) => {
                paint.shader = Shader::SolidColor(solid(colour));
                stroke.width = 0.7 * self.line_width();
            }
            Mode::Full => {
                let mut colour = solid(mix(self.garment.palette.ground, self.shade(), 0.75));
                colour.set_alpha(alpha);
                paint.shader = Shader::SolidColor(colour);
                paint.blend_mode = BlendMode::SourceAtop;
            }
        }
        self.layer.stroke_path(path, &paint, &stroke, self.to_canvas, None);
    }
}

/// Shadow (`level` above 0) or light on an opaque colour.
fn tone(colour: &mut [f32; 3], level: f32, shade: [f32; 3]) {
    tone_over(colour, level, shade, 1.0);
}

/// Shadow or light on a colour premultiplied by `alpha`.
fn tone_over(colour: &mut [f32; 3], level: f32, shade: [f32; 3], alpha: f32) {
    let towards = if level > 0.0 { shade } else { WARM };
    let level = level.abs().min(1.0);
    *colour = std::array::from_fn(|c| colour[c] + (towards[c] * alpha - colour[c]) * level);
}

/// A rectangle of pixels.
struct Area {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Area {
    /// The pixels that a shape with these bounds touches, if it touches any.
    fn new(bounds: tiny_skia::Rect, size: u32) -> Option<Area> {
        let low = |v: f32| (v.floor() - 1.0).clamp(0.0, size as f32) as usize;
        let high = |v: f32| (v.ceil() + 1.0).clamp(0.0, size as f32) as usize;
        let area = Area {
            left: low(bounds.left()),
            right: high(bounds.right()),
            top: low(bounds.top()),
            bottom: high(bounds.bottom()),
        };
        (area.left < area.right && area.top < area.bottom).then_some(area)
    }

    fn rows(&self) -> std::ops::Range<usize> {
        self.top..self.bottom
    }
}

/// The soft shadow that the garment casts on what it lies on, to the lower right.
fn cast_shadow(layer: &Pixmap, garment: &Garment) -> Relief {
    let unit = layer.width() as f32 / 100.0;
    let strength = if garment.palette.ground.iter().all(|&v| v < 110) { 0.2 } else { 0.24 };
    let mut shadow = Relief::of_alpha(layer, strength);
    shadow.blur(0.55 * unit);
    shadow.shift(0.7 * unit, 1.1 * unit);
    shadow
}

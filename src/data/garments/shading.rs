//! Light and shade: the light across a rounded shape, soft folds, cast shadows and the grain of the cloth.

use super::drawing::Blade;
use std::sync::OnceLock;
use tiny_skia::{FillRule, Mask, Path, PathBuilder, Pixmap, Rect, Transform};

/// Light from the left across a rounded shape, at `t` from 0 (where it enters) to 1: below 0 brighter, above 0 darker.
pub(super) fn light_level(t: f32) -> f32 {
    const STOPS: [(f32, f32); 5] = [(0.0, 0.09), (0.14, 0.0), (0.32, -0.13), (0.54, 0.0), (1.0, 0.30)];
    let mut from = STOPS[0];
    for to in STOPS {
        if t < to.0 {
            let span = (to.0 - from.0).max(1e-6);
            return from.1 + (to.1 - from.1) * ((t - from.0) / span).clamp(0.0, 1.0);
        }
        from = to;
    }
    from.1
}

/// How much darker (above 0) or lighter (below 0) the pixels of a rectangle are, kept at half the picture's resolution
/// because it is soft anyway.
pub(super) struct Relief {
    left: f32,
    top: f32,
    width: usize,
    height: usize,
    levels: Vec<f32>,
}

impl Relief {
    /// A flat relief over shapes with these bounds, in a picture of `size` pixels.
    pub fn new(size: u32, bounds: Rect, to_canvas: Transform) -> Relief {
        let bounds = bounds.transform(to_canvas).unwrap_or(bounds);
        // A margin, because blurred blades reach beyond the shape and must not pile up at its edge.
        let margin = 0.02 * size as f32;
        let (left, top) = ((bounds.left() - margin).floor(), (bounds.top() - margin).floor());
        let half = |low: f32, high: f32| (((high + margin - low) / 2.0).ceil() as usize).clamp(1, size as usize + 2);
        let (width, height) = (half(left, bounds.right()), half(top, bounds.bottom()));
        Relief { left, top, width, height, levels: vec![0.0; width * height] }
    }

    /// The layer's alpha, times `strength`.
    pub fn of_alpha(layer: &Pixmap, strength: f32) -> Relief {
        let (side, data) = (layer.width() as usize, layer.data());
        let (width, height) = (side.div_ceil(2), side.div_ceil(2));
        let mut levels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                levels.push(data[4 * (2 * y * side + 2 * x) + 3] as f32 * strength / 255.0);
            }
        }
        Relief { left: 0.0, top: 0.0, width, height, levels }
    }

    /// Adds a fold.
    pub fn add(&mut self, blade: &Blade, to_canvas: Transform) {
        let Some(path) = outline(blade) else { return };
        let to_half = to_canvas.post_translate(-self.left, -self.top).post_scale(0.5, 0.5);
        let Some(bounds) = path.bounds().transform(to_half) else { return };
        // Only as much is rasterised as the blade covers.
        let clamp = |v: f32, high: usize| v.clamp(0.0, high as f32) as usize;
        let (x0, y0) = (clamp(bounds.left().floor(), self.width), clamp(bounds.top().floor(), self.height));
        let (x1, y1) =
            (clamp(bounds.right().ceil() + 1.0, self.width), clamp(bounds.bottom().ceil() + 1.0, self.height));
        if x0 >= x1 || y0 >= y1 {
            return;
        }
        let Some(mut mask) = Mask::new((x1 - x0) as u32, (y1 - y0) as u32) else { return };
        mask.fill_path(&path, FillRule::Winding, true, to_half.post_translate(-(x0 as f32), -(y0 as f32)));
        for (y, row) in mask.data().chunks_exact(x1 - x0).enumerate() {
            let levels = &mut self.levels[(y0 + y) * self.width + x0..][..x1 - x0];
            for (level, &coverage) in levels.iter_mut().zip(row) {
                *level += 1.6 * blade.dark * coverage as f32 / 255.0;
            }
        }
    }

    /// Blurs by a radius in pixels of the relief: two passes of a box each way, which is close to a bell curve.
    pub fn blur(&mut self, radius: f32) {
        let r = radius.round().max(1.0) as usize;
        let (w, h) = (self.width, self.height);
        let mut other = vec![0.0; w * h];
        for _ in 0..2 {
            for y in 0..h {
                let row = &self.levels[y * w..][..w];
                let mut sum: f32 = row[..r.min(w)].iter().sum();
                for (x, out) in other[y * w..][..w].iter_mut().enumerate() {
                    sum += row.get(x + r).unwrap_or(&0.0) - if x > r { row[x - r - 1] } else { 0.0 };
                    *out = sum / (2 * r + 1) as f32;
                }
            }
            // Columns are summed a whole row at a time, in the order in which they lie in memory.
            let mut sums = vec![0.0; w];
            for row in other.chunks_exact(w).take(r) {
                sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
            }
            for y in 0..h {
                if y + r < h {
                    sums.iter_mut().zip(&other[(y + r) * w..][..w]).for_each(|(s, v)| *s += v);
                }
                if y > r {
                    sums.iter_mut().zip(&other[(y - r - 1) * w..][..w]).for_each(|(s, v)| *s -= v);
                }
                let out = &mut self.levels[y * w..][..w];
                out.iter_mut().zip(&sums).for_each(|(o, s)| *o = s / (2 * r + 1) as f32);
            }
        }
    }

    /// Moves the relief by pixels of the picture.
    pub fn shift(&mut self, x: f32, y: f32) {
        (self.left, self.top) = (self.left + x, self.top + y);
    }

    /// The level at a pixel of the picture, interpolated; 0 outside.
    pub fn at(&self, x: u32, y: u32) -> f32 {
        let (u, v) = ((x as f32 + 0.5 - self.left) * 0.5 - 0.5, (y as f32 + 0.5 - self.top) * 0.5 - 0.5);
        let (u, v) = (u.max(0.0), v.max(0.0));
        let (x0, y0) = (u as usize, v as usize);
        if x0 + 1 >= self.width || y0 + 1 >= self.height {
            return 0.0;
        }
        let (fx, fy) = (u - x0 as f32, v - y0 as f32);
        let [a, b] = [y0, y0 + 1].map(|y| {
            let row = &self.levels[y * self.width + x0..][..2];
            row[0] + (row[1] - row[0]) * fx
        });
        a + (b - a) * fy
    }
}

/// A lens along the fold's curve, pointed at both ends.
fn outline(blade: &Blade) -> Option<Path> {
    let ((x0, y0), (vx, vy), (x1, y1)) = (blade.from, blade.via, blade.to);
    let (dx, dy) = (x1 - x0, y1 - y0);
    let length = (dx * dx + dy * dy).sqrt().max(1e-3);
    let (nx, ny) = (-dy / length * blade.width, dx / length * blade.width);
    let mut builder = PathBuilder::new();
    builder.move_to(x0, y0);
    builder.quad_to(vx + nx, vy + ny, x1, y1);
    builder.quad_to(vx - nx, vy - ny, x0, y0);
    builder.close();
    builder.finish()
}

/// The grain of the cloth, barely there: threads of uneven lightness, both ways.
pub(super) fn grain(layer: &mut Pixmap) {
    static THREADS: OnceLock<Vec<i16>> = OnceLock::new();
    const SIDE: usize = 128;
    let threads = THREADS.get_or_init(|| {
        let noise = |i: usize, salt: u32| {
            let h = (i as u32 ^ salt).wrapping_mul(0x9E37_79B1);
            let h = (h ^ (h >> 15)).wrapping_mul(0x85EB_CA6B);
            ((h ^ (h >> 13)) & 0xFF) as f32 / 127.5 - 1.0
        };
        let level = |x: usize, y: usize| {
            // A thread shows for a few pixels, then dives below the crossing ones.
            2.6 * noise(x + SIDE * (y / 5), 0x51)
                + 2.6 * noise(y + SIDE * (x / 5), 0x0A17)
                + 1.6 * noise(x + SIDE * y, 0xC0DE)
        };
        (0..SIDE * SIDE).map(|i| level(i % SIDE, i / SIDE).round() as i16).collect()
    });
    let side = layer.width() as usize;
    for (y, row) in layer.data_mut().chunks_exact_mut(4 * side).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            if pixel[3] == 255 {
                let level = threads[(y % SIDE) * SIDE + x % SIDE];
                for v in &mut pixel[..3] {
                    *v = (*v as i16 + level).clamp(0, 255) as u8;
                }
            }
        }
    }
}

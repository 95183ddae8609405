//! Colour pictures as three planes of numbers, and the changes of size that stylising needs.

use crate::tensor::{Device, Tensor};
use image::RgbaImage;

/// A colour picture [3, H, W] in [−1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Height and width.
    pub size: [usize; 2],
    /// Plane after plane.
    pub values: Vec<f32>,
}

/// The height and width whose longer side is `longest`, with the aspect of `size`; `size` itself if it is not longer.
pub fn within(size: [usize; 2], longest: usize) -> [usize; 2] {
    let most = size[0].max(size[1]);
    if most <= longest { size } else { size.map(|side| ((side * longest + most / 2) / most).max(1)) }
}

impl Planes {
    /// The colours of a picture, whatever its alpha.
    pub fn of(picture: &RgbaImage) -> Planes {
        let size = [picture.height() as usize, picture.width() as usize];
        let values =
            (0..3).flat_map(|c| picture.pixels().map(move |pixel| f32::from(pixel[c]) / 127.5 - 1.0)).collect();
        Planes { size, values }
    }

    /// Pixels of a plane.
    pub fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The picture with `margin` pixels and more around it, mirrored at its border, so that the sides are multiples of
    /// `multiple`.
    pub fn widened(&self, margin: usize, multiple: usize) -> Planes {
        let [h, w] = self.size;
        let size = self.size.map(|side| (side + 2 * margin).next_multiple_of(multiple));
        let mut values = Vec::with_capacity(3 * size[0] * size[1]);
        for plane in self.values.chunks_exact(h * w) {
            for i in 0..size[0] {
                let row = &plane[mirrored(i as isize - margin as isize, h) * w..][..w];
                values.extend((0..size[1]).map(|j| row[mirrored(j as isize - margin as isize, w)]));
            }
        }
        Planes { size, values }
    }

    /// The picture as [1, 3, H, W].
    pub fn tensor(&self, device: &Device) -> Tensor {
        Tensor::new(device, [1, 3, self.size[0], self.size[1]], &self.values)
    }
}

/// The place of `i`, also below 0, in a line of `len` that is mirrored at its ends, again and again.
pub fn mirrored(i: isize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let period = 2 * (len as isize - 1);
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

/// As [`Planes::widened`] for a picture of true and false.
pub fn widened_area(area: &[bool], [h, w]: [usize; 2], margin: usize, multiple: usize) -> Vec<bool> {
    let size = [h, w].map(|side| (side + 2 * margin).next_multiple_of(multiple));
    let at = |i: usize, len: usize| mirrored(i as isize - margin as isize, len);
    (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| (i, j))).map(|(i, j)| area[at(i, h) * w + at(j, w)]).collect()
}

/// The picture with what is not in `area` replaced by what lies near in it: means of ever larger blocks.
pub fn filled(picture: &Planes, area: &[bool]) -> Planes {
    let share = area.iter().filter(|&&there| there).count();
    if share == 0 || share == area.len() {
        return picture.clone();
    }
    let [h, w] = picture.size;
    // The pyramid of sums over the area, and of how much of it they hold.
    let mut levels: Vec<([usize; 2], Vec<f32>, Vec<f32>)> = Vec::new();
    let weights: Vec<f32> = area.iter().map(|&there| if there { 1.0 } else { 0.0 }).collect();
    let sums = picture.values.iter().enumerate().map(|(i, v)| v * weights[i % (h * w)]).collect();
    levels.push(([h, w], sums, weights));
    while levels.last().is_some_and(|(size, ..)| size[0] > 1 || size[1] > 1) {
        let ([h, w], sums, weights) = levels.last().expect("there is one");
        let size = [h.div_ceil(2), w.div_ceil(2)];
        let halved = |plane: &[f32]| {
            let mut half = vec![0.0; size[0] * size[1]];
            for i in 0..*h {
                for j in 0..*w {
                    half[i / 2 * size[1] + j / 2] += plane[i * w + j];
                }
            }
            half
        };
        let next = (size, sums.chunks_exact(h * w).flat_map(halved).collect(), halved(weights));
        levels.push(next);
    }
    // From the coarsest on: what is known stays, the rest is interpolated from the level above.
    let mut coarse: Option<Planes> = None;
    for (size, sums, weights) in levels.into_iter().rev() {
        let area = size[0] * size[1];
        let values = (0..3 * area)
            .map(|i| match weights[i % area] {
                0.0 => coarse.as_ref().map_or(0.0, |above| {
                    let (row, column) = (i % area / size[1], i % area % size[1]);
                    let at = |k: usize| (k as f32 + 0.5) / 2.0 - 0.5;
                    bilinear(&above.values[i / area * above.area()..][..above.area()], above.size, at(row), at(column))
                }),
                weight => sums[i] / weight,
            })
            .collect();
        coarse = Some(Planes { size, values });
    }
    coarse.expect("there is one level at least")
}

/// A plane's value between pixels, at a row and column counted from the middle of pixel 0; beyond the border the border's.
pub fn bilinear(plane: &[f32], [h, w]: [usize; 2], row: f32, column: f32) -> f32 {
    let (row, column) = (row.clamp(0.0, (h - 1) as f32), column.clamp(0.0, (w - 1) as f32));
    let (i, j) = (row as usize, column as usize);
    let (fi, fj) = (row - i as f32, column - j as f32);
    let (below, right) = ((i + 1).min(h - 1), (j + 1).min(w - 1));
    let upper = plane[i * w + j] + (plane[i * w + right] - plane[i * w + j]) * fj;
    let lower = plane[below * w + j] + (plane[below * w + right] - plane[below * w + j]) * fj;
    upper + (lower - upper) * fi
}

impl Planes {
    /// The picture at another size: means of what a pixel covers where it is reduced, interpolated where it is enlarged.
    pub fn resized(&self, to: [usize; 2]) -> Planes {
        if self.size == to {
            return self.clone();
        }
        let rows = Share::along(self.size[0], to[0]);
        let columns = Share::along(self.size[1], to[1]);
        let [h, w] = self.size;
        let mut values = Vec::with_capacity(3 * to[0] * to[1]);
        for plane in self.values.chunks_exact(h * w) {
            let across: Vec<f32> = plane.chunks_exact(w).flat_map(|row| columns.iter().map(|s| s.of(row, 1))).collect();
            for share in &rows {
                values.extend((0..to[1]).map(|j| share.of(&across[j..], to[1])));
            }
        }
        Planes { size: to, values }
    }

    /// Means over squares of 2·`radius` + 1 pixels, those inside the picture.
    pub fn blurred(&self, radius: usize) -> Planes {
        let [h, w] = self.size;
        let line = |values: &mut [f32], start: usize, step: usize, len: usize| {
            let mut sums = vec![0.0f64; len + 1];
            for k in 0..len {
                sums[k + 1] = sums[k] + f64::from(values[start + k * step]);
            }
            for k in 0..len {
                let (from, to) = (k.saturating_sub(radius), (k + radius + 1).min(len));
                values[start + k * step] = ((sums[to] - sums[from]) / (to - from) as f64) as f32;
            }
        };
        let mut values = self.values.clone();
        for plane in values.chunks_exact_mut(h * w) {
            (0..h).for_each(|i| line(plane, i * w, 1, w));
            (0..w).for_each(|j| line(plane, j, w, h));
        }
        Planes { size: self.size, values }
    }
}

/// What a pixel of a resized line is the mean of.
struct Share {
    first: usize,
    weights: Vec<f32>,
}

impl Share {
    /// For each pixel of a line of `to` pixels, of one of `from`: triangles as wide as a pixel, of the larger kind.
    fn along(from: usize, to: usize) -> Vec<Share> {
        let scale = from as f32 / to as f32;
        let reach = scale.max(1.0);
        (0..to)
            .map(|k| {
                let middle = (k as f32 + 0.5) * scale - 0.5;
                let first = (middle - reach).ceil().max(0.0) as usize;
                let last = ((middle + reach).floor().max(0.0) as usize).min(from - 1);
                let weight = |i: usize| (1.0 - (i as f32 - middle).abs() / reach).max(0.0);
                let weights: Vec<f32> = (first.min(last)..=last).map(weight).collect();
                let total: f32 = weights.iter().sum();
                if total <= 0.0 {
                    let nearest = (middle.round().max(0.0) as usize).min(from - 1);
                    return Share { first: nearest, weights: vec![1.0] };
                }
                Share { first: first.min(last), weights: weights.iter().map(|w| w / total).collect() }
            })
            .collect()
    }

    fn of(&self, line: &[f32], step: usize) -> f32 {
        self.weights.iter().enumerate().map(|(k, weight)| weight * line[(self.first + k) * step]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(size: [usize; 2], f: impl Fn(usize, usize, usize) -> f32) -> Planes {
        let [h, w] = size;
        Planes { size, values: (0..3 * h * w).map(|k| f(k / (h * w), k / w % h, k % w)).collect() }
    }

    #[test]
    fn sizes_keep_the_aspect() {
        assert_eq!(
            [within([100, 50], 128), within([1000, 500], 128), within([1, 20_000], 128)],
            [[100, 50], [128, 64], [1, 128]]
        );
    }

    #[test]
    fn a_linear_picture_stays_linear_at_every_size() {
        let picture = planes([24, 30], |c, i, j| 0.1 * c as f32 + 0.01 * i as f32 - 0.02 * j as f32);
        for size in [[12, 10], [48, 60], [24, 30], [7, 31]] {
            let other = picture.resized(size);
            for i in size[0] / 4..size[0] * 3 / 4 {
                for j in size[1] / 4..size[1] * 3 / 4 {
                    let at = |k: usize, to: usize, from: usize| (k as f32 + 0.5) * from as f32 / to as f32 - 0.5;
                    let wanted = 0.1 + 0.01 * at(i, size[0], 24) - 0.02 * at(j, size[1], 30);
                    let value = other.values[size[0] * size[1] + i * size[1] + j];
                    assert!((value - wanted).abs() < 2e-3, "{size:?} {i} {j}: {value} {wanted}");
                }
            }
        }
        assert_eq!(planes([1, 1], |c, _, _| c as f32).resized([3, 2]).values[6..12], [1.0; 6]);
    }

    #[test]
    fn borders_are_mirrored_and_holes_filled_from_near() {
        let picture = planes([2, 3], |c, i, j| (100 * c + 10 * i + j) as f32);
        let wide = picture.widened(2, 4);
        assert_eq!(wide.size, [8, 8]);
        assert_eq!(wide.values[..8], [2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0]);
        let area: Vec<bool> = (0..64).map(|k| k % 8 < 4).collect();
        let halves = planes([8, 8], |_, i, j| if j < 4 { i as f32 } else { -9.0 });
        let full = filled(&halves, &area);
        assert!((0..64).filter(|&k| area[k]).all(|k| full.values[k] == halves.values[k]));
        // Beside the area as its nearest rows are, far from it as their mean.
        let off = |k: usize| (full.values[k] - (k / 8) as f32).abs();
        assert!((0..64).filter(|k| k % 8 == 4).all(|k| off(k) < 2.5), "{:?}", full.values);
        assert!((0..64).all(|k| (0.0..=7.0).contains(&full.values[k])), "{:?}", full.values);
        assert_eq!(filled(&halves, &[false; 64]), halves);
    }
}

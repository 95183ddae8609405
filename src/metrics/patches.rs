//! Did the pattern arrive? How far the small patches of one picture are from those of another, as distributions.

use crate::rng::{Domain, Stream};

/// The side of a patch, in pixels of each scale.
const SIDE: usize = 7;

/// Directions that patches are projected on.
const DIRECTIONS: usize = 96;

/// Points of the two distributions that are compared in each direction.
const QUANTILES: usize = 256;

/// A picture [C, H, W] in [−1, 1], and which of its pixels count (all of them if not said).
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Plane after plane.
    pub values: &'a [f32],
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// A value a pixel.
    pub area: Option<&'a [bool]>,
}

/// The sliced Wasserstein-2 distance between the patches of 7x7 pixels of two pictures, at full, half and quarter size:
/// √ of the mean over scales and random unit directions u of ∫ (F⁻¹(t) − G⁻¹(t))² dt, where F and G are the distributions
/// of u·patch (Rabin et al. 2011; patches of a pyramid as in Karras et al. 2018, colours kept). Halved, so that its unit
/// is the range of values: 0 for equal patch statistics, d for two plain pictures whose values differ by the share d of
/// black to white. A patch counts if all of its pixels do (all patches, if none would); a scale at which one of the
/// pictures has none is left out.
///
/// # Panics
/// If channels differ or sizes and values do not fit.
#[track_caller]
pub fn patch_distance(a: View, b: View) -> f64 {
    assert_eq!(a.shape[0], b.shape[0], "patch_distance: pictures of different channels");
    let channels = a.shape[0];
    let length = channels * SIDE * SIDE;
    let (mut a, mut b) = (Scale::new(a), Scale::new(b));
    let (mut total, mut scales) = (0.0, 0);
    for k in 0..3 {
        if k > 0 {
            (a, b) = (a.halved(), b.halved());
        }
        let [from_a, from_b] = [&a, &b].map(Scale::places);
        if from_a.is_empty() || from_b.is_empty() {
            continue;
        }
        let mut sum = 0.0;
        for d in 0..DIRECTIONS {
            let mut direction = Stream::new(0, Domain::Measure, (k * DIRECTIONS + d) as u64).normal_vec(length);
            let norm = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
            direction.iter_mut().for_each(|v| *v /= norm);
            let [of_a, of_b] =
                [(&a, &from_a), (&b, &from_b)].map(|(scale, places)| scale.projected(places, &direction));
            for q in 0..QUANTILES {
                let t = (q as f64 + 0.5) / QUANTILES as f64;
                sum += (quantile(&of_a, t) - quantile(&of_b, t)).powi(2) / QUANTILES as f64;
            }
        }
        total += sum / DIRECTIONS as f64;
        scales += 1;
    }
    if scales == 0 { 0.0 } else { (total / f64::from(scales)).sqrt() / 2.0 }
}

/// The value of sorted `values` below which the share `t` lies, interpolated.
fn quantile(values: &[f32], t: f64) -> f64 {
    let place = (t * values.len() as f64 - 0.5).clamp(0.0, (values.len() - 1) as f64);
    let (below, part) = (place as usize, place.fract());
    let above = (below + 1).min(values.len() - 1);
    f64::from(values[below]) * (1.0 - part) + f64::from(values[above]) * part
}

/// A picture at one scale.
struct Scale {
    values: Vec<f32>,
    shape: [usize; 3],
    area: Vec<bool>,
}

impl Scale {
    #[track_caller]
    fn new(view: View) -> Scale {
        let [c, h, w] = view.shape;
        assert_eq!(
            view.values.len(),
            c * h * w,
            "patch_distance: {} values are not {:?}",
            view.values.len(),
            view.shape
        );
        let area = view.area.map_or_else(|| vec![true; h * w], <[bool]>::to_vec);
        assert_eq!(area.len(), h * w, "patch_distance: an area of another size");
        let scale = Scale { values: view.values.to_vec(), shape: view.shape, area };
        // A shape too thin for a patch is compared with what lies around it.
        if scale.places().is_empty() { Scale { area: vec![true; h * w], ..scale } } else { scale }
    }

    /// Means of 2x2 pixels; a pixel counts if all of those do.
    fn halved(&self) -> Scale {
        let [c, h, w] = self.shape;
        let [nh, nw] = [h / 2, w / 2];
        let mut values = Vec::with_capacity(c * nh * nw);
        let four = |i: usize, j: usize| [(2 * i) * w + 2 * j, (2 * i) * w + 2 * j + 1];
        for plane in self.values.chunks_exact((h * w).max(1)).take(c) {
            for i in 0..nh {
                values
                    .extend((0..nw).map(|j| four(i, j).map(|at| plane[at] + plane[at + w]).iter().sum::<f32>() / 4.0));
            }
        }
        let count =
            |i, j| four(i, j).iter().map(|&at| usize::from(self.area[at]) + usize::from(self.area[at + w])).sum();
        let area = (0..nh * nw)
            .map(|k| {
                let n: usize = count(k / nw, k % nw);
                n == 4
            })
            .collect();
        Scale { values, shape: [c, nh, nw], area }
    }

    /// The upper left corners of the patches that count.
    fn places(&self) -> Vec<usize> {
        let [_, h, w] = self.shape;
        if h < SIDE || w < SIDE {
            return Vec::new();
        }
        let corners = (0..=h - SIDE).flat_map(|i| (0..=w - SIDE).map(move |j| i * w + j));
        let whole = |corner: &usize| (0..SIDE).all(|i| self.area[corner + i * w..][..SIDE].iter().all(|&there| there));
        corners.filter(whole).collect()
    }

    /// u·patch for each place, sorted.
    fn projected(&self, places: &[usize], direction: &[f32]) -> Vec<f32> {
        let [c, h, w] = self.shape;
        let mut sums: Vec<f32> = places
            .iter()
            .map(|corner| {
                let mut sum = 0.0;
                for k in 0..c * SIDE {
                    let row = k / SIDE * h * w + corner + k % SIDE * w;
                    let (pixels, weights) = (&self.values[row..row + SIDE], &direction[k * SIDE..][..SIDE]);
                    sum += pixels.iter().zip(weights).map(|(x, u)| x * u).sum::<f32>();
                }
                sum
            })
            .collect();
        sums.sort_unstable_by(f32::total_cmp);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(values: &[f32], side: usize) -> View<'_> {
        View { values, shape: [3, side, side], area: None }
    }

    fn picture(side: usize, f: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..3 * side * side).map(|i| f(i / side % side, i % side)).collect()
    }

    #[test]
    fn plain_pictures_are_as_far_apart_as_their_values() {
        let [black, grey] = [-1.0, 0.0].map(|v| picture(40, |_, _| v));
        let distance = patch_distance(view(&black, 40), view(&grey, 40));
        // The mean over directions has a spread.
        assert!((distance - 0.5).abs() < 0.06, "{distance}");
        assert_eq!(patch_distance(view(&grey, 40), view(&grey, 40)), 0.0);
    }

    #[test]
    fn a_shift_of_the_same_pattern_is_nearer_than_another_pattern() {
        let stripes = picture(48, |i, _| if i / 4 % 2 == 0 { 0.8 } else { -0.8 });
        let shifted = picture(48, |i, _| if (i + 4) / 4 % 2 == 0 { 0.8 } else { -0.8 });
        let across = picture(48, |_, j| if j / 4 % 2 == 0 { 0.8 } else { -0.8 });
        let broad = picture(48, |i, _| if i / 8 % 2 == 0 { 0.8 } else { -0.8 });
        let of = |other: &[f32]| patch_distance(view(&stripes, 48), view(other, 48));
        let (same, turned, wider) = (of(&shifted), of(&across), of(&broad));
        // Not 0: the pictures do not hold whole numbers of stripes' beginnings.
        assert!(same < 0.12 && turned > 2.5 * same && wider > 2.5 * same, "{same} {turned} {wider}");
    }

    #[test]
    fn only_the_area_counts_and_small_pictures_are_no_error() {
        let half = picture(32, |_, j| if j < 16 { 0.5 } else { -1.0 });
        let whole = picture(32, |_, _| 0.5);
        let left: Vec<bool> = (0..1024).map(|i| i % 32 < 10).collect();
        let masked = View { area: Some(&left), ..view(&half, 32) };
        assert!(patch_distance(masked, view(&whole, 32)) < 0.02);
        assert!(patch_distance(view(&half, 32), view(&whole, 32)) > 0.1);
        assert_eq!(patch_distance(view(&[0.0; 3], 1), view(&whole, 32)), 0.0);
    }
}

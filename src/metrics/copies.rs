//! Near-copies: pictures that are training images again, but for mirroring, small shifts, brightness, contrast and noise.

use crate::data::Source;
use crate::error::Result;
use rayon::prelude::*;

/// Pictures are compared at this height and width, in pixels.
pub const SIDE: usize = 64;
/// Below this distance a picture counts as a near-copy. docs/latent.md has what it was set by.
pub const THRESHOLD: f64 = 0.08;
/// Height and width of what screens all training images.
const COARSE: usize = 8;
/// Training images that screening leaves for the full comparison.
const CANDIDATES: usize = 48;
/// Largest shift, in pixels of [`SIDE`]: a tenth.
const SHIFT: i32 = 6;
/// Shifts that screening tries along each axis, so many pixels apart: half a pixel of its own.
const SCREENED: [i32; 5] = [-6, -3, 0, 3, 6];
/// Every other shift is tried at the most blurred scale; the neighbours of so many at the next one, and so many of them at all.
const SHIFTS_LEFT: [usize; 2] = [3, 2];
/// Radii of the boxes that blur the three scales, in pixels.
const RADII: [usize; 3] = [1, 3, 6];
const PIXELS: usize = SIDE * SIDE;
/// A spread below this is taken for it: a flat picture has nothing to compare, in values 0 to 255.
const LEAST_SPREAD: f32 = 4.0;

/// The training image nearest to a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Its number.
    pub index: usize,
    /// [`distance`](TrainingImages::nearest); 0: the same but for brightness and contrast, about 1: nothing in common.
    pub distance: f64,
    /// Whether it is nearest when mirrored left to right.
    pub mirrored: bool,
    /// How far the picture's things lie to the right and below of the (mirrored) training image's, as a share of the side.
    pub shift: [f64; 2],
}

/// Training images, ready to be compared with.
pub struct TrainingImages {
    /// Bytes [3, SIDE, SIDE] of each.
    images: Vec<u8>,
    /// [3, COARSE, COARSE] of each.
    coarse: Vec<f32>,
}

impl TrainingImages {
    /// Reads all images of a source of shape [3, [`SIDE`], [`SIDE`]].
    ///
    /// # Errors
    /// An image that cannot be read.
    ///
    /// # Panics
    /// If the source has another shape.
    pub fn read(source: &dyn Source) -> Result<TrainingImages> {
        assert_eq!(source.shape(), [3, SIDE, SIDE], "copies: the source's shape");
        let read = |i: usize| {
            let mut image = vec![0; 3 * PIXELS];
            source.pixels(i, &mut image)?;
            let coarse = coarse(&image);
            Ok((image, coarse))
        };
        let all = (0..source.len()).into_par_iter().map(read).collect::<Result<Vec<_>>>()?;
        let (images, coarse): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        Ok(TrainingImages { images: images.concat(), coarse: coarse.concat() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.images.len() / (3 * PIXELS)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The training image nearest to `picture`, bytes [3, [`SIDE`], [`SIDE`]]; nothing for a picture of one colour.
    ///
    /// Both are blurred by boxes of 3, 7 and 13 pixels, and each brought to mean 0 and spread 1 over all channels together, so
    /// that brightness and contrast do not count but colours do. The distance at a scale is √(mean (a − b)² / 2) over the
    /// pixels that both have; the distance is the mean of the three, at the best of all shifts up to a tenth of the side, and of
    /// the training image and its mirror image. Training images are first screened at 8x8 pixels.
    ///
    /// # Panics
    /// If `picture` has not 3·SIDE·SIDE bytes.
    pub fn nearest(&self, picture: &[u8]) -> Option<Match> {
        assert_eq!(picture.len(), 3 * PIXELS, "copies: a picture's bytes");
        if self.is_empty() || picture.chunks(PIXELS).all(|plane| plane.iter().all(|v| v.abs_diff(plane[0]) <= 2)) {
            return None;
        }
        let both = [picture.to_vec(), mirrored(picture)];
        let shifts = || SCREENED.into_iter().flat_map(|dy| SCREENED.into_iter().map(move |dx| [dx, dy]));
        let small: Vec<Vec<f32>> =
            both.iter().flat_map(|picture| shifts().map(|shift| coarse(&moved(picture, shift)))).collect();
        const VALUES: usize = 3 * COARSE * COARSE;
        let screened = |(index, image): (usize, &[f32])| {
            let far = |small: &Vec<f32>| squared(small, image, COARSE, [0, 0]);
            (small.iter().map(far).fold(f64::INFINITY, f64::min), index)
        };
        let mut order: Vec<(f64, usize)> = self.coarse.par_chunks(VALUES).enumerate().map(screened).collect();
        order.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.truncate(CANDIDATES);
        let scales = both.each_ref().map(|picture| scales(picture));
        let full = |&(_, index): &(f64, usize)| {
            let image = self::scales(&self.images[index * 3 * PIXELS..][..3 * PIXELS]);
            let [plain, turned] = scales.each_ref().map(|picture| compare(picture, &image));
            // A mirrored picture that lies to the right of the image lies, looked at as it is, to the left of its mirror image.
            let (mirrored, (distance, [dx, dy])) =
                if turned.0 < plain.0 { (true, (turned.0, [-turned.1[0], turned.1[1]])) } else { (false, plain) };
            Match { index, distance, mirrored, shift: [dx, dy].map(|d| f64::from(d) / SIDE as f64) }
        };
        order.par_iter().map(full).min_by(|a, b| a.distance.total_cmp(&b.distance).then(a.index.cmp(&b.index)))
    }
}

fn mirrored(picture: &[u8]) -> Vec<u8> {
    picture.chunks(SIDE).flat_map(|row| row.iter().rev().copied()).collect()
}

/// The picture moved back by a shift, its border drawn out.
fn moved(picture: &[u8], [dx, dy]: [i32; 2]) -> Vec<u8> {
    let at = |place: usize, d: i32| (place as i32 + d).clamp(0, SIDE as i32 - 1) as usize;
    let one = |i: usize| picture[i / PIXELS * PIXELS + at(i % PIXELS / SIDE, dy) * SIDE + at(i % SIDE, dx)];
    (0..picture.len()).map(one).collect()
}

/// Brings values to mean 0 and spread 1.
fn normalise(values: &mut [f32]) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt().max(LEAST_SPREAD);
    values.iter_mut().for_each(|v| *v = (*v - mean) / spread);
}

/// Means of blocks, normalised: [3, COARSE, COARSE].
fn coarse(image: &[u8]) -> Vec<f32> {
    let block = SIDE / COARSE;
    let mut small = vec![0.0; 3 * COARSE * COARSE];
    for (i, &value) in image.iter().enumerate() {
        let (c, y, x) = (i / PIXELS, i % PIXELS / SIDE, i % SIDE);
        small[(c * COARSE + y / block) * COARSE + x / block] += f32::from(value) / (block * block) as f32;
    }
    normalise(&mut small);
    small
}

/// The image blurred by each box, normalised: three times [3, SIDE, SIDE].
fn scales(image: &[u8]) -> [Vec<f32>; 3] {
    RADII.map(|radius| {
        let mut values: Vec<f32> = image.iter().map(|v| f32::from(*v)).collect();
        for plane in values.chunks_mut(PIXELS) {
            box_blur(plane, radius, 1, SIDE);
            box_blur(plane, radius, SIDE, 1);
        }
        normalise(&mut values);
        values
    })
}

/// Means over 2·radius + 1 places along one axis, over fewer at the border.
fn box_blur(plane: &mut [f32], radius: usize, step: usize, line: usize) {
    if radius == 0 {
        return;
    }
    for first in (0..SIDE).map(|i| i * line) {
        let old: [f32; SIDE] = std::array::from_fn(|i| plane[first + i * step]);
        for i in 0..SIDE {
            let window = &old[i.saturating_sub(radius)..(i + radius + 1).min(SIDE)];
            plane[first + i * step] = window.iter().sum::<f32>() / window.len() as f32;
        }
    }
}

/// The least distance over all shifts, and the shift.
fn compare(picture: &[Vec<f32>; 3], image: &[Vec<f32>; 3]) -> (f64, [i32; 2]) {
    let at = |scale: usize, shift| (squared(&picture[scale], &image[scale], SIDE, shift) / 2.0).sqrt();
    let nearest = |scale: usize, shifts: Vec<[i32; 2]>, left: usize| {
        let mut order: Vec<(f64, [i32; 2])> = shifts.into_iter().map(|shift| (at(scale, shift), shift)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        order.truncate(left);
        order
    };
    let every_other = || (-SHIFT / 2..=SHIFT / 2).map(|half| 2 * half);
    let all = every_other().flat_map(|dy| every_other().map(move |dx| [dx, dy])).collect();
    let mut near: Vec<[i32; 2]> = nearest(2, all, SHIFTS_LEFT[0])
        .into_iter()
        .flat_map(|(_, [x, y])| (-1..=1).flat_map(move |dy| (-1..=1).map(move |dx| [x + dx, y + dy])))
        .map(|shift| shift.map(|d| d.clamp(-SHIFT, SHIFT)))
        .collect();
    near.sort_unstable();
    near.dedup();
    let full = |(middle, shift): (f64, [i32; 2])| ((at(0, shift) + middle + at(2, shift)) / 3.0, shift);
    let left = nearest(1, near, SHIFTS_LEFT[1]).into_iter().map(full);
    left.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are shifts")
}

/// Mean of (a[x + dx, y + dy] − b[x, y])² over the places that both have, of [3, side, side].
fn squared(a: &[f32], b: &[f32], side: usize, [dx, dy]: [i32; 2]) -> f64 {
    // From where in a and in b, and how many.
    let range = |d: i32| (d.max(0) as usize, (-d).max(0) as usize, side - d.unsigned_abs() as usize);
    let ((ax, bx, w), (ay, by, h)) = (range(dx), range(dy));
    let mut sum = 0.0;
    for (a, b) in a.chunks_exact(side * side).zip(b.chunks_exact(side * side)) {
        for y in 0..h {
            let (a, b) = (&a[(ay + y) * side + ax..][..w], &b[(by + y) * side + bx..][..w]);
            sum += f64::from(a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>());
        }
    }
    sum / (3 * w * h) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSpec, open};
    use crate::rng::{Domain, Stream};

    fn garments(seed: u64, count: usize) -> std::sync::Arc<dyn Source> {
        open(&DataSpec { count: Some(count), seed, size: [SIDE; 2], cache_bytes: 0, ..DataSpec::default() }).unwrap()
    }

    fn image(source: &dyn Source, i: usize) -> Vec<u8> {
        let mut image = vec![0; 3 * PIXELS];
        source.pixels(i, &mut image).unwrap();
        image
    }

    /// Darker, with less contrast, moved by four pixels to the right and two up, mirrored if told, with noise of 10 of 255.
    fn planted(image: &[u8], mirror: bool, number: u64) -> Vec<u8> {
        let image = if mirror { mirrored(image) } else { image.to_vec() };
        let noise = Stream::new(1, Domain::Test, number).normal_vec(image.len());
        let one = |(i, noise): (usize, f32)| {
            let (plane, y, x) = (i / PIXELS, i % PIXELS / SIDE, i % SIDE);
            let (y, x) = ((y + 2).min(SIDE - 1), x.saturating_sub(4));
            (0.8 * f32::from(image[plane * PIXELS + y * SIDE + x]) + 10.0 + 10.0 * noise).clamp(0.0, 255.0) as u8
        };
        noise.into_iter().enumerate().map(one).collect()
    }

    #[test]
    fn planted_copies_are_found_and_other_garments_are_not() {
        let source = garments(0, 200);
        let training = TrainingImages::read(&*source).unwrap();
        let (mut worst, mut least) = (0.0f64, f64::INFINITY);
        for i in 0..8 {
            let index = i * 23 + 3;
            let mirror = i % 2 == 1;
            let own = image(&*source, index);
            assert_eq!(training.nearest(&own).unwrap().distance, 0.0);
            let found = training.nearest(&planted(&own, mirror, i as u64)).unwrap();
            assert_eq!(found.index, index);
            worst = worst.max(found.distance);
            let shift = found.shift.map(|d| (d * SIDE as f64).round() as i32);
            assert!((shift[0] - 4).abs() <= 1 && (shift[1] + 2).abs() <= 1, "{found:?}");
        }
        let others = garments(1, 12);
        for i in 0..others.len() {
            least = least.min(training.nearest(&image(&*others, i)).unwrap().distance);
        }
        assert!(worst < THRESHOLD && THRESHOLD < least, "copies up to {worst}, others from {least}");
    }

    #[test]
    fn a_picture_of_one_colour_is_no_copy() {
        let training = TrainingImages::read(&*garments(0, 3)).unwrap();
        assert_eq!(training.nearest(&[255; 3 * PIXELS]), None);
        assert_eq!(training.len(), 3);
    }

    #[test]
    fn shifts_compare_what_both_have() {
        let a: Vec<f32> = (0..3 * 16).map(|i| (i % 16) as f32).collect();
        assert_eq!(squared(&a, &a, 4, [0, 0]), 0.0);
        assert_eq!(
            (squared(&a, &a, 4, [1, 0]), squared(&a, &a, 4, [-1, 0]), squared(&a, &a, 4, [0, 2])),
            (1.0, 1.0, 64.0)
        );
        let moved: Vec<f32> = (0..3 * 16).map(|i| a[i / 16 * 16 + (i % 16 + 15) % 16]).collect(); // to the right
        assert_eq!(squared(&moved, &a, 4, [1, 0]), 0.0);
    }
}

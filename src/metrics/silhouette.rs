//! Did the cut stay? The silhouette of a thing on a plain ground, and how much two silhouettes share.

/// How far a pixel's colour lies from the ground's, at least, to belong to the thing: largest difference of a channel, for
/// values in [−1, 1] (0.2 is 25 of 255).
pub const DISTANCE: f32 = 0.2;

/// Which pixels of an image [C, H, W] in [−1, 1] are not ground: their colour differs from the median colour of the
/// image's border by more than [`DISTANCE`].
///
/// # Panics
/// If `image` has not C·H·W values.
#[track_caller]
pub fn silhouette(image: &[f32], [c, h, w]: [usize; 3]) -> Vec<bool> {
    assert_eq!(image.len(), c * h * w, "silhouette: {} values are not [{c}, {h}, {w}]", image.len());
    let on_border = |i: usize| i < w || i >= (h - 1) * w || i.is_multiple_of(w) || i % w == w - 1;
    let ground: Vec<f32> = image
        .chunks_exact((h * w).max(1))
        .map(|plane| {
            let mut border: Vec<f32> = (0..h * w).filter(|&i| on_border(i)).map(|i| plane[i]).collect();
            border.sort_by(f32::total_cmp);
            border[border.len() / 2]
        })
        .collect();
    let away = |i: usize| (0..c).any(|k| (image[k * h * w + i] - ground[k]).abs() > DISTANCE);
    (0..h * w).map(away).collect()
}

/// |a ∩ b| / |a ∪ b|; 1 for two empty ones.
///
/// # Panics
/// If the two have different sizes.
#[track_caller]
pub fn overlap(a: &[bool], b: &[bool]) -> f64 {
    assert_eq!(a.len(), b.len(), "overlap: silhouettes of different sizes");
    let count = |f: fn(bool, bool) -> bool| a.iter().zip(b).filter(|&(&a, &b)| f(a, b)).count() as f64;
    let either = count(|a, b| a || b);
    if either == 0.0 { 1.0 } else { count(|a, b| a && b) / either }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::garments::Garment;

    #[test]
    fn overlaps_of_known_shapes() {
        let row = |from: usize, to: usize| (0..10).map(|i| (from..to).contains(&i)).collect::<Vec<bool>>();
        assert_eq!(overlap(&row(0, 6), &row(3, 9)), 3.0 / 9.0);
        assert_eq!((overlap(&row(2, 5), &row(2, 5)), overlap(&row(0, 0), &row(0, 0))), (1.0, 1.0));
        assert_eq!(overlap(&row(0, 3), &row(5, 9)), 0.0);
    }

    #[test]
    fn drawn_garments_are_found_by_their_colour() {
        let mut least: f64 = 1.0;
        let mut total = 0.0;
        for i in 0..60 {
            let garment = Garment::draw(11, i);
            let image = garment.render(64);
            let plane = |c: usize| image.pixels().map(move |p| f32::from(p[c]) / 127.5 - 1.0);
            let values: Vec<f32> = plane(0).chain(plane(1)).chain(plane(2)).collect();
            let mask: Vec<bool> = garment.mask(64).pixels().map(|p| p[0] >= 128).collect();
            let share = overlap(&silhouette(&values, [3, 64, 64]), &mask);
            least = least.min(share);
            total += share / 60.0;
        }
        assert!(total > 0.95 && least > 0.8, "mean {total}, least {least}");
    }
}

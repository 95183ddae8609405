//! Did the colours arrive? How far the colours of two pictures are apart, as an eye sees it.

/// CIE L*a*b* (white D65) of an sRGB colour in [−1, 1].
pub fn lab(colour: [f32; 3]) -> [f64; 3] {
    let [r, g, b] = colour.map(|v| {
        let v = (f64::from(v) + 1.0) / 2.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    let xyz = [
        (0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.950_47,
        0.212_672_9 * r + 0.715_152_2 * g + 0.072_175 * b,
        (0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b) / 1.088_83,
    ];
    let [x, y, z] = xyz.map(|t| if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The distance between the colours of two pictures in ΔE of CIE 1976: √ of the sum, over L*, a* and b*, of the squared
/// Wasserstein-2 distances between the two pictures' values. About 2 is the least that an eye notices; black and white are
/// 100 apart. Pictures are [3, …] in [−1, 1] of any two sizes; areas, if given, say which pixels count. 0 if there are none.
///
/// # Panics
/// If values are no multiple of 3.
#[track_caller]
pub fn colour_distance(a: &[f32], area_a: Option<&[bool]>, b: &[f32], area_b: Option<&[bool]>) -> f64 {
    let coordinates = |image: &[f32], area: Option<&[bool]>| -> [Vec<f64>; 3] {
        assert!(image.len().is_multiple_of(3), "colour_distance: {} values are no colours", image.len());
        let n = image.len() / 3;
        let there = |i: &usize| area.is_none_or(|area| area[*i]);
        let colours: Vec<[f64; 3]> =
            (0..n).filter(there).map(|i| lab([image[i], image[n + i], image[2 * n + i]])).collect();
        [0, 1, 2].map(|c| {
            let mut values: Vec<f64> = colours.iter().map(|colour| colour[c]).collect();
            values.sort_unstable_by(f64::total_cmp);
            values
        })
    };
    let (a, b) = (coordinates(a, area_a), coordinates(b, area_b));
    if a[0].is_empty() || b[0].is_empty() {
        return 0.0;
    }
    const QUANTILES: usize = 512;
    let square = |a: &[f64], b: &[f64]| {
        let at = |values: &[f64], q: usize| values[((2 * q + 1) * values.len()) / (2 * QUANTILES)];
        (0..QUANTILES).map(|q| (at(a, q) - at(b, q)).powi(2)).sum::<f64>() / QUANTILES as f64
    };
    a.iter().zip(&b).map(|(a, b)| square(a, b)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: [f64; 3], b: [f64; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.02)
    }

    #[test]
    fn known_colours() {
        assert!(near(lab([1.0; 3]), [100.0, 0.0, 0.0]) && near(lab([-1.0; 3]), [0.0; 3]));
        assert!(near(lab([1.0, -1.0, -1.0]), [53.24, 80.09, 67.20]), "{:?}", lab([1.0, -1.0, -1.0]));
        assert!(near(lab([-1.0, -1.0, 1.0]), [32.30, 79.19, -107.86]), "{:?}", lab([-1.0, -1.0, 1.0]));
    }

    #[test]
    fn the_order_of_pixels_and_the_size_do_not_matter() {
        let mixed = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        let turned = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0];
        assert_eq!(colour_distance(&mixed, None, &turned, None), 0.0);
        let (white, black) = ([1.0; 12], [-1.0; 3]);
        assert!((colour_distance(&white, None, &black, None) - 100.0).abs() < 0.01);
        assert!((colour_distance(&mixed, Some(&[true, false]), &white, None)) < 0.01);
        assert_eq!(colour_distance(&mixed, Some(&[false, false]), &white, None), 0.0);
    }
}

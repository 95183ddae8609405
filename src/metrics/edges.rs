//! Did the cut stay? How far the edges of two pictures agree.

/// The correlation of two pictures' edge maps, from −1 to 1; 1 for equal edges. An edge map is how steep the luma (Rec. 709)
/// is at each pixel: the length of Sobel's gradient, after a mean over 3x3 pixels. Pictures are [C, H, W] in [−1, 1], of
/// one size, C 1 or 3; `area`, if given, says which pixels count. 1 if both maps are flat, 0 if one is.
///
/// # Panics
/// If values and sizes do not fit.
#[track_caller]
pub fn edge_agreement(a: &[f32], b: &[f32], shape: [usize; 3], area: Option<&[bool]>) -> f64 {
    let [c, h, w] = shape;
    assert!(a.len() == c * h * w && b.len() == a.len(), "edge_agreement: values that are not {shape:?}");
    let [a, b] = [a, b].map(|image| steepness(image, shape));
    let there = |i: &usize| area.is_none_or(|area| area[*i]);
    let pixels: Vec<usize> = (0..h * w).filter(there).collect();
    let n = pixels.len().max(1) as f64;
    let mean = |map: &[f64]| pixels.iter().map(|&i| map[i]).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let product =
        |x: &[f64], mx: f64, y: &[f64], my: f64| pixels.iter().map(|&i| (x[i] - mx) * (y[i] - my)).sum::<f64>() / n;
    let (aa, bb) = (product(&a, mean_a, &a, mean_a), product(&b, mean_b, &b, mean_b));
    match (aa < 1e-12, bb < 1e-12) {
        (true, true) => 1.0,
        (false, false) => product(&a, mean_a, &b, mean_b) / (aa * bb).sqrt(),
        _ => 0.0,
    }
}

fn steepness(image: &[f32], [c, h, w]: [usize; 3]) -> Vec<f64> {
    let luma: Vec<f64> = (0..h * w)
        .map(|i| match c {
            3 => [0.2126, 0.7152, 0.0722].iter().enumerate().map(|(k, v)| v * f64::from(image[k * h * w + i])).sum(),
            _ => f64::from(image[i]),
        })
        .collect();
    let at = |map: &[f64], i: isize, j: isize| {
        map[i.clamp(0, h as isize - 1) as usize * w + j.clamp(0, w as isize - 1) as usize]
    };
    // The weights of a 3x3 neighbourhood, row by row.
    let filtered = |map: &[f64], weights: [f64; 9]| -> Vec<f64> {
        let of = |k: usize| {
            let (i, j) = ((k / w) as isize, (k % w) as isize);
            (0..9).map(|n| weights[n] * at(map, i + n as isize / 3 - 1, j + n as isize % 3 - 1)).sum()
        };
        (0..h * w).map(of).collect()
    };
    let soft = filtered(&luma, [1.0 / 9.0; 9]);
    let across = filtered(&soft, [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]);
    let down = filtered(&soft, [-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0]);
    across.iter().zip(down).map(|(x, y)| x.hypot(y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(side: usize, from: usize, to: usize, inside: f32) -> Vec<f32> {
        let there = |k: usize| (from..to).contains(&(k / side)) && (from..to).contains(&(k % side));
        (0..side * side).map(|k| if there(k) { inside } else { 0.9 }).collect()
    }

    #[test]
    fn the_same_shape_in_other_colours_agrees() {
        let shape = [1, 32, 32];
        let (dark, light, small) = (square(32, 8, 24, -0.9), square(32, 8, 24, 0.2), square(32, 13, 19, -0.9));
        assert!((edge_agreement(&dark, &light, shape, None) - 1.0).abs() < 1e-6);
        assert!(edge_agreement(&dark, &small, shape, None) < 0.3);
        let plain = vec![0.0; 1024];
        assert_eq!(edge_agreement(&dark, &plain, shape, None), 0.0);
        assert_eq!(edge_agreement(&plain, &plain, shape, None), 1.0);
        let colour: Vec<f32> = dark.repeat(3);
        assert!(edge_agreement(&colour, &colour, [3, 32, 32], None) > 1.0 - 1e-9);
        assert_eq!(edge_agreement(&[0.5], &[0.1], [1, 1, 1], None), 1.0);
    }

    #[test]
    fn only_the_area_counts() {
        let shape = [1, 32, 32];
        let (a, mut b) = (square(32, 4, 12, -0.9), square(32, 4, 12, -0.9));
        (0..1024).filter(|k| k / 32 > 18 && k / 4 % 2 == 0).for_each(|k| b[k] = -0.9);
        let above: Vec<bool> = (0..1024).map(|k| k / 32 < 15).collect();
        assert!(edge_agreement(&a, &b, shape, Some(&above)) > 1.0 - 1e-9);
        assert!(edge_agreement(&a, &b, shape, None) < 0.9);
    }
}

//! Where the thing is: a garment found by its silhouette on a plain ground, cleaned of specks and holes.

use super::planes::{Planes, filled};
use crate::metrics::silhouette::silhouette;

/// The share of a picture's border that must have the ground's colour, if the ground is to count as plain.
const PLAIN_BORDER: f64 = 0.85;

/// The least and largest share of the picture that a thing may cover.
const SHARE: std::ops::RangeInclusive<f64> = 0.03..=0.92;

/// The pixels of the thing that a picture shows on a plain ground: all parts of a fiftieth of the largest part's size or
/// more, holes filled. None if there is no plain ground, or no thing on it
/// that is larger than the others together, or nearly.
pub fn thing_of(picture: &Planes) -> Option<Vec<bool>> {
    let [h, w] = picture.size;
    let there = silhouette(&picture.values, [3, h, w]);
    let border: Vec<usize> =
        (0..h * w).filter(|i| i / w == 0 || i / w == h - 1 || i % w == 0 || i % w == w - 1).collect();
    let plain = border.iter().filter(|&&i| !there[i]).count() as f64 / border.len() as f64;
    if plain < PLAIN_BORDER {
        return None;
    }
    let mut thing = vec![false; h * w];
    let parts = parts(&there, true, [h, w]);
    let largest = parts.iter().map(Vec::len).max()?;
    // Many parts of about one size are a pattern.
    if largest * 5 < parts.iter().map(Vec::len).sum::<usize>() * 2 {
        return None;
    }
    parts.iter().filter(|part| part.len() * 50 >= largest).flatten().for_each(|&i| thing[i] = true);
    // Ground that does not reach the border is a hole, such as a light button or a white stripe; a large one, as between
    // a bag and its handle, is ground.
    let largest_hole = h * w / 100;
    for part in self::parts(&thing, false, [h, w]) {
        let reaches = part.iter().any(|i| i / w == 0 || i / w == h - 1 || i % w == 0 || i % w == w - 1);
        if !reaches && part.len() < largest_hole {
            part.iter().for_each(|&i| thing[i] = true);
        }
    }
    let share = thing.iter().filter(|&&there| there).count() as f64 / thing.len() as f64;
    SHARE.contains(&share).then_some(thing)
}

/// The connected parts (by sides) of pixels that are `value`.
fn parts(area: &[bool], value: bool, [h, w]: [usize; 2]) -> Vec<Vec<usize>> {
    let mut seen = vec![false; h * w];
    let mut parts = Vec::new();
    for start in 0..h * w {
        if seen[start] || area[start] != value {
            continue;
        }
        let (mut part, mut pending) = (Vec::new(), vec![start]);
        seen[start] = true;
        while let Some(i) = pending.pop() {
            part.push(i);
            let neighbours = [
                (i >= w).then(|| i - w),
                (i + w < h * w).then_some(i + w),
                (i % w > 0).then(|| i - 1),
                (i % w + 1 < w).then_some(i + 1),
            ];
            for j in neighbours.into_iter().flatten() {
                if !seen[j] && area[j] == value {
                    seen[j] = true;
                    pending.push(j);
                }
            }
        }
        parts.push(part);
    }
    parts
}

/// The area with every pixel within `by` of one of it.
pub fn grown(area: &[bool], [h, w]: [usize; 2], by: usize) -> Vec<bool> {
    let along = |area: &[bool], vertical: bool| -> Vec<bool> {
        (0..h * w)
            .map(|at| {
                let (i, j) = (at / w, at % w);
                if vertical {
                    (i.saturating_sub(by)..=(i + by).min(h - 1)).any(|i| area[i * w + j])
                } else {
                    area[i * w + j.saturating_sub(by)..=i * w + (j + by).min(w - 1)].iter().any(|&there| there)
                }
            })
            .collect()
    };
    along(&along(area, true), false)
}

/// The area without the pixels within `by` of what is not of it; the area itself if nothing would be left.
pub fn shrunk(area: &[bool], size: [usize; 2], by: usize) -> Vec<bool> {
    let outside: Vec<bool> = area.iter().map(|there| !there).collect();
    let shrunk: Vec<bool> = grown(&outside, size, by).into_iter().map(|there| !there).collect();
    if shrunk.iter().any(|&there| there) { shrunk } else { area.to_vec() }
}

/// How much of each pixel belongs to the thing: 1 inside, 0 outside, and near its border, where a pixel is a mixture of
/// thing and ground, the share that explains its colour best: (x − g)·(f − g) / |f − g|² for the colours of the thing
/// near by, f, and of the ground near by, g.
pub fn soft(picture: &Planes, thing: &[bool]) -> Vec<f32> {
    let [h, w] = picture.size;
    let reach = rim([h, w]);
    let inner = shrunk(thing, [h, w], reach);
    let outside: Vec<bool> = grown(thing, [h, w], reach).into_iter().map(|there| !there).collect();
    let (near, far) = (filled(picture, &inner), filled(picture, &outside));
    let area = h * w;
    (0..area)
        .map(|i| {
            if inner[i] || outside[i] {
                return if inner[i] { 1.0 } else { 0.0 };
            }
            let [mut along, mut whole] = [0.0, 0.0];
            for at in [i, area + i, 2 * area + i] {
                let (x, f, g) = (picture.values[at], near.values[at], far.values[at]);
                along += (x - g) * (f - g);
                whole += (f - g) * (f - g);
            }
            if whole < 1e-3 { f32::from(u8::from(thing[i])) } else { (along / whole).clamp(0.0, 1.0) }
        })
        .collect()
}

/// The pixels at a border that are mixtures of both sides.
pub fn rim(size: [usize; 2]) -> usize {
    (size[0].max(size[1]) / 128).max(1)
}

/// An area at another size: what half or more of a pixel is of.
pub fn resized(area: &[bool], size: [usize; 2], to: [usize; 2]) -> Vec<bool> {
    if size == to {
        return area.to_vec();
    }
    let values: Vec<f32> = area.iter().map(|&there| f32::from(u8::from(there))).collect();
    let planes = Planes { size, values: values.repeat(3) };
    planes.resized(to).values[..to[0] * to[1]].iter().map(|&v| v >= 0.5).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::garments::Garment;
    use crate::metrics::silhouette::overlap;
    use image::DynamicImage;

    fn planes(image: image::RgbImage) -> Planes {
        Planes::of(&DynamicImage::from(image).into_rgba8())
    }

    #[test]
    fn garments_are_found_whole_and_cloth_is_no_thing() {
        for i in 0..12 {
            let garment = Garment::draw(5, i);
            let picture = planes(garment.render(96));
            let mask: Vec<bool> = garment.mask(96).pixels().map(|p| p[0] >= 128).collect();
            let thing = thing_of(&picture).unwrap_or_else(|| panic!("{}", garment.caption()));
            let share = overlap(&thing, &mask);
            assert!(share > 0.85, "{}: {share}", garment.caption());
            let soft = soft(&picture, &thing);
            assert!(soft.iter().all(|s| (0.0..=1.0).contains(s)) && soft.contains(&1.0) && soft.contains(&0.0));
            assert!(
                thing_of(&planes(garment.with_pattern(crate::data::garments::Pattern::Plaid).cloth_picture(64)))
                    .is_none()
            );
        }
        assert!(thing_of(&Planes { size: [9, 9], values: vec![0.3; 243] }).is_none());
    }

    #[test]
    fn areas_grow_and_shrink() {
        let dot: Vec<bool> = (0..49).map(|k| k == 24).collect();
        let grown = grown(&dot, [7, 7], 2);
        assert_eq!(grown.iter().filter(|&&there| there).count(), 25);
        assert_eq!(shrunk(&grown, [7, 7], 2), dot);
        assert_eq!(shrunk(&dot, [7, 7], 1), dot);
        assert_eq!(resized(&grown, [7, 7], [14, 14]).iter().filter(|&&there| there).count(), 100);
    }
}

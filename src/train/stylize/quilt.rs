//! Cloth of any size from a piece of it: blocks of the style, laid so that they fit, cut along the best seams (image
//! quilting, Efros and Freeman 2001).

use super::planes::Planes;
use crate::rng::{Domain, Stream};
use rayon::prelude::*;

/// Blocks that are looked at for each place.
const CANDIDATES: usize = 2500;

/// How much worse than the best a block may fit and still be taken, so that the cloth does not repeat one block.
const TOLERANCE: f64 = 1.15;

/// Which pixel of the style lies at each pixel of the cloth.
#[derive(Clone, Debug, PartialEq)]
pub struct Quilt {
    /// Height and width.
    pub size: [usize; 2],
    /// Row and column of the style.
    pub from: Vec<[u32; 2]>,
}

impl Quilt {
    /// A cloth of `size` from the pixels of `style` that `usable` names; `seed` chooses among blocks that fit equally.
    pub fn new(style: &Planes, usable: &[bool], size: [usize; 2], seed: u64) -> Quilt {
        let [sh, sw] = style.size;
        let block = block_side(style.size, usable);
        let lap = block * 2 / 5;
        let step = (block - lap).max(1);
        let places = usable_places(style.size, usable, block);
        let [rows, columns] = size.map(|side| side.saturating_sub(lap).div_ceil(step).max(1));
        let full = [rows * step + lap, columns * step + lap];
        let mut from = vec![[0u32; 2]; full[0] * full[1]];
        let mut stream = Stream::new(seed, Domain::Quilt, 0);
        let difference = |a: [u32; 2], b: [usize; 2]| -> f64 {
            let (a, b) = (a[0] as usize * sw + a[1] as usize, b[0] * sw + b[1]);
            (0..3).map(|c| f64::from(style.values[c * sh * sw + a] - style.values[c * sh * sw + b]).powi(2)).sum()
        };
        for row in 0..rows {
            for column in 0..columns {
                let (top, left) = (row * step, column * step);
                let laid = |i: usize, j: usize| (row > 0 && i < lap) || (column > 0 && j < lap);
                let candidates: Vec<[usize; 2]> = if places.len() <= CANDIDATES {
                    places.clone()
                } else {
                    (0..CANDIDATES).map(|_| places[stream.below(places.len() as u32) as usize]).collect()
                };
                let costs: Vec<f64> = candidates
                    .par_iter()
                    .map(|&[v, u]| {
                        let mut cost = 0.0;
                        for i in 0..block {
                            for j in 0..if row > 0 && i < lap { block } else { lap.min(block) } {
                                if laid(i, j) {
                                    cost += difference(from[(top + i) * full[1] + left + j], [v + i, u + j]);
                                }
                            }
                        }
                        cost
                    })
                    .collect();
                let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
                let good: Vec<usize> = (0..costs.len()).filter(|&k| costs[k] <= least * TOLERANCE + 1e-9).collect();
                let [v, u] = candidates[good[stream.below(good.len() as u32) as usize]];
                // The seams: where the new block begins, in each row of the left lap and each column of the upper one.
                let error = |i: usize, j: usize| difference(from[(top + i) * full[1] + left + j], [v + i, u + j]);
                let from_left = if column > 0 { seam(block, lap, error) } else { vec![0; block] };
                let from_top = if row > 0 { seam(block, lap, |j, i| error(i, j)) } else { vec![0; block] };
                for i in 0..block {
                    for j in 0..block {
                        if j >= from_left[i] && i >= from_top[j] {
                            from[(top + i) * full[1] + left + j] = [(v + i) as u32, (u + j) as u32];
                        }
                    }
                }
            }
        }
        let cut = (0..size[0]).flat_map(|i| from[i * full[1]..][..size[1]].iter().copied()).collect();
        Quilt { size, from: cut }
    }

    /// The part of `size` from (`top`, `left`) on, of what the pixels name in `style`.
    pub fn window(&self, style: &Planes, [top, left]: [usize; 2], size: [usize; 2]) -> Planes {
        let [sh, sw] = style.size;
        let mut values = Vec::with_capacity(3 * size[0] * size[1]);
        for c in 0..3 {
            for i in 0..size[0] {
                let row = &self.from[(top + i) * self.size[1] + left..][..size[1]];
                values.extend(row.iter().map(|&[v, u]| style.values[c * sh * sw + v as usize * sw + u as usize]));
            }
        }
        Planes { size, values }
    }
}

/// For each of `len` lines, where along `lap` the line with the least error crosses it (dynamic programming).
fn seam(len: usize, lap: usize, error: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    if lap == 0 {
        return vec![0; len];
    }
    let mut sums = vec![vec![0.0f64; lap]; len];
    for i in 0..len {
        for j in 0..lap {
            let before = if i == 0 {
                0.0
            } else {
                (j.saturating_sub(1)..=(j + 1).min(lap - 1)).map(|k| sums[i - 1][k]).fold(f64::INFINITY, f64::min)
            };
            sums[i][j] = before + error(i, j);
        }
    }
    let least = |row: &[f64], range: std::ops::RangeInclusive<usize>| {
        range.min_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)
    };
    let mut at = least(&sums[len - 1], 0..=lap - 1);
    let mut path = vec![0; len];
    for i in (0..len).rev() {
        path[i] = at;
        if i > 0 {
            at = least(&sums[i - 1], at.saturating_sub(1)..=(at + 1).min(lap - 1));
        }
    }
    path
}

/// The side of a block: half of the usable area's, within 8 and 64 pixels and the style's own sides. Laps must be longer
/// than a stripe is wide, or stripes would not be laid in step.
fn block_side([h, w]: [usize; 2], usable: &[bool]) -> usize {
    let area = usable.iter().filter(|&&usable| usable).count();
    let mut side = (((area as f64).sqrt() / 2.0) as usize).clamp(8, 64).min(h).min(w).max(1);
    // A narrow shape has no room for large blocks.
    while side > 8 && covered(usable, [h, w], side).iter().all(|&share| share < 0.97) {
        side -= 1;
    }
    side
}

/// How much of each block of a side is usable, by its upper left corner.
fn covered(usable: &[bool], [h, w]: [usize; 2], side: usize) -> Vec<f64> {
    let sums = Sums::new(usable, [h, w]);
    let mut shares = Vec::with_capacity((h - side + 1) * (w - side + 1));
    for v in 0..=h - side {
        for u in 0..=w - side {
            shares.push(sums.count([v, u], [v + side, u + side]) as f64 / (side * side) as f64);
        }
    }
    shares
}

/// The upper left corners of the blocks that are all usable, or nearly as far as there are such.
fn usable_places(size: [usize; 2], usable: &[bool], side: usize) -> Vec<[usize; 2]> {
    let shares = covered(usable, size, side);
    let best = shares.iter().copied().fold(0.0, f64::max);
    let columns = size[1] - side + 1;
    (0..shares.len()).filter(|&k| shares[k] >= best.min(0.99) - 0.01).map(|k| [k / columns, k % columns]).collect()
}

/// Sums over rectangles of a picture of true and false.
pub struct Sums {
    sums: Vec<u32>,
    width: usize,
}

impl Sums {
    /// For a picture of [height, width].
    pub fn new(there: &[bool], [h, w]: [usize; 2]) -> Sums {
        let width = w + 1;
        let mut sums = vec![0u32; (h + 1) * width];
        for i in 0..h {
            let mut row = 0;
            for j in 0..w {
                row += u32::from(there[i * w + j]);
                sums[(i + 1) * width + j + 1] = sums[i * width + j + 1] + row;
            }
        }
        Sums { sums, width }
    }

    /// How many are true from a corner (row, column) to before another.
    pub fn count(&self, from: [usize; 2], to: [usize; 2]) -> usize {
        let at = |i: usize, j: usize| self.sums[i * self.width + j] as usize;
        at(to[0], to[1]) + at(from[0], from[1]) - at(from[0], to[1]) - at(to[0], from[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripes(side: usize) -> Planes {
        let values = (0..3 * side * side).map(|k| if (k % side / 3).is_multiple_of(2) { 0.7 } else { -0.7 }).collect();
        Planes { size: [side, side], values }
    }

    #[test]
    fn cloth_is_made_of_what_is_usable_and_stripes_stay_in_step() {
        let style = stripes(48);
        let usable: Vec<bool> = (0..48 * 48).map(|k| k % 48 < 36 && k / 48 > 8).collect();
        let quilt = Quilt::new(&style, &usable, [70, 90], 3);
        assert_eq!((quilt.size, quilt.from.len()), ([70, 90], 6300));
        assert!(quilt.from.iter().all(|&[v, u]| usable[v as usize * 48 + u as usize]));
        assert_eq!(quilt, Quilt::new(&style, &usable, [70, 90], 3));
        assert_ne!(quilt, Quilt::new(&style, &usable, [70, 90], 4));
        let cloth = quilt.window(&style, [10, 5], [40, 60]);
        let row = &cloth.values[..60];
        // As many changes as six pixels a stripe pair give, all the way down.
        let changes = row.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((18..=21).contains(&changes), "{changes} changes in 60 pixels");
        assert!((0..40).all(|i| cloth.values[i * 60..][..60] == *row));
    }

    #[test]
    fn tiny_styles_make_cloth_too() {
        for side in [1, 2, 5] {
            let quilt = Quilt::new(&stripes(side), &vec![true; side * side], [20, 20], 0);
            assert!(quilt.from.iter().all(|at| at.iter().all(|&k| (k as usize) < side)));
        }
    }
}

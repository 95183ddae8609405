//! The f32 matrix product, in packed panels over all cores.

use super::pack::{Left, Run, depth, pack_runs, pack_turned};
use super::parallel::{PIECE, for_chunks, for_rows};
use super::product::{Job, Shared, product};
use super::simd::{Isa, vectorized};
use super::tile::{Multiply, Tile, with_tile};
use std::ops::Range;

/// A matrix read through strides: element (i, j) is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` x `cols`, row-major with `row_stride` elements from row to row.
    #[track_caller]
    pub fn new(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Matrix<'a> {
        if rows > 0 && cols > 0 {
            assert!((rows - 1) * row_stride + cols <= data.len(), "matrix {rows}x{cols} exceeds its data");
        }
        Matrix { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transposed matrix, on the same data.
    pub fn t(self) -> Matrix<'a> {
        Matrix { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// y = a·b; `y` is dense row-major. On all cores if it is worth it; the order of the sums depends on the sizes alone.
#[track_caller]
pub fn matmul(y: &mut [f32], a: Matrix, b: Matrix) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "matmul: inner sizes differ");
    assert_eq!(y.len(), m * n, "matmul: the output has another size");
    if m * n == 0 {
        return;
    }
    if k == 0 {
        return y.fill(0.0);
    }
    if n == 1 && a.col_stride == 1 && b.row_stride == 1 {
        let rows = (PIECE / 2 / k).max(1);
        return for_chunks([y], rows, |i, [y]| {
            vectorized(
                #[inline(always)]
                || {
                    for (j, y) in y.iter_mut().enumerate() {
                        *y = dot(&a.data[(i * rows + j) * a.row_stride..][..k], &b.data[..k]);
                    }
                },
            );
        });
    }
    // An outer product, or the sum of a few: a pass over y, for there is nothing to keep in registers.
    if n >= OUTER && b.col_stride == 1 {
        match k {
            1 => return for_rows(y, n, |i, y| outer::<1>(y, a, b, i)),
            2 => return for_rows(y, n, |i, y| outer::<2>(y, a, b, i)),
            3 => return for_rows(y, n, |i, y| outer::<3>(y, a, b, i)),
            4 => return for_rows(y, n, |i, y| outer::<4>(y, a, b, i)),
            _ => {}
        }
    }
    with_tile!(Isa::best(), tiled, (y, a, b));
}

fn tiled<const MR: usize, const NR: usize>(y: &mut [f32], a: Matrix, b: Matrix) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    let steps = |stride: usize| (0..k).map(|l| l * stride).collect::<Vec<_>>();
    let left = Left::<MR>::pack(a.data, m, depth::<NR>(k), |i| i * a.row_stride, &steps(a.col_stride));
    let steps = steps(b.row_stride);
    let pack = |_, panel: usize, k: Range<usize>, data: &mut [f32], first: Multiply<MR, NR>| {
        let (start, count) = (panel * NR, NR.min(n - panel * NR));
        if b.col_stride == 1 {
            pack_runs(b.data, &[Run { to: 0, from: start, len: count }], &steps[k], data, first);
        } else {
            // Rows or columns lie together in every matrix that can be made.
            pack_turned::<NR>(b.data, count, |i| (start + i) * b.col_stride, k, data);
            first.run(data);
        }
    };
    let y = Shared::new(y);
    let finish = |first: usize, panel: usize, tiles: &[&[Tile<MR, NR>]]| {
        for (i, row) in (first..m).zip(tiles[0].iter().flat_map(|tile| &tile.0)) {
            let (column, count) = (panel * NR, NR.min(n - panel * NR));
            // SAFETY: every tile has its own place in y.
            unsafe { y.write(i * n + column, &row[..count]) };
        }
    };
    product::<MR, NR, _, _>(&[Job { left: vec![&left], columns: n, pack, finish }], true);
}

/// Columns from which on sums of up to four terms are computed in a pass over y.
const OUTER: usize = 64;

/// Row i of a·b, for K columns of a.
#[inline(always)]
fn outer<const K: usize>(y: &mut [f32], a: Matrix, b: Matrix, i: usize) {
    let factors: [f32; K] = std::array::from_fn(|l| a.data[i * a.row_stride + l * a.col_stride]);
    let rows: [&[f32]; K] = std::array::from_fn(|l| &b.data[l * b.row_stride..][..y.len()]);
    for (j, y) in y.iter_mut().enumerate() {
        let mut sum = factors[0] * rows[0][j];
        (1..K).for_each(|l| sum += factors[l] * rows[l][j]);
        *y = sum;
    }
}

/// Σ a·b in 32 lanes, over at most 4,096 elements in f32, those totals in f64.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut total = 0.0;
    for (a, b) in a.chunks(4096).zip(b.chunks(4096)) {
        let mut lanes = [0.0f32; 32];
        let (a_rows, b_rows) = (a.chunks_exact(32), b.chunks_exact(32));
        let rest = a_rows.remainder().iter().zip(b_rows.remainder());
        total += rest.map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
        for (a, b) in a_rows.zip(b_rows) {
            lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
        }
        total += lanes.iter().map(|&v| v as f64).sum::<f64>();
    }
    total as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Domain, Stream};

    #[test]
    fn every_split_agrees_with_the_plain_loops() {
        let mut stream = Stream::new(1, Domain::Test, 0);
        let sizes = [
            (1, 1, 1),
            (3, 5, 7),
            (5, 70, 1),
            (70, 65, 2),
            (3, 64, 4),
            (300, 7000, 3),
            (300, 40, 70),
            (40, 300, 70),
            (5, 3000, 33),
            (9, 1, 4200),
            (2, 2, 0),
            (0, 3, 2),
        ];
        for (m, n, k) in sizes {
            let a = stream.normal_vec(m * k);
            let b = stream.normal_vec(k * n);
            let mut y = vec![f32::NAN; m * n];
            matmul(&mut y, Matrix::new(&a, m, k, k), Matrix::new(&b, k, n, n));
            let mut turned = vec![f32::NAN; m * n];
            matmul(&mut turned, Matrix::new(&b, k, n, n).t(), Matrix::new(&a, m, k, k).t());
            for i in 0..m {
                for j in 0..n {
                    assert!((turned[j * m + i] - y[i * n + j]).abs() < 2e-4, "{m}x{n}x{k} turned at {i},{j}");
                    let want: f64 = (0..k).map(|l| a[i * k + l] as f64 * b[l * n + j] as f64).sum();
                    assert!((y[i * n + j] as f64 - want).abs() < 1e-4, "{m}x{n}x{k} at {i},{j}");
                }
            }
        }
    }
}

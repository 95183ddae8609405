//! The packed f32 matrix product of the `gemm` crates (run-time AVX2/AVX-512/NEON dispatch), split over the cores.

use gemm_common::Parallelism;
use rayon::prelude::*;

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

    fn rows_from(self, start: usize, rows: usize) -> Matrix<'a> {
        Matrix { data: self.data.get(start * self.row_stride..).unwrap_or(&[]), rows, ..self }
    }
}

/// y = a·b, or y += a·b if `accumulate`, on the calling thread. `y` is row-major, `a.rows` x `b.cols`, with
/// `y_stride` elements from row to row.
#[track_caller]
pub fn matmul(y: &mut [f32], y_stride: usize, a: Matrix, b: Matrix, accumulate: bool) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "matmul: inner sizes differ");
    if m == 0 || n == 0 {
        return;
    }
    assert!(y_stride >= n && (m - 1) * y_stride + n <= y.len(), "matmul: the output is too small");
    if k == 0 {
        if !accumulate {
            (0..m).for_each(|i| y[i * y_stride..i * y_stride + n].fill(0.0));
        }
        return;
    }
    // SAFETY: the pointers cover rows x cols elements under their strides: `Matrix::new` (and `rows_from`, which only
    // shortens) checked a and b, the assertion above checked y; y is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            y_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// y = a·b on all cores; `y` is dense row-major. The pieces depend on the sizes alone, so the result does not depend
/// on the number of threads.
#[track_caller]
pub fn matmul_parallel(y: &mut [f32], a: Matrix, b: Matrix) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    let small = m * n * k < 1 << 18;
    if small || n == 0 {
        matmul(y, n, a, b, false);
    } else if m >= n || m >= 256 {
        let piece = m.div_ceil(32).next_multiple_of(8).max(64);
        y.par_chunks_mut(piece * n).enumerate().for_each(|(i, rows)| {
            matmul(rows, n, a.rows_from(i * piece, rows.len() / n), b, false);
        });
    } else {
        // Wide and flat: split the columns, each piece into its own block, then lay the blocks side by side.
        let piece = n.div_ceil(32).next_multiple_of(16).max(64);
        let blocks: Vec<super::CpuBuffer> = (0..n.div_ceil(piece))
            .into_par_iter()
            .map(|i| {
                let cols = piece.min(n - i * piece);
                let mut block = super::CpuBuffer::uninit(m * cols);
                let part = b.t().rows_from(i * piece, cols).t();
                matmul(&mut block, cols, a, part, false);
                block
            })
            .collect();
        for (i, block) in blocks.iter().enumerate() {
            let cols = block.len() / m;
            for row in 0..m {
                y[row * n + i * piece..][..cols].copy_from_slice(&block[row * cols..][..cols]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Domain, Stream};

    #[test]
    fn every_split_agrees_with_the_plain_loops() {
        let mut stream = Stream::new(1, Domain::Test, 0);
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (300, 40, 70), (40, 300, 70), (5, 3000, 33), (2, 2, 0), (0, 3, 2)] {
            let a = stream.normal_vec(m * k);
            let b = stream.normal_vec(k * n);
            let mut y = vec![f32::NAN; m * n];
            matmul_parallel(&mut y, Matrix::new(&a, m, k, k), Matrix::new(&b, k, n, n));
            for i in 0..m {
                for j in 0..n {
                    let want: f64 = (0..k).map(|l| a[i * k + l] as f64 * b[l * n + j] as f64).sum();
                    assert!((y[i * n + j] as f64 - want).abs() < 1e-4, "{m}x{n}x{k} at {i},{j}");
                }
            }
        }
    }
}

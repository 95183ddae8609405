//! Unfolding images into matrix columns and back, for convolutions as matrix products.

/// One image's geometry under a convolution: input planes `[c, h, w]`, a `kh` x `kw` kernel, output `[oh, ow]`.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Input channels (of one group).
    pub c: usize,
    /// Input height and width.
    pub h: usize,
    pub w: usize,
    /// Kernel height and width.
    pub kh: usize,
    pub kw: usize,
    /// Output height and width.
    pub oh: usize,
    pub ow: usize,
    /// Strides, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zeros above and to the left.
    pub before: [usize; 2],
    /// Dilations, vertical and horizontal.
    pub dilation: [usize; 2],
}

impl Geometry {
    /// Rows of the column matrix: c·kh·kw.
    pub fn rows(&self) -> usize {
        self.c * self.kh * self.kw
    }

    /// The output columns `ox` (a range) whose input column for kernel column `j` lies inside the image, and the first one's input column.
    fn inside(&self, j: usize) -> (usize, usize, usize) {
        let (stride, shift) = (self.stride[1] as isize, (j * self.dilation[1]) as isize - self.before[1] as isize);
        let first = if shift >= 0 { 0 } else { (-shift + stride - 1) / stride };
        let last = (self.w as isize - 1 - shift).div_euclid(stride) + 1;
        let first = first.min(self.ow as isize);
        let last = last.clamp(first, self.ow as isize);
        (first as usize, last as usize, (first * stride + shift).max(0) as usize)
    }

    fn input_row(&self, oy: usize, i: usize) -> Option<usize> {
        (oy * self.stride[0] + i * self.dilation[0]).checked_sub(self.before[0]).filter(|&y| y < self.h)
    }
}

/// Writes the columns of one image `x [c, h, w]` into `columns`, whose rows are `row_stride` apart:
/// columns[(c, i, j), (oy, ox)] = x[c, oy·sh + i·dh − top, ox·sw + j·dw − left], 0 outside.
pub fn im2col(x: &[f32], g: &Geometry, columns: &mut [f32], row_stride: usize) {
    for c in 0..g.c {
        let plane = &x[c * g.h * g.w..][..g.h * g.w];
        for i in 0..g.kh {
            for j in 0..g.kw {
                let row = &mut columns[((c * g.kh + i) * g.kw + j) * row_stride..][..g.oh * g.ow];
                let (first, last, start) = g.inside(j);
                for (oy, out) in row.chunks_exact_mut(g.ow).enumerate() {
                    let Some(iy) = g.input_row(oy, i) else {
                        out.fill(0.0);
                        continue;
                    };
                    out[..first].fill(0.0);
                    out[last..].fill(0.0);
                    if first == last {
                        continue;
                    }
                    let source = &plane[iy * g.w + start..(iy + 1) * g.w];
                    match g.stride[1] {
                        1 => out[first..last].copy_from_slice(&source[..last - first]),
                        2 => out[first..last].iter_mut().zip(source.chunks(2)).for_each(|(y, x)| *y = x[0]),
                        s => out[first..last].iter_mut().zip(source.iter().step_by(s)).for_each(|(y, x)| *y = *x),
                    }
                }
            }
        }
    }
}

/// Adds the columns back onto one image `x [c, h, w]`: the adjoint of [`im2col`].
pub fn col2im(columns: &[f32], row_stride: usize, g: &Geometry, x: &mut [f32]) {
    for c in 0..g.c {
        let plane = &mut x[c * g.h * g.w..][..g.h * g.w];
        for i in 0..g.kh {
            for j in 0..g.kw {
                let row = &columns[((c * g.kh + i) * g.kw + j) * row_stride..][..g.oh * g.ow];
                let (first, last, start) = g.inside(j);
                if first == last {
                    continue;
                }
                for (oy, source) in row.chunks_exact(g.ow).enumerate() {
                    let Some(iy) = g.input_row(oy, i) else { continue };
                    let target = &mut plane[iy * g.w + start..(iy + 1) * g.w];
                    match g.stride[1] {
                        1 => target.iter_mut().zip(&source[first..last]).for_each(|(x, v)| *x += v),
                        2 => target.chunks_mut(2).zip(&source[first..last]).for_each(|(x, v)| x[0] += v),
                        s => target.iter_mut().step_by(s).zip(&source[first..last]).for_each(|(x, v)| *x += v),
                    }
                }
            }
        }
    }
}

//! The input gradient of a convolution, which is the transposed convolution: the second face of the trilinear form (see `conv2d`).

use crate::cpu::CpuBuffer;
use crate::cpu::im2col::col2im;
use crate::cpu::matmul::{Matrix, matmul};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::conv2d::{Conv2d, images_at_once};
use crate::ops::conv2d_weight::Conv2dWeight;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};
use rayon::prelude::*;

/// dx [N, C, size] from dy [N, O, OH, OW] and w [O, C/groups, KH, KW]:
/// dx[n, c, iy, ix] = Σ dy[n, o, oy, ox]·w[o, c, i, j] over all o, i, j, oy, ox with iy = oy·s + i·d − top, ix likewise.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dInput {
    /// The convolution that this transposes.
    pub conv: Conv2d,
    /// Height and width of the result.
    pub size: [usize; 2],
}

impl Conv2dInput {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        y.fill(T::of(0.0));
        self.conv.for_each_term(shape, x[1].shape, x[0].shape, |at_x, at_w, at_y| {
            y[at_x] += x[0].data[at_y] * x[1].data[at_w];
        });
    }
}

impl Op for Conv2dInput {
    fn name(&self) -> &'static str {
        "conv2d_input"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["dy", "w"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let (dy, w) = (x[0], x[1]);
        if dy.rank() != 4 || w.rank() != 4 {
            return Err("expects images [N, O, H, W] and weights [O, C/groups, KH, KW]".into());
        }
        if dy[1] != w[0] {
            return Err(format!("input has {} channels but weight expects {}", dy[1], w[0]));
        }
        let shape = Shape::from([dy[0], w[1] * self.conv.groups, self.size[0], self.size[1]]);
        self.conv.check(&shape, w, Some(dy))?;
        Ok(shape)
    }

    reference_loops!();

    /// columns = wᵀ·dy, folded back onto the images, a few images at a time on each core.
    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let (dys, ws, groups) = (x[0].shape, x[1].shape, self.conv.groups);
        let g = self.conv.geometry(shape, ws, dys);
        let (positions, per_group, rows) = (g.oh * g.ow, ws[0] / groups, g.rows());
        let (x_image, y_image) = (shape[1] * g.h * g.w, dys[1] * positions);
        if y.is_empty() {
            return;
        }
        let together = images_at_once(positions);
        y.par_chunks_mut(together * x_image).enumerate().for_each(|(task, dx)| {
            let images = dx.len() / x_image;
            let width = images * positions;
            let mut columns = CpuBuffer::uninit(rows * width);
            let mut gathered = CpuBuffer::uninit(per_group * width);
            dx.fill(0.0);
            for group in 0..groups {
                let first = task * together;
                gather(&x[0].data[first * y_image..], y_image, group * per_group, positions, images, &mut gathered);
                let w = Matrix::new(&x[1].data[group * per_group * rows..][..per_group * rows], per_group, rows, rows);
                matmul(&mut columns, width, w.t(), Matrix::new(&gathered, per_group, width, width), false);
                for (image, dx) in dx.chunks_mut(x_image).enumerate() {
                    col2im(&columns[image * positions..], width, &g, &mut dx[group * g.c * g.h * g.w..]);
                }
            }
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        gpu.run(&KernelCall {
            kernel: Kernel::new("conv2d_input", "naive"),
            reads: &[x[0].buffer, x[1].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&self.conv.gpu_params(y.shape, x[1].shape, x[0].shape)),
            workgroups: grid(y.shape.len() as u64, 64),
            label: "conv2d_input",
        })
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, ddx: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (dy, w) = (&x[0], &x[1]);
        vec![
            needs[0].then(|| apply(self.conv, &[ddx, w])),
            needs[1].then(|| apply(Conv2dWeight { conv: self.conv, kernel: [w.dim(2), w.dim(3)] }, &[ddx, dy])),
        ]
    }
}

/// Lays the channels `first..` of several images side by side: out [channels, images·positions].
pub(crate) fn gather(dy: &[f32], y_image: usize, first: usize, positions: usize, images: usize, out: &mut [f32]) {
    for (o, row) in out.chunks_exact_mut((images * positions).max(1)).enumerate() {
        for (image, part) in row.chunks_exact_mut(positions).enumerate() {
            part.copy_from_slice(&dy[image * y_image + (first + o) * positions..][..positions]);
        }
    }
}

//! The weight gradient of a convolution: the third face of the trilinear form (see `conv2d`).

use crate::cpu::CpuBuffer;
use crate::cpu::im2col::im2col;
use crate::cpu::matmul::{Matrix, matmul};
use crate::error::Result;
use crate::gpu::gemm::{self, Operand, Product, Target, Walk};
use crate::gpu::tuning::{self, Variant};
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::conv2d::{Conv2d, images_at_once};
use crate::ops::conv2d_input::{Conv2dInput, gather};
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};
use rayon::prelude::*;

/// dw [O, C/groups, kernel] from x [N, C, H, W] and dy [N, O, OH, OW]:
/// dw[o, c, i, j] = Σ_{n, oy, ox} x[n, c, oy·s + i·d − top, ox·s + j·d − left]·dy[n, o, oy, ox].
#[derive(Clone, Copy, Debug)]
pub struct Conv2dWeight {
    /// The convolution whose weight gradient this is.
    pub conv: Conv2d,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
}

impl Conv2dWeight {
    /// What the tiled kernels compute: rows o, columns (c, i, j), terms (n, oy, ox).
    fn product(&self, x: &Shape, dy: &Shape, dw: &Shape) -> Product {
        let (per_group, n, positions) = (dw[0] / self.conv.groups, dw[1] * dw[2] * dw[3], dy[2] * dy[3]);
        let patches = self.conv.patches(x, [dw[2], dw[3]], [dy[2], dy[3]]);
        let turned = |walk: Walk| Walk { k: walk.c, c: walk.k, ..walk };
        Product {
            m: per_group,
            n,
            k: dy[0] * positions,
            depth: self.conv.groups,
            // dy: images by k's leading digit, places in them by its last.
            a: Operand {
                plane_k: dy[1] * positions,
                x: Walk { start: 0, k: 1, c: 0, len: positions },
                k_digits: [1, positions],
                ..Operand::matrix(per_group * positions, 0, positions)
            },
            // The patches with rows and columns exchanged.
            b: Operand {
                plane_k: patches.plane_c,
                plane_c: patches.plane_k,
                y: turned(patches.y),
                x: turned(patches.x),
                k_digits: patches.c_digits,
                c_digits: patches.k_digits,
                ..patches
            },
            y: Target { offset: 0, step_z: per_group * n, step_row: n, steps: [dw[2] * dw[3], dw[3], 1] },
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        y.fill(T::of(0.0));
        self.conv.for_each_term(x[0].shape, shape, x[1].shape, |at_x, at_w, at_y| {
            y[at_w] += x[0].data[at_x] * x[1].data[at_y];
        });
    }
}

/// Partial sums over the batch: their number is fixed, so the result does not depend on the number of threads.
const PARTS: usize = 8;

impl Op for Conv2dWeight {
    fn name(&self) -> &'static str {
        "conv2d_weight"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "dy"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let (x, dy, groups) = (x[0], x[1], self.conv.groups.max(1));
        if x.rank() != 4 || dy.rank() != 4 || x[0] != dy[0] {
            return Err("expects images [N, C, H, W] and [N, O, OH, OW] of one batch size".into());
        }
        let shape = Shape::from([dy[1], x[1] / groups, self.kernel[0], self.kernel[1]]);
        self.conv.check(x, &shape, Some(dy))?;
        Ok(shape)
    }

    reference_loops!();

    /// dw = Σ dy·columns(x)ᵀ over a few images at a time; the parts of the batch are summed in order.
    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let (xs, dys, groups) = (x[0].shape, x[1].shape, self.conv.groups);
        let g = self.conv.geometry(xs, shape, dys);
        let (positions, per_group, rows) = (g.oh * g.ow, shape[0] / groups, g.rows());
        let (x_image, y_image) = (xs[1] * g.h * g.w, dys[1] * positions);
        if xs[0] * positions * rows * per_group == 0 {
            return y.fill(0.0);
        }
        let together = images_at_once(positions);
        let part_images = xs[0].div_ceil(PARTS).next_multiple_of(together);
        let parts: Vec<CpuBuffer> = (0..xs[0].div_ceil(part_images))
            .into_par_iter()
            .map(|part| {
                let mut dw = CpuBuffer::uninit(y.len());
                let mut columns = CpuBuffer::uninit(rows * together * positions);
                let mut gathered = CpuBuffer::uninit(per_group * together * positions);
                let end = ((part + 1) * part_images).min(xs[0]);
                for first in (part * part_images..end).step_by(together) {
                    let images = together.min(end - first);
                    let width = images * positions;
                    for group in 0..groups {
                        for image in 0..images {
                            let start = (first + image) * x_image + group * g.c * g.h * g.w;
                            im2col(&x[0].data[start..], &g, &mut columns[image * positions..], width);
                        }
                        let gathered = &mut gathered[..per_group * width];
                        let dy = &x[1].data[first * y_image..];
                        gather(dy, y_image, group * per_group, positions, images, gathered);
                        matmul(
                            &mut dw[group * per_group * rows..][..per_group * rows],
                            rows,
                            Matrix::new(gathered, per_group, width, width),
                            Matrix::new(&columns, rows, width, width).t(),
                            first > part * part_images,
                        );
                    }
                }
                dw
            })
            .collect();
        y.copy_from_slice(&parts[0]);
        for part in &parts[1..] {
            y.iter_mut().zip(part.iter()).for_each(|(y, v)| *y += v);
        }
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let product = self.product(x[0].shape, x[1].shape, y.shape);
        let variant = tuning::choose(gpu, &[product]);
        if variant != Variant::Naive {
            let buffers = [x[1].buffer, x[0].buffer, y.buffer];
            return gemm::run(gpu, variant, &[product], buffers, y.shape.len(), "conv2d_weight");
        }
        gpu.run(&KernelCall {
            kernel: Kernel::new("conv2d_weight", "naive"),
            reads: &[x[0].buffer, x[1].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&self.conv.gpu_params(x[0].shape, y.shape, x[1].shape)),
            workgroups: grid(y.shape.len() as u64, 64),
            label: "conv2d_weight",
        })
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, ddw: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (x, dy) = (&x[0], &x[1]);
        vec![
            needs[0].then(|| apply(Conv2dInput { conv: self.conv, size: [x.dim(2), x.dim(3)] }, &[dy, ddw])),
            needs[1].then(|| apply(self.conv, &[x, ddw])),
        ]
    }
}

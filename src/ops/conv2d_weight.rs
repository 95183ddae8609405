//! The weight gradient of a convolution: the third face of the trilinear form (see `conv2d`).

use crate::cpu;
use crate::error::Result;
use crate::gpu::gemm::{self, Finish, Operand, Product, Target, Walk};
use crate::gpu::tuning::{self, Variant};
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::conv2d::Conv2d;
use crate::ops::conv2d_input::Conv2dInput;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

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

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let sizes = self.conv.sizes(x[0].shape, shape, x[1].shape);
        cpu::conv::weight_gradient(&sizes, x[0].data, x[1].data, y);
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let product = self.product(x[0].shape, x[1].shape, y.shape);
        let variant = tuning::choose(gpu, &[product])?;
        if variant != Variant::Naive {
            let buffers = [x[1].buffer, x[0].buffer, y.buffer];
            return gemm::run(gpu, variant, &[product], buffers, Finish::NONE, y.shape.len(), "conv2d_weight");
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

    fn flop(&self, x: &[&Shape], y: &Shape) -> f64 {
        2.0 * x[1].len() as f64 * y[1..].iter().product::<usize>() as f64
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, ddw: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (x, dy) = (&x[0], &x[1]);
        vec![
            needs[0].then(|| apply(Conv2dInput { conv: self.conv, size: [x.dim(2), x.dim(3)] }, &[dy, ddw])),
            needs[1].then(|| apply(self.conv, &[x, ddw])),
        ]
    }
}

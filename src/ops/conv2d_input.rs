//! The input gradient of a convolution, which is the transposed convolution: the second face of the trilinear form (see `conv2d`).

use crate::cpu;
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::conv2d::Conv2d;
use crate::ops::conv2d_weight::Conv2dWeight;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

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

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let sizes = self.conv.sizes(shape, x[1].shape, x[0].shape);
        cpu::conv::input_gradient(&sizes, x[0].data, x[1].data, y);
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

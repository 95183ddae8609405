//! The weight gradient of a convolution: the third face of the trilinear form (see `conv2d`).

use crate::cpu;
use crate::error::Result;
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

//! Choosing elements of two tensors by a mask: y = a where mask ≠ 0, else b.

use crate::error::Result;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

/// y_i = a_i where |mask_i| > 0, else b_i (also where the mask is NaN). Neither the element that is not chosen nor its
/// gradient matters, NaN included.
#[derive(Clone, Copy, Debug)]
struct Select;

impl Select {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        for (i, y) in y.iter_mut().enumerate() {
            *y = if x[0].data[i].abs() > T::of(0.0) { x[1].data[i] } else { x[2].data[i] };
        }
    }
}

/// Twin of `Params` in `select.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
}

impl Op for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["mask", "a", "b"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        if x[0] != x[1] || x[0] != x[2] {
            return Err("expects three tensors of one shape".into());
        }
        Ok(x[0].clone())
    }

    reference_loops!(cpu);

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        gpu.pieces(y.shape.len()).all().try_for_each(|piece| {
            let [mask, a, b] = [0, 1, 2].map(|i| x[i].buffer.piece(&piece));
            gpu.run(&KernelCall {
                kernel: Kernel::new("select", "choose"),
                reads: &[&mask, &a, &b],
                writes: &[&y.buffer.piece(&piece)],
                params: bytemuck::bytes_of(&Params { n: piece.len() as u32 }),
                workgroups: grid(piece.len().div_ceil(4) as u64, 64),
                label: self.name(),
            })
        })
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let zero = || Tensor::scalar(dy.device(), 0.0).expand(dy.shape());
        vec![
            None,
            needs[1].then(|| apply(Select, &[&x[0], dy, &zero()])),
            needs[2].then(|| apply(Select, &[&x[0], &zero(), dy])),
        ]
    }
}

/// Choosing and blending.
impl Tensor {
    /// `a` where this mask is not 0, else `b`; the three broadcast. The mask gets no gradient.
    #[track_caller]
    pub fn select(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let shape = Shape::broadcast(a.shape(), b.shape()).and_then(|shape| Shape::broadcast(self.shape(), &shape));
        let Some(shape) = shape else {
            panic!("select: the shapes do not broadcast (mask {}, a {}, b {})", self.shape(), a.shape(), b.shape());
        };
        apply(Select, &[&self.expand(&shape), &a.expand(&shape), &b.expand(&shape)])
    }

    /// self + t·(other − self), made of other ops; the three broadcast.
    #[track_caller]
    pub fn lerp(&self, other: &Tensor, t: &Tensor) -> Tensor {
        self + t * (other - self)
    }
}

//! Recomputing instead of storing: a part of a graph whose inner tensors are dropped and made again for the gradient.

use super::replay::{Notes, noting, replaying};
use super::{differentiable_grad_all, grad_consuming};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Tensor, View, is_recording, no_grad, recording};
use std::fmt;
use std::sync::Arc;

type Function = dyn Fn(&[Tensor]) -> Tensor + Send + Sync;

/// f(x), of which only x and the result are kept: the gradient calls `f` again. Everything to be differentiated by must
/// come in through `x`; what `f` captures is a constant (so a network's weights get no gradient here: see
/// [`nn::Checkpointed`](../nn/struct.Checkpointed.html)). `f` must compute the same each time. The layers of this crate do: dropout takes the
/// masks of the first pass again, and running statistics move once. State of your own goes through [`once`](super::once).
#[track_caller]
pub fn checkpoint(f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static, x: &[&Tensor]) -> Tensor {
    let inputs: Vec<Tensor> = x.iter().map(|&x| x.clone()).collect();
    let (y, notes) = noting(|| no_grad(|| f(&inputs)));
    y.made_by(Checkpoint { f: Arc::new(f), notes }, x)
}

/// The node that stands for the whole part.
struct Checkpoint {
    f: Arc<Function>,
    /// What the first pass drew and which state it found.
    notes: Notes,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoint")
    }
}

impl Op for Checkpoint {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, _: &[&Shape]) -> Result<Shape, String> {
        unreachable!("made by `checkpoint` only, with its values")
    }

    fn reference(&self, _: &[View<f64>], _: &mut [f64], _: &Shape) {
        unreachable!("made by `checkpoint` only, with its values")
    }

    fn cpu(&self, _: &[View<f32>], _: &mut [f32], _: &Shape) {
        unreachable!("made by `checkpoint` only, with its values")
    }

    fn gpu(&self, _: &Gpu, _: &[GpuView], _: GpuView) -> Result<()> {
        unreachable!("made by `checkpoint` only, with its values")
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let differentiable = is_recording();
        recording(|| {
            // A gradient that is to be differentiated must stay connected with x; a plain one need not.
            let x: Vec<Tensor> =
                x.iter().map(|x| if differentiable { x.reshape(x.shape()) } else { x.detach() }).collect();
            let loss = (replaying(&self.notes, || (self.f)(&x)) * dy).sum();
            let targets: Vec<&Tensor> = x.iter().zip(needs).filter(|(_, needed)| **needed).map(|(x, _)| x).collect();
            let d =
                if differentiable { differentiable_grad_all(&loss, &targets) } else { grad_consuming(loss, &targets) };
            let mut d = d.into_iter();
            needs.iter().map(|&needed| if needed { d.next() } else { None }).collect()
        })
    }
}

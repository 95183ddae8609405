//! First and second gradients of any function of tensors, and their central differences.

use crate::autograd::{differentiable_grad_all, grad_all};
use crate::error::Result;
use crate::tensor::Tensor;

/// A function of tensors to check.
pub type Function = dyn Fn(&[Tensor]) -> Tensor + Send + Sync;

/// Σ a·b over all elements.
fn dot(a: &Tensor, b: &Tensor) -> Tensor {
    (a * b).sum()
}

/// L = ⟨f(x), up⟩.
pub fn loss(f: &Function, x: &[Tensor], up: &Tensor) -> Tensor {
    dot(&f(x), up)
}

/// dL/dx for each x.
pub fn first_order(f: &Function, x: &[Tensor], up: &Tensor) -> Vec<Tensor> {
    grad_all(&loss(f, x, up), &x.iter().collect::<Vec<_>>())
}

/// S = Σ ⟨dL/dx, v⟩ and its gradients by every x and by up.
pub fn second_order(f: &Function, x: &[Tensor], up: &Tensor, v: &[Tensor]) -> (Tensor, Vec<Tensor>) {
    let targets: Vec<&Tensor> = x.iter().collect();
    let first = differentiable_grad_all(&loss(f, x, up), &targets);
    let terms = first.iter().zip(v).map(|(d, v)| dot(d, v));
    let s = terms.reduce(|a, b| a + b).expect("a function has inputs");
    let by: Vec<&Tensor> = x.iter().chain([up]).collect();
    let gradients = grad_all(&s, &by);
    (s, gradients)
}

/// The derivative of `f` at `x` along `direction` by central differences with Richardson's extrapolation, in f64:
/// an independent value of Σ ⟨df/dx, direction⟩.
///
/// # Errors
/// Those of reading values.
pub fn directional(f: &dyn Fn(&[Tensor]) -> Tensor, x: &[Tensor], direction: &[Tensor]) -> Result<f64> {
    let along = |h: f64| -> Result<f64> {
        let moved: Vec<Tensor> = x.iter().zip(direction).map(|(x, d)| (x + d * h).detach()).collect();
        f(&moved).item()
    };
    let slope = |h: f64| -> Result<f64> { Ok((along(h)? - along(-h)?) / (2.0 * h)) };
    let h = 1e-4;
    Ok((4.0 * slope(h / 2.0)? - slope(h)?) / 3.0)
}

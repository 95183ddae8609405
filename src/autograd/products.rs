//! Jacobian- and Hessian-vector products from gradients of gradients.

use super::{differentiable_grad_all, grad_all};
use crate::tensor::{Tensor, recording};

/// f(x) and its derivative along v: J·v with J = ∂f/∂x, by two backward walks. ⟨Jᵀu, v⟩ is linear in u, and its gradient
/// by u is J·v, whatever u is.
///
/// ```
/// use toile::{Device, Tensor, autograd::jvp};
/// let x = Tensor::new(&Device::Cpu, [2], &[1.0, 3.0]);
/// let v = Tensor::new(&Device::Cpu, [2], &[1.0, 10.0]);
/// let (y, dy) = jvp(|x| x[0].square(), &[&x], &[&v]);
/// assert_eq!((y.to_vec()?, dy.to_vec()?), (vec![1.0, 9.0], vec![2.0, 60.0]));
/// # Ok::<(), toile::Error>(())
/// ```
#[track_caller]
pub fn jvp(f: impl FnOnce(&[Tensor]) -> Tensor, x: &[&Tensor], v: &[&Tensor]) -> (Tensor, Tensor) {
    recording(|| {
        let x: Vec<Tensor> = x.iter().map(|x| x.detach()).collect();
        let y = f(&x);
        let u = Tensor::zeros(y.device(), y.shape());
        let products = differentiable_grad_all(&(&y * &u).sum(), &x.iter().collect::<Vec<_>>());
        let dy = grad_all(&along(&products, v), &[&u]).remove(0);
        (y.detach(), dy)
    })
}

/// H·v for each target, with H the matrix of second derivatives of `loss` by all targets together, v one direction a
/// target: the gradient of ⟨∇loss, v⟩.
#[track_caller]
pub fn hvp(loss: &Tensor, targets: &[&Tensor], v: &[&Tensor]) -> Vec<Tensor> {
    let slope = recording(|| along(&differentiable_grad_all(loss, targets), v));
    grad_all(&slope, targets)
}

/// Σ ⟨d, v⟩
#[track_caller]
fn along(d: &[Tensor], v: &[&Tensor]) -> Tensor {
    assert_eq!(d.len(), v.len(), "a direction is needed for each of {} tensors, not {}", d.len(), v.len());
    let terms = d.iter().zip(v).map(|(d, v)| (d * *v).sum());
    terms.reduce(|a, b| a + b).expect("at least one tensor to differentiate by")
}

//! Gradients of any order: the backward walk, iterative, only along paths to the wanted targets.

mod checkpoint;
mod hooks;
mod products;
mod replay;

pub use checkpoint::checkpoint;
pub use hooks::with_gradient_hook;
pub use products::{hvp, jvp};
pub use replay::once;

use crate::tensor::{Tensor, no_grad, recording};
use std::collections::HashMap;

/// The guide's examples run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/autograd.md")]
struct Guide;

/// d loss / d target for each target. `loss` has one element. A target that the loss does not depend on gets zeros.
///
/// ```
/// use toile::{Device, Tensor, autograd::grad};
/// let x = Tensor::new(&Device::Cpu, [3], &[1.0, 2.0, 3.0]);
/// let [dx] = grad(&x.square().sum(), [&x]);
/// assert_eq!(dx.to_vec()?, [2.0, 4.0, 6.0]);
/// # Ok::<(), toile::Error>(())
/// ```
#[track_caller]
pub fn grad<const N: usize>(loss: &Tensor, targets: [&Tensor; N]) -> [Tensor; N] {
    to_array(grad_all(loss, &targets))
}

/// As [`grad`], but the gradients remember how they were computed: a loss made of them can be differentiated again.
#[track_caller]
pub fn differentiable_grad<const N: usize>(loss: &Tensor, targets: [&Tensor; N]) -> [Tensor; N] {
    to_array(differentiable_grad_all(loss, &targets))
}

/// [`grad`] for a list of targets.
#[track_caller]
pub fn grad_all(loss: &Tensor, targets: &[&Tensor]) -> Vec<Tensor> {
    no_grad(|| walk(loss.clone(), one(loss), targets))
}

/// [`grad_all`], which frees the loss's graph as it passes: what nothing else holds is gone when its gradient has been
/// taken, so values and gradients of a deep network are never all there at once. What is to be looked at afterwards (the
/// loss's value, scores) is detached before; a tensor of the graph that the caller keeps also keeps all before it.
///
/// ```
/// use toile::{Device, Tensor, autograd::grad_consuming};
/// let x = Tensor::new(&Device::Cpu, [3], &[1.0, 2.0, 3.0]);
/// let loss = x.square().sum();
/// let value = loss.detach();
/// let dx = grad_consuming(loss, &[&x]);
/// assert_eq!((value.item()?, dx[0].to_vec()?), (14.0, vec![2.0, 4.0, 6.0]));
/// # Ok::<(), toile::Error>(())
/// ```
#[track_caller]
pub fn grad_consuming(loss: Tensor, targets: &[&Tensor]) -> Vec<Tensor> {
    no_grad(|| {
        let dloss = one(&loss);
        walk(loss, dloss, targets)
    })
}

/// (∂y/∂t)ᵀ·dy for each target t: the gradient of ⟨y, dy⟩, which itself is not computed.
///
/// ```
/// use toile::{Device, Tensor, autograd::vjp};
/// let x = Tensor::new(&Device::Cpu, [2], &[1.0, 3.0]);
/// let dy = Tensor::new(&Device::Cpu, [2], &[1.0, 10.0]);
/// let dx = vjp(&x.square(), &dy, &[&x]);
/// assert_eq!(dx[0].to_vec()?, [2.0, 60.0]);
/// # Ok::<(), toile::Error>(())
/// ```
#[track_caller]
pub fn vjp(y: &Tensor, dy: &Tensor, targets: &[&Tensor]) -> Vec<Tensor> {
    assert_eq!(y.shape(), dy.shape(), "vjp: y and dy differ in shape");
    no_grad(|| walk(y.clone(), dy.clone(), targets))
}

/// [`differentiable_grad`] for a list of targets.
#[track_caller]
pub fn differentiable_grad_all(loss: &Tensor, targets: &[&Tensor]) -> Vec<Tensor> {
    recording(|| walk(loss.clone(), one(loss), targets))
}

/// The gradient of a loss by itself.
#[track_caller]
fn one(loss: &Tensor) -> Tensor {
    assert_eq!(loss.len(), 1, "grad: the loss has shape {}, not one element", loss.shape());
    Tensor::full(loss.device(), loss.shape(), 1.0)
}

fn to_array<const N: usize>(gradients: Vec<Tensor>) -> [Tensor; N] {
    gradients.try_into().unwrap_or_else(|_| unreachable!("one gradient a target"))
}

/// The walk lets go of each tensor, and of its gradient unless that is wanted, once it has passed.
fn walk(loss: Tensor, dloss: Tensor, targets: &[&Tensor]) -> Vec<Tensor> {
    let mut order = nodes_towards(&loss, targets);
    let mut gradients: HashMap<u64, Tensor> = HashMap::from([(loss.id(), dloss)]);
    drop(loss);

    // Highest id first: everything that uses a tensor was created after it.
    while let Some(y) = order.pop() {
        let is_target = targets.iter().any(|t| t.id() == y.id());
        let dy = if is_target { gradients.get(&y.id()).cloned() } else { gradients.remove(&y.id()) };
        let (Some(dy), Some(origin)) = (dy, y.origin()) else { continue };
        let wanted = |x: &Tensor| order.binary_search_by_key(&x.id(), Tensor::id).is_ok();
        let needs: Vec<bool> = origin.inputs.iter().map(wanted).collect();
        if !needs.contains(&true) {
            continue;
        }
        let dx = origin.op.vjp(&origin.inputs, &y, &dy, &needs);
        assert_eq!(dx.len(), needs.len(), "{}: vjp gives {} gradients", origin.op.name(), dx.len());
        for ((x, dx), needed) in origin.inputs.iter().zip(dx).zip(needs) {
            let Some(dx) = dx.filter(|_| needed) else { continue };
            assert_eq!(dx.shape(), x.shape(), "{}: a gradient has another shape than its input", origin.op.name());
            let sum = match gradients.remove(&x.id()) {
                Some(other) => &other + &dx,
                None => dx,
            };
            gradients.insert(x.id(), sum);
        }
    }
    targets
        .iter()
        .map(|t| gradients.get(&t.id()).cloned().unwrap_or_else(|| Tensor::zeros(t.device(), t.shape())))
        .collect()
}

/// The tensors on a path from `loss` to a target, in order of creation.
fn nodes_towards(loss: &Tensor, targets: &[&Tensor]) -> Vec<Tensor> {
    let Some(oldest) = targets.iter().map(|t| t.id()).min() else { return Vec::new() };
    let mut reached: HashMap<u64, Tensor> = HashMap::from([(loss.id(), loss.clone())]);
    let mut pending = vec![loss.clone()];
    while let Some(y) = pending.pop() {
        for x in y.origin().map_or(&[][..], |origin| &origin.inputs) {
            // What was created before the oldest target cannot depend on one.
            if x.id() >= oldest && reached.insert(x.id(), x.clone()).is_none() {
                pending.push(x.clone());
            }
        }
    }
    let mut nodes: Vec<Tensor> = reached.into_values().collect();
    nodes.sort_unstable_by_key(Tensor::id);
    let mut leads: HashMap<u64, bool> = HashMap::new();
    nodes.retain(|y| {
        let through_inputs =
            y.origin().is_some_and(|origin| origin.inputs.iter().any(|x| leads.get(&x.id()) == Some(&true)));
        let keep = through_inputs || targets.iter().any(|t| t.id() == y.id());
        leads.insert(y.id(), keep);
        keep
    });
    nodes
}

//! Clipping gradients by norm or value, and weights by value.

use crate::tensor::{Tensor, no_grad};

/// √Σ g² over all elements of all gradients, `[]`; stays on the device.
#[track_caller]
pub fn global_norm(gradients: &[&Tensor]) -> Tensor {
    no_grad(|| {
        let squares = gradients.iter().map(|g| g.square().sum());
        squares.reduce(|a, b| a + b).expect("at least one gradient").sqrt()
    })
}

/// All gradients times min(1, most / (norm + 1e-6)), with the norm over all of them together (Pascanu et al. 2013, as
/// PyTorch's `clip_grad_norm_`), and that norm. Nothing is read back.
#[track_caller]
pub fn clip_norm(gradients: &[&Tensor], most: f64) -> (Vec<Tensor>, Tensor) {
    let norm = global_norm(gradients);
    no_grad(|| {
        let scale = ((&norm + 1e-6).recip() * most).clamp(0.0, 1.0);
        (gradients.iter().map(|&g| g * &scale).collect(), norm)
    })
}

/// Each element of a gradient kept within ±most.
pub fn clip_value(g: &Tensor, most: f64) -> Tensor {
    no_grad(|| g.clamp(-most, most))
}

/// Each weight kept within ±most, after a step (Arjovsky et al. 2017, algorithm 1).
pub fn clip_weights(p: &Tensor, most: f64) -> Tensor {
    no_grad(|| p.clamp(-most, most))
}

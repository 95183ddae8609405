//! Stochastic gradient descent with momentum, Nesterov's variant and weight decay.

use crate::tensor::{Tensor, no_grad};

/// Settings. With g' = g + weight_decay·p: b ← momentum·b + (1 − dampening)·g', then p ← p − lr·b, or with Nesterov
/// p ← p − lr·(g' + momentum·b) (PyTorch's form: the learning rate is outside the velocity).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// What is taken off a new gradient's share in the velocity.
    pub dampening: f64,
    /// Look ahead along the velocity (Sutskever et al. 2013).
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(lr: f64) -> Sgd {
        Sgd { lr, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// One step: the new parameter and, with momentum, the new velocity (`None` before the first step, which takes the
    /// gradient undampened, as PyTorch).
    #[track_caller]
    pub fn update(&self, p: &Tensor, g: &Tensor, velocity: Option<&Tensor>) -> (Tensor, Option<Tensor>) {
        assert_eq!(p.shape(), g.shape(), "sgd: the gradient has another shape than the parameter");
        no_grad(|| {
            let g = if self.weight_decay == 0.0 { g.clone() } else { g + p * self.weight_decay };
            if self.momentum == 0.0 {
                return (p - g * self.lr, None);
            }
            let b = velocity.map_or(g.clone(), |b| b * self.momentum + &g * (1.0 - self.dampening));
            let step = if self.nesterov { &g + &b * self.momentum } else { b.clone() };
            (p - step * self.lr, Some(b))
        })
    }
}

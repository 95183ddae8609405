//! RMSprop in PyTorch's and in Keras's convention.

use crate::tensor::{Tensor, no_grad};

/// Where eps stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Convention {
    /// p ← p − lr·g / (√v + eps), eps 1e-8.
    Torch,
    /// p ← p − lr·g / √(v + eps), eps 1e-7.
    Keras,
}

/// Settings. v ← rho·v + (1 − rho)·g² (Tieleman and Hinton 2012).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Share of the old mean square that stays: PyTorch's alpha (0.99), Keras's rho (0.9).
    pub rho: f64,
    /// Keeps the divisor from 0.
    pub eps: f64,
    /// Where eps stands.
    pub convention: Convention,
    /// Momentum of the steps; 0 for none. PyTorch: b ← momentum·b + g/(…), p ← p − lr·b. Keras: the learning rate is inside.
    pub momentum: f64,
    /// Divide by the standard deviation instead: v − (mean g)².
    pub centered: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

/// What is kept between steps; zeros at first.
#[derive(Clone, Debug)]
pub struct RmsPropState {
    /// Mean square of the gradients.
    pub v: Tensor,
    /// Mean of the gradients, if centered.
    pub mean: Option<Tensor>,
    /// Velocity, with momentum.
    pub velocity: Option<Tensor>,
}

impl RmsProp {
    /// The convention's defaults.
    pub fn new(lr: f64, convention: Convention) -> RmsProp {
        let (rho, eps) = match convention {
            Convention::Torch => (0.99, 1e-8),
            Convention::Keras => (0.9, 1e-7),
        };
        RmsProp { lr, rho, eps, convention, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }

    /// The state before the first step.
    pub fn start(&self, p: &Tensor) -> RmsPropState {
        let zeros = || Tensor::zeros(p.device(), p.shape());
        RmsPropState { v: zeros(), mean: self.centered.then(zeros), velocity: (self.momentum != 0.0).then(zeros) }
    }

    /// One step: the new parameter and state.
    #[track_caller]
    pub fn update(&self, p: &Tensor, g: &Tensor, state: &RmsPropState) -> (Tensor, RmsPropState) {
        assert_eq!(p.shape(), g.shape(), "rmsprop: the gradient has another shape than the parameter");
        no_grad(|| {
            let g = if self.weight_decay == 0.0 { g.clone() } else { g + p * self.weight_decay };
            let v = &state.v * self.rho + g.square() * (1.0 - self.rho);
            let mean = state.mean.as_ref().map(|mean| mean * self.rho + &g * (1.0 - self.rho));
            let spread = mean.as_ref().map_or(v.clone(), |mean| &v - mean.square());
            let divisor = match self.convention {
                Convention::Torch => spread.sqrt() + self.eps,
                Convention::Keras => (spread + self.eps).sqrt(),
            };
            let step = g / divisor;
            let (step, velocity) = match (&state.velocity, self.convention) {
                (None, _) => (step * self.lr, None),
                (Some(b), Convention::Torch) => {
                    let b = b * self.momentum + step;
                    (&b * self.lr, Some(b))
                }
                (Some(b), Convention::Keras) => {
                    let b = b * self.momentum + step * self.lr;
                    (b.clone(), Some(b))
                }
            };
            (p - step, RmsPropState { v, mean, velocity })
        })
    }
}

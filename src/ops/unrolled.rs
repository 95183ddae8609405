//! Optimiser steps in differentiable ops: for gradients through training itself (unrolled steps).

use crate::tensor::Tensor;

/// Adam's settings for a differentiable step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnrolledAdam {
    /// Learning rate.
    pub lr: f64,
    /// β₁
    pub beta1: f64,
    /// β₂
    pub beta2: f64,
    /// ε
    pub eps: f64,
    /// Keras's place for ε (beside √v, before the bias correction) instead of PyTorch's (beside √v̂).
    pub keras: bool,
}

impl UnrolledAdam {
    /// Step number `t` (from 1) as ops: new parameter, m and v, each differentiable by p, g, m and v. Metz et al. 2017
    /// unroll a discriminator so. The derivative of √v at v = 0 is taken as 0.
    #[track_caller]
    pub fn step(&self, t: u32, p: &Tensor, g: &Tensor, m: &Tensor, v: &Tensor) -> [Tensor; 3] {
        let m = m * self.beta1 + g * (1.0 - self.beta1);
        let v = v * self.beta2 + g.square() * (1.0 - self.beta2);
        let (c1, c2) = (1.0 - self.beta1.powf(t as f64), 1.0 - self.beta2.powf(t as f64));
        let root = v.sqrt_flat_at_zero();
        let step = if self.keras {
            &m / (root + self.eps) * (self.lr * c2.sqrt() / c1)
        } else {
            &m / (root * (1.0 / c2.sqrt()) + self.eps) * (self.lr / c1)
        };
        [p - step, m, v]
    }
}

/// A plain gradient step, differentiable: p − lr·g.
#[track_caller]
pub fn unrolled_sgd(p: &Tensor, g: &Tensor, lr: f64) -> Tensor {
    p - g * lr
}

//! Softmax and its kin, made of other ops: no kernel of their own.
//!
//! Each subtracts the largest element first, as a constant: the results do not depend on what is subtracted, so
//! neither do their derivatives of any order.

use crate::error::Result;
use crate::ops::Indices;
use crate::tensor::{Tensor, no_grad};

impl Tensor {
    /// x − max x along `axis`, without a gradient through the maximum, and that maximum.
    fn below_max(&self, axis: usize) -> (Tensor, Tensor) {
        // Infinities are left in x, so that −∞ − (−∞) does not arise.
        let most = no_grad(|| self.max_keep(&[axis]).clamp(-(f32::MAX as f64), f32::MAX as f64));
        (self - &most, most)
    }

    /// e^x / Σ e^x along `axis`.
    #[track_caller]
    pub fn softmax(&self, axis: usize) -> Tensor {
        let e = self.below_max(axis).0.exp();
        let sum = e.sum_keep(&[axis]);
        e / sum
    }

    /// x − ln Σ e^x along `axis`.
    #[track_caller]
    pub fn log_softmax(&self, axis: usize) -> Tensor {
        let below = self.below_max(axis).0;
        let sum = below.exp().sum_keep(&[axis]);
        below - sum.log()
    }

    /// ln Σ e^x over `axes`, which disappear; −∞ where all are.
    #[track_caller]
    pub fn logsumexp(&self, axes: &[usize]) -> Tensor {
        let most = no_grad(|| self.max_axes(axes).clamp(-(f32::MAX as f64), f32::MAX as f64));
        (self - most.insert_axes(axes)).exp().sum_axes(axes).log() + most
    }

    /// Cross-entropy of logits [N, K] against one class each `[N]`, as `[N]`: −ln softmax(x)[n, label n].
    ///
    /// # Errors
    /// What went wrong on the device that made the labels.
    #[track_caller]
    pub fn cross_entropy(&self, labels: &Indices) -> Result<Tensor> {
        let n = self.dim(0);
        Ok(-self.log_softmax(1).gather(1, &labels.reshape([n, 1]))?.reshape([n]))
    }
}

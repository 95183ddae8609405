//! Decoupled weight decay (Loshchilov and Hutter 2019): what AdamW does beside Adam's step.

use crate::tensor::{Tensor, no_grad};

/// p·(1 − lr·weight_decay): to be done before Adam's step, whose gradient then has no weight decay.
pub fn decay(p: &Tensor, lr: f64, weight_decay: f64) -> Tensor {
    no_grad(|| p * (1.0 - lr * weight_decay))
}

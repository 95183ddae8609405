//! Activations made of other ops at full accuracy; they have no kernel of their own.

use crate::tensor::Tensor;
use std::f64::consts::FRAC_2_PI;

impl Tensor {
    /// x·Φ(x), the exact form (Hendrycks and Gimpel 2016); NaN at −∞.
    pub fn gelu(&self) -> Tensor {
        self * self.normal_cdf()
    }

    /// ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), the tanh form, as x·σ of twice that argument; NaN at −∞.
    pub fn gelu_tanh(&self) -> Tensor {
        let inner = self * (self.square() * 0.044715 + 1.0);
        self * (inner * (2.0 * FRAC_2_PI.sqrt())).sigmoid()
    }

    /// ln σ(x) = −softplus(−x): finite wherever x is.
    pub fn log_sigmoid(&self) -> Tensor {
        -(-self).softplus()
    }
}

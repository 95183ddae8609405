//! The dense layer.

use super::init::Initializer;
use super::{Mode, Module, Parameter};
use crate::ops::Activation;
use crate::tensor::Tensor;

/// y = x·wᵀ + b for `x [N, in]`, `w [out, in]`, `b [out]`.
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// A layer with drawn weights and, if `bias`, zero biases.
    pub fn new(init: &mut Initializer, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let weight = init.weight([outputs, inputs], inputs, outputs);
        let bias = bias.then(|| Parameter::new(init.constant(outputs, 0.0)));
        Linear { weight: Parameter::new(weight), bias }
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_activated(x, mode, Activation::Identity)
    }

    fn forward_activated(&self, x: &Tensor, _: Mode, f: Activation) -> Tensor {
        super::conv::finished(x.linear(&self.weight.get(), None), &self.bias, f)
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        super::conv::weight_and_bias(&self.weight, &self.bias)
    }
}

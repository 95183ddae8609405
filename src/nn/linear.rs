//! The dense layer.

use super::init::Initializer;
use super::{Mode, Module, Parameter, SpectralNorm};
use crate::ops::{Activation, Over, TileMoments};
use crate::tensor::Tensor;

/// y = x·wᵀ + b for `x [N, in]`, `w [out, in]`, `b [out]`.
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
    spectral: Option<SpectralNorm>,
}

impl Linear {
    /// A layer with drawn weights and, if `bias`, zero biases.
    pub fn new(init: &mut Initializer, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let weight = init.weight([outputs, inputs], inputs, outputs);
        let bias = bias.then(|| Parameter::new(init.constant(outputs, 0.0)));
        Linear { weight: Parameter::new(weight), bias, spectral: None }
    }

    /// With its weight divided by its spectral norm at each pass ([`SpectralNorm`]).
    #[must_use]
    pub fn with_spectral_norm(self, init: &mut Initializer) -> Linear {
        let outputs = self.weight.get().dim(0);
        Linear { spectral: Some(SpectralNorm::new(init, outputs)), ..self }
    }
}

impl Linear {
    fn normalized_weight(&self, mode: Mode) -> Tensor {
        self.spectral.as_ref().map_or_else(|| self.weight.get(), |s| s.of(&self.weight.get(), mode))
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_activated(x, mode, Activation::Identity)
    }

    fn forward_activated(&self, x: &Tensor, mode: Mode, f: Activation) -> Tensor {
        x.linear_activated(&self.normalized_weight(mode), super::conv::value(&self.bias).as_ref(), f)
    }

    fn forward_measured(&self, x: &Tensor, mode: Mode, f: Activation, over: Over) -> (Tensor, Option<TileMoments>) {
        x.linear_measured(&self.normalized_weight(mode), super::conv::value(&self.bias).as_ref(), f, over)
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        super::conv::weight_and_bias(&self.weight, &self.bias)
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.spectral.as_ref().map_or_else(Vec::new, SpectralNorm::buffers)
    }
}

//! Layers without parameters: activations and changes of shape.

use super::{Mode, Module};
use crate::ops::Activation;
use crate::tensor::Tensor;

/// max(x, 0)
pub struct Relu;

impl Module for Relu {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.relu()
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::LeakyRelu { slope: 0.0 })
    }
}

/// x where x > 0, else slope·x.
pub struct LeakyRelu {
    /// The slope below 0.
    pub slope: f64,
}

impl Module for LeakyRelu {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.leaky_relu(self.slope)
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::LeakyRelu { slope: self.slope })
    }
}

/// tanh x
pub struct Tanh;

impl Module for Tanh {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.tanh()
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Tanh)
    }
}

/// 1 / (1 + e^−x)
pub struct Sigmoid;

impl Module for Sigmoid {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.sigmoid()
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Sigmoid)
    }
}

/// [N, …] -> [N, the rest]
pub struct Flatten;

impl Module for Flatten {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.flatten()
    }
}

/// [N, …] -> [N, shape]
pub struct Reshape {
    /// The shape behind the batch axis.
    pub shape: Vec<usize>,
}

impl Module for Reshape {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.reshape([&[x.dim(0)], &self.shape[..]].concat())
    }
}

//! Layers: a [`Module`] owns named parameters and maps tensors to tensors.

pub mod activation;
pub mod checkpointed;
pub mod conv;
pub mod dropout;
pub mod init;
pub mod linear;
pub mod norm;
pub mod resample;
pub mod residual;
pub mod sequential;
pub mod spectral;
pub mod strips;

pub use activation::{Flatten, LeakyRelu, Relu, Reshape, Sigmoid, Tanh};
pub use checkpointed::{Checkpointed, recomputed};
pub use conv::{Conv2dLayer, ConvPadding, ConvTranspose2dLayer};
pub use dropout::{Draws, Dropout};
pub use init::Init;
pub use linear::Linear;
pub use norm::{AffineInstanceNorm, BatchNorm, Convention, InstanceNorm};
pub use resample::{AvgPool, Blur, ReflectPad, Upsample, Upsampling};
pub use residual::{GlobalSumPool, ResidualBlock};
pub use sequential::{Residual, Sequential, normalized};
pub use spectral::SpectralNorm;
pub use strips::Strips;

use crate::ops::{Activation, Over, TileMoments};
use crate::tensor::Tensor;
use std::sync::{Arc, PoisonError, RwLock};

/// A named place for a tensor that training replaces. Clones share the place.
#[derive(Clone, Debug)]
pub struct Parameter(Arc<RwLock<Tensor>>);

impl Parameter {
    /// A place holding `value`.
    pub fn new(value: Tensor) -> Parameter {
        Parameter(Arc::new(RwLock::new(value)))
    }

    /// The present value.
    pub fn get(&self) -> Tensor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value by one of the same shape.
    #[track_caller]
    pub fn set(&self, value: Tensor) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(place.shape(), value.shape(), "a parameter keeps its shape");
        *place = value;
    }

    /// Takes the value out, so that an optimiser may reuse its memory; [`Parameter::put`] must follow.
    pub(crate) fn take(&self) -> Tensor {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, Tensor::zeros(&crate::tensor::Device::Reference, []))
    }

    /// Puts a value where one was taken.
    pub(crate) fn put(&self, value: Tensor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

/// Which statistics the normalising layers use in a pass. Said at every pass, because it matters and is easily got
/// wrong: which parameters an optimiser updates has no influence on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's own statistics; running statistics move towards them.
    Train,
    /// As [`Mode::Train`] for so many batches of equal size that lie one behind the other in a tensor: each has its own
    /// statistics, and running statistics move towards those of one after the other.
    Batches(usize),
    /// The batch's own statistics; running statistics stay.
    BatchStatistics,
    /// The running statistics: inference.
    Inference,
}

impl Mode {
    /// Whether running statistics move.
    pub fn trains(self) -> bool {
        matches!(self, Mode::Train | Mode::Batches(_))
    }

    /// How many batches lie in a tensor.
    pub fn batches(self) -> usize {
        if let Mode::Batches(batches) = self { batches } else { 1 }
    }
}

/// A layer or a network.
pub trait Module: Send + Sync {
    /// The output for a batch. Shapes are stated by each layer.
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor;

    /// f of the output, for a layer that is followed by an activation: in one pass where there is a kernel for both.
    fn forward_activated(&self, x: &Tensor, mode: Mode, f: Activation) -> Tensor {
        f.of(&self.forward(x, mode))
    }

    /// What the statistics of a normalisation are taken over, if it goes by those of its input in this mode.
    fn statistics(&self, _mode: Mode) -> Option<Over> {
        None
    }

    /// [`Module::forward_activated`] in front of such a normalisation: with the moments of the output, where the kernels that
    /// compute it take them along.
    fn forward_measured(&self, x: &Tensor, mode: Mode, f: Activation, _over: Over) -> (Tensor, Option<TileMoments>) {
        (self.forward_activated(x, mode, f), None)
    }

    /// [`Module::forward_activated`] of such a normalisation, by those moments of x.
    fn forward_normalized(&self, x: &Tensor, _moments: TileMoments, mode: Mode, f: Activation) -> Tensor {
        self.forward_activated(x, mode, f)
    }

    /// [`Module::forward_activated`] of one image in strips, to save memory: for applying, not for training. A layer that
    /// says nothing of its own joins the strips for as long as it works.
    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        match self.activation() {
            Some(own) => x.map(|strip| f.of(&own.of(strip))),
            None => strips::joined(self, x, mode, f),
        }
    }

    /// The function that this layer is, if it is one of those.
    fn activation(&self) -> Option<Activation> {
        None
    }

    /// What an optimiser updates, by name, in a fixed order.
    fn parameters(&self) -> Vec<(String, Parameter)> {
        Vec::new()
    }

    /// What else a checkpoint holds (running statistics), by name, in a fixed order.
    fn buffers(&self) -> Vec<(String, Parameter)> {
        Vec::new()
    }

    /// The values of all parameters, in order.
    fn parameter_tensors(&self) -> Vec<Tensor> {
        self.parameters().iter().map(|(_, p)| p.get()).collect()
    }

    /// The number of trainable values.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, p)| p.get().len()).sum()
    }
}

/// Puts `name.` before each name.
pub fn prefixed(name: &str, entries: Vec<(String, Parameter)>) -> Vec<(String, Parameter)> {
    entries.into_iter().map(|(entry, p)| (format!("{name}.{entry}"), p)).collect()
}

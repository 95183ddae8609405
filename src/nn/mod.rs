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
pub use spectral::SpectralNorm;
pub use strips::Strips;

use crate::ops::Activation;
use crate::tensor::{Tensor, is_recording};
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

/// x + f(x): a block with an identity skip (He et al. 2016).
pub struct Residual(
    /// f
    pub Sequential,
);

impl Module for Residual {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        x + self.0.forward(x, mode)
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        let inner = self.0.forward_strips(x.clone(), mode, Activation::Identity);
        x.zip(&inner, |x, inner| f.of(&(x + inner)))
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.0.parameters()
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.0.buffers()
    }
}

/// Named layers, one after the other. Clones share them.
#[derive(Clone, Default)]
pub struct Sequential {
    layers: Vec<(String, Arc<dyn Module>)>,
    recomputes: bool,
}

impl Sequential {
    /// A network without layers: the identity.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Appends a layer; its parameters are named `name.…`.
    pub fn push(&mut self, name: impl Into<String>, layer: impl Module + 'static) {
        self.layers.push((name.into(), Arc::new(layer)));
    }

    /// The same layers; with `yes`, stretches of about √(number of layers) of them are each computed again for the gradient
    /// ([`recomputed`]): what is kept are the values between the stretches, and one stretch's inside at a time. The
    /// numbers are the same.
    #[must_use]
    pub fn recomputing(self, yes: bool) -> Sequential {
        Sequential { recomputes: yes, ..self }
    }

    /// The output, and what the layers of these names give on the way, in the layers' order.
    #[track_caller]
    pub fn forward_with(&self, x: &Tensor, mode: Mode, names: &[String]) -> (Tensor, Vec<Tensor>) {
        let (mut y, mut between) = (x.clone(), Vec::new());
        let wanted = |name: &str| names.iter().any(|wanted| wanted == name);
        if self.recomputes && is_recording() {
            for stretch in self.stretches(wanted) {
                let last = stretch.last().is_some_and(|(name, _)| wanted(name));
                y = recomputed(Arc::new(Sequential { layers: stretch.to_vec(), recomputes: false }), &y, mode);
                between.extend(last.then(|| y.clone()));
            }
            return (y, between);
        }
        let mut layers = self.layers.iter().peekable();
        while let Some((name, layer)) = layers.next() {
            // An activation is computed along with the layer before it, unless what lies between is asked for.
            let follows = layers.next_if(|(_, next)| next.activation().is_some() && !wanted(name));
            y = match follows.and_then(|(_, next)| next.activation()) {
                Some(f) => layer.forward_activated(&y, mode, f),
                None => layer.forward(&y, mode),
            };
            if wanted(follows.map_or(name, |(name, _)| name)) {
                between.push(y.clone());
            }
        }
        (y, between)
    }

    /// The output where `edit` may replace what each layer, told by its name, gives to the next.
    pub fn forward_edited(&self, x: &Tensor, mode: Mode, edit: &mut dyn FnMut(&str, Tensor) -> Tensor) -> Tensor {
        self.layers.iter().fold(x.clone(), |x, (name, layer)| edit(name, layer.forward(&x, mode)))
    }

    /// The layers in stretches of about √n; one ends behind each wanted layer, and none begins with an activation.
    fn stretches(&self, wanted: impl Fn(&str) -> bool) -> Vec<&[(String, Arc<dyn Module>)]> {
        let most = self.layers.len().isqrt().max(1);
        let (mut stretches, mut first) = (Vec::new(), 0);
        for (i, (name, _)) in self.layers.iter().enumerate() {
            let next = self.layers.get(i + 1);
            let activates = next.is_some_and(|(_, next)| next.activation().is_some());
            if wanted(name) || next.is_none() || (i + 1 - first >= most && !activates) {
                stretches.push(&self.layers[first..=i]);
                first = i + 1;
            }
        }
        stretches
    }

    /// What the layers of these names give, in the layers' order; nothing behind the last of them is computed.
    #[track_caller]
    pub fn features(&self, x: &Tensor, mode: Mode, names: &[String]) -> Vec<Tensor> {
        let last = self.layers.iter().rposition(|(name, _)| names.contains(name));
        let layers = last.map_or(Vec::new(), |last| self.layers[..=last].to_vec());
        Sequential { layers, recomputes: self.recomputes }.forward_with(x, mode, names).1
    }

    fn named(&self, of: impl Fn(&dyn Module) -> Vec<(String, Parameter)>) -> Vec<(String, Parameter)> {
        self.layers.iter().flat_map(|(name, layer)| prefixed(name, of(&**layer))).collect()
    }
}

impl Module for Sequential {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_with(x, mode, &[]).0
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        let mut layers = self.layers.iter().peekable();
        let mut y = x;
        while let Some((_, layer)) = layers.next() {
            let follows = layers.next_if(|(_, next)| next.activation().is_some());
            let then = follows.and_then(|(_, next)| next.activation()).unwrap_or(Activation::Identity);
            y = layer.forward_strips(y, mode, then);
        }
        y.map(|strip| f.of(strip))
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.named(|layer| layer.parameters())
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.named(|layer| layer.buffers())
    }
}

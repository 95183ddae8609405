//! Layers in a row, each computed along with what follows it where there are kernels for both; and residual blocks of them.

use super::{Mode, Module, Parameter, Strips, prefixed, recomputed};
use crate::ops::Activation;
use crate::tensor::{Tensor, is_recording};
use std::sync::Arc;

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

/// `norm` of what `layer` gives, whose statistics are taken along where there are kernels for that.
pub fn normalized(layer: &dyn Module, norm: &dyn Module, x: &Tensor, mode: Mode) -> Tensor {
    let f = Activation::Identity;
    let (y, moments) = match norm.statistics(mode) {
        Some(over) => layer.forward_measured(x, mode, f, over),
        None => (layer.forward(x, mode), None),
    };
    match moments {
        Some(moments) => norm.forward_normalized(&y, moments, mode, f),
        None => norm.forward(&y, mode),
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
        let mut moments = None;
        while let Some((name, layer)) = layers.next() {
            // An activation is computed along with the layer before it, unless what lies between is asked for; and the statistics
            // of a normalisation with the product before it.
            let follows = layers.next_if(|(_, next)| next.activation().is_some() && !wanted(name));
            let f = follows.and_then(|(_, next)| next.activation()).unwrap_or(Activation::Identity);
            let over = layers.peek().and_then(|(_, next)| next.statistics(mode));
            y = match (moments.take(), over) {
                (Some(moments), _) => layer.forward_normalized(&y, moments, mode, f),
                (None, Some(over)) => {
                    let measured = layer.forward_measured(&y, mode, f, over);
                    moments = measured.1;
                    measured.0
                }
                (None, None) => layer.forward_activated(&y, mode, f),
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

//! Batch normalisation with running statistics, in Keras's and PyTorch's conventions, and instance normalisation.

use super::init::Initializer;
use super::{Mode, Module, Parameter, Strips};
use crate::autograd::once;
use crate::ops::{Activation, Over, Running, TileMoments};
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// How running statistics move and what their variance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// running = momentum·running + (1 − momentum)·batch; the biased variance. Momentum 0.8 keeps 80 %.
    #[default]
    Keras,
    /// running = (1 − momentum)·running + momentum·batch; the unbiased variance.
    Torch,
}

/// Batch normalisation of [N, C, …] over all axes but the channels (Ioffe and Szegedy 2015).
pub struct BatchNorm {
    gamma: Parameter,
    beta: Parameter,
    running_mean: Parameter,
    running_var: Parameter,
    momentum: f64,
    eps: f64,
    convention: Convention,
}

impl BatchNorm {
    /// gamma 1 (or as the initialiser draws it), beta 0, running mean 0, running variance 1.
    pub fn new(init: &mut Initializer, channels: usize, momentum: f64, eps: f64, convention: Convention) -> BatchNorm {
        let gamma = Parameter::new(init.gamma(channels));
        let constant = |value| Parameter::new(init.constant(channels, value));
        BatchNorm {
            gamma,
            beta: constant(0.0),
            running_mean: constant(0.0),
            running_var: constant(1.0),
            momentum,
            eps,
            convention,
        }
    }

    /// f of x, and the moments of each of the batches in it, [2·batches, C]; running statistics move in the same pass.
    fn train(
        &self,
        x: &Tensor,
        tiles: Option<TileMoments>,
        batches: usize,
        affine: [Option<&Tensor>; 2],
        f: Activation,
    ) -> (Tensor, Tensor) {
        let c = x.dim(1);
        let count = x.len() / (batches * c).max(1);
        let (keep, correction) = match self.convention {
            Convention::Keras => (self.momentum, 1.0),
            // A single element has no unbiased variance; its biased one, 0, is taken.
            Convention::Torch => (1.0 - self.momentum, count as f64 / (count.max(2) - 1) as f64),
        };
        let (mean, var) = (self.running_mean.get(), self.running_var.get());
        let running = Running { mean: &mean, var: &var, keep, correction };
        let (y, all) = x.batch_norm_measured(tiles, batches, Some(running), affine, self.eps, f);
        let row = |row: usize| no_grad(|| all.narrow(0, 2 * batches + row, 1).reshape([c]));
        self.running_mean.set(row(0));
        self.running_var.set(row(1));
        (y, all)
    }

    /// f of x, whose moments may have been taken along by the product that made it.
    fn normalized(&self, x: &Tensor, tiles: Option<TileMoments>, mode: Mode, f: Activation) -> Tensor {
        let (gamma, beta) = (self.gamma.get(), self.beta.get());
        if mode == Mode::Inference {
            let (mean, var) = (self.running_mean.get(), self.running_var.get());
            return f.of(&x.batch_norm_with(&mean, &var, Some(&gamma), Some(&beta), self.eps));
        }
        let batches = mode.batches();
        let affine = [Some(&gamma), Some(&beta)];
        if !mode.trains() {
            return x.batch_norm_measured(tiles, batches, None, affine, self.eps, f).0;
        }
        // Where a pass is computed again for its gradient, running statistics have moved already: its moments are kept.
        let mut value = None;
        let moments = once(|| {
            let (y, moments) = self.train(x, tiles, batches, affine, f);
            value = Some(y);
            moments
        });
        value.unwrap_or_else(|| x.batch_norm_of_parts(batches, &moments, Some(&gamma), Some(&beta), self.eps, f))
    }
}

impl Module for BatchNorm {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_activated(x, mode, Activation::Identity)
    }

    fn forward_activated(&self, x: &Tensor, mode: Mode, f: Activation) -> Tensor {
        self.normalized(x, None, mode, f)
    }

    fn statistics(&self, mode: Mode) -> Option<Over> {
        (mode != Mode::Inference).then(|| Over::Batches(mode.batches()))
    }

    fn forward_normalized(&self, x: &Tensor, moments: TileMoments, mode: Mode, f: Activation) -> Tensor {
        self.normalized(x, Some(moments), mode, f)
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        match mode {
            Mode::Train | Mode::Batches(_) => super::strips::joined(self, x, mode, f),
            Mode::BatchStatistics => x.normalized(Some(&self.gamma.get()), Some(&self.beta.get()), self.eps, f),
            Mode::Inference => x.map(|strip| self.forward_activated(strip, mode, f)),
        }
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        vec![("gamma".into(), self.gamma.clone()), ("beta".into(), self.beta.clone())]
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        vec![("running_mean".into(), self.running_mean.clone()), ("running_var".into(), self.running_var.clone())]
    }
}

/// Instance normalisation of [N, C, …] without parameters: each plane minus its mean, over its standard deviation
/// (Ulyanov et al. 2016). It keeps no running statistics: every mode gives the same.
pub struct InstanceNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Module for InstanceNorm {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_activated(x, mode, Activation::Identity)
    }

    fn forward_activated(&self, x: &Tensor, _: Mode, f: Activation) -> Tensor {
        x.instance_norm_activated(self.eps, f)
    }

    fn statistics(&self, _: Mode) -> Option<Over> {
        Some(Over::Images)
    }

    fn forward_normalized(&self, x: &Tensor, moments: TileMoments, _: Mode, f: Activation) -> Tensor {
        x.instance_norm_measured(Some(moments), self.eps, f)
    }

    fn forward_strips(&self, x: Strips, _: Mode, f: Activation) -> Strips {
        x.normalized(None, None, self.eps, f)
    }
}

/// Instance normalisation with a factor and a shift a channel, gamma and beta, which are learnt (Ulyanov et al. 2016). Every mode gives
/// the same.
pub struct AffineInstanceNorm {
    gamma: Parameter,
    beta: Parameter,
    eps: f64,
}

impl AffineInstanceNorm {
    /// gamma 1, beta 0.
    pub fn new(init: &mut Initializer, channels: usize, eps: f64) -> AffineInstanceNorm {
        let constant = |value| Parameter::new(init.constant(channels, value));
        AffineInstanceNorm { gamma: constant(1.0), beta: constant(0.0), eps }
    }
}

impl Module for AffineInstanceNorm {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.instance_norm(Some(&self.gamma.get()), Some(&self.beta.get()), self.eps)
    }

    fn statistics(&self, _: Mode) -> Option<Over> {
        Some(Over::Images)
    }

    fn forward_normalized(&self, x: &Tensor, moments: TileMoments, _: Mode, f: Activation) -> Tensor {
        let y = x.instance_norm_measured(Some(moments), self.eps, Activation::Identity);
        f.of(&y.channel_affine(Some(&self.gamma.get()), Some(&self.beta.get())))
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        vec![("gamma".into(), self.gamma.clone()), ("beta".into(), self.beta.clone())]
    }
}

//! Batch normalisation over all axes but the channel axis 1, with fused passes for the value and the first gradient.

mod gradient;
mod moments;
mod sizes;
mod statistics;
mod tiles;
mod value;
mod whole;

pub use moments::Running;
pub(super) use sizes::Sizes;

use crate::ops::bias_activation::Activation;
use crate::ops::measured::TileMoments;
use crate::shape::Shape;
use crate::tensor::{Tensor, apply, no_grad};
use moments::{Moments, Moving};
use value::BatchNorm;

fn check(x: &Shape, parts: usize) -> Result<(), String> {
    match x.rank() {
        0 | 1 => Err("expects [N, C, ...]".into()),
        _ if parts == 0 || !x[0].is_multiple_of(parts) => Err(format!("{} images are not {parts} equal parts", x[0])),
        _ => Ok(()),
    }
}
/// C values in a shape that broadcasts over the channels of `x`.
fn channels(values: &Tensor, x: &Tensor) -> Tensor {
    let mut shape = vec![1; x.rank()];
    shape[1] = values.len();
    values.reshape(shape)
}

/// The slope of a leaky relu that is computed along; 1 for another function, which follows by itself.
fn slope_of(f: Activation) -> f64 {
    match f {
        Activation::LeakyRelu { slope } if f.derivative_follows_from_value() => slope,
        _ => 1.0,
    }
}

/// Batch normalisation (Ioffe and Szegedy 2015). The channel axis is 1.
impl Tensor {
    /// Mean and biased variance of each channel of [N, C, …], as [2, C].
    #[track_caller]
    pub fn moments(&self) -> Tensor {
        apply(Moments { parts: 1, moving: None }, &[self])
    }

    /// The same for each of `parts` batches of equal size that lie one behind the other, as [2·parts, C]: means, then
    /// variances. A constant.
    #[track_caller]
    pub fn moments_of_parts(&self, parts: usize) -> Tensor {
        no_grad(|| apply(Moments { parts, moving: None }, &[self]))
    }

    /// [`Tensor::moments_of_parts`] and behind them, in two rows more, what becomes of running mean and variance `[C]`:
    /// keep·running + (1 − keep)·moments for each part in order, its variance times `correction`. In one pass.
    #[track_caller]
    pub fn moments_and_running(&self, parts: usize, running: [&Tensor; 2], keep: f64, correction: f64) -> Tensor {
        let op = Moments { parts, moving: Some(Moving { keep, correction }) };
        no_grad(|| apply(op, &[self, running[0], running[1]]))
    }

    /// Normalises each channel of [N, C, …] with the batch's own mean and biased variance, then scales by gamma `[C]`
    /// and shifts by beta `[C]` (ones and zeros if absent). Also returns the moments [2, C], as constants.
    #[track_caller]
    pub fn batch_norm(&self, gamma: Option<&Tensor>, beta: Option<&Tensor>, eps: f64) -> (Tensor, Tensor) {
        self.batch_norm_activated(gamma, beta, eps, Activation::Identity)
    }

    /// f of [`Tensor::batch_norm`], in one pass for the leaky relus, and the moments.
    #[track_caller]
    pub fn batch_norm_activated(
        &self,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        eps: f64,
        f: Activation,
    ) -> (Tensor, Tensor) {
        self.batch_norm_and_moments(1, None, [gamma, beta], eps, f)
    }

    /// The same for each of `parts` batches that lie one behind the other, with [`Tensor::moments_of_parts`] or, of running
    /// statistics, [`Tensor::moments_and_running`]: on a GPU in one pass, where that is faster.
    #[track_caller]
    pub fn batch_norm_and_moments(
        &self,
        parts: usize,
        running: Option<Running>,
        [gamma, beta]: [Option<&Tensor>; 2],
        eps: f64,
        f: Activation,
    ) -> (Tensor, Tensor) {
        self.batch_norm_measured(None, parts, running, [gamma, beta], eps, f)
    }

    /// The same of the value of a product that took its moments along, over [`Over::Batches`](crate::ops::Over) of this number.
    ///
    /// # Panics
    /// If the moments are of another value.
    #[track_caller]
    pub fn batch_norm_measured(
        &self,
        tiles: Option<TileMoments>,
        parts: usize,
        running: Option<Running>,
        [gamma, beta]: [Option<&Tensor>; 2],
        eps: f64,
        f: Activation,
    ) -> (Tensor, Tensor) {
        if check(self.shape(), parts).is_ok() {
            let (gamma, beta) = (self.ones_or(gamma), self.zeros_or(beta));
            let norm = BatchNorm { eps, slope: slope_of(f), parts };
            let fused = match tiles {
                Some(tiles) => {
                    let own = tiles.sizes == Sizes::of(self.shape(), parts);
                    assert!(own, "batch_norm: moments of {:?} (x {}, {parts} parts)", tiles.sizes, self.shape());
                    tiles::value(norm, self, tiles, [&gamma, &beta], running)
                }
                None => whole::value(norm, self, [&gamma, &beta], running),
            };
            if let Some([moments, y]) = fused {
                let y = y.made_by(norm, &[self, &moments, &gamma, &beta]);
                return (if norm.slope == 1.0 { f.of(&y) } else { y }, moments);
            }
        }
        let moments = match running {
            Some(Running { mean, var, keep, correction }) => {
                self.moments_and_running(parts, [mean, var], keep, correction)
            }
            None => self.moments_of_parts(parts),
        };
        (self.batch_norm_of_parts(parts, &moments, gamma, beta, eps, f), moments)
    }

    /// [`Tensor::instance_norm_activated`] of the value of a product that took its moments along over
    /// [`Over::Images`](crate::ops::Over).
    ///
    /// # Panics
    /// If the moments are of another value.
    #[track_caller]
    pub fn instance_norm_measured(&self, tiles: Option<TileMoments>, eps: f64, f: Activation) -> Tensor {
        let Some(tiles) = tiles else { return self.instance_norm_activated(eps, f) };
        let own = tiles.sizes == Sizes::of(self.shape(), self.dim(0));
        assert!(own, "instance_norm: moments of {:?} (x {})", tiles.sizes, self.shape());
        // A channel of an image lies where a channel of one image of so many channels would.
        let rows = tiles.sizes.groups();
        let x = self.reshape([1, rows, tiles.sizes.l]);
        let (gamma, beta) = (x.ones_or(None), x.zeros_or(None));
        let norm = BatchNorm { eps, slope: slope_of(f), parts: 1 };
        let Some([moments, y]) = tiles::value(norm, &x, tiles, [&gamma, &beta], None) else {
            return self.instance_norm_activated(eps, f);
        };
        let moments = no_grad(|| moments.reshape([2, rows]));
        let y = y.made_by(norm, &[&x, &moments, &gamma, &beta]).reshape(self.shape());
        if norm.slope == 1.0 { f.of(&y) } else { y }
    }

    fn ones_or(&self, gamma: Option<&Tensor>) -> Tensor {
        gamma.cloned().unwrap_or_else(|| Tensor::full(self.device(), [self.dim(1)], 1.0))
    }

    fn zeros_or(&self, beta: Option<&Tensor>) -> Tensor {
        beta.cloned().unwrap_or_else(|| Tensor::zeros(self.device(), [self.dim(1)]))
    }

    /// The same for each of `parts` batches that lie one behind the other, by their moments, which must be those that
    /// [`Tensor::moments_of_parts`] gives (rows behind them are not looked at): the gradient goes through them.
    #[track_caller]
    pub fn batch_norm_of_parts(
        &self,
        parts: usize,
        moments: &Tensor,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        eps: f64,
        f: Activation,
    ) -> Tensor {
        let (gamma, beta) = (self.ones_or(gamma), self.zeros_or(beta));
        let slope = slope_of(f);
        let y = apply(BatchNorm { eps, slope, parts }, &[self, moments, &gamma, &beta]);
        if slope == 1.0 { f.of(&y) } else { y }
    }

    /// Normalises each channel of [N, C, …] with given statistics, mean `[C]` and variance `[C]`.
    #[track_caller]
    pub fn batch_norm_with(
        &self,
        mean: &Tensor,
        var: &Tensor,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let inv = (var + eps).rsqrt();
        let scale = gamma.map_or(inv.clone(), |gamma| gamma * &inv);
        let y = (self - channels(mean, self)) * channels(&scale, self);
        beta.map_or(y.clone(), |beta| y + channels(beta, self))
    }
}

//! Exponential moving averages of weights.

use crate::tensor::{Tensor, no_grad};

/// How fast an average forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Keeps this share at every step.
    Constant(f64),
    /// Keeps min(share, (1 + step)/(10 + step)): short memory at first, as the average starts from untrained weights.
    RampUp(f64),
    /// Keeps 0.5^(batch / half_life), both in images (Karras et al. 2020); the half-life at most `ramp_up` times the
    /// images seen, if `ramp_up` is above 0.
    HalfLife { images: f64, ramp_up: f64 },
}

impl Decay {
    /// The share that the average keeps at `step` (from 0), with this batch and what was seen before it.
    pub fn share(self, step: u64, batch: usize, images_seen: u64) -> f64 {
        match self {
            Decay::Constant(share) => share,
            Decay::RampUp(share) => share.min((1.0 + step as f64) / (10.0 + step as f64)),
            Decay::HalfLife { images, ramp_up } => {
                let half_life = if ramp_up > 0.0 { images.min(images_seen as f64 * ramp_up) } else { images };
                0.5f64.powf(batch as f64 / half_life.max(1e-8))
            }
        }
    }
}

/// share·average + (1 − share)·p.
#[track_caller]
pub fn update(average: &Tensor, p: &Tensor, share: f64) -> Tensor {
    no_grad(|| average * share + p * (1.0 - share))
}

//! The objectives of adversarial training, one function an equation.

use crate::tensor::{Device, Tensor};

/// What a discriminator's output [N, 1] is, and with it how its binary cross-entropy is taken.
pub struct Score {
    kind: ScoreKind,
    one: Tensor,
    zero: Tensor,
}

/// The two kinds of output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreKind {
    /// A probability; clipped to [clip, 1 − clip] as Keras does (1e-7).
    Probability {
        /// Distance from 0 and 1 that is kept.
        clip: f64,
    },
    /// A logit: the probability is its sigmoid.
    Logit,
}

impl Score {
    /// Scores of a kind on a device.
    pub fn new(kind: ScoreKind, device: &Device) -> Score {
        Score { kind, one: Tensor::full(device, [1, 1], 1.0), zero: Tensor::zeros(device, [1, 1]) }
    }

    /// The mean of −t·ln p − (1−t)·ln(1−p) over the batch.
    fn bce(&self, score: &Tensor, target: &Tensor) -> Tensor {
        match self.kind {
            ScoreKind::Probability { clip } => score.bce_clipped(target, clip).mean(),
            ScoreKind::Logit => score.bce_with_logits(target).mean(),
        }
    }

    /// The mean probability of being real.
    pub fn mean_probability(&self, score: &Tensor) -> Tensor {
        match self.kind {
            ScoreKind::Probability { .. } => score.mean(),
            ScoreKind::Logit => score.sigmoid().mean(),
        }
    }
}

/// −E[ln D(x)] − E[ln(1 − D(G(z)))]: what the discriminator minimises (Goodfellow et al. 2014, eq. 1).
pub fn discriminator(score: &Score, real: &Tensor, fake: &Tensor) -> Tensor {
    score.bce(real, &score.one) + score.bce(fake, &score.zero)
}

/// E[ln(1 − D(G(z)))]: what the generator minimises in the minimax game as written (eq. 1). It saturates: where D is
/// sure that a sample is fake, the gradient vanishes.
pub fn minimax_generator(score: &Score, fake: &Tensor) -> Tensor {
    -score.bce(fake, &score.zero)
}

/// −E[ln D(G(z))]: the generator's non-saturating loss (Goodfellow et al. 2014, section 3).
pub fn non_saturating_generator(score: &Score, fake: &Tensor) -> Tensor {
    score.bce(fake, &score.one)
}

//! The objectives of adversarial training, one function an equation; those on logits alone are in [`crate::ops::losses`].

use crate::autograd::differentiable_grad;
use crate::ops::losses::{
    HINGE, LEAST_SQUARES, MINIMAX, Separate, Term, WASSERSTEIN, hinge_g, least_squares_g, minimax_g, non_saturating_g,
    relativistic_d, relativistic_g, wasserstein_g,
};
use crate::ops::mean_of::{self, Function};
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// The game that is played: the pair of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Game {
    /// −E[ln D(x)] − E[ln(1 − D(G(z)))] against E[ln(1 − D(G(z)))], the formula as written (Goodfellow et al. 2014, eq. 1).
    /// The generator's loss saturates: where D is sure that a sample is fake, the gradient vanishes.
    Minimax,
    /// The same for D; the generator minimises −E[ln D(G(z))] (Goodfellow et al. 2014, section 3).
    NonSaturating,
    /// Margins of 1 around 0 (Lim and Ye 2017).
    Hinge,
    /// The difference of means (Arjovsky et al. 2017); needs a penalty that keeps the critic's slope near 1.
    Wasserstein,
    /// Squares of distances to 1 and 0 (Mao et al. 2017).
    LeastSquares,
    /// Each real sample against a fake one (Jolicoeur-Martineau 2018; R3GAN).
    Relativistic,
}

/// What a discriminator's output is, and with it how its losses are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    kind: ScoreKind,
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
    /// Scores of a kind.
    pub fn new(kind: ScoreKind) -> Score {
        Score { kind }
    }

    /// The function that makes a probability of being real of a score.
    fn probability(self) -> Function {
        match self.kind {
            ScoreKind::Probability { .. } => Function::Identity,
            ScoreKind::Logit => Function::Sigmoid,
        }
    }

    /// The mean probability of being real.
    pub fn mean_probability(&self, score: &Tensor) -> Tensor {
        score.mean_of(self.probability(), 1.0)
    }

    /// The mean probabilities of real and of fake images of being real.
    pub fn mean_probabilities(&self, scores: &Scores) -> [Tensor; 2] {
        match scores {
            Scores::Apart([real, fake]) => [self.mean_probability(real), self.mean_probability(fake)],
            Scores::Joint(scores) => {
                let (half, all) = (scores.len() / 2, scores.len());
                let mean = |range| scores.means_of(&[mean_of::Term { f: self.probability(), range, weight: 1.0 }]);
                [mean(0..half), mean(half..all)]
            }
        }
    }

    /// What the discriminator minimises, for its scores of real and fake images. Only the two games on probabilities are
    /// defined for them (a recipe is checked for that).
    pub fn discriminator(&self, game: Game, scores: &Scores) -> Tensor {
        let terms = match (game, self.kind) {
            (Game::Minimax | Game::NonSaturating, ScoreKind::Probability { clip }) => {
                let bce = |target| Term(Function::Bce { target, clip }, 1.0);
                Separate { real: bce(1.0), fake: bce(0.0) }
            }
            (Game::Minimax | Game::NonSaturating, ScoreKind::Logit) => MINIMAX,
            (Game::Hinge, _) => HINGE,
            (Game::Wasserstein, _) => WASSERSTEIN,
            (Game::LeastSquares, _) => LEAST_SQUARES,
            (Game::Relativistic, _) => return relativistic_d(&scores.real(), &scores.fake()),
        };
        match scores {
            Scores::Apart([real, fake]) => terms.of(real, fake),
            Scores::Joint(scores) => terms.of_joint(scores),
        }
    }

    /// What the generator minimises, for the scores of its images (and, in the relativistic game, of real ones).
    #[track_caller]
    pub fn generator(&self, game: Game, fake: &Tensor, real: Option<&Tensor>) -> Tensor {
        match (game, self.kind) {
            (Game::Minimax, ScoreKind::Probability { clip }) => fake.mean_of(Function::Bce { target: 0.0, clip }, -1.0),
            (Game::NonSaturating, ScoreKind::Probability { clip }) => {
                fake.mean_of(Function::Bce { target: 1.0, clip }, 1.0)
            }
            (Game::Minimax, ScoreKind::Logit) => minimax_g(fake),
            (Game::NonSaturating, ScoreKind::Logit) => non_saturating_g(fake),
            (Game::Hinge, _) => hinge_g(fake),
            (Game::Wasserstein, _) => wasserstein_g(fake),
            (Game::LeastSquares, _) => least_squares_g(fake),
            (Game::Relativistic, _) => {
                relativistic_g(real.expect("the relativistic game compares with real images"), fake)
            }
        }
    }
}

/// A discriminator's scores of as many real as fake images.
#[derive(Clone)]
pub enum Scores {
    /// Of a pass each: real and fake, [N, 1].
    Apart([Tensor; 2]),
    /// Of one pass: the real images', then the fake ones', [2·N, 1].
    Joint(Tensor),
}

/// Scores of parts of a batch, one behind the other.
pub(super) fn joined(scores: Vec<Tensor>) -> Tensor {
    match &scores[..] {
        [whole] => whole.clone(),
        several => no_grad(|| Tensor::concat(&several.iter().collect::<Vec<_>>(), 0)),
    }
}

impl Scores {
    /// The real images', [N, 1].
    pub fn real(&self) -> Tensor {
        match self {
            Scores::Apart([real, _]) => real.clone(),
            Scores::Joint(scores) => scores.narrow(0, 0, scores.dim(0) / 2),
        }
    }

    /// The fake images', [N, 1].
    pub fn fake(&self) -> Tensor {
        match self {
            Scores::Apart([_, fake]) => fake.clone(),
            Scores::Joint(scores) => scores.narrow(0, scores.dim(0) / 2, scores.dim(0) / 2),
        }
    }

    /// Those of a whole batch out of its parts'.
    pub(super) fn of_parts(parts: Vec<Scores>) -> Scores {
        match <[Scores; 1]>::try_from(parts) {
            Ok([whole]) => whole,
            Err(parts) => no_grad(|| {
                let all = |of: fn(&Scores) -> Tensor| joined(parts.iter().map(of).collect());
                Scores::Apart([all(Scores::real), all(Scores::fake)])
            }),
        }
    }

    /// The same without what they were computed from.
    pub fn detach(&self) -> Scores {
        match self {
            Scores::Apart(scores) => Scores::Apart(scores.each_ref().map(Tensor::detach)),
            Scores::Joint(scores) => Scores::Joint(scores.detach()),
        }
    }
}

/// alpha·real + (1 − alpha)·fake with one alpha `[N]` a sample: points on the lines between pairs (Gulrajani et al. 2017,
/// algorithm 1, line 6).
pub fn between(real: &Tensor, fake: &Tensor, alpha: &Tensor) -> Tensor {
    let mut shape = vec![1; real.rank()];
    shape[0] = real.dim(0);
    let alpha = alpha.reshape(shape);
    real * &alpha + fake * alpha.affine(-1.0, 1.0)
}

/// ∂D/∂x at each image of x for its scores: the sum of all scores has each sample's own gradient, where no layer mixes
/// samples. Differentiable.
pub fn slope(score: &Tensor, x: &Tensor) -> Tensor {
    let [dx] = differentiable_grad(&score.sum(), [x]);
    dx
}

/// Σ dx² over each sample: `[N]`.
fn squared_norms(dx: &Tensor) -> Tensor {
    dx.square().sum_axes(&(1..dx.rank()).collect::<Vec<_>>())
}

/// ‖dx‖₂ = √(Σ dx² + eps) of each sample, over all its elements: `[N]`. With eps 0 the derivative at a zero slope is 0.
pub fn slope_norms(dx: &Tensor, eps: f64) -> Tensor {
    if eps > 0.0 { (squared_norms(dx) + eps).sqrt() } else { squared_norms(dx).sqrt_flat_at_zero() }
}

/// lambda·E[(‖∂D/∂x̂‖₂ − target)²] for the slopes' norms (Gulrajani et al. 2017, eq. 3, with target 1).
pub fn gradient_penalty(norms: &Tensor, lambda: f64, target: f64) -> Tensor {
    (norms - target).square().mean() * lambda
}

/// gamma/2·E[‖∂D/∂x‖²] (Mescheder et al. 2018, eq. 9): R1 for the slopes at real images, R2 at fake ones.
pub fn squared_slope_penalty(dx: &Tensor, gamma: f64) -> Tensor {
    squared_norms(dx).mean() * (gamma / 2.0)
}

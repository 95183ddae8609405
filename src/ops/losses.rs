//! Losses made of other ops, one function an equation; each returns one number unless it says otherwise.
//!
//! Logits are D(x) before any sigmoid; `real` and `fake` are the discriminator's on the two kinds of images.

use crate::error::Result;
use crate::ops::Indices;
use crate::ops::mean_of::{self, Function};
use crate::tensor::Tensor;

/// How the values of single elements become a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their mean, `[]`.
    Mean,
    /// Their sum, `[]`.
    Sum,
    /// Nothing is done to them.
    None,
}

impl Reduction {
    /// Applies it.
    pub fn of(self, values: &Tensor) -> Tensor {
        match self {
            Reduction::Mean => values.mean(),
            Reduction::Sum => values.sum(),
            Reduction::None => values.clone(),
        }
    }
}

/// What a discriminator minimises where scores of real and of fake images are looked at one by one: weighted means of a
/// function of each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separate {
    /// Of the real images' scores.
    pub real: Term,
    /// Of the fake ones'.
    pub fake: Term,
}

/// A function whose mean is taken, and the mean's weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term(pub Function, pub f64);

impl Term {
    /// weight·mean f(score)
    pub fn of(self, score: &Tensor) -> Tensor {
        score.mean_of(self.0, self.1)
    }
}

impl Separate {
    /// The loss of scores of real and of fake images.
    pub fn of(self, real: &Tensor, fake: &Tensor) -> Tensor {
        self.real.of(real) + self.fake.of(fake)
    }

    /// The loss of scores of as many real as fake images in one tensor, the real ones first: in one pass.
    pub fn of_joint(self, scores: &Tensor) -> Tensor {
        let (half, all) = (scores.len() / 2, scores.len());
        let [Term(f, weight), Term(g, other)] = [self.real, self.fake];
        let means =
            [mean_of::Term { f, range: 0..half, weight }, mean_of::Term { f: g, range: half..all, weight: other }];
        scores.means_of(&means)
    }
}

/// mean softplus(−real) + mean softplus(fake) = −ln D(x) − ln(1 − D(G(z))) (Goodfellow et al. 2014, eq. 1).
pub const MINIMAX: Separate =
    Separate { real: Term(Function::Softplus { sign: -1.0 }, 1.0), fake: Term(Function::Softplus { sign: 1.0 }, 1.0) };

/// mean max(1 − real, 0) + mean max(1 + fake, 0) (Lim and Ye 2017; Miyato et al. 2018, eq. 16).
pub const HINGE: Separate =
    Separate { real: Term(Function::Hinge { sign: -1.0 }, 1.0), fake: Term(Function::Hinge { sign: 1.0 }, 1.0) };

/// mean fake − mean real (Arjovsky et al. 2017, eq. 3, as a minimum).
pub const WASSERSTEIN: Separate =
    Separate { real: Term(Function::Identity, -1.0), fake: Term(Function::Identity, 1.0) };

/// ½·mean (real − 1)² + ½·mean fake² (Mao et al. 2017, eq. 9).
pub const LEAST_SQUARES: Separate =
    Separate { real: Term(Function::Square { target: 1.0 }, 0.5), fake: Term(Function::Square { target: 0.0 }, 0.5) };

/// [`MINIMAX`] of these scores.
pub fn minimax_d(real: &Tensor, fake: &Tensor) -> Tensor {
    MINIMAX.of(real, fake)
}

/// The generator's side of minimax: −mean softplus(fake) = mean ln(1 − D(G(z))) (Goodfellow et al. 2014, eq. 1).
pub fn minimax_g(fake: &Tensor) -> Tensor {
    fake.mean_of(Function::Softplus { sign: 1.0 }, -1.0)
}

/// Non-saturating: mean softplus(−fake) = −ln D(G(z)) (Goodfellow et al. 2014, section 3).
pub fn non_saturating_g(fake: &Tensor) -> Tensor {
    fake.mean_of(Function::Softplus { sign: -1.0 }, 1.0)
}

/// [`HINGE`] of these scores.
pub fn hinge_d(real: &Tensor, fake: &Tensor) -> Tensor {
    HINGE.of(real, fake)
}

/// −mean fake.
pub fn hinge_g(fake: &Tensor) -> Tensor {
    fake.mean_of(Function::Identity, -1.0)
}

/// [`WASSERSTEIN`] of these scores.
pub fn wasserstein_d(real: &Tensor, fake: &Tensor) -> Tensor {
    WASSERSTEIN.of(real, fake)
}

/// −mean fake.
pub fn wasserstein_g(fake: &Tensor) -> Tensor {
    fake.mean_of(Function::Identity, -1.0)
}

/// [`LEAST_SQUARES`] of these scores.
pub fn least_squares_d(real: &Tensor, fake: &Tensor) -> Tensor {
    LEAST_SQUARES.of(real, fake)
}

/// ½·mean (fake − 1)² (Mao et al. 2017, eq. 9).
pub fn least_squares_g(fake: &Tensor) -> Tensor {
    fake.mean_of(Function::Square { target: 1.0 }, 0.5)
}

/// Relativistic pairing: mean softplus(−(real − fake)) (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024, eq. 2).
pub fn relativistic_d(real: &Tensor, fake: &Tensor) -> Tensor {
    (fake - real).mean_of(Function::Softplus { sign: 1.0 }, 1.0)
}

/// The generator's side of it: mean softplus(−(fake − real)).
pub fn relativistic_g(real: &Tensor, fake: &Tensor) -> Tensor {
    (real - fake).mean_of(Function::Softplus { sign: 1.0 }, 1.0)
}

/// mean |a − b|
pub fn l1(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).abs().mean()
}

/// mean (a − b)²
pub fn mse(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).square().mean()
}

/// The mean of ½d²/beta where |d| < beta, else |d| − ½beta, for d = a − b (Huber's, over beta).
pub fn smooth_l1(a: &Tensor, b: &Tensor, beta: f64) -> Tensor {
    let d = a - b;
    // With c = d clamped to ±beta: c²/(2·beta) inside; outside c·d/beta − ½·beta, and both are c·(d − c/2)/beta.
    let c = d.clamp(-beta, beta);
    (&c * (&d - &c * 0.5)).mean() * (1.0 / beta)
}

/// The differences of neighbouring pixels of [N, C, H, W], vertical and horizontal.
fn neighbours(x: &Tensor) -> [Tensor; 2] {
    [2, 3].map(|axis| {
        let len = x.dim(axis);
        x.narrow(axis, 1, len - 1) - x.narrow(axis, 0, len - 1)
    })
}

/// Total variation of images [N, C, H, W], absolute: mean |x_below − x| + mean |x_right − x|, each over its own pairs.
pub fn total_variation_l1(x: &Tensor) -> Tensor {
    let [down, right] = neighbours(x);
    down.abs().mean() + right.abs().mean()
}

/// Total variation of images [N, C, H, W], squared: Σ (x_below − x)² + Σ (x_right − x)² (Johnson et al. 2016). A sum, not
/// a mean: divide by what suits.
pub fn total_variation_l2(x: &Tensor) -> Tensor {
    let [down, right] = neighbours(x);
    down.square().sum() + right.square().sum()
}

/// What a Gram matrix of features [N, C, H, W] is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GramNorm {
    /// Nothing.
    None,
    /// H·W: a mean over places.
    Places,
    /// C·H·W.
    Elements,
}

/// Gram matrices [N, C, C] of features [N, C, H, W].
pub fn gram_matrix(x: &Tensor, norm: GramNorm) -> Tensor {
    let (c, places) = (x.dim(1) as f64, (x.dim(2) * x.dim(3)) as f64);
    x.gram()
        * match norm {
            GramNorm::None => 1.0,
            GramNorm::Places => 1.0 / places,
            GramNorm::Elements => 1.0 / (c * places),
        }
}

/// mean (gram(x) − gram(style))² (Gatys et al. 2016, eq. 4, up to a constant). The two may differ in height and width.
pub fn style_loss(x: &Tensor, style: &Tensor, norm: GramNorm) -> Tensor {
    mse(&gram_matrix(x, norm), &gram_matrix(style, norm))
}

/// Contrast of patches (Park et al. 2020, eq. 3) for features [B, P, D] (P patches of each image), made unit vectors
/// first (x / (‖x‖ + 1e-7)): the mean over all queries of −ln softmax_j(q_i·k_j / temperature) at j = i, keys k_j from the same
/// image. Detach the keys where they are not to be trained, as published.
///
/// # Errors
/// None that the device did not have before.
pub fn patch_nce(queries: &Tensor, keys: &Tensor, temperature: f64) -> Result<Tensor> {
    let unit = |x: &Tensor| x / (x.norm_axes(&[2]).insert_axes(&[2]) + 1e-7);
    let (b, p) = (queries.dim(0), queries.dim(1));
    let logits = unit(queries).matmul_transposed(&unit(keys), false, true) * (1.0 / temperature); // [B, P, P]
    let labels = (0..b * p).map(|i| (i % p) as u32).collect();
    Ok(logits.reshape([b * p, p]).cross_entropy(&Indices::new(queries.device(), [b * p], labels))?.mean())
}

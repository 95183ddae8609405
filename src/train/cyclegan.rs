//! CycleGAN (Zhu et al. 2017): two translators, two discriminators, and a way there that must lead back.

use super::gradients;
use crate::nn::{Mode, Module, Sequential};
use crate::ops::losses::{l1, least_squares_d};
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// The weights of CycleGAN's terms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CycleWeights {
    /// Of the way from A to B and back.
    #[serde(default = "ten")]
    pub lambda_a: f64,
    /// Of the way from B to A and back.
    #[serde(default = "ten")]
    pub lambda_b: f64,
    /// Of leaving an image that is in the domain already as it is, times the weight of that domain's cycle.
    #[serde(default = "half")]
    pub lambda_identity: f64,
}

fn ten() -> f64 {
    10.0
}

fn half() -> f64 {
    0.5
}

/// The networks of CycleGAN.
pub struct CycleGan {
    /// From A to B.
    pub g_a: Box<dyn Module>,
    /// From B to A.
    pub g_b: Box<dyn Module>,
    /// Tells real images of B from those that `g_a` makes.
    pub d_a: Sequential,
    /// Tells real images of A from those that `g_b` makes.
    pub d_b: Sequential,
    /// The weights of the terms.
    pub weights: CycleWeights,
}

/// What both translators' update computes: losses of one element, images [N, C, H, W], gradients.
pub struct TranslatorStep {
    /// The sum of all terms.
    pub loss: Tensor,
    /// E[(D_A(G_A(a)) − 1)²]
    pub adversarial_a: Tensor,
    /// E[(D_B(G_B(b)) − 1)²]
    pub adversarial_b: Tensor,
    /// lambda_a·E|G_B(G_A(a)) − a|
    pub cycle_a: Tensor,
    /// lambda_b·E|G_A(G_B(b)) − b|
    pub cycle_b: Tensor,
    /// lambda_b·lambda_identity·E|G_A(b) − b|
    pub identity_a: Tensor,
    /// lambda_a·lambda_identity·E|G_B(a) − a|
    pub identity_b: Tensor,
    /// G_A(a)
    pub fake_b: Tensor,
    /// G_B(b)
    pub fake_a: Tensor,
    /// G_B(G_A(a))
    pub rec_a: Tensor,
    /// G_A(G_B(b))
    pub rec_b: Tensor,
    /// The loss's gradient by `g_a`'s parameters, in order.
    pub gradients_a: Vec<Tensor>,
    /// The loss's gradient by `g_b`'s parameters, in order.
    pub gradients_b: Vec<Tensor>,
}

/// E[(D(x) − 1)²] over all patches: what a translator minimises (Zhu et al. 2017, section 4).
pub fn fool(score: &Tensor) -> Tensor {
    (score - 1.0).square().mean()
}

impl CycleGan {
    /// The loss and gradients of both translators; the discriminators' gradients are not computed.
    pub fn translator_step(&self, a: &Tensor, b: &Tensor) -> TranslatorStep {
        let CycleWeights { lambda_a, lambda_b, lambda_identity } = self.weights;
        let (g_a, g_b) = (|x: &Tensor| self.g_a.forward(x, Mode::Train), |x: &Tensor| self.g_b.forward(x, Mode::Train));
        let (fake_b, fake_a) = (g_a(a), g_b(b));
        let (rec_a, rec_b) = (g_b(&fake_b), g_a(&fake_a));

        let adversarial_a = fool(&self.d_a.forward(&fake_b, Mode::Train));
        let adversarial_b = fool(&self.d_b.forward(&fake_a, Mode::Train));
        let cycle_a = l1(&rec_a, a) * lambda_a;
        let cycle_b = l1(&rec_b, b) * lambda_b;
        let [identity_a, identity_b] = if lambda_identity > 0.0 {
            [l1(&g_a(b), b) * (lambda_b * lambda_identity), l1(&g_b(a), a) * (lambda_a * lambda_identity)]
        } else {
            [Tensor::scalar(a.device(), 0.0), Tensor::scalar(a.device(), 0.0)]
        };
        let loss = &adversarial_a + &adversarial_b + &cycle_a + &cycle_b + &identity_a + &identity_b;

        let parameters = [self.g_a.parameter_tensors(), self.g_b.parameter_tensors()].concat();
        let mut gradients_a = crate::autograd::grad_all(&loss, &parameters.iter().collect::<Vec<_>>());
        let gradients_b = gradients_a.split_off(self.g_a.parameters().len());
        TranslatorStep {
            loss: loss.detach(),
            adversarial_a: adversarial_a.detach(),
            adversarial_b: adversarial_b.detach(),
            cycle_a: cycle_a.detach(),
            cycle_b: cycle_b.detach(),
            identity_a: identity_a.detach(),
            identity_b: identity_b.detach(),
            fake_b: fake_b.detach(),
            fake_a: fake_a.detach(),
            rec_a: rec_a.detach(),
            rec_b: rec_b.detach(),
            gradients_a,
            gradients_b,
        }
    }
}

/// ½·E[(D(real) − 1)²] + ½·E[D(fake)²] and its gradient by the discriminator's parameters (least squares, halved to slow
/// the discriminator down, as published).
pub fn discriminator_step(d: &Sequential, real: &Tensor, fake: &Tensor) -> (Tensor, Vec<Tensor>) {
    let fake = no_grad(|| fake.detach());
    let loss = least_squares_d(&d.forward(real, Mode::Train), &d.forward(&fake, Mode::Train));
    let gradients = gradients(&loss, d);
    (loss.detach(), gradients)
}

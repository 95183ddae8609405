//! CycleGAN (Zhu et al. 2017): two translators, two discriminators, and a way there that must lead back.

use super::accumulate::{Mean, part};
use super::pool::ImagePool;
use super::recipe::TranslationRecipe;
use super::translation::{Losses, Method, init};
use super::{gradients, gradients_of_all};
use crate::error::Result;
use crate::nn::{Draws, Mode, Module, Parameter, Sequential, prefixed};
use crate::ops::losses::{l1, least_squares_d};
use crate::ops::mean_of::Function;
use crate::optim::Adam;
use crate::tensor::{Device, Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// CycleGAN as recipes write it: the weights of its terms, and its history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CycleConfig {
    /// The weight of the way from A to B and back.
    #[serde(default = "ten")]
    pub lambda_a: f64,
    /// The weight of the way from B to A and back.
    #[serde(default = "ten")]
    pub lambda_b: f64,
    /// The weight of leaving an image that is in the domain already as it is, times that of the domain's cycle.
    #[serde(default = "half")]
    pub lambda_identity: f64,
    /// Generated images that the history of each discriminator holds; 0 is none.
    #[serde(default = "fifty")]
    pub pool: usize,
}

fn ten() -> f64 {
    10.0
}

fn half() -> f64 {
    0.5
}

fn fifty() -> usize {
    50
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
    pub config: CycleConfig,
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
    score.mean_of(Function::Square { target: 1.0 }, 1.0)
}

impl CycleGan {
    /// The loss and gradients of both translators; the discriminators' gradients are not computed.
    pub fn translator_step(&self, a: &Tensor, b: &Tensor) -> TranslatorStep {
        let CycleConfig { lambda_a, lambda_b, lambda_identity, .. } = self.config;
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

        let value = loss.detach();
        // The values alone: nothing but the loss may hold the graph while it is walked.
        let [adversarial_a, adversarial_b] = [adversarial_a, adversarial_b].map(|x| x.detach());
        let [cycle_a, cycle_b, identity_a, identity_b] = [cycle_a, cycle_b, identity_a, identity_b].map(|x| x.detach());
        let [fake_b, fake_a, rec_a, rec_b] = [fake_b, fake_a, rec_a, rec_b].map(|x| x.detach());
        let [gradients_a, gradients_b] = gradients_of_all(loss, [&*self.g_a, &*self.g_b]);
        TranslatorStep {
            loss: value,
            adversarial_a,
            adversarial_b,
            cycle_a,
            cycle_b,
            identity_a,
            identity_b,
            fake_b,
            fake_a,
            rec_a,
            rec_b,
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
    let value = loss.detach();
    (value, gradients(loss, d))
}

/// CycleGAN in training: networks, two optimisers (one for both translators, one for both discriminators), two histories.
pub struct CycleTraining {
    gan: CycleGan,
    translators: Adam,
    discriminators: Adam,
    pool_a: ImagePool,
    pool_b: ImagePool,
    /// The parts that a batch is taken in.
    parts: usize,
}

impl CycleTraining {
    /// Networks with fresh weights.
    pub fn new(recipe: &TranslationRecipe, config: CycleConfig, draws: &Draws, device: &Device) -> CycleTraining {
        let channels = recipe.data.channels;
        let recomputes = recipe.train.checkpoint;
        let translator = |k| {
            let network = recipe.translator.build(channels, &mut init(recipe, device, k), draws);
            Box::new(network.recomputing(recomputes))
        };
        let discriminator =
            |k| recipe.discriminator.build(channels, &mut init(recipe, device, k)).recomputing(recomputes);
        let gan =
            CycleGan { g_a: translator(0), g_b: translator(1), d_a: discriminator(2), d_b: discriminator(3), config };
        let [h, w] = recipe.data.size;
        let image = Tensor::zeros(device, [1, channels, h, w]);
        let pool = |number| ImagePool::new(config.pool, &image, recipe.train.seed, number);
        let both = |a: (&str, &dyn Module), b: (&str, &dyn Module)| {
            let named = |(name, network): (&str, &dyn Module)| prefixed(name, network.parameters());
            Adam::new(recipe.optimizer, [named(a), named(b)].concat())
        };
        CycleTraining {
            translators: both(("g_a", &*gan.g_a), ("g_b", &*gan.g_b)),
            discriminators: both(("d_a", &gan.d_a), ("d_b", &gan.d_b)),
            pool_a: pool(0),
            pool_b: pool(1),
            parts: recipe.train.accumulate,
            gan,
        }
    }

    fn networks(&self) -> [(&'static str, &dyn Module); 4] {
        [("g_a", &*self.gan.g_a), ("g_b", &*self.gan.g_b), ("d_a", &self.gan.d_a), ("d_b", &self.gan.d_b)]
    }
}

impl Method for CycleTraining {
    fn step(&mut self, a: &Tensor, b: &Tensor, step: u64) -> Result<Losses> {
        // First both translators, then both discriminators, on what the histories give.
        let (mut losses, mut gradients, mut fakes) = (Mean::default(), Mean::default(), Vec::new());
        for i in 0..self.parts {
            let g = self.gan.translator_step(&part(a, i, self.parts), &part(b, i, self.parts));
            let terms = [g.adversarial_a, g.adversarial_b, g.cycle_a, g.cycle_b, g.identity_a, g.identity_b];
            losses.add([vec![g.loss], terms.into()].concat());
            gradients.add([g.gradients_a, g.gradients_b].concat());
            fakes.push([g.fake_b, g.fake_a]);
        }
        self.translators.step(&gradients.take())?;

        let (mut d_losses, mut gradients) = (Mean::default(), Mean::default());
        for (i, [fake_b, fake_a]) in fakes.into_iter().enumerate() {
            let (a, b) = (part(a, i, self.parts), part(b, i, self.parts));
            let first = (step * self.parts as u64 + i as u64) * a.dim(0) as u64;
            let (shown_b, shown_a) = (self.pool_b.exchange(&fake_b, first), self.pool_a.exchange(&fake_a, first));
            let (d_a_loss, d_a) = discriminator_step(&self.gan.d_a, &b, &shown_b);
            let (d_b_loss, d_b) = discriminator_step(&self.gan.d_b, &a, &shown_a);
            d_losses.add(vec![d_a_loss, d_b_loss]);
            gradients.add([d_a, d_b].concat());
        }
        self.discriminators.step(&gradients.take())?;
        let names = ["g_loss", "g_a", "g_b", "cycle_a", "cycle_b", "identity_a", "identity_b", "d_a", "d_b"];
        Ok(names.into_iter().zip([losses.take(), d_losses.take()].concat()).collect())
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        let networks = self.networks();
        let weights = networks.iter().flat_map(|(name, network)| prefixed(name, network.parameters()));
        let statistics = networks.iter().flat_map(|(name, network)| prefixed(name, network.buffers()));
        weights
            .chain(statistics)
            .chain(prefixed("optimizer.translators", self.translators.state()))
            .chain(prefixed("optimizer.discriminators", self.discriminators.state()))
            .chain(prefixed("pool_a", self.pool_a.state()))
            .chain(prefixed("pool_b", self.pool_b.state()))
            .collect()
    }

    fn optimizers(&mut self) -> Vec<&mut Adam> {
        vec![&mut self.translators, &mut self.discriminators]
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        let networks = self.networks();
        vec![
            ("translators", networks[0].1.parameter_count() * 2),
            ("discriminators", networks[2].1.parameter_count() * 2),
        ]
    }

    fn show(&self, a: &Tensor, b: &Tensor) -> Vec<(&'static str, Tensor)> {
        let (g_a, g_b) = (&self.gan.g_a, &self.gan.g_b);
        let (fake_b, fake_a) = (g_a.forward(a, Mode::BatchStatistics), g_b.forward(b, Mode::BatchStatistics));
        let rec_a = g_b.forward(&fake_b, Mode::BatchStatistics);
        let rec_b = g_a.forward(&fake_a, Mode::BatchStatistics);
        vec![
            ("A", a.clone()),
            ("A to B", fake_b),
            ("A to B to A", rec_a),
            ("B", b.clone()),
            ("B to A", fake_a),
            ("B to A to B", rec_b),
        ]
    }
}

//! The minimax game: two networks, two optimisers, one step.

use super::loss::{self, Score, ScoreKind};
use super::recipe::{ObjectiveKind, Recipe};
use crate::autograd::grad_all;
use crate::error::Result;
use crate::nn::init::Initializer;
use crate::nn::{Mode, Module, Parameter, Sequential};
use crate::optim::Adam;
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};

/// A generator and a discriminator in training.
pub struct Gan {
    /// Latent vectors [N, latent] to images [N, C, H, W].
    pub generator: Sequential,
    /// Images to scores [N, 1].
    pub discriminator: Sequential,
    /// The generator's optimiser.
    pub generator_optimizer: Adam,
    /// The discriminator's optimiser.
    pub discriminator_optimizer: Adam,
    score: Score,
    recipe: Recipe,
    device: Device,
}

/// What one step gives to look at; each a tensor of one element, still on the device.
pub struct StepOutcome {
    /// The discriminator's loss.
    pub d_loss: Tensor,
    /// The generator's loss.
    pub g_loss: Tensor,
    /// Mean D(x).
    pub d_real: Tensor,
    /// Mean D(G(z)) in the discriminator's step.
    pub d_fake: Tensor,
}

impl Gan {
    /// Networks with fresh weights and optimisers with zero moments, on `device`.
    ///
    /// # Errors
    /// A recipe whose shapes do not meet.
    pub fn new(recipe: &Recipe, device: &Device) -> Result<Gan> {
        let seed = recipe.train.seed;
        // The two networks' weights are numbered from far apart, so that a layer more in one leaves the other as it was.
        let init = |first| Initializer::new(device, recipe.init, seed, first);
        let generator = recipe.build_generator(&mut init(0))?;
        let discriminator = recipe.build_discriminator(&mut init(1 << 32))?;
        let kind = if recipe.discriminator_gives_probability() {
            ScoreKind::Probability { clip: recipe.objective.bce_clip }
        } else {
            ScoreKind::Logit
        };
        Ok(Gan {
            generator_optimizer: Adam::new(recipe.optimizer, generator.parameters()),
            discriminator_optimizer: Adam::new(recipe.optimizer, discriminator.parameters()),
            generator,
            discriminator,
            score: Score::new(kind, device),
            recipe: recipe.clone(),
            device: device.clone(),
        })
    }

    /// Latent vectors for a step: N(0, 1), [batch, latent]. `part` 0 is for the discriminator, 1 for the generator.
    pub fn latent(&self, step: u64, part: u64) -> Tensor {
        let [n, latent] = [self.recipe.train.batch, self.recipe.generator.latent];
        let z = Stream::new(self.recipe.train.seed, Domain::Latent, 2 * step + part).normal_vec(n * latent);
        Tensor::new(&self.device, [n, latent], &z)
    }

    /// One step of the game on a batch of real images: first the discriminator, then the generator.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn step(&mut self, real: &Tensor, z: &Tensor, z_generator: &Tensor) -> Result<StepOutcome> {
        let reuse = self.recipe.objective.reuse_fake;
        let make_fake = || self.generator.forward(z, Mode::Train); // [N, C, H, W]
        let fake = if reuse { make_fake() } else { no_grad(make_fake) };

        let d_step = self.discriminator_step(real, &fake.detach());
        self.discriminator_optimizer.step(&d_step.gradients)?;

        let fake = if reuse { fake } else { self.generator.forward(z_generator, Mode::Train) };
        let g_step = self.generator_step(fake);
        self.generator_optimizer.step(&g_step.gradients)?;

        Ok(StepOutcome { d_loss: d_step.loss, g_loss: g_step.loss, d_real: d_step.d_real, d_fake: d_step.d_fake })
    }

    /// The discriminator's loss and gradients; the generator is not part of the graph.
    pub fn discriminator_step(&self, real: &Tensor, fake: &Tensor) -> DiscriminatorStep {
        let real_score = self.discriminator.forward(real, Mode::Train); // [N, 1]
        let fake_score = self.discriminator.forward(fake, Mode::Train); // [N, 1]
        let d_loss = loss::discriminator(&self.score, &real_score, &fake_score);
        let gradients = gradients(&d_loss, &self.discriminator);
        no_grad(|| DiscriminatorStep {
            loss: d_loss.detach(),
            gradients,
            d_real: self.score.mean_probability(&real_score),
            d_fake: self.score.mean_probability(&fake_score),
        })
    }

    /// The generator's loss and gradients, through the discriminator, whose own gradients are not computed. Which
    /// statistics the discriminator normalises with here is the recipe's `generator_step_mode`.
    pub fn generator_step(&self, fake: Tensor) -> GeneratorStep {
        let score = self.discriminator.forward(&fake, self.recipe.objective.generator_step_mode.into()); // [N, 1]
        let g_loss = match self.recipe.objective.kind {
            ObjectiveKind::Minimax => loss::minimax_generator(&self.score, &score),
            ObjectiveKind::NonSaturating => loss::non_saturating_generator(&self.score, &score),
        };
        GeneratorStep { gradients: gradients(&g_loss, &self.generator), loss: g_loss.detach() }
    }

    /// Images [N, C, H, W] for latent vectors [N, latent]; nothing is recorded.
    pub fn sample(&self, z: &Tensor, mode: Mode) -> Tensor {
        no_grad(|| self.generator.forward(z, mode))
    }

    /// Everything a checkpoint holds, by name: weights, running statistics, moments.
    pub fn state(&self) -> Vec<(String, Parameter)> {
        let prefixed = |prefix: &str, entries: Vec<(String, Parameter)>| -> Vec<(String, Parameter)> {
            entries.into_iter().map(|(name, p)| (format!("{prefix}.{name}"), p)).collect()
        };
        [
            prefixed("generator", self.generator.parameters()),
            prefixed("generator", self.generator.buffers()),
            prefixed("discriminator", self.discriminator.parameters()),
            prefixed("discriminator", self.discriminator.buffers()),
            prefixed("optimizer.generator", self.generator_optimizer.state()),
            prefixed("optimizer.discriminator", self.discriminator_optimizer.state()),
        ]
        .concat()
    }
}

/// What the discriminator's half of a step computes. The graph is gone by then, so optimisers update in place.
pub struct DiscriminatorStep {
    /// The loss.
    pub loss: Tensor,
    /// Its gradient by each of the discriminator's parameters, in order.
    pub gradients: Vec<Tensor>,
    /// Mean D(x).
    pub d_real: Tensor,
    /// Mean D(G(z)).
    pub d_fake: Tensor,
}

/// What the generator's half of a step computes.
pub struct GeneratorStep {
    /// The loss.
    pub loss: Tensor,
    /// Its gradient by each of the generator's parameters, in order.
    pub gradients: Vec<Tensor>,
}

fn gradients(loss: &Tensor, network: &Sequential) -> Vec<Tensor> {
    let parameters = network.parameter_tensors();
    grad_all(loss, &parameters.iter().collect::<Vec<_>>())
}

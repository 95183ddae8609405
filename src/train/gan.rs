//! The adversarial game: two networks, two optimisers, one step.

use super::accumulate::{Mean, part};
use super::gradients;
use super::loss::{self, Game, Score, ScoreKind, Scores};
use super::recipe::{Objective, Recipe};
use crate::error::Result;
use crate::models::LayerSpec;
use crate::nn::init::Initializer;
use crate::nn::{Mode, Module, Parameter, Sequential, prefixed, recomputed};
use crate::optim::Adam;
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};
use std::sync::Arc;

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
    /// What the discriminator's scores are.
    pub score: Score,
    /// Whether real and fake images may go through the discriminator in one pass. On a GPU it saves kernel calls; elsewhere
    /// it only costs memory, because the gradients of both are there at a time.
    pub(super) joins: bool,
    recipe: Recipe,
    device: Device,
}

/// What is drawn for a step.
pub struct Noise {
    /// Latent vectors [N, latent], one tensor for each of the discriminator's updates.
    pub z: Vec<Tensor>,
    /// Latent vectors [N, latent] of the generator's update, where it takes fresh ones.
    pub z_generator: Tensor,
    /// Places in [0, 1) between real and fake images `[N]`, one tensor for each of the discriminator's updates; empty
    /// without a gradient penalty.
    pub alpha: Vec<Tensor>,
}

/// What one step gives to look at; each a tensor of one element, still on the device.
pub struct StepOutcome {
    /// The discriminator's loss, of its last update.
    pub d_loss: Tensor,
    /// The generator's loss.
    pub g_loss: Tensor,
    /// Mean D(x).
    pub d_real: Tensor,
    /// Mean D(G(z)) in the discriminator's step.
    pub d_fake: Tensor,
}

/// What the discriminator's half of a step computes. The graph is gone by then, so optimisers update in place.
pub struct DiscriminatorStep {
    /// The loss, penalties included.
    pub loss: Tensor,
    /// The sum of the penalties, if there are any.
    pub penalty: Option<Tensor>,
    /// The loss's gradient by each of the discriminator's parameters, in order.
    pub gradients: Vec<Tensor>,
    /// The scores of the real images and of the fake ones.
    pub scores: Scores,
}

/// What the generator's half of a step computes.
pub struct GeneratorStep {
    /// The loss.
    pub loss: Tensor,
    /// Its gradient by each of the generator's parameters, in order.
    pub gradients: Vec<Tensor>,
    /// The scores of the fake images.
    pub fake: Tensor,
}

impl DiscriminatorStep {
    /// The mean over the parts of a batch; the scores of all.
    fn mean(steps: impl Iterator<Item = DiscriminatorStep>) -> DiscriminatorStep {
        let (mut scores, mut losses, mut penalties, mut gradients) =
            (Vec::new(), Mean::default(), Mean::default(), Mean::default());
        for step in steps {
            scores.push(step.scores);
            losses.add(vec![step.loss]);
            penalties.add(step.penalty.into_iter().collect());
            gradients.add(step.gradients);
        }
        DiscriminatorStep {
            loss: losses.take().remove(0),
            penalty: penalties.take().pop(),
            gradients: gradients.take(),
            scores: Scores::of_parts(scores),
        }
    }
}

impl GeneratorStep {
    /// The mean over the parts of a batch; the scores of all.
    fn mean(steps: impl Iterator<Item = GeneratorStep>) -> GeneratorStep {
        let (mut scores, mut losses, mut gradients) = (Vec::new(), Mean::default(), Mean::default());
        for step in steps {
            scores.push(step.fake);
            losses.add(vec![step.loss]);
            gradients.add(step.gradients);
        }
        GeneratorStep { loss: losses.take().remove(0), gradients: gradients.take(), fake: loss::joined(scores) }
    }
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
        let recomputes = recipe.train.checkpoint;
        let generator = recipe.build_generator(&mut init(0))?.recomputing(recomputes);
        let discriminator = recipe.build_discriminator(&mut init(1 << 32))?.recomputing(recomputes);
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
            score: Score::new(kind),
            joins: matches!(device, Device::Gpu(_)),
            recipe: recipe.clone(),
            device: device.clone(),
        })
    }

    fn objective(&self) -> &Objective {
        &self.recipe.objective
    }

    /// What step number `step` draws: a function of (seed, step). Latent vectors are N(0, 1).
    pub fn noise(&self, step: u64) -> Noise {
        let Recipe { train, objective, generator, .. } = &self.recipe;
        let (n, latent, updates) = (train.batch, generator.latent, objective.d_steps as u64);
        let z = |part: u64| {
            let z = Stream::new(train.seed, Domain::Latent, (updates + 1) * step + part).normal_vec(n * latent);
            Tensor::new(&self.device, [n, latent], &z)
        };
        let alpha = |part: u64| {
            let stream = Stream::new(train.seed, Domain::Penalty, updates * step + part);
            Tensor::uniform(&self.device, [n], &stream)
        };
        let penalised = objective.gp_lambda > 0.0;
        Noise {
            z: (0..updates).map(z).collect(),
            z_generator: z(updates),
            alpha: (0..updates).filter(|_| penalised).map(alpha).collect(),
        }
    }

    /// One step of the game: the discriminator's updates, then the generator's (or both at once). `real` holds a batch of
    /// images for each of the discriminator's updates, one after the other.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn step(&mut self, real: &Tensor, noise: &Noise) -> Result<StepOutcome> {
        let (mut d_steps, g_step) = self.step_in_full(real, noise)?;
        let d_step = d_steps.pop().expect("the discriminator is updated at least once");
        let [d_real, d_fake] = no_grad(|| self.score.mean_probabilities(&d_step.scores));
        Ok(StepOutcome { d_real, d_fake, d_loss: d_step.loss, g_loss: g_step.loss })
    }

    /// [`Gan::step`], with all that its updates computed: the discriminator's in order, and the generator's.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn step_in_full(&mut self, real: &Tensor, noise: &Noise) -> Result<(Vec<DiscriminatorStep>, GeneratorStep)> {
        let updates = noise.z.len();
        let n = real.dim(0) / updates;
        let batch = |part: usize| if updates == 1 { real.clone() } else { real.narrow(0, part * n, n) };
        let mut d_steps = Vec::with_capacity(updates);
        for part in 0..updates - 1 {
            let (d_step, _) = self.discriminator_update(&batch(part), &noise.z[part], noise.alpha.get(part), false);
            self.discriminator_optimizer.step(&d_step.gradients)?;
            d_steps.push(d_step);
        }
        let last = updates - 1;
        let (real, z, alpha) = (batch(last), &noise.z[last], noise.alpha.get(last));
        let g_step = if self.objective().simultaneous {
            let (d_step, g_step) = self.simultaneous_update(&real, z, alpha);
            self.discriminator_optimizer.step(&d_step.gradients)?;
            d_steps.push(d_step);
            g_step
        } else {
            let (d_step, fakes) = self.discriminator_update(&real, z, alpha, self.objective().reuse_fake);
            self.discriminator_optimizer.step(&d_step.gradients)?;
            d_steps.push(d_step);
            self.generator_update(fakes, &noise.z_generator, &real)
        };
        self.generator_optimizer.step(&g_step.gradients)?;
        Ok((d_steps, g_step))
    }

    /// The parts that a batch is taken in.
    fn parts(&self) -> usize {
        self.recipe.train.accumulate
    }

    /// The discriminator's step on a batch, part by part. With `keep`, also the fake images of each part, through which the
    /// generator can be differentiated.
    fn discriminator_update(
        &self,
        real: &Tensor,
        z: &Tensor,
        alpha: Option<&Tensor>,
        keep: bool,
    ) -> (DiscriminatorStep, Vec<Tensor>) {
        let parts = self.parts();
        let mut fakes = Vec::new();
        let steps = (0..parts).map(|i| {
            let (real, z) = (part(real, i, parts), part(z, i, parts));
            let alpha = alpha.map(|alpha| part(alpha, i, parts));
            let fake = match (keep, parts) {
                (false, _) => no_grad(|| self.generator.forward(&z, Mode::Train)),
                (true, 1) => self.generator.forward(&z, Mode::Train),
                // The activations of all parts would be there at a time.
                (true, _) => recomputed(Arc::new(self.generator.clone()), &z, Mode::Train),
            }; // [N / parts, C, H, W]
            let step = self.discriminator_step(&real, &fake.detach(), alpha.as_ref());
            fakes.extend(keep.then_some(fake));
            step
        });
        let step = DiscriminatorStep::mean(steps);
        (step, fakes)
    }

    /// The generator's step on a batch, part by part: with these fake images, or with those of `z` if there are none.
    fn generator_update(&self, fakes: Vec<Tensor>, z: &Tensor, real: &Tensor) -> GeneratorStep {
        let parts = self.parts();
        let fresh = fakes.is_empty();
        let mut fakes = fakes.into_iter();
        GeneratorStep::mean((0..parts).map(|i| {
            let make = || self.generator.forward(&part(z, i, parts), Mode::Train);
            let fake = if fresh { make() } else { fakes.next().expect("there are fake images of each part") };
            self.generator_step(fake, &part(real, i, parts))
        }))
    }

    fn simultaneous_update(
        &self,
        real: &Tensor,
        z: &Tensor,
        alpha: Option<&Tensor>,
    ) -> (DiscriminatorStep, GeneratorStep) {
        let parts = self.parts();
        let both = (0..parts).map(|i| {
            let alpha = alpha.map(|alpha| part(alpha, i, parts));
            self.simultaneous_step(&part(real, i, parts), &part(z, i, parts), alpha.as_ref())
        });
        let (d_steps, g_steps): (Vec<_>, Vec<_>) = both.unzip();
        (DiscriminatorStep::mean(d_steps.into_iter()), GeneratorStep::mean(g_steps.into_iter()))
    }

    /// The discriminator's loss and gradients; the generator is not part of the graph. `alpha` is needed for a gradient
    /// penalty.
    pub fn discriminator_step(&self, real: &Tensor, fake: &Tensor, alpha: Option<&Tensor>) -> DiscriminatorStep {
        let scores = if self.judges_jointly() {
            let both = no_grad(|| Tensor::concat(&[real, fake], 0)); // [2·N, C, H, W]
            Scores::Joint(self.discriminator.forward(&both, Mode::Batches(2))) // [2·N, 1]
        } else {
            Scores::Apart([real, fake].map(|x| self.discriminator.forward(x, Mode::Train))) // [N, 1] each
        };
        self.discriminator_loss([real, fake], scores, alpha)
    }

    /// Whether real and fake images go through the discriminator in one pass, each batch normalised by its own statistics:
    /// the same numbers from half as many products. A penalty needs a gradient by one of the two alone, and spectral
    /// normalisation takes a step of its iteration a pass.
    fn judges_jointly(&self) -> bool {
        let &Objective { kind, gp_lambda, r1_gamma, r2_gamma, .. } = self.objective();
        let penalised = gp_lambda > 0.0 || r1_gamma > 0.0 || r2_gamma > 0.0;
        let spectral = self.recipe.discriminator.layers.iter().any(LayerSpec::has_spectral_norm);
        self.joins && !penalised && !spectral && kind != Game::Relativistic
    }

    fn discriminator_loss(
        &self,
        [real, fake]: [&Tensor; 2],
        scores: Scores,
        alpha: Option<&Tensor>,
    ) -> DiscriminatorStep {
        let &Objective { kind, gp_lambda, r1_gamma, r2_gamma, .. } = self.objective();
        let game = self.score.discriminator(kind, &scores);
        let penalties = [
            alpha.filter(|_| gp_lambda > 0.0).map(|alpha| {
                let x = no_grad(|| loss::between(real, fake, alpha));
                // The penalty's own pass is no batch of data: running statistics stay.
                let score = self.discriminator.forward(&x, Mode::BatchStatistics);
                loss::gradient_penalty(&loss::slope_norms(&loss::slope(&score, &x), 0.0), gp_lambda, 1.0)
            }),
            (r1_gamma > 0.0).then(|| loss::squared_slope_penalty(&loss::slope(&scores.real(), real), r1_gamma)),
            (r2_gamma > 0.0).then(|| loss::squared_slope_penalty(&loss::slope(&scores.fake(), fake), r2_gamma)),
        ];
        let penalty = penalties.into_iter().flatten().reduce(|a, b| a + b);
        let d_loss = penalty.as_ref().map_or(game.clone(), |penalty| &game + penalty);
        let (loss, penalty_value) = (d_loss.detach(), penalty.as_ref().map(Tensor::detach));
        let values = scores.detach();
        drop((game, penalty, scores));
        let gradients = gradients(d_loss, &self.discriminator);
        DiscriminatorStep { gradients, loss, penalty: penalty_value, scores: values }
    }

    /// The generator's loss and gradients, through the discriminator, whose own gradients are not computed. Which
    /// statistics the discriminator normalises with here is the recipe's `generator_step_mode`.
    pub fn generator_step(&self, fake: Tensor, real: &Tensor) -> GeneratorStep {
        let Objective { kind, generator_step_mode, .. } = self.objective();
        let mode = (*generator_step_mode).into();
        let score = self.discriminator.forward(&fake, mode); // [N, 1]
        drop(fake);
        let real = (*kind == Game::Relativistic).then(|| no_grad(|| self.discriminator.forward(real, mode)));
        self.generator_loss(score, real.as_ref())
    }

    fn generator_loss(&self, fake: Tensor, real: Option<&Tensor>) -> GeneratorStep {
        let g_loss = self.score.generator(self.objective().kind, &fake, real);
        let (loss, score) = (g_loss.detach(), fake.detach());
        drop(fake);
        GeneratorStep { gradients: gradients(g_loss, &self.generator), loss, fake: score }
    }

    /// Both halves from one pass and the same weights: what a tape over both networks gives.
    pub fn simultaneous_step(
        &self,
        real: &Tensor,
        z: &Tensor,
        alpha: Option<&Tensor>,
    ) -> (DiscriminatorStep, GeneratorStep) {
        let fake = self.generator.forward(z, Mode::Train);
        let scores = [real, &fake].map(|x| self.discriminator.forward(x, Mode::Train));
        let [real_score, fake_score] = scores.clone();
        let real_score = real_score.detach();
        let d_step = self.discriminator_loss([real, &fake], Scores::Apart(scores), alpha);
        drop(fake);
        (d_step, self.generator_loss(fake_score, Some(&real_score)))
    }

    /// Images [N, C, H, W] for latent vectors [N, latent]; nothing is recorded.
    pub fn sample(&self, z: &Tensor, mode: Mode) -> Tensor {
        no_grad(|| self.generator.forward(z, mode))
    }

    /// Everything a checkpoint holds, by name: weights, running statistics, moments.
    pub fn state(&self) -> Vec<(String, Parameter)> {
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

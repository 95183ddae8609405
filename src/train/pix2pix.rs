//! pix2pix (Isola et al. 2017): a translator that learns from pairs, and a discriminator that sees both images of one.

use super::accumulate::{Mean, part};
use super::gradients;
use super::recipe::TranslationRecipe;
use super::translation::{Losses, Method, init};
use crate::error::Result;
use crate::models::Translator;
use crate::nn::{Draws, Mode, Module, Parameter, Sequential, prefixed, recomputed};
use crate::ops::losses::{l1, minimax_d, non_saturating_g};
use crate::optim::Adam;
use crate::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// pix2pix as recipes write it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pix2pixConfig {
    /// The weight of the distance to the right answer.
    #[serde(default = "hundred")]
    pub lambda_l1: f64,
}

fn hundred() -> f64 {
    100.0
}

/// pix2pix in training.
pub struct Pix2pix {
    translator: Translator,
    discriminator: Sequential,
    translator_optimizer: Adam,
    discriminator_optimizer: Adam,
    config: Pix2pixConfig,
    draws: Draws,
    /// The parts that a batch is taken in.
    parts: usize,
}

impl Pix2pix {
    /// Networks with fresh weights. The discriminator has twice the channels: it sees A beside B.
    pub fn new(recipe: &TranslationRecipe, config: Pix2pixConfig, draws: &Draws, device: &Device) -> Pix2pix {
        let channels = recipe.data.channels;
        let recomputes = recipe.train.checkpoint;
        let translator = recipe.translator.build(channels, &mut init(recipe, device, 0), draws).recomputing(recomputes);
        let discriminator =
            recipe.discriminator.build(2 * channels, &mut init(recipe, device, 2)).recomputing(recomputes);
        Pix2pix {
            translator_optimizer: Adam::new(recipe.optimizer, translator.parameters()),
            discriminator_optimizer: Adam::new(recipe.optimizer, discriminator.parameters()),
            translator,
            discriminator,
            config,
            draws: draws.clone(),
            parts: recipe.train.accumulate,
        }
    }

    /// What the translator makes of A, to be differentiated later. In parts, the activations of all would be there at a
    /// time, so that they are computed again.
    fn translated(&self, a: &Tensor) -> Tensor {
        match self.parts {
            1 => self.translator.forward(a, Mode::Train),
            _ => recomputed(Arc::new(self.translator.clone()), a, Mode::Train),
        }
    }

    /// The discriminator's scores of pairs.
    fn judged(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.discriminator.forward(&Tensor::concat(&[a, b], 1), Mode::Train)
    }
}

impl Method for Pix2pix {
    fn step(&mut self, a: &Tensor, b: &Tensor, _: u64) -> Result<Losses> {
        let both = |i: usize| (part(a, i, self.parts), part(b, i, self.parts));

        // The discriminator first, at half its loss: it would learn too fast otherwise.
        let (mut d_losses, mut d_gradients, mut fakes) = (Mean::default(), Mean::default(), Vec::new());
        for i in 0..self.parts {
            let (a, b) = both(i);
            let fake_b = self.translated(&a); // [N, C, H, W]
            let (fake, real) = (self.judged(&a, &fake_b.detach()), self.judged(&a, &b)); // [N, 1, H', W']
            let d_loss = minimax_d(&real, &fake) * 0.5;
            drop((fake, real));
            d_losses.add(vec![d_loss.detach()]);
            d_gradients.add(gradients(d_loss, &self.discriminator));
            fakes.push(fake_b);
        }
        self.discriminator_optimizer.step(&d_gradients.take())?;

        // Then the translator, on the same image, against the discriminator as it is now.
        let (mut g_losses, mut g_gradients) = (Mean::default(), Mean::default());
        for (i, fake_b) in fakes.into_iter().enumerate() {
            let (a, b) = both(i);
            let adversarial = non_saturating_g(&self.judged(&a, &fake_b));
            let distance = l1(&fake_b, &b) * self.config.lambda_l1;
            let g_loss = &adversarial + &distance;
            g_losses.add(vec![g_loss.detach(), adversarial.detach(), distance.detach()]);
            drop((fake_b, adversarial, distance));
            g_gradients.add(gradients(g_loss, &self.translator));
        }
        self.translator_optimizer.step(&g_gradients.take())?;
        let names = ["g_loss", "g_adversarial", "l1", "d_loss"];
        Ok(names.into_iter().zip([g_losses.take(), d_losses.take()].concat()).collect())
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        [
            prefixed("g_a", self.translator.parameters()),
            prefixed("g_a", self.translator.buffers()),
            prefixed("d_a", self.discriminator.parameters()),
            prefixed("d_a", self.discriminator.buffers()),
            prefixed("optimizer.g_a", self.translator_optimizer.state()),
            prefixed("optimizer.d_a", self.discriminator_optimizer.state()),
        ]
        .concat()
    }

    fn optimizers(&mut self) -> Vec<&mut Adam> {
        vec![&mut self.translator_optimizer, &mut self.discriminator_optimizer]
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![("translator", self.translator.parameter_count()), ("discriminator", self.discriminator.parameter_count())]
    }

    fn show(&self, a: &Tensor, b: &Tensor) -> Vec<(&'static str, Tensor)> {
        // As published, dropout stays on; its masks are the same each time.
        self.draws.begin(1 << 40);
        let fake_b = self.translator.forward(a, Mode::BatchStatistics);
        vec![("A", a.clone()), ("A to B", fake_b), ("B", b.clone())]
    }
}

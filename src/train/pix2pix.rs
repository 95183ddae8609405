//! pix2pix (Isola et al. 2017): a translator that learns from pairs, and a discriminator that sees both images of one.

use super::gradients;
use super::recipe::TranslationRecipe;
use super::translation::{Losses, Method, init};
use crate::error::Result;
use crate::models::Translator;
use crate::nn::{Draws, Mode, Module, Parameter, Sequential, prefixed};
use crate::ops::losses::{l1, minimax_d, non_saturating_g};
use crate::optim::Adam;
use crate::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

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
}

impl Pix2pix {
    /// Networks with fresh weights. The discriminator has twice the channels: it sees A beside B.
    pub fn new(recipe: &TranslationRecipe, config: Pix2pixConfig, draws: &Draws, device: &Device) -> Pix2pix {
        let channels = recipe.data.channels;
        let translator = recipe.translator.build(channels, &mut init(recipe, device, 0), draws);
        let discriminator = recipe.discriminator.build(2 * channels, &mut init(recipe, device, 2));
        Pix2pix {
            translator_optimizer: Adam::new(recipe.optimizer, translator.parameters()),
            discriminator_optimizer: Adam::new(recipe.optimizer, discriminator.parameters()),
            translator,
            discriminator,
            config,
            draws: draws.clone(),
        }
    }
}

impl Method for Pix2pix {
    fn step(&mut self, a: &Tensor, b: &Tensor, _: u64) -> Result<Losses> {
        let fake_b = self.translator.forward(a, Mode::Train); // [N, C, H, W]

        // The discriminator first, at half its loss: it would learn too fast otherwise.
        let judged = |b: &Tensor| self.discriminator.forward(&Tensor::concat(&[a, b], 1), Mode::Train);
        let (fake, real) = (judged(&fake_b.detach()), judged(b)); // [N, 1, H', W']
        let d_loss = minimax_d(&real, &fake) * 0.5;
        drop((fake, real));
        let d_value = d_loss.detach();
        let d_gradients = gradients(d_loss, &self.discriminator);
        self.discriminator_optimizer.step(&d_gradients)?;

        // Then the translator, on the same image, against the discriminator as it is now.
        let adversarial = non_saturating_g(&judged(&fake_b));
        let distance = l1(&fake_b, b) * self.config.lambda_l1;
        let g_loss = &adversarial + &distance;
        let losses = vec![
            ("g_loss", g_loss.detach()),
            ("g_adversarial", adversarial.detach()),
            ("l1", distance.detach()),
            ("d_loss", d_value),
        ];
        drop((fake_b, adversarial, distance));
        let g_gradients = gradients(g_loss, &self.translator);
        self.translator_optimizer.step(&g_gradients)?;
        Ok(losses)
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

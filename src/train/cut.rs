//! CUT and FastCUT (Park et al. 2020): one direction, unpaired; a patch of the result must tell which patch it came from.

use super::accumulate::{Mean, part};
use super::cyclegan::{discriminator_step, fool};
use super::gradients_of_all;
use super::recipe::TranslationRecipe;
use super::translation::{Losses, Method, init};
use crate::error::Result;
use crate::models::{ResnetSpec, TranslatorSpec};
use crate::nn::{Linear, Mode, Module, Parameter, Relu, Sequential, prefixed};
use crate::ops::Indices;
use crate::ops::losses::patch_nce;
use crate::optim::Adam;
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// CUT as recipes write it; the defaults are CUT's. FastCUT has `lambda_nce` 10, no identity, and mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CutConfig {
    /// The weight of fooling the discriminator.
    pub lambda_gan: f64,
    /// The weight of the patches' contrast.
    pub lambda_nce: f64,
    /// Real images of B must stay themselves, patch by patch; the two contrasts are averaged.
    pub identity: bool,
    /// Half of the time images are mirrored before translation and their features mirrored back after it.
    pub flip_equivariance: bool,
    /// Patches that are compared at each layer.
    pub patches: usize,
    /// The length of a patch's description.
    pub features: usize,
    /// What the likenesses of patches are divided by.
    pub temperature: f64,
}

impl Default for CutConfig {
    fn default() -> CutConfig {
        CutConfig {
            lambda_gan: 1.0,
            lambda_nce: 1.0,
            identity: true,
            flip_equivariance: false,
            patches: 256,
            features: 256,
            temperature: 0.07,
        }
    }
}

/// CUT in training: translator, discriminator, and a small network a layer that describes patches.
pub struct Cut {
    translator: Sequential,
    discriminator: Sequential,
    describers: Describers,
    translator_optimizer: Adam,
    discriminator_optimizer: Adam,
    describers_optimizer: Adam,
    layers: Vec<String>,
    config: CutConfig,
    seed: u64,
    /// The parts that a batch is taken in.
    parts: usize,
}

/// The F network: for each compared layer two dense layers with a ReLU between, on patches `[N·P, channels]`.
struct Describers(Vec<Sequential>);

impl Module for Describers {
    fn forward(&self, _: &Tensor, _: Mode) -> Tensor {
        unreachable!("patches of each layer have a describer of their own")
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(i, network)| prefixed(&format!("layer{i}"), network.parameters()))
            .collect()
    }
}

/// The channels of the layers that [`ResnetSpec::feature_layers`] names.
fn feature_channels(spec: &ResnetSpec, channels: usize) -> Vec<usize> {
    let widths = |name: &String| match name.as_str() {
        "stem_pad" => channels,
        "down1" => 2 * spec.ngf,
        _ => 4 * spec.ngf,
    };
    spec.feature_layers().iter().map(widths).collect()
}

impl Cut {
    /// Networks with fresh weights; a recipe is checked to have a ResNet.
    pub fn new(recipe: &TranslationRecipe, config: CutConfig, device: &Device) -> Cut {
        let TranslatorSpec::Resnet(spec) = &recipe.translator else { unreachable!("the recipe is checked") };
        let channels = recipe.data.channels;
        let recomputes = recipe.train.checkpoint;
        let translator = spec.build([channels; 2], &mut init(recipe, device, 0)).recomputing(recomputes);
        let discriminator = recipe.discriminator.build(channels, &mut init(recipe, device, 2)).recomputing(recomputes);
        let mut init = init(recipe, device, 4);
        let describe = |from: usize| {
            let mut network = Sequential::new();
            network.push("dense1", Linear::new(&mut init, from, config.features, true));
            network.push("relu", Relu);
            network.push("dense2", Linear::new(&mut init, config.features, config.features, true));
            network
        };
        let describers = Describers(feature_channels(spec, channels).into_iter().map(describe).collect());
        Cut {
            translator_optimizer: Adam::new(recipe.optimizer, translator.parameters()),
            discriminator_optimizer: Adam::new(recipe.optimizer, discriminator.parameters()),
            describers_optimizer: Adam::new(recipe.optimizer, describers.parameters()),
            layers: spec.feature_layers(),
            translator,
            discriminator,
            describers,
            config,
            seed: recipe.train.seed,
            parts: recipe.train.accumulate,
        }
    }

    /// The translation of `x`, mirrored first if `mirrored`, and the features of `x` that its patches are compared with.
    fn translated(&self, x: &Tensor, mirrored: bool) -> (Tensor, Vec<Tensor>) {
        if mirrored {
            let keys = no_grad(|| self.translator.features(x, Mode::Train, &self.layers));
            return (self.translator.forward(&x.flip(&[3]), Mode::Train), keys);
        }
        let (y, features) = self.translator.forward_with(x, Mode::Train, &self.layers);
        (y, features.iter().map(Tensor::detach).collect())
    }

    /// Losses (the whole, the adversarial one, the contrasts) and gradients (of translator and describers) of a part of a
    /// batch, whose translation and features are at hand.
    fn translator_step(
        &self,
        (fake_b, keys): (Tensor, Vec<Tensor>),
        b: &Tensor,
        mirrored: bool,
        step: u64,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let config = self.config;
        let adversarial = fool(&self.discriminator.forward(&fake_b, Mode::Train));
        let nce = self.contrast(&fake_b, &keys, mirrored, step, 0)? * config.lambda_nce;
        let mut losses = vec![adversarial.detach(), nce.detach()];
        let contrast = if config.identity {
            let (same_b, keys) = self.translated(b, mirrored);
            let nce_b = self.contrast(&same_b, &keys, mirrored, step, 1)? * config.lambda_nce;
            losses.push(nce_b.detach());
            (nce + nce_b) * 0.5
        } else {
            nce
        };
        let g_loss = adversarial * config.lambda_gan + contrast;
        losses.insert(0, g_loss.detach());
        drop(fake_b);
        let gradients = gradients_of_all(g_loss, [&self.translator, &self.describers]).concat();
        Ok((losses, gradients))
    }

    /// The contrast of `result` with the image whose features are `keys`: the mean over layers (Park et al. 2020, eq. 4).
    /// `term` tells one use in a step from another.
    fn contrast(&self, result: &Tensor, keys: &[Tensor], mirrored: bool, step: u64, term: u64) -> Result<Tensor> {
        let queries = self.translator.features(result, Mode::Train, &self.layers);
        let mut total = Tensor::scalar(result.device(), 0.0);
        for (layer, ((query, key), network)) in queries.iter().zip(keys).zip(&self.describers.0).enumerate() {
            let query = if mirrored { query.flip(&[3]) } else { query.clone() };
            let place = Stream::new(self.seed, Domain::Patches, (step << 8) + 16 * term + layer as u64);
            let patches = self.patches(&query, place)?;
            let query = self.describe(&query, &patches, network)?;
            let key = no_grad(|| self.describe(key, &patches, network))?;
            total = total + patch_nce(&query, &key, self.config.temperature)?;
        }
        Ok(total * (1.0 / keys.len() as f64))
    }

    /// The places of the patches, the same in every image of the batch.
    fn patches(&self, features: &Tensor, mut stream: Stream) -> Result<Indices> {
        let mut places = stream.permutation(features.dim(2) * features.dim(3));
        places.truncate(self.config.patches);
        Ok(Indices::new(features.device(), [places.len()], places))
    }

    /// What the describer says of these patches: [N, patches, features].
    fn describe(&self, features: &Tensor, patches: &Indices, network: &Sequential) -> Result<Tensor> {
        let [n, c, h, w] = [0, 1, 2, 3].map(|axis| features.dim(axis));
        let taken = features.reshape([n, c, h * w]).index_select(2, patches)?; // [N, C, P]
        let rows = taken.permute(&[0, 2, 1]).reshape([n * patches.len(), c]);
        Ok(network.forward(&rows, Mode::Train).reshape([n, patches.len(), self.config.features]))
    }
}

impl Method for Cut {
    fn step(&mut self, a: &Tensor, b: &Tensor, step: u64) -> Result<Losses> {
        let (config, parts) = (self.config, self.parts);
        let mirrored =
            config.flip_equivariance && Stream::new(self.seed, Domain::Patches, (step << 8) + 255).uniform() < 0.5;
        let mirror = |x: &Tensor| if mirrored { x.flip(&[3]) } else { x.clone() };

        // The discriminator first. In parts, what it sees is translated again for the translator's step: the activations of
        // all parts would be there at a time.
        let (mut d_losses, mut d_gradients) = (Mean::default(), Mean::default());
        let mut whole = (parts == 1).then(|| self.translated(a, mirrored));
        for i in 0..parts {
            let fake_b = match &whole {
                Some((fake_b, _)) => fake_b.detach(),
                None => no_grad(|| self.translator.forward(&mirror(&part(a, i, parts)), Mode::Train)),
            };
            let (loss, gradients) = discriminator_step(&self.discriminator, &part(b, i, parts), &fake_b);
            d_losses.add(vec![loss]);
            d_gradients.add(gradients);
        }
        self.discriminator_optimizer.step(&d_gradients.take())?;

        // Then the translator and the describers, from one loss.
        let (mut losses, mut gradients) = (Mean::default(), Mean::default());
        for i in 0..parts {
            let made = whole.take().unwrap_or_else(|| self.translated(&part(a, i, parts), mirrored));
            let (of_part, gradients_of_part) = self.translator_step(made, &part(b, i, parts), mirrored, step)?;
            losses.add(of_part);
            gradients.add(gradients_of_part);
        }
        let mut g_gradients = gradients.take();
        let f_gradients = g_gradients.split_off(self.translator.parameters().len());
        self.translator_optimizer.step(&g_gradients)?;
        self.describers_optimizer.step(&f_gradients)?;
        let names: &[&str] = if config.identity {
            &["g_loss", "g_adversarial", "nce", "nce_identity"]
        } else {
            &["g_loss", "g_adversarial", "nce"]
        };
        let named = names.iter().copied().chain(["d_loss"]);
        Ok(named.zip([losses.take(), d_losses.take()].concat()).collect())
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        [
            prefixed("g_a", self.translator.parameters()),
            prefixed("d_a", self.discriminator.parameters()),
            prefixed("d_a", self.discriminator.buffers()),
            prefixed("f", self.describers.parameters()),
            prefixed("optimizer.g_a", self.translator_optimizer.state()),
            prefixed("optimizer.d_a", self.discriminator_optimizer.state()),
            prefixed("optimizer.f", self.describers_optimizer.state()),
        ]
        .concat()
    }

    fn optimizers(&mut self) -> Vec<&mut Adam> {
        vec![&mut self.translator_optimizer, &mut self.discriminator_optimizer, &mut self.describers_optimizer]
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("translator", self.translator.parameter_count()),
            ("discriminator", self.discriminator.parameter_count()),
            ("patch describers", self.describers.parameter_count()),
        ]
    }

    fn show(&self, a: &Tensor, b: &Tensor) -> Vec<(&'static str, Tensor)> {
        let through = |x: &Tensor| self.translator.forward(x, Mode::BatchStatistics);
        vec![("A", a.clone()), ("A to B", through(a)), ("B", b.clone()), ("B to B", through(b))]
    }
}

//! CUT and FastCUT (Park et al. 2020): one direction, unpaired; a patch of the result must tell which patch it came from.

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
        let translator = spec.build([channels; 2], &mut init(recipe, device, 0));
        let discriminator = recipe.discriminator.build(channels, &mut init(recipe, device, 2));
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
        }
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
        let config = self.config;
        let mirrored =
            config.flip_equivariance && Stream::new(self.seed, Domain::Patches, (step << 8) + 255).uniform() < 0.5;
        let mirror = |x: &Tensor| if mirrored { x.flip(&[3]) } else { x.clone() };
        let (fake_b, features) = self.translator.forward_with(&mirror(a), Mode::Train, &self.layers);
        let keys = if mirrored {
            no_grad(|| self.translator.features(a, Mode::Train, &self.layers))
        } else {
            features.iter().map(Tensor::detach).collect()
        };
        drop(features);

        // The discriminator first.
        let (d_loss, d_gradients) = discriminator_step(&self.discriminator, b, &fake_b);
        self.discriminator_optimizer.step(&d_gradients)?;

        // Then the translator and the describers, from one loss.
        let adversarial = fool(&self.discriminator.forward(&fake_b, Mode::Train));
        let nce = self.contrast(&fake_b, &keys, mirrored, step, 0)? * config.lambda_nce;
        let mut losses = vec![("g_adversarial", adversarial.detach()), ("nce", nce.detach())];
        let contrast = if config.identity {
            let (same_b, keys) = self.translator.forward_with(&mirror(b), Mode::Train, &self.layers);
            let keys: Vec<Tensor> = if mirrored {
                no_grad(|| self.translator.features(b, Mode::Train, &self.layers))
            } else {
                keys.iter().map(Tensor::detach).collect()
            };
            let nce_b = self.contrast(&same_b, &keys, mirrored, step, 1)? * config.lambda_nce;
            losses.push(("nce_identity", nce_b.detach()));
            (nce + nce_b) * 0.5
        } else {
            nce
        };
        let g_loss = adversarial * config.lambda_gan + contrast;
        losses.insert(0, ("g_loss", g_loss.detach()));
        losses.push(("d_loss", d_loss));
        drop(fake_b);
        let [g_gradients, f_gradients] = gradients_of_all(g_loss, [&self.translator, &self.describers]);
        self.translator_optimizer.step(&g_gradients)?;
        self.describers_optimizer.step(&f_gradients)?;
        Ok(losses)
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

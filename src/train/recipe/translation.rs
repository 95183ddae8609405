//! The recipe of image translation: translator, patch discriminator, method, two domains, schedule.

use super::RecipeFile;
use super::shared::{Fault, TrainConfig, check_adam, check_images, check_init, check_name, inline, section, within};
use crate::data::DomainSpec;
use crate::models::{PatchSpec, TranslatorSpec};
use crate::nn::Init;
use crate::optim::{AdamConfig, schedules};
use crate::train::cut::CutConfig;
use crate::train::cyclegan::CycleConfig;
use crate::train::pix2pix::Pix2pixConfig;
use serde::{Deserialize, Serialize};

/// A training run of image translation, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranslationRecipe {
    /// Names the run's default folder.
    pub name: String,
    /// How the weights start.
    pub init: Init,
    /// The method and its weights.
    pub objective: Method,
    /// The network from images to images.
    pub translator: TranslatorSpec,
    /// The network that judges patches.
    pub discriminator: PatchSpec,
    /// Lengths and rhythm.
    pub train: TrainConfig,
    /// How the learning rate goes.
    pub schedule: Schedule,
    /// The two domains.
    pub data: DomainSpec,
    /// The rule of all optimisers.
    pub optimizer: AdamConfig,
}

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Both directions, unpaired; there and back must lead to the start.
    Cyclegan(CycleConfig),
    /// One direction, paired.
    Pix2pix(Pix2pixConfig),
    /// One direction, unpaired; patches keep their content.
    Cut(CutConfig),
}

/// The learning rate: constant for `flat` steps, then straight to 0 over `decay`. It does not depend on how many steps
/// a run has, so that a run that is gone on with is the run that was longer from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Steps at the full rate.
    pub flat: u64,
    /// Steps from there to 0.
    pub decay: u64,
}

impl Schedule {
    /// The factor at a step, from 0.
    pub fn factor(self, step: u64) -> f64 {
        schedules::Schedule::FlatThenLinear { flat: self.flat, decay: self.decay }.factor(step)
    }

    /// So many steps must lie within it.
    pub(super) fn check(self, steps: u64) -> Result<(), Fault> {
        let length = self.flat.saturating_add(self.decay);
        if steps > length {
            let message =
                format!("{steps} goes beyond schedule.flat + schedule.decay = {length}, where the learning rate is 0");
            return Err(("train.steps".into(), message));
        }
        Ok(())
    }
}

impl TranslationRecipe {
    /// Types are right by now; ranges and shapes are checked here. Gives the key at fault and what it may be.
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_name(&self.name)?;
        check_init(self.init)?;
        self.train.check()?;
        check_adam(&self.optimizer)?;
        check_images(self.data.channels, self.data.size)?;
        let fault = |key: &str, message: String| Err((key.to_string(), message));
        if let Some([h, w]) = self.data.load_size
            && (h < self.data.size[0] || w < self.data.size[1] || h.max(w) > 8192)
        {
            let message = format!("[{h}, {w}] must not be below data.size, {:?}, nor above 8192", self.data.size);
            return fault("data.load_size", message);
        }
        if self.data.count == Some(0) {
            return fault("data.count", "must be at least 1".into());
        }
        self.schedule.check(self.train.steps)?;
        self.check_networks()?;
        match &self.objective {
            Method::Cyclegan(config) => {
                within("objective.cyclegan.lambda_a", config.lambda_a, 0.0, 1e6)?;
                within("objective.cyclegan.lambda_b", config.lambda_b, 0.0, 1e6)?;
                within("objective.cyclegan.lambda_identity", config.lambda_identity, 0.0, 1e6)?;
                if config.pool > 10_000 {
                    return fault("objective.cyclegan.pool", format!("{} is more than 10000", config.pool));
                }
            }
            Method::Pix2pix(config) => {
                within("objective.pix2pix.lambda_l1", config.lambda_l1, 0.0, 1e6)?;
                if !self.data.paired {
                    return fault("data.paired", "pix2pix learns from pairs: it must be true".into());
                }
            }
            Method::Cut(config) => {
                within("objective.cut.lambda_gan", config.lambda_gan, 0.0, 1e6)?;
                within("objective.cut.lambda_nce", config.lambda_nce, 0.0, 1e6)?;
                within("objective.cut.temperature", config.temperature, 1e-6, 1e6)?;
                if !(1..=1 << 16).contains(&config.patches) {
                    return fault("objective.cut.patches", format!("{} is not between 1 and 65536", config.patches));
                }
                if !(1..=1 << 16).contains(&config.features) {
                    return fault("objective.cut.features", format!("{} is not between 1 and 65536", config.features));
                }
                if !matches!(self.translator, TranslatorSpec::Resnet(_)) {
                    return fault("translator", "CUT compares layers of a ResNet: it must be { resnet = … }".into());
                }
            }
        }
        Ok(())
    }

    fn check_networks(&self) -> Result<(), Fault> {
        let fault = |key: &str, message: String| Err((key.to_string(), message));
        let width = |key: &str, value: usize, most: usize| match value {
            v if (1..=most).contains(&v) => Ok(()),
            v => Err((key.to_string(), format!("{v} is not between 1 and {most}"))),
        };
        let [h, w] = self.data.size;
        let multiple = match &self.translator {
            TranslatorSpec::Resnet(spec) => {
                width("translator.resnet.ngf", spec.ngf, 1024)?;
                if spec.blocks > 100 {
                    return fault("translator.resnet.blocks", format!("{} is more than 100", spec.blocks));
                }
                self.translator.multiple()
            }
            TranslatorSpec::Unet(spec) => {
                width("translator.unet.ngf", spec.ngf, 1024)?;
                if !(2..=12).contains(&spec.downs) {
                    return fault("translator.unet.downs", format!("{} is not between 2 and 12", spec.downs));
                }
                if !(0.0..1.0).contains(&spec.dropout) {
                    return fault("translator.unet.dropout", format!("{} is not in [0, 1)", spec.dropout));
                }
                self.translator.multiple()
            }
        };
        if !h.is_multiple_of(multiple) || !w.is_multiple_of(multiple) || h.min(w) < 8 {
            let message = format!(
                "[{h}, {w}]: this translator needs a height and width of at least 8 and multiples of {multiple}"
            );
            return fault("data.size", message);
        }
        width("discriminator.ndf", self.discriminator.ndf, 1024)?;
        width("discriminator.layers", self.discriminator.layers, 8)?;
        if self.discriminator.output_size(self.data.size).is_none() {
            let message = format!("{} leave nothing of images of [{h}, {w}]; take fewer", self.discriminator.layers);
            return fault("discriminator.layers", message);
        }
        Ok(())
    }
}

impl RecipeFile for TranslationRecipe {
    fn text(&self) -> String {
        [
            format!("name = {}\ninit = {}\n", inline(&self.name), inline(&self.init)),
            format!("objective = {}\ntranslator = {}\n", inline(&self.objective), inline(&self.translator)),
            section("discriminator", &self.discriminator),
            section("train", &self.train),
            section("schedule", &self.schedule),
            section("data", &self.data),
            section("optimizer", &self.optimizer),
        ]
        .concat()
    }
}

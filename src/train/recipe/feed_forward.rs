//! The recipe of feed-forward style transfer: feature network, method, contents, schedule.

use super::RecipeFile;
use super::shared::{Fault, TrainConfig, check_adam, check_images, check_init, check_name, inline, section, within};
use super::translation::Schedule;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::nn::Init;
use crate::optim::AdamConfig;
use crate::train::adain::AdainConfig;
use crate::train::johnson::JohnsonConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A training run of feed-forward style transfer, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedForwardRecipe {
    /// Names the run's default folder.
    pub name: String,
    /// How the weights start.
    pub init: Init,
    /// What compares images: `random`, a classifier's run, or a safetensors file with torchvision's names.
    pub features: String,
    /// The method and its weights.
    pub objective: Style,
    /// Lengths and rhythm.
    pub train: TrainConfig,
    /// How the learning rate goes.
    pub schedule: Schedule,
    /// The contents (and AdaIN's styles).
    pub data: DataSpec,
    /// The optimiser's rule.
    pub optimizer: AdamConfig,
}

/// What is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A decoder of restyled features: any style.
    Adain(AdainConfig),
    /// A network of one style.
    Johnson(JohnsonConfig),
}

impl FeedForwardRecipe {
    /// Types are right by now; ranges are checked here. Gives the key at fault and what it may be.
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_name(&self.name)?;
        check_init(self.init)?;
        self.train.check()?;
        self.train.check_whole()?;
        check_adam(&self.optimizer)?;
        check_images(self.data.channels, self.data.size)?;
        let fault = |key: &str, message: String| Err((key.to_string(), message));
        if self.data.channels != 3 {
            return fault("data.channels", format!("{}: feature networks see 3", self.data.channels));
        }
        if self.data.size.iter().any(|&side| side < 16 || !side.is_multiple_of(4)) {
            let message = format!("{:?}: height and width must be multiples of 4, 16 at least", self.data.size);
            return fault("data.size", message);
        }
        if self.data.count == Some(0) {
            return fault("data.count", "must be at least 1".into());
        }
        match &self.objective {
            Style::Adain(config) => {
                within("objective.adain.content", config.content, 0.0, 1e12)?;
                within("objective.adain.style", config.style, 0.0, 1e12)?;
            }
            Style::Johnson(config) => {
                if config.style.is_empty() {
                    let message = "names no picture: --set objective.johnson.style=cloth.png";
                    return fault("objective.johnson.style", message.into());
                }
                within("objective.johnson.style_size", config.style_size as f64, 16.0, 2048.0)?;
                within("objective.johnson.content_weight", config.content_weight, 0.0, 1e12)?;
                within("objective.johnson.style_weight", config.style_weight, 0.0, 1e12)?;
                within("objective.johnson.tv_weight", config.tv_weight, 0.0, 1e12)?;
                within("objective.johnson.network.width", config.network.width as f64, 1.0, 512.0)?;
                within("objective.johnson.network.blocks", config.network.blocks as f64, 0.0, 100.0)?;
            }
        }
        self.schedule.check(self.train.steps)
    }

    pub(super) fn sources(&mut self) -> Vec<&mut String> {
        let style = match &mut self.objective {
            Style::Adain(_) => None,
            Style::Johnson(config) => Some(&mut config.style),
        };
        [&mut self.data.source, &mut self.features].into_iter().chain(style).collect()
    }

    pub(super) fn check_data(&self) -> Result<()> {
        let missing = |key: &str, path: &str| {
            let message = format!("{path} is neither there nor a name that is known");
            Err(Error::Recipe { file: self.name.clone(), key: key.into(), message })
        };
        if self.features != "random" && !Path::new(&self.features).exists() {
            return missing("features", &self.features);
        }
        if let Style::Johnson(config) = &self.objective
            && !Path::new(&config.style).is_file()
        {
            return missing("objective.johnson.style", &config.style);
        }
        crate::data::open(&self.data).map(|_| ())
    }
}

impl RecipeFile for FeedForwardRecipe {
    fn text(&self) -> String {
        [
            format!("name = {}\ninit = {}\n", inline(&self.name), inline(&self.init)),
            format!("features = {}\nobjective = {}\n", inline(&self.features), inline(&self.objective)),
            section("train", &self.train),
            section("schedule", &self.schedule),
            section("data", &self.data),
            section("optimizer", &self.optimizer),
        ]
        .concat()
    }
}

//! The recipe of a pattern classifier: network, drawn garments, disturbances, schedule.

use super::RecipeFile;
use super::shared::{Fault, TrainConfig, check_adam, check_images, check_init, check_name, inline, section, within};
use super::translation::Schedule;
use crate::models::ClassifierSpec;
use crate::nn::Init;
use crate::optim::AdamConfig;
use serde::{Deserialize, Serialize};

/// A training run of a pattern classifier, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierRecipe {
    /// Names the run's default folder.
    pub name: String,
    /// How the weights start.
    pub init: Init,
    /// The network.
    pub classifier: ClassifierSpec,
    /// Lengths and rhythm.
    pub train: TrainConfig,
    /// How the learning rate goes.
    pub schedule: Schedule,
    /// The garments.
    pub data: ClassifierData,
    /// What disturbs the images, so that the network is fair to generated ones.
    pub augment: Augment,
    /// The optimiser's rule.
    pub optimizer: AdamConfig,
}

/// Which garments are drawn. Their classes are their patterns; kind, palette, cut and scale vary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierData {
    /// Height and width, in pixels.
    pub size: [usize; 2],
    /// How many garments are drawn for training.
    #[serde(default = "twenty_thousand")]
    pub count: usize,
    /// How many more, which training never sees, are judged.
    #[serde(default = "five_hundred_and_twelve")]
    pub held_out: usize,
    /// The seed of the garments.
    #[serde(default)]
    pub seed: u64,
}

fn twenty_thousand() -> usize {
    20_000
}

fn five_hundred_and_twelve() -> usize {
    512
}

/// How strongly each training image is disturbed at most; how much, and in which direction, is drawn image by image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// The share that a pixel gives to its two neighbours along each axis, 0 to 0.66: 0.5 is the filter [1, 2, 1]/4.
    pub blur: f32,
    /// Uniform noise of up to this size is added to each value (images are in [−1, 1]).
    pub noise: f32,
    /// Each channel is multiplied by 1 ± so much, and moved by ± so much.
    pub colour: f32,
}

impl ClassifierRecipe {
    /// Types are right by now; ranges are checked here. Gives the key at fault and what it may be.
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_name(&self.name)?;
        check_init(self.init)?;
        self.train.check()?;
        self.train.check_whole()?;
        check_adam(&self.optimizer)?;
        check_images(3, self.data.size)?;
        let fault = |key: &str, message: String| Err((key.to_string(), message));
        if !(1..=512).contains(&self.classifier.width) {
            return fault("classifier.width", format!("{} is not between 1 and 512", self.classifier.width));
        }
        if self.data.size.iter().any(|&side| side < 8) {
            return fault("data.size", format!("{:?}: height and width must be at least 8", self.data.size));
        }
        for (key, count) in [("data.count", self.data.count), ("data.held_out", self.data.held_out)] {
            if !(1..=1 << 24).contains(&count) {
                return fault(key, format!("{count} is not between 1 and {}", 1 << 24));
            }
        }
        within("augment.blur", self.augment.blur.into(), 0.0, 0.66)?;
        within("augment.noise", self.augment.noise.into(), 0.0, 2.0)?;
        within("augment.colour", self.augment.colour.into(), 0.0, 1.0)?;
        self.schedule.check(self.train.steps)
    }
}

impl RecipeFile for ClassifierRecipe {
    fn text(&self) -> String {
        [
            format!("name = {}\ninit = {}\n", inline(&self.name), inline(&self.init)),
            section("classifier", &self.classifier),
            section("train", &self.train),
            section("schedule", &self.schedule),
            section("data", &self.data),
            section("augment", &self.augment),
            section("optimizer", &self.optimizer),
        ]
        .concat()
    }
}

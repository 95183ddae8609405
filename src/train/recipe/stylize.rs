//! The recipe of a saved style: how it was learnt and how it is applied. It is written by `toile stylize --save-model`.

use super::RecipeFile;
use super::shared::{Fault, TrainConfig, check_name, inline, section, within};
use crate::train::stylize::Config;
use serde::{Deserialize, Serialize};

/// A saved style, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StylizeRecipe {
    /// What it is called.
    pub name: String,
    /// How it is applied.
    pub stylize: Applying,
    /// How it was learnt, but for steps and seed.
    pub learning: Config,
    /// Steps and seed.
    pub train: TrainConfig,
}

/// How styles are applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applying {
    /// The styles' files, in order.
    pub styles: Vec<String>,
    /// How much each counts.
    pub weights: Vec<f64>,
    /// How far a picture goes towards them; 0 leaves it as it is.
    pub strength: f64,
    /// The picture keeps all but its luma.
    pub keep_colour: bool,
    /// What is restyled of a picture.
    pub mask: SavedMask,
}

/// A mask that can be found in any picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedMask {
    /// None: all of the picture.
    #[default]
    None,
    /// The thing on its plain ground.
    Auto,
    /// The ground.
    AutoInverted,
}

impl StylizeRecipe {
    /// How it was learnt.
    pub fn config(&self) -> Config {
        Config { steps: self.train.steps, seed: self.train.seed, ..self.learning }
    }

    /// Types are right by now; ranges are checked here.
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_name(&self.name)?;
        self.train.check()?;
        let fault = |key: &str, message: &str| Err((key.to_string(), message.to_string()));
        let Applying { styles, weights, strength, .. } = &self.stylize;
        if styles.is_empty() || styles.len() != weights.len() {
            return fault("stylize.weights", "must be one for each of stylize.styles");
        }
        if weights.iter().any(|w| !(0.0..=1e6).contains(w)) || weights.iter().sum::<f64>() <= 0.0 {
            return fault("stylize.weights", "must be from 0 to 1e6, and one above 0");
        }
        within("stylize.strength", *strength, 0.0, 1.5)?;
        let Config { size, pattern_scale, lr, critic_width, network, .. } = self.learning;
        within("learning.size", size as f64, 16.0, 1024.0)?;
        within("learning.pattern_scale", pattern_scale, 0.25, 4.0)?;
        within("learning.lr", lr, 0.0, 1.0)?;
        within("learning.critic_width", critic_width as f64, 1.0, 256.0)?;
        within("learning.network.width", network.width as f64, 1.0, 256.0)?;
        within("learning.network.blocks", network.blocks as f64, 0.0, 20.0)
    }
}

impl RecipeFile for StylizeRecipe {
    fn text(&self) -> String {
        [
            format!("name = {}\nlearning = {}\n", inline(&self.name), inline(&self.learning)),
            section("stylize", &self.stylize),
            section("train", &self.train),
        ]
        .concat()
    }
}

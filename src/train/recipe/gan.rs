//! The recipe of a GAN: networks layer by layer, objective, data, optimiser.

use super::shared::{Fault, TrainConfig, check_adam, check_images, check_init, check_name, inline, section, within};
use super::{AnyRecipe, RecipeFile};
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::models::{LayerSpec, ShapeError, build, output_shape};
use crate::nn::init::Initializer;
use crate::nn::{Init, Mode, Sequential};
use crate::optim::AdamConfig;
use crate::train::loss::Game;
use serde::{Deserialize, Serialize};

/// A training run, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Names the run's default folder.
    pub name: String,
    /// How the weights start.
    pub init: Init,
    /// Lengths and rhythm.
    pub train: TrainConfig,
    /// The real images.
    pub data: DataSpec,
    /// The game.
    pub objective: Objective,
    /// The rule of both optimisers.
    pub optimizer: AdamConfig,
    /// From latent vectors to images.
    pub generator: GeneratorSpec,
    /// From images to one score.
    pub discriminator: DiscriminatorSpec,
}

/// The game that is played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The pair of losses.
    pub kind: Game,
    /// The discriminator's updates before each of the generator's; each takes its own batch.
    #[serde(default = "one")]
    pub d_steps: usize,
    /// Both networks' gradients come from one pass, before either is updated.
    #[serde(default)]
    pub simultaneous: bool,
    /// The generator's step takes the discriminator step's fakes instead of fresh ones.
    #[serde(default)]
    pub reuse_fake: bool,
    /// Weight of the gradient penalty on lines between real and fake images (WGAN-GP: 10); 0 is none.
    #[serde(default)]
    pub gp_lambda: f64,
    /// Weight of the squared slope at real images (R1); 0 is none.
    #[serde(default)]
    pub r1_gamma: f64,
    /// Weight of the squared slope at fake images (R2); 0 is none.
    #[serde(default)]
    pub r2_gamma: f64,
    /// Probabilities are kept this far from 0 and 1 in the loss.
    #[serde(default = "keras_clip")]
    pub bce_clip: f64,
    /// What the discriminator's normalisation uses in the generator's step.
    #[serde(default)]
    pub generator_step_mode: StepMode,
}

fn one() -> usize {
    1
}

fn keras_clip() -> f64 {
    1e-7
}

/// [`Mode`] as recipes write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepMode {
    /// The batch's statistics, and running statistics move (PyTorch's habit).
    #[default]
    Train,
    /// The batch's statistics; running statistics stay.
    BatchStatistics,
    /// The running statistics (what Keras does when `trainable = False`).
    Inference,
}

impl From<StepMode> for Mode {
    fn from(mode: StepMode) -> Mode {
        match mode {
            StepMode::Train => Mode::Train,
            StepMode::BatchStatistics => Mode::BatchStatistics,
            StepMode::Inference => Mode::Inference,
        }
    }
}

/// The generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorSpec {
    /// Length of the latent vector.
    pub latent: usize,
    /// Its layers.
    pub layers: Vec<LayerSpec>,
}

/// The discriminator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorSpec {
    /// Its layers; a final `"sigmoid"` makes its output a probability, otherwise it is a logit.
    pub layers: Vec<LayerSpec>,
}

impl Recipe {
    /// Reads a built-in recipe by name or a file, applies `key=value` settings and checks the whole.
    ///
    /// # Errors
    /// An unknown name, an unreadable file, the key at fault and what it may be, or a recipe of image translation.
    pub fn load(name_or_file: &str, settings: &[String]) -> Result<Recipe> {
        AnyRecipe::load(name_or_file, settings)?.gan(name_or_file)
    }

    /// Parses a recipe's text; `file` names it in errors.
    ///
    /// # Errors
    /// The key at fault and what it may be.
    pub fn parse(file: &str, text: &str, settings: &[String]) -> Result<Recipe> {
        AnyRecipe::parse(file, text, settings)?.gan(file)
    }

    /// The recipe as TOML, layers one a line.
    pub fn to_toml(&self) -> String {
        let layers = |layers: &[LayerSpec]| {
            let lines: String = layers.iter().map(|layer| format!("  {},\n", inline(layer))).collect();
            format!("layers = [\n{lines}]\n")
        };
        [
            format!("name = {}\ninit = {}\n", inline(&self.name), inline(&self.init)),
            section("train", &self.train),
            section("data", &self.data),
            section("objective", &self.objective),
            section("optimizer", &self.optimizer),
            format!("\n[generator]\nlatent = {}\n{}", self.generator.latent, layers(&self.generator.layers)),
            format!("\n[discriminator]\n{}", layers(&self.discriminator.layers)),
        ]
        .concat()
    }

    /// Types are right by now; ranges and shapes are checked here. Gives the key at fault and what it may be.
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_name(&self.name)?;
        check_init(self.init)?;
        self.train.check()?;
        check_adam(&self.optimizer)?;
        check_images(self.data.channels, self.data.size)?;
        if !(1..=1 << 20).contains(&self.generator.latent) {
            let message = format!("{} is not between 1 and 1048576", self.generator.latent);
            return Err(("generator.latent".into(), message));
        }
        if self.data.count == Some(0) {
            return Err(("data.count".into(), "must be at least 1".into()));
        }
        // Below 6e-8, 1 - clip is 1 in f32, and the logarithm of 0 follows.
        within("objective.bce_clip", self.objective.bce_clip, 6e-8, 0.49)?;
        for (key, weight) in [
            ("objective.gp_lambda", self.objective.gp_lambda),
            ("objective.r1_gamma", self.objective.r1_gamma),
            ("objective.r2_gamma", self.objective.r2_gamma),
        ] {
            within(key, weight, 0.0, 1e6)?;
        }
        if !(1..=100).contains(&self.objective.d_steps) {
            return Err(("objective.d_steps".into(), format!("{} is not between 1 and 100", self.objective.d_steps)));
        }
        let on_probabilities = matches!(self.objective.kind, Game::Minimax | Game::NonSaturating);
        if self.discriminator_gives_probability() && !on_probabilities {
            let message = format!(
                "{} takes any number, not a probability: end discriminator.layers without \"sigmoid\"",
                inline(&self.objective.kind)
            );
            return Err(("objective.kind".into(), message));
        }
        let at = |network: &'static str| move |e: ShapeError| (e.place(network), e.message);
        let image = self.image_shape();
        let shapes = output_shape(&self.generator.layers, &[self.generator.latent]).map_err(at("generator"))?;
        let made = shapes.last().map_or(vec![self.generator.latent], Clone::clone);
        if made != image {
            let message =
                format!("the generator makes {made:?}, but the images are {image:?} (data.channels, data.size)");
            return Err(("generator.layers".into(), message));
        }
        let shapes = output_shape(&self.discriminator.layers, &image).map_err(at("discriminator"))?;
        match shapes.last() {
            Some(score) if score[..] == [1] => Ok(()),
            other => {
                let got = other.map_or("nothing".to_string(), |shape| format!("{shape:?}"));
                Err((
                    "discriminator.layers".into(),
                    format!("the discriminator must end in one score, [1], but gives {got}"),
                ))
            }
        }
    }

    /// Real images that a step takes.
    pub fn images_per_step(&self) -> usize {
        self.train.batch * self.objective.d_steps
    }

    /// [C, H, W] of the images.
    pub fn image_shape(&self) -> [usize; 3] {
        [self.data.channels, self.data.size[0], self.data.size[1]]
    }

    /// True if the discriminator ends in a sigmoid.
    pub fn discriminator_gives_probability(&self) -> bool {
        self.discriminator.layers.last() == Some(&LayerSpec::Sigmoid)
    }

    pub(crate) fn build_generator(&self, init: &mut Initializer) -> Result<Sequential> {
        build(&self.generator.layers, &[self.generator.latent], init).map_err(|e| self.fault("generator", e))
    }

    pub(crate) fn build_discriminator(&self, init: &mut Initializer) -> Result<Sequential> {
        build(&self.discriminator.layers, &self.image_shape(), init).map_err(|e| self.fault("discriminator", e))
    }

    fn fault(&self, network: &str, e: ShapeError) -> Error {
        Error::Recipe { file: self.name.clone(), key: e.place(network), message: e.message }
    }
}

impl RecipeFile for Recipe {
    fn text(&self) -> String {
        self.to_toml()
    }
}

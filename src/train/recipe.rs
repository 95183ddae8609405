//! The recipe: a TOML file that says all of a training run, checked whole before any tensor exists.

use super::loss::Game;
use crate::data::DataSpec;
use crate::error::{Error, Result};
use crate::models::{LayerSpec, ShapeError, build, output_shape};
use crate::nn::init::Initializer;
use crate::nn::{Init, Mode, Sequential};
use crate::optim::AdamConfig;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The recipes inside the program, by name.
const BUILT_IN: &[(&str, &str)] =
    &[("seed", include_str!("../../recipes/seed.toml")), ("dcgan", include_str!("../../recipes/dcgan.toml"))];

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

/// Lengths and rhythm of a run. A step is one update of each network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Steps in all.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Of weights, latent vectors and data order.
    #[serde(default)]
    pub seed: u64,
    /// Real images are mirrored at random.
    #[serde(default)]
    pub flip: bool,
    /// Steps from row to row of `metrics.jsonl`.
    #[serde(default = "ten")]
    pub log_every: u64,
    /// Steps from sample grid to sample grid.
    #[serde(default = "two_hundred_and_fifty")]
    pub sample_every: u64,
    /// Steps from checkpoint to checkpoint.
    #[serde(default = "two_hundred_and_fifty")]
    pub checkpoint_every: u64,
    /// The newest so many checkpoints are kept.
    #[serde(default = "three")]
    pub keep: usize,
}

fn ten() -> u64 {
    10
}

fn two_hundred_and_fifty() -> u64 {
    250
}

fn three() -> usize {
    3
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
    /// An unknown name, an unreadable file, or the key at fault and what it may be.
    pub fn load(name_or_file: &str, settings: &[String]) -> Result<Recipe> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == name_or_file);
        let (file, text) = match built_in {
            Some((name, text)) => (name.to_string(), text.to_string()),
            None => {
                let path = Path::new(name_or_file);
                if !path.exists() {
                    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                    return Err(Error::Usage(format!(
                        "no recipe {name_or_file:?}: it is neither a file nor one of the built-in recipes ({})",
                        names.join(", ")
                    )));
                }
                let text = std::fs::read_to_string(path).map_err(|e| Error::io("cannot read", path, e))?;
                (name_or_file.to_string(), text)
            }
        };
        Recipe::parse(&file, &text, settings)
    }

    /// Parses a recipe's text; `file` names it in errors.
    ///
    /// # Errors
    /// The key at fault and what it may be.
    pub fn parse(file: &str, text: &str, settings: &[String]) -> Result<Recipe> {
        let error = |key: &str, message: String| Error::Recipe { file: file.into(), key: key.into(), message };
        // Parsed straight from the text first: its errors name line and column.
        let syntax = |e: toml::de::Error| error("not TOML", e.to_string().trim().replacen("TOML parse error ", "", 1));
        let mut table: toml::Table = text.parse().map_err(syntax)?;
        for setting in settings {
            apply_setting(&mut table, setting)?;
        }
        let recipe: Recipe =
            serde_path_to_error::deserialize(toml::Value::Table(table).into_deserializer()).map_err(|e| {
                let (path, message) = (e.path().to_string(), plain(&e.into_inner().to_string()));
                error(if path == "." { "top level" } else { &path }, message)
            })?;
        recipe.check().map_err(|(key, message)| error(&key, message))?;
        Ok(recipe)
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
    fn check(&self) -> Result<(), (String, String)> {
        let positive = |key: &str, value: u64| match value {
            0 => Err((key.to_string(), "must be at least 1".to_string())),
            _ => Ok(()),
        };
        let within = |key: &str, value: f64, low: f64, high: f64| match value {
            v if v >= low && v <= high => Ok(()),
            v => Err((key.to_string(), format!("{v} is not between {low} and {high}"))),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(plain) || self.name.starts_with('.') {
            let message =
                format!("{:?} must be letters, digits, '-', '_' and '.', and not begin with a '.'", self.name);
            return Err(("name".into(), message));
        }
        match self.init {
            Init::GlorotUniform => (),
            Init::Normal { std, gamma_std } => {
                within("init.normal.std", std, 0.0, 1e3)?;
                within("init.normal.gamma_std", gamma_std, 0.0, 1e3)?;
            }
            Init::GlorotNormal { gain } => within("init.glorot_normal.gain", gain, 0.0, 1e3)?,
        }
        positive("train.steps", self.train.steps)?;
        positive("train.batch", self.train.batch as u64)?;
        positive("train.log_every", self.train.log_every)?;
        positive("train.sample_every", self.train.sample_every)?;
        positive("train.checkpoint_every", self.train.checkpoint_every)?;
        positive("train.keep", self.train.keep as u64)?;
        positive("generator.latent", self.generator.latent as u64)?;
        if self.train.batch > 1 << 16 {
            return Err(("train.batch".into(), format!("{} is more than 65536", self.train.batch)));
        }
        if self.generator.latent > 1 << 20 {
            return Err(("generator.latent".into(), format!("{} is more than 1048576", self.generator.latent)));
        }
        if self.data.count == Some(0) {
            return Err(("data.count".into(), "must be at least 1".into()));
        }
        if !matches!(self.data.channels, 1 | 3) {
            return Err(("data.channels".into(), format!("{} is neither 1 nor 3", self.data.channels)));
        }
        for size in self.data.size {
            if size == 0 || size > 4096 {
                return Err((
                    "data.size".into(),
                    format!("{:?}: height and width lie between 1 and 4096", self.data.size),
                ));
            }
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
        within("optimizer.lr", self.optimizer.lr, 0.0, 1e3)?;
        for (i, beta) in self.optimizer.betas.into_iter().enumerate() {
            if !(0.0..1.0).contains(&beta) {
                return Err((format!("optimizer.betas[{i}]"), format!("{beta} is not in [0, 1)")));
            }
        }
        within("optimizer.eps", self.optimizer.eps, 0.0, 1.0)?;

        let at = |network: &'static str| {
            move |e: ShapeError| {
                let key = if e.key.is_empty() { String::new() } else { format!(".{}", e.key) };
                (format!("{network}.layers[{}]{key}", e.layer), e.message)
            }
        };
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

    /// The bytes a training step takes, roughly: values and gradients of every layer (the discriminator's twice, for real
    /// and fake), and parameters with their gradients and moments.
    pub fn memory_estimate(&self) -> u64 {
        let volume = |shapes: Vec<Vec<usize>>| shapes.iter().map(|s| s.iter().product::<usize>() as u64).sum::<u64>();
        let of = |layers: &[LayerSpec], input: &[usize]| output_shape(layers, input).map_or(0, volume);
        let generator = of(&self.generator.layers, &[self.generator.latent]) + self.generator.latent as u64;
        let image = self.image_shape();
        let discriminator = of(&self.discriminator.layers, &image) + image.iter().product::<usize>() as u64;
        self.train.batch as u64 * (generator + 2 * discriminator) * 4 * 2
    }

    /// Refuses a batch that this machine's memory cannot hold, where the system tells how much is free.
    ///
    /// # Errors
    /// Names `train.batch` and both sizes.
    pub fn check_memory(&self) -> Result<()> {
        let Some(free) = available_memory() else { return Ok(()) };
        let needed = self.memory_estimate();
        if needed <= free {
            return Ok(());
        }
        let message = format!(
            "a step on {} images takes about {} MiB, but {} MiB are free: take a smaller batch",
            self.train.batch,
            needed >> 20,
            free >> 20
        );
        Err(Error::Recipe { file: self.name.clone(), key: "train.batch".into(), message })
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

    pub(super) fn build_generator(&self, init: &mut Initializer) -> Result<Sequential> {
        build(&self.generator.layers, &[self.generator.latent], init).map_err(|e| Error::Invalid(format!("{e:?}")))
    }

    pub(super) fn build_discriminator(&self, init: &mut Initializer) -> Result<Sequential> {
        build(&self.discriminator.layers, &self.image_shape(), init).map_err(|e| Error::Invalid(format!("{e:?}")))
    }
}

/// The first line of a parser's message (the key is named elsewhere), with Rust's type names in words.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let words =
        [("usize", "a whole number from 0"), ("u64", "a whole number from 0"), ("u8", "a whole number from 0 to 255")];
    words
        .iter()
        .fold(line.to_string(), |text, (from, to)| text.replace(&format!("expected {from}"), &format!("expected {to}")))
}

/// A value as it stands behind a key.
fn inline(value: &impl Serialize) -> String {
    let mut text = String::new();
    value.serialize(toml::ser::ValueSerializer::new(&mut text)).expect("a checked recipe has a TOML form");
    text
}

/// A section of simple keys.
fn section(name: &str, keys: &impl Serialize) -> String {
    format!("\n[{name}]\n{}", toml::to_string(keys).expect("a checked recipe has a TOML form"))
}

/// The memory that is free for programs, in bytes, where the system says so (Linux).
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Sets `a.b.c=value` (or `a.list.2.c=value`) in a table; the value is TOML, or a string where it is none.
fn apply_setting(table: &mut toml::Table, setting: &str) -> Result<()> {
    let usage = |why: &str| Error::Usage(format!("--set {setting}: {why}; write for example --set train.batch=32"));
    let (path, text) = setting.split_once('=').ok_or_else(|| usage("there is no '='"))?;
    let value = match format!("value = {text}").parse::<toml::Table>() {
        Ok(mut parsed) => parsed.remove("value").unwrap_or(toml::Value::String(text.into())),
        Err(_) => toml::Value::String(text.into()),
    };
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or_else(|| usage("the key is empty"))?;
    let mut place = table;
    let mut entry: &mut toml::Value;
    let mut rest = keys.iter().peekable();
    while let Some(key) = rest.next() {
        // A section that is missing is made here; whether it may be there is checked with all the rest.
        entry = place.entry(key.to_string()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        while let toml::Value::Array(list) = entry {
            let index = rest.next().and_then(|key| key.parse::<usize>().ok());
            let Some(index) = index.filter(|&index| index < list.len()) else {
                return Err(usage(&format!(
                    "after {key:?} a number from 0 to {} must follow",
                    list.len().saturating_sub(1)
                )));
            };
            entry = &mut list[index];
        }
        place = entry.as_table_mut().ok_or_else(|| usage(&format!("{key:?} has no keys")))?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}

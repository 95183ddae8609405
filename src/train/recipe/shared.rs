//! What recipes of every kind share: lengths and rhythm, checks of common keys, settings on the command line.

use crate::error::{Error, Result};
use crate::nn::Init;
use crate::optim::AdamConfig;
use serde::{Deserialize, Serialize};

/// The key at fault, and what it may be.
pub(super) type Fault = (String, String);

/// Lengths and rhythm of a run. A step is one update of each network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Steps in all.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// The parts that a batch is taken in, one after the other: gradients are averaged before an update.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Activations inside the networks are computed again for the gradient instead of being kept.
    #[serde(default)]
    pub checkpoint: bool,
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

fn one() -> usize {
    1
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

impl TrainConfig {
    /// For what is trained in one go, on one image a step.
    pub fn once(steps: u64, seed: u64) -> TrainConfig {
        let every = steps.max(1);
        TrainConfig {
            steps,
            batch: 1,
            accumulate: 1,
            checkpoint: false,
            seed,
            flip: false,
            log_every: 10,
            sample_every: every,
            checkpoint_every: every,
            keep: 1,
        }
    }

    /// For a kind of training that neither splits batches nor computes activations again.
    pub(super) fn check_whole(&self) -> Result<(), Fault> {
        match self {
            TrainConfig { accumulate: 2.., .. } => {
                Err(("train.accumulate".into(), "this kind of training takes each batch whole: it must be 1".into()))
            }
            TrainConfig { checkpoint: true, .. } => {
                Err(("train.checkpoint".into(), "this kind of training keeps its activations: it must be false".into()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        for (key, value) in [
            ("train.steps", self.steps),
            ("train.batch", self.batch as u64),
            ("train.accumulate", self.accumulate as u64),
            ("train.log_every", self.log_every),
            ("train.sample_every", self.sample_every),
            ("train.checkpoint_every", self.checkpoint_every),
            ("train.keep", self.keep as u64),
        ] {
            if value == 0 {
                return Err((key.into(), "must be at least 1".into()));
            }
        }
        if self.batch > 1 << 16 {
            return Err(("train.batch".into(), format!("{} is more than 65536", self.batch)));
        }
        if !self.batch.is_multiple_of(self.accumulate) {
            let message = format!("{} equal parts cannot be made of train.batch = {}", self.accumulate, self.batch);
            return Err(("train.accumulate".into(), message));
        }
        Ok(())
    }
}

pub(super) fn within(key: &str, value: f64, low: f64, high: f64) -> Result<(), Fault> {
    match value {
        v if v >= low && v <= high => Ok(()),
        v => Err((key.to_string(), format!("{v} is not between {low} and {high}"))),
    }
}

/// A name must make a folder.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) || name.starts_with('.') {
        let message = format!("{name:?} must be letters, digits, '-', '_' and '.', and not begin with a '.'");
        return Err(("name".into(), message));
    }
    Ok(())
}

pub(super) fn check_init(init: Init) -> Result<(), Fault> {
    match init {
        Init::GlorotUniform => Ok(()),
        Init::Normal { std, gamma_std } => {
            within("init.normal.std", std, 0.0, 1e3)?;
            within("init.normal.gamma_std", gamma_std, 0.0, 1e3)
        }
        Init::GlorotNormal { gain } => within("init.glorot_normal.gain", gain, 0.0, 1e3),
    }
}

pub(super) fn check_adam(adam: &AdamConfig) -> Result<(), Fault> {
    within("optimizer.lr", adam.lr, 0.0, 1e3)?;
    for (i, beta) in adam.betas.into_iter().enumerate() {
        if !(0.0..1.0).contains(&beta) {
            return Err((format!("optimizer.betas[{i}]"), format!("{beta} is not in [0, 1)")));
        }
    }
    within("optimizer.eps", adam.eps, 0.0, 1.0)
}

pub(super) fn check_images(channels: usize, size: [usize; 2]) -> Result<(), Fault> {
    if !matches!(channels, 1 | 3) {
        return Err(("data.channels".into(), format!("{channels} is neither 1 nor 3")));
    }
    if size.iter().any(|side| !(1..=4096).contains(side)) {
        return Err(("data.size".into(), format!("{size:?}: height and width lie between 1 and 4096")));
    }
    Ok(())
}

/// The first line of a parser's message (the key is named elsewhere), with Rust's type names in words.
pub(super) fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let words =
        [("usize", "a whole number from 0"), ("u64", "a whole number from 0"), ("u8", "a whole number from 0 to 255")];
    words
        .iter()
        .fold(line.to_string(), |text, (from, to)| text.replace(&format!("expected {from}"), &format!("expected {to}")))
}

/// A value as it stands behind a key.
pub(super) fn inline(value: &impl Serialize) -> String {
    let mut text = String::new();
    value.serialize(toml::ser::ValueSerializer::new(&mut text)).expect("a checked recipe has a TOML form");
    text
}

/// A section of simple keys.
pub(super) fn section(name: &str, keys: &impl Serialize) -> String {
    format!("\n[{name}]\n{}", toml::to_string(keys).expect("a checked recipe has a TOML form"))
}

/// Sets `a.b.c=value` (or `a.list.2.c=value`) in a table; the value is TOML, or a string where it is none.
pub(super) fn apply_setting(table: &mut toml::Table, setting: &str) -> Result<()> {
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

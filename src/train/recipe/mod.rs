//! The recipe: a TOML file that says all of a training run, checked whole before any tensor exists.

mod classifier;
mod feed_forward;
mod gan;
mod shared;
mod stylize;
mod translation;

pub use classifier::{Augment, ClassifierData, ClassifierRecipe};
pub use feed_forward::{FeedForwardRecipe, Style};
pub use gan::{DiscriminatorSpec, GeneratorSpec, Objective, Recipe, StepMode};
pub use shared::TrainConfig;
pub use stylize::{Applying, SavedMask, StylizeRecipe};
pub use translation::{Method, Schedule, TranslationRecipe};

use crate::error::{Error, Result};
use serde::de::{DeserializeOwned, IntoDeserializer};
use shared::{Fault, apply_setting, plain};
use std::path::Path;

/// The recipes inside the program, by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("seed", include_str!("../../../recipes/seed.toml")),
    ("dcgan", include_str!("../../../recipes/dcgan.toml")),
    ("cyclegan", include_str!("../../../recipes/cyclegan.toml")),
    ("pix2pix", include_str!("../../../recipes/pix2pix.toml")),
    ("cut", include_str!("../../../recipes/cut.toml")),
    ("fastcut", include_str!("../../../recipes/fastcut.toml")),
    ("classifier", include_str!("../../../recipes/classifier.toml")),
    ("adain", include_str!("../../../recipes/adain.toml")),
    ("johnson", include_str!("../../../recipes/johnson.toml")),
];

/// What a run folder holds as its recipe.
pub trait RecipeFile {
    /// The recipe as TOML.
    fn text(&self) -> String;
}

/// A recipe of any kind: one with `translator` is of image translation, one with `classifier` of a pattern classifier,
/// one with `stylize` of a saved style, one with `features` of feed-forward style transfer, others are of GANs.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyRecipe {
    /// Images from latent vectors.
    Gan(Recipe),
    /// Images from images.
    Translation(TranslationRecipe),
    /// Patterns from images.
    Classifier(ClassifierRecipe),
    /// A picture in the style of others.
    Stylize(StylizeRecipe),
    /// Restyled images from images.
    FeedForward(FeedForwardRecipe),
}

impl AnyRecipe {
    /// Reads a built-in recipe by name or a file, applies `key=value` settings and checks the whole.
    ///
    /// # Errors
    /// An unknown name, an unreadable file, or the key at fault and what it may be.
    pub fn load(name_or_file: &str, settings: &[String]) -> Result<AnyRecipe> {
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
        AnyRecipe::parse(&file, &text, settings)
    }

    /// Parses a recipe's text; `file` names it in errors.
    ///
    /// # Errors
    /// The key at fault and what it may be.
    pub fn parse(file: &str, text: &str, settings: &[String]) -> Result<AnyRecipe> {
        let error = |key: &str, message: String| Error::Recipe { file: file.into(), key: key.into(), message };
        // Parsed straight from the text first: its errors name line and column.
        let syntax = |e: toml::de::Error| error("not TOML", e.to_string().trim().replacen("TOML parse error ", "", 1));
        let mut table: toml::Table = text.parse().map_err(syntax)?;
        for setting in settings {
            apply_setting(&mut table, setting)?;
        }
        let (recipe, checked) = if table.contains_key("translator") {
            let recipe: TranslationRecipe = read(file, table)?;
            let checked = recipe.check();
            (AnyRecipe::Translation(recipe), checked)
        } else if table.contains_key("classifier") {
            let recipe: ClassifierRecipe = read(file, table)?;
            let checked = recipe.check();
            (AnyRecipe::Classifier(recipe), checked)
        } else if table.contains_key("stylize") {
            let recipe: StylizeRecipe = read(file, table)?;
            let checked = recipe.check();
            (AnyRecipe::Stylize(recipe), checked)
        } else if table.contains_key("features") {
            let recipe: FeedForwardRecipe = read(file, table)?;
            let checked = recipe.check();
            (AnyRecipe::FeedForward(recipe), checked)
        } else {
            let recipe: Recipe = read(file, table)?;
            let checked = recipe.check();
            (AnyRecipe::Gan(recipe), checked)
        };
        checked.map_err(|(key, message): Fault| error(&key, message))?;
        Ok(recipe)
    }

    /// What it is, and which command is meant for its runs.
    fn kind(&self) -> &'static str {
        match self {
            AnyRecipe::Gan(_) => "a recipe of a GAN, which makes images from nothing: see toile sample --help",
            AnyRecipe::Translation(_) => {
                "a recipe of image translation, which makes images from images: see toile translate --help"
            }
            AnyRecipe::Classifier(_) => {
                "a recipe of a classifier, which tells the patterns of garments: see toile classify --help"
            }
            AnyRecipe::Stylize(_) => "a saved style, learnt by toile stylize --save-model: see toile translate --help",
            AnyRecipe::FeedForward(_) => "a recipe of feed-forward style transfer: see toile transfer --help",
        }
    }

    /// A saved style is learnt in one go, from pictures that a recipe does not hold.
    pub(in crate::train) fn cannot_train(&self) -> Error {
        Error::Usage(format!("{} is {}; it is not trained further", self.name(), self.kind()))
    }

    /// The recipe of a GAN.
    ///
    /// # Errors
    /// It is of another kind; `name` says which.
    pub fn gan(self, name: &str) -> Result<Recipe> {
        match self {
            AnyRecipe::Gan(recipe) => Ok(recipe),
            other => Err(Error::Usage(format!("{name} is {}", other.kind()))),
        }
    }

    /// The recipe of image translation.
    ///
    /// # Errors
    /// It is of another kind; `name` says which.
    pub fn translation(self, name: &str) -> Result<TranslationRecipe> {
        match self {
            AnyRecipe::Translation(recipe) => Ok(recipe),
            other => Err(Error::Usage(format!("{name} is {}", other.kind()))),
        }
    }

    /// The recipe of a classifier.
    ///
    /// # Errors
    /// It is of another kind; `name` says which.
    pub fn classifier(self, name: &str) -> Result<ClassifierRecipe> {
        match self {
            AnyRecipe::Classifier(recipe) => Ok(recipe),
            other => Err(Error::Usage(format!("{name} is {}", other.kind()))),
        }
    }

    /// The recipe of feed-forward style transfer.
    ///
    /// # Errors
    /// It is of another kind; `name` says which.
    pub fn feed_forward(self, name: &str) -> Result<FeedForwardRecipe> {
        match self {
            AnyRecipe::FeedForward(recipe) => Ok(recipe),
            other => Err(Error::Usage(format!("{name} is {}", other.kind()))),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            AnyRecipe::Gan(recipe) => &recipe.name,
            AnyRecipe::Translation(recipe) => &recipe.name,
            AnyRecipe::Classifier(recipe) => &recipe.name,
            AnyRecipe::Stylize(recipe) => &recipe.name,
            AnyRecipe::FeedForward(recipe) => &recipe.name,
        }
    }

    /// Lengths and rhythm.
    pub fn train(&self) -> &TrainConfig {
        match self {
            AnyRecipe::Gan(recipe) => &recipe.train,
            AnyRecipe::Translation(recipe) => &recipe.train,
            AnyRecipe::Classifier(recipe) => &recipe.train,
            AnyRecipe::Stylize(recipe) => &recipe.train,
            AnyRecipe::FeedForward(recipe) => &recipe.train,
        }
    }

    /// The same recipe for batches of other sizes, to be gone through only.
    pub(in crate::train) fn with_batch(&self, batch: usize, accumulate: usize) -> AnyRecipe {
        let mut recipe = self.clone();
        let train = match &mut recipe {
            AnyRecipe::Gan(recipe) => &mut recipe.train,
            AnyRecipe::Translation(recipe) => &mut recipe.train,
            AnyRecipe::Classifier(recipe) => &mut recipe.train,
            AnyRecipe::Stylize(recipe) => &mut recipe.train,
            AnyRecipe::FeedForward(recipe) => &mut recipe.train,
        };
        (train.batch, train.accumulate) = (batch, accumulate);
        recipe
    }

    /// The same recipe for so many steps in all.
    ///
    /// # Errors
    /// More steps than its schedule has.
    pub fn with_steps(mut self, steps: u64) -> Result<AnyRecipe> {
        let checked = match &mut self {
            AnyRecipe::Gan(recipe) => {
                recipe.train.steps = steps;
                Ok(())
            }
            AnyRecipe::Translation(recipe) => {
                recipe.train.steps = steps;
                recipe.check()
            }
            AnyRecipe::Classifier(recipe) => {
                recipe.train.steps = steps;
                recipe.check()
            }
            AnyRecipe::Stylize(_) => return Err(self.cannot_train()),
            AnyRecipe::FeedForward(recipe) => {
                recipe.train.steps = steps;
                recipe.check()
            }
        };
        checked.map_err(|(key, message)| Error::Recipe { file: self.name().to_string(), key, message })?;
        Ok(self)
    }

    /// What names its data, to be made absolute: one path or name, or two, or none.
    pub fn sources(&mut self) -> Vec<&mut String> {
        match self {
            AnyRecipe::Gan(recipe) => vec![&mut recipe.data.source],
            AnyRecipe::Translation(recipe) => {
                [Some(&mut recipe.data.source), recipe.data.source_b.as_mut()].into_iter().flatten().collect()
            }
            AnyRecipe::Classifier(_) | AnyRecipe::Stylize(_) => Vec::new(),
            AnyRecipe::FeedForward(recipe) => recipe.sources(),
        }
    }

    /// Opens its data, to see that they are there.
    ///
    /// # Errors
    /// As [`crate::data::open`] and [`crate::data::open_domains`].
    pub fn check_data(&self) -> Result<()> {
        match self {
            AnyRecipe::Gan(recipe) => crate::data::open(&recipe.data).map(|_| ()),
            AnyRecipe::Translation(recipe) => crate::data::open_domains(&recipe.data).map(|_| ()),
            AnyRecipe::Classifier(_) => Ok(()),
            AnyRecipe::Stylize(_) => Err(self.cannot_train()),
            AnyRecipe::FeedForward(recipe) => recipe.check_data(),
        }
    }
}

impl RecipeFile for AnyRecipe {
    fn text(&self) -> String {
        match self {
            AnyRecipe::Gan(recipe) => recipe.text(),
            AnyRecipe::Translation(recipe) => recipe.text(),
            AnyRecipe::Classifier(recipe) => recipe.text(),
            AnyRecipe::Stylize(recipe) => recipe.text(),
            AnyRecipe::FeedForward(recipe) => recipe.text(),
        }
    }
}

/// Types and key names; ranges and shapes are checked afterwards.
fn read<T: DeserializeOwned>(file: &str, table: toml::Table) -> Result<T> {
    serde_path_to_error::deserialize(toml::Value::Table(table).into_deserializer()).map_err(|e| {
        let (path, message) = (e.path().to_string(), plain(&e.into_inner().to_string()));
        let key = if path == "." { "top level".to_string() } else { path };
        Error::Recipe { file: file.into(), key, message }
    })
}

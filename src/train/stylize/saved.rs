//! Learnt styles as a run folder, and back.

use super::Style;
use super::apply::{Change, Restyler};
use super::picture::{Content, Mask};
use super::planes::Planes;
use crate::error::{Error, Result};
use crate::nn::{Module, Parameter, prefixed};
use crate::tensor::{Device, Tensor};
use crate::train::checkpoint::{self, Header};
use crate::train::folder::RunFolder;
use crate::train::recipe::{SavedMask, StylizeRecipe};
use std::path::Path;

/// Writes learnt styles as a new run folder, that `toile translate` applies. `data` identifies the pictures that they were
/// learnt from, `licences` are theirs.
///
/// # Errors
/// A folder that holds something, a disk that is full.
pub fn save(
    path: &Path,
    recipe: &StylizeRecipe,
    styles: &[Restyler],
    (data, licences): (String, Option<String>),
    device: &Device,
) -> Result<()> {
    let folder = RunFolder::create(path, recipe)?;
    let mut state = Vec::new();
    for (k, restyler) in styles.iter().enumerate() {
        let Style { detail, thing, .. } = &restyler.style;
        let [h, w] = detail.size;
        let mut parts = prefixed("network", restyler.network.parameters());
        parts.push(("detail".into(), Parameter::new(detail.tensor(device))));
        if let Some(thing) = thing {
            let values: Vec<f32> = thing.iter().map(|&there| f32::from(u8::from(there))).collect();
            parts.push(("thing".into(), Parameter::new(Tensor::new(device, [h, w], &values))));
        }
        state.extend(prefixed(&format!("style{k}"), parts));
    }
    let step = recipe.train.steps;
    let device = device.name().into();
    let (format, content, images_seen) = (checkpoint::FORMAT, String::new(), step);
    let header = Header { format, step, images_seen, data, device, content, licences };
    checkpoint::save(&folder.checkpoint(step), &header, &state)
}

/// Learnt styles out of a run folder.
pub struct Saved {
    /// The run's recipe.
    pub recipe: StylizeRecipe,
    /// What identifies the weights and what they were learnt from.
    pub identity: [String; 2],
    /// The checkpoint's step.
    pub step: u64,
    /// The licences of what they were learnt from, where they were stated.
    pub licences: Option<String>,
    styles: Vec<Restyler>,
}

impl Saved {
    /// Reads a run folder that [`save`] wrote.
    ///
    /// # Errors
    /// A folder without checkpoint, a file that does not fit the recipe.
    pub fn load(folder: &RunFolder, recipe: &StylizeRecipe, device: &Device) -> Result<Saved> {
        let place = folder.path().display();
        let steps = folder.checkpoints()?;
        let step = *steps.last().ok_or_else(|| Error::Train(format!("{place} holds no checkpoint")))?;
        let loaded = checkpoint::load(&folder.checkpoint(step))?;
        let config = recipe.config();
        let mut styles = Vec::new();
        for k in 0..recipe.stylize.styles.len() {
            let network = config.network.build(device, config.seed);
            loaded.restore_part(&prefixed(&format!("style{k}.network"), network.parameters()))?;
            let detail = loaded.tensor(&format!("style{k}.detail"), device)?;
            let detail = detail.filter(|detail| detail.rank() == 4 && detail.dim(1) == 3 && !detail.is_empty());
            let Some(detail) = detail else {
                return Err(Error::file(folder.checkpoint(step), format!("holds no picture of style {k}")));
            };
            let size = [detail.dim(2), detail.dim(3)];
            let detail = Planes { size, values: detail.to_vec()? };
            let thing = match loaded.tensor(&format!("style{k}.thing"), device)? {
                Some(thing) if thing.len() == detail.area() => Some(thing.to_vec()?.iter().map(|&v| v > 0.5).collect()),
                _ => None,
            };
            styles.push(Restyler::new(network, Style::of(detail, thing, &config), config, device));
        }
        let identity = [loaded.header.content.clone(), loaded.header.data.clone()];
        let licences = loaded.header.licences.clone();
        Ok(Saved { recipe: recipe.clone(), identity, step, licences, styles })
    }

    /// The mask that the styles were learnt with.
    pub fn mask(&self) -> Mask {
        match self.recipe.stylize.mask {
            SavedMask::None => Mask::None,
            SavedMask::Auto => Mask::Auto { invert: false },
            SavedMask::AutoInverted => Mask::Auto { invert: true },
        }
    }

    /// What the styles make of a picture.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn restyle(&self, content: &Content, strength: f64) -> Result<Planes> {
        let changes = self.styles.iter().map(|style| style.change(content)).collect::<Result<Vec<Change>>>()?;
        let weighted: Vec<(f64, &Change)> = self.recipe.stylize.weights.iter().copied().zip(&changes).collect();
        Ok(super::restyled(content, &weighted, strength, self.recipe.stylize.keep_colour))
    }
}

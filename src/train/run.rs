//! A training run from its first or last step to its end: steps, metrics, pictures, checkpoints.

use super::checkpoint::{self, Header};
use super::folder::RunFolder;
use super::recipe::{RecipeFile, TrainConfig};
use super::record::{Record, Row};
use super::translation::Losses;
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::report::{Panel, curves_plot, save_png, write_atomic};
use crate::tensor::Device;
use image::RgbImage;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be trained: it knows its data, its step, its state and what to show.
pub trait Training {
    /// The data, in a line.
    fn data(&self) -> String;

    /// Equal for equal data, on every machine.
    fn fingerprint(&self) -> String;

    /// The data's licences, where they are stated.
    ///
    /// # Errors
    /// A `LICENCES` file that cannot be read.
    fn licences(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Real images that a step takes (of each domain).
    fn images_per_step(&self) -> usize;

    /// Trainable values by part.
    fn parameters(&self) -> Vec<(&'static str, usize)>;

    /// Gets ready for the steps from number `step` on; the state is that after `step` steps.
    fn begin(&mut self, step: u64);

    /// Step number `step`, from 0, and its losses.
    ///
    /// # Errors
    /// Data that cannot be read, what went wrong on the device.
    fn step(&mut self, step: u64) -> Result<Losses>;

    /// Everything a checkpoint holds, by name.
    fn state(&self) -> Vec<(String, Parameter)>;

    /// A picture of what it makes now.
    ///
    /// # Errors
    /// What went wrong on the device.
    fn picture(&self) -> Result<Picture>;

    /// What of its rows is plotted, above and below.
    fn panels(&self) -> [Panel<'static>; 2];
}

/// A picture, and what its file says of itself beside the run's own facts.
pub struct Picture {
    /// The pixels.
    pub image: RgbImage,
    /// Pairs of keyword and value.
    pub text: Vec<(String, String)>,
}

/// Watches a run.
pub trait Observer {
    /// The run is about to take its first step.
    fn begin(&mut self, start: &Start);
    /// A step is done; `row` is there at the steps that are recorded.
    fn step(&mut self, step: u64, row: Option<&Row>);
    /// A file was written.
    fn wrote(&mut self, path: &std::path::Path);
}

/// What is known when a run begins.
pub struct Start {
    /// The data, in a line.
    pub data: String,
    /// Steps done before.
    pub from: u64,
    /// Steps in all.
    pub to: u64,
    /// Images a step.
    pub batch: usize,
    /// Trainable values by part.
    pub parameters: Vec<(&'static str, usize)>,
    /// What a user should know who goes on with a run.
    pub note: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// True if it was told to stop before its last step.
    pub interrupted: bool,
    /// The newest sample grid.
    pub sample: PathBuf,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
}

/// Trains in `folder` on `device`, from the folder's newest checkpoint if it has one, until `config.steps` or until
/// `stop` is set; then, too, everything is saved.
///
/// # Errors
/// Data that cannot be read, a checkpoint that does not fit, a full disk, a failing device, a loss that is not a number.
pub fn run(
    recipe: &dyn RecipeFile,
    config: &TrainConfig,
    training: &mut dyn Training,
    folder: &RunFolder,
    device: &Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let mut run = Run::open(config, training, folder, device)?;
    // Only now: a resume that is refused leaves the run as it was.
    folder.write_recipe(recipe)?;
    let steps = config.steps;
    observer.begin(&Start {
        data: run.training.data(),
        from: run.step,
        to: steps,
        batch: run.training.images_per_step(),
        parameters: run.training.parameters(),
        note: run.note.take(),
    });
    run.training.begin(run.step);

    let mut last = None;
    while run.step < steps && !stop.load(Ordering::Relaxed) {
        let losses = run.training.step(run.step)?;
        run.step += 1;

        let due = |every: u64| run.step == steps || run.step.is_multiple_of(every);
        let (log, save, sample) = (due(config.log_every), due(config.checkpoint_every), due(config.sample_every));
        let row = (log || save || run.step == 1).then(|| run.record(&losses)).transpose()?;
        if save {
            observer.wrote(&run.save()?);
        }
        if sample {
            observer.wrote(&run.sample()?);
        }
        observer.step(run.step, row.as_ref());
        last = Some((losses, row.is_some(), save, sample));
    }
    // Told to stop between two checkpoints: save where it stands.
    if let Some((losses, recorded, saved, sampled)) = last {
        if !recorded {
            run.record(&losses)?;
        }
        if !saved {
            observer.wrote(&run.save()?);
        }
        if !sampled {
            observer.wrote(&run.sample()?);
        }
    }
    Ok(Outcome {
        step: run.step,
        interrupted: run.step < steps,
        sample: folder.sample(run.step),
        checkpoint: folder.checkpoint(run.step),
    })
}

struct Run<'a> {
    config: &'a TrainConfig,
    training: &'a mut dyn Training,
    folder: &'a RunFolder,
    name: String,
    record: Record,
    /// Steps done.
    step: u64,
    device: &'a Device,
    note: Option<String>,
    /// The data's licences, where they are stated.
    licences: Option<String>,
}

impl<'a> Run<'a> {
    fn open(
        config: &'a TrainConfig,
        training: &'a mut dyn Training,
        folder: &'a RunFolder,
        device: &'a Device,
    ) -> Result<Run<'a>> {
        let (mut step, mut note) = (0, None);
        if let Some(&newest) = folder.checkpoints()?.last() {
            let path = folder.checkpoint(newest);
            let loaded = checkpoint::load(&path)?;
            if loaded.header.data != training.fingerprint() {
                return Err(Error::file(
                    &path,
                    format!("the run was trained on other data than {}; resume it with the same", training.data()),
                ));
            }
            loaded.restore(&training.state())?;
            step = loaded.header.step;
            if loaded.header.device != device.name() {
                let (before, now) = (&loaded.header.device, device.name());
                note = Some(format!("the run was trained on {before} and goes on on {now}, which rounds differently"));
            }
        }
        let record = Record::open(&folder.metrics(), step)?;
        let name = folder.any_recipe()?.name().to_string();
        let licences = training.licences()?;
        Ok(Run { config, training, folder, name, record, step, device, note, licences })
    }

    /// Reads the step's losses and records them; a loss that is not a number ends the run.
    fn record(&mut self, losses: &Losses) -> Result<Row> {
        let values = losses.iter().map(|(name, loss)| Ok((name.to_string(), loss.item()?))).collect::<Result<_>>()?;
        let images_seen = self.step * self.training.images_per_step() as u64;
        let row = Row { step: self.step, images_seen, values };
        self.record.push(row.clone())?;
        if let Some((name, loss)) = row.values.iter().find(|(_, loss)| !loss.is_finite()) {
            let saved = match self.folder.checkpoints()?.last() {
                Some(&step) => format!("the last good state is {}", self.folder.checkpoint(step).display()),
                None => "no checkpoint was written yet".to_string(),
            };
            return Err(Error::Train(format!(
                "{name} is {loss} at step {}: training has failed; {saved}. A smaller learning rate (optimizer.lr) or \
                 another seed may help",
                self.step
            )));
        }
        Ok(row)
    }

    fn save(&self) -> Result<PathBuf> {
        let path = self.folder.checkpoint(self.step);
        let header = Header {
            format: checkpoint::FORMAT,
            step: self.step,
            images_seen: self.step * self.training.images_per_step() as u64,
            data: self.training.fingerprint(),
            licences: self.licences.clone(),
            device: self.device.name().into(),
            content: String::new(),
        };
        checkpoint::save(&path, &header, &self.training.state())?;
        self.folder.prune(self.config.keep)?;
        Ok(path)
    }

    /// Writes the training's picture, and the plot of its losses.
    fn sample(&self) -> Result<PathBuf> {
        let Picture { image, text } = self.training.picture()?;
        let path = self.folder.sample(self.step);
        let own = [
            ("Software", concat!("toile ", env!("CARGO_PKG_VERSION")).to_string()),
            ("recipe", self.name.clone()),
            ("data", self.training.data()),
            ("step", self.step.to_string()),
            ("seed", self.config.seed.to_string()),
        ];
        let licence = self.licences.iter().map(|licences| ("data-licence", licences.clone()));
        let own = own.into_iter().chain(licence).map(|(key, value)| (key.to_string(), value));
        let text: Vec<_> = own.chain(text).collect();
        save_png(&path, &image, &text, true)?;
        let steps: Vec<u64> = self.record.rows.iter().map(|row| row.step).collect();
        let value = |name: &str| self.record.rows.iter().map(|row| row.value(name)).collect();
        let plot = curves_plot(&steps, &self.training.panels(), value, &format!("{}: step {}", self.name, self.step));
        write_atomic(self.folder.loss_plot(), plot.as_bytes())?;
        Ok(path)
    }
}

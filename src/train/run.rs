//! A training run from its first or last step to its end: data, steps, metrics, samples, checkpoints.

use super::checkpoint::{self, Header};
use super::folder::RunFolder;
use super::gan::{Gan, StepOutcome};
use super::recipe::Recipe;
use super::record::{Record, Row};
use crate::data::{self, Loader, LoaderOptions, Source};
use crate::error::{Error, Result};
use crate::nn::{Mode, Module};
use crate::report::{PlotRow, image_grid, loss_plot, save_png, write_atomic};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Images in a sample grid, and how many stand in a row.
pub const GRID: [usize; 2] = [64, 8];

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
    /// Trainable values of the generator and the discriminator.
    pub parameters: [usize; 2],
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

/// Trains `recipe` in `folder` on `device`, from the folder's newest checkpoint if it has one, until `recipe.train.steps`
/// or until `stop` is set; then, too, everything is saved.
///
/// # Errors
/// Data that cannot be read, a checkpoint that does not fit, a full disk, a failing device, a loss that is not a number.
pub fn train(
    recipe: &Recipe,
    folder: &RunFolder,
    device: &Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let source = data::open(&recipe.data)?;
    let mut run = Run::open(recipe, folder, device, source)?;
    // Only now: a resume that is refused leaves the run as it was.
    folder.write_recipe(recipe)?;
    let first = run.step;
    let steps = recipe.train.steps;
    observer.begin(&Start {
        data: run.source.describe(),
        from: first,
        to: steps,
        batch: recipe.train.batch,
        parameters: [run.gan.generator.parameter_count(), run.gan.discriminator.parameter_count()],
        note: run.note.take(),
    });
    let options = LoaderOptions { flip: recipe.train.flip, ..LoaderOptions::default() };
    let images = recipe.images_per_step();
    let mut loader = Loader::with_options(run.source.clone(), images, recipe.train.seed, first, options);
    let [c, h, w] = recipe.image_shape();

    let mut last = None;
    while run.step < steps && !stop.load(Ordering::Relaxed) {
        let batch = loader.next()?;
        let real = Tensor::new(device, [images, c, h, w], &batch.images);
        let noise = run.gan.noise(run.step);
        let outcome = run.gan.step(&real, &noise)?;
        run.step += 1;

        let due = |every: u64| run.step == steps || run.step.is_multiple_of(every);
        let (log, save, sample) =
            (due(recipe.train.log_every), due(recipe.train.checkpoint_every), due(recipe.train.sample_every));
        let row = (log || save || run.step == 1).then(|| run.record(&outcome)).transpose()?;
        if save {
            observer.wrote(&run.save()?);
        }
        if sample {
            observer.wrote(&run.sample()?);
        }
        observer.step(run.step, row.as_ref());
        last = Some((outcome, row.is_some(), save, sample));
    }
    // Told to stop between two checkpoints: save where it stands.
    if let Some((outcome, recorded, saved, sampled)) = last {
        if !recorded {
            run.record(&outcome)?;
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
    recipe: &'a Recipe,
    folder: &'a RunFolder,
    gan: Gan,
    source: Arc<dyn Source>,
    record: Record,
    /// Steps done.
    step: u64,
    device: &'a Device,
    note: Option<String>,
}

impl<'a> Run<'a> {
    fn open(recipe: &'a Recipe, folder: &'a RunFolder, device: &'a Device, source: Arc<dyn Source>) -> Result<Run<'a>> {
        let gan = Gan::new(recipe, device)?;
        let (mut step, mut note) = (0, None);
        if let Some(&newest) = folder.checkpoints()?.last() {
            let path = folder.checkpoint(newest);
            let loaded = checkpoint::load(&path)?;
            if loaded.header.data != source.fingerprint() {
                return Err(Error::file(
                    &path,
                    format!("the run was trained on other data than {}; resume it with the same", source.describe()),
                ));
            }
            loaded.restore(&gan.state())?;
            step = loaded.header.step;
            if loaded.header.device != device.name() {
                let (before, now) = (&loaded.header.device, device.name());
                note = Some(format!("the run was trained on {before} and goes on on {now}, which rounds differently"));
            }
        }
        let mut run =
            Run { recipe, folder, gan, source, record: Record::open(&folder.metrics(), step)?, step, device, note };
        run.gan.generator_optimizer.set_steps(step);
        run.gan.discriminator_optimizer.set_steps(step * recipe.objective.d_steps as u64);
        Ok(run)
    }

    /// Reads the step's losses and records them; a loss that is not a number ends the run.
    fn record(&mut self, outcome: &StepOutcome) -> Result<Row> {
        let row = Row {
            step: self.step,
            images_seen: self.step * self.recipe.images_per_step() as u64,
            d_loss: outcome.d_loss.item()?,
            g_loss: outcome.g_loss.item()?,
            d_real: outcome.d_real.item()?,
            d_fake: outcome.d_fake.item()?,
        };
        self.record.push(row)?;
        for (name, loss) in [("discriminator", row.d_loss), ("generator", row.g_loss)] {
            if !loss.is_finite() {
                let saved = match self.folder.checkpoints()?.last() {
                    Some(&step) => format!("the last good state is {}", self.folder.checkpoint(step).display()),
                    None => "no checkpoint was written yet".to_string(),
                };
                let (step, lr) = (self.step, self.recipe.optimizer.lr);
                return Err(Error::Train(format!(
                    "the {name}'s loss is {loss} at step {step}: training has failed; {saved}. A smaller learning rate \
                     (optimizer.lr = {lr}) or another seed may help"
                )));
            }
        }
        Ok(row)
    }

    fn save(&self) -> Result<PathBuf> {
        let path = self.folder.checkpoint(self.step);
        let header = Header {
            format: checkpoint::FORMAT,
            step: self.step,
            images_seen: self.step * self.recipe.images_per_step() as u64,
            data: self.source.fingerprint(),
            device: self.device.name().into(),
            content: String::new(),
        };
        checkpoint::save(&path, &header, &self.gan.state())?;
        self.folder.prune(self.recipe.train.keep)?;
        Ok(path)
    }

    /// Writes the grid of the same latent vectors as ever, and the loss plot.
    fn sample(&self) -> Result<PathBuf> {
        let [count, columns] = GRID;
        let z = sample_latents(self.recipe.train.seed, count, self.recipe.generator.latent, None);
        let images = generate(&self.gan, &z, self.recipe, self.device, Mode::Inference)?;
        let [c, h, w] = self.recipe.image_shape();
        let scale = (84 / h.max(w)).clamp(1, 8) as u32;
        let grid = image_grid(&images, count, c, h, w, columns, scale, 2);
        let path = self.folder.sample(self.step);
        let text = [
            ("Software", concat!("toile ", env!("CARGO_PKG_VERSION")).to_string()),
            ("recipe", self.recipe.name.clone()),
            ("data", self.source.describe()),
            ("step", self.step.to_string()),
            ("seed", self.recipe.train.seed.to_string()),
            ("statistics", "running".to_string()),
        ];
        save_png(&path, &grid, &text.map(|(key, value)| (key.to_string(), value)), true)?;
        let rows: Vec<PlotRow> = self.record.rows.iter().map(|&row| row.into()).collect();
        let plot = loss_plot(&rows, &format!("{}: step {}", self.recipe.name, self.step));
        write_atomic(self.folder.loss_plot(), plot.as_bytes())?;
        Ok(path)
    }
}

/// Latent vectors [count, latent] of images 0..count under `seed`: image i depends on (seed, i) only. With
/// `truncation` t, components outside ±t are drawn again.
pub fn sample_latents(seed: u64, count: usize, latent: usize, truncation: Option<f32>) -> Vec<f32> {
    let image = |i: usize| {
        let mut stream = Stream::new(seed, Domain::Sample, i as u64);
        let mut z = stream.normal_vec(latent);
        if let Some(t) = truncation {
            while let Some(outside) = z.iter_mut().find(|v| v.abs() > t) {
                *outside = stream.normal_vec(1)[0];
            }
        }
        z
    };
    (0..count).flat_map(image).collect()
}

/// Images [count, C, H, W] in [−1, 1] for latent vectors [count, latent], in batches of the recipe's size.
///
/// # Errors
/// What went wrong on the device.
pub fn generate(gan: &Gan, z: &[f32], recipe: &Recipe, device: &Device, mode: Mode) -> Result<Vec<f32>> {
    let latent = recipe.generator.latent;
    let mut images = Vec::new();
    for z in z.chunks(latent * recipe.train.batch.max(16)) {
        let z = Tensor::new(device, [z.len() / latent, latent], z);
        images.extend(gan.sample(&z, mode).to_vec()?);
    }
    Ok(images)
}

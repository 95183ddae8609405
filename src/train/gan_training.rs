//! A GAN in training: one source of images feeds the game; its pictures are of the same latent vectors as ever.

use super::folder::RunFolder;
use super::gan::Gan;
use super::recipe::Recipe;
use super::run::{self, Observer, Outcome, Picture, Training};
use super::translation::Losses;
use crate::data::{self, Loader, LoaderOptions, Source};
use crate::error::Result;
use crate::nn::{Mode, Module, Parameter};
use crate::report::{Panel, Tiling, image_grid};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Images in a sample grid, and how many stand in a row.
pub const GRID: [usize; 2] = [64, 8];

/// A GAN as a [`Training`].
pub struct GanTraining {
    recipe: Recipe,
    device: Device,
    gan: Gan,
    source: Arc<dyn Source>,
    loader: Option<Loader>,
}

impl GanTraining {
    /// Opens the recipe's data and builds its networks.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn new(recipe: &Recipe, device: &Device) -> Result<GanTraining> {
        let (source, gan) = (data::open(&recipe.data)?, Gan::new(recipe, device)?);
        Ok(GanTraining { recipe: recipe.clone(), device: device.clone(), gan, source, loader: None })
    }
}

/// Trains a GAN's recipe, as [`run::run`].
///
/// # Errors
/// As [`run::run`], and data that cannot be read.
pub fn train(
    recipe: &Recipe,
    folder: &RunFolder,
    device: &Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    run::run(recipe, &recipe.train, &mut GanTraining::new(recipe, device)?, folder, device, stop, observer)
}

impl Training for GanTraining {
    fn data(&self) -> String {
        self.source.describe()
    }

    fn fingerprint(&self) -> String {
        self.source.fingerprint()
    }

    fn licences(&self) -> Result<Option<String>> {
        data::licences_of_source(&self.recipe.data.source)
    }

    fn images_per_step(&self) -> usize {
        self.recipe.images_per_step()
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        let Gan { generator, discriminator, .. } = &self.gan;
        vec![("generator", generator.parameter_count()), ("discriminator", discriminator.parameter_count())]
    }

    fn begin(&mut self, step: u64) {
        let Recipe { train, objective, .. } = &self.recipe;
        self.gan.generator_optimizer.set_steps(step);
        self.gan.discriminator_optimizer.set_steps(step * objective.d_steps as u64);
        let options = LoaderOptions { flip: train.flip, ..LoaderOptions::default() };
        let images = self.recipe.images_per_step();
        self.loader = Some(Loader::with_options(self.source.clone(), images, train.seed, step, options));
    }

    fn step(&mut self, step: u64) -> Result<Losses> {
        let batch = self.loader.as_mut().expect("a run begins before it steps").next()?;
        let [c, h, w] = self.recipe.image_shape();
        let real = Tensor::new(&self.device, [self.recipe.images_per_step(), c, h, w], &batch.images);
        let outcome = self.gan.step(&real, &self.gan.noise(step))?;
        Ok(vec![
            ("d_loss", outcome.d_loss),
            ("g_loss", outcome.g_loss),
            ("d_real", outcome.d_real),
            ("d_fake", outcome.d_fake),
        ])
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        self.gan.state()
    }

    /// The grid of the same latent vectors as ever.
    fn picture(&self) -> Result<Picture> {
        let [count, columns] = GRID;
        let z = sample_latents(self.recipe.train.seed, count, self.recipe.generator.latent, None);
        let images = generate(&self.gan, &z, &self.recipe, &self.device, Mode::Inference)?;
        let [c, h, w] = self.recipe.image_shape();
        let scale = (84 / h.max(w)).clamp(1, 8) as u32;
        let image = image_grid(&images, count, c, h, w, columns, scale, 2);
        let tiles = Tiling::of_image_grid(count, [h, w], columns, scale, 2).text();
        let text = vec![("statistics".into(), "running".into()), (Tiling::KEY.into(), tiles)];
        Ok(Picture { image, text })
    }

    fn panels(&self) -> [Panel<'static>; 2] {
        [
            Panel { unit: "loss", range: None, curves: vec![("discriminator", "d_loss"), ("generator", "g_loss")] },
            Panel {
                unit: "probability",
                range: Some((0.0, 1.0)),
                curves: vec![("D(x), real", "d_real"), ("D(G(z)), fake", "d_fake")],
            },
        ]
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

//! A pattern classifier in training, on garments that the program draws, disturbed so that it is fair to generated ones.

use super::checkpoint;
use super::folder::RunFolder;
use super::gradients;
use super::recipe::{Augment, ClassifierRecipe};
use super::run::{Picture, Training};
use super::translation::Losses;
use crate::data::garments::Pattern;
use crate::data::{CACHE_BYTES, Cached, DrawnDomain, Fit, Fitting, HELD_OUT_FROM, Loader, LoaderOptions, Look, Source};
use crate::error::Result;
use crate::metrics::classifier::{Confusion, PatternClassifier, Verdict};
use crate::models::Classifier;
use crate::nn::init::Initializer;
use crate::nn::{Mode, Module, Parameter, prefixed};
use crate::ops::Indices;
use crate::optim::Adam;
use crate::report::{Panel, image_grid};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Images a pattern in the picture that is written while training.
pub(super) const SHOWN: usize = 8;

/// Disturbances of image k of a run are drawn from this index on; the loader's own draws begin at 0.
const DISTURBANCE: u64 = 1 << 63;

/// A classifier as a [`Training`].
pub struct ClassifierTraining {
    recipe: ClassifierRecipe,
    device: Device,
    judge: PatternClassifier,
    optimizer: Adam,
    source: Arc<dyn Source>,
    held_out: DrawnDomain,
    loader: Option<Loader>,
}

/// The garments of a recipe that its training does not see.
pub fn held_out(recipe: &ClassifierRecipe) -> DrawnDomain {
    garments(recipe, HELD_OUT_FROM, recipe.data.held_out)
}

pub(super) fn garments(recipe: &ClassifierRecipe, first: u64, count: usize) -> DrawnDomain {
    let fitting = Fitting { size: recipe.data.size, channels: 3, fit: Fit::Crop, background: [255; 3] };
    DrawnDomain::new(recipe.data.seed, first, count, Look::Drawn, fitting)
}

fn network(recipe: &ClassifierRecipe, device: &Device) -> Classifier {
    let mut init = Initializer::new(device, recipe.init, recipe.train.seed, 0);
    recipe.classifier.build(Pattern::ALL.len(), &mut init)
}

fn weights(network: &Classifier) -> Vec<(String, Parameter)> {
    prefixed("classifier", [network.parameters(), network.buffers()].concat())
}

/// The classifier of a run's newest checkpoint, or of that of `step`, on `device`.
///
/// # Errors
/// A run of another kind or without the checkpoint, a checkpoint that cannot be read.
pub fn load(folder: &RunFolder, step: Option<u64>, device: &Device) -> Result<PatternClassifier> {
    Ok(load_identified(folder, step, device)?.0)
}

/// As [`load`], and what identifies the checkpoint's values.
///
/// # Errors
/// As [`load`].
pub fn load_identified(folder: &RunFolder, step: Option<u64>, device: &Device) -> Result<(PatternClassifier, String)> {
    let recipe = folder.any_recipe()?.classifier(&folder.path().display().to_string())?;
    let step = folder.checkpoint_step(step)?;
    let network = network(&recipe, device);
    let loaded = checkpoint::load(&folder.checkpoint(step))?;
    loaded.restore_part(&weights(&network))?;
    Ok((PatternClassifier::new(network, recipe.data.size), loaded.header.content))
}

/// How the newest checkpoint of a run judges the held-out garments of its recipe.
///
/// # Errors
/// As [`load`], and what went wrong on the device.
pub fn examine(folder: &RunFolder, device: &Device) -> Result<Confusion> {
    let recipe = folder.any_recipe()?.classifier(&folder.path().display().to_string())?;
    let judge = load(folder, None, device)?;
    Ok(judge.examine(&held_out(&recipe), recipe.data.held_out, device)?.0)
}

impl ClassifierTraining {
    /// Builds the recipe's network.
    pub fn new(recipe: &ClassifierRecipe, device: &Device) -> ClassifierTraining {
        let network = network(recipe, device);
        ClassifierTraining {
            optimizer: Adam::new(recipe.optimizer, network.parameters()),
            judge: PatternClassifier::new(network, recipe.data.size),
            source: Arc::new(Cached::new(garments(recipe, 0, recipe.data.count), CACHE_BYTES)),
            held_out: held_out(recipe),
            recipe: recipe.clone(),
            device: device.clone(),
            loader: None,
        }
    }

    fn examine(&self) -> Result<(Confusion, Vec<Verdict>)> {
        self.judge.examine(&self.held_out, self.recipe.data.held_out, &self.device)
    }
}

impl Training for ClassifierTraining {
    fn data(&self) -> String {
        format!("{}; {} more are held out", self.source.describe(), self.held_out.len())
    }

    fn fingerprint(&self) -> String {
        self.source.fingerprint()
    }

    fn images_per_step(&self) -> usize {
        self.recipe.train.batch
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![("classifier", self.judge.network().parameter_count())]
    }

    fn begin(&mut self, step: u64) {
        self.optimizer.set_steps(step);
        let train = &self.recipe.train;
        let options = LoaderOptions { flip: train.flip, ..LoaderOptions::default() };
        self.loader = Some(Loader::with_options(self.source.clone(), train.batch, train.seed, step, options));
    }

    fn step(&mut self, step: u64) -> Result<Losses> {
        let ClassifierRecipe { train, data, augment, .. } = &self.recipe;
        let mut batch = self.loader.as_mut().expect("a run begins before it steps").next()?;
        let [h, w] = data.size;
        batch.images.par_chunks_exact_mut(3 * h * w).enumerate().for_each(|(j, image)| {
            let number = DISTURBANCE + step * train.batch as u64 + j as u64;
            disturb(image, [3, h, w], augment, &mut Stream::new(train.seed, Domain::Augment, number));
        });
        let label = |&i: &u32| u32::from(self.source.label(i as usize).unwrap_or_default());
        let labels = Indices::new(&self.device, [train.batch], batch.indices.iter().map(label).collect());
        let x = Tensor::new(&self.device, [train.batch, 3, h, w], &batch.images);

        self.optimizer.set_lr(self.recipe.optimizer.lr * self.recipe.schedule.factor(step));
        let mut losses = update(self.judge.network(), &mut self.optimizer, &x, &labels)?;
        if (step + 1).is_multiple_of(train.sample_every) {
            losses.push(("held_out_accuracy", Tensor::scalar(&Device::Reference, self.examine()?.0.accuracy())));
        }
        Ok(losses)
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        [weights(self.judge.network()), prefixed("optimizer.classifier", self.optimizer.state())].concat()
    }

    /// A row a pattern: the first held-out garments in which it is found.
    fn picture(&self) -> Result<Picture> {
        let (confusion, verdicts) = self.examine()?;
        let [c, h, w] = self.held_out.shape();
        let mut values = vec![1.0; Pattern::ALL.len() * SHOWN * c * h * w];
        let mut filled = [0; Pattern::ALL.len()];
        for (i, verdict) in verdicts.iter().enumerate() {
            let row = usize::from(verdict.pattern.id());
            if filled[row] < SHOWN {
                let place = (row * SHOWN + filled[row]) * c * h * w;
                self.held_out.load(i, &mut values[place..place + c * h * w])?;
                filled[row] += 1;
            }
        }
        let scale = (64 / h.max(w)).clamp(1, 8) as u32;
        let image = image_grid(&values, Pattern::ALL.len() * SHOWN, c, h, w, SHOWN, scale, 2);
        let rows = Pattern::ALL.map(Pattern::name).join(", ");
        Ok(Picture { image, text: vec![("rows".into(), rows), ("held out".into(), confusion.summary())] })
    }

    fn panels(&self) -> [Panel<'static>; 2] {
        [
            Panel { unit: "loss", range: None, curves: vec![("cross-entropy", "loss")] },
            Panel { unit: "share right", range: Some((0.0, 1.0)), curves: vec![("training batch", "accuracy")] },
        ]
    }
}

/// One update on images [N, 3, H, W] of these patterns.
fn update(network: &Classifier, optimizer: &mut Adam, x: &Tensor, labels: &Indices) -> Result<Losses> {
    let logits = network.forward(x, Mode::Train); // [N, classes]
    // Softmax cross-entropy: −mean ln p(the pattern that is there).
    let loss = logits.cross_entropy(labels)?.mean();
    let losses = vec![("loss", loss.detach()), ("accuracy", share_right(&logits.detach(), labels)?)];
    drop(logits);
    let gradients = gradients(loss, network);
    optimizer.step(&gradients)?;
    Ok(losses)
}

/// Two updates on images without content, for an estimate of their memory; the state that a checkpoint holds.
///
/// # Errors
/// What went wrong on the device.
pub(super) fn rehearse(recipe: &ClassifierRecipe, device: &Device) -> Result<Vec<(String, Parameter)>> {
    let network = network(recipe, device);
    let mut optimizer = Adam::new(recipe.optimizer, network.parameters());
    let (n, [h, w]) = (recipe.train.batch, recipe.data.size);
    for _ in 0..2 {
        let x = Tensor::zeros(device, [n, 3, h, w]);
        update(&network, &mut optimizer, &x, &Indices::new(device, [n], vec![0; n]))?;
    }
    Ok([weights(&network), prefixed("optimizer.classifier", optimizer.state())].concat())
}

/// The share of logits [N, K] whose greatest is that of the label.
fn share_right(logits: &Tensor, labels: &Indices) -> Result<Tensor> {
    let n = logits.dim(0);
    let picked = logits.gather(1, &labels.reshape([n, 1]))?.reshape([n]);
    Ok((logits.max_axes(&[1]) - picked).sign().affine(-1.0, 1.0).mean())
}

/// Blurs an image [C, H, W], changes its colours and adds noise, as `augment` bounds it and `draws` decides.
fn disturb(image: &mut [f32], [c, h, w]: [usize; 3], augment: &Augment, draws: &mut Stream) {
    // Squares of uniform numbers: most images stay nearly as they are.
    let share = augment.blur * draws.uniform().powi(2) / 2.0;
    let noise = augment.noise * draws.uniform().powi(2);
    let mut line = vec![0.0; h.max(w)];
    for plane in image.chunks_exact_mut(h * w) {
        let (gain, shift) =
            (1.0 + draws.range(-augment.colour, augment.colour), draws.range(-augment.colour, augment.colour));
        for (lines, len, stride, next) in [(h, w, 1, w), (w, h, w, 1)] {
            for i in 0..lines {
                let at = |k: usize| i * next + k * stride;
                (0..len).for_each(|k| line[k] = plane[at(k)]);
                for k in 0..len {
                    let sides = line[k.saturating_sub(1)] + line[(k + 1).min(len - 1)];
                    plane[at(k)] = (1.0 - 2.0 * share) * line[k] + share * sides;
                }
            }
        }
        plane.iter_mut().for_each(|v| *v = (*v * gain + shift + draws.range(-noise, noise)).clamp(-1.0, 1.0));
    }
    debug_assert_eq!(image.len(), c * h * w);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbances_are_bounded_and_drawn() {
        let image: Vec<f32> = (0..192).map(|i| if i % 5 == 0 { 0.5 } else { -0.5 }).collect();
        let disturbed = |augment: Augment, index: u64| {
            let mut image = image.clone();
            disturb(&mut image, [3, 8, 8], &augment, &mut Stream::new(1, Domain::Augment, index));
            image
        };
        assert_eq!(disturbed(Augment::default(), 0), image, "nothing is done without strength");
        let furthest = |other: &[f32]| image.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let noisy = disturbed(Augment { noise: 0.1, ..Augment::default() }, 0);
        assert!((0.001..=0.1).contains(&furthest(&noisy)));
        assert_ne!(noisy, disturbed(Augment { noise: 0.1, ..Augment::default() }, 1));
        // A blur keeps the mean away from the border and narrows the range.
        let blurred = disturbed(Augment { blur: 0.5, ..Augment::default() }, 0);
        assert!(furthest(&blurred) > 0.01 && blurred.iter().all(|v| v.abs() <= 0.5));
        let shifted = disturbed(Augment { colour: 0.2, ..Augment::default() }, 0);
        assert!(furthest(&shifted) <= 0.2 * 1.5 + 1e-6);
    }
}

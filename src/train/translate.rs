//! A trained translator applied to pictures of any size.

use super::checkpoint;
use super::folder::RunFolder;
use super::memory::check_picture;
use super::recipe::{Method, TranslationRecipe};
use super::translation::init;
use crate::data::Fitting;
use crate::error::{Error, Result};
use crate::models::{Translator, TranslatorSpec};
use crate::nn::{Draws, Mode, Module, Strips, prefixed};
use crate::ops::Activation;
use crate::report::colour;
use crate::tensor::{Device, Tensor, no_grad};
use image::{DynamicImage, Rgba, RgbaImage};
use std::path::Path;

/// Elements of a strip: pictures whose widest layer has more are translated in strips of rows, 32 MiB each.
const STRIP: usize = 8 << 20;

/// Which way a picture goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From domain A to domain B.
    AToB,
    /// From domain B to domain A: CycleGAN learns both.
    BToA,
}

/// A translator out of a run.
pub struct Applied {
    network: Translator,
    recipe: TranslationRecipe,
    draws: Draws,
    device: Device,
    /// The checkpoint's step.
    pub step: u64,
    /// What identifies the checkpoint's values and the data that it was trained on.
    pub identity: [String; 2],
    /// The data's licences, where they were stated.
    pub data_licence: Option<String>,
}

impl Applied {
    /// The translator of a run's newest checkpoint, or of that of `step`; dropout takes its masks under `seed`.
    ///
    /// # Errors
    /// A run of another kind or without the checkpoint, a direction that it does not learn.
    pub fn load(
        folder: &RunFolder,
        step: Option<u64>,
        direction: Direction,
        seed: u64,
        device: &Device,
    ) -> Result<Applied> {
        let place = folder.path().display().to_string();
        let recipe = folder.any_recipe()?.translation(&place)?;
        if direction == Direction::BToA && !matches!(recipe.objective, Method::Cyclegan(_)) {
            let why = "learns the way from A to B alone; train with --set data.swap=true for the other";
            return Err(Error::Usage(format!("{place} {why}")));
        }
        let steps = folder.checkpoints()?;
        let step = match step {
            Some(step) if steps.contains(&step) => step,
            Some(step) => {
                return Err(Error::Usage(format!("--step {step}: {place} has checkpoints of steps {steps:?}")));
            }
            None => *steps.last().ok_or_else(|| Error::Train(format!("{place} holds no checkpoint yet")))?,
        };
        let draws = Draws::new(seed);
        let network = recipe.translator.build(recipe.data.channels, &mut init(&recipe, device, 0), &draws);
        let loaded = checkpoint::load(&folder.checkpoint(step))?;
        let name = if direction == Direction::AToB { "g_a" } else { "g_b" };
        loaded.restore_part(&prefixed(name, [network.parameters(), network.buffers()].concat()))?;
        let identity = [loaded.header.content.clone(), loaded.header.data.clone()];
        let data_licence = loaded.header.licences.clone();
        Ok(Applied { network, recipe, draws, device: device.clone(), step, identity, data_licence })
    }

    /// The run's recipe.
    pub fn recipe(&self) -> &TranslationRecipe {
        &self.recipe
    }

    /// The picture translated, number `number` of its kind (it decides dropout's masks): of the same size, or scaled and
    /// cut to the training size as in training if `as_trained`. Transparency stays; under it lies the recipe's background,
    /// as in training. [`Mode::BatchStatistics`] normalises each picture by its own statistics and keeps dropout, as
    /// published; [`Mode::Inference`] takes the running statistics and drops nothing.
    ///
    /// # Errors
    /// A colour picture for a network of grey ones, too little memory, what went wrong on the device; `path` names it.
    pub fn translate(
        &self,
        path: &Path,
        picture: DynamicImage,
        number: u64,
        mode: Mode,
        as_trained: bool,
    ) -> Result<RgbaImage> {
        let channels = self.recipe.data.channels;
        if channels == 1 && picture.color().has_color() {
            return Err(Error::file(path, "has 3 channels (colour), but the run's images have 1: save it as grey"));
        }
        let own = [picture.height() as usize, picture.width() as usize];
        let fitting =
            Fitting { size: if as_trained { self.recipe.data.size } else { own }, ..self.recipe.data.fitting() };
        let [h, w] = fitting.size;
        self.check_memory(path, [h, w])?;
        let alpha = picture.color().has_alpha().then(|| {
            let mask = DynamicImage::from(
                image::GrayImage::from_raw(
                    picture.width(),
                    picture.height(),
                    picture.to_rgba8().pixels().map(|pixel| pixel[3]).collect(),
                )
                .expect("a value a pixel"),
            );
            let mut values = vec![0; h * w];
            Fitting { channels: 1, background: [0; 3], ..fitting }.apply(mask, &mut values);
            values
        });
        let mut bytes = vec![0; channels * h * w];
        fitting.apply(picture, &mut bytes);

        let values: Vec<f32> = bytes.into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
        let y = self.apply(&values, [h, w], number, mode)?;
        Ok(RgbaImage::from_fn(w as u32, h as u32, |px, py| {
            let at = py as usize * w + px as usize;
            let [r, g, b] = colour([0, 1, 2].map(|c: usize| y[c.min(channels - 1) * h * w + at])).0;
            Rgba([r, g, b, alpha.as_ref().map_or(255, |alpha| alpha[at])])
        }))
    }

    /// An image of this height and width, [C, H, W] in [−1, 1], translated; as [`Applied::translate`].
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn apply(&self, image: &[f32], size: [usize; 2], number: u64, mode: Mode) -> Result<Vec<f32>> {
        self.apply_in_strips(image, size, number, mode, STRIP)
    }

    /// [`Applied::apply`] with no more than about `most` elements a strip of a layer's result.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn apply_in_strips(
        &self,
        image: &[f32],
        [h, w]: [usize; 2],
        number: u64,
        mode: Mode,
        most: usize,
    ) -> Result<Vec<f32>> {
        let channels = self.recipe.data.channels;
        // The network wants multiples: the picture is mirrored beyond its border and cut again.
        let multiple = self.recipe.translator.multiple();
        let [wide_h, wide_w] = [h, w].map(|side| side.max(8).next_multiple_of(multiple));
        let mut values = Vec::with_capacity(channels * wide_h * wide_w);
        for plane in image.chunks_exact(h * w) {
            for y in 0..wide_h {
                let row = &plane[mirrored(y, h) * w..][..w];
                values.extend((0..wide_w).map(|x| row[mirrored(x, w)]));
            }
        }
        let x = Tensor::new(&self.device, [1, channels, wide_h, wide_w], &values);
        self.draws.begin(number);
        let y = no_grad(|| {
            if self.width() * wide_h * wide_w <= most {
                return self.network.forward(&x, mode);
            }
            let strips = Strips::cut(&x, most);
            self.network.forward_strips(strips, mode, Activation::Identity).join()
        });
        let y = y.to_vec()?;
        let mut cut = Vec::with_capacity(image.len());
        for plane in y.chunks_exact(wide_h * wide_w) {
            plane.chunks_exact(wide_w).take(h).for_each(|row| cut.extend_from_slice(&row[..w]));
        }
        Ok(cut)
    }

    /// Channels of the widest layer at full size.
    fn width(&self) -> usize {
        match &self.recipe.translator {
            TranslatorSpec::Resnet(spec) => spec.ngf,
            TranslatorSpec::Unet(spec) => spec.ngf,
        }
    }

    /// Refuses a picture that this machine's memory cannot hold, where the system tells how much is free.
    fn check_memory(&self, path: &Path, [h, w]: [usize; 2]) -> Result<()> {
        // A layer at full size and its successor at half, the picture in its forms, strips of work.
        let pixel = 4 * (2 * self.width() as u64 + 16);
        let needed = pixel.saturating_mul((h * w) as u64).saturating_add(256 << 20);
        check_picture(path, [h, w], needed, "make it smaller first")
    }
}

/// The place of `i` in a line of `len` that is mirrored at its ends, again and again.
fn mirrored(i: usize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let period = 2 * (len - 1);
    let i = i % period;
    i.min(period - i)
}

#[cfg(test)]
mod tests {
    #[test]
    fn places_beyond_the_border_are_mirrored() {
        let places = |len: usize| (0..9).map(|i| super::mirrored(i, len)).collect::<Vec<_>>();
        assert_eq!(places(4), [0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!((places(1), places(2)), (vec![0; 9], vec![0, 1, 0, 1, 0, 1, 0, 1, 0]));
    }
}

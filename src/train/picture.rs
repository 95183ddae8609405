//! A picture on its way to a network and back: scaled, laid on white, written with its transparency and how it was made.

use crate::data::{Fit, Fitting, read_image};
use crate::error::{Error, Result};
use crate::report::{colour, save_png, save_png_rgba};
use crate::tensor::{Device, Tensor};
use image::{DynamicImage, GrayImage, Rgba, RgbaImage};
use std::path::Path;

/// Shorter sides say nothing to a feature network.
const SHORTEST: usize = 16;

/// A picture as networks see it.
pub struct Picture {
    /// [3, H, W] in [−1, 1].
    pub values: Vec<f32>,
    /// Height and width.
    pub size: [usize; 2],
    alpha: Option<Vec<u8>>,
}

impl Picture {
    /// Reads a picture and scales it so that its longer side has `longest` pixels (without one it keeps its size). What is transparent
    /// is laid on white.
    ///
    /// # Errors
    /// A file that cannot be read; a shorter side of less than 16 pixels.
    pub fn read(path: &Path, longest: Option<usize>) -> Result<Picture> {
        let image = read_image(path)?;
        let own = [image.height() as usize, image.width() as usize];
        let longer = own[0].max(own[1]);
        let scaled = |side: usize, to: usize| ((side * to + longer / 2) / longer).max(1);
        let size = longest.map_or(own, |to| own.map(|side| scaled(side, to)));
        let [h, w] = size;
        if h.min(w) < SHORTEST {
            let why = format!(
                "would be {w}x{h} pixels: both sides must have at least {SHORTEST}; take a larger picture or --size"
            );
            return Err(Error::file(path, why));
        }
        let fitting = Fitting { size, channels: 3, fit: Fit::Crop, background: [255; 3] };
        let alpha = image.color().has_alpha().then(|| {
            let values: Vec<u8> = image.to_rgba8().pixels().map(|pixel| pixel[3]).collect();
            let mask = GrayImage::from_raw(own[1] as u32, own[0] as u32, values).expect("a value a pixel");
            let mut scaled = vec![0; h * w];
            Fitting { channels: 1, ..fitting }.apply(DynamicImage::from(mask), &mut scaled);
            scaled
        });
        let mut bytes = vec![0; 3 * h * w];
        fitting.apply(image, &mut bytes);
        Ok(Picture { values: bytes.into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect(), size, alpha })
    }

    /// As images [1, 3, H, W].
    pub fn tensor(&self, device: &Device) -> Tensor {
        let [h, w] = self.size;
        Tensor::new(device, [1, 3, h, w], &self.values)
    }

    /// Writes what became of it, [3, H, W], with its own transparency.
    ///
    /// # Errors
    /// As [`save_png`].
    pub fn save(&self, path: &Path, values: &[f32], text: &[(String, String)], force: bool) -> Result<()> {
        let [h, w] = self.size;
        let image = RgbaImage::from_fn(w as u32, h as u32, |x, y| {
            let at = y as usize * w + x as usize;
            let [r, g, b] = colour([0, 1, 2].map(|c: usize| values[c * h * w + at])).0;
            Rgba([r, g, b, self.alpha.as_ref().map_or(255, |alpha| alpha[at])])
        });
        match self.alpha {
            Some(_) => save_png_rgba(path, &image, text, force),
            None => save_png(path, &DynamicImage::from(image).into_rgb8(), text, force),
        }
    }
}

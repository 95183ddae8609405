//! A picture to be restyled: its pixels, what is to be restyled of it, and how results become a picture again.

use super::mask::{rim, shrunk, soft, thing_of};
use super::planes::{Planes, filled};
use crate::error::{Error, Result};
use crate::train::memory::check_picture;
use image::{DynamicImage, Rgba, RgbaImage, imageops};
use std::path::Path;

/// Memory a pixel that restyling takes, in bytes.
const BYTES_A_PIXEL: u64 = 120;

/// What is to be restyled.
#[derive(Clone, Debug, Default)]
pub enum Mask {
    /// All of the picture; where it shows a thing on a plain ground and the style does, too, thing by thing and ground by
    /// ground.
    #[default]
    None,
    /// The thing on a plain ground, or what is opaque; the other way round if inverted.
    Auto {
        /// The ground instead.
        invert: bool,
    },
    /// What is light in a picture, as much as it is light.
    Picture {
        /// Grey values.
        image: DynamicImage,
        /// What is dark instead.
        invert: bool,
    },
}

/// A picture ready to be restyled.
pub struct Content {
    /// Its colours.
    pub planes: Planes,
    original: RgbaImage,
    /// Whether it has an alpha channel.
    pub transparent: bool,
    /// What is to be restyled, if not all of it.
    pub area: Option<Vec<bool>>,
    /// How much of each pixel is restyled, if not all of it.
    pub shares: Option<Vec<f32>>,
    /// The thing that it shows on a plain ground, if it does.
    pub thing: Option<Vec<bool>>,
}

impl Content {
    /// Reads what `mask` means in `picture`; `path` names it in errors.
    ///
    /// # Errors
    /// A picture too large for the memory, no plain ground where one is needed, a mask without anything light.
    pub fn new(path: &Path, picture: &DynamicImage, mask: &Mask) -> Result<Content> {
        let (w, h) = (picture.width(), picture.height());
        let needed = u64::from(w) * u64::from(h) * BYTES_A_PIXEL;
        check_picture(path, [h as usize, w as usize], needed, "make it smaller first")?;
        let transparent = picture.color().has_alpha();
        let original = picture.to_rgba8();
        let size = [h as usize, w as usize];
        let planes = Planes::of(&original);
        let opaque: Option<Vec<bool>> = (transparent && original.pixels().any(|p| p[3] < 255))
            .then(|| original.pixels().map(|pixel| pixel[3] >= 128).collect());
        let thing = match &opaque {
            Some(opaque) => opaque.contains(&true).then(|| opaque.clone()),
            None => thing_of(&planes),
        };
        let shares_of = |thing: &[bool]| match opaque {
            // Under what is transparent the colours are anything.
            Some(_) => original.pixels().map(|pixel| f32::from(u8::from(pixel[3] > 0))).collect(),
            None => soft(&planes, thing),
        };
        let (area, shares) = match mask {
            Mask::None => match &opaque {
                Some(opaque) => (thing.is_some().then(|| opaque.clone()), Some(shares_of(opaque))),
                None => (None, None),
            },
            Mask::Auto { invert } => {
                let Some(thing) = &thing else {
                    let why = "shows no thing on a plain ground (its border has several colours, or nothing else is in \
                               it): draw a mask, white where it is to be restyled, and name it with --mask FILE";
                    return Err(Error::file(path, why));
                };
                let shares: Vec<f32> = shares_of(thing);
                if *invert {
                    (Some(thing.iter().map(|there| !there).collect()), Some(shares.iter().map(|s| 1.0 - s).collect()))
                } else {
                    (Some(thing.clone()), Some(shares))
                }
            }
            Mask::Picture { image, invert } => {
                let mut grey = image.to_luma8();
                if grey.dimensions() != (w, h) {
                    grey = imageops::resize(&grey, w, h, imageops::FilterType::Triangle);
                }
                let share = |v: u8| f32::from(if *invert { 255 - v } else { v }) / 255.0;
                let shares: Vec<f32> = grey.pixels().map(|pixel| share(pixel[0])).collect();
                (Some(shares.iter().map(|&share| share >= 0.5).collect()), Some(shares))
            }
        };
        if area.as_ref().is_some_and(|area| !area.contains(&true)) {
            return Err(Error::file(
                path,
                "the mask leaves nothing to restyle: it must be light somewhere (--invert-mask turns it round)",
            ));
        }
        debug_assert!(size == planes.size);
        Ok(Content { planes, original, transparent, area, shares, thing })
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        self.planes.size
    }

    /// The part that a style of a thing (or of none) is learnt on and changes, and its shares; all of it if none is given.
    pub fn part(&self, style_has_thing: bool) -> (Option<&[bool]>, Option<Vec<f32>>) {
        match (&self.area, &self.thing) {
            (None, Some(thing)) if style_has_thing => (Some(thing), Some(soft(&self.planes, thing))),
            (area, _) => (area.as_deref(), self.shares.clone()),
        }
    }

    /// The picture with all but a part of it replaced by what lies near in that part.
    pub fn filled(&self, part: Option<&[bool]>) -> Planes {
        match part {
            Some(part) => filled(&self.planes, &shrunk(part, self.size(), rim(self.size()))),
            None => self.planes.clone(),
        }
    }

    /// `planes` as a picture of the same transparency. Pixels whose values are the original's stay bit for bit.
    pub fn picture(&self, planes: &Planes) -> RgbaImage {
        let plane = planes.area();
        let mut picture = self.original.clone();
        for (i, pixel) in picture.pixels_mut().enumerate() {
            let byte = |c: usize| ((planes.values[c * plane + i].clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
            *pixel = Rgba([byte(0), byte(1), byte(2), pixel[3]]);
        }
        picture
    }
}

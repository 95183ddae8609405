//! The built-in garments: descriptions drawn from a seed, and their pictures at any size.

mod accessories;
mod bottoms;
mod drawing;
mod fabric;
mod footwear;
mod kinds;
mod outerwear;
mod palette;
mod patterns;
mod render;
mod shading;
#[cfg(test)]
mod tests;
mod tops;

pub use kinds::{Cut, Kind};
pub use palette::{Palette, Rgb};
pub use patterns::Pattern;

use crate::rng::{Domain, Stream};
use image::{GrayImage, RgbImage};

/// The cloth that a garment is made of, apart from its colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cloth {
    /// What is on the cloth.
    pub pattern: Pattern,
    /// Size of the pattern: 1 is the usual one, drawn from [0.85, 1.25).
    pub scale: f32,
    /// Direction of the pattern in degrees, drawn near 0, 45 or 90.
    pub angle: f32,
    /// Which variant of the pattern, in [0, 1]: the rhythm of stripes, the size of dots, the turn of flowers.
    pub style: f32,
    /// How much lighter (above 0) or darker (below 0) than the palette says, drawn from [-0.08, 0.06).
    pub tint: f32,
}

/// What collars, cuffs, ribs, waistbands and hat bands are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Trim {
    /// The cloth's main colour, a little darker.
    Ground,
    /// The palette's accent.
    Accent,
    /// The palette's darkest colour.
    Ink,
}

/// A garment: everything that decides its picture.
///
/// Fields may be edited: the same cut in another pattern or palette is the other half of an image pair.
///
/// ```
/// use toile::data::garments::{Garment, Pattern};
/// let garment = Garment::draw(7, 0);
/// assert_eq!(garment, Garment::draw(7, 0));
/// let plain = garment.with_pattern(Pattern::Plain);
/// assert_eq!(plain.kind, garment.kind);
/// assert_eq!(plain.render(28).dimensions(), (28, 28));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Garment {
    /// What it is.
    pub kind: Kind,
    /// How it is cut.
    pub cut: Cut,
    /// What it is made of.
    pub cloth: Cloth,
    /// Its colours.
    pub palette: Palette,
    /// What its collar, cuffs and bands are made of.
    pub trim: Trim,
    /// The colour behind it, a warm off-white that hardly varies.
    pub background: Rgb,
}

impl Garment {
    /// The garment number `index` of a seed, the same for ever and at any size. Kinds, patterns and palettes are
    /// drawn independently, all equally likely.
    pub fn draw(seed: u64, index: u64) -> Garment {
        let mut stream = Stream::new(seed, Domain::Garment, index);
        let s = &mut stream;
        let kind = Kind::ALL[s.below(Kind::ALL.len() as u32) as usize];
        let pattern = Pattern::ALL[s.below(Pattern::ALL.len() as u32) as usize];
        let palette = Palette::ALL[s.below(Palette::ALL.len() as u32) as usize];
        let scale = s.range(0.85, 1.25);
        let angle = [0.0, 0.0, 90.0, 45.0][s.below(4) as usize] + s.range(-1.5, 1.5);
        let cloth = Cloth { pattern, scale, angle, style: s.uniform(), tint: s.range(-0.08, 0.06) };
        let trim = [Trim::Ground, Trim::Accent, Trim::Ink][s.below(3) as usize];
        let warmth = s.below(4) as u8;
        let background = [249 - warmth / 2, 246 - warmth / 2, 241 - warmth];
        Garment { kind, cut: Cut::draw(s), cloth, palette, trim, background }
    }

    /// The same garment in another pattern.
    pub fn with_pattern(&self, pattern: Pattern) -> Garment {
        Garment { cloth: Cloth { pattern, ..self.cloth }, ..self.clone() }
    }

    /// The same garment in another palette.
    pub fn with_palette(&self, palette: Palette) -> Garment {
        Garment { palette, ..self.clone() }
    }

    /// A few words for captions, such as `t-shirt, dots, sage and cream`.
    pub fn caption(&self) -> String {
        format!("{}, {}, {}", self.kind.name(), self.cloth.pattern.name(), self.palette.name())
    }

    /// A number that stands for the whole description (FNV-1a over its fields), the same on every platform.
    pub fn fingerprint(&self) -> u64 {
        let Cloth { pattern, scale, angle, style, tint } = self.cloth;
        let p = &self.palette;
        let small = [self.kind.id(), pattern.id(), p.id, self.trim as u8];
        let colours = [p.ground, p.figure, p.accent, p.ink, self.background];
        let numbers = [scale, angle, style, tint].into_iter().chain(self.cut.values()).flat_map(f32::to_le_bytes);
        let bytes = small.into_iter().chain(colours.into_iter().flatten()).chain(numbers);
        bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01B3))
    }

    /// The picture, `size` by `size` pixels.
    ///
    /// # Panics
    /// If `size` is 0: a picture without pixels is a mistake of the caller.
    #[track_caller]
    pub fn render(&self, size: u32) -> RgbImage {
        assert!(size > 0, "a garment cannot be drawn at 0 pixels");
        render::picture(self, size)
    }

    /// The cloth alone, as it lies in [`Garment::render`], over a whole picture of `size` by `size` pixels.
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn cloth_picture(&self, size: u32) -> RgbImage {
        assert!(size > 0, "a cloth cannot be drawn at 0 pixels");
        render::cloth(self, size)
    }

    /// How much of each pixel the garment covers (255: all of it), without its shadow.
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn mask(&self, size: u32) -> GrayImage {
        assert!(size > 0, "a garment cannot be drawn at 0 pixels");
        render::mask(self, size)
    }

    /// The line drawing: contours and seams of one colour on white.
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn outline(&self, size: u32, colour: Rgb) -> RgbImage {
        assert!(size > 0, "a garment cannot be drawn at 0 pixels");
        render::outline(self, size, colour)
    }
}

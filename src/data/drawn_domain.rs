//! The built-in garments as domains of image translation: the same cuts in one cloth or another, or as line drawings.

use super::garments::{Cloth, Garment, Palette, Pattern, Rgb, Trim};
use super::{Fingerprint, Fit, Fitting, Source, size_text, thousands};
use crate::error::{Error, Result};

/// Raise it whenever the drawing changes, so that a run does not silently go on with other images.
const EDITION: u64 = 2;

/// What a domain makes of a garment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As drawn: any pattern, any palette.
    Drawn,
    /// The cloth in this pattern, colours and all else as drawn.
    Pattern(Pattern),
    /// The cloth in stripes across the garment, as wide as drawn.
    Striped,
    /// Any pattern but plain.
    Patterned,
    /// This palette.
    Palette(u8),
    /// The line drawing; its colour tells the pattern.
    Outline,
    /// What the line drawing tells of, so that it has one right answer: the pattern at its usual size, straight, in the
    /// palette of the pattern's number, trimmed with its own cloth.
    Told,
}

/// The colours of line drawings by pattern, in the order of [`Pattern::ALL`]: far apart in hue or lightness.
const CODE: [Rgb; 12] = [
    [0, 0, 0],
    [230, 25, 35],
    [20, 90, 230],
    [0, 150, 60],
    [245, 130, 0],
    [150, 30, 180],
    [0, 190, 200],
    [120, 70, 20],
    [240, 50, 200],
    [120, 130, 0],
    [120, 120, 130],
    [130, 165, 255],
];

/// The colour in which a pattern's line drawing is drawn.
pub fn outline_colour(pattern: Pattern) -> Rgb {
    CODE[pattern.id() as usize]
}

impl Look {
    /// The garment as this domain shows it (the outline's is what it tells of).
    pub fn dress(self, garment: &Garment) -> Garment {
        match self {
            Look::Drawn => garment.clone(),
            Look::Pattern(pattern) => garment.with_pattern(pattern),
            Look::Striped => {
                let striped = garment.with_pattern(Pattern::Stripes);
                Garment { cloth: Cloth { angle: 0.0, ..striped.cloth }, ..striped }
            }
            Look::Patterned if garment.cloth.pattern == Pattern::Plain => {
                // Which one depends on the cloth alone, so that a garment keeps it.
                let others = Pattern::ALL.len() - 1;
                let k = (garment.cloth.style * others as f32) as usize;
                garment.with_pattern(Pattern::ALL[1 + k.min(others - 1)])
            }
            Look::Patterned => garment.clone(),
            Look::Palette(id) => garment.with_palette(Palette::ALL[id as usize]),
            Look::Outline | Look::Told => {
                let pattern = garment.cloth.pattern;
                let cloth = Cloth { pattern, scale: 1.0, angle: 0.0, style: 0.5, tint: 0.0 };
                let palette = Palette::ALL[pattern.id() as usize];
                Garment { cloth, palette, trim: Trim::Ground, background: [248, 245, 240], ..garment.clone() }
            }
        }
    }

    fn text(self) -> String {
        match self {
            Look::Drawn => "as they come".into(),
            Look::Pattern(pattern) => format!("in {}", pattern.name()),
            Look::Striped => "in stripes across".into(),
            Look::Patterned => "in any pattern".into(),
            Look::Palette(id) => format!("in {}", Palette::ALL[id as usize].name()),
            Look::Outline => "as line drawings".into(),
            Look::Told => "as their line drawings tell".into(),
        }
    }

    /// The two looks that `garments:NAME` names.
    ///
    /// # Errors
    /// A name that is none, with those there are.
    pub fn pair(name: &str) -> Result<[Look; 2]> {
        let pattern = |word: &str| match word {
            "patterned" => Some(Look::Patterned),
            "striped" => Some(Look::Striped),
            _ => Pattern::from_name(word).map(Look::Pattern),
        };
        let palette = |word: &str| word.parse::<u8>().ok().filter(|&id| usize::from(id) < Palette::ALL.len());
        let found = match name.split('-').collect::<Vec<_>>()[..] {
            ["outline"] => Some([Look::Outline, Look::Told]),
            ["palette", a, b] => palette(a).zip(palette(b)).map(|(a, b)| [Look::Palette(a), Look::Palette(b)]),
            [a, b] => pattern(a).zip(pattern(b)).map(|(a, b)| [a, b]),
            _ => None,
        };
        found.filter(|[a, b]| a != b).ok_or_else(|| {
            let names = Pattern::ALL.map(Pattern::name).join(", ");
            Error::Usage(format!(
                "garments:{name}: no such pair of domains; there are garments:outline, garments:A-B for two of the \
                 patterns {names}, striped (stripes across) and patterned, and garments:palette-M-N for two palettes from 0 to {}",
                Palette::ALL.len() - 1
            ))
        })
    }
}

/// Drawn garments in one look; nothing is read from disk.
pub struct DrawnDomain {
    seed: u64,
    first: u64,
    count: usize,
    look: Look,
    fitting: Fitting,
}

impl DrawnDomain {
    /// `count` garments of a seed from number `first` on.
    pub fn new(seed: u64, first: u64, count: usize, look: Look, fitting: Fitting) -> DrawnDomain {
        DrawnDomain { seed, first, count, look, fitting }
    }

    /// A garment is drawn square, in the size that the fit then needs not scale.
    fn side(&self) -> u32 {
        let [h, w] = self.fitting.size;
        match self.fitting.fit {
            Fit::Crop => h.max(w) as u32,
            Fit::Pad => h.min(w) as u32,
        }
    }

    /// The garment that image `index` shows.
    pub fn garment(&self, index: usize) -> Garment {
        self.look.dress(&Garment::draw(self.seed, self.first + index as u64))
    }
}

impl Source for DrawnDomain {
    fn len(&self) -> usize {
        self.count
    }

    fn shape(&self) -> [usize; 3] {
        self.fitting.shape()
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let side = self.side();
        let garment = self.garment(index);
        let image = match self.look {
            Look::Outline => garment.outline(side, outline_colour(garment.cloth.pattern)),
            _ => garment.render(side),
        };
        self.fitting.apply(image.into(), out);
        Ok(())
    }

    fn mask(&self, index: usize) -> Option<Vec<bool>> {
        let fitting = Fitting { channels: 1, background: [0; 3], ..self.fitting };
        let mut bytes = vec![0; fitting.shape().iter().product()];
        fitting.apply(self.garment(index).mask(self.side()).into(), &mut bytes);
        Some(bytes.into_iter().map(|byte| byte >= 128).collect())
    }

    fn label(&self, index: usize) -> Option<u8> {
        Some(self.garment(index).cloth.pattern.id())
    }

    fn common_label(&self) -> Option<u8> {
        match self.look {
            Look::Pattern(pattern) => Some(pattern.id()),
            Look::Striped => Some(Pattern::Stripes.id()),
            _ => None,
        }
    }

    fn describe(&self) -> String {
        let (count, size) = (thousands(self.count), size_text(self.shape()));
        format!("{count} garments {} drawn from seed {}, {size}", self.look.text(), self.seed)
    }

    fn fingerprint(&self) -> String {
        let [c, h, w] = self.shape().map(|n| n as u64);
        let numbers = [EDITION, self.seed, self.first, self.count as u64, c, h, w, self.fitting.fit as u64];
        let print = numbers.iter().fold(Fingerprint::new("domain"), |print, &number| print.number(number));
        print.bytes(self.look.text().as_bytes()).bytes(&self.fitting.background).text()
    }
}

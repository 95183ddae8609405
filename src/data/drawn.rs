//! The built-in garments as a source: each image is drawn from the seed and its index when it is asked for.

use super::garments::Garment;
use super::{Fingerprint, Fit, Fitting, Source, size_text, thousands};
use crate::error::Result;

/// Raise it whenever the drawing changes, so that a run does not silently go on with other images.
const EDITION: u64 = 1;

/// Drawn garments; nothing is read from disk.
pub struct DrawnGarments {
    seed: u64,
    count: usize,
    fitting: Fitting,
}

impl DrawnGarments {
    /// `count` garments under `seed`.
    pub fn new(seed: u64, count: usize, fitting: Fitting) -> DrawnGarments {
        DrawnGarments { seed, count, fitting }
    }
}

impl Source for DrawnGarments {
    fn len(&self) -> usize {
        self.count
    }

    fn shape(&self) -> [usize; 3] {
        self.fitting.shape()
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        // A garment is drawn square, in the size that the fit then needs not scale.
        let [h, w] = self.fitting.size;
        let side = match self.fitting.fit {
            Fit::Crop => h.max(w),
            Fit::Pad => h.min(w),
        };
        let image = Garment::draw(self.seed, index as u64).render(side as u32);
        self.fitting.apply(image.into(), out);
        Ok(())
    }

    fn describe(&self) -> String {
        let size = size_text(self.shape());
        format!("{} garments drawn from seed {}, {size}", thousands(self.count), self.seed)
    }

    fn fingerprint(&self) -> String {
        let [c, h, w] = self.shape().map(|n| n as u64);
        let numbers = [EDITION, self.seed, self.count as u64, c, h, w, self.fitting.fit as u64];
        let print = numbers.iter().fold(Fingerprint::new("garments"), |print, &number| print.number(number));
        print.bytes(&self.fitting.background).text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_always_draws_the_same_garment() {
        let fitting = Fitting { size: [24, 16], channels: 3, fit: Fit::Crop, background: [255; 3] };
        let source = DrawnGarments::new(7, 100, fitting);
        let image = |source: &DrawnGarments, index| {
            let mut out = vec![0; source.shape().iter().product()];
            source.pixels(index, &mut out).unwrap();
            out
        };
        assert_eq!((source.len(), source.shape()), (100, [3, 24, 16]));
        assert_eq!(image(&source, 5), image(&DrawnGarments::new(7, 9, fitting), 5));
        assert_ne!(image(&source, 5), image(&source, 6));
        assert_ne!(image(&source, 5), image(&DrawnGarments::new(8, 9, fitting), 5));
        assert_ne!(source.fingerprint(), DrawnGarments::new(8, 100, fitting).fingerprint());
        assert_eq!(source.describe(), "100 garments drawn from seed 7, 16x24 RGB");
        let padded = DrawnGarments::new(7, 1, Fitting { channels: 1, fit: Fit::Pad, ..fitting });
        assert_eq!(image(&padded, 0)[..16 * 4], [255; 64]);
    }
}

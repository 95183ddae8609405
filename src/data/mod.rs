//! Where images come from: sources, the conversions to the size a network wants, and the loader that feeds training.
//!
//! A [`Source`] numbers its images from 0 and gives each as `[C, H, W]`. [`open`] finds the source a user names;
//! [`Loader`] turns it into the endless, reproducible sequence of batches that training reads.

mod cache;
mod domains;
mod drawn;
mod drawn_domain;
mod fingerprint;
mod fit;
mod folder;
pub mod garments;
mod halves;
mod idx;
mod inspect;
mod licences;
mod loader;
mod open;

pub use cache::Cached;
pub use domains::{DomainSpec, Domains, HELD_OUT_FROM, open_domains};
pub use drawn::DrawnGarments;
pub use drawn_domain::{DrawnDomain, Look, outline_colour};
pub use fingerprint::Fingerprint;
pub use fit::{Fit, Fitting};
pub use folder::{ImageFolder, image_files, read_image};
pub use halves::Halves;
pub use idx::{FASHION_MNIST_FOLDER, Idx, IdxImages, Replicated, read_idx};
pub use inspect::{Inspection, inspect};
pub use licences::{Licences, licence_of, licences_of_source};
pub use loader::{Batch, Loader, LoaderOptions};
pub use open::{CACHE_BYTES, DataSpec, open};

use crate::error::Result;

/// A numbered set of images of one size.
///
/// The same index always gives the same pixels; a source can be read from several threads at once.
pub trait Source: Send + Sync {
    /// The number of images; never 0 for a source that [`open`] returns.
    fn len(&self) -> usize;

    /// Whether there is no image at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape `[C, H, W]` of every image; C is 1 (grey) or 3 (RGB).
    fn shape(&self) -> [usize; 3];

    /// Writes image `index` into `out` as bytes 0..=255 in the order `[C, H, W]`.
    ///
    /// `index` must be below [`len`](Source::len), and `out` must have C·H·W elements. The error names the file that
    /// could not be read.
    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()>;

    /// Writes image `index` into `out` as numbers in [-1, 1] in the order `[C, H, W]`: byte `v` becomes `v/127.5 - 1`.
    fn load(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let mut bytes = vec![0; out.len()];
        self.pixels(index, &mut bytes)?;
        for (value, byte) in out.iter_mut().zip(bytes) {
            *value = f32::from(byte) / 127.5 - 1.0;
        }
        Ok(())
    }

    /// The class of image `index`, where the data has classes.
    fn label(&self, _index: usize) -> Option<u8> {
        None
    }

    /// The class that every image has, where the data is of one class.
    fn common_label(&self) -> Option<u8> {
        None
    }

    /// Which pixels of image `index` show the thing, `[H·W]`, where that is known.
    fn mask(&self, _index: usize) -> Option<Vec<bool>> {
        None
    }

    /// One line for the user: what, how many, which size.
    fn describe(&self) -> String;

    /// A short text that is equal for equal images, on every machine and wherever the files lie.
    ///
    /// A run stores it, so that going on with other data is an error instead of a surprise.
    fn fingerprint(&self) -> String;
}

/// The number of elements of a `[C, H, W]` image.
pub(crate) fn volume(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `[3, 64, 48]` as `48x64 RGB`: width first, as image programs say it.
pub(crate) fn size_text([c, h, w]: [usize; 3]) -> String {
    format!("{w}x{h} {}", if c == 1 { "grey" } else { "RGB" })
}

#[cfg(test)]
pub(crate) mod test_source {
    use super::*;
    use crate::error::Error;

    /// Images of one row `[1, 1, 4]` whose bytes tell their index; image `broken` cannot be read.
    pub(crate) struct Numbered {
        pub count: usize,
        pub broken: Option<usize>,
    }

    impl Source for Numbered {
        fn len(&self) -> usize {
            self.count
        }

        fn shape(&self) -> [usize; 3] {
            [1, 1, 4]
        }

        fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
            if self.broken.is_some_and(|broken| index >= broken) {
                return Err(Error::file(format!("{index}.png"), "cannot be read"));
            }
            out.copy_from_slice(&[index as u8, (index >> 8) as u8, 0, 255]);
            Ok(())
        }

        fn describe(&self) -> String {
            format!("{} numbers", self.count)
        }

        fn fingerprint(&self) -> String {
            Fingerprint::new("numbers").number(self.count as u64).text()
        }
    }

    #[test]
    fn bytes_become_numbers_from_minus_one_to_one() {
        let mut out = [0.0; 4];
        Numbered { count: 300, broken: None }.load(255, &mut out).unwrap();
        assert_eq!(out, [1.0, -1.0, -1.0, 1.0]);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 60000, 1234567].map(thousands), ["0", "999", "1,000", "60,000", "1,234,567"]);
        assert_eq!(size_text([3, 64, 48]), "48x64 RGB");
    }
}

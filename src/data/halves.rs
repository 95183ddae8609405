//! A folder of side-by-side pairs: the left halves of its images as one domain, the right ones as the other.

use super::folder::{files_fingerprint, read_image};
use super::{Fitting, Source, image_files, size_text, thousands};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// One half of each image of a folder.
pub struct Halves {
    folder: PathBuf,
    files: Vec<PathBuf>,
    right: bool,
    fitting: Fitting,
    fingerprint: String,
}

impl Halves {
    /// The left halves, or the right ones, of the images of `folder`.
    ///
    /// # Errors
    /// A missing, unreadable or empty folder.
    pub fn open(folder: &Path, right: bool, fitting: Fitting) -> Result<Halves> {
        let files = image_files(folder)?;
        let kind = if right { "right-halves" } else { "left-halves" };
        let fingerprint = files_fingerprint(kind, folder, &files, &fitting)?;
        Ok(Halves { folder: folder.to_path_buf(), files, right, fitting, fingerprint })
    }
}

impl Source for Halves {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.fitting.shape()
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let file = &self.files[index];
        let image = read_image(file)?;
        let (w, h) = (image.width(), image.height());
        if w % 2 == 1 {
            let why = format!("is {w} pixels wide, but a side-by-side pair has two halves of equal width");
            return Err(Error::file(file, why));
        }
        self.fitting.apply(image.crop_imm(if self.right { w / 2 } else { 0 }, 0, w / 2, h), out);
        Ok(())
    }

    fn describe(&self) -> String {
        let (side, number) = (if self.right { "right" } else { "left" }, thousands(self.files.len()));
        format!("{side} halves of {number} images from {}, as {}", self.folder.display(), size_text(self.shape()))
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

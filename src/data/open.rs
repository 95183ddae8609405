//! From what a user writes after `--data` to a source: a built-in name, an IDX file, or a folder of images.

use super::folder::has_image_name;
use super::idx::image_file;
use super::{Cached, DrawnGarments, FASHION_MNIST_FOLDER, Fit, Fitting, IdxImages, ImageFolder, Replicated, Source};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The memory that decoded images may take, in bytes, unless the user says otherwise: 512 MiB.
pub const CACHE_BYTES: usize = 512 << 20;

/// How many garments are drawn unless the user says otherwise.
const GARMENTS: usize = 20_000;
/// The longest side an image may be wanted in, in pixels.
const MAX_SIZE: usize = 8192;
const BUILT_IN: [&str; 2] = ["garments", "fashion-mnist"];

/// Which images, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSpec {
    /// `garments`, `fashion-mnist`, or the path of an IDX file, a folder with IDX files or a folder of images. A
    /// built-in name wins over a folder of that name; `./garments` means the folder.
    pub source: String,
    /// Wanted height and width, in pixels.
    pub size: [usize; 2],
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// What to do about another aspect.
    pub fit: Fit,
    /// The colour under transparent pixels and around padded images.
    pub background: [u8; 3],
    /// How many garments to draw, 20,000 if `None`; other sources have as many images as they have.
    pub count: Option<usize>,
    /// The seed of the garments; other sources ignore it.
    pub seed: u64,
    /// The memory that decoded images may take, in bytes; 0 decodes each image each time.
    pub cache_bytes: usize,
}

impl Default for DataSpec {
    fn default() -> DataSpec {
        DataSpec {
            source: "garments".into(),
            size: [64, 64],
            channels: 3,
            fit: Fit::Crop,
            background: [255; 3],
            count: None,
            seed: 0,
            cache_bytes: CACHE_BYTES,
        }
    }
}

impl DataSpec {
    /// How an image becomes what the networks see.
    pub fn fitting(&self) -> Fitting {
        Fitting { size: self.size, channels: self.channels, fit: self.fit, background: self.background }
    }
}

/// The number of garments that are wanted, or `otherwise`.
pub(super) fn garment_count(wanted: Option<usize>, otherwise: usize) -> Result<usize> {
    match wanted.unwrap_or(otherwise) {
        count if (1..=u32::MAX as usize).contains(&count) => Ok(count),
        count => Err(Error::Invalid(format!("data: count {count} must be between 1 and {}", u32::MAX))),
    }
}

/// Opens the images that `spec` names. Every error says what to write instead.
pub fn open(spec: &DataSpec) -> Result<Arc<dyn Source>> {
    let [h, w] = spec.size;
    if !(1..=MAX_SIZE).contains(&h) || !(1..=MAX_SIZE).contains(&w) {
        return Err(Error::Invalid(format!("data: size {h}x{w} must be between 1 and {MAX_SIZE} pixels a side")));
    }
    if spec.channels != 1 && spec.channels != 3 {
        return Err(Error::Invalid(format!("data: {} channels; images have 1 (grey) or 3 (RGB)", spec.channels)));
    }
    let fitting = spec.fitting();
    match spec.source.as_str() {
        "garments" => {
            let count = garment_count(spec.count, GARMENTS)?;
            Ok(Arc::new(Cached::new(DrawnGarments::new(spec.seed, count, fitting), spec.cache_bytes)))
        }
        "fashion-mnist" => fashion_mnist(Path::new(FASHION_MNIST_FOLDER), fitting, spec),
        path => open_path(Path::new(path), fitting, spec),
    }
}

fn fashion_mnist(folder: &Path, fitting: Fitting, spec: &DataSpec) -> Result<Arc<dyn Source>> {
    if !folder.is_dir() {
        return Err(Error::Usage(format!(
            "--data fashion-mnist: there is no folder {}. Install it with `sudo apt-get install \
             dataset-fashion-mnist` (Debian, Ubuntu), or pass the folder that holds your \
             train-images-idx3-ubyte.gz: --data FOLDER",
            folder.display()
        )));
    }
    open_idx(folder, fitting, spec)
}

fn open_path(path: &Path, fitting: Fitting, spec: &DataSpec) -> Result<Arc<dyn Source>> {
    if path.is_dir() {
        if image_file(path)?.is_some() {
            return open_idx(path, fitting, spec);
        }
        return Ok(Arc::new(Cached::new(ImageFolder::open(path, fitting)?, spec.cache_bytes)));
    }
    if let Err(e) = fs::metadata(path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::io("cannot read", path, e));
    }
    if !path.exists() {
        return Err(unknown(path));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if [".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar"].iter().any(|end| name.ends_with(end)) {
        return Err(Error::file(path, "is an archive: unpack it and name the folder"));
    }
    if has_image_name(path) {
        return Err(Error::file(path, "is a single image: name the folder that holds the images"));
    }
    if name.ends_with(".gz") || name.ends_with("ubyte") {
        return open_idx(path, fitting, spec);
    }
    Err(Error::file(
        path,
        "is no data set that can be read: name a folder of PNG, JPEG or WebP images, or an IDX file \
         (*-images-idx3-ubyte, plain or .gz)",
    ))
}

fn open_idx(path: &Path, fitting: Fitting, spec: &DataSpec) -> Result<Arc<dyn Source>> {
    let images = IdxImages::open(path, fitting)?;
    // Unscaled images already lie in memory as bytes; a cache would only hold them twice.
    let budget = if images.is_resized() { spec.cache_bytes } else { 0 };
    let grey = Cached::new(images, budget);
    Ok(if spec.channels == 3 { Arc::new(Replicated(grey)) } else { Arc::new(grey) })
}

/// The error for something that is neither a built-in name nor a path, with the nearest names there are.
fn unknown(path: &Path) -> Error {
    let wanted = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let mut names: Vec<String> = if parent.is_none() { BUILT_IN.map(String::from).to_vec() } else { Vec::new() };
    if let Ok(entries) = fs::read_dir(parent.unwrap_or(Path::new("."))) {
        let beside = entries.flatten().take(1000).map(|entry| entry.file_name());
        names.extend(beside.map(|name| match parent {
            Some(parent) => parent.join(&name).display().to_string(),
            None => Path::new(&name).display().to_string(),
        }));
    }
    let mut near: Vec<(usize, String)> = names
        .into_iter()
        .map(|name| {
            let last = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            (edits(&wanted, &last), name)
        })
        .filter(|(distance, _)| *distance <= 1 + wanted.chars().count() / 4)
        .collect();
    near.sort();
    near.truncate(3);
    let near: Vec<String> = near.into_iter().map(|(_, name)| format!("`{name}`")).collect();
    let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
    Error::Usage(format!(
        "--data {}: no such data set, file or folder.{hint} It may be `garments` (built in, drawn), `fashion-mnist`, \
         a folder of PNG, JPEG or WebP images, or an IDX file or the folder that holds it",
        path.display()
    ))
}

/// The number of insertions, deletions and replacements that turn `a` into `b` (Levenshtein distance).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn spec(source: impl AsRef<Path>) -> DataSpec {
        DataSpec { source: source.as_ref().display().to_string(), size: [8, 8], ..DataSpec::default() }
    }

    fn refused(spec: &DataSpec) -> String {
        open(spec).err().expect("an error").to_string()
    }

    fn idx(folder: &Path, name: &str) {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4];
        bytes.extend([128; 32]);
        fs::write(folder.join(name), bytes).unwrap();
    }

    #[test]
    fn garments() {
        let source = open(&DataSpec { count: Some(12), size: [16, 16], ..DataSpec::default() }).unwrap();
        assert_eq!((source.len(), source.shape()), (12, [3, 16, 16]));
        assert_eq!(open(&DataSpec::default()).unwrap().len(), 20_000);
    }

    #[test]
    fn folders_and_idx_files() {
        let root = tempfile::tempdir().unwrap();
        let images = root.path().join("garments");
        fs::create_dir(&images).unwrap();
        RgbImage::from_pixel(9, 9, Rgb([1, 2, 3])).save(images.join("a.png")).unwrap();
        let source = open(&spec(&images)).unwrap();
        let mut out = vec![0.0; 192];
        source.load(0, &mut out).unwrap();
        assert_eq!((out[0], out[64]), (1.0 / 127.5 - 1.0, 2.0 / 127.5 - 1.0));
        idx(&images, "x-images-idx3-ubyte");
        for path in [&images, &images.join("x-images-idx3-ubyte")] {
            let source = open(&spec(path)).unwrap();
            assert_eq!((source.len(), source.shape()), (2, [3, 8, 8]));
            source.load(1, &mut out).unwrap();
            assert!(out.iter().all(|&v| v == 128.0 / 127.5 - 1.0));
            assert_eq!(open(&DataSpec { channels: 1, ..spec(path) }).unwrap().shape(), [1, 8, 8]);
        }
    }

    #[test]
    fn fashion_mnist_that_is_not_installed() {
        let spec = spec("fashion-mnist");
        let fitting = Fitting { size: [8, 8], channels: 3, fit: Fit::Crop, background: [0; 3] };
        let root = tempfile::tempdir().unwrap();
        let text = fashion_mnist(&root.path().join("none"), fitting, &spec).err().unwrap().to_string();
        assert!(text.contains("apt-get install dataset-fashion-mnist") && text.contains("--data FOLDER"), "{text}");
        idx(root.path(), "train-images-idx3-ubyte");
        assert_eq!(fashion_mnist(root.path(), fitting, &spec).unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_a_data_set() {
        let text = refused(&spec("garmets"));
        assert!(text.contains("Did you mean `garments`?") && text.contains("`fashion-mnist`"), "{text}");
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dresses")).unwrap();
        let text = refused(&spec(root.path().join("dreses")));
        assert!(text.contains("Did you mean") && text.contains("dresses`?"), "{text}");
        assert!(!refused(&spec(root.path().join("xylophone"))).contains("Did you mean"));
        for (name, wanted) in
            [("a.zip", "unpack"), ("a.tar.gz", "unpack"), ("a.jpg", "single image"), ("a.csv", "IDX file")]
        {
            fs::write(root.path().join(name), "text").unwrap();
            let text = refused(&spec(root.path().join(name)));
            assert!(text.contains(name) && text.contains(wanted), "{text}");
        }
        assert!(refused(&spec(root.path().join("dresses"))).contains("no image found"));
    }

    #[test]
    fn impossible_wishes() {
        assert!(refused(&DataSpec { size: [0, 8], ..DataSpec::default() }).contains("size 0x8"));
        assert!(refused(&DataSpec { size: [8, usize::MAX], ..DataSpec::default() }).contains("size"));
        assert!(refused(&DataSpec { channels: 4, ..DataSpec::default() }).contains("4 channels"));
        assert!(refused(&DataSpec { count: Some(0), ..DataSpec::default() }).contains("count 0"));
    }

    #[test]
    fn edit_distances() {
        assert_eq!([edits("", "abc"), edits("kitten", "sitting"), edits("same", "same")], [3, 3, 0]);
    }
}

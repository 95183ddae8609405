//! Looks through a whole data set: what can be read, sizes, kinds, duplicates.

use super::{DataSpec, Fingerprint, image_files, open, read_image, volume};
use crate::error::Result;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// Images that can be read.
    pub images: usize,
    /// Files that cannot be read, each with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
    /// How many picture files have which width and height, in pixels.
    pub sizes: BTreeMap<[u32; 2], usize>,
    /// How many picture files are of which kind, such as `RGB, 8 bit`.
    pub kinds: BTreeMap<String, usize>,
    /// Groups of images with the same pixels; files by path, other images by number.
    pub duplicates: Vec<Vec<String>>,
}

struct Found {
    name: String,
    /// Size and kind of a picture in a file of its own.
    file: Option<([u32; 2], String)>,
    pixels: String,
}

/// Reads every image of the data that `spec` names; unreadable files are listed, not an error.
///
/// # Errors
/// Data that cannot be opened at all.
pub fn inspect(spec: &DataSpec) -> Result<Inspection> {
    let path = Path::new(&spec.source);
    let source = open(spec)?;
    // A folder of images is looked at file by file, before anything is cropped.
    let files = if path.is_dir() { image_files(path).unwrap_or_default() } else { Vec::new() };
    let found: Vec<std::result::Result<Found, (PathBuf, String)>> = if files.is_empty() {
        let shape = source.shape();
        let one = |index: usize| {
            let mut pixels = vec![0; volume(shape)];
            source.pixels(index, &mut pixels).map_err(|error| (path.to_path_buf(), error.to_string()))?;
            let print = Fingerprint::new("pixels").bytes(&pixels).text();
            Ok(Found { name: format!("image {index}"), file: None, pixels: print })
        };
        (0..source.len()).into_par_iter().map(one).collect()
    } else {
        let one = |file: &PathBuf| {
            let image = read_image(file).map_err(|error| (file.clone(), error.to_string()))?;
            let colour = image.color();
            let channels =
                ["", "grey", "grey and alpha", "RGB", "RGB and alpha"][usize::from(colour.channel_count()).min(4)];
            let bits = colour.bits_per_pixel() / u16::from(colour.channel_count());
            let print = Fingerprint::new("pixels").number(u64::from(image.width())).bytes(image.as_bytes()).text();
            let kind = format!("{channels}, {bits} bit");
            Ok(Found {
                name: file.display().to_string(),
                file: Some(([image.width(), image.height()], kind)),
                pixels: print,
            })
        };
        files.par_iter().map(one).collect()
    };

    let mut inspection = Inspection::default();
    let mut same: HashMap<String, Vec<String>> = HashMap::new();
    let mut order: Vec<String> = Vec::new();
    for result in found {
        match result {
            Err(unreadable) => inspection.unreadable.push(unreadable),
            Ok(found) => {
                inspection.images += 1;
                if let Some((size, kind)) = found.file {
                    *inspection.sizes.entry(size).or_default() += 1;
                    *inspection.kinds.entry(kind).or_default() += 1;
                }
                let group = same.entry(found.pixels.clone()).or_default();
                if group.is_empty() {
                    order.push(found.pixels);
                }
                group.push(found.name);
            }
        }
    }
    inspection.duplicates =
        order.into_iter().filter_map(|key| same.remove(&key).filter(|group| group.len() > 1)).collect();
    Ok(inspection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_wrong_with_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, image: image::DynamicImage| image.save(folder.path().join(name)).unwrap();
        let red = image::RgbImage::from_pixel(5, 4, image::Rgb([200, 0, 0]));
        save("a.png", red.clone().into());
        save("b.png", red.into());
        save("c.png", image::GrayImage::new(3, 3).into());
        std::fs::write(folder.path().join("d.png"), b"no image").unwrap();
        let spec = DataSpec { source: folder.path().display().to_string(), ..DataSpec::default() };
        let found = inspect(&spec).unwrap();
        assert_eq!((found.images, found.unreadable.len(), found.duplicates.len()), (3, 1, 1));
        assert_eq!(found.sizes, BTreeMap::from([([3, 3], 1), ([5, 4], 2)]));
        assert_eq!(found.kinds.keys().collect::<Vec<_>>(), ["RGB, 8 bit", "grey, 8 bit"]);
    }

    #[test]
    fn drawn_garments_are_all_different() {
        let found = inspect(&DataSpec { count: Some(200), size: [28, 28], ..DataSpec::default() }).unwrap();
        assert_eq!((found.images, found.duplicates.len()), (200, 0));
    }
}

//! Two domains of images for image translation, paired or not: from what a recipe names to two sources.

use super::drawn_domain::{DrawnDomain, Look};
use super::open::garment_count;
use super::{CACHE_BYTES, Cached, Fit, Fitting, Halves, ImageFolder, Source, image_files};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many garments a built-in domain has unless the user says otherwise.
const GARMENTS: usize = 4_000;
/// From here on count the garments that no run is trained on.
pub const HELD_OUT_FROM: u64 = 1 << 40;
/// How many of them are shown.
const SHOWN: usize = 32;
/// From here on count the garments of the other domain, so that unpaired domains share no garment.
const OTHERS: u64 = 1 << 32;

/// Which images the two domains have, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DomainSpec {
    /// `garments:outline`, `garments:plain-striped` (any two patterns), `garments:palette-0-1`; a folder that holds
    /// `trainA/` and `trainB/`; a folder of side-by-side pairs; or, with `source_b`, the folder of domain A.
    pub source: String,
    /// The folder of domain B.
    pub source_b: Option<String>,
    /// Image i of A belongs to image i of B: files of equal names, the halves of one image, one garment twice.
    pub paired: bool,
    /// A becomes B and B becomes A.
    pub swap: bool,
    /// Height and width that the networks see, in pixels.
    pub size: [usize; 2],
    /// Height and width that images are scaled to before a random part of `size` is cut out; `size` if `None`.
    pub load_size: Option<[usize; 2]>,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// What to do about another aspect.
    pub fit: Fit,
    /// The colour under transparent pixels and around padded images.
    pub background: [u8; 3],
    /// How many garments to draw, 4,000 if `None`; other sources have as many images as they have.
    pub count: Option<usize>,
    /// The seed of the garments; other sources ignore it.
    pub seed: u64,
    /// The memory that decoded images of each domain may take, in bytes.
    pub cache_bytes: usize,
}

impl Default for DomainSpec {
    fn default() -> DomainSpec {
        DomainSpec {
            source: "garments:plain-striped".into(),
            source_b: None,
            paired: false,
            swap: false,
            size: [64, 64],
            load_size: None,
            channels: 3,
            fit: Fit::Crop,
            background: [255; 3],
            count: None,
            seed: 0,
            cache_bytes: CACHE_BYTES,
        }
    }
}

impl DomainSpec {
    /// How an image becomes what the networks see, without a random cut.
    pub fn fitting(&self) -> Fitting {
        Fitting { size: self.size, channels: self.channels, fit: self.fit, background: self.background }
    }

    /// Whether the images are drawn by the program.
    pub fn is_built_in(&self) -> bool {
        self.source.starts_with("garments:")
    }
}

/// Two domains.
#[derive(Clone)]
pub struct Domains {
    /// Domain A.
    pub a: Arc<dyn Source>,
    /// Domain B. If paired, as many images as A, in the same order.
    pub b: Arc<dyn Source>,
    /// Images of A and B to look at: held out from training where there are such, without a random cut.
    pub shown: [Arc<dyn Source>; 2],
    /// Whether image i of A belongs to image i of B.
    pub paired: bool,
}

impl Domains {
    /// Both domains in a line.
    pub fn describe(&self) -> String {
        let how = if self.paired { "paired with" } else { "and, unpaired," };
        format!("{} {how} {}", self.a.describe(), self.b.describe())
    }

    /// Equal for equal images, as [`Source::fingerprint`].
    pub fn fingerprint(&self) -> String {
        format!("{}+{}{}", self.a.fingerprint(), self.b.fingerprint(), if self.paired { "+paired" } else { "" })
    }

    fn swapped(self) -> Domains {
        let [shown_a, shown_b] = self.shown;
        Domains { a: self.b, b: self.a, shown: [shown_b, shown_a], paired: self.paired }
    }
}

/// Opens the two domains that `spec` names.
///
/// # Errors
/// Says what to write instead: an unknown name, a folder without images, pairs that are not pairs.
pub fn open_domains(spec: &DomainSpec) -> Result<Domains> {
    let whole = spec.fitting();
    let loaded = Fitting { size: spec.load_size.unwrap_or(spec.size), ..whole };
    let domains = match spec.source.strip_prefix("garments:") {
        Some(name) => drawn(name, spec, loaded, whole)?,
        None => folders(spec, loaded, whole)?,
    };
    Ok(if spec.swap { domains.swapped() } else { domains })
}

fn drawn(name: &str, spec: &DomainSpec, loaded: Fitting, whole: Fitting) -> Result<Domains> {
    let looks = Look::pair(name)?;
    let count = garment_count(spec.count, GARMENTS)?;
    let others = if spec.paired { 0 } else { OTHERS };
    let train = |first, look| -> Arc<dyn Source> {
        Arc::new(Cached::new(DrawnDomain::new(spec.seed, first, count, look, loaded), spec.cache_bytes))
    };
    let shown = looks
        .map(|look| -> Arc<dyn Source> { Arc::new(DrawnDomain::new(spec.seed, HELD_OUT_FROM, SHOWN, look, whole)) });
    Ok(Domains { a: train(0, looks[0]), b: train(others, looks[1]), shown, paired: spec.paired })
}

fn folders(spec: &DomainSpec, loaded: Fitting, whole: Fitting) -> Result<Domains> {
    let root = Path::new(&spec.source);
    if !root.exists() {
        return Err(Error::Usage(format!(
            "--data {}: no such folder. It may be garments:outline, garments:plain-striped or another pair of looks (drawn by the \
             program), a folder with trainA/ and trainB/, or, with --set data.paired=true, one of side-by-side pairs",
            root.display()
        )));
    }
    let cached = |folder: ImageFolder| -> Arc<dyn Source> { Arc::new(Cached::new(folder, spec.cache_bytes)) };
    if let Some(b) = &spec.source_b {
        let [a, b] = two_folders(root, Path::new(b), spec.paired, loaded)?;
        let shown = two_folders(root, Path::new(spec.source_b.as_deref().unwrap_or_default()), spec.paired, whole)?;
        return Ok(Domains {
            a: cached(a),
            b: cached(b),
            shown: shown.map(|f| -> Arc<dyn Source> { Arc::new(f) }),
            paired: spec.paired,
        });
    }
    let (train, test) =
        (["trainA", "trainB"].map(|name| root.join(name)), ["testA", "testB"].map(|name| root.join(name)));
    match train.each_ref().map(|folder| folder.is_dir()) {
        [true, true] => {
            let [a, b] = two_folders(&train[0], &train[1], spec.paired, loaded)?;
            let shown = if test.iter().all(|folder| folder.is_dir()) { &test } else { &train };
            let shown = two_folders(&shown[0], &shown[1], spec.paired, whole)?;
            Ok(Domains {
                a: cached(a),
                b: cached(b),
                shown: shown.map(|f| -> Arc<dyn Source> { Arc::new(f) }),
                paired: spec.paired,
            })
        }
        [false, false] if spec.paired => {
            let half = |right, fitting| Halves::open(root, right, fitting);
            let train = |right| -> Result<Arc<dyn Source>> {
                Ok(Arc::new(Cached::new(half(right, loaded)?, spec.cache_bytes)))
            };
            let shown: [Arc<dyn Source>; 2] = [Arc::new(half(false, whole)?), Arc::new(half(true, whole)?)];
            Ok(Domains { a: train(false)?, b: train(true)?, shown, paired: true })
        }
        [false, false] => {
            // A folder that is not there says so; one that is there, what it lacks.
            image_files(root)?;
            Err(Error::file(
                root,
                "holds no trainA/ and trainB/: put the images of the two domains there, or name the second folder with \
                 --set data.source_b=FOLDER, or, if each image is a pair side by side, say --set data.paired=true",
            ))
        }
        [has_a, _] => {
            let (there, missing) = if has_a { ("trainA", "trainB") } else { ("trainB", "trainA") };
            Err(Error::file(root, format!("holds {there}/ but no {missing}/: both domains are needed")))
        }
    }
}

/// The images of two folders; if `paired`, those of equal names (without the ending) side by side.
fn two_folders(a: &Path, b: &Path, paired: bool, fitting: Fitting) -> Result<[ImageFolder; 2]> {
    if !paired {
        return Ok([ImageFolder::open(a, fitting)?, ImageFolder::open(b, fitting)?]);
    }
    let [files_a, files_b] = [by_name(a)?, by_name(b)?];
    for (from, files, to, partners) in [(a, &files_a, b, &files_b), (b, &files_b, a, &files_a)] {
        let alone: Vec<&PathBuf> =
            files.iter().filter(|(name, _)| !partners.contains_key(*name)).map(|f| f.1).collect();
        if let Some(first) = alone.first() {
            let why = format!(
                "{} of its {} images have no partner of the same name in {}, such as {}; remove them or set data.paired=false",
                alone.len(),
                files.len(),
                to.display(),
                first.display()
            );
            return Err(Error::file(from, why));
        }
    }
    let [files_a, files_b] = [files_a, files_b].map(|files| files.into_values().collect());
    Ok([ImageFolder::of(a, files_a, fitting)?, ImageFolder::of(b, files_b, fitting)?])
}

/// The images of a folder by their path in it, without the ending.
fn by_name(folder: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let mut found: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for file in image_files(folder)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).with_extension("");
        if let Some(other) = found.insert(name, file.clone()) {
            let why = format!("and {} have the same name but for the ending: which one is meant?", other.display());
            return Err(Error::file(file, why));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::garments::Pattern;
    use super::super::{Loader, LoaderOptions};
    use super::*;
    use image::{Rgb, RgbImage};
    use std::fs;

    fn save(path: PathBuf, width: u32, colour: impl Fn(u32) -> u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(width, 8, |x, _| Rgb([colour(x), 0, 0])).save(path).unwrap();
    }

    fn spec(source: &Path, paired: bool) -> DomainSpec {
        DomainSpec { source: source.display().to_string(), paired, size: [8, 8], ..DomainSpec::default() }
    }

    fn reds(source: &dyn Source) -> Vec<u8> {
        let mut out = vec![0; 192];
        let red = |i| source.pixels(i, &mut out).map(|()| out[0]).unwrap();
        (0..source.len()).map(red).collect()
    }

    fn refused(spec: &DomainSpec) -> String {
        open_domains(spec).err().expect("an error").to_string()
    }

    #[test]
    fn two_folders_paired_by_name_or_not() {
        let root = tempfile::tempdir().unwrap();
        for (name, red) in [("trainA/x.png", 10), ("trainA/y.png", 20), ("trainB/x.webp", 110), ("trainB/y.png", 120)] {
            save(root.path().join(name), 8, |_| red);
        }
        save(root.path().join("trainB/sub/z.png"), 8, |_| 130);
        let unpaired = open_domains(&spec(root.path(), false)).unwrap();
        assert_eq!((reds(&*unpaired.a), unpaired.b.len()), (vec![10, 20], 3));
        let text = refused(&spec(root.path(), true));
        assert!(text.contains("1 of its 3 images") && text.contains("z.png") && text.contains("data.paired"), "{text}");
        fs::remove_dir_all(root.path().join("trainB/sub")).unwrap();
        let paired = open_domains(&spec(root.path(), true)).unwrap();
        assert_eq!(reds(&*paired.a).iter().map(|r| r + 100).collect::<Vec<_>>(), reds(&*paired.b));
        assert_ne!(paired.fingerprint(), unpaired.fingerprint());
        let swapped = open_domains(&DomainSpec { swap: true, ..spec(root.path(), true) }).unwrap();
        assert_eq!(reds(&*swapped.a), reds(&*paired.b));
        let b = root.path().join("trainB").display().to_string();
        let two = open_domains(&DomainSpec { source_b: Some(b), ..spec(&root.path().join("trainA"), true) }).unwrap();
        assert_eq!(reds(&*two.b), reds(&*paired.b));
        // Shown images are those of testA and testB where these are there.
        save(root.path().join("testA/t.png"), 8, |_| 50);
        save(root.path().join("testB/t.png"), 8, |_| 60);
        let shown = open_domains(&spec(root.path(), false)).unwrap().shown;
        assert_eq!([reds(&*shown[0]), reds(&*shown[1])], [[50], [60]]);
        save(root.path().join("trainA/x.jpg"), 8, |_| 9);
        assert!(refused(&spec(root.path(), true)).contains("which one is meant"));
    }

    #[test]
    fn halves_of_one_image() {
        let root = tempfile::tempdir().unwrap();
        save(root.path().join("p.png"), 16, |x| if x < 8 { 30 } else { 90 });
        let pair = open_domains(&spec(root.path(), true)).unwrap();
        assert_eq!([reds(&*pair.a), reds(&*pair.b)], [[30], [90]]);
        // Cut and mirrored alike: halves that show the same stay the same.
        let twins = tempfile::tempdir().unwrap();
        for i in 0..3 {
            save(twins.path().join(format!("{i}.png")), 16, |x| (60 * i + 7 * (x % 8)) as u8);
        }
        let twins = open_domains(&spec(twins.path(), true)).unwrap();
        let options = LoaderOptions { flip: true, crop: Some([5, 4]), ..LoaderOptions::default() };
        let mut loaders = [&twins.a, &twins.b].map(|s| Loader::with_options(s.clone(), 6, 9, 0, options));
        let mut seen = Vec::new();
        for _ in 0..4 {
            let [a, b] = loaders.each_mut().map(|loader| loader.next().unwrap().images);
            assert_eq!(a, b);
            seen.extend(a.chunks(60).map(|image| image[..4].to_vec()));
        }
        seen.dedup();
        assert!(seen.len() > 12, "cuts and mirrors differ from image to image");
        assert!(refused(&spec(root.path(), false)).contains("trainA/ and trainB/"));
        save(root.path().join("q.png"), 15, |_| 1);
        let pair = open_domains(&spec(root.path(), true)).unwrap();
        let text = pair.a.pixels(1, &mut [0; 192]).unwrap_err().to_string();
        assert!(text.contains("q.png") && text.contains("15 pixels wide"), "{text}");
        fs::create_dir(root.path().join("trainA")).unwrap();
        assert!(refused(&spec(root.path(), true)).contains("no trainB/"));
        let text = refused(&spec(&root.path().join("nowhere"), false));
        assert!(text.contains("nowhere") && text.contains("trainA/"), "{text}");
    }

    #[test]
    fn garments_in_two_looks() {
        let of = |name: &str, paired| {
            let spec =
                DomainSpec { source: format!("garments:{name}"), paired, count: Some(40), ..DomainSpec::default() };
            open_domains(&DomainSpec { size: [16, 16], ..spec })
        };
        let image = |source: &Arc<dyn Source>, i: usize| {
            let mut out = vec![0; 768];
            source.pixels(i, &mut out).unwrap();
            out
        };
        let striped = of("plain-striped", true).unwrap();
        let id = |pattern: Pattern| Some(pattern.id());
        assert!(
            (0..40).all(|i| striped.a.label(i) == id(Pattern::Plain) && striped.b.label(i) == id(Pattern::Stripes))
        );
        assert_ne!(image(&striped.a, 0), image(&striped.b, 0));
        let unpaired = of("plain-striped", false).unwrap();
        assert_eq!(image(&unpaired.a, 3), image(&striped.a, 3));
        assert_ne!(image(&unpaired.b, 3), image(&striped.b, 3), "no garment is in both");
        assert_ne!(image(&striped.shown[0], 0), image(&striped.a, 0), "held out");
        let any = of("plain-patterned", true).unwrap();
        assert!((0..40).all(|i| any.b.label(i) != id(Pattern::Plain)));
        let covered = striped.shown[0].mask(0).unwrap();
        assert_eq!(Some(&covered), striped.shown[1].mask(0).as_ref(), "the same cut");
        assert!((50..206).contains(&covered.iter().filter(|there| **there).count()));
        // One outline, one answer: both tell of the same pattern.
        let outline = of("outline", true).unwrap();
        assert!((0..40).all(|i| outline.a.label(i) == outline.b.label(i)));
        assert!(of("palette-3-13", false).is_ok());
        for wrong in ["plain", "plain-plain", "palette-3-16", "plain-velvet", "a-b-c"] {
            let text = of(wrong, true).err().expect(wrong).to_string();
            assert!(text.contains("garments:outline") && text.contains("houndstooth"), "{text}");
        }
    }
}

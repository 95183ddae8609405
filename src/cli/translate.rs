//! `toile translate`: a trained translator applied to pictures.

use super::common::{Common, command};
use super::{print_line, say};
use crate::data::{image_files, read_image};
use crate::error::{Error, Result};
use crate::nn::Mode;
use crate::report::{ModelIdentity, Provenance, save_png, save_png_rgba};
use crate::tensor::Device;
use crate::train::recipe::StylizeRecipe;
use crate::train::translate::{Applied, Direction};
use crate::train::{AnyRecipe, RunFolder};
use image::DynamicImage;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Applies a trained image-to-image run to pictures
///
/// Pictures keep their size and transparency. Each PNG records how it was
/// made.
///
/// Examples:
///
///   toile translate runs/pix2pix-1 drawing.png --out garment.png
///   toile translate runs/cyclegan-1 shirts/ --direction b-to-a --out plain
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run of cyclegan, pix2pix, cut or fastcut, or a style that `toile stylize` saved.
    run: PathBuf,
    /// PNG, JPEG or WebP files, or folders of them.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// A folder, or with one picture a file that ends in .png.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// From domain A to B or back; a CycleGAN learns both.
    #[arg(long, value_parser = ["a-to-b", "b-to-a"], default_value = "a-to-b")]
    direction: String,
    /// Scales and cuts pictures to the training size, as in training, instead of keeping their size.
    #[arg(long)]
    as_trained: bool,
    /// What batch normalisation uses: the picture's own statistics, with dropout on, as published; or the running ones of
    /// training, without dropout. Without batch norm both are the same.
    #[arg(long, value_parser = ["batch", "running"], default_value = "batch")]
    statistics: String,
    /// How far pictures go towards a saved style, 0 to 1.5 [default: as it was saved]
    #[arg(long)]
    strength: Option<f64>,
    /// Of dropout.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Licence of the pictures, recorded in what becomes of them [default: what a file LICENCES beside them says].
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    let work = outputs(&args.images, &args.out)?;
    if !args.common.force
        && let Some((_, to)) = work.iter().find(|(_, to)| to.symlink_metadata().is_ok())
    {
        return Err(Error::file(to, "exists already: choose another --out, or replace it with --force"));
    }
    let folder = RunFolder::read(&args.run)?;
    let device = args.common.open()?;
    if let AnyRecipe::Stylize(recipe) = folder.any_recipe()? {
        return restyle(&args, &folder, &recipe, &work, &device);
    }
    if args.strength.is_some() {
        return Err(Error::Usage("--strength: only a style saved by toile stylize has strengths".into()));
    }
    let direction = if args.direction == "a-to-b" { Direction::AToB } else { Direction::BToA };
    let applied = Applied::load(&folder, args.step, direction, args.seed, &device)?;
    let mode = if args.statistics == "batch" { Mode::BatchStatistics } else { Mode::Inference };
    if !is_file(&args.out) {
        let cannot = |error| Error::io("cannot make the folder", &args.out, error);
        std::fs::create_dir_all(&args.out).map_err(cannot)?;
    }
    for (number, (from, to)) in work.iter().enumerate() {
        let picture = read_image(from)?;
        let transparent = picture.color().has_alpha();
        let translated = applied.translate(from, picture, number as u64, mode, args.as_trained)?;
        let made = provenance(&args, &applied, from, number)?;
        if transparent {
            save_png_rgba(to, &translated, made.text(), args.common.force)?;
        } else {
            save_png(to, &DynamicImage::from(translated).into_rgb8(), made.text(), args.common.force)?;
        }
        if !args.common.printing.quiet {
            say(&format!("{}/{}  {}", number + 1, work.len(), to.display()));
        }
    }
    if args.common.printing.json {
        let written: Vec<String> = work.iter().map(|(_, to)| to.display().to_string()).collect();
        print_line(&serde_json::json!({ "written": written, "step": applied.step }).to_string())?;
    }
    Ok(0)
}

/// A saved style applied to the pictures.
fn restyle(
    args: &Args,
    folder: &RunFolder,
    recipe: &StylizeRecipe,
    work: &[(PathBuf, PathBuf)],
    device: &Device,
) -> Result<u8> {
    if args.direction == "b-to-a" || args.as_trained || args.step.is_some() {
        let why = "a saved style has one direction, one step, and keeps sizes: --direction, --step, --as-trained do not apply";
        return Err(Error::Usage(why.into()));
    }
    if !is_file(&args.out) {
        std::fs::create_dir_all(&args.out).map_err(|e| Error::io("cannot make the folder", &args.out, e))?;
    }
    let step = super::stylize::translate(
        folder,
        recipe,
        work,
        (args.strength, args.licence.as_deref()),
        (args.common.force, args.common.printing.quiet),
        device,
    )?;
    if args.common.printing.json {
        let written: Vec<String> = work.iter().map(|(_, to)| to.display().to_string()).collect();
        print_line(&serde_json::json!({ "written": written, "step": step }).to_string())?;
    }
    Ok(0)
}

fn is_file(out: &Path) -> bool {
    out.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) && !out.is_dir()
}

/// Each picture and the file that it becomes.
pub(super) fn outputs(images: &[PathBuf], out: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    for image in images {
        if image.is_dir() {
            files.extend(image_files(image)?);
        } else {
            files.push(image.clone());
        }
    }
    if is_file(out) {
        let [from] = &files[..] else {
            let why = "a file takes one picture; name a folder (without .png at its end) for several";
            return Err(Error::Usage(format!("--out {}: {} pictures, but {why}", out.display(), files.len())));
        };
        return Ok(vec![(from.clone(), out.to_path_buf())]);
    }
    let mut seen: HashMap<PathBuf, PathBuf> = HashMap::new();
    let mut work = Vec::new();
    for from in files {
        let to = out.join(from.file_stem().unwrap_or_default()).with_extension("png");
        if let Some(other) = seen.insert(to.clone(), from.clone()) {
            let (a, b, to) = (other.display(), from.display(), to.display());
            return Err(Error::Usage(format!(
                "{a} and {b} would both become {to}: translate them one after the other"
            )));
        }
        work.push((from, to));
    }
    Ok(work)
}

fn provenance(args: &Args, applied: &Applied, from: &Path, number: usize) -> Result<Provenance> {
    let [model, data] = applied.identity.clone();
    let (recipe, data_licence) = (applied.recipe().name.clone(), applied.data_licence.clone());
    let identity = ModelIdentity { run: args.run.clone(), recipe, step: applied.step, model, data, data_licence };
    Ok(Provenance::new(&command())
        .model(&identity, None)
        .picture("content", from, args.licence.as_deref())?
        .with("direction", &args.direction)
        .with("statistics", &args.statistics)
        .with("seed", format!("{}, picture {number}", args.seed)))
}

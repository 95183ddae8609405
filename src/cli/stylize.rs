//! `toile stylize`: one picture restyled by others, without a data set.

mod learning;
mod measures;
mod record;

use super::common::{Common, command};
use super::train::stop_on_signals;
use super::{print_line, say};
use crate::Device;
use crate::data::read_image;
use crate::error::{Error, Result};
use crate::report::{ModelIdentity, Provenance};
use crate::train::RunFolder;
use crate::train::recipe::StylizeRecipe;
use crate::train::stylize::{self, Change, Config, Content, Mask, Restyler, Saved};
use image::DynamicImage;
use learning::learn;
use measures::{Measures, sheet};
use record::{fingerprint, licences, provenance, recipe, save, style_name};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Restyles a picture by others, without a data set
///
/// A small network is trained, adversarially, on the two pictures alone: the
/// style's pattern and colours come, the content's cut and seams stay. One
/// training serves every strength. The picture keeps its size and
/// transparency.
///
/// Examples:
///
///   toile stylize shirt.png floral.png --mask auto --out floral-shirt.png
///   toile stylize dress.png plaid.png dots.png --weights 2,1 --mask auto
///   toile stylize coat.png a.png b.png --sheet sheet.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The picture to restyle: PNG, JPEG or WebP.
    content: PathBuf,
    /// The pictures whose style it takes.
    #[arg(required = true)]
    styles: Vec<PathBuf>,
    /// The result, a file that ends in .png [default: CONTENT-STYLE.png here; none with --sheet]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How far it goes towards the style: 0 (the picture itself) to 1.5.
    #[arg(long, default_value_t = 1.0)]
    strength: f64,
    /// How much each style counts, such as 2,1 [default: all the same]
    #[arg(long, value_delimiter = ',', value_name = "W,W")]
    weights: Option<Vec<f64>>,
    /// Takes the luma of the result, but the colours of the picture.
    #[arg(long)]
    keep_colour: bool,
    /// Restyles a part: `auto` (the thing on a plain ground, or what is opaque), or a picture that is white there.
    #[arg(long, value_name = "auto|FILE")]
    mask: Option<String>,
    /// Restyles the rest instead.
    #[arg(long, requires = "mask")]
    invert_mask: bool,
    /// How large the style's pattern becomes, 0.25 to 4; 1: as large in the picture as in the style's.
    #[arg(long, default_value_t = 1.0)]
    pattern_scale: f64,
    /// The longer side of what is learnt on, 32 to 512 pixels. Larger pictures keep their size and detail.
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    size: usize,
    /// Steps of the training of each style.
    #[arg(long, default_value_t = 500)]
    steps: u64,
    /// Of weights, cloth and draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A labelled grid, styles by strengths, in this file.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// The strengths of the sheet.
    #[arg(long, value_delimiter = ',', value_name = "S,S", default_value = "0,0.25,0.5,0.75,1")]
    strengths: Vec<f64>,
    /// Writes pictures of what is learnt so far into this folder.
    #[arg(long, value_name = "DIR")]
    preview: Option<PathBuf>,
    /// Steps from one of those to the next.
    #[arg(long, default_value_t = 50, value_name = "N")]
    preview_every: u64,
    /// Saves what was learnt as a run folder, which `toile translate` applies to other pictures.
    #[arg(long, value_name = "DIR")]
    save_model: Option<PathBuf>,
    /// The licence of the pictures that go in, written into what comes out [default: what a file LICENCES beside them says]
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    check(&args)?;
    let out = args.out.clone().or_else(|| args.sheet.is_none().then(|| default_out(&args)));
    refuse_existing(&args, out.as_deref())?;
    let device = args.common.open()?;
    let mask = mask_of(&args)?;
    let content = Content::new(&args.content, &read_image(&args.content)?, &mask)?;
    let pictures = args.styles.iter().map(read_image).collect::<Result<Vec<DynamicImage>>>()?;
    if let Some(folder) = &args.preview {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("cannot make the folder", folder, error))?;
    }
    let config = Config {
        steps: args.steps,
        size: args.size,
        seed: args.seed,
        pattern_scale: args.pattern_scale,
        ..Config::default()
    };
    let stop = stop_on_signals()?;
    let begun = std::time::Instant::now();
    let mut learnt = Vec::new();
    for (k, picture) in pictures.iter().enumerate() {
        learnt.push(learn(&args, &content, k, picture, &config, &device, &stop)?);
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Train("stopped before the styles were learnt: nothing was written".into()));
        }
    }
    let changes = learnt.iter().map(|style| style.change(&content)).collect::<Result<Vec<Change>>>()?;
    let weights = args.weights.clone().unwrap_or_else(|| vec![1.0; changes.len()]);
    let mixture: Vec<(f64, &Change)> = weights.iter().copied().zip(&changes).filter(|(w, _)| *w > 0.0).collect();
    let counting: Vec<&Restyler> = learnt.iter().zip(&weights).filter(|(_, w)| **w > 0.0).map(|(s, _)| s).collect();

    let seconds = begun.elapsed().as_secs_f64();
    let mut measured = Vec::new();
    let mut written = Vec::new();
    if let Some(out) = &out {
        let planes = stylize::restyled(&content, &mixture, args.strength, args.keep_colour);
        measured.extend(counting.iter().map(|style| Measures::of(&content, &planes, style, args.strength)));
        let made = provenance(&args)?.with("strength", args.strength);
        save(out, &content, &planes, made.text(), args.common.force)?;
        written.push(out.clone());
    }
    if let Some(path) = &args.sheet {
        measured.extend(sheet(&args, path, &content, &pictures, &learnt, &changes)?);
        written.push(path.clone());
    }
    if let Some(path) = &args.save_model {
        let from = (fingerprint(&args)?, licences(&args)?);
        stylize::save(path, &recipe(&args, &config, &weights), &learnt, from, &device)?;
        written.push(path.clone());
    }
    report(&args, &written, &measured, seconds)?;
    Ok(0)
}

fn check(args: &Args) -> Result<()> {
    let within = |option: &str, value: f64, low: f64, high: f64| match value {
        v if v >= low && v <= high => Ok(()),
        v => Err(Error::Usage(format!("{option} {v}: takes {low} to {high}"))),
    };
    within("--strength", args.strength, 0.0, 1.5)?;
    within("--pattern-scale", args.pattern_scale, 0.25, 4.0)?;
    within("--size", args.size as f64, 32.0, 512.0)?;
    within("--steps", args.steps as f64, 1.0, 100_000.0)?;
    within("--preview-every", args.preview_every as f64, 1.0, 100_000.0)?;
    for &strength in &args.strengths {
        within("--strengths", strength, 0.0, 1.5)?;
    }
    if args.styles.len() > 16 || args.strengths.len() > 16 {
        return Err(Error::Usage("at most 16 styles and 16 strengths".into()));
    }
    if let Some(weights) = &args.weights {
        if weights.len() != args.styles.len() {
            let (given, styles) = (weights.len(), args.styles.len());
            return Err(Error::Usage(format!("--weights: {given} are given for {styles} styles; write one for each")));
        }
        if weights.iter().any(|w| !(0.0..=1e6).contains(w)) || weights.iter().all(|&w| w == 0.0) {
            return Err(Error::Usage("--weights: must be from 0 to 1e6, and one above 0".into()));
        }
    }
    Ok(())
}

fn default_out(args: &Args) -> PathBuf {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = std::iter::once(&args.content).chain(&args.styles).map(|path| stem(path)).collect();
    PathBuf::from(format!("{}.png", names.join("-")))
}

/// Before anything is learnt: a result that would not be written is found out now.
fn refuse_existing(args: &Args, out: Option<&Path>) -> Result<()> {
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    out.into_iter().chain(args.sheet.as_deref()).try_for_each(|path| args.common.check_png(path))?;
    if let Some(path) = &args.save_model
        && std::fs::read_dir(path).map_or(exists(path), |mut entries| entries.next().is_some())
    {
        return Err(Error::file(path, "exists already: choose another --save-model"));
    }
    if let Some(path) = &args.preview
        && !args.common.force
        && std::fs::read_dir(path).map_or(exists(path), |mut entries| entries.next().is_some())
    {
        return Err(Error::file(path, "exists already: choose another --preview, or write into it with --force"));
    }
    Ok(())
}

fn mask_of(args: &Args) -> Result<Mask> {
    let invert = args.invert_mask;
    Ok(match args.mask.as_deref() {
        None => Mask::None,
        Some("auto") => Mask::Auto { invert },
        Some(file) => Mask::Picture { image: read_image(file)?, invert },
    })
}

fn report(args: &Args, written: &[PathBuf], measured: &[Measures], seconds: f64) -> Result<()> {
    let names: Vec<String> = args.styles.iter().map(|path| style_name(path)).collect();
    if args.common.printing.json {
        let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        let measures: Vec<serde_json::Value> = measured.iter().map(|m| m.json(&names)).collect();
        let all = serde_json::json!({ "written": written, "measures": measures, "seconds": seconds });
        return print_line(&all.to_string());
    }
    if args.common.printing.quiet {
        return Ok(());
    }
    for path in written {
        print_line(&path.display().to_string())?;
    }
    for measures in measured {
        print_line(&measures.line(&names))?;
    }
    print_line(&format!("{seconds:.0} s of learning and painting"))?;
    if let Some(path) = &args.save_model {
        print_line(&format!("apply it: toile translate {} IMAGES... --out DIR", path.display()))?;
    }
    Ok(())
}

/// A saved style applied by `toile translate`: each picture to its file.
pub(super) fn translate(
    folder: &RunFolder,
    recipe: &StylizeRecipe,
    work: &[(PathBuf, PathBuf)],
    (strength, licence): (Option<f64>, Option<&str>),
    (force, quiet): (bool, bool),
    device: &Device,
) -> Result<u64> {
    let strength = strength.unwrap_or(recipe.stylize.strength);
    if !(0.0..=1.5).contains(&strength) {
        return Err(Error::Usage(format!("--strength {strength}: takes 0 to 1.5")));
    }
    let saved = Saved::load(folder, recipe, device)?;
    for (number, (from, to)) in work.iter().enumerate() {
        let content = Content::new(from, &read_image(from)?, &saved.mask())?;
        let planes = saved.restyle(&content, strength)?;
        let [model, data] = saved.identity.clone();
        let (run, recipe) = (folder.path().to_path_buf(), recipe.name.clone());
        let identity =
            ModelIdentity { run, recipe, step: saved.step, model, data, data_licence: saved.licences.clone() };
        let made = Provenance::new(&command()).model(&identity, None).picture("content", from, licence)?;
        let made = made.with("strength", strength);
        save(to, &content, &planes, made.text(), force)?;
        if !quiet {
            say(&format!("{}/{}  {}", number + 1, work.len(), to.display()));
        }
    }
    Ok(saved.step)
}

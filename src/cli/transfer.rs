//! `toile transfer`: a run of feed-forward style transfer applied to pictures.

use super::common::{Common, command};
use super::translate::outputs;
use super::{print_line, say};
use crate::error::{Error, Result};
use crate::report::{ModelIdentity, Provenance};
use crate::train::RunFolder;
use crate::train::feed_forward::Transfer;
use crate::train::picture::Picture;
use std::path::{Path, PathBuf};

/// Restyles pictures in one pass by a run of adain or johnson
///
/// A run of adain takes the styles from other pictures; one of johnson has
/// learnt its style.
///
/// Examples:
///
///   toile transfer runs/adain-1 shirt.png --style floral.png --out a.png
///   toile transfer runs/adain-1 shirts/ --style a.png --style b.png --weights 2,1 --strength 0.6 --out restyled
///   toile transfer runs/johnson-1 shirt.png --out b.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run of adain or johnson.
    run: PathBuf,
    /// PNG, JPEG or WebP files, or folders of them.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// A picture whose style is taken (adain); may be given several times.
    #[arg(long = "style", value_name = "FILE")]
    styles: Vec<PathBuf>,
    /// How much each style counts, such as 2,1 [default: all the same].
    #[arg(long, value_delimiter = ',', value_name = "W,W", requires = "styles")]
    weights: Option<Vec<f64>>,
    /// How far adain goes towards the style, 0 to 1 [default: 1].
    #[arg(long, value_name = "SHARE")]
    strength: Option<f64>,
    /// A folder, or with one picture a file that ends in .png.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Scales pictures so that the longer side has so many pixels [default: their own size].
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Scales styles so that the longer side has so many pixels.
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    style_size: usize,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The pictures' licence, written into the result [default: what a file LICENCES beside a picture says].
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    check(&args)?;
    let work = outputs(&args.images, &args.out)?;
    if !args.common.force
        && let Some((_, to)) = work.iter().find(|(_, to)| to.symlink_metadata().is_ok())
    {
        return Err(Error::file(to, "exists already: choose another --out, or replace it with --force"));
    }
    let folder = RunFolder::read(&args.run)?;
    let device = args.common.open()?;
    let transfer = Transfer::load(&folder, args.step, &device)?;
    let place = args.run.display();
    match (transfer.takes_styles(), args.styles.is_empty(), args.strength) {
        (true, true, _) => return Err(Error::Usage(format!("{place} takes a style from a picture: --style FILE"))),
        (false, false, _) => return Err(Error::Usage(format!("--style: {place} has learnt its own style"))),
        (false, _, Some(_)) => return Err(Error::Usage(format!("--strength: {place} knows one strength"))),
        _ => {}
    }
    let weights = args.weights.clone().unwrap_or_else(|| vec![1.0; args.styles.len()]);
    let read = |path: &PathBuf| Picture::read(path, Some(args.style_size));
    let styles = args.styles.iter().map(read).collect::<Result<Vec<_>>>()?;
    let styles: Vec<(Picture, f64)> = styles.into_iter().zip(weights).filter(|(_, weight)| *weight > 0.0).collect();
    if !args.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
        let cannot = |error| Error::io("cannot make the folder", &args.out, error);
        std::fs::create_dir_all(&args.out).map_err(cannot)?;
    }
    for (number, (from, to)) in work.iter().enumerate() {
        let content = Picture::read(from, args.size)?;
        let made = transfer.restyle(from, &content, &styles, args.strength.unwrap_or(1.0))?;
        content.save(to, &made, provenance(&args, &transfer, from)?.text(), args.common.force)?;
        if !args.common.printing.quiet {
            say(&format!("{}/{}  {}", number + 1, work.len(), to.display()));
        }
    }
    if args.common.printing.json {
        let written: Vec<String> = work.iter().map(|(_, to)| to.display().to_string()).collect();
        print_line(&serde_json::json!({ "written": written, "step": transfer.step }).to_string())?;
    }
    Ok(0)
}

fn check(args: &Args) -> Result<()> {
    if let Some(strength) = args.strength.filter(|strength| !(0.0..=1.0).contains(strength)) {
        return Err(Error::Usage(format!("--strength {strength}: takes 0 to 1")));
    }
    for (option, size) in args.size.map(|size| ("--size", size)).into_iter().chain([("--style-size", args.style_size)])
    {
        if !(16..=8192).contains(&size) {
            return Err(Error::Usage(format!("{option} {size}: takes 16 to 8192 pixels")));
        }
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

fn provenance(args: &Args, transfer: &Transfer, from: &Path) -> Result<Provenance> {
    let [model, data] = transfer.identity.clone();
    let recipe = transfer.recipe().name.clone();
    let (step, data_licence) = (transfer.step, transfer.data_licence.clone());
    let identity = ModelIdentity { run: args.run.clone(), recipe, step, model, data, data_licence };
    let licence = args.licence.as_deref();
    let mut made = Provenance::new(&command()).model(&identity, None).picture("content", from, licence)?;
    for style in &args.styles {
        made = made.picture("style", style, licence)?;
    }
    if transfer.takes_styles() {
        made = made.with("strength", args.strength.unwrap_or(1.0)).with("style-size", args.style_size);
    }
    if let Some(weights) = &args.weights {
        let weights: Vec<String> = weights.iter().map(f64::to_string).collect();
        made = made.with("weights", weights.join(", "));
    }
    Ok(match args.size {
        Some(size) => made.with("size", size),
        None => made,
    })
}

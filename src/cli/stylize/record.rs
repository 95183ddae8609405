//! What results and saved styles record of how they were made.

use super::{Args, command};
use crate::data::licence_of;
use crate::error::Result;
use crate::report::{Provenance, file_hash, save_png, save_png_rgba};
use crate::train::recipe::{Applying, SavedMask, StylizeRecipe, TrainConfig};
use crate::train::stylize::{Config, Content, Planes};
use image::DynamicImage;
use std::path::Path;

pub(super) fn style_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(super) fn save(
    path: &Path,
    content: &Content,
    planes: &Planes,
    text: &[(String, String)],
    force: bool,
) -> Result<()> {
    let picture = content.picture(planes);
    if content.transparent {
        save_png_rgba(path, &picture, text, force)
    } else {
        save_png(path, &DynamicImage::from(picture).into_rgb8(), text, force)
    }
}

pub(super) fn provenance(args: &Args) -> Result<Provenance> {
    let licence = args.licence.as_deref();
    let mut made = Provenance::new(&command()).picture("content", &args.content, licence)?;
    for style in &args.styles {
        made = made.picture("style", style, licence)?;
    }
    if let Some(weights) = &args.weights {
        let weights: Vec<String> = weights.iter().map(f64::to_string).collect();
        made = made.with("weights", weights.join(", "));
    }
    if let Some(mask) = &args.mask {
        let inverted = if args.invert_mask { ", inverted" } else { "" };
        made = made.with("mask", format!("{mask}{inverted}"));
    }
    Ok(made
        .with("keep-colour", args.keep_colour)
        .with("pattern-scale", args.pattern_scale)
        .with("size", args.size)
        .with("steps", args.steps)
        .with("seed", args.seed))
}

/// What identifies the pictures that were learnt from.
pub(super) fn fingerprint(args: &Args) -> Result<String> {
    let hashes = std::iter::once(&args.content).chain(&args.styles).map(|path| file_hash(path));
    Ok(hashes.collect::<Result<Vec<_>>>()?.join("+"))
}

/// The licences of those pictures, each once.
pub(super) fn licences(args: &Args) -> Result<Option<String>> {
    if args.licence.is_some() {
        return Ok(args.licence.clone());
    }
    let mut all: Vec<String> = Vec::new();
    for picture in std::iter::once(&args.content).chain(&args.styles) {
        all.extend(licence_of(picture)?.filter(|licence| !all.contains(licence)));
    }
    Ok((!all.is_empty()).then(|| all.join("; ")))
}

pub(super) fn recipe(args: &Args, config: &Config, weights: &[f64]) -> StylizeRecipe {
    StylizeRecipe {
        name: "stylize".into(),
        stylize: Applying {
            styles: args.styles.iter().map(|path| path.display().to_string()).collect(),
            weights: weights.to_vec(),
            strength: args.strength,
            keep_colour: args.keep_colour,
            mask: match (args.mask.as_deref(), args.invert_mask) {
                (Some("auto"), false) => SavedMask::Auto,
                (Some("auto"), true) => SavedMask::AutoInverted,
                _ => SavedMask::None,
            },
        },
        learning: *config,
        train: TrainConfig::once(config.steps, config.seed),
    }
}

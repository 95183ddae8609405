//! `toile sample`: pictures from a trained run.

use super::common::{Common, command};
use super::print_line;
use crate::error::{Error, Result};
use crate::nn::Mode;
use crate::report::{Provenance, Tiling, image_grid, save_png};
use crate::train::RunFolder;
use crate::train::gan_training::sample_latents;
use crate::train::latent::TrainedGenerator;
use std::path::{Path, PathBuf};

/// Draws pictures with a run's generator
///
/// A grid, or single files. Each PNG records how it was made.
///
/// Examples:
///
///   toile sample runs/seed-1
///   toile sample runs/seed-1 --seed 3 --count 100 --columns 10 --out grid.png
///   toile sample runs/seed-1 --truncation 1.5 --single drafts
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run folder.
    run: PathBuf,
    /// Pictures.
    #[arg(long, default_value_t = 64, value_name = "N")]
    count: usize,
    /// Of the latent vectors: picture i depends on (seed, i) alone.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Pictures in a row of the grid.
    #[arg(long, default_value_t = 8, value_name = "N")]
    columns: usize,
    /// Each pixel becomes so many pixels wide and high [default: such that a picture is about 84 wide].
    #[arg(long, value_name = "N")]
    scale: Option<u32>,
    /// Latent components beyond plus or minus T are drawn again: less variety, fewer outliers. From 0.1.
    #[arg(long, value_name = "T")]
    truncation: Option<f32>,
    /// What batch normalisation uses: the statistics gathered in training, or those of the drawn batch.
    #[arg(long, value_parser = ["running", "batch"], default_value = "running")]
    statistics: String,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The grid's file [default: RUN/samples/seed-S-step-N.png].
    #[arg(long, value_name = "FILE", conflicts_with = "single")]
    out: Option<PathBuf>,
    /// Writes single pictures into this folder instead of a grid.
    #[arg(long, value_name = "DIR")]
    single: Option<PathBuf>,
    /// Licence of the data that the run was trained on, recorded in the PNG where training found none.
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Refuses a grid that no viewer opens and no memory holds.
pub(super) fn check_grid(count: usize, columns: usize, [h, w]: [usize; 2], scale: u32) -> Result<()> {
    let columns = columns.min(count).max(1);
    let size = [columns * (w * scale as usize + 2), count.div_ceil(columns) * (h * scale as usize + 2)];
    if size[0].max(size[1]) > 16_384 {
        let [w, h] = size;
        return Err(Error::Usage(format!(
            "a grid of {w}x{h} pixels is more than 16384 a side: take fewer pictures, a smaller --scale or --size, or other columns"
        )));
    }
    Ok(())
}

pub fn run(args: Args) -> Result<u8> {
    let usage = |text: String| Err(Error::Usage(text));
    if args.count == 0 || args.count > 65_536 {
        return usage(format!("--count {}: takes 1 to 65536", args.count));
    }
    if args.columns == 0 {
        return usage("--columns 0: takes 1 or more".into());
    }
    if let Some(scale) = args.scale.filter(|scale| !(1..=64).contains(scale)) {
        return usage(format!("--scale {scale}: takes 1 to 64"));
    }
    if let Some(t) = args.truncation.filter(|t| t.is_nan() || *t < 0.1) {
        return usage(format!("--truncation {t}: takes 0.1 or more"));
    }
    let folder = RunFolder::read(&args.run)?;
    let recipe = folder.recipe()?;
    let step = folder.checkpoint_step(args.step)?;
    let [c, h, w] = recipe.image_shape();
    let scale = args.scale.unwrap_or((84 / h.max(w)).clamp(1, 8) as u32);
    if args.single.is_none() {
        check_grid(args.count, args.columns, [h, w], scale)?;
    }
    let default = || args.run.join("samples").join(format!("seed-{}-step-{step:06}.png", args.seed));
    let out = args.out.clone().unwrap_or_else(default);
    let single = |folder: &Path, i: usize| folder.join(format!("seed-{}-{i:04}.png", args.seed));
    match &args.single {
        Some(folder) if folder.is_dir() => {
            (0..args.count).try_for_each(|i| args.common.check_new(&single(folder, i)))?;
        }
        Some(_) => {}
        None => args.common.check_png(&out)?,
    }
    let device = args.common.open()?;
    let generator = TrainedGenerator::load(&folder, Some(step), &device)?;

    let z = sample_latents(args.seed, args.count, recipe.generator.latent, args.truncation);
    let mode = if args.statistics == "batch" { Mode::BatchStatistics } else { Mode::Inference };
    let images = generator.generate(&z, mode)?;
    let how = |which: String| {
        let truncation = args.truncation.map_or("none".to_string(), |t| t.to_string());
        Provenance::new(&command())
            .model(&generator.identity, args.licence.as_deref())
            .with("seed", args.seed)
            .with("pictures", which)
            .with("truncation", truncation)
            .with("statistics", &args.statistics)
    };
    let mut written = Vec::new();
    if let Some(folder) = &args.single {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("cannot make the folder", folder, error))?;
        for (i, image) in images.chunks(c * h * w).enumerate() {
            let path = single(folder, i);
            let picture = image_grid(image, 1, c, h, w, 1, args.scale.unwrap_or(1), 0);
            save_png(&path, &picture, how(i.to_string()).text(), args.common.force)?;
            written.push(path);
        }
    } else {
        let grid = image_grid(&images, args.count, c, h, w, args.columns.min(args.count), scale, 2);
        let tiles = Tiling::of_image_grid(args.count, [h, w], args.columns.min(args.count), scale, 2);
        save_png(&out, &grid, how(format!("0 to {}", args.count - 1)).tiles(&tiles).text(), args.common.force)?;
        written.push(out);
    }
    if args.common.printing.json {
        let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        print_line(&serde_json::json!({ "written": written, "step": step, "seed": args.seed }).to_string())?;
    } else if !args.common.printing.quiet {
        match &written[..] {
            [path] => print_line(&path.display().to_string())?,
            paths => print_line(&format!("{} pictures in {}", paths.len(), args.single.unwrap_or_default().display()))?,
        }
    }
    Ok(0)
}

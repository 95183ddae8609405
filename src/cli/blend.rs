//! `toile blend`: two designs fused by a run's generator.

use super::common::{Common, command};
use super::points::{self, Found, Point, ProjectArgs};
use super::{print_line, sample};
use crate::error::{Error, Result};
use crate::nn::Mode;
use crate::report::{Provenance, Tiling, image_grid, labelled_sheet, save_png};
use crate::train::RunFolder;
use crate::train::latent::{Course, TrainedGenerator};
use image::{Rgb, RgbImage};
use std::path::PathBuf;

/// Fuses two designs: what lies between them, and one in the other's style
///
/// A and B are seeds (3, or 3:12 for picture 12 of `toile sample --seed
/// 3`) or image files, which are projected into the latent space first;
/// how near the projection comes is told. The strip goes from A to B. The
/// sheet adds rows that keep A's shapes and take over B's style layer by
/// layer: mean and spread of the feature maps, as a list of layers has no
/// styles of its own.
///
/// Examples:
///
///   toile blend runs/seed-1 3:12 8 --sheet blend.png
///   toile blend runs/seed-1 shirt.png skirt.png --steps 9 --out strip.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run folder of a GAN.
    run: PathBuf,
    /// A seed or an image file.
    a: String,
    /// Another one.
    b: String,
    /// Pictures from A to B, both counted.
    #[arg(long, default_value_t = 7, value_name = "N")]
    steps: usize,
    /// Along the great circle, or along the line.
    #[arg(long, value_parser = ["spherical", "linear"], default_value = "spherical")]
    mode: String,
    /// Each pixel becomes so many pixels wide and high [default: such that a picture is about 84 wide].
    #[arg(long, value_name = "N")]
    scale: Option<u32>,
    /// Of the beginnings of projections.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The strip, a .png [default, without --sheet: RUN/samples/blend-A-B-step-N.png].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The labelled sheet, a .png.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    if !(2..=256).contains(&args.steps) {
        return Err(Error::Usage(format!("--steps {}: takes 2 to 256", args.steps)));
    }
    let ends = [Point::parse(&args.a)?, Point::parse(&args.b)?];
    let folder = RunFolder::read(&args.run)?;
    let step = folder.checkpoint_step(args.step)?;
    let [a, b] = ends.each_ref().map(Point::slug);
    let default = || args.run.join("samples").join(format!("blend-{a}-{b}-step-{step:06}.png"));
    let out = args.out.clone().or_else(|| args.sheet.is_none().then(default));
    for path in [&out, &args.sheet].into_iter().flatten() {
        args.common.check_png(path)?;
    }
    let device = args.common.open()?;
    let generator = TrainedGenerator::load(&folder, Some(step), &device)?;
    let scale = points::scale_for(&generator, args.scale)?;
    let [c, h, w] = generator.recipe().image_shape();
    sample::check_grid(args.steps, args.steps, [h, w], scale)?;

    let found = points::find(&ends, &generator, &args.project, args.seed, &args.common)?;
    let course = if args.mode == "linear" { Course::Linear } else { Course::Spherical };
    let walk = course.walk(&[found[0].z.clone(), found[1].z.clone()], args.steps, false);
    let made = points::record(Provenance::new(&command()), &generator, &found, &args.project)?
        .with("mode", &args.mode)
        .with("seed", args.seed);
    let images = generator.generate(&walk.concat(), Mode::Inference)?;
    if let Some(path) = &out {
        let strip = image_grid(&images, args.steps, c, h, w, args.steps, scale, 2);
        let made = made.clone().tiles(&Tiling::of_image_grid(args.steps, [h, w], args.steps, scale, 2));
        save_png(path, &strip, made.text(), args.common.force)?;
    }
    if let Some(path) = &args.sheet {
        let (sheet, tiling, rows) = sheet(&generator, &found, &images, scale)?;
        let made = made.tiles(&tiling).with("rows", rows.join("; "));
        save_png(path, &sheet, made.text(), args.common.force)?;
    }
    let written: Vec<String> =
        [&out, &args.sheet].into_iter().flatten().map(|path| path.display().to_string()).collect();
    if args.common.printing.json {
        let points: Vec<_> = found.iter().map(points::json).collect();
        print_line(&serde_json::json!({ "written": written, "step": step, "points": points }).to_string())?;
    } else if !args.common.printing.quiet {
        written.iter().try_for_each(|path| print_line(path))?;
    }
    Ok(0)
}

/// Rows: the pictures that were given, what lies between, A in B's style by each layer and by all; a column a step.
fn sheet(
    generator: &TrainedGenerator,
    found: &[Found],
    between: &[f32],
    scale: u32,
) -> Result<(RgbImage, Tiling, Vec<String>)> {
    let shape = generator.recipe().image_shape();
    let mut images = points::pictures(between, shape, scale);
    let steps = images.len();
    let mut rows = vec!["between".to_string()];
    let [a, b] = [0, 1].map(|i| &found[i]);
    if found.iter().any(|point| point.projected.is_some()) {
        // What was given stands over its end of the way.
        let blank = RgbImage::from_pixel(images[0].width(), images[0].height(), Rgb([255; 3]));
        let given = |point: &Found| match &point.projected {
            Some((_, picture, _)) => points::pictures(picture, shape, scale).remove(0),
            None => blank.clone(),
        };
        let mut first = vec![blank.clone(); steps];
        (first[0], first[steps - 1]) = (given(a), given(b));
        images.splice(0..0, first);
        rows.insert(0, "given".into());
    }
    let weights: Vec<f32> = (0..steps).map(|i| i as f32 / (steps - 1) as f32).collect();
    let layers = generator.style_layers();
    let mut choices: Vec<(String, Vec<String>)> =
        layers.iter().map(|(name, [h, w])| (format!("style, {w}x{h}"), vec![name.clone()])).collect();
    if layers.len() > 1 {
        choices.push(("style, all".into(), layers.iter().map(|(name, _)| name.clone()).collect()));
    }
    for (row, layers) in choices {
        let mixed = generator.style_mixed(&a.z, &b.z, &layers, &weights)?;
        images.extend(points::pictures(&mixed, shape, scale));
        rows.push(row);
    }
    let columns: Vec<String> = weights.iter().map(|t| format!("{t:.2}")).collect();
    let told = |point: &Found| match &point.projected {
        Some((_, _, projection)) => format!("{} (projected, {:.1} of 255 away)", point.name, projection.distance),
        None => point.name.clone(),
    };
    let title = format!("A: {}, B: {}", told(a), told(b));
    let (sheet, tiling) = labelled_sheet(&images, steps, &rows, &columns, &title);
    Ok((sheet, Tiling { scale, ..tiling }, rows))
}

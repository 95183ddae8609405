//! `toile interpolate`: walks through a run's latent space.

use super::common::{Common, command};
use super::points::{self, Point, ProjectArgs};
use super::{print_line, sample};
use crate::error::{Error, Result};
use crate::nn::Mode;
use crate::report::{Provenance, Tiling, Timing, image_grid, save_apng, save_gif, save_png};
use crate::train::RunFolder;
use crate::train::latent::{Course, TrainedGenerator};
use std::path::{Path, PathBuf};

/// Walks from design to design through a run's latent space
///
/// Points are seeds (3 is the first picture of `toile sample --seed 3`,
/// 3:12 is picture 12 of it) or image files, which are projected. The
/// file's ending says what is written: .png a strip, .gif or .apng an
/// animation.
///
/// Examples:
///
///   toile interpolate runs/seed-1 1 2
///   toile interpolate runs/seed-1 1 2:5 7 --loop --frames 24 --out walk.gif
///   toile interpolate runs/seed-1 shirt.png 4 --out walk.apng --out walk.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run folder of a GAN.
    run: PathBuf,
    /// Two or more seeds or image files.
    #[arg(required = true, value_name = "POINT")]
    points: Vec<String>,
    /// Along great circles, or along lines, whose middles are shorter than any vector that training saw.
    #[arg(long, value_parser = ["spherical", "linear"], default_value = "spherical")]
    mode: String,
    /// Pictures from one point to the next, both counted.
    #[arg(long, default_value_t = 12, value_name = "N")]
    frames: usize,
    /// Goes on from the last point to the first, so that an animation has no jump.
    #[arg(long = "loop")]
    closed: bool,
    /// Frames a second of an animation, 1 to 50.
    #[arg(long, default_value_t = 12, value_name = "N")]
    fps: u16,
    /// Times that an animation is shown; 0 for ever.
    #[arg(long, default_value_t = 0, value_name = "N")]
    plays: u16,
    /// Pictures in a row of the strip [default: all, or what 2048 pixels hold].
    #[arg(long, value_name = "N")]
    columns: Option<usize>,
    /// Each pixel becomes so many pixels wide and high [default: such that a picture is about 84 wide].
    #[arg(long, value_name = "N")]
    scale: Option<u32>,
    /// Of the beginnings of projections.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// A .png, .gif or .apng; may be given several times [default: RUN/samples/walk-POINTS-step-N.png].
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    common: Common,
}

/// What a file's ending asks for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Strip,
    Gif,
    Apng,
}

fn kind(path: &Path) -> Result<Kind> {
    match path.extension().unwrap_or_default().to_ascii_lowercase().to_str() {
        Some("png") => Ok(Kind::Strip),
        Some("gif") => Ok(Kind::Gif),
        Some("apng") => Ok(Kind::Apng),
        _ => Err(Error::Usage(format!("--out {}: ends in .png (a strip), .gif or .apng (animations)", path.display()))),
    }
}

pub fn run(args: Args) -> Result<u8> {
    let usage = |text: String| Err(Error::Usage(text));
    if args.points.len() < 2 {
        return usage("a walk goes from one POINT to another: name two seeds or image files, or more".into());
    }
    if !(2..=10_000).contains(&args.frames) {
        return usage(format!("--frames {}: takes 2 to 10000", args.frames));
    }
    if !(1..=50).contains(&args.fps) {
        return usage(format!("--fps {}: takes 1 to 50", args.fps));
    }
    if args.columns == Some(0) {
        return usage("--columns 0: takes 1 or more".into());
    }
    let points = args.points.iter().map(|text| Point::parse(text)).collect::<Result<Vec<_>>>()?;
    let folder = RunFolder::read(&args.run)?;
    let step = folder.checkpoint_step(args.step)?;
    let mut outs = args.out.clone();
    if outs.is_empty() {
        let names: Vec<String> = points.iter().map(Point::slug).collect();
        outs.push(args.run.join("samples").join(format!("walk-{}-step-{step:06}.png", names.join("-"))));
    }
    let outs = outs.into_iter().map(|path| kind(&path).map(|kind| (path, kind))).collect::<Result<Vec<_>>>()?;
    for (path, _) in &outs {
        args.common.check_new(path)?;
    }
    let device = args.common.open()?;
    let generator = TrainedGenerator::load(&folder, Some(step), &device)?;
    let scale = points::scale_for(&generator, args.scale)?;
    let [c, h, w] = generator.recipe().image_shape();
    let legs = if args.closed { points.len() } else { points.len() - 1 };
    let count = legs * (args.frames - 1) + usize::from(!args.closed);
    let columns = args.columns.unwrap_or((2048 / (w * scale as usize + 2)).max(args.frames)).min(count);
    if outs.iter().any(|(_, kind)| *kind == Kind::Strip) {
        sample::check_grid(count, columns, [h, w], scale)?;
    }
    sample::check_grid(1, 1, [h, w], scale)?; // a frame: GIF's sides have 16 bits
    let bytes = count * h * w * 3 * (scale * scale) as usize;
    if bytes > 1 << 30 {
        return usage(format!("{count} frames take {} MiB: take fewer --frames or a smaller --scale", bytes >> 20));
    }

    let found = points::find(&points, &generator, &args.project, args.seed, &args.common)?;
    let course = if args.mode == "linear" { Course::Linear } else { Course::Spherical };
    let vectors: Vec<Vec<f32>> = found.iter().map(|point| point.z.clone()).collect();
    let walk = course.walk(&vectors, args.frames, args.closed);
    let made = points::record(Provenance::new(&command()), &generator, &found, &args.project)?
        .with("mode", &args.mode)
        .with("frames", walk.len())
        .with("seed", args.seed);
    let timing = Timing { fps: args.fps, plays: args.plays };
    let images = generator.generate(&walk.concat(), Mode::Inference)?;
    let frames = points::pictures(&images, [c, h, w], scale);
    for (path, kind) in &outs {
        match kind {
            Kind::Strip => {
                let strip = image_grid(&images, count, c, h, w, columns, scale, 2);
                let made = made.clone().tiles(&Tiling::of_image_grid(count, [h, w], columns, scale, 2));
                save_png(path, &strip, made.text(), args.common.force)?;
            }
            Kind::Gif => save_gif(path, &frames, timing, made.text(), args.common.force)?,
            Kind::Apng => save_apng(path, &frames, timing, made.text(), args.common.force)?,
        }
    }
    if args.common.printing.json {
        let written: Vec<String> = outs.iter().map(|(path, _)| path.display().to_string()).collect();
        let points: Vec<_> = found.iter().map(points::json).collect();
        let line = serde_json::json!({ "written": written, "step": step, "frames": count, "points": points });
        print_line(&line.to_string())?;
    } else if !args.common.printing.quiet {
        outs.iter().try_for_each(|(path, _)| print_line(&path.display().to_string()))?;
    }
    Ok(0)
}

//! `toile metrics`: what a translation run makes of pictures that it was not trained on.

use super::{device, print_line, use_threads};
use crate::data::{Source, open_domains};
use crate::error::{Error, Result};
use crate::metrics::silhouette::{overlap, silhouette};
use crate::nn::Mode;
use crate::report::{image_grid, save_png};
use crate::train::RunFolder;
use crate::train::translate::{Applied, Direction};
use std::path::PathBuf;

/// Measures a translation run on held-out pictures
///
/// Did the cut stay: silhouette IoU of result and original (drawn garments
/// have their own silhouette; other pictures' is what differs from the
/// colour of their border). With pairs also the distance to the right
/// answer.
///
/// Example:
///
///   toile metrics runs/pix2pix-1 --sheet sheet.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run of cyclegan, pix2pix, cut or fastcut.
    run: PathBuf,
    /// Pictures, the first ones that were held out.
    #[arg(long, default_value_t = 32, value_name = "N")]
    count: usize,
    /// From domain A to B or back; a CycleGAN learns both.
    #[arg(long, value_parser = ["a-to-b", "b-to-a"], default_value = "a-to-b")]
    direction: String,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Draws originals and results, and the right answers of pairs, into this PNG.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Replaces a sheet that exists.
    #[arg(long)]
    force: bool,
    #[arg(long, default_value = "auto", help = device::HELP)]
    device: String,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The figures as one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<u8> {
    use_threads(args.threads)?;
    if !(1..=4096).contains(&args.count) {
        return Err(Error::Usage(format!("--count {}: takes 1 to 4096", args.count)));
    }
    let folder = RunFolder::read(&args.run)?;
    let (device, _) = device::open(&args.device)?;
    let direction = if args.direction == "a-to-b" { Direction::AToB } else { Direction::BToA };
    let applied = Applied::load(&folder, args.step, direction, 0, &device)?;
    let domains = open_domains(&applied.recipe().data)?;
    let [from, to] = match direction {
        Direction::AToB => [&domains.shown[0], &domains.shown[1]],
        Direction::BToA => [&domains.shown[1], &domains.shown[0]],
    };
    let (shape, count) = (from.shape(), args.count.min(from.len()));
    let [c, h, w] = shape;
    let load = |source: &dyn Source, i: usize| -> Result<Vec<f32>> {
        let mut image = vec![0.0; c * h * w];
        source.load(i, &mut image)?;
        Ok(image)
    };
    let (mut shares, mut distances, mut sheet) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..count {
        let original = load(&**from, i)?;
        let result = applied.apply(&original, [h, w], i as u64, Mode::BatchStatistics)?;
        let there = from.mask(i).unwrap_or_else(|| silhouette(&original, shape));
        shares.push(overlap(&silhouette(&result, shape), &there));
        sheet.extend(original);
        if domains.paired {
            let answer = load(&**to, i)?;
            let total: f64 = result.iter().zip(&answer).map(|(a, b)| f64::from((a - b).abs())).sum();
            // Of 255, as pictures have it.
            distances.push(total / answer.len() as f64 * 127.5);
            sheet.extend(&result);
            sheet.extend(answer);
        } else {
            sheet.extend(&result);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let least = shares.iter().copied().fold(1.0, f64::min);
    if let Some(path) = &args.sheet {
        let images = if domains.paired { 3 } else { 2 };
        let columns = images * (12 / images);
        let scale = (64 / h.max(w)).clamp(1, 8) as u32;
        let grid = image_grid(&sheet, count * images, c, h, w, columns, scale, 2);
        let text = [
            ("Software", concat!("toile ", env!("CARGO_PKG_VERSION")).to_string()),
            ("run", args.run.display().to_string()),
            ("step", applied.step.to_string()),
            ("direction", args.direction.clone()),
        ]
        .map(|(key, value)| (key.to_string(), value));
        save_png(path, &grid, &text, args.force)?;
    }
    let distance = (!distances.is_empty()).then(|| mean(&distances));
    if args.json {
        let figures = serde_json::json!({
            "run": args.run.display().to_string(), "step": applied.step, "direction": args.direction, "pictures": count,
            "data": from.describe(), "silhouette_iou": mean(&shares), "silhouette_iou_least": least,
            "distance_to_answer": distance,
        });
        return print_line(&figures.to_string()).map(|()| 0);
    }
    print_line(&format!("{count} pictures of {}, step {}, {}", from.describe(), applied.step, args.direction))?;
    print_line(&format!("silhouette IoU: mean {:.3}, least {least:.3}", mean(&shares)))?;
    if let Some(distance) = distance {
        print_line(&format!("distance to the right answer: {distance:.1} of 255 a channel"))?;
    }
    Ok(0)
}

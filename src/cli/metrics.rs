//! `toile metrics`: what a translation run makes of pictures that it was not trained on.

use super::common::command;
use super::{device, print_line, use_threads};
use crate::data::garments::Pattern;
use crate::data::{Domains, Source, open_domains};
use crate::error::{Error, Result};
use crate::metrics::silhouette::{overlap, silhouette};
use crate::nn::Mode;
use crate::report::{ModelIdentity, Provenance, Tiling, image_grid, save_png};
use crate::train::translate::{Applied, Direction};
use crate::train::{RunFolder, classifier};
use std::path::PathBuf;

/// Measures a translation run on held-out pictures
///
/// Did the cut stay: silhouette IoU of result and original (drawn garments
/// have their own silhouette; other pictures' is what differs from the
/// colour of their border). With pairs also the distance to the right
/// answer. Did the pattern arrive: in how many results of drawn garments a
/// classifier finds the wanted one.
///
/// Examples:
///
///   toile metrics runs/pix2pix-1 --sheet sheet.png
///   toile metrics runs/cut-1 --classifier runs/classifier-1
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
    /// A run of classifier: says which patterns the results have. For drawn garments.
    #[arg(long, value_name = "RUN")]
    classifier: Option<PathBuf>,
    /// Draws originals and results, and the right answers of pairs, into this PNG.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Licence of the data, recorded in the sheet where training found none.
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
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
    let judge = match &args.classifier {
        Some(run) => Some(classifier::load(&RunFolder::read(run)?, None, &device)?),
        None => None,
    };
    let wanted: Vec<Wanted> = match &judge {
        Some(_) => (0..count).map(|i| Wanted::of(&domains, [from, to], i)).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let load = |source: &dyn Source, i: usize| -> Result<Vec<f32>> {
        let mut image = vec![0.0; c * h * w];
        source.load(i, &mut image)?;
        Ok(image)
    };
    let (mut shares, mut distances, mut sheet, mut results) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..count {
        let original = load(&**from, i)?;
        let result = applied.apply(&original, [h, w], i as u64, Mode::BatchStatistics)?;
        let there = from.mask(i).unwrap_or_else(|| silhouette(&original, shape));
        shares.push(overlap(&silhouette(&result, shape), &there));
        results.extend_from_slice(&result);
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
        let [model, data] = applied.identity.clone();
        let (recipe, data_licence) = (applied.recipe().name.clone(), applied.data_licence.clone());
        let identity = ModelIdentity { run: args.run.clone(), recipe, step: applied.step, model, data, data_licence };
        let made = Provenance::new(&command())
            .model(&identity, args.licence.as_deref())
            .with("direction", &args.direction)
            .tiles(&Tiling::of_image_grid(count * images, [h, w], columns, scale, 2));
        save_png(path, &grid, made.text(), args.force)?;
    }
    let distance = (!distances.is_empty()).then(|| mean(&distances));
    let found = match &judge {
        Some(judge) => {
            let verdicts = judge.judge(&results, shape, &device)?;
            Some(wanted.iter().zip(&verdicts).map(|(wanted, verdict)| (*wanted, verdict.pattern)).collect::<Vec<_>>())
        }
        None => None,
    };
    let right = found.as_ref().map(|found| found.iter().filter(|(wanted, pattern)| wanted.is(*pattern)).count());
    if args.json {
        let figures = serde_json::json!({
            "run": args.run.display().to_string(), "step": applied.step, "direction": args.direction, "pictures": count,
            "data": from.describe(), "silhouette_iou": mean(&shares), "silhouette_iou_least": least,
            "distance_to_answer": distance,
            "pattern_found": right.map(|right| right as f64 / count as f64),
        });
        return print_line(&figures.to_string()).map(|()| 0);
    }
    print_line(&format!("{count} pictures of {}, step {}, {}", from.describe(), applied.step, args.direction))?;
    print_line(&format!("silhouette IoU: mean {:.3}, least {least:.3}", mean(&shares)))?;
    if let Some(distance) = distance {
        print_line(&format!("distance to the right answer: {distance:.1} of 255 a channel"))?;
    }
    if let (Some(found), Some(right)) = (found, right) {
        let missed = found.iter().filter(|(wanted, pattern)| !wanted.is(*pattern));
        let missed: Vec<String> = missed.map(|(wanted, pattern)| format!("{} for {wanted}", pattern.name())).collect();
        let share = 100.0 * right as f64 / count as f64;
        print_line(&format!("wanted pattern found: {right} of {count} ({share:.1} %)"))?;
        if !missed.is_empty() {
            print_line(&format!("found instead: {}", missed.join(", ")))?;
        }
    }
    Ok(0)
}

/// Which pattern a result should have.
#[derive(Clone, Copy)]
enum Wanted {
    This(Pattern),
    Another(Pattern),
}

impl Wanted {
    /// Of a pair, the answer's; else the pattern of domain `to`, if it has one; any but that of `from`, if that has one;
    /// or the original's own.
    fn of(domains: &Domains, [from, to]: [&std::sync::Arc<dyn Source>; 2], i: usize) -> Result<Wanted> {
        let pattern = |id: Option<u8>| id.and_then(|id| Pattern::ALL.get(usize::from(id)).copied());
        if domains.paired {
            return pattern(to.label(i)).map(Wanted::This).ok_or_else(unknown);
        }
        let common = |source: &std::sync::Arc<dyn Source>| pattern(source.common_label());
        let wanted = common(to).map(Wanted::This).or_else(|| common(from).map(Wanted::Another));
        wanted.or_else(|| pattern(from.label(i)).map(Wanted::This)).ok_or_else(unknown)
    }

    fn is(self, pattern: Pattern) -> bool {
        match self {
            Wanted::This(wanted) => wanted == pattern,
            Wanted::Another(wanted) => wanted != pattern,
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wanted::This(pattern) => f.write_str(pattern.name()),
            Wanted::Another(pattern) => write!(f, "another than {}", pattern.name()),
        }
    }
}

fn unknown() -> Error {
    Error::Usage(
        "--classifier: which patterns are wanted is known of drawn garments alone (data.source garments:...)".into(),
    )
}

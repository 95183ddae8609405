//! `toile classify`: which pattern a trained classifier finds on pictures, and how often it is right on drawn ones.

use super::common::{Machine, Printing};
use super::print_line;
use crate::data::{DrawnDomain, Fit, Fitting, HELD_OUT_FROM, Look, Source, image_files, read_image};
use crate::error::{Error, Result};
use crate::metrics::classifier::{Confusion, PatternClassifier};
use crate::tensor::Device;
use crate::train::{RunFolder, classifier};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Tells the patterns of garments in pictures by a trained classifier
///
/// A picture is laid on white and scaled to the training size. With --data,
/// garments that the classifier was not trained on are drawn and judged,
/// and the share of right verdicts is printed.
///
/// Examples:
///
///   toile classify runs/classifier-1 shirt.png drafts/
///   toile classify runs/classifier-1 --data garments --count 2000
///   toile classify runs/classifier-1 --data garments:outline --count 500
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run of classifier.
    run: PathBuf,
    /// PNG, JPEG or WebP files, or folders of them.
    images: Vec<PathBuf>,
    /// garments (as they come), or garments:NAME as for image translation: both domains are judged, except line drawings.
    #[arg(long, value_name = "SOURCE", conflicts_with = "images", required_unless_present = "images")]
    data: Option<String>,
    /// Garments of each domain of --data.
    #[arg(long, default_value_t = 500, value_name = "N")]
    count: usize,
    /// Height and width at which the garments of --data are drawn [default: the training size].
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Of the garments of --data.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: Args) -> Result<u8> {
    if !(1..=1 << 20).contains(&args.count) {
        return Err(Error::Usage(format!("--count {}: takes 1 to {}", args.count, 1 << 20)));
    }
    if let Some(size) = args.size.filter(|size| !(8..=4096).contains(size)) {
        return Err(Error::Usage(format!("--size {size}: takes 8 to 4096 pixels")));
    }
    let folder = RunFolder::read(&args.run)?;
    let device = args.machine.open(&args.printing)?;
    let judge = classifier::load(&folder, args.step, &device)?;
    match &args.data {
        Some(data) => examine(&args, data, &judge, &device),
        None => judge_files(&args, &judge, &device),
    }
    .map(|()| 0)
}

fn judge_files(args: &Args, judge: &PatternClassifier, device: &Device) -> Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    for image in &args.images {
        if image.is_dir() { files.extend(image_files(image)?) } else { files.push(image.clone()) }
    }
    let mut all: Vec<Value> = Vec::new();
    for file in files {
        let (verdict, path) = (verdict(&file, judge, device)?, file.display().to_string());
        if args.printing.json {
            let ranked = verdict.iter().map(|(name, p)| json!({ "pattern": name, "probability": p }));
            all.push(json!({ "file": path, "patterns": ranked.collect::<Vec<_>>() }));
        } else {
            let [(first, p), (second, q), ..] = &verdict[..] else { continue };
            print_line(&format!("{path}: {first} {p:.2} (then {second} {q:.2})"))?;
        }
    }
    if args.printing.json {
        print_line(&json!({ "run": args.run.display().to_string(), "pictures": all }).to_string())
    } else {
        Ok(())
    }
}

/// The patterns and their probabilities for a picture, likeliest first.
fn verdict(file: &Path, judge: &PatternClassifier, device: &Device) -> Result<Vec<(&'static str, f64)>> {
    let fitting = Fitting { size: judge.size(), channels: 3, fit: Fit::Pad, background: [255; 3] };
    let shape = fitting.shape();
    let mut bytes = vec![0; shape.iter().product()];
    fitting.apply(read_image(file)?, &mut bytes);
    let values: Vec<f32> = bytes.into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
    let verdicts = judge.judge(&values, shape, device)?;
    let ranked = verdicts.iter().flat_map(|verdict| verdict.ranked());
    Ok(ranked.map(|(pattern, p)| (pattern.name(), p)).collect())
}

fn examine(args: &Args, data: &str, judge: &PatternClassifier, device: &Device) -> Result<()> {
    let looks = match data.strip_prefix("garments:") {
        Some(name) => Look::pair(name)?.to_vec(),
        None if data == "garments" => vec![Look::Drawn],
        None => {
            let why = "takes garments or garments:NAME, whose patterns are known; judge other pictures as FILES";
            return Err(Error::Usage(format!("--data {data}: {why}")));
        }
    };
    let size = args.size.map_or(judge.size(), |size| [size; 2]);
    let fitting = Fitting { size, channels: 3, fit: Fit::Crop, background: [255; 3] };
    let mut all: Vec<Value> = Vec::new();
    for look in looks.into_iter().filter(|&look| look != Look::Outline) {
        let source = DrawnDomain::new(args.seed, HELD_OUT_FROM, args.count, look, fitting);
        let (confusion, _) = judge.examine(&source, args.count, device)?;
        if args.printing.json {
            all.push(figures(&source, &confusion));
        } else {
            print_line(&format!("{}: {}", source.describe(), confusion.summary()))?;
        }
    }
    if args.printing.json {
        print_line(&json!({ "run": args.run.display().to_string(), "examined": all }).to_string())
    } else {
        Ok(())
    }
}

fn figures(source: &DrawnDomain, confusion: &Confusion) -> Value {
    let mistakes = confusion.mistakes().into_iter();
    let mistakes =
        mistakes.map(|(there, found, n)| json!({ "there": there.name(), "found": found.name(), "times": n }));
    json!({
        "data": source.describe(), "pictures": confusion.total(), "right": confusion.right(),
        "accuracy": confusion.accuracy(), "mistakes": mistakes.collect::<Vec<_>>(),
    })
}

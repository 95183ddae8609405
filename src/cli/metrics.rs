//! `toile metrics`: what a translation run makes of pictures that it was not trained on.

use super::common::{Common, command};
use super::print_line;
use crate::data::garments::Pattern;
use crate::data::{Domains, Source, open_domains};
use crate::error::{Error, Result};
use crate::metrics::colour::colour_distance;
use crate::metrics::edges::edge_agreement;
use crate::metrics::patches::{View, patch_distance};
use crate::metrics::silhouette::{overlap, silhouette};
use crate::nn::Mode;
use crate::report::{ModelIdentity, Provenance, Tiling, image_grid, save_png};
use crate::train::translate::{Applied, Direction};
use crate::train::{RunFolder, classifier};
use std::path::{Path, PathBuf};

/// Measures a translation run on held-out pictures
///
/// Did the cut stay: silhouette IoU of result and original (drawn garments
/// have their own silhouette; other pictures' is what differs from the
/// colour of their border), and how far their edges agree. Did the look
/// arrive: how far patches and colours are from those of the other domain's
/// pictures (of the right answers, with pairs), before and after; and in how
/// many results of drawn garments a classifier finds the wanted pattern.
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
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    if !(1..=4096).contains(&args.count) {
        return Err(Error::Usage(format!("--count {}: takes 1 to 4096", args.count)));
    }
    let folder = RunFolder::read(&args.run)?;
    args.sheet.as_ref().map_or(Ok(()), |path| args.common.check_png(path))?;
    let device = args.common.open()?;
    let direction = if args.direction == "a-to-b" { Direction::AToB } else { Direction::BToA };
    let applied = Applied::load(&folder, args.step, direction, 0, &device)?;
    let domains = open_domains(&applied.recipe().data)?;
    let [from, to] = match direction {
        Direction::AToB => [&domains.shown[0], &domains.shown[1]],
        Direction::BToA => [&domains.shown[1], &domains.shown[0]],
    };
    let count = args.count.min(from.len());
    let judge = match &args.classifier {
        Some(run) => Some(classifier::load(&RunFolder::read(run)?, None, &device)?),
        None => None,
    };
    // Before the pictures are made: where no pattern is known the user hears it now.
    let wanted: Vec<Wanted> = match &judge {
        Some(_) => (0..count).map(|i| Wanted::of(&domains, [from, to], i)).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let (figures, Pictures { results, sheet }) = measure(&applied, [&**from, &**to], domains.paired, count)?;
    if let Some(path) = &args.sheet {
        draw(&args, path, &applied, &sheet, from.shape())?;
    }
    let found = match &judge {
        Some(judge) => {
            let verdicts = judge.judge(&results, from.shape(), &device)?;
            Some(wanted.iter().zip(&verdicts).map(|(wanted, verdict)| (*wanted, verdict.pattern)).collect::<Vec<_>>())
        }
        None => None,
    };
    let right = found.as_ref().map(|found| found.iter().filter(|(wanted, pattern)| wanted.is(*pattern)).count());
    let of = from.describe();
    if args.common.printing.json {
        let figures = serde_json::json!({
            "run": args.run.display().to_string(), "step": applied.step, "direction": args.direction, "pictures": count,
            "data": of, "silhouette_iou": figures.silhouettes, "silhouette_iou_least": figures.least,
            "edge_agreement": figures.edges, "patch_distance": figures.patches[1],
            "patch_distance_before": figures.patches[0], "colour_distance": figures.colours.map(|both| both[1]),
            "colour_distance_before": figures.colours.map(|both| both[0]), "distance_to_answer": figures.distance,
            "pattern_found": right.map(|right| right as f64 / count as f64),
        });
        return print_line(&figures.to_string()).map(|()| 0);
    }
    print_line(&format!("{count} pictures of {of}, step {}, {}", applied.step, args.direction))?;
    figures.print(if domains.paired { "the right answers" } else { "pictures of the other domain" })?;
    if let (Some(found), Some(right)) = (found, right) {
        print_patterns(&found, right)?;
    }
    Ok(0)
}

/// What is measured, each a mean over the pictures.
struct Figures {
    /// IoU of the silhouettes of result and original, and the least of them.
    silhouettes: f64,
    least: f64,
    /// Correlation of the edges of result and original.
    edges: f64,
    /// Distances of originals and of results from those of the other domain.
    patches: [f64; 2],
    colours: Option<[f64; 2]>,
    /// From the right answers, of 255.
    distance: Option<f64>,
}

/// The results one after the other, and what the sheet shows: originals, results, the answers of pairs.
struct Pictures {
    results: Vec<f32>,
    sheet: Vec<Vec<f32>>,
}

/// Applies the run to the first `count` pictures of `from` and measures what comes out.
fn measure(applied: &Applied, [from, to]: [&dyn Source; 2], paired: bool, count: usize) -> Result<(Figures, Pictures)> {
    let shape = from.shape();
    let [c, h, w] = shape;
    let load = |source: &dyn Source, i: usize| -> Result<Vec<f32>> {
        let mut image = vec![0.0; c * h * w];
        source.load(i, &mut image)?;
        Ok(image)
    };
    let (mut shares, mut edges, mut looks, mut distances) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut pictures = Pictures { results: Vec::new(), sheet: Vec::new() };
    for i in 0..count {
        let original = load(from, i)?;
        let result = applied.apply(&original, [h, w], i as u64, Mode::BatchStatistics)?;
        let there = from.mask(i).unwrap_or_else(|| silhouette(&original, shape));
        shares.push(overlap(&silhouette(&result, shape), &there));
        edges.push(edge_agreement(&result, &original, shape, None));
        // The answer, or just a picture of the other domain.
        let other = load(to, i % to.len())?;
        looks.push([&original, &result].map(|image| Looks::of(image, &other, shape)));
        pictures.results.extend_from_slice(&result);
        pictures.sheet.push(original);
        if paired {
            let total: f64 = result.iter().zip(&other).map(|(a, b)| f64::from((a - b).abs())).sum();
            // Of 255, as pictures have it.
            distances.push(total / other.len() as f64 * 127.5);
            pictures.sheet.extend([result, other]);
        } else {
            pictures.sheet.push(result);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let look =
        |which: usize, of: fn(&Looks) -> f64| mean(&looks.iter().map(|both| of(&both[which])).collect::<Vec<_>>());
    let figures = Figures {
        silhouettes: mean(&shares),
        least: shares.iter().copied().fold(1.0, f64::min),
        edges: mean(&edges),
        patches: [0, 1].map(|which| look(which, |look| look.patches)),
        colours: (c == 3).then(|| [0, 1].map(|which| look(which, |look| look.colour))),
        distance: paired.then(|| mean(&distances)),
    };
    Ok((figures, pictures))
}

impl Figures {
    /// A line a figure; `of` says whose patches and colours the looks are held against.
    fn print(&self, of: &str) -> Result<()> {
        let Figures { silhouettes, least, edges, patches: [before, after], colours, distance } = self;
        print_line(&format!("silhouette IoU: mean {silhouettes:.3}, least {least:.3}"))?;
        print_line(&format!("edges agree with the original's: {edges:.3} (correlation)"))?;
        print_line(&format!(
            "patches, distance to those of {of}: {after:.3} of black to white (originals {before:.3})"
        ))?;
        if let Some([before, after]) = colours {
            print_line(&format!("colours, distance to those of {of}: {after:.1} ΔE (originals {before:.1})"))?;
        }
        if let Some(distance) = distance {
            print_line(&format!("distance to the right answer: {distance:.1} of 255 a channel"))?;
        }
        Ok(())
    }
}

/// How many results have the wanted pattern, and what the others have.
fn print_patterns(found: &[(Wanted, Pattern)], right: usize) -> Result<()> {
    let missed = found.iter().filter(|(wanted, pattern)| !wanted.is(*pattern));
    let mut counts: Vec<(String, usize)> = Vec::new();
    for (wanted, pattern) in missed {
        let name = format!("{} for {wanted}", pattern.name());
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let missed: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let (count, share) = (found.len(), 100.0 * right as f64 / found.len() as f64);
    print_line(&format!("wanted pattern found: {right} of {count} ({share:.1} %)"))?;
    if !missed.is_empty() {
        print_line(&format!("found instead: {}", missed.join(", ")))?;
    }
    Ok(())
}

/// The sheet: whole rows of originals beside results and the answers of pairs.
fn draw(args: &Args, path: &Path, applied: &Applied, sheet: &[Vec<f32>], [c, h, w]: [usize; 3]) -> Result<()> {
    let columns = 12; // a multiple of two and of three
    let scale = (64 / h.max(w)).clamp(1, 8) as u32;
    let grid = image_grid(&sheet.concat(), sheet.len(), c, h, w, columns, scale, 2);
    let [model, data] = applied.identity.clone();
    let (recipe, data_licence) = (applied.recipe().name.clone(), applied.data_licence.clone());
    let identity = ModelIdentity { run: args.run.clone(), recipe, step: applied.step, model, data, data_licence };
    let made = Provenance::new(&command())
        .model(&identity, args.licence.as_deref())
        .with("direction", &args.direction)
        .tiles(&Tiling::of_image_grid(sheet.len(), [h, w], columns, scale, 2));
    save_png(path, &grid, made.text(), args.common.force)
}

/// How far an image's look is from another's.
struct Looks {
    patches: f64,
    colour: f64,
}

impl Looks {
    fn of(image: &[f32], other: &[f32], shape: [usize; 3]) -> Looks {
        let view = |values| View { values, shape, area: None };
        let colour = if shape[0] == 3 { colour_distance(image, None, other, None) } else { 0.0 };
        Looks { patches: patch_distance(view(image), view(other)), colour }
    }
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

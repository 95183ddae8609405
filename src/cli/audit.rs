//! `toile audit`: near-copies of training images in an output, or what an output says of itself.

use super::common::{Printing, Threads, check_png, command};
use super::{print_line, say};
use crate::data::{DataSpec, DomainSpec, Fit, Fitting, Source, image_files, open, open_domains, read_image};
use crate::error::{Error, Result};
use crate::metrics::copies::{Match, SIDE, THRESHOLD, TrainingImages};
use crate::report::{Provenance, Tiling, image_grid, labelled_sheet, read_png_text, save_png};
use crate::train::{AnyRecipe, RunFolder};
use image::{DynamicImage, RgbImage};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Height and width of pictures on the sheet of pairs, in pixels.
const SHOWN: usize = 96;

/// Finds near-copies of training images in an output
///
/// OUTPUT is a picture, a folder of pictures, or a sheet, whose pictures
/// are found by what its PNG records or by --tile. With --data each is
/// held against every training image, mirrored and shifted, too; exit
/// code 1 if one is a near-copy; --quiet lists these alone. Without --data
/// prints what OUTPUT, a PNG, records of how it was made.
///
/// Examples:
///
///   toile audit runs/seed-1/samples/step-005000.png --data runs/seed-1
///   toile audit drafts --data photos --pairs pairs.png
///   toile audit grid.png --tile 64x64+2 --data garments --count 4000
///   toile audit grid.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A picture, a sheet of pictures, or a folder.
    output: PathBuf,
    /// The training images: a run (those it was trained on), a folder, garments, garments:plain-striped and the like,
    /// fashion-mnist, or an IDX file.
    #[arg(long, value_name = "SOURCE")]
    data: Option<String>,
    /// Garments to draw [default: as training does].
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Of the garments.
    #[arg(long, alias = "data-seed", default_value_t = 0)]
    seed: u64,
    /// How pictures that are not square are fitted: crop or pad.
    #[arg(long, value_parser = ["crop", "pad"], default_value = "crop")]
    fit: String,
    /// Size of a sheet's pictures, and the gap between and around them, in pixels.
    #[arg(long, value_name = "WxH[+GAP]")]
    tile: Option<String>,
    /// Distance below which a picture is a near-copy; 0: the same but for brightness and contrast, 1: nothing in common.
    #[arg(long, default_value_t = THRESHOLD, value_name = "D")]
    threshold: f64,
    /// Pictures in the table and on the sheet of pairs, the nearest first.
    #[arg(long, default_value_t = 8, value_name = "N")]
    nearest: usize,
    /// Draws the nearest pairs side by side into this PNG.
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Licence of the output, recorded with the pairs [default: what a file LICENCES beside it says].
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// Replaces files that exist.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: Args) -> Result<u8> {
    args.threads.apply()?;
    if let Some(data) = args.data.clone() {
        return audit(&args, &data);
    }
    let given =
        [args.count.map(|_| "--count"), args.tile.as_ref().map(|_| "--tile"), args.pairs.as_ref().map(|_| "--pairs")];
    if let Some(option) = given.into_iter().flatten().next() {
        return Err(Error::Usage(format!("{option} goes with --data, the training images to compare with")));
    }
    if args.output.is_dir() {
        let why = "is a folder: name the training images with --data, or one PNG to see what it records";
        return Err(Error::Usage(format!("{} {why}", args.output.display())));
    }
    let text = read_png_text(&args.output)?;
    if args.printing.json {
        let entries = text.into_iter().map(|(keyword, value)| (keyword, serde_json::Value::from(value)));
        print_line(&serde_json::Value::Object(entries.collect()).to_string())?;
    } else if text.is_empty() {
        print_line(&format!("{} records nothing of how it was made", args.output.display()))?;
    } else {
        let wide = text.iter().map(|(keyword, _)| keyword.chars().count()).max().unwrap_or(0);
        for (keyword, value) in &text {
            print_line(&format!("{:wide$}  {}", plain(keyword), plain(value)))?;
        }
    }
    Ok(0)
}

/// A file may say what a terminal would obey; it is shown instead.
fn plain(text: &str) -> String {
    let odd =
        |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    text.chars().map(|c| if odd(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A picture of the output, and where it lies.
struct Piece {
    name: String,
    image: RgbImage,
}

fn audit(args: &Args, data: &str) -> Result<u8> {
    if !(args.threshold > 0.0 && args.threshold <= 1.0) {
        return Err(Error::Usage(format!("--threshold {}: takes a number above 0, up to 1", args.threshold)));
    }
    if args.count == Some(0) {
        return Err(Error::Usage("--count 0: takes 1 or more".into()));
    }
    if args.nearest == 0 || args.nearest > 256 {
        return Err(Error::Usage(format!("--nearest {}: takes 1 to 256", args.nearest)));
    }
    args.pairs.as_ref().map_or(Ok(()), |path| check_png(path, args.force))?;
    let pieces = pieces(&args.output, args.tile.as_deref())?;
    let sets = TrainingSet::open(args, data, SIDE)?;
    if !args.printing.quiet {
        for set in &sets {
            say(&format!("training images: {}", set.source.describe()));
        }
    }
    let fit = if args.fit == "pad" { Fit::Pad } else { Fit::Crop };
    let fitted = |image: &RgbImage, side: usize| {
        let fitting = Fitting { size: [side; 2], channels: 3, fit, background: [255; 3] };
        let mut bytes = vec![0; 3 * side * side];
        fitting.apply(image.clone().into(), &mut bytes);
        bytes
    };
    // The nearest of each set, and of them all.
    let mut nearest: Vec<Option<(usize, Match)>> = vec![None; pieces.len()];
    for (number, set) in sets.iter().enumerate() {
        let training = TrainingImages::read(&*set.source)?;
        for (piece, best) in pieces.iter().zip(&mut nearest) {
            if let Some(found) = training.nearest(&fitted(&piece.image, SIDE))
                && best.as_ref().is_none_or(|(_, known)| found.distance < known.distance)
            {
                *best = Some((number, found));
            }
        }
    }
    let mut found: Vec<(&Piece, usize, Match)> =
        pieces.iter().zip(nearest).filter_map(|(piece, best)| best.map(|(set, found)| (piece, set, found))).collect();
    let blank = pieces.len() - found.len();
    found.sort_by(|a, b| a.2.distance.total_cmp(&b.2.distance));
    let is_copy = |found: &Match| found.distance < args.threshold;
    let copies = found.iter().filter(|(_, _, found)| is_copy(found)).count();

    if let Some(path) = args.pairs.as_ref().filter(|_| !found.is_empty()) {
        let shown = TrainingSet::open(args, data, SHOWN)?;
        let (mut images, mut rows) = (Vec::new(), Vec::new());
        for (piece, set, found) in found.iter().take(args.nearest) {
            let mut training = vec![0; 3 * SHOWN * SHOWN];
            shown[*set].source.pixels(found.index, &mut training)?;
            for bytes in [fitted(&piece.image, SHOWN), training] {
                let values: Vec<f32> = bytes.into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
                images.push(image_grid(&values, 1, 3, SHOWN, SHOWN, 1, 1, 0));
            }
            let verdict = if is_copy(found) { "copy" } else { "no copy" };
            rows.push(format!("{} {:.3} {verdict}", piece.name, found.distance));
        }
        let columns = ["output".to_string(), "training".to_string()];
        let title = format!("{copies} of {} pictures are near-copies, distance below {}", pieces.len(), args.threshold);
        let (sheet, tiling) = labelled_sheet(&images, 2, &rows, &columns, &title);
        let mut made = Provenance::new(&command());
        if args.output.is_file() {
            made = made.picture("content", &args.output, args.licence.as_deref())?;
        }
        for set in &sets {
            made = made.with("data", set.source.fingerprint());
        }
        let made = made.with("threshold", args.threshold).with("copies", copies).tiles(&tiling);
        save_png(path, &sheet, made.text(), args.force)?;
    }
    if args.printing.json {
        let row = |(piece, set, found): &(&Piece, usize, Match)| {
            serde_json::json!({
                "picture": piece.name, "nearest": sets[*set].name(found.index), "distance": found.distance,
                "mirrored": found.mirrored, "shift": found.shift, "copy": is_copy(found),
            })
        };
        let data: Vec<String> = sets.iter().map(|set| set.source.describe()).collect();
        let line = serde_json::json!({
            "pictures": pieces.len(), "blank": blank, "copies": copies, "threshold": args.threshold, "data": data,
            "matches": found.iter().map(row).collect::<Vec<_>>(),
        });
        print_line(&line.to_string())?;
    } else {
        table(args, &sets, &found, is_copy)?;
        if !args.printing.quiet {
            let of_one_colour =
                if blank > 0 { format!("; {blank} of one colour were passed over") } else { String::new() };
            let (count, threshold) = (pieces.len(), args.threshold);
            print_line(&format!(
                "{copies} of {count} pictures are near-copies (distance below {threshold}){of_one_colour}"
            ))?;
        }
    }
    Ok(if copies > 0 { 1 } else { 0 })
}

fn table(
    args: &Args,
    sets: &[TrainingSet],
    found: &[(&Piece, usize, Match)],
    is_copy: impl Fn(&Match) -> bool,
) -> Result<()> {
    let copies = found.iter().filter(|(_, _, found)| is_copy(found)).count();
    // Every near-copy is listed, and as many others as were asked for.
    let count = if args.printing.quiet { copies } else { copies.max(args.nearest) };
    for (piece, set, found) in found.iter().take(count) {
        let mut how = Vec::new();
        if found.mirrored {
            how.push("mirrored".to_string());
        }
        if found.shift != [0.0; 2] {
            let [x, y] = found.shift.map(|d| 100.0 * d);
            how.push(format!("shifted {x:+.0} %, {y:+.0} %"));
        }
        let how = if how.is_empty() { String::new() } else { format!("  ({})", how.join(", ")) };
        let verdict = if is_copy(found) { "COPY" } else { "    " };
        let name = sets[*set].name(found.index);
        print_line(&format!(
            "{verdict}  {:.3}  {}  nearest {}{how}",
            found.distance,
            plain(&piece.name),
            plain(&name)
        ))?;
    }
    Ok(())
}

/// The output's pictures.
fn pieces(output: &Path, tile: Option<&str>) -> Result<Vec<Piece>> {
    let files = if output.is_dir() { image_files(output)? } else { vec![output.to_path_buf()] };
    let mut pieces = Vec::new();
    for file in files {
        let image = on_white(read_image(&file)?);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let recorded = read_png_text(&file).unwrap_or_default(); // a JPEG records nothing
        let recorded = recorded.into_iter().find(|(keyword, _)| keyword == Tiling::KEY).map(|(_, value)| value);
        let tiling = match (tile, &recorded) {
            (Some(tile), _) => {
                Some(parse_tile(tile, &image).map_err(|why| Error::Usage(format!("--tile {tile}: {why}")))?)
            }
            (None, Some(text)) => Some(Tiling::parse(text).ok_or_else(|| {
                Error::file(
                    &file,
                    format!("records its pictures as {text:?}, which is not understood: say --tile WxH+GAP"),
                )
            })?),
            (None, None) => None,
        };
        let Some(tiling) = tiling else {
            pieces.push(Piece { name, image });
            continue;
        };
        let cut = tiling.cut(&image).ok_or_else(|| {
            Error::file(&file, "is smaller than the pictures that it records: it was cut or scaled; say --tile WxH+GAP")
        })?;
        pieces.extend(cut.into_iter().enumerate().map(|(i, image)| Piece { name: format!("{name}:{i}"), image }));
    }
    Ok(pieces)
}

fn on_white(image: DynamicImage) -> RgbImage {
    let [w, h] = [image.width() as usize, image.height() as usize];
    let mut bytes = vec![0; 3 * w * h];
    Fitting { size: [h, w], channels: 3, fit: Fit::Crop, background: [255; 3] }.apply(image, &mut bytes);
    RgbImage::from_fn(w as u32, h as u32, |x, y| {
        image::Rgb([0, 1, 2].map(|c| bytes[(c * h + y as usize) * w + x as usize]))
    })
}

/// `64x64+2` on this sheet.
fn parse_tile(text: &str, sheet: &RgbImage) -> Result<Tiling, String> {
    let wrong = || "takes width x height of a picture and the gap, in pixels, such as 64x64+2".to_string();
    let (size, gap) = text.split_once('+').unwrap_or((text, "0"));
    let (w, h) = size.split_once('x').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= 20_000);
    let [w, h, gap] = [w, h, gap].map(number);
    let (Some(w), Some(h), Some(gap)) = (w, h, gap) else { return Err(wrong()) };
    if w == 0 || h == 0 {
        return Err(wrong());
    }
    let columns = sheet.width().saturating_sub(gap) / (w + gap);
    let rows = sheet.height().saturating_sub(gap) / (h + gap);
    if columns * rows == 0 {
        return Err(format!("the output has {}x{} pixels, less than one such picture", sheet.width(), sheet.height()));
    }
    Ok(Tiling { origin: [gap; 2], size: [w, h], pitch: [w + gap, h + gap], columns, count: columns * rows, scale: 1 })
}

/// A set of training images, and what its images are called.
struct TrainingSet {
    source: Arc<dyn Source>,
    prefix: &'static str,
    files: Vec<PathBuf>,
}

impl TrainingSet {
    /// The training images that `data` names, at `side` x `side` pixels.
    fn open(args: &Args, data: &str, side: usize) -> Result<Vec<TrainingSet>> {
        let fit = if args.fit == "pad" { Fit::Pad } else { Fit::Crop };
        let size = [side; 2];
        let path = Path::new(data);
        if path.join("recipe.toml").is_file() && path.join("checkpoints").is_dir() {
            return match RunFolder::read(path)?.any_recipe()? {
                AnyRecipe::Gan(recipe) => one(DataSpec { size, channels: 3, cache_bytes: 0, ..recipe.data }),
                AnyRecipe::Translation(recipe) => {
                    domains(DomainSpec { size, load_size: None, channels: 3, cache_bytes: 0, ..recipe.data })
                }
                AnyRecipe::FeedForward(recipe) => one(DataSpec { size, channels: 3, cache_bytes: 0, ..recipe.data }),
                AnyRecipe::Classifier(_) => Err(Error::Usage(format!(
                    "--data {data}: a classifier's run makes no pictures; name its data instead"
                ))),
                AnyRecipe::Stylize(_) => Err(Error::Usage(format!(
                    "--data {data}: a saved style was learnt from the pictures its recipe names; give their folder"
                ))),
            };
        }
        let (source, count, seed) = (data.to_string(), args.count, args.seed);
        if data.starts_with("garments:") {
            return domains(DomainSpec { source, size, fit, count, seed, cache_bytes: 0, ..DomainSpec::default() });
        }
        one(DataSpec { source, size, fit, count, seed, cache_bytes: 0, ..DataSpec::default() })
    }

    fn name(&self, index: usize) -> String {
        match self.files.get(index) {
            Some(file) => file.display().to_string(),
            None => format!("{}image {index}", self.prefix),
        }
    }
}

fn one(spec: DataSpec) -> Result<Vec<TrainingSet>> {
    let source = open(&spec)?;
    let path = Path::new(&spec.source);
    let files = if path.is_dir() { image_files(path).unwrap_or_default() } else { Vec::new() };
    // A folder may hold pictures beside the IDX file that is read.
    let files = if files.len() == source.len() { files } else { Vec::new() };
    Ok(vec![TrainingSet { source, prefix: "", files }])
}

fn domains(spec: DomainSpec) -> Result<Vec<TrainingSet>> {
    let domains = open_domains(&spec)?;
    let set = |source, prefix| TrainingSet { source, prefix, files: Vec::new() };
    Ok(vec![set(domains.a, "A, "), set(domains.b, "B, ")])
}

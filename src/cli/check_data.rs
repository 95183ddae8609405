//! `toile check-data`: what a data set holds and what is wrong with it.

use super::common::{Printing, check_png, command};
use super::print_line;
use crate::data::{DataSpec, Fit, inspect, licences_of_source, open};
use crate::error::{Error, Result};
use crate::report::{Provenance, Tiling, image_grid, save_png};
use std::path::PathBuf;

/// Reads every image of a data set and says what is in it
///
/// Counts, sizes, kinds, duplicates, unreadable files. With --sheet it
/// also draws the first images as training would see them. Exit code 1 if
/// a file cannot be read.
///
/// Examples:
///
///   toile check-data photos
///   toile check-data garments --size 128 --sheet chart.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// garments, fashion-mnist, an IDX file, or a folder of images.
    source: String,
    /// Height and width of the pictures on the sheet, in pixels.
    #[arg(long, default_value_t = 64, value_name = "PIXELS")]
    size: usize,
    /// How pictures of another aspect are fitted: crop or pad.
    #[arg(long, value_parser = ["crop", "pad"], default_value = "crop")]
    fit: String,
    /// Garments to draw [default: 20000].
    #[arg(long, alias = "garments", value_name = "N")]
    count: Option<usize>,
    /// Of the garments.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draws the first images into this PNG.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Images on the sheet, and in a row of it.
    #[arg(long, default_values_t = [64, 8], num_args = 2, value_names = ["N", "COLUMNS"])]
    grid: Vec<usize>,
    /// Replaces a sheet that exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: Args) -> Result<u8> {
    if !(1..=8192).contains(&args.size) {
        return Err(Error::Usage(format!("--size {}: takes 1 to 8192", args.size)));
    }
    if args.grid.contains(&0) || args.count == Some(0) {
        return Err(Error::Usage("--grid and --count take numbers from 1".into()));
    }
    let spec = DataSpec {
        source: args.source.clone(),
        size: [args.size; 2],
        fit: if args.fit == "pad" { Fit::Pad } else { Fit::Crop },
        count: args.count,
        seed: args.seed,
        ..DataSpec::default()
    };
    let source = open(&spec)?;
    args.sheet.as_ref().map_or(Ok(()), |path| check_png(path, args.force))?;
    let found = inspect(&spec)?;
    if args.printing.json {
        let sizes: Vec<_> =
            found.sizes.iter().map(|(size, n)| serde_json::json!({ "size": size, "images": n })).collect();
        let unreadable: Vec<_> =
            found.unreadable.iter().map(|(path, why)| serde_json::json!({ "file": path, "reason": why })).collect();
        let line = serde_json::json!({
            "images": found.images, "sizes": sizes, "kinds": found.kinds,
            "duplicates": found.duplicates, "unreadable": unreadable,
        });
        print_line(&line.to_string())?;
    } else {
        print_line(&source.describe())?;
        let plural = if found.images == 1 { "image" } else { "images" };
        print_line(&format!("{} {plural} can be read, {} cannot", found.images, found.unreadable.len()))?;
        for (kind, n) in &found.kinds {
            print_line(&format!("  {n} {kind}"))?;
        }
        for ([w, h], n) in found.sizes.iter().take(10) {
            print_line(&format!("  {n} of {w}x{h}"))?;
        }
        if found.sizes.len() > 10 {
            print_line(&format!("  and {} other sizes", found.sizes.len() - 10))?;
        }
        for group in found.duplicates.iter().take(20) {
            print_line(&format!("  the same pixels: {}", group.join(", ")))?;
        }
        if found.duplicates.len() > 20 {
            print_line(&format!("  and {} other groups with the same pixels", found.duplicates.len() - 20))?;
        }
        for (_, why) in &found.unreadable {
            print_line(&format!("  unreadable: {why}"))?;
        }
    }
    if let Some(path) = &args.sheet {
        let [c, h, w] = source.shape();
        let count = args.grid[0].min(source.len());
        super::sample::check_grid(count, args.grid[1], [h, w], 1)?;
        let mut images = vec![0.0; count * c * h * w];
        for (i, image) in images.chunks_mut(c * h * w).enumerate() {
            if source.load(i, image).is_err() {
                image.fill(f32::NAN); // listed above; magenta on the sheet
            }
        }
        let sheet = image_grid(&images, count, c, h, w, args.grid[1].min(count), 1, 2);
        let mut made =
            Provenance::new(&command()).with("data", source.describe()).with("data-hash", source.fingerprint());
        if let Some(licence) = licences_of_source(&args.source)? {
            made = made.with("data-licence", licence);
        }
        let tiles = Tiling::of_image_grid(count, [h, w], args.grid[1].min(count), 1, 2);
        save_png(path, &sheet, made.tiles(&tiles).text(), args.force)?;
        if !args.printing.json && !args.printing.quiet {
            print_line(&format!("sheet: {}", path.display()))?;
        }
    }
    Ok(if found.unreadable.is_empty() { 0 } else { 1 })
}

//! `toile variations`: designs around one, by a run's generator.

use super::common::{Common, command};
use super::points::{self, Point, ProjectArgs};
use super::{print_line, sample};
use crate::error::{Error, Result};
use crate::report::{Provenance, Tiling, labelled_sheet, save_png};
use crate::train::RunFolder;
use crate::train::latent::{TrainedGenerator, around};
use image::RgbImage;
use std::path::PathBuf;

/// Draws designs around one: a picture that is projected, or a seed's
///
/// Each variation's latent vector is √(1 − S²) of the design's and S of a
/// random one. The labelled sheet has a row for each spread; before the
/// variations stand the picture and its projection.
///
/// Examples:
///
///   toile variations runs/seed-1 shirt.png -n 16 --spread 0.3
///   toile variations runs/seed-1 3:12 -n 8 --spread 0.2,0.4,0.6 --out sheet.png
///   toile variations runs/seed-1 3 --single drafts
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run folder of a GAN.
    run: PathBuf,
    /// An image file, or a seed: 3, or 3:12 for picture 12 of `toile sample --seed 3`.
    design: String,
    /// Variations of each spread.
    #[arg(short = 'n', long, default_value_t = 16, value_name = "N")]
    count: usize,
    /// How far they go, 0 to 1; several with commas between.
    #[arg(long, default_value = "0.3", value_delimiter = ',', value_name = "S")]
    spread: Vec<f64>,
    /// Each pixel becomes so many pixels wide and high [default: such that a picture is about 84 wide; with --single: 1].
    #[arg(long, value_name = "N")]
    scale: Option<u32>,
    /// Of the variations (variation i depends on (seed, i) and the design), and of the beginnings of a projection.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The checkpoint of this step [default: the newest].
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The labelled sheet, a .png [default: RUN/samples/variations-DESIGN-step-N.png].
    #[arg(long, value_name = "FILE", conflicts_with = "single")]
    out: Option<PathBuf>,
    /// Writes single pictures into this folder instead of a sheet.
    #[arg(long, value_name = "DIR")]
    single: Option<PathBuf>,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    if !(1..=1024).contains(&args.count) {
        return Err(Error::Usage(format!("--count {}: takes 1 to 1024", args.count)));
    }
    if let Some(spread) = args.spread.iter().find(|spread| !(0.0..=1.0).contains(*spread)) {
        return Err(Error::Usage(format!("--spread {spread}: takes 0 (the design itself) to 1 (any other)")));
    }
    let point = [Point::parse(&args.design)?];
    let folder = RunFolder::read(&args.run)?;
    let step = folder.checkpoint_step(args.step)?;
    let slug = point[0].slug();
    let default = || args.run.join("samples").join(format!("variations-{slug}-step-{step:06}.png"));
    let out = args.out.clone().or_else(|| args.single.is_none().then(default));
    let singles: Vec<(f64, usize, PathBuf)> = match &args.single {
        Some(folder) => {
            let of = |spread: f64| (0..args.count).map(move |i| (spread, i));
            let all = args.spread.iter().flat_map(|spread| of(*spread));
            all.map(|(s, i)| (s, i, folder.join(format!("{slug}-spread-{s}-{i:04}.png")))).collect()
        }
        None => Vec::new(),
    };
    out.as_ref().map_or(Ok(()), |path| args.common.check_png(path))?;
    if args.single.as_ref().is_some_and(|folder| folder.is_dir()) {
        singles.iter().try_for_each(|(_, _, path)| args.common.check_new(path))?;
    }
    let device = args.common.open()?;
    let generator = TrainedGenerator::load(&folder, Some(step), &device)?;
    let scale = match args.single {
        Some(_) => points::scale_for(&generator, args.scale.or(Some(1)))?,
        None => points::scale_for(&generator, args.scale)?,
    };
    let [c, h, w] = generator.recipe().image_shape();
    if out.is_some() {
        sample::check_grid((args.count + 2) * args.spread.len(), args.count + 2, [h, w], scale)?;
    }

    let found = points::find(&point, &generator, &args.project, args.seed, &args.common)?;
    let design = &found[0];
    let made = points::record(Provenance::new(&command()), &generator, &found, &args.project)?.with("seed", args.seed);
    let vectors: Vec<Vec<f32>> =
        args.spread.iter().flat_map(|spread| around(&design.z, *spread, args.seed, args.count)).collect();
    let pictures = points::draw(&generator, &vectors, scale)?;
    let mut written = Vec::new();
    if let Some(folder) = &args.single {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("cannot make the folder", folder, error))?;
        for ((spread, i, path), picture) in singles.iter().zip(&pictures) {
            let made = made.clone().with("spread", spread).with("variation", i);
            save_png(path, picture, made.text(), args.common.force)?;
            written.push(path.display().to_string());
        }
    }
    if let Some(path) = &out {
        let own = points::draw(&generator, std::slice::from_ref(&design.z), scale)?.remove(0);
        let mut columns: Vec<String> = (0..args.count).map(|i| i.to_string()).collect();
        let first: Vec<RgbImage> = match &design.projected {
            Some((_, picture, _)) => {
                columns.splice(0..0, ["given".into(), "projected".into()]);
                vec![points::pictures(picture, [c, h, w], scale).remove(0), own]
            }
            None => {
                columns.insert(0, "design".into());
                vec![own]
            }
        };
        let rows: Vec<String> = args.spread.iter().map(|spread| format!("spread {spread}")).collect();
        let of_row = |row: &[RgbImage]| [&first[..], row].concat();
        let images: Vec<RgbImage> = pictures.chunks(args.count).flat_map(of_row).collect();
        let title = match &design.projected {
            Some((_, _, projection)) => {
                format!("Around {}, whose projection is {:.1} of 255 away", design.name, projection.distance)
            }
            None => format!("Around {}", design.name),
        };
        let (sheet, tiling) = labelled_sheet(&images, columns.len(), &rows, &columns, &title);
        let spreads: Vec<String> = args.spread.iter().map(f64::to_string).collect();
        let made = made.tiles(&Tiling { scale, ..tiling }).with("spread", spreads.join(", "));
        save_png(path, &sheet, made.text(), args.common.force)?;
        written.push(path.display().to_string());
    }
    if args.common.printing.json {
        let line = serde_json::json!({ "written": written, "step": step, "design": points::json(design) });
        print_line(&line.to_string())?;
    } else if !args.common.printing.quiet {
        match (&args.single, &written[..]) {
            (Some(folder), paths) => print_line(&format!("{} pictures in {}", paths.len(), folder.display()))?,
            (None, paths) => paths.iter().try_for_each(|path| print_line(path))?,
        }
    }
    Ok(0)
}

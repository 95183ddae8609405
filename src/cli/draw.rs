//! `toile draw`: the built-in garments and cloths as PNG files.

use super::common::Printing;
use super::print_line;
use crate::data::garments::{Garment, Kind, Palette, Pattern};
use crate::error::{Error, Result};
use crate::report::{save_png, save_png_rgba};
use image::{Rgba, RgbaImage};
use std::path::{Path, PathBuf};

/// Draws built-in garments and cloths as PNG files
///
/// What is not said is drawn from --seed and --index. A picture drawn once is
/// drawn the same for ever.
///
/// Examples:
///
///   toile draw --kind shirt --pattern plain --palette 5 --out shirt.png
///   toile draw --cloth --pattern floral --palette 4 --out floral.png
///   toile draw --count 12 --pattern stripes --out striped
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A file that ends in .png, or with --count a folder.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// t-shirt, shirt, jumper, dress, skirt, trousers, shorts, coat, bag, shoe, boot or hat.
    #[arg(long)]
    kind: Option<String>,
    /// plain, stripes, gingham, plaid, dots, houndstooth, zigzag, argyle, scallop, floral, gradient or blocks.
    #[arg(long)]
    pattern: Option<String>,
    /// A palette's number or name, such as 4 or "blush and burgundy".
    #[arg(long)]
    palette: Option<String>,
    /// Height and width, in pixels.
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    size: u32,
    /// Of the garments.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Which garment of the seed; with --count the first.
    #[arg(long, default_value_t = 0)]
    index: u64,
    /// So many garments, one after the other, into a folder.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// The cloth alone, over the whole picture.
    #[arg(long, conflicts_with_all = ["outline", "mask", "kind"])]
    cloth: bool,
    /// The line drawing instead of the garment.
    #[arg(long, conflicts_with = "mask")]
    outline: bool,
    /// White where the garment is, black elsewhere.
    #[arg(long)]
    mask: bool,
    /// Nothing behind the garment: an RGBA file.
    #[arg(long, conflicts_with_all = ["cloth", "outline", "mask"])]
    transparent: bool,
    /// Replaces files that exist.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    printing: Printing,
}

/// The palette of a number or name.
fn palette(text: &str) -> Result<Palette> {
    let of = |palette: &&Palette| palette.name() == text || text.parse() == Ok(palette.id);
    Palette::ALL.iter().find(of).copied().ok_or_else(|| {
        let names: Vec<String> = Palette::ALL.iter().map(|p| format!("{} {}", p.id, p.name())).collect();
        Error::Usage(format!("--palette {text}: there are {}", names.join(", ")))
    })
}

pub fn run(args: Args) -> Result<u8> {
    let usage = |text: String| Err(Error::Usage(text));
    if !(1..=4096).contains(&args.size) {
        return usage(format!("--size {}: takes 1 to 4096 pixels", args.size));
    }
    let kind = match &args.kind {
        Some(name) => match Kind::from_name(name) {
            Some(kind) => Some(kind),
            None => {
                let names = Kind::ALL.map(Kind::name).join(", ");
                return usage(format!("--kind {name}: there are {names}"));
            }
        },
        None => None,
    };
    let pattern = match &args.pattern {
        Some(name) => match Pattern::from_name(name) {
            Some(pattern) => Some(pattern),
            None => {
                let names = Pattern::ALL.map(Pattern::name).join(", ");
                return usage(format!("--pattern {name}: there are {names}"));
            }
        },
        None => None,
    };
    let palette = args.palette.as_deref().map(palette).transpose()?;
    let drawn = |index: u64| {
        let mut garment = Garment::draw(args.seed, index);
        garment.kind = kind.unwrap_or(garment.kind);
        garment.cloth.pattern = pattern.unwrap_or(garment.cloth.pattern);
        garment.palette = palette.unwrap_or(garment.palette);
        garment
    };
    let mut written = Vec::new();
    match args.count {
        None => {
            if !args.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
                return usage(format!("--out {}: a file's name must end in .png", args.out.display()));
            }
            draw(&args, &drawn(args.index), args.index, &args.out)?;
            written.push(args.out.clone());
        }
        Some(0) => return usage("--count 0: takes at least 1".into()),
        Some(count) => {
            let Some(end) = args.index.checked_add(count) else {
                return usage(format!("--index {} --count {count}: the last index is {}", args.index, u64::MAX));
            };
            std::fs::create_dir_all(&args.out).map_err(|e| Error::io("cannot make the folder", &args.out, e))?;
            let garments = (args.index..end).map(|index| (index, drawn(index)));
            for (index, garment) in garments {
                let pattern = garment.cloth.pattern.name();
                let name = match (args.cloth, garment.kind.name()) {
                    (true, _) => format!("{index:04}-{pattern}.png"),
                    (false, kind) => format!("{index:04}-{kind}-{pattern}.png"),
                };
                let path = args.out.join(name);
                draw(&args, &garment, index, &path)?;
                written.push(path);
            }
        }
    }
    if args.printing.json {
        let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        print_line(&serde_json::json!({ "written": written }).to_string())?;
    } else if !args.printing.quiet {
        match &written[..] {
            [path] => print_line(&path.display().to_string())?,
            paths => print_line(&format!("{} pictures in {}", paths.len(), args.out.display()))?,
        }
    }
    Ok(0)
}

fn draw(args: &Args, garment: &Garment, index: u64, path: &Path) -> Result<()> {
    let what = match (args.cloth, args.outline, args.mask) {
        (true, ..) => format!("cloth, {}, {}", garment.cloth.pattern.name(), garment.palette.name()),
        (_, true, _) => format!("outline of {}", garment.caption()),
        (_, _, true) => format!("mask of {}", garment.caption()),
        _ => garment.caption(),
    };
    let text = [
        ("Software", concat!("toile ", env!("CARGO_PKG_VERSION")).to_string()),
        ("drawn", what),
        ("seed", args.seed.to_string()),
        ("index", index.to_string()),
    ]
    .map(|(key, value)| (key.to_string(), value));
    let size = args.size;
    if args.transparent {
        let (picture, mask) = (garment.render(size), garment.mask(size));
        let pixel = |x, y| {
            let [r, g, b] = picture.get_pixel(x, y).0;
            Rgba([r, g, b, mask.get_pixel(x, y)[0]])
        };
        return save_png_rgba(path, &RgbaImage::from_fn(size, size, pixel), &text, args.force);
    }
    let picture = if args.cloth {
        garment.cloth_picture(size)
    } else if args.outline {
        garment.outline(size, garment.palette.ink)
    } else if args.mask {
        image::DynamicImage::from(garment.mask(size)).into_rgb8()
    } else {
        garment.render(size)
    };
    save_png(path, &picture, &text, args.force)
}

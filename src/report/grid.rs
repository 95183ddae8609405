//! Many small images as one picture, and pictures as PNG files that say how they were made.

use super::{write_atomic, write_new};
use crate::error::{Error, Result};
use image::{Rgb, RgbImage, RgbaImage};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Marks what is not a number: no photograph has large areas of it.
const NOT_A_NUMBER: Rgb<u8> = Rgb([255, 0, 255]);
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// Lays `images` (`[N, C, H, W]`, values in [-1, 1], C 1 or 3) out in rows of `columns` on white.
///
/// Each pixel becomes `scale` x `scale` pixels; `gap` pixels of white lie between the images and around them. Values
/// outside [-1, 1] are clamped; a pixel with a NaN is magenta.
///
/// ```
/// let grid = toile::report::image_grid(&[-1.0, 1.0], 2, 1, 1, 1, 2, 3, 1);
/// assert_eq!(grid.dimensions(), (9, 5));
/// assert_eq!((grid.get_pixel(1, 1).0, grid.get_pixel(7, 3).0), ([0; 3], [255; 3]));
/// ```
#[track_caller]
#[expect(clippy::too_many_arguments, reason = "four of them are the shape")]
pub fn image_grid(
    images: &[f32],
    n: usize,
    c: usize,
    h: usize,
    w: usize,
    columns: usize,
    scale: u32,
    gap: u32,
) -> RgbImage {
    assert_eq!(images.len(), n * c * h * w, "image_grid: {} values are not [{n}, {c}, {h}, {w}]", images.len());
    assert!(c == 1 || c == 3, "image_grid: {c} channels are neither grey nor RGB");
    assert!(n * h * w > 0 && columns > 0 && scale > 0, "image_grid: nothing to show");
    let columns = columns.min(n);
    let rows = n.div_ceil(columns);
    let (cell_w, cell_h) = (w as u32 * scale + gap, h as u32 * scale + gap);
    let mut grid = RgbImage::from_pixel(columns as u32 * cell_w + gap, rows as u32 * cell_h + gap, PAPER);
    let plane = h * w;
    for (i, image) in images.chunks_exact(c * plane).enumerate() {
        let (left, top) = ((i % columns) as u32 * cell_w + gap, (i / columns) as u32 * cell_h + gap);
        for y in 0..h as u32 * scale {
            for x in 0..w as u32 * scale {
                let at = (y / scale) as usize * w + (x / scale) as usize;
                let values = [image[at], image[at + (c - 1) / 2 * plane], image[at + (c - 1) * plane]];
                grid.put_pixel(left + x, top + y, colour(values));
            }
        }
    }
    grid
}

/// The colour of a pixel's values in [-1, 1]; magenta where one is not a number.
pub fn colour(values: [f32; 3]) -> Rgb<u8> {
    if values.iter().any(|v| v.is_nan()) {
        return NOT_A_NUMBER;
    }
    Rgb(values.map(|v| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8))
}

/// Writes `image` as a PNG with `text`, pairs of keyword and value that say how it was made.
///
/// Values go into `tEXt` chunks, or `iTXt` where they are more than Latin-1. A keyword has 1 to 79 printable ASCII
/// characters. The file is written whole or not at all; one that exists is replaced only if `overwrite`.
pub fn save_png(path: impl AsRef<Path>, image: &RgbImage, text: &[(String, String)], overwrite: bool) -> Result<()> {
    write_png(path.as_ref(), png::ColorType::Rgb, image.dimensions(), image.as_raw(), text, overwrite)
}

/// [`save_png`] for an image with transparency.
pub fn save_png_rgba(
    path: impl AsRef<Path>,
    image: &RgbaImage,
    text: &[(String, String)],
    overwrite: bool,
) -> Result<()> {
    write_png(path.as_ref(), png::ColorType::Rgba, image.dimensions(), image.as_raw(), text, overwrite)
}

fn write_png(
    path: &Path,
    colour: png::ColorType,
    size: (u32, u32),
    pixels: &[u8],
    text: &[(String, String)],
    overwrite: bool,
) -> Result<()> {
    let bytes = encode(colour, size, pixels, text);
    let bytes = bytes.map_err(|e| Error::file(path, format!("cannot be written as PNG: {e}")))?;
    if overwrite { write_atomic(path, &bytes) } else { write_new(path, &bytes) }
}

fn encode(
    colour: png::ColorType,
    (width, height): (u32, u32),
    pixels: &[u8],
    text: &[(String, String)],
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    add_text(&mut encoder, text)?;
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(pixels).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// Adds what a PNG says of itself.
pub(super) fn add_text(encoder: &mut png::Encoder<&mut Vec<u8>>, text: &[(String, String)]) -> Result<(), String> {
    for (keyword, value) in text {
        if !(1..=79).contains(&keyword.len())
            || keyword.trim() != keyword
            || !keyword.bytes().all(|b| (32..127).contains(&b))
        {
            return Err(format!("the keyword {keyword:?} must have 1 to 79 printable ASCII characters"));
        }
        if value.contains('\0') {
            return Err(format!("the text of {keyword} contains a zero character"));
        }
        let latin = value.chars().all(|c| u32::from(c) < 256);
        let (keyword, value) = (keyword.clone(), value.clone());
        if latin { encoder.add_text_chunk(keyword, value) } else { encoder.add_itxt_chunk(keyword, value) }
            .map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The texts in a PNG that stand before its pixels, as [`save_png`] writes them: `tEXt` first, then `iTXt`.
pub fn read_png_text(path: impl AsRef<Path>) -> Result<Vec<(String, String)>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| Error::io("cannot read", path, e))?;
    let reader = png::Decoder::new(BufReader::new(file)).read_info();
    let reader = reader.map_err(|e| Error::file(path, format!("cannot be read as PNG: {e}")))?;
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().map(|t| (t.keyword.clone(), t.text.clone()));
    let wide = info.utf8_text.iter().filter_map(|t| Some((t.keyword.clone(), t.get_text().ok()?)));
    Ok(plain.chain(wide).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn images_stand_in_rows_enlarged_and_clamped() {
        // Three RGB images of 1x2 in two columns, enlarged twice, one pixel apart.
        let mut images = vec![0.0; 18];
        images[..6].copy_from_slice(&[1.0, -1.0, -1.0, 9.0, -9.0, f32::NEG_INFINITY]); // red, green
        images[6] = f32::NAN;
        let grid = image_grid(&images, 3, 3, 1, 2, 2, 2, 1);
        assert_eq!(grid.dimensions(), (2 * 5 + 1, 2 * 3 + 1));
        let at = |x, y| grid.get_pixel(x, y).0;
        assert_eq!([at(1, 1), at(2, 2), at(3, 1), at(4, 2)], [[255, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 0]]);
        assert_eq!([at(6, 1), at(7, 2), at(8, 1)], [[255, 0, 255], [255, 0, 255], [128, 128, 128]]);
        assert_eq!([at(0, 0), at(5, 1), at(1, 3), at(10, 6), at(6, 4)], [[255; 3]; 5]);
        assert_eq!(at(1, 4), [128; 3]);
    }

    #[test]
    fn every_byte_survives_loading_and_showing() {
        let values: Vec<f32> = (0..=255u8).map(|v| f32::from(v) / 127.5 - 1.0).collect();
        let grid = image_grid(&values, 1, 1, 16, 16, 9, 1, 0);
        assert_eq!(grid.dimensions(), (16, 16));
        assert!(grid.pixels().enumerate().all(|(i, pixel)| pixel.0 == [i as u8; 3]));
    }

    #[test]
    #[should_panic(expected = "image_grid: 3 values are not [1, 1, 2, 2]")]
    fn a_wrong_shape_panics() {
        image_grid(&[0.0; 3], 1, 1, 2, 2, 1, 1, 0);
    }

    #[test]
    fn a_png_says_how_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let text =
            pairs(&[("Software", "toile"), ("seed", "7"), ("recipe", "Café\nsize = 64"), ("note", "服 für z ≈ 0")]);
        let image = RgbImage::from_fn(7, 5, |x, y| Rgb([x as u8, y as u8, 9]));
        save_png(&path, &image, &text, false).unwrap();
        assert_eq!(read_png_text(&path).unwrap(), text);
        assert_eq!(image::open(&path).unwrap().into_rgb8(), image);
    }

    #[test]
    fn a_png_is_replaced_only_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let (first, second) = (RgbImage::new(1, 1), RgbImage::new(2, 2));
        save_png(&path, &first, &[], false).unwrap();
        let before = fs::read(&path).unwrap();
        let text = save_png(&path, &second, &[], false).unwrap_err().to_string();
        assert!(text.contains("exists already"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), before);
        save_png(&path, &second, &[], true).unwrap();
        assert_eq!(image::open(&path).unwrap().width(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn impossible_texts_and_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let save = |k: &str, v: &str| save_png(&path, &RgbImage::new(1, 1), &pairs(&[(k, v)]), true);
        assert!(save("", "x").unwrap_err().to_string().contains("printable ASCII"));
        assert!(save(&"k".repeat(80), "x").is_err() && save("größe", "x").is_err() && save("a", "b\0c").is_err());
        assert!(!path.exists());
        fs::write(&path, "no png").unwrap();
        assert!(read_png_text(&path).unwrap_err().to_string().contains("cannot be read as PNG"));
        assert!(save_png(folder.path().join("none/a.png"), &RgbImage::new(1, 1), &[], false).is_err());
    }
}

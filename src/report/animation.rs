//! Moving pictures, as animated PNG or GIF, that say how they were made.

use super::grid::add_text;
use super::{gif, write_atomic, write_new};
use crate::error::{Error, Result};
use image::RgbImage;
use std::path::Path;

/// How long a frame is shown, and how often all of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Frames a second, 1 to 50.
    pub fps: u16,
    /// Times that the whole is shown; 0 for ever.
    pub plays: u16,
}

/// Writes frames of one size as an animated PNG (any PNG viewer shows the first) with `text` as [`super::save_png`] does. The
/// file is written whole or not at all; one that exists is replaced only if `overwrite`.
///
/// # Errors
/// A file that cannot be written.
///
/// # Panics
/// Without a frame, or with frames of several sizes.
pub fn save_apng(
    path: impl AsRef<Path>,
    frames: &[RgbImage],
    timing: Timing,
    text: &[(String, String)],
    overwrite: bool,
) -> Result<()> {
    let path = path.as_ref();
    same_size(frames);
    let bytes = encode_apng(frames, timing, text);
    let bytes = bytes.map_err(|e| Error::file(path, format!("cannot be written as PNG: {e}")))?;
    if overwrite { write_atomic(path, &bytes) } else { write_new(path, &bytes) }
}

/// Writes frames of one size as an animated GIF, `text` as its comment, a line `keyword: value` each. GIF knows 256 colours: if
/// all frames together have more, near ones become one. Frames last whole hundredths of a second. Files as [`save_apng`].
///
/// # Errors
/// A file that cannot be written, or pictures too large for GIF.
///
/// # Panics
/// As [`save_apng`].
pub fn save_gif(
    path: impl AsRef<Path>,
    frames: &[RgbImage],
    timing: Timing,
    text: &[(String, String)],
    overwrite: bool,
) -> Result<()> {
    let path = path.as_ref();
    same_size(frames);
    let (w, h) = frames[0].dimensions();
    if w.max(h) > u32::from(u16::MAX) {
        return Err(Error::file(path, format!("GIF cannot hold {w}x{h} pixels, 65535 a side is the most")));
    }
    let comment: String = text.iter().map(|(keyword, value)| format!("{keyword}: {value}\n")).collect();
    let delay = (100 + timing.fps / 2) / timing.fps.max(1);
    let bytes = gif::encode(frames, delay, timing.plays, &comment);
    if overwrite { write_atomic(path, &bytes) } else { write_new(path, &bytes) }
}

#[track_caller]
fn same_size(frames: &[RgbImage]) {
    assert!(!frames.is_empty(), "animation: no frame");
    assert!(frames.iter().all(|f| f.dimensions() == frames[0].dimensions()), "animation: frames of several sizes");
}

fn encode_apng(frames: &[RgbImage], timing: Timing, text: &[(String, String)]) -> Result<Vec<u8>, String> {
    let (w, h) = frames[0].dimensions();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, w, h);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(frames.len() as u32, u32::from(timing.plays)).map_err(|e| e.to_string())?;
    encoder.set_frame_delay(1, timing.fps.max(1)).map_err(|e| e.to_string())?;
    add_text(&mut encoder, text)?;
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    for frame in frames {
        writer.write_image_data(frame.as_raw()).map_err(|e| e.to_string())?;
    }
    writer.finish().map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::read_png_text;
    use super::*;
    use image::{AnimationDecoder, Rgb};

    #[test]
    fn an_animated_png_holds_every_frame_and_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.apng");
        let frames: Vec<RgbImage> = (0..3).map(|i| RgbImage::from_pixel(5, 4, Rgb([i * 100, 7, 9]))).collect();
        let text = [("seed".to_string(), "3".to_string())];
        save_apng(&path, &frames, Timing { fps: 20, plays: 0 }, &text, false).unwrap();
        assert_eq!(read_png_text(&path).unwrap(), text);
        let decoder = image::codecs::png::PngDecoder::new(std::io::Cursor::new(std::fs::read(&path).unwrap())).unwrap();
        let read: Vec<_> = decoder.apng().unwrap().into_frames().map(Result::unwrap).collect();
        assert_eq!(read.len(), 3);
        for (read, frame) in read.iter().zip(&frames) {
            assert_eq!(read.delay().numer_denom_ms(), (50, 1));
            assert_eq!(image::DynamicImage::from(read.buffer().clone()).into_rgb8(), *frame);
        }
        let error = save_gif(&path, &frames, Timing { fps: 20, plays: 0 }, &text, false).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
    }
}

//! A folder of PNG, JPEG and WebP images, searched to any depth, in an order that depends on the names alone.

use super::{Fingerprint, Fitting, Source, size_text, thousands};
use crate::error::{Error, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The longest side that is decoded, in pixels.
const MAX_SIDE: u32 = 20_000;
/// The most memory that one decoded image may take, in bytes; a small file can claim any size.
const MAX_IMAGE_BYTES: u64 = 512 << 20;
/// The names that image files end in.
pub(super) const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
const REMEDY: &str = "remove it from the folder or save it again as PNG";

/// A folder of images as a [`Source`]; images are decoded when they are asked for.
pub struct ImageFolder {
    folder: PathBuf,
    files: Vec<PathBuf>,
    fitting: Fitting,
    fingerprint: String,
}

impl ImageFolder {
    /// Lists the images of `folder`. A missing, unreadable or empty folder is an error.
    pub fn open(folder: impl AsRef<Path>, fitting: Fitting) -> Result<ImageFolder> {
        let folder = folder.as_ref();
        ImageFolder::of(folder, image_files(folder)?, fitting)
    }

    /// These images of `folder`, in this order.
    pub(super) fn of(folder: &Path, files: Vec<PathBuf>, fitting: Fitting) -> Result<ImageFolder> {
        let fingerprint = files_fingerprint("folder", folder, &files, &fitting)?;
        Ok(ImageFolder { folder: folder.to_path_buf(), files, fitting, fingerprint })
    }

    /// The image files, in index order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Source for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.fitting.shape()
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        self.fitting.apply(read_image(&self.files[index])?, out);
        Ok(())
    }

    fn describe(&self) -> String {
        let plural = if self.files.len() == 1 { "image" } else { "images" };
        let number = thousands(self.files.len());
        format!("{number} {plural} from {}, as {}", self.folder.display(), size_text(self.shape()))
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// The fingerprint of files of a folder that are read as `fitting` says.
pub(super) fn files_fingerprint(
    kind: &'static str,
    folder: &Path,
    files: &[PathBuf],
    fitting: &Fitting,
) -> Result<String> {
    let [c, h, w] = fitting.shape();
    let mut print = Fingerprint::new(kind);
    for number in [c, h, w, fitting.fit as usize] {
        print = print.number(number as u64);
    }
    print = print.bytes(&fitting.background);
    for file in files {
        // Names and lengths: reading every byte of a large folder would take minutes before the first step.
        let name: Vec<_> = file.strip_prefix(folder).unwrap_or(file).iter().map(|p| p.to_string_lossy()).collect();
        let length = fs::metadata(file).map_err(|e| Error::io("cannot read", file, e))?.len();
        print = print.bytes(name.join("/").as_bytes()).number(length);
    }
    Ok(print.text())
}

/// All PNG, JPEG and WebP files below `folder`, sorted by path.
///
/// Linked folders are searched once each. Names that begin with a dot and `__MACOSX` are passed over: systems put
/// their own files there, some of which end in `.jpg`.
pub fn image_files(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let folder = folder.as_ref();
    let (mut files, mut others, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(current) = waiting.pop() {
        let cannot = |e| Error::io("cannot read the folder", &current, e);
        if !seen.insert(fs::canonicalize(&current).map_err(cannot)?) {
            continue;
        }
        let mut folders = Vec::new();
        for entry in fs::read_dir(&current).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || name == "__MACOSX" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if has_image_name(&path) {
                files.push(path);
            } else {
                others.push(path);
            }
        }
        folders.sort();
        waiting.extend(folders.into_iter().rev());
    }
    files.sort();
    if files.is_empty() {
        others.sort();
        let found = match others.first() {
            None => "the folder is empty".into(),
            Some(other) => format!("it holds {} other files, such as {}", thousands(others.len()), other.display()),
        };
        return Err(Error::file(
            folder,
            format!("no image found: {found}. Name a folder with .png, .jpg, .jpeg or .webp files, at any depth"),
        ));
    }
    Ok(files)
}

/// Whether the name ends as an image's does, in any case.
pub(super) fn has_image_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Decodes a PNG, JPEG or WebP file, whatever its name says, and turns it upright as its EXIF orientation asks.
///
/// The error names the file, the reason and what to do. Images above 20,000 pixels a side or 512 MiB decoded are
/// refused before any memory is taken.
pub fn read_image(path: impl AsRef<Path>) -> Result<DynamicImage> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|e| Error::io("cannot read the image", path, e))?;
    let refuse = |reason: &str| Error::file(path, format!("{reason}; {REMEDY}"));
    if bytes.is_empty() {
        return Err(refuse("the file is empty"));
    }
    let undecodable = |e: ImageError| match e {
        ImageError::Limits(_) => refuse(&format!("larger than {MAX_SIDE} pixels a side or 512 MiB decoded")),
        other => refuse(&format!("cannot be decoded ({other})")),
    };
    let format = match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP)) => format,
        Ok(other) => return Err(refuse(&format!("holds {other:?}, not PNG, JPEG or WebP"))),
        Err(_) => return Err(refuse("does not hold a PNG, JPEG or WebP image")),
    };
    // The decoder fills what a JPEG lacks with grey; a half-grey image must not be learnt from.
    if format == ImageFormat::Jpeg && !jpeg_has_its_end(&bytes) {
        return Err(refuse("cut short (a JPEG without its end mark)"));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_IMAGE_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    limits.reserve(decoder.total_bytes()).map_err(undecodable)?;
    // Damaged EXIF is no reason to lose the image.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Whether an end mark follows the first scan. (A thumbnail in the EXIF block before it has an end mark of its own.)
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, ..] = *rest {
        match marker {
            0xff => rest = &rest[1..],
            0xda => return rest.windows(2).rev().any(|pair| pair == [0xff, 0xd9]),
            _ => rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default(),
        }
    }
    // No scan was found: the decoder will say what is wrong.
    true
}

#[cfg(test)]
mod tests {
    use super::super::Fit;
    use super::*;
    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
    use std::error::Error as _;
    use std::io::Write;

    const FITTING: Fitting = Fitting { size: [8, 8], channels: 3, fit: Fit::Crop, background: [255; 3] };

    fn colour(r: u8) -> RgbImage {
        RgbImage::from_pixel(8, 8, Rgb([r, 0, 0]))
    }

    fn message<T>(result: Result<T>) -> String {
        let error = result.err().expect("an error");
        format!("{error} {}", error.source().map(|s| s.to_string()).unwrap_or_default())
    }

    #[test]
    fn images_are_found_at_any_depth_and_sorted() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/deep")).unwrap();
        fs::create_dir_all(root.path().join("__MACOSX")).unwrap();
        for (name, value) in [("c.png", 30), ("a.PNG", 10), ("b/deep/x.jpeg", 20), ("b/y.webp", 25)] {
            colour(value).save(root.path().join(name)).unwrap();
        }
        for name in ["notes.txt", ".hidden.png", "__MACOSX/a.png", "b/._y.webp"] {
            fs::write(root.path().join(name), "no image").unwrap();
        }
        let source = ImageFolder::open(root.path(), FITTING).unwrap();
        assert_eq!((source.len(), source.shape()), (4, [3, 8, 8]));
        let mut out = [0; 192];
        for (index, wanted) in [10, 20, 25, 30].into_iter().enumerate() {
            source.pixels(index, &mut out).unwrap();
            assert!(out[0].abs_diff(wanted) < 3, "image {index}: {}", out[0]);
        }
        assert!(source.describe().starts_with("4 images from "), "{}", source.describe());
        // Elsewhere, the same data; another name, other data.
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir_all(copy.path().join("b/deep")).unwrap();
        for name in ["c.png", "a.PNG", "b/deep/x.jpeg", "b/y.webp"] {
            fs::copy(root.path().join(name), copy.path().join(name)).unwrap();
        }
        let print = |fitting| ImageFolder::open(copy.path(), fitting).unwrap().fingerprint();
        assert_eq!(print(FITTING), source.fingerprint());
        assert_ne!(print(Fitting { channels: 1, ..FITTING }), source.fingerprint());
        fs::rename(copy.path().join("c.png"), copy.path().join("d.png")).unwrap();
        assert_ne!(print(FITTING), source.fingerprint());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_linked_into_itself_ends() {
        let root = tempfile::tempdir().unwrap();
        colour(1).save(root.path().join("a.png")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
        assert_eq!(image_files(root.path()).unwrap().len(), 1);
    }

    #[test]
    fn missing_and_empty_folders() {
        let root = tempfile::tempdir().unwrap();
        assert!(message(image_files(root.path())).contains("the folder is empty"));
        fs::write(root.path().join("a.gif"), "GIF").unwrap();
        let text = message(ImageFolder::open(root.path(), FITTING));
        assert!(text.contains("1 other files") && text.contains("a.gif") && text.contains(".webp"), "{text}");
        let text = message(image_files(root.path().join("nowhere")));
        assert!(text.contains("cannot read the folder") && text.contains("nowhere"), "{text}");
    }

    #[test]
    fn unreadable_images_are_named_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            fs::write(root.path().join(name), bytes).unwrap();
            let text = message(read_image(root.path().join(name)));
            assert!(text.contains(name) && text.contains(REMEDY), "{text}");
            text
        };
        assert!(file("empty.png", b"").contains("the file is empty"));
        assert!(file("text.png", b"hello, this is text").contains("does not hold a PNG"));
        assert!(file("moving.png", b"GIF89a..........").contains("holds Gif"));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let mut bytes = Vec::new();
            let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, 3]));
            noise.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
            let text = file("cut.png", &bytes[..bytes.len() * 2 / 3]);
            assert!(text.contains("cannot be decoded") || text.contains("cut short"), "{text}");
        }
        assert!(message(read_image(root.path().join("none.png"))).contains("cannot read the image"));
    }

    #[test]
    fn a_decompression_bomb_is_refused() {
        // A PNG whose header claims 19,000 x 19,000 pixels of 16-bit RGBA (2.7 GiB), and one of 30,000 x 1.
        for (w, h, kind) in [(19_000u32, 19_000u32, 6u8), (30_000, 1, 0)] {
            let mut header = b"IHDR".to_vec();
            header.extend(w.to_be_bytes());
            header.extend(h.to_be_bytes());
            header.extend([16, kind, 0, 0, 0]);
            let mut crc = flate2::Crc::new();
            crc.update(&header);
            let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
            png.extend(&header);
            png.extend(crc.sum().to_be_bytes());
            let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            data.write_all(&[0; 1000]).unwrap();
            let data = [b"IDAT".to_vec(), data.finish().unwrap()].concat();
            let mut crc = flate2::Crc::new();
            crc.update(&data);
            png.extend((data.len() as u32 - 4).to_be_bytes());
            png.extend(&data);
            png.extend(crc.sum().to_be_bytes());
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("bomb.png"), png).unwrap();
            let text = message(read_image(root.path().join("bomb.png")));
            assert!(text.contains("20000 pixels a side or 512 MiB"), "{text}");
        }
    }

    /// An EXIF block that says: orientation `value`.
    fn exif(value: u8) -> Vec<u8> {
        let mut tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        tiff.extend([value, 0, 0, 0, 0, 0, 0]);
        tiff
    }

    #[test]
    fn exif_orientation_turns_the_image_upright() {
        // 16 wide, 8 high, left half white. Orientation 6: shown after a quarter turn clockwise, so white is on top.
        let root = tempfile::tempdir().unwrap();
        let lying = GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 255 } else { 0 }]));
        let mut jpeg = Vec::new();
        lying.write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg).unwrap();
        let block = [b"Exif\0\0".to_vec(), exif(6)].concat();
        let mut turned = jpeg[..2].to_vec();
        turned.extend([0xff, 0xe1]);
        turned.extend((block.len() as u16 + 2).to_be_bytes());
        turned.extend(&block);
        turned.extend(&jpeg[2..]);
        let path = root.path().join("turned.jpg");
        fs::write(&path, turned).unwrap();
        let image = read_image(&path).unwrap().into_luma8();
        assert_eq!(image.dimensions(), (8, 16));
        assert!(image.get_pixel(4, 2)[0] > 240 && image.get_pixel(4, 13)[0] < 15);
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg() {
        let mut jpeg = Vec::new();
        let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, 3]));
        noise.write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg).unwrap();
        let thumbnail = [0xff, 0xef, 0, 8, 0xff, 0xda, 0, 0, 0xff, 0xd9];
        let whole = [&jpeg[..2], &thumbnail, &jpeg[2..], b"what a telephone appends"].concat();
        assert!(jpeg_has_its_end(&jpeg) && jpeg_has_its_end(&whole));
        assert!(!jpeg_has_its_end(&whole[..whole.len() / 2]));
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("half.jpg");
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(message(read_image(&path)).contains("cut short"));
        fs::write(&path, &whole).unwrap();
        assert!(read_image(&path).is_ok());
    }

    #[test]
    fn sixteen_bits_and_wrong_names() {
        let root = tempfile::tempdir().unwrap();
        let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_pixel(8, 8, Rgb([65535, 257 * 100, 0]));
        deep.save(root.path().join("deep.png")).unwrap();
        fs::rename(root.path().join("deep.png"), root.path().join("deep.jpg")).unwrap();
        let mut out = [9; 192];
        ImageFolder::open(root.path(), FITTING).unwrap().pixels(0, &mut out).unwrap();
        assert_eq!((out[0], out[64], out[128]), (255, 100, 0));
    }
}

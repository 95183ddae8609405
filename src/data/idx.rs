//! IDX files, the format of MNIST and Fashion-MNIST: a big-endian header and unsigned bytes, plain or gzip-compressed.

use super::{Fingerprint, Fitting, Source, size_text, thousands};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use image::GrayImage;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Where Debian's package `dataset-fashion-mnist` puts its files.
pub const FASHION_MNIST_FOLDER: &str = "/usr/share/datasets/fashion-mnist";

/// The most that an IDX file may hold, in bytes: a damaged header can promise anything.
const MAX_BYTES: u64 = 8 << 30;

/// The content of an IDX file of unsigned bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The size of each dimension: `[N]` for labels, `[N, H, W]` for images.
    pub sizes: Vec<usize>,
    /// The elements, row-major.
    pub bytes: Vec<u8>,
}

/// Reads an IDX file of `rank` dimensions (1 for labels, 3 for images), compressed or not, whatever its name says.
///
/// A wrong kind of file, a size of 0, a promise above 8 GiB, missing or surplus bytes are errors that name the file.
pub fn read_idx(path: impl AsRef<Path>, rank: usize) -> Result<Idx> {
    let path = path.as_ref();
    let cannot = |e| Error::io("cannot read", path, e);
    let file = File::open(path).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    let mut plain = BufReader::new(file);
    let compressed = plain.fill_buf().map_err(cannot)?.starts_with(&[0x1f, 0x8b]);
    let mut reader: Box<dyn Read> = if compressed { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };

    let header_len = 4 + 4 * rank;
    let header = read_at_most(&mut reader, header_len, path)?;
    let sizes = check_header(&header, rank, path)?;
    let total = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(u64::from(size)));
    let text = sizes.iter().map(|&s| thousands(s as usize)).collect::<Vec<_>>().join(" x ");
    if sizes.contains(&0) {
        return Err(Error::file(
            path,
            format!("the header promises {text} elements, so there is nothing to read: take another file"),
        ));
    }
    let Some(total) = total.filter(|&total| total <= MAX_BYTES && usize::try_from(total).is_ok()) else {
        let message = format!("the header promises {text} bytes, more than the 8 GiB that are read: is it damaged?");
        return Err(Error::file(path, message));
    };
    let wanted = header_len as u64 + total;
    let amount = |found: u64| {
        let kind = if compressed { " after decompression" } else { "" };
        let (wanted, found) = (thousands(wanted as usize), thousands(found as usize));
        format!("the header promises {text} elements, so {wanted} bytes in all, but there are {found}{kind}")
    };
    let short =
        |found: u64| Error::file(path, format!("cut short: {}. Download or copy the file again", amount(found)));
    if !compressed && length < wanted {
        return Err(short(length));
    }
    let bytes = read_at_most(&mut reader, total as usize, path)?;
    if (bytes.len() as u64) < total {
        return Err(short(header_len as u64 + bytes.len() as u64));
    }
    let surplus = read_at_most(&mut reader, 1 << 20, path)?.len() as u64;
    if surplus > 0 {
        let found = if compressed { wanted + surplus } else { length };
        return Err(Error::file(path, format!("too long: {}. Download or copy the file again", amount(found))));
    }
    Ok(Idx { sizes: sizes.iter().map(|&s| s as usize).collect(), bytes })
}

/// Reads up to `count` bytes; fewer where the file ends. Memory grows with what is there, not with `count`.
fn read_at_most(reader: &mut dyn Read, count: usize, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match reader.take(count as u64).read_to_end(&mut bytes) {
        // A compressed file that is cut short ends in the middle of its stream.
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(bytes),
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
            Err(Error::file(path, format!("damaged compressed data ({e}). Download or copy the file again")))
        }
        Err(e) => Err(Error::io("cannot read", path, e)),
        Ok(_) => Ok(bytes),
    }
}

fn check_header(header: &[u8], rank: usize, path: &Path) -> Result<Vec<u32>> {
    let kind = |rank: u8| match rank {
        1 => "labels (1 dimension)".into(),
        3 => "images (3 dimensions)".into(),
        n => format!("{n} dimensions"),
    };
    let problem = match header {
        [0, 0, 0x08, found, ..] if usize::from(*found) == rank => {
            if header.len() == 4 + 4 * rank {
                let words = header[4..].chunks_exact(4);
                return Ok(words.map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]])).collect());
            }
            format!("cut short: the header has {} bytes, but there are {}", 4 + 4 * rank, header.len())
        }
        [0, 0, 0x08, found, ..] => format!("holds {}, but {} are wanted", kind(*found), kind(rank as u8)),
        [0, 0, 0x09 | 0x0b | 0x0c | 0x0d | 0x0e, ..] => "an IDX file of wider numbers; bytes are wanted".into(),
        _ => format!(
            "not an IDX file: it must begin with 00 00 08 {rank:02x}, not {:02x?}",
            &header[..header.len().min(4)]
        ),
    };
    Err(Error::file(path, problem))
}

/// The images of an IDX file as a [`Source`] of one channel, with the labels of the file beside it if there is one.
pub struct IdxImages {
    path: PathBuf,
    images: Idx,
    labels: Option<Vec<u8>>,
    fitting: Fitting,
    fingerprint: String,
}

impl IdxImages {
    /// Reads a file of images, or from a folder `train-images-idx3-ubyte`, else another `*-images-idx3-ubyte`,
    /// compressed or not.
    pub fn open(path: impl AsRef<Path>, fitting: Fitting) -> Result<IdxImages> {
        let path = path.as_ref();
        let file = if path.is_dir() {
            image_file(path)?.ok_or_else(|| Error::file(path, "no *-images-idx3-ubyte file (plain or .gz) in it"))?
        } else {
            path.to_path_buf()
        };
        let fitting = Fitting { channels: 1, ..fitting };
        let images = read_idx(&file, 3)?;
        let labels = labels_beside(&file).map(|labels| read_labels(&labels, images.sizes[0])).transpose()?;
        let mut print = Fingerprint::new("idx");
        for number in images.sizes.iter().chain(&fitting.size).chain(&[fitting.fit as usize]) {
            print = print.number(*number as u64);
        }
        let fingerprint = print.bytes(&fitting.background).bytes(&images.bytes).text();
        Ok(IdxImages { path: file, images, labels, fitting, fingerprint })
    }

    /// Whether the images have another size in the file than they are given in.
    pub fn is_resized(&self) -> bool {
        self.images.sizes[1..] != self.fitting.size
    }
}

impl Source for IdxImages {
    fn len(&self) -> usize {
        self.images.sizes[0]
    }

    fn shape(&self) -> [usize; 3] {
        self.fitting.shape()
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let (h, w) = (self.images.sizes[1], self.images.sizes[2]);
        let bytes = &self.images.bytes[index * h * w..(index + 1) * h * w];
        if self.is_resized() {
            let image = GrayImage::from_raw(w as u32, h as u32, bytes.to_vec()).expect("h * w bytes");
            self.fitting.apply_grey(image, out);
        } else {
            out.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn label(&self, index: usize) -> Option<u8> {
        self.labels.as_ref().map(|labels| labels[index])
    }

    fn describe(&self) -> String {
        let (h, w) = (self.images.sizes[1], self.images.sizes[2]);
        let size = size_text(self.shape());
        let plural = if self.len() == 1 { "image" } else { "images" };
        format!("{} {plural} of {w}x{h} from {}, as {size}", thousands(self.len()), self.path.display())
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// A grey source as RGB: the one channel, three times.
pub struct Replicated<S>(pub S);

impl<S: Source> Source for Replicated<S> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn shape(&self) -> [usize; 3] {
        let [_, h, w] = self.0.shape();
        [3, h, w]
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let plane = out.len() / 3;
        self.0.pixels(index, &mut out[..plane])?;
        out.copy_within(..plane, plane);
        out.copy_within(..plane, 2 * plane);
        Ok(())
    }

    fn label(&self, index: usize) -> Option<u8> {
        self.0.label(index)
    }

    fn describe(&self) -> String {
        format!("{}, shown as RGB", self.0.describe())
    }

    fn fingerprint(&self) -> String {
        format!("{}-rgb", self.0.fingerprint())
    }
}

/// The IDX file of images in `folder`, the training set and the uncompressed file first.
pub(super) fn image_file(folder: &Path) -> Result<Option<PathBuf>> {
    let cannot = |e| Error::io("cannot read the folder", folder, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // `train-images.idx3-ubyte` is how some archives spell it.
        if !name.starts_with('.') && name.replace("images.idx3", "images-idx3").contains("images-idx3-ubyte") {
            found.push((!name.starts_with("train"), name, path));
        }
    }
    found.sort();
    Ok(found.into_iter().next().map(|(.., path)| path))
}

/// The labels that belong to a file of images: the same name with `labels` and `idx1`, compressed or not.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let plain = labels.trim_end_matches(".gz");
    let names = [labels.clone(), plain.to_string(), format!("{plain}.gz")];
    names.iter().filter(|n| *n != name).map(|n| images.with_file_name(n)).find(|p| p.is_file())
}

fn read_labels(path: &Path, images: usize) -> Result<Vec<u8>> {
    let labels = read_idx(path, 1)?.bytes;
    if labels.len() != images {
        let (labels, images) = (thousands(labels.len()), thousands(images));
        return Err(Error::file(
            path,
            format!("{labels} labels for {images} images: the two files do not belong together"),
        ));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::super::Fit;
    use super::*;
    use std::io::Write;

    fn fitting(size: usize) -> Fitting {
        Fitting { size: [size, size], channels: 3, fit: Fit::Crop, background: [0; 3] }
    }

    /// An IDX file of the given sizes with elements 0, 1, 2 ….
    fn idx(sizes: &[u32], elements: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
        bytes.extend((0..elements).map(|i| i as u8));
        bytes
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn refused(bytes: &[u8], rank: usize) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some-images-idx3-ubyte");
        fs::write(&path, bytes).unwrap();
        let text = read_idx(&path, rank).unwrap_err().to_string();
        assert!(text.contains("some-images-idx3-ubyte: "), "{text}");
        text
    }

    #[test]
    fn plain_and_compressed_files_are_the_same_data() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("a-images-idx3-ubyte"), folder.path().join("b-images-idx3-ubyte.gz"));
        fs::write(&plain, idx(&[5, 4, 3], 60)).unwrap();
        fs::write(&packed, gz(&idx(&[5, 4, 3], 60))).unwrap();
        fs::write(folder.path().join("b-labels-idx1-ubyte.gz"), gz(&idx(&[5], 5))).unwrap();
        let exact = Fitting { size: [4, 3], ..fitting(0) };
        let (a, b) = (IdxImages::open(&plain, exact).unwrap(), IdxImages::open(&packed, exact).unwrap());
        assert_eq!((a.len(), a.shape(), a.is_resized()), (5, [1, 4, 3], false));
        assert_eq!(a.fingerprint(), b.fingerprint());
        assert_eq!((a.label(3), b.label(3)), (None, Some(3)));
        let mut out = [0; 12];
        b.pixels(1, &mut out).unwrap();
        assert_eq!(out.to_vec(), (12..24).collect::<Vec<u8>>());
        let mut rgb = [0; 36];
        let coloured = Replicated(b);
        coloured.pixels(1, &mut rgb).unwrap();
        assert_eq!((coloured.shape(), &rgb[..12], &rgb[12..24], &rgb[24..]), ([3, 4, 3], &out[..], &out[..], &out[..]));
        assert!(coloured.describe().contains("5 images of 3x4 from "), "{}", coloured.describe());
        // Resized: the fit decides.
        let large = IdxImages::open(&plain, fitting(8)).unwrap();
        let mut out = [0; 64];
        large.pixels(0, &mut out).unwrap();
        assert!(large.is_resized() && large.fingerprint() != a.fingerprint());
    }

    #[test]
    fn a_folder_gives_its_training_images() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("t10k-images-idx3-ubyte"), idx(&[1, 2, 2], 4)).unwrap();
        let number = || IdxImages::open(folder.path(), fitting(2)).unwrap().len();
        assert_eq!(number(), 1);
        fs::write(folder.path().join("train-images-idx3-ubyte.gz"), gz(&idx(&[2, 2, 2], 8))).unwrap();
        assert_eq!(number(), 2);
        fs::write(folder.path().join("train-images.idx3-ubyte"), idx(&[3, 2, 2], 12)).unwrap();
        assert_eq!(number(), 2, "the usual spelling goes first");
        fs::write(folder.path().join("train-labels-idx1-ubyte"), idx(&[3], 3)).unwrap();
        let text = IdxImages::open(folder.path(), fitting(2)).err().unwrap().to_string();
        assert!(text.contains("3 labels for 2 images"), "{text}");
    }

    #[test]
    fn a_file_cut_short_names_both_lengths() {
        let whole = idx(&[100, 28, 28], 78_400);
        let text = refused(&whole[..5_000], 3);
        assert!(
            text.contains("100 x 28 x 28") && text.contains("78,416") && text.contains("there are 5,000"),
            "{text}"
        );
        let text = refused(&gz(&whole[..5_000]), 3);
        assert!(text.contains("78,416") && text.contains("5,000 after decompression"), "{text}");
        let packed = gz(&whole);
        assert!(refused(&packed[..packed.len() / 2], 3).contains("cut short"));
        assert!(refused(&whole[..10], 3).contains("the header has 16 bytes, but there are 10"));
        let text = refused(&idx(&[2, 2, 2], 9), 3);
        assert!(text.contains("too long") && text.contains("24 bytes in all, but there are 25"), "{text}");
    }

    #[test]
    fn what_is_not_an_idx_file_is_refused() {
        assert!(refused(b"\x89PNG\r\n\x1a\n", 3).contains("not an IDX file"));
        assert!(refused(b"", 3).contains("not an IDX file"));
        assert!(refused(&gz(b"hello, this is text"), 3).contains("not an IDX file"));
        assert!(refused(&idx(&[5], 5), 3).contains("holds labels"));
        assert!(refused(&[0, 0, 0x0d, 3, 0, 0, 0, 1], 3).contains("wider numbers"));
        let mut damaged = gz(&idx(&[10, 10, 10], 1000));
        let last = damaged.len() - 6;
        damaged[last] ^= 0xff;
        let text = refused(&damaged, 3);
        assert!(text.contains("damaged compressed data"), "{text}");
    }

    #[test]
    fn absurd_sizes_are_refused_before_memory_is_taken() {
        assert!(refused(&idx(&[0, 28, 28], 0), 3).contains("nothing to read"));
        assert!(refused(&idx(&[10, 0, 28], 0), 3).contains("nothing to read"));
        assert!(refused(&idx(&[u32::MAX, u32::MAX, u32::MAX], 9), 3).contains("more than the 8 GiB"));
        assert!(refused(&idx(&[100_000, 1000, 1000], 9), 3).contains("more than the 8 GiB"));
        assert!(refused(&gz(&idx(&[8, 30_000, 30_000], 9)), 3).contains("cut short"));
    }
}

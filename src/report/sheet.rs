//! Labelled contact sheets: pictures in a grid with a title, a name above each column and one beside each row.

use super::font::{LINE, draw_text, text_width, wrap};
use image::{Rgb, RgbImage, imageops};

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([52, 50, 56]);
/// Lines that a title and a column's name may take.
const MOST_LINES: usize = 3;

/// Where the pictures of a sheet lie, in pixels: in rows of `columns`, all of one size. A sheet's PNG records it as the text
/// `tiles`, so that [`Tiling::cut`] finds the pictures again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Left and top of the first picture.
    pub origin: [u32; 2],
    /// Width and height of a picture.
    pub size: [u32; 2],
    /// From one picture's left (top) to the next one's.
    pub pitch: [u32; 2],
    /// Pictures in a row.
    pub columns: u32,
    /// Pictures.
    pub count: u32,
    /// Each of a picture's own pixels is so many wide and high.
    pub scale: u32,
}

impl Tiling {
    /// The PNG text's keyword.
    pub const KEY: &'static str = "tiles";

    /// Where [`image_grid`](super::image_grid) lays `n` images of `h` x `w`.
    pub fn of_image_grid(n: usize, [h, w]: [usize; 2], columns: usize, scale: u32, gap: u32) -> Tiling {
        let size = [w as u32 * scale, h as u32 * scale];
        let columns = columns.min(n) as u32;
        Tiling { origin: [gap; 2], size, pitch: size.map(|side| side + gap), columns, count: n as u32, scale }
    }

    /// Left and top of picture `i`.
    pub fn place(&self, i: u32) -> [u32; 2] {
        let at = [i % self.columns, i / self.columns];
        [0, 1].map(|axis| self.origin[axis] + at[axis] * self.pitch[axis])
    }

    /// `56x56+0+96 pitch 60x60 columns 4 count 12 scale 2`
    pub fn text(&self) -> String {
        let Tiling { origin: [x, y], size: [w, h], pitch: [px, py], columns, count, scale } = self;
        format!("{w}x{h}+{x}+{y} pitch {px}x{py} columns {columns} count {count} scale {scale}")
    }

    /// Reads [`Tiling::text`]; nothing if it is none.
    pub fn parse(text: &str) -> Option<Tiling> {
        let words: Vec<&str> = text.split(' ').collect();
        let [place, "pitch", pitch, "columns", columns, "count", count, "scale", scale] = words[..] else {
            return None;
        };
        let pair = |text: &str| text.split_once('x').and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
        let (size, origin) = place.split_once('+')?;
        let (x, y) = origin.split_once('+')?;
        let tiling = Tiling {
            origin: [x.parse().ok()?, y.parse().ok()?],
            size: pair(size)?,
            pitch: pair(pitch)?,
            columns: columns.parse().ok()?,
            count: count.parse().ok()?,
            scale: scale.parse().ok()?,
        };
        let counts = [tiling.columns, tiling.count, tiling.scale, tiling.size[0], tiling.size[1]];
        counts.iter().all(|n| *n > 0).then_some(tiling)
    }

    /// The pictures out of a sheet, each of its own pixels once; nothing if the sheet is too small to hold them.
    pub fn cut(&self, sheet: &RgbImage) -> Option<Vec<RgbImage>> {
        let [w, h] = self.size;
        let inside = |i: u32| {
            let at = |axis: usize, n: u32| {
                let place = u64::from(self.origin[axis]) + u64::from(n) * u64::from(self.pitch[axis]);
                place + u64::from(self.size[axis])
            };
            at(0, i % self.columns) <= u64::from(sheet.width()) && at(1, i / self.columns) <= u64::from(sheet.height())
        };
        // The first row's last and the last row's first are the farthest.
        let ends = [self.columns.min(self.count) - 1, self.count - 1];
        if !ends.into_iter().all(inside) {
            return None;
        }
        let own = |image: RgbImage| {
            RgbImage::from_fn(w.div_ceil(self.scale), h.div_ceil(self.scale), |x, y| {
                *image.get_pixel(x * self.scale, y * self.scale)
            })
        };
        let cut = |i: u32| {
            let [x, y] = self.place(i);
            own(imageops::crop_imm(sheet, x, y, w, h).to_image())
        };
        Some((0..self.count).map(cut).collect())
    }
}

/// Lays pictures out in rows of `columns` on white, under a title, with a name above each column and one at the left of each
/// row; names that are too long are broken and cut. Pictures smaller than the largest stand in the middle of their place.
///
/// `row_labels` and `column_labels` are empty or one a row and one a column; `title` may be empty.
///
/// ```
/// use image::{Rgb, RgbImage};
/// let image = RgbImage::from_pixel(28, 28, Rgb([200, 0, 0]));
/// let labels = |names: [&str; 2]| names.map(String::from);
/// let sheet = toile::report::labelled_grid(&vec![image; 4], 2, &labels(["a", "b"]), &labels(["0", "1"]), "Two by two");
/// assert!(sheet.width() > 56 && sheet.height() > 56);
/// ```
///
/// # Panics
/// Without a picture or a column, or with another number of labels.
#[track_caller]
pub fn labelled_grid(
    images: &[RgbImage],
    columns: usize,
    row_labels: &[String],
    column_labels: &[String],
    title: &str,
) -> RgbImage {
    labelled_sheet(images, columns, row_labels, column_labels, title).0
}

/// [`labelled_grid`], and where the pictures lie on it. (Of pictures of several sizes the places are told, which are as
/// large as the largest.)
#[track_caller]
pub fn labelled_sheet(
    images: &[RgbImage],
    columns: usize,
    row_labels: &[String],
    column_labels: &[String],
    title: &str,
) -> (RgbImage, Tiling) {
    assert!(!images.is_empty() && columns > 0, "labelled_grid: nothing to show");
    let columns = columns.min(images.len());
    let rows = images.len().div_ceil(columns);
    let fits = |labels: &[String], n: usize| labels.is_empty() || labels.len() == n;
    assert!(fits(row_labels, rows), "labelled_grid: {} row labels for {rows} rows", row_labels.len());
    assert!(fits(column_labels, columns), "labelled_grid: {} column labels, {columns} columns", column_labels.len());

    let largest = |of: fn(&RgbImage) -> u32| images.iter().map(of).max().unwrap_or(1).max(1);
    let (w, h) = (largest(RgbImage::width), largest(RgbImage::height));
    let scale = (w.min(h) / 64).clamp(1, 3);
    let (gap, line) = (4 * scale, LINE * scale);
    let lines_high = |lines: usize| if lines == 0 { 0 } else { lines as u32 * line + gap };

    let room = (h / line).max(1) as usize;
    let row_names: Vec<Vec<String>> =
        row_labels.iter().map(|name| wrap(name, scale, w.max(64 * scale), room)).collect();
    let widest = row_names.iter().flatten().map(|name| text_width(name, scale)).max();
    let left = gap + widest.map_or(0, |width| width + gap);
    let column_names: Vec<Vec<String>> = column_labels.iter().map(|name| wrap(name, scale, w, MOST_LINES)).collect();
    let width = left + columns as u32 * (w + gap);
    // A title may make a narrow sheet wider, up to a readable line.
    let width = width.max((text_width(title.trim(), scale) + 2 * gap).min(160 * scale));
    let title = wrap(title, scale, width - 2 * gap, MOST_LINES);
    let names_high = lines_high(column_names.iter().map(Vec::len).max().unwrap_or(0));
    let title_high = lines_high(title.len());
    let top = gap + title_high + names_high;

    let mut sheet = RgbImage::from_pixel(width, top + rows as u32 * (h + gap), PAPER);
    for (i, text) in title.iter().enumerate() {
        draw_text(&mut sheet, text, (i64::from(gap), i64::from(gap + i as u32 * line)), scale, INK);
    }
    for (column, names) in column_names.iter().enumerate() {
        let x = left + column as u32 * (w + gap);
        // The last line stands just above the pictures.
        let first = top - gap / 2 - names.len() as u32 * line;
        for (i, name) in names.iter().enumerate() {
            let x = i64::from(x) + (i64::from(w) - i64::from(text_width(name, scale))) / 2;
            draw_text(&mut sheet, name, (x, i64::from(first + i as u32 * line)), scale, INK);
        }
    }
    for (row, names) in row_names.iter().enumerate() {
        let y = i64::from(top + row as u32 * (h + gap)) + (i64::from(h) - names.len() as i64 * i64::from(line)) / 2;
        for (i, name) in names.iter().enumerate() {
            draw_text(&mut sheet, name, (i64::from(gap), y + i as i64 * i64::from(line)), scale, INK);
        }
    }
    let tiling = Tiling {
        origin: [left, top],
        size: [w, h],
        pitch: [w + gap, h + gap],
        columns: columns as u32,
        count: images.len() as u32,
        scale: 1,
    };
    for (i, image) in images.iter().enumerate() {
        let [x, y] = tiling.place(i as u32);
        let inset = |place: u32, own: u32| i64::from((place - own) / 2);
        let (x, y) = (i64::from(x) + inset(w, image.width()), i64::from(y) + inset(h, image.height()));
        imageops::replace(&mut sheet, image, x, y);
    }
    (sheet, tiling)
}

#[cfg(test)]
mod tests {
    use super::super::image_grid;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn is_ink(sheet: &RgbImage, x: std::ops::Range<u32>, y: std::ops::Range<u32>) -> bool {
        y.flat_map(|y| x.clone().map(move |x| (x, y))).any(|(x, y)| sheet.get_pixel(x, y) == &INK)
    }

    #[test]
    fn pictures_stand_whole_under_their_labels() {
        let image = |n: u8| RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8, y as u8, n]));
        let images: Vec<RgbImage> = (0..5).map(image).collect();
        let rows = ["first", "a second row with a name that is long"];
        let columns = ["0", "a name of two lines", "1"];
        let (sheet, tiling) = labelled_sheet(&images, 3, &names(&rows), &names(&columns), "A title");
        assert_eq!(tiling.cut(&sheet).unwrap(), images);
        let [left, top] = tiling.origin;
        assert!(is_ink(&sheet, 0..left, 0..LINE + 8) && is_ink(&sheet, 0..left - 4, top..top + 30));
        assert!(is_ink(&sheet, 0..left - 4, top + 34..top + 64));
        assert!((0..3).all(|i| is_ink(&sheet, left + i * 44..left + i * 44 + 40, top - 14..top)));
        assert_eq!(sheet, labelled_grid(&images, 3, &names(&rows), &names(&columns), "A title"));
        // The fifth's neighbour stays paper, and nothing is written over pictures.
        assert!(!is_ink(&sheet, left..sheet.width(), top..sheet.height()));
        let plain = labelled_grid(&images, 3, &[], &[], "");
        assert_eq!(plain.dimensions(), (4 + 3 * 44, 4 + 2 * 34));
    }

    #[test]
    fn smaller_pictures_stand_in_the_middle() {
        let images = [RgbImage::from_pixel(10, 6, INK), RgbImage::from_pixel(4, 2, INK)];
        let sheet = labelled_grid(&images, 2, &[], &[], "");
        let inked: Vec<u32> = (14..sheet.width()).filter(|x| sheet.get_pixel(*x, 6) == &INK).collect();
        assert_eq!(inked, [21, 22, 23, 24]);
        assert!(!is_ink(&sheet, 18..28, 4..6) && is_ink(&sheet, 18..28, 6..8) && !is_ink(&sheet, 18..28, 8..10));
    }

    #[test]
    fn a_title_widens_a_narrow_sheet() {
        let sheet =
            labelled_grid(&[RgbImage::new(8, 8)], 5, &[], &[], "a long title of many words, cut at last, cut now!");
        assert_eq!(sheet.width(), 160);
        assert!(sheet.height() > 8 + 2 * LINE);
    }

    #[test]
    fn a_recorded_tiling_finds_the_pictures_again() {
        let values: Vec<f32> = (0..5 * 3 * 4 * 6).map(|i| (i % 255) as f32 / 127.5 - 1.0).collect();
        let grid = image_grid(&values, 5, 3, 4, 6, 2, 3, 2);
        let tiling = Tiling::of_image_grid(5, [4, 6], 2, 3, 2);
        let read = Tiling::parse(&tiling.text()).unwrap();
        assert_eq!(read, tiling);
        let cut = read.cut(&grid).unwrap();
        for (i, image) in cut.iter().enumerate() {
            assert_eq!(image, &image_grid(&values[i * 72..][..72], 1, 3, 4, 6, 1, 1, 0), "{i}");
        }
        for (text, is) in [("", false), ("3x0+0+0 pitch 1x1 columns 1 count 1 scale 1", false), (&tiling.text(), true)]
        {
            assert_eq!(Tiling::parse(text).is_some(), is, "{text}");
        }
        assert!(Tiling { count: 7, ..tiling }.cut(&grid).is_none());
        assert!(Tiling { columns: 3, ..tiling }.cut(&grid).is_none());
        assert!(Tiling { pitch: [u32::MAX; 2], ..tiling }.cut(&grid).is_none());
    }

    #[test]
    #[should_panic(expected = "labelled_grid: 1 row labels for 2 rows")]
    fn another_number_of_labels_panics() {
        labelled_grid(&vec![RgbImage::new(2, 2); 2], 1, &names(&["one"]), &[], "");
    }
}

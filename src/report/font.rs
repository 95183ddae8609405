//! Letters for pictures: a bitmap font of our own, seven pixels high, for labels on sheets.

use image::{Rgb, RgbImage};

/// Pixels of a line at scale 1: three for accents on capitals, seven for letters, two below the line.
pub const LINE: u32 = 12;
/// Rows of a line above the letters.
const ACCENTS: u32 = 3;
/// What stands between letters, and the width of a space.
const GAP: u32 = 1;
const SPACE: u32 = 3;

/// Letters side by side, five columns each, drawn as they look: seven rows, or nine with what hangs below the line.
#[rustfmt::skip]
const ART: [(&str, &[&str]); 9] = [
    (
        "ABCDEFGHIJKLM",
        &[
            ".###. ####. .###. ####. ##### ##### .###. #...# ###.. ..### #...# #.... #...#",
            "#...# #...# #...# #...# #.... #.... #...# #...# .#... ...#. #..#. #.... ##.##",
            "#...# #...# #.... #...# #.... #.... #.... #...# .#... ...#. #.#.. #.... #.#.#",
            "##### ####. #.... #...# ####. ####. #.### ##### .#... ...#. ##... #.... #.#.#",
            "#...# #...# #.... #...# #.... #.... #...# #...# .#... ...#. #.#.. #.... #...#",
            "#...# #...# #...# #...# #.... #.... #...# #...# .#... #..#. #..#. #.... #...#",
            "#...# ####. .###. ####. ##### #.... .###. #...# ###.. .##.. #...# ####. #...#",
        ],
    ),
    (
        "NOPQRSTUVWXYZ",
        &[
            "#...# .###. ####. .###. ####. .#### ##### #...# #...# #...# #...# #...# #####",
            "##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....#",
            "##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#.",
            "#.#.# #...# ####. #...# ####. .###. ..#.. #...# .#.#. #.#.# ..#.. ..#.. ..#..",
            "#..## #...# #.... #.#.# #.#.. ....# ..#.. #...# .#.#. #.#.# .#.#. ..#.. .#...",
            "#..## #...# #.... #..#. #..#. ....# ..#.. #...# ..#.. ##.## #...# ..#.. #....",
            "#...# .###. #.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. #####",
        ],
    ),
    (
        "0123456789",
        &[
            ".###. ..#.. .###. ####. ...#. ##### .###. ##### .###. .###.",
            "#...# .##.. #...# ....# ..##. #.... #.... ....# #...# #...#",
            "#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#",
            "#.#.# ..#.. ..##. .###. #..#. ....# ####. ...#. .###. .####",
            "##..# ..#.. .#... ....# ##### ....# #...# ..#.. #...# ....#",
            "#...# ..#.. #.... ....# ...#. #...# #...# ..#.. #...# ....#",
            ".###. .###. ##### ####. ...#. .###. .###. ..#.. .###. .###.",
        ],
    ),
    (
        "abcdefghijklm",
        &[
            "..... #.... ..... ....# ..... .##.. ..... #.... #.... .#... #.... #.... .....",
            "..... #.... ..... ....# ..... #.... ..... #.... ..... ..... #.... #.... .....",
            ".###. ####. .###. .#### .###. ###.. .#### ####. #.... .#... #..#. #.... ##.#.",
            "....# #...# #.... #...# #...# #.... #...# #...# #.... .#... #.#.. #.... #.#.#",
            ".#### #...# #.... #...# ##### #.... #...# #...# #.... .#... ##... #.... #.#.#",
            "#...# #...# #.... #...# #.... #.... #...# #...# #.... .#... #.#.. #.... #.#.#",
            ".#### ####. .###. .#### .###. #.... .#### #...# #.... .#... #..#. .#... #.#.#",
            "..... ..... ..... ..... ..... ..... ....# ..... ..... .#... ..... ..... .....",
            "..... ..... ..... ..... ..... ..... .###. ..... ..... #.... ..... ..... .....",
        ],
    ),
    (
        "nopqrstuvwxyz",
        &[
            "..... ..... ..... ..... ..... ..... #.... ..... ..... ..... ..... ..... .....",
            "..... ..... ..... ..... ..... ..... #.... ..... ..... ..... ..... ..... .....",
            "####. .###. ####. .#### #.##. .#### ###.. #...# #...# #...# #...# #...# #####",
            "#...# #...# #...# #...# ##... #.... #.... #...# #...# #.#.# .#.#. #...# ...#.",
            "#...# #...# #...# #...# #.... .###. #.... #...# .#.#. #.#.# ..#.. #...# ..#..",
            "#...# #...# #...# #...# #.... ....# #.... #...# .#.#. #.#.# .#.#. #...# .#...",
            "#...# .###. ####. .#### #.... ####. .##.. .#### ..#.. .#.#. #...# .#### #####",
            "..... ..... #.... ....# ..... ..... ..... ..... ..... ..... ..... ....# .....",
            "..... ..... #.... ....# ..... ..... ..... ..... ..... ..... ..... .###. .....",
        ],
    ),
    (
        "!\"#$%&'()*+,-",
        &[
            "#.... #.#.. .#.#. ..#.. ##..# .##.. #.... .#... #.... ..... ..... ..... .....",
            "#.... #.#.. .#.#. .#### ##..# #..#. #.... #.... .#... #.#.. ..#.. ..... .....",
            "#.... ..... ##### #.#.. ...#. #.#.. ..... #.... .#... .#... ..#.. ..... .....",
            "#.... ..... .#.#. .###. ..#.. .#... ..... #.... .#... ###.. ##### ..... ###..",
            "#.... ..... ##### ..#.# .#... #.#.# ..... #.... .#... .#... ..#.. ..... .....",
            "..... ..... .#.#. ####. #..## #..#. ..... #.... .#... #.#.. ..#.. .#... .....",
            "#.... ..... .#.#. ..#.. #..## .##.# ..... #.... .#... ..... ..... .#... .....",
            "..... ..... ..... ..... ..... ..... ..... .#... #.... ..... ..... #.... .....",
            "..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....",
        ],
    ),
    (
        "./:;<=>?@[\\]^",
        &[
            "..... ...#. ..... ..... ...#. ..... #.... .###. .###. ##... #.... ##... .#...",
            "..... ...#. ..... ..... ..#.. ..... .#... #...# #...# #.... #.... .#... #.#..",
            "..... ..#.. #.... .#... .#... ####. ..#.. ....# #.### #.... .#... .#... .....",
            "..... ..#.. ..... ..... #.... ..... ...#. ..##. #.#.# #.... .#... .#... .....",
            "..... .#... ..... ..... .#... ####. ..#.. ..#.. #.### #.... ..#.. .#... .....",
            "..... .#... ..... .#... ..#.. ..... .#... ..... #.... #.... ..#.. .#... .....",
            "#.... #.... #.... .#... ...#. ..... #.... ..#.. .#### #.... ...#. .#... .....",
            "..... #.... ..... #.... ..... ..... ..... ..... ..... ##... ...#. ##... .....",
            "..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....",
        ],
    ),
    (
        "_`{|}~…·×±−–—",
        &[
            "..... #.... ..#.. #.... #.... ..... ..... ..... ..... ..#.. ..... ..... .....",
            "..... .#... .#... #.... .#... ..... ..... ..... ..... ..#.. ..... ..... .....",
            "..... ..... .#... #.... .#... .#..# ..... ..... #.#.. ##### ..... ..... .....",
            "..... ..... #.... #.... ..#.. #.#.# ..... #.... .#... ..#.. ####. ####. #####",
            "..... ..... .#... #.... .#... #..#. ..... ..... #.#.. ..#.. ..... ..... .....",
            "..... ..... .#... #.... .#... ..... ..... ..... ..... ..... ..... ..... .....",
            "..... ..... .#... #.... .#... ..... #.#.# ..... ..... ##### ..... ..... .....",
            "##### ..... ..#.. #.... #.... ..... ..... ..... ..... ..... ..... ..... .....",
            "..... ..... ..... #.... ..... ..... ..... ..... ..... ..... ..... ..... .....",
        ],
    ),
    (
        "°→←↔ßı",
        &[
            ".#... ..... ..... ..... .##.. .....",
            "#.#.. ..#.. ..#.. .#.#. #..#. .....",
            ".#... ...#. .#... #...# #..#. #....",
            "..... ##### ##### ##### #.##. #....",
            "..... ...#. .#... #...# #...# #....",
            "..... ..#.. ..#.. .#.#. #...# #....",
            "..... ..... ..... ..... #.##. #....",
        ],
    ),

];

/// Two rows of five above a letter.
type Mark = [&'static str; 2];
/// Letters with a mark: these, made of those, with that.
const MARKED: [(&str, &str, Mark); 6] = [
    ("ÄÖÜËÏäöüëïÿ", "AOUEIaoueıy", [".....", ".#.#."]),
    ("ÁÉÍÓÚÝáéíóúý", "AEIOUYaeıouy", ["...#.", "..#.."]),
    ("ÀÈÌÒÙàèìòù", "AEIOUaeıou", [".#...", "..#.."]),
    ("ÂÊÎÔÛâêîôû", "AEIOUaeıou", ["..#..", ".#.#."]),
    ("ÃÑÕãñõ", "ANOano", [".##.#", "#.##."]),
    ("Åå", "Aa", ["..##.", "..##."]),
];
/// Characters that no glyph stands for.
const UNKNOWN: [&str; 7] = ["####.", "#..#.", "#..#.", "#..#.", "#..#.", "#..#.", "####."];

/// A character's ink as (column, row), from the line's top left; the columns it takes.
struct Glyph {
    ink: Vec<(u32, u32)>,
    width: u32,
}

fn ink(rows: impl Iterator<Item = &'static str>, top: u32) -> Vec<(u32, u32)> {
    let of_row = |(y, row): (usize, &'static str)| {
        row.bytes().enumerate().filter(|(_, b)| *b == b'#').map(move |(x, _)| (x as u32, top + y as u32))
    };
    rows.enumerate().flat_map(of_row).collect()
}

/// The drawn rows of a character that has some of its own.
fn drawn(character: char) -> Option<Vec<&'static str>> {
    ART.iter().find_map(|(letters, rows)| {
        let i = letters.chars().position(|letter| letter == character)?;
        Some(rows.iter().map(|row| &row[6 * i..6 * i + 5]).collect())
    })
}

fn glyph(character: char) -> Glyph {
    if character.is_whitespace() {
        return Glyph { ink: Vec::new(), width: SPACE };
    }
    let marked = MARKED.iter().find_map(|(letters, bases, mark)| {
        let i = letters.chars().position(|letter| letter == character)?;
        Some((bases.chars().nth(i)?, *mark))
    });
    let cedilla = match character {
        'Ç' => Some('C'),
        'ç' => Some('c'),
        _ => None,
    };
    let base = marked.map(|(base, _)| base).or(cedilla).unwrap_or(character);
    let rows = drawn(base).unwrap_or_else(|| UNKNOWN.to_vec());
    let mut all = ink(rows.into_iter(), ACCENTS);
    let columns = |ink: &[(u32, u32)]| {
        let of = || ink.iter().map(|(x, _)| *x);
        (of().min().unwrap_or(0), of().max().unwrap_or(0))
    };
    if cedilla.is_some() {
        all.extend(ink(["..#..", ".##.."].into_iter(), ACCENTS + 7));
    }
    if let Some((_, mark)) = marked {
        // Over a small letter the mark stands where a capital would reach; over a capital one row above it.
        let top = if base.is_uppercase() { 0 } else { ACCENTS - 1 };
        let centre = columns(&all).0 + columns(&all).1;
        let mark = ink(mark.into_iter(), top);
        let (low, high) = columns(&mark);
        // Twice the way to the middle, at most to the edge at the left.
        let by = (i64::from(centre) - i64::from(low + high)).div_euclid(2).max(-i64::from(low));
        all.extend(mark.into_iter().map(|(x, y)| ((i64::from(x) + by) as u32, y)));
    }
    let (first, last) = columns(&all);
    // Digits keep one width, so that numbers stand under one another.
    if character.is_ascii_digit() {
        return Glyph { ink: all, width: 5 };
    }
    Glyph { ink: all.into_iter().map(|(x, y)| (x - first, y)).collect(), width: last + 1 - first }
}

/// The width of a text in pixels, each of the font's pixels `scale` wide.
pub fn text_width(text: &str, scale: u32) -> u32 {
    let columns: u32 = text.chars().map(|character| glyph(character).width + GAP).sum();
    columns.saturating_sub(GAP) * scale
}

/// Writes one line of text, the top left of whose line (of height [`LINE`]·`scale`) is (`x`, `y`). What lies outside the
/// image is cut; a character that the font lacks is a box.
pub fn draw_text(image: &mut RgbImage, text: &str, (x, y): (i64, i64), scale: u32, colour: Rgb<u8>) {
    let (w, h) = (i64::from(image.width()), i64::from(image.height()));
    let scale = i64::from(scale);
    let mut left = x;
    for character in text.chars() {
        let Glyph { ink, width } = glyph(character);
        for (column, row) in ink {
            for dot in 0..scale * scale {
                let px = left + i64::from(column) * scale + dot % scale;
                let py = y + i64::from(row) * scale + dot / scale;
                if (0..w).contains(&px) && (0..h).contains(&py) {
                    image.put_pixel(px as u32, py as u32, colour);
                }
            }
        }
        left += i64::from(width + GAP) * scale;
    }
}

/// The text in lines that are at most `width` pixels wide, at most `lines` of them: broken behind spaces and `-_/,` where
/// possible, cut with an ellipsis where there is more.
pub fn wrap(text: &str, scale: u32, width: u32, lines: usize) -> Vec<String> {
    let fits = |line: &str| text_width(line.trim_end(), scale) <= width;
    let mut wrapped: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && wrapped.len() < lines {
        let ends = rest.char_indices().map(|(i, character)| (i + character.len_utf8(), character));
        let mut end = None; // as far as it fits
        let mut soft = None; // the last good place up to there
        for (i, character) in ends {
            if !fits(&rest[..i]) {
                break;
            }
            end = Some(i);
            if i == rest.len() || character.is_whitespace() || "-_/,".contains(character) {
                soft = Some(i);
            }
        }
        // One character at least, however narrow the line.
        let end = soft.or(end).unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8));
        wrapped.push(rest[..end].trim_end().to_string());
        rest = rest[end..].trim_start();
    }
    if let Some(last) = wrapped.last_mut().filter(|_| !rest.is_empty()) {
        while !last.is_empty() && text_width(&format!("{last}…"), scale) > width {
            last.pop();
        }
        last.push('…');
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_printable_character_has_a_glyph_of_its_own() {
        for (letters, rows) in ART {
            let width = 6 * letters.chars().count() - 1;
            assert!(rows.iter().all(|row| row.len() == width), "{letters}");
        }
        let latin = MARKED.iter().flat_map(|(letters, _, _)| letters.chars());
        let mut seen = HashSet::new();
        for character in ('!'..='~').chain(latin).chain("Çç…·×±−—°→←↔ß".chars()) {
            let Glyph { mut ink, width } = glyph(character);
            ink.sort_unstable();
            assert!(ink.iter().all(|(x, y)| *x < width && *y < LINE), "{character}");
            assert!(width <= 5 && seen.insert(ink), "{character}");
        }
        assert_eq!(glyph('服').ink, ink(UNKNOWN.into_iter(), ACCENTS));
    }

    #[test]
    fn a_text_is_as_wide_as_its_ink_and_cut_at_the_edge() {
        let paper = Rgb([255; 3]);
        let mut image = RgbImage::from_pixel(80, 30, paper);
        draw_text(&mut image, "Hÿ l0.5", (3, 2), 2, Rgb([0; 3]));
        let ink: Vec<(u32, u32)> = image.enumerate_pixels().filter(|p| *p.2 != paper).map(|p| (p.0, p.1)).collect();
        let (left, right) = (ink.iter().map(|p| p.0).min().unwrap(), ink.iter().map(|p| p.0).max().unwrap());
        assert_eq!((left, right + 1 - left), (3, text_width("Hÿ l0.5", 2)));
        assert!(ink.iter().all(|p| (2..2 + 2 * LINE).contains(&p.1)));
        draw_text(&mut image, "beyond every edge", (-9, -5), 3, Rgb([0; 3]));
        draw_text(&mut image, "far", (1000, 1000), 1, Rgb([0; 3]));
    }

    #[test]
    fn lines_break_at_good_places() {
        let width = text_width("strength 0.25", 1);
        assert_eq!(wrap("strength 0.25 of 1", 1, width, 3), ["strength 0.25", "of 1"]);
        assert_eq!(wrap(" strength  ", 1, width, 3), ["strength"]);
        assert_eq!(wrap("a-long_name/of a file", 1, text_width("long_name/", 1), 9), ["a-long_", "name/of a", "file"]);
        assert_eq!(wrap("unbreakable too", 1, text_width("unbr", 1), 2), ["unbr", "eak…"]);
        assert_eq!((wrap("", 1, 50, 2), wrap("ab", 1, 0, 5)), (vec![], vec!["a".to_string(), "b".into()]));
    }
}

//! Animated GIF (version 89a): a palette for all frames, and their pixels compressed by LZW.

use image::RgbImage;
use std::collections::HashMap;

/// Colours of a palette.
const COLOURS: usize = 256;
/// What LZW's codes mean beside the 256 colours, and how many there may be.
const CLEAR: u16 = 256;
const END: u16 = 257;
const MOST_CODES: u16 = 4096;

/// The file: frames of one size, each shown for `delay` hundredths of a second, all of it `plays` times (0: for ever), and a
/// comment. With more than 256 colours in all frames together, near ones become one.
///
/// # Panics
/// Without a frame, or with sides above 65535.
pub(super) fn encode(frames: &[RgbImage], delay: u16, plays: u16, comment: &str) -> Vec<u8> {
    let (w, h) = frames[0].dimensions();
    let side = |side: u32| u16::try_from(side).expect("a GIF's sides have 16 bits").to_le_bytes();
    let (w, h) = (side(w), side(h));
    let (palette, number) = palette(frames);

    let mut file = b"GIF89a".to_vec();
    file.extend([w, h].concat());
    file.extend([0xf7, 0, 0]); // a palette of 256 colours
    palette.iter().for_each(|colour| file.extend(colour));
    file.resize(file.len() + 3 * (COLOURS - palette.len()), 0);
    if plays != 1 {
        file.extend(b"\x21\xff\x0bNETSCAPE2.0\x03\x01");
        file.extend(plays.saturating_sub(1).to_le_bytes()); // repetitions after the first time; 0: for ever
        file.push(0);
    }
    if !comment.is_empty() {
        file.extend([0x21, 0xfe]);
        blocks(comment.as_bytes(), &mut file);
    }
    for frame in frames {
        file.extend([0x21, 0xf9, 4, 1 << 2]); // the frame stays until the next is drawn over it
        file.extend(delay.to_le_bytes());
        file.extend([0, 0, 0x2c, 0, 0, 0, 0]);
        file.extend([w, h].concat());
        file.extend([0, 8]); // no palette of its own; codes of a byte
        let pixels: Vec<u8> = frame.pixels().map(|pixel| number[&pixel.0]).collect();
        blocks(&compress(&pixels), &mut file);
    }
    file.push(0x3b);
    file
}

/// Bytes in blocks of 255 with their lengths, and an empty one at the end.
fn blocks(bytes: &[u8], file: &mut Vec<u8>) {
    for block in bytes.chunks(255) {
        file.push(block.len() as u8);
        file.extend(block);
    }
    file.push(0);
}

/// LZW with codes that grow from 9 to 12 bits, lowest bit first.
fn compress(pixels: &[u8]) -> Vec<u8> {
    let (mut bytes, mut pending, mut bits) = (Vec::new(), 0u32, 0);
    let mut emit = |code: u16, size: u32| {
        pending |= u32::from(code) << bits;
        bits += size;
        while bits >= 8 {
            bytes.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    };
    let (mut codes, mut next, mut size) = (HashMap::<(u16, u8), u16>::new(), END + 1, 9);
    emit(CLEAR, size);
    let mut run: Option<u16> = None; // the code of what was read and is not written yet
    for &pixel in pixels {
        let Some(before) = run else {
            run = Some(u16::from(pixel));
            continue;
        };
        if let Some(&longer) = codes.get(&(before, pixel)) {
            run = Some(longer);
            continue;
        }
        emit(before, size);
        if next == MOST_CODES {
            emit(CLEAR, size);
            codes.clear();
            (next, size) = (END + 1, 9);
        } else {
            codes.insert((before, pixel), next);
            if next == 1 << size {
                size += 1;
            }
            next += 1;
        }
        run = Some(u16::from(pixel));
    }
    if let Some(last) = run {
        emit(last, size);
        // The reader makes an entry for each code, this one too, and widens its codes by it.
        if next == 1 << size && size < 12 {
            size += 1;
        }
    }
    emit(END, size);
    emit(0, 7); // the bits that are left
    bytes
}

/// At most 256 colours, and the number of each colour of the frames among them.
///
/// Colours are split where it helps most: of all groups the one with the largest squared error, across its widest channel,
/// at its mean (as Wu 1991 does, without his exact search). A group is shown by its mean.
fn palette(frames: &[RgbImage]) -> (Vec<[u8; 3]>, HashMap<[u8; 3], u8>) {
    let mut counts: HashMap<[u8; 3], u64> = HashMap::new();
    for pixel in frames.iter().flat_map(|frame| frame.pixels()) {
        *counts.entry(pixel.0).or_default() += 1;
    }
    let mut all: Vec<([u8; 3], u64)> = counts.into_iter().collect();
    all.sort_unstable(); // a hash map's order is no order
    let mut groups = vec![Group::new(all)];
    while groups.len() < COLOURS {
        let Some(worst) = (0..groups.len())
            .filter(|&i| groups[i].error > 0.0)
            .max_by(|&a, &b| groups[a].error.total_cmp(&groups[b].error).then(b.cmp(&a)))
        else {
            break;
        };
        let [low, high] = groups.swap_remove(worst).split();
        groups.extend([low, high]);
    }
    let mut number = HashMap::new();
    for (i, group) in groups.iter().enumerate() {
        number.extend(group.colours.iter().map(|(colour, _)| (*colour, i as u8)));
    }
    (groups.iter().map(|group| group.mean.map(|v| v.round() as u8)).collect(), number)
}

/// Colours that are shown as one.
struct Group {
    colours: Vec<([u8; 3], u64)>,
    mean: [f64; 3],
    /// The channel in which they differ most.
    widest: usize,
    /// Sum of squared distances from the mean.
    error: f64,
}

impl Group {
    fn new(colours: Vec<([u8; 3], u64)>) -> Group {
        let total: f64 = colours.iter().map(|(_, n)| *n as f64).sum();
        let sum = |of: &dyn Fn(&[u8; 3]) -> f64| colours.iter().map(|(c, n)| of(c) * *n as f64).sum::<f64>();
        let mean = [0, 1, 2].map(|k| sum(&|c| f64::from(c[k])) / total);
        let errors = [0, 1, 2].map(|k| sum(&|c| (f64::from(c[k]) - mean[k]).powi(2)));
        let widest = (0..3).max_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
        let error = if colours.len() < 2 { 0.0 } else { errors.iter().sum() };
        Group { colours, mean, widest, error }
    }

    fn split(self) -> [Group; 2] {
        let Group { colours, mean, widest, .. } = self;
        let (low, high) = colours.into_iter().partition(|(colour, _)| f64::from(colour[widest]) <= mean[widest]);
        [Group::new(low), Group::new(high)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// The frames of a file as the format's definition reads them, written independently of [`compress`].
    fn decode(file: &[u8]) -> (Vec<Vec<[u8; 3]>>, String) {
        assert_eq!(&file[..6], b"GIF89a");
        let palette: Vec<[u8; 3]> = file[13..13 + 768].chunks(3).map(|c| [c[0], c[1], c[2]]).collect();
        let (mut at, mut frames, mut comment) = (13 + 768, Vec::new(), String::new());
        let joined = |at: &mut usize| {
            let mut bytes = Vec::new();
            while file[*at] != 0 {
                bytes.extend(&file[*at + 1..][..usize::from(file[*at])]);
                *at += usize::from(file[*at]) + 1;
            }
            *at += 1;
            bytes
        };
        loop {
            match file[at] {
                0x3b => break,
                0x21 => {
                    let kind = file[at + 1];
                    at += 2;
                    let bytes = joined(&mut at);
                    if kind == 0xfe {
                        comment = String::from_utf8(bytes).unwrap();
                    }
                }
                0x2c => {
                    at += 11;
                    let bytes = joined(&mut at);
                    let bit = |i: usize| u16::from(bytes[i / 8] >> (i % 8) & 1);
                    let (mut place, mut size, mut pixels) = (0, 9, Vec::<u8>::new());
                    let mut table: Vec<Vec<u8>> = Vec::new();
                    let mut last: Option<Vec<u8>> = None;
                    loop {
                        let code = (0..size).map(|i| bit(place + i) << i).sum::<u16>();
                        place += size;
                        if code == CLEAR {
                            table = (0..258).map(|i| vec![i as u8]).collect();
                            (size, last) = (9, None);
                            continue;
                        } else if code == END {
                            break;
                        }
                        let entry = match (table.get(usize::from(code)), &last) {
                            (Some(entry), _) => entry.clone(),
                            (None, Some(last)) => [&last[..], &last[..1]].concat(),
                            (None, None) => panic!("code {code} comes too early"),
                        };
                        if let Some(last) = last
                            && table.len() < 4096
                        {
                            table.push([&last[..], &entry[..1]].concat());
                            if table.len() == 1 << size && size < 12 {
                                size += 1;
                            }
                        }
                        pixels.extend(&entry);
                        last = Some(entry);
                    }
                    frames.push(pixels.iter().map(|i| palette[usize::from(*i)]).collect());
                }
                other => panic!("block {other:x}"),
            }
        }
        (frames, comment)
    }

    #[test]
    fn few_colours_come_back_as_they_were() {
        // Flat, noisy and long enough for the codes to grow to 12 bits and to begin anew.
        let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(97) >> 7;
        let frames = [
            RgbImage::from_pixel(150, 120, Rgb([9, 8, 7])),
            RgbImage::from_fn(150, 120, |x, y| Rgb([(noise(x, y) % 200) as u8, 0, 0])),
            RgbImage::from_fn(150, 120, |x, _| Rgb([x as u8, 0, 0])),
        ];
        for comment in [String::new(), "how it was made ".repeat(40)] {
            let (read, said) = decode(&encode(&frames, 8, 0, &comment));
            assert_eq!(said, comment);
            assert_eq!(read.len(), 3);
            for (read, frame) in read.iter().zip(&frames) {
                assert!(read.iter().zip(frame.pixels()).all(|(a, b)| *a == b.0));
            }
        }
        // Every length around the places where codes become longer.
        for n in (250..270).chain(500..530).chain(1790..1800) {
            let frame = RgbImage::from_fn(n, 1, |x, _| Rgb([(noise(x, 3) % 251) as u8; 3]));
            let (read, _) = decode(&encode(std::slice::from_ref(&frame), 8, 1, ""));
            assert!(read[0].len() == n as usize && read[0].iter().zip(frame.pixels()).all(|(a, b)| *a == b.0), "{n}");
        }
    }

    #[test]
    fn many_colours_become_near_ones() {
        let frame = RgbImage::from_fn(120, 90, |x, y| Rgb([(x * 2) as u8, (y * 2) as u8, ((x + y) % 40) as u8 * 6]));
        let (read, _) = decode(&encode(std::slice::from_ref(&frame), 4, 0, ""));
        let off: u32 = read[0]
            .iter()
            .zip(frame.pixels())
            .flat_map(|(a, b)| [0, 1, 2].map(|k| u32::from(a[k].abs_diff(b.0[k]))))
            .sum();
        let mean = f64::from(off) / f64::from(3 * 120 * 90);
        assert!(mean < 10.0, "{mean} of 255");
    }
}

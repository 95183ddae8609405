//! `toile stylize` and `toile draw` as users meet them, at the smallest sizes.

use super::{refused, text, toile};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::path::Path;

const SMALL: [&str; 6] = ["--device", "cpu", "--size", "32", "--steps", "2"];

/// Runs a command that must succeed; what it printed.
#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = toile(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn stylize(folder: &Path, arguments: &[&str]) -> String {
    done(folder, &[&["stylize"], arguments, &SMALL].concat())
}

fn draw(folder: &Path) {
    let garment =
        ["draw", "--kind", "dress", "--pattern", "plain", "--palette", "1", "--size", "40", "--out", "dress.png"];
    done(folder, &garment);
    done(
        folder,
        &[
            "draw",
            "--cloth",
            "--pattern",
            "dots",
            "--palette",
            "petrol and apricot",
            "--size",
            "40",
            "--out",
            "dots.png",
        ],
    );
    done(folder, &["draw", "--cloth", "--pattern", "stripes", "--size", "24", "--out", "stripes.png"]);
    done(folder, &[&garment[..8], &["40", "--mask", "--out", "mask.png"]].concat());
}

fn open(folder: &Path, name: &str) -> DynamicImage {
    image::open(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn strengths_masks_colours_and_saved_styles() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    draw(folder);
    let dress = open(folder, "dress.png").into_rgb8();

    // Strength 0 is the picture; the default name is made of both.
    stylize(folder, &["dress.png", "dots.png", "--strength", "0"]);
    assert!(open(folder, "dress-dots.png").into_rgb8() == dress);
    refused(folder, &["stylize", "dress.png", "dots.png", "--device", "cpu"], 1, &["dress-dots.png", "--force"]);

    // Outside of a mask nothing changes, inside something does; the other way round with --invert-mask.
    let mask = open(folder, "mask.png").into_luma8();
    for (more, restyled) in [(&["--out", "in.png"][..], 255), (&["--out", "out.png", "--invert-mask"], 0)] {
        stylize(folder, &[&["dress.png", "dots.png", "--mask", "mask.png"], more].concat());
        let result = open(folder, more[1]).into_rgb8();
        let (mut same, mut other) = (0, 0);
        for (x, y, pixel) in result.enumerate_pixels() {
            let changed = pixel != dress.get_pixel(x, y);
            match mask.get_pixel(x, y)[0] {
                v if v == restyled => other += usize::from(changed),
                v if v == 255 - restyled => same += usize::from(changed),
                _ => {}
            }
        }
        assert!(same == 0 && other > 50, "{more:?}: {same} outside, {other} inside");
    }

    // The same bytes on one thread and on two, from a saved style, and in a fresh process.
    let auto = ["dress.png", "dots.png", "stripes.png", "--weights", "2,1", "--mask", "auto", "--strength", "0.8"];
    stylize(folder, &[&auto[..], &["--threads", "1", "--out", "one.png", "--save-model", "model"]].concat());
    stylize(folder, &[&auto[..], &["--threads", "2", "--out", "two.png"]].concat());
    let one = open(folder, "one.png").into_rgb8();
    assert!(one == open(folder, "two.png").into_rgb8() && one != dress);
    done(folder, &["translate", "model", "dress.png", "--out", "three.png", "--device", "cpu"]);
    assert!(one == open(folder, "three.png").into_rgb8());
    done(folder, &["translate", "model", "dress.png", "--out", "four.png", "--strength", "0", "--device", "cpu"]);
    assert!(dress == open(folder, "four.png").into_rgb8());
    refused(folder, &["sample", "model", "--device", "cpu"], 2, &["saved style"]);
    refused(folder, &["train", "--resume", "model", "--steps", "9", "--device", "cpu"], 2, &["saved style"]);
    let again = [&["stylize"], &auto[..], &["--out", "five.png", "--save-model", "model", "--device", "cpu"]].concat();
    refused(folder, &again, 1, &["model", "exists"]);

    // The colours stay: differences of channels are the picture's own, but where a value was cut.
    stylize(folder, &["dress.png", "dots.png", "--keep-colour", "--out", "kept.png"]);
    let kept = open(folder, "kept.png").into_rgb8();
    assert!(kept != dress);
    let inside = |p: &Rgb<u8>| p.0.iter().all(|v| (1..255).contains(v));
    for (pixel, own) in kept.pixels().zip(dress.pixels()).filter(|(pixel, _)| inside(pixel)) {
        let chroma = |p: &Rgb<u8>| [i32::from(p[0]) - i32::from(p[1]), i32::from(p[1]) - i32::from(p[2])];
        assert!(chroma(pixel).iter().zip(chroma(own)).all(|(a, b)| (a - b).abs() <= 1), "{pixel:?} of {own:?}");
    }
    let made = toile::report::read_png_text(folder.join("one.png")).unwrap();
    for key in ["content", "content-hash", "style-2", "style-2-hash", "weights", "mask", "strength", "seed", "steps"] {
        assert!(made.iter().any(|(k, v)| k == key && !v.is_empty()), "{key} is missing in {made:?}");
    }
}

#[test]
fn sheets_previews_and_measures() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    draw(folder);
    let printed = done(
        folder,
        &[
            "stylize",
            "dress.png",
            "dots.png",
            "stripes.png",
            "--sheet",
            "sheet.png",
            "--preview",
            "seen",
            "--json",
            "--preview-every",
            "10",
            "--steps",
            "20",
            "--size",
            "40",
            "--device",
            "cpu",
        ],
    );
    let figures: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let measures = figures["measures"].as_array().unwrap();
    assert_eq!((measures.len(), figures["written"].as_array().unwrap().len()), (10, 1));
    for of_style in measures.chunks(5) {
        let values = |key: &str| of_style.iter().map(|m| m[key].as_f64().unwrap()).collect::<Vec<_>>();
        for key in ["patch_distance", "edge_agreement"] {
            let values = values(key);
            assert!(values.windows(2).all(|pair| pair[1] <= pair[0] + 0.01), "{key}: {values:?}");
        }
        assert!(values("patch_distance")[4] < 0.8 * values("patch_distance")[0]);
        assert_eq!(values("edge_agreement")[0], 1.0);
    }
    let sheet = open(folder, "sheet.png");
    assert!(sheet.width() > 6 * 80 && sheet.height() > 160, "{}x{}", sheet.width(), sheet.height());
    let mut seen: Vec<_> = std::fs::read_dir(folder.join("seen"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    seen.sort();
    let names =
        ["1-dots-step-000010.png", "1-dots-step-000020.png", "2-stripes-step-000010.png", "2-stripes-step-000020.png"];
    assert_eq!(seen, names);
}

#[test]
fn a_picture_in_its_own_style_stays_nearly_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    done(folder, &["draw", "--kind", "shirt", "--pattern", "dots", "--size", "48", "--out", "a.png"]);
    done(folder, &["stylize", "a.png", "a.png", "--size", "48", "--steps", "60", "--out", "b.png", "--device", "cpu"]);
    let (a, b) = (open(folder, "a.png").into_rgb8(), open(folder, "b.png").into_rgb8());
    let total: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = total as f64 / a.as_raw().len() as f64;
    assert!(mean <= 4.0, "{mean} of 255");
}

#[test]
fn pictures_of_every_kind() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    draw(folder);
    // Any size, grey, transparent, 16 bits, one pixel.
    GrayImage::from_fn(21, 67, |x, y| Luma([(x * 9 + y) as u8])).save(folder.join("grey.png")).unwrap();
    let clear = RgbaImage::from_fn(50, 20, |x, y| Rgba([x as u8, 99, y as u8, if x < 20 { 0 } else { 5 * x as u8 }]));
    clear.save(folder.join("clear.png")).unwrap();
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_fn(34, 34, |x, y| Rgb([(x * 900) as u16, (y * 800) as u16, 7]));
    deep.save(folder.join("deep.png")).unwrap();
    RgbImage::from_pixel(1, 1, Rgb([9, 8, 7])).save(folder.join("dot.png")).unwrap();
    for (name, size) in [("grey", (21, 67)), ("clear", (50, 20)), ("deep", (34, 34)), ("dot", (1, 1))] {
        let (file, out) = (format!("{name}.png"), format!("{name}-out.png"));
        stylize(folder, &[&file, "dots.png", "--out", &out]);
        let result = open(folder, &out);
        assert_eq!((result.width(), result.height()), size, "{name}");
        assert_eq!(result.color().has_alpha(), name == "clear");
        // And as a style.
        stylize(folder, &["dress.png", &file, "--out", &format!("{name}-style.png")]);
    }
    let result = open(folder, "clear-out.png").into_rgba8();
    for (pixel, own) in result.pixels().zip(clear.pixels()) {
        assert!(pixel[3] == own[3] && (own[3] > 0 || pixel == own), "{pixel:?} of {own:?}");
    }
    // A larger picture than what is learnt on, in full detail.
    stylize(folder, &["dress.png", "dots.png", "--mask", "auto", "--out", "large.png"]);
    assert_eq!(open(folder, "large.png").width(), 40);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    draw(folder);
    let bytes = std::fs::read(folder.join("dots.png")).unwrap();
    std::fs::write(folder.join("cut.png"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(folder.join("moving.gif"), b"GIF89a..........").unwrap();
    RgbImage::new(40, 40).save(folder.join("black.png")).unwrap();
    let cases: [(&[&str], i32, &[&str]); 14] = [
        (&["dress.png", "cut.png"], 1, &["cut.png", "cannot be decoded"]),
        (&["dress.png", "none.png"], 1, &["none.png"]),
        (&["moving.gif", "dots.png"], 1, &["moving.gif"]),
        (&["dress.png", "dots.png", "--strength", "1.6"], 2, &["--strength", "1.5"]),
        (&["dress.png", "dots.png", "--strength", "NaN"], 2, &["--strength", "0 to 1.5"]),
        (&["dress.png", "dots.png", "--weights", "1,2"], 2, &["--weights", "1 styles"]),
        (&["dress.png", "dots.png", "--weights", "0"], 2, &["--weights", "above 0"]),
        (&["dress.png", "dots.png", "--pattern-scale", "9"], 2, &["--pattern-scale", "0.25 to 4"]),
        (&["dress.png", "dots.png", "--size", "9"], 2, &["--size", "32"]),
        (&["dress.png", "dots.png", "--out", "a.jpg"], 2, &["a.jpg", ".png"]),
        (&["dress.png", "dots.png", "--out", "nowhere/a.png"], 1, &["nowhere", "no folder"]),
        (&["dress.png", "dots.png", "--mask", "black.png"], 1, &["mask", "--invert-mask"]),
        (&["stripes.png", "dots.png", "--mask", "auto"], 1, &["stripes.png", "plain ground", "--mask FILE"]),
        (&["dress.png"], 2, &["STYLES"]),
    ];
    for (arguments, code, words) in cases {
        refused(folder, &[&["stylize"], arguments, &["--device", "cpu"]].concat(), code, words);
    }
    for (arguments, words) in [
        (["draw", "--kind", "sock", "--out", "a.png"], "boot"),
        (["draw", "--pattern", "tweed", "--out", "a.png"], "houndstooth"),
        (["draw", "--palette", "16", "--out", "a.png"], "15 lavender"),
        (["draw", "--size", "0", "--out", "a.png"], "4096"),
        (["draw", "--seed", "1", "--out", "a.jpg"], ".png"),
    ] {
        refused(folder, &arguments, 2, &[words]);
    }
    refused(folder, &["draw", "--out", "dots.png"], 1, &["dots.png", "exists"]);
    let last = u64::MAX.to_string();
    refused(folder, &["draw", "--index", &last, "--count", "2", "--out", "many"], 2, &["--index", "--count 2"]);
    done(folder, &["draw", "--count", "3", "--size", "8", "--out", "all"]);
    assert_eq!(std::fs::read_dir(folder.join("all")).unwrap().count(), 3);
    done(folder, &["draw", "--transparent", "--size", "20", "--out", "clear.png"]);
    let clear = open(folder, "clear.png");
    assert!(clear.color().has_alpha() && clear.into_rgba8().get_pixel(0, 0)[3] == 0);
}

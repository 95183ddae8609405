//! The commands that walk through a run's latent space, as users meet them.

use crate::{refused, text, toile};
use std::path::Path;
use toile::report::{Tiling, read_png_text};

const ON_CPU: [&str; 2] = ["--device", "cpu"];

/// A seed run of a step.
fn seed_run(folder: &Path) {
    let train = ["train", "--steps", "1", "--batch", "4", "--set", "data.count=8", "--quiet", "--out", "run"];
    let output = toile(folder, &[&train[..], &ON_CPU].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = toile(folder, &[arguments, &ON_CPU, &["--json", "--quiet"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The picture's texts, and the value of each of `keys`.
fn recorded(path: &Path, keys: &[&str]) -> Vec<String> {
    let all = read_png_text(path).unwrap();
    let value =
        |key: &str| all.iter().find(|(k, _)| k == key).unwrap_or_else(|| panic!("no {key} in {all:?}")).1.clone();
    keys.iter().map(|key| value(key)).collect()
}

fn tiles(path: &Path) -> Vec<image::RgbImage> {
    let tiling = Tiling::parse(&recorded(path, &[Tiling::KEY])[0]).unwrap();
    tiling.cut(&image::open(path).unwrap().into_rgb8()).unwrap()
}

#[test]
fn walks_between_seeds_and_pictures() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    seed_run(folder);
    assert!(
        toile(folder, &["sample", "run", "--seed", "3", "--count", "5", "--device", "cpu", "--out", "grid.png"])
            .status
            .success()
    );
    let grid = tiles(&folder.join("grid.png"));
    assert_eq!((grid.len(), grid[0].dimensions()), (5, (28, 28)));

    let walk = ["interpolate", "run", "3:4", "3", "--frames", "4"];
    let made = json(folder, &[&walk[..], &["--out", "a.png", "--out", "a.gif", "--out", "a.apng"]].concat());
    assert_eq!((&made["frames"], made["written"].as_array().unwrap().len()), (&4.into(), 3));
    let strip = tiles(&folder.join("a.png"));
    assert_eq!(strip.len(), 4);
    // It begins and ends at the pictures that `sample` shows under these numbers.
    let off =
        |a: &image::RgbImage, b: &image::RgbImage| a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off(&strip[0], &grid[4]) <= Some(1) && off(&strip[3], &grid[0]) <= Some(1));
    assert!(off(&strip[0], &strip[1]) > Some(1));
    let [command, points, mode] = &recorded(&folder.join("a.png"), &["command", "points", "mode"])[..] else {
        panic!()
    };
    assert_eq!(
        (&**command, &**points, &**mode),
        ("toile interpolate run 3:4 3 --frames 4 --device cpu", "seed 3:4, seed 3", "spherical")
    );
    recorded(&folder.join("a.apng"), &["Software", "run", "step", "model", "data"]);
    assert!(std::fs::read(folder.join("a.gif")).unwrap().starts_with(b"GIF89a"));
    assert_eq!(json(folder, &[&walk[..], &["5", "--loop", "--mode", "linear"]].concat())["frames"], 9);
    assert!(folder.join("run/samples/walk-3.4-3-5-step-000001.png").is_file());
    // Equal commands give equal files.
    let first = std::fs::read(folder.join("a.gif")).unwrap();
    json(folder, &[&walk[..], &["--out", "a.gif", "--force"]].concat());
    assert!(std::fs::read(folder.join("a.gif")).unwrap() == first);

    let with = |more: &[&'static str]| [&walk[..], more].concat();
    refused(folder, &with(&["--out", "a.gif"]), 1, &["a.gif", "--force"]);
    refused(folder, &with(&["--out", "a.mp4"]), 2, &["a.mp4", ".apng"]);
    refused(folder, &with(&["--frames", "1"]), 2, &["cannot be used multiple times"]);
    refused(folder, &["interpolate", "run", "3", "--device", "cpu"], 2, &["POINT"]);
    refused(folder, &["interpolate", "run", "3", "none.png", "--device", "cpu"], 2, &["none.png", "seed"]);
    refused(folder, &["interpolate", "run", "3", "4", "--frames", "1"], 2, &["--frames 1"]);
    refused(folder, &["interpolate", "run", "3", "4", "--frames", "9999", "--columns", "9999"], 2, &["16384"]);
    refused(folder, &["interpolate", "run", "3", "4", "--step", "7"], 2, &["--step 7", "[1]"]);
    refused(folder, &["interpolate", "nowhere", "3", "4"], 2, &["nowhere"]);
}

#[test]
fn blends_and_variations_of_pictures() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    seed_run(folder);
    image::RgbImage::from_fn(40, 40, |x, y| image::Rgb([(x * 5) as u8, (y * 6) as u8, 120]))
        .save(folder.join("shirt.png"))
        .unwrap();
    std::fs::write(folder.join("LICENCES"), "shirt.*: own work\n").unwrap();
    let quick = ["--project-steps", "10", "--restarts", "2"];

    let blend = [&["blend", "run", "shirt.png", "4"], &quick[..]].concat();
    let made = json(folder, &[&blend[..], &["--steps", "5", "--out", "strip.png", "--sheet", "sheet.png"]].concat());
    let [distance, drawn] = ["distance", "distance_drawn"].map(|key| made["points"][0][key].as_f64().unwrap());
    assert!(0.0 < distance && distance <= drawn + 5.0 && made["points"][1]["distance"].is_null(), "{made}");
    let (strip, sheet) = (tiles(&folder.join("strip.png")), tiles(&folder.join("sheet.png")));
    // Given, between, the style of two layers, and of both: five columns each.
    assert_eq!((strip.len(), sheet.len()), (5, 25));
    assert_eq!(strip[..], sheet[5..10]);
    assert!(sheet[1..5].iter().all(|blank| blank.pixels().all(|p| p.0 == [255; 3])), "only A was a picture");
    assert!(sheet[10] != sheet[14] && sheet[14] != sheet[19]);
    let keys = ["content", "content-hash", "content-licence", "projection-distance", "rows"];
    let [content, _, licence, _, rows] = &recorded(&folder.join("sheet.png"), &keys)[..] else { panic!() };
    assert_eq!((&**content, &**licence), ("shirt.png", "own work"));
    assert_eq!(rows, "given; between; style, 7x7; style, 14x14; style, all");

    let around = [&["variations", "run", "shirt.png", "-n", "3", "--licence", "CC0"], &quick[..]].concat();
    json(folder, &[&around[..], &["--spread", "0.2,0.8", "--out", "around.png"]].concat());
    assert_eq!(tiles(&folder.join("around.png")).len(), 2 * (2 + 3));
    assert_eq!(recorded(&folder.join("around.png"), &["content-licence", "spread"]), ["CC0", "0.2, 0.8"]);
    let made = json(folder, &["variations", "run", "4", "-n", "2", "--spread", "0", "--single", "drafts"]);
    let paths: Vec<_> = made["written"].as_array().unwrap().iter().map(|p| folder.join(p.as_str().unwrap())).collect();
    let [a, b] = [0, 1].map(|i| image::open(&paths[i]).unwrap().into_rgb8());
    assert!(a == b && a == strip[4], "spread 0 is the design itself, at its own size");

    refused(folder, &["variations", "run", "4", "--spread", "1.5"], 2, &["--spread 1.5"]);
    refused(folder, &["variations", "run", "4", "-n", "0"], 2, &["--count 0"]);
    refused(folder, &["blend", "run", "4", "5", "--steps", "1"], 2, &["--steps 1"]);
    refused(folder, &["blend", "run", "4", "shirt.png", "--restarts", "0", "--device", "cpu"], 2, &["--restarts 0"]);
    std::fs::write(folder.join("text.png"), "no picture").unwrap();
    refused(folder, &["blend", "run", "4", "text.png", "--device", "cpu"], 1, &["text.png"]);
}

#[test]
fn audit_finds_planted_copies_and_tells_what_a_png_records() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let garment = |seed, i| toile::data::garments::Garment::draw(seed, i).render(48);
    std::fs::create_dir(folder.join("data")).unwrap();
    (0..30).for_each(|i| garment(0, i).save(folder.join(format!("data/{i:02}.png"))).unwrap());
    // Two copies, one mirrored, moved and with noise, the other darker, among new garments.
    let noisy = {
        let image = image::imageops::flip_horizontal(&garment(0, 7));
        let noise =
            |x: u32, y: u32, c: u32| ((x * 31 + y * 17 + c * 7 + 1).wrapping_mul(2_654_435_761) >> 24) as i32 % 24 - 12;
        image::RgbImage::from_fn(48, 48, |x, y| {
            let from = image.get_pixel(x.saturating_sub(3), (y + 3).min(47)).0;
            image::Rgb([0, 1, 2].map(|c| (i32::from(from[c as usize]) + noise(x, y, c)).clamp(0, 255) as u8))
        })
    };
    let darker =
        image::RgbImage::from_fn(48, 48, |x, y| image::Rgb(garment(0, 21).get_pixel(x, y).0.map(|v| v / 2 + 20)));
    let images =
        [garment(5, 0), noisy, garment(5, 2), darker, image::RgbImage::from_pixel(48, 48, image::Rgb([255; 3]))];
    let (sheet, tiling) = toile::report::labelled_sheet(&images, 3, &[], &[], "drafts");
    let records = [(Tiling::KEY.to_string(), tiling.text()), ("odd".to_string(), "a\u{1b}[31mb".to_string())];
    toile::report::save_png(folder.join("sheet.png"), &sheet, &records, false).unwrap();
    images[0].save(folder.join("new.png")).unwrap();

    let audit = ["audit", "sheet.png", "--data", "data"];
    let output = toile(folder, &[&audit[..], &["--json", "--pairs", "pairs.png", "--licence", "CC0"]].concat());
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert_eq!((&found["pictures"], &found["copies"], &found["blank"]), (&5.into(), &2.into(), &1.into()), "{found}");
    let row = |picture: &str| {
        let rows = found["matches"].as_array().unwrap();
        rows.iter().find(|row| row["picture"] == format!("sheet.png:{picture}")).unwrap().clone()
    };
    assert!(row("1")["nearest"].as_str().unwrap().ends_with("07.png") && row("1")["mirrored"] == true, "{found}");
    assert!(row("3")["nearest"].as_str().unwrap().ends_with("21.png") && row("3")["copy"] == true, "{found}");
    assert!(row("0")["copy"] == false && row("2")["copy"] == false, "{found}");
    assert_eq!(tiles(&folder.join("pairs.png")).len(), 2 * 4);
    assert_eq!(
        recorded(&folder.join("pairs.png"), &["content", "content-licence", "copies"]),
        ["sheet.png", "CC0", "2"]
    );

    let output = toile(folder, &audit);
    let table = text(&output.stdout);
    assert!(
        table.contains("COPY") && table.contains("mirrored, shifted") && table.contains("2 of 5 pictures"),
        "{table}"
    );
    let clean = toile(folder, &["audit", "new.png", "--data", "data"]);
    assert_eq!(clean.status.code(), Some(0), "{}", text_of(&clean));
    // The same pictures by their size; a folder of pictures; garments that the program draws.
    let [x, y] = tiling.origin;
    image::imageops::crop_imm(&sheet, x - 4, y - 4, 3 * 52 + 4, 52 + 4)
        .to_image()
        .save(folder.join("row.png"))
        .unwrap();
    let row = toile(folder, &["audit", "row.png", "--tile", "48x48+4", "--data", "data", "--quiet"]);
    assert!(row.status.code() == Some(1) && text(&row.stdout).lines().count() == 1, "{}", text_of(&row));
    // Drawn at another size they are still near-copies.
    let drawn = json_of(folder, &["audit", "data", "--data", "garments", "--count", "40"]);
    assert!(drawn["copies"].as_u64() >= Some(25), "{drawn}");
    assert_eq!(json_of(folder, &["audit", "new.png", "--data", "garments:plain-striped", "--count", "4"])["copies"], 0);

    let said = text(&toile(folder, &["audit", "sheet.png"]).stdout);
    assert!(said.contains("tiles  48x48+") && said.contains("\\u{1b}[31m") && !said.contains('\u{1b}'), "{said}");
    assert!(text(&toile(folder, &["audit", "new.png"]).stdout).contains("records nothing"));
    refused(folder, &["audit", "data"], 2, &["--data"]);
    refused(folder, &["audit", "sheet.png", "--pairs", "x.png"], 2, &["--pairs", "--data"]);
    refused(folder, &["audit", "none.png"], 1, &["none.png"]);
    refused(folder, &["audit", "sheet.png", "--data", "nowhere"], 2, &["nowhere"]);
    refused(folder, &["audit", "new.png", "--data", "data", "--tile", "99x99"], 2, &["--tile 99x99", "48x48"]);
    refused(folder, &["audit", "new.png", "--data", "data", "--tile", "9"], 2, &["64x64+2"]);
    refused(folder, &["audit", "sheet.png", "--data", "data", "--pairs", "pairs.png"], 1, &["pairs.png", "--force"]);
    refused(folder, &["audit", "sheet.png", "--data", "data", "--threshold", "0"], 2, &["--threshold 0"]);
}

fn text_of(output: &std::process::Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn json_of(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = toile(folder, &[arguments, &["--json", "--quiet"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", text_of(&output)))
}

//! Commands that turn pictures into others: translate, gatys, transfer.

use crate::{refused, text, toile};

#[test]
fn translate_keeps_size_and_transparency_and_refuses_with_reasons() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let sizes = [
        "data.size=[16, 16]",
        "data.load_size=[16, 16]",
        "data.count=4",
        "translator.unet.ngf=2",
        "translator.unet.downs=3",
        "discriminator.ndf=2",
        "discriminator.layers=1",
    ];
    let mut arguments = vec!["train", "pix2pix", "--steps", "1", "--device", "cpu", "--quiet", "--out", "run"];
    sizes.iter().for_each(|setting| arguments.extend(["--set", *setting]));
    let output = toile(folder, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let output =
        toile(folder, &["metrics", "run", "--count", "5", "--sheet", "sheet.png", "--json", "--device", "cpu"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["pictures"], 5);
    let [share, distance] = ["silhouette_iou", "distance_to_answer"].map(|key| figures[key].as_f64().unwrap());
    assert!((0.0..=1.0).contains(&share) && (1.0..255.0).contains(&distance), "{figures}");
    assert_eq!(image::open(folder.join("sheet.png")).unwrap().width(), 12 * (16 * 4 + 2) + 2);
    refused(folder, &["metrics", "run", "--sheet", "sheet.png", "--device", "cpu"], 1, &["sheet.png", "exists"]);

    let pictures = folder.join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    image::RgbImage::from_fn(21, 13, |x, y| image::Rgb([(x * 12) as u8, (y * 19) as u8, 90]))
        .save(pictures.join("a.png"))
        .unwrap();
    image::RgbaImage::from_fn(9, 30, |x, _| image::Rgba([200, 10, 10, (x * 28) as u8]))
        .save(pictures.join("b.png"))
        .unwrap();
    image::GrayImage::from_pixel(1, 1, image::Luma([77])).save(pictures.join("c.png")).unwrap();
    let translate = ["translate", "run", "pictures", "--device", "cpu", "--out", "out"];
    let output = toile(folder, &translate);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let opened = |name: &str| image::open(folder.join("out").join(name)).unwrap();
    assert_eq!((opened("a.png").width(), opened("a.png").height()), (21, 13));
    assert!(!opened("a.png").color().has_alpha());
    let b = opened("b.png").into_rgba8();
    assert_eq!(b.dimensions(), (9, 30));
    assert!((0..9).all(|x| b.get_pixel(x, 7)[3] == (x * 28) as u8));
    assert_eq!(opened("c.png").width(), 1);
    let made = toile::report::read_png_text(folder.join("out/a.png")).unwrap();
    for key in ["run", "step", "model", "data", "content", "content-hash", "direction"] {
        assert!(made.iter().any(|(k, v)| k == key && !v.is_empty()), "{key} is missing in {made:?}");
    }
    // The same again gives the same bytes; without --force nothing is replaced.
    let first = std::fs::read(folder.join("out/a.png")).unwrap();
    refused(folder, &translate, 1, &["out/a.png", "--force"]);
    assert!(toile(folder, &[&translate[..], &["--force"]].concat()).status.success());
    assert!(std::fs::read(folder.join("out/a.png")).unwrap() == first);
    // One picture into one file, scaled to the training size.
    let one = ["translate", "run", "pictures/a.png", "--device", "cpu", "--out", "one.png", "--as-trained"];
    assert!(toile(folder, &one).status.success());
    assert_eq!(image::open(folder.join("one.png")).unwrap().width(), 16);

    let with = |out: &'static str, more: &[&'static str]| {
        [&["translate", "run", "pictures", "--device", "cpu", "--out", out], more].concat()
    };
    refused(folder, &with("x.png", &[]), 2, &["3 pictures", "folder"]);
    refused(folder, &with("y", &["--direction", "b-to-a"]), 2, &["A to B alone", "data.swap"]);
    refused(folder, &with("y", &["--step", "9"]), 2, &["checkpoints of steps [1]"]);
    refused(folder, &with("y", &["pictures/a.png"]), 2, &["would both become"]);
    std::fs::write(folder.join("text.png"), "no picture").unwrap();
    refused(folder, &["translate", "run", "text.png", "--device", "cpu", "--out", "y"], 1, &["text.png"]);
    refused(folder, &["sample", "run", "--device", "cpu"], 2, &["toile translate"]);
    refused(folder, &["train", "cyclegan", "--data", "pictures"], 1, &["trainA/", "source_b"]);
    refused(folder, &["train", "cut", "--data", "garments:plain-velvet"], 2, &["houndstooth"]);
}

#[test]
fn styles_are_transferred_by_pixels_and_by_a_network() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    image::RgbaImage::from_fn(40, 30, |x, y| image::Rgba([200, (6 * x) as u8, 40, if y < 9 { 0 } else { 255 }]))
        .save(folder.join("a.png"))
        .unwrap();
    image::RgbImage::from_fn(30, 40, |x, y| image::Rgb([if (x + y) % 8 < 4 { 220 } else { 30 }, 90, (5 * x) as u8]))
        .save(folder.join("b.png"))
        .unwrap();
    let gatys = ["gatys", "a.png", "b.png", "--size", "32", "--evaluations", "6", "--device", "cpu", "--out", "g.png"];
    for (optimizer, search) in [("adam", "fixed"), ("lbfgs", "fixed"), ("lbfgs", "wolfe")] {
        let more = ["--optimizer", optimizer, "--line-search", search, "--force", "--json"];
        let output = toile(folder, &[&gatys[..], &more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((said["losses"].as_array().unwrap().len(), &said["written"][0]), (6, &"g.png".into()), "{said}");
    }
    let made = image::open(folder.join("g.png")).unwrap().into_rgba8();
    assert_eq!((made.dimensions(), made.get_pixel(3, 0)[3], made.get_pixel(3, 20)[3]), ((32, 24), 0, 255));
    refused(folder, &gatys, 1, &["g.png", "exists already"]);
    let with = |more: &[&'static str]| [&gatys[..gatys.len() - 1], &["new.png"], more].concat();
    refused(folder, &with(&["--features", "nowhere"]), 2, &["nowhere", "random"]);
    refused(folder, &with(&["--features", "b.png"]), 1, &["b.png", "torch_weights.py"]);
    refused(folder, &with(&["--style-layers", "relu1"]), 2, &["relu1", "scale1"]);
    refused(folder, &with(&["--lr", "11"]), 2, &["--lr 11"]);
    refused(folder, &["gatys", "a.png", "none.png", "--out", "c.png"], 1, &["none.png"]);
    refused(folder, &["gatys", "a.png", "b.png", "--out", "c.jpg"], 2, &["c.jpg", ".png"]);

    let small =
        ["--set", "data.size=[16, 16]", "--set", "data.count=8", "--steps", "1", "--batch", "2", "--device", "cpu"];
    let output = toile(folder, &[&["train", "adain"], &small[..]].concat());
    let said = text(&output.stdout);
    assert!(said.contains("toile transfer runs/adain-1") && said.contains("--style"), "{}", text(&output.stderr));
    let transfer = ["transfer", "runs/adain-1", "a.png", "--device", "cpu", "--out", "t.png"];
    let output = toile(folder, &[&transfer[..], &["--style", "b.png", "--strength", "0.5"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made = image::open(folder.join("t.png")).unwrap().into_rgba8();
    assert_eq!((made.dimensions(), made.get_pixel(3, 0)[3]), ((40, 30), 0));
    refused(folder, &[&transfer[..], &["--style", "b.png"]].concat(), 1, &["t.png", "exists already"]);
    refused(folder, &[&transfer[..], &["--force"]].concat(), 2, &["--style"]);
    refused(
        folder,
        &[&transfer[..], &["--force", "--style", "b.png", "--strength", "2"]].concat(),
        2,
        &["--strength 2"],
    );
    refused(folder, &["sample", "runs/adain-1"], 2, &["toile transfer"]);
    refused(folder, &["train", "johnson"], 2, &["objective.johnson.style"]);
}

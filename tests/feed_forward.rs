//! Feed-forward style transfer: networks as published, resume bit for bit, devices that agree, learning, what is refused.

use crate::devices;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use toile::models::{DecoderSpec, JohnsonSpec};
use toile::nn::{Init, Mode, Module, init::Initializer};
use toile::train::feed_forward::Transfer;
use toile::train::picture::Picture;
use toile::train::run::{Start, Training};
use toile::train::{AnyRecipe, FeedForward, FeedForwardRecipe, Observer, Row, RunFolder, train_any};
use toile::{Device, Tensor};

pub struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: &Start) {}
    fn step(&mut self, _: u64, _: Option<&Row>) {}
    fn wrote(&mut self, _: &Path) {}
}

/// A picture of stripes on disk.
pub fn stripes(folder: &Path, [h, w]: [u32; 2]) -> String {
    let path = folder.join(format!("stripes-{w}x{h}.png"));
    image::RgbImage::from_fn(w, h, |x, y| image::Rgb([if (x + y) % 8 < 4 { 220 } else { 30 }, 90, (3 * x) as u8]))
        .save(&path)
        .unwrap();
    path.display().to_string()
}

/// A recipe at small sizes.
fn any(name: &str, style: &str, more: &[&str]) -> toile::Result<AnyRecipe> {
    let style = format!("objective.johnson.style={style:?}");
    let mut settings = vec!["data.size=[16, 16]", "data.count=24", "train.batch=2", "train.log_every=1"];
    if name == "johnson" {
        settings.extend([
            "objective.johnson.network={ width = 2, blocks = 1 }",
            "objective.johnson.style_size=24",
            &style,
        ]);
    }
    settings.extend(more);
    AnyRecipe::load(name, &settings.into_iter().map(String::from).collect::<Vec<_>>())
}

fn recipe(name: &str, style: &str, more: &[&str]) -> FeedForwardRecipe {
    any(name, style, more).unwrap().feed_forward(name).unwrap()
}

#[test]
fn networks_have_the_published_sizes() {
    let device = Device::Cpu;
    let mut init = Initializer::new(&device, Init::GlorotUniform, 1, 0);
    // Those of pytorch/examples' fast_neural_style, and of AdaIN's decoder behind VGG-19's relu4_1.
    assert_eq!(JohnsonSpec::default().build(&mut init).parameter_count(), 1_679_235);
    assert_eq!(DecoderSpec { channels: 512, halvings: 3 }.build(&mut init).parameter_count(), 3_505_219);
    let small = JohnsonSpec { width: 2, blocks: 1 }.build(&mut init);
    let y = small.forward(&Tensor::zeros(&device, [2, 3, 12, 16]), Mode::Inference);
    assert_eq!(y.shape().dims(), [2, 3, 12, 16]);
    let decoder = DecoderSpec { channels: 20, halvings: 2 }.build(&mut init);
    let y = decoder.forward(&Tensor::zeros(&device, [1, 20, 3, 4]), Mode::Inference);
    assert_eq!(y.shape().dims(), [1, 3, 12, 16]);
}

#[test]
fn two_n_steps_are_n_and_resume_and_n_and_the_run_restyles_pictures() {
    let place = tempfile::tempdir().unwrap();
    let style = stripes(place.path(), [20, 24]);
    for name in ["adain", "johnson"] {
        let (whole, parts) = (place.path().join(format!("{name}-whole")), place.path().join(format!("{name}-parts")));
        let run = |recipe: &AnyRecipe, folder: &RunFolder| {
            train_any(recipe, folder, &Device::Cpu, &AtomicBool::new(false), &mut Silent).unwrap()
        };
        let of = |steps: u64| any(name, &style, &[&format!("train.steps={steps}"), "schedule.flat=1"]).unwrap();
        let full = of(4);
        run(&full, &RunFolder::create(&whole, &full).unwrap());
        let half = of(2);
        run(&half, &RunFolder::create(&parts, &half).unwrap());
        let folder = RunFolder::resume(&parts).unwrap();
        let longer = folder.any_recipe().unwrap().with_steps(4).unwrap();
        assert_eq!(longer, full, "the written recipe is the recipe");
        run(&longer, &folder);
        for file in ["checkpoints/step-000004.safetensors", "metrics.jsonl", "recipe.toml", "samples/step-000004.png"] {
            let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
            assert!(read(&whole) == read(&parts), "{name}: {file} differs");
        }
        let transfer = Transfer::load(&folder, None, &Device::Cpu).unwrap();
        let path = stripes(place.path(), [19, 26]);
        let content = Picture::read(Path::new(&path), None).unwrap();
        let made = |styles: &[[u32; 2]], strength: f64| {
            let read = |size: &[u32; 2]| (Picture::read(Path::new(&stripes(place.path(), *size)), None).unwrap(), 2.0);
            let styles: Vec<_> = styles.iter().map(read).collect();
            let made = transfer.restyle(Path::new(&path), &content, &styles, strength).unwrap();
            assert_eq!(made.len(), 3 * 19 * 26);
            made
        };
        if name == "johnson" {
            assert!(!transfer.takes_styles());
            made(&[], 1.0);
            continue;
        }
        // Without strength the style does not matter; with it, it does; two equal styles are one.
        let (one, other) = ([16, 40], [31, 18]);
        assert_eq!(made(&[one], 0.0), made(&[other], 0.0));
        assert_ne!(made(&[one], 1.0), made(&[other], 1.0));
        let (once, twice) = (made(&[one], 1.0), made(&[one, one], 1.0));
        assert!(once.iter().zip(&twice).all(|(a, b)| (a - b).abs() < 1e-4));
    }
    // Other features than those of training are noticed.
    let folder = RunFolder::read(&place.path().join("adain-parts")).unwrap();
    let text = std::fs::read_to_string(folder.path().join("recipe.toml")).unwrap();
    std::fs::write(folder.path().join("recipe.toml"), text.replace("seed = 0", "seed = 1")).unwrap();
    let error = Transfer::load(&folder, None, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("other weights"), "{error}");
}

#[test]
fn steps_agree_on_every_device_and_losses_fall() {
    let place = tempfile::tempdir().unwrap();
    let style = stripes(place.path(), [20, 24]);
    for name in ["adain", "johnson"] {
        let losses = |device: &Device, steps: u64| {
            let mut training = FeedForward::new(&recipe(name, &style, &["optimizer.lr=5e-3"]), device).unwrap();
            training.begin(0);
            let value = |step: u64, training: &mut FeedForward| training.step(step).unwrap()[0].1.item().unwrap();
            (0..steps).map(|step| value(step, &mut training)).collect::<Vec<f64>>()
        };
        let want = losses(&Device::Reference, 2);
        for device in devices::all().into_iter().skip(1) {
            for (got, want) in losses(&device, 2).into_iter().zip(&want) {
                assert!((got - want).abs() <= 2e-3 * want.abs(), "{name} on {device}: {got}, not {want}");
            }
        }
        let all = losses(&Device::Cpu, 40);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        assert!(mean(&all[36..]) < 0.8 * mean(&all[..4]), "{name}: {all:?}");
    }
}

#[test]
fn what_cannot_be_trained_names_its_key() {
    let place = tempfile::tempdir().unwrap();
    let style = stripes(place.path(), [20, 24]);
    for (name, setting, key) in [
        ("adain", "objective.adain.style=-1", "objective.adain.style"),
        ("adain", "data.channels=1", "data.channels"),
        ("adain", "data.size=[18, 16]", "data.size"),
        ("johnson", "objective.johnson.style=\"\"", "objective.johnson.style"),
        ("johnson", "objective.johnson.network.width=0", "objective.johnson.network.width"),
        ("johnson", "objective.johnson.styl=3", "objective.johnson"),
        ("johnson", "train.steps=100000", "train.steps"),
    ] {
        let error = any(name, &style, &[setting]).unwrap_err().to_string();
        assert!(error.contains(key), "{setting}: {error}");
    }
    let missing = any("adain", "", &["features=\"nowhere\""]).unwrap().check_data().unwrap_err().to_string();
    assert!(missing.contains("features") && missing.contains("nowhere"), "{missing}");
    let layer = recipe("adain", "", &["objective.adain.layer=\"relu4_1\""]);
    assert!(FeedForward::new(&layer, &Device::Cpu).err().unwrap().to_string().contains("scale1, scale2"));
    assert!(any("adain", "", &[]).unwrap().gan("x").unwrap_err().to_string().contains("toile transfer"));
}

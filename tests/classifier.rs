//! The pattern classifier on disk: resume bit for bit, devices that agree, learning, what is refused.

use crate::devices;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use toile::Device;
use toile::train::run::{Start, Training};
use toile::train::{AnyRecipe, ClassifierRecipe, ClassifierTraining, Observer, Row, RunFolder, classifier, train_any};

struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: &Start) {}
    fn step(&mut self, _: u64, _: Option<&Row>) {}
    fn wrote(&mut self, _: &Path) {}
}

/// The recipe at small sizes.
fn any(more: &[&str]) -> toile::Result<AnyRecipe> {
    let small = [
        "data.size=[16, 16]",
        "data.count=24",
        "data.held_out=24",
        "classifier.width=2",
        "train.batch=4",
        "train.log_every=1",
        "train.sample_every=2",
    ];
    let settings: Vec<String> = small.iter().chain(more).map(|s| s.to_string()).collect();
    AnyRecipe::load("classifier", &settings)
}

fn recipe(more: &[&str]) -> ClassifierRecipe {
    any(more).unwrap().classifier("classifier").unwrap()
}

#[test]
fn two_n_steps_are_n_and_resume_and_n() {
    let place = tempfile::tempdir().unwrap();
    let (whole, parts) = (place.path().join("whole"), place.path().join("parts"));
    let run = |recipe: &AnyRecipe, folder: &RunFolder| {
        train_any(recipe, folder, &Device::Cpu, &AtomicBool::new(false), &mut Silent).unwrap()
    };
    let of = |steps: u64| any(&[&format!("train.steps={steps}"), "schedule.flat=1"]).unwrap();
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
        assert!(read(&whole) == read(&parts), "{file} differs");
    }
    // What is loaded judges as what was trained.
    let rows = std::fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    let confusion = classifier::examine(&RunFolder::read(&whole).unwrap(), &Device::Cpu).unwrap();
    assert_eq!((confusion.total(), Some(confusion.accuracy())), (24, last["held_out_accuracy"].as_f64()));
    let missing = classifier::load(&folder, Some(3), &Device::Cpu).err().unwrap().to_string();
    assert!(missing.contains("--step 3") && missing.contains("[2, 4]"), "{missing}");
}

#[test]
fn steps_agree_on_every_device() {
    let recipe = recipe(&[]);
    let losses = |device: &Device| {
        let mut training = ClassifierTraining::new(&recipe, device);
        training.begin(0);
        let mut step = |k| training.step(k).unwrap();
        let both = [step(0), step(1)].concat();
        both.into_iter().map(|(name, loss)| (name, loss.item().unwrap())).collect::<Vec<_>>()
    };
    let want = losses(&Device::Reference);
    for device in devices::all().into_iter().skip(1) {
        for ((name, got), (_, want)) in losses(&device).into_iter().zip(&want) {
            // A share may differ by one image whose two likeliest patterns are as good as equal.
            let tolerance = if name.ends_with("accuracy") { 0.05 } else { 2e-4 };
            let close = approx::relative_eq!(got, *want, epsilon = tolerance, max_relative = 2e-4);
            assert!(close, "{device}: {name} is {got}, not {want}");
        }
    }
}

#[test]
fn a_small_classifier_learns() {
    let recipe =
        recipe(&["data.count=240", "classifier.width=6", "train.batch=16", "optimizer.lr=1e-2", "augment.noise=0"]);
    let mut training = ClassifierTraining::new(&recipe, &Device::Cpu);
    training.begin(0);
    let mut value = |step: u64, name: &str| {
        let losses = training.step(step).unwrap();
        losses.iter().find(|(known, _)| *known == name).unwrap().1.item().unwrap()
    };
    let first: f64 = (0..4).map(|step| value(step, "loss")).sum();
    (4..56).for_each(|step| {
        value(step, "loss");
    });
    let last: f64 = (56..60).map(|step| value(step, "loss")).sum();
    assert!(last < 0.8 * first, "the loss was {first} and is {last}");
}

#[test]
fn what_cannot_be_trained_names_its_key() {
    for (setting, key) in [
        ("classifier.width=0", "classifier.width"),
        ("data.size=[7, 16]", "data.size"),
        ("data.held_out=0", "data.held_out"),
        ("data.source=garments", "source"),
        ("augment.blur=0.7", "augment.blur"),
        ("train.steps=4001", "train.steps"),
        ("optimizer.lr=-1", "optimizer.lr"),
    ] {
        let error = any(&[setting]).unwrap_err().to_string();
        assert!(error.contains(key), "{setting}: {error}");
    }
    assert!(any(&[]).unwrap().gan("x").unwrap_err().to_string().contains("toile classify"));
    assert!(AnyRecipe::load("seed", &[]).unwrap().classifier("x").unwrap_err().to_string().contains("toile sample"));
}

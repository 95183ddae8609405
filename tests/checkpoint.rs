//! Runs on disk: 2N steps are N steps, a resume and N more, byte for byte; what a kill leaves behind; what is refused.

use crate::devices;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use toile::train::run::Start;
use toile::train::{Observer, Outcome, Recipe, Row, RunFolder, checkpoint, train};
use toile::{Device, Error};

struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: &Start) {}
    fn step(&mut self, _: u64, _: Option<&Row>) {}
    fn wrote(&mut self, _: &Path) {}
}

fn recipe(steps: u64, settings: &[&str]) -> Recipe {
    let small =
        ["train.batch=3", "train.log_every=1", "train.checkpoint_every=2", "train.sample_every=4", "data.count=10"];
    let mut all: Vec<String> = small.iter().chain(settings).map(|s| s.to_string()).collect();
    all.push(format!("train.steps={steps}"));
    Recipe::load("seed", &all).unwrap()
}

fn run(recipe: &Recipe, folder: &RunFolder, device: &Device) -> toile::Result<Outcome> {
    train(recipe, folder, device, &AtomicBool::new(false), &mut Silent)
}

#[test]
fn two_n_steps_are_n_and_resume_and_n() {
    for device in devices::all() {
        // The reference is slow: fewer steps say the same.
        let n = if device == Device::Reference { 1 } else { 3 };
        let place = tempfile::tempdir().unwrap();
        let (whole, parts) = (place.path().join("whole"), place.path().join("parts"));
        let folder = RunFolder::create(&whole, &recipe(2 * n, &[])).unwrap();
        run(&recipe(2 * n, &[]), &folder, &device).unwrap();

        let first = RunFolder::create(&parts, &recipe(n, &[])).unwrap();
        run(&recipe(n, &[]), &first, &device).unwrap();
        drop(first);
        let second = RunFolder::resume(&parts).unwrap();
        let mut longer = second.recipe().unwrap();
        longer.train.steps = 2 * n;
        second.write_recipe(&longer).unwrap();
        run(&longer, &second, &device).unwrap();

        for file in [format!("checkpoints/step-{:06}.safetensors", 2 * n), "metrics.jsonl".into(), "recipe.toml".into()]
        {
            let read = |folder: &Path| std::fs::read(folder.join(&file)).unwrap();
            assert!(read(&whole) == read(&parts), "{device}: {file} differs");
        }
        let picture = |folder: &RunFolder| std::fs::read(folder.sample(2 * n)).unwrap();
        assert!(picture(&folder) == picture(&second), "{device}: the pictures differ");
    }
}

/// Four steps are two, a resume and two.
fn resumes_bit_for_bit(settings: &[&str], holds: &str) {
    let place = tempfile::tempdir().unwrap();
    let (whole, parts) = (place.path().join("whole"), place.path().join("parts"));
    let full = recipe(4, settings);
    run(&full, &RunFolder::create(&whole, &full).unwrap(), &Device::Cpu).unwrap();
    let half = recipe(2, settings);
    run(&half, &RunFolder::create(&parts, &half).unwrap(), &Device::Cpu).unwrap();
    run(&full, &RunFolder::resume(&parts).unwrap(), &Device::Cpu).unwrap();
    for file in ["checkpoints/step-000004.safetensors", "metrics.jsonl"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&whole) == read(&parts), "{file} differs");
    }
    let bytes = std::fs::read(whole.join("checkpoints/step-000004.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains(holds), "the checkpoint holds no {holds}");
}

#[test]
fn a_critic_with_several_updates_resumes_bit_for_bit() {
    let critic = "discriminator.layers=[\"flatten\", { dense = { units = 8 } }, { leaky_relu = { slope = 0.2 } }, \
                  { dense = { units = 1 } }]";
    let settings = [critic, "objective.kind=wasserstein", "objective.gp_lambda=10", "objective.d_steps=2"];
    resumes_bit_for_bit(&settings, "discriminator.dense_2.weight");
}

#[test]
fn a_batch_in_parts_and_recomputed_networks_resume_bit_for_bit() {
    for settings in [
        ["train.batch=4", "train.accumulate=2", "objective.reuse_fake=true"],
        ["train.batch=4", "train.accumulate=2", "objective.simultaneous=true"],
        ["train.batch=4", "train.accumulate=4", "objective.d_steps=2"],
        ["train.batch=4", "train.checkpoint=true", "train.accumulate=2"],
    ] {
        resumes_bit_for_bit(&settings, "generator.batch_norm_1.running_mean");
    }
}

#[test]
fn a_spectrally_normalised_discriminator_resumes_bit_for_bit() {
    let layers = "discriminator.layers=[{ conv2d = { filters = 4, kernel = 4, stride = 2, spectral_norm = true } }, \
                  { residual = { filters = 4, down = true, spectral_norm = true } }, \"global_sum_pool\", \
                  { dense = { units = 1, spectral_norm = true } }]";
    resumes_bit_for_bit(&[layers, "objective.kind=hinge"], "discriminator.residual_1.conv2.u");
}

#[test]
fn what_a_kill_leaves_is_gone_on_from() {
    let place = tempfile::tempdir().unwrap();
    let (whole, killed) = (place.path().join("whole"), place.path().join("killed"));
    let full = recipe(6, &[]);
    run(&full, &RunFolder::create(&whole, &full).unwrap(), &Device::Cpu).unwrap();
    // As if killed after step 5: the checkpoint of step 4 is the newest, metrics go further, one line is half written,
    // a temporary file lies about.
    let short = recipe(5, &[]);
    let folder = RunFolder::create(&killed, &short).unwrap();
    run(&short, &folder, &Device::Cpu).unwrap();
    std::fs::remove_file(folder.checkpoint(5)).unwrap();
    let mut metrics = std::fs::read_to_string(folder.metrics()).unwrap();
    metrics.push_str("{\"step\":6,\"images_");
    std::fs::write(folder.metrics(), metrics).unwrap();
    std::fs::write(killed.join("checkpoints/.step-000006.safetensors.4711-1.part"), b"half").unwrap();
    drop(folder);

    let folder = RunFolder::resume(&killed).unwrap();
    assert!(!killed.join("checkpoints/.step-000006.safetensors.4711-1.part").exists(), "left-overs are removed");
    run(&full, &folder, &Device::Cpu).unwrap();
    let read = |folder: &Path, file: &str| std::fs::read(folder.join(file)).unwrap();
    for file in ["checkpoints/step-000006.safetensors", "metrics.jsonl"] {
        assert!(read(&whole, file) == read(&killed, file), "{file} differs");
    }
}

#[test]
fn only_the_newest_checkpoints_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(7, &["train.keep=2", "train.checkpoint_every=1"]);
    let folder = RunFolder::create(&place.path().join("run"), &recipe).unwrap();
    run(&recipe, &folder, &Device::Cpu).unwrap();
    assert_eq!(folder.checkpoints().unwrap(), [6, 7]);
}

#[test]
fn two_processes_cannot_train_in_one_folder() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let _first = RunFolder::create(&path, &recipe(1, &[])).unwrap();
    let second = RunFolder::resume(&path).err().unwrap();
    assert!(second.to_string().contains("is in use"), "{second}");
    let again = RunFolder::create(&path, &recipe(1, &[])).err().unwrap();
    assert_eq!(again.exit_code(), 2);
    assert!(again.to_string().contains("exists and is not empty"), "{again}");
}

#[test]
fn a_broken_or_foreign_checkpoint_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(2, &[]);
    let path = place.path().join("run");
    let folder = RunFolder::create(&path, &recipe).unwrap();
    run(&recipe, &folder, &Device::Cpu).unwrap();
    let file = folder.checkpoint(2);
    let good = std::fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = checkpoint::load(&file).err().expect("refused");
        assert!(matches!(error, Error::File { .. }) && error.to_string().contains("step-000002"), "{error}");
    };
    refused(&good[..good.len() - 1]);
    refused(&good[..5]);
    refused(b"");
    refused(&[0xff; 100]);
    let foreign = String::from_utf8_lossy(&good[8..300]).contains("toile");
    assert!(foreign, "the header is in front");
    let mut other = good.clone();
    let at = other
        .windows(10)
        .position(|w| w == br#""format\":"#)
        .or(other.windows(11).position(|w| w == br#"\"format\":1"#));
    let at = at.expect("the header holds its format");
    let digit = other[at..].iter().position(|b| b.is_ascii_digit()).unwrap() + at;
    other[digit] = b'9';
    refused(&other);

    // Another network: the misfit is named.
    std::fs::write(&file, &good).unwrap();
    let mut wider = recipe.clone();
    if let toile::models::LayerSpec::Conv2d { filters, .. } = &mut wider.discriminator.layers[0] {
        *filters = 32;
    }
    wider.train.steps = 4;
    let error = run(&wider, &folder, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("discriminator.conv2d_1.weight") && error.contains("[64, 3, 4, 4]"), "{error}");

    // Other data: refused.
    let mut other = recipe.clone();
    other.data.seed = 5;
    other.train.steps = 4;
    let error = run(&other, &folder, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("other data"), "{error}");
}

#[test]
fn a_refused_resume_leaves_the_run_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let first = recipe(2, &[]);
    let folder = RunFolder::create(&place.path().join("run"), &first).unwrap();
    run(&first, &folder, &Device::Cpu).unwrap();
    let mut other = recipe(4, &[]);
    other.data.seed = 9;
    assert!(run(&other, &folder, &Device::Cpu).is_err());
    assert_eq!(folder.recipe().unwrap(), first);
}

#[test]
fn a_changed_byte_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let first = recipe(2, &[]);
    let folder = RunFolder::create(&place.path().join("run"), &first).unwrap();
    run(&first, &folder, &Device::Cpu).unwrap();
    let file = folder.checkpoint(2);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = checkpoint::load(&file).err().unwrap().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn a_run_without_a_checkpoint_begins_again() {
    let place = tempfile::tempdir().unwrap();
    let first = recipe(2, &[]);
    let path = place.path().join("run");
    drop(RunFolder::create(&path, &first).unwrap()); // killed before its first step
    let folder = RunFolder::resume(&path).unwrap();
    assert_eq!(run(&first, &folder, &Device::Cpu).unwrap().step, 2);
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_good_state() {
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(60, &["optimizer.lr=1e3", "optimizer.betas=[0.0, 0.0]", "optimizer.eps=0"]);
    let folder = RunFolder::create(&place.path().join("run"), &recipe).unwrap();
    let error = run(&recipe, &folder, &Device::Cpu).expect_err("diverges").to_string();
    assert!(error.contains("training has failed") && error.contains("optimizer.lr"), "{error}");
    for step in folder.checkpoints().unwrap() {
        let bytes = std::fs::read(folder.checkpoint(step)).unwrap();
        for (name, view) in safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            assert!(values.iter().all(|v| v.is_finite()), "step {step}: {name} is not finite");
        }
    }
}

#[test]
fn a_stop_saves_and_says_where() {
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(50, &["train.checkpoint_every=1000"]);
    let folder = RunFolder::create(&place.path().join("run"), &recipe).unwrap();
    struct StopAt<'a>(&'a AtomicBool);
    impl Observer for StopAt<'_> {
        fn begin(&mut self, _: &Start) {}
        fn step(&mut self, step: u64, _: Option<&Row>) {
            self.0.store(step >= 2, std::sync::atomic::Ordering::Relaxed);
        }
        fn wrote(&mut self, _: &Path) {}
    }
    let stop = AtomicBool::new(false);
    let outcome = train(&recipe, &folder, &Device::Cpu, &stop, &mut StopAt(&stop)).unwrap();
    assert!(outcome.interrupted && outcome.step < 50);
    assert!(outcome.checkpoint.is_file() && outcome.sample.is_file(), "{outcome:?}");
}

//! Training keeps its memory: after ten steps neither the process nor the device holds more. It takes what its estimate says.

use crate::devices;
use crate::feed_forward::{Silent, stripes};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use toile::data::Loader;
use toile::train::{AnyRecipe, Gan, Recipe, RunFolder, memory, train_any};
use toile::{Device, Tensor};

/// Steps after which everything that is kept (pools, caches, moments) is there.
const SETTLED: u64 = 10;
/// What a process may grow by afterwards: the allocator's and the driver's own.
const MOST_GROWTH: u64 = 6 << 20;

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<u64> {
    of_this_process("VmRSS:")
}

fn of_this_process(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().trim_end_matches("kB").trim().parse().ok().map(|kib: u64| kib << 10)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

/// Trains and compares. Runs in a process of its own, in which nothing else takes memory.
fn train(device: &Device, steps: u64, batch: u64) {
    // So few images that each has been drawn, and is kept, when the bound begins.
    let count = format!("data.count={}", batch * SETTLED);
    let recipe = Recipe::load("seed", &[format!("train.batch={batch}"), count]).unwrap();
    let mut gan = Gan::new(&recipe, device).unwrap();
    let mut loader = Loader::new(toile::data::open(&recipe.data).unwrap(), batch as usize, 0, 0);
    let held = || match device {
        Device::Gpu(gpu) => {
            let stats = gpu.stats();
            [stats.bytes_live + stats.bytes_pooled, stats.buffers_created, stats.bind_groups_kept, stats.params_kept]
        }
        _ => [0; 4],
    };
    let (mut settled, mut early, mut late) = ([0; 4], 0, 0);
    for step in 0..steps {
        let real = Tensor::new(device, [batch as usize, 3, 28, 28], &loader.next().unwrap().images);
        let noise = gan.noise(step);
        let outcome = gan.step(&real, &noise).unwrap();
        assert!(outcome.d_loss.item().unwrap().is_finite());
        drop((outcome, real, noise));
        if step + 1 == SETTLED {
            settled = held();
        }
        match resident() {
            Some(bytes) if step + 1 == SETTLED => early = bytes,
            Some(bytes) if step + 1 > SETTLED => late = bytes.max(late),
            _ => {}
        }
        if [10, 100, 200, 1000].contains(&(step + 1)) {
            println!("{} bytes resident after step {}", resident().unwrap_or(0), step + 1);
        }
    }
    println!("{device}, {steps} steps at batch {batch}: {early} bytes resident after {SETTLED}, then {late} at most");
    println!(
        "device bytes, buffers made, bind groups, params kept: {settled:?} after {SETTLED}, {:?} at the end",
        held()
    );
    assert!(late <= early + MOST_GROWTH, "the process grew from {early} to {late} bytes");
    assert_eq!(held(), settled, "the device holds more");
}

/// Runs the test `name` of this binary again, in a process in which nothing else takes memory; `work` is for that process.
fn alone(name: &str, work: impl FnOnce()) {
    if std::env::var("TOILE_TEST_ALONE").is_ok() {
        return work();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let child = command.args(["--exact", &format!("memory::{name}"), "--nocapture"]).env("TOILE_TEST_ALONE", "1");
    let output = child.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success() && out.contains("bytes"), "{out}{error}");
}

fn train_alone(name: &str, device: Option<Device>) {
    let Some(device) = device else { return };
    alone(name, || train(&device, setting("TOILE_MEMORY_STEPS", 200), setting("TOILE_MEMORY_BATCH", 4)));
}

#[test]
fn training_on_the_cpu_keeps_its_memory() {
    train_alone("training_on_the_cpu_keeps_its_memory", Some(Device::Cpu));
}

#[test]
fn training_on_the_gpu_keeps_its_memory() {
    train_alone("training_on_the_gpu_keeps_its_memory", devices::gpu());
}

/// How far the estimate of a run's memory may be from the most that its process held, relative to the latter.
const ESTIMATED: f64 = 0.2;

/// Trains three steps on the `cpu` device; the process then has held about what was estimated.
fn estimated(name: &str, recipe: &str, settings: &[&str]) {
    alone(name, || {
        let place = tempfile::tempdir().unwrap();
        let mut settings: Vec<String> = settings.iter().map(|setting| setting.to_string()).collect();
        settings.extend(["train.steps=3".into(), "data.count=12".into()]);
        if recipe == "johnson" {
            settings.push(format!("objective.johnson.style={:?}", stripes(place.path(), [128, 96])));
        }
        let recipe = AnyRecipe::load(recipe, &settings).unwrap();
        let estimate = memory::estimate(&recipe, &Device::Cpu).unwrap();
        let folder = RunFolder::create(&place.path().join("run"), &recipe).unwrap();
        train_any(&recipe, &folder, &Device::Cpu, &AtomicBool::new(false), &mut Silent).unwrap();
        let (want, told) = (of_this_process("VmHWM:"), estimate.total());
        println!("{settings:?}: {told} bytes estimated, {want:?} held");
        if let Some(want) = want {
            let off = told as f64 / want as f64 - 1.0;
            assert!(off.abs() < ESTIMATED, "{told} bytes estimated, {want} held: {:.0} % off", 100.0 * off);
        }
    });
}

#[test]
fn adain_takes_what_is_estimated() {
    estimated("adain_takes_what_is_estimated", "adain", &["data.size=[96, 96]", "train.batch=3"]);
}

#[test]
fn johnson_takes_what_is_estimated() {
    estimated("johnson_takes_what_is_estimated", "johnson", &["data.size=[96, 64]", "train.batch=4"]);
}

#[test]
fn a_batch_in_parts_takes_what_is_estimated() {
    let settings = ["train.batch=4", "train.accumulate=2", "train.checkpoint=true"];
    estimated("a_batch_in_parts_takes_what_is_estimated", "cyclegan", &settings);
}

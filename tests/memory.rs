//! Training keeps its memory: after ten steps neither the process nor the device holds more.

use crate::devices;
use std::process::Command;
use toile::data::Loader;
use toile::train::{Gan, Recipe};
use toile::{Device, Tensor};

/// Steps after which everything that is kept (pools, caches, moments) is there.
const SETTLED: u64 = 10;
/// What a process may grow by afterwards: the allocator's and the driver's own.
const MOST_GROWTH: u64 = 6 << 20;

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
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

/// Runs the test `name` of this binary again, alone, in a process that then does the training.
fn alone(name: &str, device: Option<Device>, steps: u64) {
    let Some(device) = device else { return };
    if std::env::var("TOILE_TEST_ALONE").is_ok() {
        return train(&device, setting("TOILE_MEMORY_STEPS", steps), setting("TOILE_MEMORY_BATCH", 4));
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let child = command.args(["--exact", &format!("memory::{name}"), "--nocapture"]).env("TOILE_TEST_ALONE", "1");
    let output = child.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success() && out.contains("steps at batch"), "{out}{error}");
}

#[test]
fn training_on_the_cpu_keeps_its_memory() {
    alone("training_on_the_cpu_keeps_its_memory", Some(Device::Cpu), 200);
}

#[test]
fn training_on_the_gpu_keeps_its_memory() {
    alone("training_on_the_gpu_keeps_its_memory", devices::gpu(), 200);
}

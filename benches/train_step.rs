//! Times training steps of the seed recipe: ms a step and images a second, per device, and from process start to the first step.
//!
//! cargo bench --bench train_step -- [--device cpu]… [--batch 64] [--steps 5] [--json]

use std::time::Instant;
use toile::gpu::{AdapterChoice, Gpu, GpuOptions};
use toile::rng::{Domain, Stream};
use toile::train::{Gan, Recipe};
use toile::{Device, Tensor};

fn main() {
    let start = Instant::now();
    let mut devices: Vec<String> = Vec::new();
    let (mut batch, mut steps, mut json) = (64usize, 5usize, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| usage());
        match argument.as_str() {
            "--batch" => batch = number(),
            "--steps" => steps = number(),
            "--device" => devices.push(arguments.next().unwrap_or_else(|| usage())),
            "--json" => json = true,
            "--bench" => {}
            _ => usage(),
        }
    }
    if devices.is_empty() {
        devices.push("cpu".into());
    }
    for name in devices {
        let device = match name.as_str() {
            "cpu" => Device::Cpu,
            "reference" => Device::Reference,
            "gpu" => Device::Gpu(Gpu::open(&AdapterChoice::Hardware, GpuOptions::default()).expect("a hardware GPU")),
            "software" => Device::Gpu(Gpu::open(&AdapterChoice::Software, GpuOptions::default()).expect("an adapter")),
            _ => usage(),
        };
        // The benchmark's W1: fixed latent vectors and images, the generator's step on the discriminator step's fakes.
        let settings = [format!("train.batch={batch}"), "objective.reuse_fake=true".into()];
        let recipe = Recipe::load("seed", &settings).expect("the seed recipe");
        let mut gan = Gan::new(&recipe, &device).expect("a checked recipe");
        let real = Stream::new(1, Domain::Test, 0).uniform_vec(batch * 3 * 28 * 28, -1.0, 1.0);
        let real = Tensor::new(&device, [batch, 3, 28, 28], &real);
        let noise = gan.noise(0);
        let mut step = || {
            let outcome = gan.step(&real, &noise).expect("a step");
            (outcome.d_loss.item().expect("a loss"), outcome.g_loss.item().expect("a loss"))
        };
        step();
        let first = start.elapsed().as_secs_f64() * 1e3;
        let mut times: Vec<f64> = (0..steps.max(1))
            .map(|_| {
                let begun = Instant::now();
                step();
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[times.len() / 2], times[0]);
        let rate = batch as f64 / median * 1e3;
        if json {
            println!(
                "{{\"device\":\"{name}\",\"batch\":{batch},\"median_ms\":{median:.2},\"best_ms\":{best:.2},\"images_per_s\":{rate:.1},\"first_step_ms\":{first:.1}}}"
            );
        } else {
            println!(
                "{name}: batch {batch}, {median:.1} ms a step (best {best:.1}), {rate:.0} images/s; first step done {first:.0} ms after the start"
            );
        }
    }
}

fn usage() -> ! {
    eprintln!("usage: train_step [--device cpu|reference|gpu|software]... [--batch N] [--steps N] [--json]");
    std::process::exit(2)
}

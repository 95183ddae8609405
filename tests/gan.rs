//! The seed model and the minimax loop.

use crate::devices;
use toile::models::{build, output_shape, seed};
use toile::nn::init::Initializer;
use toile::nn::{Init, Module};
use toile::train::{Gan, Recipe};
use toile::{Device, Tensor};

#[test]
fn the_recipe_holds_the_seed_model() {
    let recipe = Recipe::load("seed", &[]).unwrap();
    assert_eq!(recipe.generator.layers, seed::generator());
    assert_eq!(recipe.discriminator.layers, seed::discriminator());
    assert_eq!((recipe.generator.latent, recipe.image_shape()), (seed::LATENT, seed::IMAGE));
    let written = recipe.to_toml();
    assert_eq!(Recipe::parse("written", &written, &[]).unwrap(), recipe, "{written}");
}

#[test]
fn parameter_counts() {
    let mut init = Initializer::new(&Device::Cpu, Init::GlorotUniform, 0, 0);
    let generator = build(&seed::generator(), &[seed::LATENT], &mut init).unwrap();
    let discriminator = build(&seed::discriminator(), &seed::IMAGE, &mut init).unwrap();
    assert_eq!(generator.parameter_count(), 52_808);
    assert_eq!(discriminator.parameter_count(), 140_609);
    let statistics: usize = generator.buffers().iter().map(|(_, p)| p.get().len()).sum();
    assert_eq!(statistics, 2 * (147 + 64 + 32));
    assert_eq!(output_shape(&seed::generator(), &[100]).unwrap().last().unwrap(), &[3, 28, 28]);
}

#[test]
fn glorot_uniform_has_its_limit_and_spread() {
    let mut init = Initializer::new(&Device::Cpu, Init::GlorotUniform, 3, 0);
    let w = init.weight([200, 100], 100, 200).to_vec().unwrap();
    let limit = (6.0f32 / 300.0).sqrt();
    let largest = w.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let variance = w.iter().map(|v| v * v).sum::<f32>() / w.len() as f32;
    assert!(largest <= limit && largest > 0.99 * limit, "{largest} against {limit}");
    approx::assert_relative_eq!(variance, limit * limit / 3.0, max_relative = 0.02);
}

/// The losses of the first steps on garments, batch 8.
fn losses(device: &Device, steps: usize, settings: &[String]) -> Vec<[f64; 2]> {
    let recipe = Recipe::load("seed", &[&["train.batch=8".to_string()], settings].concat()).unwrap();
    let mut gan = Gan::new(&recipe, device).unwrap();
    let source = toile::data::open(&recipe.data).unwrap();
    let mut loader = toile::data::Loader::new(source, 8, 0, 0);
    let step = |step: usize| {
        let real = Tensor::new(device, [8, 3, 28, 28], &loader.next().unwrap().images);
        let noise = gan.noise(step as u64);
        let outcome = gan.step(&real, &noise).unwrap();
        [outcome.d_loss.item().unwrap(), outcome.g_loss.item().unwrap()]
    };
    (0..steps).map(step).collect()
}

#[test]
fn five_steps_agree_on_every_device() {
    let want = losses(&Device::Reference, 5, &[]);
    for device in devices::all().into_iter().skip(1) {
        let got = losses(&device, 5, &[]);
        for (step, (got, want)) in got.iter().zip(&want).enumerate() {
            for (got, want) in got.iter().zip(want) {
                let close = approx::relative_eq!(*got, *want, epsilon = 0.0, max_relative = 1e-4);
                assert!(close, "{device}, step {}: {got} against {want}", step + 1);
            }
        }
    }
}

#[test]
fn the_switches_change_what_they_say() {
    let of = |settings: &[&str]| losses(&Device::Cpu, 2, &settings.iter().map(|s| s.to_string()).collect::<Vec<_>>());
    let plain = of(&[]);
    // Another generator loss: the discriminator's first loss is the same, the generator's is not.
    let minimax = of(&["objective.kind=minimax"]);
    assert_eq!(plain[0][0], minimax[0][0]);
    assert!(plain[0][1] > 0.0 && minimax[0][1] < 0.0);
    // Reused fakes: another generator loss from the first step on.
    let reused = of(&["objective.reuse_fake=true"]);
    assert_eq!(plain[0][0], reused[0][0]);
    assert_ne!(plain[0][1], reused[0][1]);
    assert_ne!(plain[0], of(&["train.seed=1"])[0]);
}

#[test]
fn a_step_learns() {
    // On one batch again and again the discriminator must come to tell real from fake.
    let recipe = Recipe::load("seed", &["train.batch=16".into(), "optimizer.lr=1e-3".into()]).unwrap();
    let mut gan = Gan::new(&recipe, &Device::Cpu).unwrap();
    let mut batch = toile::data::Loader::new(toile::data::open(&recipe.data).unwrap(), 16, 0, 0);
    let real = Tensor::new(&Device::Cpu, [16, 3, 28, 28], &batch.next().unwrap().images);
    let noise = gan.noise(0);
    let first = gan.step(&real, &noise).unwrap().d_loss.item().unwrap();
    for _ in 0..20 {
        gan.step(&real, &noise).unwrap();
    }
    let last = gan.step(&real, &noise).unwrap();
    assert!(last.d_loss.item().unwrap() < 0.5 * first, "{first} before, {:?} after", last.d_loss);
    assert!(last.d_real.item().unwrap() > last.d_fake.item().unwrap());
}

/// The seed generator against a critic of 16x16 images without batch norm.
fn critic_settings(kind: &str, more: &[&str]) -> Vec<String> {
    let layers = "[{ conv2d = { filters = 6, kernel = 4, stride = 2, padding = 1 } }, { leaky_relu = { slope = 0.2 } }, \
                  \"flatten\", { dense = { units = 1 } }]";
    let settings =
        [format!("discriminator.layers={layers}"), format!("objective.kind={kind}"), "optimizer.lr=1e-3".into()];
    settings.into_iter().chain(more.iter().map(|s| s.to_string())).collect()
}

#[test]
fn every_game_and_penalty_agrees_on_every_device() {
    let games = [
        ("hinge", &[][..]),
        ("least_squares", &["objective.simultaneous=true"]),
        ("relativistic", &["objective.r1_gamma=0.5", "objective.r2_gamma=0.5"]),
        ("wasserstein", &["objective.gp_lambda=10"]),
        ("minimax", &["objective.reuse_fake=true"]),
    ];
    let mut seen: Vec<[f64; 2]> = Vec::new();
    for (kind, more) in games {
        let settings = critic_settings(kind, more);
        let want = losses(&Device::Reference, 2, &settings);
        for device in devices::all().into_iter().skip(1) {
            for (got, want) in losses(&device, 2, &settings).iter().flatten().zip(want.iter().flatten()) {
                // The Wasserstein loss is a difference of means near 0 beside a penalty near 10.
                let close = approx::relative_eq!(*got, *want, epsilon = 1e-5, max_relative = 1e-4);
                assert!(close, "{kind} on {device}: {got} against {want}");
            }
        }
        assert!(!seen.contains(&want[0]), "{kind} gives the losses of another game");
        seen.push(want[0]);
    }
}

#[test]
fn a_game_on_numbers_refuses_a_probability() {
    let error = Recipe::load("seed", &["objective.kind=hinge".into()]).unwrap_err().to_string();
    assert!(error.contains("objective.kind") && error.contains("without \"sigmoid\""), "{error}");
    let error = Recipe::load("seed", &["objective.d_steps=0".into()]).unwrap_err().to_string();
    assert!(error.contains("objective.d_steps"), "{error}");
}

#[test]
fn several_discriminator_updates_take_their_own_batches_and_noise() {
    let settings = [
        critic_settings("wasserstein", &["objective.gp_lambda=10", "objective.d_steps=3"]),
        vec!["train.batch=2".into()],
    ];
    let recipe = Recipe::load("seed", &settings.concat()).unwrap();
    assert_eq!(recipe.images_per_step(), 6);
    let mut gan = Gan::new(&recipe, &Device::Cpu).unwrap();
    let noise = gan.noise(4);
    assert_eq!((noise.z.len(), noise.alpha.len()), (3, 3));
    let values = |t: &Tensor| t.to_vec().unwrap();
    let mut drawn: Vec<Vec<f32>> = noise.z.iter().chain([&noise.z_generator]).map(values).collect();
    drawn.extend(gan.noise(5).z.iter().map(values));
    drawn.sort_by(|a, b| a[0].total_cmp(&b[0]));
    drawn.dedup();
    assert_eq!(drawn.len(), 7, "no latent vector is drawn twice");
    let source = toile::data::open(&recipe.data).unwrap();
    let images = toile::data::Loader::new(source, 6, 0, 0).next().unwrap().images;
    let real = Tensor::new(&Device::Cpu, [6, 3, 28, 28], &images);
    let (d_steps, _) = gan.step_in_full(&real, &noise).unwrap();
    assert_eq!(d_steps.len(), 3);
    assert_eq!((gan.discriminator_optimizer.steps(), gan.generator_optimizer.steps()), (3, 1));
}

/// The parameters after two steps of batch 8, and the losses of both.
fn trained(device: &Device, settings: &[&str]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let small =
        ["train.batch=8", "data.size=[8, 8]", "generator.latent=5", "optimizer.convention=torch", "optimizer.eps=1e-3"];
    let networks = [
        "generator.layers=[{ dense = { units = 64 } }, { leaky_relu = { slope = 0.2 } }, { reshape = { shape = [4, 4, 4] } }, \
         { conv_transpose2d = { filters = 3, kernel = 4, stride = 2, padding = 1 } }, \"tanh\"]",
        "discriminator.layers=[{ conv2d = { filters = 4, kernel = 4, stride = 2 } }, { leaky_relu = { slope = 0.2 } }, \
         \"flatten\", { dense = { units = 1 } }]",
    ];
    let all: Vec<String> = small.iter().chain(&networks).chain(settings).map(|s| s.to_string()).collect();
    let recipe = Recipe::load("seed", &all).unwrap();
    let mut gan = Gan::new(&recipe, device).unwrap();
    let n = recipe.images_per_step();
    let stream = |step| toile::rng::Stream::new(9, toile::rng::Domain::Test, step).uniform_vec(n * 3 * 64, -1.0, 1.0);
    let mut losses = Vec::new();
    for step in 0..2 {
        let real = Tensor::new(device, [n, 3, 8, 8], &stream(step));
        let outcome = gan.step(&real, &gan.noise(step)).unwrap();
        for loss in [outcome.d_loss, outcome.g_loss, outcome.d_real, outcome.d_fake] {
            losses.push(loss.item().unwrap());
        }
    }
    let parameters = [gan.generator.parameters(), gan.discriminator.parameters()].concat();
    (parameters.iter().map(|(_, p)| p.get().to_vec_f64().unwrap()).collect(), losses)
}

#[test]
fn a_batch_in_parts_gives_the_batchs_update_where_no_layer_mixes_images() {
    let games: [&[&str]; 5] = [
        &["objective.reuse_fake=true"],
        &["objective.simultaneous=true"],
        &["objective.d_steps=2"],
        &["objective.kind=wasserstein", "objective.gp_lambda=10", "objective.reuse_fake=true"],
        &["objective.kind=relativistic", "objective.r1_gamma=1"],
    ];
    for device in devices::all() {
        // A part's sums are added in another order than the batch's.
        let (tolerance, games) = if device == Device::Reference { (1e-12, &games[..]) } else { (2e-5, &games[..2]) };
        for game in games {
            let (want, losses) = trained(&device, game);
            let (start, _) = trained(&device, &[game, &["optimizer.lr=0"][..]].concat());
            for extra in [&["train.accumulate=4"][..], &["train.accumulate=8", "train.checkpoint=true"]] {
                let (got, of_parts) = trained(&device, &[game, extra].concat());
                for (got, want) in of_parts.iter().zip(&losses) {
                    approx::assert_relative_eq!(got, want, epsilon = tolerance, max_relative = tolerance);
                }
                let most = |a: &[Vec<f64>], b: &[Vec<f64>]| {
                    let pairs = a.iter().flatten().zip(b.iter().flatten());
                    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
                };
                let (moved, apart) = (most(&want, &start), most(&got, &want));
                assert!(moved > 1e-5, "{device} {game:?}: nothing moved");
                let share = if device == Device::Reference { 1e-9 } else { 5e-3 };
                assert!(apart < share * moved, "{device} {game:?} {extra:?}: {apart} of {moved}");
            }
        }
    }
}

#[test]
fn a_recomputed_network_gives_the_same_numbers() {
    for device in devices::all().into_iter().skip(1) {
        let settings = |more: &str| vec!["train.batch=8".to_string(), "objective.reuse_fake=true".into(), more.into()];
        let [want, got] =
            ["train.checkpoint=false", "train.checkpoint=true"].map(|more| losses(&device, 3, &settings(more)));
        assert_eq!(want, got, "{device}: bit for bit");
    }
}

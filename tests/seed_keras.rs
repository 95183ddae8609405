//! The seed networks against Keras: outputs, gradients and three training steps, computed by Keras itself in f64.
//!
//! The values are in `golden/seed_keras.safetensors`; what they mean: a step takes fake = G(z[s][0]) in training mode,
//! D's Adam step on bce(1, D(real)) + bce(0, D(fake)), then G's on D(G(z[s][1])) with the updated D.

use crate::devices;
use safetensors::tensor::{Dtype, SafeTensors};
use toile::check::compare;
use toile::nn::{Mode, Module, Parameter, Sequential};
use toile::tensor::no_grad;
use toile::train::{Gan, Recipe};
use toile::{Device, Tensor};

/// Keras's layer names and ours.
const LAYERS: [(&str, &str); 10] = [
    ("g.dense", "generator.dense_1"),
    ("g.bn0", "generator.batch_norm_1"),
    ("g.convt1", "generator.conv_transpose2d_1"),
    ("g.bn1", "generator.batch_norm_2"),
    ("g.convt2", "generator.conv_transpose2d_2"),
    ("g.bn2", "generator.batch_norm_3"),
    ("g.convt3", "generator.conv_transpose2d_3"),
    ("d.conv1", "discriminator.conv2d_1"),
    ("d.conv2", "discriminator.conv2d_2"),
    ("d.dense", "discriminator.dense_1"),
];

fn keras_name(name: &str) -> String {
    let (layer, value) = name.rsplit_once('.').unwrap();
    let (keras, _) = LAYERS.iter().find(|(_, ours)| *ours == layer).unwrap();
    format!("{keras}.{value}")
}

struct Golden<'a> {
    file: SafeTensors<'a>,
    case: &'a str,
}

impl Golden<'_> {
    fn values(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let view = self.file.tensor(&format!("{}/{name}", self.case)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let values = match view.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(view.data()).into_iter().map(f64::from).collect(),
            Dtype::F64 => bytemuck::pod_collect_to_vec(view.data()),
            other => panic!("{name}: {other:?}"),
        };
        (view.shape().to_vec(), values)
    }

    /// Part `i` along the first axes of a tensor.
    fn part(&self, name: &str, at: &[usize], device: &Device) -> Tensor {
        let (shape, values) = self.values(name);
        let rest = &shape[at.len()..];
        let size: usize = rest.iter().product();
        let index = at.iter().zip(&shape).fold(0, |index, (i, n)| index * n + i);
        Tensor::from_f64(device, rest, &values[index * size..][..size])
    }
}

fn named(prefix: &str, network: &Sequential) -> Vec<(String, Parameter)> {
    let all = network.parameters().into_iter().chain(network.buffers());
    all.map(|(name, p)| (format!("{prefix}.{name}"), p)).collect()
}

fn hold(case: &str, objective: &str) {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/seed_keras.safetensors")).unwrap();
    let golden = Golden { file: SafeTensors::deserialize(&bytes).unwrap(), case };
    let recipe = Recipe::load("seed", &["train.batch=4".into(), format!("objective.kind={objective}")]).unwrap();

    for device in devices::all() {
        let limit = if device == Device::Reference { 1e-6 } else { 1e-5 };
        let check = |name: &str, got: &Tensor, limit: f64| {
            let (_, want) = golden.values(name);
            let worst = compare(got.shape(), &got.to_vec_f64().unwrap(), &want, 0.0);
            assert!(worst.error <= limit, "{case} on {device}: {name} {worst}, limit {limit:e}");
        };
        let mut gan = Gan::new(&recipe, &device).unwrap();
        let parameters = [named("generator", &gan.generator), named("discriminator", &gan.discriminator)].concat();
        for (name, parameter) in parameters.iter().filter(|(name, _)| !name.contains("running")) {
            parameter.set(golden.part(&format!("in.{}", keras_name(name)), &[], &device));
        }

        let real = |step: usize| golden.part("in.real", &[step], &device);
        let z = |step: usize, part: usize| golden.part("in.z", &[step, part], &device);
        let eval = gan.sample(&z(0, 0), Mode::Inference);
        check("out.eval_fake", &eval, limit);
        check("out.eval_d_real", &no_grad(|| gan.discriminator.forward(&real(0), Mode::Inference)), limit);

        // The first step by hand, to see its gradients; the others by the loop's own step.
        let fake = gan.sample(&z(0, 0), Mode::Train);
        check("step1.fake", &fake, limit);
        check("step1.d_real", &no_grad(|| gan.discriminator.forward(&real(0), Mode::Train)), limit);
        check("step1.d_fake", &no_grad(|| gan.discriminator.forward(&fake, Mode::Train)), limit);
        let gradients_agree = |prefix: &str, network: &Sequential, gradients: &[Tensor]| {
            for ((name, _), gradient) in network.parameters().iter().zip(gradients) {
                check(&format!("step1.grad.{}", keras_name(&format!("{prefix}.{name}"))), gradient, limit);
            }
        };
        let d_step = gan.discriminator_step(&real(0), &fake.detach());
        gradients_agree("discriminator", &gan.discriminator, &d_step.gradients);
        gan.discriminator_optimizer.step(&d_step.gradients).unwrap();
        let g_step = gan.generator_step(gan.generator.forward(&z(0, 1), Mode::Train));
        gradients_agree("generator", &gan.generator, &g_step.gradients);
        gan.generator_optimizer.step(&g_step.gradients).unwrap();

        let (mut d_losses, mut g_losses) = (vec![d_step.loss.item().unwrap()], vec![g_step.loss.item().unwrap()]);
        for step in 1..3 {
            let outcome = gan.step(&real(step), &z(step, 0), &z(step, 1)).unwrap();
            d_losses.push(outcome.d_loss.item().unwrap());
            g_losses.push(outcome.g_loss.item().unwrap());
        }
        check("out.loss_d", &Tensor::from_f64(&Device::Reference, [3], &d_losses), 1e-5);
        check("out.loss_g", &Tensor::from_f64(&Device::Reference, [3], &g_losses), 1e-5);
        for (name, parameter) in &parameters {
            let entry = format!("out.after3.{}", keras_name(name));
            if name.contains("running") {
                check(&entry, &parameter.get(), limit);
            } else {
                // Adam turns a tiny gradient into a full step: 5 % of the learning rate, absolute.
                let (_, want) = golden.values(&entry);
                let got = parameter.get().to_vec_f64().unwrap();
                let worst = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
                assert!(worst <= 0.05 * recipe.optimizer.lr, "{case} on {device}: {entry} is off by {worst:e}");
            }
        }
    }
}

#[test]
fn minimax_agrees_with_keras() {
    hold("seed_minimax_3steps", "minimax");
}

#[test]
fn non_saturating_agrees_with_keras() {
    hold("seed_non_saturating_3steps", "non_saturating");
}

//! Whole training steps of GANs, by the step that training takes: losses, gradients, parameters and running statistics.

use super::case::Attrs;
use super::run::{Function, Inputs, Outputs, Refusal};
use crate::models::{LayerSpec, dcgan, seed};
use crate::nn::{ConvPadding::Same, ConvPadding::Zeros, Convention, Mode, Module, Parameter, Sequential};
use crate::optim::{AdamConfig, AdamConvention};
use crate::tensor::{Tensor, no_grad};
use crate::train::gan::{DiscriminatorStep, Gan, GeneratorStep, Noise};
use crate::train::loss::Game;
use crate::train::recipe::Recipe;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "gan_step_dcgan" => torch_dcgan,
        "gan_step_dcgan_keras" => keras_dcgan,
        "gan_step_wgan_gp" => wgan_gp,
        "gan_step_seed" => seed_steps,
        _ => return None,
    })
}

fn adam(i: &Inputs, keras: AdamConvention) -> Result<AdamConfig, Refusal> {
    let a = i.attrs.section("optimizer")?;
    a.only(&["kind", "lr", "betas", "eps"])?;
    let convention = match a.text("kind", "")? {
        "adam" => AdamConvention::Torch,
        "adam_keras" => keras,
        other => return Err(Refusal::NotSupported(format!("the optimizer {other}"))),
    };
    let betas = if a.count("betas") > 0 { a.numbers("betas")? } else { [0.9, 0.999] };
    Ok(AdamConfig { lr: a.number("lr", 1e-3)?, betas, eps: a.number("eps", 1e-8)?, convention })
}

/// The layers with the case's slope and batch normalisation.
fn set(i: &Inputs, layers: &mut [LayerSpec]) -> Result<(), Refusal> {
    let a: Attrs = i.attrs.section("bn")?;
    a.only(&["convention", "momentum", "eps"])?;
    for layer in layers {
        match layer {
            LayerSpec::LeakyRelu { slope } => *slope = i.attrs.number("slope", *slope)?,
            LayerSpec::BatchNorm { momentum, eps, convention } => {
                (*momentum, *eps) = (a.number("momentum", *momentum)?, a.number("eps", *eps)?);
                *convention = match a.text("convention", "torch")? {
                    "torch" => Convention::Torch,
                    "keras" => Convention::Keras,
                    other => return Err(Refusal::NotSupported(format!("the convention {other}"))),
                };
            }
            _ => (),
        }
    }
    Ok(())
}

/// A recipe of these layers, which the caller's case completes.
fn recipe(i: &Inputs, latent: usize, layers: [Vec<LayerSpec>; 2], keras: AdamConvention) -> Result<Recipe, Refusal> {
    let [mut generator, mut discriminator] = layers;
    set(i, &mut generator)?;
    set(i, &mut discriminator)?;
    let mut recipe = Recipe::load("seed", &[])?;
    let real = i.tensor("real")?;
    let [.., c, h, w] = real.shape()[..] else {
        return Err(Refusal::Failed(format!("in.real should be [steps, N, C, H, W], not {}", real.shape())));
    };
    (recipe.data.channels, recipe.data.size) = (c, [h, w]);
    recipe.optimizer = adam(i, keras)?;
    recipe.generator.latent = latent;
    recipe.generator.layers = generator;
    recipe.discriminator.layers = discriminator;
    // As a file would be: shapes and ranges are checked.
    Ok(Recipe::parse("case", &recipe.to_toml(), &[])?)
}

/// The values of a network, each beside its name in the case: what is trained, and the running statistics.
struct Named {
    parameters: Vec<(String, Parameter)>,
    statistics: Vec<(String, Parameter)>,
}

/// Names each value by the number of its layer among those with parameters and its own name.
fn named(network: &Sequential, name: impl Fn(usize, &str) -> String) -> Named {
    let mut layers: Vec<String> = Vec::new();
    let mut of = |entries: Vec<(String, Parameter)>| {
        let mut renamed = Vec::new();
        for (entry, parameter) in entries {
            let (layer, value) = entry.rsplit_once('.').unwrap_or((&entry, ""));
            let at = layers.iter().position(|known| known == layer).unwrap_or_else(|| {
                layers.push(layer.to_string());
                layers.len() - 1
            });
            renamed.push((name(at, value), parameter));
        }
        renamed
    };
    Named { parameters: of(network.parameters()), statistics: of(network.buffers()) }
}

/// `w1 gamma1 beta1 w2 …`: numbers count the layers with weights from `first`; statistics are `bn.g1.mean`.
fn numbered(network: &Sequential, prefix: &str, first: usize) -> Named {
    let mut number = first;
    let mut numbers = Vec::new();
    for (entry, _) in network.parameters() {
        let (layer, value) = entry.rsplit_once('.').unwrap_or((&entry, ""));
        if numbers.last().is_none_or(|(known, _): &(String, usize)| known != layer) {
            number += usize::from(value == "weight" && !numbers.is_empty());
            numbers.push((layer.to_string(), number));
        }
    }
    named(network, |at, value| {
        let number = numbers[at].1;
        match value {
            "weight" => format!("{prefix}.w{number}"),
            "bias" => format!("{prefix}.b{number}"),
            "running_mean" => format!("bn.{prefix}{number}.mean"),
            "running_var" => format!("bn.{prefix}{number}.var"),
            other => format!("{prefix}.{other}{number}"),
        }
    })
}

/// A game in play, and what it has shown so far.
struct Play<'a> {
    i: &'a Inputs<'a>,
    gan: Gan,
    networks: [Named; 2],
    lr: f64,
    outputs: Outputs,
    d_steps: Vec<DiscriminatorStep>,
    g_steps: Vec<GeneratorStep>,
}

impl<'a> Play<'a> {
    /// A game whose networks have the case's parameters; `names` says how the case calls them (generator, discriminator).
    fn new(i: &'a Inputs, recipe: &Recipe, names: impl Fn(&Gan) -> [Named; 2]) -> Result<Play<'a>, Refusal> {
        let gan = Gan::new(recipe, i.device)?;
        let networks = names(&gan);
        for (name, parameter) in networks.iter().flat_map(|network| &network.parameters) {
            parameter.set(i.tensor(name)?.clone());
        }
        let outputs = Outputs::default();
        Ok(Play { i, gan, networks, lr: recipe.optimizer.lr, outputs, d_steps: Vec::new(), g_steps: Vec::new() })
    }

    fn put(&mut self, name: &str, value: Tensor) {
        self.outputs = std::mem::take(&mut self.outputs).and(name, value);
    }

    /// The parameters now, and their tolerance: Adam turns a tiny gradient into a full step.
    fn put_parameters(&mut self, prefix: &str) {
        for network in &self.networks {
            for (name, parameter) in &network.parameters {
                let name = format!("{prefix}.{name}");
                let outputs = std::mem::take(&mut self.outputs).and(&name, parameter.get());
                self.outputs = outputs.within(&name, 0.05 * self.lr);
            }
        }
    }

    /// One step of the game; the first one's fakes, gradients and parameters are shown.
    fn step(&mut self, real: &Tensor, noise: &Noise) -> Result<(), Refusal> {
        let first = self.g_steps.is_empty();
        if first {
            // Batch statistics without a trace: what the step itself will make.
            self.put("step1.fake", self.gan.sample(&noise.z[0], Mode::BatchStatistics));
        }
        let (d_steps, g_step) = self.gan.step_in_full(real, noise)?;
        if first {
            let (g, d) = (&g_step.gradients, &d_steps[0].gradients);
            for (network, gradients) in self.networks.iter().zip([g, d]) {
                for ((name, _), gradient) in network.parameters.iter().zip(gradients) {
                    let outputs = std::mem::take(&mut self.outputs);
                    self.outputs = outputs.and(&format!("step1.grad.{name}"), gradient.clone());
                }
            }
            self.put("step1.d_real", d_steps[0].scores.real());
            self.put("step1.d_fake", d_steps[0].scores.fake());
            self.put_parameters("step1.after");
        }
        self.d_steps.extend(d_steps);
        self.g_steps.push(g_step);
        Ok(())
    }

    /// What all steps computed: losses, scores, parameters, running statistics.
    fn end(mut self) -> Outputs {
        let stacked = |values: Vec<Tensor>| Tensor::stack(&values.iter().collect::<Vec<_>>(), 0);
        let score = &self.gan.score;
        let of_d = |f: &dyn Fn(&DiscriminatorStep) -> Tensor| stacked(self.d_steps.iter().map(f).collect());
        let of_g = |f: &dyn Fn(&GeneratorStep) -> Tensor| stacked(self.g_steps.iter().map(f).collect());
        let d_loss = of_d(&|d| d.loss.clone());
        let mut shown = vec![
            ("loss_g", of_g(&|g| g.loss.clone())),
            ("loss_c", d_loss.clone()),
            ("loss_d", d_loss),
            ("loss_d_real", of_d(&|d| (-d.scores.real()).softplus().mean())),
            ("loss_d_fake", of_d(&|d| d.scores.fake().softplus().mean())),
            ("d_x", of_d(&|d| score.mean_probability(&d.scores.real()))),
            ("d_gz1", of_d(&|d| score.mean_probability(&d.scores.fake()))),
            ("d_gz2", of_g(&|g| score.mean_probability(&g.fake))),
        ];
        let penalties: Vec<Tensor> = self.d_steps.iter().filter_map(|d| d.penalty.clone()).collect();
        if !penalties.is_empty() {
            shown.push(("gp", stacked(penalties)));
        }
        for (name, value) in shown {
            self.put(name, value);
        }
        let after = format!("after{}", self.g_steps.len());
        self.put_parameters(&after);
        self.put_parameters("after");
        for network in &self.networks {
            for (name, parameter) in &network.statistics {
                let outputs = std::mem::take(&mut self.outputs).and(name, parameter.get());
                self.outputs = outputs.and(&format!("{after}.{name}"), parameter.get());
            }
        }
        self.outputs
    }

    /// Part `at` of `in.{name}` along its first axes, with rows of `row` values if given.
    fn part(&self, name: &str, at: &[usize], row: Option<usize>) -> Result<Tensor, Refusal> {
        let x = self.i.tensor(name)?;
        Ok(no_grad(|| {
            let part = at.iter().fold(x.clone(), |x, &at| {
                let rest = x.shape()[1..].to_vec();
                x.narrow(0, at, 1).reshape(rest)
            });
            match row {
                Some(row) => part.reshape([part.len() / row, row]),
                None => part,
            }
        }))
    }
}

/// The axis of `in.{prefix}w1`, `w2` … that counts what each layer makes.
fn widths(i: &Inputs, prefix: &str, axis: usize) -> Result<Vec<usize>, Refusal> {
    let weights = (1..).map_while(|k| i.maybe(&format!("{prefix}w{k}")));
    let widths: Vec<usize> = weights.map(|w| w.shape().get(axis).copied().unwrap_or(0)).collect();
    if widths.len() < 2 { Err(Refusal::Failed(format!("in.{prefix}w1, w2 … are missing"))) } else { Ok(widths) }
}

/// A generator as [`dcgan::generator`], of the widths of the case's weights.
fn dcgan_generator(i: &Inputs) -> Result<(usize, Vec<LayerSpec>), Refusal> {
    let (latent, mut widths) = (i.tensor("g.w1")?.dim(0), widths(i, "g.", 1)?);
    let channels = widths.pop().unwrap_or(0);
    Ok((latent, dcgan::generator(latent, &widths, channels)))
}

fn torch_dcgan(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["optimizer", "bn", "slope", "steps"])?;
    let (latent, generator) = dcgan_generator(i)?;
    let mut widths = widths(i, "d.", 0)?;
    widths.pop();
    let mut recipe = recipe(i, latent, [generator, dcgan::discriminator(&widths)], AdamConvention::Keras)?;
    recipe.objective.kind = Game::NonSaturating;
    recipe.objective.reuse_fake = true;
    let names = |gan: &Gan| [numbered(&gan.generator, "g", 1), numbered(&gan.discriminator, "d", 1)];
    let mut play = Play::new(i, &recipe, names)?;
    for step in 0..i.attrs.size("steps", 3)? {
        let z = play.part("z", &[step], Some(latent))?;
        let noise = Noise { z: vec![z.clone()], z_generator: z, alpha: Vec::new() };
        play.step(&play.part("real", &[step], None)?, &noise)?;
    }
    Ok(play.end())
}

/// Keras's DCGAN: dense, transposed convolutions 5, both networks updated from one pass.
fn keras_dcgan(i: &Inputs) -> Result<Outputs, Refusal> {
    use LayerSpec::*;
    i.attrs.only(&["optimizer", "bn", "slope", "bce", "steps"])?;
    if i.attrs.text("bce", "keras probabilities, clip 1e-7")? != "keras probabilities, clip 1e-7" {
        return Err(Refusal::NotSupported(format!("bce = {}", i.attrs.text("bce", "")?)));
    }
    let batch_norm = || BatchNorm { momentum: 0.99, eps: 1e-3, convention: Convention::Keras };
    let relu = || LeakyRelu { slope: 0.3 };
    let (w0, real) = (i.tensor("g.w0")?, i.tensor("real")?);
    let (units, latent, channels) = (w0.dim(0), w0.dim(1), i.tensor("g.w1")?.dim(0));
    let side = real.dim(3) / 4;
    let up = widths(i, "g.", 1)?;
    let mut generator = vec![Dense { units, bias: false, spectral_norm: false }, batch_norm(), relu()];
    generator.push(Reshape { shape: vec![channels, side, side] });
    for (k, &filters) in up.iter().enumerate() {
        let stride = if k == 0 { 1 } else { 2 };
        generator.push(ConvTranspose2d { filters, kernel: 5, stride, padding: Same, output_padding: 0, bias: false });
        generator.extend(if k + 1 < up.len() { vec![batch_norm(), relu()] } else { vec![Tanh] });
    }
    let down = widths(i, "d.", 0)?;
    let mut discriminator = Vec::new();
    for &filters in &down[..down.len() - 1] {
        discriminator.extend([
            Conv2d { filters, kernel: 5, stride: 2, padding: Same, bias: true, spectral_norm: false },
            relu(),
        ]);
    }
    discriminator.extend([Flatten, Dense { units: 1, bias: true, spectral_norm: false }, Sigmoid]);
    let mut recipe = recipe(i, latent, [generator, discriminator], AdamConvention::KerasExact)?;
    recipe.objective.kind = Game::NonSaturating;
    recipe.objective.simultaneous = true;
    let names = |gan: &Gan| [numbered(&gan.generator, "g", 0), numbered(&gan.discriminator, "d", 1)];
    let mut play = Play::new(i, &recipe, names)?;
    for step in 0..i.attrs.size("steps", 3)? {
        let z = play.part("z", &[step], None)?;
        let noise = Noise { z: vec![z.clone()], z_generator: z, alpha: Vec::new() };
        play.step(&play.part("real", &[step], None)?, &noise)?;
    }
    Ok(play.end())
}

fn wgan_gp(i: &Inputs) -> Result<Outputs, Refusal> {
    use LayerSpec::*;
    i.attrs.only(&["optimizer", "lam", "slope"])?;
    let (latent, generator) = dcgan_generator(i)?;
    let filters = widths(i, "d.", 0)?;
    let mut critic = Vec::new();
    for &filters in &filters[..filters.len() - 1] {
        let conv = Conv2d { filters, kernel: 4, stride: 2, padding: Zeros(1), bias: true, spectral_norm: false };
        critic.extend([conv, LeakyRelu { slope: 0.2 }]);
    }
    critic.extend([Flatten, Dense { units: 1, bias: true, spectral_norm: false }]);
    let mut recipe = recipe(i, latent, [generator, critic], AdamConvention::Keras)?;
    let real = i.tensor("real")?;
    let (updates, n) = (real.dim(0), real.dim(1));
    recipe.objective.kind = Game::Wasserstein;
    recipe.objective.gp_lambda = i.attrs.number("lam", 10.0)?;
    recipe.objective.d_steps = updates;
    let names = |gan: &Gan| [numbered(&gan.generator, "g", 1), numbered(&gan.discriminator, "d", 1)];
    let mut play = Play::new(i, &recipe, names)?;
    let noise = Noise {
        z: (0..updates).map(|k| play.part("z", &[k], Some(latent))).collect::<Result<_, _>>()?,
        z_generator: play.part("zg", &[], Some(latent))?,
        alpha: (0..updates).map(|k| play.part("alpha", &[k], None)).collect::<Result<_, _>>()?,
    };
    let all = [&[updates * n], &real.shape()[2..]].concat();
    play.step(&no_grad(|| real.reshape(all)), &noise)?;
    Ok(play.end())
}

/// The seed model as Keras itself trained it; its βᵗ are rounded as TensorFlow rounds them.
fn seed_steps(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["objective", "optimizer", "bn", "slope", "bce_clip", "steps"])?;
    let layers = [seed::generator(), seed::discriminator()];
    let mut recipe = recipe(i, seed::LATENT, layers, AdamConvention::Keras)?;
    recipe.objective.bce_clip = i.attrs.number("bce_clip", 1e-7)?;
    recipe.objective.kind = match i.attrs.text("objective", "")? {
        "minimax" => Game::Minimax,
        "non_saturating" => Game::NonSaturating,
        other => return Err(Refusal::NotSupported(format!("the objective {other}"))),
    };
    let by = |prefix: &'static str, layers: &'static [&'static str]| {
        move |at: usize, value: &str| format!("{prefix}.{}.{value}", layers[at])
    };
    let generator = by("g", &["dense", "bn0", "convt1", "bn1", "convt2", "bn2", "convt3"]);
    let discriminator = by("d", &["conv1", "conv2", "dense"]);
    let names = |gan: &Gan| [named(&gan.generator, generator), named(&gan.discriminator, discriminator)];
    let mut play = Play::new(i, &recipe, names)?;

    let (z, real) = (play.part("z", &[0, 0], None)?, play.part("real", &[0], None)?);
    play.put("eval_fake", play.gan.sample(&z, Mode::Inference));
    play.put("eval_d_real", no_grad(|| play.gan.discriminator.forward(&real, Mode::Inference)));
    for step in 0..i.attrs.size("steps", 3)? {
        let z = |part: usize| play.part("z", &[step, part], None);
        let noise = Noise { z: vec![z(0)?], z_generator: z(1)?, alpha: Vec::new() };
        play.step(&play.part("real", &[step], None)?, &noise)?;
    }
    Ok(play.end())
}

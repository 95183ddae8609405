//! The four standard workloads: the same networks, batches and steps that other frameworks are measured with.
//!
//! A training step updates the discriminator on real and on detached fake images and then the generator on the same
//! fakes; the discriminator's weight gradients are not computed in the generator's half; both losses are read back;
//! latent vectors and images are made beforehand.

use super::clock::{RUNS, peak_memory};
use crate::autograd::grad_all;
use crate::error::{Error, Result};
use crate::models::{self, Down, LayerSpec::Sigmoid, ResnetSpec, Up};
use crate::nn::init::Initializer;
use crate::nn::{Conv2dLayer, ConvPadding, Init, Linear, Mode, Module, Parameter};
use crate::ops::Pool2d;
use crate::optim::{Adam, AdamConfig, AdamConvention};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};
use crate::train::{Gan, Recipe, loss};
use std::time::Instant;

/// Which network in which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// W1: the seed recipe, 28x28.
    Seed,
    /// W2: DCGAN as PyTorch's example has it.
    Dcgan,
    /// W4: CycleGAN's ResNet generator with 9 blocks, inference on one image.
    Cyclegan,
    /// A critic's step of WGAN-GP: the CIFAR ResNet of Gulrajani et al. (2017) on 32x32.
    WganGp,
}

/// A workload and its sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// The network and kind of step.
    pub network: Network,
    /// Images.
    pub batch: usize,
    /// Their height and width.
    pub size: usize,
    /// Channels of the first layer (the DCGAN's ngf and ndf), of which the others are multiples.
    pub width: usize,
}

impl Workload {
    /// The four, at their standard sizes.
    pub const STANDARD: [Workload; 4] = [
        Workload { network: Network::Seed, batch: 64, size: 28, width: 64 },
        Workload { network: Network::Dcgan, batch: 16, size: 64, width: 64 },
        Workload { network: Network::Cyclegan, batch: 1, size: 128, width: 64 },
        Workload { network: Network::WganGp, batch: 16, size: 32, width: 128 },
    ];

    /// How time and memory grow with the batch, the image size and the width, the others as they are.
    pub fn growth() -> Vec<Workload> {
        let [_, dcgan, cyclegan, _] = Workload::STANDARD;
        let batches = [4, 8, 16, 32].map(|batch| Workload { batch, ..dcgan });
        let sizes = [64, 96, 128, 192].map(|size| Workload { size, ..cyclegan });
        let widths = [16, 32, 64, 96].map(|width| Workload { width, ..dcgan });
        [&batches[..], &sizes, &widths].concat()
    }

    /// `w1`, `w2`, `w4` or `wgan-gp`, as on the command line.
    pub fn key(&self) -> &'static str {
        match self.network {
            Network::Seed => "w1",
            Network::Dcgan => "w2",
            Network::Cyclegan => "w4",
            Network::WganGp => "wgan-gp",
        }
    }

    /// The standard workload of this key.
    ///
    /// # Errors
    /// There is none.
    pub fn named(key: &str) -> Result<Workload> {
        let known = Workload::STANDARD.iter().find(|workload| workload.key() == key);
        known.copied().ok_or_else(|| Error::Usage(format!("no workload {key:?}: there are w1, w2, w4 and wgan-gp")))
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Workload { batch, size, width, .. } = self;
        match self.network {
            Network::Seed => write!(f, "W1 seed step, batch {batch}"),
            Network::Dcgan => write!(f, "W2 DCGAN-{size} step, ngf = ndf = {width}, batch {batch}"),
            Network::Cyclegan => write!(f, "W4 CycleGAN generator, ngf {width}, {batch}x3x{size}x{size}"),
            Network::WganGp => write!(f, "WGAN-GP critic step, ResNet-{size}, {width} channels, batch {batch}"),
        }
    }
}

/// A workload on a device, ready to run.
pub struct Work(Box<dyn FnMut() -> Result<()>>);

impl Work {
    /// Makes networks, images and latent vectors.
    ///
    /// # Errors
    /// What went wrong on the device, or sizes that the network cannot have.
    pub fn new(workload: &Workload, device: &Device) -> Result<Work> {
        let Workload { batch, size, width, .. } = *workload;
        let images = |i: u64| {
            let values = Stream::new(1, Domain::Test, i).uniform_vec(batch * 3 * size * size, -1.0, 1.0);
            Tensor::new(device, [batch, 3, size, size], &values)
        };
        Ok(Work(match workload.network {
            Network::Seed => {
                let settings = [format!("train.batch={batch}"), "objective.reuse_fake=true".into()];
                adversarial_step(Gan::new(&Recipe::load("seed", &settings)?, device)?, images(0))
            }
            Network::Dcgan => adversarial_step(Gan::new(&dcgan(workload)?, device)?, images(0)),
            Network::Cyclegan => {
                let published = Init::Normal { std: 0.02, gamma_std: 0.0 };
                let spec = ResnetSpec { ngf: width, blocks: 9, down: Down::Stride, up: Up::Transposed };
                let generator = spec.build([3, 3], &mut Initializer::new(device, published, 1, 0));
                let x = images(0);
                Box::new(move || no_grad(|| generator.forward(&x, Mode::Inference)).to_vec().map(|_| ()))
            }
            Network::WganGp => wgan_gp_step(ResNetCritic::new(device, width), images(0), images(1), device),
        }))
    }

    /// One step, until its losses or images are in main memory.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn step(&mut self) -> Result<()> {
        (self.0)()
    }
}

fn adversarial_step(mut gan: Gan, real: Tensor) -> Box<dyn FnMut() -> Result<()>> {
    let noise = gan.noise(0);
    Box::new(move || {
        let outcome = gan.step(&real, &noise)?;
        outcome.d_loss.item()?;
        outcome.g_loss.item()?;
        Ok(())
    })
}

/// PyTorch's DCGAN example (Radford et al. 2015): 4x4 kernels, batch norm but at the ends, no biases.
fn dcgan(workload: &Workload) -> Result<Recipe> {
    let Workload { batch, size, width, .. } = *workload;
    if !size.is_power_of_two() || size < 16 {
        return Err(Error::Usage(format!("a DCGAN's images have 16, 32, 64 … pixels a side, not {size}")));
    }
    let widths: Vec<usize> = (0..size.ilog2() - 2).map(|i| width << i).collect(); // of layers at size / 2 … 4 pixels
    let falling: Vec<usize> = widths.iter().rev().copied().collect();
    // The published network ends in a sigmoid, and its loss takes probabilities.
    let judge = [models::dcgan::discriminator(&widths), vec![Sigmoid]].concat();

    let mut recipe = Recipe::load("seed", &[format!("train.batch={batch}"), "objective.reuse_fake=true".into()])?;
    recipe.name = "dcgan".into();
    recipe.init = Init::Normal { std: 0.02, gamma_std: 0.02 };
    recipe.optimizer = ADAM;
    recipe.data.size = [size, size];
    recipe.generator.layers = models::dcgan::generator(models::dcgan::LATENT, &falling, 3);
    recipe.discriminator.layers = judge;
    Ok(recipe)
}

const ADAM: AdamConfig = AdamConfig { lr: 2e-4, betas: [0.5, 0.999], eps: 1e-8, convention: AdamConvention::Torch };

/// The CIFAR critic of WGAN-GP (Gulrajani et al. 2017, appendix F): a block that halves the image, one more, two plain
/// ones, mean over the places, dense to one score; no normalisation.
struct ResNetCritic {
    convs: Vec<(String, Conv2dLayer)>,
    dense: Linear,
}

impl ResNetCritic {
    fn new(device: &Device, width: usize) -> ResNetCritic {
        let init = &mut Initializer::new(device, Init::GlorotUniform, 1, 0);
        let mut conv = |name: &str, from: usize, kernel: usize| {
            (name.to_string(), Conv2dLayer::new(init, from, width, kernel, 1, ConvPadding::Same, true))
        };
        let mut convs = vec![conv("block1.conv1", 3, 3), conv("block1.conv2", width, 3), conv("block1.shortcut", 3, 1)];
        convs.extend([
            conv("block2.conv1", width, 3),
            conv("block2.conv2", width, 3),
            conv("block2.shortcut", width, 1),
        ]);
        convs.extend(["block3.conv1", "block3.conv2", "block4.conv1", "block4.conv2"].map(|name| conv(name, width, 3)));
        ResNetCritic { convs, dense: Linear::new(init, width, 1, true) }
    }
}

impl Module for ResNetCritic {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let conv = |i: usize, x: &Tensor| self.convs[i].1.forward(x, mode);
        let half = |x: &Tensor| x.avg_pool2d(Pool2d::new(2).stride(2), false);
        let mut h = half(&conv(1, &conv(0, x).relu())) + conv(2, &half(x)); // [N, C, H/2, W/2]
        h = half(&conv(4, &conv(3, &h.relu()).relu())) + half(&conv(5, &h)); // [N, C, H/4, W/4]
        for block in 0..2 {
            h = &h + conv(7 + 2 * block, &conv(6 + 2 * block, &h.relu()).relu());
        }
        self.dense.forward(&h.relu().mean_axes(&[2, 3]), mode) // [N, 1]
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        let layers = self.convs.iter().map(|(name, layer)| (name.as_str(), layer as &dyn Module));
        let layers = layers.chain([("dense", &self.dense as &dyn Module)]);
        layers
            .flat_map(|(name, layer)| layer.parameters().into_iter().map(move |(p, at)| (format!("{name}.{p}"), at)))
            .collect()
    }
}

/// E[D(x̃)] − E[D(x)] + 10·E[(‖∂D/∂x̂‖ − 1)²] on straight lines between real and fake, and Adam (Gulrajani et al. 2017).
fn wgan_gp_step(critic: ResNetCritic, real: Tensor, fake: Tensor, device: &Device) -> Box<dyn FnMut() -> Result<()>> {
    let config = AdamConfig { betas: [0.0, 0.9], ..ADAM };
    let mut optimizer = Adam::new(config, critic.parameters());
    let n = real.dim(0);
    let alpha = Tensor::new(device, [n], &Stream::new(1, Domain::Test, 2).uniform_vec(n, 0.0, 1.0));
    let between = no_grad(|| loss::between(&real, &fake, &alpha)); // [N, 3, H, W]
    Box::new(move || {
        let weights: Vec<Tensor> = critic.parameters().iter().map(|(_, p)| p.get()).collect();
        let (gradients, loss) = {
            let score = |x: &Tensor| critic.forward(x, Mode::Train);
            let x = between.detach();
            let norms = loss::slope_norms(&loss::slope(&score(&x), &x), 0.0);
            let penalty = loss::gradient_penalty(&norms, 10.0, 1.0);
            let loss = score(&fake).mean() - score(&real).mean() + penalty;
            (grad_all(&loss, &weights.iter().collect::<Vec<_>>()), loss.detach())
        };
        drop(weights);
        optimizer.step(&gradients)?;
        loss.item().map(|_| ())
    })
}

/// What a workload took in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// Seconds of a step: the median of five after two others.
    pub median_s: f64,
    /// The shortest of the five.
    pub best_s: f64,
    /// Kernel calls of a step; 0 on other devices than a GPU.
    pub dispatches: u64,
    /// The most bytes the process held in main memory at a time, where the system tells.
    pub peak_rss: Option<u64>,
    /// The most bytes of buffers on a GPU.
    pub peak_device: Option<u64>,
}

/// Makes a workload and times its steps; `first_step` is called after the first.
///
/// # Errors
/// What went wrong on the device.
pub fn measure_steps(
    workload: &Workload,
    device: &Device,
    first_step: impl FnOnce() -> Result<()>,
) -> Result<StepResult> {
    let mut work = Work::new(workload, device)?;
    work.step()?;
    first_step()?;
    work.step()?;
    let dispatches = || match device {
        Device::Gpu(gpu) => gpu.stats().dispatches,
        _ => 0,
    };
    let before = dispatches();
    let mut taken = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        work.step()?;
        taken.push(start.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok(StepResult {
        median_s: taken[RUNS / 2],
        best_s: taken[0],
        dispatches: (dispatches() - before) / RUNS as u64,
        peak_rss: peak_memory(),
        peak_device: match device {
            Device::Gpu(gpu) => Some(gpu.stats().bytes_peak),
            _ => None,
        },
    })
}

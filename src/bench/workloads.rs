//! The four standard workloads: the same networks, batches and steps that other frameworks are measured with.
//!
//! A training step updates the discriminator on real and on detached fake images and then the generator on the same
//! fakes; the discriminator's weight gradients are not computed in the generator's half; both losses are read back;
//! latent vectors and images are made beforehand.

use super::clock::{RUNS, peak_memory};
use super::wgan_gp::{ResNetCritic, critic_step};
use crate::error::{Error, Result};
use crate::models::{self, Down, LayerSpec::Sigmoid, ResnetSpec, Up};
use crate::nn::init::Initializer;
use crate::nn::{Init, Mode, Module, Sequential};
use crate::optim::{AdamConfig, AdamConvention};
use crate::rng::{Domain, Stream};
use crate::tensor::plan::{is_planning, plan};
use crate::tensor::{Device, Tensor, no_grad};
use crate::train::memory::{available_memory, own_memory};
use crate::train::{Gan, Recipe};
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
    pub fn growth() -> [(&'static str, [Workload; 4]); 3] {
        let [_, dcgan, cyclegan, _] = Workload::STANDARD;
        let batches = [4, 8, 16, 32].map(|batch| Workload { batch, ..dcgan });
        let sizes = [64, 96, 128, 192].map(|size| Workload { size, ..cyclegan });
        let widths = [16, 32, 64, 96].map(|width| Workload { width, ..dcgan });
        [("batch", batches), ("image size", sizes), ("width", widths)]
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

    /// Refuses sizes that the network cannot have, and a step that does not fit into the memory that is free now, where the
    /// system tells.
    ///
    /// # Errors
    /// What there may be, or both sizes of memory.
    pub fn check(&self, device: &Device) -> Result<()> {
        self.check_sizes()?;
        let (walked, planned) = plan(|| {
            let mut work = Work::new(self, &Device::Cpu)?;
            work.step()?;
            work.step()
        });
        walked?;
        let needed = if matches!(device, Device::Reference) { 2 * planned.live } else { planned.resident };
        match available_memory() {
            Some(free) if needed > free && !own_memory(device) => Err(Error::Usage(format!(
                "{self}: takes about {} MiB, but {} MiB are free: take a smaller --batch, --size or --width",
                needed >> 20,
                free >> 20
            ))),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<()> {
        let Workload { network, batch, size, width } = *self;
        let refuse = |why: String| Err(Error::Usage(format!("--profile {}: {why}", self.key())));
        match network {
            Network::Seed if (size, width) != (28, 64) => {
                refuse("the seed recipe's --size is 28 and its --width 64; only --batch can be another".into())
            }
            Network::Dcgan if !size.is_power_of_two() || size < 16 => {
                refuse(format!("--size {size}: a DCGAN's images have 16, 32, 64 … pixels a side"))
            }
            Network::Cyclegan | Network::WganGp if size % 4 != 0 || size < 8 => refuse(format!(
                "--size {size}: takes a multiple of 4 from 8 on, because the network halves images twice"
            )),
            // So that no size of a tensor overflows.
            _ if [batch, size, size, width].into_iter().try_fold(1, usize::checked_mul).is_none_or(|n| n > 1 << 40) => {
                refuse(format!("--batch {batch} --size {size} --width {width} are too large together"))
            }
            _ => Ok(()),
        }
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
        workload.check_sizes()?;
        let images = |i: u64| {
            if is_planning() {
                return Tensor::zeros(device, [batch, 3, size, size]);
            }
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
                let generator = cyclegan(width, device);
                let x = images(0);
                Box::new(move || {
                    let y = no_grad(|| generator.forward(&x, Mode::Inference));
                    if is_planning() { Ok(()) } else { y.to_vec().map(|_| ()) }
                })
            }
            Network::WganGp => {
                let mut step = critic_step(ResNetCritic::new(device, width), images(0), images(1));
                Box::new(move || step().map(|_| ()))
            }
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

/// CycleGAN's generator with nine blocks, as published (Zhu et al. 2017).
fn cyclegan(width: usize, device: &Device) -> Sequential {
    let published = Init::Normal { std: 0.02, gamma_std: 0.0 };
    let spec = ResnetSpec { ngf: width, blocks: 9, down: Down::Stride, up: Up::Transposed };
    spec.build([3, 3], &mut Initializer::new(device, published, 1, 0))
}

/// PyTorch's DCGAN example (Radford et al. 2015): 4x4 kernels, batch norm but at the ends, no biases.
fn dcgan(workload: &Workload) -> Result<Recipe> {
    let Workload { batch, size, width, .. } = *workload;
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

/// As PyTorch's DCGAN example has it.
const ADAM: AdamConfig = AdamConfig { lr: 2e-4, betas: [0.5, 0.999], eps: 1e-8, convention: AdamConvention::Torch };

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

#[cfg(test)]
mod tests {
    use super::*;

    fn count(module: &dyn Module) -> usize {
        module.parameters().iter().map(|(_, parameter)| parameter.get().len()).sum()
    }

    /// benches/peers.py prints the same numbers for PyTorch's twins of these networks.
    #[test]
    fn the_networks_have_as_many_parameters_as_those_that_peers_are_timed_with() {
        let [w1, w2, w4, critic] = Workload::STANDARD;
        let adversarial = |recipe: Recipe| {
            let (gan, _) = plan(|| Gan::new(&recipe, &Device::Cpu).unwrap());
            count(&gan.generator) + count(&gan.discriminator)
        };
        assert_eq!(adversarial(Recipe::load("seed", &[]).unwrap()), 193_417, "{w1}");
        assert_eq!(adversarial(dcgan(&w2).unwrap()), 6_342_272, "{w2}");
        assert_eq!(plan(|| count(&cyclegan(w4.width, &Device::Cpu))).0, 11_378_179, "{w4}");
        assert_eq!(plan(|| count(&ResNetCritic::new(&Device::Cpu, critic.width))).0, 1_053_825, "{critic}");
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let [w1, w2, w4, critic] = Workload::STANDARD;
        let refused = |workload: Workload, words: &str| {
            let error = workload.check(&Device::Cpu).unwrap_err().to_string();
            assert!(error.contains(words), "{workload}: {error}");
        };
        refused(Workload { size: 30, ..w1 }, "28");
        refused(Workload { width: 30, ..w1 }, "64");
        refused(Workload { size: 100, ..w2 }, "16, 32, 64");
        refused(Workload { size: 3, ..w4 }, "multiple of 4");
        refused(Workload { size: 66, ..critic }, "multiple of 4");
        refused(Workload { batch: 1 << 16, size: 1 << 16, width: 1 << 16, ..critic }, "too large together");
        if available_memory().is_some() {
            refused(Workload { size: 1 << 14, batch: 64, ..w4 }, "MiB are free");
            refused(Workload { batch: 1 << 16, ..critic }, "MiB are free");
        }
        for workload in [w1, w2, w4, critic, Workload { size: 8, width: 1, batch: 1, ..critic }] {
            workload.check(&Device::Cpu).unwrap();
        }
    }
}

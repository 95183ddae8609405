//! The memory that a run will take, found before it starts by going through its steps without computing them.

use super::classifier;
use super::gan::Gan;
use super::recipe::AnyRecipe;
pub(crate) use super::recipe::available_memory;
use super::translation::{self, Method};
use crate::data::{self, Source};
use crate::error::{Error, Result};
use crate::gpu::AdapterKind;
use crate::nn::{Draws, Mode, Parameter};
use crate::tensor::plan::{Planned, plan};
use crate::tensor::{Device, Tensor};
use crate::train::gan_training::GRID;
use std::sync::Arc;

/// Batches that the loader holds: two that wait, one in the making, one in use.
const BATCHES: u64 = 4;

/// What a run takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Tensors at the fullest point of a step or of the pictures between: weights, moments, values, gradients, on the device.
    pub tensors: u64,
    /// What a device needs to compute them: packed operands, and on a GPU room for the gradients beside the moments.
    pub scratch: u64,
    /// Images kept and read ahead.
    pub images: u64,
    /// The copy of all weights and moments that is made for a checkpoint.
    pub checkpoint: u64,
    /// The program, as large as it is now.
    pub program: u64,
}

impl MemoryEstimate {
    /// What of it lies on the device.
    pub fn device(&self) -> u64 {
        self.tensors + self.scratch
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.device() + self.images + self.checkpoint + self.program
    }

    /// `about 512 MiB (a step 310 MiB, …)`.
    pub fn text(&self, device: &Device) -> String {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let step = if own_memory(device) { "on the device" } else { "a step" };
        format!(
            "about {} MiB ({step} {}, images {}, a checkpoint being written {}, the program {})",
            mib(self.total()),
            mib(self.device()),
            mib(self.images),
            mib(self.checkpoint),
            mib(self.program)
        )
    }

    /// Refuses what does not fit into the memory that is free now, where the system tells. What lies in a GPU's own memory
    /// is not counted: nothing says how much of it is free.
    ///
    /// # Errors
    /// Names `train.batch`, both sizes and what to do.
    pub fn check(&self, recipe: &AnyRecipe, device: &Device) -> Result<()> {
        let needed = if own_memory(device) { self.total() - self.device() } else { self.total() };
        match available_memory() {
            // The program's own memory is not free any more.
            Some(free) if needed - self.program > free => {
                Err(self.refusal(recipe, device, needed, free + self.program))
            }
            _ => Ok(()),
        }
    }

    fn refusal(&self, recipe: &AnyRecipe, device: &Device, needed: u64, free: u64) -> Error {
        let (needed, free, train) = (needed >> 20, free >> 20, recipe.train());
        let mut ways = vec!["a smaller batch (--batch)".to_string()];
        let whole = matches!(recipe, AnyRecipe::Classifier(_));
        if train.batch > train.accumulate && !whole {
            ways.push("--accumulate N, which takes a batch in N parts".into());
        }
        if !train.checkpoint && !whole {
            ways.push("--set train.checkpoint=true, which computes activations again instead of keeping them".into());
        }
        if let AnyRecipe::Translation(_) = recipe {
            ways.push("smaller images (data.size) or narrower networks".into());
        }
        let message = format!(
            "a run with {} images a step takes about {needed} MiB, but {free} MiB are free: take {} (in full: {})",
            train.batch,
            ways.join("; or "),
            self.text(device)
        );
        Error::Recipe { file: recipe.name().into(), key: "train.batch".into(), message }
    }
}

/// Whether the device has memory apart from the system's.
pub(crate) fn own_memory(device: &Device) -> bool {
    match device {
        Device::Gpu(gpu) => !matches!(gpu.report().kind, AdapterKind::Software | AdapterKind::Integrated),
        _ => false,
    }
}

/// Goes through two steps of the recipe and its pictures, without computing.
///
/// # Errors
/// A recipe whose shapes do not meet, data that cannot be read.
pub fn estimate(recipe: &AnyRecipe, device: &Device) -> Result<MemoryEstimate> {
    let (walked, Planned { live, resident }) = plan(|| match recipe {
        AnyRecipe::Gan(recipe) => {
            let mut gan = Gan::new(recipe, &Device::Cpu)?;
            gan.joins = matches!(device, Device::Gpu(_));
            let [c, h, w] = recipe.image_shape();
            for step in 0..2 {
                let real = Tensor::zeros(&Device::Cpu, [recipe.images_per_step(), c, h, w]);
                gan.step(&real, &gan.noise(step))?;
            }
            let shown = GRID[0].min(recipe.train.batch.max(16));
            gan.sample(&Tensor::zeros(&Device::Cpu, [shown, recipe.generator.latent]), Mode::Inference);
            Ok::<_, Error>(bytes(&gan.state()))
        }
        AnyRecipe::Translation(recipe) => {
            let draws = Draws::new(recipe.train.seed);
            let mut method: Box<dyn Method> = translation::method(recipe, &draws, &Device::Cpu);
            let (c, [h, w]) = (recipe.data.channels, recipe.data.size);
            let images = |n: usize| Tensor::zeros(&Device::Cpu, [n, c, h, w]);
            for step in 0..2 {
                draws.begin(step);
                method.step(&images(recipe.train.batch), &images(recipe.train.batch), step)?;
            }
            method.show(&images(1), &images(1));
            Ok(bytes(&method.state()))
        }
        AnyRecipe::Classifier(recipe) => Ok(bytes(&classifier::rehearse(recipe, &Device::Cpu)?)),
        AnyRecipe::Stylize(_) => Err(recipe.cannot_train()),
        AnyRecipe::FeedForward(_) => Err(not_estimated()),
    });
    let state = walked?;
    let (tensors, scratch) = match device {
        Device::Cpu => (resident, CPU_SCRATCH),
        // f64, without a pool.
        Device::Reference => (2 * live, 0),
        // An optimiser on a GPU keeps gradients beside weights and moments.
        Device::Gpu(_) => (resident, state / 3 + GPU_SCRATCH),
    };
    let images = images(recipe)?;
    Ok(MemoryEstimate { tensors, scratch, images, checkpoint: 2 * state, program: resident_memory().unwrap_or(0) })
}

/// Feed-forward style transfer measures its feature network's values before it starts, which a plan has not.
fn not_estimated() -> Error {
    Error::Invalid("the memory of feed-forward style transfer is not estimated".into())
}

/// Packed operands of matrix products on `cpu`, as measured.
const CPU_SCRATCH: u64 = 8 << 20;
/// The same on a GPU.
const GPU_SCRATCH: u64 = 32 << 20;

fn bytes(state: &[(String, Parameter)]) -> u64 {
    state.iter().map(|(_, parameter)| 4 * parameter.get().len() as u64).sum()
}

/// Images that are kept as bytes, and batches as numbers.
fn images(recipe: &AnyRecipe) -> Result<u64> {
    let (sources, budget, batch, size): (Vec<Arc<dyn Source>>, _, _, _) = match recipe {
        AnyRecipe::Gan(recipe) => {
            let [c, h, w] = recipe.image_shape();
            (vec![data::open(&recipe.data)?], recipe.data.cache_bytes, recipe.images_per_step(), c * h * w)
        }
        AnyRecipe::Translation(recipe) => {
            let (domains, [h, w]) = (data::open_domains(&recipe.data)?, recipe.data.size);
            (vec![domains.a, domains.b], recipe.data.cache_bytes, recipe.train.batch, recipe.data.channels * h * w)
        }
        AnyRecipe::Stylize(_) => return Err(recipe.cannot_train()),
        AnyRecipe::FeedForward(_) => return Err(not_estimated()),
        AnyRecipe::Classifier(recipe) => {
            let source: Arc<dyn Source> = Arc::new(classifier::garments(recipe, 0, recipe.data.count));
            (vec![source], data::CACHE_BYTES, recipe.train.batch, 3 * recipe.data.size.iter().product::<usize>())
        }
    };
    let seen = recipe.train().steps.saturating_mul(batch as u64);
    let kept = |source: &dyn Source| {
        let one = source.shape().iter().product::<usize>() as u64;
        (seen.min(source.len() as u64) * one).min(budget as u64)
    };
    let read_ahead = BATCHES * 4 * (batch * size) as u64;
    Ok(sources.iter().map(|source| kept(&**source) + read_ahead).sum())
}

/// The memory that this process holds now, where the system tells (Linux).
fn resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

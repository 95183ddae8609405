//! The memory that a run will take, found before it starts by going through its steps without computing them.

use super::gan::Gan;
pub(crate) use super::machine::available_memory;
use super::machine::resident_memory;
use super::recipe::{AnyRecipe, FeedForwardRecipe, Style, TrainConfig};
use super::translation::{self, Method};
use super::{classifier, feed_forward};
use crate::data::garments::Pattern;
use crate::data::{self, Source, thousands};
use crate::error::{Error, Result};
use crate::gpu::AdapterKind;
use crate::nn::{Draws, Mode, Parameter};
use crate::tensor::plan::{Planned, plan};
use crate::tensor::{Device, Tensor, no_grad};
use crate::train::gan_training::GRID;
use std::path::Path;
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
    /// Images kept and read ahead, and the picture that is written of what the run makes.
    pub images: u64,
    /// The copy of all weights and moments that is made for a checkpoint.
    pub checkpoint: u64,
    /// The program, as large as it is now.
    pub program: u64,
}

impl MemoryEstimate {
    /// What of it lies on the device.
    pub fn device(&self) -> u64 {
        self.tensors.saturating_add(self.scratch)
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        [self.images, self.checkpoint, self.program].into_iter().fold(self.device(), u64::saturating_add)
    }

    /// `about 512 MiB (a step 310 MiB, …)`.
    pub fn text(&self, device: &Device) -> String {
        let mib = |bytes: u64| thousands(bytes.div_ceil(1 << 20) as usize);
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
        let [needed, free] = [needed, free].map(|bytes| thousands((bytes >> 20) as usize));
        let train = recipe.train();
        let mut ways = vec!["a smaller batch (--batch)".to_string()];
        let whole = matches!(recipe, AnyRecipe::Classifier(_) | AnyRecipe::FeedForward(_));
        if train.batch > train.accumulate && !whole {
            ways.push("--accumulate N, which takes a batch in N parts".into());
        }
        if !train.checkpoint && !whole {
            ways.push("--set train.checkpoint=true, which computes activations again instead of keeping them".into());
        }
        match recipe {
            AnyRecipe::Translation(_) => ways.push("smaller images (data.size) or narrower networks".into()),
            AnyRecipe::Classifier(_) => ways.push("smaller images (data.size)".into()),
            AnyRecipe::FeedForward(recipe) => {
                ways.push("smaller images (data.size)".into());
                if let Style::Johnson(_) = recipe.objective {
                    ways.push("a smaller objective.johnson.style_size".into());
                }
            }
            // Their layers belong to a size.
            AnyRecipe::Gan(_) | AnyRecipe::Stylize(_) => {}
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
    let &TrainConfig { batch, accumulate, .. } = recipe.train();
    let Rehearsal { live, resident, state, shown } = along(accumulate, MOST_PARTS, &|parts| {
        along(batch / accumulate, MOST_IMAGES, &|images| rehearse(&recipe.with_batch(parts * images, parts), device))
    })?;
    let (tensors, scratch) = match device {
        Device::Cpu => (resident, CPU_SCRATCH),
        // f64, without a pool.
        Device::Reference => (live.saturating_mul(2), 0),
        // An optimiser on a GPU keeps gradients beside weights and moments.
        Device::Gpu(_) => (resident, state / 3 + GPU_SCRATCH),
    };
    let images = images(recipe)? + shown;
    Ok(MemoryEstimate { tensors, scratch, images, checkpoint: 2 * state, program: resident_memory().unwrap_or(0) })
}

/// Images a part, and parts of a batch, that are gone through at most.
const MOST_IMAGES: usize = 128;
const MOST_PARTS: usize = 4;

/// What a run's steps and pictures hold, in bytes.
#[derive(Clone, Copy)]
struct Rehearsal {
    /// The most that tensors hold at a time.
    live: u64,
    /// The same with the `cpu` device's pool of buffers.
    resident: u64,
    /// Weights and moments, as a checkpoint holds them.
    state: u64,
    /// The images of the picture that is written while training, as numbers and as bytes.
    shown: u64,
}

/// A rehearsal of n, or beyond `most` what the line through those of `most` / 2 and `most` gives: tensors grow with the images,
/// and going through a step takes time and memory of its own.
fn along(n: usize, most: usize, rehearse: &dyn Fn(usize) -> Result<Rehearsal>) -> Result<Rehearsal> {
    if n <= most {
        return rehearse(n);
    }
    let (half, whole) = (rehearse(most / 2)?, rehearse(most)?);
    let beyond = (n - most) as f64 / (most - most / 2) as f64;
    // Far beyond what there is, f64 as u64 ends at the largest.
    let line = |half: u64, whole: u64| (whole as f64 + whole.saturating_sub(half) as f64 * beyond) as u64;
    let (live, resident) = (line(half.live, whole.live), line(half.resident, whole.resident));
    Ok(Rehearsal { live, resident, ..whole })
}

fn rehearse(recipe: &AnyRecipe, device: &Device) -> Result<Rehearsal> {
    let (walked, Planned { live, resident }) = plan(|| match recipe {
        AnyRecipe::Gan(recipe) => {
            let mut gan = Gan::new(recipe, &Device::Cpu)?;
            gan.joins = matches!(device, Device::Gpu(_));
            let [c, h, w] = recipe.image_shape();
            for step in 0..2 {
                let real = Tensor::zeros(&Device::Cpu, [recipe.images_per_step(), c, h, w]);
                gan.step(&real, &gan.noise(step))?;
            }
            let at_a_time = GRID[0].min(recipe.train.batch.max(16));
            gan.sample(&Tensor::zeros(&Device::Cpu, [at_a_time, recipe.generator.latent]), Mode::Inference);
            Ok::<_, Error>((gan.state(), GRID[0], [c, h, w]))
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
            let columns = no_grad(|| method.show(&images(1), &images(1)).len());
            Ok((method.state(), columns * translation::SHOWN, [c, h, w]))
        }
        AnyRecipe::Classifier(recipe) => {
            let (state, [h, w]) = (classifier::rehearse(recipe, &Device::Cpu)?, recipe.data.size);
            Ok((state, Pattern::ALL.len() * classifier::SHOWN, [3, h, w]))
        }
        AnyRecipe::Stylize(_) => Err(recipe.cannot_train()),
        AnyRecipe::FeedForward(recipe) => {
            let (state, [h, w]) = (feed_forward::rehearse(recipe, &Device::Cpu)?, recipe.data.size);
            Ok((state, 3 * feed_forward::SHOWN, [3, h, w]))
        }
    });
    let (state, shown, [c, h, w]) = walked?;
    let shown = ((4 * c + 3) * h * w * shown) as u64;
    Ok(Rehearsal { live, resident, state: bytes(&state), shown })
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
        AnyRecipe::FeedForward(recipe) => {
            let FeedForwardRecipe { data, objective, train, .. } = recipe;
            let contents = data::open(data)?;
            // Images are kept once, but read ahead in two orders where styles come from the data, too.
            let loaders = if matches!(objective, Style::Adain(_)) { 2 } else { 1 };
            (vec![contents], data.cache_bytes, loaders * train.batch, 3 * data.size.iter().product::<usize>())
        }
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

/// Refuses a picture of `size`, height and width, for which more memory is needed than is free, where the system tells.
///
/// # Errors
/// Names the picture, both sizes and what to do.
pub(super) fn check_picture(path: &Path, [h, w]: [usize; 2], needed: u64, remedy: &str) -> Result<()> {
    match available_memory() {
        Some(free) if needed > free => {
            let [needed, free] = [needed, free].map(|bytes| thousands((bytes >> 20) as usize));
            Err(Error::file(path, format!("{w}x{h} pixels take about {needed} MiB, but {free} MiB are free: {remedy}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(batch: usize, accumulate: usize) -> AnyRecipe {
        AnyRecipe::load("seed", &[]).unwrap().with_batch(batch, accumulate)
    }

    #[test]
    fn beyond_what_is_gone_through_memory_follows_a_line() {
        for (batch, accumulate) in [(320, 1), (64, 8)] {
            let recipe = recipe(batch, accumulate);
            let (told, whole) = (estimate(&recipe, &Device::Cpu).unwrap(), rehearse(&recipe, &Device::Cpu).unwrap());
            let off = (told.tensors as f64 / whole.resident as f64 - 1.0).abs();
            assert!(off < 0.05, "{batch} images, {accumulate} parts: {} bytes, not {}", told.tensors, whole.resident);
        }
        assert!(estimate(&recipe(1 << 16, 1), &Device::Cpu).unwrap().tensors > 8 << 30);
    }
}

//! Measures which kernels are fastest on an adapter, for `toile bench --tune`.

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::gpu::tuning::{Choice, LEAST_TUNED, Tuned, Variant, variants};
use crate::ops::Conv2d;
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use std::time::Instant;

/// One question of the tuning: its candidates with the shortest seconds of each, the fastest first.
pub struct Trial {
    /// What was computed.
    pub problem: String,
    /// Candidates and seconds.
    pub candidates: Vec<(String, f64)>,
}

/// Rounds over all candidates; each is judged by its fastest.
const ROUNDS: usize = 5;

/// A candidate this much slower than the best after one round is not measured again.
const HOPELESS: f64 = 3.0;

/// What is built in is left for a candidate that takes at most this share of its time: less is within the noise, and one problem
/// stands for many.
const WORTH: f64 = 0.9;

/// Classes of products: at most so many rows and multiplications.
const ROWS: [Option<usize>; 3] = [Some(4), Some(16), None];
const WORK: [Option<usize>; 4] = [Some(1 << 20), Some(1 << 24), Some(1 << 28), None];

/// Images, channels in and out of the stride-2 4x4 convolution on 16x16 images that stands for a class. Rows are its
/// output channels.
fn problem(rows: Option<usize>, work: Option<usize>) -> [usize; 3] {
    let filters = match rows {
        Some(most) if most <= 4 => 3,
        Some(most) => most,
        None => 128,
    };
    // A product of the class's middle: about a quarter of its largest. With few rows a large one would have huge images.
    let large = if rows.is_some() { 1 << 27 } else { 1 << 29 };
    let wanted = work.map_or(large, |work| work / 4).max(LEAST_TUNED);
    let channels = if wanted < 1 << 22 { 8 } else { 64 };
    let images = wanted.div_ceil(filters * channels * 16 * 64).max(1);
    [images, channels, filters]
}

/// Times all candidates in turn, several rounds, and returns the best first; the choice, and the trials for people.
///
/// # Errors
/// What went wrong on the device.
pub fn tune(gpu: &Gpu, mut progress: impl FnMut(&Trial)) -> Result<Tuned> {
    let device = Device::Gpu(gpu.clone());
    let mut tuned = Tuned::default();
    gpu.use_tuning(None);
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
    for rows in ROWS {
        for work in WORK {
            let [images, channels, filters] = problem(rows, work);
            let random = |i, shape: [usize; 4]| {
                Tensor::new(&device, shape, &Stream::new(1, Domain::Test, i).normal_vec(shape.iter().product()))
            };
            // Forward, and by the input, whose results have as many rows.
            let (x, w) = (random(0, [images, channels, 16, 16]), random(1, [filters, channels, 4, 4]));
            let (dy, turned) = (random(2, [images, channels, 8, 8]), random(3, [channels, filters, 4, 4]));
            let all: Vec<Option<Variant>> = std::iter::once(None).chain(variants(gpu).into_iter().map(Some)).collect();
            let trial = fastest(&device, &all, |variant| {
                gpu.force_variant(*variant);
                x.conv2d(&w, conv).check()?;
                dy.conv_transpose2d(&turned, conv, [16, 16]).check()
            });
            gpu.force_variant(None);
            let trial = trial?;
            let problem = format!("{filters} rows, {} multiplications", images * channels * filters * 16 * 64);
            let name = |variant: &Option<Variant>| variant.map_or("built in".into(), |variant| variant.to_string());
            progress(&Trial { problem, candidates: named(&trial, name) });
            tuned.product.push(Choice { rows, work, variant: worth(&trial) });
        }
    }
    let n = 1 << 22;
    let x = Tensor::full(&device, [n], 0.5);
    let all = [None, Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), Some(64)];
    let trial = fastest(&device, &all, |quads| {
        gpu.use_tuning(Some(Tuned { quads: *quads, product: Vec::new() }));
        x.leaky_relu(0.2).check()
    })?;
    progress(&Trial {
        problem: format!("elementwise, {n}"),
        candidates: named(&trial, |quads| quads.map_or("built in".into(), |quads| format!("{quads} vec4s"))),
    });
    tuned.quads = worth(&trial);
    gpu.use_tuning(Some(tuned.clone()));
    Ok(tuned)
}

fn named<T>(trial: &[(T, f64)], name: impl Fn(&T) -> String) -> Vec<(String, f64)> {
    trial.iter().map(|(candidate, seconds)| (name(candidate), *seconds)).collect()
}

/// The fastest, or none where what is built in takes hardly longer.
fn worth<T: Copy>(trial: &[(Option<T>, f64)]) -> Option<T> {
    let built_in =
        trial.iter().find(|(candidate, _)| candidate.is_none()).map_or(f64::INFINITY, |(_, seconds)| *seconds);
    trial.first().filter(|(_, seconds)| *seconds <= WORTH * built_in).and_then(|(candidate, _)| *candidate)
}

/// Candidates with their shortest time. They take turns, so that a busy moment hits all alike.
fn fastest<T: Copy>(device: &Device, all: &[T], mut run: impl FnMut(&T) -> Result<()>) -> Result<Vec<(T, f64)>> {
    let mut best: Vec<(T, f64)> = all.iter().map(|candidate| (*candidate, f64::INFINITY)).collect();
    for round in 0..=ROUNDS {
        let leader = best.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
        for (candidate, seconds) in &mut best {
            if round > 1 && *seconds > HOPELESS * leader {
                continue;
            }
            let start = Instant::now();
            run(candidate)?;
            device.wait()?;
            // The first round compiles.
            if round > 0 {
                *seconds = seconds.min(start.elapsed().as_secs_f64());
            }
        }
    }
    best.sort_by(|a, b| a.1.total_cmp(&b.1));
    if best.is_empty() { Err(Error::Gpu("there is nothing to choose from".into())) } else { Ok(best) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_stays_unless_something_is_clearly_faster() {
        assert_eq!(worth(&[(Some(1), 0.8), (None, 1.0), (Some(2), 2.0)]), Some(1));
        assert_eq!(worth(&[(Some(1), 0.95), (None, 1.0)]), None);
        assert_eq!(worth(&[(None, 1.0), (Some(1), 1.1)]), None);
    }
}

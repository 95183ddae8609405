//! Projection: the latent vector whose image comes nearest to a picture.

use super::latent::TrainedGenerator;
use crate::autograd::grad;
use crate::error::Result;
use crate::nn::Parameter;
use crate::ops::Pool2d;
use crate::optim::{Adam, AdamConfig, AdamConvention};
use crate::rng::{Domain, Stream};
use crate::tensor::{Tensor, no_grad};

/// Drawn vectors of which the best ones become beginnings, for each beginning.
const DRAWN: usize = 32;
/// Pictures are compared at full size and halved again and again, as long as their shorter side has so many pixels.
const SMALLEST: usize = 6;

/// How a picture is projected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projecting {
    /// Beginnings, from 1; all are improved side by side, and the best end is taken.
    pub restarts: usize,
    /// Steps of Adam.
    pub steps: usize,
    /// Adam's learning rate at the first step; it falls to 0 along half a cosine.
    pub lr: f64,
    /// Weight of the penalty on vectors that are longer or shorter than drawn ones.
    pub prior: f64,
    /// Of the beginnings.
    pub seed: u64,
}

impl Default for Projecting {
    fn default() -> Projecting {
        Projecting { restarts: 8, steps: 400, lr: 0.1, prior: 0.02, seed: 0 }
    }
}

/// A projected picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// The latent vector.
    pub z: Vec<f32>,
    /// Its image, [C, H, W] in [−1, 1].
    pub image: Vec<f32>,
    /// Mean absolute difference of image and picture, of 255.
    pub distance: f64,
    /// The same of the best vector that was only drawn.
    pub drawn: f64,
}

/// Finds the latent vector for `picture`, [C, H, W] in [−1, 1], by minimising
///
///   L(z) = mean over scales s of mean (P_s G(z) − P_s x)² + prior · (‖z‖²/d − 1)²
///
/// where P_s halves s times by averaging 2x2 pixels: coarse scales lead where fine ones have no slope. `progress` hears the steps
/// done and the least distance, of 255, now and then.
///
/// # Errors
/// What went wrong on the device.
///
/// # Panics
/// If the picture is not of the generator's shape.
pub fn project(
    generator: &TrainedGenerator,
    picture: &[f32],
    options: &Projecting,
    progress: &mut dyn FnMut(usize, f64),
) -> Result<Projection> {
    let [c, h, w] = generator.recipe().image_shape();
    assert_eq!(picture.len(), c * h * w, "project: {} values are not [{c}, {h}, {w}]", picture.len());
    let (device, latent, restarts) = (generator.device(), generator.latent(), options.restarts.max(1));
    let target = Tensor::new(device, [1, c, h, w], picture);

    // Beginnings: the nearest of many.
    let draw = |i: u64| Stream::new(options.seed, Domain::Walk, i).normal_vec(latent);
    let mut drawn: Vec<(f64, f64, Vec<f32>)> = Vec::new();
    for first in 0..restarts as u64 {
        let many: Vec<f32> = (0..DRAWN as u64).flat_map(|i| draw(first * DRAWN as u64 + i)).collect();
        let (losses, distances) = no_grad(|| {
            let image = generator.forward(&Tensor::new(device, [DRAWN, latent], &many)) - &target;
            (pyramid(&image).to_vec_f64(), distances(&image))
        });
        let of_each = losses?.into_iter().zip(distances?).zip(many.chunks(latent));
        drawn.extend(of_each.map(|((loss, distance), z)| (loss, distance, z.to_vec())));
    }
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = drawn.iter().map(|of| of.1).fold(f64::INFINITY, f64::min);
    progress(0, nearest);

    let begin: Vec<f32> = drawn[..restarts].iter().flat_map(|(_, _, z)| z.iter().copied()).collect();
    let place = Parameter::new(Tensor::new(device, [restarts, latent], &begin));
    let config = AdamConfig { lr: options.lr, betas: [0.9, 0.999], eps: 1e-8, convention: AdamConvention::Torch };
    let mut adam = Adam::new(config, vec![("z".into(), place.clone())]);
    let every = (options.steps / 20).max(1);
    for step in 0..options.steps {
        let turn = step as f64 / options.steps as f64 * std::f64::consts::PI;
        adam.set_lr(options.lr * 0.5 * (1.0 + turn.cos()));
        let dz = {
            let z = place.get();
            let difference = generator.forward(&z) - &target;
            let long = z.square().mean_axes(&[1]).affine(1.0, -1.0).square() * options.prior; // [R]
            // Beginnings have nothing to do with each other: the gradient of the sum is each one's own.
            let [dz] = grad(&(pyramid(&difference) + long).sum(), [&z]);
            if (step + 1) % every == 0 {
                progress(step + 1, distances(&difference.detach())?.into_iter().fold(f64::INFINITY, f64::min));
            }
            dz
        };
        adam.step(&[dz])?;
    }

    let ends = place.get();
    let images = no_grad(|| generator.forward(&ends));
    let distances = no_grad(|| distances(&(&images - &target)))?;
    let best = (0..restarts).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap_or(0);
    Ok(Projection {
        z: ends.to_vec()?[best * latent..][..latent].to_vec(),
        image: images.to_vec()?[best * picture.len()..][..picture.len()].to_vec(),
        distance: distances[best],
        drawn: nearest,
    })
}

/// Mean over scales of the mean square of each image's difference: [R, C, H, W] to `[R]`.
fn pyramid(difference: &Tensor) -> Tensor {
    let mut now = difference.clone();
    let mut sum = now.square().mean_axes(&[1, 2, 3]);
    let mut scales = 1.0;
    while now.dim(2).min(now.dim(3)) / 2 >= SMALLEST {
        now = now.avg_pool2d(Pool2d::new(2), false);
        sum = sum + now.square().mean_axes(&[1, 2, 3]);
        scales += 1.0;
    }
    sum * (1.0 / scales)
}

/// Mean absolute difference of each image, of 255.
fn distances(difference: &Tensor) -> Result<Vec<f64>> {
    Ok(difference.abs().mean_axes(&[1, 2, 3]).to_vec_f64()?.into_iter().map(|d| d * 127.5).collect())
}

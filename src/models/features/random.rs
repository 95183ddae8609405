//! Random filters at several scales: features without any training (Ustyuzhaninov et al. 2016 show that such suffice for textures).

use crate::ops::{Activation, Conv2d, PadMode, Pool2d};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};

/// Scales: full size, a half, a quarter, an eighth.
const SCALES: usize = 4;
const FILTERS: usize = 48;
const KERNEL: usize = 7;

/// At each scale, one convolution 7 with random weights, and ReLU.
pub(super) struct RandomScales {
    weights: Vec<Tensor>,
    bias: Tensor,
}

impl RandomScales {
    /// Filters from N(0, 1), each less its mean over each channel's places for two thirds of them (so that they see patterns, not
    /// colours), divided by its norm.
    pub fn new(seed: u64, device: &Device) -> RandomScales {
        let area = KERNEL * KERNEL;
        let weight = |scale: usize| {
            let mut values = Stream::new(seed, Domain::Init, (1 << 48) + scale as u64).normal_vec(FILTERS * 3 * area);
            for (i, filter) in values.chunks_exact_mut(3 * area).enumerate() {
                if i % 3 > 0 {
                    for plane in filter.chunks_exact_mut(area) {
                        let mean = plane.iter().sum::<f32>() / area as f32;
                        plane.iter_mut().for_each(|w| *w -= mean);
                    }
                }
                let norm = filter.iter().map(|w| w * w).sum::<f32>().sqrt();
                filter.iter_mut().for_each(|w| *w /= norm);
            }
            Tensor::new(device, [FILTERS, 3, KERNEL, KERNEL], &values)
        };
        RandomScales { weights: (0..SCALES).map(weight).collect(), bias: Tensor::zeros(device, [FILTERS]) }
    }

    pub fn names(&self) -> Vec<String> {
        (1..=SCALES).map(|scale| format!("scale{scale}")).collect()
    }

    pub fn features(&self, x: &Tensor, names: &[String]) -> Vec<Tensor> {
        let (mut x, mut found) = (x.clone(), Vec::new());
        for (i, (name, weight)) in self.names().iter().zip(&self.weights).enumerate() {
            if found.len() == names.len() {
                break;
            }
            if i > 0 {
                x = x.avg_pool2d(Pool2d::new(2), false);
            }
            if names.contains(name) {
                // As far as a small image can be mirrored; zeros beyond.
                let around = (KERNEL / 2).min(x.dim(2).min(x.dim(3)) - 1);
                let mirrored = x.pad_mode(&[0, 0, around, around], &[0, 0, around, around], PadMode::Reflect);
                let rest = KERNEL / 2 - around;
                let (conv, relu) =
                    (Conv2d { padding: [rest; 4], ..Conv2d::default() }, Activation::LeakyRelu { slope: 0.0 });
                found.push(mirrored.conv2d_activated(weight, Some(&self.bias), conv, relu));
            }
        }
        found
    }
}

//! The WGAN-GP workload: the residual critic for CIFAR and its step, whose penalty is a gradient that is differentiated.

use crate::autograd::grad_consuming;
use crate::error::Result;
use crate::nn::init::Initializer;
use crate::nn::{Conv2dLayer, ConvPadding, Init, Linear, Mode, Module, Parameter};
use crate::ops::Pool2d;
use crate::optim::{Adam, AdamConfig, AdamConvention};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};
use crate::train::loss;

/// The CIFAR critic of WGAN-GP (Gulrajani et al. 2017, appendix F): a block that halves the image, one more, two plain
/// ones, mean over the places, dense to one score; no normalisation.
pub(super) struct ResNetCritic {
    convs: Vec<(String, Conv2dLayer)>,
    dense: Linear,
}

impl ResNetCritic {
    pub(super) fn new(device: &Device, width: usize) -> ResNetCritic {
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

const ADAM: AdamConfig = AdamConfig { lr: 2e-4, betas: [0.0, 0.9], eps: 1e-8, convention: AdamConvention::Torch };

/// E[D(x̃)] − E[D(x)] + 10·E[(‖∂D/∂x̂‖ − 1)²] on straight lines between real and fake, and Adam (Gulrajani et al. 2017). A call
/// is a step and gives the loss.
pub(super) fn critic_step(critic: ResNetCritic, real: Tensor, fake: Tensor) -> impl FnMut() -> Result<f64> {
    let mut optimizer = Adam::new(ADAM, critic.parameters());
    let n = real.dim(0);
    let alpha = Tensor::new(real.device(), [n], &Stream::new(1, Domain::Test, 2).uniform_vec(n, 0.0, 1.0));
    let between = no_grad(|| loss::between(&real, &fake, &alpha)); // [N, 3, H, W]
    move || {
        let weights: Vec<Tensor> = critic.parameters().iter().map(|(_, p)| p.get()).collect();
        let score = |x: &Tensor| critic.forward(x, Mode::Train);
        let penalty = {
            let x = between.detach();
            let norms = loss::slope_norms(&loss::slope(&score(&x), &x), 0.0);
            loss::gradient_penalty(&norms, 10.0, 1.0)
        };
        let loss = score(&fake).mean() - score(&real).mean() + penalty;
        let value = loss.detach();
        let gradients = grad_consuming(loss, &weights.iter().collect::<Vec<_>>());
        drop(weights);
        optimizer.step(&gradients)?;
        value.item()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch 2.15 gives 9.76055 and 9.51736 for the critic of benches/peers.py with these weights, images and places.
    #[test]
    fn the_step_is_the_one_that_peers_are_timed_with() {
        let critic = ResNetCritic::new(&Device::Cpu, 128);
        let images = |i: u64| {
            let values = Stream::new(1, Domain::Test, i).uniform_vec(16 * 3 * 32 * 32, -1.0, 1.0);
            Tensor::new(&Device::Cpu, [16, 3, 32, 32], &values)
        };
        let mut step = critic_step(critic, images(0), images(1));
        for expected in [9.76055, 9.51736] {
            let loss = step().unwrap();
            assert!((loss - expected).abs() < 2e-4, "{loss}, not {expected}");
        }
    }
}

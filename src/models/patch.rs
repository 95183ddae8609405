//! The patch discriminator of pix2pix, CycleGAN and CUT (Isola et al. 2017): one logit for each patch of 70x70 pixels.

use super::resnet::Down;
use crate::nn::init::Initializer;
use crate::nn::{
    BatchNorm, Blur, Conv2dLayer, ConvPadding::Zeros, Convention::Torch, InstanceNorm, LeakyRelu, Sequential,
};
use serde::{Deserialize, Serialize};

/// How a network normalises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Each plane for itself, no parameters (CycleGAN, CUT).
    #[default]
    Instance,
    /// Over the batch, with gamma and beta; the convolutions before have no bias (pix2pix).
    Batch,
}

/// The discriminator's sizes. As published: 64 filters, 3 layers of stride 2, which see 70x70 pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchSpec {
    /// Filters of the first layer.
    #[serde(default = "sixty_four")]
    pub ndf: usize,
    /// Layers of stride 2: 1 sees 16x16 pixels, 2 see 34x34, 3 see 70x70.
    #[serde(default = "three")]
    pub layers: usize,
    /// How it normalises.
    #[serde(default)]
    pub norm: Norm,
    /// How it gets to half the size.
    #[serde(default)]
    pub down: Down,
}

fn sixty_four() -> usize {
    64
}

fn three() -> usize {
    3
}

impl PatchSpec {
    /// Images [N, channels, H, W] to logits [N, 1, H', W']: with 3 layers H' = ⌊⌊⌊H/2⌋/2⌋/2⌋ − 2. As published
    /// 2,764,737 parameters (3 channels, instance norm) or 2,768,705 (6 channels, batch norm).
    ///
    /// Convolutions 4 with widths ndf, 2·ndf, 4·ndf, 8·ndf (no wider) and 1, the last two of stride 1; normalisation on all
    /// but the first and last; LeakyReLU 0.2 on all but the last.
    pub fn build(&self, channels: usize, init: &mut Initializer) -> Sequential {
        let mut network = Sequential::new();
        let mut from = channels;
        for i in 0..=self.layers {
            let (to, halves) = (self.ndf << i.min(3), i < self.layers);
            let stride = if halves && self.down == Down::Stride { 2 } else { 1 };
            let bias = i == 0 || self.norm == Norm::Instance;
            network.push(format!("conv{}", i + 1), Conv2dLayer::new(init, from, to, 4, stride, Zeros(1), bias));
            match self.norm {
                _ if i == 0 => (),
                Norm::Instance => network.push(format!("norm{}", i + 1), InstanceNorm { eps: 1e-5 }),
                Norm::Batch => network.push(format!("norm{}", i + 1), BatchNorm::new(init, to, 0.1, 1e-5, Torch)),
            }
            network.push(format!("relu{}", i + 1), LeakyRelu { slope: 0.2 });
            if halves && self.down == Down::Blur {
                network.push(format!("blur{}", i + 1), Blur);
            }
            from = to;
        }
        network.push(format!("conv{}", self.layers + 2), Conv2dLayer::new(init, from, 1, 4, 1, Zeros(1), true));
        network
    }

    /// Height and width of the logits for images of this height and width; `None` if they are too small.
    pub fn output_size(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let side = |len: usize| {
            // Stride 1 with kernel 4 and one zero a side loses a pixel; the blur keeps every second of what is left.
            let halved = (0..self.layers).try_fold(len, |len, _| match self.down {
                Down::Stride => Some(len / 2).filter(|&len| len > 0),
                Down::Blur => len.checked_sub(1).filter(|&len| len > 1).map(|len| len.div_ceil(2)),
            });
            halved?.checked_sub(2).filter(|&len| len > 0)
        };
        Some([side(size[0])?, side(size[1])?])
    }
}

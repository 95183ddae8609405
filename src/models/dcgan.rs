//! DCGAN (Radford et al. 2016) as PyTorch's example has it: transposed convolutions up from 1x1, convolutions down to it.
//!
//! Widths are a parameter; the published networks for 64x64 are [`WIDTHS`] and the same from narrow to wide.

use super::layers::LayerSpec::{self, *};
use crate::nn::ConvPadding::{Valid, Zeros};
use crate::nn::Convention::Torch;

/// The length of the latent vector.
pub const LATENT: usize = 100;
/// Channels of the published generator behind each layer but the last, at 4, 8, 16 and 32 pixels.
pub const WIDTHS: [usize; 4] = [512, 256, 128, 64];

fn batch_norm() -> LayerSpec {
    BatchNorm { momentum: 0.1, eps: 1e-5, convention: Torch }
}

/// `[latent] -> [channels, S, S]` in (−1, 1) with S = 4·2^(number of widths); 3,576,704 parameters as published (latent
/// 100, [`WIDTHS`], 3 channels: [3, 64, 64]).
pub fn generator(latent: usize, widths: &[usize], channels: usize) -> Vec<LayerSpec> {
    let conv = |filters, stride, padding| ConvTranspose2d {
        filters,
        kernel: 4,
        stride,
        padding,
        output_padding: 0,
        bias: false,
    };
    let mut layers = vec![Reshape { shape: vec![latent, 1, 1] }];
    for (i, &filters) in widths.iter().enumerate() {
        // The first one opens 1x1 to 4x4, the others double.
        layers.push(if i == 0 { conv(filters, 1, Valid) } else { conv(filters, 2, Zeros(1)) });
        layers.extend([batch_norm(), Relu]);
    }
    layers.extend([conv(channels, 2, Zeros(1)), Tanh]);
    layers
}

/// `[channels, S, S] -> [1]`, a logit, with S = 4·2^(number of widths); 2,765,568 parameters as published (widths 64,
/// 128, 256, 512). The published network ends in a sigmoid and takes the binary cross-entropy of its probability, which
/// is that of the logit.
pub fn discriminator(widths: &[usize]) -> Vec<LayerSpec> {
    let conv =
        |filters, stride, padding| Conv2d { filters, kernel: 4, stride, padding, bias: false, spectral_norm: false };
    let mut layers = Vec::new();
    for (i, &filters) in widths.iter().enumerate() {
        layers.push(conv(filters, 2, Zeros(1)));
        layers.extend((i > 0).then(batch_norm));
        layers.push(LeakyRelu { slope: 0.2 });
    }
    layers.extend([conv(1, 1, Valid), Flatten]);
    layers
}

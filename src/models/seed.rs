//! The seed model: a small generator and discriminator for 28x28 colour images, in Keras's conventions.
//!
//! As it was first written down (Dense(128), Reshape(4, 4, 3)) it cannot run: 128 values do not fill 4x4x3, and strides
//! 1, 2, 2 lead from 4x4 to 16x16, not to the discriminator's 28x28. Two numbers are changed here: Dense(147) and
//! Reshape(7, 7, 3), so that 7x7 becomes 14x14 and 28x28. Everything else is as it was.

use super::layers::LayerSpec::{self, *};
use crate::nn::{ConvPadding::Same, Convention::Keras};

/// The length of the latent vector.
pub const LATENT: usize = 100;
/// The images: channels, height, width.
pub const IMAGE: [usize; 3] = [3, 28, 28];

fn batch_norm() -> LayerSpec {
    BatchNorm { momentum: 0.8, eps: 1e-3, convention: Keras }
}

fn leaky_relu() -> LayerSpec {
    LeakyRelu { slope: 0.2 }
}

fn conv_transpose(filters: usize, stride: usize) -> LayerSpec {
    ConvTranspose2d { filters, kernel: 4, stride, padding: Same, output_padding: 0, bias: true }
}

/// `[100] -> [3, 28, 28]` in (−1, 1); 52,808 trainable parameters.
pub fn generator() -> Vec<LayerSpec> {
    vec![
        Dense { units: 147, bias: true, spectral_norm: false },
        leaky_relu(),
        batch_norm(),
        Reshape { shape: vec![3, 7, 7] },
        conv_transpose(64, 1), // [64, 7, 7]
        leaky_relu(),
        batch_norm(),
        conv_transpose(32, 2), // [32, 14, 14]
        leaky_relu(),
        batch_norm(),
        conv_transpose(3, 2), // [3, 28, 28]
        Tanh,
    ]
}

/// `[3, 28, 28] -> [1]`, the probability of being real; 140,609 parameters.
pub fn discriminator() -> Vec<LayerSpec> {
    let conv = |filters| Conv2d { filters, kernel: 4, stride: 2, padding: Same, bias: true, spectral_norm: false };
    vec![
        conv(64), // [64, 14, 14]
        leaky_relu(),
        conv(128), // [128, 7, 7]
        leaky_relu(),
        Flatten,
        Dense { units: 1, bias: true, spectral_norm: false },
        Sigmoid,
    ]
}

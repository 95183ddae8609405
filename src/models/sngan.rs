//! The residual discriminator of SNGAN (Miyato et al. 2018, table 4) for images of 32 pixels, as WGAN-GP's critic has it, too.

use super::layers::LayerSpec::{self, *};

/// Channels of the published network.
pub const WIDTH: usize = 128;

/// `[channels, S, S] -> [1]`, a logit: `halvings` residual blocks that halve the size, two that keep it, the sum over what is left,
/// one dense layer. As published 1,053,825 parameters (3 channels, [`WIDTH`], 2 halvings: [3, 32, 32]). With `spectral_norm` every
/// weight is divided by its spectral norm, as published; WGAN-GP leaves that out and takes the gradient penalty in its place.
pub fn discriminator(width: usize, halvings: usize, spectral_norm: bool) -> Vec<LayerSpec> {
    let block = |i: usize| Residual { filters: width, down: i < halvings, first: i == 0, spectral_norm };
    let mut layers: Vec<LayerSpec> = (0..halvings + 2).map(block).collect();
    layers.extend([Relu, GlobalSumPool, Dense { units: 1, bias: true, spectral_norm }]);
    layers
}

//! AdaIN's decoder: from an encoder's layer back to images (Huang and Belongie 2017), for encoders of any depth.

use crate::nn::init::Initializer;
use crate::nn::{Conv2dLayer, ConvPadding::Zeros, ReflectPad, Relu, Sequential, Upsample, Upsampling};

/// What the decoder undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderSpec {
    /// Channels of the encoder's layer.
    pub channels: usize,
    /// How often the encoder has halved the image.
    pub halvings: usize,
}

/// Layers do not get narrower.
const NARROWEST: usize = 16;

impl DecoderSpec {
    /// Features [N, channels, H, W] to images [N, 3, H·2^halvings, W·2^halvings].
    ///
    /// For each halving a convolution 3 to half the channels (16 at least), nearest neighbours to the double size, and convolutions 3 that
    /// keep the channels, three the first time and then one; a convolution 3 to the image. Borders mirrored; ReLU behind
    /// all but the last; no normalisation. For VGG-19's relu4_1, 512 channels and 3 halvings, these are the published 3,505,219 parameters.
    pub fn build(&self, init: &mut Initializer) -> Sequential {
        let mut network = Sequential::new();
        let (mut channels, mut number) = (self.channels, 0);
        let mut conv = |network: &mut Sequential, from: usize, to: usize, relu: bool| {
            number += 1;
            network.push(format!("pad{number}"), ReflectPad { size: 1 });
            network.push(format!("conv{number}"), Conv2dLayer::new(init, from, to, 3, 1, Zeros(0), true));
            if relu {
                network.push(format!("relu{number}"), Relu);
            }
        };
        for halving in 0..self.halvings {
            let half = (channels / 2).max(NARROWEST);
            conv(&mut network, channels, half, true);
            network.push(format!("up{}", halving + 1), Upsample { kind: Upsampling::Nearest });
            for _ in 0..if halving == 0 { 3 } else { 1 } {
                conv(&mut network, half, half, true);
            }
            channels = half;
        }
        conv(&mut network, channels, 3, false);
        network
    }
}

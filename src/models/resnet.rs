//! The ResNet translator of CycleGAN and CUT (Johnson et al. 2016; Zhu et al. 2017): down, residual blocks, up.

use crate::nn::init::Initializer;
use crate::nn::{
    Blur, Conv2dLayer, ConvPadding::Zeros, ConvTranspose2dLayer, InstanceNorm, ReflectPad, Relu, Residual, Sequential,
    Tanh, Upsample, Upsampling,
};
use serde::{Deserialize, Serialize};

/// What instance normalisation adds to the variance.
const EPS: f64 = 1e-5;

/// How a network gets to half the size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// A convolution of stride 2 (CycleGAN).
    #[default]
    Stride,
    /// A convolution of stride 1, then a blur with every second pixel kept (CUT; Zhang 2019).
    Blur,
}

/// How a network gets to twice the size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// A transposed convolution of stride 2 (CycleGAN).
    #[default]
    Transposed,
    /// Bilinear, then a convolution (CUT's anti-aliased one).
    Bilinear,
    /// Nearest neighbour, then a convolution: no checkerboard (Odena et al. 2016).
    Nearest,
}

/// The translator's sizes. As published: 64 filters, 9 blocks (6 for images of 128 pixels).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResnetSpec {
    /// Filters of the first layer.
    #[serde(default = "sixty_four")]
    pub ngf: usize,
    /// Residual blocks.
    #[serde(default = "nine")]
    pub blocks: usize,
    /// How it gets to a quarter of the size.
    #[serde(default)]
    pub down: Down,
    /// How it gets back.
    #[serde(default)]
    pub up: Up,
}

fn sixty_four() -> usize {
    64
}

fn nine() -> usize {
    9
}

impl ResnetSpec {
    /// Images of `channels[0]` to images of `channels[1]` channels in (−1, 1), same size: H and W multiples of 4, at
    /// least 8. 11,378,179 parameters as published.
    ///
    /// Reflect-pad 3, convolution 7; two convolutions 3 to a quarter of the size; blocks of twice reflect-pad 1,
    /// convolution 3, with an identity skip; two convolutions 3 up; reflect-pad 3, convolution 7, tanh. Instance
    /// normalisation without parameters after every convolution but the last; ReLU after those but the blocks' second.
    pub fn build(&self, channels: [usize; 2], init: &mut Initializer) -> Sequential {
        let mut network = Sequential::new();
        let normalised = |network: &mut Sequential, name: &str| {
            network.push(format!("{name}_norm"), InstanceNorm { eps: EPS });
            network.push(format!("{name}_relu"), Relu);
        };
        let conv = |init: &mut Initializer, from, to, kernel, stride, padding| {
            Conv2dLayer::new(init, from, to, kernel, stride, Zeros(padding), true)
        };

        network.push("stem_pad", ReflectPad { size: 3 });
        network.push("stem", conv(init, channels[0], self.ngf, 7, 1, 0)); // [N, ngf, H, W]
        normalised(&mut network, "stem");
        for i in 1..=2 {
            let (from, name) = (self.ngf << (i - 1), format!("down{i}"));
            let stride = if self.down == Down::Stride { 2 } else { 1 };
            network.push(&*name, conv(init, from, 2 * from, 3, stride, 1));
            normalised(&mut network, &name);
            if self.down == Down::Blur {
                network.push(format!("{name}_blur"), Blur);
            }
        }
        let wide = 4 * self.ngf;
        for i in 0..self.blocks {
            network.push(format!("block{i}"), block(wide, init)); // [N, 4·ngf, H/4, W/4]
        }
        for i in 1..=2 {
            let (from, name) = (wide >> (i - 1), format!("up{i}"));
            let kind = match self.up {
                Up::Transposed => None,
                Up::Bilinear => Some(Upsampling::Bilinear),
                Up::Nearest => Some(Upsampling::Nearest),
            };
            if let Some(kind) = kind {
                network.push(format!("{name}_size"), Upsample { kind });
                network.push(&*name, conv(init, from, from / 2, 3, 1, 1));
            } else {
                let layer = ConvTranspose2dLayer::new(init, from, from / 2, 3, 2, Zeros(1), true);
                network.push(&*name, layer.with_output_padding(1));
            }
            normalised(&mut network, &name);
        }
        network.push("head_pad", ReflectPad { size: 3 });
        network.push("head", conv(init, self.ngf, channels[1], 7, 1, 0));
        network.push("tanh", Tanh);
        network
    }

    /// The layers whose results CUT compares: the padded image, both convolutions down, the first and the fifth block
    /// (the last, where there are fewer). In the published network they are numbers 0, 4, 8, 12 and 16.
    pub fn feature_layers(&self) -> Vec<String> {
        let mut names = vec!["stem_pad".to_string(), "down1".into(), "down2".into()];
        names.extend((self.blocks > 0).then(|| "block0".to_string()));
        names.extend((self.blocks > 1).then(|| format!("block{}", 4.min(self.blocks - 1))));
        names
    }
}

/// x + norm(conv(relu(norm(conv(x))))), both convolutions 3 behind a mirrored border.
fn block(channels: usize, init: &mut Initializer) -> Residual {
    let mut inside = Sequential::new();
    for i in 1..=2 {
        inside.push(format!("pad{i}"), ReflectPad { size: 1 });
        inside.push(format!("conv{i}"), Conv2dLayer::new(init, channels, channels, 3, 1, Zeros(0), true));
        inside.push(format!("norm{i}"), InstanceNorm { eps: EPS });
        if i == 1 {
            inside.push("relu", Relu);
        }
    }
    Residual(inside)
}

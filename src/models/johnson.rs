//! Johnson's transform network: images to images of one style, in one pass (Johnson et al. 2016, with instance normalisation).

use crate::nn::init::Initializer;
use crate::nn::{
    AffineInstanceNorm, Conv2dLayer, ConvPadding::Zeros, ReflectPad, Relu, Residual, Sequential, Upsample, Upsampling,
};
use serde::{Deserialize, Serialize};

/// The network's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JohnsonSpec {
    /// Filters of the first layer; 32 as published.
    #[serde(default = "thirty_two")]
    pub width: usize,
    /// Residual blocks; 5 as published.
    #[serde(default = "five")]
    pub blocks: usize,
}

fn thirty_two() -> usize {
    32
}

fn five() -> usize {
    5
}

impl Default for JohnsonSpec {
    fn default() -> JohnsonSpec {
        JohnsonSpec { width: thirty_two(), blocks: five() }
    }
}

impl JohnsonSpec {
    /// Images [N, 3, H, W] to images of the same size, H and W multiples of 4, at least 8. 1,679,235 parameters as published.
    ///
    /// Convolution 9; two convolutions 3 of stride 2, each to twice the filters; residual blocks of twice a convolution 3; twice nearest
    /// neighbours to the double size and a convolution 3 to half the filters; convolution 9, without an activation. All borders are
    /// mirrored; instance normalisation with gamma and beta behind every convolution but the last, ReLU behind those but
    /// the blocks' second.
    pub fn build(&self, init: &mut Initializer) -> Sequential {
        let mut network = Sequential::new();
        let conv = |network: &mut Sequential, init: &mut Initializer, name: &str, sizes: [usize; 3], stride: usize| {
            let [from, to, kernel] = sizes;
            network.push(format!("{name}_pad"), ReflectPad { size: kernel / 2 });
            network.push(name, Conv2dLayer::new(init, from, to, kernel, stride, Zeros(0), true));
        };
        let normalised = |network: &mut Sequential, init: &mut Initializer, name: &str, channels: usize| {
            network.push(format!("{name}_norm"), AffineInstanceNorm::new(init, channels, 1e-5));
            network.push(format!("{name}_relu"), Relu);
        };
        let w = self.width;
        for (name, from, to, kernel, stride) in
            [("stem", 3, w, 9, 1), ("down1", w, 2 * w, 3, 2), ("down2", 2 * w, 4 * w, 3, 2)]
        {
            conv(&mut network, init, name, [from, to, kernel], stride);
            normalised(&mut network, init, name, to);
        }
        for i in 0..self.blocks {
            let mut inside = Sequential::new();
            conv(&mut inside, init, "conv1", [4 * w, 4 * w, 3], 1);
            normalised(&mut inside, init, "conv1", 4 * w);
            conv(&mut inside, init, "conv2", [4 * w, 4 * w, 3], 1);
            inside.push("conv2_norm", AffineInstanceNorm::new(init, 4 * w, 1e-5));
            network.push(format!("block{i}"), Residual(inside));
        }
        for (name, from, to) in [("up1", 4 * w, 2 * w), ("up2", 2 * w, w)] {
            network.push(format!("{name}_size"), Upsample { kind: Upsampling::Nearest });
            conv(&mut network, init, name, [from, to, 3], 1);
            normalised(&mut network, init, name, to);
        }
        conv(&mut network, init, "head", [w, 3, 9], 1);
        network
    }
}

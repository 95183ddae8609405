//! The networks of `stylize`: one that repaints a picture by a style's cloth, and one that judges patches of it.

use crate::nn::init::Initializer;
use crate::nn::{
    Conv2dLayer, ConvPadding::Zeros, Init, LeakyRelu, Mode, Module, Parameter, Residual, Sequential, Upsample,
    Upsampling, prefixed,
};
use crate::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// The slope of every leaky ReLU.
const SLOPE: f64 = 0.2;

/// The repainting network's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StylistSpec {
    /// Filters at full size; twice as many at half size.
    pub width: usize,
    /// Residual blocks at half size.
    pub blocks: usize,
}

/// Repaints a picture x by a cloth z of the same size: gates a and offsets b, of which the result is
/// x + strength·(a·(z − x) + b).
///
/// Fully convolutional and without normalisation, so that what it does at a place depends on that place's surroundings
/// alone. Its last layer starts at 0: the untrained network leaves the picture as it is, or, its gates opened
/// ([`Stylist::open_gates`]), lays the cloth over it.
pub struct Stylist {
    /// Of the picture alone; what is compared to keep content is taken from here.
    content: Sequential,
    cloth: Sequential,
    blocks: Sequential,
    up: Sequential,
    head: Sequential,
}

/// The layers of [`Stylist::content`] that describe places of a picture, full size and half.
const FEATURES: [&str; 2] = ["relu1", "relu2"];

impl StylistSpec {
    /// The network with fresh weights under `seed`.
    pub fn build(&self, device: &Device, seed: u64) -> Stylist {
        let (w, init) = (self.width, &mut Initializer::new(device, Init::GlorotUniform, seed, 0));
        let conv = |init: &mut Initializer, from, to, kernel, stride| {
            Conv2dLayer::new(init, from, to, kernel, stride, Zeros((kernel - 1) / 2), true)
        };
        let half = |init: &mut Initializer| {
            let mut network = Sequential::new();
            network.push("conv1", conv(init, 3, w, 3, 1)); // [N, w, H, W]
            network.push("relu1", LeakyRelu { slope: SLOPE });
            network.push("conv2", conv(init, w, 2 * w, 4, 2)); // [N, 2w, H/2, W/2]
            network.push("relu2", LeakyRelu { slope: SLOPE });
            network
        };
        let (content, cloth) = (half(init), half(init));
        let mut blocks = Sequential::new();
        blocks.push("join", conv(init, 4 * w, 2 * w, 1, 1));
        blocks.push("join_relu", LeakyRelu { slope: SLOPE });
        for i in 0..self.blocks {
            let mut inside = Sequential::new();
            inside.push("conv1", conv(init, 2 * w, 2 * w, 3, 1));
            inside.push("relu1", LeakyRelu { slope: SLOPE });
            inside.push("conv2", conv(init, 2 * w, 2 * w, 3, 1));
            blocks.push(format!("block{i}"), Residual(inside));
        }
        let mut up = Sequential::new();
        up.push("conv", conv(init, 2 * w, w, 3, 1));
        up.push("relu", LeakyRelu { slope: SLOPE });
        up.push("size", Upsample { kind: Upsampling::Bilinear }); // [N, w, H, W]
        let mut head = Sequential::new();
        head.push("conv1", conv(init, 2 * w + 6, w, 3, 1));
        head.push("relu1", LeakyRelu { slope: SLOPE });
        let zero = Init::Normal { std: 0.0, gamma_std: 0.0 };
        head.push("conv2", conv(&mut Initializer::new(device, zero, seed, 0), w, 6, 3, 1));
        Stylist { content, cloth, blocks, up, head }
    }
}

impl Stylist {
    /// Sets where the gates start: 0 leaves the picture as it is, 1 takes the cloth.
    pub fn open_gates(&self, by: f64) {
        for (name, bias) in self.head.parameters() {
            if name == "conv2.bias" {
                let device = bias.get().device().clone();
                bias.set(Tensor::from_f64(&device, [6], &[by, by, by, 0.0, 0.0, 0.0]));
            }
        }
    }

    /// Height and width must be multiples of this.
    pub const MULTIPLE: usize = 2;

    /// Gates and offsets [N, 6, H, W] for pictures and cloths [N, 3, H, W]; also what describes the pictures' places.
    pub fn paint(&self, x: &Tensor, z: &Tensor) -> (Tensor, Vec<Tensor>) {
        let names = FEATURES.map(String::from);
        let (_, features) = self.content.forward_with(x, Mode::Train, &names);
        let cloth = self.cloth.forward(z, Mode::Train);
        let y = self.blocks.forward(&Tensor::concat(&[&features[1], &cloth], 1), Mode::Train);
        let y = self.up.forward(&y, Mode::Train);
        let y = Tensor::concat(&[&y, &features[0], x, z], 1);
        (self.head.forward(&y, Mode::Train), features)
    }

    /// x + strength·(a·(z − x) + b)
    pub fn result(x: &Tensor, z: &Tensor, painted: &Tensor) -> Tensor {
        let (a, b) = (painted.narrow(1, 0, 3), painted.narrow(1, 3, 3));
        x + a * (z - x) + b
    }

    /// What describes the places of pictures [N, 3, H, W]: [N, w, H, W] and [N, 2w, H/2, W/2].
    pub fn features(&self, x: &Tensor) -> Vec<Tensor> {
        self.content.features(x, Mode::Train, &FEATURES.map(String::from))
    }

    fn parts(&self) -> [(&'static str, &Sequential); 5] {
        let Stylist { content, cloth, blocks, up, head } = self;
        [("content", content), ("cloth", cloth), ("blocks", blocks), ("up", up), ("head", head)]
    }
}

impl Module for Stylist {
    /// Channels 0 to 2 are the picture, 3 to 5 the cloth; gives the result at strength 1.
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        let (x, z) = (x.narrow(1, 0, 3), x.narrow(1, 3, 3));
        Stylist::result(&x, &z, &self.paint(&x, &z).0)
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.parts().into_iter().flat_map(|(name, part)| prefixed(name, part.parameters())).collect()
    }
}

/// A critic of patches: images [N, 3, H, W] to a number for each patch of 26x26 pixels, [N, 1, H/4, W/4]. Convolutions
/// 4, 4, 3 and 3, the first two of stride 2, all with spectral normalisation (Miyato et al. 2018).
pub fn patch_critic(width: usize, device: &Device, seed: u64, first: u64) -> Sequential {
    let init = &mut Initializer::new(device, Init::GlorotUniform, seed, first);
    let mut network = Sequential::new();
    for (i, (from, to, kernel, stride)) in
        [(3, width, 4, 2), (width, 2 * width, 4, 2), (2 * width, 4 * width, 3, 1), (4 * width, 1, 3, 1)]
            .into_iter()
            .enumerate()
    {
        let layer = Conv2dLayer::new(init, from, to, kernel, stride, Zeros(1), true).with_spectral_norm(init);
        network.push(format!("conv{}", i + 1), layer);
        if to > 1 {
            network.push(format!("relu{}", i + 1), LeakyRelu { slope: SLOPE });
        }
    }
    network
}

/// From one patch of a critic to the next, in pixels.
pub const CRITIC_STEP: usize = 4;

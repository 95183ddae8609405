//! The U-Net translator of pix2pix (Isola et al. 2017): down to one pixel and up again, each level skipping to its mirror.

use crate::nn::init::Initializer;
use crate::nn::{
    BatchNorm, Conv2dLayer, ConvPadding::Zeros, ConvTranspose2dLayer, Convention::Torch, Draws, Dropout, Mode, Module,
    Parameter, Strips, normalized, prefixed,
};
use crate::ops::Activation;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The U-Net's sizes. As published: 64 filters, 8 levels for images of 256 pixels, dropout 0.5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnetSpec {
    /// Filters of the first level; no level has more than eight times as many.
    #[serde(default = "sixty_four")]
    pub ngf: usize,
    /// Levels: the images' height and width are multiples of 2^downs.
    #[serde(default = "eight")]
    pub downs: usize,
    /// The probability of dropout in the inner levels, from the fifth to the last but one.
    #[serde(default = "half")]
    pub dropout: f64,
}

fn sixty_four() -> usize {
    64
}

fn eight() -> usize {
    8
}

fn half() -> f64 {
    0.5
}

impl UnetSpec {
    /// The filters of level `d`.
    pub fn width(&self, d: usize) -> usize {
        self.ngf << d.min(3)
    }

    /// The network for images of `channels[0]` to images of `channels[1]` channels in (−1, 1); dropout takes its masks
    /// from `draws`. 54,413,955 parameters as published.
    pub fn build(&self, channels: [usize; 2], init: &mut Initializer, draws: &Draws) -> Unet {
        let last = self.downs - 1;
        let norm = |init: &mut Initializer, width| BatchNorm::new(init, width, 0.1, 1e-5, Torch);
        let mut levels = Vec::new();
        for d in 0..self.downs {
            let width = self.width(d);
            let from = if d == 0 { channels[0] } else { self.width(d - 1) };
            let down = Conv2dLayer::new(init, from, width, 4, 2, Zeros(1), false);
            let down_norm = (d > 0 && d < last).then(|| norm(init, width));
            // From below come this level's skip and the level below's result.
            let (inside, to) = (if d == last { width } else { 2 * width }, if d == 0 { channels[1] } else { from });
            let up = ConvTranspose2dLayer::new(init, inside, to, 4, 2, Zeros(1), d == 0);
            let up_norm = (d > 0).then(|| norm(init, to));
            let dropout = (self.dropout > 0.0 && d > 3 && d < last).then(|| Dropout::new(self.dropout, draws));
            levels.push(Level { down, down_norm, up, up_norm, dropout });
        }
        Unet { levels }
    }
}

struct Level {
    down: Conv2dLayer,
    down_norm: Option<BatchNorm>,
    up: ConvTranspose2dLayer,
    up_norm: Option<BatchNorm>,
    dropout: Option<Dropout>,
}

/// A U-Net, built by [`UnetSpec::build`].
pub struct Unet {
    levels: Vec<Level>,
}

impl Unet {
    /// Level `d` and all below it. What skips is the level's input behind its LeakyReLU, as published (there an
    /// activation in place makes it so).
    fn level(&self, d: usize, x: &Tensor, mode: Mode) -> Tensor {
        let level = &self.levels[d];
        let through = |layer: &dyn Module, x: &Tensor, norm: &Option<BatchNorm>| match norm {
            Some(norm) => normalized(layer, norm, x, mode),
            None => layer.forward(x, mode),
        };
        let skip = if d == 0 { x.clone() } else { x.leaky_relu(0.2) };
        let inner = through(&level.down, &skip, &level.down_norm); // [N, width(d), H/2, W/2]
        let inner = if d + 1 < self.levels.len() { self.level(d + 1, &inner, mode) } else { inner };
        let y = through(&level.up, &inner.relu(), &level.up_norm);
        let y = level.dropout.as_ref().map_or(y.clone(), |dropout| dropout.forward(&y, mode));
        if d == 0 { y.tanh() } else { Tensor::concat(&[&skip, &y], 1) }
    }

    /// [`Unet::level`] in strips.
    fn level_strips(&self, d: usize, x: Strips, mode: Mode) -> Strips {
        let (level, plain) = (&self.levels[d], Activation::Identity);
        let through = |x: Strips, norm: &Option<BatchNorm>| match norm {
            Some(norm) => norm.forward_strips(x, mode, plain),
            None => x,
        };
        let skip = if d == 0 { x } else { x.map(|strip| strip.leaky_relu(0.2)) };
        let inner = through(level.down.forward_strips(skip.clone(), mode, plain), &level.down_norm);
        let inner = if d + 1 < self.levels.len() { self.level_strips(d + 1, inner, mode) } else { inner };
        let y = through(level.up.forward_strips(inner.map(Tensor::relu), mode, plain), &level.up_norm);
        let y = match &level.dropout {
            Some(dropout) => dropout.forward_strips(y, mode, plain),
            None => y,
        };
        if d == 0 { y.map(Tensor::tanh) } else { skip.zip(&y, |skip, y| Tensor::concat(&[skip, y], 1)) }
    }

    fn named(&self, of: impl Fn(&dyn Module) -> Vec<(String, Parameter)>) -> Vec<(String, Parameter)> {
        let norm = |norm: &Option<BatchNorm>| norm.as_ref().map_or(Vec::new(), |norm| prefixed("norm", of(norm)));
        let levels = self.levels.iter().enumerate();
        levels
            .flat_map(|(d, level)| {
                let down = prefixed(&format!("down{d}"), [of(&level.down), norm(&level.down_norm)].concat());
                [down, prefixed(&format!("up{d}"), [of(&level.up), norm(&level.up_norm)].concat())].concat()
            })
            .collect()
    }
}

impl Module for Unet {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.level(0, x, mode)
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        self.level_strips(0, x, mode).map(|strip| f.of(strip))
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.named(|layer| layer.parameters())
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.named(|layer| layer.buffers())
    }
}

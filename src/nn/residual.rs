//! The residual block of discriminators (He et al. 2016; Miyato et al. 2018, figure 8), and the sum over an image that ends them.

use super::init::Initializer;
use super::{Conv2dLayer, ConvPadding, Mode, Module, Parameter, prefixed};
use crate::ops::Pool2d;
use crate::tensor::Tensor;

/// f(x) + s(x) for images [N, C, H, W]: f is ReLU (left out in a network's first block), convolution 3x3, ReLU, convolution 3x3; s is x, or
/// a convolution 1x1 of it where the number of channels or the size changes. With `down` both are averaged over 2x2 pixels.
pub struct ResidualBlock {
    conv1: Conv2dLayer,
    conv2: Conv2dLayer,
    shortcut: Option<Conv2dLayer>,
    first: bool,
    down: bool,
}

impl ResidualBlock {
    /// A block with drawn weights and zero biases.
    pub fn new(init: &mut Initializer, channels: usize, filters: usize, first: bool, down: bool) -> ResidualBlock {
        let mut conv =
            |from, kernel| Conv2dLayer::new(init, from, filters, kernel, 1, ConvPadding::Zeros(kernel / 2), true);
        ResidualBlock {
            conv1: conv(channels, 3),
            conv2: conv(filters, 3),
            shortcut: (channels != filters || down).then(|| conv(channels, 1)),
            first,
            down,
        }
    }

    /// With every convolution's weight divided by its spectral norm ([`super::SpectralNorm`]).
    #[must_use]
    pub fn with_spectral_norm(self, init: &mut Initializer) -> ResidualBlock {
        ResidualBlock {
            conv1: self.conv1.with_spectral_norm(init),
            conv2: self.conv2.with_spectral_norm(init),
            shortcut: self.shortcut.map(|shortcut| shortcut.with_spectral_norm(init)),
            ..self
        }
    }

    fn layers(&self) -> impl Iterator<Item = (&'static str, &Conv2dLayer)> {
        [("conv1", &self.conv1), ("conv2", &self.conv2)]
            .into_iter()
            .chain(self.shortcut.iter().map(|s| ("shortcut", s)))
    }
}

impl Module for ResidualBlock {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let halved = |x: &Tensor| if self.down { x.avg_pool2d(Pool2d::new(2), false) } else { x.clone() };
        let h = if self.first { x.clone() } else { x.relu() };
        let h = self.conv2.forward(&self.conv1.forward(&h, mode).relu(), mode);
        // A convolution 1x1 and an average may change places: the smaller image goes first.
        let s = halved(x);
        halved(&h) + self.shortcut.as_ref().map_or(s.clone(), |shortcut| shortcut.forward(&s, mode))
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.layers().flat_map(|(name, conv)| prefixed(name, conv.parameters())).collect()
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.layers().flat_map(|(name, conv)| prefixed(name, conv.buffers())).collect()
    }
}

/// Images [N, C, H, W] to their sums over all pixels [N, C].
pub struct GlobalSumPool;

impl Module for GlobalSumPool {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.sum_axes(&[2, 3])
    }
}

//! Convolution and transposed convolution layers.

use super::init::Initializer;
use super::strips::{conv_rows, joined, transposed_rows};
use super::{Mode, Module, Parameter, SpectralNorm, Strips};
use crate::ops::{Activation, Conv2d, Over, TileMoments};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The border rule of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "expected \"same\", \"valid\" or a whole number from 0")]
pub enum ConvPadding {
    /// Keras's 'same': a convolution gives ceil(size / stride), a transposed one size·stride; the odd zero goes
    /// below and to the right.
    Same,
    /// Nothing is added.
    Valid,
    /// So many zeros on each side, as PyTorch has it (a transposed convolution crops so many).
    #[serde(untagged)]
    Zeros(usize),
}

impl ConvPadding {
    /// The convolution from images of `size`.
    pub fn conv(self, size: [usize; 2], kernel: usize, stride: usize) -> Conv2d {
        let zeros = |p| Conv2d { stride: [stride; 2], padding: [p; 4], ..Conv2d::default() };
        match self {
            ConvPadding::Same => Conv2d::same(size, [kernel; 2], [stride; 2], [1, 1]),
            ConvPadding::Valid => zeros(0),
            ConvPadding::Zeros(p) => zeros(p),
        }
    }

    /// The convolution that a transposed convolution of images of `size` transposes, and the result's size, which
    /// `output_padding` enlarges below and to the right; `None` if the cropping leaves nothing, or if there is output
    /// padding of a stride or more, or beside `Same`, which says the size itself.
    pub fn transposed(
        self,
        size: [usize; 2],
        kernel: usize,
        stride: usize,
        output_padding: usize,
    ) -> Option<(Conv2d, [usize; 2])> {
        if output_padding > 0 && (output_padding >= stride || self == ConvPadding::Same) {
            return None;
        }
        let crop = match self {
            ConvPadding::Same => {
                let conv = Conv2d::same_transpose(size, [kernel; 2], [stride; 2], [1, 1]);
                return Some((conv, size.map(|len| len * stride)));
            }
            ConvPadding::Valid => 0,
            ConvPadding::Zeros(p) => p,
        };
        let full = size.map(|len| (len - 1) * stride + kernel + output_padding);
        let result = [full[0].checked_sub(2 * crop)?, full[1].checked_sub(2 * crop)?];
        let conv = Conv2d { stride: [stride; 2], padding: [crop; 4], ..Conv2d::default() };
        (result[0] > 0 && result[1] > 0).then_some((conv, result))
    }
}

pub(super) fn weight_and_bias(weight: &Parameter, bias: &Option<Parameter>) -> Vec<(String, Parameter)> {
    let bias = bias.iter().map(|bias| ("bias".to_string(), bias.clone()));
    [("weight".to_string(), weight.clone())].into_iter().chain(bias).collect()
}

/// A bias's present value, if there is a bias.
pub(super) fn value(bias: &Option<Parameter>) -> Option<Tensor> {
    bias.as_ref().map(Parameter::get)
}

fn size(x: &Tensor) -> [usize; 2] {
    [x.dim(2), x.dim(3)]
}

/// Convolution of images [N, C, H, W] with weights [filters, C, kernel, kernel], plus a bias a filter.
pub struct Conv2dLayer {
    weight: Parameter,
    bias: Option<Parameter>,
    spectral: Option<SpectralNorm>,
    kernel: usize,
    stride: usize,
    padding: ConvPadding,
}

impl Conv2dLayer {
    /// A layer with drawn weights and, if `bias`, zero biases.
    pub fn new(
        init: &mut Initializer,
        channels: usize,
        filters: usize,
        kernel: usize,
        stride: usize,
        padding: ConvPadding,
        bias: bool,
    ) -> Conv2dLayer {
        let area = kernel * kernel;
        let weight = init.weight([filters, channels, kernel, kernel], channels * area, filters * area);
        let bias = bias.then(|| Parameter::new(init.constant(filters, 0.0)));
        Conv2dLayer { weight: Parameter::new(weight), bias, spectral: None, kernel, stride, padding }
    }

    /// With its weight divided by its spectral norm at each pass ([`SpectralNorm`]).
    #[must_use]
    pub fn with_spectral_norm(self, init: &mut Initializer) -> Conv2dLayer {
        let outputs = self.weight.get().dim(0);
        Conv2dLayer { spectral: Some(SpectralNorm::new(init, outputs)), ..self }
    }

    fn normalized_weight(&self, mode: Mode) -> Tensor {
        self.spectral.as_ref().map_or_else(|| self.weight.get(), |s| s.of(&self.weight.get(), mode))
    }
}

impl Module for Conv2dLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_activated(x, mode, Activation::Identity)
    }

    fn forward_activated(&self, x: &Tensor, mode: Mode, f: Activation) -> Tensor {
        let conv = self.padding.conv(size(x), self.kernel, self.stride);
        x.conv2d_activated(&self.normalized_weight(mode), value(&self.bias).as_ref(), conv, f)
    }

    fn forward_measured(&self, x: &Tensor, mode: Mode, f: Activation, over: Over) -> (Tensor, Option<TileMoments>) {
        let conv = self.padding.conv(size(x), self.kernel, self.stride);
        x.conv2d_measured(&self.normalized_weight(mode), value(&self.bias).as_ref(), conv, f, over)
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        let (weight, bias, size) = (self.normalized_weight(mode), value(&self.bias), [x.height(), x.width()]);
        let conv = self.padding.conv(size, self.kernel, self.stride);
        let Some([height, width]) = conv.output_size(size, [self.kernel; 2]) else {
            return joined(self, x, mode, f);
        };
        let [above, _, left, right] = conv.padding;
        let rows = |to| conv_rows(to, size[0], [self.kernel, self.stride, above]);
        x.map_rows(
            [weight.dim(0), height, width],
            |to| rows(to).0,
            |x, _, to| {
                let [above, below] = rows(to).1;
                let conv = Conv2d { padding: [above, below, left, right], ..conv };
                x.conv2d_activated(&weight, bias.as_ref(), conv, f)
            },
        )
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.spectral.as_ref().map_or_else(Vec::new, SpectralNorm::buffers)
    }
}

/// Transposed convolution of images [N, C, H, W] with weights [C, filters, kernel, kernel], plus a bias a filter.
pub struct ConvTranspose2dLayer {
    weight: Parameter,
    bias: Option<Parameter>,
    kernel: usize,
    stride: usize,
    padding: ConvPadding,
    output_padding: usize,
}

impl ConvTranspose2dLayer {
    /// A layer with drawn weights and, if `bias`, zero biases.
    pub fn new(
        init: &mut Initializer,
        channels: usize,
        filters: usize,
        kernel: usize,
        stride: usize,
        padding: ConvPadding,
        bias: bool,
    ) -> ConvTranspose2dLayer {
        let area = kernel * kernel;
        // Keras counts the fans of a transposed kernel [k, k, filters, channels] by position: in = filters, out = channels.
        let weight = init.weight([channels, filters, kernel, kernel], filters * area, channels * area);
        let bias = bias.then(|| Parameter::new(init.constant(filters, 0.0)));
        ConvTranspose2dLayer { weight: Parameter::new(weight), bias, kernel, stride, padding, output_padding: 0 }
    }

    /// With so many rows and columns more below and to the right, fewer than the stride: which of the sizes that the
    /// convolution maps to the input's is meant (PyTorch's `output_padding`).
    #[must_use]
    pub fn with_output_padding(self, output_padding: usize) -> ConvTranspose2dLayer {
        ConvTranspose2dLayer { output_padding, ..self }
    }
}

impl ConvTranspose2dLayer {
    /// The convolution that this transposes, and the result's size.
    #[track_caller]
    fn geometry(&self, x: &Tensor) -> (Conv2d, [usize; 2]) {
        let geometry = self.padding.transposed(size(x), self.kernel, self.stride, self.output_padding);
        let Some(geometry) = geometry else {
            panic!(
                "conv_transpose2d: cropping {:?} and output padding {} leave nothing (x {})",
                self.padding,
                self.output_padding,
                x.shape()
            );
        };
        geometry
    }
}

impl Module for ConvTranspose2dLayer {
    #[track_caller]
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_activated(x, mode, Activation::Identity)
    }

    #[track_caller]
    fn forward_activated(&self, x: &Tensor, _: Mode, f: Activation) -> Tensor {
        let (conv, result) = self.geometry(x);
        x.conv_transpose2d_activated(&self.weight.get(), value(&self.bias).as_ref(), conv, result, f)
    }

    #[track_caller]
    fn forward_measured(&self, x: &Tensor, _: Mode, f: Activation, over: Over) -> (Tensor, Option<TileMoments>) {
        x.conv_transpose2d_measured(&self.weight.get(), value(&self.bias).as_ref(), self.geometry(x), f, over)
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        let (weight, bias, size) = (self.weight.get(), value(&self.bias), [x.height(), x.width()]);
        let Some((conv, [height, width])) =
            self.padding.transposed(size, self.kernel, self.stride, self.output_padding)
        else {
            return joined(self, x, mode, f);
        };
        let [crop, _, left, right] = conv.padding;
        x.map_rows(
            [weight.dim(1), height, width],
            |to| transposed_rows(to, size[0], [self.kernel, self.stride, crop]),
            |x, take, to| {
                // What the kernels of these rows reach above and below the wanted ones is cropped.
                let above = to.start + crop - take.start * self.stride;
                let below = ((take.len() - 1) * self.stride + self.kernel).saturating_sub(above + to.len());
                let conv = Conv2d { padding: [above, below, left, right], ..conv };
                x.conv_transpose2d_activated(&weight, bias.as_ref(), conv, [to.len(), width], f)
            },
        )
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        weight_and_bias(&self.weight, &self.bias)
    }
}

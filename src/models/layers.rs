//! A network as a list of layers, as recipes write it: shape rules, checks, construction.

use crate::nn::init::Initializer;
use crate::nn::{
    BatchNorm, Conv2dLayer, ConvPadding, ConvTranspose2dLayer, Convention, Flatten, GlobalSumPool, InstanceNorm,
    LeakyRelu, Linear, ReflectPad, Relu, Reshape, ResidualBlock, Sequential, Sigmoid, Tanh, Upsample, Upsampling,
};
use serde::{Deserialize, Serialize};

/// One layer. Shapes leave out the batch axis: images are [C, H, W].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// `[in] -> [units]`: x·wᵀ + b.
    Dense {
        /// Outputs, from 1.
        units: usize,
        /// Whether a bias is added.
        #[serde(default = "yes")]
        bias: bool,
        /// Whether the weight is divided by its spectral norm at each pass.
        #[serde(default, skip_serializing_if = "is_false")]
        spectral_norm: bool,
    },
    /// [C, H, W] -> [filters, H', W'].
    Conv2d {
        /// Output channels, from 1.
        filters: usize,
        /// Height and width of the kernel, from 1.
        kernel: usize,
        /// From 1.
        #[serde(default = "one")]
        stride: usize,
        /// `"same"`, `"valid"` or a number of zeros a side.
        #[serde(default = "valid")]
        padding: ConvPadding,
        /// Whether a bias is added.
        #[serde(default = "yes")]
        bias: bool,
        /// Whether the weight is divided by its spectral norm at each pass.
        #[serde(default, skip_serializing_if = "is_false")]
        spectral_norm: bool,
    },
    /// [C, H, W] -> [filters, H', W'], transposed.
    ConvTranspose2d {
        /// Output channels, from 1.
        filters: usize,
        /// Height and width of the kernel, from 1.
        kernel: usize,
        /// From 1.
        #[serde(default = "one")]
        stride: usize,
        /// `"same"`, `"valid"` or a number of pixels that are cropped a side.
        #[serde(default = "valid")]
        padding: ConvPadding,
        /// Rows and columns more below and to the right, fewer than the stride.
        #[serde(default, skip_serializing_if = "is_zero")]
        output_padding: usize,
        /// Whether a bias is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Normalises the first axis (features or channels).
    BatchNorm {
        /// The share of the running statistics that is kept (Keras) or replaced (Torch), 0 to 1.
        #[serde(default = "keras_momentum")]
        momentum: f64,
        /// Added to the variance.
        #[serde(default = "keras_eps")]
        eps: f64,
        /// `"keras"` or `"torch"`.
        #[serde(default)]
        convention: Convention,
    },
    /// Normalises each plane of an image; no parameters.
    InstanceNorm {
        /// Added to the variance.
        #[serde(default = "torch_eps")]
        eps: f64,
    },
    /// max(x, 0)
    Relu,
    /// x where x > 0, else slope·x.
    LeakyRelu {
        /// The slope below 0.
        slope: f64,
    },
    /// [C, H, W] -> [C, H + 2·size, W + 2·size], mirrored at the border.
    ReflectPad {
        /// On each side, below H and W.
        size: usize,
    },
    /// [C, H, W] -> [C, 2·H, 2·W]: `"nearest"` or `"bilinear"`. With a convolution behind it, the remedy against the
    /// checkerboard of transposed convolutions.
    Upsample {
        /// How.
        kind: Upsampling,
    },
    /// [C, H, W] -> [filters, H, W] or, with `down`, [filters, ⌊H/2⌋, ⌊W/2⌋]: two 3x3 convolutions with ReLUs before them and a
    /// shortcut around them.
    Residual {
        /// Output channels, from 1.
        filters: usize,
        /// Whether it halves the size.
        #[serde(default)]
        down: bool,
        /// Whether it is the network's first: no ReLU on the image itself.
        #[serde(default)]
        first: bool,
        /// Whether the weight is divided by its spectral norm at each pass.
        #[serde(default, skip_serializing_if = "is_false")]
        spectral_norm: bool,
    },
    /// [C, H, W] -> `[C]`: the sum of each channel.
    GlobalSumPool,
    /// To this shape.
    Reshape {
        /// Without the batch axis.
        shape: Vec<usize>,
    },
    /// To one axis.
    Flatten,
    /// tanh x
    Tanh,
    /// 1 / (1 + e^−x)
    Sigmoid,
}

/// The most weights that one layer may have.
const MOST_WEIGHTS: usize = 1 << 28;

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn valid() -> ConvPadding {
    ConvPadding::Valid
}

fn keras_momentum() -> f64 {
    0.99
}

fn keras_eps() -> f64 {
    1e-3
}

fn torch_eps() -> f64 {
    1e-5
}

fn is_false(is: &bool) -> bool {
    !is
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Why a list of layers is no network: which layer, which of its keys, what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// The layer's number, from 0.
    pub layer: usize,
    /// The key inside it, or nothing.
    pub key: &'static str,
    /// What is wrong and what the key may be.
    pub message: String,
}

impl ShapeError {
    /// The dotted path of the key in a recipe, such as `generator.layers[3].filters`.
    pub fn place(&self, network: &str) -> String {
        let key = if self.key.is_empty() { String::new() } else { format!(".{}", self.key) };
        format!("{network}.layers[{}]{key}", self.layer)
    }
}

/// The largest side, channel or unit count that is taken as meant.
const MOST: usize = 1 << 20;

impl LayerSpec {
    /// The layer's type as recipes write it.
    pub fn kind(&self) -> &'static str {
        match self {
            LayerSpec::Dense { .. } => "dense",
            LayerSpec::Conv2d { .. } => "conv2d",
            LayerSpec::ConvTranspose2d { .. } => "conv_transpose2d",
            LayerSpec::BatchNorm { .. } => "batch_norm",
            LayerSpec::InstanceNorm { .. } => "instance_norm",
            LayerSpec::Relu => "relu",
            LayerSpec::LeakyRelu { .. } => "leaky_relu",
            LayerSpec::ReflectPad { .. } => "reflect_pad",
            LayerSpec::Upsample { .. } => "upsample",
            LayerSpec::Residual { .. } => "residual",
            LayerSpec::GlobalSumPool => "global_sum_pool",
            LayerSpec::Reshape { .. } => "reshape",
            LayerSpec::Flatten => "flatten",
            LayerSpec::Tanh => "tanh",
            LayerSpec::Sigmoid => "sigmoid",
        }
    }

    /// Whether it divides weights by their spectral norm.
    pub fn has_spectral_norm(&self) -> bool {
        use LayerSpec::{Conv2d, Dense, Residual};
        matches!(self, Dense { spectral_norm: true, .. } | Conv2d { spectral_norm: true, .. })
            || matches!(self, Residual { spectral_norm: true, .. })
    }

    /// The output's shape for an input's, both without the batch axis; or the key at fault and why.
    pub fn output_shape(&self, x: &[usize]) -> Result<Vec<usize>, (&'static str, String)> {
        let count = |key: &'static str, value: usize| match value {
            1..=MOST => Ok(()),
            _ => Err((key, format!("{value} is not between 1 and {MOST}"))),
        };
        let weights = |key: &'static str, factors: &[usize]| {
            let product = factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f));
            match product.filter(|&n| n <= MOST_WEIGHTS) {
                Some(_) => Ok(()),
                None => Err((key, format!("makes more than {MOST_WEIGHTS} weights"))),
            }
        };
        let bounded = |padding: &ConvPadding| match padding {
            ConvPadding::Zeros(p) if *p > 1 << 16 => Err(("padding", format!("{p} is more than 65536"))),
            _ => Ok(()),
        };
        let image = || match x {
            [c, h, w] => Ok((*c, [*h, *w])),
            _ => Err(("", format!("takes images [channels, height, width], but gets {x:?}"))),
        };
        match self {
            LayerSpec::Dense { units, .. } => {
                count("units", *units)?;
                match x {
                    [inputs] => weights("units", &[*inputs, *units]).map(|_| vec![*units]),
                    _ => Err(("", format!("takes one axis, but gets {x:?}; put \"flatten\" before it"))),
                }
            }
            LayerSpec::Conv2d { filters, kernel, stride, padding, .. } => {
                count("filters", *filters)?;
                count("kernel", *kernel)?;
                count("stride", *stride)?;
                let (channels, size) = image()?;
                bounded(padding)?;
                weights("filters", &[channels, *filters, *kernel, *kernel])?;
                match padding.conv(size, *kernel, *stride).output_size(size, [*kernel; 2]) {
                    Some([h, w]) => Ok(vec![*filters, h, w]),
                    None => Err(("kernel", format!("{kernel}x{kernel} does not fit into images of {x:?}"))),
                }
            }
            LayerSpec::ConvTranspose2d { filters, kernel, stride, padding, output_padding, .. } => {
                count("filters", *filters)?;
                count("kernel", *kernel)?;
                count("stride", *stride)?;
                let (channels, size) = image()?;
                bounded(padding)?;
                weights("filters", &[channels, *filters, *kernel, *kernel])?;
                if *output_padding > 0 && (output_padding >= stride || *padding == ConvPadding::Same) {
                    let why = format!("{output_padding} must be below the stride, {stride}, and 0 with \"same\"");
                    return Err(("output_padding", why));
                }
                match padding.transposed(size, *kernel, *stride, *output_padding) {
                    Some((_, [h, w])) => Ok(vec![*filters, h, w]),
                    None => Err(("padding", format!("cropping so much leaves nothing of images of {x:?}"))),
                }
            }
            LayerSpec::BatchNorm { momentum, eps, .. } => {
                if !(0.0..=1.0).contains(momentum) {
                    return Err(("momentum", format!("{momentum} is not between 0 and 1")));
                }
                if !(eps.is_finite() && *eps > 0.0) {
                    return Err(("eps", format!("{eps} is not a positive number")));
                }
                Ok(x.to_vec())
            }
            LayerSpec::InstanceNorm { eps } => match (eps.is_finite() && *eps > 0.0, image()) {
                (false, _) => Err(("eps", format!("{eps} is not a positive number"))),
                (true, image) => image.map(|_| x.to_vec()),
            },
            LayerSpec::ReflectPad { size } => {
                let (channels, [h, w]) = image()?;
                if *size >= h.min(w) {
                    return Err(("size", format!("{size} is not below the height and width of images of {x:?}")));
                }
                Ok(vec![channels, h + 2 * size, w + 2 * size])
            }
            LayerSpec::Residual { filters, down, .. } => {
                count("filters", *filters)?;
                let (channels, [h, w]) = image()?;
                weights("filters", &[channels.max(*filters), *filters, 9])?;
                match (*down, h / 2, w / 2) {
                    (false, ..) => Ok(vec![*filters, h, w]),
                    (true, 0, _) | (true, _, 0) => Err(("down", format!("images of {x:?} cannot be halved"))),
                    (true, h, w) => Ok(vec![*filters, h, w]),
                }
            }
            LayerSpec::GlobalSumPool => image().map(|(channels, _)| vec![channels]),
            LayerSpec::Upsample { .. } => image().map(|(channels, [h, w])| vec![channels, 2 * h, 2 * w]),
            LayerSpec::LeakyRelu { slope } if !slope.is_finite() => Err(("slope", format!("{slope} is not a number"))),
            LayerSpec::Reshape { shape } => {
                let product = |dims: &[usize]| dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
                if shape.is_empty() || product(shape) != product(x) {
                    return Err((
                        "shape",
                        format!("{shape:?} does not hold the {} values of {x:?}", x.iter().product::<usize>()),
                    ));
                }
                Ok(shape.clone())
            }
            LayerSpec::Flatten => Ok(vec![x.iter().product()]),
            LayerSpec::Relu | LayerSpec::LeakyRelu { .. } | LayerSpec::Tanh | LayerSpec::Sigmoid => Ok(x.to_vec()),
        }
    }

    fn push(&self, network: &mut Sequential, name: String, x: &[usize], init: &mut Initializer) {
        match *self {
            LayerSpec::Dense { units, bias, spectral_norm } => {
                let layer = Linear::new(init, x[0], units, bias);
                network.push(name, if spectral_norm { layer.with_spectral_norm(init) } else { layer });
            }
            LayerSpec::Conv2d { filters, kernel, stride, padding, bias, spectral_norm } => {
                let layer = Conv2dLayer::new(init, x[0], filters, kernel, stride, padding, bias);
                network.push(name, if spectral_norm { layer.with_spectral_norm(init) } else { layer });
            }
            LayerSpec::ConvTranspose2d { filters, kernel, stride, padding, output_padding, bias } => {
                let layer = ConvTranspose2dLayer::new(init, x[0], filters, kernel, stride, padding, bias);
                network.push(name, layer.with_output_padding(output_padding));
            }
            LayerSpec::BatchNorm { momentum, eps, convention } => {
                network.push(name, BatchNorm::new(init, x[0], momentum, eps, convention));
            }
            LayerSpec::InstanceNorm { eps } => network.push(name, InstanceNorm { eps }),
            LayerSpec::Relu => network.push(name, Relu),
            LayerSpec::LeakyRelu { slope } => network.push(name, LeakyRelu { slope }),
            LayerSpec::ReflectPad { size } => network.push(name, ReflectPad { size }),
            LayerSpec::Upsample { kind } => network.push(name, Upsample { kind }),
            LayerSpec::Residual { filters, down, first, spectral_norm } => {
                let block = ResidualBlock::new(init, x[0], filters, first, down);
                network.push(name, if spectral_norm { block.with_spectral_norm(init) } else { block });
            }
            LayerSpec::GlobalSumPool => network.push(name, GlobalSumPool),
            LayerSpec::Reshape { ref shape } => network.push(name, Reshape { shape: shape.clone() }),
            LayerSpec::Flatten => network.push(name, Flatten),
            LayerSpec::Tanh => network.push(name, Tanh),
            LayerSpec::Sigmoid => network.push(name, Sigmoid),
        }
    }
}

/// The shapes after each layer, for an input without the batch axis.
///
/// # Errors
/// The first layer that does not fit.
pub fn output_shape(layers: &[LayerSpec], input: &[usize]) -> Result<Vec<Vec<usize>>, ShapeError> {
    let mut shapes: Vec<Vec<usize>> = Vec::new();
    for (layer, spec) in layers.iter().enumerate() {
        let x = shapes.last().map_or(input, |shape| shape);
        let shape = spec.output_shape(x).map_err(|(key, message)| ShapeError { layer, key, message })?;
        if shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)).is_none_or(|n| n > 1 << 30) {
            return Err(ShapeError { layer, key: "", message: format!("a result of {shape:?} is too large") });
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

/// Builds the network with drawn weights. Layers with parameters are named by type and number: `conv2d_1`.
///
/// # Errors
/// As [`output_shape`].
pub fn build(layers: &[LayerSpec], input: &[usize], init: &mut Initializer) -> Result<Sequential, ShapeError> {
    let shapes = output_shape(layers, input)?;
    let mut network = Sequential::new();
    let mut seen: Vec<&str> = Vec::new();
    for (i, spec) in layers.iter().enumerate() {
        let x = if i == 0 { input } else { &shapes[i - 1] };
        seen.push(spec.kind());
        let number = seen.iter().filter(|kind| **kind == spec.kind()).count();
        spec.push(&mut network, format!("{}_{number}", spec.kind()), x, init);
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misfit_names_layer_key_and_what_it_may_be() {
        let layers = [
            LayerSpec::Dense { units: 128, bias: true, spectral_norm: false },
            LayerSpec::Reshape { shape: vec![3, 4, 4] },
        ];
        let error = output_shape(&layers, &[100]).unwrap_err();
        assert_eq!((error.layer, error.key), (1, "shape"));
        assert_eq!(error.message, "[3, 4, 4] does not hold the 128 values of [128]");
        assert_eq!(
            output_shape(&[LayerSpec::Dense { units: 0, bias: true, spectral_norm: false }], &[3]).unwrap_err().key,
            "units"
        );
        let conv = LayerSpec::Conv2d {
            filters: 2,
            kernel: 5,
            stride: 1,
            padding: ConvPadding::Valid,
            bias: true,
            spectral_norm: false,
        };
        assert_eq!(output_shape(&[conv], &[3, 4, 4]).unwrap_err().key, "kernel");
    }
}

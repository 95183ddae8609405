//! Fixed layers one after the other, with the images normalised as ImageNet's before the first.

use super::Weights;
use crate::error::Result;
use crate::ops::{Activation, Conv2d, Pool2d};
use crate::tensor::{Device, Tensor};

/// The means and standard deviations of ImageNet's channels, for images in [0, 1], as torchvision's networks expect them.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

/// What is done to a convolution's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing.
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
}

/// A convolution with fixed weights, a bias a filter and an activation.
pub(super) struct Conv {
    weight: Tensor,
    bias: Tensor,
    conv: Conv2d,
    end: End,
}

impl Conv {
    /// `name.weight` [filters, channels, kernel, kernel] and `name.bias`, padded by `padding` zeros.
    pub fn plain(
        weights: &Weights,
        network: &str,
        name: &str,
        [channels, filters, kernel]: [usize; 3],
        [stride, padding]: [usize; 2],
    ) -> Result<Conv> {
        Ok(Conv {
            weight: weights.tensor(network, &format!("{name}.weight"), &[filters, channels, kernel, kernel])?,
            bias: weights.tensor(network, &format!("{name}.bias"), &[filters])?,
            conv: Conv2d { stride: [stride; 2], padding: [padding; 4], ..Conv2d::default() },
            end: End::Relu,
        })
    }

    /// `conv.weight` without a bias, and the batch norm `norm`, by its running statistics: with s = γ/√(var + 1e-5) a convolution
    /// by s·w with the bias β − s·mean.
    pub fn normalised(
        weights: &Weights,
        network: &str,
        [conv, norm]: [&str; 2],
        [channels, filters, kernel]: [usize; 3],
        Conv2d { stride, groups, .. }: Conv2d,
        end: End,
    ) -> Result<Conv> {
        let per_group = channels / groups;
        let shape = [filters, per_group, kernel, kernel];
        let mut weight = weights.values(network, &format!("{conv}.weight"), &shape)?;
        let of = |part: &str| weights.values(network, &format!("{norm}.{part}"), &[filters]);
        let (gamma, beta, mean, var) = (of("weight")?, of("bias")?, of("running_mean")?, of("running_var")?);
        let scale: Vec<f64> = gamma.iter().zip(&var).map(|(gamma, var)| gamma / (var + 1e-5).sqrt()).collect();
        for (filter, scale) in weight.chunks_exact_mut(per_group * kernel * kernel).zip(&scale) {
            filter.iter_mut().for_each(|w| *w *= scale);
        }
        let bias: Vec<f64> = (0..filters).map(|i| beta[i] - scale[i] * mean[i]).collect();
        Ok(Conv {
            weight: Tensor::from_f64(weights.device(), shape, &weight),
            bias: Tensor::from_f64(weights.device(), [filters], &bias),
            conv: Conv2d { stride, padding: [kernel / 2; 4], groups, ..Conv2d::default() },
            end,
        })
    }

    pub fn of(&self, x: &Tensor) -> Tensor {
        let y = |f| x.conv2d_activated(&self.weight, Some(&self.bias), self.conv, f);
        match self.end {
            End::Identity => y(Activation::Identity),
            End::Relu => y(Activation::LeakyRelu { slope: 0.0 }),
            End::Relu6 => y(Activation::Identity).clamp(0.0, 6.0),
        }
    }
}

/// A layer of a chain.
pub(super) enum Layer {
    /// A convolution.
    Conv(Conv),
    /// The largest of each window.
    MaxPool(Pool2d),
    /// SqueezeNet's: a convolution 1, then one of 1 and one of 3 side by side.
    Fire {
        /// 1x1, to few channels.
        squeeze: Conv,
        /// 1x1 and 3x3, to many.
        expand: [Conv; 2],
    },
    /// MobileNetV2's: convolutions one after the other, and a way around them where the shape stays.
    Inverted {
        /// Wide, by channel, narrow.
        convs: Vec<Conv>,
        /// Whether the input is added.
        skip: bool,
    },
}

impl Layer {
    fn of(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Layer::Conv(conv) => conv.of(x),
            Layer::MaxPool(pool) => x.max_pool2d(*pool)?,
            Layer::Fire { squeeze, expand: [one, three] } => {
                let x = squeeze.of(x);
                Tensor::concat(&[&one.of(&x), &three.of(&x)], 1)
            }
            Layer::Inverted { convs, skip } => {
                let y = convs.iter().fold(x.clone(), |x, conv| conv.of(&x));
                if *skip { x + y } else { y }
            }
        })
    }
}

/// Named layers.
pub(super) struct Chain {
    layers: Vec<(String, Layer)>,
    scale: Tensor,
    shift: Tensor,
}

impl Chain {
    pub fn new(device: &Device) -> Chain {
        // From [−1, 1] to [0, 1], then minus the mean, over the deviation.
        let row = |of: fn(usize) -> f64| Tensor::from_f64(device, [3], &[of(0), of(1), of(2)]);
        Chain { layers: Vec::new(), scale: row(|c| 0.5 / DEVIATION[c]), shift: row(|c| (0.5 - MEAN[c]) / DEVIATION[c]) }
    }

    pub fn push(&mut self, name: impl Into<String>, layer: Layer) {
        self.layers.push((name.into(), layer));
    }

    pub fn names(&self) -> Vec<String> {
        self.layers.iter().map(|(name, _)| name.clone()).collect()
    }

    pub fn features(&self, x: &Tensor, names: &[String]) -> Result<Vec<Tensor>> {
        let mut y = x.channel_affine(Some(&self.scale), Some(&self.shift));
        let mut found = Vec::new();
        for (name, layer) in &self.layers {
            if found.len() == names.len() {
                break;
            }
            y = layer.of(&y)?;
            if names.contains(name) {
                found.push(y.clone());
            }
        }
        Ok(found)
    }
}

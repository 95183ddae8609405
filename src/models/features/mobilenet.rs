//! The convolutional part of MobileNetV2 (Sandler et al. 2018), under torchvision's names.

use super::chain::{Chain, Conv, End, Layer};
use super::{FeatureNetwork, Weights};
use crate::error::Result;
use crate::ops::Conv2d;

/// Expansion, channels, blocks, stride of the first block (Sandler et al. 2018, table 2).
const BLOCKS: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// The nearest multiple of 8 that is not more than a tenth below.
fn round(channels: f64) -> usize {
    let nearest = ((channels / 8.0 + 0.5).floor() as usize * 8).max(8);
    if (nearest as f64) < 0.9 * channels { nearest + 8 } else { nearest }
}

/// The network, with all widths times `width` (1 as published).
///
/// A convolution 3 of stride 2; inverted residual blocks: a convolution 1 to a multiple of the channels (left out where the multiple
/// is 1), one 3 by channel, one 1 back without activation, and the input added where the shape stays; a convolution 1 to 1,280
/// channels, at least. Batch norm by running statistics after each, min(max(x, 0), 6) but for the last of a block. Layers are called
/// as in the file: `features.0` is the first convolution, `features.1` to `features.17` the blocks.
///
/// # Errors
/// As [`Weights::values`].
pub fn mobilenet_v2(weights: &Weights, width: f64) -> Result<FeatureNetwork> {
    let name = "MobileNetV2";
    let conv = |place: &str, norm: &str, sizes: [usize; 3], stride: usize, groups: usize, end: End| {
        let conv = Conv2d { stride: [stride; 2], groups, ..Conv2d::default() };
        Conv::normalised(weights, name, [place, norm], sizes, conv, end)
    };
    let mut chain = Chain::new(weights.device());
    let mut from = round(32.0 * width);
    let first = conv("features.0.0", "features.0.1", [3, from, 3], 2, 1, End::Relu6)?;
    chain.push("features.0", Layer::Conv(first));
    let mut number = 0;
    for (expansion, channels, blocks, first_stride) in BLOCKS {
        let to = round(channels as f64 * width);
        for block in 0..blocks {
            number += 1;
            let stride = if block == 0 { first_stride } else { 1 };
            let (wide, place) = (from * expansion, format!("features.{number}.conv"));
            let mut convs = Vec::new();
            let mut part = 0;
            if expansion > 1 {
                let (at, norm) = (format!("{place}.{part}.0"), format!("{place}.{part}.1"));
                convs.push(conv(&at, &norm, [from, wide, 1], 1, 1, End::Relu6)?);
                part += 1;
            }
            let (at, norm) = (format!("{place}.{part}.0"), format!("{place}.{part}.1"));
            convs.push(conv(&at, &norm, [wide, wide, 3], stride, wide, End::Relu6)?);
            let (at, norm) = (format!("{place}.{}", part + 1), format!("{place}.{}", part + 2));
            convs.push(conv(&at, &norm, [wide, to, 1], 1, 1, End::Identity)?);
            chain.push(format!("features.{number}"), Layer::Inverted { convs, skip: stride == 1 && from == to });
            from = to;
        }
    }
    let last = round(1280.0 * width.max(1.0));
    let conv = conv("features.18.0", "features.18.1", [from, last, 1], 1, 1, End::Relu6)?;
    chain.push("features.18", Layer::Conv(conv));
    let style = ["features.0", "features.1", "features.3", "features.6", "features.10"];
    Ok(FeatureNetwork::chain(name, chain, &style, "features.6"))
}

//! The convolutional part of SqueezeNet 1.1 (Iandola et al. 2016), under torchvision's names.

use super::chain::{Chain, Conv, Layer};
use super::{FeatureNetwork, Weights};
use crate::error::Result;
use crate::ops::Pool2d;

/// The network, with all widths divided by `divide` (1 as published).
///
/// A convolution 3 of stride 2; fire modules, which squeeze to few channels by a convolution 1 and expand by convolutions 1 and 3
/// side by side; three times the largest of 3x3 pixels at stride 2, a last window reaching over the border. Layers are called
/// as in the file: `features.1` is the first ReLU, `features.3` the first fire module.
///
/// # Errors
/// As [`Weights::values`].
pub fn squeezenet(weights: &Weights, divide: usize) -> Result<FeatureNetwork> {
    let name = "SqueezeNet 1.1";
    let pool = Pool2d { ceil_mode: true, ..Pool2d::new(3).stride(2) };
    let mut chain = Chain::new(weights.device());
    let mut from = 64 / divide;
    let first = Conv::plain(weights, name, "features.0", [3, from, 3], [2, 0])?;
    chain.push("features.1", Layer::Conv(first));
    for (number, fire) in (2..).zip([0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64]) {
        let place = format!("features.{number}");
        if fire == 0 {
            chain.push(place, Layer::MaxPool(pool));
            continue;
        }
        let (few, many) = (fire / divide, 4 * fire / divide);
        let conv = |part: &str, sizes: [usize; 3]| {
            Conv::plain(weights, name, &format!("{place}.{part}"), sizes, [1, sizes[2] / 2])
        };
        let squeeze = conv("squeeze", [from, few, 1])?;
        let expand = [conv("expand1x1", [few, many, 1])?, conv("expand3x3", [few, many, 3])?];
        chain.push(place, Layer::Fire { squeeze, expand });
        from = 2 * many;
    }
    let style = ["features.1", "features.3", "features.4", "features.7", "features.9"];
    Ok(FeatureNetwork::chain(name, chain, &style, "features.7"))
}

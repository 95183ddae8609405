//! The convolutional part of VGG-16 and VGG-19 (Simonyan and Zisserman 2015), under torchvision's names.

use super::chain::{Chain, Conv, Layer};
use super::{FeatureNetwork, Weights};
use crate::error::Result;
use crate::ops::Pool2d;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vgg {
    /// Two, two, three, three, three convolutions.
    Vgg16,
    /// Two, two, four, four, four.
    Vgg19,
}

/// The network, whose first convolutions have `width` filters (64 as published).
///
/// Convolutions 3 with one zero a side and ReLU; widths 1, 2, 4, 8 and 8 times `width`; the largest of 2x2 pixels between. In the
/// file `features.N.weight` and `.bias`, where N counts convolutions, ReLUs and poolings. Layers are called `relu1_1` and so on.
///
/// # Errors
/// As [`Weights::values`].
pub fn vgg(weights: &Weights, which: Vgg, width: usize) -> Result<FeatureNetwork> {
    let (name, convs) = match which {
        Vgg::Vgg16 => ("VGG-16", [2, 2, 3, 3, 3]),
        Vgg::Vgg19 => ("VGG-19", [2, 2, 4, 4, 4]),
    };
    let (mut chain, mut from, mut number) = (Chain::new(weights.device()), 3, 0);
    for (block, convs) in (1..).zip(convs) {
        let to = width << (block - 1).min(3);
        for i in 1..=convs {
            let conv = Conv::plain(weights, name, &format!("features.{number}"), [from, to, 3], [1, 1])?;
            chain.push(format!("relu{block}_{i}"), Layer::Conv(conv));
            (from, number) = (to, number + 2);
        }
        chain.push(format!("pool{block}"), Layer::MaxPool(Pool2d::new(2)));
        number += 1;
    }
    let style = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"];
    Ok(FeatureNetwork::chain(name, chain, &style, "relu4_2"))
}

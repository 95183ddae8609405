//! Adaptive instance normalisation (Huang and Belongie 2017): any style in one pass, by a decoder of restyled features.

use super::encoder::Encoder;
use crate::error::Result;
use crate::models::FeatureNetwork;
use crate::nn::{Mode, Module, Sequential};
use crate::ops::losses::mse;
use crate::ops::reduce_more::Variance;
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// What is added to variances.
const EPS: f64 = 1e-5;

/// The method's weights and layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdainConfig {
    /// The layer of the feature network that ends the encoder [default: the one that tells the content].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// Weight of the content loss.
    #[serde(default = "one")]
    pub content: f64,
    /// Weight of the style loss.
    #[serde(default = "ten")]
    pub style: f64,
}

fn one() -> f64 {
    1.0
}

fn ten() -> f64 {
    10.0
}

/// The layers that the losses look at: the network's style layers up to the encoder's end, and that.
pub(super) fn layers(network: &FeatureNetwork, end: &str) -> Vec<String> {
    let known = network.layers();
    let last = known.iter().position(|layer| layer == end).unwrap_or(known.len());
    let looked = |(i, layer): &(usize, &String)| *i == last || *i < last && network.style_layers().contains(layer);
    known.iter().enumerate().filter(looked).map(|(_, layer)| layer.clone()).collect()
}

/// strength·Σ wᵢ·AdaIN(c, sᵢ) + (1 − strength)·c for the features c of contents [N, C, H, W] and those of styles with weights of sum 1:
/// each content's planes with the means and standard deviations (unbiased, √(var + 1e-5)) of a style's.
pub(super) fn blended(content: &Tensor, styles: &[(Tensor, f64)], strength: f64) -> Tensor {
    let restyled = styles.iter().map(|(style, weight)| content.adain(style, EPS, Variance::Sample) * *weight);
    let restyled = restyled.reduce(|a, b| a + b).unwrap_or_else(|| content.clone());
    restyled * strength + content * (1.0 - strength)
}

/// [content + style, content, style] of the decoder on a batch: with t = AdaIN(c, s) and g the features of its image, mean (g − t)², times
/// the weight; and over the layers mean (μ(g) − μ(s))² + mean (σ(g) − σ(s))², times the weight.
pub(super) fn losses(
    encoder: &Encoder,
    decoder: &Sequential,
    config: &AdainConfig,
    content: &Tensor,
    style: &Tensor,
) -> Result<[Tensor; 3]> {
    let (target, styles) = no_grad(|| -> Result<_> {
        let styles = encoder.features(style)?;
        let end = styles.last().expect("an encoder has layers").clone();
        Ok((blended(&encoder.end(content)?, &[(end, 1.0)], 1.0), styles))
    })?;
    let image = decoder.forward(&target, Mode::Train);
    let found = encoder.features(&image)?;
    let content = mse(found.last().expect("an encoder has layers"), &target) * config.content;
    let deviation = |x: &Tensor| (x.var_axes(&[2, 3], Variance::Sample) + EPS).sqrt();
    let each = found.iter().zip(&styles).map(|(g, s)| {
        mse(&g.mean_axes(&[2, 3]), &s.mean_axes(&[2, 3])) + mse(&deviation(g), &no_grad(|| deviation(s)))
    });
    let style = each.reduce(|a, b| a + b).expect("an encoder has layers") * config.style;
    Ok([&content + &style, content, style])
}

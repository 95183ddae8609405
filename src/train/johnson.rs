//! Perceptual losses (Johnson et al. 2016): a network learns one style, whose Gram matrices its images shall have.

use super::encoder::Encoder;
use crate::error::Result;
use crate::models::JohnsonSpec;
use crate::nn::{Mode, Module, Sequential};
use crate::ops::losses::{GramNorm, gram_matrix, mse, total_variation_l2};
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// The style and the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JohnsonConfig {
    /// The picture whose style is learnt.
    pub style: String,
    /// Its longer side, in pixels.
    #[serde(default = "two_hundred_and_fifty_six")]
    pub style_size: usize,
    /// Weight of the content loss.
    #[serde(default = "one")]
    pub content_weight: f64,
    /// Weight of the style loss.
    #[serde(default = "published")]
    pub style_weight: f64,
    /// Weight of the squared differences of neighbouring pixels, a mean over the image's values.
    #[serde(default)]
    pub tv_weight: f64,
    /// The network from contents to restyled images.
    #[serde(default)]
    pub network: JohnsonSpec,
}

fn two_hundred_and_fifty_six() -> usize {
    256
}

fn one() -> f64 {
    1.0
}

fn published() -> f64 {
    1e5
}

/// The Gram matrices, divided by C·H·W, that images of the style have.
pub(super) fn style_targets(encoder: &Encoder, style: &Tensor) -> Result<Vec<Tensor>> {
    no_grad(|| Ok(encoder.styles(style)?.iter().map(|f| gram_matrix(f, GramNorm::Elements)).collect()))
}

/// [all, content, style] of the network on contents [N, 3, H, W]: mean (F − P)² at the content layer, and Σ mean (G(F) − G(A))² over the
/// style layers, times their weights, plus total variation.
pub(super) fn losses(
    encoder: &Encoder,
    network: &Sequential,
    config: &JohnsonConfig,
    content: &Tensor,
    targets: &[Tensor],
) -> Result<[Tensor; 3]> {
    let wanted = no_grad(|| encoder.content(content))?;
    let image = network.forward(content, Mode::Train);
    let (found, styles) = encoder.content_and_styles(&image)?;
    let content = mse(&found, &wanted) * config.content_weight;
    let each = styles.iter().zip(targets).map(|(f, target)| mse(&gram_matrix(f, GramNorm::Elements), target));
    let style = each.reduce(|a, b| a + b).expect("a network has style layers") * config.style_weight;
    let mut all = &content + &style;
    if config.tv_weight > 0.0 {
        all = all + total_variation_l2(&image) * (config.tv_weight / image.len() as f64);
    }
    Ok([all, content, style])
}

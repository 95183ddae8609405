//! One picture in the style of another by optimising its pixels (Gatys et al. 2016).

use super::features::open_features;
use super::memory::check_picture;
use crate::autograd::grad_consuming;
use crate::error::{Error, Result};
use crate::models::FeatureNetwork;
use crate::nn::Parameter;
use crate::ops::losses::{GramNorm, gram_matrix, mse, total_variation_l2};
use crate::optim::lbfgs::minimise;
use crate::optim::{Adam, AdamConfig, AdamConvention, LbfgsConfig};
use crate::tensor::plan::{is_planning, plan};
use crate::tensor::{Device, Tensor, no_grad};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What counts, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Of the content's distance; 1 as published.
    pub content: f64,
    /// Of the style's distances; 1 as published.
    pub style: f64,
    /// Of the squared differences of neighbouring pixels; 0 as published.
    pub smooth: f64,
    /// The layer whose activations tell the content.
    pub content_layer: String,
    /// The layers whose Gram matrices tell the style.
    pub style_layers: Vec<String>,
}

/// The loss of a picture, in parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// content + style, weighted, and the differences of neighbours.
    pub total: f64,
    /// The content's part.
    pub content: f64,
    /// The style's.
    pub style: f64,
}

/// How the pixels are moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam with a learning rate for pixels in [−1, 1]; β 0.9 and 0.999.
    Adam {
        /// Learning rate.
        lr: f64,
    },
    /// L-BFGS.
    Lbfgs(LbfgsConfig),
}

/// The distance of pictures from a content and a style.
///
/// α·mean (F − P)² at the content layer, plus β·Σ wₗ·mean (G(Fₗ) − G(Aₗ))² over the style layers, wₗ = 1000/nₗ² for nₗ channels, G(F) =
/// F·Fᵀ/(h·w), plus γ·Σ (differences of neighbouring pixels)² over the number of values; F are the picture's activations, P the content's, A the style's. The published network was scaled so that activations
/// have a mean of 1; here each layer's are divided by the mean of their sizes on the style (at the content layer: on the content).
pub struct Distance<'a> {
    network: &'a FeatureNetwork,
    weights: Weights,
    layers: Vec<String>,
    content: (f64, Tensor),
    style: Vec<(f64, f64, Tensor)>,
}

impl<'a> Distance<'a> {
    /// The distance from `content` and `style`, images [1, 3, H, W] in [−1, 1]; they may differ in size.
    ///
    /// # Errors
    /// A layer that there is not, a layer that is zero everywhere, images that are too small, what went wrong on the device.
    pub fn new(
        network: &'a FeatureNetwork,
        weights: Weights,
        content: &Tensor,
        style: &Tensor,
    ) -> Result<Distance<'a>> {
        let of = |image: &Tensor, names: &[String]| no_grad(|| network.features(image, names));
        let size = |layer: &str, x: &Tensor| match no_grad(|| x.abs().mean()).item()? {
            _ if is_planning() => Ok(1.0),
            size if size > 0.0 && size.is_finite() => Ok(1.0 / size),
            size => {
                let why = format!("{layer} of {} has a mean size of {size}: take other layers", network.name());
                Err(Error::Invalid(why))
            }
        };
        // In the network's order, in which they come.
        let asked = |layer: &&String| weights.style_layers.contains(layer);
        let style_layers: Vec<String> = network.layers().iter().filter(asked).cloned().collect();
        if let Some(unknown) = weights.style_layers.iter().find(|layer| !style_layers.contains(layer)) {
            let known = network.layers().join(", ");
            return Err(Error::Usage(format!("{} has no layer {unknown:?}; it has {known}", network.name())));
        }
        let target = of(content, std::slice::from_ref(&weights.content_layer))?.remove(0);
        let content_scale = size(&weights.content_layer, &target)?;
        let mut targets = Vec::new();
        for (layer, x) in style_layers.iter().zip(of(style, &style_layers)?) {
            let (scale, n) = (size(layer, &x)?, x.dim(1) as f64);
            let gram = no_grad(|| gram_matrix(&(x * scale), GramNorm::Places));
            targets.push((scale, 1000.0 / (n * n), gram));
        }
        let content = (content_scale, no_grad(|| target * content_scale));
        let all = |layer: &&String| style_layers.contains(layer) || **layer == weights.content_layer;
        let layers = network.layers().iter().filter(all).cloned().collect();
        let weights = Weights { style_layers, ..weights };
        Ok(Distance { network, weights, layers, content, style: targets })
    }

    /// The loss of an image, differentiable, and its two parts.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn of(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        let features = self.network.features(x, &self.layers)?;
        let (mut content, mut style) = (Vec::new(), Vec::new());
        let mut targets = self.style.iter();
        for (layer, f) in self.layers.iter().zip(&features) {
            if *layer == self.weights.content_layer {
                let (scale, target) = &self.content;
                content.push(mse(&(f * *scale), target) * self.weights.content);
            }
            if self.weights.style_layers.contains(layer)
                && let Some((scale, weight, target)) = targets.next()
            {
                let gram = gram_matrix(&(f * *scale), GramNorm::Places);
                style.push(mse(&gram, target) * (self.weights.style * weight));
            }
        }
        let sum = |parts: Vec<Tensor>| parts.into_iter().reduce(|a, b| a + b);
        let zero = || Tensor::scalar(x.device(), 0.0);
        let (content, style) = (sum(content).unwrap_or_else(zero), sum(style).unwrap_or_else(zero));
        let mut total = &content + &style;
        if self.weights.smooth > 0.0 {
            total = total + total_variation_l2(x) * (self.weights.smooth / x.len() as f64);
        }
        Ok([total, content, style])
    }

    /// The losses of an image and the gradient by its pixels.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn evaluate(&self, x: &Tensor) -> Result<(Losses, Tensor)> {
        let [total, content, style] = self.of(x)?;
        let parts = [total.detach(), content.detach(), style.detach()];
        drop((content, style));
        let dx = grad_consuming(total, &[x]).remove(0);
        let [total, content, style] = parts;
        Ok((Losses { total: total.item()?, content: content.item()?, style: style.item()? }, dx))
    }
}

/// The bytes that the evaluations take for pictures of these heights and widths, by features opened as
/// [`open_features`] does: tensors at the fullest point, and what L-BFGS remembers. On a GPU, too, counted as on `cpu`.
///
/// # Errors
/// As [`open_features`] and [`Distance::new`].
pub fn memory(
    (features, seed): (&str, u64),
    weights: &Weights,
    [content, style]: [[usize; 2]; 2],
    (rule, evaluations): (Rule, usize),
) -> Result<u64> {
    let (walked, planned) = plan(|| -> Result<()> {
        let image = |[h, w]: [usize; 2]| Tensor::zeros(&Device::Cpu, [1, 3, h, w]);
        let (network, _) = open_features(features, seed, &Device::Cpu)?;
        let distance = Distance::new(&network, weights.clone(), &image(content), &image(style))?;
        (0..2).try_for_each(|_| distance.evaluate(&image(content)).map(|_| ()))
    });
    walked?;
    let numbers = 3 * (content[0] * content[1]) as u64;
    Ok(planned.resident
        + match rule {
            Rule::Adam { .. } => 4 * 4 * numbers, // moments, the gradient, the best picture
            // Two f32 a step that is remembered; points, gradients and directions in f64.
            Rule::Lbfgs(config) => numbers * (8 * config.history.min(evaluations) as u64 + 8 * 8),
        })
}

/// Refuses evaluations for which more memory is needed than is free; `path` names the content.
///
/// # Errors
/// Names both sizes and what to do.
pub fn check_memory(path: &Path, size: [usize; 2], needed: u64) -> Result<()> {
    check_picture(path, size, needed, "take a smaller --size, or --optimizer adam, which remembers less")
}

/// What optimisation ended with.
pub struct Optimised {
    /// The picture of the lowest loss that was evaluated: [3, H, W], not clamped to [−1, 1].
    pub picture: Vec<f32>,
    /// The losses of all evaluations; the first are the start's.
    pub losses: Vec<Losses>,
    /// The number of the evaluation that gave the picture, from 0.
    pub best: usize,
}

/// Moves the pixels of `start` [1, 3, H, W] downhill for so many evaluations of loss and gradient, or until `stop` is set. `watch` sees each.
///
/// # Errors
/// A loss that is not a number, what went wrong on the device.
pub fn optimise(
    distance: &Distance,
    start: &Tensor,
    rule: Rule,
    evaluations: usize,
    stop: &AtomicBool,
    mut watch: impl FnMut(usize, &Losses),
) -> Result<Optimised> {
    let (device, shape) = (start.device().clone(), start.shape().clone());
    let (mut losses, mut best) = (Vec::<Losses>::new(), (f64::INFINITY, 0, Vec::new()));
    let mut evaluate = |x: &Tensor| -> Result<Option<(f64, Tensor)>> {
        if losses.len() >= evaluations || stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (found, dx) = distance.evaluate(x)?;
        if found.total < best.0 {
            best = (found.total, losses.len(), x.to_vec()?);
        }
        losses.push(found);
        watch(losses.len(), &found);
        Ok(Some((found.total, dx)))
    };
    match rule {
        Rule::Adam { lr } => {
            let pixels = Parameter::new(start.detach());
            let config = AdamConfig { lr, betas: [0.9, 0.999], eps: 1e-8, convention: AdamConvention::Torch };
            let mut adam = Adam::new(config, vec![("pixels".into(), pixels.clone())]);
            while let Some((loss, dx)) = evaluate(&pixels.get())? {
                if !loss.is_finite() {
                    let why = "take a smaller --lr or smaller weights";
                    return Err(Error::Train(format!("the loss is {loss}: the optimisation has failed; {why}")));
                }
                adam.step(&[dx])?;
            }
        }
        Rule::Lbfgs(config) => {
            minimise(config, start.to_vec_f64()?, |x| match evaluate(&Tensor::from_f64(&device, shape.clone(), x))? {
                Some((loss, dx)) => Ok(Some((loss, dx.to_vec_f64()?))),
                None => Ok(None),
            })?;
        }
    }
    let (_, number, picture) = best;
    if picture.is_empty() {
        return Err(Error::Train("stopped before the first evaluation: there is no picture".into()));
    }
    Ok(Optimised { picture, losses, best: number })
}

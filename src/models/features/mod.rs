//! Feature networks: fixed networks whose inner layers describe images, for losses that compare more than pixels.
//!
//! torchvision's VGG-16 and VGG-19, SqueezeNet 1.1 and MobileNetV2 out of a safetensors file with torchvision's names; the layers of
//! a pattern classifier that `toile` trained; random filters at several scales.

mod chain;
mod mobilenet;
mod random;
mod squeezenet;
mod vgg;
mod weights;

pub use mobilenet::mobilenet_v2;
pub use squeezenet::squeezenet;
pub use vgg::{Vgg, vgg};
pub use weights::Weights;

use super::Classifier;
use crate::error::{Error, Result};
use crate::tensor::{Device, Tensor};
use chain::Chain;
use random::RandomScales;
use std::path::Path;

/// A fixed network whose layers describe images.
pub struct FeatureNetwork {
    name: String,
    network: Network,
    layers: Vec<String>,
    style: Vec<String>,
    content: String,
}

enum Network {
    /// Layers one after the other, for images normalised as ImageNet's.
    Chain(Chain),
    /// `toile`'s own.
    Classifier(Box<Classifier>),
    /// Random filters.
    Random(RandomScales),
}

impl FeatureNetwork {
    /// The network that a safetensors file holds under torchvision's names, told apart by them.
    ///
    /// # Errors
    /// A file that cannot be read or holds none of the networks, a tensor that is missing or of another shape: names file, tensor
    /// and shapes.
    pub fn open(path: &Path, device: &Device) -> Result<FeatureNetwork> {
        let weights = Weights::open(path, device)?;
        let has = |name: &str| weights.has(name);
        if has("features.0.0.weight") {
            mobilenet_v2(&weights, 1.0)
        } else if has("features.3.squeeze.weight") || has("features.4.squeeze.weight") {
            squeezenet(&weights, 1)
        } else if has("features.1.running_mean") {
            let why = "holds a VGG with batch norm; take one without (torchvision's vgg16 or vgg19)";
            Err(Error::file(path, why))
        } else if has("features.34.weight") {
            vgg(&weights, Vgg::Vgg19, 64)
        } else if has("features.0.weight") {
            vgg(&weights, Vgg::Vgg16, 64)
        } else {
            let some: Vec<String> = weights.names().into_iter().take(3).collect();
            let why = format!(
                "holds none of the networks that are known, by torchvision's names: VGG-16, VGG-19, SqueezeNet 1.1 or \
                 MobileNetV2 (its tensors are called {}, ...)",
                some.join(", ")
            );
            Err(Error::file(path, why))
        }
    }

    fn chain(name: &str, chain: Chain, style: &[&str], content: &str) -> FeatureNetwork {
        FeatureNetwork {
            name: name.into(),
            layers: chain.names(),
            network: Network::Chain(chain),
            style: style.iter().map(|layer| layer.to_string()).collect(),
            content: content.into(),
        }
    }

    /// The layers of a classifier of garments' patterns.
    pub fn classifier(classifier: Classifier) -> FeatureNetwork {
        let layers = Classifier::feature_layers();
        FeatureNetwork {
            name: "pattern classifier trained by toile".into(),
            style: layers.clone(),
            content: layers[2].clone(),
            layers,
            network: Network::Classifier(Box::new(classifier)),
        }
    }

    /// Random filters at several scales, drawn under `seed`.
    pub fn random(seed: u64, device: &Device) -> FeatureNetwork {
        let random = RandomScales::new(seed, device);
        let layers = random.names();
        FeatureNetwork {
            name: format!("random filters of seed {seed} at {} scales", layers.len()),
            style: layers.clone(),
            content: layers[1].clone(),
            layers,
            network: Network::Random(random),
        }
    }

    /// What it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers that can be asked for, in order.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The layers whose statistics tell a style, unless the user says otherwise.
    pub fn style_layers(&self) -> &[String] {
        &self.style
    }

    /// The layer that tells the content, unless the user says otherwise.
    pub fn content_layer(&self) -> &str {
        &self.content
    }

    /// What the layers of these names give, in the network's order, for images [N, 3, H, W] in [−1, 1]; nothing behind the last
    /// of them is computed. Differentiable by the images.
    ///
    /// # Errors
    /// A layer that there is not; images that are too small; what went wrong on the device.
    pub fn features(&self, x: &Tensor, names: &[String]) -> Result<Vec<Tensor>> {
        if let Some(unknown) = names.iter().find(|name| !self.layers.contains(name)) {
            let known = self.layers.join(", ");
            return Err(Error::Usage(format!("{} has no layer {unknown:?}; it has {known}", self.name)));
        }
        if x.dim(2).min(x.dim(3)) < 16 {
            let (h, w) = (x.dim(2), x.dim(3));
            return Err(Error::Invalid(format!("features: images of {w}x{h} are too small; take at least 16x16")));
        }
        match &self.network {
            Network::Chain(chain) => chain.features(x, names),
            Network::Classifier(classifier) => Ok(classifier.features(x, names)),
            Network::Random(random) => Ok(random.features(x, names)),
        }
    }
}

//! What compares images in feed-forward style transfer: layers of a feature network, each at a size of about one.

use super::adain;
use super::recipe::Style;
use crate::error::{Error, Result};
use crate::models::{DecoderSpec, FeatureNetwork};
use crate::nn::Parameter;
use crate::tensor::{Device, Tensor, no_grad};

/// Chosen layers of a feature network, each divided by the mean of its sizes on some images of the data.
pub(super) struct Encoder {
    pub network: FeatureNetwork,
    layers: Vec<String>,
    content: String,
    styles: Vec<String>,
    /// 1 over the mean sizes, in the layers' order.
    pub scales: Parameter,
    factors: Vec<f64>,
}

impl Encoder {
    /// Without scales: they come from images or a checkpoint.
    pub fn new(network: FeatureNetwork, objective: &Style, device: &Device) -> Result<Encoder> {
        let content = match objective {
            Style::Adain(config) => config.layer.clone().unwrap_or_else(|| network.content_layer().into()),
            Style::Johnson(_) => network.content_layer().into(),
        };
        let styles = match objective {
            Style::Adain(_) => adain::layers(&network, &content),
            Style::Johnson(_) => network.style_layers().to_vec(),
        };
        if !network.layers().contains(&content) {
            let known = network.layers().join(", ");
            return Err(Error::Usage(format!("{} has no layer {content:?}; it has {known}", network.name())));
        }
        let asked = |layer: &&String| **layer == content || styles.contains(layer);
        let layers: Vec<String> = network.layers().iter().filter(asked).cloned().collect();
        let scales = Parameter::new(Tensor::full(device, [layers.len()], 1.0));
        Ok(Encoder { network, factors: vec![1.0; layers.len()], layers, content, styles, scales })
    }

    /// The mean size of each layer's values on images.
    pub fn sizes(&self, images: &Tensor) -> Result<Vec<f64>> {
        let found = no_grad(|| self.network.features(images, &self.layers))?;
        found.into_iter().map(|x| no_grad(|| x.abs().mean()).item()).collect()
    }

    /// Divides each layer from now on by the mean size of its values on images.
    ///
    /// # Errors
    /// A layer without values, what went wrong on the device.
    pub fn measure(&mut self, images: &Tensor) -> Result<()> {
        let mut sizes = Vec::new();
        for (layer, size) in self.layers.iter().zip(self.sizes(images)?) {
            if !(size > 0.0 && size.is_finite()) {
                let why = format!("{layer} of {} has a mean size of {size} on the data", self.network.name());
                return Err(Error::Invalid(why));
            }
            sizes.push(1.0 / size);
        }
        self.scales.set(Tensor::from_f64(images.device(), [sizes.len()], &sizes));
        self.use_scales()
    }

    /// Takes the scales as they stand, after a checkpoint has set them.
    pub fn use_scales(&mut self) -> Result<()> {
        self.factors = self.scales.get().to_vec_f64()?;
        Ok(())
    }

    fn named(&self, x: &Tensor, names: &[String]) -> Result<Vec<Tensor>> {
        let factor =
            |name: &String| self.layers.iter().position(|layer| layer == name).map_or(1.0, |at| self.factors[at]);
        // They come in the network's order, as `layers` and what is made of it.
        let found = self.network.features(x, names)?;
        let names = self.layers.iter().filter(|layer| names.contains(layer));
        Ok(found.into_iter().zip(names).map(|(f, name)| f * factor(name)).collect())
    }

    /// All layers, in order.
    pub fn features(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        self.named(x, &self.layers)
    }

    /// The last layer alone.
    pub fn end(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.named(x, &self.layers[self.layers.len() - 1..])?.remove(0))
    }

    /// The layer that tells the content.
    pub fn content(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.named(x, std::slice::from_ref(&self.content))?.remove(0))
    }

    /// The layers that tell the style.
    pub fn styles(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        self.named(x, &self.styles)
    }

    /// Both.
    pub fn content_and_styles(&self, x: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
        let all = self.features(x)?;
        let at = self.layers.iter().position(|layer| *layer == self.content).expect("checked when made");
        let styles = self.layers.iter().zip(&all).filter(|(layer, _)| self.styles.contains(layer));
        Ok((all[at].clone(), styles.map(|(_, f)| f.clone()).collect()))
    }

    /// Channels of the last layer, and how often it has halved the image.
    pub fn depth(&self, device: &Device) -> Result<DecoderSpec> {
        let probe = no_grad(|| self.end(&Tensor::zeros(device, [1, 3, 64, 64])))?;
        let (channels, side) = (probe.dim(1), probe.dim(2));
        if !64usize.is_multiple_of(side) || !(64 / side).is_power_of_two() || probe.dim(3) != side {
            let (layer, name) = (&self.layers[self.layers.len() - 1], self.network.name());
            let why = format!("{layer} of {name} has {side} rows for images of 64: a decoder needs 64, 32, 16 or 8");
            return Err(Error::Usage(why));
        }
        Ok(DecoderSpec { channels, halvings: (64 / side).trailing_zeros() as usize })
    }
}

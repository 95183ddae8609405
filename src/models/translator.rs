//! A network from images to images, whichever of the published ones a recipe names.

use super::{ResnetSpec, Unet, UnetSpec};
use crate::nn::init::Initializer;
use crate::nn::{Draws, Mode, Module, Parameter, Sequential, Strips, recomputed};
use crate::ops::Activation;
use crate::tensor::{Tensor, is_recording};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which network, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranslatorSpec {
    /// CycleGAN's and CUT's.
    Resnet(ResnetSpec),
    /// pix2pix's.
    Unet(UnetSpec),
}

impl TranslatorSpec {
    /// The network for images of `channels` channels; dropout takes its masks from `draws`.
    pub fn build(&self, channels: usize, init: &mut Initializer, draws: &Draws) -> Translator {
        match self {
            TranslatorSpec::Resnet(spec) => Translator::Resnet(spec.build([channels; 2], init)),
            TranslatorSpec::Unet(spec) => {
                Translator::Unet { network: Arc::new(spec.build([channels; 2], init, draws)), recomputes: false }
            }
        }
    }

    /// What height and width must be multiples of.
    pub fn multiple(&self) -> usize {
        match self {
            TranslatorSpec::Resnet(_) => 4,
            TranslatorSpec::Unet(spec) => 1 << spec.downs,
        }
    }
}

/// A network built by [`TranslatorSpec::build`]. Clones share their parameters.
#[derive(Clone)]
pub enum Translator {
    /// CycleGAN's and CUT's.
    Resnet(Sequential),
    /// pix2pix's.
    Unet {
        /// The network.
        network: Arc<Unet>,
        /// Whether it is computed again for its gradient.
        recomputes: bool,
    },
}

impl Translator {
    /// The same network; with `yes`, activations inside it are computed again for the gradient instead of being kept: those
    /// of a ResNet in stretches ([`Sequential::recomputing`]), a U-Net, whose levels all skip to others, as a whole.
    #[must_use]
    pub fn recomputing(self, yes: bool) -> Translator {
        match self {
            Translator::Resnet(network) => Translator::Resnet(network.recomputing(yes)),
            Translator::Unet { network, .. } => Translator::Unet { network, recomputes: yes },
        }
    }

    fn network(&self) -> &dyn Module {
        match self {
            Translator::Resnet(network) => network,
            Translator::Unet { network, .. } => &**network,
        }
    }
}

impl Module for Translator {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Translator::Unet { network, recomputes: true } if is_recording() => recomputed(network.clone(), x, mode),
            _ => self.network().forward(x, mode),
        }
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        self.network().forward_strips(x, mode, f)
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.network().parameters()
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.network().buffers()
    }
}

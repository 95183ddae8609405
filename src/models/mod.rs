//! Networks: lists of layers as one writes them, checked by their shapes, and the published networks.

pub mod classifier;
pub mod dcgan;
pub mod decoder;
pub mod features;
pub mod johnson;
pub mod layers;
pub mod patch;
pub mod resnet;
pub mod seed;
pub mod sngan;
pub mod stylist;
pub mod translator;
pub mod unet;

pub use classifier::{Classifier, ClassifierSpec};
pub use decoder::DecoderSpec;
pub use features::FeatureNetwork;
pub use johnson::JohnsonSpec;
pub use layers::{LayerSpec, ShapeError, build, output_shape};
pub use patch::{Norm, PatchSpec};
pub use resnet::{Down, ResnetSpec, Up};
pub use stylist::{CRITIC_STEP, Stylist, StylistSpec, patch_critic};
pub use translator::{Translator, TranslatorSpec};
pub use unet::{Unet, UnetSpec};

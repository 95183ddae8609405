//! Training: losses, the adversarial games, recipes, checkpoints and the run that ties them together.

mod accumulate;
pub mod adain;
pub mod checkpoint;
pub mod classifier;
pub mod cut;
pub mod cyclegan;
mod encoder;
pub mod features;
pub mod feed_forward;
pub mod folder;
pub mod gan;
pub mod gan_training;
pub mod gatys;
pub mod johnson;
pub mod latent;
pub mod loss;
mod machine;
pub mod memory;
pub mod picture;
pub mod pix2pix;
pub mod pool;
pub mod projection;
pub mod recipe;
pub mod record;
pub mod run;
pub mod stylize;
pub mod translate;
pub mod translation;

pub use classifier::ClassifierTraining;
pub use cyclegan::CycleGan;
pub use feed_forward::FeedForward;
pub use folder::RunFolder;
pub use gan::Gan;
pub use gan_training::train;
pub use recipe::{AnyRecipe, ClassifierRecipe, FeedForwardRecipe, Recipe, TranslationRecipe};
pub use record::Row;
pub use run::{Observer, Outcome};
pub use translation::Translation;

use crate::autograd::grad_consuming;
use crate::error::Result;
use crate::nn::Module;
use crate::tensor::{Device, Tensor};
use std::sync::atomic::AtomicBool;

/// Trains a recipe of any kind, as [`run::run`].
///
/// # Errors
/// As [`run::run`], and data that cannot be read.
pub fn train_any(
    recipe: &AnyRecipe,
    folder: &RunFolder,
    device: &Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    match recipe {
        AnyRecipe::Gan(recipe) => train(recipe, folder, device, stop, observer),
        AnyRecipe::Classifier(recipe) => {
            let mut training = ClassifierTraining::new(recipe, device);
            run::run(recipe, &recipe.train, &mut training, folder, device, stop, observer)
        }
        AnyRecipe::FeedForward(recipe) => {
            let mut training = FeedForward::new(recipe, device)?;
            run::run(recipe, &recipe.train, &mut training, folder, device, stop, observer)
        }
        AnyRecipe::Translation(recipe) => {
            let mut translation = Translation::new(recipe, device)?;
            run::run(recipe, &recipe.train, &mut translation, folder, device, stop, observer)
        }
        AnyRecipe::Stylize(_) => Err(recipe.cannot_train()),
    }
}

/// The loss's gradient by each of a network's parameters, in order. The graph is freed on the way: callers detach before
/// what they report, so that activations make room for gradients.
fn gradients(loss: Tensor, network: &dyn Module) -> Vec<Tensor> {
    let [gradients] = gradients_of_all(loss, [network]);
    gradients
}

/// The loss's gradients by each of several networks' parameters, from one walk.
fn gradients_of_all<const N: usize>(loss: Tensor, networks: [&dyn Module; N]) -> [Vec<Tensor>; N] {
    let parameters = networks.map(|network| network.parameter_tensors());
    let mut all = grad_consuming(loss, &parameters.iter().flatten().collect::<Vec<_>>()).into_iter();
    parameters.map(|parameters| all.by_ref().take(parameters.len()).collect())
}

//! Training: losses, the minimax step, recipes, checkpoints and the run that ties them together.

pub mod checkpoint;
pub mod cyclegan;
pub mod folder;
pub mod gan;
pub mod loss;
pub mod recipe;
pub mod record;
pub mod run;

pub use cyclegan::CycleGan;
pub use folder::RunFolder;
pub use gan::Gan;
pub use recipe::Recipe;
pub use record::Row;
pub use run::{Observer, Outcome, train};

use crate::autograd::grad_all;
use crate::nn::Module;
use crate::tensor::Tensor;

/// The loss's gradient by each of a network's parameters, in order.
fn gradients(loss: &Tensor, network: &dyn Module) -> Vec<Tensor> {
    let parameters = network.parameter_tensors();
    grad_all(loss, &parameters.iter().collect::<Vec<_>>())
}

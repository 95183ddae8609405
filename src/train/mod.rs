//! Training: losses, the minimax step, recipes, checkpoints and the run that ties them together.

pub mod checkpoint;
pub mod folder;
pub mod gan;
pub mod loss;
pub mod recipe;
pub mod record;
pub mod run;

pub use folder::RunFolder;
pub use gan::Gan;
pub use recipe::Recipe;
pub use record::Row;
pub use run::{Observer, Outcome, train};

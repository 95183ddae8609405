//! Networks: lists of layers as one writes them, checked by their shapes, and the seed model.

pub mod layers;
pub mod seed;

pub use layers::{LayerSpec, ShapeError, build, output_shape};

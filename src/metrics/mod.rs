//! Measures of what trained networks make.

pub mod classifier;
pub mod colour;
pub mod edges;
pub mod patches;
pub mod silhouette;

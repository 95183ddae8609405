//! Measures of what trained networks make.

pub mod classifier;
pub mod colour;
pub mod copies;
pub mod edges;
pub mod patches;
pub mod silhouette;

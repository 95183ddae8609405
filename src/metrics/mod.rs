//! Measures of what trained networks make.

pub mod classifier;
pub mod copies;
pub mod silhouette;

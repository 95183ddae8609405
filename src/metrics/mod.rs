//! Measures of what trained networks make.

pub mod silhouette;

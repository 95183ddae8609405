//! Optimisers: rules that replace parameters by better ones.

pub mod adam;

pub use adam::{Adam, AdamConfig, AdamConvention};

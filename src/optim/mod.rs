//! Optimisers: Adam over a network's parameters, and the other rules as functions of plain tensors.

pub mod adam;
pub mod adamw;
pub mod clip;
pub mod ema;
pub mod rmsprop;
pub mod schedules;
pub mod sgd;
pub mod unrolled;

pub use adam::{Adam, AdamConfig, AdamConvention};

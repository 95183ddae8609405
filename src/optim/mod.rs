//! Optimisers: rules that replace parameters by better ones.
//!
//! [`Adam`] holds a network's parameters; the others are functions of plain tensors that give new ones.

pub mod adam;
pub mod adamw;
pub mod clip;
pub mod ema;
pub mod lbfgs;
pub mod rmsprop;
pub mod schedules;
pub mod sgd;

pub use adam::{Adam, AdamConfig, AdamConvention};
pub use lbfgs::{LbfgsConfig, LineSearch};

//! Optimisers as functions of plain tensors: update(parameter, gradient, state) gives new ones.

pub mod adamw;
pub mod clip;
pub mod ema;
pub mod rmsprop;
pub mod schedules;
pub mod sgd;
pub mod unrolled;

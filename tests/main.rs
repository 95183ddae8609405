//! The integration tests: one binary, because linking wgpu is slow.

mod autograd;
mod devices;
mod golden;
mod gradients;
mod ops;
mod random;

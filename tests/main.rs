//! The integration tests: one binary, because linking wgpu is slow.

mod determinism;
mod devices;
mod gradients;
mod ops;

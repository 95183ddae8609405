//! The integration tests: one binary, because linking wgpu is slow.

mod checkpoint;
mod devices;
mod gan;
mod gradients;
mod kernels;
mod layering;
mod ops;
mod seed_keras;

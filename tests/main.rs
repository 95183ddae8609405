//! The integration tests: one binary, because linking wgpu is slow.

mod checkpoint;
mod devices;
mod gan;
mod gradients;
mod layering;
mod kernels;
mod ops;
mod seed_keras;

//! The integration tests: one binary, because linking wgpu is slow.

mod devices;
mod gradients;
mod kernels;
mod ops;

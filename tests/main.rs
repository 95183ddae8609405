//! The integration tests: one binary, because linking wgpu is slow.

mod arena;
mod autograd;
mod checkpoint;
mod classifier;
mod determinism;
mod devices;
mod dispatches;
mod extremes;
mod features;
mod gan;
mod golden;
mod gradients;
mod kernels;
mod known_values;
mod latent;
mod layering;
mod memory;
mod models;
mod numbers;
mod ops;
mod penalties;
mod properties;
mod random;
mod shaders;
mod translation;
mod verify;

//! toile: a from-scratch numerics engine with hand-written WGSL kernels, and on it GANs that draft fashion designs.
//!
//! The engine is small enough to read: [`Tensor`]s on three [`Device`]s (a plain f64 reference, a fast CPU, any GPU
//! that wgpu reaches), operations that know their own gradient, and a backward walk that can itself be differentiated.
//! On it stand layers, optimisers, data sources and the minimax loop.
//!
//! ```
//! use toile::autograd::{differentiable_grad, grad};
//! use toile::ops::Conv2d;
//! use toile::rng::{Domain, Stream};
//! use toile::{Device, Tensor};
//!
//! // A critic with one convolution, and the R1 penalty on its input: the gradient of a gradient.
//! let device = Device::Cpu; // or Device::Reference, or Device::Gpu(toile::gpu::Gpu::open(…)?)
//! let mut stream = Stream::new(7, Domain::Test, 0);
//! let real = Tensor::new(&device, [8, 3, 28, 28], &stream.normal_vec(8 * 3 * 28 * 28));
//! let w = Tensor::new(&device, [16, 3, 4, 4], &stream.normal_vec(16 * 3 * 4 * 4));
//!
//! let conv = Conv2d::same([28, 28], [4, 4], [2, 2], [1, 1]);
//! let logits = real.conv2d(&w, conv).leaky_relu(0.2).mean_axes(&[1, 2, 3]); // [8]
//! let [dreal] = differentiable_grad(&logits.sum(), [&real]); // [8, 3, 28, 28]
//! let penalty = dreal.square().sum_axes(&[1, 2, 3]).mean();
//! let [dw] = grad(&(logits.mean() + penalty), [&w]); // [16, 3, 4, 4]
//! assert_eq!(dw.shape().dims(), [16, 3, 4, 4]);
//! # Ok::<(), toile::Error>(())
//! ```
//!
//! The modules, each using only those before it: [`error`], [`shape`], [`rng`], [`gpu`] (adapters, buffers, kernels;
//! the only place that names wgpu), [`cpu`], [`tensor`], [`ops`], [`autograd`], [`nn`], [`optim`], [`check`] (the
//! case table that holds every op on every device against the reference), [`data`], [`models`], [`report`], [`train`],
//! [`mod@bench`], [`verify`], [`cli`].

pub mod autograd;
pub mod bench;
pub mod check;
pub mod cli;
pub mod cpu;
pub mod data;
pub mod error;
pub mod gpu;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod report;
pub mod rng;
pub mod shape;
pub mod tensor;
pub mod train;
pub mod verify;

pub use error::{Error, Result};
pub use tensor::{Device, Tensor};

/// Compiles the examples in the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! toile
pub mod autograd;
pub mod check;
pub mod cpu;
pub mod data;
pub mod error;
pub mod gpu;
pub mod ops;
pub mod optim;
pub mod report;
pub mod rng;
pub mod shape;
pub mod tensor;
pub mod verify;
pub use error::{Error, Result};
pub use tensor::{Device, Tensor};

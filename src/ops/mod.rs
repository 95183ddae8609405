//! The op table: one file a family, beside the shader of the same name; derived ops have no kernel of their own.
//!
//! With kernels (each on all three devices): `unary`, `binary`, `select`; `layout` (also concat), `axis_map`; `reduce`,
//! `extremum`; `matmul` and the three faces of convolution, with what follows them in `bias_activation` and `measured`; `batch_norm`, `max_pool`; `mean_of`; `random`; `adam`.
//!
//! Made of those: `operators`, `activation`, `reduce_more`, `softmax`, `losses`, `unrolled`; by `axis_map`, a sparse linear map along
//! one axis whose gradient is its transpose: `gather`, `pad_modes`, `resample`, `pool`; by `batch_norm` of reshaped
//! images: `norm`; by matrix products: `spectral_norm`.

pub mod activation;
pub mod adam;
pub mod axis_map;
pub mod batch_norm;
pub mod bias_activation;
pub mod binary;
pub mod concat;
pub mod conv2d;
pub mod conv2d_input;
pub mod conv2d_weight;
pub mod extremum;
pub mod gather;
pub mod indices;
pub mod layout;
pub mod losses;
pub mod matmul;
pub mod max_pool;
pub mod mean_of;
pub mod measured;
pub mod norm;
mod operators;
pub mod pad_modes;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod reduce_more;
pub mod resample;
mod results;
pub mod select;
pub mod softmax;
pub mod spectral_norm;
pub mod unary;
pub mod unrolled;

pub use axis_map::AxisMap;
pub use batch_norm::Running;
pub use bias_activation::Activation;
pub use conv2d::Conv2d;
pub use indices::Indices;
pub use measured::{Over, TileMoments};
pub use pad_modes::PadMode;
pub use pool::Pool2d;

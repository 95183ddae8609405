//! The op table: one file a family, beside the shader of the same name; derived ops have no kernel of their own.

pub mod adam;
pub mod batch_norm;
pub mod binary;
pub mod conv2d;
pub mod conv2d_input;
pub mod conv2d_weight;
pub mod layout;
pub mod matmul;
pub mod reduce;
pub mod unary;

pub use conv2d::Conv2d;

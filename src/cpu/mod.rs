//! What a fast f32 CPU op needs: reused buffers, parallel ranges, a packed matrix product, im2col.

pub mod buffer;
pub mod im2col;
pub mod matmul;
pub mod parallel;

pub use buffer::CpuBuffer;

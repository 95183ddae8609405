//! What a fast f32 CPU op needs: reused buffers, parallel ranges, packed products, vectors, functions.

pub mod buffer;
pub mod conv;
mod conv_direct;
mod conv_weight;
pub mod guard;
pub mod math;
pub mod matmul;
mod pack;
pub mod parallel;
mod product;
mod quads;
pub mod simd;
pub mod sums;
mod team;
mod tile;
#[cfg(target_arch = "x86_64")]
mod tile_avx2;
mod tile_kernels;
mod tile_rows;
pub(crate) mod vector;
mod winograd;

pub use buffer::{CpuBuffer, NoMemory, try_zeros};

//! Implicit matrix products, which matrix products and the three faces of a convolution are made of: operands that are
//! gathered out of a tensor, and the kernels that multiply them, tiled for the adapter.

mod panels;
mod params;
mod tiles;

use super::tuning::Variant;
use super::{Gpu, GpuBuffer};
use crate::error::Result;
pub use params::Epilogue;
pub use tiles::moment_tiles;

/// A walk over one axis of an image: start + k·k_step + c·c_step, read as 0 unless below `len`.
#[derive(Clone, Copy)]
pub struct Walk {
    /// Where k = c = 0 lies; may be before the image.
    pub start: isize,
    /// Distance from one k to the next.
    pub k: isize,
    /// Distance from one column to the next.
    pub c: isize,
    /// The axis's length.
    pub len: usize,
}

impl Walk {
    /// An axis that is not walked along.
    pub const NONE: Walk = Walk { start: 0, k: 0, c: 0, len: 1 };
}

/// A matrix [k, columns] read out of a tensor of images, each `y.len` × `x.len`; see `shaders/lib/gather.wgsl`. The
/// digits of k and of the column choose an image, a row and a place in it.
#[derive(Clone, Copy)]
pub struct Operand {
    /// Elements from one matrix of the batch, or one group, to the next.
    pub step_z: usize,
    /// Elements from an image to the next along k's leading digit.
    pub plane_k: usize,
    /// The same for the column's leading digit.
    pub plane_c: usize,
    /// Rows, by the middle digits.
    pub y: Walk,
    /// Places in a row, by the last digits.
    pub x: Walk,
    /// How many values k's middle and last digit take.
    pub k_digits: [usize; 2],
    /// The same for the column.
    pub c_digits: [usize; 2],
}

/// Where y's elements go: a step for each matrix, row, and digit of the column (which are those of operand b).
#[derive(Clone, Copy)]
pub struct Target {
    /// Of the first element.
    pub offset: usize,
    /// From a matrix or group to the next.
    pub step_z: usize,
    /// From a row to the next.
    pub step_row: usize,
    /// By the three digits of the column.
    pub steps: [usize; 3],
}

/// y[z, row, c] = Σ_k a[z, k, row]·b[z, k, c] for `depth` matrices or groups z.
#[derive(Clone, Copy)]
pub struct Product {
    /// Rows: columns of operand a.
    pub m: usize,
    /// Columns of operand b.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// How many such products.
    pub depth: usize,
    /// [k, m]
    pub a: Operand,
    /// [k, n]
    pub b: Operand,
    /// Where the result goes.
    pub y: Target,
}

/// What becomes of the sums of an operation's products as they are written: y = f(Σ + b) with one b a channel of y.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// b, if any.
    pub bias: Option<&'a GpuBuffer>,
    /// The number of f in `lib/activation.wgsl`, 0 for none, and what it takes.
    pub f: (u32, f32),
    /// How many channels y has.
    pub channels: usize,
    /// How many elements of a channel lie together in y.
    pub plane: usize,
    /// Whether a channel is a column of the products; else it is a row of one of them.
    pub by_column: bool,
    /// Statistics of y to be written beside it, where the kernels can ([`moment_tiles`]).
    pub moments: Option<Moments<'a>>,
}

/// The moments of what each tile holds of each row of y, for so many stretches of equally many columns, which no tile crosses:
/// [3, stretch, row, tile], how many elements, their mean, the sum of their squared distances from it.
#[derive(Clone, Copy)]
pub struct Moments<'a> {
    /// From 1; divides the columns of every product.
    pub stretches: usize,
    /// Where they are written.
    pub to: &'a GpuBuffer,
}

impl Finish<'_> {
    /// y = Σ.
    pub const NONE: Finish<'static> =
        Finish { bias: None, f: (0, 0.0), channels: 1, plane: 1, by_column: false, moments: None };

    /// What kernels take, those of products with `rows` rows.
    pub fn epilogue(&self, rows: usize) -> Epilogue {
        let (f, slope) = self.f;
        Epilogue {
            f,
            slope: if f == 1 { slope } else { 1.0 },
            by: match (self.bias, self.by_column) {
                (None, _) => 0,
                (_, false) => 1,
                (_, true) => 2,
            },
            step_z: rows as u32,
            plane: self.plane as u32,
            channels: self.channels as u32,
        }
    }
}

/// From this on, `divide` of `gather.wgsl` is not exact.
pub(super) const K_LIMIT: usize = 1 << 22;

/// Computes products of the same two operands that together write each of y's `len` elements once, finished.
///
/// # Panics
/// If the variant is the naive one, which each op has for itself.
pub fn run(
    gpu: &Gpu,
    variant: Variant,
    products: &[Product],
    [a, b, y]: [&GpuBuffer; 3],
    finish: Finish,
    len: usize,
    label: &str,
) -> Result<()> {
    let call = Call { gpu, a, b, finish, label };
    match variant {
        Variant::Naive => panic!("{label}: the naive kernel is the op's own"),
        Variant::Tile { quads, fill } => call.tiles(quads, fill, products, y, len),
        Variant::Panel { rows, columns } => call.panels("gemm_panel", [rows, columns], products, y, len),
        Variant::Shuffle { rows, columns } => call.panels("gemm_shuffle", [rows, columns], products, y, len),
    }
}

struct Call<'a> {
    gpu: &'a Gpu,
    a: &'a GpuBuffer,
    b: &'a GpuBuffer,
    finish: Finish<'a>,
    label: &'a str,
}

impl Call<'_> {
    /// What is bound as the bias: anything, if there is none.
    fn bias(&self) -> &GpuBuffer {
        self.finish.bias.unwrap_or(self.a)
    }
}

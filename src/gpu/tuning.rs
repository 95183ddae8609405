//! Which kernel variant an adapter gets for a problem: the table of measured choices (docs/shaders.md has the figures).

use super::gemm::{K_LIMIT, Product};
use super::{AdapterKind, Gpu};
use crate::error::{Error, Result};

/// A way to compute a matrix product or convolution. Numbers are the constants of the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One invocation an output element.
    Naive,
    /// Workgroup memory; 4·quads outputs a side each invocation, and k split until there are `fill` workgroups.
    Tile {
        /// 1 or 2.
        quads: u32,
        /// Workgroups that fill the device.
        fill: usize,
    },
    /// Packed panels and registers; 4·rows × 4·columns outputs each invocation.
    Panel {
        /// Rows of a tile, in fours.
        rows: u32,
        /// Columns of a tile, in fours.
        columns: u32,
    },
    /// The same, with operand a handed round in subgroups of 8.
    Shuffle {
        /// Rows of a tile, in fours.
        rows: u32,
        /// Columns of a tile, in fours.
        columns: u32,
    },
}

/// Multiplications below which a naive kernel is as fast: what the dispatches of the others cost.
const SMALL: usize = 1 << 15;

/// Old software drivers end an invocation's loops, without a word, after 65,535 turns in all.
pub(super) const MOST_TURNS: usize = 60_000;

/// The turns that a naive kernel may take along k: its nested loops count once each at worst.
const NAIVE_TURNS: usize = MOST_TURNS / 3;

/// The variant for these products, which are of one operation and have equally many rows.
///
/// # Errors
/// Sums that are longer than the device's kernels can count.
pub fn choose(gpu: &Gpu, products: &[Product]) -> Result<Variant> {
    let variant = wanted(gpu, products);
    let k = products.iter().map(|p| p.k).max().unwrap_or(0);
    let m = products.iter().map(|p| p.m).max().unwrap_or(0);
    let fits = match variant {
        Variant::Naive => k < NAIVE_TURNS,
        Variant::Tile { .. } => k < K_LIMIT,
        Variant::Panel { rows, .. } | Variant::Shuffle { rows, .. } => m.div_ceil(4 * rows as usize) <= 65_535,
    };
    match fits {
        true => Ok(variant),
        false if k < NAIVE_TURNS => Ok(Variant::Naive),
        false => Err(Error::Gpu(format!(
            "a product of {m} rows and sums of {k} terms is beyond this device's kernels: take a smaller batch or --device cpu"
        ))),
    }
}

fn wanted(gpu: &Gpu, products: &[Product]) -> Variant {
    let rows = products.iter().map(|p| p.m).max().unwrap_or(0);
    let k = products.iter().map(|p| p.k).max().unwrap_or(0);
    let work: usize = products.iter().map(|p| p.m * p.n * p.k * p.depth).sum();
    if let Some(forced) = gpu.forced_variant() {
        return forced;
    }
    if work < SMALL && k < NAIVE_TURNS {
        return Variant::Naive;
    }
    if gpu.report().kind != AdapterKind::Software {
        // Large tiles need many outputs to fill a device.
        let quads = if work >= 1 << 28 { 2 } else { 1 };
        return Variant::Tile { quads, fill: 256 };
    }
    if rows < 2 && k < NAIVE_TURNS {
        return Variant::Naive;
    }
    let rows = rows.div_ceil(4).next_power_of_two().min(4) as u32;
    if gpu.has_subgroups_of(8) {
        Variant::Shuffle { rows, columns: 1 }
    } else {
        Variant::Panel { rows: rows.min(2), columns: 2 }
    }
}

/// How elementwise passes, broadcasts and batch norms run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// By the kernels that serve every shape.
    General,
    /// By kernels on runs of so many vec4s an invocation, where the shape allows.
    Quads(u32),
}

/// Whether only the kernels that serve every shape may be used.
pub fn general_only(gpu: &Gpu) -> bool {
    gpu.forced_passes() == Some(Passes::General)
}

/// How many vec4s one invocation of an elementwise kernel computes, one after another, of `n` elements in all. Starting
/// an invocation costs a software adapter as much as computing a few; a GPU wants many invocations.
pub fn quads(gpu: &Gpu, n: usize) -> u32 {
    match gpu.forced_passes() {
        Some(Passes::General) => return 1,
        Some(Passes::Quads(quads)) => return quads,
        None => {}
    }
    if gpu.report().kind == AdapterKind::Software && n >= 1 << 14 { 8 } else { 1 }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Variant::Naive => write!(f, "naive"),
            Variant::Tile { quads, fill } => write!(f, "tile {0}x{0}, {fill} workgroups", 4 * quads),
            Variant::Panel { rows, columns } => write!(f, "panel {}x{}", 4 * rows, 4 * columns),
            Variant::Shuffle { rows, columns } => write!(f, "shuffle {}x{}", 4 * rows, 4 * columns),
        }
    }
}

impl std::fmt::Display for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Passes::General => write!(f, "any shape"),
            Passes::Quads(quads) => write!(f, "runs of {quads}"),
        }
    }
}

/// Every variant that this device can run, for tests and benchmarks.
pub fn variants(gpu: &Gpu) -> Vec<Variant> {
    let mut all = vec![
        Variant::Naive,
        Variant::Tile { quads: 1, fill: 1 },
        Variant::Tile { quads: 1, fill: 256 },
        Variant::Tile { quads: 2, fill: 64 },
        Variant::Panel { rows: 1, columns: 1 },
        Variant::Panel { rows: 2, columns: 2 },
    ];
    if gpu.has_subgroups_of(8) {
        all.extend([1, 2, 4].map(|rows| Variant::Shuffle { rows, columns: 1 }));
    }
    all
}

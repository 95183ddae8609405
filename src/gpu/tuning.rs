//! Which kernel variant an adapter gets for a problem: the table of measured choices (docs/shaders.md has the figures).

use super::gemm::{K_LIMIT, Product};
use super::{AdapterKind, Gpu};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A way to compute a matrix product or convolution. Numbers are the constants of the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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

/// Choices measured on one adapter, in place of the table below.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// vec4s that an invocation of an elementwise kernel computes.
    pub quads: Option<u32>,
    /// For products and convolutions: the first that fits.
    #[serde(default)]
    pub product: Vec<Choice>,
}

/// The variant for products of at most so many rows and multiplications; without a bound, for any number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Rows of the product.
    pub rows: Option<usize>,
    /// Multiplications.
    pub work: Option<usize>,
    /// What computes it; what the built-in table has, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
}

impl Tuned {
    /// Reads the text of a tuning file.
    pub(super) fn parse(text: &str) -> Result<Tuned, String> {
        let tuned: Tuned = toml::from_str(text).map_err(|e| e.message().to_string())?;
        match tuned.quads {
            Some(quads) if !(1..=64).contains(&quads) => return Err(format!("quads is {quads}; takes 1 to 64")),
            _ => {}
        }
        let known = |v: &Variant| match *v {
            Variant::Naive => true,
            Variant::Tile { quads, fill } => (1..=2).contains(&quads) && (1..=1 << 20).contains(&fill),
            Variant::Panel { rows, columns } => (1..=2).contains(&rows) && (1..=2).contains(&columns),
            Variant::Shuffle { rows, columns } => [1, 2, 4, 8].contains(&rows) && columns == 1,
        };
        match tuned.product.iter().filter_map(|choice| choice.variant).find(|variant| !known(variant)) {
            Some(variant) => Err(format!("there is no kernel {variant:?}")),
            None => Ok(tuned),
        }
    }

    /// The text of a tuning file.
    pub(super) fn to_text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    fn variant(&self, rows: usize, work: usize) -> Option<Variant> {
        let fits = |bound: Option<usize>, value: usize| bound.is_none_or(|bound| value <= bound);
        self.product.iter().find(|choice| fits(choice.rows, rows) && fits(choice.work, work)).and_then(|c| c.variant)
    }
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
    if let Some(forced) = gpu.forced_variant().filter(|forced| *forced != Variant::Naive || k < NAIVE_TURNS) {
        return forced;
    }
    if work < SMALL && k < NAIVE_TURNS {
        return Variant::Naive;
    }
    let measured = gpu.tuned(|tuned| tuned.variant(rows, work)).flatten();
    if let Some(variant) =
        measured.filter(|variant| !matches!(variant, Variant::Shuffle { .. }) || gpu.has_subgroups_of(8))
    {
        return variant;
    }
    if gpu.tuned_as() != AdapterKind::Software {
        // Large tiles need many outputs to fill a device.
        let quads = if work >= 1 << 28 { 2 } else { 1 };
        return Variant::Tile { quads, fill: 256 };
    }
    if rows < 2 && k < NAIVE_TURNS {
        return Variant::Naive;
    }
    if gpu.has_subgroups_of(8) {
        return Variant::Shuffle { rows: shuffle_rows(rows), columns: 1 };
    }
    let rows = rows.div_ceil(4).next_power_of_two().min(2) as u32;
    Variant::Panel { rows, columns: 2 }
}

/// Rows of a tile, in fours: as many as are there, up to 32; 16 where 32 would add more than an eighth.
fn shuffle_rows(rows: usize) -> u32 {
    if rows > 16 && 8 * rows.next_multiple_of(32) <= 9 * rows.next_multiple_of(16) {
        return 8;
    }
    rows.div_ceil(4).next_power_of_two().min(4) as u32
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

/// Whether a workgroup takes the statistics of a channel by itself, through workgroup memory, instead of many
/// invocations and a second kernel that adds up: fewer calls, but barriers are what a software adapter is slowest at.
pub fn channel_by_workgroup(gpu: &Gpu) -> bool {
    match gpu.forced_passes() {
        Some(passes) => passes == Passes::Quads(1),
        None => gpu.tuned_as() != AdapterKind::Software,
    }
}

/// Elements of a channel from which on the moments that a product's kernels have taken along are worth more than the one call in
/// which a workgroup takes them again: below, that reads each element no more than a few times an invocation.
const LEAST_MEASURED: usize = 1 << 12;

/// Whether a batch norm of this many elements a channel takes its statistics from the product before it, if the product's kernels
/// can give them; `whole`: whether it would be one call without.
pub fn measures(gpu: &Gpu, elements: usize, whole: bool) -> bool {
    match (gpu.forced_passes(), gpu.forced_variant()) {
        (Some(passes), _) if passes != Passes::Quads(1) => false,
        (_, Some(_)) => true,
        _ => channel_by_workgroup(gpu) && (!whole || elements >= LEAST_MEASURED),
    }
}

/// How many vec4s one invocation of an elementwise kernel computes, one after another, of `n` elements in all. Starting
/// an invocation costs a software adapter as much as computing a few; a GPU wants many invocations.
pub fn quads(gpu: &Gpu, n: usize) -> u32 {
    match gpu.forced_passes() {
        Some(Passes::General) => return 1,
        Some(Passes::Quads(quads)) => return quads,
        None => {}
    }
    if n < 1 << 14 {
        return 1;
    }
    let measured = gpu.tuned(|tuned| tuned.quads).flatten();
    measured.unwrap_or(match gpu.tuned_as() {
        AdapterKind::Software if n >= 1 << 20 => 32,
        AdapterKind::Software => 8,
        _ => 1,
    })
}

/// The least work that is tuned: below, the naive kernels serve.
pub const LEAST_TUNED: usize = SMALL;

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
        all.extend([1, 2, 4, 8].map(|rows| Variant::Shuffle { rows, columns: 1 }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuning_file_is_read_as_written_and_checked() {
        let choice = |rows, work, variant| Choice { rows, work, variant: Some(variant) };
        let tuned = Tuned {
            quads: Some(4),
            product: vec![
                choice(Some(4), Some(1 << 20), Variant::Naive),
                choice(Some(4), None, Variant::Panel { rows: 1, columns: 2 }),
                Choice { rows: Some(9), work: None, variant: None }, // as built in, not as the larger class
                choice(None, None, Variant::Tile { quads: 2, fill: 64 }),
            ],
        };
        assert_eq!(Tuned::parse(&tuned.to_text()).as_ref(), Ok(&tuned));
        assert_eq!(tuned.variant(3, 1 << 20), Some(Variant::Naive));
        assert_eq!(tuned.variant(4, 1 << 21), Some(Variant::Panel { rows: 1, columns: 2 }));
        assert_eq!(tuned.variant(5, 1), None);
        assert_eq!(tuned.variant(10, 1), Some(Variant::Tile { quads: 2, fill: 64 }));
        assert_eq!(Tuned::default().variant(5, 1), None);
        let refused = |text: &str, word: &str| assert!(Tuned::parse(text).unwrap_err().contains(word), "{text}");
        refused("quads = 0", "quads");
        refused("quads = \"many\"", "invalid type");
        refused("width = 3", "width");
        refused("[[product]]\nvariant = { shuffle = { rows = 3, columns = 1 } }", "no kernel");
        refused("[[product]]\nvariant = { tile = { quads = 2, fill = 0 } }", "no kernel");
    }
}

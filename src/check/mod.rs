//! Checking the engine: the table of op cases, finite differences, comparison with named tolerances, kernel variants.

pub mod cases;
mod compare;
mod gradients;
mod run;
mod variants;

pub use cases::{Case, cases, convolutions};
pub use compare::{Deviation, Tolerance, compare, compare_each};
pub use gradients::{directional, second_order};
pub use run::{CaseReport, Check, Expected, check_case};
pub use variants::Variant;

//! Outside case files against the engine: reads `index.json` and its tensors, runs each case on a device, compares.
//!
//! A case names an op, its attributes and inputs, and holds what must come out: values, gradients, second gradients.
//! One file here a group of ops: a function from inputs to outputs. Gradients of both orders are taken in `run`.

mod activation;
mod case;
mod compare;
mod conv;
mod dense;
mod elementwise;
mod gan_step;
mod index;
mod layout;
mod loss;
mod norm;
mod onnx;
mod optimizer;
mod penalty;
mod reduction;
mod resample;
mod run;
mod spectral;
mod tensors;
mod training;
mod translate;
mod write;

pub use case::{Attrs, Case, Expected};
pub use compare::{Outcome, Worst};
pub use onnx::OnnxCase;
pub use run::Refusal;
pub use write::{Written, write_dir};

use crate::error::Result;
use crate::tensor::Device;
use case::Entry;
use std::path::Path;

/// How one case ended.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The case.
    pub name: String,
    /// What it computes.
    pub op: String,
    /// The group it is in.
    pub group: String,
    /// Passed, failed or not supported.
    pub outcome: Outcome,
}

/// How all cases of a directory ended.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// One entry a case that was run, in the index's order.
    pub cases: Vec<CaseReport>,
}

impl VerifyReport {
    /// How many passed.
    pub fn passed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Passed(_)))
    }

    /// How many gave other values, or none.
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed { .. }))
    }

    /// How many use an op or attribute that the engine does not know.
    pub fn not_supported(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::NotSupported(_)))
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.cases.iter().filter(|case| which(&case.outcome)).count()
    }
}

/// Runs every case of the directory on the device, or those whose name, op or group contains `filter`.
///
/// # Errors
/// A missing, cut-short or ill-formed `index.json` or tensor file, with its name and what is wrong where. A case that
/// fails is no error: it is in the report.
pub fn verify_dir(dir: &Path, device: &Device, filter: Option<&str>) -> Result<VerifyReport> {
    verify_dir_with(dir, device, filter, |_| ())
}

/// [`verify_dir`], calling `progress` after each case.
///
/// # Errors
/// As [`verify_dir`].
pub fn verify_dir_with(
    dir: &Path,
    device: &Device,
    filter: Option<&str>,
    mut progress: impl FnMut(&CaseReport),
) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let mut files = tensors::Files::new(dir);
    for entry in index::read_index(dir)? {
        let (name, op, group) = match &entry {
            Entry::Case(case) => (&case.name, &case.op, &case.group),
            Entry::Onnx(case) => (&case.name, &case.op, &case.suite),
        };
        let wanted = |filter: &str| [name, op, group].iter().any(|text| text.contains(filter));
        if !filter.is_none_or(wanted) {
            continue;
        }
        let outcome = match &entry {
            Entry::Case(case) => match function(&case.op) {
                None => Outcome::NotSupported(format!("the op {}", case.op)),
                Some(function) => run::run(case, files.of_case(case)?, device, function),
            },
            Entry::Onnx(case) => onnx::run(case, &files.tensors(&case.name, &case.file, &case.declared)?, device),
        };
        let ended = CaseReport { name: name.clone(), op: op.clone(), group: group.clone(), outcome };
        progress(&ended);
        report.cases.push(ended);
    }
    Ok(report)
}

/// The function that computes an op's outputs.
fn function(op: &str) -> Option<run::Function> {
    let groups = [
        activation::function,
        conv::function,
        dense::function,
        gan_step::function,
        elementwise::function,
        layout::function,
        loss::function,
        norm::function,
        optimizer::function,
        penalty::function,
        reduction::function,
        resample::function,
        spectral::function,
        training::function,
        translate::function,
    ];
    groups.iter().find_map(|group| group(op))
}

//! The comparison of what was computed with what a case expects: how a case ended, and its worst elements.

use super::case::{Case, Expected};
use super::run::Values;
use super::tensors::{Array, Arrays};
use crate::tensor::Device;
use std::collections::HashMap;
use std::fmt;

/// How a case ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All within the tolerance; the tensor that used most of it.
    Passed(Option<Worst>),
    /// The tensors beyond their tolerance, worst first, or why there are no values.
    Failed {
        /// In a sentence.
        why: String,
        /// The tensors.
        worst: Vec<Worst>,
    },
    /// An op or attribute that the engine does not know.
    NotSupported(String),
}

impl Outcome {
    /// Of the worst elements of all tensors.
    pub fn of(mut worst: Vec<Worst>) -> Outcome {
        worst.sort_by(|a, b| b.share().total_cmp(&a.share()));
        let beyond = worst.iter().take_while(|w| w.share() > 1.0).count();
        if beyond == 0 {
            return Outcome::Passed(worst.into_iter().next());
        }
        worst.truncate(beyond);
        Outcome::Failed { why: worst[0].to_string(), worst }
    }
}

/// The worst element of one tensor.
#[derive(Clone, Debug)]
pub struct Worst {
    /// The tensor's role, such as `grad.x`.
    pub role: String,
    /// The place.
    pub index: Vec<usize>,
    /// The value there.
    pub got: f64,
    /// The value expected there.
    pub want: f64,
    /// |got − want|
    pub error: f64,
    /// What the error may be.
    pub limit: f64,
}

impl Worst {
    /// The share of the tolerance that is used; above 1 is a failure.
    pub fn share(&self) -> f64 {
        let share = if self.error == 0.0 { 0.0 } else { self.error / self.limit };
        if share.is_nan() { f64::INFINITY } else { share }
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worst { role, index, got, want, error, limit } = self;
        write!(f, "{role} at {index:?}: got {got:e}, expected {want:e}, error {error:.2e}, limit {limit:.2e}")
    }
}

/// Whether shapes are equal. One number is one number, with one axis or none: frameworks do not agree about losses.
pub fn same_shape(a: &[usize], b: &[usize]) -> bool {
    a == b || matches!((a, b), ([], [1]) | ([1], []))
}

impl Case {
    /// The largest value of what is expected, but for what is zero by theory, from which zero's limit follows.
    pub(super) fn scale(&self, arrays: &Arrays) -> f64 {
        let others = self.expected.iter().filter(|(_, expected)| !expected.zero);
        others.fold(0.0, |m: f64, (role, expected)| m.max(expected.largest(&arrays[role])))
    }
}

impl Expected {
    /// The largest absolute value: what the index says, or the tensor's.
    fn largest(&self, array: &Array) -> f64 {
        self.max_abs.unwrap_or_else(|| array.max_abs())
    }
}

/// Holds what was computed against what a case expects.
pub fn compare(case: &Case, arrays: &Arrays, device: &Device, got: &Values, limits: &HashMap<String, f64>) -> Outcome {
    let exact = *device == Device::Reference;
    // Its values come from a framework that keeps some constants in f32.
    let keras = case.group == "seed_keras";
    let scale = case.scale(arrays);
    let mut worst: Vec<Worst> = Vec::new();
    for (role, expected) in &case.expected {
        let want = &arrays[role];
        let Some((shape, values)) = got.get(role) else {
            return Outcome::Failed { why: format!("nothing was computed for {role}"), worst: Vec::new() };
        };
        if !same_shape(shape, &want.shape) {
            let why = format!("{role} has shape {shape:?}, expected {:?}", want.shape);
            return Outcome::Failed { why, worst: Vec::new() };
        }
        let largest = expected.largest(want);
        let limit = match (expected.zero, exact) {
            (true, true) => 1e-10 * scale,
            (true, false) => 1e-5 * scale,
            (false, _) if keras => (if exact { 1e-6 } else { 1e-5 }) * largest,
            (false, true) => 1e-10 * largest,
            (false, false) => (10.0 * expected.yardstick).max(1e-6) * largest,
        };
        let named = limits.get(role.strip_prefix("out.").unwrap_or(role)).filter(|_| !exact || keras);
        let limit = named.map_or(limit, |named| named.max(limit));
        worst.push(worst_element(role, want, values, |_| limit));
    }
    Outcome::of(worst)
}

/// The worst element of one tensor, by the share of what its error may be: `limit` of the expected value.
pub fn worst_element(role: &str, want: &Array, got: &[f64], limit: impl Fn(f64) -> f64) -> Worst {
    let error = |i: usize| {
        let (got, want) = (got[i], want.values[i]);
        let error = if got == want || (got.is_nan() && want.is_nan()) { 0.0 } else { (got - want).abs() };
        if error.is_nan() { f64::INFINITY } else { error }
    };
    let allowed = |i: usize| Some(limit(want.values[i])).filter(|limit| limit.is_finite()).unwrap_or(0.0);
    let share = |i: usize| if error(i) == 0.0 { 0.0 } else { error(i) / allowed(i) };
    let place = (0..got.len()).fold(0, |best, i| if share(i) > share(best) { i } else { best });
    let mut index = vec![0; want.shape.len()];
    let mut rest = place;
    for (at, &size) in index.iter_mut().zip(&want.shape).rev() {
        *at = rest % size.max(1);
        rest /= size.max(1);
    }
    let (got, expected, error, limit) = match got.get(place) {
        None => (0.0, 0.0, 0.0, 0.0),
        Some(&got) => (got, want.values[place], error(place), allowed(place)),
    };
    Worst { role: role.to_string(), index, got, want: expected, error, limit }
}

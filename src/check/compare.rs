//! Comparing values with an expected result: named tolerances and the worst deviation with its place.

use crate::shape::Shape;
use std::fmt;

/// How far a result may be from the expected one, relative to the largest expected value of the tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Bit for bit: moving elements.
    Exact,
    /// A few roundings: sums, products, comparisons of single elements.
    Elementwise,
    /// exp, log, tanh and their kin: a few units in the last place more.
    Transcendental,
    /// A sum of K terms in another order: grows with √K.
    Accumulated(usize),
    /// A first or second gradient through several ops.
    Gradient,
    /// Another limit, with the reason.
    Limit(f64, &'static str),
}

impl Tolerance {
    /// The relative limit for an f32 device held against the f64 reference.
    pub fn limit(self) -> f64 {
        match self {
            Tolerance::Exact => 0.0,
            Tolerance::Elementwise => 3e-7,
            Tolerance::Transcendental => 2e-6,
            Tolerance::Accumulated(terms) => 3e-7 * (terms.max(1) as f64).sqrt(),
            Tolerance::Gradient => 2e-5,
            Tolerance::Limit(limit, _) => limit,
        }
    }
}

/// The worst element of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// |got − want| / max |want| at the worst element; infinite where exactly one of the two is NaN.
    pub error: f64,
    /// The worst element's index.
    pub index: Vec<usize>,
    /// The value there.
    pub got: f64,
    /// The expected value there.
    pub want: f64,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:?}: got {:e}, expected {:e}, error {:.2e}", self.index, self.got, self.want, self.error)
    }
}

/// The worst deviation of `got` from `want`, relative to the largest finite |want| or to `floor` if that is larger.
#[track_caller]
pub fn compare(shape: &Shape, got: &[f64], want: &[f64], floor: f64) -> Deviation {
    assert_eq!(got.len(), want.len(), "compare: {} values against {}", got.len(), want.len());
    let largest = want.iter().filter(|v| v.is_finite()).fold(floor, |m, v| m.max(v.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let mut worst = Deviation { error: 0.0, index: vec![], got: 0.0, want: 0.0 };
    let mut place = 0;
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let error = if g == w || (g.is_nan() && w.is_nan()) { 0.0 } else { (g - w).abs() / scale };
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > worst.error || i == 0 {
            worst = Deviation { error, index: vec![], got: g, want: w };
            place = i;
        }
    }
    for axis in (0..shape.rank()).rev() {
        worst.index.insert(0, place % shape[axis].max(1));
        place /= shape[axis].max(1);
    }
    worst
}

/// As [`compare`], but each error is relative to its own expected value (or to 1e-30 if that is smaller): for edge
/// values, of which one is far larger than the others.
#[track_caller]
pub fn compare_each(shape: &Shape, got: &[f64], want: &[f64]) -> Deviation {
    let scales: Vec<f64> = want.iter().map(|v| if v.is_finite() { v.abs().max(1e-30) } else { 1.0 }).collect();
    let relative = |values: &[f64]| values.iter().zip(&scales).map(|(v, scale)| v / scale).collect::<Vec<f64>>();
    let mut worst = compare(shape, &relative(got), &relative(want), 1.0);
    let place = worst.index.iter().zip(shape.strides()).map(|(i, stride)| i * stride).sum::<usize>();
    if let (Some(&got), Some(&want)) = (got.get(place), want.get(place)) {
        (worst.got, worst.want) = (got, want);
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_worst_place() {
        let d = compare(&[2, 2].into(), &[1.0, 2.0, 3.0, 4.5], &[1.0, 2.0, 3.0, 4.0], 0.0);
        assert_eq!((d.index, d.got, d.error), (vec![1, 1], 4.5, 0.125));
    }

    #[test]
    fn each_element_has_its_own_scale() {
        let (got, want) = ([1e4, 2e-5], [1e4, 1e-5]);
        assert!(compare(&[2].into(), &got, &want, 0.0).error < 1e-8);
        let d = compare_each(&[2].into(), &got, &want);
        assert_eq!((d.error, d.index, d.got), (1.0, vec![1], 2e-5));
    }

    #[test]
    fn nan_equals_only_nan() {
        assert_eq!(compare(&[1].into(), &[f64::NAN], &[f64::NAN], 0.0).error, 0.0);
        assert_eq!(compare(&[1].into(), &[f64::NAN], &[1.0], 0.0).error, f64::INFINITY);
        assert_eq!(compare(&[1].into(), &[1.0], &[f64::NAN], 0.0).error, f64::INFINITY);
        assert_eq!(compare(&[1].into(), &[f64::INFINITY], &[f64::INFINITY], 0.0).error, 0.0);
        assert_eq!(compare(&[2].into(), &[1.0, -f64::INFINITY], &[1.0, f64::INFINITY], 0.0).error, f64::INFINITY);
    }
}

//! L-BFGS: minimises a smooth function of many numbers by a model of its curvature out of the last steps.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How far a step goes along its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineSearch {
    /// As far as the model says, and min(1, 1/‖g‖₁) times the gradient at the first step: no search. PyTorch's L-BFGS does so unless
    /// told otherwise, and with it Gatys's published code. The loss may rise from one evaluation to the next.
    #[default]
    Fixed,
    /// The first length t for which the weak Wolfe conditions hold, f(x + t·d) ≤ f(x) + 1e-4·t·g·d and g(x + t·d)·d ≥ 0.9·g·d; tried are
    /// 1 (at the first step min(1, 1/‖g‖₂)), then twice the last while too short, else the middle of the longest too
    /// short and the shortest too long (Lewis and Overton 2013, algorithm 2.6). At most 25 tries.
    Wolfe,
}

/// The settings, with PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LbfgsConfig {
    /// Steps that are remembered. Each takes 8 bytes a number that is optimised.
    pub history: usize,
    /// How long steps are.
    pub line_search: LineSearch,
    /// It is done where no entry of the gradient is larger.
    pub tolerance: f64,
}

impl Default for LbfgsConfig {
    fn default() -> LbfgsConfig {
        LbfgsConfig { history: 100, line_search: LineSearch::Fixed, tolerance: 1e-7 }
    }
}

/// A step s, the change y of the gradient over it, and 1/(s·y).
struct Pair {
    s: Vec<f32>,
    y: Vec<f32>,
    rho: f64,
}

const TRIES: usize = 25;

/// A point with its loss and gradient.
struct Point {
    x: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

/// Goes from `x` downhill (Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 and 7.5) until `evaluate`, which gives loss and
/// gradient at a point, gives `None`, or the gradient vanishes; returns where it stands.
///
/// The inverse of the curvature begins as (s·y)/(y·y) times the identity, of the last step; a step with s·y ≤ 1e-10 is not remembered.
/// Steps and gradients' changes are kept in f32, all else is f64.
///
/// # Errors
/// As `evaluate`; a loss or gradient that is not a number (with [`LineSearch::Wolfe`] only at the start: elsewhere the step is shortened).
pub fn minimise(
    config: LbfgsConfig,
    x: Vec<f64>,
    mut evaluate: impl FnMut(&[f64]) -> Result<Option<(f64, Vec<f64>)>>,
) -> Result<Vec<f64>> {
    let Some((loss, gradient)) = evaluate(&x)? else { return Ok(x) };
    let mut at = Point { x, loss, gradient };
    finite(&at)?;
    let (mut pairs, mut scale) = (VecDeque::<Pair>::new(), 1.0);
    while at.gradient.iter().any(|g| g.abs() > config.tolerance) {
        let d = direction(&pairs, scale, &at.gradient);
        let next = match config.line_search {
            LineSearch::Fixed => {
                let norm: f64 = at.gradient.iter().map(|g| g.abs()).sum();
                let t = if pairs.is_empty() { (1.0 / norm).min(1.0) } else { 1.0 };
                let Some(next) = evaluated(along(&at.x, t, &d), &mut evaluate)? else { return Ok(at.x) };
                finite(&next)?;
                Some(next)
            }
            LineSearch::Wolfe => match search(&at, &d, pairs.is_empty(), &mut evaluate)? {
                Searched::Ended => return Ok(at.x),
                Searched::Found(next) => Some(next),
                Searched::Nothing => None,
            },
        };
        let Some(next) = next else {
            // The model misleads: begin a new one; if even the gradient does, this is as low as numbers get.
            if pairs.is_empty() {
                return Ok(at.x);
            }
            pairs.clear();
            continue;
        };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) as f32).collect::<Vec<f32>>();
        let (s, y) = (difference(&next.x, &at.x), difference(&next.gradient, &at.gradient));
        let sy = dot32(&s, &y);
        if sy > 1e-10 {
            scale = sy / dot32(&y, &y);
            if pairs.len() == config.history.max(1) {
                pairs.pop_front();
            }
            pairs.push_back(Pair { s, y, rho: 1.0 / sy });
        }
        at = next;
    }
    Ok(at.x)
}

/// −H·g by the two loops over the pairs; downhill, because every pair has s·y > 0.
fn direction(pairs: &VecDeque<Pair>, scale: f64, gradient: &[f64]) -> Vec<f64> {
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let alpha = pair.rho * dot(&pair.s, &d);
        add(&mut d, -alpha, &pair.y);
        alphas.push(alpha);
    }
    if !pairs.is_empty() {
        d.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = pair.rho * dot(&pair.y, &d);
        add(&mut d, alpha - beta, &pair.s);
    }
    d
}

enum Searched {
    Found(Point),
    /// No length will do.
    Nothing,
    /// There was no evaluation left.
    Ended,
}

fn search(
    at: &Point,
    d: &[f64],
    first: bool,
    evaluate: &mut impl FnMut(&[f64]) -> Result<Option<(f64, Vec<f64>)>>,
) -> Result<Searched> {
    let slope_along = |gradient: &[f64]| gradient.iter().zip(d).map(|(g, d)| g * d).sum::<f64>();
    let slope = slope_along(&at.gradient);
    let norm = at.gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let mut t = if first { (1.0 / norm).min(1.0) } else { 1.0 };
    let (mut short, mut long) = (0.0, f64::INFINITY);
    for _ in 0..TRIES {
        let Some(next) = evaluated(along(&at.x, t, d), evaluate)? else { return Ok(Searched::Ended) };
        let descends = next.loss <= at.loss + 1e-4 * t * slope; // false for what is not a number
        if !descends || finite(&next).is_err() {
            long = t;
        } else if slope_along(&next.gradient) < 0.9 * slope {
            short = t;
        } else {
            return Ok(Searched::Found(next));
        }
        t = if long.is_finite() { (short + long) / 2.0 } else { 2.0 * short };
    }
    Ok(Searched::Nothing)
}

fn evaluated(
    x: Vec<f64>,
    evaluate: &mut impl FnMut(&[f64]) -> Result<Option<(f64, Vec<f64>)>>,
) -> Result<Option<Point>> {
    Ok(evaluate(&x)?.map(|(loss, gradient)| Point { x, loss, gradient }))
}

fn finite(point: &Point) -> Result<()> {
    if point.loss.is_finite() && point.gradient.iter().all(|g| g.is_finite()) {
        return Ok(());
    }
    let why = "L-BFGS went too far; search along the line (wolfe), or take Adam";
    Err(Error::Train(format!("the loss is {} or its gradient is no number: {why}", point.loss)))
}

/// x + t·d
fn along(x: &[f64], t: f64, d: &[f64]) -> Vec<f64> {
    x.iter().zip(d).map(|(x, d)| x + t * d).collect()
}

fn dot(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum()
}

fn dot32(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn add(to: &mut [f64], factor: f64, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, v)| *to += factor * f64::from(*v));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        line_search: LineSearch,
        budget: usize,
        x: &[f64],
        f: fn(&[f64]) -> (f64, Vec<f64>),
    ) -> (Vec<f64>, Vec<f64>) {
        let mut losses = Vec::new();
        let config = LbfgsConfig { line_search, ..LbfgsConfig::default() };
        let x = minimise(config, x.to_vec(), |x| {
            if losses.len() == budget {
                return Ok(None);
            }
            let (loss, gradient) = f(x);
            losses.push(loss);
            Ok(Some((loss, gradient)))
        });
        (x.unwrap(), losses)
    }

    /// ½ Σ wᵢ(xᵢ − i)² with w from 1 to 100.
    fn quadratic(x: &[f64]) -> (f64, Vec<f64>) {
        let w = |i: usize| 100.0f64.powf(i as f64 / 19.0);
        let at = |i: usize| x[i] - i as f64;
        ((0..20).map(|i| 0.5 * w(i) * at(i).powi(2)).sum(), (0..20).map(|i| w(i) * at(i)).collect())
    }

    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
    }

    #[test]
    fn a_quadratic_is_solved_in_few_evaluations() {
        for line_search in [LineSearch::Fixed, LineSearch::Wolfe] {
            let (x, losses) = run(line_search, 80, &[0.0; 20], quadratic);
            assert!(losses.len() < 80, "{line_search:?}: {}", losses.len());
            x.iter().enumerate().for_each(|(i, x)| assert!((x - i as f64).abs() < 1e-6, "{line_search:?}: {x} at {i}"));
        }
    }

    #[test]
    fn the_search_gets_through_rosenbrocks_valley() {
        let (x, losses) = run(LineSearch::Wolfe, 80, &[-1.2, 1.0], rosenbrock);
        assert!((x[0] - 1.0).abs() < 1e-5 && (x[1] - 1.0).abs() < 1e-5, "{x:?} after {}", losses.len());
        assert!(losses.len() < 80);
    }

    /// PyTorch's L-BFGS with its defaults, in f64, on the same function from the same point.
    #[test]
    fn without_a_search_it_goes_pytorchs_way() {
        let f = |x: &[f64]| {
            let (mut loss, mut gradient) = (0.0, vec![0.0; 4]);
            for (i, w) in [1.0, 3.0, 10.0, 30.0].into_iter().enumerate() {
                loss += 0.5 * w * (x[i] - 1.0).powi(2) + x[i].cosh();
                gradient[i] += w * (x[i] - 1.0) + x[i].sinh();
            }
            for i in 0..3 {
                let d = x[i + 1] - x[i] * x[i];
                loss += 0.5 * d * d;
                gradient[i + 1] += d;
                gradient[i] -= 2.0 * x[i] * d;
            }
            (loss, gradient)
        };
        let want = [
            17.49056618125916,
            7.834052458066757,
            7.330863276911261,
            6.050690018171274,
            5.881582455722663,
            5.825418191213229,
            5.81063890320751,
            5.793526764427882,
            5.792085787453518,
            5.792067304404738,
        ];
        let (_, losses) = run(LineSearch::Fixed, 10, &[0.5, -0.3, 0.8, 0.2], f);
        for (got, want) in losses.iter().zip(want) {
            approx::assert_relative_eq!(*got, want, max_relative = 1e-6);
        }
        assert_eq!(losses.len(), want.len());
    }

    #[test]
    fn what_is_no_number_is_an_error_or_a_shorter_step() {
        // ln is no number left of 0; the first step from 0.1 would go there.
        let f = |x: &[f64]| (x[0] - 3.0 * x[0].ln(), vec![1.0 - 3.0 / x[0]]);
        let (x, _) = run(LineSearch::Wolfe, 60, &[20.0], f);
        assert!((x[0] - 3.0).abs() < 1e-5, "{x:?}");
        let error = minimise(LbfgsConfig::default(), vec![1.0], |_| Ok(Some((f64::NAN, vec![1.0])))).unwrap_err();
        assert!(error.to_string().contains("NaN"));
    }
}

//! Case rows: a bias and an activation in one pass.

use super::{Case, Range, Tolerance::*, normal};
use crate::ops::Activation::{self, *};

pub(super) fn rows() -> Vec<Case> {
    let leaky = LeakyRelu { slope: 0.2 };
    let row = |name: &str, x: &[usize], f: Activation| {
        Case::new(name, vec![normal(x), normal([x[1]])], move |x| x[0].bias_activation(&x[1], f))
    };
    // Values and biases are multiples of 1/64: a shift keeps their sums away from the kink at 0.
    let kinked = |name: &str, x: &[usize], f: Activation| {
        Case::new(name, vec![normal(x), normal([x[1]])], move |x| {
            x[0].affine(1.0, 1.0 / 128.0).bias_activation(&x[1], f)
        })
    };
    let edges = vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 88.7, -88.7, 1e4, -1e4, 1e-30];
    vec![
        row("bias_activation: identity", &[3, 5, 7], Identity),
        kinked("bias_activation: leaky_relu", &[3, 4, 2, 6], leaky),
        kinked("bias_activation: leaky_relu, rows", &[9, 5], leaky),
        kinked("bias_activation: relu", &[2, 3, 5, 5], LeakyRelu { slope: 0.0 }),
        kinked("bias_activation: negative slope", &[2, 3, 4], LeakyRelu { slope: -0.5 }),
        row("bias_activation: tanh", &[2, 3, 7, 5], Tanh).within(Transcendental),
        row("bias_activation: tanh, rows", &[6, 11], Tanh).within(Transcendental),
        row("bias_activation: sigmoid", &[3, 2, 8], Sigmoid).within(Transcendental),
        row("bias_activation: one", &[1, 1], Sigmoid).within(Transcendental),
        row("bias_activation: empty", &[0, 3, 4], leaky),
        Case::new(
            "bias_activation: edges",
            vec![([5, 2].into(), Range::Exactly(edges.clone())), ([2].into(), Range::Exactly(vec![0.0]))],
            move |x| x[0].bias_activation(&x[1], leaky),
        )
        .order(0),
        Case::new(
            "bias_activation: tanh, edges",
            vec![([5, 2].into(), Range::Exactly(edges)), ([2].into(), Range::Exactly(vec![0.0]))],
            |x| x[0].bias_activation(&x[1], Tanh),
        )
        .within(Transcendental)
        .order(0),
        row("bias_activation: large", &[9, 33, 40, 31], Tanh).within(Transcendental).order(0),
        row("bias_activation: large, whole quads", &[7, 65, 40, 32], Sigmoid).within(Transcendental).order(0),
    ]
}

//! Case rows: arithmetic, functions of one number, and activations that are one.

use super::{
    Case, Range,
    Tolerance::{self, *},
    normal,
};
use crate::shape::Shape;
use crate::tensor::Tensor;

pub(super) fn rows() -> Vec<Case> {
    [unary(), binary(), large()].into_iter().flatten().collect()
}

fn unary() -> Vec<Case> {
    type F = fn(&Tensor) -> Tensor;
    let away = Range::Away(vec![0.0]);
    let positive = Range::Between(0.25, 4.0);
    let rows: [(&str, F, Range, Tolerance, u32); 23] = [
        ("neg", |x| -x, Range::Normal, Exact, 2),
        ("affine", |x| x.affine(-1.5, 0.25), Range::Normal, Elementwise, 2),
        ("exp", Tensor::exp, Range::Between(-4.0, 4.0), Transcendental, 2),
        ("log", Tensor::log, positive.clone(), Transcendental, 2),
        ("log1p", Tensor::log1p, Range::Between(-0.5, 2.0), Transcendental, 2),
        ("sqrt", Tensor::sqrt, positive.clone(), Elementwise, 2),
        ("rsqrt", Tensor::rsqrt, positive.clone(), Elementwise, 2),
        ("recip", Tensor::recip, positive.clone(), Elementwise, 2),
        ("square", Tensor::square, Range::Normal, Elementwise, 2),
        ("abs", Tensor::abs, away.clone(), Exact, 2),
        ("sign", Tensor::sign, Range::Normal, Exact, 0),
        ("step", |x| x.leaky_relu_slope(0.25), Range::Normal, Exact, 0),
        ("step: 0 and 1", |x| x.leaky_relu_slope(0.0), Range::Normal, Exact, 0),
        ("relu", Tensor::relu, away.clone(), Exact, 2),
        ("leaky_relu", |x| x.leaky_relu(0.2), away.clone(), Elementwise, 2),
        ("tanh", Tensor::tanh, Range::Between(-4.0, 4.0), Transcendental, 2),
        ("sigmoid", Tensor::sigmoid, Range::Between(-6.0, 6.0), Transcendental, 2),
        ("softplus", Tensor::softplus, Range::Between(-6.0, 6.0), Transcendental, 2),
        ("clamp", |x| x.clamp(-0.5, 0.75), Range::Away(vec![-0.5, 0.75]), Exact, 2),
        ("inside", |x| x.is_inside(-0.5, 0.75), Range::Normal, Exact, 0),
        ("pow", |x| x.pow(2.5), positive.clone(), Transcendental, 2),
        ("sin", Tensor::sin, Range::Between(-9.0, 9.0), Transcendental, 2),
        ("cos", Tensor::cos, Range::Between(-9.0, 9.0), Transcendental, 2),
    ];
    let mut table: Vec<Case> = rows
        .into_iter()
        .map(|(name, f, range, tolerance, order)| {
            Case::new(name, vec![([3, 5, 7].into(), range)], move |x| f(&x[0])).within(tolerance).order(order)
        })
        .collect();
    // The conventions at the kinks and at the edges of the numbers.
    let edges =
        vec![0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 88.7, -88.7, 1e4, -1e4, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let edge = |name: &str, f: F, tolerance: Tolerance, values: &[f32]| {
        let range = Range::Exactly(values.to_vec());
        Case::new(name, vec![([values.len()].into(), range)], move |x| f(&x[0])).within(tolerance).order(0)
    };
    table.extend([
        edge("leaky_relu: edges", |x| x.leaky_relu(0.25), Exact, &edges),
        edge("tanh: edges", Tensor::tanh, Transcendental, &edges),
        edge("sigmoid: edges", Tensor::sigmoid, Transcendental, &edges),
        edge("softplus: edges", Tensor::softplus, Transcendental, &edges),
        edge("clamp: edges", |x| x.clamp(-2.0, 3.0), Exact, &edges),
        edge("abs: edges", Tensor::abs, Exact, &edges),
        edge("sign: edges", Tensor::sign, Exact, &edges),
        edge("pow: square of negatives", |x| x.pow(2.0), Transcendental, &[-3.0, -0.5, 0.0, 0.5, 3.0]),
        edge("pow: cube of negatives", |x| x.pow(3.0), Transcendental, &[-3.0, -0.5, 0.0, 0.5, 3.0]),
    ]);
    for (name, f) in [("relu: derivative 0 at 0", Tensor::relu as F), ("abs: derivative 0 at 0", Tensor::abs)] {
        table.push(
            Case::new(name, vec![([3].into(), Range::Exactly(vec![-1.0, 0.0, 1.0]))], move |x| {
                let y = crate::tensor::recording(|| f(&x[0]).sum());
                let [dx] = crate::autograd::differentiable_grad(&y, [&x[0]]);
                dx
            })
            .within(Exact)
            .order(0),
        );
    }
    table
}

fn binary() -> Vec<Case> {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let rows: [(&str, F); 4] =
        [("add", |a, b| a + b), ("sub", |a, b| a - b), ("mul", |a, b| a * b), ("div", |a, b| a / b)];
    let shapes: [(&str, Shape, Shape); 7] = [
        ("", [3, 5, 7].into(), [3, 5, 7].into()),
        (": channels", [2, 5, 3, 7].into(), [1, 5, 1, 1].into()),
        (": scalar left", [].into(), [4, 5].into()),
        (": rows and columns", [6, 1].into(), [1, 5].into()),
        (": last axis", [4, 5, 3].into(), [3].into()),
        (": both sides", [2, 1, 3, 1, 2].into(), [1, 4, 1, 5, 1].into()),
        (": empty", [0, 3].into(), [1, 3].into()),
    ];
    let mut table = Vec::new();
    for (name, f) in rows {
        for (what, a, b) in &shapes {
            let divisor = if name == "div" { Range::Between(0.5, 2.0) } else { Range::Normal };
            table.push(Case::new(&format!("{name}{what}"), vec![normal(a), (b.clone(), divisor)], move |x| {
                f(&x[0], &x[1])
            }));
        }
    }
    table
}

/// Several workgroups and chunks, and runs of vec4s that end early. Values, and first gradients of the small ones.
fn large() -> Vec<Case> {
    let mut table: Vec<Case> = [
        Case::new("leaky_relu: large", vec![normal([300_007])], |x| x[0].leaky_relu(0.2)),
        Case::new("tanh: large", vec![normal([100_003])], |x| x[0].tanh()).within(Transcendental),
        Case::new("add: large", vec![normal([13, 37, 401]), normal([37, 1])], |x| &x[0] + &x[1]),
        Case::new("sub: large", vec![normal([70_001]), normal([70_001])], |x| &x[0] - &x[1]),
        Case::new("mul: edge rows and all", vec![normal([9, 1, 64]), normal([1, 33, 64])], |x| &x[0] * &x[1]),
        Case::new("mul: edge scalar", vec![normal([33, 64, 12]), normal([1])], |x| &x[0] * &x[1]),
    ]
    .into_iter()
    .map(|case| case.order(0))
    .collect();
    let channels = |x: [usize; 4]| vec![normal(x), normal([x[1]])];
    for (x, order) in [([3, 5, 6, 6], 1), ([17, 5, 32, 28], 0)] {
        let run = |x: &[Tensor]| x[0].add_channel_bias(&x[1]);
        table.push(Case::new(&format!("add: edge channels {}", x[0]), channels(x), run).order(order));
        let run = |x: &[Tensor]| x[1].reshape([1, 5, 1, 1]) / (x[0].square() + 1.0);
        table.push(Case::new(&format!("div: edge channels left {}", x[0]), channels(x), run).order(order));
    }
    table
}

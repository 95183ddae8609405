//! Case rows: activations, comparisons, choosing and blending.

use super::{Case, Range, Tolerance::*, normal};
use crate::autograd::differentiable_grad_all;
use crate::tensor::{Tensor, recording};

type F = fn(&Tensor) -> Tensor;

fn edge(name: &str, f: F, values: &[f32]) -> Case {
    let range = Range::Exactly(values.to_vec());
    Case::new(name, vec![([values.len()].into(), range)], move |x| f(&x[0])).within(Transcendental).order(0)
}

/// The gradients of Σ f by every input, side by side.
fn slopes(name: &str, inputs: &[&[f32]], f: fn(&[Tensor]) -> Tensor) -> Case {
    let inputs = inputs.iter().map(|values| ([values.len()].into(), Range::Exactly(values.to_vec()))).collect();
    Case::new(name, inputs, move |x| {
        let y = recording(|| f(x).sum());
        let d = differentiable_grad_all(&y, &x.iter().collect::<Vec<_>>());
        Tensor::concat(&d.iter().collect::<Vec<_>>(), 0)
    })
    .within(Exact)
    .order(0)
}

pub(super) fn rows() -> Vec<Case> {
    let wide = Range::Between(-6.0, 6.0);
    let away = Range::Away(vec![0.0]);
    let unary: [(&str, F, Range); 8] = [
        ("expm1", Tensor::expm1, Range::Between(-3.0, 3.0)),
        ("silu", Tensor::silu, wide.clone()),
        ("elu", |x| x.elu(1.0), away.clone()),
        ("elu: alpha 0.5", |x| x.elu(0.5), away),
        ("normal_cdf", Tensor::normal_cdf, wide.clone()),
        ("gelu", Tensor::gelu, wide.clone()),
        ("gelu_tanh", Tensor::gelu_tanh, wide.clone()),
        ("log_sigmoid", Tensor::log_sigmoid, wide),
    ];
    let mut table: Vec<Case> = unary
        .into_iter()
        .map(|(name, f, range)| {
            Case::new(name, vec![([3, 5, 7].into(), range)], move |x| f(&x[0])).within(Transcendental)
        })
        .collect();
    let inf = f32::INFINITY;
    let numbers = [0.0, 1.0, -1.0, 1e-20, -1e-20, 88.7, -88.7, 1e4, -1e4, inf, f32::NAN];
    table.extend([
        edge("exp: edges", Tensor::exp, &[0.0, -0.0, 1.0, 1e-20, 88.7, -88.7, -1e4, inf, -inf, f32::NAN]),
        edge("log: edges", Tensor::log, &[0.0, -0.0, 1.0, -1.0, 1e-30, 1e4, inf, -inf, f32::NAN]),
        edge("log1p: edges", Tensor::log1p, &[0.0, 1e-20, -1e-20, -1.0, -2.0, 1e4, inf, -inf, f32::NAN]),
        edge("sqrt: edges", Tensor::sqrt, &[0.0, 1e-30, 1e4, -1.0, inf, -inf, f32::NAN]),
        edge("rsqrt: edges", Tensor::rsqrt, &[0.0, -0.0, 1e-30, 1e4, -1.0, inf, -inf, f32::NAN]),
        edge("recip: edges", Tensor::recip, &[0.0, -0.0, 1e-30, -1e4, inf, -inf, f32::NAN]),
        edge("relu: edges", Tensor::relu, &[&numbers[..], &[-inf]].concat()),
        edge("pow: cube: edges", |x| x.pow(3.0), &[0.0, -0.0, -2.0, 1e4, inf, -inf, f32::NAN]),
        edge("pow: root: edges", |x| x.pow(0.5), &[0.0, -0.0, -2.0, 1e4, inf, -inf, f32::NAN]),
        edge("sin: edges", Tensor::sin, &[0.0, -0.0, 88.7, -88.7, 1e4, -1e4, inf, -inf, f32::NAN]),
        edge("cos: edges", Tensor::cos, &[0.0, -0.0, 88.7, -88.7, 1e4, -1e4, inf, -inf, f32::NAN]),
        edge("silu: edges", Tensor::silu, &numbers),
        edge("elu: edges", |x| x.elu(1.0), &[&numbers[..], &[-inf]].concat()),
        edge("normal_cdf: edges", Tensor::normal_cdf, &[&numbers[..], &[-inf]].concat()),
        edge("gelu: edges", Tensor::gelu, &numbers),
        edge("log_sigmoid: edges", Tensor::log_sigmoid, &[&numbers[..], &[-inf]].concat()),
        edge("expm1: edges", |x| x.expm1() * 1e-30, &[0.0, 1e-20, -1e-20, 0.3, -0.4, -1e4, inf, -inf, f32::NAN]),
        slopes("elu_slope: alpha at 0", &[&[-0.0, 0.0, 1.0]], |x| x[0].elu(0.5)),
    ]);
    table.extend(derivatives_at_the_edges());
    table.extend(binary());
    table
}

/// First derivatives where arguments are huge, tiny or infinite and the derivative is still a number.
fn derivatives_at_the_edges() -> Vec<Case> {
    let inf = f32::INFINITY;
    let finite = [0.0, -0.0, 1.0, -1.0, 1e-20, -1e-20, 20.0, -20.0, 88.7, -88.7, 1e4, -1e4];
    let all = [&finite[..], &[inf, -inf]].concat();
    let steep = [0.0, 1.0, -1.0, 1e-20, 88.0, -20.0, -88.7, -1e4, -inf];
    let positive = [1e-30, 1e-3, 1.0, 88.7, 1e4, 1e30, inf];
    let z = [0.0, 20.0, -20.0, 88.7, -88.7, 1e4, -1e4, inf, -inf, 1.0, 1e4, -1e4];
    let target = [0.0, 1.0, 0.875, 0.0, 1.0, 0.0, 1.0, 0.5, 0.25, 1.0, 1.0, 0.0];
    let one = |name: &str, values: &[f32], f: fn(&[Tensor]) -> Tensor| {
        slopes(&format!("{name}: derivative: edges"), &[values], f).within(Transcendental)
    };
    vec![
        one("tanh", &all, |x| x[0].tanh()),
        // Compared with the largest: formed from y alone, as y·(1 − y), it loses digits where y rounds to 1.
        slopes("sigmoid: derivative at the edges", &[&all], |x| x[0].sigmoid()).within(Transcendental),
        one("softplus", &all, |x| x[0].softplus()),
        one("exp", &steep, |x| x[0].exp()),
        one("log", &positive, |x| x[0].log()),
        one("elu", &all, |x| x[0].elu(0.5)),
        one("silu", &finite, |x| x[0].silu()),
        one("gelu", &finite, |x| x[0].gelu()),
        slopes("bce_with_logits: derivative: edges", &[&z, &target], |x| x[0].bce_with_logits(&x[1]))
            .within(Transcendental),
    ]
}

fn binary() -> Vec<Case> {
    type G = fn(&Tensor, &Tensor) -> Tensor;
    let inf = f32::INFINITY;
    // All pairs of edges.
    let numbers = [0.0, -0.0, 2.0, -2.0, inf, -inf, f32::NAN];
    let rows: [(&str, G, u32); 4] = [
        ("max", Tensor::maximum, 2),
        ("min", Tensor::minimum, 2),
        ("gt", Tensor::gt, 0),
        ("equal", |a, b| a.equal(&b.clamp(-0.5, 0.5)), 0),
    ];
    let mut table = Vec::new();
    for (name, f, order) in rows {
        let run = move |x: &[Tensor]| f(&x[0], &x[1]);
        // Multiples of 1/64 against numbers between them: no tie.
        let between = (0..5).map(|i| i as f32 * 0.375 - 0.742_187_5).collect();
        let inputs = vec![normal([4, 5, 6]), ([5, 1].into(), Range::Exactly(between))];
        table.push(Case::new(name, inputs, run).within(Exact).order(order));
        table.push(
            Case::new(
                &format!("{name}: edges"),
                vec![([7, 1].into(), Range::Exactly(numbers.to_vec())), ([7].into(), Range::Exactly(numbers.to_vec()))],
                run,
            )
            .within(Exact)
            .order(0),
        );
    }
    table.extend([
        slopes("share: half each at a tie, max", &[&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]], |x| x[0].maximum(&x[1])),
        slopes("share: half each at a tie, min", &[&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]], |x| x[0].minimum(&x[1])),
        Case::new(
            "bce",
            vec![([5, 7].into(), Range::Between(0.05, 0.95)), ([5, 7].into(), Range::Between(0.0, 1.0))],
            |x| x[0].bce(&x[1]),
        )
        .within(Transcendental),
        Case::new(
            "bce: edges",
            vec![
                ([12].into(), Range::Exactly(vec![0.0, 1.0, 1e-9, 0.5])),
                ([12].into(), Range::Exactly(vec![0.0, 1.0, 0.9])),
            ],
            |x| x[0].bce(&x[1]),
        )
        .within(Transcendental)
        .order(0),
        slopes("bce: derivative at 0 and 1", &[&[0.0, 1.0, 1.0, 0.0, 0.5], &[0.0, 1.0, 1.0, 0.0, 0.5]], |x| {
            x[0].bce(&x[1])
        }),
        Case::new("select", vec![normal([4, 5, 6]), normal([5, 1])], |x| {
            let mask: Vec<f32> = (0..24).map(|i| [0.0, 1.0, -2.0, 0.0, 1.0][i % 5]).collect();
            Tensor::new(x[0].device(), [4, 1, 6], &mask).select(&x[0], &x[1])
        })
        .within(Exact),
        Case::new(
            "select: NaN that is not chosen",
            vec![
                ([5].into(), Range::Exactly(vec![0.0, 1.0, f32::NAN])),
                ([5].into(), Range::Exactly(vec![f32::NAN, 2.0, inf])),
                ([5].into(), Range::Exactly(vec![3.0, -inf, 4.0])),
            ],
            |x| x[0].select(&x[1], &x[2]),
        )
        .within(Exact)
        .order(0),
        Case::new(
            "power",
            vec![([4, 5, 6].into(), Range::Between(0.25, 3.0)), ([5, 1].into(), Range::Between(-2.0, 2.0))],
            |x| x[0].power(&x[1]),
        )
        .within(Transcendental),
        Case::new(
            "power: edges",
            vec![
                ([9, 1].into(), Range::Exactly(vec![0.0, 1.0, -1.0, 2.0, -2.0, 0.5, inf, -inf, f32::NAN])),
                ([10].into(), Range::Exactly(vec![0.0, 1.0, -1.0, 2.0, -3.0, 0.5, -0.5, inf, -inf, f32::NAN])),
            ],
            |x| x[0].power(&x[1]),
        )
        .within(Transcendental)
        .order(0),
        slopes("power: derivatives at base 0", &[&[0.0, 0.0, 0.0], &[0.0, 1.0, 2.0]], |x| x[0].power(&x[1])),
        Case::new("lerp", vec![normal([3, 5]), normal([3, 5]), normal([3, 1])], |x| x[0].lerp(&x[1], &x[2])),
    ]);
    table
}

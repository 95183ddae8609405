//! Case rows: sums, extrema, products, variances, norms, softmax and its kin.

use super::{Case, Range, Tolerance::*, anything, normal, told};
use crate::autograd::differentiable_grad;
use crate::error::Result;
use crate::ops::Indices;
use crate::ops::reduce_more::Variance;
use crate::tensor::{Device, Tensor, recording};

/// Indices as a tensor, so that a case can compare them.
pub(super) fn as_tensor(indices: Result<Indices>, device: &Device) -> Tensor {
    let tensor = |indices: Indices| {
        let values: Vec<f64> = indices.to_vec()?.iter().map(|&i| i as f64).collect();
        Ok(Tensor::from_f64(device, indices.shape(), &values))
    };
    told(indices.and_then(tensor), device)
}

pub(super) fn rows() -> Vec<Case> {
    [sums(), others()].into_iter().flatten().collect()
}

/// Sums and means.
fn sums() -> Vec<Case> {
    let row = |name: &str, shape: &[usize], axes: &'static [usize]| {
        let terms = axes.iter().map(|&axis| shape[axis]).product();
        Case::new(name, vec![normal(shape)], move |x| x[0].sum_axes(axes)).within(Accumulated(terms))
    };
    vec![
        row("sum", &[3, 5, 7], &[0, 1, 2]),
        row("sum: inner axis", &[4, 6, 9], &[2]),
        row("sum: outer axis", &[9, 6, 4], &[0]),
        row("sum: middle axis", &[3, 11, 5], &[1]),
        row("sum: all but channels", &[5, 4, 6, 7], &[0, 2, 3]),
        row("sum: short rows of channels", &[9, 5, 7, 7], &[0, 2, 3]),
        row("sum: alternating", &[2, 3, 4, 5, 6], &[1, 3]),
        row("sum: no axis", &[3, 4], &[]),
        row("sum: size 1", &[3, 1, 4], &[1]),
        row("sum: nothing to sum", &[3, 0, 2], &[1]),
        row("sum: more than one chunk", &[3, 2500], &[1]),
        Case::new("mean", vec![normal([4, 5, 6])], |x| x[0].mean_axes(&[0, 2])).within(Accumulated(24)),
        Case::new("sum_to", vec![normal([4, 5, 6])], |x| x[0].sum_to(&[5, 1].into())).within(Accumulated(24)),
        Case::new("sum: large", vec![normal([300_007])], |x| x[0].sum()).within(Accumulated(300_007)).order(0),
        Case::new("sum: large outer", vec![normal([3001, 67])], |x| x[0].sum_axes(&[0]))
            .within(Accumulated(3001))
            .order(0),
        Case::new("sum: large channels, any fractions", vec![anything([40, 3, 17, 19])], |x| x[0].sum_axes(&[0, 2, 3]))
            .within(Accumulated(12_920))
            .order(0),
        Case::new("sum: large, any fractions", vec![anything([70_001])], |x| x[0].sum())
            .within(Accumulated(70_001))
            .order(0),
    ]
}

fn others() -> Vec<Case> {
    let row =
        |name: &str, shape: &[usize], f: fn(&Tensor) -> Tensor| Case::new(name, vec![normal(shape)], move |x| f(&x[0]));
    // Distinct values, so that finite differences do not cross a tie.
    let distinct = |n: usize| Range::Exactly((0..n).map(|i| ((i * 29 + 5) % n) as f32 / 8.0 - 3.0).collect());
    let extreme = |name: &str, shape: &[usize], f: fn(&Tensor) -> Tensor| {
        let n = shape.iter().product();
        Case::new(name, vec![(shape.into(), distinct(n))], move |x| f(&x[0])).within(Exact)
    };
    let edge = |name: &str, values: &[f32], f: fn(&Tensor) -> Tensor| {
        let rows = values.len() / 3;
        Case::new(name, vec![([rows, 3].into(), Range::Exactly(values.to_vec()))], move |x| f(&x[0])).order(0)
    };
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let edges = [1.0, inf, 2.0, -inf, -inf, -inf, 0.0, nan, 5.0, -1.0, -inf, -1.0];
    // Sizes that are whole vec4s.
    let sum = |name: &str, shape: &[usize], axes: &'static [usize]| {
        let terms = axes.iter().map(|&axis| shape[axis]).product();
        Case::new(name, vec![normal(shape)], move |x| x[0].sum_axes(axes)).within(Accumulated(terms))
    };
    vec![
        sum("sum: whole quads, inner axis", &[3, 5, 12], &[2]).order(1),
        sum("sum: whole quads, outer axis", &[9, 5, 4], &[0]).order(1),
        sum("sum: whole quads, middle axis", &[3, 11, 8], &[1]).order(1),
        sum("sum: whole quads, all but channels", &[5, 3, 6, 8], &[0, 2, 3]).order(1),
        sum("sum: whole quads, alternating", &[3, 4, 5, 6, 4], &[1, 3]).order(1),
        sum("sum: whole quads, in many chunks", &[3, 7, 2052], &[0, 2]).order(0),
        sum("sum: whole quads, outer, in many chunks", &[37, 5, 101, 12], &[0, 2]).order(0),
        sum("sum: whole quads, all", &[301_004], &[0]).order(0),
        extreme("max_axes", &[3, 5, 7], |x| x.max_axes(&[0, 2])),
        extreme("max_axes: all", &[3, 5, 7], |x| x.max_axes(&[0, 1, 2])),
        extreme("max_axes: outer", &[8, 5], |x| x.max_axes(&[0])),
        extreme("min_axes", &[3, 5, 7], |x| x.min_axes(&[1])),
        row("max_axes: large", &[3, 70_001], |x| x.max_axes(&[1])).within(Exact).order(0),
        row("min_axes: large", &[3001, 7], |x| x.min_axes(&[0])).within(Exact).order(0),
        edge("max_axes: edges", &edges, |x| x.max_axes(&[1])).within(Exact),
        edge("min_axes: edges", &edges, |x| x.min_axes(&[1])).within(Exact),
        edge("max_axes: equal ones share", &[1.0, 2.0, 2.0, 3.0, 3.0, 1.0], |x| {
            let [dx] = differentiable_grad(&recording(|| x.max_axes(&[1]).sum()), [x]);
            dx
        })
        .within(Exact),
        row("argmax", &[4, 6, 5], |x| as_tensor(x.argmax(1), x.device())).within(Exact).order(0),
        row("argmin", &[4, 6, 5], |x| as_tensor(x.argmin(2), x.device())).within(Exact).order(0),
        row("argmax: large", &[2, 70_001, 3], |x| as_tensor(x.argmax(1), x.device())).within(Exact).order(0),
        edge("argmax: edges", &edges, |x| as_tensor(x.argmax(1), x.device())).within(Exact),
        row("prod_axes", &[3, 7, 4], |x| x.prod_axes(&[1])).within(Transcendental),
        row("prod_axes: all", &[2, 3, 3], |x| x.prod_axes(&[0, 2, 1])).within(Transcendental),
        Case::new(
            "prod_axes: with zeros",
            vec![([3, 4].into(), Range::Exactly(vec![1.5, 0.0, -2.0, 0.5, 0.0, 3.0, 0.0, 1.0, 1.0, -1.0, 2.0, 0.25]))],
            |x| x[0].prod_axes(&[1]),
        ),
        row("prod_axes: nothing", &[3, 0], |x| x.prod_axes(&[1])).within(Exact).order(0),
        row("var_axes: population", &[4, 5, 6], |x| x.var_axes(&[0, 2], Variance::Population)).within(Accumulated(24)),
        row("var_axes: sample", &[4, 5, 6], |x| x.var_axes(&[1], Variance::Sample)).within(Accumulated(24)),
        row("norm_axes", &[4, 5, 6], |x| x.norm_axes(&[0, 2])).within(Accumulated(24)),
        edge("norm_axes: derivative 0 at the zero vector", &[3.0, 0.0, 4.0, 0.0, 0.0, 0.0], |x| {
            let [dx] = differentiable_grad(&recording(|| x.norm_axes(&[1]).sum()), [x]);
            dx
        }),
        Case::new("norm1_axes", vec![([4, 5].into(), Range::Away(vec![0.0]))], |x| x[0].norm1_axes(&[1]))
            .within(Accumulated(5)),
        extreme("norm_max_axes", &[4, 5], |x| x.norm_max_axes(&[1])),
        edge("norm_max_axes: equal ones share, 0 at 0", &[1.0, -2.0, 2.0, 3.0, 3.0, 1.0, 0.0, 0.0, 0.0], |x| {
            let [dx] = differentiable_grad(&recording(|| x.norm_max_axes(&[1]).sum()), [x]);
            dx
        })
        .within(Exact),
        row("gram", &[2, 3, 4, 5], |x| x.gram()).within(Accumulated(20)),
        row("mean_keep", &[2, 3, 4], |x| x - x.mean_keep(&[0, 2])).within(Accumulated(8)),
        row("softmax", &[4, 7, 3], |x| (x * 3.0).softmax(1)).within(Transcendental),
        row("log_softmax", &[4, 7], |x| (x * 3.0).log_softmax(1)).within(Transcendental),
        row("logsumexp", &[4, 7, 3], |x| x.logsumexp(&[0, 2])).within(Transcendental),
        edge("softmax: large logits", &[1e4, 0.0, -1e4, 88.7, 90.0, -90.0, -3e38, 3e38, 0.0], |x| x.softmax(1))
            .within(Transcendental),
        edge("logsumexp: edges", &[-inf, -inf, -inf, 1e4, 1e4, 0.0, inf, 0.0, 1.0, nan, 1.0, 2.0], |x| {
            x.logsumexp(&[1])
        })
        .within(Transcendental),
        Case::new("cross_entropy", vec![normal([5, 4])], |x| {
            let labels = Indices::new(x[0].device(), [5], vec![3, 0, 1, 1, 2]);
            told(x[0].cross_entropy(&labels), x[0].device())
        })
        .within(Transcendental),
    ]
}

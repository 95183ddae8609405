//! Case rows: batch normalisation and its moments.

use super::{Case, Range, Tolerance::*, normal};
use crate::ops::{Activation, Running};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Images, and a scale and a shift for each channel.
fn inputs(x: &[usize]) -> Vec<(Shape, Range)> {
    vec![normal(x), normal([x[1]]), normal([x[1]])]
}

pub(super) fn rows() -> Vec<Case> {
    [small(), with_statistics(), large()].into_iter().flatten().collect()
}

fn small() -> Vec<Case> {
    let run = |x: &[Tensor]| x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-3).0;
    let activated = |x: &[Tensor], slope: f64| {
        x[0].batch_norm_activated(Some(&x[1]), Some(&x[2]), 1e-3, Activation::LeakyRelu { slope }).0
    };
    let parts = |x: &[Tensor], parts: usize, slope: f64| {
        let f = Activation::LeakyRelu { slope };
        x[0].batch_norm_of_parts(parts, &x[0].moments_of_parts(parts), Some(&x[1]), Some(&x[2]), 1e-3, f)
    };
    let loose = Limit(5e-6, "a difference divided by a standard deviation");
    vec![
        Case::new("moments", vec![normal([3, 4, 5, 6])], |x| x[0].moments()).within(Accumulated(90)),
        Case::new("batch_norm: leaky_relu", inputs(&[3, 4, 5, 6]), move |x| activated(x, 0.2)).within(loose),
        Case::new("batch_norm: relu, whole quads", inputs(&[2, 5, 4, 8]), move |x| activated(x, 0.0)).within(loose),
        Case::new("batch_norm: negative slope", inputs(&[2, 3, 4]), move |x| activated(x, -0.5)).within(loose),
        Case::new("moments: of parts, and running", vec![normal([6, 5, 3]), normal([5]), normal([5])], |x| {
            x[0].moments_and_running(3, [&x[1], &x[2]], 0.75, 1.25)
        })
        .within(Accumulated(20))
        .order(0),
        Case::new("moments: of parts of rows", vec![normal([6, 5]), normal([5]), normal([5])], |x| {
            x[0].moments_and_running(3, [&x[1], &x[2]], 0.75, 1.25)
        })
        .within(Accumulated(20))
        .order(0),
        Case::new("moments: many channels", vec![normal([4, 35, 9, 8]), normal([35]), normal([35])], |x| {
            x[0].moments_and_running(2, [&x[1], &x[2]], 0.75, 1.25)
        })
        .within(Accumulated(150))
        .order(0),
        Case::new("batch_norm: parts", inputs(&[6, 3, 2, 5]), move |x| parts(x, 3, 1.0)).within(loose),
        Case::new("batch_norm: parts of rows", inputs(&[9, 7]), move |x| parts(x, 3, 1.0)).within(loose),
        Case::new("batch_norm: parts, leaky_relu", inputs(&[4, 5, 4, 3]), move |x| parts(x, 2, 0.2)).within(loose),
        Case::new("batch_norm: parts, many channels, relu", inputs(&[4, 33, 2, 4]), move |x| parts(x, 2, 0.0))
            .within(loose)
            .order(1),
        Case::new("batch_norm", inputs(&[3, 4, 5, 6]), run).within(loose),
        Case::new("batch_norm: rows", inputs(&[9, 5]), run).within(loose),
        Case::new("batch_norm: one image", inputs(&[1, 3, 7, 5]), run).within(loose),
        Case::new("batch_norm: no affine", vec![normal([4, 3, 5])], |x| x[0].batch_norm(None, None, 1e-5).0)
            .within(loose),
        Case::new(
            "batch_norm: offset 100",
            vec![([6, 3, 7, 7].into(), Range::Between(99.0, 101.0)), normal([3]), normal([3])],
            run,
        )
        .within(Limit(2e-4, "x is rounded to 1e-5 of its spread"))
        .order(1),
        Case::new(
            "batch_norm_with",
            vec![normal([3, 4, 5]), normal([4]), ([4].into(), Range::Between(0.5, 2.0)), normal([4]), normal([4])],
            |x| x[0].batch_norm_with(&x[1], &x[2], Some(&x[3]), Some(&x[4]), 1e-3),
        )
        .within(Transcendental),
    ]
}

/// Value, moments and running statistics, which come together, and means far from 0.
fn with_statistics() -> Vec<Case> {
    let all = |x: &[Tensor], parts: usize, slope: f64| {
        let running = Running { mean: &x[3], var: &x[4], keep: 0.75, correction: 1.25 };
        let (affine, f) = ([Some(&x[1]), Some(&x[2])], Activation::LeakyRelu { slope });
        let (y, moments) = x[0].batch_norm_and_moments(parts, Some(running), affine, 1e-3, f);
        Tensor::concat(&[&y.reshape([y.len()]), &moments.reshape([moments.len()])], 0)
    };
    let trained = |name: &str, x: &[usize], parts: usize, slope: f64| {
        let running = [normal([x[1]]), normal([x[1]])];
        let loose = Limit(5e-6, "a difference divided by a standard deviation");
        let run = move |x: &[Tensor]| all(x, parts, slope);
        Case::new(name, [&inputs(x)[..], &running].concat(), run).within(loose).order(0)
    };
    let far = |name: &str, x: [usize; 4]| {
        let images = (x.into(), Range::Between(999.0, 1001.0));
        Case::new(name, vec![images, normal([x[1]]), normal([x[1]])], |x| {
            x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-3).0
        })
        .within(Limit(5e-4, "the mean is rounded to 5e-5 of the spread"))
    };
    vec![
        trained("batch_norm: trained", &[4, 3, 4, 5], 1, 0.2),
        trained("batch_norm: trained, parts", &[6, 5, 2, 6], 3, 1.0),
        trained("batch_norm: trained, parts, many", &[4, 33, 12, 24], 2, 0.0),
        Case::new("batch_norm: tanh behind it", inputs(&[3, 2, 4, 4]), |x| {
            x[0].batch_norm_and_moments(1, None, [Some(&x[1]), Some(&x[2])], 1e-3, Activation::Tanh).0
        })
        .within(Limit(5e-6, "a difference divided by a standard deviation")),
        far("batch_norm: offset 1000", [6, 3, 7, 7]).order(0),
        far("batch_norm: offset 1000, whole quads", [6, 35, 8, 12]).order(1),
    ]
}

/// Several workgroups and runs of vec4s that end early. Values, and first gradients of the small one.
fn large() -> Vec<Case> {
    let run = |x: &[Tensor]| x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-3).0;
    let loose = Limit(1e-5, "a difference divided by a standard deviation");
    vec![
        Case::new("batch_norm: large", vec![normal([17, 5, 31, 29]), normal([5]), normal([5])], |x| {
            x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-5).0
        })
        .within(Limit(1e-5, "sums of 15,283 terms"))
        .order(0),
        Case::new("batch_norm: edge vec4s 3", inputs(&[3, 5, 6, 6]), run).within(loose).order(1),
        Case::new("batch_norm: edge vec4s 17", inputs(&[17, 5, 32, 28]), run).within(loose).order(0),
    ]
}

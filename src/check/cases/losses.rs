//! Case rows: losses, and optimiser steps that can be differentiated.

use super::{Case, Range, Tolerance::*, normal, told};
use crate::ops::losses::*;
use crate::ops::mean_of::{self, Function};
use crate::ops::unrolled::UnrolledAdam;
use crate::tensor::Tensor;

type Pair = fn(&Tensor, &Tensor) -> Tensor;

pub(super) fn rows() -> Vec<Case> {
    [cross_entropies(), others()].into_iter().flatten().collect()
}

/// Cross-entropies of two classes, from logits and from probabilities.
fn cross_entropies() -> Vec<Case> {
    let (p, t) = (Range::Between(0.05, 0.95), Range::Between(0.0, 1.0));
    let targets = Range::Exactly(vec![0.0, 1.0, 0.9]);
    vec![
        Case::new(
            "bce_with_logits",
            vec![([5, 7].into(), Range::Between(-5.0, 5.0)), ([5, 7].into(), t.clone())],
            |x| x[0].bce_with_logits(&x[1]),
        )
        .within(Transcendental),
        Case::new("bce_with_logits: broadcast target", vec![normal([5, 3]), ([1, 1].into(), t.clone())], |x| {
            x[0].bce_with_logits(&x[1])
        })
        .within(Transcendental),
        Case::new(
            "bce_with_logits: edges",
            vec![
                ([12].into(), Range::Exactly(vec![0.0, 20.0, -20.0, 88.7, -88.7, 1e4, -1e4])),
                ([12].into(), targets.clone()),
            ],
            |x| x[0].bce_with_logits(&x[1]),
        )
        .within(Transcendental)
        .order(1),
        Case::new("bce_clipped", vec![([5, 7].into(), p), ([5, 7].into(), t)], |x| x[0].bce_clipped(&x[1], 1e-7))
            .within(Transcendental),
        Case::new(
            "bce_clipped: edges",
            vec![([12].into(), Range::Exactly(vec![0.0, 1.0, 1e-9, 0.5])), ([12].into(), targets)],
            |x| x[0].bce_clipped(&x[1], 0.0625),
        )
        .within(Transcendental)
        .order(0),
    ]
}

fn others() -> Vec<Case> {
    let logits = Range::Between(-5.0, 5.0);
    let smooth: [(&str, Pair); 9] = [
        ("minimax_d", minimax_d),
        ("minimax_g", |_, fake| minimax_g(fake)),
        ("non_saturating_g", |_, fake| non_saturating_g(fake)),
        ("wasserstein_d", wasserstein_d),
        ("wasserstein_g", |_, fake| wasserstein_g(fake)),
        ("least_squares_d", least_squares_d),
        ("least_squares_g", |_, fake| least_squares_g(fake)),
        ("relativistic_d", relativistic_d),
        ("relativistic_g", relativistic_g),
    ];
    let mut table: Vec<Case> = smooth
        .into_iter()
        .map(|(name, f)| {
            let inputs = vec![([9, 1].into(), logits.clone()), ([9, 1].into(), logits.clone())];
            Case::new(name, inputs, move |x| f(&x[0], &x[1])).within(Transcendental)
        })
        .collect();
    let kinks =
        |range: Vec<f32>| vec![([9, 1].into(), Range::Away(range.clone())), ([9, 1].into(), Range::Away(range))];
    let images = |range: Range| vec![([2, 3, 4, 5].into(), range)];
    // Neighbours at least an eighth apart.
    let steps = Range::Exactly((0..120).map(|i| ((i * 37 + 5) % 120) as f32 / 8.0 - 7.0).collect());
    // Scores of real and fake images in one tensor, and terms that share elements or leave some out.
    for (name, of) in [("minimax", MINIMAX), ("wasserstein", WASSERSTEIN), ("least_squares", LEAST_SQUARES)] {
        let inputs = vec![([10, 1].into(), logits.clone())];
        table.push(Case::new(&format!("mean_of: {name}"), inputs, move |x| of.of_joint(&x[0])).within(Transcendental));
    }
    let term = |f, range, weight| mean_of::Term { f, range, weight };
    let shared = [term(Function::Sigmoid, 1..7, 0.5), term(Function::Square { target: 0.25 }, 5..130, -2.0)];
    table.push(
        Case::new("mean_of", vec![([2, 70].into(), logits.clone())], move |x| x[0].means_of(&shared))
            .within(Accumulated(125)),
    );
    let bce =
        [(0.0, 0..40), (1.0, 40..90)].map(|(target, range)| term(Function::Bce { target, clip: 1e-3 }, range, 1.0));
    table.extend([
        Case::new("mean_of: bce", vec![([90].into(), Range::Between(0.01, 0.99))], move |x| x[0].means_of(&bce))
            .within(Transcendental),
        Case::new("mean_of: bce outside of the clip", vec![([4].into(), Range::Exactly(vec![0.0, 1.0, -1.0, 2.0]))], {
            |x| x[0].mean_of(Function::Bce { target: 1.0, clip: 1e-3 }, 1.0)
        })
        .within(Transcendental)
        .order(1),
        Case::new("mean_of: hinge", kinks(vec![1.0, -1.0]), |x| HINGE.of_joint(&Tensor::concat(&[&x[0], &x[1]], 0))),
        Case::new("mean_of: large", vec![([70_001].into(), logits.clone())], |x| {
            x[0].mean_of(Function::Softplus { sign: -1.0 }, 1.0)
        })
        .within(Accumulated(1000))
        .order(1),
        Case::new("hinge_d", kinks(vec![1.0, -1.0]), |x| hinge_d(&x[0], &x[1])),
        Case::new("hinge_g", vec![normal([9, 1])], |x| hinge_g(&x[0])),
        Case::new("l1", vec![([9].into(), Range::Away(vec![0.0])), ([9].into(), Range::Exactly(vec![0.0]))], |x| {
            l1(&x[0], &x[1])
        }),
        Case::new("mse", vec![normal([3, 4]), normal([3, 4])], |x| mse(&x[0], &x[1])),
        Case::new(
            "smooth_l1",
            vec![([9].into(), Range::Away(vec![0.5, -0.5])), ([9].into(), Range::Exactly(vec![0.0]))],
            |x| smooth_l1(&x[0], &x[1], 0.5),
        ),
        Case::new("total_variation_l1", images(steps.clone()), |x| total_variation_l1(&x[0])).within(Accumulated(100)),
        Case::new("total_variation_l2", images(steps), |x| total_variation_l2(&x[0])).within(Accumulated(100)),
        Case::new("style_loss", vec![normal([2, 3, 4, 5]), normal([2, 3, 3, 2])], |x| {
            style_loss(&x[0], &x[1], GramNorm::Elements)
        })
        .within(Accumulated(20)),
        Case::new("gram_matrix", vec![normal([2, 3, 4, 5])], |x| gram_matrix(&x[0], GramNorm::Places))
            .within(Accumulated(20)),
        Case::new("patch_nce", vec![normal([2, 4, 5]), normal([2, 4, 5])], |x| {
            told(patch_nce(&x[0], &x[1], 0.5), x[0].device())
        })
        .within(Transcendental),
    ]);
    for (name, keras) in [("unrolled adam", false), ("unrolled adam: Keras", true)] {
        let adam = UnrolledAdam { lr: 0.1, beta1: 0.5, beta2: 0.9, eps: 1e-3, keras };
        table.push(
            Case::new(name, vec![normal([3, 4]), ([3, 4].into(), Range::Away(vec![0.0]))], move |x| {
                let zeros = Tensor::zeros(x[0].device(), x[0].shape());
                // Two steps; the second gradient depends on the first step's parameter.
                let [p, m, v] = adam.step(1, &x[0], &x[1], &zeros, &zeros);
                let [p, ..] = adam.step(2, &p, &(&p * &x[1] + 1.0), &m, &v);
                p
            })
            .within(Transcendental),
        );
    }
    table
}

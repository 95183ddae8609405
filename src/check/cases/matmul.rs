//! Case rows: matrix products, small, large and around the edges of tiles.

use super::{Case, Tolerance::*, anything, normal};
use crate::tensor::Tensor;

pub(super) fn rows() -> Vec<Case> {
    [small(), large(), edges()].into_iter().flatten().collect()
}

fn small() -> Vec<Case> {
    let mut table = Vec::new();
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        for (m, n, k) in [(5, 7, 3), (1, 9, 33), (17, 1, 8), (33, 35, 18)] {
            let a: [usize; 2] = if ta { [k, m] } else { [m, k] };
            let b: [usize; 2] = if tb { [n, k] } else { [k, n] };
            let name = format!("matmul: {m}x{n}x{k}{}{}", if ta { " at" } else { "" }, if tb { " bt" } else { "" });
            table.push(
                Case::new(&name, vec![normal(a), normal(b)], move |x| x[0].matmul_transposed(&x[1], ta, tb))
                    .within(Accumulated(k)),
            );
        }
    }
    table.extend([
        Case::new("matmul: batch", vec![normal([3, 4, 5]), normal([3, 5, 6])], |x| x[0].matmul(&x[1]))
            .within(Accumulated(5)),
        Case::new("matmul: broadcast batch", vec![normal([2, 1, 4, 5]), normal([3, 5, 2])], |x| x[0].matmul(&x[1]))
            .within(Accumulated(5)),
        Case::new("matmul: nothing inside", vec![normal([3, 0]), normal([0, 2])], |x| x[0].matmul(&x[1])),
        Case::new("linear", vec![normal([4, 9]), normal([6, 9]), normal([6])], |x| x[0].linear(&x[1], Some(&x[2])))
            .within(Accumulated(9)),
    ]);
    table
}

/// Several workgroups, chunks and tiles. Values only, for the reference's sake.
fn large() -> Vec<Case> {
    [
        Case::new("matmul: large", vec![normal([131, 1100]), normal([1100, 157])], |x| x[0].matmul(&x[1]))
            .within(Accumulated(1100)),
        Case::new("matmul: large at bt", vec![normal([517, 99]), normal([73, 517])], |x| {
            x[0].matmul_transposed(&x[1], true, true)
        })
        .within(Accumulated(517)),
        Case::new("matmul: one column", vec![normal([67, 4500]), normal([1, 4500])], |x| {
            x[0].matmul_transposed(&x[1], false, true)
        })
        .within(Accumulated(4500)),
        // Of numbers whose products and sums are no f32s: the order of additions shows.
        Case::new("matmul: large, any fractions", vec![anything([67, 1030]), anything([1030, 45])], |x| {
            x[0].matmul(&x[1])
        })
        .within(Accumulated(1030)),
    ]
    .into_iter()
    .map(|case| case.order(0))
    .collect()
}

/// Sizes around the edges of tiles, panels and splits. Values only.
fn edges() -> Vec<Case> {
    let mut table = Vec::new();
    for (m, n, k) in [
        (31, 33, 9),
        (32, 32, 8),
        (33, 31, 17),
        (63, 65, 40),
        (64, 64, 7),
        (5, 6, 3001),
        (130, 2, 515),
        (8, 48, 192),
        (9, 97, 400),
        // Of so few terms that the cpu computes them in a pass over y, and products with a vector.
        (5, 70, 1),
        (3, 65, 2),
        (70, 131, 3),
        (9, 64, 4),
        (40, 1, 3001),
    ] {
        for (ta, tb) in [(false, false), (true, true)] {
            let a: [usize; 2] = if ta { [k, m] } else { [m, k] };
            let b: [usize; 2] = if tb { [n, k] } else { [k, n] };
            let name = format!("matmul: edge {m}x{n}x{k}{}", if ta { " at bt" } else { "" });
            let run = move |x: &[Tensor]| x[0].matmul_transposed(&x[1], ta, tb);
            table.push(Case::new(&name, vec![normal(a), normal(b)], run).within(Accumulated(k)));
        }
    }
    table.push(
        Case::new("matmul: edge batch", vec![normal([3, 33, 35]), normal([3, 35, 34])], |x| x[0].matmul(&x[1]))
            .within(Accumulated(35)),
    );
    table.into_iter().map(|case| case.order(0)).collect()
}

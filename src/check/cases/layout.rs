//! Case rows: moving elements, repeating, cutting, gathering and scattering.

use super::{Case, Range, Tolerance::*, normal, told};
use crate::ops::{Indices, PadMode};
use crate::tensor::Tensor;

pub(super) fn rows() -> Vec<Case> {
    let row = |name: &str, shape: &[usize], f: fn(&Tensor) -> Tensor| {
        Case::new(name, vec![normal(shape)], move |x| f(&x[0])).within(Exact)
    };
    let pick = |x: &Tensor, shape: &[usize], values: &[u32]| Indices::new(x.device(), shape, values.to_vec());
    let mut table = vec![
        row("reshape", &[3, 4, 5], |x| x.reshape([5, 12])),
        row("permute", &[2, 3, 5], |x| x.permute(&[2, 0, 1])),
        row("permute: six axes", &[2, 3, 2, 1, 3, 2], |x| x.permute(&[5, 3, 1, 0, 2, 4])),
        row("expand", &[3, 1, 5], |x| x.expand([2, 3, 4, 5])),
        row("expand: scalar", &[], |x| x.expand([3, 2])),
        row("slice", &[5, 7], |x| x.slice(&[1, 0], &[2, 3], &[2, 3])),
        row("slice: to nothing", &[5, 7], |x| x.slice(&[1, 0], &[1, 1], &[0, 3])),
        row("pad", &[2, 3, 4], |x| x.pad(&[0, 1, 2], &[1, 0, 3])),
        Case::new("permute: large", vec![normal([61, 43, 37])], |x| x[0].permute(&[2, 0, 1])).within(Exact).order(0),
        Case::new("expand: edge", vec![normal([7, 1, 333])], |x| x[0].expand([7, 9, 333])).within(Exact).order(0),
        Case::new("slice: edge", vec![normal([30, 40, 50])], |x| x[0].slice(&[1, 0, 2], &[1, 2, 3], &[29, 20, 16]))
            .within(Exact)
            .order(0),
        row("flip", &[3, 4, 5], |x| x.flip(&[0, 2])),
        row("flip: one axis", &[3, 4, 5], |x| x.flip(&[1])),
        row("slice: backwards in steps", &[7, 9], |x| x.flip(&[1]).slice(&[1, 2], &[2, 3], &[3, 2])),
        row("pad: value", &[2, 3, 4], |x| x.pad_value(&[0, 1, 2], &[1, 0, 3], -2.5)),
        row("pad: reflect", &[2, 3, 5, 4], |x| x.pad_mode(&[0, 0, 4, 1], &[0, 0, 2, 3], PadMode::Reflect)),
        row("pad: edge", &[2, 3, 5, 4], |x| x.pad_mode(&[0, 0, 4, 1], &[0, 0, 2, 6], PadMode::Edge)),
        row("pad: circular", &[2, 3, 5, 4], |x| x.pad_mode(&[0, 0, 4, 1], &[0, 0, 2, 9], PadMode::Circular)),
        row("tile", &[2, 3, 4], |x| x.tile(&[3, 1, 2])),
        row("repeat_each", &[2, 3, 4], |x| x.repeat_each(1, 3)),
        row("split", &[2, 7, 3], |x| {
            let parts = x.split(1, &[2, 4, 1]);
            &parts[1] * 2.0 + parts[0].narrow(1, 0, 1) + &parts[2]
        })
        .within(Elementwise),
        Case::new("concat", vec![normal([3, 2, 4]), normal([3, 5, 4]), normal([3, 1, 4])], |x| {
            Tensor::concat(&[&x[0], &x[1], &x[2]], 1)
        })
        .within(Exact),
        Case::new("concat: with nothing", vec![normal([2, 3]), normal([0, 3])], |x| {
            Tensor::concat(&[&x[1], &x[0], &x[1], &x[0]], 0)
        })
        .within(Exact),
        Case::new("stack", vec![normal([3, 4]), normal([3, 4])], |x| Tensor::stack(&[&x[0], &x[1]], 1)).within(Exact),
    ];
    table.extend([
        Case::new("index_select", vec![normal([3, 5, 4])], move |x| {
            told(x[0].index_select(1, &pick(&x[0], &[7], &[4, 0, 0, 2, 4, 1, 4])), x[0].device())
        })
        .within(Exact),
        Case::new("index_select: last axis", vec![normal([6, 5])], move |x| {
            told(x[0].index_select(1, &pick(&x[0], &[3], &[4, 0, 4])), x[0].device())
        })
        .within(Exact),
        Case::new("gather", vec![normal([2, 4, 3])], move |x| {
            let places = pick(&x[0], &[2, 2, 3], &[0, 1, 3, 2, 2, 0, 3, 3, 3, 1, 0, 3]);
            told(x[0].gather(1, &places), x[0].device())
        })
        .within(Exact),
        Case::new("scatter_add", vec![normal([3, 5, 2]), normal([3, 6, 2])], move |x| {
            told(x[0].scatter_add(1, &pick(&x[0], &[6], &[4, 0, 0, 2, 4, 4]), &x[1]), x[0].device())
        })
        .within(Accumulated(4)),
        Case::new("embedding", vec![normal([5, 6])], move |x| {
            told(x[0].embedding(&pick(&x[0], &[2, 3], &[4, 0, 0, 2, 4, 1])), x[0].device())
        })
        .within(Exact),
        Case::new("axis_map: one row of 9,001 entries", vec![normal([9001, 2])], move |x| {
            let zeros = pick(&x[0], &[9001], &[0; 9001]);
            told(Tensor::zeros(x[0].device(), [3, 2]).scatter_add(0, &zeros, &x[0]), x[0].device())
        })
        .within(Accumulated(9001))
        .order(1),
        Case::new("axis_map: large", vec![normal([37, 301, 29])], move |x| {
            let picks = (0..501).map(|i| i * 7 % 301).collect::<Vec<u32>>();
            told(x[0].index_select(1, &pick(&x[0], &[501], &picks)), x[0].device())
        })
        .within(Exact)
        .order(0),
    ]);
    // Bits move unchanged.
    let odd = Range::Exactly(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 3e38]);
    table.push(
        Case::new("flip: NaN and infinity", vec![([5].into(), odd.clone())], |x| x[0].flip(&[0]))
            .within(Exact)
            .order(0),
    );
    table.push(
        Case::new("index_select: NaN and infinity", vec![([5].into(), odd)], move |x| {
            told(x[0].index_select(0, &pick(&x[0], &[3], &[2, 0, 1])), x[0].device())
        })
        .within(Exact)
        .order(0),
    );
    table
}

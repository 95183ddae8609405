//! Case rows: convolutions and dense layers with a bias a channel and an activation.

use super::conv2d::conv;
use super::{Case, Range, Tolerance, Tolerance::*, normal};
use crate::ops::{Activation, Conv2d};
use crate::shape::Shape;
use crate::tensor::Tensor;
use Activation::*;

const LEAKY: Activation = LeakyRelu { slope: 0.2 };
const RELU: Activation = LeakyRelu { slope: 0.0 };

/// Multiples of ½, so that sums of products are multiples of ¼.
pub(super) fn halves(shape: impl Into<Shape>, seed: usize) -> (Shape, Range) {
    let value = |i: usize| ((i * i * seed + 3 * i) % 9) as f32 / 2.0 - 2.0;
    (shape.into(), Range::Exactly((0..97).map(value).collect()))
}

/// Inputs x, w and b of which the sums have kinks of f between them, ⅛ away: b is shifted by as much.
fn kinked(x: &[usize], w: &[usize], channels: usize) -> Vec<(Shape, Range)> {
    vec![halves(x, 5), halves(w, 7), halves([channels], 1)]
}

fn shifted(b: &Tensor) -> Tensor {
    b.affine(1.0, 0.125)
}

/// Weights and so many terms that the sums are about as large as the inputs.
fn scaled(w: &Tensor, terms: usize) -> Tensor {
    w.affine(1.0 / (terms as f64).sqrt(), 0.0)
}

/// What is special, f, the shapes of images and weights, the convolution.
type Row = (&'static str, Activation, [usize; 4], [usize; 4], Conv2d);

/// A convolution and the transposed one of the same settings; how close, by the terms of a sum.
fn faces((what, f, x, w, settings): Row, prefix: &str, close: fn(usize) -> Tolerance) -> [Case; 2] {
    let terms = w[1] * w[2] * w[3];
    let inputs = vec![normal(x), normal(w), normal([w[0]])];
    let run = move |t: &[Tensor]| t[0].conv2d_activated(&scaled(&t[1], terms), Some(&t[2]), settings, f);
    let forward = Case::new(&format!("conv2d_activated: {prefix}{what}"), inputs, run).within(close(terms));
    let [oh, ow] = settings.output_size([x[2], x[3]], [w[2], w[3]]).expect("the rows fit");
    let inputs = vec![normal([x[0], w[0], oh, ow]), normal(w), normal([x[1]])];
    let terms = w[0] * w[2] * w[3];
    let run = move |t: &[Tensor]| {
        let size = [x[2], x[3]];
        t[0].conv_transpose2d_activated(&scaled(&t[1], terms), Some(&t[2]), settings, size, f)
    };
    [forward, Case::new(&format!("conv2d_input_activated: {prefix}{what}"), inputs, run).within(close(terms))]
}

pub(super) fn rows() -> Vec<Case> {
    [small(), kinks(), edges(), large()].into_iter().flatten().collect()
}

/// Smooth functions of normal numbers: all gradients.
fn small() -> Vec<Case> {
    let rows: [Row; 6] = [
        ("3x3", Identity, [2, 3, 6, 5], [4, 3, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("1x1, tanh", Tanh, [3, 5, 4, 3], [2, 5, 1, 1], conv([1, 1], [0; 4], [1, 1], 1)),
        ("asymmetric, sigmoid", Sigmoid, [2, 2, 8, 7], [3, 2, 3, 3], conv([2, 2], [1, 0, 0, 1], [1, 1], 1)),
        ("dilated, tanh", Tanh, [1, 2, 9, 8], [3, 2, 3, 2], conv([1, 2], [2, 2, 1, 1], [2, 3], 1)),
        ("groups, sigmoid", Sigmoid, [2, 4, 6, 5], [6, 2, 3, 3], conv([2, 1], [1; 4], [1, 1], 2)),
        ("stride beyond kernel, tanh", Tanh, [1, 2, 9, 9], [2, 2, 2, 2], conv([3, 3], [0; 4], [1, 1], 1)),
    ];
    let mut table: Vec<Case> = rows.into_iter().flat_map(|row| faces(row, "", |_| Transcendental)).collect();
    for (n, inputs, outputs, f) in [(4, 9, 6, Identity), (1, 33, 9, Tanh), (17, 8, 1, Sigmoid), (33, 18, 35, Tanh)] {
        let each = vec![normal([n, inputs]), normal([outputs, inputs]), normal([outputs])];
        let run = move |t: &[Tensor]| t[0].linear_activated(&scaled(&t[1], inputs), Some(&t[2]), f);
        table.push(Case::new(&format!("linear_activated: {n}x{inputs}x{outputs}"), each, run).within(Transcendental));
    }
    // Without a bias.
    let settings = conv([2, 2], [1; 4], [1, 1], 1);
    table.push(
        Case::new("conv2d_activated: no bias", vec![normal([2, 3, 8, 10]), normal([5, 3, 4, 4])], move |t| {
            t[0].conv2d_activated(&scaled(&t[1], 48), None, settings, Tanh)
        })
        .within(Transcendental),
    );
    table
}

/// The leaky relus.
fn kinks() -> Vec<Case> {
    let unit = conv([1, 1], [1; 4], [1, 1], 1);
    let two = conv([2, 2], [1; 4], [1, 1], 1);
    let row = |name: &str, inputs, run: fn(&[Tensor], Conv2d) -> Tensor, settings| {
        Case::new(name, inputs, move |t: &[Tensor]| run(t, settings)).within(Accumulated(48))
    };
    vec![
        row(
            "conv2d_activated: leaky_relu",
            kinked(&[2, 3, 6, 5], &[4, 3, 3, 3], 4),
            |t, settings| t[0].conv2d_activated(&t[1], Some(&shifted(&t[2])), settings, LEAKY),
            unit,
        ),
        row(
            "conv2d_activated: depthwise, relu",
            kinked(&[2, 3, 5, 6], &[3, 1, 3, 3], 3),
            |t, settings| t[0].conv2d_activated(&t[1], Some(&shifted(&t[2])), settings, RELU),
            Conv2d { groups: 3, ..unit },
        ),
        row(
            "conv2d_activated: negative slope",
            kinked(&[1, 2, 4, 3], &[3, 2, 3, 3], 3),
            |t, settings| t[0].conv2d_activated(&t[1], Some(&shifted(&t[2])), settings, LeakyRelu { slope: -0.5 }),
            unit,
        ),
        row(
            "conv2d_input_activated: leaky_relu, output padding",
            kinked(&[2, 3, 4, 5], &[3, 2, 3, 3], 2),
            |t, settings| t[0].conv_transpose2d_activated(&t[1], Some(&shifted(&t[2])), settings, [8, 10], LEAKY),
            two,
        ),
        // Few channels of many: the taps are multiplied at once and folded.
        row(
            "conv2d_input_activated: relu, to two channels",
            kinked(&[2, 9, 3, 7], &[9, 2, 3, 2], 2),
            |t, settings| t[0].conv_transpose2d_activated(&t[1], Some(&shifted(&t[2])), settings, [8, 7], RELU),
            conv([2, 1], [0, 1, 2, 1], [2, 3], 1),
        ),
        row(
            "linear_activated: leaky_relu",
            kinked(&[7, 10], &[5, 10], 5),
            |t, _| t[0].linear_activated(&t[1], Some(&shifted(&t[2])), LEAKY),
            unit,
        ),
    ]
}

/// Sums and biases at the edges of the numbers: each sum is one of these.
fn edges() -> Vec<Case> {
    let values = vec![0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 88.5, -88.5, 1e4, -1e4, 1.0];
    let bias = Range::Exactly(vec![0.0, f32::NAN, f32::NEG_INFINITY, 1.5]);
    let one = Range::Exactly(vec![1.0]);
    let plain = Conv2d::default();
    let named = [("leaky_relu", LEAKY), ("tanh", Tanh), ("sigmoid", Sigmoid)];
    let rows = named.into_iter().flat_map(|(name, f)| {
        let x = |shape: Shape| (shape, Range::Exactly(values.clone()));
        let inputs = |x: (Shape, Range), w: Shape| vec![x, (w, one.clone()), ([4].into(), bias.clone())];
        [
            Case::new(
                &format!("conv2d_activated: {name}: edges"),
                inputs(x([3, 1, 3, 3].into()), [4, 1, 1, 1].into()),
                move |t| t[0].conv2d_activated(&t[1], Some(&t[2]), plain, f),
            ),
            Case::new(
                &format!("conv2d_input_activated: {name}: edges"),
                inputs(x([3, 1, 3, 3].into()), [1, 4, 1, 1].into()),
                move |t| t[0].conv_transpose2d_activated(&t[1], Some(&t[2]), plain, [3, 3], f),
            ),
            Case::new(&format!("linear_activated: {name}: edges"), inputs(x([9, 1].into()), [4, 1].into()), move |t| {
                t[0].linear_activated(&t[1], Some(&t[2]), f)
            }),
        ]
    });
    rows.map(|case| case.within(Transcendental).order(0)).collect()
}

/// Several workgroups, tiles, groups, parts of k. Values only, for the reference's sake.
fn large() -> Vec<Case> {
    let two = conv([2, 2], [1; 4], [1, 1], 1);
    let rows: [Row; 5] = [
        ("4x4 stride 2, tanh", Tanh, [5, 33, 14, 18], [65, 33, 4, 4], two),
        ("3x3 groups, leaky_relu", LEAKY, [2, 66, 9, 9], [34, 33, 3, 3], conv([1, 1], [1; 4], [1, 1], 2)),
        ("3x3 groups, sigmoid", Sigmoid, [2, 10, 9, 9], [76, 5, 3, 3], conv([1, 1], [1; 4], [1, 1], 2)),
        // Longer sums than a panel takes at a time.
        ("k in parts, leaky_relu", LEAKY, [2, 1030, 8, 8], [3, 1030, 8, 8], conv([1, 1], [0; 4], [1, 1], 1)),
        ("k in parts, tanh", Tanh, [1, 1030, 8, 8], [5, 1030, 8, 8], conv([1, 1], [0; 4], [1, 1], 1)),
    ];
    let faces = rows.into_iter().flat_map(|row| faces(row, "large, ", Accumulated));
    // A transposed convolution sums over its few outputs, not in parts.
    let mut table: Vec<Case> =
        faces.filter(|case| !case.name.starts_with("conv2d_input_activated: large, k")).collect();
    let inputs = vec![normal([5, 70, 9, 7]), normal([70, 3, 4, 4]), normal([3])];
    let run =
        move |t: &[Tensor]| t[0].conv_transpose2d_activated(&scaled(&t[1], 1120), Some(&t[2]), two, [18, 15], Tanh);
    table.push(Case::new("conv2d_input_activated: large, to three channels", inputs, run).within(Accumulated(1120)));
    for (n, inputs, outputs, f) in
        [(131, 1100, 157, LEAKY), (5, 3001, 6, Tanh), (64, 40, 65, Sigmoid), (2, 70_000, 9, RELU)]
    {
        let each = vec![normal([n, inputs]), normal([outputs, inputs]), normal([outputs])];
        let run = move |t: &[Tensor]| t[0].linear_activated(&scaled(&t[1], inputs), Some(&t[2]), f);
        table.push(
            Case::new(&format!("linear_activated: large, {n}x{inputs}x{outputs}"), each, run)
                .within(Accumulated(inputs)),
        );
    }
    table.into_iter().map(|case| case.order(0)).collect()
}

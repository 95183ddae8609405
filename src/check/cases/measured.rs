//! Case rows: products that take moments along, and the normalisations behind them.

use super::bias_activation::halves;
use super::conv2d::conv;
use super::{Case, Range, Tolerance, Tolerance::*, normal};
use crate::ops::{Activation, Conv2d, Over, Running};
use crate::tensor::Tensor;
use Activation::{Identity, LeakyRelu, Tanh};

const LEAKY: Activation = LeakyRelu { slope: 0.2 };
const LOOSE: Tolerance = Limit(1e-5, "a difference divided by a standard deviation");

/// The product of a row.
#[derive(Clone, Copy)]
enum Layer {
    Conv(Conv2d),
    /// To images of this size.
    Transposed(Conv2d, [usize; 2]),
    Dense,
}

impl Layer {
    /// Its value for x and w, with f of it and a bias, or neither, in between, normalised: by batches with gamma and beta, or image
    /// by image. With running statistics: also the moments, and what becomes of these.
    fn normalized(self, t: &[&Tensor], between: Activation, over: Over, behind: Activation) -> Tensor {
        let [x, w, rest @ ..] = t else { unreachable!("a row has x and w") };
        let (b, rest) = rest.split_at(usize::from(between != Identity));
        let b = b.first().copied();
        let terms = if let Layer::Transposed(..) = self { w.dim(0) * w.dim(2) * w.dim(3) } else { w.len() / w.dim(0) };
        let w = w.affine(1.0 / (terms as f64).sqrt(), 0.0);
        let (y, tiles) = match self {
            Layer::Conv(conv) => x.conv2d_measured(&w, b, conv, between, over),
            Layer::Transposed(conv, size) => x.conv_transpose2d_measured(&w, b, (conv, size), between, over),
            Layer::Dense => x.linear_measured(&w, b, between, over),
        };
        match (over, rest) {
            (Over::Images, _) => y.instance_norm_measured(tiles, 1e-3, behind),
            (Over::Batches(parts), [gamma, beta]) => {
                y.batch_norm_measured(tiles, parts, None, [Some(gamma), Some(beta)], 1e-3, behind).0
            }
            (Over::Batches(parts), [gamma, beta, mean, var]) => {
                let running = Running { mean, var, keep: 0.8, correction: 1.25 };
                let affine = [Some(*gamma), Some(*beta)];
                let (y, moments) = y.batch_norm_measured(tiles, parts, Some(running), affine, 1e-3, behind);
                Tensor::concat(&[&y.reshape([y.len()]), &moments.reshape([moments.len()])], 0)
            }
            _ => unreachable!("batches have gamma and beta"),
        }
    }

    fn op(self) -> &'static str {
        match self {
            Layer::Conv(_) => "conv2d_measured",
            Layer::Transposed(..) => "conv2d_input_measured",
            Layer::Dense => "linear_measured",
        }
    }

    fn channels(self, w: &[usize]) -> usize {
        match self {
            Layer::Conv(_) | Layer::Dense => w[0],
            Layer::Transposed(conv, _) => w[1] * conv.groups,
        }
    }

    /// A row of this product; x and w by their shapes, all else as the statistics need. (A bias that a normalisation follows at once
    /// has no influence, and a gradient of nothing but roundings.)
    fn row(self, what: &str, [x, w]: [&[usize]; 2], [f, behind]: [Activation; 2], over: Over, running: bool) -> Case {
        let c = self.channels(w);
        let affine = if over == Over::Images { 0 } else { 2 + 2 * usize::from(running) };
        let vectors = usize::from(f != Identity) + affine;
        let inputs = [x, w].map(normal).into_iter().chain((0..vectors).map(|_| normal([c]))).collect();
        let run = move |t: &[Tensor]| self.normalized(&t.iter().collect::<Vec<_>>(), f, over, behind);
        Case::new(&format!("{}: {what}", self.op()), inputs, run).within(LOOSE)
    }
}

const ONE: Over = Over::Batches(1);

pub(super) fn rows() -> Vec<Case> {
    [small(), statistics(), far(), edges(), large()].into_iter().flatten().collect()
}

/// All gradients, which are those of the two ops by themselves.
fn small() -> Vec<Case> {
    let unit = conv([1, 1], [1; 4], [1, 1], 1);
    let two = conv([2, 2], [1; 4], [1, 1], 1);
    let plain = [Identity; 2];
    vec![
        Layer::Conv(unit).row("batch norm", [&[2, 3, 6, 5], &[4, 3, 3, 3]], plain, ONE, false),
        Layer::Conv(unit).row("instance norm", [&[2, 3, 6, 5], &[4, 3, 3, 3]], plain, Over::Images, false),
        Layer::Conv(unit).row("parts", [&[6, 2, 3, 5], &[3, 2, 3, 3]], plain, Over::Batches(3), false),
        Layer::Conv(two).row("tanh between, whole quads", [&[2, 2, 8, 8], &[3, 2, 4, 4]], [Tanh, Identity], ONE, false),
        Layer::Conv(conv([2, 1], [1; 4], [1, 1], 2)).row(
            "groups, tanh behind",
            [&[2, 4, 6, 5], &[6, 2, 3, 3]],
            [Identity, Tanh],
            ONE,
            false,
        ),
        Layer::Transposed(two, [7, 9]).row("odd phases", [&[2, 3, 3, 4], &[3, 2, 4, 4]], plain, ONE, false),
        Layer::Transposed(two, [8, 6]).row("instance norm", [&[2, 3, 4, 3], &[3, 2, 4, 4]], plain, Over::Images, false),
        Layer::Dense.row("batch norm", [&[9, 5], &[7, 5]], plain, ONE, false),
        Layer::Dense.row("one output", [&[17, 8], &[1, 8]], plain, ONE, false),
        kinked(),
    ]
}

/// A leaky relu between: sums are multiples of 1/8, and with the bias at least 1/16 away from its kink.
fn kinked() -> Case {
    let layer = Layer::Conv(conv([1, 1], [0; 4], [1, 1], 1));
    let run = move |t: &[Tensor]| {
        let b = t[2].affine(1.0, 0.0625);
        layer.normalized(&[&t[0], &t[1], &b, &t[3], &t[4]], LEAKY, ONE, Identity)
    };
    let inputs = vec![halves([2, 1, 6, 5], 5), halves([3, 1, 2, 2], 7), halves([3], 1), normal([3]), normal([3])];
    Case::new("conv2d_measured: leaky_relu between", inputs, run).within(LOOSE)
}

/// Value, moments and running statistics; leaky relus on either side.
fn statistics() -> Vec<Case> {
    let unit = conv([1, 1], [1; 4], [1, 1], 1);
    let two = conv([2, 2], [1; 4], [1, 1], 1);
    let bent = [LEAKY, LeakyRelu { slope: 0.0 }];
    let point = conv([1, 1], [0; 4], [1, 1], 1);
    let table = vec![
        Layer::Conv(unit).row("trained", [&[3, 2, 7, 9], &[5, 2, 3, 3]], bent, ONE, true),
        Layer::Conv(unit).row("trained, one channel", [&[3, 2, 7, 12], &[1, 2, 3, 3]], bent, ONE, true),
        Layer::Conv(point).row("trained, one pixel", [&[1, 3, 1, 1], &[4, 3, 1, 1]], bent, ONE, true),
        Layer::Conv(unit).row("trained, parts", [&[6, 3, 5, 7], &[5, 3, 3, 3]], bent, Over::Batches(2), true),
        Layer::Conv(unit).row(
            "negative slope",
            [&[2, 3, 5, 7], &[5, 3, 3, 3]],
            [LeakyRelu { slope: -0.5 }; 2],
            ONE,
            true,
        ),
        Layer::Transposed(two, [9, 7]).row("trained, odd phases", [&[3, 5, 4, 3], &[5, 6, 4, 4]], bent, ONE, true),
        Layer::Dense.row("trained", [&[21, 30], &[43, 30]], bent, ONE, true),
        Layer::Dense.row("trained, parts", [&[34, 30], &[5, 30]], bent, Over::Batches(2), true),
    ];
    table.into_iter().map(|case| case.order(0)).collect()
}

/// Means 1000 times the spread.
fn far() -> Vec<Case> {
    let unit = conv([1, 1], [1; 4], [1, 1], 1);
    let row = |what: &str, layer: Layer, shapes: [&[usize]; 2], over| {
        let mut case = layer.row(what, shapes, [LEAKY, Identity], over, false);
        case.inputs[2].1 = Range::Between(999.0, 1001.0);
        case.within(Limit(5e-4, "the mean is rounded to 5e-5 of the spread")).order(0)
    };
    vec![
        row("offset 1000", Layer::Conv(unit), [&[5, 3, 11, 7], &[33, 3, 3, 3]], ONE),
        row("offset 1000, image by image", Layer::Conv(unit), [&[2, 3, 11, 9], &[3, 3, 3, 3]], Over::Images),
        row(
            "offset 1000",
            Layer::Transposed(conv([2, 2], [1; 4], [1, 1], 1), [12, 16]),
            [&[4, 9, 6, 8], &[9, 5, 4, 4]],
            ONE,
        ),
        row("offset 1000", Layer::Dense, [&[75, 30], &[11, 30]], ONE),
    ]
}

/// Channels with a NaN, with an infinity, with neither: each sum is one of these.
fn edges() -> Vec<Case> {
    let mut values: Vec<f32> = (0..36).map(|i| (i % 7) as f32 / 2.0 - 1.0).collect();
    (values[12], values[22], values[31]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let depthwise = conv([1, 1], [0; 4], [1, 1], 4);
    let row = |what: &str, over| {
        let mut case = Layer::Conv(depthwise).row(what, [&[3, 4, 3, 3], &[4, 1, 1, 1]], [LEAKY; 2], over, false);
        case.inputs[0].1 = Range::Exactly(values.clone());
        case.inputs[1].1 = Range::Exactly(vec![1.0]);
        case.within(Limit(1e-5, "a difference divided by a standard deviation")).order(0)
    };
    vec![row("batches: edges", ONE), row("images: edges", Over::Images)]
}

/// Several tiles of rows and columns, the last ones partial; several slices of a group. Values only, for the reference's sake.
fn large() -> Vec<Case> {
    let unit = conv([1, 1], [1; 4], [1, 1], 1);
    let two = conv([2, 2], [1; 4], [1, 1], 1);
    let bent = [LEAKY, LeakyRelu { slope: 0.0 }];
    let shape = |n, c, h, w| -> [usize; 4] { [n, c, h, w] };
    let table = vec![
        Layer::Conv(unit).row("large", [&shape(5, 3, 13, 11), &[67, 3, 3, 3]], bent, ONE, true),
        Layer::Conv(unit).row("large, parts", [&shape(4, 3, 12, 11), &[33, 3, 3, 3]], bent, Over::Batches(2), true),
        Layer::Conv(unit).row("large, slices", [&shape(3, 1, 63, 61), &[2, 1, 3, 3]], bent, ONE, true),
        Layer::Conv(unit).row("large, slices of vec4s", [&shape(3, 1, 64, 60), &[2, 1, 3, 3]], bent, ONE, true),
        Layer::Conv(unit).row("large, images", [&shape(3, 3, 15, 14), &[35, 3, 3, 3]], bent, Over::Images, false),
        Layer::Conv(conv([1, 1], [1; 4], [1, 1], 2)).row(
            "large, groups",
            [&shape(2, 6, 10, 9), &[70, 3, 3, 3]],
            bent,
            ONE,
            true,
        ),
        Layer::Transposed(two, [22, 21]).row("large", [&shape(3, 5, 11, 10), &[5, 37, 4, 4]], bent, ONE, true),
        Layer::Dense.row("large", [&[131, 30], &[157, 30]], bent, ONE, true),
    ];
    table.into_iter().map(|case| case.order(0)).collect()
}

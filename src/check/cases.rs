//! The case table: every op at small, odd and unequal sizes, and one large row a kernel.

mod elementwise;
mod images;
mod layout;
mod losses;
mod optable;
mod reductions;
mod training;

use super::compare::Tolerance::{self, *};
use super::gradients::Function;
use crate::error::{Error, Result};
use crate::ops::{Activation, Conv2d};
use crate::rng::{Domain, Stream};
use crate::shape::Shape;
use crate::tensor::{Device, Storage, Tensor};

/// One row: a function, its inputs and what is asked of it.
pub struct Case {
    /// `op` or `op: what is special`.
    pub name: String,
    /// The op (or the function made of ops) under test.
    pub run: Box<Function>,
    /// Shape and range of each input.
    inputs: Vec<(Shape, Range)>,
    /// How close a device must be to the reference.
    pub tolerance: Tolerance,
    /// Errors are taken relative to at least this size.
    pub floor: f64,
    /// 0: values only; 1: and gradients; 2: and gradients of gradients.
    pub order: u32,
    /// What the gradients take as constant by definition, so that central differences do not agree with them.
    pub constants: Option<&'static str>,
    seed: u64,
}

/// Where an input's values lie.
#[derive(Clone, Debug)]
pub enum Range {
    /// N(0, 1), multiples of 1/64.
    Normal,
    /// Uniform between two numbers.
    Between(f32, f32),
    /// N(0, 1) but at least 0.1 away from each kink.
    Away(Vec<f32>),
    /// These values, cyclically.
    Exactly(Vec<f32>),
}

impl Case {
    fn new(name: &str, inputs: Vec<(Shape, Range)>, run: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static) -> Case {
        let seed = name.bytes().fold(17u64, |h, b| h.wrapping_mul(0x100_0000_01b3) ^ b as u64);
        Case {
            name: name.into(),
            run: Box::new(run),
            inputs,
            tolerance: Elementwise,
            floor: 0.0,
            order: 2,
            constants: None,
            seed,
        }
    }

    fn within(mut self, tolerance: Tolerance) -> Case {
        self.tolerance = tolerance;
        self
    }

    fn order(mut self, order: u32) -> Case {
        self.order = order;
        self
    }

    fn constants(mut self, what: &'static str) -> Case {
        self.constants = Some(what);
        self
    }

    /// The op's name: the part before the colon.
    pub fn op(&self) -> &str {
        self.name.split(':').next().unwrap_or(&self.name)
    }

    /// True for rows of edge values, which are compared element by element: one value there is far larger than the rest.
    pub fn is_edges(&self) -> bool {
        self.name.ends_with(": edges")
    }

    /// The inputs on a device; the same numbers, exact in f32, on each.
    pub fn inputs(&self, device: &Device) -> Vec<Tensor> {
        let each = self.inputs.iter().enumerate();
        each.map(|(i, (shape, range))| Tensor::new(device, shape, &self.draw(shape.len(), range, i as u64))).collect()
    }

    /// Other random numbers for this case: cotangents and directions.
    pub fn random(&self, device: &Device, shape: &Shape, which: u64) -> Tensor {
        Tensor::new(device, shape, &self.draw(shape.len(), &Range::Normal, which))
    }

    fn draw(&self, n: usize, range: &Range, which: u64) -> Vec<f32> {
        let mut stream = Stream::new(self.seed, Domain::Test, which);
        let rounded = |v: f32| (v * 64.0).round() / 64.0;
        match range {
            Range::Normal => stream.normal_vec(n).into_iter().map(rounded).collect(),
            Range::Between(low, high) => stream.uniform_vec(n, *low, *high),
            Range::Away(kinks) => {
                let away = |v: f32| match kinks.iter().find(|k| (v - **k).abs() < 0.1) {
                    Some(k) => k + if v < *k { -0.125 } else { 0.125 },
                    None => v,
                };
                stream.normal_vec(n).into_iter().map(|v| away(rounded(v))).collect()
            }
            Range::Exactly(values) => (0..n).map(|i| values[i % values.len()]).collect(),
        }
    }
}

/// The result, or a tensor without values that carries the reason why the device failed; `[]` broadcasts with any shape.
fn told(result: Result<Tensor>, device: &Device) -> Tensor {
    let failed = |error: Error| Tensor::leaf(device, [].into(), Storage::Failed(error.to_string().into()));
    result.unwrap_or_else(failed)
}

fn normal(shape: impl Into<Shape>) -> (Shape, Range) {
    (shape.into(), Range::Normal)
}

/// Uniform in [-1, 1), all bits of the fraction in use.
fn anything(shape: impl Into<Shape>) -> (Shape, Range) {
    (shape.into(), Range::Between(-1.0, 1.0))
}

/// The whole table.
pub fn cases() -> Vec<Case> {
    [
        unary(),
        binary(),
        layout(),
        reductions(),
        matmuls(),
        convolutions(),
        batch_norms(),
        bias_activations(),
        large(),
        tile_edges(),
        optable::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
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
    let (p, t) = (Range::Between(0.05, 0.95), Range::Between(0.0, 1.0));
    let targets = Range::Exactly(vec![0.0, 1.0, 0.9]);
    table.extend([
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
    ]);
    table
}

fn layout() -> Vec<Case> {
    let row = |name: &str, shape: &[usize], f: fn(&Tensor) -> Tensor| {
        Case::new(name, vec![normal(shape)], move |x| f(&x[0])).within(Exact)
    };
    vec![
        row("reshape", &[3, 4, 5], |x| x.reshape([5, 12])),
        row("permute", &[2, 3, 5], |x| x.permute(&[2, 0, 1])),
        row("permute: six axes", &[2, 3, 2, 1, 3, 2], |x| x.permute(&[5, 3, 1, 0, 2, 4])),
        row("expand", &[3, 1, 5], |x| x.expand([2, 3, 4, 5])),
        row("expand: scalar", &[], |x| x.expand([3, 2])),
        row("slice", &[5, 7], |x| x.slice(&[1, 0], &[2, 3], &[2, 3])),
        row("slice: to nothing", &[5, 7], |x| x.slice(&[1, 0], &[1, 1], &[0, 3])),
        row("pad", &[2, 3, 4], |x| x.pad(&[0, 1, 2], &[1, 0, 3])),
    ]
}

fn reductions() -> Vec<Case> {
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
        row("sum: alternating", &[2, 3, 4, 5, 6], &[1, 3]),
        row("sum: no axis", &[3, 4], &[]),
        row("sum: size 1", &[3, 1, 4], &[1]),
        row("sum: nothing to sum", &[3, 0, 2], &[1]),
        row("sum: more than one chunk", &[3, 2500], &[1]),
        Case::new("mean", vec![normal([4, 5, 6])], |x| x[0].mean_axes(&[0, 2])).within(Accumulated(24)),
        Case::new("sum_to", vec![normal([4, 5, 6])], |x| x[0].sum_to(&[5, 1].into())).within(Accumulated(24)),
    ]
}

fn matmuls() -> Vec<Case> {
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

/// A convolution's settings at a glance: stride, padding, dilation, groups.
fn conv(stride: [usize; 2], padding: [usize; 4], dilation: [usize; 2], groups: usize) -> Conv2d {
    Conv2d { stride, padding, dilation, groups }
}

fn convolutions() -> Vec<Case> {
    let same = Conv2d::same([7, 6], [4, 4], [2, 1], [1, 1]);
    let [top, bottom, left, right] = same.padding;
    let lower = Conv2d { padding: [bottom, top, right, left], ..same };
    let rows: [(&str, [usize; 4], [usize; 4], Conv2d); 15] = [
        ("same of Keras and of ONNX's SAME_UPPER", [2, 2, 7, 6], [3, 2, 4, 4], same),
        ("same of ONNX's SAME_LOWER", [2, 2, 7, 6], [3, 2, 4, 4], lower),
        ("3x3", [2, 3, 6, 5], [4, 3, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("1x1", [3, 5, 4, 3], [2, 5, 1, 1], conv([1, 1], [0; 4], [1, 1], 1)),
        ("4x4 stride 2", [2, 3, 8, 10], [5, 3, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("4x4 same", [2, 2, 7, 5], [3, 2, 4, 4], Conv2d::same([7, 5], [4, 4], [1, 1], [1, 1])),
        ("left-over rows", [1, 2, 11, 12], [3, 2, 3, 3], conv([3, 3], [0; 4], [1, 1], 1)),
        ("asymmetric", [2, 2, 8, 7], [3, 2, 3, 3], conv([2, 2], [1, 0, 0, 1], [1, 1], 1)),
        ("5x3 stride 2x1", [2, 2, 9, 6], [3, 2, 5, 3], conv([2, 1], [2, 1, 0, 2], [1, 1], 1)),
        ("dilated", [1, 2, 9, 8], [3, 2, 3, 2], conv([1, 2], [2, 2, 1, 1], [2, 3], 1)),
        ("stride beyond kernel", [1, 2, 9, 9], [2, 2, 2, 2], conv([3, 3], [0; 4], [1, 1], 1)),
        ("groups", [2, 4, 6, 5], [6, 2, 3, 3], conv([2, 1], [1; 4], [1, 1], 2)),
        ("depthwise", [2, 3, 5, 6], [3, 1, 3, 3], conv([1, 1], [1; 4], [1, 1], 3)),
        ("kernel as large as the image", [3, 2, 4, 4], [2, 2, 4, 4], conv([1, 1], [0; 4], [1, 1], 1)),
        ("many small images", [9, 2, 3, 3], [4, 2, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
    ];
    let mut table = Vec::new();
    for (what, x, w, settings) in rows {
        let terms = w[1] * w[2] * w[3];
        let run = move |t: &[Tensor]| t[0].conv2d(&t[1], settings);
        table.push(Case::new(&format!("conv2d: {what}"), vec![normal(x), normal(w)], run).within(Accumulated(terms)));
        let [oh, ow] = settings.output_size([x[2], x[3]], [w[2], w[3]]).expect("the rows fit");
        let y = [x[0], w[0], oh, ow];
        let run = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, [x[2], x[3]]);
        table.push(
            Case::new(&format!("conv2d_input: {what}"), vec![normal(y), normal(w)], run)
                .within(Accumulated(w[0] * w[2] * w[3])),
        );
        let run = move |t: &[Tensor]| t[0].conv2d_weight(&t[1], settings, [w[2], w[3]]);
        table.push(
            Case::new(&format!("conv2d_weight: {what}"), vec![normal(x), normal(y)], run)
                .within(Accumulated(x[0] * oh * ow)),
        );
    }
    for (stride, size) in [([1, 1], [5, 7]), ([2, 2], [10, 14])] {
        let settings = Conv2d::same_transpose([5, 7], [4, 4], stride, [1, 1]);
        let run = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, size);
        let name = format!("conv2d_input: Keras same, stride {}", stride[0]);
        table.push(Case::new(&name, vec![normal([2, 3, 5, 7]), normal([3, 2, 4, 4])], run).within(Accumulated(48)));
    }
    // Of the two sizes of which the convolution makes this image, the larger: one row and column of output padding.
    let settings = conv([2, 2], [1; 4], [1, 1], 1);
    let inputs = vec![normal([2, 3, 4, 5]), normal([3, 2, 3, 3])];
    let run = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, [8, 10]);
    table.push(Case::new("conv2d_input: output padding", inputs, run).within(Accumulated(27)));
    table
}

fn bias_activations() -> Vec<Case> {
    use crate::ops::Activation::*;
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

fn batch_norms() -> Vec<Case> {
    let inputs = |x: &[usize]| vec![normal(x), normal([x[1]]), normal([x[1]])];
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
        Case::new("moments: many channels", vec![normal([4, 35, 9, 8]), normal([35]), normal([35])], |x| {
            x[0].moments_and_running(2, [&x[1], &x[2]], 0.75, 1.25)
        })
        .within(Accumulated(150))
        .order(0),
        Case::new("batch_norm: parts", inputs(&[6, 3, 2, 5]), move |x| parts(x, 3, 1.0)).within(loose),
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

/// One large row a kernel family: several workgroups, chunks and tiles. Values only, for the reference's sake.
fn large() -> Vec<Case> {
    let big = conv([2, 2], [1; 4], [1, 1], 1);
    vec![
        Case::new("leaky_relu: large", vec![normal([300_007])], |x| x[0].leaky_relu(0.2)),
        Case::new("tanh: large", vec![normal([100_003])], |x| x[0].tanh()).within(Transcendental),
        Case::new("add: large", vec![normal([13, 37, 401]), normal([37, 1])], |x| &x[0] + &x[1]),
        Case::new("sub: large", vec![normal([70_001]), normal([70_001])], |x| &x[0] - &x[1]),
        Case::new("permute: large", vec![normal([61, 43, 37])], |x| x[0].permute(&[2, 0, 1])).within(Exact),
        Case::new("sum: large", vec![normal([300_007])], |x| x[0].sum()).within(Accumulated(300_007)),
        Case::new("sum: large outer", vec![normal([3001, 67])], |x| x[0].sum_axes(&[0])).within(Accumulated(3001)),
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
        Case::new(
            "conv2d: large, any fractions",
            vec![anything([3, 33, 14, 18]), anything([33, 33, 4, 4])],
            move |x| x[0].conv2d(&x[1], big),
        )
        .within(Accumulated(528)),
        Case::new("sum: large, any fractions", vec![anything([70_001])], |x| x[0].sum()).within(Accumulated(70_001)),
        Case::new("conv2d: large", vec![normal([9, 33, 14, 18]), normal([65, 33, 4, 4])], move |x| {
            x[0].conv2d(&x[1], big)
        })
        .within(Accumulated(528)),
        Case::new("conv2d_input: large", vec![normal([9, 65, 7, 9]), normal([65, 33, 4, 4])], move |x| {
            x[0].conv_transpose2d(&x[1], big, [14, 18])
        })
        .within(Accumulated(1040)),
        Case::new("conv2d_weight: large", vec![normal([9, 33, 14, 18]), normal([9, 65, 7, 9])], move |x| {
            x[0].conv2d_weight(&x[1], big, [4, 4])
        })
        .within(Accumulated(567)),
        Case::new(
            "conv2d_input: large, to three channels",
            vec![normal([5, 70, 9, 7]), normal([70, 3, 4, 4])],
            move |x| x[0].conv_transpose2d(&x[1], big, [18, 15]),
        )
        .within(Accumulated(1120)),
        Case::new(
            "conv2d_input: to two channels, dilated, asymmetric",
            vec![normal([2, 9, 3, 7]), normal([9, 2, 3, 2])],
            move |x| x[0].conv_transpose2d(&x[1], conv([2, 1], [0, 1, 2, 1], [2, 3], 1), [8, 7]),
        )
        .within(Accumulated(54)),
        Case::new("batch_norm: large", vec![normal([17, 5, 31, 29]), normal([5]), normal([5])], |x| {
            x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-5).0
        })
        .within(Limit(1e-5, "sums of 15,283 terms")),
    ]
    .into_iter()
    .map(|case| case.order(0))
    .collect()
}

/// Sizes around the edges of tiles, panels, splits and runs of vec4s. Values only.
fn tile_edges() -> Vec<Case> {
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
    let rows: [(&str, [usize; 4], [usize; 4], Conv2d); 15] = [
        ("1x1", [3, 33, 7, 5], [31, 33, 1, 1], conv([1, 1], [0; 4], [1, 1], 1)),
        ("1x1 stride 2", [2, 9, 9, 8], [33, 9, 1, 1], conv([2, 2], [0; 4], [1, 1], 1)),
        ("2x2 stride 2", [5, 8, 8, 8], [16, 8, 2, 2], conv([2, 2], [0; 4], [1, 1], 1)),
        ("3x3 groups", [2, 66, 9, 9], [34, 33, 3, 3], conv([1, 1], [1; 4], [1, 1], 2)),
        ("4x4 stride 2", [3, 8, 16, 16], [17, 8, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("5x5 stride 3", [2, 5, 16, 13], [9, 5, 5, 5], conv([3, 3], [2, 1, 1, 2], [1, 1], 1)),
        ("5x4 stride 2 dilated 3", [2, 6, 15, 14], [10, 6, 5, 4], conv([2, 3], [3; 4], [3, 2], 1)),
        ("batch 33", [33, 4, 4, 4], [7, 4, 3, 3], conv([2, 2], [1; 4], [1, 1], 1)),
        // Images in chunks on the cpu, the last one smaller.
        ("batch 17 stride 2", [17, 6, 28, 27], [10, 3, 4, 4], conv([2, 2], [1; 4], [1, 1], 2)),
        // From 32 channels on these are computed by Winograd's algorithm on the cpu.
        ("3x3 many channels", [2, 33, 17, 23], [41, 33, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("3x3 many channels, valid", [1, 40, 34, 20], [33, 40, 3, 3], conv([1, 1], [0; 4], [1, 1], 1)),
        ("3x3 many channels, uneven", [5, 32, 6, 5], [35, 32, 3, 3], conv([1, 1], [2, 0, 1, 2], [1, 1], 1)),
        ("4x4 many channels", [9, 33, 16, 14], [37, 33, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("4x4 many channels, wide", [1, 32, 18, 104], [34, 32, 4, 4], conv([2, 2], [0, 3, 2, 1], [1, 1], 1)),
        ("4x4 many channels, uneven", [6, 34, 13, 12], [33, 34, 4, 4], conv([2, 2], [3, 1, 1, 2], [1, 1], 1)),
    ];
    for (what, x, w, settings) in rows {
        let [oh, ow] = settings.output_size([x[2], x[3]], [w[2], w[3]]).expect("the rows fit");
        let y = [x[0], w[0], oh, ow];
        let run = move |t: &[Tensor]| t[0].conv2d(&t[1], settings);
        table.push(
            Case::new(&format!("conv2d: edge {what}"), vec![normal(x), normal(w)], run)
                .within(Accumulated(w[1] * w[2] * w[3])),
        );
        let run = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, [x[2], x[3]]);
        table.push(
            Case::new(&format!("conv2d_input: edge {what}"), vec![normal(y), normal(w)], run)
                .within(Accumulated(w[0] * w[2] * w[3])),
        );
        let run = move |t: &[Tensor]| t[0].conv2d_weight(&t[1], settings, [w[2], w[3]]);
        table.push(
            Case::new(&format!("conv2d_weight: edge {what}"), vec![normal(x), normal(y)], run)
                .within(Accumulated(x[0] * oh * ow)),
        );
    }
    let images = |x: [usize; 4]| vec![normal(x), normal([x[1]]), normal([x[1]])];
    let loose = Limit(1e-5, "a difference divided by a standard deviation");
    let mut order_0: Vec<Case> = table.into_iter().map(|case| case.order(0)).collect();
    for (x, order) in [([3, 5, 6, 6], 1), ([17, 5, 32, 28], 0)] {
        let run = |x: &[Tensor]| x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-3).0;
        order_0.push(Case::new(&format!("batch_norm: edge vec4s {}", x[0]), images(x), run).within(loose).order(order));
        let run = |x: &[Tensor]| x[0].add_channel_bias(&x[1]);
        order_0.push(Case::new(&format!("add: edge channels {}", x[0]), images(x), run).order(order));
        let run = |x: &[Tensor]| x[1].reshape([1, 5, 1, 1]) / (x[0].square() + 1.0);
        order_0.push(Case::new(&format!("div: edge channels left {}", x[0]), images(x), run).order(order));
    }
    order_0.extend([
        Case::new("mul: edge rows and all", vec![normal([9, 1, 64]), normal([1, 33, 64])], |x| &x[0] * &x[1]).order(0),
        Case::new("mul: edge scalar", vec![normal([33, 64, 12]), normal([1])], |x| &x[0] * &x[1]).order(0),
        Case::new("expand: edge", vec![normal([7, 1, 333])], |x| x[0].expand([7, 9, 333])).within(Exact).order(0),
        Case::new("slice: edge", vec![normal([30, 40, 50])], |x| x[0].slice(&[1, 0, 2], &[1, 2, 3], &[29, 20, 16]))
            .within(Exact)
            .order(0),
    ]);
    order_0
}

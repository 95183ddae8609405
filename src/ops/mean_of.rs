//! Means of a function over ranges of a tensor in one pass, y = Σ_t weight_t·mean f_t(x_i): adversarial losses of scores.

use crate::error::Result;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::shape::Shape;
use crate::tensor::{Device, GpuView, Op, Real, Tensor, View, apply, is_recording, reference_loops};
use std::ops::Range;

/// The functions, with the convention at each kink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// x
    Identity,
    /// softplus(sign·x) = ln(1 + e^(sign·x)), which is −ln σ(−sign·x)
    Softplus {
        /// 1 or −1.
        sign: f64,
    },
    /// max(1 + sign·x, 0); derivative 0 at the kink
    Hinge {
        /// 1 or −1.
        sign: f64,
    },
    /// (x − target)²
    Square {
        /// Where it is 0.
        target: f64,
    },
    /// −target·ln p − (1 − target)·ln(1 − p) with p = x clipped to [clip, 1 − clip], as Keras has it; derivative 0 outside
    Bce {
        /// 0 or 1, or between.
        target: f64,
        /// Above 0.
        clip: f64,
    },
    /// 1 / (1 + e^−x)
    Sigmoid,
}

use Function::*;

/// One of the means.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What is averaged.
    pub f: Function,
    /// Over which elements, in row-major order; at least one.
    pub range: Range<usize>,
    /// What the mean is multiplied by.
    pub weight: f64,
}

fn softplus<T: Real>(x: T) -> T {
    let tail = (-x.abs()).exp().ln_1p(); // NaN for NaN
    if x > T::of(0.0) { x + tail } else { tail }
}

fn sigmoid<T: Real>(x: T) -> T {
    let (one, e) = (T::of(1.0), (-x.abs()).exp());
    (if x < T::of(0.0) { e } else { one }) / (one + e)
}

/// x between `clip` and 1 − `clip`; NaN stays.
fn clipped<T: Real>(x: T, clip: f64) -> T {
    let (low, high) = (T::of(clip), T::of(1.0) - T::of(clip));
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

impl Function {
    fn value<T: Real>(self, x: T) -> T {
        let (one, c) = (T::of(1.0), T::of);
        match self {
            Identity => x,
            Softplus { sign } => softplus(c(sign) * x),
            Hinge { sign } => {
                let z = one + c(sign) * x;
                if z > c(0.0) { z } else { c(0.0) * z }
            }
            Square { target } => (x - c(target)) * (x - c(target)),
            Bce { target, clip } => {
                let p = clipped(x, clip);
                -(c(target) * p.ln() + c(1.0 - target) * (one - p).ln())
            }
            Sigmoid => sigmoid(x),
        }
    }

    fn derivative<T: Real>(self, x: T) -> T {
        let (zero, one, c) = (T::of(0.0), T::of(1.0), T::of);
        match self {
            Identity => one,
            Softplus { sign } => c(sign) * sigmoid(c(sign) * x),
            Hinge { sign } => {
                if one + c(sign) * x > zero {
                    c(sign)
                } else {
                    zero
                }
            }
            Square { target } => c(2.0) * (x - c(target)),
            Bce { target, clip } => {
                let p = clipped(x, clip);
                let slope = c(1.0 - target) / (one - p) - c(target) / p;
                if p == x { slope } else { zero * slope } // NaN stays
            }
            Sigmoid => {
                let s = sigmoid(x);
                s * (one - s)
            }
        }
    }

    /// f(x) of each element, in ops.
    fn of(self, x: &Tensor) -> Tensor {
        match self {
            Identity => x.clone(),
            Softplus { sign } => (x * sign).softplus(),
            Hinge { sign } => x.affine(sign, 1.0).relu(),
            Square { target } => (x - target).square(),
            Bce { target, clip } => x.bce_clipped(&Tensor::scalar(x.device(), target), clip),
            Sigmoid => x.sigmoid(),
        }
    }

    /// f′(x) of each element, in ops that can be differentiated again.
    fn slope(self, x: &Tensor) -> Tensor {
        match self {
            Identity => x * 0.0 + 1.0,
            Softplus { sign } => (x * sign).sigmoid() * sign,
            Hinge { sign } => x.affine(sign, 1.0).leaky_relu_slope(0.0) * sign,
            Square { target } => (x - target) * 2.0,
            Bce { target, clip } => {
                let p = x.clamp(clip, 1.0 - clip);
                let slope = p.affine(-1.0, 1.0).recip() * (1.0 - target) - p.recip() * target;
                slope * x.is_inside(clip, 1.0 - clip)
            }
            Sigmoid => {
                let s = x.sigmoid();
                &s * s.affine(-1.0, 1.0)
            }
        }
    }

    /// The `case` in the shader, and the two constants there.
    fn code(self) -> (u32, [f32; 2]) {
        match self {
            Identity => (0, [0.0; 2]),
            Softplus { sign } => (1, [sign as f32, 0.0]),
            Hinge { sign } => (2, [sign as f32, 0.0]),
            Square { target } => (3, [target as f32, 0.0]),
            Bce { target, clip } => (4, [target as f32, clip as f32]),
            Sigmoid => (5, [0.0; 2]),
        }
    }
}

/// The most terms that the kernels take.
const MOST_TERMS: usize = 2;
/// The most elements of a term that one workgroup adds up; beyond, the sum of many workgroups is faster.
const MOST_ELEMENTS: usize = 1 << 16;

/// y `[]` = Σ_t weight_t·mean f_t(x_i) over the term's range.
#[derive(Clone, Debug)]
struct MeanOf {
    terms: Vec<Term>,
}

/// Twin of `TermParams` in `mean_of.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct TermParams {
    f: u32,
    start: u32,
    end: u32,
    scale: f32,
    a: f32,
    b: f32,
}

/// Twin of `Params` in `mean_of.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    terms: [TermParams; 2],
}

fn scale(term: &Term) -> f64 {
    term.weight / term.range.len() as f64
}

fn params(terms: &[Term], n: usize) -> Params {
    let mut params = Params { n: n as u32, terms: Default::default() };
    for (to, term) in params.terms.iter_mut().zip(terms) {
        let (f, [a, b]) = term.f.code();
        let (start, end) = (term.range.start as u32, term.range.end as u32);
        *to = TermParams { f, start, end, scale: scale(term) as f32, a, b };
    }
    params
}

impl MeanOf {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        y[0] = T::of(0.0);
        for term in &self.terms {
            let mut sum = T::of(0.0);
            x[0].data[term.range.clone()].iter().for_each(|&x| sum += term.f.value(x));
            y[0] += sum * T::of(scale(term));
        }
    }
}

impl Op for MeanOf {
    fn name(&self) -> &'static str {
        "mean_of"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let len = x[0].len();
        match self.terms.iter().find(|term| term.range.end > len || term.range.is_empty()) {
            Some(term) => Err(format!("there are no elements {:?}", term.range)),
            None => Ok(Shape::from([0usize; 0])),
        }
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let sum = |term: &Term| x[0].data[term.range.clone()].iter().map(|&x| f64::from(term.f.value(x))).sum::<f64>();
        y[0] = self.terms.iter().map(|term| sum(term) * scale(term)).sum::<f64>() as f32;
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        gpu.run(&KernelCall {
            kernel: Kernel::new("mean_of", "mean_of"),
            reads: &[x[0].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&params(&self.terms, x[0].shape.len())),
            workgroups: [1, 1, 1],
            label: self.name(),
        })
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let x = &x[0];
        if !is_recording() {
            return vec![Some(apply(MeanOfGradient { terms: self.terms.clone() }, &[x, dy]))];
        }
        let flat = x.reshape([x.len()]);
        let each = self.terms.iter().map(|term| {
            let Range { start, end } = term.range;
            let dx = term.f.slope(&part(&flat, &term.range)) * (dy * scale(term));
            if dx.len() == flat.len() { dx } else { dx.pad(&[start], &[flat.len() - end]) }
        });
        let sum = each.reduce(|a, b| a + b).expect("there is a term");
        vec![Some(sum.reshape(x.shape()))]
    }
}

/// The elements of a range of a tensor with one axis.
fn part(x: &Tensor, range: &Range<usize>) -> Tensor {
    if range.len() == x.len() { x.clone() } else { x.narrow(0, range.start, range.len()) }
}

/// dx_i = dy·Σ_t weight_t/count_t·f_t′(x_i), over the terms whose range holds i. First order only.
#[derive(Clone, Debug)]
struct MeanOfGradient {
    terms: Vec<Term>,
}

impl MeanOfGradient {
    fn define<T: Real>(&self, x: &[View<T>], dx: &mut [T], _: &Shape) {
        dx.fill(T::of(0.0));
        let dy = x[1].data[0];
        for term in &self.terms {
            let (dx, x) = (&mut dx[term.range.clone()], &x[0].data[term.range.clone()]);
            let scale = dy * T::of(scale(term));
            dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx += scale * term.f.derivative(x));
        }
    }
}

impl Op for MeanOfGradient {
    fn name(&self) -> &'static str {
        "mean_of_gradient"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "dy"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok(x[0].clone())
    }

    reference_loops!(cpu);

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], dx: GpuView) -> Result<()> {
        gpu.run(&KernelCall {
            kernel: Kernel::new("mean_of", "gradient"),
            reads: &[x[0].buffer, x[1].buffer],
            writes: &[dx.buffer],
            params: bytemuck::bytes_of(&params(&self.terms, dx.shape.len())),
            workgroups: grid(dx.shape.len() as u64, 64),
            label: self.name(),
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

impl Tensor {
    /// Σ_t weight_t·mean f_t(x_i) over each term's range of elements, shape `[]`: one pass, and one for its first gradient.
    ///
    /// ```
    /// use toile::ops::mean_of::{Function, Term};
    /// use toile::{Device, Tensor};
    /// let x = Tensor::new(&Device::Cpu, [4], &[1.0, 2.0, 3.0, 5.0]);
    /// let terms = [(0..2, 1.0), (2..4, 10.0)].map(|(range, weight)| Term { f: Function::Identity, range, weight });
    /// assert_eq!(x.means_of(&terms).item()?, 41.5);
    /// # Ok::<(), toile::Error>(())
    /// ```
    #[track_caller]
    pub fn means_of(&self, terms: &[Term]) -> Tensor {
        let small = terms.len() <= MOST_TERMS && terms.iter().all(|term| term.range.len() <= MOST_ELEMENTS);
        let fits = match self.device() {
            Device::Gpu(gpu) => small && !gpu.pieces(self.len()).are_many(),
            _ => true,
        };
        if fits && !terms.is_empty() {
            return apply(MeanOf { terms: terms.to_vec() }, &[self]);
        }
        let flat = self.reshape([self.len()]);
        let mean = |term: &Term| term.f.of(&part(&flat, &term.range)).mean() * term.weight;
        terms.iter().map(mean).reduce(|a, b| a + b).unwrap_or_else(|| Tensor::scalar(self.device(), 0.0))
    }

    /// weight·mean f(x_i) over all elements.
    #[track_caller]
    pub fn mean_of(&self, f: Function, weight: f64) -> Tensor {
        self.means_of(&[Term { f, range: 0..self.len(), weight }])
    }
}

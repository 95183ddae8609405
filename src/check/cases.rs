//! The case table: every op at small, odd and unequal sizes, and one large row a kernel. A file a family.

mod arithmetic;
mod batch_norm;
mod bias_activation;
mod conv2d;
mod elementwise;
mod images;
mod layout;
mod losses;
mod matmul;
mod measured;
mod reductions;
mod training;

pub use conv2d::convolutions;

use super::compare::Tolerance::{self, *};
use super::gradients::Function;
use crate::error::{Error, Result};
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
    let families = [
        arithmetic::rows(),
        layout::rows(),
        reductions::rows(),
        matmul::rows(),
        conv2d::rows(),
        batch_norm::rows(),
        bias_activation::rows(),
        measured::rows(),
        elementwise::rows(),
        images::rows(),
        losses::rows(),
        training::rows(),
    ];
    families.into_iter().flatten().collect()
}

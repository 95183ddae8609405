//! A bias a channel and an activation, y = f(x∘w + b), computed where the sums of a convolution or a dense layer are written.

use crate::cpu::math;
use crate::cpu::parallel::{for_pieces, for_rows};
use crate::error::Result;
use crate::gpu::gemm::{self, Finish};
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::conv2d::Conv2d;
use crate::ops::conv2d_input::Conv2dInput;
use crate::ops::matmul::Matmul;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, is_recording, reference_loops};

/// The activations whose derivative follows from their value, so that x + b need not be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// z
    Identity,
    /// z where z > 0, else slope·z, with a slope from 0; the derivative at 0 is `slope`. Slope 0 is relu.
    LeakyRelu {
        /// Below 0.
        slope: f64,
    },
    /// tanh z
    Tanh,
    /// 1 / (1 + e^−z)
    Sigmoid,
}

use Activation::*;

impl Activation {
    /// f(z), by the elementwise op of this function.
    pub fn of(self, z: &Tensor) -> Tensor {
        match self {
            Identity => z.clone(),
            LeakyRelu { slope } => z.leaky_relu(slope),
            Tanh => z.tanh(),
            Sigmoid => z.sigmoid(),
        }
    }

    /// Whether the sign of z can be told from y: not below a leaky relu of negative slope.
    pub(super) fn derivative_follows_from_value(self) -> bool {
        !matches!(self, LeakyRelu { slope } if slope.is_nan() || slope < 0.0)
    }

    /// dy·f′(z) for y = f(z): one pass, or ops that can be differentiated again where a gradient is recorded.
    pub(super) fn gradient(self, y: &Tensor, dy: &Tensor) -> Tensor {
        match self {
            Identity => dy.clone(),
            f if !is_recording() => apply(ActivationGradient { f }, &[y, dy]),
            LeakyRelu { slope } => dy * y.leaky_relu_slope(slope),
            Tanh => dy * y.square().affine(-1.0, 1.0),
            Sigmoid => dy * (y * y.affine(-1.0, 1.0)),
        }
    }

    fn value<T: Real>(self, z: T) -> T {
        let (zero, one) = (T::of(0.0), T::of(1.0));
        match self {
            Identity => z,
            LeakyRelu { slope } => {
                if z > zero {
                    z
                } else {
                    T::of(slope) * z
                }
            }
            Tanh => z.tanh(),
            Sigmoid => {
                let e = (-z.abs()).exp();
                (if z < zero { e } else { one }) / (one + e)
            }
        }
    }

    /// f′(z) for y = f(z).
    #[inline(always)]
    fn derivative<T: Real>(self, y: T) -> T {
        let one = T::of(1.0);
        match self {
            Identity => one,
            LeakyRelu { slope } => {
                if y > T::of(0.0) {
                    one
                } else {
                    T::of(slope)
                }
            }
            Tanh => one + -(y * y),
            Sigmoid => y * (one + -y),
        }
    }

    /// Its number in `lib/activation.wgsl`, and the slope there.
    pub(super) fn code(self) -> (u32, f32) {
        match self {
            Identity => (0, 0.0),
            LeakyRelu { slope } => (1, slope as f32),
            Tanh => (2, 0.0),
            Sigmoid => (3, 0.0),
        }
    }
}

/// A product of two tensors, or a convolution, whose kernels can finish its sums as they are written.
pub(super) trait Product: Op + Copy {
    /// The name of the op that does both.
    const ACTIVATED: &'static str;
    /// The axis of the result that a bias goes along.
    const CHANNELS: usize;

    /// The products that compute y, of which each row is a channel: operand a is w, operand b is x.
    fn by_channels(&self, x: &[&Shape], y: &Shape) -> Vec<gemm::Product>;

    /// As [`Op::gpu`], finished.
    fn gpu_finished(&self, gpu: &Gpu, x: &[GpuView], y: GpuView, finish: Finish) -> Result<()>;
}

/// y = f(x∘w + b), or without b, for the product ∘.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activated<P> {
    pub product: P,
    pub f: Activation,
}

impl<P: Product> Activated<P> {
    /// Channels, and how many elements of each lie together.
    fn sizes(y: &Shape) -> [usize; 2] {
        [y[P::CHANNELS], y[P::CHANNELS + 1..].iter().product()]
    }
}

/// f of each y plus a bias a channel, in place.
fn finish<T: Real>(f: Activation, b: Option<&View<T>>, y: &mut [T], [channels, plane]: [usize; 2]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = f.value(*y + b.map_or(T::of(0.0), |b| b.data[i / plane % channels]));
    }
}

/// The same on all cores.
fn finish_on_cpu(f: Activation, b: Option<&View<f32>>, y: &mut [f32], [channels, plane]: [usize; 2]) {
    // A row is a channel's plane of an image, or a whole image if planes are single elements.
    let row = if plane == 1 { channels.max(1) } else { plane };
    for_rows(
        y,
        row,
        #[inline(always)]
        |i, y| {
            let b = match b {
                None => &[0.0][..],
                Some(b) if plane == 1 => b.data,
                Some(b) => &b.data[i % channels..][..1],
            };
            match f {
                Identity => map(y, b, |z| z),
                LeakyRelu { slope } => {
                    let slope = slope as f32;
                    map(y, b, |z| if z > 0.0 { z } else { slope * z });
                }
                Tanh => map(y, b, math::tanh),
                Sigmoid => map(y, b, math::sigmoid),
            }
        },
    );
}

/// y = f(y + b) along a row, with one bias or one an element.
#[inline(always)]
fn map(y: &mut [f32], b: &[f32], f: impl Fn(f32) -> f32) {
    if let [b] = b {
        y.iter_mut().for_each(|y| *y = f(*y + b));
    } else {
        y.iter_mut().zip(b).for_each(|(y, b)| *y = f(*y + b));
    }
}

impl<P: Product> Op for Activated<P> {
    fn name(&self) -> &'static str {
        P::ACTIVATED
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "w", "b"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let y = self.product.infer(&x[..2])?;
        match x.get(2) {
            Some(b) if b.dims() != [y[P::CHANNELS]] => Err(format!("b must be [{}], one a channel", y[P::CHANNELS])),
            _ => Ok(y),
        }
    }

    fn reference(&self, x: &[View<f64>], y: &mut [f64], shape: &Shape) {
        self.product.reference(&x[..2], y, shape);
        finish(self.f, x.get(2), y, Self::sizes(shape));
    }

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        self.product.cpu(&x[..2], y, shape);
        finish_on_cpu(self.f, x.get(2), y, Self::sizes(shape));
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let [channels, plane] = Self::sizes(y.shape);
        let finish = Finish {
            bias: x.get(2).map(|b| b.buffer),
            f: self.f.code(),
            channels,
            plane,
            by_column: P::CHANNELS + 1 == y.shape.rank(),
            moments: None,
        };
        self.product.gpu_finished(gpu, &x[..2], y, finish)
    }

    fn flop(&self, x: &[&Shape], y: &Shape) -> f64 {
        self.product.flop(&x[..2], y)
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let dz = self.f.gradient(y, dy);
        // The gradients of a product do not look at its value.
        let mut gradients = self.product.vjp(&x[..2], y, &dz, &needs[..2]);
        if let Some(b) = x.get(2) {
            let axes: Vec<usize> = (0..dz.rank()).filter(|&axis| axis != P::CHANNELS).collect();
            gradients.push(needs[2].then(|| dz.sum_axes(&axes).reshape(b.shape())));
        }
        gradients
    }
}

/// Twin of `Params` in `bias_activation.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    slope: f32,
    quads: u32,
}

/// dz = dy·f′(z), where y = f(z). First order only.
#[derive(Clone, Copy, Debug)]
struct ActivationGradient {
    f: Activation,
}

impl ActivationGradient {
    fn define<T: Real>(&self, x: &[View<T>], dz: &mut [T], _: &Shape) {
        for ((dz, &y), &dy) in dz.iter_mut().zip(x[0].data).zip(x[1].data) {
            *dz = dy * self.f.derivative(y);
        }
    }
}

impl Op for ActivationGradient {
    fn name(&self) -> &'static str {
        "activation_gradient"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["y", "dy"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        if x[0] == x[1] { Ok(x[0].clone()) } else { Err("y and dy differ in shape".into()) }
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], dz: &mut [f32], _: &Shape) {
        for_pieces(
            dz,
            #[inline(always)]
            |start, dz| {
                let (y, dy) = (&x[0].data[start..], &x[1].data[start..]);
                let pairs = dz.iter_mut().zip(y).zip(dy);
                match self.f {
                    // The choice outside of the loop, so that each is a loop of vectors.
                    LeakyRelu { .. } => pairs.for_each(|((dz, &y), dy)| *dz = dy * self.f.derivative(y)),
                    Tanh => pairs.for_each(|((dz, &y), dy)| *dz = dy * Tanh.derivative(y)),
                    Sigmoid => pairs.for_each(|((dz, &y), dy)| *dz = dy * Sigmoid.derivative(y)),
                    Identity => pairs.for_each(|((dz, _), dy)| *dz = *dy),
                }
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], dz: GpuView) -> Result<()> {
        let (code, slope) = self.f.code();
        gpu.pieces(dz.shape.len()).all().try_for_each(|piece| {
            let n = piece.len();
            let quads = tuning::quads(gpu, n);
            gpu.run(&KernelCall {
                kernel: Kernel::new("bias_activation", "gradient").constant("op", code as f64),
                reads: &[&x[0].buffer.piece(&piece), &x[1].buffer.piece(&piece)],
                writes: &[&dz.buffer.piece(&piece)],
                params: bytemuck::bytes_of(&Params { n: n as u32, slope, quads }),
                workgroups: grid(n.div_ceil(4 * quads as usize) as u64, 64),
                label: "activation_gradient",
            })
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

#[track_caller]
pub(super) fn activated<P: Product>(product: P, x: &Tensor, w: &Tensor, b: Option<&Tensor>, f: Activation) -> Tensor {
    match b {
        _ if !f.derivative_follows_from_value() => f.of(&activated(product, x, w, b, Identity)),
        Some(b) => apply(Activated { product, f }, &[x, w, b]),
        None if f == Identity => apply(product, &[x, w]),
        None => apply(Activated { product, f }, &[x, w]),
    }
}

/// The product of a dense layer, of batches of one matrix.
pub(super) const DENSE: Matmul = Matmul { transpose_a: false, transpose_b: true };

/// A matrix as such a batch.
pub(super) fn one_matrix(t: &Tensor) -> Tensor {
    t.reshape([&[1], &t.shape()[..]].concat())
}

/// Layers' products, each with a bias a channel (if any) and an activation in the same pass.
impl Tensor {
    /// f of [`Tensor::conv2d`] plus b `[O]`.
    #[track_caller]
    pub fn conv2d_activated(&self, w: &Tensor, b: Option<&Tensor>, conv: Conv2d, f: Activation) -> Tensor {
        activated(conv, self, w, b, f)
    }

    /// f of [`Tensor::conv_transpose2d`] plus b `[O]`.
    #[track_caller]
    pub fn conv_transpose2d_activated(
        &self,
        w: &Tensor,
        b: Option<&Tensor>,
        conv: Conv2d,
        size: [usize; 2],
        f: Activation,
    ) -> Tensor {
        activated(Conv2dInput { conv, size }, self, w, b, f)
    }

    /// A dense layer: x·wᵀ + b for x `[N, in]`, w `[out, in]` and, if any, b `[out]`. Result `[N, out]`.
    #[track_caller]
    pub fn linear(&self, w: &Tensor, b: Option<&Tensor>) -> Tensor {
        self.linear_activated(w, b, Identity)
    }

    /// f of [`Tensor::linear`].
    #[track_caller]
    pub fn linear_activated(&self, w: &Tensor, b: Option<&Tensor>, f: Activation) -> Tensor {
        let y = activated(DENSE, &one_matrix(self), &one_matrix(w), b, f);
        y.reshape(&y.shape()[1..])
    }
}

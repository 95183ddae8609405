//! A bias a channel and an activation in one pass: y = f(x + b), the ends of dense and convolution layers.

use crate::cpu::math;
use crate::cpu::parallel::{for_pieces, for_rows};
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::shape::Shape;
use crate::tensor::{Device, GpuView, Op, Real, Tensor, View, apply, is_recording, reference_loops};

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

    /// The `case` in the shader, and the constant there.
    fn code(self) -> (u32, f32) {
        match self {
            Identity => (0, 0.0),
            LeakyRelu { slope } => (1, slope as f32),
            Tanh => (2, 0.0),
            Sigmoid => (3, 0.0),
        }
    }
}

/// y = f(x + b) for x [N, C, …] and b `[C]`.
#[derive(Clone, Copy, Debug)]
struct BiasActivation {
    f: Activation,
}

/// Twin of `Params` in `bias_activation.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    c: u32,
    l: u32,
    slope: f32,
    runs: u32,
    quads: u32,
}

impl BiasActivation {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        let l: usize = shape[2..].iter().product();
        for (i, y) in y.iter_mut().enumerate() {
            *y = self.f.value(x[0].data[i] + x[1].data[i / l % shape[1]]);
        }
    }
}

/// y = f(x + b) along a row, with one bias or one an element.
#[inline(always)]
fn map(x: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    if let [b] = b {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = f(x + b));
    } else {
        y.iter_mut().zip(x).zip(b).for_each(|((y, x), b)| *y = f(x + b));
    }
}

impl Op for BiasActivation {
    fn name(&self) -> &'static str {
        "bias_activation"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "b"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        if x[0].rank() < 2 || x[1].rank() != 1 || x[1][0] != x[0][1] {
            return Err("expects x [N, C, ...] and b [C]".into());
        }
        Ok(x[0].clone())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let (c, l): (usize, usize) = (shape[1], shape[2..].iter().product());
        // A row is a channel's plane of an image, or a whole image if planes are single elements.
        let row = if l == 1 { c } else { l };
        let (x, b) = (x[0].data, x[1].data);
        for_rows(
            y,
            row,
            #[inline(always)]
            |i, y| {
                let x = &x[i * row..][..row];
                let b = if l == 1 { b } else { &b[i % c..][..1] };
                match self.f {
                    Identity => map(x, b, y, |z| z),
                    LeakyRelu { slope } => {
                        let slope = slope as f32;
                        map(x, b, y, |z| if z > 0.0 { z } else { slope * z });
                    }
                    Tanh => map(x, b, y, math::tanh),
                    Sigmoid => map(x, b, y, math::sigmoid),
                }
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let (n, c, l) = (y.shape[0], y.shape[1], y.shape[2..].iter().product::<usize>());
        let (code, slope) = self.f.code();
        let quads = tuning::quads(gpu, y.shape.len());
        let whole = l.is_multiple_of(4);
        let runs = (l / 4).div_ceil(quads as usize).max(1);
        let invocations = if whole { n * c * runs } else { n * c * l };
        gpu.run(&KernelCall {
            kernel: Kernel::new("bias_activation", if whole { "rows" } else { "elements" }).constant("op", code as f64),
            reads: &[x[0].buffer, x[1].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&Params {
                n: n as u32,
                c: c as u32,
                l: l as u32,
                slope,
                runs: runs as u32,
                quads,
            }),
            workgroups: grid(invocations as u64, 64),
            label: "bias_activation",
        })
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let dz = self.f.gradient(y, dy);
        let axes: Vec<usize> = (0..dz.rank()).filter(|&axis| axis != 1).collect();
        let db = needs[1].then(|| dz.sum_axes(&axes).reshape(x[1].shape()));
        vec![needs[0].then_some(dz), db]
    }
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
                params: bytemuck::bytes_of(&Params { n: n as u32, c: 1, l: 1, slope, runs: 1, quads }),
                workgroups: grid(n.div_ceil(4 * quads as usize) as u64, 64),
                label: "activation_gradient",
            })
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

impl Tensor {
    /// f(x + b) for x [N, C, …] and a bias a channel, b `[C]`, in one pass, and its first gradient in one more.
    #[track_caller]
    pub fn bias_activation(&self, b: &Tensor, f: Activation) -> Tensor {
        // Beyond a binding the fused kernel gives way to ops that work in pieces.
        let fits = match self.device() {
            Device::Gpu(gpu) => !gpu.pieces(self.len()).are_many(),
            _ => true,
        };
        if fits && f.derivative_follows_from_value() {
            return apply(BiasActivation { f }, &[self, b]);
        }
        let mut shape = vec![1; self.rank()];
        if let Some(c) = shape.get_mut(1) {
            *c = b.len();
        }
        f.of(&(self + b.reshape(shape)))
    }
}

//! Elementwise functions of one tensor: y = f(x). A new one is a row in each `match` here, a `case` in `unary.wgsl` and a case row.

use crate::cpu::math;
use crate::cpu::parallel::for_pieces;
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::bias_activation::Activation;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, is_recording, reference_loops};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// The functions, with the convention at each kink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// a·x + b
    Affine { scale: f64, shift: f64 },
    /// e^x
    Exp,
    /// ln x
    Log,
    /// ln(1 + x)
    Log1p,
    /// √x
    Sqrt,
    /// 1/√x
    Rsqrt,
    /// 1/x
    Recip,
    /// x²
    Square,
    /// |x|; derivative 0 at 0
    Abs,
    /// −1, 0 or 1
    Sign,
    /// 1 where x > 0, else `low`: the derivative of [`Unary::LeakyRelu`], `low` at 0
    Step { low: f64 },
    /// x where x > 0, else slope·x; with slope 0 it is 0 at −∞, too
    LeakyRelu { slope: f64 },
    /// tanh x
    Tanh,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// ln(1 + e^x)
    Softplus,
    /// min(max(x, low), high); derivative 1 on the closed interval
    Clamp { low: f64, high: f64 },
    /// 1 where low ≤ x ≤ high, else 0: the derivative of [`Unary::Clamp`]
    Inside { low: f64, high: f64 },
    /// x^p
    Pow { exponent: f64 },
    /// sin x (radians)
    Sin,
    /// cos x (radians)
    Cos,
    /// e^x − 1
    Expm1,
    /// x·σ(x)
    Silu,
    /// x where x > 0, else alpha·(e^x − 1)
    Elu { alpha: f64 },
    /// 1 where x > 0, else alpha·e^x: the derivative of [`Unary::Elu`], `alpha` at 0
    EluSlope { alpha: f64 },
    /// Φ(x) = ½·(1 + erf(x/√2))
    NormalCdf,
}

use Unary::*;

#[inline(always)]
fn map<T: Real>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
}

impl Unary {
    /// y_i = f(x_i): the definition, for f64 and f32 alike.
    #[inline(always)]
    fn each<T: Real>(self, x: &[T], y: &mut [T]) {
        let (zero, one, c) = (T::of(0.0), T::of(1.0), T::of);
        match self {
            Affine { scale, shift } => map(x, y, |x| c(scale) * x + c(shift)),
            Exp => map(x, y, T::exp),
            Log => map(x, y, T::ln),
            Log1p => map(x, y, T::ln_1p),
            Sqrt => map(x, y, T::sqrt),
            Rsqrt => map(x, y, |x| one / x.sqrt()),
            Recip => map(x, y, |x| one / x),
            Square => map(x, y, |x| x * x),
            Abs => map(x, y, T::abs),
            Sign => map(x, y, |x| {
                if x > zero {
                    one
                } else if x < zero {
                    -one
                } else {
                    x // 0, −0 and NaN stay what they are
                }
            }),
            Step { low } => map(x, y, |x| if x > zero { one } else { c(low) }),
            // 0·(−∞) would be NaN.
            LeakyRelu { slope: 0.0 } => map(x, y, |x| {
                if x > zero {
                    x
                } else if x <= zero {
                    zero
                } else {
                    x // NaN
                }
            }),
            LeakyRelu { slope } => map(x, y, |x| if x > zero { x } else { c(slope) * x }),
            Tanh => map(x, y, T::tanh),
            Sigmoid => map(x, y, |x| {
                let e = (-x.abs()).exp();
                (if x < zero { e } else { one }) / (one + e)
            }),
            Softplus => map(x, y, |x| {
                let tail = (-x.abs()).exp().ln_1p(); // NaN for NaN
                if x > zero { x + tail } else { tail }
            }),
            Clamp { low, high } => map(x, y, |x| {
                if x < c(low) {
                    c(low)
                } else if x > c(high) {
                    c(high)
                } else {
                    x // NaN passes through
                }
            }),
            Inside { low, high } => map(x, y, |x| if x >= c(low) && x <= c(high) { one } else { zero }),
            Pow { exponent } => map(x, y, |x| x.powf(c(exponent))),
            Sin => map(x, y, T::sin),
            Cos => map(x, y, T::cos),
            Expm1 => map(x, y, T::exp_m1),
            Silu => map(x, y, |x| {
                let e = (-x.abs()).exp();
                x * ((if x < zero { e } else { one }) / (one + e))
            }),
            Elu { alpha } => map(x, y, |x| if x > zero { x } else { c(alpha) * x.exp_m1() }),
            EluSlope { alpha } => map(x, y, |x| if x > zero { one } else { c(alpha) * x.exp() }),
            NormalCdf => map(x, y, T::normal_cdf),
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        self.each(x[0].data, y);
    }

    /// The `case` in the shader, and the function's two constants there.
    fn code(self) -> (u32, f32, f32) {
        match self {
            Affine { scale, shift } => (0, scale as f32, shift as f32),
            Exp => (1, 0.0, 0.0),
            Log => (2, 0.0, 0.0),
            Log1p => (3, 0.0, 0.0),
            Sqrt => (4, 0.0, 0.0),
            Rsqrt => (5, 0.0, 0.0),
            Recip => (6, 0.0, 0.0),
            Square => (7, 0.0, 0.0),
            Abs => (8, 0.0, 0.0),
            Sign => (9, 0.0, 0.0),
            Step { low } => (10, low as f32, 0.0),
            LeakyRelu { slope } => (11, slope as f32, 0.0),
            Tanh => (12, 0.0, 0.0),
            Sigmoid => (13, 0.0, 0.0),
            Softplus => (14, 0.0, 0.0),
            Clamp { low, high } => (15, low as f32, high as f32),
            Inside { low, high } => (16, low as f32, high as f32),
            Pow { exponent } => (17, exponent as f32, 0.0),
            Sin => (18, 0.0, 0.0),
            Cos => (19, 0.0, 0.0),
            Expm1 => (20, 0.0, 0.0),
            Silu => (21, 0.0, 0.0),
            Elu { alpha } => (22, alpha as f32, 0.0),
            EluSlope { alpha } => (23, alpha as f32, 0.0),
            NormalCdf => (24, 0.0, 0.0),
        }
    }
}

/// Twin of `Params` in `unary.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    a: f32,
    b: f32,
    quads: u32,
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        match self {
            Affine { .. } => "affine",
            Exp => "exp",
            Log => "log",
            Log1p => "log1p",
            Sqrt => "sqrt",
            Rsqrt => "rsqrt",
            Recip => "recip",
            Square => "square",
            Abs => "abs",
            Sign => "sign",
            Step { .. } => "step",
            LeakyRelu { .. } => "leaky_relu",
            Tanh => "tanh",
            Sigmoid => "sigmoid",
            Softplus => "softplus",
            Clamp { .. } => "clamp",
            Inside { .. } => "inside",
            Pow { .. } => "pow",
            Sin => "sin",
            Cos => "cos",
            Expm1 => "expm1",
            Silu => "silu",
            Elu { .. } => "elu",
            EluSlope { .. } => "elu_slope",
            NormalCdf => "normal_cdf",
        }
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok(x[0].clone())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        for_pieces(
            y,
            #[inline(always)]
            |start, y| {
                let x = &x[0].data[start..][..y.len()];
                match *self {
                    Exp => map(x, y, math::exp),
                    Log => map(x, y, math::ln),
                    Log1p => map(x, y, math::ln_1p),
                    Tanh => map(x, y, math::tanh),
                    Sigmoid => map(x, y, math::sigmoid),
                    Softplus => map(x, y, math::softplus),
                    Expm1 => map(x, y, math::exp_m1),
                    Silu => map(x, y, |x| x * math::sigmoid(x)),
                    Elu { alpha } => {
                        let alpha = alpha as f32;
                        map(x, y, |x| if x > 0.0 { x } else { alpha * math::exp_m1(x) });
                    }
                    EluSlope { alpha } => {
                        let alpha = alpha as f32;
                        map(x, y, |x| if x > 0.0 { 1.0 } else { alpha * math::exp(x) });
                    }
                    _ => self.each(x, y),
                }
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let (code, a, b) = self.code();
        gpu.pieces(y.shape.len()).all().try_for_each(|piece| {
            let n = piece.len();
            let quads = tuning::quads(gpu, n);
            gpu.run(&KernelCall {
                kernel: Kernel::new("unary", "unary").constant("op", code as f64),
                reads: &[&x[0].buffer.piece(&piece)],
                writes: &[&y.buffer.piece(&piece)],
                params: bytemuck::bytes_of(&Params { n: n as u32, a, b, quads }),
                workgroups: grid(n.div_ceil(4 * quads as usize) as u64, 64),
                label: self.name(),
            })
        })
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let x = &x[0];
        let dx = match *self {
            Affine { scale, .. } => dy * scale,
            Exp => dy * y,
            Log => dy / x,
            Log1p => dy / &(x + 1.0),
            Sqrt => dy / &(y * 2.0),
            Rsqrt => dy * &(&(y / x) * -0.5),
            Recip => dy * &(&y.square() * -1.0),
            Square => dy * &(x * 2.0),
            Abs => dy * &x.sign(),
            Sign | Step { .. } | Inside { .. } => return vec![None],
            LeakyRelu { slope } if slope >= 0.0 && !is_recording() => Activation::LeakyRelu { slope }.gradient(y, dy),
            LeakyRelu { slope } => dy * &x.leaky_relu_slope(slope),
            Tanh if !is_recording() => Activation::Tanh.gradient(y, dy),
            Tanh => dy * &(&(&y.square() * -1.0) + 1.0),
            Sigmoid if !is_recording() => Activation::Sigmoid.gradient(y, dy),
            Sigmoid => dy * &(y * &(&(y * -1.0) + 1.0)),
            Softplus => dy * &x.sigmoid(),
            Clamp { low, high } => dy * &x.is_inside(low, high),
            Pow { exponent: 0.0 } => return vec![None],
            Pow { exponent } => dy * &(&x.pow(exponent - 1.0) * exponent),
            Sin => dy * &x.cos(),
            Cos => dy * &(&x.sin() * -1.0),
            Expm1 => dy * &(y + 1.0),
            // σ + x·σ·(1−σ) = σ + y·(1−σ)
            Silu => {
                let s = x.sigmoid();
                dy * &(&s + &(y * &s.affine(-1.0, 1.0)))
            }
            Elu { alpha } => dy * &apply(EluSlope { alpha }, &[x]),
            // alpha·e^x where x ≤ 0, else 0
            EluSlope { .. } => dy * &(y - &x.leaky_relu_slope(0.0)),
            NormalCdf => dy * &((&x.square() * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2)),
        };
        vec![Some(dx)]
    }
}

/// Elementwise functions; each keeps the shape.
impl Tensor {
    /// scale·x + shift
    pub fn affine(&self, scale: f64, shift: f64) -> Tensor {
        apply(Affine { scale, shift }, &[self])
    }

    /// e^x
    pub fn exp(&self) -> Tensor {
        apply(Exp, &[self])
    }

    /// Natural logarithm; −∞ at 0, NaN below.
    pub fn log(&self) -> Tensor {
        apply(Log, &[self])
    }

    /// ln(1 + x), accurate near 0.
    pub fn log1p(&self) -> Tensor {
        apply(Log1p, &[self])
    }

    /// √x; NaN below 0, infinite derivative at 0.
    pub fn sqrt(&self) -> Tensor {
        apply(Sqrt, &[self])
    }

    /// 1/√x
    pub fn rsqrt(&self) -> Tensor {
        apply(Rsqrt, &[self])
    }

    /// 1/x
    pub fn recip(&self) -> Tensor {
        apply(Recip, &[self])
    }

    /// x²
    pub fn square(&self) -> Tensor {
        apply(Square, &[self])
    }

    /// |x|, with derivative 0 at 0.
    pub fn abs(&self) -> Tensor {
        apply(Abs, &[self])
    }

    /// −1, 0 or 1; derivative 0 everywhere.
    pub fn sign(&self) -> Tensor {
        apply(Sign, &[self])
    }

    /// max(x, 0), with derivative 0 at 0.
    pub fn relu(&self) -> Tensor {
        self.leaky_relu(0.0)
    }

    /// x where x > 0, else slope·x; the derivative at 0 is `slope`.
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        apply(LeakyRelu { slope }, &[self])
    }

    /// 1 where x > 0, else slope: the derivative of [`Tensor::leaky_relu`].
    pub fn leaky_relu_slope(&self, slope: f64) -> Tensor {
        apply(Step { low: slope }, &[self])
    }

    /// 1 where low ≤ x ≤ high, else 0: the derivative of [`Tensor::clamp`].
    pub fn is_inside(&self, low: f64, high: f64) -> Tensor {
        apply(Inside { low, high }, &[self])
    }

    /// tanh x
    pub fn tanh(&self) -> Tensor {
        apply(Tanh, &[self])
    }

    /// 1 / (1 + e^−x)
    pub fn sigmoid(&self) -> Tensor {
        apply(Sigmoid, &[self])
    }

    /// ln(1 + e^x) without overflow.
    pub fn softplus(&self) -> Tensor {
        apply(Softplus, &[self])
    }

    /// min(max(x, low), high), with derivative 1 on the closed interval and 0 outside.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        assert!(low <= high, "clamp: low {low} is above high {high}");
        apply(Clamp { low, high }, &[self])
    }

    /// x^exponent
    pub fn pow(&self, exponent: f64) -> Tensor {
        apply(Pow { exponent }, &[self])
    }

    /// sin x (radians)
    pub fn sin(&self) -> Tensor {
        apply(Sin, &[self])
    }

    /// cos x (radians)
    pub fn cos(&self) -> Tensor {
        apply(Cos, &[self])
    }

    /// e^x − 1, accurate near 0.
    pub fn expm1(&self) -> Tensor {
        apply(Expm1, &[self])
    }

    /// x·σ(x), also called swish (Elfwing et al. 2017); NaN at −∞.
    pub fn silu(&self) -> Tensor {
        apply(Silu, &[self])
    }

    /// x where x > 0, else alpha·(e^x − 1) (Clevert et al. 2015); the derivative at 0 is `alpha`.
    pub fn elu(&self, alpha: f64) -> Tensor {
        apply(Elu { alpha }, &[self])
    }

    /// Φ(x) = ½·(1 + erf(x/√2)), the distribution function of N(0, 1).
    pub fn normal_cdf(&self) -> Tensor {
        apply(NormalCdf, &[self])
    }
}

//! Elementwise functions of two tensors with broadcasting: y = f(a, b). A new one is a row here, a `case` in `binary.wgsl` and a case row.

use crate::cpu::parallel::{for_pieces, for_rows};
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel, KernelCall, Span, grid, in_pieces, reach};
use crate::ops::layout::{MAX_RANK, padded};
use crate::shape::{Shape, collapse};
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};
use bytemuck::Zeroable;

/// The functions, with the convention at each kink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Binary {
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a·b
    Mul,
    /// a / b
    Div,
    /// Binary cross-entropy of a logit a against a target b: b·softplus(−a) + (1−b)·softplus(a)
    BceWithLogits,
    /// Binary cross-entropy of a probability a against a target b, as Keras has it:
    /// −b·ln p − (1−b)·ln(1−p) with p = a clipped to [clip, 1−clip]; derivative 0 outside
    BceClipped { clip: f64 },
    /// Binary cross-entropy of a probability a against a target b, as PyTorch has it: both logarithms end at −100;
    /// derivative (a−b)/max(a·(1−a), 1e-12) by a
    Bce,
    /// The larger one, NaN if either is; half of the derivative to each at a tie
    Max,
    /// The smaller one, NaN if either is; half of the derivative to each at a tie
    Min,
    /// 1 where a > b, else 0 (also for NaN)
    Gt,
    /// 1 where a = b, else 0 (also for NaN)
    Equal,
    /// 1 where a > b, ½ where a = b, else 0: the derivative of [`Binary::Max`] by a
    Share,
    /// a^b; a negative a has a value for whole b only. Derivative 0 by b where a is 0, and by a where both are
    Power,
}

use Binary::*;

/// Applies `f` along one row where each operand either advances or stays.
#[inline(always)]
fn map<T: Real>(a: &[T], step_a: usize, b: &[T], step_b: usize, y: &mut [T], f: impl Fn(T, T) -> T) {
    match (step_a, step_b) {
        (0, 0) => y.fill(f(a[0], b[0])),
        (0, _) => y.iter_mut().zip(b).for_each(|(y, &b)| *y = f(a[0], b)),
        (_, 0) => y.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a, b[0])),
        _ => y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)),
    }
}

impl Binary {
    /// One row of y = f(a, b): the definition, for f64 and f32 alike.
    #[inline(always)]
    fn each<T: Real>(self, a: &[T], step_a: usize, b: &[T], step_b: usize, y: &mut [T]) {
        let (one, c) = (T::of(1.0), T::of);
        let softplus = |x: T| (-x.abs()).exp().ln_1p() + if x > T::of(0.0) { x } else { T::of(0.0) };
        match self {
            Add => map(a, step_a, b, step_b, y, |a, b| a + b),
            Sub => map(a, step_a, b, step_b, y, |a, b| a - b),
            Mul => map(a, step_a, b, step_b, y, |a, b| a * b),
            Div => map(a, step_a, b, step_b, y, |a, b| a / b),
            BceWithLogits => map(a, step_a, b, step_b, y, |z, t| {
                let loss = t * softplus(-z) + (one - t) * softplus(z);
                if z.is_nan() { z } else { loss }
            }),
            BceClipped { clip } => map(a, step_a, b, step_b, y, |p, t| {
                let (low, high) = (c(clip), one - c(clip));
                let p = if p < low {
                    low
                } else if p > high {
                    high
                } else {
                    p
                };
                -(t * p.ln() + (one - t) * (one - p).ln())
            }),
            Bce => map(a, step_a, b, step_b, y, |p, t| {
                let limited = |log: T| if log < c(-100.0) { c(-100.0) } else { log };
                -(t * limited(p.ln()) + (one - t) * limited((-p).ln_1p())) // 1 − p would lose a small p
            }),
            Max => map(a, step_a, b, step_b, y, |a, b| if a > b || a.is_nan() { a } else { b }),
            Min => map(a, step_a, b, step_b, y, |a, b| if a < b || a.is_nan() { a } else { b }),
            Gt => map(a, step_a, b, step_b, y, |a, b| if a > b { one } else { c(0.0) }),
            Equal => map(a, step_a, b, step_b, y, |a, b| if a == b { one } else { c(0.0) }),
            Share => map(a, step_a, b, step_b, y, |a, b| {
                if a > b {
                    one
                } else if a == b {
                    c(0.5)
                } else {
                    c(0.0)
                }
            }),
            Power => map(a, step_a, b, step_b, y, T::powf),
        }
    }

    /// Operands of one shape that are too large to be bound whole.
    fn flat_pieces(self, gpu: &Gpu, [(a, _), (b, _)]: [(GpuView, &[usize]); 2], y: GpuView) -> Result<()> {
        let (code, c) = self.code();
        gpu.pieces(y.shape.len()).all().try_for_each(|piece| {
            let quads = tuning::quads(gpu, piece.len());
            let params = Params { n: piece.len() as u32, c, quads, ..Params::zeroed() };
            gpu.run(&KernelCall {
                kernel: Kernel::new("binary", "same_shape").constant("op", code as f64),
                reads: &[&a.buffer.piece(&piece), &b.buffer.piece(&piece)],
                writes: &[&y.buffer.piece(&piece)],
                params: bytemuck::bytes_of(&params),
                workgroups: grid(piece.len().div_ceil(4 * quads as usize) as u64, 64),
                label: self.name(),
            })
        })
    }

    /// The same with broadcasts: each piece of y with those pieces of a and b that it may read.
    fn pieces(self, gpu: &Gpu, dims: &[usize], [a, b]: [(GpuView, &[usize]); 2], y: GpuView) -> Result<()> {
        let (code, c) = self.code();
        let [in_y, in_a, in_b] = [y.shape, a.0.shape, b.0.shape].map(|shape| gpu.pieces(shape.len()));
        let kernel = in_pieces(Kernel::new("binary", "broadcast").constant("op", code as f64), &[in_y, in_a, in_b]);
        for piece in in_y.all() {
            for from_a in in_a.reaching(reach(dims, a.1, 0, &piece)) {
                for from_b in in_b.reaching(reach(dims, b.1, 0, &piece)) {
                    let params = Params {
                        n: piece.end as u32,
                        c,
                        rank: dims.len() as u32,
                        dims: padded(dims, 1),
                        strides_a: padded(a.1, 0),
                        strides_b: padded(b.1, 0),
                        y: Span::from(&piece),
                        a: Span::from(&from_a),
                        b: Span::from(&from_b),
                        ..Params::zeroed()
                    };
                    gpu.run(&KernelCall {
                        kernel: kernel.clone(),
                        reads: &[&a.0.buffer.piece(&from_a), &b.0.buffer.piece(&from_b)],
                        writes: &[&y.buffer.piece(&piece)],
                        params: bytemuck::bytes_of(&params),
                        workgroups: grid(piece.len().div_ceil(4) as u64, 64),
                        label: self.name(),
                    })?;
                }
            }
        }
        Ok(())
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        let (sa, sb) = (x[0].shape.broadcast_strides(shape), x[1].shape.broadcast_strides(shape));
        for (i, y) in y.iter_mut().enumerate() {
            let (mut rest, mut ia, mut ib) = (i, 0, 0);
            for axis in (0..shape.rank()).rev() {
                let at = rest % shape[axis];
                rest /= shape[axis];
                ia += at * sa[axis];
                ib += at * sb[axis];
            }
            self.each(&x[0].data[ia..=ia], 0, &x[1].data[ib..=ib], 0, std::slice::from_mut(y));
        }
    }

    fn code(self) -> (u32, f32) {
        match self {
            Add => (0, 0.0),
            Sub => (1, 0.0),
            Mul => (2, 0.0),
            Div => (3, 0.0),
            BceWithLogits => (4, 0.0),
            BceClipped { clip } => (5, clip as f32),
            Bce => (6, 0.0),
            Max => (7, 0.0),
            Min => (8, 0.0),
            Gt => (9, 0.0),
            Equal => (10, 0.0),
            Share => (11, 0.0),
            Power => (12, 0.0),
        }
    }
}

/// Twin of `Params` in `binary.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    c: f32,
    quads: u32,
    row_quads: u32,
    runs: u32,
    inner_a: u32,
    inner_b: u32,
    rank: u32,
    dims: [u32; MAX_RANK],
    strides_a: [u32; MAX_RANK],
    strides_b: [u32; MAX_RANK],
    y: Span,
    a: Span,
    b: Span,
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        match self {
            Add => "add",
            Sub => "sub",
            Mul => "mul",
            Div => "div",
            BceWithLogits => "bce_with_logits",
            BceClipped { .. } => "bce_clipped",
            Bce => "bce",
            Max => "max",
            Min => "min",
            Gt => "gt",
            Equal => "equal",
            Share => "share",
            Power => "power",
        }
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["a", "b"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let shape = Shape::broadcast(x[0], x[1]).ok_or("the shapes do not broadcast")?;
        let (sa, sb) = (x[0].broadcast_strides(&shape), x[1].broadcast_strides(&shape));
        match collapse(&shape, [&sa, &sb]).0.len() {
            rank if rank > MAX_RANK => Err(format!("more than {MAX_RANK} axes after merging")),
            _ => Ok(shape),
        }
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let (a, b) = (x[0].data, x[1].data);
        let (sa, sb) = (x[0].shape.broadcast_strides(shape), x[1].shape.broadcast_strides(shape));
        let (dims, [sa, sb]) = collapse(shape, [&sa, &sb]);
        let (&inner, outer) = dims.split_last().expect("collapse keeps an axis");
        let (step_a, step_b) = (sa[outer.len()], sb[outer.len()]);
        if outer.is_empty() {
            return for_pieces(
                y,
                #[inline(always)]
                |start, y| {
                    self.each(&a[start * step_a..], step_a, &b[start * step_b..], step_b, y);
                },
            );
        }
        for_rows(
            y,
            inner,
            #[inline(always)]
            |row, y| {
                let (mut rest, mut ia, mut ib) = (row, 0, 0);
                for axis in (0..outer.len()).rev() {
                    let at = rest % dims[axis];
                    rest /= dims[axis];
                    ia += at * sa[axis];
                    ib += at * sb[axis];
                }
                self.each(&a[ia..], step_a, &b[ib..], step_b, y);
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let (code, c) = self.code();
        let (sa, sb) = (x[0].shape.broadcast_strides(y.shape), x[1].shape.broadcast_strides(y.shape));
        let (mut dims, [mut sa, mut sb]) = collapse(y.shape, [&sa, &sb]);
        let n = y.shape.len();
        let flat = dims.len() == 1 && sa[0] == 1 && sb[0] == 1;
        let sizes = [n, x[0].shape.len(), x[1].shape.len()].map(|n| gpu.pieces(n));
        if sizes.iter().any(|pieces| pieces.are_many()) {
            let operands = [(x[0], &sa[..]), (x[1], &sb[..])];
            return if flat { self.flat_pieces(gpu, operands, y) } else { self.pieces(gpu, &dims, operands, y) };
        }
        let special = !tuning::general_only(gpu);
        let same = special && flat;
        let quads = tuning::quads(gpu, n);
        // Rows of whole vec4s, each beginning at a whole vec4 where an operand lies along it.
        let row = dims.last().copied().unwrap_or(1);
        let whole = |s: &[usize]| match s.split_last() {
            Some((1, outer)) => outer.iter().all(|s| s % 4 == 0),
            inner => inner.is_none_or(|(inner, _)| *inner == 0),
        };
        let rows = special && !same && row % 4 == 0 && whole(&sa) && whole(&sb);
        let [mut inner_a, mut inner_b] = [0; 2];
        if rows {
            dims.pop();
            [inner_a, inner_b] = [&mut sa, &mut sb].map(|s| s.pop().unwrap_or(0) as u32);
        }
        let runs = (row / 4).div_ceil(quads as usize).max(1);
        let params = Params {
            quads,
            row_quads: (row / 4) as u32,
            runs: runs as u32,
            inner_a,
            inner_b,
            n: n as u32,
            c,
            rank: dims.len().max(1) as u32,
            dims: padded(&dims, 1),
            strides_a: padded(&sa, 0),
            strides_b: padded(&sb, 0),
            y: Span::from(&(0..n)),
            a: Span::from(&(0..x[0].shape.len())),
            b: Span::from(&(0..x[1].shape.len())),
        };
        let (entry, invocations) = match (same, rows) {
            (true, _) => ("same_shape", n.div_ceil(4 * quads as usize)),
            (_, true) => ("rows", n / row * runs),
            _ => ("broadcast", n.div_ceil(4)),
        };
        gpu.run(&KernelCall {
            kernel: Kernel::new("binary", entry).constant("op", code as f64),
            reads: &[x[0].buffer, x[1].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&params),
            workgroups: grid(invocations as u64, 64),
            label: self.name(),
        })
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (a, b) = (&x[0], &x[1]);
        let when = |needed: bool, shape: &Shape, d: &dyn Fn() -> Tensor| needed.then(|| d().sum_to(shape));
        match *self {
            Add => {
                vec![when(needs[0], a.shape(), &|| dy.clone()), when(needs[1], b.shape(), &|| dy.clone())]
            }
            Sub => vec![when(needs[0], a.shape(), &|| dy.clone()), when(needs[1], b.shape(), &|| dy * -1.0)],
            Mul => vec![when(needs[0], a.shape(), &|| dy * b), when(needs[1], b.shape(), &|| dy * a)],
            Div => vec![when(needs[0], a.shape(), &|| dy / b), when(needs[1], b.shape(), &|| &(dy * &(y / b)) * -1.0)],
            // d/dz = (1−t)·σ(z) − t·σ(−z): no cancellation where t is 0 or 1. d/dt = −z.
            BceWithLogits => vec![
                when(needs[0], a.shape(), &|| {
                    let not_b = b.affine(-1.0, 1.0);
                    dy * &(&(&not_b * &a.sigmoid()) - &(b * &(a * -1.0).sigmoid()))
                }),
                when(needs[1], b.shape(), &|| &(dy * a) * -1.0),
            ],
            BceClipped { clip } => {
                let p = a.clamp(clip, 1.0 - clip);
                let not_p = p.affine(-1.0, 1.0);
                vec![
                    // −t/p + (1−t)/(1−p), through the clip.
                    when(needs[0], a.shape(), &|| {
                        let slope = &(&b.affine(-1.0, 1.0) / &not_p) - &(b / &p);
                        dy * &(&slope * &a.is_inside(clip, 1.0 - clip))
                    }),
                    when(needs[1], b.shape(), &|| dy * &(&not_p.log() - &p.log())),
                ]
            }
            Bce => {
                let not_a = a.affine(-1.0, 1.0);
                let limited = |log: Tensor| log.clamp(-100.0, f32::MAX as f64);
                vec![
                    when(needs[0], a.shape(), &|| dy * &(&(a - b) / &(a * &not_a).clamp(1e-12, f32::MAX as f64))),
                    when(needs[1], b.shape(), &|| dy * &(&limited((a * -1.0).log1p()) - &limited(a.log()))),
                ]
            }
            Max => vec![
                when(needs[0], a.shape(), &|| dy * &apply(Share, &[a, b])),
                when(needs[1], b.shape(), &|| dy * &apply(Share, &[b, a])),
            ],
            Min => vec![
                when(needs[0], a.shape(), &|| dy * &apply(Share, &[b, a])),
                when(needs[1], b.shape(), &|| dy * &apply(Share, &[a, b])),
            ],
            Gt | Equal | Share => vec![None, None],
            Power => {
                let [zero, one] = [0.0, 1.0].map(|v| Tensor::scalar(a.device(), v));
                let no_base = a.equal(&zero);
                vec![
                    when(needs[0], a.shape(), &|| {
                        let base = (&no_base * &b.equal(&zero)).select(&one, a);
                        dy * &(b * &base.power(&(b - 1.0)))
                    }),
                    // y·ln a, with ln 1 where a is 0.
                    when(needs[1], b.shape(), &|| dy * &(y * &no_base.select(&one, a).log())),
                ]
            }
        }
    }
}

impl Tensor {
    /// Binary cross-entropy of these logits against `target` (same or broadcast shape), elementwise:
    /// t·softplus(−z) + (1−t)·softplus(z). Finite for every finite logit.
    #[track_caller]
    pub fn bce_with_logits(&self, target: &Tensor) -> Tensor {
        apply(BceWithLogits, &[self, target])
    }

    /// Binary cross-entropy of these probabilities against `target`, elementwise, as Keras has it: probabilities are
    /// clipped to [clip, 1−clip] first (Keras: 1e-7), and the gradient is 0 outside.
    #[track_caller]
    pub fn bce_clipped(&self, target: &Tensor, clip: f64) -> Tensor {
        apply(BceClipped { clip }, &[self, target])
    }

    /// Binary cross-entropy of these probabilities against `target`, elementwise, as PyTorch has it: logarithms end at
    /// −100, and the derivative is (p−t)/max(p·(1−p), 1e-12).
    #[track_caller]
    pub fn bce(&self, target: &Tensor) -> Tensor {
        apply(Bce, &[self, target])
    }

    /// The larger of two, elementwise; NaN if either is NaN. At a tie each gets half of the derivative.
    #[track_caller]
    pub fn maximum(&self, other: &Tensor) -> Tensor {
        apply(Max, &[self, other])
    }

    /// The smaller of two, elementwise; NaN if either is NaN. At a tie each gets half of the derivative.
    #[track_caller]
    pub fn minimum(&self, other: &Tensor) -> Tensor {
        apply(Min, &[self, other])
    }

    /// This to the power of `exponent`, elementwise; for a negative base only whole exponents give a number. The derivative
    /// by the exponent is 0 where the base is 0.
    #[track_caller]
    pub fn power(&self, exponent: &Tensor) -> Tensor {
        apply(Power, &[self, exponent])
    }

    /// 1 where this is greater than `other`, else 0; derivative 0 everywhere. `b.gt(&a)` is a < b.
    #[track_caller]
    pub fn gt(&self, other: &Tensor) -> Tensor {
        apply(Gt, &[self, other])
    }

    /// 1 where this equals `other`, else 0; derivative 0 everywhere.
    #[track_caller]
    pub fn equal(&self, other: &Tensor) -> Tensor {
        apply(Equal, &[self, other])
    }
}

//! The first gradient of a batch normalisation in two passes: sums over each channel, then the gradient by x.

use super::sizes::Sizes;
use super::statistics::Pass;
use super::value::scales;
use crate::cpu::parallel::for_chunks;
use crate::cpu::simd::vectorized;
use crate::cpu::sums;
use crate::error::Result;
use crate::gpu::{Gpu, KernelCall, grid};
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, reference_loops};

/// What the leaky relu of `slope` behind the normalisation lets through of dy, by the sign of its value y.
#[inline(always)]
fn through<T: Real>(slope: T, y: T, dy: T) -> T {
    if y > T::of(0.0) { dy } else { slope * dy }
}

/// Σ dz and Σ dz·x̂ of each channel, which are the gradients by beta and gamma, [2, C]; behind these, if x has several
/// parts, Σ dz of each, then Σ dz·x̂ of each. dz is dy through the leaky relu whose value is y. First order only.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchNormSums {
    pub eps: f64,
    pub slope: f64,
    pub parts: usize,
}

impl BatchNormSums {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape, self.parts);
        let first = s.first_row() * s.c;
        for group in 0..s.groups() {
            let (mean, var) = (x[1].data[group], x[1].data[s.groups() + group]);
            let inv = T::of(1.0) / (var + T::of(self.eps)).sqrt();
            let (mut sum, mut dot) = (T::of(0.0), T::of(0.0));
            for i in s.group(group).flatten() {
                let dz = through(T::of(self.slope), x[3].data[i], x[2].data[i]);
                sum += dz;
                dot += dz * ((x[0].data[i] - mean) * inv);
            }
            y[first + group] = sum;
            y[first + s.groups() + group] = dot;
        }
        add_parts(s, y);
    }
}

/// The totals in front of the sums of several parts.
fn add_parts<T: Real>(s: Sizes, y: &mut [T]) {
    if s.parts > 1 {
        let (totals, sums) = y.split_at_mut(2 * s.c);
        for (i, total) in totals.iter_mut().enumerate() {
            *total = T::of(0.0);
            (0..s.parts).for_each(|part| *total += sums[i / s.c * s.groups() + part * s.c + i % s.c]);
        }
    }
}

impl Op for BatchNormSums {
    fn name(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "moments", "dy", "y"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok([if self.parts == 1 { 2 } else { 2 + 2 * self.parts }, x[0][1]].into())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        if self.slope != 1.0 {
            return self.define(x, y, shape); // on `cpu` the activation's gradient is a pass of its own
        }
        let s = Sizes::of(x[0].shape, self.parts);
        let inv = scales(s, x[1].data, None, self.eps);
        let (sums, dots) = y[s.first_row() * s.c..].split_at_mut(s.groups());
        if s.l == 1 {
            vectorized(
                #[inline(always)]
                || s.column_sums([x[0].data, x[2].data], x[1].data, &inv, sums, dots),
            );
            return add_parts(s, y);
        }
        for_chunks([sums, dots], 1, |group, [sum, dot]| {
            let [total, total_dot] = vectorized(
                #[inline(always)]
                || {
                    let runs = s.group(group).map(|run| [&x[0].data[run.clone()], &x[2].data[run]]);
                    sums::sum_and_dot(s.l, runs, x[1].data[group])
                },
            );
            sum[0] = total as f32;
            dot[0] = (total_dot * inv[group] as f64) as f32;
        });
        add_parts(s, y);
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape, self.parts);
        let reads = [x[0].buffer, x[1].buffer, x[2].buffer, x[3].buffer];
        let pass = Pass {
            name: "batch_norm_sums",
            shader: "batch_norm_sums",
            switch: ("activated", self.slope != 1.0),
            unaffected: "combine",
            reads: &reads,
            partial_reads: &reads,
        };
        s.statistics(gpu, &pass, &s.params(gpu, self.eps, self.slope), y)
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

/// dx = gamma·(var + eps)^−½·(dz − Σdz/count − x̂·Σ(dz·x̂)/count) from the sums of [`BatchNormSums`]. First order only.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchNormInput {
    pub eps: f64,
    pub slope: f64,
    pub parts: usize,
}

impl BatchNormInput {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape, self.parts);
        let (count, first) = (T::of(s.count() as f64), s.first_row() * s.c);
        for group in 0..s.groups() {
            let (mean, var) = (x[1].data[group], x[1].data[s.groups() + group]);
            let inv = T::of(1.0) / (var + T::of(self.eps)).sqrt();
            let (sum, dot) = (x[3].data[first + group], x[3].data[first + s.groups() + group]);
            for i in s.group(group).flatten() {
                let xhat = (x[0].data[i] - mean) * inv;
                let dz = through(T::of(self.slope), x[5].data[i], x[4].data[i]);
                y[i] = x[2].data[group % s.c] * inv * (dz - sum / count - xhat * dot / count);
            }
        }
    }
}

impl Op for BatchNormInput {
    fn name(&self) -> &'static str {
        "batch_norm_input"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "moments", "gamma", "sums", "dy", "y"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok(x[0].clone())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        if self.slope != 1.0 {
            return self.define(x, y, shape); // on `cpu` the activation's gradient is a pass of its own
        }
        let s = Sizes::of(x[0].shape, self.parts);
        let inv = scales(s, x[1].data, None, self.eps);
        let count = s.count() as f32;
        let sums = &x[3].data[s.first_row() * s.c..];
        s.for_planes(
            y,
            #[inline(always)]
            |group, c, place, y| {
                let (mean, scale) = (x[1].data[group], x[2].data[c] * inv[group]);
                let (sum, slope) = (sums[group] / count, inv[group] * sums[s.groups() + group] / count);
                let pairs = x[0].data[place..].iter().zip(&x[4].data[place..]);
                for (y, (x, dy)) in y.iter_mut().zip(pairs) {
                    *y = scale * (dy - sum - (x - mean) * slope);
                }
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape, self.parts);
        let (kernel, row) = s.row_kernel(gpu, ["input_gradient", "input_gradient_quads"]);
        gpu.run(&KernelCall {
            kernel: kernel.constant("activated", f64::from(u8::from(self.slope != 1.0))),
            reads: &[x[0].buffer, x[1].buffer, x[2].buffer, x[3].buffer, x[4].buffer, x[5].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&s.params(gpu, self.eps, self.slope)),
            workgroups: grid((s.parts * s.n * s.c * row) as u64, 64),
            label: "batch_norm_input",
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

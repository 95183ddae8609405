//! Batch normalisation over all axes but the channel axis 1, with fused passes for the value and the first gradient.

use crate::cpu::parallel::{for_chunks, for_rows};
use crate::cpu::simd::vectorized;
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::bias_activation::Activation;
use crate::ops::reduce::sum_run;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, is_recording, no_grad, reference_loops};

/// Elements of a channel that one GPU invocation takes in a statistics pass.
const CHUNK: usize = 512;
/// The most parts that a channel is cut into (old drivers stop loops after 65,535 turns).
const MOST_CHUNKS: usize = 1 << 15;

/// x as [N, C, L]: batch, channels, everything behind.
#[derive(Clone, Copy)]
struct Sizes {
    n: usize,
    c: usize,
    l: usize,
}

impl Sizes {
    fn of(x: &Shape) -> Sizes {
        Sizes { n: x[0], c: x[1], l: x[2..].iter().product() }
    }

    fn count(self) -> usize {
        self.n * self.l
    }

    /// Calls `visit(start of a run of l elements)` for each image's part of channel c.
    fn channel(self, c: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        (0..self.n).map(move |n| (n * self.c + c) * self.l..(n * self.c + c + 1) * self.l)
    }

    /// Calls `work(channel, where the plane begins, plane of y)` for each plane of l elements, over all cores.
    fn for_planes(self, y: &mut [f32], work: impl Fn(usize, usize, &mut [f32]) + Sync) {
        // Whole planes are shared out, not images: instance normalisation has one image of many channels.
        let planes = if self.l < 16 { self.c } else { 1 };
        for_rows(y, planes * self.l, |row, y| {
            for (i, y) in y.chunks_exact_mut(self.l).enumerate() {
                let plane = row * planes + i;
                work(plane % self.c, plane * self.l, y);
            }
        });
    }

    /// Whether the kernels on whole vec4s may be used.
    fn whole_quads(self, gpu: &Gpu) -> bool {
        self.l > 0 && self.l.is_multiple_of(4) && !tuning::general_only(gpu)
    }

    /// The kernel of this name, and for these sizes; how many invocations a row of l takes.
    fn row_kernel(self, gpu: &Gpu, entries: [&'static str; 2]) -> (Kernel, usize) {
        match self.whole_quads(gpu) {
            true => (Kernel::new("batch_norm", entries[1]), self.runs(gpu)),
            false => (Kernel::new("batch_norm", entries[0]), self.l),
        }
    }

    /// Invocations among which the vec4s of a row of l are dealt out.
    fn runs(self, gpu: &Gpu) -> usize {
        (self.l / 4).div_ceil(tuning::quads(gpu, self.count() * self.c) as usize).max(1)
    }

    fn params(self, gpu: &Gpu, eps: f64) -> Params {
        // Not more chunks than the combining invocation may loop over.
        let chunk = CHUNK.max(self.count().div_ceil(MOST_CHUNKS).next_multiple_of(4)).min(self.count().max(1));
        Params {
            n: self.n as u32,
            c: self.c as u32,
            l: self.l as u32,
            chunk: chunk as u32,
            chunks: self.count().div_ceil(chunk).max(1) as u32,
            eps: eps as f32,
            runs: self.runs(gpu) as u32,
            slope: 1.0,
        }
    }
}

fn check(x: &Shape) -> Result<(), String> {
    if x.rank() < 2 { Err("expects [N, C, ...]".into()) } else { Ok(()) }
}

/// Twin of `Params` in `batch_norm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    c: u32,
    l: u32,
    chunk: u32,
    chunks: u32,
    eps: f32,
    runs: u32,
    slope: f32,
}

/// A statistics pass: by one workgroup a channel, or in two kernels, a part of each channel, then the parts in order.
fn gpu_statistics(
    gpu: &Gpu,
    [workgroup, partial, combine]: [&'static str; 3],
    reads: &[&crate::gpu::GpuBuffer],
    params: &Params,
    y: GpuView,
) -> Result<()> {
    // An invocation takes every 256th element, and no more than old drivers' loops allow.
    let count = params.n as usize * params.l as usize;
    if tuning::channel_by_workgroup(gpu) && (1..=256 * 30_000).contains(&count) {
        return gpu.run(&KernelCall {
            kernel: Kernel::new("batch_norm", workgroup),
            reads,
            writes: &[y.buffer],
            params: bytemuck::bytes_of(params),
            workgroups: grid(params.c as u64, 1),
            label: workgroup,
        });
    }
    let parts = params.c as u64 * params.chunks as u64;
    let partials = gpu.alloc(parts * 8)?;
    let bytes = bytemuck::bytes_of(params);
    gpu.run(&KernelCall {
        kernel: Kernel::new("batch_norm", partial),
        reads,
        writes: &[&partials],
        params: bytes,
        workgroups: grid(parts, 64),
        label: partial,
    })?;
    gpu.run(&KernelCall {
        kernel: Kernel::new("batch_norm", combine),
        reads: &[&partials],
        writes: &[y.buffer],
        params: bytes,
        workgroups: grid(params.c as u64, 64),
        label: combine,
    })
}

/// y [2, C]: mean and (biased) variance of each channel of x [N, C, …].
#[derive(Clone, Copy, Debug)]
struct Moments;

impl Moments {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        let count = T::of(s.count() as f64);
        for c in 0..s.c {
            let values = || s.channel(c).flat_map(|run| &x[0].data[run]);
            let mut mean = T::of(0.0);
            values().for_each(|&v| mean += v);
            mean = mean / count;
            let mut var = T::of(0.0);
            values().for_each(|&v| var += (v - mean) * (v - mean));
            y[c] = mean;
            y[s.c + c] = var / count;
        }
    }
}

impl Op for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        check(x[0])?;
        Ok([2, x[0][1]].into())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let (s, x) = (Sizes::of(x[0].shape), x[0].data);
        let (means, vars) = y.split_at_mut(s.c);
        for_chunks([means, vars], 1, |c, [mean, var]| {
            let exact = s.channel(c).map(|run| sum_run(&x[run])).sum::<f64>() / s.count() as f64;
            mean[0] = exact as f32;
            let squares = |run: std::ops::Range<usize>| {
                let mut lanes = [0.0f32; 16];
                let rows = x[run].chunks_exact(16);
                let rest: f64 = rows.remainder().iter().map(|&v| (v as f64 - exact).powi(2)).sum();
                for row in rows {
                    for (lane, &v) in lanes.iter_mut().zip(row) {
                        let d = v - exact as f32;
                        *lane += d * d;
                    }
                }
                rest + lanes.iter().map(|&v| v as f64).sum::<f64>()
            };
            // Σ(v − m)² for the rounded mean m exceeds the variance by (m − mean)².
            let shift = exact - exact as f32 as f64;
            var[0] = (vectorized(
                #[inline(always)]
                || s.channel(c).map(squares).sum::<f64>(),
            ) / s.count() as f64
                - shift * shift)
                .max(0.0) as f32;
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape);
        let params = s.params(gpu, 0.0);
        let partial = if s.whole_quads(gpu) { "moments_partial_quads" } else { "moments_partial" };
        gpu_statistics(gpu, ["moments_channel", partial, "moments_combine"], &[x[0].buffer], &params, y)
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let x = &x[0];
        let count = (x.len() / x.dim(1).max(1)) as f64;
        let centred = x - channels(&y.narrow(0, 0, 1), x);
        let dmean = channels(&dy.narrow(0, 0, 1), x);
        let dvar = channels(&dy.narrow(0, 1, 1), x);
        vec![Some((centred * dvar * 2.0 + dmean) * (1.0 / count))]
    }
}

/// C values in a shape that broadcasts over the channels of `x`.
fn channels(values: &Tensor, x: &Tensor) -> Tensor {
    let mut shape = vec![1; x.rank()];
    shape[1] = values.len();
    values.reshape(shape)
}

/// y = f(gamma·(x − mean)·(var + eps)^−½ + beta) per channel, where (mean, var) = `moments` are those *of x* and f is a
/// leaky relu with a slope from 0; slope 1 is none at all.
///
/// `moments` is handed in so that it need not be computed twice; it is no free input: the gradient by x goes through
/// the statistics, and none is given for `moments`. Only [`Tensor::batch_norm`] makes this op.
#[derive(Clone, Copy, Debug)]
struct BatchNorm {
    eps: f64,
    slope: f64,
}

impl BatchNorm {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        for c in 0..s.c {
            let (mean, var) = (x[1].data[c], x[1].data[s.c + c]);
            let inv = T::of(1.0) / (var + T::of(self.eps)).sqrt();
            for i in s.channel(c).flatten() {
                let z = x[2].data[c] * ((x[0].data[i] - mean) * inv) + x[3].data[c];
                y[i] = if z > T::of(0.0) { z } else { T::of(self.slope) * z };
            }
        }
    }

    /// The gradient by x in ops that can be differentiated again.
    fn composed(&self, x: &Tensor, gamma: &Tensor, dy: &Tensor) -> [Tensor; 3] {
        let axes: Vec<usize> = (0..x.rank()).filter(|&axis| axis != 1).collect();
        let over_channels = |t: &Tensor| channels(&t.mean_axes(&axes), x);
        let count = (x.len() / x.dim(1).max(1)) as f64;
        let centred = x - over_channels(x);
        let inv = (over_channels(&centred.square()) + self.eps).rsqrt();
        let xhat = centred * &inv;
        let (dbeta, dgamma) = (dy.sum_axes(&axes), (dy * &xhat).sum_axes(&axes));
        let mean_dy = channels(&dbeta, x) * (1.0 / count);
        let mean_dy_xhat = channels(&dgamma, x) * (1.0 / count);
        let dx = (dy - mean_dy - xhat * mean_dy_xhat) * (inv * channels(gamma, x));
        [dx, dgamma, dbeta]
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "moments", "gamma", "beta"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        check(x[0])?;
        let c = x[0][1];
        if x[1].dims() != [2, c] || x[2].dims() != [c] || x[3].dims() != [c] {
            return Err(format!("x has {c} channels; moments must be [2, {c}], gamma and beta [{c}]"));
        }
        Ok(x[0].clone())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        let scale = scales(x[1].data, x[2].data, self.eps);
        s.for_planes(y, |c, place, y| {
            let (mean, scale, beta) = (x[1].data[c], scale[c], x[3].data[c]);
            let pairs = y.iter_mut().zip(&x[0].data[place..]);
            if self.slope == 1.0 {
                pairs.for_each(|(y, x)| *y = (x - mean) * scale + beta);
            } else {
                let slope = self.slope as f32;
                pairs.for_each(|(y, x)| {
                    let z = (x - mean) * scale + beta;
                    *y = if z > 0.0 { z } else { slope * z };
                });
            }
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape);
        let (kernel, row) = s.row_kernel(gpu, ["normalize", "normalize_quads"]);
        gpu.run(&KernelCall {
            kernel,
            reads: &[x[0].buffer, x[1].buffer, x[2].buffer, x[3].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&Params { slope: self.slope as f32, ..s.params(gpu, self.eps) }),
            workgroups: grid((s.n * s.c * row) as u64, 64),
            label: "batch_norm",
        })
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let [x, moments, gamma, _] = x else { unreachable!("batch_norm has four inputs") };
        let dy = &match self.slope {
            1.0 => dy.clone(),
            slope => Activation::LeakyRelu { slope }.gradient(y, dy),
        };
        let [dx, dgamma, dbeta] = if is_recording() {
            self.composed(x, gamma, dy).map(Some)
        } else {
            let sums = apply(BatchNormSums { eps: self.eps }, &[x, moments, dy]); // [2, C]
            let row = |i: usize| sums.narrow(0, i, 1).reshape([x.dim(1)]);
            let dx = || apply(BatchNormInput { eps: self.eps }, &[x, moments, gamma, &sums, dy]);
            [needs[0].then(dx), needs[2].then(|| row(1)), needs[3].then(|| row(0))]
        };
        vec![dx, None, dgamma, dbeta]
    }
}

/// gamma·(var + eps)^−½ of each channel.
fn scales(moments: &[f32], gamma: &[f32], eps: f64) -> Vec<f32> {
    let vars = &moments[gamma.len()..];
    vars.iter().zip(gamma).map(|(&var, &gamma)| (gamma as f64 / (var as f64 + eps).sqrt()) as f32).collect()
}

/// Σ dy and Σ dy·(x − mean) over channel c: lanes in f32 over each run, lane by lane in f64 over the runs.
#[inline(always)]
fn dot_runs(s: Sizes, c: usize, mean: f32, x: &[f32], dy: &[f32]) -> (f64, f64) {
    match s.l {
        256.. => dot_lanes::<32>(s, c, mean, x, dy),
        16.. => dot_lanes::<16>(s, c, mean, x, dy),
        _ => dot_lanes::<8>(s, c, mean, x, dy),
    }
}

#[inline(always)]
fn dot_lanes<const LANES: usize>(s: Sizes, c: usize, mean: f32, x: &[f32], dy: &[f32]) -> (f64, f64) {
    let (mut totals, mut total_dots) = ([0.0f64; LANES], [0.0f64; LANES]);
    for run in s.channel(c) {
        let (x, dy) = (&x[run.clone()], &dy[run]);
        let (mut sums, mut dots) = ([0.0f32; LANES], [0.0f32; LANES]);
        let (x_rows, dy_rows) = (x.chunks_exact(LANES), dy.chunks_exact(LANES));
        for (i, (&x, &dy)) in x_rows.remainder().iter().zip(dy_rows.remainder()).enumerate() {
            totals[i] += dy as f64;
            total_dots[i] += (dy * (x - mean)) as f64;
        }
        for (x, dy) in x_rows.zip(dy_rows) {
            for i in 0..LANES {
                sums[i] += dy[i];
                dots[i] += dy[i] * (x[i] - mean);
            }
        }
        for i in 0..LANES {
            totals[i] += sums[i] as f64;
            total_dots[i] += dots[i] as f64;
        }
    }
    (totals.iter().sum(), total_dots.iter().sum())
}

/// y [2, C]: Σ dy and Σ dy·x̂ of each channel, which are the gradients by beta and gamma. First order only.
#[derive(Clone, Copy, Debug)]
struct BatchNormSums {
    eps: f64,
}

impl BatchNormSums {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        for c in 0..s.c {
            let (mean, var) = (x[1].data[c], x[1].data[s.c + c]);
            let inv = T::of(1.0) / (var + T::of(self.eps)).sqrt();
            let (mut sum, mut dot) = (T::of(0.0), T::of(0.0));
            for i in s.channel(c).flatten() {
                sum += x[2].data[i];
                dot += x[2].data[i] * ((x[0].data[i] - mean) * inv);
            }
            y[c] = sum;
            y[s.c + c] = dot;
        }
    }
}

impl Op for BatchNormSums {
    fn name(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "moments", "dy"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok([2, x[0][1]].into())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        let inv = scales(x[1].data, &vec![1.0; s.c], self.eps);
        let (sums, dots) = y.split_at_mut(s.c);
        for_chunks([sums, dots], 1, |c, [sum, dot]| {
            let (total, total_dot) = vectorized(
                #[inline(always)]
                || dot_runs(s, c, x[1].data[c], x[0].data, x[2].data),
            );
            sum[0] = total as f32;
            dot[0] = (total_dot * inv[c] as f64) as f32;
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape);
        let params = s.params(gpu, self.eps);
        let partial = if s.whole_quads(gpu) { "sums_partial_quads" } else { "sums_partial" };
        let reads = [x[0].buffer, x[1].buffer, x[2].buffer];
        gpu_statistics(gpu, ["sums_channel", partial, "sums_combine"], &reads, &params, y)
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

/// dx = gamma·(var + eps)^−½·(dy − Σdy/count − x̂·Σ(dy·x̂)/count) from the sums. First order only.
#[derive(Clone, Copy, Debug)]
struct BatchNormInput {
    eps: f64,
}

impl BatchNormInput {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        let count = T::of(s.count() as f64);
        for c in 0..s.c {
            let (mean, var) = (x[1].data[c], x[1].data[s.c + c]);
            let inv = T::of(1.0) / (var + T::of(self.eps)).sqrt();
            let (sum, dot) = (x[3].data[c], x[3].data[s.c + c]);
            for i in s.channel(c).flatten() {
                let xhat = (x[0].data[i] - mean) * inv;
                y[i] = x[2].data[c] * inv * (x[4].data[i] - sum / count - xhat * dot / count);
            }
        }
    }
}

impl Op for BatchNormInput {
    fn name(&self) -> &'static str {
        "batch_norm_input"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "moments", "gamma", "sums", "dy"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok(x[0].clone())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let s = Sizes::of(x[0].shape);
        let inv = scales(x[1].data, &vec![1.0; s.c], self.eps);
        let count = s.count() as f32;
        s.for_planes(y, |c, place, y| {
            let (mean, scale) = (x[1].data[c], x[2].data[c] * inv[c]);
            let (sum, slope) = (x[3].data[c] / count, inv[c] * x[3].data[s.c + c] / count);
            let pairs = x[0].data[place..].iter().zip(&x[4].data[place..]);
            for (y, (x, dy)) in y.iter_mut().zip(pairs) {
                *y = scale * (dy - sum - (x - mean) * slope);
            }
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape);
        let (kernel, row) = s.row_kernel(gpu, ["input_gradient", "input_gradient_quads"]);
        gpu.run(&KernelCall {
            kernel,
            reads: &[x[0].buffer, x[1].buffer, x[2].buffer, x[3].buffer, x[4].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&s.params(gpu, self.eps)),
            workgroups: grid((s.n * s.c * row) as u64, 64),
            label: "batch_norm_input",
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        unreachable!("made only where nothing is recorded")
    }
}

/// y [2, C] = keep·(mean, var) + (1 − keep)·moments, the variance times `correction`.
#[derive(Clone, Copy, Debug)]
struct RunningMoments {
    keep: f64,
    correction: f64,
}

impl RunningMoments {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let c = x[0].data.len();
        let (keep, scale) = (T::of(self.keep), [1.0 - self.keep, (1.0 - self.keep) * self.correction].map(T::of));
        for (i, y) in y.iter_mut().enumerate() {
            let (row, running) = (i / c, x[i / c].data[i % c]);
            *y = running * keep + x[2].data[i] * scale[row];
        }
    }
}

/// Twin of `RunningParams` in `batch_norm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct RunningParams {
    c: u32,
    keep: f32,
    mean_scale: f32,
    var_scale: f32,
}

impl Op for RunningMoments {
    fn name(&self) -> &'static str {
        "running_moments"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["mean", "var", "moments"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        match (x[0].dims(), x[1].dims(), x[2].dims()) {
            ([c], [d], [2, e]) if c == d && d == e => Ok(x[2].clone()),
            _ => Err("expects running mean and variance [C] and moments [2, C]".into()),
        }
    }

    reference_loops!(cpu);

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let c = x[0].shape.len();
        gpu.run(&KernelCall {
            kernel: Kernel::new("batch_norm", "running"),
            reads: &[x[0].buffer, x[1].buffer, x[2].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&RunningParams {
                c: c as u32,
                keep: self.keep as f32,
                mean_scale: (1.0 - self.keep) as f32,
                var_scale: ((1.0 - self.keep) * self.correction) as f32,
            }),
            workgroups: grid(2 * c as u64, 64),
            label: self.name(),
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let row = |i: usize| dy.narrow(0, i, 1).reshape([dy.dim(1)]);
        let scaled = || {
            let (mean, var) = (row(0) * (1.0 - self.keep), row(1) * ((1.0 - self.keep) * self.correction));
            Tensor::concat(&[&mean.reshape([1, mean.len()]), &var.reshape([1, var.len()])], 0)
        };
        vec![needs[0].then(|| row(0) * self.keep), needs[1].then(|| row(1) * self.keep), needs[2].then(scaled)]
    }
}

/// Batch normalisation (Ioffe and Szegedy 2015). The channel axis is 1.
impl Tensor {
    /// Mean and biased variance of each channel of [N, C, …], as [2, C].
    #[track_caller]
    pub fn moments(&self) -> Tensor {
        apply(Moments, &[self])
    }

    /// Normalises each channel of [N, C, …] with the batch's own mean and biased variance, then scales by gamma `[C]`
    /// and shifts by beta `[C]` (ones and zeros if absent). Also returns the moments [2, C], as constants.
    #[track_caller]
    pub fn batch_norm(&self, gamma: Option<&Tensor>, beta: Option<&Tensor>, eps: f64) -> (Tensor, Tensor) {
        self.batch_norm_activated(gamma, beta, eps, Activation::Identity)
    }

    /// f of [`Tensor::batch_norm`], in one pass for the leaky relus, and the moments.
    #[track_caller]
    pub fn batch_norm_activated(
        &self,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        eps: f64,
        f: Activation,
    ) -> (Tensor, Tensor) {
        let moments = no_grad(|| self.moments());
        let c = moments.dim(1);
        let gamma = gamma.cloned().unwrap_or_else(|| Tensor::full(self.device(), [c], 1.0));
        let beta = beta.cloned().unwrap_or_else(|| Tensor::zeros(self.device(), [c]));
        let slope = match f {
            Activation::LeakyRelu { slope } if f.derivative_follows_from_value() => slope,
            _ => 1.0,
        };
        let y = apply(BatchNorm { eps, slope }, &[self, &moments, &gamma, &beta]);
        (if slope == 1.0 { f.of(&y) } else { y }, moments)
    }

    /// keep·(mean, var) + (1 − keep)·moments as [2, C], for running mean and variance `[C]` and a batch's moments [2, C],
    /// its variance times `correction`.
    #[track_caller]
    pub fn running_moments(mean: &Tensor, var: &Tensor, moments: &Tensor, keep: f64, correction: f64) -> Tensor {
        apply(RunningMoments { keep, correction }, &[mean, var, moments])
    }

    /// Normalises each channel of [N, C, …] with given statistics, mean `[C]` and variance `[C]`.
    #[track_caller]
    pub fn batch_norm_with(
        &self,
        mean: &Tensor,
        var: &Tensor,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let inv = (var + eps).rsqrt();
        let scale = gamma.map_or(inv.clone(), |gamma| gamma * &inv);
        let y = (self - channels(mean, self)) * channels(&scale, self);
        beta.map_or(y.clone(), |beta| y + channels(beta, self))
    }
}

//! Batch normalisation over all axes but the channel axis 1, with fused passes for the value and the first gradient.

use crate::cpu::parallel::{for_chunks, for_rows};
use crate::cpu::simd::vectorized;
use crate::cpu::sums;
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, grid};
use crate::ops::batch_norm_whole;
use crate::ops::bias_activation::Activation;
use crate::ops::reduce::sum_runs;
use crate::shape::Shape;
use crate::tensor::{Device, GpuView, Op, Real, Tensor, View, apply, is_recording, no_grad, reference_loops};

/// Elements of a channel that one GPU invocation takes in a statistics pass.
const CHUNK: usize = 512;
/// The most parts that a channel is cut into (old drivers stop loops after 65,535 turns).
const MOST_CHUNKS: usize = 1 << 15;
/// Channels from which on an invocation each keeps a few cores of a software adapter busy: one call instead of two.
const SERIAL_CHANNELS: usize = 32;
/// Elements that such an invocation may take: two passes over as many vec4s, and the same limit of turns.
const MOST_SERIAL: usize = 1 << 16;

/// x as [parts·N, C, L]: batches that lie one behind the other, their images, channels, everything behind. Each channel of
/// each part has statistics of its own: group number part·C + channel.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub parts: usize,
    pub n: usize,
    pub c: usize,
    pub l: usize,
}

impl Sizes {
    pub fn of(x: &Shape, parts: usize) -> Sizes {
        Sizes { parts, n: x[0] / parts, c: x[1], l: x[2..].iter().product() }
    }

    /// Elements of a group.
    pub fn count(self) -> usize {
        self.n * self.l
    }

    fn groups(self) -> usize {
        self.parts * self.c
    }

    /// Where a part's rows begin in what [`BatchNormSums`] gives: behind the totals, unless these are the part's own.
    fn first_row(self) -> usize {
        if self.parts == 1 { 0 } else { 2 }
    }

    /// The runs of l elements that a group consists of.
    fn group(self, group: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (part, c) = (group / self.c, group % self.c);
        (part * self.n..(part + 1) * self.n).map(move |n| (n * self.c + c) * self.l..(n * self.c + c + 1) * self.l)
    }

    /// Calls `work(group, channel, where the plane begins, plane of y)` for each plane of l elements, over all cores.
    #[inline(always)]
    fn for_planes(self, y: &mut [f32], work: impl Fn(usize, usize, usize, &mut [f32]) + Sync) {
        if self.l == 1 {
            // Rows of channels.
            return for_rows(
                y,
                self.c,
                #[inline(always)]
                |image, y| {
                    let group = image / self.n * self.c;
                    for (c, y) in y.iter_mut().enumerate() {
                        work(group + c, c, image * self.c + c, std::slice::from_mut(y));
                    }
                },
            );
        }
        // Whole planes are shared out, not images: instance normalisation has one image of many channels.
        let planes = if self.l < 16 { self.c } else { 1 };
        for_rows(
            y,
            planes * self.l,
            #[inline(always)]
            |row, y| {
                for (i, y) in y.chunks_exact_mut(self.l).enumerate() {
                    let plane = row * planes + i;
                    let (image, c) = (plane / self.c, plane % self.c);
                    work(image / self.n * self.c + c, c, plane * self.l, y);
                }
            },
        );
    }

    /// Means and variances of single elements: of the columns of a matrix a part.
    #[inline(always)]
    fn column_moments(self, x: &[f32], means: &mut [f32], vars: &mut [f32]) {
        let n = self.n as f64;
        for (part, (means, vars)) in means.chunks_mut(self.c).zip(vars.chunks_mut(self.c)).enumerate() {
            let (rows, mut exact) = (part * self.n..(part + 1) * self.n, vec![0.0; self.c]);
            sums::add_columns(&mut exact, rows.clone(), |row, c| x[row * self.c..][..self.c][c] as f64);
            exact.iter_mut().for_each(|mean| *mean /= n);
            let mut squares = vec![0.0; self.c];
            let exact = &exact[..self.c];
            sums::add_columns(&mut squares, rows, |row, c| {
                let d = x[row * self.c..][..self.c][c] as f64 - exact[c];
                d * d
            });
            for c in 0..self.c {
                (means[c], vars[c]) = (exact[c] as f32, (squares[c] / n) as f32);
            }
        }
    }

    /// Σ dy and Σ dy·(x − mean)·inv of single elements.
    #[inline(always)]
    fn column_sums(self, [x, dy]: [&[f32]; 2], mean: &[f32], inv: &[f32], sums: &mut [f32], dots: &mut [f32]) {
        for part in 0..self.parts {
            let (rows, groups) = (part * self.n..(part + 1) * self.n, part * self.c..(part + 1) * self.c);
            let [mut sum, mut dot] = [vec![0.0; self.c], vec![0.0; self.c]];
            let mean = &mean[groups.clone()];
            sums::add_columns(&mut sum, rows.clone(), |row, c| dy[row * self.c..][..self.c][c] as f64);
            sums::add_columns(&mut dot, rows, |row, c| {
                let at = row * self.c;
                (dy[at..][..self.c][c] * (x[at..][..self.c][c] - mean[c])) as f64
            });
            for (c, group) in groups.enumerate() {
                (sums[group], dots[group]) = (sum[c] as f32, (dot[c] * inv[group] as f64) as f32);
            }
        }
    }

    /// Whether the kernels on whole vec4s may be used.
    pub fn whole_quads(self, gpu: &Gpu) -> bool {
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
        (self.l / 4).div_ceil(tuning::quads(gpu, self.count() * self.groups()) as usize).max(1)
    }

    pub fn params(self, gpu: &Gpu, eps: f64, slope: f64) -> NormParams {
        // Not more chunks than the combining invocation may loop over.
        let most = MOST_CHUNKS / self.parts;
        let chunk = CHUNK.max(self.count().div_ceil(most).next_multiple_of(4)).min(self.count().max(1));
        NormParams {
            n: self.n as u32,
            c: self.c as u32,
            l: self.l as u32,
            chunk: chunk as u32,
            chunks: self.count().div_ceil(chunk).max(1) as u32,
            eps: eps as f32,
            runs: self.runs(gpu) as u32,
            slope: slope as f32,
            parts: self.parts as u32,
            keep: 0.0,
            mean_scale: 0.0,
            var_scale: 0.0,
        }
    }

    /// A statistics pass over all groups: by one workgroup a channel; by one invocation a channel; or in two kernels, a
    /// chunk of a group an invocation, then the chunks in order.
    fn statistics(self, gpu: &Gpu, pass: &Pass, params: &NormParams, y: GpuView) -> Result<()> {
        let kernel = |entry: &'static str| match pass.switch {
            (name, on) if !entry.contains(pass.unaffected) => {
                Kernel::new("batch_norm", entry).constant(name, f64::from(u8::from(on)))
            }
            _ => Kernel::new("batch_norm", entry),
        };
        let call = |kernel: Kernel, reads: &[&GpuBuffer], y: &GpuBuffer, workgroups: [u32; 3]| {
            let (params, label) = (bytemuck::bytes_of(params), pass.name);
            gpu.run(&KernelCall { kernel, reads, writes: &[y], params, workgroups, label })
        };
        let [workgroup, serial, partial, partial_quads, combine] = pass.entries;
        let all = self.count() * self.parts;
        // An invocation takes every 256th element, and no more than old drivers' loops allow.
        if tuning::channel_by_workgroup(gpu) && (1..=256 * 30_000).contains(&all) {
            return call(kernel(workgroup), pass.reads, y.buffer, grid(self.c as u64, 1));
        }
        let quads = self.whole_quads(gpu);
        if quads && self.c >= SERIAL_CHANNELS && (1..=MOST_SERIAL).contains(&all) {
            return call(kernel(serial), pass.reads, y.buffer, grid(self.c as u64, 8));
        }
        let parts = self.groups() as u64 * params.chunks as u64;
        let partials = gpu.alloc(parts * 8)?;
        let entry = if quads { partial_quads } else { partial };
        call(kernel(entry), pass.partial_reads, &partials, grid(parts, 64))?;
        let reads: Vec<&GpuBuffer> = std::iter::once(&partials).chain(pass.reads[1..].iter().copied()).collect();
        call(kernel(combine), &reads, y.buffer, grid(self.c as u64, 64))
    }
}

/// The kernels of a statistics pass and what they read.
struct Pass<'a> {
    name: &'static str,
    /// By a workgroup a channel, by an invocation a channel; partial sums of any elements, of vec4s; their combination.
    entries: [&'static str; 5],
    /// A constant of the kernels, 0 or 1, but of those in whose names this stands.
    switch: (&'static str, bool),
    unaffected: &'static str,
    reads: &'a [&'a GpuBuffer],
    partial_reads: &'a [&'a GpuBuffer],
}

fn check(x: &Shape, parts: usize) -> Result<(), String> {
    match x.rank() {
        0 | 1 => Err("expects [N, C, ...]".into()),
        _ if parts == 0 || !x[0].is_multiple_of(parts) => Err(format!("{} images are not {parts} equal parts", x[0])),
        _ => Ok(()),
    }
}

/// Twin of `NormParams` in `lib/batch_norm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct NormParams {
    n: u32,
    c: u32,
    l: u32,
    chunk: u32,
    chunks: u32,
    eps: f32,
    runs: u32,
    slope: f32,
    parts: u32,
    keep: f32,
    mean_scale: f32,
    var_scale: f32,
}

/// How running statistics move: keep·running + (1 − keep)·batch, the batch's variance times `correction`.
#[derive(Clone, Copy, Debug)]
struct Moving {
    keep: f64,
    correction: f64,
}

impl Moving {
    fn note(self, params: &mut NormParams) {
        let Moving { keep, correction } = self;
        params.keep = keep as f32;
        params.mean_scale = (1.0 - keep) as f32;
        params.var_scale = ((1.0 - keep) * correction) as f32;
    }
}

/// Running statistics and how they move: to keep·running + (1 − keep)·batch, the batch's variance times `correction`.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// `[C]`
    pub mean: &'a Tensor,
    /// `[C]`
    pub var: &'a Tensor,
    /// From 0 to 1.
    pub keep: f64,
    /// n / (n − 1) where the variance should be unbiased, else 1.
    pub correction: f64,
}

impl Running<'_> {
    fn moving(self) -> Moving {
        Moving { keep: self.keep, correction: self.correction }
    }

    pub(super) fn note(self, params: &mut NormParams) {
        self.moving().note(params);
    }
}

/// y [2·parts, C]: the means, then the (biased) variances, of each channel of each part of x [N, C, …]; with `moving` two
/// rows more: running mean and variance `[C]`, the second and third input, moved by each part in order.
#[derive(Clone, Copy, Debug)]
struct Moments {
    parts: usize,
    moving: Option<Moving>,
}

impl Moments {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape, self.parts);
        let count = T::of(s.count() as f64);
        for group in 0..s.groups() {
            let values = || s.group(group).flat_map(|run| &x[0].data[run]);
            let mut mean = T::of(0.0);
            values().for_each(|&v| mean += v);
            mean = mean / count;
            let mut var = T::of(0.0);
            values().for_each(|&v| var += (v - mean) * (v - mean));
            y[group] = mean;
            y[s.groups() + group] = var / count;
        }
        self.moved(s, x, y);
    }

    /// The running rows, from the others.
    fn moved<T: Real>(&self, s: Sizes, x: &[View<T>], y: &mut [T]) {
        let Some(Moving { keep, correction }) = self.moving else { return };
        let scales = [1.0 - keep, (1.0 - keep) * correction].map(T::of);
        let (moments, moved) = y.split_at_mut(2 * s.groups());
        for (i, moved) in moved.iter_mut().enumerate() {
            let (row, c) = (i / s.c, i % s.c);
            *moved = x[1 + row].data[c];
            for part in 0..s.parts {
                *moved = *moved * T::of(keep) + moments[row * s.groups() + part * s.c + c] * scales[row];
            }
        }
    }
}

impl Op for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "mean", "var"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        check(x[0], self.parts)?;
        let c = x[0][1];
        match (self.moving, &x[1..]) {
            (None, []) => Ok([2 * self.parts, c].into()),
            (Some(_), [mean, var]) if mean.dims() == [c] && var.dims() == [c] => Ok([2 * self.parts + 2, c].into()),
            _ => Err(format!("x has {c} channels; running mean and variance must be [{c}]")),
        }
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let (s, values) = (Sizes::of(x[0].shape, self.parts), x[0].data);
        let (means, vars) = y[..2 * s.groups()].split_at_mut(s.groups());
        if s.l == 1 {
            vectorized(
                #[inline(always)]
                || s.column_moments(values, means, vars),
            );
            return self.moved(s, x, y);
        }
        for_chunks([means, vars], 1, |group, [mean, var]| {
            let exact = sum_runs(s.l, s.group(group).map(|run| &values[run])) / s.count() as f64;
            mean[0] = exact as f32;
            // Σ(v − m)² for the rounded mean m exceeds the variance by (m − mean)².
            let shift = exact - exact as f32 as f64;
            var[0] = (vectorized(
                #[inline(always)]
                || sums::sum_of_squares(s.l, s.group(group).map(|run| &values[run]), exact as f32),
            ) / s.count() as f64
                - shift * shift)
                .max(0.0) as f32;
        });
        self.moved(s, x, y);
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape, self.parts);
        let mut params = s.params(gpu, 0.0, 1.0);
        if let Some(moving) = self.moving {
            moving.note(&mut params);
        }
        // Without running statistics something must stand in their place; it is not read.
        let running = |i: usize| x.get(i).map_or(x[0].buffer, |view| view.buffer);
        let pass = Pass {
            name: "moments",
            entries: [
                "moments_channel",
                "moments_serial",
                "moments_partial",
                "moments_partial_quads",
                "moments_combine",
            ],
            switch: ("moves", self.moving.is_some()),
            unaffected: "partial",
            reads: &[x[0].buffer, running(1), running(2)],
            partial_reads: &[x[0].buffer],
        };
        s.statistics(gpu, &pass, &params, y)
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        assert!(self.parts == 1 && self.moving.is_none(), "moments of parts are made only where nothing is recorded");
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

/// y = f(gamma·(x − mean)·(var + eps)^−½ + beta) per channel, where (mean, var) = `moments` are those *of x* (of each of
/// its parts) and f is a leaky relu with a slope from 0; slope 1 is none at all.
///
/// `moments` is handed in so that it need not be computed twice; it is no free input: the gradient by x goes through
/// the statistics, and none is given for `moments`. Only [`Tensor::batch_norm`] makes this op.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchNorm {
    pub eps: f64,
    pub slope: f64,
    pub parts: usize,
}

impl BatchNorm {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let s = Sizes::of(x[0].shape, self.parts);
        for group in 0..s.groups() {
            let (c, mean, var) = (group % s.c, x[1].data[group], x[1].data[s.groups() + group]);
            let inv = T::of(1.0) / (var + T::of(self.eps)).sqrt();
            for i in s.group(group).flatten() {
                let z = x[2].data[c] * ((x[0].data[i] - mean) * inv) + x[3].data[c];
                y[i] = if z > T::of(0.0) { z } else { T::of(self.slope) * z };
            }
        }
    }

    /// The gradient by x in ops that can be differentiated again.
    fn composed(&self, x: &Tensor, gamma: &Tensor, dy: &Tensor) -> [Tensor; 3] {
        let n = x.dim(0) / self.parts;
        let each = (0..self.parts).map(|part| match self.parts {
            1 => self.composed_part(x, gamma, dy),
            _ => self.composed_part(&x.narrow(0, part * n, n), gamma, &dy.narrow(0, part * n, n)),
        });
        let each: Vec<[Tensor; 3]> = each.collect();
        let sum = |i: usize| each.iter().map(|of| of[i].clone()).reduce(|a, b| a + b).expect("there is a part");
        let dx = match &each[..] {
            [[dx, ..]] => dx.clone(),
            _ => Tensor::concat(&each.iter().map(|of| &of[0]).collect::<Vec<_>>(), 0),
        };
        [dx, sum(1), sum(2)]
    }

    fn composed_part(&self, x: &Tensor, gamma: &Tensor, dy: &Tensor) -> [Tensor; 3] {
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
        check(x[0], self.parts)?;
        let (c, rows) = (x[0][1], 2 * self.parts);
        // What stands behind the moments does not matter.
        let moments = x[1].rank() == 2 && x[1][0] >= rows && x[1][1] == c;
        if !moments || x[2].dims() != [c] || x[3].dims() != [c] {
            return Err(format!("x has {c} channels; moments must be [{rows}, {c}], gamma and beta [{c}]"));
        }
        Ok(x[0].clone())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let s = Sizes::of(x[0].shape, self.parts);
        let scale = scales(s, x[1].data, Some(x[2].data), self.eps);
        s.for_planes(
            y,
            #[inline(always)]
            |group, c, place, y| {
                let (mean, scale, beta) = (x[1].data[group], scale[group], x[3].data[c]);
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
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let s = Sizes::of(x[0].shape, self.parts);
        let (kernel, row) = s.row_kernel(gpu, ["normalize", "normalize_quads"]);
        gpu.run(&KernelCall {
            kernel,
            reads: &[x[0].buffer, x[1].buffer, x[2].buffer, x[3].buffer],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&s.params(gpu, self.eps, self.slope)),
            workgroups: grid((s.parts * s.n * s.c * row) as u64, 64),
            label: "batch_norm",
        })
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let [x, moments, gamma, _] = x else { unreachable!("batch_norm has four inputs") };
        let BatchNorm { eps, mut slope, parts } = *self;
        let [dx, dgamma, dbeta] = if is_recording() {
            let dz = match slope {
                1.0 => dy.clone(),
                slope => Activation::LeakyRelu { slope }.gradient(y, dy),
            };
            self.composed(x, gamma, &dz).map(Some)
        } else {
            // On a GPU the two passes also take dy through the activation: the sign of y says which way it went.
            let apart = slope != 1.0 && !matches!(x.device(), Device::Gpu(_));
            let dy = &if apart { Activation::LeakyRelu { slope }.gradient(y, dy) } else { dy.clone() };
            if apart {
                slope = 1.0;
            }
            let y = if slope == 1.0 { dy } else { y }; // not looked at without an activation
            let whole = needs[0].then(|| batch_norm_whole::gradient(*self, [x, moments, gamma, dy, y])).flatten();
            let [sums, dx] = match whole {
                Some(both) => both.map(Some),
                None => {
                    let sums = apply(BatchNormSums { eps, slope, parts }, &[x, moments, dy, y]); // [2 or 2 + 2·parts, C]
                    let dx = || apply(BatchNormInput { eps, slope, parts }, &[x, moments, gamma, &sums, dy, y]);
                    let dx = needs[0].then(dx);
                    [Some(sums), dx]
                }
            };
            let row = |i: usize| sums.as_ref().map(|sums| sums.narrow(0, i, 1).reshape([x.dim(1)]));
            [dx, row(1).filter(|_| needs[2]), row(0).filter(|_| needs[3])]
        };
        vec![dx, None, dgamma, dbeta]
    }
}

/// gamma·(var + eps)^−½ of each group; gamma 1 if there is none.
fn scales(s: Sizes, moments: &[f32], gamma: Option<&[f32]>, eps: f64) -> Vec<f32> {
    let vars = moments[s.groups()..].iter().take(s.groups()).enumerate();
    let gamma = |group: usize| gamma.map_or(1.0, |gamma| gamma[group % s.c] as f64);
    vars.map(|(group, &var)| (gamma(group) / (var as f64 + eps).sqrt()) as f32).collect()
}

/// What the leaky relu of `slope` behind the normalisation lets through of dy, by the sign of its value y.
#[inline(always)]
fn through<T: Real>(slope: T, y: T, dy: T) -> T {
    if y > T::of(0.0) { dy } else { slope * dy }
}

/// Σ dz and Σ dz·x̂ of each channel, which are the gradients by beta and gamma, [2, C]; behind these, if x has several
/// parts, Σ dz of each, then Σ dz·x̂ of each. dz is dy through the leaky relu whose value is y. First order only.
#[derive(Clone, Copy, Debug)]
struct BatchNormSums {
    eps: f64,
    slope: f64,
    parts: usize,
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
            entries: ["sums_channel", "sums_serial", "sums_partial", "sums_partial_quads", "sums_combine"],
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
struct BatchNormInput {
    eps: f64,
    slope: f64,
    parts: usize,
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

/// The slope of a leaky relu that is computed along; 1 for another function, which follows by itself.
fn slope_of(f: Activation) -> f64 {
    match f {
        Activation::LeakyRelu { slope } if f.derivative_follows_from_value() => slope,
        _ => 1.0,
    }
}

/// Batch normalisation (Ioffe and Szegedy 2015). The channel axis is 1.
impl Tensor {
    /// Mean and biased variance of each channel of [N, C, …], as [2, C].
    #[track_caller]
    pub fn moments(&self) -> Tensor {
        apply(Moments { parts: 1, moving: None }, &[self])
    }

    /// The same for each of `parts` batches of equal size that lie one behind the other, as [2·parts, C]: means, then
    /// variances. A constant.
    #[track_caller]
    pub fn moments_of_parts(&self, parts: usize) -> Tensor {
        no_grad(|| apply(Moments { parts, moving: None }, &[self]))
    }

    /// [`Tensor::moments_of_parts`] and behind them, in two rows more, what becomes of running mean and variance `[C]`:
    /// keep·running + (1 − keep)·moments for each part in order, its variance times `correction`. In one pass.
    #[track_caller]
    pub fn moments_and_running(&self, parts: usize, running: [&Tensor; 2], keep: f64, correction: f64) -> Tensor {
        let op = Moments { parts, moving: Some(Moving { keep, correction }) };
        no_grad(|| apply(op, &[self, running[0], running[1]]))
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
        self.batch_norm_and_moments(1, None, [gamma, beta], eps, f)
    }

    /// The same for each of `parts` batches that lie one behind the other, with [`Tensor::moments_of_parts`] or, of running
    /// statistics, [`Tensor::moments_and_running`]: on a GPU in one pass, where that is faster.
    #[track_caller]
    pub fn batch_norm_and_moments(
        &self,
        parts: usize,
        running: Option<Running>,
        [gamma, beta]: [Option<&Tensor>; 2],
        eps: f64,
        f: Activation,
    ) -> (Tensor, Tensor) {
        if check(self.shape(), parts).is_ok() {
            let (gamma, beta) = (self.ones_or(gamma), self.zeros_or(beta));
            let norm = BatchNorm { eps, slope: slope_of(f), parts };
            if let Some([moments, y]) = batch_norm_whole::value(norm, self, [&gamma, &beta], running) {
                let y = y.made_by(norm, &[self, &moments, &gamma, &beta]);
                return (if norm.slope == 1.0 { f.of(&y) } else { y }, moments);
            }
        }
        let moments = match running {
            Some(Running { mean, var, keep, correction }) => {
                self.moments_and_running(parts, [mean, var], keep, correction)
            }
            None => self.moments_of_parts(parts),
        };
        (self.batch_norm_of_parts(parts, &moments, gamma, beta, eps, f), moments)
    }

    fn ones_or(&self, gamma: Option<&Tensor>) -> Tensor {
        gamma.cloned().unwrap_or_else(|| Tensor::full(self.device(), [self.dim(1)], 1.0))
    }

    fn zeros_or(&self, beta: Option<&Tensor>) -> Tensor {
        beta.cloned().unwrap_or_else(|| Tensor::zeros(self.device(), [self.dim(1)]))
    }

    /// The same for each of `parts` batches that lie one behind the other, by their moments, which must be those that
    /// [`Tensor::moments_of_parts`] gives (rows behind them are not looked at): the gradient goes through them.
    #[track_caller]
    pub fn batch_norm_of_parts(
        &self,
        parts: usize,
        moments: &Tensor,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        eps: f64,
        f: Activation,
    ) -> Tensor {
        let (gamma, beta) = (self.ones_or(gamma), self.zeros_or(beta));
        let slope = slope_of(f);
        let y = apply(BatchNorm { eps, slope, parts }, &[self, moments, &gamma, &beta]);
        if slope == 1.0 { f.of(&y) } else { y }
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

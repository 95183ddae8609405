//! Means and variances of every channel, and running statistics that follow them.

use super::sizes::{NormParams, Sizes};
use super::statistics::Pass;
use super::{channels, check};
use crate::cpu::parallel::for_chunks;
use crate::cpu::simd::vectorized;
use crate::cpu::sums;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::reduce::sum_runs;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, reference_loops};

/// How running statistics move: keep·running + (1 − keep)·batch, the batch's variance times `correction`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moving {
    pub keep: f64,
    pub correction: f64,
}

impl Moving {
    pub fn note(self, params: &mut NormParams) {
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
    pub(super) fn moving(self) -> Moving {
        Moving { keep: self.keep, correction: self.correction }
    }

    pub(super) fn note(self, params: &mut NormParams) {
        self.moving().note(params);
    }
}

/// y [2·parts, C]: the means, then the (biased) variances, of each channel of each part of x [N, C, …]; with `moving` two
/// rows more: running mean and variance `[C]`, the second and third input, moved by each part in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub parts: usize,
    pub moving: Option<Moving>,
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
            let exact_var = vectorized(
                #[inline(always)]
                || sums::sum_of_squares(s.l, s.group(group).map(|run| &values[run]), exact as f32),
            ) / s.count() as f64
                - shift * shift;
            // Not by `max`, which would take a NaN for 0.
            var[0] = if exact_var < 0.0 { 0.0 } else { exact_var as f32 };
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
            shader: "batch_norm_moments",
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

//! The value of a batch normalisation by its moments, and the choice between the fused gradient and the one in ops.

use super::gradient::{BatchNormInput, BatchNormSums};
use super::sizes::Sizes;
use super::{channels, check, whole};
use crate::error::Result;
use crate::gpu::{Gpu, KernelCall, grid};
use crate::ops::bias_activation::Activation;
use crate::shape::Shape;
use crate::tensor::{Device, GpuView, Op, Real, Tensor, View, apply, is_recording, reference_loops};

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
            let whole = needs[0].then(|| whole::gradient(*self, [x, moments, gamma, dy, y])).flatten();
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
pub(super) fn scales(s: Sizes, moments: &[f32], gamma: Option<&[f32]>, eps: f64) -> Vec<f32> {
    let vars = moments[s.groups()..].iter().take(s.groups()).enumerate();
    let gamma = |group: usize| gamma.map_or(1.0, |gamma| gamma[group % s.c] as f64);
    vars.map(|(group, &var)| (gamma(group) / (var as f64 + eps).sqrt()) as f32).collect()
}

//! Batch normalisation on a GPU where one workgroup is enough for a channel: statistics and value in one kernel call, sums and
//! gradient in another.

use super::moments::Running;
use super::sizes::{NormParams, Sizes};
use super::value::BatchNorm;
use crate::gpu::tuning;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, grid};
use crate::ops::results::results;
use crate::shape::Shape;
use crate::tensor::{Device, Tensor};

/// Elements of a channel that a workgroup normalises about as fast as a second call would: 32 vec4s an invocation.
const MOST: usize = 1 << 15;

impl Sizes {
    /// Whether x is normalised this way.
    pub fn whole(self, gpu: &Gpu) -> bool {
        let fits = (1..=MOST).contains(&(self.count() * self.parts)) && self.whole_quads(gpu);
        fits && tuning::channel_by_workgroup(gpu)
    }
}

/// The device, if it is a GPU on which x is normalised this way.
fn suits(x: &Tensor, s: Sizes) -> Option<&Gpu> {
    match x.device() {
        Device::Gpu(gpu) => s.whole(gpu).then_some(gpu),
        _ => None,
    }
}

/// One workgroup a channel, which writes two results.
fn run(
    name: &'static str,
    gpu: &Gpu,
    kernel: Kernel,
    reads: &[&Tensor],
    params: NormParams,
    shapes: [Shape; 2],
) -> [Tensor; 2] {
    let workgroups = grid(params.c.into(), 1);
    let params = bytemuck::bytes_of(&params);
    let run = |reads: &[&GpuBuffer], writes: [&GpuBuffer; 2]| {
        gpu.run(&KernelCall { kernel, reads, writes: &writes, params, workgroups, label: "batch_norm" })
    };
    results(name, gpu, reads, shapes, || 0.0, run)
}

/// The moments of x (and what becomes of `running`, in two rows more), and `norm` of x; none where x is not for this kernel.
pub(super) fn value(
    norm: BatchNorm,
    x: &Tensor,
    [gamma, beta]: [&Tensor; 2],
    running: Option<Running>,
) -> Option<[Tensor; 2]> {
    let s = Sizes::of(x.shape(), norm.parts);
    let gpu = suits(x, s)?;
    let mut params = s.params(gpu, norm.eps, norm.slope);
    // Without running statistics something must stand in their place; it is not read.
    let (mean, var, rows) = match running {
        Some(running) => {
            running.note(&mut params);
            (running.mean, running.var, 2 * s.parts + 2)
        }
        None => (gamma, gamma, 2 * s.parts),
    };
    let vectors = [gamma, beta, mean, var];
    // Shapes and devices that do not fit are told by the ops that this stands for.
    if vectors.iter().any(|v| v.shape().dims() != [s.c] || v.device() != x.device()) {
        return None;
    }
    let kernel = Kernel::new("batch_norm_whole", "value").constant("moves", f64::from(u8::from(running.is_some())));
    let shapes = [[rows, s.c].into(), x.shape().clone()];
    Some(run("batch_norm", gpu, kernel, &[x, gamma, beta, mean, var], params, shapes))
}

/// The sums of `batch_norm_sums` and the gradient by x; none where x is not for this kernel. y is looked at only where `norm` has
/// an activation.
pub(super) fn gradient(norm: BatchNorm, [x, moments, gamma, dy, y]: [&Tensor; 5]) -> Option<[Tensor; 2]> {
    let s = Sizes::of(x.shape(), norm.parts);
    let gpu = suits(x, s)?;
    let params = s.params(gpu, norm.eps, norm.slope);
    let activated = f64::from(u8::from(norm.slope != 1.0));
    let kernel = Kernel::new("batch_norm_whole", "gradient").constant("activated", activated);
    let rows = if s.parts == 1 { 2 } else { 2 + 2 * s.parts };
    let shapes = [[rows, s.c].into(), x.shape().clone()];
    Some(run("batch_norm_gradient", gpu, kernel, &[x, moments, gamma, dy, y], params, shapes))
}

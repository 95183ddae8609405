//! Batch normalisation on a GPU where one workgroup is enough for a channel: statistics and value in one kernel call, sums and
//! gradient in another.

use super::moments::Running;
use super::sizes::{NormParams, Sizes};
use super::value::BatchNorm;
use crate::error::{Error, Result};
use crate::gpu::tuning;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, grid};
use crate::shape::Shape;
use crate::tensor::{Device, Storage, Tensor, profile};

/// Elements of a channel that a workgroup normalises about as fast as a second call would: 32 vec4s an invocation.
const MOST: usize = 1 << 15;

/// The device, if it is a GPU on which x is normalised this way.
fn suits(x: &Tensor, s: Sizes) -> Option<&Gpu> {
    match x.device() {
        Device::Gpu(gpu) => {
            let fits = (1..=MOST).contains(&(s.count() * s.parts)) && s.whole_quads(gpu);
            (fits && tuning::channel_by_workgroup(gpu)).then_some(gpu)
        }
        _ => None,
    }
}

/// Two tensors that one kernel call writes, or why it failed in both.
fn both(name: &'static str, gpu: &Gpu, call: Call, shapes: [Shape; 2]) -> [Tensor; 2] {
    let device = Device::Gpu(gpu.clone());
    let compute = || {
        let mut reads = Vec::new();
        for x in call.reads {
            match x.storage() {
                Storage::Gpu(buffer) => reads.push(buffer),
                Storage::Failed(why) => return Err(why.to_string()),
                _ => return Err(format!("{name}: inputs on different devices")),
            }
        }
        run(gpu, &call, &reads, &shapes).map_err(|error| format!("{name}: {error}"))
    };
    let all: Vec<&Shape> = call.reads.iter().map(|x| x.shape()).chain(&shapes).collect();
    let storages = match profile::measured(name, &device, &all, || 0.0, compute) {
        Ok(buffers) => buffers.map(Storage::Gpu),
        Err(why) => [(); 2].map(|()| Storage::Failed(why.as_str().into())),
    };
    let [first, second] = storages;
    let [of_first, of_second] = shapes;
    [Tensor::leaf(&device, of_first, first), Tensor::leaf(&device, of_second, second)]
}

struct Call<'a> {
    kernel: Kernel,
    reads: &'a [&'a Tensor],
    params: NormParams,
    channels: usize,
}

fn run(gpu: &Gpu, call: &Call, reads: &[&GpuBuffer], shapes: &[Shape; 2]) -> Result<[GpuBuffer; 2], Error> {
    let [first, second] = shapes.each_ref().map(|shape| gpu.alloc(shape.len() as u64 * 4));
    let written = [first?, second?];
    gpu.run(&KernelCall {
        kernel: call.kernel.clone(),
        reads,
        writes: &[&written[0], &written[1]],
        params: bytemuck::bytes_of(&call.params),
        workgroups: grid(call.channels as u64, 1),
        label: "batch_norm",
    })?;
    Ok(written)
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
    let call = Call { kernel, reads: &[x, gamma, beta, mean, var], params, channels: s.c };
    Some(both("batch_norm", gpu, call, [[rows, s.c].into(), x.shape().clone()]))
}

/// The sums of `batch_norm_sums` and the gradient by x; none where x is not for this kernel. y is looked at only where `norm` has
/// an activation.
pub(super) fn gradient(norm: BatchNorm, [x, moments, gamma, dy, y]: [&Tensor; 5]) -> Option<[Tensor; 2]> {
    let s = Sizes::of(x.shape(), norm.parts);
    let gpu = suits(x, s)?;
    let params = s.params(gpu, norm.eps, norm.slope);
    let activated = f64::from(u8::from(norm.slope != 1.0));
    let kernel = Kernel::new("batch_norm_whole", "gradient").constant("activated", activated);
    let call = Call { kernel, reads: &[x, moments, gamma, dy, y], params, channels: s.c };
    let rows = if s.parts == 1 { 2 } else { 2 + 2 * s.parts };
    Some(both("batch_norm_gradient", gpu, call, [[rows, s.c].into(), x.shape().clone()]))
}

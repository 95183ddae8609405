//! Random tensors made on the device from a Philox stream, and dropout.

use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, grid};
use crate::rng::Stream;
use crate::shape::Shape;
use crate::tensor::{Device, Storage, Tensor, no_grad};

/// Twin of `Params` in `random.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    seed_low: u32,
    seed_high: u32,
    domain: u32,
    index_low: u32,
    index_high: u32,
    first: u32,
}

fn on_gpu(gpu: &Gpu, n: usize, stream: &Stream, entry: &'static str) -> Result<GpuBuffer> {
    let buffer = gpu.alloc(n as u64 * 4)?;
    let ([seed_low, seed_high], [domain, index_low, index_high]) = stream.identity();
    for piece in gpu.pieces(n).all() {
        let n = piece.len() as u32;
        let params = Params { n, seed_low, seed_high, domain, index_low, index_high, first: piece.start as u32 / 4 };
        gpu.run(&KernelCall {
            kernel: Kernel::new("random", entry),
            reads: &[],
            writes: &[&buffer.piece(&piece)],
            params: bytemuck::bytes_of(&params),
            workgroups: grid(piece.len().div_ceil(4) as u64, 64),
            label: entry,
        })?;
    }
    Ok(buffer)
}

fn make(
    device: &Device,
    shape: Shape,
    stream: &Stream,
    entry: &'static str,
    host: impl Fn(&mut Stream, usize) -> Vec<f32>,
) -> Tensor {
    let n = shape.len();
    match device {
        Device::Gpu(gpu) if n > 0 => {
            let storage = match on_gpu(gpu, n, stream, entry) {
                Ok(buffer) => Storage::Gpu(buffer),
                Err(error) => Storage::Failed(error.to_string().into()),
            };
            Tensor::leaf(device, shape, storage)
        }
        _ => Tensor::new(device, shape, &host(&mut stream.restarted(), n)),
    }
}

/// Random tensors. A stream is named, not used up: the same (seed, domain, index) gives the same numbers, always from
/// the stream's start.
impl Tensor {
    /// Uniform in [0, 1), multiples of 2⁻²⁴: the same bits on every device.
    pub fn uniform(device: &Device, shape: impl Into<Shape>, stream: &Stream) -> Tensor {
        make(device, shape.into(), stream, "uniform_numbers", |stream, n| stream.uniform_vec(n, 0.0, 1.0))
    }

    /// N(0, 1) by Box and Muller. The host devices round the same f64 numbers; a GPU's differ from them by at most 2e-6.
    pub fn normal(device: &Device, shape: impl Into<Shape>, stream: &Stream) -> Tensor {
        make(device, shape.into(), stream, "normal_numbers", |stream, n| stream.normal_vec(n))
    }

    /// 0 with probability p, else 1/(1 − p), independently: what dropout multiplies by. The same on every device.
    #[track_caller]
    pub fn dropout_mask(device: &Device, shape: impl Into<Shape>, p: f64, stream: &Stream) -> Tensor {
        assert!((0.0..1.0).contains(&p), "dropout_mask: probability {p} is not in [0, 1)");
        no_grad(|| {
            let uniform = Tensor::uniform(device, shape, stream);
            // Compared as f32 everywhere, so that the same elements are dropped.
            let dropped = Tensor::scalar(device, p as f32 as f64).gt(&uniform);
            dropped.affine(-1.0, 1.0) * (1.0 / (1.0 - p))
        })
    }

    /// These values under dropout with probability p: each is 0 or 1/(1 − p) times itself.
    #[track_caller]
    pub fn dropout(&self, p: f64, stream: &Stream) -> Tensor {
        self * Tensor::dropout_mask(self.device(), self.shape(), p, stream)
    }
}

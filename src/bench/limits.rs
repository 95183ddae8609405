//! A device's limits, measured: multiplications and additions in registers, a copy through memory, our own matrix product.

use super::clock::time;
use crate::cpu::parallel::{for_chunks, for_tasks};
use crate::cpu::vector::{Vector, with_vectors};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Kernel, KernelCall};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use std::hint::black_box;

/// What a device can do at best, in 10⁹ a second.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fused multiply-adds in registers, two operations each: GFLOP/s.
    pub fma: f64,
    /// Our own matrix product of 1024³: GFLOP/s.
    pub sgemm: f64,
    /// A copy of 128 MiB, bytes read and bytes written: GB/s.
    pub copy: f64,
}

/// Bytes that the copy moves, once read and once written.
const COPY_BYTES: usize = 128 << 20;

impl Limits {
    /// Measures a device.
    ///
    /// # Errors
    /// A device that failed, or the reference device, which is not made for speed.
    pub fn measure(device: &Device) -> Result<Limits> {
        let (fma, copy) = match device {
            Device::Cpu => (cpu_fma(device)?, cpu_copy(device)?),
            Device::Gpu(gpu) => (gpu_fma(device, gpu)?, gpu_copy(device, gpu)?),
            Device::Reference => return Err(Error::Usage("the reference device has no limits to measure".into())),
        };
        let n = 1024;
        let matrix = |i| Tensor::new(device, [n, n], &Stream::new(1, Domain::Test, i).normal_vec(n * n));
        let (a, b) = (matrix(0), matrix(1));
        let sgemm = 2.0 * (n as f64).powi(3) / time(device, || a.matmul(&b).check())?.best * 1e-9;
        // A product is faster than the loop where that was held up: the limit is never below what was reached.
        Ok(Limits { fma: fma.max(sgemm), sgemm, copy })
    }
}

/// Vectors that the loop keeps going: two a cycle with a latency of four or five need ten.
const CHAINS: usize = 12;
const CPU_TURNS: usize = 1 << 20;

fn cpu_fma(device: &Device) -> Result<f64> {
    with_vectors!(fma_of, [], (device))
}

fn fma_of<V: Vector<W>, const W: usize>(device: &Device) -> Result<f64> {
    let threads = rayon::current_num_threads();
    let timing = time(device, || {
        // SAFETY: `with_vectors` chose instructions that the processor has.
        for_tasks(threads, |_| _ = black_box(unsafe { chains::<V, W>() }));
        Ok(())
    })?;
    Ok((threads * CPU_TURNS * CHAINS * W * 2) as f64 / timing.best * 1e-9)
}

/// x ← x + x·factor, twelve vectors side by side. Both depend on x: so nothing can be computed once for all turns, and the sum may
/// overwrite x where instructions add to one of their inputs.
///
/// # Safety
/// The processor has V's instructions.
unsafe fn chains<V: Vector<W>, const W: usize>() -> [f32; W] {
    // SAFETY: as the caller's.
    unsafe {
        V::compiled(
            #[inline(always)]
            || {
                let factor = V::all(black_box(-1e-6));
                let mut x = [V::all(black_box(1.0)); CHAINS];
                for _ in 0..CPU_TURNS {
                    for x in &mut x {
                        *x = x.add_product(*x, factor);
                    }
                }
                let mut sum = x[0];
                for x in &x[1..] {
                    sum = sum.add(*x);
                }
                let mut sums = [0.0; W];
                sum.store(&mut sums);
                sums
            },
        )
    }
}

fn cpu_copy(device: &Device) -> Result<f64> {
    let from = vec![1.0f32; COPY_BYTES / 4];
    let mut to = vec![0.0f32; COPY_BYTES / 4];
    let piece = to.len().div_ceil(rayon::current_num_threads());
    let timing = time(device, || {
        for_chunks([&mut to[..]], piece, |i, [to]| to.copy_from_slice(&from[i * piece..][..to.len()]));
        black_box(&mut to);
        Ok(())
    })?;
    Ok(2.0 * COPY_BYTES as f64 / timing.best * 1e-9)
}

/// Twin of `Params` in `limits.wgsl`.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Params {
    turns: u32,
    factor: f32,
    term: f32,
}

/// Invocations, turns of each, and fused multiply-adds of 4 lanes a turn; as in `limits.wgsl`.
const INVOCATIONS: u32 = 1 << 14;
const GPU_TURNS: u32 = 256;
const GPU_CHAINS: u32 = 8 * 8;

fn gpu_fma(device: &Device, gpu: &Gpu) -> Result<f64> {
    let y = gpu.alloc(u64::from(INVOCATIONS) * 16)?;
    let params = Params { turns: GPU_TURNS, factor: 0.999, term: 1e-3 };
    let timing = time(device, || {
        gpu.run(&KernelCall {
            kernel: Kernel::new("limits", "fma_chains"),
            reads: &[],
            writes: &[&y],
            params: bytemuck::bytes_of(&params),
            workgroups: [INVOCATIONS / 64, 1, 1],
            label: "limits",
        })
    })?;
    Ok(f64::from(INVOCATIONS) * f64::from(GPU_TURNS * GPU_CHAINS * 4 * 2) / timing.best * 1e-9)
}

fn gpu_copy(device: &Device, gpu: &Gpu) -> Result<f64> {
    let bytes = (COPY_BYTES as u64).min(gpu.max_buffer_bytes());
    let (from, to) = (gpu.alloc(bytes)?, gpu.alloc(bytes)?);
    let timing = time(device, || gpu.copy(&from, &to, bytes))?;
    Ok(2.0 * bytes as f64 / timing.best * 1e-9)
}

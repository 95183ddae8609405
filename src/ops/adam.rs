//! Adam as one fused update of a parameter and its moments, in place where nothing else holds them.

use crate::cpu::CpuBuffer;
use crate::cpu::parallel::{PIECE, for_chunks};
use crate::cpu::simd::vectorized;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, MIN_BUFFER_BYTES, grid, tuning};
use crate::shape::Shape;
use crate::tensor::profile::measured;
use crate::tensor::{Device, Storage, Tensor, no_grad};
use std::sync::Arc;

/// The numbers of one step: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − step_size·m / (√v·v_scale + eps).
///
/// Keras: step_size = lr·√(1−β₂ᵗ)/(1−β₁ᵗ), v_scale = 1. PyTorch: step_size = lr/(1−β₁ᵗ), v_scale = 1/√(1−β₂ᵗ).
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// β₁
    pub beta1: f64,
    /// β₂
    pub beta2: f64,
    /// ε
    pub eps: f64,
    /// Learning rate with bias correction.
    pub step_size: f64,
    /// Bias correction of √v.
    pub v_scale: f64,
}

/// A step ready for a device: on a GPU its numbers are uploaded once for all parameters.
pub struct PreparedStep {
    step: AdamStep,
    scalars: Option<GpuBuffer>,
}

impl AdamStep {
    /// Makes the step ready for parameters on `device`.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn prepare(self, device: &Device) -> Result<PreparedStep> {
        let scalars = Scalars {
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            eps: self.eps as f32,
            step_size: self.step_size as f32,
            v_scale: self.v_scale as f32,
        };
        let scalars = match device {
            Device::Gpu(gpu) => Some(gpu.upload(bytemuck::bytes_of(&scalars))?),
            _ => None,
        };
        Ok(PreparedStep { step: self, scalars })
    }
}

/// The defining equations for one element.
macro_rules! update {
    ($real:ty, $s:expr, $p:expr, $g:expr, $m:expr, $v:expr) => {{
        let (beta1, beta2) = ($s.beta1 as $real, $s.beta2 as $real);
        *$m = beta1 * *$m + (1.0 - $s.beta1) as $real * $g;
        *$v = beta2 * *$v + (1.0 - $s.beta2) as $real * $g * $g;
        *$p -= $s.step_size as $real * *$m / ($v.sqrt() * $s.v_scale as $real + $s.eps as $real);
    }};
}

/// Updates one parameter `p` and its moments `m`, `v` (all of one shape) by the gradient `g`; returns the new p, m, v.
/// A tensor that something else still holds is copied first and stays as it was.
///
/// # Errors
/// What went wrong on the device, here or while `g` was computed.
pub fn adam_update(prepared: &PreparedStep, p: Tensor, g: &Tensor, m: Tensor, v: Tensor) -> Result<[Tensor; 3]> {
    let (device, shape) = (p.device().clone(), p.shape().clone());
    let all = [&shape; 7]; // p, g, m and v are read, p, m and v written
    measured("adam", &device, &all, || 0.0, || update(prepared, p, g, m, v))
}

fn update(prepared: &PreparedStep, p: Tensor, g: &Tensor, m: Tensor, v: Tensor) -> Result<[Tensor; 3]> {
    let (device, shape) = (p.device().clone(), p.shape().clone());
    assert!(g.shape() == &shape && m.shape() == &shape && v.shape() == &shape, "adam: shapes differ");
    let s = &prepared.step;
    let mut p = owned(p);
    let mut m = owned(m);
    let mut v = owned(v);
    match (&device, &mut p, g.storage(), &mut m, &mut v) {
        (Device::Reference, Storage::F64(p), Storage::F64(g), Storage::F64(m), Storage::F64(v)) => {
            let (p, m, v) = (Arc::make_mut(p), Arc::make_mut(m), Arc::make_mut(v));
            for (((p, &g), m), v) in p.iter_mut().zip(g.iter()).zip(m).zip(v) {
                update!(f64, s, p, g, m, v);
            }
        }
        (Device::Cpu, Storage::F32(p), Storage::F32(g), Storage::F32(m), Storage::F32(v)) => {
            let (p, m, v) = (sole(p), sole(m), sole(v));
            for_chunks([&mut p[..], m, v], PIECE, |i, [p, m, v]| {
                let g = &g[i * PIECE..];
                vectorized(
                    #[inline(always)]
                    || {
                        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                            update!(f32, s, p, g, m, v);
                        }
                    },
                );
            });
        }
        (Device::Gpu(gpu), Storage::Gpu(p), Storage::Gpu(g), Storage::Gpu(m), Storage::Gpu(v)) => {
            if !shape.is_empty() {
                run_kernel(gpu, prepared, [p, g, m, v], shape.len())?;
            }
        }
        (Device::Cpu, Storage::Planned(_), Storage::Planned(_), Storage::Planned(_), Storage::Planned(_)) => {}
        _ => {
            let why = [&p, g.storage(), &m, &v].into_iter().find_map(|storage| match storage {
                Storage::Failed(why) => Some(why.to_string()),
                _ => None,
            });
            return Err(Error::Gpu(why.unwrap_or_else(|| "adam: inputs on different devices".into())));
        }
    }
    Ok([p, m, v].map(|storage| Tensor::leaf(&device, shape.clone(), storage)))
}

/// A network's parameters, their moments and room for their gradients on a GPU, each kind in one buffer of which every
/// tensor is a part, so that one kernel call updates them all.
pub struct Arena {
    /// Parameters, first and second moments.
    kinds: [GpuBuffer; 3],
    gradients: GpuBuffer,
    /// Where each tensor begins, in bytes.
    starts: Vec<u64>,
    bytes: u64,
}

/// Takes each tensor's place out of one buffer; none if they do not fit into one binding.
fn places(gpu: &Gpu, tensors: &[[Tensor; 3]]) -> Option<(Vec<u64>, u64)> {
    let mut bytes = 0u64;
    let starts = tensors.iter().map(|[p, ..]| {
        let start = bytes;
        bytes = (start + p.len() as u64 * 4).next_multiple_of(MIN_BUFFER_BYTES);
        start
    });
    let starts = starts.collect();
    (bytes > 0 && bytes <= gpu.max_binding_bytes()).then_some((starts, bytes))
}

/// [`adam_update`] for a whole network: (p, m, v) and gradient of each parameter in order. On a GPU they are kept in an
/// [`Arena`], which is made when it is first needed and again when something else put other tensors in their places.
///
/// # Errors
/// As [`adam_update`].
pub fn adam_update_all(
    prepared: &PreparedStep,
    tensors: Vec<[Tensor; 3]>,
    gradients: &[Tensor],
    arena: &mut Option<Arena>,
) -> Result<Vec<[Tensor; 3]>> {
    let Some(Device::Gpu(gpu)) = tensors.first().map(|[p, ..]| p.device().clone()) else {
        let each = tensors.into_iter().zip(gradients);
        return each.map(|([p, m, v], g)| adam_update(prepared, p, g, m, v)).collect();
    };
    match places(&gpu, &tensors) {
        Some(places) if tensors.len() > 1 => {
            let shapes: Vec<Shape> = tensors.iter().map(|[p, ..]| p.shape().clone()).collect();
            let total: Shape = [shapes.iter().map(Shape::len).sum::<usize>()].into();
            let device = Device::Gpu(gpu.clone());
            let run = || update_arena(prepared, &gpu, tensors, gradients, arena, places);
            let updated = measured("adam", &device, &[&total; 7], || 0.0, run)?;
            let parts = updated.starts.iter().zip(shapes).map(|(&start, shape)| {
                let part = |kind: &GpuBuffer| kind.view(start, shape.len() as u64 * 4);
                let leaf = |kind| Tensor::leaf(&device, shape.clone(), Storage::Gpu(part(kind)));
                updated.kinds.each_ref().map(leaf)
            });
            Ok(parts.collect())
        }
        _ => {
            let each = tensors.into_iter().zip(gradients);
            each.map(|([p, m, v], g)| adam_update(prepared, p, g, m, v)).collect()
        }
    }
}

fn update_arena<'a>(
    prepared: &PreparedStep,
    gpu: &Gpu,
    tensors: Vec<[Tensor; 3]>,
    gradients: &[Tensor],
    arena: &'a mut Option<Arena>,
    (starts, bytes): (Vec<u64>, u64),
) -> Result<&'a Arena> {
    let failed = |storage: &Storage| match storage {
        Storage::Failed(why) => Error::Gpu(why.to_string()),
        _ => Error::Gpu("adam: inputs on different devices".into()),
    };
    let buffer = |t: &Tensor| match t.storage() {
        Storage::Gpu(buffer) => Ok(buffer.clone()),
        other => Err(failed(other)),
    };
    let gradients = gradients.iter().map(buffer).collect::<Result<Vec<_>>>()?;
    let mut old: Vec<[GpuBuffer; 3]> = Vec::new();
    for [p, m, v] in &tensors {
        old.push([buffer(p)?, buffer(m)?, buffer(v)?]);
    }
    let known = arena.take().filter(|arena| arena.starts == starts && arena.bytes == bytes);
    let in_place = known.as_ref().is_some_and(|arena| {
        old.iter().zip(&starts).all(|(of, &at)| of.iter().zip(&arena.kinds).all(|(b, whole)| b.is_part(whole, at)))
    });
    drop(tensors);
    let lens: Vec<u64> = old.iter().map(|[p, ..]| p.bytes()).collect();
    // What a graph or anybody else still holds stays as it was: then the values move to a new arena.
    let kept = match known {
        Some(arena) if in_place => {
            drop(old);
            match arena.kinds.iter().all(GpuBuffer::is_unique) {
                true => Ok(arena),
                false => Err(starts
                    .iter()
                    .zip(&lens)
                    .map(|(&at, &len)| arena.kinds.each_ref().map(|k| k.view(at, len)))
                    .collect()),
            }
        }
        _ => Err(old),
    };
    let ready = match kept {
        Ok(arena) => arena,
        Err(old) => {
            let made = || Ok::<_, Error>([gpu.alloc(bytes)?, gpu.alloc(bytes)?, gpu.alloc(bytes)?]);
            let (kinds, old): ([GpuBuffer; 3], Vec<[GpuBuffer; 3]>) = (made()?, old);
            for ((of, &at), &len) in old.iter().zip(&starts).zip(&lens) {
                for (from, whole) in of.iter().zip(&kinds) {
                    gpu.copy(from, &whole.view(at, len), len)?;
                }
            }
            Arena { kinds, gradients: gpu.alloc(bytes)?, starts, bytes }
        }
    };
    for ((g, &at), &len) in gradients.iter().zip(&ready.starts).zip(&lens) {
        gpu.copy(g, &ready.gradients.view(at, len), len)?;
    }
    let [p, m, v] = &ready.kinds;
    run_kernel(gpu, prepared, [p, &ready.gradients, m, v], (ready.bytes / 4) as usize)?;
    Ok(arena.insert(ready))
}

/// One kernel call for the first `n` elements of p, g, m and v.
fn run_kernel(gpu: &Gpu, prepared: &PreparedStep, [p, g, m, v]: [&GpuBuffer; 4], n: usize) -> Result<()> {
    let Some(scalars) = &prepared.scalars else {
        return Err(Error::Gpu("adam: the step was prepared for another device".into()));
    };
    let quads = tuning::quads(gpu, n);
    gpu.run(&KernelCall {
        kernel: Kernel::new("adam", "adam"),
        reads: &[g, scalars],
        writes: &[p, m, v],
        params: bytemuck::cast_slice(&[n as u32, quads]),
        workgroups: grid(n.div_ceil(4 * quads as usize) as u64, 64),
        label: "adam",
    })
}

/// Twin of `Scalars` in `adam.wgsl`: an input rather than parameters, for it changes at every step.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Scalars {
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
    step_size: f32,
    v_scale: f32,
}

/// The storage of `t` with nothing else holding it; a copy if something does.
fn owned(t: Tensor) -> Storage {
    let copy = |t: &Tensor| no_grad(|| t.affine(1.0, -0.0)).into_storage().unwrap_or(Storage::Failed("shared".into()));
    let (device, shape) = (t.device().clone(), t.shape().clone());
    match t.into_storage() {
        Err(shared) => copy(&shared),
        Ok(storage) => {
            let sole = match &storage {
                Storage::F64(values) => Arc::strong_count(values) == 1,
                Storage::F32(values) => Arc::strong_count(values) == 1,
                Storage::Gpu(buffer) => buffer.is_unique(),
                Storage::Planned(place) => Arc::strong_count(place) == 1,
                Storage::Failed(_) => true,
            };
            if sole { storage } else { copy(&Tensor::leaf(&device, shape, storage)) }
        }
    }
}

#[track_caller]
fn sole(values: &mut Arc<CpuBuffer>) -> &mut CpuBuffer {
    Arc::get_mut(values).expect("owned() left one holder")
}

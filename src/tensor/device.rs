//! The three devices and what holds values on each.

use crate::cpu::CpuBuffer;
use crate::gpu::{Gpu, GpuBuffer};
use std::fmt;
use std::sync::Arc;

/// Where a tensor's values are and its ops run.
#[derive(Clone)]
pub enum Device {
    /// f64, plain loops that read like the defining equations: what the others are judged by.
    Reference,
    /// f32, vectorised, all cores.
    Cpu,
    /// f32, WGSL kernels through wgpu.
    Gpu(Gpu),
}

impl Device {
    /// `reference`, `cpu` or `gpu`.
    pub fn name(&self) -> &'static str {
        match self {
            Device::Reference => "reference",
            Device::Cpu => "cpu",
            Device::Gpu(_) => "gpu",
        }
    }

    /// Waits until the work given to the device so far is done.
    ///
    /// # Errors
    /// A lost GPU device, or one that ran out of memory.
    pub fn wait(&self) -> crate::Result<()> {
        match self {
            Device::Gpu(gpu) => gpu.wait(),
            _ => Ok(()),
        }
    }

    pub(crate) fn store_f32(&self, values: &[f32]) -> Storage {
        match self {
            Device::Reference => Storage::F64(Arc::new(values.iter().map(|&v| v as f64).collect())),
            Device::Cpu => Storage::F32(Arc::new(values.to_vec().into())),
            Device::Gpu(gpu) => match gpu.upload(bytemuck::cast_slice(values)) {
                Ok(buffer) => Storage::Gpu(buffer),
                Err(error) => Storage::Failed(error.to_string().into()),
            },
        }
    }

    pub(crate) fn store_f64(&self, values: &[f64]) -> Storage {
        match self {
            Device::Reference => Storage::F64(Arc::new(values.to_vec())),
            _ => self.store_f32(&values.iter().map(|&v| v as f32).collect::<Vec<f32>>()),
        }
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        match (self, other) {
            (Device::Gpu(a), Device::Gpu(b)) => a.is_same(b),
            (a, b) => a.name() == b.name(),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What holds a tensor's values.
#[derive(Clone)]
pub enum Storage {
    /// Values of [`Device::Reference`].
    F64(Arc<Vec<f64>>),
    /// Values of [`Device::Cpu`].
    F32(Arc<CpuBuffer>),
    /// Values of [`Device::Gpu`].
    Gpu(GpuBuffer),
    /// The device failed while computing; the reason.
    Failed(Arc<str>),
}

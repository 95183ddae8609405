//! The three devices and what holds values on each.

use super::plan::{self, Place};
use crate::cpu::{CpuBuffer, NoMemory, try_zeros};
use crate::gpu::{Gpu, GpuBuffer, size_text};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
            Device::Reference => {
                self.store(values.len(), |to| to.iter_mut().zip(values).for_each(|(y, &x)| *y = x as f64))
            }
            Device::Cpu => self.store_on_cpu(values.len(), |to| to.copy_from_slice(values)),
            Device::Gpu(gpu) => match gpu.upload(bytemuck::cast_slice(values)) {
                Ok(buffer) => Storage::Gpu(buffer),
                Err(error) => Storage::Failed(error.to_string().into()),
            },
        }
    }

    /// `len` times the same value.
    pub(crate) fn store_full(&self, len: usize, value: f64) -> Storage {
        match self {
            Device::Reference => self.store(len, |to| to.fill(value)),
            Device::Cpu => self.store_on_cpu(len, |to| to.fill(value as f32)),
            Device::Gpu(_) => match try_zeros::<f32>(len) {
                None => self.no_memory(len * 4),
                Some(mut values) => {
                    values.fill(value as f32);
                    self.store_f32(&values)
                }
            },
        }
    }

    /// f64 values that `write` writes, or why there are none.
    pub(crate) fn store(&self, len: usize, write: impl FnOnce(&mut [f64])) -> Storage {
        let Some(mut values) = try_zeros(len) else { return self.no_memory(len.saturating_mul(8)) };
        write(&mut values);
        Storage::F64(Arc::new(values))
    }

    /// The same for f32 values on the CPU.
    pub(crate) fn store_on_cpu(&self, len: usize, write: impl FnOnce(&mut [f32])) -> Storage {
        if let Some(place) = plan::place(len) {
            return place;
        }
        let Some(mut values) = CpuBuffer::try_uninit(len) else { return self.no_memory(len.saturating_mul(4)) };
        match catch_unwind(AssertUnwindSafe(|| write(&mut values))) {
            Ok(()) => Storage::F32(Arc::new(values)),
            Err(why) => match why.downcast::<NoMemory>() {
                Ok(scratch) => self.no_memory(scratch.bytes),
                Err(other) => resume_unwind(other),
            },
        }
    }

    fn no_memory(&self, bytes: usize) -> Storage {
        let size = size_text(bytes as u64);
        Storage::Failed(format!("there is no memory for {size} more on {self}; take a smaller batch").into())
    }

    pub(crate) fn store_f64(&self, values: &[f64]) -> Storage {
        match self {
            Device::Reference => self.store(values.len(), |to| to.copy_from_slice(values)),
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
    /// A place without values, while [`plan`](super::plan::plan) finds what memory there would be.
    Planned(Arc<Place>),
    /// The device failed while computing; the reason.
    Failed(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_memory_that_is_not_there_is_a_failure_of_the_tensor() {
        let more_than_there_is = || drop(CpuBuffer::uninit(1 << 50));
        let Storage::Failed(why) = Device::Cpu.store_on_cpu(4, |_| more_than_there_is()) else { panic!("no failure") };
        assert_eq!(&*why, "there is no memory for 4194304.00 GiB more on cpu; take a smaller batch");
        let panics = catch_unwind(|| Device::Cpu.store_on_cpu(4, |_| panic!("another reason")));
        assert_eq!(panics.err().and_then(|why| why.downcast_ref::<&str>().copied()), Some("another reason"));
    }
}

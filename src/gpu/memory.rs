//! Where a device's buffers come from: the pool, new memory, or an error that says what to do.

use std::sync::atomic::Ordering;

use super::Gpu;
use super::buffer::{GpuBuffer, size_class};
use super::recorder::Recorder;
use crate::error::{Error, Result};

impl Gpu {
    /// The buffer with these parameter bytes.
    pub(super) fn params(&self, bytes: &[u8], recorder: &mut Recorder) -> Result<GpuBuffer> {
        if let Some(buffer) = recorder.bindings.params.get(bytes) {
            return Ok(buffer);
        }
        let buffer = self.alloc_for_host(bytes.len() as u64, recorder)?;
        recorder.write(self, &buffer, bytes)?;
        self.0.counters.params_uploaded.fetch_add(1, Ordering::Relaxed);
        recorder.bindings.params.insert(bytes.into(), buffer.clone());
        Ok(buffer)
    }

    /// A buffer that the host is about to write: rather one that no recorded work uses, which would have to be
    /// submitted first.
    pub(super) fn alloc_for_host(&self, bytes: u64, recorder: &mut Recorder) -> Result<GpuBuffer> {
        if let Some(buffer) = self.take_pooled(bytes, Some(recorder.batch()))? {
            return Ok(buffer);
        }
        if bytes > 64 << 10
            && let Some(buffer) = self.take_pooled(bytes, None)?
        {
            return Ok(buffer);
        }
        self.create(bytes, recorder)
    }

    /// The size that a buffer of `bytes` gets: one that can be bound whole, if `bytes` can.
    fn class(&self, bytes: u64) -> u64 {
        let limit = if bytes <= self.0.max_binding_bytes { self.0.max_binding_bytes } else { self.0.max_buffer_bytes };
        size_class(bytes, limit)
    }

    pub(super) fn take_pooled(&self, bytes: u64, idle_after: Option<u64>) -> Result<Option<GpuBuffer>> {
        if bytes > self.0.max_buffer_bytes {
            return Err(self.too_large(bytes));
        }
        let raw = self.0.pool.take(self.class(bytes), idle_after);
        Ok(raw.map(|raw| GpuBuffer::new(raw, bytes, &self.0.pool)))
    }

    /// A new buffer. If memory is out, gives back what the pool holds and tries again.
    pub(super) fn create(&self, bytes: u64, recorder: &mut Recorder) -> Result<GpuBuffer> {
        let class = self.class(bytes);
        recorder.bindings.forget(&self.0.pool.trim_for(class));
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut made = self.create_wgpu(class, usage, "toile buffer");
        if made.is_err() {
            self.wait_with(recorder)?;
            recorder.bindings.forget(&self.0.pool.trim_to(0));
            // Freed memory is collected by the next poll.
            self.poll(wgpu::PollType::wait_indefinitely())?;
            made = self.create_wgpu(class, usage, "toile buffer");
        }
        let buffer = made.map_err(Error::Gpu)?;
        self.0.counters.buffers_created.fetch_add(1, Ordering::Relaxed);
        Ok(GpuBuffer::new(self.0.pool.adopt(buffer), bytes, &self.0.pool))
    }

    pub(super) fn create_wgpu(
        &self,
        size: u64,
        usage: wgpu::BufferUsages,
        label: &str,
    ) -> Result<wgpu::Buffer, String> {
        let (buffer, error) = self.scoped(|| {
            self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        });
        match error {
            None => Ok(buffer),
            Some(error) => Err(format!(
                "{} has no memory for {} more ({} are in use): {error}; take a smaller batch or --device \
                 cpu",
                self.0.report.name,
                size_text(size),
                size_text(self.0.pool.usage().live)
            )),
        }
    }

    pub(super) fn too_large(&self, bytes: u64) -> Error {
        Error::Gpu(format!(
            "a buffer of {} is too large for {}, which takes {} at most; take a smaller batch or \
             --device cpu",
            size_text(bytes),
            self.0.report.name,
            size_text(self.0.max_buffer_bytes)
        ))
    }

    pub(super) fn too_large_to_bind(&self, label: &str, bytes: u64) -> Error {
        Error::Gpu(format!(
            "{label}: a buffer of {} is too large for one kernel on {}, which sees {} at a time; take a smaller batch \
             or --device cpu",
            size_text(bytes),
            self.0.report.name,
            size_text(self.max_binding_bytes())
        ))
    }

    pub(super) fn wait_with(&self, recorder: &mut Recorder) -> Result<()> {
        recorder.submit(self)?;
        self.poll(wgpu::PollType::wait_indefinitely())?;
        recorder.clear_in_flight();
        Ok(())
    }
}

/// Bytes for people.
pub(crate) fn size_text(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x100000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x100000..0x40000000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

//! Bytes between the host and buffers, and from buffer to buffer.

use super::buffer::size_class;
use super::{Gpu, GpuBuffer, Readback};
use crate::error::{Error, Result};

impl Gpu {
    /// A buffer with these bytes. What it holds beyond them is undefined.
    pub fn upload(&self, bytes: &[u8]) -> Result<GpuBuffer> {
        self.check()?;
        let recorder = &mut self.lock();
        let buffer = match self.0.options.guarded {
            true => self.alloc_guarded(bytes.len() as u64, recorder)?,
            false => self.alloc_for_host(bytes.len() as u64, recorder)?,
        };
        recorder.write(self, &buffer, bytes)?;
        Ok(buffer)
    }

    /// Writes bytes to the start of an existing buffer, after all calls made so far.
    ///
    /// # Panics
    ///
    /// If there are more bytes than the buffer has.
    #[track_caller]
    pub fn write(&self, buffer: &GpuBuffer, bytes: &[u8]) -> Result<()> {
        assert!(bytes.len() as u64 <= buffer.bytes(), "write: {} bytes into {buffer:?}", bytes.len());
        assert!(buffer.is_from(&self.0.pool), "write: {buffer:?} is of another device");
        self.check()?;
        self.lock().write(self, buffer, bytes)
    }

    /// Copies the first `bytes` (rounded up to a multiple of 4) of one buffer to the start of another.
    ///
    /// # Panics
    ///
    /// If one of them is smaller, or both share memory.
    #[track_caller]
    pub fn copy(&self, from: &GpuBuffer, to: &GpuBuffer, bytes: u64) -> Result<()> {
        let fits = bytes <= from.bytes() && bytes <= to.bytes();
        assert!(fits && from.id() != to.id(), "copy: {bytes} bytes from {from:?} to {to:?}");
        assert!(from.is_from(&self.0.pool) && to.is_from(&self.0.pool), "copy: a buffer is of another device");
        self.check()?;
        let recorder = &mut self.lock();
        from.mark_used(recorder.batch());
        to.mark_used(recorder.batch());
        let bytes = bytes.next_multiple_of(4);
        recorder.copy(self, (from.wgpu(), from.offset()), (to.wgpu(), to.offset()), bytes)
    }

    /// The first `bytes` of a buffer, after all calls made so far. Waits for the device.
    ///
    /// # Panics
    ///
    /// If the buffer is smaller.
    #[track_caller]
    pub fn read(&self, buffer: &GpuBuffer, bytes: u64) -> Result<Vec<u8>> {
        self.read_later(buffer, bytes)?.wait()
    }

    /// Submits a copy of the first `bytes` of a buffer to the host, to be waited for later.
    ///
    /// # Panics
    ///
    /// If the buffer is smaller.
    #[track_caller]
    pub fn read_later(&self, buffer: &GpuBuffer, bytes: u64) -> Result<Readback> {
        assert!(bytes <= buffer.bytes(), "read: {bytes} bytes of {buffer:?}");
        assert!(buffer.is_from(&self.0.pool), "read: {buffer:?} is of another device");
        self.check()?;
        let class = size_class(bytes, self.0.max_buffer_bytes);
        let staging = match self.0.staging.take(class) {
            Some(staging) => staging,
            None => {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.create_wgpu(class, usage, "toile staging").map_err(Error::Gpu)?
            }
        };
        let recorder = &mut self.lock();
        buffer.mark_used(recorder.batch());
        let copied = bytes.max(1).next_multiple_of(4);
        recorder.copy(self, (buffer.wgpu(), buffer.offset()), (&staging, 0), copied)?;
        recorder.submit(self)?;
        let submission = recorder.last_submission();
        let submission =
            submission.ok_or_else(|| Error::Gpu("reading from the device: nothing was submitted".into()))?;
        Ok(Readback::new(self.clone(), staging, bytes, submission))
    }
}

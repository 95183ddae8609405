//! How long each kernel call takes on the device, by timestamps around it.

use std::sync::Arc;
use std::sync::mpsc;

use super::Gpu;
use crate::error::{Error, Result};

/// One kernel call, timed by the device.
#[derive(Clone, Debug)]
pub struct KernelTime {
    /// Shader, entry point and constants.
    pub kernel: Arc<str>,
    /// Seconds from its start to its end.
    pub seconds: f64,
}

/// Timestamps in one query set: a start and an end for each call.
const QUERIES: u32 = 4096;

/// The calls timed so far.
#[derive(Default)]
pub(super) struct Timing {
    sets: Vec<wgpu::QuerySet>,
    kernels: Vec<Arc<str>>,
}

impl Timing {
    /// Where the next call's pass writes its timestamps.
    pub fn next(&mut self, gpu: &Gpu, kernel: &Arc<str>) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = (2 * self.kernels.len()) as u32 % QUERIES;
        if first == 0 {
            self.sets.push(gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("toile timing"),
                ty: wgpu::QueryType::Timestamp,
                count: QUERIES,
            }));
        }
        self.kernels.push(kernel.clone());
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[self.sets.len() - 1],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }
}

impl Gpu {
    /// Whether [`Gpu::start_timing`] works: the adapter has timestamps.
    pub fn has_timestamps(&self) -> bool {
        !self.options().minimal && self.report().features.contains(&"timestamp-query")
    }

    /// From now on every call stands in a pass of its own between two timestamps, until [`Gpu::stop_timing`]. Slower.
    ///
    /// # Errors
    /// An adapter without timestamps, or trouble that the device reported.
    pub fn start_timing(&self) -> Result<()> {
        if !self.has_timestamps() {
            return Err(Error::Gpu(format!("{} offers no timestamps", self.report().name)));
        }
        self.wait()?;
        self.lock().timing = Some(Timing::default());
        Ok(())
    }

    /// Waits for the calls since [`Gpu::start_timing`] and returns their times, in order.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn stop_timing(&self) -> Result<Vec<KernelTime>> {
        self.wait()?;
        let Some(timing) = self.lock().timing.take() else { return Ok(Vec::new()) };
        let mut ticks: Vec<u64> = Vec::new();
        for set in &timing.sets {
            ticks.extend(self.resolve(set)?);
        }
        let period = f64::from(self.queue().get_timestamp_period()) * 1e-9;
        let pairs = ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period);
        Ok(timing.kernels.into_iter().zip(pairs).map(|(kernel, seconds)| KernelTime { kernel, seconds }).collect())
    }

    /// The numbers in a query set; those never written are anything.
    fn resolve(&self, set: &wgpu::QuerySet) -> Result<Vec<u64>> {
        let bytes = u64::from(QUERIES) * 8;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.create_wgpu(bytes, usage, "toile timestamps").map_err(Error::Gpu)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.create_wgpu(bytes, usage, "toile timestamps").map_err(Error::Gpu)?;
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        encoder.resolve_query_set(set, 0..QUERIES, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
        self.queue().submit([encoder.finish()]);
        let (send, done) = mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            let _ = send.send(result.is_ok());
        });
        self.poll(wgpu::PollType::wait_indefinitely())?;
        let failed = |why: &str| Error::Gpu(format!("reading timestamps failed: {why}"));
        if !done.recv().unwrap_or(false) {
            return Err(failed("the buffer was not mapped"));
        }
        let view = staging.slice(..).get_mapped_range().map_err(|e| failed(&e.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&view[..]))
    }
}

//! Records dispatches and copies into one open encoder and pass, and submits them in batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Gpu;
use super::bind::Bindings;
use super::buffer::GpuBuffer;
use super::pipeline::Pipeline;
use super::timing::Timing;
use crate::error::Result;

/// The most dispatches in one submission.
const BATCH: u32 = 64;

/// The most submissions the device may be behind. A software adapter gains nothing from more, and memory that the host
/// hands out again stays bounded.
const IN_FLIGHT: usize = 2;

/// Host writes wait in staging memory for the next submission; this many bytes or writes make one.
const PENDING_WRITE_BYTES: u64 = 32 << 20;
const PENDING_WRITES: u32 = 64;

/// A call that is recorded but not yet in the encoder.
struct Deferred {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// The work not yet submitted, and what recording needs. One per device, behind a lock.
pub(super) struct Recorder {
    // The pass borrows the encoder in secret (`forget_lifetime`) and so is declared, and dropped, first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    /// The number of the batch being recorded, from 1. A buffer whose last batch has this number is used by work that
    /// is not submitted yet, so the host must submit before it writes to it.
    batch: u64,
    recorded: u32,
    /// Calls that wait for their kernels to be compiled, and those behind them.
    deferred: Vec<Deferred>,
    batch_limit: u32,
    pending_write_bytes: u64,
    pending_writes: u32,
    in_flight: VecDeque<(wgpu::SubmissionIndex, Instant)>,
    /// Cached bind groups and parameter buffers.
    pub bindings: Bindings,
    last_label: String,
    /// While calls are timed: see [`Gpu::start_timing`].
    pub timing: Option<Timing>,
}

impl Recorder {
    pub fn new() -> Recorder {
        Recorder {
            pass: None,
            encoder: None,
            batch: 1,
            recorded: 0,
            deferred: Vec::new(),
            batch_limit: BATCH,
            pending_write_bytes: 0,
            pending_writes: 0,
            in_flight: VecDeque::new(),
            bindings: Bindings::default(),
            last_label: String::new(),
            timing: None,
        }
    }

    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// The label of the dispatch recorded last.
    pub fn last_label(&self) -> &str {
        &self.last_label
    }

    fn encoder(&mut self, gpu: &Gpu) -> &mut wgpu::CommandEncoder {
        self.encoder.get_or_insert_with(|| {
            gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("toile batch") })
        })
    }

    /// Records one dispatch, and submits the batch if it is full.
    pub fn dispatch(
        &mut self,
        gpu: &Gpu,
        pipeline: &Arc<Pipeline>,
        bind_group: wgpu::BindGroup,
        workgroups: [u32; 3],
        label: &str,
    ) -> Result<()> {
        match pipeline.ready() {
            Some(ready) if self.deferred.is_empty() => self.encode(gpu, &pipeline.name, ready, &bind_group, workgroups),
            _ => self.deferred.push(Deferred { pipeline: pipeline.clone(), bind_group, workgroups }),
        }
        self.last_label.clear();
        self.last_label.push_str(label);
        self.recorded += 1;
        gpu.count_dispatch();
        if self.recorded >= self.batch_limit { self.submit(gpu) } else { Ok(()) }
    }

    fn encode(
        &mut self,
        gpu: &Gpu,
        name: &Arc<str>,
        pipeline: &wgpu::ComputePipeline,
        bind_group: &wgpu::BindGroup,
        workgroups: [u32; 3],
    ) {
        if self.pass.is_none() || self.timing.is_some() {
            self.pass = None;
            self.encoder(gpu);
            let timestamp_writes = self.timing.as_mut().map(|timing| timing.next(gpu, name));
            let descriptor = wgpu::ComputePassDescriptor { label: Some("toile pass"), timestamp_writes };
            self.pass = self.encoder.as_mut().map(|e| e.begin_compute_pass(&descriptor).forget_lifetime());
        }
        if let Some(pass) = &mut self.pass {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bind_group, &[]);
            pass.dispatch_workgroups(workgroups[0], workgroups[1], workgroups[2]);
        }
    }

    /// Waits for the kernels of deferred calls. A failure spoils what comes after: the device tells it again and again.
    fn encode_deferred(&mut self, gpu: &Gpu) -> Result<()> {
        for Deferred { pipeline, bind_group, workgroups } in std::mem::take(&mut self.deferred) {
            let ready = pipeline.wait(gpu).inspect_err(|error| gpu.spoil(error))?;
            self.encode(gpu, &pipeline.name, &ready, &bind_group, workgroups);
        }
        Ok(())
    }

    /// Records a copy between buffers. `bytes` and offsets are multiples of 4.
    pub fn copy(&mut self, gpu: &Gpu, from: (&wgpu::Buffer, u64), to: (&wgpu::Buffer, u64), bytes: u64) -> Result<()> {
        self.encode_deferred(gpu)?;
        self.pass = None;
        self.encoder(gpu).copy_buffer_to_buffer(from.0, from.1, to.0, to.1, bytes);
        Ok(())
    }

    /// Writes host bytes to the start of a buffer, after everything recorded so far.
    pub fn write(&mut self, gpu: &Gpu, buffer: &GpuBuffer, bytes: &[u8]) -> Result<()> {
        // Queued writes run before the whole next submission. What is recorded and uses this memory must not be in it.
        if buffer.is_used_in(self.batch) {
            self.submit(gpu)?;
        }
        let (head, tail) = bytes.split_at(bytes.len() / 4 * 4);
        if !head.is_empty() {
            gpu.queue().write_buffer(buffer.wgpu(), buffer.offset(), head);
        }
        if !tail.is_empty() {
            let mut last = [0; 4];
            last[..tail.len()].copy_from_slice(tail);
            gpu.queue().write_buffer(buffer.wgpu(), buffer.offset() + head.len() as u64, &last);
        }
        self.pending_write_bytes += bytes.len() as u64;
        self.pending_writes += 1;
        if self.pending_write_bytes >= PENDING_WRITE_BYTES || self.pending_writes >= PENDING_WRITES {
            self.submit(gpu)?;
        }
        Ok(())
    }

    /// Submits what is recorded or written. Waits while the device is too far behind.
    pub fn submit(&mut self, gpu: &Gpu) -> Result<()> {
        self.encode_deferred(gpu)?;
        self.pass = None;
        let commands = self.encoder.take().map(wgpu::CommandEncoder::finish);
        if commands.is_none() && self.pending_writes == 0 {
            return Ok(());
        }
        let submission = gpu.queue().submit(commands);
        gpu.count_submit();
        self.batch += 1;
        self.recorded = 0;
        self.pending_write_bytes = 0;
        self.pending_writes = 0;
        self.in_flight.push_back((submission, Instant::now()));
        while self.in_flight.len() > IN_FLIGHT
            && let Some((oldest, since)) = self.in_flight.pop_front()
        {
            gpu.poll(wgpu::PollType::Wait { submission_index: Some(oldest), timeout: None })?;
            self.adapt(since.elapsed());
        }
        Ok(())
    }

    /// Operating systems take a device away from a program whose submission runs for seconds: slow work goes out in
    /// smaller batches. The numbers do not depend on it.
    fn adapt(&mut self, taken: Duration) {
        if taken > Duration::from_millis(1500) {
            self.batch_limit = (self.batch_limit / 2).max(4);
        } else if taken < Duration::from_millis(300) {
            self.batch_limit = (self.batch_limit * 2).min(BATCH);
        }
    }

    /// The submission made last, if it may still be running.
    pub fn last_submission(&self) -> Option<wgpu::SubmissionIndex> {
        self.in_flight.back().map(|(submission, _)| submission.clone())
    }

    /// After a wait for everything: nothing is in flight.
    pub fn clear_in_flight(&mut self) {
        self.in_flight.clear();
    }
}

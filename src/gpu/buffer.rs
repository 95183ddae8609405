//! Buffers: the size-class pool, handles that give their memory back when dropped, and readback.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::Gpu;
use super::guard::Guards;
use crate::error::{Error, Result};

/// The smallest buffer, in bytes: also the offset alignment that WebGPU guarantees to suffice.
pub const MIN_BUFFER_BYTES: u64 = 256;

/// Memory on the device. Cloning shares it; when the last handle is dropped it returns to the pool at once, although
/// the device may still be working on it: everything that later gets the same memory is queued behind that work.
#[derive(Clone)]
pub struct GpuBuffer(Arc<View>);

/// A range of one allocation.
struct View {
    allocation: Arc<Allocation>,
    offset: u64,
    bytes: u64,
    whole: bool,
    /// Bytes of the guard behind, which kernels are bound to as well.
    guard: u64,
}

/// A pool buffer on loan.
pub(super) struct Allocation {
    raw: Option<Raw>,
    pool: Arc<Pool>,
    /// With guards around it, the bytes between them.
    guarded: Option<u64>,
}

impl Allocation {
    pub fn raw(&self) -> Option<&Raw> {
        self.raw.as_ref()
    }

    pub fn guarded(&self) -> Option<u64> {
        self.guarded
    }
}

/// One wgpu buffer. Its id never changes and is never given to another.
pub(super) struct Raw {
    buffer: wgpu::Buffer,
    id: u64,
    size: u64,
    /// The number of the last recorded batch that uses the buffer; see [`super::recorder::Recorder::batch`].
    last_batch: AtomicU64,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        match (self.raw.take(), self.guarded) {
            (Some(raw), None) => self.pool.give_back(raw),
            (Some(raw), Some(bytes)) => self.pool.guards.give_back(raw, bytes),
            (None, _) => {}
        }
    }
}

impl Raw {
    pub fn wgpu(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    pub fn mark_used(&self, batch: u64) {
        self.last_batch.store(batch, Ordering::Relaxed);
    }
}

impl GpuBuffer {
    /// The handle to a pool buffer of which `bytes` are in use.
    pub(super) fn new(raw: Raw, bytes: u64, pool: &Arc<Pool>) -> GpuBuffer {
        let allocation = Arc::new(Allocation { raw: Some(raw), pool: pool.clone(), guarded: None });
        GpuBuffer(Arc::new(View { allocation, offset: 0, bytes, whole: true, guard: 0 }))
    }

    /// This new buffer as one of `bytes` between two guards, and its allocation.
    pub(super) fn into_guarded(self, guard: u64, bytes: u64) -> (GpuBuffer, Arc<Allocation>) {
        let taken = Arc::into_inner(self.0).and_then(|view| Arc::into_inner(view.allocation));
        let mut allocation = taken.expect("nothing else holds a new buffer");
        allocation.guarded = Some(bytes);
        let allocation = Arc::new(allocation);
        let view = View { allocation: allocation.clone(), offset: guard, bytes, whole: false, guard };
        (GpuBuffer(Arc::new(view)), allocation)
    }

    /// The number of the allocation: equal for two handles exactly if they share memory. It stays the same while the
    /// memory is in the pool.
    pub fn id(&self) -> u64 {
        self.raw().id
    }

    /// How many bytes were asked for. The allocation behind may be larger (so `arrayLength` in a kernel is too).
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Whether this is the only handle to its memory, so that an operation may overwrite it.
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && Arc::strong_count(&self.0.allocation) == 1
    }

    /// A handle to a part of this buffer, for several tensors in one allocation. A kernel call must not read one part
    /// of an allocation and write another.
    ///
    /// # Panics
    ///
    /// If `offset` is no multiple of 256 or the range reaches past the end.
    #[track_caller]
    pub fn view(&self, offset: u64, bytes: u64) -> GpuBuffer {
        assert!(offset.is_multiple_of(MIN_BUFFER_BYTES), "view: offset {offset} is no multiple of {MIN_BUFFER_BYTES}");
        assert!(offset + bytes <= self.0.bytes, "view: {offset} + {bytes} is past the end of {} bytes", self.0.bytes);
        let allocation = self.0.allocation.clone();
        GpuBuffer(Arc::new(View { allocation, offset: self.0.offset + offset, bytes, whole: false, guard: 0 }))
    }

    /// Whether this is the part of `whole` that begins `offset` bytes into it.
    pub fn is_part(&self, whole: &GpuBuffer, offset: u64) -> bool {
        self.id() == whole.id() && self.0.offset == whole.0.offset + offset
    }

    fn raw(&self) -> &Raw {
        self.0.allocation.raw.as_ref().expect("an allocation holds its buffer until it is dropped")
    }

    pub(super) fn wgpu(&self) -> &wgpu::Buffer {
        &self.raw().buffer
    }

    pub(super) fn offset(&self) -> u64 {
        self.0.offset
    }

    /// Whether the buffer is from this pool, that is, of this device.
    pub(super) fn is_from(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.0.allocation.pool, pool)
    }

    /// The bound range: all of the allocation, or for a part (and if `exact`) its own bytes, rounded up to 16 for
    /// kernels that read vectors.
    pub(super) fn binding(&self, exact: bool) -> wgpu::BufferBinding<'_> {
        let size = match self.binding_size(exact) {
            0 => None,
            size => wgpu::BufferSize::new(size),
        };
        wgpu::BufferBinding { buffer: &self.raw().buffer, offset: self.0.offset, size }
    }

    fn binding_size(&self, exact: bool) -> u64 {
        if self.0.whole && !exact {
            return 0;
        }
        let guard = if exact { 0 } else { self.0.guard };
        (self.0.bytes.next_multiple_of(16).max(16) + guard).min(self.raw().size - self.0.offset)
    }

    /// Appends what tells this binding from all others.
    pub(super) fn push_key(&self, exact: bool, key: &mut Vec<u64>) {
        match self.binding_size(exact) {
            0 => key.push(self.raw().id << 1),
            size => key.extend([self.raw().id << 1 | 1, self.0.offset, size]),
        }
    }

    pub(super) fn mark_used(&self, batch: u64) {
        self.raw().mark_used(batch);
    }

    pub(super) fn is_used_in(&self, batch: u64) -> bool {
        self.raw().last_batch.load(Ordering::Relaxed) == batch
    }
}

impl std::fmt::Debug for GpuBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuBuffer #{} ({} bytes)", self.id(), self.bytes())
    }
}

/// The size that a buffer of `bytes` gets: 256, 384, 512, 768, 1024 …, powers of two and one and a half times them,
/// or the exact size if the next step is over the device's limit.
pub(super) fn size_class(bytes: u64, limit: u64) -> u64 {
    let power = bytes.max(MIN_BUFFER_BYTES).next_power_of_two();
    let step = power / 4 * 3;
    let class = if bytes <= step && step > MIN_BUFFER_BYTES { step } else { power };
    if class <= limit { class } else { bytes.next_multiple_of(MIN_BUFFER_BYTES).min(limit) }
}

/// Free buffers by size class, and how much memory is where.
pub(super) struct Pool {
    state: Mutex<PoolState>,
    next_id: AtomicU64,
    guards: Guards,
}

#[derive(Default)]
struct PoolState {
    /// Size class, then id, then when it was given back. Taking the lowest id first makes the same step take the same
    /// buffers every time, whatever order the step before gave them back in; so bind groups repeat.
    free: BTreeMap<u64, BTreeMap<u64, (u64, Raw)>>,
    clock: u64,
    usage: PoolUsage,
}

/// Bytes of buffers, by size class.
#[derive(Clone, Copy, Default)]
pub(super) struct PoolUsage {
    pub live: u64,
    pub pooled: u64,
    pub peak: u64,
}

impl PoolUsage {
    fn lend(&mut self, size: u64) {
        self.live += size;
        self.peak = self.peak.max(self.live);
    }
}

impl Pool {
    pub fn new() -> Pool {
        Pool { state: Mutex::default(), next_id: AtomicU64::new(1), guards: Guards::default() }
    }

    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn usage(&self) -> PoolUsage {
        self.lock().usage
    }

    /// A free buffer of this class. With `idle_after`, one that no batch with that number or a later one uses, so
    /// that the host may write it without submitting that batch first.
    pub fn take(&self, class: u64, idle_after: Option<u64>) -> Option<Raw> {
        let mut state = self.lock();
        let free = state.free.get_mut(&class)?;
        let idle = |raw: &Raw| idle_after.is_none_or(|batch| raw.last_batch.load(Ordering::Relaxed) < batch);
        let id = *free.iter().find(|(_, (_, raw))| idle(raw))?.0;
        let (_, raw) = free.remove(&id)?;
        state.usage.pooled -= raw.size;
        state.usage.lend(raw.size);
        Some(raw)
    }

    /// Counts a new buffer as lent.
    pub fn adopt(&self, buffer: wgpu::Buffer) -> Raw {
        let size = buffer.size();
        self.lock().usage.lend(size);
        Raw { buffer, id: self.next_id.fetch_add(1, Ordering::Relaxed), size, last_batch: AtomicU64::new(0) }
    }

    pub fn give_back(&self, raw: Raw) {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        state.usage.live -= raw.size;
        state.usage.pooled += raw.size;
        state.free.entry(raw.size).or_default().insert(raw.id, (clock, raw));
    }

    /// Before a new buffer of `size` is made: frees the longest unused ones if the pool would hold on to far more
    /// memory than was ever in use at a time. Returns the freed ids, so that nothing else keeps their memory.
    pub fn trim_for(&self, size: u64) -> Vec<u64> {
        let usage = self.usage();
        let allowed = 2 * usage.peak.max(usage.live + size) + (64 << 20);
        self.trim_to(allowed.saturating_sub(usage.live + size))
    }

    /// Frees the longest unused buffers until the free ones together have at most `bytes`.
    pub fn trim_to(&self, bytes: u64) -> Vec<u64> {
        let mut state = self.lock();
        let mut freed = Vec::new();
        while state.usage.pooled > bytes {
            let all =
                state.free.iter().flat_map(|(class, free)| free.iter().map(|(id, (clock, _))| (*clock, *class, *id)));
            let Some((_, class, id)) = all.min() else { break };
            state.free.get_mut(&class).map(|free| free.remove(&id));
            state.usage.pooled -= class;
            freed.push(id);
        }
        freed
    }
}

/// Host-visible buffers kept for the next readback.
#[derive(Default)]
pub(super) struct StagingPool(Mutex<Vec<wgpu::Buffer>>);

impl StagingPool {
    const MOST_BYTES: u64 = 64 << 20;
    const MOST_BUFFERS: usize = 16;

    pub fn take(&self, class: u64) -> Option<wgpu::Buffer> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = free.iter().position(|buffer| buffer.size() == class)?;
        Some(free.swap_remove(found))
    }

    fn give_back(&self, buffer: wgpu::Buffer) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(buffer);
        while free.len() > 1
            && (free.len() > Self::MOST_BUFFERS || free.iter().map(|b| b.size()).sum::<u64>() > Self::MOST_BYTES)
        {
            free.remove(0);
        }
    }
}

/// A copy to the host that is under way; see [`Gpu::read_later`].
pub struct Readback {
    gpu: Gpu,
    staging: wgpu::Buffer,
    bytes: u64,
    submission: wgpu::SubmissionIndex,
    done: mpsc::Receiver<bool>,
    ready: AtomicBool,
}

impl Readback {
    /// Asks for the mapping of a staging buffer that `submission` fills.
    pub(super) fn new(gpu: Gpu, staging: wgpu::Buffer, bytes: u64, submission: wgpu::SubmissionIndex) -> Readback {
        let (send, done) = mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            let _ = send.send(result.is_ok());
        });
        Readback { gpu, staging, bytes, submission, done, ready: AtomicBool::new(false) }
    }

    /// Whether [`Readback::wait`] would return at once.
    pub fn is_ready(&self) -> bool {
        if !self.ready.load(Ordering::Relaxed)
            && self.gpu.poll(wgpu::PollType::Poll).is_ok()
            && let Ok(true) = self.done.try_recv()
        {
            self.ready.store(true, Ordering::Relaxed);
        }
        self.ready.load(Ordering::Relaxed)
    }

    /// Waits for the copy and returns it.
    pub fn wait(self) -> Result<Vec<u8>> {
        if !self.ready.load(Ordering::Relaxed) {
            self.gpu.poll(wgpu::PollType::Wait { submission_index: Some(self.submission.clone()), timeout: None })?;
            // Another thread's poll may be the one that runs the callback, a moment later.
            let mapped = loop {
                match self.done.recv_timeout(Duration::from_millis(50)) {
                    Err(mpsc::RecvTimeoutError::Timeout) => self.gpu.poll(wgpu::PollType::Poll)?,
                    answer => break answer.unwrap_or(false),
                }
            };
            if !mapped {
                return Err(self.gpu.health_error("reading from the device failed"));
            }
        }
        let view = self.staging.slice(..).get_mapped_range();
        let view = view.map_err(|e| Error::Gpu(format!("reading from the device failed: {e}")))?;
        let bytes = view[..self.bytes as usize].to_vec();
        drop(view);
        self.staging.unmap();
        self.gpu.staging().give_back(self.staging);
        Ok(bytes)
    }
}

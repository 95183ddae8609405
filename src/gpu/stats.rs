//! What a device did and holds: the counts that tests and the bench look at.

use super::Gpu;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a device did so far and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuStats {
    /// Kernel calls recorded.
    pub dispatches: u64,
    /// Submissions to the device.
    pub submits: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Bind groups made.
    pub bind_groups_created: u64,
    /// Calls that found their bind group made already.
    pub bind_groups_hit: u64,
    /// Bind groups kept.
    pub bind_groups_kept: u64,
    /// Parameter buffers kept.
    pub params_kept: u64,
    /// Parameter buffers uploaded.
    pub params_uploaded: u64,
    /// Device buffers made; constant in a steady loop.
    pub buffers_created: u64,
    /// Bytes in buffers that are in use.
    pub bytes_live: u64,
    /// Bytes in buffers that wait in the pool.
    pub bytes_pooled: u64,
    /// The most bytes ever in use at a time.
    pub bytes_peak: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) dispatches: AtomicU64,
    pub(super) submits: AtomicU64,
    pub(super) pipelines: AtomicU64,
    pub(super) bind_groups_created: AtomicU64,
    pub(super) bind_groups_hit: AtomicU64,
    pub(super) params_uploaded: AtomicU64,
    pub(super) buffers_created: AtomicU64,
}

impl Gpu {
    /// What the device did so far and holds now.
    pub fn stats(&self) -> GpuStats {
        let usage = self.0.pool.usage();
        let (bind_groups_kept, params_kept) = self.lock().bindings.sizes();
        let counters = &self.0.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GpuStats {
            dispatches: get(&counters.dispatches),
            submits: get(&counters.submits),
            pipelines: get(&counters.pipelines),
            bind_groups_created: get(&counters.bind_groups_created),
            bind_groups_hit: get(&counters.bind_groups_hit),
            bind_groups_kept: bind_groups_kept as u64,
            params_kept: params_kept as u64,
            params_uploaded: get(&counters.params_uploaded),
            buffers_created: get(&counters.buffers_created),
            bytes_live: usage.live,
            bytes_pooled: usage.pooled,
            bytes_peak: usage.peak,
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(super) fn count_dispatch(&self) {
        self.0.counters.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_submit(&self) {
        self.0.counters.submits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_bind_group(&self, hit: bool) {
        let counters = &self.0.counters;
        let counter = if hit { &counters.bind_groups_hit } else { &counters.bind_groups_created };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

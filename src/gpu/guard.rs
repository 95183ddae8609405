//! Guard words: on a guarded device every buffer lies between two stretches of a pattern, and holds another one at first.
//!
//! Kernels are bound to the stretch behind the buffer too, so that a write past the end reaches it instead of vanishing
//! in a driver's own bounds check. What is checked: that the stretches are whole; what the caller checks: that no result
//! still holds [`UNWRITTEN`].

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Gpu;
use super::buffer::{Allocation, GpuBuffer, MIN_BUFFER_BYTES, Raw, Readback, size_class};
use super::recorder::Recorder;
use crate::error::{Error, Result};

/// What an element holds before it is written: the bits of a NaN that no computation makes.
pub const UNWRITTEN: u32 = 0x7fd5_57a1;

/// Word `i` of the two guards around a buffer of `bytes`: other such NaNs, of which no two near ones are equal, for a
/// kernel that reads one guard may write what it read to another.
fn guard_word(bytes: u64, i: usize) -> u32 {
    0x7fc9_0000 | ((bytes / 4 * 37 + i as u64 * 101) & 0xffff) as u32
}

/// Bytes of a guard, on either side.
pub(super) const GUARD: u64 = MIN_BUFFER_BYTES;

/// Words of a guard.
const PER: usize = GUARD as usize / 4;

/// Guarded memory whose guards are still to be looked at.
#[derive(Default)]
pub(super) struct Guards {
    /// Buffers in use.
    live: Mutex<Vec<Weak<Allocation>>>,
    /// Memory given back since the last look, with the bytes that were in use.
    returned: Mutex<Vec<(Raw, u64)>>,
}

impl Guards {
    pub fn give_back(&self, raw: Raw, bytes: u64) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).push((raw, bytes));
    }
}

/// The bytes between the guards: kernels that write vectors may fill up the last one.
fn inner(bytes: u64) -> u64 {
    bytes.next_multiple_of(16).max(16)
}

impl Gpu {
    /// A buffer between guards, filled with [`UNWRITTEN`].
    pub(super) fn alloc_guarded(&self, bytes: u64, recorder: &mut Recorder) -> Result<GpuBuffer> {
        let inner = inner(bytes);
        let whole = self.alloc_for_host(inner + 2 * GUARD, recorder)?;
        let guard = |i: usize| guard_word(bytes, i);
        let between = std::iter::repeat_n(UNWRITTEN, inner as usize / 4);
        let words: Vec<u32> = (0..PER).map(guard).chain(between).chain((PER..2 * PER).map(guard)).collect();
        recorder.write(self, &whole, bytemuck::cast_slice(&words))?;
        let (buffer, allocation) = whole.into_guarded(GUARD, bytes);
        self.0.pool.guards().live.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&allocation));
        Ok(buffer)
    }

    /// Waits for all work and says which guards around the buffers of a guarded device were overwritten since the last
    /// call: a line each. Memory that was given back becomes free for reuse. Nothing on a device that is not guarded.
    ///
    /// # Errors
    /// Trouble of the device.
    pub fn broken_guards(&self) -> Result<Vec<String>> {
        let guards = self.0.pool.guards();
        let returned = std::mem::take(&mut *guards.returned.lock().unwrap_or_else(PoisonError::into_inner));
        let live: Vec<Arc<Allocation>> = {
            let mut live = guards.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.retain(|weak| weak.strong_count() > 0);
            live.iter().filter_map(Weak::upgrade).collect()
        };
        let in_use = live.iter().filter_map(|allocation| Some((allocation.raw()?, allocation.guarded()?)));
        let all: Vec<(&Raw, u64)> = returned.iter().map(|(raw, bytes)| (raw, *bytes)).chain(in_use).collect();
        let words = self.read_guards(&all);
        drop(all);
        let sizes: Vec<u64> = returned
            .iter()
            .map(|(_, bytes)| *bytes)
            .chain(live.iter().filter_map(|allocation| allocation.guarded()))
            .collect();
        returned.into_iter().for_each(|(raw, _)| self.0.pool.give_back(raw));
        Ok((sizes.iter().zip(words?.chunks_exact(2 * PER)))
            .filter_map(|(bytes, words)| {
                let place = words.iter().enumerate().position(|(i, word)| *word != guard_word(*bytes, i))?;
                let side = if place < PER {
                    format!("{} bytes before", (PER - place) * 4)
                } else {
                    format!("{} bytes behind the end of", (place - PER) as u64 * 4 + inner(*bytes) - bytes)
                };
                Some(format!("{:#010x} was written {side} a buffer of {bytes} bytes", words[place]))
            })
            .collect())
    }

    /// The words of both guards of each of these, one after another.
    fn read_guards(&self, all: &[(&Raw, u64)]) -> Result<Vec<u32>> {
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = all.len() as u64 * 2 * GUARD;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.create_wgpu(size_class(bytes, u64::MAX), usage, "toile guards").map_err(Error::Gpu)?;
        let recorder = &mut self.lock();
        for (at, (raw, bytes)) in (0..).step_by(2).zip(all) {
            raw.mark_used(recorder.batch());
            recorder.copy(self, (raw.wgpu(), 0), (&staging, at * GUARD), GUARD)?;
            recorder.copy(self, (raw.wgpu(), GUARD + inner(*bytes)), (&staging, (at + 1) * GUARD), GUARD)?;
        }
        recorder.submit(self)?;
        let submission = recorder.last_submission();
        let submission = submission.ok_or_else(|| Error::Gpu("reading guards: nothing was submitted".into()))?;
        Ok(bytemuck::pod_collect_to_vec(&Readback::new(self.clone(), staging, bytes, submission).wait()?))
    }
}

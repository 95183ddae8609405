//! Reused f32 buffers: fresh pages cost more than most kernels, so freed buffers wait in size classes.

use super::guard;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Buffers below this many elements come from the allocator directly.
pub(crate) const SMALL: usize = 1024;
/// Larger ones begin at a line of the cache, so that no vector lies across two of them; so much room that takes.
const LINE: usize = 16;
/// Freed elements kept for reuse, in all (256 MiB); what exceeds it goes back to the system.
pub(crate) const KEEP: usize = 64 << 20;

#[derive(Default)]
struct Pool {
    free: HashMap<usize, Vec<Vec<f32>>>,
    kept: usize,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

/// The largest buffer that a thread keeps for itself, and how much it keeps in all (4 MiB).
const NEAR: usize = 1 << 18;
const KEEP_NEAR: usize = 1 << 20;

/// What a thread has freed last: it lies in the caches of its core, while a buffer that another core has written must be fetched from there.
#[derive(Default)]
struct Near {
    free: Vec<Vec<f32>>,
    kept: usize,
}

thread_local! {
    static MINE: RefCell<Near> = RefCell::default();
}

impl Near {
    fn take(&mut self, class: usize) -> Option<Vec<f32>> {
        let at = self.free.iter().rposition(|data| data.len() == class + LINE)?;
        self.kept -= class;
        Some(self.free.remove(at))
    }

    /// Keeps it, if there is room.
    fn give(&mut self, class: usize, data: Vec<f32>) -> Option<Vec<f32>> {
        if class > NEAR || self.kept + class > KEEP_NEAR {
            return Some(data);
        }
        self.kept += class;
        self.free.push(data);
        None
    }
}

/// What scratch memory that is not there unwinds with, silently: whoever runs an op catches it and says which op.
pub struct NoMemory {
    /// How much was asked for.
    pub bytes: usize,
}

/// A buffer of f32 that returns to the pool when dropped.
#[derive(Default)]
pub struct CpuBuffer {
    data: Vec<f32>,
    /// Where the elements begin: at a line of the cache, or behind a guard, if there are guards.
    start: usize,
    len: usize,
    guarded: bool,
}

impl CpuBuffer {
    /// A buffer of `len` elements whose content is arbitrary: the caller writes every element.
    ///
    /// Unwinds with [`NoMemory`] if there is no memory for it.
    pub fn uninit(len: usize) -> CpuBuffer {
        let unwind = || resume_unwind(Box::new(NoMemory { bytes: len.saturating_mul(4) }));
        CpuBuffer::try_uninit(len).unwrap_or_else(unwind)
    }

    /// The same, or `None` if there is no memory for it.
    pub fn try_uninit(len: usize) -> Option<CpuBuffer> {
        if guard::is_on() {
            return Some(CpuBuffer { data: guard::surrounded(len), start: guard::WORDS, len, guarded: true });
        }
        if len < SMALL {
            return Some(CpuBuffer { data: vec![0.0; len], start: 0, len, guarded: false });
        }
        // A buffer of a class that is too large may still fit as it is.
        let class = size_class(len);
        let mine = MINE.try_with(|mine| mine.borrow_mut().take(class)).ok().flatten();
        let pooled = || {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            let data = pool.free.get_mut(&class).and_then(Vec::pop)?;
            pool.kept -= class;
            Some(data)
        };
        let data: Vec<f32> =
            mine.or_else(pooled).or_else(|| try_zeros(class + LINE)).or_else(|| try_zeros(len + LINE))?;
        let start = data.as_ptr().align_offset(4 * LINE).min(LINE);
        Some(CpuBuffer { data, start, len, guarded: false })
    }

    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> CpuBuffer {
        let mut buffer = CpuBuffer::uninit(len);
        buffer.fill(0.0);
        buffer
    }
}

/// `len` zeros, or `None` if there is no memory for them.
pub fn try_zeros<T: bytemuck::Zeroable>(len: usize) -> Option<Vec<T>> {
    bytemuck::allocation::try_zeroed_vec(len).ok()
}

/// The next of 2^k and 1.5·2^k.
pub(crate) fn size_class(len: usize) -> usize {
    let power = len.next_power_of_two();
    if len <= power / 4 * 3 { power / 4 * 3 } else { power }
}

impl From<Vec<f32>> for CpuBuffer {
    fn from(data: Vec<f32>) -> CpuBuffer {
        CpuBuffer { len: data.len(), start: 0, data, guarded: false }
    }
}

impl Deref for CpuBuffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for CpuBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}

impl Drop for CpuBuffer {
    fn drop(&mut self) {
        if self.guarded {
            return guard::look_at(&self.data, self.len);
        }
        let class = self.data.len().saturating_sub(LINE);
        if class < SMALL || size_class(class) != class {
            return;
        }
        let mut data = Some(std::mem::take(&mut self.data));
        _ = MINE.try_with(|mine| data = data.take().and_then(|data| mine.borrow_mut().give(class, data)));
        let Some(data) = data else { return };
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.kept + class <= KEEP {
            pool.kept += class;
            pool.free.entry(class).or_default().push(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_begin_at_a_line_of_the_cache() {
        for len in [SMALL, 1500, 100_000] {
            let (first, second) = (CpuBuffer::uninit(len), CpuBuffer::uninit(len));
            assert!([&first, &second].iter().all(|buffer| buffer.as_ptr().addr().is_multiple_of(64)), "{len}");
        }
    }

    #[test]
    fn size_classes_cover() {
        for len in [1024, 1025, 1536, 1537, 2048, 100_000] {
            assert!(size_class(len) >= len && size_class(len) <= len * 2, "{len}");
            assert_eq!(size_class(size_class(len)), size_class(len));
        }
    }
}

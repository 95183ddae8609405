//! Guard words on the host: while someone asks for it, buffers lie between two stretches of a pattern and hold another at first.

use crate::gpu::UNWRITTEN;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Words of a guard, on either side.
pub const WORDS: usize = 64;

/// A word of a guard: a NaN that no computation makes.
const GUARD_WORD: u32 = 0x7fc9_a37d;

static HOLDERS: AtomicUsize = AtomicUsize::new(0);
static BROKEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// While one of these lives, every new buffer of this process is guarded.
pub struct Guards(());

impl Guards {
    /// Turns guards on.
    #[allow(clippy::new_without_default)] // it does something
    pub fn new() -> Guards {
        HOLDERS.fetch_add(1, Ordering::Relaxed);
        Guards(())
    }

    /// Which guards of buffers dropped since the last call were overwritten: a line each.
    pub fn broken(&self) -> Vec<String> {
        std::mem::take(&mut *BROKEN.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        HOLDERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether buffers are to be guarded.
#[inline]
pub(super) fn is_on() -> bool {
    HOLDERS.load(Ordering::Relaxed) > 0
}

/// Memory for `len` elements between guards.
pub(super) fn surrounded(len: usize) -> Vec<f32> {
    let mut data = vec![f32::from_bits(GUARD_WORD); len + 2 * WORDS];
    data[WORDS..WORDS + len].fill(f32::from_bits(UNWRITTEN));
    data
}

/// Notes whether the guards around `len` elements are whole.
pub(super) fn look_at(data: &[f32], len: usize) {
    let broken = |place: usize| data[place].to_bits() != GUARD_WORD;
    let Some(place) = (0..WORDS).chain(WORDS + len..data.len()).find(|place| broken(*place)) else { return };
    let side = if place < WORDS {
        format!("{} elements before", WORDS - place)
    } else {
        format!("{} elements behind the end of", place - WORDS - len)
    };
    let line = format!("{:#010x} was written {side} a buffer of {len} elements", data[place].to_bits());
    BROKEN.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overwritten_guard_is_told() {
        let mut data = surrounded(5);
        assert_eq!(data[WORDS..WORDS + 5].iter().filter(|v| v.to_bits() == UNWRITTEN).count(), 5);
        look_at(&data, 5);
        data[WORDS + 6] = 1.5;
        look_at(&data, 5);
        let broken = BROKEN.lock().unwrap();
        let line = "0x3fc00000 was written 1 elements behind the end of a buffer of 5 elements";
        assert_eq!(broken.iter().filter(|l| *l == line).count(), 1);
    }
}

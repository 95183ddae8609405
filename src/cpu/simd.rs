//! The choice of instruction sets at run time: baseline builds still find AVX2 and FMA.

use std::cell::Cell;

thread_local! {
    /// Whether this thread does without the vectors that have to be found at run time.
    static PORTABLE: Cell<bool> = const { Cell::new(false) };
}

/// Makes the calling thread compute as a processor without AVX2 does, for good; for the threads of a test's own pool.
pub fn be_portable() {
    PORTABLE.set(true);
}

/// True if this processor has AVX2 and FMA and the thread may use them.
#[inline]
pub fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && !PORTABLE.get();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Runs `work` compiled for the widest vectors that this processor has. What `work` calls takes part only if it is
/// inlined: mark loops `#[inline(always)]`.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has the instructions that `with_avx2` may use.
        return unsafe { with_avx2(work) };
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

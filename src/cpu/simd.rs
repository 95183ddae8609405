//! The choice of instruction sets at run time: baseline builds still find AVX2, FMA and AVX-512.

use crate::error::{Error, Result};
use std::cell::Cell;
use std::sync::LazyLock;

/// The instruction sets that kernels are written for, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain loops, in whatever the target always has.
    Portable,
    /// NEON, which every aarch64 processor has.
    Neon,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The variable that keeps the program from using wider instructions, by their names.
const VARIABLE: &str = "TOILE_SIMD";

thread_local! {
    /// The widest that this thread may use.
    static MOST: Cell<Isa> = const { Cell::new(Isa::Avx512) };
}

impl Isa {
    const ALL: [Isa; 4] = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];

    /// The widest that this processor has and that the environment variable `TOILE_SIMD` (`portable`, `neon`, `avx2`,
    /// `avx512`) and the thread allow. Matrix products differ between instruction sets by roundings; with one of them
    /// the bits are always the same.
    #[inline]
    pub fn best() -> Isa {
        static BEST: LazyLock<Isa> = LazyLock::new(|| Isa::asked().unwrap_or(Isa::Avx512).at_most());
        (*BEST).min(MOST.get())
    }

    /// The narrower ones, which this processor has too.
    pub fn others() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| *isa < Isa::best() && isa.is_there())
    }

    /// Keeps the calling thread from using wider ones, for good; for the threads of a test's own pool.
    pub fn limit_thread(self) {
        MOST.set(self.at_most());
    }

    /// As `TOILE_SIMD` has it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Elements of a vector, as kernels take them.
    #[inline]
    pub fn lanes(self) -> usize {
        if self == Isa::Avx512 { 16 } else { 8 }
    }

    /// What `TOILE_SIMD` asks for; without it the widest there is.
    ///
    /// # Errors
    /// A value that is no instruction set.
    pub fn asked() -> Result<Isa> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Isa::Avx512),
            Some(text) => Isa::ALL.into_iter().find(|isa| text == isa.name()).ok_or_else(|| {
                let text = text.to_string_lossy();
                Error::Usage(format!("{VARIABLE}={text}: takes portable, neon, avx2 or avx512, or leave it unset"))
            }),
        }
    }

    /// The widest that this processor has and that is not wider than this.
    fn at_most(self) -> Isa {
        Isa::ALL.into_iter().find(|isa| *isa <= self && isa.is_there()).unwrap_or(Isa::Portable)
    }

    /// Whether this processor has it.
    fn is_there(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            _ => {
                use std::arch::is_x86_feature_detected as has;
                let wide = || has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
                has!("avx2") && has!("fma") && (self == Isa::Avx2 || wide())
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// Runs `work` compiled for the widest vectors that this processor has. What `work` calls takes part only if it is
/// inlined: mark loops `#[inline(always)]`.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    match Isa::best() {
        // SAFETY: the processor has the instructions that `with_avx512` may use.
        Isa::Avx512 => return unsafe { with_avx512(work) },
        // SAFETY: the processor has the instructions that `with_avx2` may use.
        Isa::Avx2 => return unsafe { with_avx2(work) },
        _ => {}
    }
    work()
}

/// Runs `work` compiled for AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Runs `work` compiled for AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Asks for the cache line at `place`, which need not be readable.
#[inline(always)]
pub fn fetch(place: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that reads nothing; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint that reads nothing, part of every aarch64 processor.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{place}]", place = in(reg) place, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wider_than_asked_or_than_there_is() {
        for most in Isa::ALL {
            let taken = most.at_most();
            assert!(taken <= most && taken.is_there(), "{} took {}", most.name(), taken.name());
            let better = |isa: &Isa| *isa > taken && *isa <= most && isa.is_there();
            assert!(!Isa::ALL.iter().any(better), "{} took {}", most.name(), taken.name());
            let best = std::thread::spawn(move || {
                most.limit_thread();
                assert!(Isa::others().all(|isa| isa.is_there() && isa < Isa::best()));
                Isa::best()
            });
            assert!(best.join().unwrap() <= taken);
        }
        assert_eq!(Isa::Portable.at_most(), Isa::Portable);
        let native = if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Portable };
        assert_eq!(Isa::Neon.at_most(), native);
    }
}

//! The choice of instruction sets at run time: baseline builds still find AVX2, FMA and AVX-512.

use std::cell::Cell;
use std::sync::LazyLock;

/// The instruction sets that kernels are written for, the plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What the target always has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The variable that keeps the program from using wider instructions: `portable`, `avx2` or `avx512`.
const VARIABLE: &str = "TOILE_SIMD";

thread_local! {
    /// The widest that this thread may use.
    static MOST: Cell<Isa> = const { Cell::new(Isa::Avx512) };
}

impl Isa {
    /// The widest that this processor has and that the environment variable `TOILE_SIMD` (`portable`, `avx2`,
    /// `avx512`) and the thread allow. Matrix products differ between instruction sets by roundings; with one of them
    /// the bits are always the same.
    #[inline]
    pub fn best() -> Isa {
        static BEST: LazyLock<Isa> = LazyLock::new(|| {
            let most = match std::env::var(VARIABLE).as_deref() {
                Ok("portable") => Isa::Portable,
                Ok("avx2") => Isa::Avx2,
                _ => Isa::Avx512,
            };
            Isa::detect().min(most)
        });
        (*BEST).min(MOST.get())
    }

    /// The narrower ones, which this processor has too.
    pub fn others() -> impl Iterator<Item = Isa> {
        [Isa::Avx2, Isa::Portable].into_iter().filter(|isa| *isa < Isa::best())
    }

    /// Keeps the calling thread from using wider ones, for good; for the threads of a test's own pool.
    pub fn limit_thread(self) {
        MOST.set(self);
    }

    /// As `TOILE_SIMD` has it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
                return if wide { Isa::Avx512 } else { Isa::Avx2 };
            }
        }
        Isa::Portable
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
        Isa::Portable => {}
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
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
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

//! Vectors of neighbouring channels in the three instruction sets, with the few operations that transforms take.
//!
//! Sums of arrays would do, but compilers split the larger transforms into short vectors.

/// W channels. Its operations are instructions of a set that the processor must have.
pub trait Vector<const W: usize>: Copy {
    /// # Safety
    /// The processor has the instructions, as for all of these.
    unsafe fn load(from: &[f32; W]) -> Self;

    /// # Safety
    /// As [`Vector::load`].
    unsafe fn store(self, to: &mut [f32; W]);

    /// Stores the first and the second half.
    ///
    /// # Safety
    /// As [`Vector::load`]; either place holds W / 2 elements.
    unsafe fn store_halves(self, first: *mut f32, second: *mut f32);

    /// self + other
    ///
    /// # Safety
    /// As [`Vector::load`].
    unsafe fn add(self, other: Self) -> Self;

    /// self − other
    ///
    /// # Safety
    /// As [`Vector::load`].
    unsafe fn subtract(self, other: Self) -> Self;

    /// a in all channels.
    ///
    /// # Safety
    /// As [`Vector::load`].
    unsafe fn all(a: f32) -> Self;

    /// self·other
    ///
    /// # Safety
    /// As [`Vector::load`].
    unsafe fn times(self, other: Self) -> Self;
}

impl Vector<8> for [f32; 8] {
    #[inline(always)]
    unsafe fn load(from: &[f32; 8]) -> Self {
        *from
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; 8]) {
        *to = self;
    }

    #[inline(always)]
    unsafe fn store_halves(self, first: *mut f32, second: *mut f32) {
        for i in 0..4 {
            // SAFETY: the caller vouches for the places.
            unsafe { (*first.add(i), *second.add(i)) = (self[i], self[4 + i]) };
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] - other[i])
    }

    #[inline(always)]
    unsafe fn all(a: f32) -> Self {
        [a; 8]
    }

    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * other[i])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($v:ty, $w:literal, $load:ident, $store:ident, $halves:ident, $add:ident, $subtract:ident, $all:ident, $times:ident) => {
            // SAFETY, in all of these: the caller vouches for the instructions; references are to so many elements.
            impl Vector<$w> for $v {
                #[inline(always)]
                unsafe fn load(from: &[f32; $w]) -> Self {
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline(always)]
                unsafe fn store(self, to: &mut [f32; $w]) {
                    unsafe { $store(to.as_mut_ptr(), self) }
                }

                #[inline(always)]
                unsafe fn store_halves(self, first: *mut f32, second: *mut f32) {
                    unsafe { $halves(self, first, second) }
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    unsafe { $add(self, other) }
                }

                #[inline(always)]
                unsafe fn subtract(self, other: Self) -> Self {
                    unsafe { $subtract(self, other) }
                }

                #[inline(always)]
                unsafe fn all(a: f32) -> Self {
                    unsafe { $all(a) }
                }

                #[inline(always)]
                unsafe fn times(self, other: Self) -> Self {
                    unsafe { $times(self, other) }
                }
            }
        };
    }

    /// # Safety
    /// The processor has AVX, either place holds 4 elements.
    #[inline(always)]
    unsafe fn halves_256(v: __m256, first: *mut f32, second: *mut f32) {
        // SAFETY: as the caller's.
        unsafe {
            _mm_storeu_ps(first, _mm256_castps256_ps128(v));
            _mm_storeu_ps(second, _mm256_extractf128_ps::<1>(v));
        }
    }

    /// # Safety
    /// The processor has AVX-512F, either place holds 8 elements.
    #[inline(always)]
    unsafe fn halves_512(v: __m512, first: *mut f32, second: *mut f32) {
        // SAFETY: as the caller's.
        unsafe {
            _mm256_storeu_ps(first, _mm512_castps512_ps256(v));
            _mm256_storeu_pd(second.cast(), _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(v)));
        }
    }

    vector!(
        __m256,
        8,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        halves_256,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_set1_ps,
        _mm256_mul_ps
    );
    vector!(
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        halves_512,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_set1_ps,
        _mm512_mul_ps
    );
}

/// Calls `$function::<$form, V, W>($arguments)` with the vectors of the instruction set.
macro_rules! with_vectors {
    ($function:ident, $form:ty, ($($argument:expr),* $(,)?)) => {
        match $crate::cpu::simd::Isa::best() {
            #[cfg(target_arch = "x86_64")]
            $crate::cpu::simd::Isa::Avx512 => $function::<$form, std::arch::x86_64::__m512, 16>($($argument),*),
            #[cfg(target_arch = "x86_64")]
            $crate::cpu::simd::Isa::Avx2 => $function::<$form, std::arch::x86_64::__m256, 8>($($argument),*),
            _ => $function::<$form, [f32; 8], 8>($($argument),*),
        }
    };
}
pub(super) use with_vectors;

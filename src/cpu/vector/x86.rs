//! Vectors of AVX2 and of AVX-512.

use super::Vector;
use crate::cpu::simd::{with_avx2, with_avx512};
use std::arch::x86_64::*;

/// Whole vectors and one that overlaps the one before, where there are four elements or more.
///
/// # Safety
/// The processor has AVX2; there is room for `len` elements.
#[inline(always)]
unsafe fn write_8(v: __m256, to: *mut f32, len: usize) {
    // SAFETY: as the caller's.
    unsafe {
        if len == 8 {
            _mm256_storeu_ps(to, v);
        } else if len >= 4 {
            let lanes = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(len as i32 - 4));
            _mm_storeu_ps(to, _mm256_castps256_ps128(v));
            _mm_storeu_ps(to.add(len - 4), _mm256_castps256_ps128(_mm256_permutevar8x32_ps(v, lanes)));
        } else {
            let mut values = [0.0f32; 4];
            _mm_storeu_ps(values.as_mut_ptr(), _mm256_castps256_ps128(v));
            (0..len).for_each(|i| *to.add(i) = values[i]);
        }
    }
}

// SAFETY, in all of these and of those below: the caller vouches for the instructions and for the elements.
impl Vector<8> for __m256 {
    #[inline(always)]
    unsafe fn compiled<T>(work: impl FnOnce() -> T) -> T {
        unsafe { with_avx2(work) }
    }

    #[inline(always)]
    unsafe fn all(a: f32) -> Self {
        unsafe { _mm256_set1_ps(a) }
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn read_halves(low: *const f32, high: *const f32) -> Self {
        unsafe { _mm256_set_m128(_mm_loadu_ps(high), _mm_loadu_ps(low)) }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn write_first(self, to: *mut f32, len: usize) {
        unsafe { write_8(self, to, len) }
    }

    #[inline(always)]
    unsafe fn write_halves(self, low: *mut f32, high: *mut f32, len: usize) {
        unsafe {
            write_8(self, low, len);
            write_8(_mm256_permute2f128_ps::<0x11>(self, self), high, len);
        }
    }

    #[inline(always)]
    unsafe fn write_pairs(self, odd: Self, to: *mut f32, len: usize) {
        unsafe {
            let [a, b] = [_mm256_unpacklo_ps(self, odd), _mm256_unpackhi_ps(self, odd)];
            let [low, high] = [_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)];
            if 2 * len > 8 {
                write_8(low, to, 8);
                write_8(high, to.add(8), 2 * len - 8);
            } else {
                write_8(low, to, 2 * len);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        unsafe { _mm256_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        unsafe { _mm256_fmadd_ps(a, b, self) }
    }
}

impl Vector<16> for __m512 {
    #[inline(always)]
    unsafe fn compiled<T>(work: impl FnOnce() -> T) -> T {
        unsafe { with_avx512(work) }
    }

    #[inline(always)]
    unsafe fn all(a: f32) -> Self {
        unsafe { _mm512_set1_ps(a) }
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn read_halves(low: *const f32, high: *const f32) -> Self {
        unsafe {
            let low = _mm512_castps_pd(_mm512_castps256_ps512(_mm256_loadu_ps(low)));
            _mm512_castpd_ps(_mm512_insertf64x4::<1>(low, _mm256_loadu_pd(high.cast())))
        }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn write_first(self, to: *mut f32, len: usize) {
        unsafe {
            let low = _mm512_castps512_ps256(self);
            if len == 16 {
                _mm512_storeu_ps(to, self);
            } else if len >= 8 {
                let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0);
                let lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(len as i32 - 8));
                _mm256_storeu_ps(to, low);
                _mm256_storeu_ps(to.add(len - 8), _mm512_castps512_ps256(_mm512_permutexvar_ps(lanes, self)));
            } else {
                write_8(low, to, len);
            }
        }
    }

    #[inline(always)]
    unsafe fn write_halves(self, low: *mut f32, high: *mut f32, len: usize) {
        unsafe {
            write_8(_mm512_castps512_ps256(self), low, len);
            write_8(_mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self))), high, len);
        }
    }

    #[inline(always)]
    unsafe fn write_pairs(self, odd: Self, to: *mut f32, len: usize) {
        unsafe {
            let lanes = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let low = _mm512_permutex2var_ps(self, lanes, odd);
            if len >= 8 {
                let lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(len as i32 - 8));
                _mm512_storeu_ps(to, low);
                _mm512_storeu_ps(to.add(2 * len - 16), _mm512_permutex2var_ps(self, lanes, odd));
            } else {
                low.write_first(to, 2 * len);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        unsafe { _mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }
}

//! Vectors of f32 in the three instruction sets, with the few operations that direct convolutions take.

/// A vector. Its operations are instructions of a set that the processor must have, and read and write through pointers.
pub trait Lanes: Copy {
    /// Elements.
    const COUNT: usize;

    /// Zeros.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn zero() -> Self;

    /// One element in all lanes.
    ///
    /// # Safety
    /// The processor has the instructions; there is an element.
    unsafe fn splat(from: *const f32) -> Self;

    /// COUNT elements.
    ///
    /// # Safety
    /// The processor has the instructions; there are as many elements.
    unsafe fn load(from: *const f32) -> Self;

    /// COUNT / 2 elements from each place.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load_halves(low: *const f32, high: *const f32) -> Self;

    /// self + a·b
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// self + other
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn plus(self, other: Self) -> Self;

    /// Writes the first `len` elements, of which there is at least one, and nothing else.
    ///
    /// # Safety
    /// The processor has the instructions; there is room for `len` elements.
    unsafe fn store(self, to: *mut f32, len: usize);

    /// Writes the first `len` elements of either half.
    ///
    /// # Safety
    /// As [`Lanes::store`].
    unsafe fn store_halves(self, low: *mut f32, high: *mut f32, len: usize);

    /// Writes `len` pairs of an element of this and one of `odd`.
    ///
    /// # Safety
    /// As [`Lanes::store`], for twice as many elements.
    unsafe fn store_pairs(self, odd: Self, to: *mut f32, len: usize);
}

/// Eight lanes in plain loops.
impl Lanes for [f32; 8] {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 8]
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: the caller vouches for it, here and below.
        [unsafe { *from }; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_halves(low: *const f32, high: *const f32) -> Self {
        // SAFETY: as above.
        std::array::from_fn(|i| unsafe { if i < 4 { *low.add(i) } else { *high.add(i - 4) } })
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| {
            if cfg!(target_arch = "aarch64") { a[i].mul_add(b[i], self[i]) } else { self[i] + a[i] * b[i] }
        })
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, len: usize) {
        // SAFETY: as above.
        (0..len).for_each(|i| unsafe { *to.add(i) = self[i] });
    }

    #[inline(always)]
    unsafe fn store_halves(self, low: *mut f32, high: *mut f32, len: usize) {
        // SAFETY: as above.
        (0..len).for_each(|i| unsafe { (*low.add(i), *high.add(i)) = (self[i], self[4 + i]) });
    }

    #[inline(always)]
    unsafe fn store_pairs(self, odd: Self, to: *mut f32, len: usize) {
        // SAFETY: as above.
        (0..len).for_each(|i| unsafe { (*to.add(2 * i), *to.add(2 * i + 1)) = (self[i], odd[i]) });
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// Whole vectors and one that overlaps the one before, where there are four elements or more.
    #[inline(always)]
    unsafe fn store_8(v: __m256, to: *mut f32, len: usize) {
        // SAFETY: the callers vouch for AVX2 and for the room, here and below.
        unsafe {
            if len == 8 {
                _mm256_storeu_ps(to, v);
            } else if len >= 4 {
                let lanes =
                    _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(len as i32 - 4));
                _mm_storeu_ps(to, _mm256_castps256_ps128(v));
                _mm_storeu_ps(to.add(len - 4), _mm256_castps256_ps128(_mm256_permutevar8x32_ps(v, lanes)));
            } else {
                let mut values = [0.0f32; 4];
                _mm_storeu_ps(values.as_mut_ptr(), _mm256_castps256_ps128(v));
                (0..len).for_each(|i| *to.add(i) = values[i]);
            }
        }
    }

    impl Lanes for __m256 {
        const COUNT: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: as above.
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn splat(from: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_set1_ps(*from) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_halves(low: *const f32, high: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_set_m128(_mm_loadu_ps(high), _mm_loadu_ps(low)) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        unsafe fn plus(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32, len: usize) {
            // SAFETY: as above.
            unsafe { store_8(self, to, len) }
        }

        #[inline(always)]
        unsafe fn store_halves(self, low: *mut f32, high: *mut f32, len: usize) {
            // SAFETY: as above.
            unsafe {
                store_8(self, low, len);
                store_8(_mm256_permute2f128_ps::<0x11>(self, self), high, len);
            }
        }

        #[inline(always)]
        unsafe fn store_pairs(self, odd: Self, to: *mut f32, len: usize) {
            // SAFETY: as above.
            unsafe {
                let [a, b] = [_mm256_unpacklo_ps(self, odd), _mm256_unpackhi_ps(self, odd)];
                let [low, high] = [_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)];
                if 2 * len > 8 {
                    store_8(low, to, 8);
                    store_8(high, to.add(8), 2 * len - 8);
                } else {
                    store_8(low, to, 2 * len);
                }
            }
        }
    }

    impl Lanes for __m512 {
        const COUNT: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the callers vouch for AVX-512F and for the elements, here and below.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn splat(from: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(*from) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_halves(low: *const f32, high: *const f32) -> Self {
            // SAFETY: as above.
            unsafe {
                let low = _mm512_castps_pd(_mm512_castps256_ps512(_mm256_loadu_ps(low)));
                _mm512_castpd_ps(_mm512_insertf64x4::<1>(low, _mm256_loadu_pd(high.cast())))
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        unsafe fn plus(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32, len: usize) {
            // SAFETY: as above.
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
                    store_8(low, to, len);
                }
            }
        }

        #[inline(always)]
        unsafe fn store_halves(self, low: *mut f32, high: *mut f32, len: usize) {
            // SAFETY: as above.
            unsafe {
                store_8(_mm512_castps512_ps256(self), low, len);
                store_8(_mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self))), high, len);
            }
        }

        #[inline(always)]
        unsafe fn store_pairs(self, odd: Self, to: *mut f32, len: usize) {
            // SAFETY: as above.
            unsafe {
                let lanes = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let low = _mm512_permutex2var_ps(self, lanes, odd);
                if len >= 8 {
                    let lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(len as i32 - 8));
                    _mm512_storeu_ps(to, low);
                    _mm512_storeu_ps(to.add(2 * len - 16), _mm512_permutex2var_ps(self, lanes, odd));
                } else {
                    low.store(to, 2 * len);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "x86_64")]
    use crate::cpu::simd::Isa;

    /// Every length is written whole, and nothing beside it.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[inline(always)]
    unsafe fn every_length<V: Lanes>() {
        let [even, odd]: [Vec<f32>; 2] = [1.0, 101.0].map(|first| (0..16).map(|i| first + i as f32).collect());
        let n = V::COUNT;
        // SAFETY: buffers of 48 elements, and the caller vouches for the instructions.
        unsafe {
            let (a, b) = (V::load(even.as_ptr()), V::load(odd.as_ptr()));
            for len in 1..=n {
                let mut y = vec![0.0; 48];
                a.store(y.as_mut_ptr().add(8), len);
                let want = |i: usize| if (8..8 + len).contains(&i) { even[i - 8] } else { 0.0 };
                assert!((0..48).all(|i| y[i] == want(i)), "store {len} of {n}: {y:?}");
                let mut y = vec![0.0; 48];
                a.store_pairs(b, y.as_mut_ptr().add(8), len);
                let pair = |i: usize| if i.is_multiple_of(2) { even[i / 2] } else { odd[i / 2] };
                let want = |i: usize| if (8..8 + 2 * len).contains(&i) { pair(i - 8) } else { 0.0 };
                assert!((0..48).all(|i| y[i] == want(i)), "store_pairs {len} of {n}: {y:?}");
            }
            let halves = V::load_halves(even.as_ptr(), odd.as_ptr().add(1));
            for len in 1..=n / 2 {
                let mut y = [vec![0.0; 16], vec![0.0; 16]];
                let [low, high] = y.each_mut().map(|y| y.as_mut_ptr().add(4));
                halves.store_halves(low, high, len);
                let want = |from: &[f32], i: usize| if (4..4 + len).contains(&i) { from[i - 4] } else { 0.0 };
                assert!((0..16).all(|i| y[0][i] == want(&even, i) && y[1][i] == want(&odd[1..], i)), "halves {len}");
            }
        }
    }

    #[test]
    fn stores_are_exact() {
        // SAFETY: plain loops; and each set only where the processor has it.
        unsafe {
            every_length::<[f32; 8]>();
            #[cfg(target_arch = "x86_64")]
            {
                if Isa::best() >= Isa::Avx2 {
                    every_length::<std::arch::x86_64::__m256>();
                }
                if Isa::best() == Isa::Avx512 {
                    every_length::<std::arch::x86_64::__m512>();
                }
            }
        }
    }
}

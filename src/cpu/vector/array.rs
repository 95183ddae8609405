//! Eight lanes in plain loops, for any processor.

use super::Vector;

impl Vector<8> for [f32; 8] {
    #[inline(always)]
    unsafe fn compiled<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    #[inline(always)]
    unsafe fn all(a: f32) -> Self {
        [a; 8]
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        // SAFETY: the caller vouches for it, here and below.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn read_halves(low: *const f32, high: *const f32) -> Self {
        // SAFETY: as above.
        std::array::from_fn(|i| unsafe { if i < 4 { *low.add(i) } else { *high.add(i - 4) } })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn write_first(self, to: *mut f32, len: usize) {
        // SAFETY: as above.
        (0..len).for_each(|i| unsafe { *to.add(i) = self[i] });
    }

    #[inline(always)]
    unsafe fn write_halves(self, low: *mut f32, high: *mut f32, len: usize) {
        // SAFETY: as above.
        (0..len).for_each(|i| unsafe { (*low.add(i), *high.add(i)) = (self[i], self[4 + i]) });
    }

    #[inline(always)]
    unsafe fn write_pairs(self, odd: Self, to: *mut f32, len: usize) {
        // SAFETY: as above.
        (0..len).for_each(|i| unsafe { (*to.add(2 * i), *to.add(2 * i + 1)) = (self[i], odd[i]) });
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
    unsafe fn times(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * other[i])
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| {
            if cfg!(target_arch = "aarch64") { a[i].mul_add(b[i], self[i]) } else { self[i] + a[i] * b[i] }
        })
    }
}

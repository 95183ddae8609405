//! Vectors of f32 in the instruction sets, with the few operations that products and transforms take.
//!
//! Sums of arrays would do for most of it, but compilers split the larger transforms into short vectors.

mod array;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;

/// W elements. All operations are instructions of a set that the processor must have; what pointers point to need not be
/// aligned.
pub trait Vector<const W: usize>: Copy {
    /// Runs `work` compiled for these instructions; see [`super::simd::vectorized`].
    ///
    /// # Safety
    /// The processor has the instructions, as for all of these.
    unsafe fn compiled<T>(work: impl FnOnce() -> T) -> T;

    /// a in all lanes.
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    unsafe fn all(a: f32) -> Self;

    /// W elements.
    ///
    /// # Safety
    /// As [`Vector::compiled`]; there are so many elements, as for all that read or write.
    unsafe fn read(from: *const f32) -> Self;

    /// W / 2 elements from each place.
    ///
    /// # Safety
    /// As [`Vector::read`].
    unsafe fn read_halves(low: *const f32, high: *const f32) -> Self;

    /// Writes all elements.
    ///
    /// # Safety
    /// As [`Vector::read`].
    unsafe fn write(self, to: *mut f32);

    /// Writes the first `len` elements, of which there is at least one, and nothing else.
    ///
    /// # Safety
    /// As [`Vector::read`], for `len` elements.
    unsafe fn write_first(self, to: *mut f32, len: usize);

    /// Writes the first `len` elements of either half.
    ///
    /// # Safety
    /// As [`Vector::write_first`].
    unsafe fn write_halves(self, low: *mut f32, high: *mut f32, len: usize);

    /// Writes `len` pairs of an element of this and one of `odd`.
    ///
    /// # Safety
    /// As [`Vector::write_first`], for twice as many elements.
    unsafe fn write_pairs(self, odd: Self, to: *mut f32, len: usize);

    /// self + other
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    unsafe fn add(self, other: Self) -> Self;

    /// self − other
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    unsafe fn subtract(self, other: Self) -> Self;

    /// self·other
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    unsafe fn times(self, other: Self) -> Self;

    /// self + a·b
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// The elements of an array.
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    #[inline(always)]
    unsafe fn load(from: &[f32; W]) -> Self {
        // SAFETY: as the caller's.
        unsafe { Self::read(from.as_ptr()) }
    }

    /// Writes an array.
    ///
    /// # Safety
    /// As [`Vector::compiled`].
    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; W]) {
        // SAFETY: as the caller's.
        unsafe { self.write(to.as_mut_ptr()) }
    }

    /// sums[r, i] += Σ_k a[r·row + k·step]·b(k, i) for the first `count` k: the inner loop of all products. The sums stay in
    /// registers where there are enough.
    ///
    /// # Safety
    /// As [`Vector::read`], for these elements of a.
    #[inline(always)]
    unsafe fn add_products<const R: usize, const N: usize>(
        sums: &mut [[Self; N]; R],
        a: *const f32,
        [row, step]: [usize; 2],
        count: usize,
        b: impl Fn(usize, usize) -> Self,
    ) {
        for k in 0..count {
            // SAFETY: as the caller's.
            unsafe { add_row(sums, a.add(k * step), row, k, &b) };
        }
    }
}

/// The products of one k: sums[r, i] += a[r·row]·b(k, i).
///
/// # Safety
/// As [`Vector::add_products`].
#[inline(always)]
unsafe fn add_row<V: Vector<W>, const W: usize, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    a: *const f32,
    row: usize,
    k: usize,
    b: &impl Fn(usize, usize) -> V,
) {
    let values: [V; N] = std::array::from_fn(
        #[inline(always)]
        |i| b(k, i),
    );
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as the caller's.
        unsafe {
            let a = V::all(*a.add(r * row));
            for (sum, b) in sums.iter_mut().zip(values) {
                *sum = sum.add_product(a, b);
            }
        }
    }
}

/// Calls `$function::<$generic…, V, W>($arguments)` with the vectors of the instruction set.
macro_rules! with_vectors {
    ($function:ident, [$($generic:ty),*], ($($argument:expr),* $(,)?)) => {
        match $crate::cpu::simd::Isa::best() {
            #[cfg(target_arch = "x86_64")]
            $crate::cpu::simd::Isa::Avx512 => $function::<$($generic,)* std::arch::x86_64::__m512, 16>($($argument),*),
            #[cfg(target_arch = "x86_64")]
            $crate::cpu::simd::Isa::Avx2 => $function::<$($generic,)* std::arch::x86_64::__m256, 8>($($argument),*),
            #[cfg(target_arch = "aarch64")]
            $crate::cpu::simd::Isa::Neon => $function::<$($generic,)* $crate::cpu::vector::Neon, 8>($($argument),*),
            _ => $function::<$($generic,)* [f32; 8], 8>($($argument),*),
        }
    };
}
pub(crate) use with_vectors;

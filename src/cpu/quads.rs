//! Blocks of four by four elements, turned.

/// to[i][r] = from[r][i] for r and i below 4.
///
/// # Safety
/// Each place of `from` holds four elements, each of `to` has room for four; none of these overlap.
#[inline(always)]
pub unsafe fn turn(from: [*const f32; 4], to: [*mut f32; 4]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64; the caller vouches for the places.
    unsafe {
        use std::arch::x86_64::*;
        let (mut a, mut b) = (_mm_loadu_ps(from[0]), _mm_loadu_ps(from[1]));
        let (mut c, mut d) = (_mm_loadu_ps(from[2]), _mm_loadu_ps(from[3]));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        _mm_storeu_ps(to[0], a);
        _mm_storeu_ps(to[1], b);
        _mm_storeu_ps(to[2], c);
        _mm_storeu_ps(to[3], d);
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: NEON is part of aarch64; the caller vouches for the places.
    unsafe {
        use std::arch::aarch64::*;
        let [a, b, c, d] = [vld1q_f32(from[0]), vld1q_f32(from[1]), vld1q_f32(from[2]), vld1q_f32(from[3])];
        // Pairs of rows, then pairs of these.
        let pairs = |a, b| [vtrn1q_f32(a, b), vtrn2q_f32(a, b)].map(|v| vreinterpretq_f64_f32(v));
        let store = |to, v| vst1q_f32(to, vreinterpretq_f32_f64(v));
        let ([e, f], [g, h]) = (pairs(a, b), pairs(c, d));
        store(to[0], vtrn1q_f64(e, g));
        store(to[1], vtrn1q_f64(f, h));
        store(to[2], vtrn2q_f64(e, g));
        store(to[3], vtrn2q_f64(f, h));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    for (i, to) in to.into_iter().enumerate() {
        for (r, from) in from.into_iter().enumerate() {
            // SAFETY: as the caller's.
            unsafe { *to.add(r) = *from.add(i) };
        }
    }
}

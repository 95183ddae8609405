//! Eight lanes in two registers of NEON, which every aarch64 processor has.

use super::Vector;
use std::arch::aarch64::*;

/// Eight lanes.
#[derive(Clone, Copy)]
pub struct Neon([float32x4_t; 2]);

/// Writes the first `len` of four.
///
/// # Safety
/// There is room for them.
#[inline(always)]
unsafe fn write_4(v: float32x4_t, to: *mut f32, len: usize) {
    // SAFETY: the caller vouches for the room.
    unsafe {
        if len >= 4 {
            return vst1q_f32(to, v);
        }
        let mut rest = vget_low_f32(v);
        let whole = len & 2;
        if whole > 0 {
            vst1_f32(to, rest);
            rest = vget_high_f32(v);
        }
        if len % 2 > 0 {
            vst1_lane_f32::<0>(to.add(whole), rest);
        }
    }
}

/// sum + a[lane]·b
#[inline(always)]
fn add_lane(sum: float32x4_t, a: float32x4_t, lane: usize, b: float32x4_t) -> float32x4_t {
    // SAFETY: NEON is part of aarch64.
    unsafe {
        match lane {
            0 => vfmaq_laneq_f32::<0>(sum, b, a),
            1 => vfmaq_laneq_f32::<1>(sum, b, a),
            2 => vfmaq_laneq_f32::<2>(sum, b, a),
            _ => vfmaq_laneq_f32::<3>(sum, b, a),
        }
    }
}

// SAFETY, in all of these: NEON is part of aarch64, and the caller vouches for the elements.
impl Vector<8> for Neon {
    #[inline(always)]
    unsafe fn compiled<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    #[inline(always)]
    unsafe fn all(a: f32) -> Self {
        unsafe { Neon([vdupq_n_f32(a); 2]) }
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        unsafe { Neon([vld1q_f32(from), vld1q_f32(from.add(4))]) }
    }

    #[inline(always)]
    unsafe fn read_halves(low: *const f32, high: *const f32) -> Self {
        unsafe { Neon([vld1q_f32(low), vld1q_f32(high)]) }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        unsafe {
            vst1q_f32(to, self.0[0]);
            vst1q_f32(to.add(4), self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn write_first(self, to: *mut f32, len: usize) {
        unsafe {
            write_4(self.0[0], to, len);
            if len > 4 {
                write_4(self.0[1], to.add(4), len - 4);
            }
        }
    }

    #[inline(always)]
    unsafe fn write_halves(self, low: *mut f32, high: *mut f32, len: usize) {
        unsafe {
            write_4(self.0[0], low, len);
            write_4(self.0[1], high, len);
        }
    }

    #[inline(always)]
    unsafe fn write_pairs(self, odd: Self, to: *mut f32, len: usize) {
        unsafe {
            let pairs = |i: usize| Neon([vzip1q_f32(self.0[i], odd.0[i]), vzip2q_f32(self.0[i], odd.0[i])]);
            if len < 4 {
                return pairs(0).write_first(to, 2 * len);
            }
            pairs(0).write(to);
            if len > 4 {
                pairs(1).write_first(to.add(8), 2 * len - 8);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Neon([vaddq_f32(self.0[0], other.0[0]), vaddq_f32(self.0[1], other.0[1])]) }
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        unsafe { Neon([vsubq_f32(self.0[0], other.0[0]), vsubq_f32(self.0[1], other.0[1])]) }
    }

    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        unsafe { Neon([vmulq_f32(self.0[0], other.0[0]), vmulq_f32(self.0[1], other.0[1])]) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        unsafe { Neon([vfmaq_f32(self.0[0], a.0[0], b.0[0]), vfmaq_f32(self.0[1], a.0[1], b.0[1])]) }
    }

    /// Products by lane: a vector of a holds four rows of one k where rows are neighbours, four k of one row where those are.
    /// So there are fewer loads of a, and none takes a turn of the units that multiply.
    #[inline(always)]
    unsafe fn add_products<const R: usize, const N: usize>(
        sums: &mut [[Self; N]; R],
        a: *const f32,
        [row, step]: [usize; 2],
        count: usize,
        b: impl Fn(usize, usize) -> Self,
    ) {
        unsafe {
            let mut quads = [vdupq_n_f32(0.0); R];
            // One half of a vector of b after the other, so that few of them are held at a time.
            macro_rules! add {
                ($k:expr, $a:expr) => {
                    for i in 0..N {
                        let b = b($k, i);
                        for half in 0..2 {
                            for (r, sums) in sums.iter_mut().enumerate() {
                                let (a, lane) = $a(r);
                                sums[i].0[half] = add_lane(sums[i].0[half], a, lane, b.0[half]);
                            }
                        }
                    }
                };
            }
            if row == 1 && R.is_multiple_of(4) {
                for k in 0..count {
                    for (i, quad) in quads.iter_mut().enumerate().take(R / 4) {
                        *quad = vld1q_f32(a.add(k * step + 4 * i));
                    }
                    add!(k, |r: usize| (quads[r / 4], r % 4));
                }
                return;
            }
            let mut k = 0;
            while step == 1 && k + 4 <= count {
                for (r, quad) in quads.iter_mut().enumerate() {
                    *quad = vld1q_f32(a.add(r * row + k));
                }
                add!(k, |r: usize| (quads[r], 0));
                add!(k + 1, |r: usize| (quads[r], 1));
                add!(k + 2, |r: usize| (quads[r], 2));
                add!(k + 3, |r: usize| (quads[r], 3));
                k += 4;
            }
            for k in k..count {
                for (r, quad) in quads.iter_mut().enumerate() {
                    *quad = vdupq_n_f32(*a.add(r * row + k * step));
                }
                add!(k, |r: usize| (quads[r], 0));
            }
        }
    }
}

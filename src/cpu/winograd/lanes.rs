//! Planes of channels turned into vectors of channels and back.

use super::super::CpuBuffer;
use super::super::product::Shared;
use super::super::quads;
use std::ops::Range;

/// One value of each of some neighbouring channels.
pub type Lanes<const W: usize> = [f32; W];

/// Images [N, channels, height, width] of which a block of channels is read or written.
#[derive(Clone, Copy)]
pub struct Images {
    pub channels: usize,
    pub size: [usize; 2],
}

impl Images {
    /// Where the planes of a block begin, and how many of them there are.
    fn planes<const W: usize>(&self, image: usize, block: usize) -> (usize, usize) {
        let plane = (image * self.channels + block * W) * self.size[0] * self.size[1];
        (plane, self.channels.saturating_sub(block * W).min(W))
    }
}

/// A rectangle of pixels, part of which may lie outside the image.
pub struct Window {
    pub origin: [isize; 2],
    pub size: [usize; 2],
}

impl Window {
    /// The rows or columns of the image that it covers.
    fn inside(&self, image: [usize; 2], axis: usize) -> Range<usize> {
        let clamp = |at: isize| at.clamp(0, image[axis] as isize) as usize;
        clamp(self.origin[axis])..clamp(self.origin[axis] + self.size[axis] as isize)
    }
}

/// Pixels of a window, a vector each.
#[derive(Default)]
pub struct Pixels {
    data: CpuBuffer,
}

impl Pixels {
    /// Room for the window's pixels.
    #[inline(always)]
    fn room<const W: usize>(&mut self, window: &Window) -> &mut [Lanes<W>] {
        let len = window.size[0] * window.size[1] * W;
        if self.data.len() < len {
            self.data = CpuBuffer::uninit(len);
        }
        self.data[..len].as_chunks_mut().0
    }

    /// The window's pixels of a block of channels, zeros outside the image and beyond the last channel.
    #[inline(always)]
    pub fn read<const W: usize>(
        &mut self,
        x: &[f32],
        images: Images,
        image: usize,
        block: usize,
        window: &Window,
    ) -> &[Lanes<W>] {
        let (rows, columns) = (window.inside(images.size, 0), window.inside(images.size, 1));
        let [height, width] = images.size;
        let (start, planes) = images.planes::<W>(image, block);
        let pixels = self.room::<W>(window);
        for (i, to) in pixels.chunks_exact_mut(window.size[1]).enumerate() {
            let y = window.origin[0] + i as isize;
            if y < rows.start as isize || y >= rows.end as isize || columns.is_empty() || planes == 0 {
                to.fill([0.0; W]);
                continue;
            }
            let first = (columns.start as isize - window.origin[1]) as usize;
            to[..first].fill([0.0; W]);
            to[first + columns.len()..].fill([0.0; W]);
            let from = &x[start + y as usize * width + columns.start..];
            turn_in(from, height * width, planes, &mut to[first..first + columns.len()]);
        }
        pixels
    }

    /// A window of zeros, to be added to and written.
    #[inline(always)]
    pub fn zeros<const W: usize>(&mut self, window: &Window) -> &mut [Lanes<W>] {
        let pixels = self.room::<W>(window);
        pixels.fill([0.0; W]);
        pixels
    }

    /// Writes `rows` of the window, of a block of channels, those that lie inside the image.
    ///
    /// # Safety
    /// Nothing else touches these pixels of y meanwhile.
    #[inline(always)]
    pub unsafe fn write<const W: usize>(
        &mut self,
        y: Shared,
        images: Images,
        image: usize,
        block: usize,
        window: &Window,
        rows: Range<usize>,
    ) {
        let kept = Window {
            origin: [window.origin[0] + rows.start as isize, window.origin[1]],
            size: [rows.len(), window.size[1]],
        };
        let (rows, columns) = (kept.inside(images.size, 0), kept.inside(images.size, 1));
        let [height, width] = images.size;
        let (start, planes) = images.planes::<W>(image, block);
        let pixels = self.room::<W>(window);
        for row in rows {
            let from = (row as isize - window.origin[0]) as usize * window.size[1];
            let from = (from as isize + columns.start as isize - window.origin[1]) as usize;
            let to = y.part(start + row * width + columns.start);
            // SAFETY: the caller vouches for it.
            unsafe { turn_out(&pixels[from..from + columns.len()], planes, to, height * width) };
        }
    }
}

/// Pixels that are turned at a time.
const BLOCK: usize = 4;

/// y[i, r] = x[r·step + i] for the first `planes` lanes r, zeros in the others.
#[inline(always)]
pub fn turn_in<const W: usize>(x: &[f32], step: usize, planes: usize, y: &mut [Lanes<W>]) {
    let len = y.len();
    if len == 0 {
        return;
    }
    if planes < W || len < BLOCK {
        for (i, y) in y.iter_mut().enumerate() {
            *y = [0.0; W];
            for (r, y) in y.iter_mut().enumerate().take(planes) {
                *y = x[r * step + i];
            }
        }
        return;
    }
    assert!((W - 1) * step + len <= x.len(), "so many planes");
    // The last block ends with the last pixel, and may overlap the one before.
    for i in (0..len - BLOCK).step_by(BLOCK).chain([len - BLOCK]) {
        let to = &mut y[i..i + BLOCK];
        // SAFETY: every plane holds four pixels from there on, by the assertion.
        unsafe { read(x.as_ptr().add(i), step, to) };
    }
}

/// y[r·step + i] = x[i, r] for the first `planes` lanes r.
///
/// # Safety
/// Nothing else touches these elements of y meanwhile.
#[inline(always)]
pub unsafe fn turn_out<const W: usize>(x: &[Lanes<W>], planes: usize, y: Shared, step: usize) {
    let len = x.len();
    if len == 0 || planes == 0 {
        return;
    }
    let to = y.place(0, (planes - 1) * step + len);
    if planes < W || len < BLOCK {
        for (i, x) in x.iter().enumerate() {
            for (r, &x) in x.iter().enumerate().take(planes) {
                // SAFETY: inside y by `place`, and the caller vouches that nothing else touches it.
                unsafe { *to.add(r * step + i) = x };
            }
        }
        return;
    }
    for i in (0..len - BLOCK).step_by(BLOCK).chain([len - BLOCK]) {
        // SAFETY: as above.
        unsafe { write(&x[i..i + BLOCK], to.add(i), step) };
    }
}

/// Four pixels of W planes: y[i, r] = x[r·step + i]
///
/// # Safety
/// x holds these elements, y four vectors; with 16 lanes the processor has AVX-512F.
#[inline(always)]
unsafe fn read<const W: usize>(x: *const f32, step: usize, y: &mut [Lanes<W>]) {
    assert!(y.len() == BLOCK);
    let y: *mut f32 = y.as_mut_ptr().cast();
    // SAFETY: as the caller's.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if W == 16 {
            return avx512::read(x, step, y);
        }
        for r in (0..W).step_by(4) {
            let (x, y) = (x.add(r * step), y.add(r));
            let rows = [x, x.add(step), x.add(2 * step), x.add(3 * step)];
            quads::turn(rows, [y, y.add(W), y.add(2 * W), y.add(3 * W)]);
        }
    }
}

/// y[r·step + i] = x[i, r]
///
/// # Safety
/// x is four vectors, y holds these elements; with 16 lanes the processor has AVX-512F.
#[inline(always)]
unsafe fn write<const W: usize>(x: &[Lanes<W>], y: *mut f32, step: usize) {
    assert!(x.len() == BLOCK);
    let x: *const f32 = x.as_ptr().cast();
    // SAFETY: as the caller's.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if W == 16 {
            return avx512::write(x, y, step);
        }
        for r in (0..W).step_by(4) {
            let (x, y) = (x.add(r), y.add(r * step));
            let pixels = [x, x.add(W), x.add(2 * W), x.add(3 * W)];
            quads::turn(pixels, [y, y.add(step), y.add(2 * step), y.add(3 * step)]);
        }
    }
}

/// Four pixels of 16 planes.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    /// Planes r, r + 4, r + 8 and r + 12 in the quarters of a vector.
    ///
    /// # Safety
    /// The processor has AVX-512F, and x holds four elements of each.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn quarters(x: *const f32, step: usize) -> __m512 {
        // SAFETY: as the caller's.
        unsafe {
            let v = _mm512_castps128_ps512(_mm_loadu_ps(x));
            let v = _mm512_insertf32x4::<1>(v, _mm_loadu_ps(x.add(4 * step)));
            let v = _mm512_insertf32x4::<2>(v, _mm_loadu_ps(x.add(8 * step)));
            _mm512_insertf32x4::<3>(v, _mm_loadu_ps(x.add(12 * step)))
        }
    }

    /// Turns the 4 by 4 elements of each quarter.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turn([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
        let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
        let (more, most) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        let (more, most) = (_mm512_castps_pd(more), _mm512_castps_pd(most));
        [
            _mm512_castpd_ps(_mm512_unpacklo_pd(low, more)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(low, more)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(high, most)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(high, most)),
        ]
    }

    /// # Safety
    /// As [`super::read`] of 16 lanes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn read(x: *const f32, step: usize, y: *mut f32) {
        // SAFETY: as the caller's.
        unsafe {
            let rows = [
                quarters(x, step),
                quarters(x.add(step), step),
                quarters(x.add(2 * step), step),
                quarters(x.add(3 * step), step),
            ];
            let [a, b, c, d] = turn(rows);
            _mm512_storeu_ps(y, a);
            _mm512_storeu_ps(y.add(16), b);
            _mm512_storeu_ps(y.add(32), c);
            _mm512_storeu_ps(y.add(48), d);
        }
    }

    /// # Safety
    /// As [`super::write`] of 16 lanes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn write(x: *const f32, y: *mut f32, step: usize) {
        // SAFETY: as the caller's.
        unsafe {
            let pixels = [
                _mm512_loadu_ps(x),
                _mm512_loadu_ps(x.add(16)),
                _mm512_loadu_ps(x.add(32)),
                _mm512_loadu_ps(x.add(48)),
            ];
            for (r, v) in turn(pixels).into_iter().enumerate() {
                let y = y.add(r * step);
                _mm_storeu_ps(y, _mm512_castps512_ps128(v));
                _mm_storeu_ps(y.add(4 * step), _mm512_extractf32x4_ps::<1>(v));
                _mm_storeu_ps(y.add(8 * step), _mm512_extractf32x4_ps::<2>(v));
                _mm_storeu_ps(y.add(12 * step), _mm512_extractf32x4_ps::<3>(v));
            }
        }
    }
}

//! Planes of channels turned into vectors of channels and back.

use super::super::CpuBuffer;
use super::super::product::Shared;
use std::ops::Range;

/// One value of each of some neighbouring channels.
pub type Lanes<const W: usize> = [f32; W];

/// a + b
#[inline(always)]
pub fn add<const W: usize>(a: &Lanes<W>, b: &Lanes<W>) -> Lanes<W> {
    let mut y = [0.0; W];
    for l in 0..W {
        y[l] = a[l] + b[l];
    }
    y
}

/// a − b
#[inline(always)]
pub fn subtract<const W: usize>(a: &Lanes<W>, b: &Lanes<W>) -> Lanes<W> {
    let mut y = [0.0; W];
    for l in 0..W {
        y[l] = a[l] - b[l];
    }
    y
}

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

/// Pixels of a window, a vector each, and room to turn them in.
#[derive(Default)]
pub struct Pixels {
    turned: CpuBuffer,
    data: CpuBuffer,
}

fn grow(buffer: &mut CpuBuffer, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        *buffer = CpuBuffer::uninit(len);
    }
    &mut buffer[..len]
}

impl Pixels {
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
        let [rows, columns] = [0, 1].map(|axis| window.inside(images.size, axis));
        let width = images.size[1];
        let turned = grow(&mut self.turned, rows.len() * width * W);
        let (start, planes) = images.planes::<W>(image, block);
        if planes < W {
            turned.fill(0.0);
        }
        if planes > 0 {
            let from = &x[start + rows.start * width..];
            // SAFETY: nobody else has `turned`.
            unsafe { turn([planes, rows.len() * width], from, images.size[0] * width, Shared::new(turned), W) };
        }
        let data = grow(&mut self.data, window.size[0] * window.size[1] * W);
        for (i, to) in data.chunks_exact_mut(window.size[1] * W).enumerate() {
            let y = window.origin[0] + i as isize;
            if y < rows.start as isize || y >= rows.end as isize || columns.is_empty() {
                to.fill(0.0);
                continue;
            }
            let first = (columns.start as isize - window.origin[1]) as usize * W;
            let from = &turned[((y as usize - rows.start) * width + columns.start) * W..][..columns.len() * W];
            to[..first].fill(0.0);
            to[first..first + from.len()].copy_from_slice(from);
            to[first + from.len()..].fill(0.0);
        }
        data.as_chunks().0
    }

    /// A window of zeros, to be added to and written.
    #[inline(always)]
    pub fn zeros<const W: usize>(&mut self, window: &Window) -> &mut [Lanes<W>] {
        let data = grow(&mut self.data, window.size[0] * window.size[1] * W);
        data.fill(0.0);
        data.as_chunks_mut().0
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
        let [rows, columns] = [0, 1].map(|axis| kept.inside(images.size, axis));
        let (start, planes) = images.planes::<W>(image, block);
        assert!(columns.len() == images.size[1], "a window as wide as its image");
        let turned = grow(&mut self.turned, rows.len() * columns.len() * W);
        for (to, row) in turned.chunks_exact_mut(columns.len() * W).zip(rows.clone()) {
            let place = [row as isize - window.origin[0], -window.origin[1]].map(|at| at as usize);
            to.copy_from_slice(&self.data[(place[0] * window.size[1] + place[1]) * W..][..to.len()]);
        }
        let to = y.part(start + rows.start * columns.len());
        // SAFETY: the caller vouches for it.
        unsafe { turn([rows.len() * columns.len(), planes], turned, W, to, images.size[0] * columns.len()) };
    }
}

/// y[column·y_step + row] = x[row·x_step + column]
///
/// # Safety
/// Nothing else touches these elements of y meanwhile.
#[inline(always)]
pub unsafe fn turn([rows, columns]: [usize; 2], x: &[f32], x_step: usize, y: Shared, y_step: usize) {
    if rows * columns == 0 {
        return;
    }
    assert!((rows - 1) * x_step + columns <= x.len(), "rows of a matrix");
    // What is done in blocks of 4 by 4.
    let whole = if cfg!(target_arch = "x86_64") { [rows / 4 * 4, columns / 4 * 4] } else { [0, 0] };
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        let y = y.place(0, (columns - 1) * y_step + rows);
        for column in (0..whole[1]).step_by(4) {
            for row in (0..whole[0]).step_by(4) {
                // SAFETY: SSE is part of x86-64; x and y hold these elements by the assertion and by `place`.
                unsafe {
                    let x = x.as_ptr().add(row * x_step + column);
                    let (mut a, mut b) = (_mm_loadu_ps(x), _mm_loadu_ps(x.add(x_step)));
                    let (mut c, mut d) = (_mm_loadu_ps(x.add(2 * x_step)), _mm_loadu_ps(x.add(3 * x_step)));
                    _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
                    let y = y.add(column * y_step + row);
                    _mm_storeu_ps(y, a);
                    _mm_storeu_ps(y.add(y_step), b);
                    _mm_storeu_ps(y.add(2 * y_step), c);
                    _mm_storeu_ps(y.add(3 * y_step), d);
                }
            }
        }
    }
    for row in 0..rows {
        let first = if row < whole[0] { whole[1] } else { 0 };
        for column in first..columns {
            // SAFETY: the caller vouches that nothing else touches it.
            unsafe { y.slice(column * y_step + row, 1)[0] = x[row * x_step + column] };
        }
    }
}

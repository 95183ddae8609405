//! Tensors larger than a kernel can bind: they are worked on in pieces, ranges of elements that fit into a binding.
//!
//! A buffer may be far larger than what a kernel sees of it (WebGPU guarantees 256 MiB against 128). Elementwise kernels
//! simply run once a piece. Where an output needs elements from anywhere (a permutation, a sum over the outer axis),
//! a kernel runs for pairs of pieces and takes from each piece of x what lies in it; see `shaders/lib/span.wgsl`.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::buffer::MIN_BUFFER_BYTES;
use super::{Gpu, GpuBuffer, Kernel};

/// Bytes of an element: f32 and u32.
const ELEMENT: usize = 4;
/// Where a piece may begin: multiples of this many elements.
const ALIGNED: usize = MIN_BUFFER_BYTES as usize / ELEMENT;

/// The elements of a tensor that a kernel has bound. Twin of `Span` in `lib/span.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Span {
    /// The first one.
    pub start: u32,
    /// How many.
    pub len: u32,
}

impl From<&Range<usize>> for Span {
    fn from(piece: &Range<usize>) -> Span {
        Span { start: piece.start as u32, len: piece.len() as u32 }
    }
}

/// A tensor of so many elements, cut into pieces. Always has at least one piece.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    elements: usize,
    most: usize,
}

impl Pieces {
    /// Whether there is more than one piece.
    pub fn are_many(self) -> bool {
        self.elements > self.most
    }

    /// All pieces, in order.
    pub fn all(self) -> impl Iterator<Item = Range<usize>> {
        self.reaching(0..self.elements)
    }

    /// The pieces that hold an element of `reach`, in order; one of them if there is none in it.
    pub fn reaching(self, reach: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let last = reach.end.min(self.elements).saturating_sub(1) / self.most;
        let first = (reach.start / self.most).min(last);
        (first..=last).map(move |i| i * self.most..self.elements.min((i + 1) * self.most))
    }
}

/// The kernel, told whether it sees tensors in pieces.
pub fn in_pieces(kernel: Kernel, tensors: &[Pieces]) -> Kernel {
    match tensors.iter().any(|pieces| pieces.are_many()) {
        true => kernel.constant("in_pieces", 1.0),
        false => kernel,
    }
}

/// The least and one more than the largest offset + Σ i_d·stride_d that the elements `linear` of a tensor of `dims` have
/// (strides may be negative, in wrapping arithmetic), or a little more on both sides.
pub fn reach(dims: &[usize], strides: &[usize], offset: usize, linear: &Range<usize>) -> Range<usize> {
    let (mut low, mut high) = (offset as isize, offset as isize);
    let (mut first, mut last) = (linear.start, linear.end.saturating_sub(1));
    let mut inner: usize = dims.iter().product();
    let mut one = true; // all elements agree on the axes so far
    for (&len, &stride) in dims.iter().zip(strides) {
        inner /= len.max(1);
        let (from, to) = if one { (first / inner.max(1), last / inner.max(1)) } else { (0, len.saturating_sub(1)) };
        (first, last) = (first % inner.max(1), last % inner.max(1));
        one &= from == to;
        let ends = [from, to].map(|at| (at as isize).wrapping_mul(stride as isize));
        low += ends[0].min(ends[1]);
        high += ends[0].max(ends[1]);
    }
    low.max(0) as usize..(high.max(0) as usize + 1)
}

impl Gpu {
    /// The most bytes of a buffer that a kernel can see at a time.
    pub fn max_binding_bytes(&self) -> u64 {
        self.0.max_binding_bytes.min(self.0.binding_limit.load(Ordering::Relaxed))
    }

    /// Lets kernels see no more than this many bytes of a buffer (a multiple of 256) at a time, or as many as the device
    /// allows: so tests work in pieces on small tensors.
    #[track_caller]
    pub fn limit_bindings(&self, bytes: Option<u64>) {
        assert!(bytes.is_none_or(|b| b > 0 && b.is_multiple_of(MIN_BUFFER_BYTES)), "limit_bindings: {bytes:?}");
        self.0.binding_limit.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The pieces of a tensor of so many elements.
    pub fn pieces(&self, elements: usize) -> Pieces {
        let most = (self.max_binding_bytes() / ELEMENT as u64) as usize / ALIGNED * ALIGNED;
        Pieces { elements, most: most.max(ALIGNED) }
    }
}

impl GpuBuffer {
    /// The part that holds these elements; the buffer itself if it holds no others.
    #[track_caller]
    pub fn piece(&self, elements: &Range<usize>) -> GpuBuffer {
        let (offset, bytes) = ((elements.start * ELEMENT) as u64, (elements.len() * ELEMENT) as u64);
        if offset == 0 && bytes == self.bytes() { self.clone() } else { self.view(offset, bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_everything_once() {
        for (elements, most, count) in [(0, 64, 1), (1, 64, 1), (64, 64, 1), (65, 64, 2), (1000, 128, 8)] {
            let pieces = Pieces { elements, most };
            let all: Vec<_> = pieces.all().collect();
            assert_eq!((all.len(), all[0].start, all[count - 1].end), (count, 0, elements));
            assert!(all.windows(2).all(|w| w[0].end == w[1].start && w[0].len() == most));
            assert_eq!(pieces.are_many(), count > 1);
        }
        let reaching =
            |reach| Pieces { elements: 1000, most: 128 }.reaching(reach).map(|p| [p.start, p.end]).collect::<Vec<_>>();
        assert_eq!(reaching(130..256), [[128, 256]]);
        assert_eq!(reaching(130..257), [[128, 256], [256, 384]]);
        assert_eq!(reaching(999..5000), [[896, 1000]]);
        assert_eq!(reaching(7..7).len(), 1);
    }

    /// Against all places of all ranges of a small permuted, a broadcast and a flipped tensor.
    #[test]
    fn reach_holds_every_place() {
        let minus = |n: usize| n.wrapping_neg();
        let cases = [
            (vec![3, 4, 5], vec![1, 15, 3], 0),
            (vec![3, 4, 5], vec![5, 0, 1], 0),
            (vec![3, 4], vec![minus(4), 1], 8),
            (vec![7], vec![2], 1),
        ];
        for (dims, strides, offset) in cases {
            let n: usize = dims.iter().product();
            let place = |i: usize| {
                let (mut rest, mut at) = (i, offset);
                for d in (0..dims.len()).rev() {
                    at = usize::wrapping_add(at, (rest % dims[d]).wrapping_mul(strides[d]));
                    rest /= dims[d];
                }
                at
            };
            for start in 0..n {
                for end in start + 1..=n {
                    let reach = reach(&dims, &strides, offset, &(start..end));
                    assert!((start..end).all(|i| reach.contains(&place(i))), "{dims:?} {strides:?} {start}..{end}");
                }
            }
        }
    }
}

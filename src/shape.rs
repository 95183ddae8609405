//! Shapes, broadcasting, and the sizes and paddings of convolutions.

use std::fmt;
use std::ops::Deref;

/// The sizes of a tensor's axes, outermost first. A scalar has no axes: `[]`, one element.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Number of elements (1 for a scalar).
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// Number of elements, or `None` if it cannot be counted.
    pub fn checked_len(&self) -> Option<usize> {
        self.0.iter().try_fold(1usize, |n, &len| n.checked_mul(len))
    }

    /// True if an axis has size 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The sizes as a slice.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The shape that `a` and `b` broadcast to (NumPy's rule: align right, sizes equal or 1), if they do.
    pub fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
        let rank = a.rank().max(b.rank());
        let size = |s: &Shape, axis: usize| {
            let missing = rank - s.rank();
            if axis < missing { 1 } else { s.0[axis - missing] }
        };
        (0..rank)
            .map(|axis| match (size(a, axis), size(b, axis)) {
                (x, y) if x == y => Some(x),
                (1, y) => Some(y),
                (x, 1) => Some(x),
                _ => None,
            })
            .collect::<Option<Vec<usize>>>()
            .map(Shape)
    }

    /// Strides with which a tensor of this shape is read as `target`: 0 on broadcast axes.
    /// `self` must broadcast to `target`.
    pub fn broadcast_strides(&self, target: &Shape) -> Vec<usize> {
        let missing = target.rank() - self.rank();
        let own = self.strides();
        (0..target.rank())
            .map(|axis| if axis < missing || self.0[axis - missing] == 1 { 0 } else { own[axis - missing] })
            .collect()
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const R: usize> From<[usize; R]> for Shape {
    fn from(dims: [usize; R]) -> Shape {
        Shape(dims.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Shape {
        Shape(dims)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        shape.clone()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Merges neighbouring axes that every operand walks evenly and drops axes of size 1: the same elements in the same
/// order with as few axes as possible (strides may be negative, in wrapping arithmetic). Returns the sizes and each operand's strides; at least one axis remains.
pub fn collapse<const N: usize>(dims: &[usize], strides: [&[usize]; N]) -> (Vec<usize>, [Vec<usize>; N]) {
    let mut sizes: Vec<usize> = Vec::new();
    let mut merged: [Vec<usize>; N] = std::array::from_fn(|_| Vec::new());
    for axis in (0..dims.len()).filter(|&axis| dims[axis] != 1) {
        let even = |s: usize| merged[s].last().is_some_and(|&outer| outer == strides[s][axis].wrapping_mul(dims[axis]));
        if let Some(last) = sizes.last_mut()
            && (0..N).all(even)
        {
            *last *= dims[axis];
            (0..N).for_each(|s| *merged[s].last_mut().unwrap_or(&mut 0) = strides[s][axis]);
        } else {
            sizes.push(dims[axis]);
            (0..N).for_each(|s| merged[s].push(strides[s][axis]));
        }
    }
    if sizes.is_empty() {
        sizes.push(1);
        merged.iter_mut().for_each(|s| s.push(0));
    }
    (sizes, merged)
}

/// Zeros around an image: `[top, bottom, left, right]`.
pub type Padding = [usize; 4];

/// Output size of a convolution along one axis: floor((len + before + after − ((k−1)·dilation + 1)) / stride) + 1,
/// or `None` if the kernel does not fit.
pub fn conv_size(
    len: usize,
    kernel: usize,
    stride: usize,
    before: usize,
    after: usize,
    dilation: usize,
) -> Option<usize> {
    let span = (kernel.checked_sub(1)?) * dilation + 1;
    (len + before + after).checked_sub(span).map(|room| room / stride + 1)
}

/// Keras's (TensorFlow's) 'same' rule along one axis, as (before, after):
/// total = max((ceil(len/stride) − 1)·stride + (k−1)·dilation + 1 − len, 0), the odd zero goes after.
pub fn same_padding(len: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let out = len.div_ceil(stride);
    let total = ((out.max(1) - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(len);
    (total / 2, total - total / 2)
}

/// Keras's 'same' rule for a transposed convolution along one axis: the output has len·stride elements, and the
/// returned (before, after) is the padding of the convolution it transposes, that is what is cropped from the full
/// result: before = max((k−1)·dilation + 1 − stride, 0) / 2.
pub fn same_transpose_padding(len: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let span = (kernel - 1) * dilation + 1;
    let full = (len.max(1) - 1) * stride + span;
    let before = span.saturating_sub(stride) / 2;
    (before, full.saturating_sub(len * stride + before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting() {
        let b = |a: &[usize], b: &[usize]| Shape::broadcast(&a.into(), &b.into()).map(|s| s.dims().to_vec());
        assert_eq!(b(&[4, 1, 3], &[2, 1]), Some(vec![4, 2, 3]));
        assert_eq!(b(&[], &[2, 3]), Some(vec![2, 3]));
        assert_eq!(b(&[0, 1], &[1, 5]), Some(vec![0, 5]));
        assert_eq!(b(&[2, 3], &[3, 2]), None);
        assert_eq!(Shape::from([3, 1]).broadcast_strides(&[2, 3, 4].into()), vec![0, 1, 0]);
    }

    #[test]
    fn collapsing() {
        assert_eq!(collapse(&[2, 3, 4], [&[12, 4, 1]]), (vec![24], [vec![1]]));
        assert_eq!(
            collapse(&[2, 3, 4, 5], [&[60, 20, 5, 1], &[0, 1, 0, 0]]),
            (vec![2, 3, 20], [vec![60, 20, 1], vec![0, 1, 0]])
        );
        assert_eq!(collapse(&[1, 1], [&[0, 0]]), (vec![1], [vec![0]]));
        assert_eq!(collapse(&[3, 1, 4], [&[1, 0, 3]]), (vec![3, 4], [vec![1, 3]]));
    }

    #[test]
    fn keras_same() {
        assert_eq!(same_padding(28, 4, 2, 1), (1, 1));
        assert_eq!(same_padding(7, 4, 1, 1), (1, 2));
        assert_eq!(same_padding(5, 1, 2, 1), (0, 0));
        assert_eq!(same_transpose_padding(7, 4, 1, 1), (1, 2));
        assert_eq!(same_transpose_padding(7, 4, 2, 1), (1, 1));
        assert_eq!(same_transpose_padding(4, 5, 2, 1), (1, 2));
        // A kernel smaller than the stride: nothing is cropped, zeros fill up to len·stride.
        assert_eq!(same_transpose_padding(4, 2, 3, 1), (0, 0));
        for (len, kernel, stride) in [(7, 4, 1), (7, 4, 2), (5, 5, 2), (4, 2, 3), (3, 3, 3), (1, 4, 2)] {
            let (before, after) = same_transpose_padding(len, kernel, stride, 1);
            assert_eq!(conv_size(len * stride, kernel, stride, before, after, 1), Some(len), "{len} {kernel} {stride}");
        }
    }

    #[test]
    fn kernel_that_does_not_fit() {
        assert_eq!(conv_size(2, 4, 1, 0, 1, 1), None);
        assert_eq!(conv_size(2, 4, 1, 1, 1, 1), Some(1));
    }
}

//! Windows over images, their sums and means: maps along each axis, no kernel of their own; the maxima are in `max_pool`.

use crate::ops::AxisMap;
use crate::shape::{Padding, Shape, same_padding};
use crate::tensor::Tensor;

/// A pooling window's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride, from 1.
    pub stride: [usize; 2],
    /// Places outside the image: top, bottom, left, right. Less than the window, so that each window holds an element.
    pub padding: Padding,
    /// Distance between the places of a window, from 1.
    pub dilation: [usize; 2],
    /// A last window that reaches past the padded image counts too, if it begins inside the image or the padding before it.
    pub ceil_mode: bool,
}

impl Pool2d {
    /// Square windows side by side.
    pub fn new(kernel: usize) -> Pool2d {
        Pool2d { kernel: [kernel; 2], stride: [kernel; 2], padding: [0; 4], dilation: [1; 2], ceil_mode: false }
    }

    /// With this stride.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Pool2d {
        self.stride = [stride; 2];
        self
    }

    /// With `padding` places on all four sides.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Pool2d {
        self.padding = [padding; 4];
        self
    }

    /// With the padding that gives ceil(size / stride): ONNX's SAME_UPPER (the odd place goes after, as in Keras), or
    /// SAME_LOWER (before).
    #[must_use]
    pub fn same(mut self, size: [usize; 2], lower: bool) -> Pool2d {
        for (axis, &len) in size.iter().enumerate() {
            let (few, many) = same_padding(len, self.kernel[axis], self.stride[axis], self.dilation[axis]);
            (self.padding[2 * axis], self.padding[2 * axis + 1]) = if lower { (many, few) } else { (few, many) };
        }
        self
    }

    /// Windows along one axis (0 vertical, 1 horizontal) of `len` elements, if any fits.
    fn out_len(&self, axis: usize, len: usize) -> Option<usize> {
        let [before, after] = [self.padding[2 * axis], self.padding[2 * axis + 1]];
        let span = (self.kernel[axis].checked_sub(1)?) * self.dilation[axis] + 1;
        let room = (len + before + after).checked_sub(span)?;
        let stride = self.stride[axis];
        if !self.ceil_mode {
            return Some(room / stride + 1);
        }
        let out = room.div_ceil(stride) + 1;
        // The last window must not begin in the padding behind the image.
        Some(if (out - 1) * stride >= len + before { out - 1 } else { out })
    }

    /// The places inside the image that window `o` holds along one axis.
    pub(crate) fn places(&self, axis: usize, o: usize, len: usize) -> impl Iterator<Item = usize> {
        let (start, step, before) = (o * self.stride[axis], self.dilation[axis], self.padding[2 * axis]);
        (0..self.kernel[axis]).filter_map(move |i| (start + i * step).checked_sub(before).filter(|&place| place < len))
    }

    /// The sizes of the images of `shape` and of the result.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, shape: &Shape) -> ([usize; 2], [usize; 2]) {
        let fits = shape.rank() == 4 && !self.stride.contains(&0) && !self.dilation.contains(&0);
        let size = |axis: usize| {
            let span = self.kernel[axis].checked_sub(1)? * self.dilation[axis] + 1;
            let padding = self.padding[2 * axis].max(self.padding[2 * axis + 1]);
            self.out_len(axis, shape[axis + 2]).filter(|_| padding < span)
        };
        match (fits.then(|| size(0)).flatten(), fits.then(|| size(1)).flatten()) {
            (Some(oh), Some(ow)) => ([shape[2], shape[3]], [oh, ow]),
            _ => panic!("{name}: the window does not fit (x {shape}, {self:?})"),
        }
    }

    /// The map along one axis that sums windows, each divided by `divisor(window, elements inside)`.
    fn map(&self, axis: usize, len: usize, out: usize, mean: Option<bool>) -> AxisMap {
        let [before, after] = [self.padding[2 * axis], self.padding[2 * axis + 1]];
        AxisMap::cached(("pool", self, axis, len, mean), || {
            AxisMap::new(
                len,
                (0..out).map(|o| {
                    let places: Vec<usize> = self.places(axis, o, len).collect();
                    let count = match mean {
                        None => 1,
                        Some(false) => places.len().max(1),
                        // Padding counts, what a last window holds beyond it does not.
                        Some(true) => {
                            let start = o * self.stride[axis];
                            let inside = |i: &usize| start + i * self.dilation[axis] < before + len + after;
                            (0..self.kernel[axis]).filter(inside).count()
                        }
                    };
                    places.into_iter().map(|place| (place, 1.0 / count as f64)).collect()
                }),
            )
        })
    }

    #[track_caller]
    fn apply(&self, name: &str, x: &Tensor, mean: Option<bool>) -> Tensor {
        let (size, out) = self.check(name, x.shape());
        let along = |x: Tensor, axis: usize| x.map_axis(axis + 2, &self.map(axis, size[axis], out[axis], mean));
        (0..2).fold(x.clone(), along)
    }
}

/// Pooling and rearranging pixels.
impl Tensor {
    /// The sum of each window of images [N, C, H, W]; result [N, C, OH, OW].
    #[track_caller]
    pub fn sum_pool2d(&self, pool: Pool2d) -> Tensor {
        pool.apply("sum_pool2d", self, None)
    }

    /// The mean of each window of images [N, C, H, W]. With `count_padding`, places in the padding count as zeros; else
    /// the mean is over the elements inside the image. Result [N, C, OH, OW].
    #[track_caller]
    pub fn avg_pool2d(&self, pool: Pool2d, count_padding: bool) -> Tensor {
        pool.apply("avg_pool2d", self, Some(count_padding))
    }

    /// The mean of each plane of [N, C, H, W], as [N, C, 1, 1].
    #[track_caller]
    pub fn global_avg_pool2d(&self) -> Tensor {
        self.mean_keep(&[2, 3])
    }

    /// The largest element of each plane of [N, C, H, W], as [N, C, 1, 1]; equal ones share the derivative evenly.
    #[track_caller]
    pub fn global_max_pool2d(&self) -> Tensor {
        self.max_keep(&[2, 3])
    }

    /// [N, C·r², H, W] -> [N, C, H·r, W·r]: channel (c·r + i)·r + j gives the pixels (y·r + i, x·r + j) (Shi et al. 2016).
    #[track_caller]
    pub fn pixel_shuffle(&self, r: usize) -> Tensor {
        let (n, c, h, w) = (self.dim(0), self.dim(1), self.dim(2), self.dim(3));
        assert!(r > 0 && c % (r * r) == 0, "pixel_shuffle: {c} channels are no multiple of {r}² (x {})", self.shape());
        let c = c / (r * r);
        self.reshape([n * c, r, r, h, w]).permute(&[0, 3, 1, 4, 2]).reshape([n, c, h * r, w * r])
    }

    /// [N, C, H·r, W·r] -> [N, C·r², H, W]: the inverse of [`Tensor::pixel_shuffle`].
    #[track_caller]
    pub fn pixel_unshuffle(&self, r: usize) -> Tensor {
        let (n, c, h, w) = (self.dim(0), self.dim(1), self.dim(2), self.dim(3));
        assert!(
            r > 0 && h % r + w % r == 0,
            "pixel_unshuffle: {h}x{w} pixels are no multiple of {r} (x {})",
            self.shape()
        );
        let x = self.reshape([n * c, h / r, r, w / r, r]).permute(&[0, 2, 4, 1, 3]);
        x.reshape([n, c * r * r, h / r, w / r])
    }
}

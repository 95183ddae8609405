//! Products, variances, norms, Gram matrices and kept axes: made of sums and other ops, no kernel of their own.

use crate::shape::Shape;
use crate::tensor::Tensor;

/// Which divisor a variance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variance {
    /// N: the variance of just these values (biased as an estimate).
    Population,
    /// N − 1: the estimate for what they were drawn from (unbiased; NaN for one value).
    Sample,
}

impl Variance {
    fn divisor(self, count: usize) -> f64 {
        match self {
            Variance::Population => count as f64,
            Variance::Sample => count as f64 - 1.0,
        }
    }
}

/// Reductions that are made of others.
impl Tensor {
    /// This reduced tensor with `axes` put back, each of size 1.
    #[track_caller]
    pub fn insert_axes(&self, axes: &[usize]) -> Tensor {
        let rank = self.rank() + axes.len();
        assert!(axes.iter().all(|&axis| axis < rank), "insert_axes: {axes:?} into a tensor of shape {}", self.shape());
        let mut own = self.shape().iter();
        let size = |axis: usize| if axes.contains(&axis) { Some(1) } else { own.next().copied() };
        let shape: Option<Vec<usize>> = (0..rank).map(size).collect();
        let Some(shape) = shape else { panic!("insert_axes: {axes:?} are not distinct (x {})", self.shape()) };
        self.reshape(shape)
    }

    /// Σ over `axes`, which stay with size 1.
    #[track_caller]
    pub fn sum_keep(&self, axes: &[usize]) -> Tensor {
        self.sum_axes(axes).insert_axes(axes)
    }

    /// Mean over `axes`, which stay with size 1.
    #[track_caller]
    pub fn mean_keep(&self, axes: &[usize]) -> Tensor {
        self.mean_axes(axes).insert_axes(axes)
    }

    /// The largest element over `axes`, which stay with size 1.
    #[track_caller]
    pub fn max_keep(&self, axes: &[usize]) -> Tensor {
        self.max_axes(axes).insert_axes(axes)
    }

    /// The smallest element over `axes`, which stay with size 1.
    #[track_caller]
    pub fn min_keep(&self, axes: &[usize]) -> Tensor {
        self.min_axes(axes).insert_axes(axes)
    }

    /// Π over `axes`, which disappear; 1 over nothing. A tree of products by halves, so that zeros need no special
    /// treatment in the gradient.
    #[track_caller]
    pub fn prod_axes(&self, axes: &[usize]) -> Tensor {
        let kept: Vec<usize> = (0..self.rank()).filter(|axis| !axes.contains(axis)).collect();
        let shape = Shape::from(kept.iter().map(|&axis| self.shape()[axis]).collect::<Vec<_>>());
        let count = axes.iter().map(|&axis| self.dim(axis)).product();
        let order = [&kept[..], axes].concat();
        let mut x = self.permute(&order).reshape([shape.len(), count]);
        if count == 0 {
            return Tensor::full(self.device(), shape, 1.0);
        }
        while x.dim(1) > 1 {
            let half = x.dim(1) / 2;
            let odd = x.dim(1) % 2;
            let product = x.narrow(1, 0, half) * x.narrow(1, half, half);
            x = if odd == 0 { product } else { Tensor::concat(&[&product, &x.narrow(1, 2 * half, 1)], 1) };
        }
        x.reshape(shape)
    }

    /// Variance over `axes`, which disappear: Σ(x − mean)² / N, or / (N − 1) for a sample.
    #[track_caller]
    pub fn var_axes(&self, axes: &[usize], kind: Variance) -> Tensor {
        let count = axes.iter().map(|&axis| self.dim(axis)).product();
        (self - self.mean_keep(axes)).square().sum_axes(axes) * (1.0 / kind.divisor(count))
    }

    /// √Σx² over `axes`, which disappear; the derivative at the zero vector is 0.
    #[track_caller]
    pub fn norm_axes(&self, axes: &[usize]) -> Tensor {
        self.square().sum_axes(axes).sqrt_flat_at_zero()
    }

    /// √x with derivative 0 at 0, where [`Tensor::sqrt`] has an infinite one.
    pub fn sqrt_flat_at_zero(&self) -> Tensor {
        let [zero, one] = [0.0, 1.0].map(|v| Tensor::scalar(self.device(), v));
        let is_zero = self.equal(&zero);
        is_zero.select(&zero, &is_zero.select(&one, self).sqrt())
    }

    /// Σ|x| over `axes`, which disappear.
    #[track_caller]
    pub fn norm1_axes(&self, axes: &[usize]) -> Tensor {
        self.abs().sum_axes(axes)
    }

    /// max |x| over `axes`, which disappear.
    #[track_caller]
    pub fn norm_max_axes(&self, axes: &[usize]) -> Tensor {
        self.abs().max_axes(axes)
    }

    /// Gram matrices of images [N, C, …]: G[n, i, j] = Σ x[n, i, ·]·x[n, j, ·], as [N, C, C]; divided by nothing.
    #[track_caller]
    pub fn gram(&self) -> Tensor {
        let [n, c] = [self.dim(0), self.dim(1)];
        let rows = self.reshape([n, c, self.shape()[2..].iter().product()]);
        rows.matmul_transposed(&rows, false, true)
    }
}

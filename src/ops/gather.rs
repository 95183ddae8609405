//! Reading and adding at given indices: gather, index_select, scatter_add, embedding; maps along an axis, no kernel of their own.

use crate::error::Result;
use crate::ops::{AxisMap, Indices};
use crate::tensor::Tensor;

impl Tensor {
    /// The elements `indices` of one axis: `y[…, i, …] = x[…, indices[i], …]`. The axis then has `indices.len()` elements.
    ///
    /// # Errors
    /// What went wrong on the device that made the indices.
    ///
    /// # Panics
    /// If an index is not below the axis's length.
    #[track_caller]
    pub fn index_select(&self, axis: usize, indices: &Indices) -> Result<Tensor> {
        Ok(self.map_axis(axis, &self.pick_map("index_select", axis, indices)?))
    }

    /// This tensor plus `src` added at `indices` of one axis: `y[…, indices[i], …] += src[…, i, …]`; equal indices add
    /// up in order. The adjoint of [`Tensor::index_select`].
    ///
    /// # Errors
    /// What went wrong on the device that made the indices.
    #[track_caller]
    pub fn scatter_add(&self, axis: usize, indices: &Indices, src: &Tensor) -> Result<Tensor> {
        Ok(self + src.map_axis(axis, &self.pick_map("scatter_add", axis, indices)?.transpose()))
    }

    /// One element a place along `axis`: `y[…, i, …] = x[…, indices[…, i, …], …]`. `indices` has y's shape, which is
    /// this tensor's but for that axis.
    ///
    /// # Errors
    /// What went wrong on the device that made the indices.
    #[track_caller]
    pub fn gather(&self, axis: usize, indices: &Indices) -> Result<Tensor> {
        let same = |d: usize| d == axis || indices.shape().get(d) == self.shape().get(d);
        assert!(
            axis < self.rank() && indices.shape().rank() == self.rank() && (0..self.rank()).all(same),
            "gather: indices {} should have the shape of x {} but for axis {axis}",
            indices.shape(),
            self.shape()
        );
        let (len, out) = (self.dim(axis), indices.shape()[axis]);
        let inner: usize = self.shape()[axis + 1..].iter().product();
        let host = indices.host()?;
        let places = host.iter().enumerate().map(|(at, &index)| {
            assert!((index as usize) < len, "gather: index {index} of an axis of {len} elements");
            (at / inner / out.max(1) * len + index as usize) * inner + at % inner
        });
        let map = AxisMap::pick(self.len(), places);
        Ok(self.reshape([self.len()]).map_axis(0, &map).reshape(indices.shape()))
    }

    /// Rows of this table [V, D] by index: result `[indices' shape, D]`.
    ///
    /// # Errors
    /// What went wrong on the device that made the indices.
    #[track_caller]
    pub fn embedding(&self, indices: &Indices) -> Result<Tensor> {
        let d = self.dim(1);
        Ok(self.index_select(0, indices)?.reshape([&indices.shape()[..], &[d]].concat()))
    }

    #[track_caller]
    fn pick_map(&self, name: &str, axis: usize, indices: &Indices) -> Result<AxisMap> {
        let (len, host) = (self.dim(axis), indices.host()?);
        if let Some(index) = host.iter().find(|&&index| index as usize >= len) {
            panic!("{name}: index {index} of an axis of {len} elements (x {})", self.shape());
        }
        Ok(AxisMap::pick(len, host.iter().map(|&index| index as usize)))
    }
}

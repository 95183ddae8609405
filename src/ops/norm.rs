//! Instance, layer, group and adaptive instance normalisation: batch normalisation of reshaped images, no kernel of their own.

use crate::ops::Activation;
use crate::ops::reduce_more::Variance;
use crate::tensor::Tensor;

impl Tensor {
    /// f of this tensor as `rows` parts of equal size, each with mean 0 and variance 1 (biased, plus eps). Its first
    /// gradient is batch normalisation's fused one.
    #[track_caller]
    fn normalized_rows(&self, rows: usize, eps: f64, f: Activation) -> Tensor {
        let len = self.len().checked_div(rows).unwrap_or(0);
        self.reshape([1, rows, len]).batch_norm_activated(None, None, eps, f).0.reshape(self.shape())
    }

    /// gamma·x + beta for `[C]` (a value a channel) or [N, C] (a value a sample and channel) and images [N, C, …].
    #[track_caller]
    pub fn channel_affine(&self, gamma: Option<&Tensor>, beta: Option<&Tensor>) -> Tensor {
        let spread = |values: &Tensor| {
            let (n, c) = (self.dim(0), self.dim(1));
            let per_sample = values.rank() == 2;
            assert!(
                values.shape()[..] == [c] || values.shape()[..] == [n, c],
                "channel_affine: gamma and beta should be [{c}] or [{n}, {c}] (x {}, got {})",
                self.shape(),
                values.shape()
            );
            let mut shape = vec![1; self.rank()];
            (shape[0], shape[1]) = (if per_sample { n } else { 1 }, c);
            values.reshape(shape)
        };
        let scaled = gamma.map_or(self.clone(), |gamma| self * spread(gamma));
        beta.map_or(scaled.clone(), |beta| scaled + spread(beta))
    }

    /// Instance normalisation (Ulyanov et al. 2016): each plane of [N, C, …] minus its mean, over its standard deviation
    /// (biased), then gamma and beta: `[C]`, or [N, C] for a style of each sample's own (conditional).
    #[track_caller]
    pub fn instance_norm(&self, gamma: Option<&Tensor>, beta: Option<&Tensor>, eps: f64) -> Tensor {
        self.normalized_rows(self.dim(0) * self.dim(1), eps, Activation::Identity).channel_affine(gamma, beta)
    }

    /// f of [`Tensor::instance_norm`] without gamma and beta; in one pass for the leaky relus.
    #[track_caller]
    pub fn instance_norm_activated(&self, eps: f64, f: Activation) -> Tensor {
        self.normalized_rows(self.dim(0) * self.dim(1), eps, f)
    }

    /// Layer normalisation (Ba et al. 2016) over all axes from `axis` on, gamma and beta of that shape.
    #[track_caller]
    pub fn layer_norm(&self, axis: usize, gamma: Option<&Tensor>, beta: Option<&Tensor>, eps: f64) -> Tensor {
        let scaled = self.normalized_rows(self.shape()[..axis].iter().product(), eps, Activation::Identity);
        let scaled = gamma.map_or(scaled.clone(), |gamma| scaled * gamma);
        beta.map_or(scaled.clone(), |beta| scaled + beta)
    }

    /// Group normalisation (Wu and He 2018): the channels of [N, C, …] in `groups` groups, each normalised by sample;
    /// gamma and beta `[C]`. One group is layer normalisation of images with a gamma a channel.
    #[track_caller]
    pub fn group_norm(&self, groups: usize, gamma: Option<&Tensor>, beta: Option<&Tensor>, eps: f64) -> Tensor {
        let c = self.dim(1);
        assert!(
            groups > 0 && c.is_multiple_of(groups),
            "group_norm: {c} channels in {groups} groups (x {})",
            self.shape()
        );
        self.normalized_rows(self.dim(0) * groups, eps, Activation::Identity).channel_affine(gamma, beta)
    }

    /// Adaptive instance normalisation (Huang and Belongie 2017, eq. 8): this content's planes with the means and
    /// standard deviations of the style's, σ = √(var + eps) for both. `kind` is the divisor of both variances.
    #[track_caller]
    pub fn adain(&self, style: &Tensor, eps: f64, kind: Variance) -> Tensor {
        assert!(
            self.rank() == 4 && style.rank() == 4 && self.shape()[..2] == style.shape()[..2],
            "adain: expects images of equal N and C (content {}, style {})",
            self.shape(),
            style.shape()
        );
        let axes = [2, 3];
        let deviation = |x: &Tensor| (x.var_axes(&axes, kind) + eps).sqrt(); // [N, C]
        let (scale, shift) = (deviation(style), style.mean_axes(&axes));
        match kind {
            Variance::Population => self.instance_norm(Some(&scale), Some(&shift), eps),
            Variance::Sample => {
                let centred = self - self.mean_keep(&axes);
                (centred / deviation(self).insert_axes(&axes)).channel_affine(Some(&scale), Some(&shift))
            }
        }
    }
}

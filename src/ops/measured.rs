//! Products whose kernels tell the moments of what they compute, tile by tile, to the normalisation behind them.

use super::batch_norm::Sizes;
use super::bias_activation::{Activated, Activation, DENSE, Product, activated, one_matrix};
use super::conv2d::Conv2d;
use super::conv2d_input::Conv2dInput;
use super::results::results;
use crate::gpu::gemm::{self, Finish, Moments};
use crate::gpu::tuning;
use crate::gpu::{Gpu, GpuBuffer};
use crate::shape::Shape;
use crate::tensor::{Device, Op, Tensor};

/// What the statistics of a normalisation are taken over, channel by channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Each of so many batches of equal size that lie one behind the other.
    Batches(usize),
    /// Each image by itself.
    Images,
}

/// Room for the moments of a product's value, and behind it what they follow from: for each group (a channel of a part: of a batch
/// or of an image) and each tile of the kernels the number of elements, their mean and the sum of their squared distances from
/// it. Used up by the normalisation that they were taken for.
#[derive(Debug)]
pub struct TileMoments {
    /// [`TileMoments::first`] and 3·groups·tiles numbers.
    pub(super) values: Tensor,
    pub(super) sizes: Sizes,
    /// Tiles of a group.
    pub(super) tiles: usize,
}

impl TileMoments {
    /// Where the tiles' numbers begin: behind room for means, variances and running statistics, where a buffer can be bound.
    pub(super) fn first(sizes: Sizes) -> usize {
        (2 * (sizes.parts + 1) * sizes.c).next_multiple_of(64)
    }
}

/// Elements of a group that invocations of the normalising kernel can count: each takes every 256th.
const MOST: usize = 256 * 30_000;

/// How a product takes moments along.
struct Plan {
    products: Vec<gemm::Product>,
    variant: tuning::Variant,
    sizes: Sizes,
    tiles: usize,
}

impl Plan {
    /// None where the kernels of this device cannot, or where it is not worth it.
    fn new<P: Product>(gpu: &Gpu, product: P, x: &[&Shape], y: &Shape, f: Activation, over: Over) -> Option<Plan> {
        let images = y[P::CHANNELS - 1];
        let parts = if let Over::Batches(batches) = over { batches } else { images };
        let bent = f == Activation::Identity || matches!(f, Activation::LeakyRelu { slope } if slope >= 0.0);
        if !bent || y.is_empty() || parts == 0 || !images.is_multiple_of(parts) {
            return None;
        }
        let l = y[P::CHANNELS + 1..].iter().product();
        let sizes = Sizes { parts, n: images / parts, c: y[P::CHANNELS], l };
        // Without, each image is normalised as a channel by itself.
        let (whole, elements) = match over {
            Over::Batches(_) => (sizes.whole(gpu), sizes.count() * parts),
            Over::Images => (Sizes { parts: 1, c: sizes.groups(), ..sizes }.whole(gpu), sizes.count()),
        };
        if sizes.count() > MOST || !tuning::measures(gpu, elements, whole) {
            return None;
        }
        let products = product.by_channels(x, y);
        let variant = tuning::choose(gpu, &products).ok()?;
        let tiles = gemm::moment_tiles(gpu, variant, &products, parts, y.len())?;
        let plan = Plan { products, variant, sizes, tiles };
        (plan.len() as u64 * 4 <= gpu.max_binding_bytes()).then_some(plan)
    }

    /// Elements of [`TileMoments::values`].
    fn len(&self) -> usize {
        TileMoments::first(self.sizes) + 3 * self.sizes.groups() * self.tiles
    }
}

/// f of a product with a bias a channel, and its moments where the kernels take them along.
#[track_caller]
fn measured<P: Product>(
    product: P,
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    f: Activation,
    over: Over,
) -> (Tensor, Option<TileMoments>) {
    let op = Activated { product, f };
    let reads: Vec<&Tensor> = [x, w].into_iter().chain(b).collect();
    let shapes: Vec<&Shape> = reads.iter().map(|t| t.shape()).collect();
    let one_device = reads.iter().all(|t| t.device() == x.device());
    // What does not fit is told where the product is computed by itself.
    let plan = match (x.device(), op.infer(&shapes)) {
        (Device::Gpu(gpu), Ok(y)) if one_device => {
            Plan::new(gpu, product, &shapes[..2], &y, f, over).map(|plan| (gpu, y, plan))
        }
        _ => None,
    };
    let Some((gpu, shape, plan)) = plan else { return (activated(product, x, w, b, f), None) };
    let first = TileMoments::first(plan.sizes);
    let flop = || product.flop(&shapes[..2], &shape);
    let run = |reads: &[&GpuBuffer], [y, values]: [&GpuBuffer; 2]| {
        let to = values.view(first as u64 * 4, (plan.len() - first) as u64 * 4);
        let finish = Finish {
            bias: reads.get(2).copied(),
            f: f.code(),
            moments: Some(Moments { stretches: plan.sizes.parts, to: &to }),
            ..Finish::NONE
        };
        let operands = [reads[1], reads[0], y];
        gemm::run(gpu, plan.variant, &plan.products, operands, finish, shape.len(), product.name())
    };
    let [y, values] = results(P::ACTIVATED, gpu, &reads, [shape.clone(), [plan.len()].into()], flop, run);
    let y = if b.is_none() && f == Activation::Identity { y.made_by(product, &reads) } else { y.made_by(op, &reads) };
    (y, Some(TileMoments { values, sizes: plan.sizes, tiles: plan.tiles }))
}

/// Layers' products in front of a normalisation: each with its moments where the device's kernels take them along at no cost to
/// speak of, for [`Tensor::batch_norm_measured`] or [`Tensor::instance_norm_measured`].
impl Tensor {
    /// [`Tensor::conv2d_activated`].
    #[track_caller]
    pub fn conv2d_measured(
        &self,
        w: &Tensor,
        b: Option<&Tensor>,
        conv: Conv2d,
        f: Activation,
        over: Over,
    ) -> (Tensor, Option<TileMoments>) {
        measured(conv, self, w, b, f, over)
    }

    /// [`Tensor::conv_transpose2d_activated`].
    #[track_caller]
    pub fn conv_transpose2d_measured(
        &self,
        w: &Tensor,
        b: Option<&Tensor>,
        (conv, size): (Conv2d, [usize; 2]),
        f: Activation,
        over: Over,
    ) -> (Tensor, Option<TileMoments>) {
        measured(Conv2dInput { conv, size }, self, w, b, f, over)
    }

    /// [`Tensor::linear_activated`].
    #[track_caller]
    pub fn linear_measured(
        &self,
        w: &Tensor,
        b: Option<&Tensor>,
        f: Activation,
        over: Over,
    ) -> (Tensor, Option<TileMoments>) {
        let (y, moments) = measured(DENSE, &one_matrix(self), &one_matrix(w), b, f, over);
        (y.reshape(&y.shape()[1..]), moments)
    }
}

//! Case rows: resizing, pooling, blurs, normalisation layers.

use super::reductions::as_tensor;
use super::{Case, Range, Tolerance::*, normal, told};
use crate::autograd::differentiable_grad;
use crate::ops::reduce_more::Variance;
use crate::ops::resample::{Antialias, Coordinates, Nearest};
use crate::ops::{Activation, PadMode, Pool2d};
use crate::tensor::{Tensor, recording};

type F = fn(&Tensor) -> Tensor;

pub(super) fn rows() -> Vec<Case> {
    let row = |name: &str, shape: &[usize], f: F| Case::new(name, vec![normal(shape)], move |x| f(&x[0]));
    let mut table = vec![
        row("upsample_nearest", &[2, 3, 5, 4], |x| x.upsample_nearest(2)).within(Exact),
        row("resize_nearest: down", &[2, 3, 7, 9], |x| x.resize_nearest([3, 4])).within(Exact),
        row("resize_nearest: half-pixel", &[1, 2, 5, 8], |x| {
            x.resize_nearest_with([7, 3], Coordinates::HalfPixel, Nearest::PreferFloor)
        })
        .within(Exact),
        row("resize_nearest: half-pixel, prefer ceil", &[1, 2, 6, 8], |x| {
            x.resize_nearest_with([3, 12], Coordinates::HalfPixel, Nearest::PreferCeil)
        })
        .within(Exact),
        row("resize_nearest: align corners, ceil", &[1, 2, 6, 5], |x| {
            x.resize_nearest_with([3, 9], Coordinates::AlignCorners, Nearest::Ceil)
        })
        .within(Exact),
        row("resize_bilinear: half-pixel", &[2, 3, 5, 4], |x| {
            x.resize_bilinear([9, 3], Coordinates::HalfPixel, Antialias::Off)
        }),
        row("resize_bilinear: align corners", &[2, 3, 5, 4], |x| {
            x.resize_bilinear([7, 9], Coordinates::AlignCorners, Antialias::Off)
        }),
        row("resize_bilinear: asymmetric", &[1, 2, 4, 7], |x| {
            x.resize_bilinear([6, 3], Coordinates::Asymmetric, Antialias::Off)
        }),
        row("resize_bilinear: half-pixel symmetric", &[1, 2, 4, 7], |x| {
            x.resize_bilinear([6, 3], Coordinates::HalfPixelSymmetric, Antialias::Off)
        }),
        row("resize_bilinear: antialias", &[1, 2, 11, 9], |x| {
            x.resize_bilinear([4, 2], Coordinates::HalfPixel, Antialias::Inside)
        }),
        row("resize_bilinear: antialias, edge", &[1, 2, 11, 9], |x| {
            x.resize_bilinear([4, 2], Coordinates::HalfPixel, Antialias::Edge)
        }),
        row("resize_bilinear: antialias, up", &[1, 2, 3, 4], |x| {
            x.resize_bilinear([5, 4], Coordinates::HalfPixel, Antialias::Inside)
        }),
        row("upsample_bilinear", &[2, 2, 3, 5], |x| x.upsample_bilinear(2, Coordinates::HalfPixel)),
        row("sum_pool2d", &[2, 3, 7, 6], |x| x.sum_pool2d(Pool2d::new(3).stride(2).padding(1))).within(Accumulated(9)),
        row("avg_pool2d", &[2, 3, 7, 6], |x| x.avg_pool2d(Pool2d::new(2), true)),
        row("avg_pool2d: padding left out", &[2, 3, 7, 6], |x| {
            x.avg_pool2d(Pool2d::new(3).stride(2).padding(1), false)
        })
        .within(Accumulated(9)),
        row("avg_pool2d: ceil, padding counts", &[1, 2, 6, 9], |x| {
            x.avg_pool2d(Pool2d { ceil_mode: true, ..Pool2d::new(3).stride(2).padding(1) }, true)
        })
        .within(Accumulated(9)),
        row("avg_pool2d: overlapping, same", &[1, 2, 6, 9], |x| {
            x.avg_pool2d(Pool2d::new(4).stride(3).same([6, 9], true), false)
        })
        .within(Accumulated(16)),
        row("global_avg_pool2d", &[2, 3, 5, 7], Tensor::global_avg_pool2d).within(Accumulated(35)),
        row("pixel_shuffle", &[2, 12, 3, 5], |x| x.pixel_shuffle(2)).within(Exact),
        row("pixel_unshuffle", &[2, 2, 6, 9], |x| x.pixel_unshuffle(3)).within(Exact),
        row("pixel_shuffle: and back", &[1, 8, 2, 3], |x| x.pixel_shuffle(2).pixel_unshuffle(2) - x)
            .within(Exact)
            .order(0),
        row("blur: 3 taps", &[2, 3, 6, 5], |x| x.blur(3, 1, None)),
        row("blur: 3 taps, stride 2", &[2, 3, 7, 5], |x| x.blur(3, 2, Some(PadMode::Reflect))),
        row("blur: 4 taps, stride 2", &[2, 3, 8, 5], |x| x.blur(4, 2, Some(PadMode::Edge))),
        row("resize_bilinear: large", &[3, 17, 33, 29], |x| {
            x.resize_bilinear([70, 41], Coordinates::HalfPixel, Antialias::Off)
        })
        .order(0),
    ];
    table.extend(max_pools());
    table.extend(norms());
    table
}

fn max(x: &Tensor, pool: Pool2d) -> Tensor {
    told(x.max_pool2d(pool), x.device())
}

/// The adjoint, with the places of one fixed image.
fn row_of_gradients() -> Case {
    Case::new("max_pool2d_input", vec![normal([1, 2, 3, 4])], |dy| {
        let values: Vec<f32> = (0..84).map(|i| ((i * 37 + 11) % 84) as f32).collect();
        let x = Tensor::new(dy[0].device(), [1, 2, 6, 7], &values);
        let loss = recording(|| (max(&x, Pool2d::new(3).stride(2).padding(1)) * &dy[0]).sum());
        differentiable_grad(&loss, [&x])[0].clone()
    })
    .within(Accumulated(4))
}

fn max_pools() -> Vec<Case> {
    // Distinct values an eighth apart: no tie, and finite differences do not cross one.
    let pool = |name: &str, shape: [usize; 4], f: F| {
        let n: usize = shape.iter().product();
        let values = (0..n).map(|i| ((i * 37 + 11) % n) as f32 / 8.0 - 7.0).collect();
        Case::new(name, vec![(shape.into(), Range::Exactly(values))], move |x| f(&x[0])).within(Exact)
    };
    let mut table = vec![
        pool("max_pool2d", [2, 3, 7, 6], |x| max(x, Pool2d::new(2))),
        pool("max_pool2d: overlapping, padded", [2, 3, 7, 6], |x| max(x, Pool2d::new(3).stride(2).padding(1)))
            .within(Accumulated(4)),
        pool("max_pool2d: ceil", [1, 2, 6, 9], |x| max(x, Pool2d { ceil_mode: true, ..Pool2d::new(3).stride(2) }))
            .within(Accumulated(4)),
        pool("max_pool2d: dilated, 3x2", [1, 2, 9, 8], |x| {
            max(x, Pool2d { kernel: [3, 2], stride: [1, 2], padding: [1, 0, 2, 1], dilation: [2, 3], ceil_mode: false })
        })
        .within(Accumulated(6)),
        pool("max_pool2d: same", [1, 2, 5, 7], |x| max(x, Pool2d::new(4).stride(3).same([5, 7], false)))
            .within(Accumulated(4)),
        row_of_gradients(),
        pool("global_max_pool2d", [2, 3, 5, 7], Tensor::global_max_pool2d),
    ];
    let nan = f32::NAN;
    let odd = vec![1.0, 1.0, nan, 2.0, f32::INFINITY, -1.0, f32::NEG_INFINITY, nan, 0.0, -0.0, 3.0, 3.0];
    table.push(
        Case::new("max_pool2d: edges", vec![([1, 1, 3, 4].into(), Range::Exactly(odd.clone()))], move |x| {
            max(&x[0], Pool2d::new(2).stride(1))
        })
        .within(Exact)
        .order(0),
    );
    table.push(
        Case::new("max_pool2d: all equal", vec![([1, 2, 4, 5].into(), Range::Exactly(vec![0.5]))], |x| {
            as_tensor(x[0].max_pool2d_places(Pool2d::new(3).stride(2).padding(1)), x[0].device())
        })
        .within(Exact)
        .order(0),
    );
    table.push(
        Case::new("max_pool2d: the first of equal ones", vec![([1, 1, 3, 4].into(), Range::Exactly(odd))], |x| {
            as_tensor(x[0].max_pool2d_places(Pool2d::new(2).stride(1)), x[0].device())
        })
        .within(Exact)
        .order(0),
    );
    table
}

fn norms() -> Vec<Case> {
    let loose = Limit(5e-6, "a difference divided by a standard deviation");
    let (x, c, nc) = ([3, 4, 5, 6], [4], [3, 4]);
    vec![
        Case::new("instance_norm", vec![normal(x)], |x| x[0].instance_norm(None, None, 1e-5)).within(loose),
        Case::new("instance_norm: relu", vec![normal(x)], |x| {
            x[0].instance_norm_activated(1e-5, Activation::LeakyRelu { slope: 0.0 })
        })
        .within(loose),
        Case::new("instance_norm: tanh", vec![normal(x)], |x| x[0].instance_norm_activated(1e-5, Activation::Tanh))
            .within(loose),
        Case::new("instance_norm: affine", vec![normal(x), normal(c), normal(c)], |x| {
            x[0].instance_norm(Some(&x[1]), Some(&x[2]), 1e-3)
        })
        .within(loose),
        Case::new("instance_norm: a style of each sample", vec![normal(x), normal(nc), normal(nc)], |x| {
            x[0].instance_norm(Some(&x[1]), Some(&x[2]), 1e-3)
        })
        .within(loose),
        Case::new("layer_norm", vec![normal([5, 9]), normal([9]), normal([9])], |x| {
            x[0].layer_norm(1, Some(&x[1]), Some(&x[2]), 1e-5)
        })
        .within(loose),
        Case::new("layer_norm: images", vec![normal(x), normal([4, 5, 6])], |x| {
            x[0].layer_norm(1, Some(&x[1]), None, 1e-5)
        })
        .within(loose),
        Case::new("group_norm", vec![normal([2, 6, 3, 5]), normal([6]), normal([6])], |x| {
            x[0].group_norm(3, Some(&x[1]), Some(&x[2]), 1e-5)
        })
        .within(loose),
        Case::new("adain", vec![normal(x), normal([3, 4, 2, 7])], |x| x[0].adain(&x[1], 1e-5, Variance::Population))
            .within(loose),
        Case::new("adain: sample variance", vec![normal(x), normal([3, 4, 2, 7])], |x| {
            x[0].adain(&x[1], 1e-5, Variance::Sample)
        })
        .within(loose),
        Case::new("spectral_norm", vec![normal([5, 3, 2, 2]), normal([5])], |x| {
            x[0].spectral_norm(&x[1].detach(), 0, 2, 1e-12).w
        })
        .within(loose)
        .constants("u and v, by definition"),
        Case::new("spectral_norm: transposed convolution", vec![normal([5, 3, 2, 2]), normal([3])], |x| {
            x[0].spectral_norm(&x[1].detach(), 1, 1, 1e-12).w
        })
        .within(loose)
        .constants("u and v, by definition"),
    ]
}

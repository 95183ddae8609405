//! Resampling, pooling and layout against values known from elsewhere: small examples that a hand can check.

use crate::devices;
use toile::autograd::grad;
use toile::ops::losses::smooth_l1;
use toile::ops::reduce_more::Variance;
use toile::ops::resample::{Antialias, Coordinates, Nearest, Resize};
use toile::ops::{Indices, PadMode, Pool2d};
use toile::{Device, Tensor};

/// 1, 2, 3 … as an image of one channel.
fn counting(device: &Device, h: usize, w: usize) -> Tensor {
    let values: Vec<f32> = (1..=h * w).map(|v| v as f32).collect();
    Tensor::new(device, [1, 1, h, w], &values)
}

fn hold(what: &str, f: impl Fn(&Device) -> Tensor, want: &[f64]) {
    for device in [Some(Device::Reference), Some(Device::Cpu), devices::gpu()].into_iter().flatten() {
        let got = f(&device).to_vec_f64().unwrap();
        assert_eq!(got.len(), want.len(), "{what} on {device}: {got:?}");
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() <= 2e-6 * want.abs().max(1.0), "{what} on {device}: {got} is not {want}");
        }
    }
}

#[test]
fn nearest_neighbour() {
    let up = |size, coordinates, rule| move |d: &Device| counting(d, 4, 4).resize_nearest_with(size, coordinates, rule);
    let rows = |order: [usize; 8]| -> Vec<f64> {
        order.iter().flat_map(|&y| order.iter().map(move |&x| (y * 4 + x + 1) as f64)).collect()
    };
    let half = up([8, 8], Coordinates::HalfPixel, Nearest::Ceil);
    hold("half-pixel, ceil", half, &rows([0, 1, 1, 2, 2, 3, 3, 3]));
    let corners = up([8, 8], Coordinates::AlignCorners, Nearest::Floor);
    hold("align corners, floor", corners, &rows([0, 0, 0, 1, 1, 2, 2, 3]));
    let asymmetric = up([8, 8], Coordinates::Asymmetric, Nearest::PreferCeil);
    hold("asymmetric, prefer ceil", asymmetric, &rows([0, 1, 1, 2, 2, 3, 3, 3]));
    hold("prefer floor", up([1, 3], Coordinates::HalfPixel, Nearest::PreferFloor), &[5.0, 6.0, 8.0]);
    hold("floor", |d| counting(d, 2, 2).resize_nearest([2, 5]), &[1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0]);
}

#[test]
fn bilinear() {
    let by = |coordinates, h, w, antialias| {
        move |d: &Device| {
            let axis = |out| Resize { out, scale: 0.6f32 as f64, coordinates };
            let x = if h == 1 { counting(d, 1, w) } else { counting(d, h, w) };
            let x = if h == 1 { x } else { x.resize_axis_linear(2, axis(h * 3 / 5), antialias) };
            x.resize_axis_linear(3, axis(2), antialias)
        }
    };
    let off = Antialias::Off;
    hold("half-pixel", by(Coordinates::HalfPixel, 2, 4, off), &[2.6666667, 4.3333333]);
    hold("align corners", by(Coordinates::AlignCorners, 2, 4, off), &[1.0, 3.142857]);
    hold("symmetric", by(Coordinates::HalfPixelSymmetric, 1, 4, off), &[1.6666667, 3.3333333]);
    hold("antialias", by(Coordinates::HalfPixel, 4, 4, Antialias::Edge), &[2.875, 4.5, 9.375, 11.0]);
    let want = [2.3636363, 3.590909, 4.818182, 7.2727275, 8.5, 9.727273, 12.181818, 13.409091, 14.636364];
    let smaller = |d: &Device| counting(d, 4, 4).resize_bilinear([3, 3], Coordinates::HalfPixel, Antialias::Edge);
    hold("antialias to a size", smaller, &want);
    // Weights 1 − |i − ⅓|·0.6 of the elements inside only: (0.8·1 + 0.6·2) / 1.4, and mirrored.
    hold("antialias inside", by(Coordinates::HalfPixel, 1, 4, Antialias::Inside), &[10.0 / 7.0, 3.0]);
    hold(
        "middle of a row",
        |d| counting(d, 1, 2).resize_bilinear([1, 4], Coordinates::HalfPixel, off),
        &[1.0, 1.25, 1.75, 2.0],
    );
}

#[test]
fn pools() {
    let same = |d: &Device| counting(d, 5, 5).avg_pool2d(Pool2d::new(3).stride(2).same([5, 5], false), false);
    hold("mean, same", same, &[4.0, 5.5, 7.0, 11.5, 13.0, 14.5, 19.0, 20.5, 22.0]);
    let zeros = |d: &Device| counting(d, 5, 5).avg_pool2d(Pool2d::new(5).stride(1).padding(2), true).narrow(2, 0, 1);
    hold("mean, zeros count", zeros, &[2.52, 3.6, 4.8, 4.08, 3.24]);
    let max = |pool: Pool2d| move |d: &Device| counting(d, 4, 4).max_pool2d(pool).unwrap();
    let ceil = Pool2d { ceil_mode: true, ..Pool2d::new(3).stride(2) };
    hold("max, ceil", max(ceil), &[11.0, 12.0, 15.0, 16.0]);
    let dilated = Pool2d { dilation: [2, 2], ..Pool2d::new(2).stride(1) };
    hold("max, dilated", max(dilated), &[11.0, 12.0, 15.0, 16.0]);
    let single = Pool2d { ceil_mode: true, ..Pool2d::new(1).stride(2) };
    hold("no window that begins outside", |d| counting(d, 2, 2).max_pool2d(single).unwrap(), &[1.0]);
}

#[test]
fn pixels_and_blur() {
    let shuffled = |d: &Device| counting(d, 4, 2).reshape([1, 4, 1, 2]).pixel_shuffle(2);
    hold("pixel_shuffle", shuffled, &[1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]);
    let three = |d: &Device| counting(d, 1, 1).pad(&[0, 0, 1, 1], &[0, 0, 2, 2]).blur(3, 2, None) * 16.0;
    hold("blur with three taps", three, &[1.0; 4]);
    let four = |d: &Device| counting(d, 1, 1).pad(&[0, 0, 1, 1], &[0, 0, 2, 2]).blur(4, 2, None) * 64.0;
    hold("blur with four taps", four, &[9.0, 3.0, 3.0, 1.0]);
}

#[test]
fn layout() {
    let row = |d: &Device| Tensor::new(d, [3], &[1.0, 2.0, 3.0]);
    hold("reflect", |d| row(d).pad_mode(&[2], &[1], PadMode::Reflect), &[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    hold("edge", |d| row(d).pad_mode(&[2], &[1], PadMode::Edge), &[1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
    hold("circular", |d| row(d).pad_mode(&[2], &[1], PadMode::Circular), &[2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
    hold("value", |d| row(d).pad_value(&[1], &[2], 9.0), &[9.0, 1.0, 2.0, 3.0, 9.0, 9.0]);
    hold("flip", |d| row(d).flip(&[0]), &[3.0, 2.0, 1.0]);
    hold("tile", |d| row(d).tile(&[2]), &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    hold("repeat_each", |d| row(d).repeat_each(0, 2), &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    hold("stack", |d| Tensor::stack(&[&row(d), &(row(d) * 2.0)], 1), &[1.0, 2.0, 2.0, 4.0, 3.0, 6.0]);
}

/// d Σ f(x) / dx at x.
fn slope(f: fn(&Tensor) -> Tensor, x: &'static [f32]) -> impl Fn(&Device) -> Tensor {
    move |d| {
        let x = Tensor::new(d, [x.len()], x);
        grad(&f(&x).sum(), [&x])[0].clone()
    }
}

#[test]
fn conventions_at_kinks_and_ties() {
    const KINK: &[f32] = &[-1.0, 0.0, 1.0];
    hold("relu", slope(Tensor::relu, KINK), &[0.0, 0.0, 1.0]);
    hold("leaky_relu", slope(|x| x.leaky_relu(0.25), KINK), &[0.25, 0.25, 1.0]);
    hold("abs", slope(Tensor::abs, KINK), &[-1.0, 0.0, 1.0]);
    hold("elu", slope(|x| x.elu(0.5), KINK), &[0.5 * (-1.0f64).exp(), 0.5, 1.0]);
    hold("clamp", slope(|x| x.clamp(-1.0, 0.0), KINK), &[1.0, 1.0, 0.0]);
    hold("max", slope(|x| x.maximum(&x.detach().clamp(0.0, 0.0)), KINK), &[0.0, 0.5, 1.0]);
    hold("min", slope(|x| x.minimum(&x.detach().clamp(0.0, 0.0)), KINK), &[1.0, 0.5, 0.0]);
    hold("max_axes", slope(|x| x.max_axes(&[0]), &[2.0, 1.0, 2.0]), &[0.5, 0.0, 0.5]);
    hold("norm_axes", slope(|x| x.norm_axes(&[0]), &[0.0, 0.0]), &[0.0, 0.0]);
    hold("prod_axes", slope(|x| x.prod_axes(&[0]), &[2.0, 0.0, 3.0]), &[0.0, 6.0, 0.0]);
    let first = |x: &Tensor| x.reshape([1, 1, 1, 3]).max_pool2d(Pool2d { kernel: [1, 3], ..Pool2d::new(1) }).unwrap();
    hold("max_pool2d", slope(first, &[2.0, 1.0, 2.0]), &[1.0, 0.0, 0.0]);
    hold("smooth_l1", slope(|x| smooth_l1(x, &(x.detach() * 0.0), 1.0) * 3.0, &[-2.0, 0.5, 1.0]), &[-1.0, 0.5, 1.0]);
    // (p − t)/max(p·(1 − p), 1e-12) with targets 1.
    hold("bce", slope(|x| x.bce(&(x.detach() * 0.0 + 1.0)), &[0.0, 1.0, 0.5]), &[-1e12, 0.0, -2.0]);
}

#[test]
fn values_of_small_reductions() {
    let x = |d: &Device| Tensor::new(d, [2, 3], &[1.0, 2.0, 4.0, -1.0, 0.0, 1.0]);
    hold("sample variance", |d| x(d).var_axes(&[1], Variance::Sample), &[7.0 / 3.0, 1.0]);
    hold("variance", |d| x(d).var_axes(&[1], Variance::Population), &[14.0 / 9.0, 2.0 / 3.0]);
    hold("prod_axes", |d| x(d).prod_axes(&[1]), &[8.0, 0.0]);
    hold("norm1_axes", |d| x(d).norm1_axes(&[1]), &[7.0, 2.0]);
    hold("gram", |d| x(d).reshape([1, 2, 3]).gram(), &[21.0, 3.0, 3.0, 2.0]);
    hold("logsumexp", |d| x(d).logsumexp(&[1]), &[4.169846, 1.407606]);
    hold("pixel losses", |d| smooth_l1(&x(d), &(x(d) * 0.0), 2.0).reshape([1]), &[(0.25 + 1.0 + 3.0 + 0.5) / 6.0]);
    let labels = |d: &Device| Indices::new(d, [2], vec![2, 0]);
    hold("cross_entropy", |d| x(d).cross_entropy(&labels(d)).unwrap(), &[0.169846, 2.407606]);
    for d in [Some(Device::Reference), Some(Device::Cpu), devices::gpu()].into_iter().flatten() {
        assert_eq!(x(&d).argmax(1).unwrap().to_vec().unwrap(), [2, 2]);
        assert_eq!(x(&d).argmin(0).unwrap().to_vec().unwrap(), [1, 1, 1]);
    }
}

#[test]
#[should_panic(expected = "index_select: index 7 of an axis of 3 elements (x [3])")]
fn an_index_outside_is_named() {
    let x = Tensor::zeros(&Device::Cpu, [3]);
    let _ = x.index_select(0, &toile::ops::Indices::new(&Device::Cpu, [2], vec![0, 7]));
}

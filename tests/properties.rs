//! Properties that hold whatever the shapes: adjointness on the reference, agreement of the devices; on random cases.
//!
//! `TOILE_PROPERTY_CASES` (or `PROPTEST_CASES`) says how many cases in all, `TOILE_PROPERTY_SEED` which. Equal numbers give
//! equal cases on every machine; a failure prints both and the smallest case it could find.

use crate::devices;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use toile::autograd::{grad_all, jvp};
use toile::check::{Tolerance, compare};
use toile::ops::reduce_more::Variance;
use toile::ops::resample::{Antialias, Coordinates};
use toile::ops::{Conv2d, Indices, PadMode, Pool2d};
use toile::rng::{Domain, Stream};
use toile::{Device, Tensor};

/// Cases of a test run, all properties together.
const CASES: u64 = 500;

/// What a dot product may differ from its adjoint's, relative to the product of the norms.
const ADJOINT: f64 = 1e-12;

type Outcome = Result<(), String>;

fn setting(names: &[&str], default: u64) -> u64 {
    let value = names.iter().find_map(|name| std::env::var(name).ok());
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{names:?}: `{text}` is no whole number")))
}

/// Holds `property` on its share (in hundredths) of all cases.
fn hold<S: Strategy>(name: &str, share: u64, strategy: S, property: impl Fn(S::Value) -> Outcome) {
    let cases = setting(&["TOILE_PROPERTY_CASES", "PROPTEST_CASES"], CASES);
    let seed = setting(&["TOILE_PROPERTY_SEED"], 1);
    let config = Config {
        cases: (cases * share).div_ceil(100) as u32,
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(&strategy, |case| property(case).map_err(TestCaseError::fail)) {
        panic!("{name}: {error}\nTOILE_PROPERTY_SEED={seed} TOILE_PROPERTY_CASES={cases} gives the same cases again");
    }
}

/// N(0, 1) in multiples of 1/64, so exact in f32, on the reference.
fn normal(shape: &[usize], seed: u64, which: u64) -> Tensor {
    let n: usize = shape.iter().product();
    let values = Stream::new(seed, Domain::Test, which).normal_vec(n);
    let values: Vec<f32> = values.into_iter().map(|v| (v * 64.0).round() / 64.0).collect();
    Tensor::new(&Device::Reference, shape, &values)
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_vec_f64().expect("a working device")
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

/// Two values of one bilinear form ⟨y, u⟩, given the norms' product.
fn equal(what: &str, a: f64, b: f64, y: &Tensor, u: &Tensor) -> Outcome {
    let scale = (dot(y, y) * dot(u, u)).sqrt().max(1.0);
    if (a - b).abs() <= ADJOINT * scale { Ok(()) } else { Err(format!("{what}: {a:e} against {b:e}, norms {scale:e}")) }
}

/// ⟨f(x), u⟩ = ⟨x, fᵀ(u)⟩ on the reference for an f that is linear in x; fᵀ is the gradient's.
fn adjoint(f: &dyn Fn(&Tensor) -> Tensor, x: &Tensor, seed: u64) -> Outcome {
    let y = f(x);
    let u = normal(y.shape(), seed, 901);
    let dx = grad_all(&(&y * &u).sum(), &[x]).remove(0);
    equal("⟨f(x), u⟩ = ⟨x, fᵀ(u)⟩", dot(&y, &u), dot(x, &dx), &y, &u)
}

/// ⟨J·v, u⟩ = ⟨v, Jᵀ·u⟩ on the reference for any smooth f; J·v goes through the gradient of the gradient.
fn tangent(f: &dyn Fn(&[Tensor]) -> Tensor, x: &[Tensor], seed: u64) -> Outcome {
    let v: Vec<Tensor> = (0..).zip(x).map(|(i, x)| normal(x.shape(), seed, 911 + i)).collect();
    let targets: Vec<&Tensor> = x.iter().collect();
    let (y, dy) = jvp(f, &targets, &v.iter().collect::<Vec<_>>());
    let u = normal(y.shape(), seed, 902);
    let x: Vec<Tensor> = x.iter().map(Tensor::detach).collect();
    let d = grad_all(&(f(&x) * &u).sum(), &x.iter().collect::<Vec<_>>());
    let back: f64 = d.iter().zip(&v).map(|(d, v)| dot(d, v)).sum();
    let scale = d.iter().map(|d| dot(d, d)).sum::<f64>().sqrt() * v.iter().map(|v| dot(v, v)).sum::<f64>().sqrt();
    let (forward, limit) = (dot(&dy, &u), ADJOINT * scale.max(1.0) * 10.0);
    if (forward - back).abs() <= limit {
        Ok(())
    } else {
        Err(format!("⟨Jv, u⟩ {forward:e}, ⟨v, Jᵀu⟩ {back:e}"))
    }
}

/// f gives on `cpu` and `gpu` what it gives on the reference. Errors are relative to the largest value, or to `floor`.
fn agree(f: &dyn Fn(&[Tensor]) -> Tensor, x: &[Tensor], tolerance: Tolerance, floor: f64) -> Outcome {
    let want = f(x);
    let expected = values(&want);
    for device in devices::all().into_iter().skip(1) {
        let here: Vec<Tensor> = x.iter().map(|x| x.to_device(&device).expect("a working device")).collect();
        let got = f(&here);
        if got.shape() != want.shape() {
            return Err(format!("{device}: shape {} against {}", got.shape(), want.shape()));
        }
        let deviation = compare(want.shape(), &values(&got), &expected, floor);
        if deviation.error > tolerance.limit() {
            return Err(format!("{device}: {deviation}, limit {:.1e}", tolerance.limit()));
        }
    }
    Ok(())
}

/// A convolution of random shape. The image's size follows from the output's, as it must for `output padding`.
#[derive(Clone, Debug)]
struct Convolution {
    conv: Conv2d,
    x: [usize; 4],
    w: [usize; 4],
    seed: u64,
}

fn convolution() -> impl Strategy<Value = Convolution> {
    let pair = |most: usize| [1..=most, 1..=most];
    let channels = (1..=3usize, 1..=3usize, 1..=3usize, 1..=4usize); // groups, c and o a group, images
    let window = (pair(4), pair(3), pair(3), [0..=3usize, 0..=3, 0..=3, 0..=3]); // kernel, stride, dilation, padding
    (channels, window, pair(5), [0..=2usize, 0..=2], any::<u64>()).prop_map(
        |((groups, c, o, n), (kernel, stride, dilation, padding), out, extra, seed)| {
            let size = |d: usize| {
                let full = (out[d] - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1 + extra[d] % stride[d];
                full.saturating_sub(padding[2 * d] + padding[2 * d + 1]).max(1)
            };
            let conv = Conv2d { stride, padding, dilation, groups };
            Convolution { conv, x: [n, groups * c, size(0), size(1)], w: [groups * o, c, kernel[0], kernel[1]], seed }
        },
    )
}

#[test]
fn the_three_faces_of_a_convolution_are_adjoint() {
    hold("convolution", 30, convolution(), |Convolution { conv, x, w, seed }| {
        let size = [x[2], x[3]];
        let kernel = [w[2], w[3]];
        let Some([oh, ow]) = conv.output_size(size, kernel) else { return Ok(()) };
        let (x, w, g) = (normal(&x, seed, 0), normal(&w, seed, 1), normal(&[x[0], w[0], oh, ow], seed, 2));
        let y = x.conv2d(&w, conv);
        let value = dot(&y, &g);
        equal("⟨conv(x, w), g⟩ = ⟨x, conv_input(g, w)⟩", value, dot(&x, &g.conv_transpose2d(&w, conv, size)), &y, &g)?;
        equal("⟨conv(x, w), g⟩ = ⟨w, conv_weight(x, g)⟩", value, dot(&w, &x.conv2d_weight(&g, conv, kernel)), &y, &g)?;
        // The sums: over taps, over taps and filters, over places and images. Typical sizes are their roots.
        let within = |terms: usize| (Tolerance::Accumulated(terms), (terms as f64).sqrt());
        let (taps, places) = (w.len() / w.dim(0), g.len() / g.dim(1));
        let (tolerance, floor) = within(taps);
        agree(&|t| t[0].conv2d(&t[1], conv), &[x.clone(), w.clone()], tolerance, floor)?;
        let (tolerance, floor) = within(taps * w.dim(0));
        agree(&|t| t[0].conv_transpose2d(&t[1], conv, size), &[g.clone(), w.clone()], tolerance, floor)?;
        let (tolerance, floor) = within(places);
        agree(&|t| t[0].conv2d_weight(&t[1], conv, kernel), &[x, g], tolerance, floor)
    });
}

/// Shapes that broadcast against one another: the common one, and which axes each operand has of size 1 or lacks.
fn broadcast() -> impl Strategy<Value = ([Vec<usize>; 2], u64)> {
    let axes = prop::collection::vec((1..=5usize, 0..3u8), 0..=5);
    (axes, [0..=2usize, 0..=2], any::<u64>()).prop_map(|(axes, missing, seed)| {
        let side = |which: usize| {
            let all = axes.iter().map(|&(len, one)| if one as usize == which + 1 { 1 } else { len });
            all.skip(missing[which]).collect()
        };
        ([side(0), side(1)], seed)
    })
}

#[test]
fn broadcasting_agrees_and_its_gradients_are_adjoint() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let ops: Vec<(F, Tolerance)> = vec![
        (|a, b| a + b, Tolerance::Elementwise),
        (|a, b| a - b, Tolerance::Elementwise),
        (|a, b| a * b, Tolerance::Elementwise),
        (|a, b| a / (b.square() + 1.0), Tolerance::Elementwise),
        (Tensor::maximum, Tolerance::Exact),
        (Tensor::minimum, Tolerance::Exact),
        (Tensor::gt, Tolerance::Exact),
        (|a, b| b.gt(&Tensor::scalar(b.device(), 0.0)).select(a, b), Tolerance::Exact),
    ];
    let which = 0..ops.len();
    hold("broadcast", 15, (broadcast(), which), |(([a, b], seed), which)| {
        let (a, b) = (normal(&a, seed, 0), normal(&b, seed, 1));
        adjoint(&|a| a * &b, &a, seed)?;
        adjoint(&|b| &a * b, &b, seed)?;
        adjoint(&|a| a - &b * a, &a, seed)?;
        let (f, tolerance) = ops[which];
        agree(&|x| f(&x[0], &x[1]), &[a, b], tolerance, 1.0)
    });
}

/// A shape and some of its axes.
fn reduction() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, u64)> {
    let axes = prop::collection::vec((1..=7usize, any::<bool>()), 1..=5);
    (axes, any::<u64>()).prop_map(|(axes, seed)| {
        let reduced = (0..axes.len()).filter(|&axis| axes[axis].1).collect();
        (axes.into_iter().map(|(len, _)| len).collect(), reduced, seed)
    })
}

#[test]
fn reductions_agree_and_are_adjoint() {
    hold("reduction", 15, (reduction(), 0..8usize), |((shape, axes, seed), which)| {
        let x = normal(&shape, seed, 0);
        let terms = axes.iter().map(|&axis| shape[axis]).product::<usize>().max(1);
        adjoint(&|x| x.sum_axes(&axes), &x, seed)?;
        let (root, accumulated) = ((terms as f64).sqrt(), Tolerance::Accumulated(terms));
        let one = std::slice::from_ref(&x);
        match which {
            0 | 1 => agree(&|x| x[0].sum_axes(&axes), one, accumulated, root),
            2 => agree(&|x| x[0].mean_axes(&axes), one, accumulated, 1.0),
            3 => agree(&|x| x[0].max_axes(&axes), one, Tolerance::Exact, 1.0),
            4 => agree(&|x| x[0].min_axes(&axes), one, Tolerance::Exact, 1.0),
            5 => {
                tangent(&|x| x[0].var_axes(&axes, Variance::Population), one, seed)?;
                agree(&|x| x[0].var_axes(&axes, Variance::Population), one, accumulated, 1.0)
            }
            6 => {
                tangent(&|x| x[0].logsumexp(&axes), one, seed)?;
                agree(&|x| x[0].logsumexp(&axes), one, Tolerance::Transcendental, 1.0)
            }
            _ => {
                let axis = axes.first().copied().unwrap_or(0);
                tangent(&|x| x[0].softmax(axis), one, seed)?;
                let f = |x: &[Tensor]| {
                    let places = x[0].argmax(axis).and_then(|places| places.to_vec()).expect("a working device");
                    let places: Vec<f32> = places.into_iter().map(|place| place as f32).collect();
                    let rest: Vec<usize> = (0..x[0].rank()).filter(|&a| a != axis).map(|a| x[0].dim(a)).collect();
                    Tensor::new(x[0].device(), rest, &places)
                };
                agree(&f, one, Tolerance::Exact, 1.0)
            }
        }
    });
}

#[test]
fn matrix_products_agree_and_are_adjoint() {
    let sizes = ([1..=9usize, 1..=9, 1..=40], [1..=3usize, 1..=3], 0..4u8, any::<[bool; 2]>(), any::<u64>());
    hold("matmul", 10, sizes, |([m, n, k], batch, lead, [ta, tb], seed)| {
        let matrix = |rows, columns, turned: bool| if turned { [columns, rows] } else { [rows, columns] };
        // Leading axes that broadcast, in four ways.
        let (la, lb): (Vec<usize>, Vec<usize>) = match lead {
            0 => (vec![], vec![]),
            1 => (vec![batch[0]], vec![batch[0]]),
            2 => (vec![batch[0], 1], vec![batch[1]]),
            _ => (vec![], vec![batch[1]]),
        };
        let a = normal(&[&la[..], &matrix(m, k, ta)].concat(), seed, 0);
        let b = normal(&[&lb[..], &matrix(k, n, tb)].concat(), seed, 1);
        adjoint(&|a| a.matmul_transposed(&b, ta, tb), &a, seed)?;
        adjoint(&|b| a.matmul_transposed(b, ta, tb), &b, seed)?;
        let (tolerance, floor) = (Tolerance::Accumulated(k), (k as f64).sqrt());
        agree(&|x| x[0].matmul_transposed(&x[1], ta, tb), &[a, b], tolerance, floor)
    });
}

/// A layout op with numbers that are fitted to whatever shape it meets.
#[derive(Clone, Debug)]
struct Move {
    kind: u8,
    numbers: [usize; 5],
}

impl Move {
    fn apply(&self, x: &Tensor) -> Tensor {
        let rank = x.rank();
        let number = |i: usize, most: usize| self.numbers[i % 5] % (most + 1);
        let each = |most: usize, from: usize| (0..rank).map(|d| number(d + from, most)).collect::<Vec<_>>();
        let first = self.numbers[0] % rank.max(1);
        match self.kind {
            0 => {
                let mut axes: Vec<usize> = (0..rank).collect();
                (1..rank).for_each(|i| axes.swap(i, number(i, i)));
                x.permute(&axes)
            }
            1 => x.pad_value(&each(2, 0), &each(1, 2), 0.0),
            2 => {
                let step: Vec<usize> = each(2, 1).into_iter().map(|s| s + 1).collect();
                let start: Vec<usize> = (0..rank).map(|d| number(d, x.dim(d).saturating_sub(1))).collect();
                let len: Vec<usize> = (0..rank).map(|d| (x.dim(d) - start[d]).div_ceil(step[d])).collect();
                x.slice(&start, &step, &len)
            }
            3 => x.flip(&(0..rank).filter(|&d| number(d, 1) == 1).collect::<Vec<_>>()),
            4 => x.expand([&[number(0, 2) + 1], &x.shape()[..]].concat()).reshape(
                // At most four axes go on: the first two become one.
                if rank == 0 {
                    vec![number(0, 2) + 1]
                } else {
                    merged(&[&[number(0, 2) + 1], &x.shape()[..]].concat())
                },
            ),
            5 if rank > 0 => Tensor::concat(&[x, &x.narrow(first, 0, x.dim(first).div_ceil(2)), x], first),
            6 if rank > 0 => x.tile(&each(1, 0).into_iter().map(|times| times + 1).collect::<Vec<_>>()),
            7 if rank > 0 => {
                let mode = [PadMode::Reflect, PadMode::Edge, PadMode::Circular][number(0, 2)];
                let around = |i: usize| (0..rank).map(|d| number(d + i, 2).min(x.dim(d) - 1)).collect::<Vec<_>>();
                x.pad_mode(&around(1), &around(3), mode)
            }
            8 if rank > 0 => {
                let len = x.dim(first);
                let picks = (0..number(1, 4) + 1).map(|i| (self.numbers[i] % len) as u32).collect::<Vec<_>>();
                let picks = Indices::new(x.device(), [picks.len()], picks);
                x.index_select(first, &picks).expect("indices made on the host")
            }
            9 if rank > 0 => {
                let picks = (0..x.dim(first)).map(|i| (self.numbers[i % 5] % 4) as u32).collect();
                let picks = Indices::new(x.device(), [x.dim(first)], picks);
                let mut shape = x.shape().to_vec();
                shape[first] = 4;
                Tensor::zeros(x.device(), shape).scatter_add(first, &picks, x).expect("indices made on the host")
            }
            _ => x.reshape([x.len()]),
        }
    }
}

fn merged(shape: &[usize]) -> Vec<usize> {
    [&[shape[0] * shape[1]], &shape[2..]].concat()
}

#[test]
fn chains_of_layout_ops_agree_and_are_adjoint() {
    let moves = prop::collection::vec((0..11u8, any::<[u8; 5]>()), 1..=3);
    let shape = prop::collection::vec(1..=4usize, 0..=4);
    hold("layout", 20, (shape, moves, any::<u64>()), |(shape, moves, seed)| {
        let moves: Vec<Move> =
            moves.into_iter().map(|(kind, numbers)| Move { kind, numbers: numbers.map(usize::from) }).collect();
        let x = normal(&shape, seed, 0);
        let f = |x: &Tensor| moves.iter().fold(x.clone(), |x, op| op.apply(&x));
        adjoint(&f, &x, seed)?;
        // Sums of multiples of 1/64 are exact; so is all else here.
        agree(&|x| f(&x[0]), &[x], Tolerance::Exact, 1.0)
    });
}

/// Pooling, resizing and blurring that fit images of this size.
fn resampled(x: &Tensor, which: u8, [a, b, c]: [usize; 3]) -> Tensor {
    let size = [a % 7 + 1, b % 7 + 1];
    let coordinates = select_coordinates(c);
    let kernel = a % x.dim(2).min(x.dim(3)) + 1;
    let pool = Pool2d { ceil_mode: c % 2 == 1, ..Pool2d::new(kernel).stride(b % 3 + 1).padding(b % kernel) };
    match which {
        0 => x.resize_nearest(size),
        1 => x.resize_bilinear(size, coordinates, Antialias::Off),
        2 => x.resize_bilinear(size, Coordinates::HalfPixel, Antialias::Inside),
        3 => x.avg_pool2d(pool, c % 4 < 2),
        4 => x.sum_pool2d(pool),
        5 => x.pad(&[0, 0, 2, 2], &[0, 0, 2, 2]).blur(3 + a % 2, b % 2 + 1, None),
        6 => x.upsample_nearest(a % 3 + 1).pixel_unshuffle(a % 3 + 1),
        _ => x.max_pool2d(pool).expect("a working device"),
    }
}

fn select_coordinates(c: usize) -> Coordinates {
    [Coordinates::HalfPixel, Coordinates::AlignCorners, Coordinates::Asymmetric][c % 3]
}

#[test]
fn resampling_and_pooling_agree_and_are_adjoint() {
    let cases = ([1..=2usize, 1..=3, 1..=6, 1..=6], 0..8u8, any::<[u8; 3]>(), any::<u64>());
    hold("resampling", 5, cases, |(shape, which, numbers, seed)| {
        let (x, numbers) = (normal(&shape, seed, 0), numbers.map(usize::from));
        adjoint(&|x| resampled(x, which, numbers), &x, seed)?; // max pooling is linear where no maximum changes
        agree(&|x| resampled(&x[0], which, numbers), &[x], Tolerance::Accumulated(36), 1.0)
    });
}

#[test]
fn norms_agree_and_have_consistent_second_gradients() {
    let kinds = select(vec!["batch", "instance", "layer", "rms"]);
    let cases = ([2..=4usize, 1..=4, 1..=5, 1..=5], kinds, any::<u64>());
    hold("norms", 5, cases, |(shape, kind, seed)| {
        let (x, gamma) = (normal(&shape, seed, 0), normal(&[shape[1]], seed, 1));
        let f = |t: &[Tensor]| match kind {
            "batch" => t[0].batch_norm(Some(&t[1]), None, 0.1).0,
            "instance" => t[0].instance_norm(Some(&t[1]), None, 0.1),
            "layer" => t[0].layer_norm(1, None, None, 0.1).channel_affine(Some(&t[1]), None),
            _ => &t[0] / ((t[0].square().mean_keep(&[1]) + 0.1).sqrt()) * t[1].reshape([1, shape[1], 1, 1]),
        };
        let inputs = [x, gamma];
        tangent(&f, &inputs, seed)?;
        agree(&f, &inputs, Tolerance::Limit(5e-6, "a difference divided by a standard deviation"), 1.0)
    });
}

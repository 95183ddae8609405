//! Accuracy of `shaders/lib/math.wgsl` against f64.

use super::test_kernels::gpu;
use super::*;

/// Name, number in the test shader, f64 function, relative error allowed.
type Case = (&'static str, u32, fn(f64) -> f64, f64);

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

const CASES: [Case; 7] = [
    ("exp", 0, f64::exp, 1.3e-7),
    ("expm1", 1, f64::exp_m1, 3e-7),
    ("log", 2, f64::ln, 1.3e-7),
    ("log1p", 3, f64::ln_1p, 3e-7),
    ("tanh", 4, f64::tanh, 3e-7),
    ("sigmoid", 5, sigmoid, 3e-7),
    ("softplus", 6, softplus, 3e-7),
];

/// f32 values over all exponents and signs, more of them where the functions bend, and the special ones last.
fn inputs() -> Vec<f32> {
    let mut x: Vec<f32> = (0..=u32::MAX).step_by(16_411).map(f32::from_bits).filter(|x| x.is_finite()).collect();
    let around = |from: f32, to: f32| (0..60_000).map(move |i| from + (to - from) * (i as f32 / 60_000.0));
    x.extend(around(-105.0, 90.0));
    x.extend(around(-1.0, 1.0));
    x.extend(around(0.5, 2.0));
    x.extend([0.35, -0.35, 0.625, -0.625, 88.72283, -87.33654, 9.01, -9.01, -0.2928, 0.4142]);
    x.resize(x.len().next_multiple_of(64), 0.0);
    x
}

fn apply(gpu: &Gpu, function: u32, x: &[f32]) -> Vec<f32> {
    let mut padded = x.to_vec();
    padded.resize(x.len().next_multiple_of(64), 0.0);
    let input = gpu.upload(bytemuck::cast_slice(&padded)).unwrap();
    let output = gpu.alloc(padded.len() as u64 * 4).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_math", "math").constant("FUNCTION", function.into()),
        reads: &[&input],
        writes: &[&output],
        params: &[],
        workgroups: grid(padded.len() as u64, 64),
        label: "math",
    };
    gpu.run(&call).unwrap();
    bytemuck::pod_collect_to_vec(&gpu.read(&output, x.len() as u64 * 4).unwrap())
}

/// The largest relative error among normal results of normal inputs, and where.
fn worst(x: &[f32], y: &[f32], exact: fn(f64) -> f64) -> (f64, f32) {
    let tiny = f64::from(f32::MIN_POSITIVE);
    let mut worst = (0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let expected = exact(f64::from(*x));
        let comparable = expected.is_finite() && expected.abs() >= tiny && expected.abs() <= f64::from(f32::MAX);
        if comparable && (x.abs() >= f32::MIN_POSITIVE || *x == 0.0) {
            let error = ((f64::from(*y) - expected) / expected).abs();
            if error > worst.0 || error.is_nan() {
                worst = (error, *x);
            }
        }
    }
    worst
}

#[test]
fn functions_are_accurate_over_the_whole_range() {
    for checked in [false, true] {
        let Some(gpu) = gpu(GpuOptions { checked, ..Default::default() }) else { return };
        let x = inputs();
        for (name, function, exact, allowed) in CASES {
            let (error, place) = worst(&x, &apply(&gpu, function, &x), exact);
            println!("{name:9} {error:.2e} at {place:e}");
            assert!(error <= allowed, "{name}: relative error {error:e} at {place:e}, {allowed:e} allowed");
        }
        let waves: Vec<f32> = (-160_000..160_000).map(|i| i as f32 / 16.0 * 1.000_03).chain([1e4, -1e4, 0.0]).collect();
        for (name, function, exact) in [("sin", 10, f64::sin as fn(f64) -> f64), ("cos", 11, f64::cos)] {
            let error = |(x, y): (&f32, f32)| (f64::from(y) - exact(f64::from(*x))).abs();
            let worst = waves.iter().zip(apply(&gpu, function, &waves)).map(error).fold(0.0, f64::max);
            println!("{name:9} {worst:.2e}, absolute");
            assert!(worst <= 2e-7, "{name}: {worst:e}");
            let edges = apply(&gpu, function, &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
            assert!(edges.iter().all(|y| y.is_nan()), "{name}: {edges:?}");
        }
        for (name, function, exact) in
            [("exp()", 7, f64::exp as fn(f64) -> f64), ("log()", 8, f64::ln), ("tanh()", 9, f64::tanh)]
        {
            let x: Vec<f32> = x.iter().copied().filter(|x| x.abs() < 80.0).collect();
            let (error, place) = worst(&x, &apply(&gpu, function, &x), exact);
            println!("{name:9} {error:.2e} at {place:e} (the driver's own, |x| < 80)");
        }
    }
}

#[test]
fn edges_are_as_stated() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    let x = [NAN, -NAN, -INF, INF, 0.0, -0.0, f32::MAX, f32::MIN, -1.0, -1.5, 88.73, -104.5];
    let (min, max) = (f32::MIN, f32::MAX);
    let log_max = f64::from(max).ln() as f32;
    let expected: [(u32, [f32; 12]); 7] = [
        (0, [NAN, NAN, 0.0, INF, 1.0, 1.0, INF, 0.0, (-1f32).exp(), (-1.5f32).exp(), INF, 0.0]),
        (1, [NAN, NAN, -1.0, INF, 0.0, -0.0, INF, -1.0, (-1f64).exp_m1() as f32, (-1.5f64).exp_m1() as f32, INF, -1.0]),
        (2, [NAN, NAN, NAN, INF, -INF, -INF, log_max, NAN, NAN, NAN, 88.73f32.ln(), NAN]),
        (3, [NAN, NAN, NAN, INF, 0.0, -0.0, log_max, NAN, -INF, NAN, 88.73f32.ln_1p(), NAN]),
        (4, [NAN, NAN, -1.0, 1.0, 0.0, -0.0, 1.0, -1.0, (-1f32).tanh(), (-1.5f32).tanh(), 1.0, -1.0]),
        (5, [NAN, NAN, 0.0, 1.0, 0.5, 0.5, 1.0, 0.0, sigmoid(-1.0) as f32, sigmoid(-1.5) as f32, 1.0, 0.0]),
        (
            6,
            [
                NAN,
                NAN,
                0.0,
                INF,
                2f32.ln(),
                2f32.ln(),
                max,
                0.0,
                softplus(-1.0) as f32,
                softplus(-1.5) as f32,
                88.73,
                0.0,
            ],
        ),
    ];
    assert_eq!(min, -max);
    for (function, expected) in expected {
        for ((x, got), expected) in x.iter().zip(apply(&gpu, function, &x)).zip(expected) {
            let same = if expected.is_nan() { got.is_nan() } else { got == expected };
            let near = expected.is_finite() && (got - expected).abs() <= 4e-7 * expected.abs();
            assert!(same || near, "{}({x:e}) = {got:e}, expected {expected:e}", CASES[function as usize].0);
        }
    }
}

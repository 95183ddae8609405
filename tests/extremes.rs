//! Sizes at the ends: tensors beyond the largest binding, grids beyond 65,535 workgroups, long sums, one element and none.

use crate::devices;
use toile::check::{Case, Tolerance, cases, check_case, compare};
use toile::gpu::{AdapterChoice, Gpu, GpuOptions, tuning};
use toile::ops::reduce_more::Variance;
use toile::ops::{Conv2d, Indices, PadMode, Pool2d};
use toile::rng::{Domain, Stream};
use toile::{Device, Tensor};

/// Ops that need their operands whole. All others work at any size.
const WHOLE: [&str; 25] = [
    "matmul",
    "linear",
    "linear_activated",
    "conv2d_activated",
    "conv2d_input_activated",
    "conv2d_measured",
    "conv2d_input_measured",
    "linear_measured",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "batch_norm",
    "moments",
    "instance_norm",
    "layer_norm",
    "group_norm",
    "adain",
    "spectral_norm",
    "gram",
    "gram_matrix",
    "style_loss",
    "patch_nce",
    "max_pool2d",
    "max_pool2d_input",
    "batch_norm_with",
];

/// A device of the tests' own, each access checked: what a kernel reads outside of its window is 0 there, not right.
fn checked() -> Option<Gpu> {
    let Device::Gpu(shared) = devices::gpu()? else { return None };
    let options = GpuOptions { checked: true, minimal: true, ..GpuOptions::default() };
    Some(Gpu::open(&AdapterChoice::Index(shared.report().index), options).expect("the adapter was opened before"))
}

fn elements(case: &Case) -> usize {
    case.inputs(&Device::Reference).iter().map(Tensor::len).sum()
}

fn normal(device: &Device, shape: &[usize], index: u64) -> Tensor {
    Tensor::new(device, shape, &Stream::new(3, Domain::Test, index).normal_vec(shape.iter().product()))
}

/// Multiples of 1/64 around 0, made faster than normal numbers.
fn spread(device: &Device, shape: &[usize], index: u64) -> Tensor {
    let value = |i: usize| ((i as u64 * 7919 + 31 * index) % 1021) as f32 / 64.0 - 8.0;
    Tensor::new(device, shape, &(0..shape.iter().product()).map(value).collect::<Vec<f32>>())
}

/// f on the reference and on each device.
fn hold(what: &str, tolerance: Tolerance, shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Tensor) {
    let inputs = |device: &Device| (0..).zip(shapes).map(|(i, s)| spread(device, s, i)).collect::<Vec<_>>();
    let want = f(&inputs(&Device::Reference));
    let expected = want.to_vec_f64().unwrap();
    for device in devices::all().into_iter().skip(1) {
        let got = f(&inputs(&device)).to_vec_f64().unwrap_or_else(|error| panic!("{what}, {device}: {error}"));
        let deviation = compare(want.shape(), &got, &expected, 0.0);
        assert!(deviation.error <= tolerance.limit(), "{what}, {device}: {deviation}, limit {:.1e}", tolerance.limit());
    }
}

#[test]
fn tensors_beyond_a_binding_are_worked_on_in_pieces() {
    let Some(gpu) = checked() else { return };
    let device = Device::Gpu(gpu.clone());
    let mut failures = Vec::new();
    // Windows of 64 and 128 elements for the small rows, of 16,384 for the large ones.
    for (limit, sizes, least) in [(256, 65..3000, 80), (512, 129..3000, 28), (64 << 10, 20_000..500_000, 12)] {
        gpu.limit_bindings(Some(limit));
        let mut held = 0;
        for case in cases().into_iter().filter(|case| !WHOLE.contains(&case.op()) && sizes.contains(&elements(case))) {
            match check_case(&case, &device) {
                // A map along an axis is a table, which must fit.
                Err(error) if error.to_string().contains("axis_map: a buffer of") => {}
                Err(error) => failures.push(format!("{}: {error}", case.name)),
                Ok(reports) => {
                    held += 1;
                    let wrong = reports.iter().filter(|report| !report.passed());
                    failures
                        .extend(wrong.map(|r| format!("{}, {} of {}: {}", r.case, r.check.name(), r.of, r.deviation)));
                }
            }
        }
        if held < least {
            failures.push(format!("bindings of {limit} bytes: only {held} rows held"));
        }
        println!("bindings of {limit} bytes: {held} rows");
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn pieces_cost_nothing_where_tensors_fit() {
    let Some(gpu) = checked() else { return };
    let x = normal(&Device::Gpu(gpu.clone()), &[30, 40], 0);
    let dispatches = |f: &dyn Fn() -> Tensor| {
        let before = gpu.stats().dispatches;
        f();
        gpu.stats().dispatches - before
    };
    let all = || {
        [
            dispatches(&|| x.tanh()),
            dispatches(&|| &x + &x),
            dispatches(&|| &x * x.narrow(1, 0, 1)),
            dispatches(&|| x.permute(&[1, 0])),
            dispatches(&|| x.sum()),
        ]
    };
    assert_eq!(all(), [1, 1, 2, 1, 2]);
    gpu.limit_bindings(Some(2560)); // 640 of 1,200 elements
    assert_eq!(all(), [2, 2, 4, 4, 3]);
}

#[test]
fn what_needs_its_operands_whole_says_how_large_they_are_and_may_be() {
    let Some(gpu) = checked() else { return };
    let device = Device::Gpu(gpu.clone());
    gpu.limit_bindings(Some(1024));
    let x = normal(&device, &[2, 3, 8, 8], 0); // 1.5 KiB
    let w = normal(&device, &[4, 3, 3, 3], 1);
    let told = |y: toile::Result<Tensor>| y.and_then(|y| y.to_vec()).expect_err("it does not fit").to_string();
    for (op, error) in [
        ("conv2d", told(Ok(x.conv2d(&w, Conv2d::default())))),
        ("matmul", told(Ok(x.flatten().matmul_transposed(&x.flatten(), false, true)))),
        ("batch_norm", told(Ok(x.batch_norm(None, None, 1e-5).0))),
        ("max_pool2d", told(x.max_pool2d(Pool2d::new(2)))),
        // What is made of a tensor without values has none either, and the same reason.
        ("conv2d", told(Ok(x.conv2d(&w, Conv2d::default()).tanh().sum()))),
    ] {
        let whole = error.contains("a buffer of 1.5 KiB is too large for one kernel")
            && error.contains("which sees 1.0 KiB at a time; take a smaller batch or --device cpu");
        assert!(whole && (error.starts_with(&format!("{op}: a buffer")) || op == "batch_norm"), "{op}: {error}");
    }
}

#[test]
fn a_buffer_beyond_the_device_and_memory_that_is_not_there_are_errors_with_the_size() {
    let shape = [1 << 20, 1 << 20]; // 4 TiB in f32, 8 in f64
    for device in devices::all() {
        let x = Tensor::scalar(&device, 1.0).expand(shape);
        let error = x.sum().to_vec().expect_err("no machine has that").to_string();
        let (size, advice) = (["4096.00 GiB", "8192.00 GiB"], "take a smaller batch");
        assert!(error.contains("expand: ") && size.iter().any(|s| error.contains(s)), "{device}: {error}");
        assert!(error.contains(advice), "{device}: {error}");
        let full = Tensor::full(&device, shape, 1.0).to_vec().expect_err("no machine has that").to_string();
        assert!(full.contains("GiB") && full.contains(advice), "{device}: {full}");
        let endless = Tensor::scalar(&device, 1.0).expand([1 << 30, 1 << 30, 1 << 30]);
        assert!(endless.check().is_err_and(|error| error.to_string().contains("too large")), "{device}");
    }
}

#[test]
fn grids_of_more_than_65_535_workgroups_fold() {
    let Some(Device::Gpu(gpu)) = devices::gpu() else { return };
    assert_eq!(gpu.report().limits.workgroups_per_dimension, 65_535);
    // One invocation an element of y, 64 a workgroup: 65,625 workgroups.
    const N: usize = 4_200_000;
    hold("sum of pairs", Tolerance::Elementwise, &[&[N, 2]], |x| x[0].sum_axes(&[1]));
    hold("max of pairs", Tolerance::Exact, &[&[2, N]], |x| x[0].max_axes(&[0]));
    hold("pad", Tolerance::Exact, &[&[N - 3]], |x| x[0].pad(&[1], &[2]));
    hold("repeat", Tolerance::Exact, &[&[N / 4, 2]], |x| x[0].pad_mode(&[0, 1], &[0, 1], PadMode::Circular));
    hold("batched product", Tolerance::Accumulated(2), &[&[70_001, 2, 2], &[70_001, 2, 3]], |x| x[0].matmul(&x[1]));
}

#[test]
fn sums_of_more_than_65_535_terms_are_whole() {
    const N: usize = 70_001;
    let sum = Tolerance::Accumulated(N);
    hold("sum, inner", sum, &[&[2, N]], |x| (&x[0] + 1.0).sum_axes(&[1]));
    hold("sum, outer", sum, &[&[N, 2]], |x| (&x[0] + 1.0).sum_axes(&[0]));
    hold("min", Tolerance::Exact, &[&[N, 2]], |x| x[0].min_axes(&[0]));
    hold("var", sum, &[&[2, N]], |x| x[0].var_axes(&[1], Variance::Sample));
    hold("softmax", Tolerance::Transcendental, &[&[2, N]], |x| x[0].softmax(1));
    hold("logsumexp", Tolerance::Transcendental, &[&[N, 2]], |x| x[0].logsumexp(&[0]));
    hold("moments", sum, &[&[N, 2]], |x| x[0].moments());
    hold("scatter", sum, &[&[N, 2]], |x| {
        let zeros = Indices::new(x[0].device(), [N], vec![0; N]);
        Tensor::zeros(x[0].device(), [1, 2]).scatter_add(0, &zeros, &(&x[0] + 1.0)).unwrap()
    });
    hold("average pool", sum, &[&[1, 1, 270, 260]], |x| {
        (&x[0] + 1.0).avg_pool2d(Pool2d { kernel: [270, 260], ..Pool2d::new(1) }, false)
    });
    hold("max pool", Tolerance::Exact, &[&[1, 1, 270, 260]], |x| {
        x[0].max_pool2d(Pool2d { kernel: [270, 260], ..Pool2d::new(1) }).unwrap()
    });
    hold("weight gradient", sum, &[&[17, 1, 66, 66], &[17, 2, 64, 64]], |x| {
        x[0].conv2d_weight(&x[1], Conv2d::default(), [3, 3])
    });
    let Some(Device::Gpu(gpu)) = devices::gpu() else { return };
    let own = Gpu::open(&AdapterChoice::Index(gpu.report().index), GpuOptions::default()).unwrap();
    let device = Device::Gpu(own.clone());
    let [a, b] = [normal(&Device::Reference, &[5, N], 0), normal(&Device::Reference, &[N, 3], 1)];
    let want = a.matmul(&b).to_vec_f64().unwrap();
    for variant in tuning::variants(&own) {
        own.force_variant(Some(variant));
        let got = a.to_device(&device).unwrap().matmul(&b.to_device(&device).unwrap());
        match (variant, got.to_vec_f64()) {
            // One invocation would take too many turns.
            (tuning::Variant::Naive, Err(error)) => {
                assert!(error.to_string().contains("sums of 70001 terms"), "{error}");
            }
            (_, got) => {
                let deviation = compare(&[5, 3].into(), &got.unwrap(), &want, 0.0);
                assert!(deviation.error <= sum.limit(), "{variant:?}: {deviation}");
            }
        }
    }
}

/// Each family with one element and with none.
#[test]
fn one_element_and_none() {
    for n in [1, 0] {
        hold("unary", Tolerance::Transcendental, &[&[n]], |x| x[0].tanh().exp());
        hold("binary", Tolerance::Elementwise, &[&[n, 1], &[1]], |x| &x[0] * &x[1] + &x[0]);
        hold("select", Tolerance::Exact, &[&[n], &[n]], |x| x[0].gt(&x[1]).select(&x[0], &x[1]));
        hold("layout", Tolerance::Exact, &[&[n, 1]], |x| {
            let y = x[0].permute(&[1, 0]).flip(&[0, 1]).expand([2, 1, n]).slice(&[1, 0, 0], &[1; 3], &[1, 1, n]);
            Tensor::concat(&[&y, &y], 1).tile(&[1, 2, 1])
        });
        hold("pad", Tolerance::Exact, &[&[n]], |x| x[0].pad_value(&[1], &[2], 0.5));
        hold("sum", Tolerance::Exact, &[&[n]], |x| x[0].sum());
        hold("sum along", Tolerance::Exact, &[&[n, 3]], |x| x[0].sum_axes(&[1]) + x[0].max_axes(&[1]));
        hold("select rows", Tolerance::Exact, &[&[1, n]], |x| {
            x[0].index_select(0, &Indices::new(x[0].device(), [2], vec![0, 0])).unwrap()
        });
        hold("softmax", Tolerance::Transcendental, &[&[n, 1]], |x| x[0].softmax(1));
        hold("matmul", Tolerance::Elementwise, &[&[n, 1], &[1, n]], |x| x[0].matmul(&x[1]));
        hold("matmul over nothing", Tolerance::Elementwise, &[&[1, n], &[n, 1]], |x| x[0].matmul(&x[1]));
        hold("conv2d", Tolerance::Accumulated(9), &[&[n, 1, 3, 3], &[1, 1, 3, 3]], |x| {
            let y = x[0].conv2d(&x[1], Conv2d::default());
            let back = y.conv_transpose2d(&x[1], Conv2d::default(), [3, 3]);
            back.sum_axes(&[0]).reshape([1, 1, 3, 3]) + x[0].conv2d_weight(&y, Conv2d::default(), [3, 3])
        });
        hold("batch norm", Tolerance::Exact, &[&[n, 2]], |x| x[0].batch_norm(None, None, 1.0).0);
        hold("max pool", Tolerance::Exact, &[&[n, 1, 2, 2]], |x| x[0].max_pool2d(Pool2d::new(2)).unwrap());
        hold("resize", Tolerance::Exact, &[&[n, 1, 1, 1]], |x| x[0].resize_nearest([2, 2]));
    }
}

/// 50 million elements, 200 MB: more than a binding of llvmpipe, less than a buffer. What the outcome must be is known
/// without a second device. `TOILE_TEST_LARGE=1` runs it; docs/testing.md says when it ran last.
#[test]
fn fifty_million_elements() {
    if std::env::var("TOILE_TEST_LARGE").is_err() {
        println!("the tensors of 50 million elements are LEFT OUT without TOILE_TEST_LARGE=1");
        return;
    }
    const N: usize = 50_000_000;
    for device in devices::all() {
        let start = std::time::Instant::now();
        let lap = |what: &str| {
            device.wait().unwrap();
            println!("{device}, {what}: {:.1} s", start.elapsed().as_secs_f64());
        };
        let at = |t: &Tensor, i: usize| t.reshape([t.len()]).narrow(0, i, 1).item().unwrap();
        let item = |t: Tensor| t.item().unwrap();
        let ramp = Tensor::from_f64(&device, [50, 1], &(0..50).map(|i| i as f64).collect::<Vec<_>>());
        let x = ramp.expand([50, 1_000_000]); // row i holds i
        lap("expand");
        assert_eq!([at(&x, 0), at(&x, N - 1), at(&x, 33_999_999), at(&x, 34_000_000)], [0.0, 49.0, 33.0, 34.0]);
        let y = &x * 2.0 + 1.0;
        lap("affine");
        assert_eq!([at(&y, N - 1), at(&y, 33_600_000)], [99.0, 67.0]);
        let z = &y - &x;
        let w = &z + &ramp;
        lap("sub, and add a value a row");
        assert_eq!([at(&z, N - 1), at(&w, N - 1), at(&w, 33_600_000)], [50.0, 99.0, 67.0]);
        assert_eq!(item(x.sum_axes(&[1]).narrow(0, 49, 1).sum()), 49e6);
        let mean = item(x.mean());
        assert!((mean / 24.5 - 1.0).abs() < 3e-7, "{mean}");
        assert_eq!([item(x.max_axes(&[0, 1])), item(x.min_axes(&[0, 1]))], [49.0, 0.0]);
        lap("sums and extrema");
        assert_eq!(item(x.sum_axes(&[0]).narrow(0, 999_999, 1).sum()), 1225.0);
        assert_eq!(x.argmax(0).unwrap().to_vec().unwrap()[999_999], 49);
        lap("along the outer axis");
        let t = x.permute(&[1, 0]);
        lap("permute");
        assert_eq!([at(&t, 49), at(&t, N - 2), at(&t, 40_000_007)], [49.0, 48.0, 7.0]);
        let f = x.flip(&[0]);
        assert_eq!([at(&f, 0), at(&f, N - 1), at(&f, 33_999_999)], [49.0, 0.0, 16.0]);
        let s = x.slice(&[9, 1], &[2, 3], &[20, 300_000]);
        assert_eq!(at(&s, 20 * 300_000 - 1), 47.0);
        lap("flip, slice");
        let p = x.narrow(0, 0, 40).pad_value(&[5, 0], &[5, 0], -1.0);
        assert_eq!([at(&p, 4_999_999), at(&p, 5_000_000), at(&p, 44_999_999), at(&p, N - 1)], [-1.0, 0.0, 39.0, -1.0]);
        let c = Tensor::concat(&[&x.narrow(0, 30, 20), &x.narrow(0, 0, 30)], 0);
        assert_eq!([at(&c, 0), at(&c, 19_999_999), at(&c, 20_000_000), at(&c, N - 1)], [30.0, 49.0, 0.0, 29.0]);
        lap("pad, concat");
        let rows = Indices::new(&device, [50], (0..50).rev().collect());
        assert_eq!(at(&x.index_select(0, &rows).unwrap(), 33_999_999), 16.0);
        lap("index_select");
        let u = Tensor::uniform(&device, [N], &Stream::new(1, Domain::Test, 0));
        let mean = item(u.mean());
        assert!((mean - 0.5).abs() < 2e-4, "{mean}");
        let far = Stream::new(1, Domain::Test, 0).uniform_vec(40_000_001, 0.0, 1.0)[40_000_000];
        assert_eq!(at(&u, 40_000_000) as f32, far);
        lap("uniform");
        let dx = toile::autograd::grad_all(&(&x * &x).sum(), &[&x]).remove(0);
        assert_eq!(at(&dx, N - 1), 98.0);
        lap("gradient");
    }
}

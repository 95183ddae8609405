//! Times every kernel on the cpu and gpu devices, after checking its result against the cpu device.
//!
//! `cargo bench --bench kernels -- [--device cpu|gpu|gpu:NAME] [--chosen] [--json] [FILTER]`
//!
//! On a GPU, products and convolutions are timed in every variant; `--chosen` leaves it at the one that the table chooses.

use std::time::Instant;
use toile::gpu::tuning;
use toile::gpu::{AdapterChoice, Gpu, GpuOptions};
use toile::ops::Conv2d;
use toile::ops::adam::{AdamStep, adam_update};
use toile::rng::{Domain, Stream};
use toile::tensor::no_grad;
use toile::{Device, Tensor, autograd};

/// What a row is measured in: 10⁹ of these a second.
#[derive(Clone, Copy)]
enum Amount {
    Flop(f64),
    Bytes(f64),
}

struct Row {
    name: &'static str,
    /// Whether the row has kernel variants.
    tiled: bool,
    amount: Amount,
    inputs: Vec<Vec<usize>>,
    #[allow(clippy::type_complexity)]
    run: Box<dyn Fn(&[Tensor]) -> Vec<Tensor>>,
}

fn row(
    name: &'static str,
    tiled: bool,
    amount: Amount,
    inputs: &[&[usize]],
    run: impl Fn(&[Tensor]) -> Vec<Tensor> + 'static,
) -> Row {
    Row { name, tiled, amount, inputs: inputs.iter().map(|s| s.to_vec()).collect(), run: Box::new(run) }
}

fn rows() -> Vec<Row> {
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
    let (x, w, y): (&[usize], &[usize], &[usize]) = (&[32, 64, 32, 32], &[128, 64, 4, 4], &[32, 128, 16, 16]);
    let flop = 2.0 * 32.0 * 128.0 * 256.0 * 1024.0;
    let image: &[usize] = &[32, 3, 32, 32];
    let few = 2.0 * 32.0 * 64.0 * 256.0 * 48.0;
    let many = 1 << 22;
    let bn = 64.0 * 64.0 * 1024.0 * 4.0;
    use Amount::{Bytes, Flop};
    vec![
        row("matmul 512", true, Flop(2.0 * 512f64.powi(3)), &[&[512, 512], &[512, 512]], |t| vec![t[0].matmul(&t[1])]),
        row("matmul 512 bt", true, Flop(2.0 * 512f64.powi(3)), &[&[512, 512], &[512, 512]], |t| {
            vec![t[0].matmul_transposed(&t[1], false, true)]
        }),
        row("conv2d", true, Flop(flop), &[x, w], move |t| vec![t[0].conv2d(&t[1], conv)]),
        row("conv2d_input", true, Flop(flop), &[y, w], move |t| vec![t[0].conv_transpose2d(&t[1], conv, [32, 32])]),
        row("conv2d_weight", true, Flop(flop), &[x, y], move |t| vec![t[0].conv2d_weight(&t[1], conv, [4, 4])]),
        row("conv2d 3 to 64", true, Flop(few), &[image, &[64, 3, 4, 4]], move |t| vec![t[0].conv2d(&t[1], conv)]),
        row("conv2d_input 64 to 3", true, Flop(few), &[&[32, 64, 16, 16], &[64, 3, 4, 4]], move |t| {
            vec![t[0].conv_transpose2d(&t[1], conv, [32, 32])]
        }),
        row("conv2d_weight 3 to 64", true, Flop(few), &[image, &[32, 64, 16, 16]], move |t| {
            vec![t[0].conv2d_weight(&t[1], conv, [4, 4])]
        }),
        row("leaky_relu", false, Bytes(8.0 * many as f64), &[&[many]], |t| vec![t[0].leaky_relu(0.2)]),
        row("tanh", false, Bytes(8.0 * many as f64), &[&[many]], |t| vec![t[0].tanh()]),
        row("add", false, Bytes(12.0 * many as f64), &[&[many], &[many]], |t| vec![&t[0] + &t[1]]),
        row("add channel bias", false, Bytes(2.0 * bn), &[&[64, 64, 32, 32], &[64]], |t| {
            vec![t[0].add_channel_bias(&t[1])]
        }),
        row("permute", false, Bytes(2.0 * bn), &[&[64, 64, 1024]], |t| vec![t[0].permute(&[0, 2, 1])]),
        row("sum", false, Bytes(4.0 * many as f64), &[&[many]], |t| vec![t[0].sum()]),
        row("sum over all but channels", false, Bytes(bn), &[&[64, 64, 32, 32]], |t| vec![t[0].sum_axes(&[0, 2, 3])]),
        row("batch_norm forward", false, Bytes(3.0 * bn), &[&[64, 64, 32, 32], &[64], &[64]], |t| {
            no_grad(|| vec![t[0].batch_norm(Some(&t[1]), Some(&t[2]), 1e-5).0])
        }),
        // Forward 3 passes over the image (statistics, x to y), backward 5 (sums, and x and dy to dx), the loss 8.
        row(
            "batch_norm forward and backward",
            false,
            Bytes(16.0 * bn),
            &[&[64, 64, 32, 32], &[64], &[64], &[64, 64, 32, 32]],
            |t| {
                let y = t[0].batch_norm(Some(&t[1]), Some(&t[2]), 1e-5).0;
                autograd::grad(&(&y * &t[3]).sum(), [&t[0], &t[1], &t[2]]).into()
            },
        ),
        // Three tensors are read and written, one is only read.
        row("adam", false, Bytes(28.0 * 1e7), &[], |_| vec![]),
    ]
}

/// Ten million parameters, updated in place.
fn adam(device: &Device) -> impl FnMut() -> Vec<Tensor> {
    let n = 10_000_000;
    let step = AdamStep { beta1: 0.5, beta2: 0.999, eps: 1e-8, step_size: 1e-6, v_scale: 1.0 };
    let step = step.prepare(device).expect("the device works");
    let g = Tensor::full(device, [n], 0.25);
    let mut state = Some([0.5, 0.0, 0.0].map(|v| Tensor::full(device, [n], v)));
    move || {
        let [p, m, v] = state.take().expect("put back below");
        state = adam_update(&step, p, &g, m, v).ok();
        vec![]
    }
}

/// Seconds: processor time of the first call, the median of five later ones, and their mean processor time.
fn time(device: &Device, run: &mut dyn FnMut() -> Vec<Tensor>) -> (f64, f64, f64) {
    let mut once = || {
        let start = Instant::now();
        let results = run();
        device.wait().expect("the device works");
        drop(results);
        start.elapsed().as_secs_f64()
    };
    let before = processor();
    let first = once();
    let first = if before > 0.0 { processor() - before } else { first };
    let before = processor();
    let mut taken: Vec<f64> = (0..5).map(|_| once()).collect();
    taken.sort_by(f64::total_cmp);
    (first, taken[2], (processor() - before) / 5.0)
}

/// The largest difference, relative to the largest value.
fn error(got: &[Tensor], want: &[Tensor]) -> f64 {
    let each = got.iter().zip(want).map(|(got, want)| {
        let (got, want) = (got.to_vec().expect("values"), want.to_vec().expect("values"));
        let scale = want.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
        got.iter().zip(&want).fold(0.0f32, |m, (g, w)| m.max((g - w).abs())) / scale
    });
    each.fold(0.0, |m, e| m.max(e as f64))
}

/// Processor seconds of this process so far, where the system tells: on a busy machine a better measure than the clock.
fn processor() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let read = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(read).sum::<f64>() * 1e-9
}

fn main() {
    let (mut json, mut chosen, mut wanted, mut filter) = (false, false, None, String::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--json" => json = true,
            "--chosen" => chosen = true,
            "--device" => wanted = arguments.next(),
            _ => filter = argument,
        }
    }
    let open = |choice| Gpu::open(&choice, GpuOptions::default()).map(Device::Gpu);
    let devices = match wanted.as_deref() {
        Some("cpu") => vec![Device::Cpu],
        Some("gpu") => vec![open(AdapterChoice::Hardware).expect("a GPU")],
        Some(name) => vec![open(AdapterChoice::Name(name.trim_start_matches("gpu:").into())).expect("an adapter")],
        None => [Ok(Device::Cpu), open(AdapterChoice::Hardware).or_else(|_| open(AdapterChoice::Software))]
            .into_iter()
            .filter_map(Result::ok)
            .collect(),
    };
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.name.contains(&filter)).collect();
    for device in &devices {
        if let (Device::Gpu(gpu), false) = (device, json) {
            println!("{}", gpu.report());
        }
        for row in &rows {
            measure(row, device, chosen, json);
        }
    }
}

/// Checks and times a row with the variant that the table chooses and, on a GPU, with all others.
fn measure(row: &Row, device: &Device, chosen: bool, json: bool) {
    let inputs = |device: &Device| -> Vec<Tensor> {
        let values = |i, n| Stream::new(1, Domain::Test, i).normal_vec(n);
        let each = (0..).zip(&row.inputs);
        each.map(|(i, shape)| Tensor::new(device, &shape[..], &values(i, shape.iter().product()))).collect()
    };
    let mut variants = vec![None];
    if let Device::Gpu(gpu) = device
        && row.tiled
        && !chosen
    {
        variants.extend(tuning::variants(gpu).into_iter().map(Some));
    }
    let x = inputs(device);
    let want = (row.run)(&inputs(&Device::Cpu));
    for variant in variants {
        if let Device::Gpu(gpu) = device {
            gpu.force_variant(variant);
        }
        let (first, median, busy) = match row.name {
            "adam" => time(device, &mut adam(device)),
            _ => time(device, &mut || (row.run)(&x)),
        };
        let error = error(&(row.run)(&x), &want);
        assert!(error < 1e-3, "{} {variant:?} on {device}: error {error:e}", row.name);
        let (rate, unit) = match row.amount {
            Amount::Flop(flop) => (flop / median * 1e-9, "GFLOP/s"),
            Amount::Bytes(bytes) => (bytes / median * 1e-9, "GB/s"),
        };
        let name = variant.map_or("as chosen".to_string(), |v| format!("{v:?}"));
        if json {
            println!(
                "{{\"kernel\":\"{}\",\"variant\":\"{name}\",\"device\":\"{device}\",\"first_s\":{first:.6},\
                 \"median_s\":{median:.6},\"processor_s\":{busy:.6},\"rate\":{rate:.3},\"unit\":\"{unit}\"}}",
                row.name
            );
        } else {
            println!(
                "{:32} {name:36} {device:4} {rate:9.2} {unit:8} median {median:9.5} s, processor {busy:9.5} s, first {first:7.3} s",
                row.name
            );
        }
    }
    if let Device::Gpu(gpu) = device {
        gpu.force_variant(None);
    }
}

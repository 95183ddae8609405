//! The kernels that are timed: what is computed, on what, and how much of what limits it that takes.

use super::clock::{Timing, first, time};
use super::limits::Limits;
use crate::autograd::vjp;
use crate::error::{Error, Result};
use crate::gpu::tuning::{Variant, variants};
use crate::ops::Conv2d;
use crate::ops::adam::{AdamStep, adam_update};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};

/// What a kernel is measured in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Multiplications and additions.
    Flop(f64),
    /// Bytes that must be read or written even if every intermediate result stayed in registers.
    Bytes(f64),
}

type Compute = Box<dyn Fn(&[Tensor]) -> Vec<Tensor>>;

/// One computation.
pub struct KernelRow {
    /// What it is called.
    pub name: &'static str,
    /// Whether a GPU has several kernels for it.
    pub tiled: bool,
    /// How much it computes or moves.
    pub amount: Amount,
    /// The inputs' shapes, and those of a small problem that the f64 reference can check in no time.
    shapes: [Vec<Vec<usize>>; 2],
    compute: Compute,
}

/// A row with its work in flop or bytes, the inputs' shapes, and small ones.
fn row(
    name: &'static str,
    amount: Amount,
    inputs: &[&[usize]],
    small: &[&[usize]],
    compute: impl Fn(&[Tensor]) -> Vec<Tensor> + 'static,
) -> KernelRow {
    let owned = |shapes: &[&[usize]]| shapes.iter().map(|shape| shape.to_vec()).collect::<Vec<_>>();
    // These two have the kernels of rows that stand beside them.
    let tiled = matches!(amount, Amount::Flop(_)) && !["matmul 1024", "conv_transpose2d"].contains(&name);
    KernelRow { name, tiled, amount, shapes: [owned(inputs), owned(small)], compute: Box::new(compute) }
}

/// Parameters that the optimiser's row updates.
const ADAM: usize = 10_000_000;

/// All rows. The first ones are those that peers are compared by.
pub fn kernel_rows() -> Vec<KernelRow> {
    use Amount::{Bytes, Flop};
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
    let (x, w, y): (&[usize], &[usize], &[usize]) = (&[32, 64, 32, 32], &[128, 64, 4, 4], &[32, 128, 16, 16]);
    let (x1, w1, y1): (&[usize], &[usize], &[usize]) = (&[1, 12, 12, 12], &[20, 12, 4, 4], &[1, 20, 6, 6]);
    let flop = 2.0 * 32.0 * 128.0 * 256.0 * 1024.0;
    let (image, image1): (&[usize], &[usize]) = (&[32, 3, 32, 32], &[1, 3, 12, 12]);
    let few = 2.0 * 32.0 * 64.0 * 256.0 * 48.0;
    let many = 1 << 22;
    let planes: &[usize] = &[64, 64, 32, 32];
    let pass = 4.0 * 64.0 * 64.0 * 1024.0;
    let small: &[usize] = &[3, 5, 8, 4];
    let (square, few1): (&[&[usize]], &[usize]) = (&[&[72, 72], &[72, 72]], &[1003]);
    vec![
        row("matmul 512", Flop(2.0 * 512f64.powi(3)), &[&[512, 512], &[512, 512]], square, |t| {
            vec![t[0].matmul(&t[1])]
        }),
        row("matmul 1024", Flop(2.0 * 1024f64.powi(3)), &[&[1024, 1024], &[1024, 1024]], square, |t| {
            vec![t[0].matmul(&t[1])]
        }),
        row("matmul 512, b transposed", Flop(2.0 * 512f64.powi(3)), &[&[512, 512], &[512, 512]], square, |t| {
            vec![t[0].matmul_transposed(&t[1], false, true)]
        }),
        row("conv2d", Flop(flop), &[x, w], &[x1, w1], move |t| vec![t[0].conv2d(&t[1], conv)]),
        row("conv2d_input", Flop(flop), &[y, w], &[y1, w1], move |t| transposed(t, conv)),
        row("conv2d_weight", Flop(flop), &[x, y], &[x1, y1], move |t| vec![t[0].conv2d_weight(&t[1], conv, [4, 4])]),
        row("conv_transpose2d", Flop(flop), &[y, w], &[y1, w1], move |t| transposed(t, conv)),
        row("conv2d 3 to 64", Flop(few), &[image, &[64, 3, 4, 4]], &[image1, &[20, 3, 4, 4]], move |t| {
            vec![t[0].conv2d(&t[1], conv)]
        }),
        row(
            "conv_transpose2d 64 to 3",
            Flop(few),
            &[&[32, 64, 16, 16], &[64, 3, 4, 4]],
            &[y1, &[20, 3, 4, 4]],
            move |t| transposed(t, conv),
        ),
        row("conv2d_weight 3 to 64", Flop(few), &[image, &[32, 64, 16, 16]], &[image1, y1], move |t| {
            vec![t[0].conv2d_weight(&t[1], conv, [4, 4])]
        }),
        // Two reads of x for the statistics and the result, one write; backward a read of x and dy, and a write.
        row(
            "batch_norm forward and backward",
            Bytes(5.0 * pass),
            &[planes, &[64], &[64], planes],
            &[small, &[5], &[5], small],
            batch_norm_and_gradients,
        ),
        row("adam", Bytes(28.0 * ADAM as f64), &[&[ADAM], &[ADAM], &[ADAM], &[ADAM]], &[few1, few1, few1, few1], adam),
        row("leaky_relu", Bytes(8.0 * many as f64), &[&[many]], &[few1], |t| vec![t[0].leaky_relu(0.2)]),
        // What a call costs: there is next to nothing to compute.
        row("leaky_relu, 64 elements", Bytes(8.0 * 64.0), &[&[64]], &[&[64]], |t| vec![t[0].leaky_relu(0.2)]),
        row("tanh", Bytes(8.0 * many as f64), &[&[many]], &[few1], |t| vec![t[0].tanh()]),
        row("add", Bytes(12.0 * many as f64), &[&[many], &[many]], &[few1, few1], |t| vec![&t[0] + &t[1]]),
        row("add a value a channel", Bytes(2.0 * pass), &[planes, &[64]], &[small, &[5]], |t| {
            vec![t[0].add_channel_bias(&t[1])]
        }),
        row("permute", Bytes(2.0 * pass), &[&[64, 64, 1024]], &[&[3, 7, 20]], |t| vec![t[0].permute(&[0, 2, 1])]),
        row("sum", Bytes(4.0 * many as f64), &[&[many]], &[few1], |t| vec![t[0].sum()]),
        row("sum over all but channels", Bytes(pass), &[planes], &[small], |t| vec![t[0].sum_axes(&[0, 2, 3])]),
        row("batch_norm forward", Bytes(2.0 * pass), &[planes, &[64], &[64]], &[small, &[5], &[5]], |t| {
            no_grad(|| vec![t[0].batch_norm(Some(&t[1]), Some(&t[2]), 1e-5).0])
        }),
        row("instance_norm forward", Bytes(2.0 * pass), &[planes, &[64], &[64]], &[small, &[5], &[5]], |t| {
            no_grad(|| vec![t[0].instance_norm(Some(&t[1]), Some(&t[2]), 1e-5)])
        }),
    ]
}

fn transposed(t: &[Tensor], conv: Conv2d) -> Vec<Tensor> {
    vec![t[0].conv_transpose2d(&t[1], conv, [t[0].dim(2) * 2, t[0].dim(3) * 2])]
}

/// Training-mode batch normalisation and its gradients by image, gamma and beta for a given dy.
fn batch_norm_and_gradients(t: &[Tensor]) -> Vec<Tensor> {
    let y = t[0].batch_norm(Some(&t[1]), Some(&t[2]), 1e-5).0;
    let mut gradients = vjp(&y, &t[3], &[&t[0], &t[1], &t[2]]);
    gradients.push(y);
    gradients
}

/// One step from a parameter, gradient and moments, for the check: the inputs are still held and so are copied first.
/// (The second moment must not be negative.) [`time_adam`] is the timed form.
fn adam(t: &[Tensor]) -> Vec<Tensor> {
    let run = || {
        let step = ADAM_STEP.prepare(t[0].device())?;
        adam_update(&step, t[0].clone(), &t[1], t[2].clone(), t[3].square())
    };
    run().map_or_else(|_| Vec::new(), Vec::from)
}

const ADAM_STEP: AdamStep = AdamStep { beta1: 0.5, beta2: 0.999, eps: 1e-8, step_size: 1e-6, v_scale: 1.0 };

impl KernelRow {
    fn inputs(&self, small: bool, device: &Device) -> Vec<Tensor> {
        let values = |i, n| Stream::new(1, Domain::Test, i).normal_vec(n);
        let shapes = (0..).zip(&self.shapes[usize::from(small)]);
        shapes.map(|(i, shape)| Tensor::new(device, &shape[..], &values(i, shape.iter().product()))).collect()
    }

    /// The largest difference from another device's results, relative to the largest value of each.
    fn error(&self, small: bool, device: &Device, judge: &Device) -> Result<f64> {
        let got = (self.compute)(&self.inputs(small, device));
        let want = (self.compute)(&self.inputs(small, judge));
        let mut worst = if got.is_empty() { f64::INFINITY } else { 0.0f64 };
        for (got, want) in got.iter().zip(&want) {
            let (got, want) = (got.to_vec_f64()?, want.to_vec_f64()?);
            let scale = want.iter().fold(1e-30f64, |most, v| most.max(v.abs()));
            for (got, want) in got.iter().zip(&want) {
                // NaN is the worst of all.
                let error = (got - want).abs() / scale;
                worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
            }
        }
        Ok(worst)
    }
}

/// What a row took.
#[derive(Clone, Debug)]
pub struct KernelResult {
    /// The row's name.
    pub kernel: &'static str,
    /// Which of several kernels, or `as chosen` by the tuning table.
    pub variant: String,
    /// Processor seconds of the first small run, which compiles the kernels.
    pub first_s: f64,
    /// Times.
    pub timing: Timing,
    /// 10⁹ of its unit a second, by the median.
    pub rate: f64,
    /// The same by processor time spread over all cores, which other programs disturb less; 0 where the system does not
    /// tell. What runs on one core only looks better than it is.
    pub rate_undisturbed: f64,
    /// `GFLOP/s` or `GB/s`.
    pub unit: &'static str,
    /// Per cent of the limit measured in the same run: multiply-adds in registers, or a copy.
    pub of_limit: f64,
    /// The largest difference found in the check, relative to the largest value.
    pub error: f64,
}

/// The largest relative difference that passes: sums of thousands of f32 products differ by their order.
const TOLERANCE: f64 = 1e-4;

/// Checks and times a row on a device: as the tuning table chooses, and with `all_variants` every kernel that a GPU has
/// for it. `each` gets the results one by one.
///
/// # Errors
/// A result that differs from the f64 reference's (small) or the `cpu` device's (full size), or a device that failed.
pub fn measure_kernel(
    row: &KernelRow,
    device: &Device,
    all_variants: bool,
    limits: &Limits,
    mut each: impl FnMut(KernelResult) -> Result<()>,
) -> Result<()> {
    let mut wanted: Vec<Option<Variant>> = vec![None];
    if let Device::Gpu(gpu) = device
        && row.tiled
        && all_variants
    {
        wanted.extend(variants(gpu).into_iter().map(Some));
    }
    for variant in wanted {
        if let Device::Gpu(gpu) = device {
            gpu.force_variant(variant);
        }
        let measured = measure_variant(row, device, variant, limits);
        if let Device::Gpu(gpu) = device {
            gpu.force_variant(None);
        }
        each(measured?)?;
    }
    Ok(())
}

fn measure_variant(
    row: &KernelRow,
    device: &Device,
    variant: Option<Variant>,
    limits: &Limits,
) -> Result<KernelResult> {
    let variant = variant.map_or("as chosen".to_string(), |v| v.to_string());
    let first_s = first(|| {
        check(&(row.compute)(&row.inputs(true, device)))?;
        device.wait()
    })?;
    let mut error = row.error(true, device, &Device::Reference)?;
    if matches!(device, Device::Gpu(_)) && row.name != "adam" {
        error = error.max(row.error(false, device, &Device::Cpu)?);
    }
    if error > TOLERANCE {
        return Err(Error::Invalid(format!(
            "{}, {variant}, on {device}: differs by {error:.1e} of the largest value; {TOLERANCE:.0e} is allowed",
            row.name
        )));
    }
    let timing = if row.name == "adam" {
        time_adam(device)?
    } else {
        let x = row.inputs(false, device);
        time(device, || check(&(row.compute)(&x)))?
    };
    let (amount, unit, limit) = match row.amount {
        Amount::Flop(flop) => (flop, "GFLOP/s", limits.fma),
        Amount::Bytes(bytes) => (bytes, "GB/s", limits.copy),
    };
    let rate = amount / timing.median * 1e-9;
    let of_limit = rate / limit * 100.0;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get()) as f64;
    let rate_undisturbed = if timing.processor > 0.0 { amount / (timing.processor / cores) * 1e-9 } else { 0.0 };
    Ok(KernelResult { kernel: row.name, variant, first_s, timing, rate, rate_undisturbed, unit, of_limit, error })
}

fn check(results: &[Tensor]) -> Result<()> {
    results.iter().try_for_each(Tensor::check)
}

/// Ten million parameters, updated in place.
fn time_adam(device: &Device) -> Result<Timing> {
    let step = ADAM_STEP.prepare(device)?;
    let g = Tensor::full(device, [ADAM], 0.25);
    let mut state = Some([0.5, 0.0, 0.0].map(|v| Tensor::full(device, [ADAM], v)));
    time(device, || {
        let Some([p, m, v]) = state.take() else { return Err(Error::Invalid("adam: no state is left".into())) };
        state = Some(adam_update(&step, p, &g, m, v)?);
        Ok(())
    })
}

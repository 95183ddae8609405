//! The number of kernel calls of a training step, which a GPU's driver charges for one by one.

use crate::devices;
use toile::autograd::grad;
use toile::bench::{Work, Workload};
use toile::gpu::{AdapterChoice, AdapterKind, Gpu, GpuOptions};
use toile::models::layers::{LayerSpec, build};
use toile::nn::init::Initializer;
use toile::nn::{ConvPadding, Convention, Init, Mode, Module, Sequential};
use toile::rng::{Domain, Stream};
use toile::{Device, Tensor};

/// Kernel calls of a DCGAN-64 step, ngf = ndf = 64, the first step apart.
fn calls(gpu: &Gpu, batch: usize) -> u64 {
    let workload = Workload { batch, ..Workload::named("w2").expect("it is a standard workload") };
    let mut work = Work::new(&workload, &Device::Gpu(gpu.clone())).expect("the device is there");
    work.step().expect("the step runs");
    let before = gpu.stats().dispatches;
    work.step().expect("the step runs");
    gpu.stats().dispatches - before
}

#[test]
fn a_dcgan_step_takes_few_calls_on_software_and_on_hardware_adapters() {
    let Some(Device::Gpu(shared)) = devices::gpu() else { return };
    // A device of its own, for others are counted along.
    let choice = AdapterChoice::Index(shared.report().index);
    let gpu = Gpu::open(&choice, GpuOptions::default()).expect("the adapter was opened before");
    gpu.tune_as(Some(AdapterKind::Software));
    let software = calls(&gpu, 16);
    gpu.tune_as(Some(AdapterKind::Discrete));
    // Fewer images make fewer tiles, so that more sums are split: a batch of 16 takes no more calls than one of 2.
    let hardware = calls(&gpu, 2);
    println!("{software} calls with a software adapter's kernels, {hardware} with a GPU's");
    assert!((50..=132).contains(&software), "{software} calls with a software adapter's kernels");
    assert!((50..=98).contains(&hardware), "{hardware} calls with a GPU's kernels");
}

/// A layer and the normalisation behind it, and an input.
fn network(gpu: &Gpu, layers: &[LayerSpec], x: &[usize]) -> (Sequential, Tensor) {
    let device = Device::Gpu(gpu.clone());
    let network = build(layers, &x[1..], &mut Initializer::new(&device, Init::GlorotUniform, 7, 0)).expect("it fits");
    (network, normal(&device, x, 1))
}

fn normal(device: &Device, shape: &[usize], seed: u64) -> Tensor {
    Tensor::new(device, shape, &Stream::new(seed, Domain::Test, 0).normal_vec(shape.iter().product()))
}

/// Kernel calls of a pass, and what it gives. (Constants are uploaded.)
fn pass(gpu: &Gpu, layers: &[LayerSpec], x: &[usize]) -> (u64, Vec<f32>) {
    let (network, x) = network(gpu, layers, x);
    let before = gpu.stats().dispatches;
    let y = network.forward(&x, Mode::Train);
    (gpu.stats().dispatches - before, y.to_vec().expect("the pass runs"))
}

/// The gradient of a weighted sum of the output by the input, behind it what running statistics have become.
fn gradient(gpu: &Gpu, layers: &[LayerSpec], x: &[usize], recomputes: bool) -> Vec<f32> {
    let (network, x) = network(gpu, layers, x);
    let network = network.recomputing(recomputes);
    let y = network.forward(&x, Mode::Train);
    let [dx] = grad(&(&y * normal(x.device(), y.shape(), 2)).sum(), [&x]);
    let running = network.buffers().into_iter().map(|(_, place)| place.get());
    [dx].into_iter().chain(running).flat_map(|t| t.to_vec().expect("the pass runs")).collect()
}

#[track_caller]
fn close(what: &str, got: &[f32], want: &[f32]) {
    let far = got.iter().zip(want).find(|(got, want)| (**got - **want).abs() > 2e-5 * (1.0 + want.abs()));
    assert_eq!((got.len(), far), (want.len(), None), "{what}");
}

#[test]
fn on_a_gpu_a_product_takes_the_statistics_of_the_normalisation_behind_it_along() {
    let Some(Device::Gpu(shared)) = devices::gpu() else { return };
    let choice = AdapterChoice::Index(shared.report().index);
    let gpu = Gpu::open(&choice, GpuOptions::default()).expect("the adapter was opened before");
    let conv = |filters, stride| LayerSpec::Conv2d {
        filters,
        kernel: 3,
        stride,
        padding: ConvPadding::Zeros(1),
        bias: true,
        spectral_norm: false,
    };
    let batch = LayerSpec::BatchNorm { momentum: 0.8, eps: 1e-3, convention: Convention::Keras };
    let instance = LayerSpec::InstanceNorm { eps: 1e-5 };
    let leaky = LayerSpec::LeakyRelu { slope: 0.2 };
    let rows = [
        // More elements a channel than one workgroup normalises; rows that are no whole vec4s; one call either way.
        ("batch norm", vec![conv(64, 1), batch.clone(), leaky.clone()], [10, 3, 64, 64]),
        ("instance norm", vec![conv(8, 1), instance, leaky.clone()], [1, 3, 192, 192]),
        ("odd images", vec![conv(64, 1), leaky.clone(), batch.clone()], [9, 3, 15, 15]),
        ("small", vec![conv(64, 2), leaky, batch], [2, 3, 16, 16]),
    ];
    for (what, layers, x) in rows {
        gpu.tune_as(Some(AdapterKind::Software));
        let (_, expected) = pass(&gpu, &layers, &x);
        gpu.tune_as(Some(AdapterKind::Discrete));
        let (calls, values) = pass(&gpu, &layers, &x);
        assert_eq!(calls, 2, "{what}: a product and a normalisation");
        close(what, &values, &expected);
        if x.iter().product::<usize>() < 10_000 {
            gpu.tune_as(Some(AdapterKind::Software));
            let expected = gradient(&gpu, &layers, &x, false);
            gpu.tune_as(Some(AdapterKind::Discrete));
            close(&format!("{what}, gradient"), &gradient(&gpu, &layers, &x, false), &expected);
            close(&format!("{what}, recomputed"), &gradient(&gpu, &layers, &x, true), &expected);
        }
    }
}

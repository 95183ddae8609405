//! The number of kernel calls of a training step, which a GPU's driver charges for one by one.

use crate::devices;
use toile::Device;
use toile::bench::{Work, Workload};
use toile::gpu::{AdapterChoice, AdapterKind, Gpu, GpuOptions};

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

//! The case table on every device, and the list of ops that it must hold.

use crate::devices;
use toile::Device;
use toile::check::{cases, check_case};
use toile::gpu::{AdapterChoice, Gpu, GpuOptions};

fn hold(device: &Device) {
    let mut failures = Vec::new();
    let mut checks = 0;
    for case in cases() {
        for report in check_case(&case, device).unwrap_or_else(|error| panic!("{}: {error}", case.name)) {
            checks += 1;
            if !report.passed() {
                failures.push(report.to_string());
            }
        }
    }
    assert!(checks > 100, "only {checks} checks ran");
    assert!(failures.is_empty(), "{device}: {} of {checks} checks failed:\n{}", failures.len(), failures.join("\n"));
}

/// A device of its own on the adapter of the other tests.
fn open(options: GpuOptions) -> Option<Device> {
    let Device::Gpu(gpu) = devices::gpu()? else { return None };
    let gpu = Gpu::open(&AdapterChoice::Index(gpu.report().index), options).expect("the adapter was opened before");
    Some(Device::Gpu(gpu))
}

#[test]
fn reference_agrees_with_finite_differences() {
    hold(&Device::Reference);
}

#[test]
fn cpu_agrees_with_the_reference() {
    hold(&Device::Cpu);
}

/// As shipped, between guard words.
#[test]
fn gpu_agrees_with_the_reference() {
    if let Some(gpu) = open(GpuOptions { guarded: true, ..GpuOptions::default() }) {
        hold(&gpu);
    }
}

/// Nothing beyond WebGPU's defaults, and every access checked by the compiler: an access out of bounds, which a trusted
/// shader would get away with, reads zeros here and fails its case.
#[test]
fn a_minimal_checked_gpu_agrees_with_the_reference() {
    if let Some(gpu) = open(GpuOptions { checked: true, minimal: true, ..GpuOptions::default() }) {
        hold(&gpu);
    }
}

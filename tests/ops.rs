//! The case table on every device.

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
                let (check, limit) = (report.check.name(), report.limit);
                failures
                    .push(format!("{}, {check} of {}: {}, limit {limit:.1e}", case.name, report.of, report.deviation));
            }
        }
    }
    assert!(checks > 100, "only {checks} checks ran");
    assert!(failures.is_empty(), "{device}: {} of {checks} checks failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn reference_agrees_with_finite_differences() {
    hold(&Device::Reference);
}

#[test]
fn cpu_agrees_with_the_reference() {
    hold(&Device::Cpu);
}

#[test]
fn gpu_agrees_with_the_reference() {
    if let Some(gpu) = devices::gpu() {
        hold(&gpu);
    }
}

/// Nothing beyond WebGPU's defaults, and every access checked by the compiler: an access out of bounds, which a trusted
/// shader would get away with, reads zeros here and fails its case.
#[test]
fn a_minimal_checked_gpu_agrees_with_the_reference() {
    let Some(Device::Gpu(gpu)) = devices::gpu() else { return };
    let options = GpuOptions { checked: true, minimal: true };
    let gpu = Gpu::open(&AdapterChoice::Index(gpu.report().index), options).expect("the adapter was opened before");
    hold(&Device::Gpu(gpu));
}

//! The case table on every device.

use crate::devices;
use toile::Device;
use toile::check::{cases, check_case};

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

//! Every way a device can compute its cases, whatever it would choose: kernel variants, instruction sets.

use crate::devices;
use toile::Device;
use toile::check::{Expected, Variant, cases};
use toile::gpu::{AdapterChoice, Gpu, GpuOptions};

/// Holds all variants but the one that a device takes by itself, which tests/ops.rs holds.
fn hold(device: &Device, checked: bool) {
    let variants = Variant::all(device).expect("threads");
    let (mut failures, mut checks) = (Vec::new(), 0);
    for case in cases() {
        let concerned: Vec<&Variant> = variants[1..].iter().filter(|variant| variant.concerns(&case)).collect();
        if concerned.is_empty() {
            continue;
        }
        // First order is enough here: the second runs the same kernels. (`toile selftest` runs it.)
        let expected = Expected::new(&case, if checked { 0 } else { 1 }).expect("the reference");
        for variant in concerned {
            let reports = expected.check(device, variant);
            for report in reports.unwrap_or_else(|error| panic!("{}, {}: {error}", case.name, variant.name())) {
                checks += 1;
                if !report.passed() {
                    failures.push(report.to_string());
                }
            }
        }
    }
    assert!(checks > 1000, "only {checks} checks ran");
    assert!(failures.is_empty(), "{} of {checks} checks failed:\n{}", failures.len(), failures.join("\n"));
}

fn open(options: GpuOptions) -> Option<Device> {
    let Device::Gpu(shared) = devices::gpu()? else { return None };
    let gpu = Gpu::open(&AdapterChoice::Index(shared.report().index), options);
    Some(Device::Gpu(gpu.expect("the adapter was opened before")))
}

#[test]
fn every_variant_agrees_with_the_reference() {
    if let Some(gpu) = open(GpuOptions { guarded: true, ..GpuOptions::default() }) {
        hold(&gpu, false);
    }
}

#[test]
fn every_variant_of_a_minimal_checked_device_agrees_with_the_reference() {
    if let Some(gpu) = open(GpuOptions { checked: true, minimal: true, ..GpuOptions::default() }) {
        hold(&gpu, true);
    }
}

#[test]
fn a_processor_without_avx2_agrees_with_the_reference() {
    if Variant::all(&Device::Cpu).expect("threads").len() > 1 {
        hold(&Device::Cpu, false);
    }
}

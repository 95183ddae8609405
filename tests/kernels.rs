//! Every kernel variant of the matrix products and convolutions against the reference, whatever the tuning table chooses.

use crate::devices;
use toile::Device;
use toile::check::{cases, check_case};
use toile::gpu::{AdapterChoice, Gpu, GpuOptions, tuning};

/// The ops that have variants.
const OPS: [&str; 5] = ["matmul", "linear", "conv2d", "conv2d_input", "conv2d_weight"];

fn hold(gpu: &Gpu) {
    let mut failures = Vec::new();
    let device = Device::Gpu(gpu.clone());
    for variant in tuning::variants(gpu) {
        gpu.force_variant(Some(variant));
        for mut case in cases().into_iter().filter(|case| OPS.contains(&case.op())) {
            // First order is enough: the second runs the same kernels.
            case.order = case.order.min(1);
            for report in check_case(&case, &device).unwrap_or_else(|error| panic!("{variant:?}: {error}")) {
                if !report.passed() {
                    let (check, limit) = (report.check.name(), report.limit);
                    failures.push(format!(
                        "{variant:?}: {}, {check} of {}: {}, limit {limit:.1e}",
                        case.name, report.of, report.deviation
                    ));
                }
            }
        }
    }
    gpu.force_variant(None);
    assert!(failures.is_empty(), "{} checks failed:\n{}", failures.len(), failures.join("\n"));
}

fn open(options: GpuOptions) -> Option<Gpu> {
    let Device::Gpu(shared) = devices::gpu()? else { return None };
    let gpu = Gpu::open(&AdapterChoice::Index(shared.report().index), options);
    Some(gpu.expect("the adapter was opened before"))
}

#[test]
fn every_variant_agrees_with_the_reference() {
    if let Some(gpu) = open(GpuOptions::default()) {
        hold(&gpu);
    }
}

#[test]
fn every_variant_of_a_minimal_checked_device_agrees_with_the_reference() {
    if let Some(gpu) = open(GpuOptions { checked: true, minimal: true }) {
        hold(&gpu);
    }
}

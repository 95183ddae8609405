//! The case table on the fast devices, in every way they can compute it: kernel variants, instruction sets, threads.

use crate::{devices, shaders};
use toile::Device;
use toile::check::{Expected, Variant, cases};
use toile::gpu::{AdapterChoice, Gpu, GpuOptions, Kernel};

/// Holds all variants, the one that a device takes by itself included.
fn hold(device: &Device, checked: bool) {
    let variants = Variant::all(device).expect("threads");
    let (mut failures, mut checks) = (Vec::new(), 0);
    for case in cases() {
        let expected = Expected::new(&case, if checked { 1 } else { 2 }).expect("the reference");
        // First order is enough for the others: the second runs the same kernels. (`toile selftest` runs it.)
        let first = Expected::new(&case, if checked { 0 } else { 1 }).expect("the reference");
        for (number, variant) in variants.iter().enumerate().filter(|(_, variant)| variant.concerns(&case)) {
            let reports = if number == 0 { &expected } else { &first }.check(device, variant);
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

/// As shipped, between guard words. Then every kernel that this ran is held with the constants that it ran with, and no
/// entry point of any shader may be left that it did not run.
#[test]
fn the_gpu_and_its_variants_agree_with_the_reference() {
    let Some(device) = open(GpuOptions { guarded: true, ..GpuOptions::default() }) else { return };
    hold(&device, false);
    let Device::Gpu(gpu) = &device else { unreachable!("it was opened as a gpu") };
    let ran = gpu.kernels();
    ran.iter().for_each(shaders::hold);
    shaders::hold(&Kernel::new("limits", "fma_chains"));
    let subgroups = gpu.has_subgroups_of(8);
    for kernel in shaders::entry_points() {
        // What the bench measures a device's limit with computes no op.
        let left_out = kernel.shader == "gemm_shuffle" && !subgroups || kernel.shader == "limits";
        let found = ran.iter().any(|k| (k.shader, k.entry) == (kernel.shader, kernel.entry));
        assert!(found || left_out, "no case runs the kernel {kernel}");
    }
}

/// Nothing beyond WebGPU's defaults, and every access checked by the compiler: an access out of bounds, which a trusted
/// shader would get away with, reads zeros here and fails its case.
#[test]
fn a_minimal_checked_gpu_and_its_variants_agree_with_the_reference() {
    if let Some(gpu) = open(GpuOptions { checked: true, minimal: true, ..GpuOptions::default() }) {
        hold(&gpu, true);
    }
}

#[test]
fn the_cpu_with_and_without_vectors_agrees_with_the_reference() {
    hold(&Device::Cpu, false);
}

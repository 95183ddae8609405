//! The `--device` option.

use crate::cpu::simd::Isa;
use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, AdapterKind, Gpu, GpuOptions, adapters};
use crate::tensor::Device;

/// Help text of `--device`.
pub const HELP: &str = "auto (a hardware GPU, else cpu), cpu, reference (f64, slow), gpu (a hardware GPU), \
                        gpu:N or gpu:NAME (adapter N of `toile devices`, part of its name, or vulkan, metal, dx12, gl; the way to a software adapter)";

/// Opens the device and says in a line what was taken and why.
///
/// # Errors
/// An unknown word, or no such adapter.
pub fn open(text: &str) -> Result<(Device, String)> {
    open_with(text, GpuOptions::default())
}

/// The same, with a GPU opened in a certain way.
///
/// # Errors
/// An unknown word, also in `TOILE_SIMD`, or no such adapter.
pub fn open_with(text: &str, options: GpuOptions) -> Result<(Device, String)> {
    Isa::asked()?; // a TOILE_SIMD that says nothing
    let gpu = |choice: AdapterChoice, why: &str| -> Result<(Device, String)> {
        let gpu = Gpu::open(&choice, options)?;
        // What an earlier run left is a help, no need: a device that is there is used without it.
        let tuned = match gpu.use_stored_tuning() {
            Ok(true) => ", kernels as tuned on it",
            Ok(false) => "",
            Err(error) => {
                super::say(&format!("warning: {error}; kernels are taken from the built-in table"));
                ""
            }
        };
        if let Some(amiss) = gpu.use_stored_pipelines() {
            super::say(&format!("warning: {amiss}"));
        }
        let report = gpu.report();
        let line = format!("gpu {}, {} ({}){tuned}{why}", report.name, report.backend, report.kind);
        Ok((Device::Gpu(gpu), line))
    };
    let threads = || match rayon::current_num_threads() {
        1 => "1 thread".to_string(),
        n => format!("{n} threads"),
    };
    match text {
        "cpu" => Ok((Device::Cpu, format!("cpu, {}", threads()))),
        "reference" => Ok((Device::Reference, "reference, f64 in plain loops on 1 thread: exact and slow".into())),
        "gpu" => gpu(AdapterChoice::Hardware, ""),
        "auto" => match gpu(AdapterChoice::Hardware, ", taken by auto: a hardware GPU") {
            Ok(taken) => Ok(taken),
            Err(error) => Ok((Device::Cpu, format!("cpu, {}, taken by auto: {}", threads(), why_no_gpu(&error)))),
        },
        _ => match text.strip_prefix("gpu:") {
            Some("") => Err(Error::Usage(format!("--device {text}: a number or a name must follow; takes {HELP}"))),
            Some(which) => match which.parse::<usize>() {
                Ok(index) => gpu(AdapterChoice::Index(index), ""),
                Err(_) => gpu(AdapterChoice::Name(which.to_string()), ""),
            },
            None => Err(Error::Usage(format!("--device {text}: takes {HELP}"))),
        },
    }
}

/// The same for a command whose exit code 1 says that a check failed: a device that cannot be opened is a wrong `--device`.
///
/// # Errors
/// An unknown word, or no such adapter; always with exit code 2.
pub fn open_to_check(text: &str, options: GpuOptions) -> Result<(Device, String)> {
    open_with(text, options).map_err(|error| Error::Usage(error.to_string()))
}

/// Why `auto` takes no GPU.
fn why_no_gpu(error: &Error) -> String {
    let found = adapters();
    match found.iter().find(|a| a.kind == AdapterKind::Software) {
        _ if found.iter().any(|a| a.kind != AdapterKind::Software) => format!("the GPU could not be opened: {error}"),
        Some(a) => format!("no hardware GPU (software adapter {} is used only by --device gpu:N)", a.name),
        None => "no GPU adapter".into(),
    }
}

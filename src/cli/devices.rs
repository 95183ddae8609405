//! `toile devices`: what this machine can run on.

use super::{device, print_line};
use crate::error::Result;
use crate::gpu::{AdapterReport, adapters, tuning_file};

/// Lists the adapters of this machine, and what `--device auto` takes
///
/// Example: toile devices
#[derive(clap::Args)]
pub struct Args {
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<u8> {
    let found = adapters();
    let (_, auto) = device::open("auto")?;
    if args.json {
        let list: Vec<serde_json::Value> = found.iter().map(json).collect();
        print_line(&serde_json::json!({ "adapters": list, "auto": auto }).to_string())?;
        return Ok(0);
    }
    for adapter in &found {
        print_line(&text(adapter))?;
    }
    if found.is_empty() {
        let hint = if cfg!(target_os = "linux") { ": mesa-vulkan-drivers brings a software one" } else { "" };
        print_line(&format!("no GPU adapter with a Vulkan, Metal, DX12 or GL driver{hint}"))?;
    }
    print_line(&format!(
        "cpu: {} threads, f32\nreference: f64, plain loops\nauto: {auto}",
        rayon::current_num_threads()
    ))?;
    Ok(0)
}

fn text(a: &AdapterReport) -> String {
    let l = &a.limits;
    let mib = |bytes: u64| bytes >> 20;
    let usable = match &a.usable {
        Ok(()) => String::new(),
        Err(why) => format!("\n    cannot be used: {why}"),
    };
    format!(
        "gpu:{} {} ({}, {})\n    driver {} {}\n    largest buffer {} MiB, binding {} MiB; {} storage buffers a stage; \
         workgroups of {} invocations with {} KiB memory, {} a dimension; subgroups {}-{}\n    features: {}{tuned}{usable}",
        a.index,
        a.name,
        a.kind,
        a.backend,
        a.driver,
        a.driver_info,
        mib(l.buffer_bytes),
        mib(l.storage_binding_bytes),
        l.storage_buffers_per_stage,
        l.invocations_per_workgroup,
        l.workgroup_memory_bytes >> 10,
        l.workgroups_per_dimension,
        a.subgroup_min,
        a.subgroup_max,
        if a.features.is_empty() { "none".into() } else { a.features.join(", ") },
        tuned = match tuning_file(a).filter(|path| path.is_file()) {
            Some(path) => format!("\n    kernels as tuned: {}", path.display()),
            None => String::new(),
        },
    )
}

fn json(a: &AdapterReport) -> serde_json::Value {
    let l = &a.limits;
    serde_json::json!({
        "index": a.index, "name": a.name, "kind": a.kind.to_string(), "backend": a.backend,
        "driver": a.driver, "driver_info": a.driver_info, "usable": a.usable.is_ok(),
        "why_not": a.usable.as_ref().err(), "features": a.features,
        "subgroup": [a.subgroup_min, a.subgroup_max], "tuning_file": tuning_file(a),
        "limits": {
            "buffer_bytes": l.buffer_bytes, "storage_binding_bytes": l.storage_binding_bytes,
            "storage_buffers_per_stage": l.storage_buffers_per_stage,
            "workgroup_memory_bytes": l.workgroup_memory_bytes,
            "invocations_per_workgroup": l.invocations_per_workgroup,
            "workgroups_per_dimension": l.workgroups_per_dimension,
        },
    })
}

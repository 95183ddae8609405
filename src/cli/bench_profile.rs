//! `toile bench --profile`: where a step goes, as a table.

use super::bench::limits_text;
use super::print_line;
use crate::bench::{Limits, Stage, StepProfile, Workload, profile_steps, shapes_text};
use crate::error::Result;
use crate::tensor::Device;

/// Stages below this share of the step are added up in one line.
const SMALLEST: f64 = 0.004;

pub fn profile(workload: &Workload, device: &Device, device_line: &str, json: bool) -> Result<u8> {
    let limits = Limits::measure(device)?;
    let profile = profile_steps(workload, device, &limits)?;
    print_line(&limits_text(&limits, json))?;
    if json {
        let Workload { batch, size, width, .. } = workload;
        let head = serde_json::json!({
            "workload": workload.key(), "batch": batch, "size": size, "width": width, "device": device.name(),
            "step_s": profile.seconds, "timestamps": profile.timestamps,
        });
        print_line(&head.to_string())?;
        for stage in &profile.stages {
            print_line(&stage_json(stage))?;
        }
        return Ok(0);
    }
    let sum = |of: fn(&Stage) -> f64| profile.stages.iter().map(of).sum::<f64>();
    let StepProfile { seconds, timestamps, .. } = profile;
    let how = if timestamps { "timestamps around every kernel" } else { "the clock around every op" };
    print_line(&format!("device: {device_line}\n{workload}, by {how}:"))?;
    print_line(&format!(
        "{:.1} ms a step by the clock, {:.1} ms in {:.0} ops and {:.0} kernel calls; {:.2} GFLOP; floor {:.1} ms",
        seconds * 1e3,
        sum(|s| s.seconds) * 1e3,
        sum(|s| s.calls),
        sum(|s| s.dispatches),
        sum(|s| s.flop) * 1e-9,
        sum(|s| s.floor) * 1e3,
    ))?;
    print_line("       ms  share  floor ms  x floor  GFLOP/s    GB/s  calls  kernels  op")?;
    let total = sum(|s| s.seconds).max(1e-12);
    let (shown, small): (Vec<&Stage>, Vec<&Stage>) =
        profile.stages.iter().partition(|stage| stage.seconds >= SMALLEST * total);
    for stage in shown {
        print_line(&stage_text(stage, total))?;
        for (kernel, seconds) in stage.kernels.iter().filter(|(_, s)| stage.kernels.len() > 1 && *s > SMALLEST * total)
        {
            print_line(&format!("{:>64.2} ms {kernel}", seconds * 1e3))?;
        }
    }
    let rest = small.iter().fold((0.0, 0.0, 0.0, 0.0), |(s, floor, calls, kernels), stage| {
        (s + stage.seconds, floor + stage.floor, calls + stage.calls, kernels + stage.dispatches)
    });
    let (seconds, floor, calls, kernels) = rest;
    print_line(&format!(
        "{:9.2} {:5.1}% {:9.2} {:8.1} {:8} {:7} {calls:6.0} {kernels:8.0}  {} more",
        seconds * 1e3,
        seconds / total * 100.0,
        floor * 1e3,
        seconds / floor.max(1e-12),
        "",
        "",
        small.len(),
    ))?;
    Ok(0)
}

fn stage_text(s: &Stage, total: f64) -> String {
    let rate = |amount: f64| if amount > 0.0 { format!("{:.1}", amount / s.seconds * 1e-9) } else { "-".into() };
    format!(
        "{:9.2} {:5.1}% {:9.2} {:8.1} {:>8} {:>7} {:6.0} {:8.0}  {} {}",
        s.seconds * 1e3,
        s.seconds / total * 100.0,
        s.floor * 1e3,
        s.seconds / s.floor.max(1e-12),
        rate(s.flop),
        rate(s.bytes),
        s.calls,
        s.dispatches,
        s.op,
        shapes_text(&s.shapes),
    )
}

fn stage_json(s: &Stage) -> String {
    let kernels: serde_json::Map<String, serde_json::Value> =
        s.kernels.iter().map(|(name, seconds)| (name.clone(), (*seconds).into())).collect();
    serde_json::json!({
        "op": s.op, "shapes": shapes_text(&s.shapes), "seconds": s.seconds, "floor_s": s.floor, "flop": s.flop,
        "bytes": s.bytes, "calls": s.calls, "dispatches": s.dispatches, "kernels": kernels,
    })
    .to_string()
}

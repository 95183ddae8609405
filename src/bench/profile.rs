//! Where a step goes: the time of each op beside its own floor, what it must compute or move at the device's limits.

use super::limits::Limits;
use super::workloads::{Work, Workload};
use crate::error::Result;
use crate::gpu::KernelTime;
use crate::shape::Shape;
use crate::tensor::Device;
use crate::tensor::profile::{OpRecord, profile};
use std::collections::BTreeMap;
use std::time::Instant;

/// All calls of one op with the same shapes in a step.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The op.
    pub op: &'static str,
    /// Its inputs' shapes, then its output's.
    pub shapes: Vec<Shape>,
    /// Calls a step.
    pub calls: f64,
    /// Kernel calls a step, on a GPU.
    pub dispatches: f64,
    /// Seconds a step.
    pub seconds: f64,
    /// Multiplications and additions a step.
    pub flop: f64,
    /// Bytes of inputs and outputs a step.
    pub bytes: f64,
    /// Seconds that the device's limits allow at best.
    pub floor: f64,
    /// Seconds a step by kernel, the longest first; only where the device times them itself.
    pub kernels: Vec<(String, f64)>,
}

/// Where the time of a step goes.
#[derive(Clone, Debug)]
pub struct StepProfile {
    /// Seconds of a step by the clock while it was profiled, which makes it slower.
    pub seconds: f64,
    /// Whether the device timed its kernels by timestamps; otherwise each op was waited for.
    pub timestamps: bool,
    /// The stages, the longest first.
    pub stages: Vec<Stage>,
}

/// Steps that are profiled, after two that are not.
const STEPS: usize = 3;

/// Profiles some steps of a workload.
///
/// # Errors
/// What went wrong on the device.
pub fn profile_steps(workload: &Workload, device: &Device, limits: &Limits) -> Result<StepProfile> {
    let mut work = Work::new(workload, device)?;
    work.step()?;
    work.step()?;
    let timed = match device {
        Device::Gpu(gpu) if gpu.has_timestamps() => Some(gpu),
        _ => None,
    };
    if let Some(gpu) = timed {
        gpu.start_timing()?;
    }
    let first_dispatch = timed.map_or(0, |gpu| gpu.stats().dispatches);
    let start = Instant::now();
    let wait = timed.is_none();
    let (outcome, records) = profile(wait, || (0..STEPS).try_for_each(|_| work.step()));
    let seconds = start.elapsed().as_secs_f64() / STEPS as f64;
    let kernels = timed.map_or(Ok(Vec::new()), |gpu| gpu.stop_timing())?;
    outcome?;
    let stages = stages(&records, &kernels, first_dispatch, limits);
    Ok(StepProfile { seconds, timestamps: timed.is_some(), stages })
}

fn stages(records: &[OpRecord], kernels: &[KernelTime], first: u64, limits: &Limits) -> Vec<Stage> {
    type KernelSeconds<'a> = BTreeMap<&'a str, f64>;
    let mut by_shapes: BTreeMap<(&str, String), (Stage, KernelSeconds)> = BTreeMap::new();
    let a_step = 1.0 / STEPS as f64;
    for record in records {
        let key = (record.name, shapes_text(&record.shapes));
        let (stage, by_kernel) = by_shapes.entry(key).or_insert_with(|| {
            let stage = Stage {
                op: record.name,
                shapes: record.shapes.clone(),
                calls: 0.0,
                dispatches: 0.0,
                seconds: 0.0,
                flop: 0.0,
                bytes: 0.0,
                floor: 0.0,
                kernels: Vec::new(),
            };
            (stage, BTreeMap::new())
        });
        let range = (record.dispatches.start - first) as usize..(record.dispatches.end - first) as usize;
        let of_op = kernels.get(range.clone()).unwrap_or_default();
        let seconds = if kernels.is_empty() { record.seconds } else { of_op.iter().map(|k| k.seconds).sum() };
        for kernel in of_op {
            *by_kernel.entry(&kernel.kernel).or_default() += kernel.seconds * a_step;
        }
        stage.calls += a_step;
        stage.dispatches += range.len() as f64 * a_step;
        stage.seconds += seconds * a_step;
        stage.flop += record.flop * a_step;
        stage.bytes += record.bytes * a_step;
        stage.floor += (record.flop / limits.fma).max(record.bytes / limits.copy) * 1e-9 * a_step;
    }
    let mut stages: Vec<Stage> = by_shapes
        .into_values()
        .map(|(stage, by_kernel)| {
            let mut kernels: Vec<_> = by_kernel.into_iter().map(|(name, s)| (name.to_string(), s)).collect();
            kernels.sort_by(|a, b| b.1.total_cmp(&a.1));
            Stage { kernels, ..stage }
        })
        .collect();
    stages.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    stages
}

/// `[16, 3, 64, 64] [64, 3, 4, 4] -> [16, 64, 32, 32]`
pub fn shapes_text(shapes: &[Shape]) -> String {
    let texts: Vec<String> = shapes.iter().map(Shape::to_string).collect();
    match texts.split_last() {
        Some((output, inputs)) => format!("{} -> {output}", inputs.join(" ")),
        None => String::new(),
    }
}

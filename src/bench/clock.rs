//! Clocks: the median of five runs, processor time, and the most memory a process held.

use crate::error::Result;
use crate::tensor::Device;
use std::time::Instant;

/// Runs that a median is taken of.
pub const RUNS: usize = 5;

/// A run shorter than this many seconds is repeated until it is not, and its time divided.
const SHORTEST: f64 = 0.02;

/// What running something several times took, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The median of five runs.
    pub median: f64,
    /// The shortest of these.
    pub best: f64,
    /// Their mean processor time, over all cores: on a busy machine steadier than the clock. 0 where the system does
    /// not tell.
    pub processor: f64,
}

/// Runs `run` once or twice unmeasured, then five times, each time until the device is done.
///
/// # Errors
/// What went wrong on the device.
pub fn time(device: &Device, mut run: impl FnMut() -> Result<()>) -> Result<Timing> {
    let mut once = |repeats: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..repeats {
            run()?;
        }
        device.wait()?;
        Ok(start.elapsed().as_secs_f64() / repeats as f64)
    };
    let taken = once(1)?;
    let taken = if taken < 10.0 * SHORTEST { once(1)? } else { taken };
    let repeats = (SHORTEST / taken.max(1e-9)).ceil().clamp(1.0, 1000.0) as usize;
    let before = processor();
    let mut taken = (0..RUNS).map(|_| once(repeats)).collect::<Result<Vec<f64>>>()?;
    let processor = (processor() - before) / (RUNS * repeats) as f64;
    taken.sort_by(f64::total_cmp);
    Ok(Timing { median: taken[RUNS / 2], best: taken[0], processor })
}

/// Runs `run` and returns the processor seconds it took, or the clock's where the system does not tell.
///
/// # Errors
/// Those of `run`.
pub fn first(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (before, start) = (processor(), Instant::now());
    run()?;
    Ok(if before > 0.0 { processor() - before } else { start.elapsed().as_secs_f64() })
}

/// Processor seconds of this process so far, over all threads; 0 where the system does not tell.
pub fn processor() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let read = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(read).sum::<f64>() * 1e-9
}

/// The most bytes of main memory that this process held at a time; none where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

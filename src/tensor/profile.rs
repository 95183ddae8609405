//! Where time goes: every op that a thread computes, with its shapes, work and seconds.

use super::Device;
use crate::shape::Shape;
use std::cell::RefCell;
use std::ops::Range;
use std::time::Instant;

/// One op as it was computed.
#[derive(Clone, Debug)]
pub struct OpRecord {
    /// The op's name.
    pub name: &'static str,
    /// Its inputs' shapes, then its output's.
    pub shapes: Vec<Shape>,
    /// Multiplications and additions, where these are what limits it.
    pub flop: f64,
    /// Bytes of its inputs and output in f32.
    pub bytes: f64,
    /// Seconds until it returned. On a GPU that times its kernels itself this is only the time of recording them.
    pub seconds: f64,
    /// On a GPU, the numbers of its kernel calls, counted from the device's first.
    pub dispatches: Range<u64>,
}

struct Profile {
    /// Wait after each op on a GPU, so that the clock tells what it took.
    wait: bool,
    records: Vec<OpRecord>,
}

thread_local! {
    static PROFILE: RefCell<Option<Profile>> = const { RefCell::new(None) };
}

/// Runs `f` and lists the ops that this thread computed in it, in order. With `wait`, a GPU finishes each op before the
/// next begins.
pub fn profile<R>(wait: bool, f: impl FnOnce() -> R) -> (R, Vec<OpRecord>) {
    PROFILE.set(Some(Profile { wait, records: Vec::new() }));
    let result = f();
    let records = PROFILE.take().map_or(Vec::new(), |profile| profile.records);
    (result, records)
}

/// Runs what computes an op and records it while a profile is taken.
pub(crate) fn measured<R>(
    name: &'static str,
    device: &Device,
    shapes: &[&Shape],
    flop: impl FnOnce() -> f64,
    compute: impl FnOnce() -> R,
) -> R {
    let Some(wait) = PROFILE.with_borrow(|profile| profile.as_ref().map(|profile| profile.wait)) else {
        return compute();
    };
    let dispatches = || match device {
        Device::Gpu(gpu) => gpu.stats().dispatches,
        _ => 0,
    };
    let (first, start) = (dispatches(), Instant::now());
    let result = compute();
    if wait {
        // A device that fails here fails again where values are read.
        let _ = device.wait();
    }
    let record = OpRecord {
        name,
        shapes: shapes.iter().map(|&shape| shape.clone()).collect(),
        flop: flop(),
        bytes: shapes.iter().map(|shape| shape.len() as f64 * 4.0).sum(),
        seconds: start.elapsed().as_secs_f64(),
        dispatches: first..dispatches(),
    };
    PROFILE.with_borrow_mut(|profile| profile.iter_mut().for_each(|profile| profile.records.push(record.clone())));
    result
}

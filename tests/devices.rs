//! The devices the tests run on.

use std::sync::OnceLock;
use toile::Device;
use toile::gpu::{AdapterChoice, Gpu, GpuOptions};

/// The GPU device: the hardware adapter if there is one, else a software one. `None` only where
/// `TOILE_TEST_NO_GPU=1` says so.
pub fn gpu() -> Option<Device> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        if std::env::var("TOILE_TEST_NO_GPU").is_ok_and(|v| v == "1") {
            println!("TOILE_TEST_NO_GPU=1: the GPU tests are LEFT OUT");
            return None;
        }
        let open = |choice| Gpu::open(&choice, GpuOptions::default());
        match open(AdapterChoice::Hardware).or_else(|_| open(AdapterChoice::Software)) {
            Ok(gpu) => Some(gpu),
            Err(error) => panic!("no GPU adapter: {error}\n(TOILE_TEST_NO_GPU=1 leaves the GPU tests out)"),
        }
    });
    gpu.clone().map(Device::Gpu)
}

/// Every device: the reference, the CPU and, unless left out, the GPU.
pub fn all() -> Vec<Device> {
    [Device::Reference, Device::Cpu].into_iter().chain(gpu()).collect()
}

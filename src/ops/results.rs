//! Tensors that one kernel call writes together. (An op has one result: what these are made by is said by their users.)

use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};
use crate::shape::Shape;
use crate::tensor::{Device, Storage, Tensor, profile};

/// What `run` writes into buffers for tensors of these shapes, or why it failed in each.
pub(super) fn results<const N: usize>(
    name: &'static str,
    gpu: &Gpu,
    reads: &[&Tensor],
    shapes: [Shape; N],
    flop: impl FnOnce() -> f64,
    run: impl FnOnce(&[&GpuBuffer], [&GpuBuffer; N]) -> Result<()>,
) -> [Tensor; N] {
    let device = Device::Gpu(gpu.clone());
    let compute = || {
        let mut buffers = Vec::new();
        for x in reads {
            match x.storage() {
                Storage::Gpu(buffer) => buffers.push(buffer),
                Storage::Failed(why) => return Err(why.to_string()),
                _ => return Err(format!("{name}: inputs on different devices")),
            }
        }
        let written = || {
            let written: Result<Vec<GpuBuffer>> = shapes.iter().map(|s| gpu.alloc(s.len() as u64 * 4)).collect();
            let written: [GpuBuffer; N] = written?.try_into().unwrap_or_else(|_| unreachable!("one a shape"));
            run(&buffers, written.each_ref())?;
            Ok::<_, crate::Error>(written)
        };
        written().map_err(|error| format!("{name}: {error}"))
    };
    let all: Vec<&Shape> = reads.iter().map(|x| x.shape()).chain(&shapes).collect();
    let mut storages = match profile::measured(name, &device, &all, flop, compute) {
        Ok(buffers) => buffers.map(Storage::Gpu),
        Err(why) => [(); N].map(|()| Storage::Failed(why.as_str().into())),
    }
    .into_iter();
    shapes.map(|shape| Tensor::leaf(&device, shape, storages.next().expect("one a shape")))
}

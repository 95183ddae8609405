//! A statistics pass over all groups on a GPU: by one workgroup a channel, by one invocation a channel, or in two kernels.

use super::sizes::{NormParams, Sizes};
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, grid};
use crate::tensor::GpuView;

/// Channels from which on an invocation each keeps a few cores of a software adapter busy: one call instead of two.
const SERIAL_CHANNELS: usize = 32;
/// Elements that such an invocation may take: two passes over as many vec4s, and the same limit of turns.
const MOST_SERIAL: usize = 1 << 16;

impl Sizes {
    /// A statistics pass over all groups: by one workgroup a channel; by one invocation a channel; or in two kernels, a
    /// chunk of a group an invocation, then the chunks in order.
    pub(super) fn statistics(self, gpu: &Gpu, pass: &Pass, params: &NormParams, y: GpuView) -> Result<()> {
        let kernel = |entry: &'static str| match pass.switch {
            (name, on) if !entry.contains(pass.unaffected) => {
                Kernel::new(pass.shader, entry).constant(name, f64::from(u8::from(on)))
            }
            _ => Kernel::new(pass.shader, entry),
        };
        let call = |kernel: Kernel, reads: &[&GpuBuffer], y: &GpuBuffer, workgroups: [u32; 3]| {
            let (params, label) = (bytemuck::bytes_of(params), pass.name);
            gpu.run(&KernelCall { kernel, reads, writes: &[y], params, workgroups, label })
        };
        let all = self.count() * self.parts;
        // An invocation takes every 256th element, and no more than old drivers' loops allow.
        if tuning::channel_by_workgroup(gpu) && (1..=256 * 30_000).contains(&all) {
            return call(kernel("channel"), pass.reads, y.buffer, grid(self.c as u64, 1));
        }
        let quads = self.whole_quads(gpu);
        if quads && self.c >= SERIAL_CHANNELS && (1..=MOST_SERIAL).contains(&all) {
            return call(kernel("serial"), pass.reads, y.buffer, grid(self.c as u64, 8));
        }
        let parts = self.groups() as u64 * params.chunks as u64;
        let partials = gpu.alloc(parts * 8)?;
        let entry = if quads { "partial_quads" } else { "partial" };
        call(kernel(entry), pass.partial_reads, &partials, grid(parts, 64))?;
        let reads: Vec<&GpuBuffer> = std::iter::once(&partials).chain(pass.reads[1..].iter().copied()).collect();
        call(kernel("combine"), &reads, y.buffer, grid(self.c as u64, 64))
    }
}

/// The kernels of a statistics pass and what they read.
pub(super) struct Pass<'a> {
    pub name: &'static str,
    pub shader: &'static str,
    /// A constant of the kernels, 0 or 1, but of those in whose names this stands.
    pub switch: (&'static str, bool),
    pub unaffected: &'static str,
    pub reads: &'a [&'a GpuBuffer],
    pub partial_reads: &'a [&'a GpuBuffer],
}

//! Batch normalisation on a GPU by the moments of tiles that the product before it has taken along: in one kernel call, which
//! reads x once.

use super::moments::Running;
use super::sizes::NormParams;
use super::value::BatchNorm;
use crate::gpu::{GpuBuffer, Kernel, KernelCall, grid};
use crate::ops::measured::TileMoments;
use crate::ops::results::results;
use crate::tensor::{Device, Storage, Tensor};

/// Elements that a workgroup of 256 normalises at least: four vec4s an invocation.
const LEAST_SLICE: usize = 1 << 12;

/// Workgroups of a group at most: each combines all tiles of the group, so that many would read more of these than of x.
const MOST_SLICES: usize = 8;

/// Twin of `TilesParams` in `batch_norm_tiles.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct TilesParams {
    norm: NormParams,
    tiles: u32,
    first: u32,
}

/// The moments of x, [2·parts, C] (with what becomes of `running`, in two rows more), and x normalised by eps and slope of `norm`. The
/// groups are those that the moments were taken of. None where vectors do not fit, which is told elsewhere.
pub(super) fn value(
    norm: BatchNorm,
    x: &Tensor,
    tiles: TileMoments,
    [gamma, beta]: [&Tensor; 2],
    running: Option<Running>,
) -> Option<[Tensor; 2]> {
    let Device::Gpu(gpu) = x.device() else { return None };
    let TileMoments { values, sizes: s, tiles } = tiles;
    let (mean, var, rows) = match running {
        Some(running) => (running.mean, running.var, 2 * s.parts + 2),
        // Something must stand in their place; it is not read.
        None => (gamma, gamma, 2 * s.parts),
    };
    let vectors = [gamma, beta, mean, var];
    if vectors.iter().any(|v| v.rank() != 1 || v.len() < s.c || v.device() != x.device()) {
        return None;
    }
    let quads = s.whole_quads(gpu);
    let chunk = s.count().div_ceil(MOST_SLICES).max(LEAST_SLICE).next_multiple_of(4);
    let mut params = NormParams {
        chunk: chunk as u32,
        chunks: s.count().div_ceil(chunk) as u32,
        ..s.params(gpu, norm.eps, norm.slope)
    };
    if let Some(running) = running {
        running.note(&mut params);
    }
    let params = TilesParams { norm: params, tiles: tiles as u32, first: TileMoments::first(s) as u32 };
    let kernel = Kernel::new("batch_norm_tiles", if quads { "value_quads" } else { "value" })
        .constant("moves", f64::from(u8::from(running.is_some())));
    let run = |buffers: &[&GpuBuffer], [y]: [&GpuBuffer; 1]| {
        let [x, values, vectors @ ..] = buffers else { unreachable!("it reads two tensors and four vectors") };
        gpu.run(&KernelCall {
            kernel,
            reads: &[&[*x], vectors].concat(),
            writes: &[values, y],
            params: bytemuck::bytes_of(&params),
            workgroups: grid(s.groups() as u64 * u64::from(params.norm.chunks), 1),
            label: "batch_norm",
        })
    };
    let [y] = results("batch_norm", gpu, &[x, &values, gamma, beta, mean, var], [x.shape().clone()], || 0.0, run);
    let moments = match (y.storage(), values.storage()) {
        (Storage::Failed(why), _) => Storage::Failed(why.clone()),
        (_, Storage::Gpu(buffer)) => Storage::Gpu(buffer.view(0, (rows * s.c * 4) as u64)),
        (_, other) => other.clone(),
    };
    Some([Tensor::leaf(x.device(), [rows, s.c].into(), moments), y])
}

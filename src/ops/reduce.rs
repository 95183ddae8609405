//! Sums over axes, and the means and broadcast sums that are made of them.

use crate::cpu::parallel::{PIECE, for_chunks, for_pieces, for_rows};
use crate::cpu::simd::vectorized;
use crate::cpu::sums;
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, Span, grid, in_pieces, reach};
use crate::ops::layout::{MAX_RANK, padded};
use crate::shape::{Shape, collapse};
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

/// Elements one GPU invocation sums; longer sums go over several passes (old drivers stop loops after 65,535 turns).
const CHUNK: usize = 1024;

/// y = Σ x over `axes`, which disappear.
#[derive(Clone, Debug)]
pub struct Sum {
    axes: Vec<usize>,
}

/// x's axes merged and sorted into kept and summed ones, each with sizes and strides.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    pub kept: (Vec<usize>, Vec<usize>),
    pub summed: (Vec<usize>, Vec<usize>),
    /// True if the innermost merged axis is summed.
    pub inner_summed: bool,
}

impl Split {
    /// Of a tensor of shape `x` reduced over `axes`.
    pub fn new(x: &Shape, axes: &[usize]) -> Split {
        let own = x.strides();
        // A second operand, the output, keeps axes of different roles from being merged.
        let mut out_strides = vec![0; x.rank()];
        let mut stride = 1;
        for axis in (0..x.rank()).rev().filter(|axis| !axes.contains(axis)) {
            out_strides[axis] = stride;
            stride *= x[axis];
        }
        let (dims, [xs, ys]) = collapse(x, [&own, &out_strides]);
        let pick = |summed: bool| -> (Vec<usize>, Vec<usize>) {
            (0..dims.len()).filter(|&i| (ys[i] == 0) == summed).map(|i| (dims[i], xs[i])).unzip()
        };
        Split { kept: pick(false), summed: pick(true), inner_summed: ys.last() == Some(&0) }
    }
}

/// The shape without `axes`, or why they cannot be reduced.
pub(crate) fn without(x: &Shape, axes: &[usize]) -> Result<Shape, String> {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != axes.len() || sorted.iter().any(|&axis| axis >= x.rank()) {
        return Err(format!("axes {axes:?} are not distinct axes of the tensor"));
    }
    let split = Split::new(x, axes);
    if split.kept.0.len().max(split.summed.0.len()) > MAX_RANK {
        return Err(format!("more than {MAX_RANK} axes after merging"));
    }
    Ok(Shape::from((0..x.rank()).filter(|axis| !axes.contains(axis)).map(|axis| x[axis]).collect::<Vec<_>>()))
}

impl Sum {
    fn split(&self, x: &Shape) -> Split {
        Split::new(x, &self.axes)
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let Split { kept, summed, .. } = self.split(x[0].shape);
        let count: usize = summed.0.iter().product();
        for (o, y) in y.iter_mut().enumerate() {
            let base = offset(o, &kept);
            let mut total = T::of(0.0);
            for i in 0..count {
                total += x[0].data[base + offset(i, &summed)];
            }
            *y = total;
        }
    }
}

/// The offset of the i-th element along axes of the given sizes and strides.
pub(crate) fn offset(i: usize, (dims, strides): &(Vec<usize>, Vec<usize>)) -> usize {
    let (mut rest, mut at) = (i, 0);
    for axis in (0..dims.len()).rev() {
        at += rest % dims[axis] * strides[axis];
        rest /= dims[axis];
    }
    at
}

/// Σ of runs of `len` neighbours together.
pub(crate) fn sum_runs<'a>(len: usize, runs: impl Iterator<Item = &'a [f32]>) -> f64 {
    vectorized(
        #[inline(always)]
        || sums::sum(len, runs),
    )
}

/// Twin of `Params` in `reduce.wgsl` and `extremum.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    chunk: u32,
    chunks: u32,
    kept_rank: u32,
    summed_rank: u32,
    kept_dims: [u32; MAX_RANK],
    kept_strides: [u32; MAX_RANK],
    summed_dims: [u32; MAX_RANK],
    summed_strides: [u32; MAX_RANK],
    y: Span,
    x: Span,
    accumulate: u32,
}

impl Split {
    /// Runs a kernel that reduces chunks of elements, over several passes until one chunk an output remains. In pieces,
    /// each pass takes the pieces of x one after the other, and those after the first `accumulate`. `quads` are entry points
    /// for whole vec4s: along the innermost axis where that is summed, else across it.
    pub fn run_on_gpu(&self, gpu: &Gpu, kernels: &Kernels, x: GpuView, y: GpuView, label: &str) -> Result<()> {
        let outputs = y.shape.len();
        let Split { mut kept, mut summed, .. } = self.clone();
        let mut from = (x.buffer.clone(), x.shape.len());
        loop {
            let count: usize = summed.0.iter().product();
            let chunks = count.div_ceil(CHUNK).max(1);
            let last = chunks == 1;
            let to = if last { y.buffer.clone() } else { gpu.alloc((outputs * chunks) as u64 * 4)? };
            Pass { gpu, kernels, kept: &kept, summed: &summed, count, chunks, label }
                .run(&from, (&to, outputs * chunks))?;
            if last {
                return Ok(());
            }
            // Next pass: the results of the chunks [outputs, chunks].
            (kept, summed) = ((vec![outputs], vec![chunks]), (vec![chunks], vec![1]));
            from = (to, outputs * chunks);
        }
    }
}

/// The kernels of a reduction: one for any shape, and one each for whole vec4s along and across a summed innermost axis, if there are.
pub(crate) struct Kernels {
    pub any: Kernel,
    pub quads: Option<[&'static str; 2]>,
}

/// One pass over x: `chunks` results for each output, of `count` elements in all.
struct Pass<'a> {
    gpu: &'a Gpu,
    kernels: &'a Kernels,
    kept: &'a (Vec<usize>, Vec<usize>),
    summed: &'a (Vec<usize>, Vec<usize>),
    count: usize,
    chunks: usize,
    label: &'a str,
}

impl Pass<'_> {
    /// Each with its number of elements.
    fn run(&self, (x, x_len): &(GpuBuffer, usize), (y, y_len): (&GpuBuffer, usize)) -> Result<()> {
        let (gpu, (kept, summed)) = (self.gpu, (self.kept, self.summed));
        let [in_x, in_y] = [*x_len, y_len].map(|len| gpu.pieces(len));
        let quads = self.kernels.quads.filter(|_| !in_x.are_many() && !in_y.are_many());
        let quads =
            quads.filter(|_| !tuning::general_only(gpu)).and_then(|[along, across]| match self.whole_quads()? {
                true => Some((along, 1)),
                false => Some((across, 4)),
            });
        let (kernel, each) = match quads {
            Some((entry, each)) => (Kernel::new(self.kernels.any.shader, entry), each),
            None => (in_pieces(self.kernels.any.clone(), &[in_x, in_y]), 1),
        };
        let along = reach(&summed.0, &summed.1, 0, &(0..self.count));
        for to in in_y.all() {
            let outputs = to.start / self.chunks..to.end.div_ceil(self.chunks);
            let places = reach(&kept.0, &kept.1, 0, &outputs);
            for (i, from) in in_x.reaching(places.start..places.end + along.end).enumerate() {
                let params = Params {
                    count: self.count as u32,
                    chunk: CHUNK.min(self.count) as u32,
                    chunks: self.chunks as u32,
                    kept_rank: kept.0.len().max(1) as u32,
                    summed_rank: summed.0.len().max(1) as u32,
                    kept_dims: padded(&kept.0, 1),
                    kept_strides: padded(&kept.1, 0),
                    summed_dims: padded(&summed.0, 1),
                    summed_strides: padded(&summed.1, 0),
                    y: Span::from(&to),
                    x: Span::from(&from),
                    accumulate: u32::from(i > 0),
                };
                gpu.run(&KernelCall {
                    kernel: kernel.clone(),
                    reads: &[&x.piece(&from)],
                    writes: &[&y.piece(&to)],
                    params: bytemuck::bytes_of(&params),
                    workgroups: grid(to.len() as u64 / each, 64),
                    label: self.label,
                })?;
            }
        }
        Ok(())
    }

    /// Whether the innermost axis is the summed one, if rows along it, and so all that is read, are whole vec4s.
    fn whole_quads(&self) -> Option<bool> {
        let ends = |(dims, strides): &(Vec<usize>, Vec<usize>)| {
            dims.last().is_some_and(|len| len.is_multiple_of(4)) && strides.last() == Some(&1)
        };
        let along = ends(self.summed);
        let strides = self.kept.1.iter().chain(&self.summed.1);
        let others = strides.filter(|&&stride| stride != 1).all(|stride| stride.is_multiple_of(4));
        ((along || ends(self.kept)) && others && self.count > 0).then_some(along)
    }
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        without(x[0], &self.axes)
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let x = x[0];
        if x.data.is_empty() {
            return y.fill(0.0);
        }
        let Split { mut kept, mut summed, inner_summed } = self.split(x.shape);
        if inner_summed {
            let run = summed.0.pop().unwrap_or(1);
            summed.1.pop();
            let outer: usize = summed.0.iter().product();
            if y.len() == 1 && outer == 1 {
                let piece = PIECE;
                let mut parts = vec![0.0; x.data.len().div_ceil(piece)];
                for_chunks([&mut parts[..]], 1, |i, [part]| {
                    part[0] = sum_runs(piece, std::iter::once(&x.data[i * piece..x.data.len().min((i + 1) * piece)]));
                });
                y[0] = parts.iter().sum::<f64>() as f32;
                return;
            }
            let one = |o: usize| {
                let base = offset(o, &kept);
                sum_runs(run, (0..outer).map(|i| &x.data[base + offset(i, &summed)..][..run])) as f32
            };
            if x.data.len() > PIECE {
                let size = (PIECE / 4 / (outer * run)).max(1);
                for_chunks([y], size, |i, [y]| y.iter_mut().enumerate().for_each(|(o, y)| *y = one(size * i + o)));
            } else {
                y.iter_mut().enumerate().for_each(|(o, y)| *y = one(o));
            }
            return;
        }
        // The innermost axis stays: add whole rows.
        let row_len = kept.0.pop().unwrap_or(1);
        kept.1.pop();
        let rows: usize = summed.0.iter().product();
        let add_rows = |base: usize, y: &mut [f32]| {
            let mut totals = vec![0.0f64; y.len()];
            for block in 0..rows.div_ceil(256) {
                y.fill(0.0);
                for i in block * 256..rows.min((block + 1) * 256) {
                    let row = &x.data[base + offset(i, &summed)..][..y.len()];
                    y.iter_mut().zip(row).for_each(|(y, v)| *y += v);
                }
                totals.iter_mut().zip(y.iter()).for_each(|(total, &v)| *total += v as f64);
            }
            y.iter_mut().zip(&totals).for_each(|(y, &total)| *y = total as f32);
        };
        if kept.0.is_empty() {
            for_pieces(y, add_rows);
        } else {
            for_rows(y, row_len, |row, y| add_rows(offset(row, &kept), y));
        }
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let kernels = Kernels { any: Kernel::new("reduce", "sum"), quads: Some(["sum_along", "sum_across"]) };
        self.split(x[0].shape).run_on_gpu(gpu, &kernels, x[0], y, "sum")
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let shape = x[0].shape();
        let kept: Vec<usize> = (0..shape.rank()).map(|a| if self.axes.contains(&a) { 1 } else { shape[a] }).collect();
        vec![Some(dy.reshape(kept).expand(shape))]
    }
}

/// Reductions.
impl Tensor {
    /// Σ over all elements, shape `[]`.
    pub fn sum(&self) -> Tensor {
        self.sum_axes(&(0..self.rank()).collect::<Vec<_>>())
    }

    /// Σ over `axes`, which disappear from the shape.
    #[track_caller]
    pub fn sum_axes(&self, axes: &[usize]) -> Tensor {
        apply(Sum { axes: axes.to_vec() }, &[self])
    }

    /// Mean over all elements, shape `[]`; NaN for an empty tensor.
    pub fn mean(&self) -> Tensor {
        self.sum() * (1.0 / self.len() as f64)
    }

    /// Mean over `axes`, which disappear from the shape.
    #[track_caller]
    pub fn mean_axes(&self, axes: &[usize]) -> Tensor {
        let count: usize = axes.iter().map(|&axis| self.dim(axis)).product();
        self.sum_axes(axes) * (1.0 / count as f64)
    }

    /// Σ over the axes along which `shape` broadcasts to this tensor's shape: the adjoint of expand.
    #[track_caller]
    pub fn sum_to(&self, shape: &Shape) -> Tensor {
        if self.shape() == shape {
            return self.clone();
        }
        assert!(
            Shape::broadcast(shape, self.shape()).as_ref() == Some(self.shape()),
            "sum_to: {shape} does not broadcast to {}",
            self.shape()
        );
        let missing = self.rank() - shape.rank();
        let spread = |axis: usize| axis < missing || (shape[axis - missing] == 1 && self.shape()[axis] != 1);
        let axes: Vec<usize> = (0..self.rank()).filter(|&axis| spread(axis)).collect();
        self.sum_axes(&axes).reshape(shape)
    }
}

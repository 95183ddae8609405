//! Largest and smallest elements over axes, and their places along one axis.

use crate::cpu::parallel::for_pieces;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, Span, grid, in_pieces};
use crate::ops::Indices;
use crate::ops::reduce::{Kernels, Split, offset, without};
use crate::shape::Shape;
use crate::tensor::{Device, GpuView, Op, Real, Storage, Tensor, View, apply, reference_loops};

/// Elements one GPU invocation looks at; more go over several passes.
const CHUNK: usize = 1024;

/// y = max x (or min x, if `least`) over `axes`, which disappear; NaN if one of the elements is. Equal extrema share
/// the derivative evenly.
#[derive(Clone, Debug)]
struct Extremum {
    axes: Vec<usize>,
    least: bool,
}

/// Whether v comes before the best so far: NaN beats everything, and the first one stays.
fn is_better<T: Real>(least: bool, v: T, best: T) -> bool {
    let beats = if least { v < best } else { v > best };
    !best.is_nan() && (beats || v.is_nan())
}

impl Extremum {
    /// The outputs from number `start` on.
    fn fill<T: Real>(&self, x: View<T>, start: usize, y: &mut [T]) {
        let Split { kept, mut summed, .. } = Split::new(x.shape, &self.axes);
        let (run, step) = (summed.0.pop().unwrap_or(1), summed.1.pop().unwrap_or(0));
        let rows: usize = summed.0.iter().product();
        for (o, y) in (start..).zip(y) {
            let base = offset(o, &kept);
            let mut best = x.data[base];
            for row in 0..rows {
                let mut at = base + offset(row, &summed);
                for _ in 0..run {
                    if is_better(self.least, x.data[at], best) {
                        best = x.data[at];
                    }
                    at += step;
                }
            }
            *y = best;
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        self.fill(x[0], 0, y);
    }
}

impl Op for Extremum {
    fn name(&self) -> &'static str {
        if self.least { "min_axes" } else { "max_axes" }
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let shape = without(x[0], &self.axes)?;
        if x[0].is_empty() && !shape.is_empty() {
            return Err("no element to choose from".into());
        }
        Ok(shape)
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        for_pieces(y, |start, piece| self.fill(x[0], start, piece));
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let any = Kernel::new("extremum", "extremum").constant("least", self.least as u32 as f64);
        let kernels = Kernels { any, quads: None };
        Split::new(x[0].shape, &self.axes).run_on_gpu(gpu, &kernels, x[0], y, self.name())
    }

    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let hits = x[0].equal(&y.insert_axes(&self.axes)); // no gradient of its own
        let share = dy / hits.sum_axes(&self.axes);
        vec![Some(hits * share.insert_axes(&self.axes))]
    }
}

/// Twin of `PlaceParams` in `extremum.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PlaceParams {
    inner: u32,
    count: u32,
    chunk: u32,
    chunks: u32,
    y: Span,
    x: Span,
    accumulate: u32,
}

/// x as [outer, len, inner].
#[derive(Clone, Copy)]
struct Sizes {
    outer: usize,
    len: usize,
    inner: usize,
}

fn best_places<T: Real>(x: &[T], s: Sizes, least: bool) -> Vec<u32> {
    let one = |at: usize| {
        let base = at / s.inner * s.len * s.inner + at % s.inner;
        let mut place = 0;
        for k in 1..s.len {
            if is_better(least, x[base + k * s.inner], x[base + place * s.inner]) {
                place = k;
            }
        }
        place as u32
    };
    (0..s.outer * s.inner).map(one).collect()
}

/// Passes over the candidates [outer, count, inner], their values and places, until one is left for each output.
fn gpu_best_places(gpu: &Gpu, x: &GpuBuffer, s: Sizes, least: bool) -> Result<GpuBuffer> {
    let kernel = Kernel::new("extremum", "best_place").constant("least", least as u32 as f64);
    let (mut values, mut places, mut count, mut first) = (x.clone(), x.clone(), s.len, true);
    loop {
        let chunks = count.div_ceil(CHUNK);
        let n = s.outer * chunks * s.inner;
        let (best, at) = (gpu.alloc(n as u64 * 4)?, gpu.alloc(n as u64 * 4)?);
        let [in_x, in_y] = [s.outer * count * s.inner, n].map(|len| gpu.pieces(len));
        let kernel = in_pieces(kernel.clone().constant("first_pass", first as u32 as f64), &[in_x, in_y]);
        for to in in_y.all() {
            let images = to.start / (chunks * s.inner)..to.end.div_ceil(chunks * s.inner);
            let reach = images.start * count * s.inner..images.end * count * s.inner;
            for (i, from) in in_x.reaching(reach).enumerate() {
                let params = PlaceParams {
                    inner: s.inner as u32,
                    count: count as u32,
                    chunk: CHUNK.min(count) as u32,
                    chunks: chunks as u32,
                    y: Span::from(&to),
                    x: Span::from(&from),
                    accumulate: u32::from(i > 0),
                };
                gpu.run(&KernelCall {
                    kernel: kernel.clone(),
                    reads: &[&values.piece(&from), &places.piece(&from)],
                    writes: &[&best.piece(&to), &at.piece(&to)],
                    params: bytemuck::bytes_of(&params),
                    workgroups: grid(to.len() as u64, 64),
                    label: "best_place",
                })?;
            }
        }
        if chunks == 1 {
            return Ok(at);
        }
        (values, places, count, first) = (best, at, chunks, false);
    }
}

/// Extrema.
impl Tensor {
    /// The largest element over `axes`, which disappear; NaN if one of them is. Equal ones share the derivative evenly.
    #[track_caller]
    pub fn max_axes(&self, axes: &[usize]) -> Tensor {
        apply(Extremum { axes: axes.to_vec(), least: false }, &[self])
    }

    /// The smallest element over `axes`, which disappear; NaN if one of them is. Equal ones share the derivative evenly.
    #[track_caller]
    pub fn min_axes(&self, axes: &[usize]) -> Tensor {
        apply(Extremum { axes: axes.to_vec(), least: true }, &[self])
    }

    /// The place of the largest element along `axis`, which disappears: the first of equal ones, and NaN counts as
    /// larger than everything.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn argmax(&self, axis: usize) -> Result<Indices> {
        self.best_places(axis, false)
    }

    /// The place of the smallest element along `axis`, which disappears: the first of equal ones, and NaN counts as
    /// smaller than everything.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn argmin(&self, axis: usize) -> Result<Indices> {
        self.best_places(axis, true)
    }

    #[track_caller]
    fn best_places(&self, axis: usize, least: bool) -> Result<Indices> {
        let len = self.dim(axis);
        let mut shape = self.shape().to_vec();
        shape.remove(axis);
        let shape = Shape::from(shape);
        let s = Sizes { outer: shape[..axis].iter().product(), len, inner: shape[axis..].iter().product() };
        assert!(len > 0 || shape.is_empty(), "argmax: no element to choose from (x {})", self.shape());
        if shape.is_empty() {
            return Ok(Indices::new(self.device(), shape, Vec::new()));
        }
        match (self.storage(), self.device()) {
            (Storage::F64(x), device) => Ok(Indices::new(device, shape, best_places(x, s, least))),
            (Storage::F32(x), device) => Ok(Indices::new(device, shape, best_places(x, s, least))),
            (Storage::Gpu(x), Device::Gpu(gpu)) => Ok(Indices::on_gpu(gpu, shape, gpu_best_places(gpu, x, s, least)?)),
            (Storage::Planned(_), device) => Ok(Indices::new(device, shape.clone(), vec![0; shape.len()])),
            (Storage::Failed(why), _) => Err(Error::Gpu(why.to_string())),
            _ => unreachable!("storage and device always match"),
        }
    }
}

//! Moving elements without changing them: reshape, permute, expand, slice, flip, pad.

use crate::cpu::parallel::for_pieces;
use crate::error::Result;
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel, KernelCall, Span, grid, in_pieces, reach};
use crate::shape::{Shape, collapse};
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

/// The most axes a kernel takes (after neighbouring axes were merged where they can be).
pub const MAX_RANK: usize = 6;

/// Sizes or strides as the fixed array of a kernel's parameters, aligned to the right (see `lib/index.wgsl`).
pub(crate) fn padded(values: &[usize], rest: u32) -> [u32; MAX_RANK] {
    let missing = MAX_RANK - values.len();
    std::array::from_fn(|i| if i < missing { rest } else { values[i - missing] as u32 })
}

/// The same values in another shape of the same size; costs nothing.
#[derive(Clone, Debug)]
struct Reshape {
    shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        if x[0].len() != self.shape.len() {
            return Err(format!("{} elements do not fill {}", x[0].len(), self.shape));
        }
        Ok(self.shape.clone())
    }

    fn is_view(&self) -> bool {
        true
    }

    fn reference(&self, x: &[View<f64>], y: &mut [f64], _: &Shape) {
        y.copy_from_slice(x[0].data);
    }

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        y.copy_from_slice(x[0].data);
    }

    fn gpu(&self, _: &Gpu, _: &[GpuView], _: GpuView) -> Result<()> {
        Ok(()) // a view: never launched
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        vec![Some(dy.reshape(x[0].shape()))]
    }
}

/// Ops that read x through an affine index map: y[i] = x[offset + Σ i_d·stride_d].
#[derive(Clone, Debug)]
enum Strided {
    /// y's axis d is x's axis `axes[d]`.
    Permute { axes: Vec<usize> },
    /// x repeated along its axes of size 1 (and new leading axes).
    Expand { shape: Shape },
    /// y[i] = x[start + i·step] along every axis.
    Slice { start: Vec<usize>, step: Vec<usize>, len: Vec<usize> },
    /// The listed axes run backwards: their strides are negative, in wrapping arithmetic.
    Flip { axes: Vec<usize> },
}

impl Strided {
    /// (offset, stride a y axis) into x.
    fn map(&self, x: &Shape) -> (usize, Vec<usize>) {
        let own = x.strides();
        match self {
            Strided::Permute { axes } => (0, axes.iter().map(|&axis| own[axis]).collect()),
            Strided::Expand { shape } => (0, x.broadcast_strides(shape)),
            Strided::Slice { start, step, .. } => {
                (start.iter().zip(&own).map(|(s, o)| s * o).sum(), step.iter().zip(&own).map(|(s, o)| s * o).collect())
            }
            Strided::Flip { axes } => {
                let last = axes.iter().map(|&axis| x[axis].saturating_sub(1) * own[axis]).sum();
                let sign = |axis: usize| if axes.contains(&axis) { own[axis].wrapping_neg() } else { own[axis] };
                (last, (0..x.rank()).map(sign).collect())
            }
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        let (offset, strides) = self.map(x[0].shape);
        copy_strided(x[0].data, offset, &strides, shape, 0, y);
    }
}

/// Fills the piece of y that begins at linear index `start`.
fn copy_strided<T: Real>(x: &[T], offset: usize, strides: &[usize], shape: &Shape, start: usize, y: &mut [T]) {
    if y.is_empty() {
        return;
    }
    let mut at = vec![0; shape.rank()];
    let (mut rest, mut from) = (start, offset);
    for axis in (0..shape.rank()).rev() {
        at[axis] = rest % shape[axis];
        rest /= shape[axis];
        from = from.wrapping_add(at[axis].wrapping_mul(strides[axis]));
    }
    for y in y {
        *y = x[from];
        for axis in (0..shape.rank()).rev() {
            at[axis] += 1;
            from = from.wrapping_add(strides[axis]);
            if at[axis] < shape[axis] {
                break;
            }
            from = from.wrapping_sub(at[axis].wrapping_mul(strides[axis]));
            at[axis] = 0;
        }
    }
}

/// Twin of `StridedParams` in `layout.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct StridedParams {
    n: u32,
    rank: u32,
    offset: u32,
    row: u32,
    row_stride: u32,
    runs: u32,
    dims: [u32; MAX_RANK],
    strides: [u32; MAX_RANK],
    y: Span,
    x: Span,
}

impl Op for Strided {
    fn name(&self) -> &'static str {
        match self {
            Strided::Permute { .. } => "permute",
            Strided::Expand { .. } => "expand",
            Strided::Slice { .. } => "slice",
            Strided::Flip { .. } => "flip",
        }
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let x = x[0];
        let shape = match self {
            Strided::Permute { axes } => {
                let mut sorted = axes.clone();
                sorted.sort_unstable();
                if sorted != (0..x.rank()).collect::<Vec<_>>() {
                    return Err(format!("axes {axes:?} are not an order of 0..{}", x.rank()));
                }
                Shape::from(axes.iter().map(|&axis| x[axis]).collect::<Vec<_>>())
            }
            Strided::Expand { shape } => {
                if Shape::broadcast(x, shape).as_ref() != Some(shape) {
                    return Err(format!("does not broadcast to {shape}"));
                }
                shape.clone()
            }
            Strided::Slice { start, step, len } => {
                if start.len() != x.rank() || step.len() != x.rank() || len.len() != x.rank() || step.contains(&0) {
                    return Err(format!(
                        "start {start:?}, step {step:?}, len {len:?} need one entry an axis, steps from 1"
                    ));
                }
                for axis in 0..x.rank() {
                    if len[axis] > 0 && start[axis] + (len[axis] - 1) * step[axis] >= x[axis] {
                        return Err(format!(
                            "axis {axis}: {} from {} in steps of {} leaves its {} elements",
                            len[axis], start[axis], step[axis], x[axis]
                        ));
                    }
                }
                Shape::from(len.clone())
            }
            Strided::Flip { axes } => {
                if axes.iter().any(|&axis| axis >= x.rank()) {
                    return Err(format!("axes {axes:?} are not axes of the tensor"));
                }
                x.clone()
            }
        };
        if shape.rank() > MAX_RANK { Err(format!("more than {MAX_RANK} axes")) } else { Ok(shape) }
    }

    fn stretch(&self, x: &[&Shape]) -> Option<usize> {
        let (Strided::Slice { start, step, len }, x) = (self, x[0]) else { return None };
        // Single elements of the leading axes, neighbours along one, all of those behind it.
        let one = len.iter().take_while(|&&len| len == 1).count();
        let whole = (one + 1..x.rank()).all(|axis| len[axis] == x[axis] && step[axis] == 1);
        let neighbours = one >= x.rank() || step[one] == 1;
        let from = start.iter().zip(x.strides()).map(|(start, stride)| start * stride).sum();
        (whole && neighbours).then_some(from)
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let (offset, strides) = self.map(x[0].shape);
        for_pieces(y, |start, piece| copy_strided(x[0].data, offset, &strides, shape, start, piece));
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let (offset, strides) = self.map(x[0].shape);
        let n = y.shape.len();
        let (mut dims, [mut strides]) = collapse(y.shape, [&strides]);
        let [in_y, in_x] = [n, x[0].shape.len()].map(|n| gpu.pieces(n));
        let whole = !in_y.are_many() && !in_x.are_many();
        let reach = |piece: &_| reach(&dims, &strides, offset, piece);
        let pairs: Vec<_> = in_y.all().flat_map(|y| in_x.reaching(reach(&y)).map(move |x| (y.clone(), x))).collect();
        // In pieces, rows are single elements: a row may begin in one piece and end in another.
        let (row, row_stride) = match whole {
            true => (dims.pop().unwrap_or(1), strides.pop().unwrap_or(0)),
            false => (1, 0),
        };
        let runs = row.div_ceil(4 * tuning::quads(gpu, n) as usize);
        let kernel = in_pieces(Kernel::new("layout", "strided"), &[in_y, in_x]);
        pairs.into_iter().try_for_each(|(to, from)| {
            let params = StridedParams {
                n: to.len() as u32,
                rank: dims.len().max(1) as u32,
                offset: offset as u32,
                row: row as u32,
                row_stride: row_stride as u32,
                runs: runs as u32,
                dims: padded(&dims, 1),
                strides: padded(&strides, 0),
                y: Span::from(&to),
                x: Span::from(&from),
            };
            gpu.run(&KernelCall {
                kernel: kernel.clone(),
                reads: &[&x[0].buffer.piece(&from)],
                writes: &[&y.buffer.piece(&to)],
                params: bytemuck::bytes_of(&params),
                workgroups: grid((to.len() / row * runs) as u64, 64),
                label: self.name(),
            })
        })
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let x = &x[0];
        vec![Some(match self {
            Strided::Permute { axes } => {
                let mut inverse = vec![0; axes.len()];
                axes.iter().enumerate().for_each(|(d, &axis)| inverse[axis] = d);
                dy.permute(&inverse)
            }
            Strided::Expand { .. } => dy.sum_to(x.shape()),
            Strided::Slice { start, step, .. } => {
                apply(Pad { start: start.clone(), step: step.clone(), shape: x.shape().clone(), value: 0.0 }, &[dy])
            }
            Strided::Flip { axes } => dy.flip(axes),
        })]
    }
}

/// y of `shape`, `value` everywhere but y[start + i·step] = x[i]. With value 0 it is the adjoint of slice.
#[derive(Clone, Debug)]
struct Pad {
    start: Vec<usize>,
    step: Vec<usize>,
    shape: Shape,
    value: f64,
}

impl Pad {
    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        y.fill(T::of(self.value));
        let (from, to) = (x[0].shape, shape.strides());
        for (i, &v) in x[0].data.iter().enumerate() {
            let (mut rest, mut index) = (i, 0);
            for axis in (0..from.rank()).rev() {
                index += (self.start[axis] + rest % from[axis] * self.step[axis]) * to[axis];
                rest /= from[axis];
            }
            y[index] = v;
        }
    }
}

/// Twin of `PadParams` in `layout.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PadParams {
    rank: u32,
    value: f32,
    dims: [u32; MAX_RANK],
    start: [u32; MAX_RANK],
    step: [u32; MAX_RANK],
    x_dims: [u32; MAX_RANK],
    y: Span,
    x: Span,
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let rank = self.shape.rank();
        if x[0].rank() != rank || self.start.len() != rank || self.step.len() != rank || rank > MAX_RANK {
            return Err(format!("{:?} zeros before need one entry an axis, of at most {MAX_RANK}", self.start));
        }
        for (axis, &len) in x[0].iter().enumerate() {
            if len > 0 && self.start[axis] + (len - 1) * self.step[axis] >= self.shape[axis] {
                return Err(format!("axis {axis} does not fit into {}", self.shape));
            }
        }
        Ok(self.shape.clone())
    }

    reference_loops!(cpu);

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let [in_y, in_x] = [y.shape, x[0].shape].map(|shape| gpu.pieces(shape.len()));
        let kernel = in_pieces(Kernel::new("layout", "pad"), &[in_y, in_x]);
        for to in in_y.all() {
            for from in in_x.all() {
                let params = PadParams {
                    rank: y.shape.rank().max(1) as u32,
                    value: self.value as f32,
                    dims: padded(y.shape, 1),
                    start: padded(&self.start, 0),
                    step: padded(&self.step, 1),
                    x_dims: padded(x[0].shape, 1),
                    y: Span::from(&to),
                    x: Span::from(&from),
                };
                gpu.run(&KernelCall {
                    kernel: kernel.clone(),
                    reads: &[&x[0].buffer.piece(&from)],
                    writes: &[&y.buffer.piece(&to)],
                    params: bytemuck::bytes_of(&params),
                    workgroups: grid(to.len() as u64, 64),
                    label: self.name(),
                })?;
            }
        }
        Ok(())
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let slice = Strided::Slice { start: self.start.clone(), step: self.step.clone(), len: x[0].shape().to_vec() };
        vec![Some(apply(slice, &[dy]))]
    }
}

/// Layout.
impl Tensor {
    /// The same values under another shape of the same number of elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        apply(Reshape { shape: shape.into() }, &[self])
    }

    /// All axes after the first merged: `[N, …] -> [N, rest]`.
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        let n = self.dim(0);
        self.reshape([n, self.shape()[1..].iter().product()])
    }

    /// Axis d of the result is axis `axes[d]` of this tensor.
    #[track_caller]
    pub fn permute(&self, axes: &[usize]) -> Tensor {
        apply(Strided::Permute { axes: axes.to_vec() }, &[self])
    }

    /// The tensor repeated to `shape` (NumPy's broadcasting rule).
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if *self.shape() == shape { self.clone() } else { apply(Strided::Expand { shape }, &[self]) }
    }

    /// Elements `start[d] + i·step[d]`, `i` in 0..`len[d]`, along every axis d.
    #[track_caller]
    pub fn slice(&self, start: &[usize], step: &[usize], len: &[usize]) -> Tensor {
        apply(Strided::Slice { start: start.to_vec(), step: step.to_vec(), len: len.to_vec() }, &[self])
    }

    /// Part `from..from + len` of one axis.
    #[track_caller]
    pub fn narrow(&self, axis: usize, from: usize, len: usize) -> Tensor {
        let (mut start, mut size) = (vec![0; self.rank()], self.shape().to_vec());
        start[axis] = from;
        size[axis] = len;
        self.slice(&start, &vec![1; self.rank()], &size)
    }

    /// The listed axes backwards.
    #[track_caller]
    pub fn flip(&self, axes: &[usize]) -> Tensor {
        apply(Strided::Flip { axes: axes.to_vec() }, &[self])
    }

    /// Zeros around: `before[d]` and `after[d]` of them on axis d.
    #[track_caller]
    pub fn pad(&self, before: &[usize], after: &[usize]) -> Tensor {
        self.pad_value(before, after, 0.0)
    }

    /// `value` around: `before[d]` and `after[d]` of it on axis d.
    #[track_caller]
    pub fn pad_value(&self, before: &[usize], after: &[usize], value: f64) -> Tensor {
        assert!(
            before.len() == self.rank() && after.len() == self.rank(),
            "pad: {before:?} before and {after:?} after need one entry an axis (x {})",
            self.shape()
        );
        let shape: Vec<usize> = (0..self.rank()).map(|axis| before[axis] + self.shape()[axis] + after[axis]).collect();
        apply(Pad { start: before.to_vec(), step: vec![1; self.rank()], shape: shape.into(), value }, &[self])
    }
}

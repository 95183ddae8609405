//! Tensors side by side, and taking them apart again: concat, stack, split, tile.

use crate::cpu::parallel::for_rows;
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, KernelCall, Span, grid, in_pieces};
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Tensor, View, apply};

/// y = the inputs one after the other along `axis`.
#[derive(Clone, Copy, Debug)]
struct Concat {
    axis: usize,
}

impl Concat {
    /// Elements of one row: all axes from `axis` on.
    fn row(&self, shape: &Shape) -> usize {
        shape[self.axis..].iter().product()
    }
}

/// Twin of `PlaceParams` in `layout.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PlaceParams {
    row: u32,
    y_row: u32,
    start: u32,
    x: Span,
    y: Span,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let mut shape = x[0].to_vec();
        if self.axis >= shape.len() {
            return Err(format!("there is no axis {}", self.axis));
        }
        let others = |s: &Shape| (0..s.rank()).filter(|&d| d != self.axis).map(|d| s[d]).collect::<Vec<_>>();
        if x.iter().any(|s| s.rank() != x[0].rank() || others(s) != others(x[0])) {
            return Err(format!("the shapes differ in another axis than {}", self.axis));
        }
        shape[self.axis] = x.iter().map(|s| s[self.axis]).sum();
        Ok(shape.into())
    }

    fn reference(&self, x: &[View<f64>], y: &mut [f64], shape: &Shape) {
        let y_row = self.row(shape);
        let mut start = 0;
        for x in x {
            let row = self.row(x.shape);
            for (i, &v) in x.data.iter().enumerate() {
                y[i / row * y_row + start + i % row] = v;
            }
            start += row;
        }
    }

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        for_rows(y, self.row(shape), |o, mut y| {
            for x in x {
                let row = self.row(x.shape);
                let (part, rest) = y.split_at_mut(row);
                part.copy_from_slice(&x.data[o * row..][..row]);
                y = rest;
            }
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let y_row = self.row(y.shape);
        let mut start = 0;
        for x in x {
            let row = self.row(x.shape);
            let [in_x, in_y] = [x.shape, y.shape].map(|shape| gpu.pieces(shape.len()));
            let kernel = in_pieces(Kernel::new("layout", "place"), &[in_x, in_y]);
            for from in in_x.all().filter(|piece| !piece.is_empty()) {
                let place = |i: usize| i / row * y_row + start + i % row;
                for to in in_y.reaching(place(from.start)..place(from.end - 1) + 1) {
                    let params = PlaceParams {
                        row: row as u32,
                        y_row: y_row as u32,
                        start: start as u32,
                        x: Span::from(&from),
                        y: Span::from(&to),
                    };
                    gpu.run(&KernelCall {
                        kernel: kernel.clone(),
                        reads: &[&x.buffer.piece(&from)],
                        writes: &[&y.buffer.piece(&to)],
                        params: bytemuck::bytes_of(&params),
                        workgroups: grid(from.len() as u64, 64),
                        label: self.name(),
                    })?;
                }
            }
            start += row;
        }
        Ok(())
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let mut from = 0;
        let part = |(x, &needed): (&Tensor, &bool)| {
            let len = x.dim(self.axis);
            from += len;
            needed.then(|| dy.narrow(self.axis, from - len, len))
        };
        x.iter().zip(needs).map(part).collect()
    }
}

/// Putting together and taking apart. All but concat are made of other ops.
impl Tensor {
    /// Tensors one after the other along `axis`; their other axes agree.
    #[track_caller]
    pub fn concat(tensors: &[&Tensor], axis: usize) -> Tensor {
        assert!(!tensors.is_empty(), "concat: no tensor");
        apply(Concat { axis }, tensors)
    }

    /// Tensors of one shape along a new axis.
    #[track_caller]
    pub fn stack(tensors: &[&Tensor], axis: usize) -> Tensor {
        let rows: Vec<Tensor> = tensors.iter().map(|t| t.insert_axis(axis)).collect();
        Tensor::concat(&rows.iter().collect::<Vec<_>>(), axis)
    }

    /// Parts of the given sizes along `axis`, which they fill.
    #[track_caller]
    pub fn split(&self, axis: usize, sizes: &[usize]) -> Vec<Tensor> {
        let total: usize = sizes.iter().sum();
        assert_eq!(total, self.dim(axis), "split: {sizes:?} do not fill axis {axis} (x {})", self.shape());
        let mut from = 0;
        let part = |&len: &usize| {
            from += len;
            self.narrow(axis, from - len, len)
        };
        sizes.iter().map(part).collect()
    }

    /// The whole tensor `times[d]` times over along axis d: a b -> a b a b.
    #[track_caller]
    pub fn tile(&self, times: &[usize]) -> Tensor {
        assert_eq!(times.len(), self.rank(), "tile: {times:?} need one entry an axis (x {})", self.shape());
        let repeated = |x: Tensor, axis: usize| x.repeat_around(axis, times[axis], axis);
        (0..self.rank()).filter(|&axis| times[axis] != 1).fold(self.clone(), repeated)
    }

    /// Each element `times` times in a row along `axis`: a b -> a a b b.
    #[track_caller]
    pub fn repeat_each(&self, axis: usize, times: usize) -> Tensor {
        self.repeat_around(axis, times, axis + 1)
    }

    /// `times` copies along a new axis at `place`, merged with `axis`.
    #[track_caller]
    fn repeat_around(&self, axis: usize, times: usize, place: usize) -> Tensor {
        let outer: usize = self.shape()[..axis].iter().product();
        let inner: usize = self.shape()[axis + 1..].iter().product();
        let len = self.dim(axis);
        let (from, to) = if place == axis {
            ([outer, 1, len, inner], [outer, times, len, inner])
        } else {
            ([outer, len, 1, inner], [outer, len, times, inner])
        };
        let mut shape = self.shape().to_vec();
        shape[axis] = len * times;
        self.reshape(from).expand(to).reshape(shape)
    }

    /// A new axis of size 1 at `axis`.
    #[track_caller]
    pub fn insert_axis(&self, axis: usize) -> Tensor {
        let mut shape = self.shape().to_vec();
        assert!(axis <= shape.len(), "insert_axis: {axis} of a tensor of shape {}", self.shape());
        shape.insert(axis, 1);
        self.reshape(shape)
    }

    /// Without `axis`, which has size 1.
    #[track_caller]
    pub fn remove_axis(&self, axis: usize) -> Tensor {
        assert_eq!(self.dim(axis), 1, "remove_axis: axis {axis} of a tensor of shape {}", self.shape());
        let mut shape = self.shape().to_vec();
        shape.remove(axis);
        self.reshape(shape)
    }
}

//! Max pooling: the place of each window's maximum, and the linear maps of taking and putting back elements there.

use crate::cpu::parallel::for_rows;
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::Indices;
use crate::ops::pool::Pool2d;
use crate::shape::Shape;
use crate::tensor::{Device, GpuView, Op, Real, Storage, Tensor, View, apply, reference_loops};

/// One side of max pooling with the places of the maxima given, which are constants: piecewise that is exact.
#[derive(Clone, Debug)]
struct MaxPool {
    pool: Pool2d,
    /// [N, C, OH, OW]: iy·W + ix of each window's maximum.
    places: Indices,
    size: [usize; 2],
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    /// [N, C, H, W] -> [N, C, OH, OW]: the elements at the places.
    Take,
    /// [N, C, OH, OW] -> [N, C, H, W]: each element added at its place; the adjoint.
    Put,
}

/// Twin of `Params` in `max_pool.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    h: u32,
    w: u32,
    oh: u32,
    ow: u32,
    kh: u32,
    kw: u32,
    stride_h: u32,
    stride_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    top: u32,
    left: u32,
}

fn params(pool: &Pool2d, n: usize, [h, w]: [usize; 2], [oh, ow]: [usize; 2]) -> Params {
    let u = |v: usize| v as u32;
    Params {
        n: u(n),
        h: u(h),
        w: u(w),
        oh: u(oh),
        ow: u(ow),
        kh: u(pool.kernel[0]),
        kw: u(pool.kernel[1]),
        stride_h: u(pool.stride[0]),
        stride_w: u(pool.stride[1]),
        dilation_h: u(pool.dilation[0]),
        dilation_w: u(pool.dilation[1]),
        top: u(pool.padding[0]),
        left: u(pool.padding[2]),
    }
}

/// The place of the maximum of every window: NaN is the largest, the first of equal ones wins.
fn find<T: Real>(pool: &Pool2d, x: &[T], planes: usize, [h, w]: [usize; 2], [oh, ow]: [usize; 2]) -> Vec<u32> {
    let mut places = Vec::with_capacity(planes * oh * ow);
    for plane in 0..planes {
        for o in 0..oh * ow {
            let mut best: Option<(T, usize)> = None;
            for iy in pool.places(0, o / ow, h) {
                for ix in pool.places(1, o % ow, w) {
                    let (place, v) = (iy * w + ix, x[(plane * h + iy) * w + ix]);
                    if best.is_none_or(|(best, _)| !best.is_nan() && (v > best || v.is_nan())) {
                        best = Some((v, place));
                    }
                }
            }
            places.push(best.map_or(0, |(_, place)| place as u32));
        }
    }
    places
}

impl MaxPool {
    fn out_size(&self) -> [usize; 2] {
        let s = self.places.shape();
        [s[2], s[3]]
    }

    fn places(&self) -> &[u32] {
        self.places.host().expect("on the host devices the places are on the host")
    }

    /// One plane of y from one plane of x.
    fn plane<T: Real>(&self, x: &[T], places: &[u32], y: &mut [T]) {
        match self.side {
            Side::Take => y.iter_mut().zip(places).for_each(|(y, &place)| *y = x[place as usize]),
            Side::Put => {
                y.fill(T::of(0.0));
                x.iter().zip(places).for_each(|(&x, &place)| y[place as usize] += x);
            }
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        let (x_plane, y_plane) = (x[0].shape[2] * x[0].shape[3], shape[2] * shape[3]);
        let o = self.out_size().iter().product::<usize>();
        for plane in 0..shape[0] * shape[1] {
            let x = &x[0].data[plane * x_plane..][..x_plane];
            self.plane(x, &self.places()[plane * o..][..o], &mut y[plane * y_plane..][..y_plane]);
        }
    }
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        if self.side == Side::Take { "max_pool2d" } else { "max_pool2d_input" }
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let ([h, w], [oh, ow]) = (self.size, self.out_size());
        let (from, to) = if self.side == Side::Take { ([h, w], [oh, ow]) } else { ([oh, ow], [h, w]) };
        if x[0].rank() != 4 || x[0][..2] != self.places.shape()[..2] || x[0][2..] != from {
            return Err(format!("expects [N, C, {}, {}]", from[0], from[1]));
        }
        Ok([x[0][0], x[0][1], to[0], to[1]].into())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let x_plane = x[0].shape[2] * x[0].shape[3];
        let o = self.out_size().iter().product::<usize>();
        let places = self.places();
        for_rows(y, shape[2] * shape[3], |plane, y| {
            self.plane(&x[0].data[plane * x_plane..][..x_plane], &places[plane * o..][..o], y);
        });
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let n = y.shape.len();
        gpu.run(&KernelCall {
            kernel: Kernel::new("max_pool", if self.side == Side::Take { "take" } else { "put" }),
            reads: &[x[0].buffer, &self.places.gpu(gpu)?],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&params(&self.pool, n, self.size, self.out_size())),
            workgroups: grid(n as u64, 64),
            label: self.name(),
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let side = if self.side == Side::Take { Side::Put } else { Side::Take };
        vec![Some(apply(MaxPool { side, ..self.clone() }, &[dy]))]
    }
}

impl Tensor {
    /// The largest element of each window of images [N, C, H, W]; what lies outside the image is left out. The whole
    /// derivative goes to the first of equal ones; NaN counts as the largest. Result [N, C, OH, OW].
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn max_pool2d(&self, pool: Pool2d) -> Result<Tensor> {
        let places = self.max_pool2d_places(pool)?;
        Ok(apply(MaxPool { pool, places, size: [self.dim(2), self.dim(3)], side: Side::Take }, &[self]))
    }

    /// The place iy·W + ix of each window's maximum, as [N, C, OH, OW]; see [`Tensor::max_pool2d`].
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn max_pool2d_places(&self, pool: Pool2d) -> Result<Indices> {
        let (size, out) = pool.check("max_pool2d", self.shape());
        let planes = self.dim(0) * self.dim(1);
        let shape = Shape::from([self.dim(0), self.dim(1), out[0], out[1]]);
        let host = |values| Ok(Indices::new(self.device(), shape.clone(), values));
        if shape.is_empty() {
            return host(Vec::new());
        }
        match (self.storage(), self.device()) {
            (Storage::F64(x), _) => host(find(&pool, x, planes, size, out)),
            (Storage::F32(x), _) => host(find(&pool, x, planes, size, out)),
            (Storage::Gpu(x), Device::Gpu(gpu)) => {
                let places = gpu.alloc(shape.len() as u64 * 4)?;
                gpu.run(&KernelCall {
                    kernel: Kernel::new("max_pool", "find"),
                    reads: &[x],
                    writes: &[&places],
                    params: bytemuck::bytes_of(&params(&pool, shape.len(), size, out)),
                    workgroups: grid(shape.len() as u64, 64),
                    label: "max_pool2d",
                })?;
                Ok(Indices::on_gpu(gpu, shape, places))
            }
            (Storage::Planned(_), _) => host(vec![0; shape.len()]),
            (Storage::Failed(why), _) => Err(crate::Error::Gpu(why.to_string())),
            _ => unreachable!("storage and device always match"),
        }
    }
}

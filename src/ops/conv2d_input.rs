//! The input gradient of a convolution, which is the transposed convolution: the second face of the trilinear form (see `conv2d`).

use crate::cpu;
use crate::error::Result;
use crate::gpu::gemm::{self, Finish, Operand, Product, Target, Walk};
use crate::gpu::tuning::{self, Variant};
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::bias_activation;
use crate::ops::conv2d::{Conv2d, FinishedParams};
use crate::ops::conv2d_weight::Conv2dWeight;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

/// dx [N, C, size] from dy [N, O, OH, OW] and w [O, C/groups, KH, KW]:
/// dx[n, c, iy, ix] = Σ dy[n, o, oy, ox]·w[o, c, i, j] over all o, i, j, oy, ox with iy = oy·s + i·d − top, ix likewise.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dInput {
    /// The convolution that this transposes.
    pub conv: Conv2d,
    /// Height and width of the result.
    pub size: [usize; 2],
}

impl Conv2dInput {
    /// What the tiled kernels compute: a dense convolution of dy with some of the taps for each sub-pixel phase, the
    /// places of dx with one remainder of the stride. Rows c, columns (n, place), terms (o, tap).
    fn products(&self, dy: &Shape, w: &Shape, dx: &Shape) -> Vec<Product> {
        let groups = self.conv.groups;
        let (o_per_group, c_per_group, taps, image) = (w[0] / groups, w[1], w[2] * w[3], dx[2] * dx[3]);
        let axis = |axis: usize| {
            let (stride, dilation) = (self.conv.stride[axis], self.conv.dilation[axis]);
            (0..stride.min(dx[2 + axis]))
                .map(move |r| Phase::new(r, w[2 + axis], stride, dilation, self.conv.padding[2 * axis], dx[2 + axis]))
        };
        let product = |v: Phase, h: Phase| Product {
            m: c_per_group,
            n: dx[0] * v.places * h.places,
            k: o_per_group * v.taps * h.taps,
            depth: groups,
            a: Operand {
                step_z: o_per_group * c_per_group * taps,
                plane_k: c_per_group * taps,
                plane_c: taps,
                y: Walk { start: v.first as isize, k: v.step as isize, c: 0, len: w[2] },
                x: Walk { start: h.first as isize, k: h.step as isize, c: 0, len: w[3] },
                k_digits: [v.taps.max(1), h.taps.max(1)],
                c_digits: [1, 1],
            },
            b: Operand {
                step_z: o_per_group * dy[2] * dy[3],
                plane_k: dy[2] * dy[3],
                plane_c: dy[1] * dy[2] * dy[3],
                y: Walk { start: v.start, k: -v.back, c: 1, len: dy[2] },
                x: Walk { start: h.start, k: -h.back, c: 1, len: dy[3] },
                k_digits: [v.taps.max(1), h.taps.max(1)],
                c_digits: [v.places, h.places],
            },
            y: Target {
                offset: v.remainder * dx[3] + h.remainder,
                step_z: c_per_group * image,
                step_row: image,
                steps: [dx[1] * image, self.conv.stride[0] * dx[3], self.conv.stride[1]],
            },
        };
        axis(0).flat_map(|v| axis(1).map(move |h| (v, h))).map(|(v, h)| product(v, h)).collect()
    }

    /// Whether dx has so few channels that packing dy for each phase would take longer than multiplying: then all taps are
    /// multiplied at once and added up afterwards. Only for kernels that pack.
    fn folds(&self, variant: Variant, w: &Shape) -> bool {
        let packs = matches!(variant, Variant::Panel { .. } | Variant::Shuffle { .. });
        let (channels, terms) = (w[1], w[0]);
        packs && self.conv.groups == 1 && channels <= FEW_CHANNELS && terms >= 8
    }

    /// Columns [(c, i, j), (n, oy, ox)] = Σ_o w[o, c, i, j]·dy[n, o, oy, ox], then dx as the sum of those that reach a place.
    fn fold(&self, gpu: &Gpu, variant: Variant, [dy, w]: [GpuView; 2], dx: GpuView, finish: Finish) -> Result<()> {
        let (places, rows) = (dy.shape[2] * dy.shape[3], w.shape[1..].iter().product::<usize>());
        let columns = dy.shape[0] * places;
        let product = Product {
            m: rows,
            n: columns,
            k: w.shape[0],
            depth: 1,
            a: Operand::matrix(0, rows, 1),
            b: Operand {
                plane_k: places,
                plane_c: dy.shape[1] * places,
                x: Walk { start: 0, k: 0, c: 1, len: places },
                c_digits: [1, places],
                ..Operand::matrix(0, places, 0)
            },
            y: Target { offset: 0, step_z: 0, step_row: columns, steps: [places, 0, 1] },
        };
        let taps = gpu.alloc((rows * columns * 4) as u64)?;
        let buffers = [w.buffer, dy.buffer, &taps];
        gemm::run(gpu, variant, &[product], buffers, Finish::NONE, rows * columns, "conv2d_input")?;
        let conv = self.conv.gpu_params(dx.shape, w.shape, dy.shape);
        gpu.run(&KernelCall {
            kernel: Kernel::new("conv2d_input", "fold"),
            reads: &[&taps, finish.bias.unwrap_or(&taps)],
            writes: &[dx.buffer],
            params: bytemuck::bytes_of(&FinishedParams { conv, epilogue: finish.epilogue(1) }),
            workgroups: grid(dx.shape.len() as u64, 64),
            label: "conv2d_input",
        })
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        y.fill(T::of(0.0));
        self.conv.for_each_term(shape, x[1].shape, x[0].shape, |at_x, at_w, at_y| {
            y[at_x] += x[0].data[at_y] * x[1].data[at_w];
        });
    }
}

/// Channels of dx up to which `fold` is the faster way.
const FEW_CHANNELS: usize = 4;

/// The widest tile of a family: a product over all taps has many rows.
fn wider(variant: Variant) -> Variant {
    match variant {
        Variant::Shuffle { columns, .. } => Variant::Shuffle { rows: 4, columns },
        Variant::Panel { columns, .. } => Variant::Panel { rows: 2, columns },
        other => other,
    }
}

/// Along one axis, the places i = q·stride + remainder of dx, and the taps that reach them: i_t = first + t·step, from
/// place q + start − t·back of dy.
#[derive(Clone, Copy)]
struct Phase {
    remainder: usize,
    places: usize,
    taps: usize,
    first: usize,
    step: usize,
    start: isize,
    back: isize,
}

impl Phase {
    fn new(remainder: usize, kernel: usize, stride: usize, dilation: usize, before: usize, len: usize) -> Phase {
        // Tap i reaches the phase if stride divides remainder + before − i·dilation; such taps are evenly spaced.
        let distance = |i: usize| (remainder + before) as isize - (i * dilation) as isize;
        let reaches = |&i: &usize| distance(i).rem_euclid(stride as isize) == 0;
        let first = (0..kernel).find(reaches).unwrap_or(0);
        let step = (1..=stride).find(|step| (step * dilation).is_multiple_of(stride)).unwrap_or(1);
        Phase {
            remainder,
            places: (len - remainder).div_ceil(stride),
            taps: (0..kernel).filter(reaches).count(),
            first,
            step,
            start: distance(first).div_euclid(stride as isize),
            back: (step * dilation / stride) as isize,
        }
    }
}

impl bias_activation::Product for Conv2dInput {
    const ACTIVATED: &'static str = "conv2d_input_activated";
    const CHANNELS: usize = 1;

    fn by_channels(&self, x: &[&Shape], y: &Shape) -> Vec<Product> {
        self.products(x[0], x[1], y)
    }

    fn gpu_finished(&self, gpu: &Gpu, x: &[GpuView], y: GpuView, finish: Finish) -> Result<()> {
        let products = self.products(x[0].shape, x[1].shape, y.shape);
        let variant = tuning::choose(gpu, &products)?;
        let columns = x[1].shape[1..].iter().product::<usize>() * x[0].shape[0] * x[0].shape[2] * x[0].shape[3];
        if self.folds(variant, x[1].shape) && columns as u64 * 4 <= gpu.max_binding_bytes() {
            return self.fold(gpu, wider(variant), [x[0], x[1]], y, finish);
        }
        if variant != Variant::Naive {
            let buffers = [x[1].buffer, x[0].buffer, y.buffer];
            return gemm::run(gpu, variant, &products, buffers, finish, y.shape.len(), "conv2d_input");
        }
        let conv = self.conv.gpu_params(y.shape, x[1].shape, x[0].shape);
        gpu.run(&KernelCall {
            kernel: Kernel::new("conv2d_input", "naive"),
            reads: &[x[0].buffer, x[1].buffer, finish.bias.unwrap_or(x[1].buffer)],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&FinishedParams { conv, epilogue: finish.epilogue(1) }),
            workgroups: grid(y.shape.len() as u64, 64),
            label: "conv2d_input",
        })
    }
}

impl Op for Conv2dInput {
    fn name(&self) -> &'static str {
        "conv2d_input"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["dy", "w"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let (dy, w) = (x[0], x[1]);
        if dy.rank() != 4 || w.rank() != 4 {
            return Err("expects images [N, O, H, W] and weights [O, C/groups, KH, KW]".into());
        }
        if dy[1] != w[0] {
            return Err(format!("input has {} channels but weight expects {}", dy[1], w[0]));
        }
        let shape = Shape::from([dy[0], w[1] * self.conv.groups, self.size[0], self.size[1]]);
        self.conv.check(&shape, w, Some(dy))?;
        Ok(shape)
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        let sizes = self.conv.sizes(shape, x[1].shape, x[0].shape);
        cpu::conv::input_gradient(&sizes, x[0].data, x[1].data, y);
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        bias_activation::Product::gpu_finished(self, gpu, x, y, Finish::NONE)
    }

    fn flop(&self, x: &[&Shape], _: &Shape) -> f64 {
        2.0 * x[0].len() as f64 * x[1][1..].iter().product::<usize>() as f64
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, ddx: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (dy, w) = (&x[0], &x[1]);
        vec![
            needs[0].then(|| apply(self.conv, &[ddx, w])),
            needs[1].then(|| apply(Conv2dWeight { conv: self.conv, kernel: [w.dim(2), w.dim(3)] }, &[ddx, dy])),
        ]
    }
}

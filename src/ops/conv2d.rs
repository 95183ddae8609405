//! 2-D convolution, the first face of the trilinear form ⟨conv2d(x, w), dy⟩ = ⟨x, conv2d_input(dy, w)⟩ = ⟨w, conv2d_weight(x, dy)⟩.

use crate::cpu;
use crate::error::Result;
use crate::gpu::gemm::{self, Epilogue, Finish, Operand, Product, Target, Walk};
use crate::gpu::tuning::{self, Variant};
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::bias_activation;
use crate::ops::conv2d_input::Conv2dInput;
use crate::ops::conv2d_weight::Conv2dWeight;
use crate::shape::{Padding, Shape, conv_size, same_padding, same_transpose_padding};
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

/// A convolution's settings. Images are [N, C, H, W], weights [O, C/groups, KH, KW].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Vertical and horizontal stride, from 1.
    pub stride: [usize; 2],
    /// Zeros around the image: top, bottom, left, right.
    pub padding: Padding,
    /// Vertical and horizontal distance between kernel elements, from 1.
    pub dilation: [usize; 2],
    /// Groups that the channels fall into, from 1.
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Conv2d {
        Conv2d { stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 }
    }
}

impl Conv2d {
    /// The padding with which Keras's 'same' convolution of a `[h, w]` image gives ceil(size / stride).
    pub fn same(size: [usize; 2], kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Conv2d {
        let (top, bottom) = same_padding(size[0], kernel[0], stride[0], dilation[0]);
        let (left, right) = same_padding(size[1], kernel[1], stride[1], dilation[1]);
        Conv2d { stride, padding: [top, bottom, left, right], dilation, groups: 1 }
    }

    /// The convolution whose transpose is Keras's 'same' transposed convolution of a `[h, w]` image: the result has
    /// size · stride.
    pub fn same_transpose(size: [usize; 2], kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Conv2d {
        let (top, bottom) = same_transpose_padding(size[0], kernel[0], stride[0], dilation[0]);
        let (left, right) = same_transpose_padding(size[1], kernel[1], stride[1], dilation[1]);
        Conv2d { stride, padding: [top, bottom, left, right], dilation, groups: 1 }
    }

    /// The output's `[h, w]` for an image and a kernel, if the kernel fits.
    pub fn output_size(&self, image: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let [top, bottom, left, right] = self.padding;
        Some([
            conv_size(image[0], kernel[0], self.stride[0], top, bottom, self.dilation[0])?,
            conv_size(image[1], kernel[1], self.stride[1], left, right, self.dilation[1])?,
        ])
    }

    /// Checks that x, w and y are the shapes of one convolution; the shared shape rule of the three faces.
    pub(crate) fn check(&self, x: &Shape, w: &Shape, y: Option<&Shape>) -> Result<[usize; 4], String> {
        if x.rank() != 4 || w.rank() != 4 || y.is_some_and(|y| y.rank() != 4) {
            return Err("expects images [N, C, H, W] and weights [O, C/groups, KH, KW]".into());
        }
        if self.groups == 0 || self.stride.contains(&0) || self.dilation.contains(&0) || w[2] * w[3] == 0 {
            return Err(format!("stride, dilation, groups and kernel start at 1 ({self:?})"));
        }
        let (o, groups) = (w[0], self.groups);
        if x[1] != w[1] * groups {
            return Err(format!("input has {} channels but weight expects {}", x[1], w[1] * groups));
        }
        if o % groups != 0 {
            return Err(format!("{o} output channels do not divide into {groups} groups"));
        }
        let Some([oh, ow]) = self.output_size([x[2], x[3]], [w[2], w[3]]) else {
            return Err(format!("a {}x{} kernel does not fit a {}x{} image ({self:?})", w[2], w[3], x[2], x[3]));
        };
        let expected = [x[0], o, oh, ow];
        match y {
            Some(y) if y.dims() != expected => Err(format!("the output side should be {expected:?} ({self:?})")),
            _ => Ok(expected),
        }
    }

    /// Calls `term(input element, weight element, output element)` for every product of the convolution: the sum
    /// y[n, o, oy, ox] = Σ_{c, i, j} x[n, c, oy·s + i·d − top, ox·s + j·d − left]·w[o, c, i, j], image by image.
    pub(crate) fn for_each_term(&self, x: &Shape, w: &Shape, y: &Shape, mut term: impl FnMut(usize, usize, usize)) {
        let (per_group, c_per_group) = (w[0] / self.groups, w[1]);
        for n in 0..x[0] {
            for o in 0..w[0] {
                for c in 0..c_per_group {
                    let xc = o / per_group * c_per_group + c;
                    for i in 0..w[2] {
                        for j in 0..w[3] {
                            let at_w = ((o * c_per_group + c) * w[2] + i) * w[3] + j;
                            for oy in 0..y[2] {
                                let down = oy * self.stride[0] + i * self.dilation[0];
                                let Some(iy) = down.checked_sub(self.padding[0]).filter(|&iy| iy < x[2]) else {
                                    continue;
                                };
                                for ox in 0..y[3] {
                                    let right = ox * self.stride[1] + j * self.dilation[1];
                                    let Some(ix) = right.checked_sub(self.padding[2]).filter(|&ix| ix < x[3]) else {
                                        continue;
                                    };
                                    term(
                                        ((n * x[1] + xc) * x[2] + iy) * x[3] + ix,
                                        at_w,
                                        ((n * y[1] + o) * y[2] + oy) * y[3] + ox,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The sizes that the `cpu` kernels take.
    pub(crate) fn sizes(&self, x: &Shape, w: &Shape, y: &Shape) -> cpu::conv::Sizes {
        cpu::conv::Sizes {
            n: x[0],
            groups: self.groups,
            c: w[1],
            o: w[0] / self.groups,
            x: [x[2], x[3]],
            kernel: [w[2], w[3]],
            y: [y[2], y[3]],
            stride: self.stride,
            before: [self.padding[0], self.padding[2]],
            dilation: self.dilation,
        }
    }

    /// The shared parameters of the three kernels.
    pub(crate) fn gpu_params(&self, x: &Shape, w: &Shape, y: &Shape) -> ConvParams {
        let u = |v: usize| v as u32;
        ConvParams {
            n: u(x[0]),
            c: u(x[1]),
            h: u(x[2]),
            w: u(x[3]),
            o: u(y[1]),
            oh: u(y[2]),
            ow: u(y[3]),
            kh: u(w[2]),
            kw: u(w[3]),
            stride_h: u(self.stride[0]),
            stride_w: u(self.stride[1]),
            top: u(self.padding[0]),
            left: u(self.padding[2]),
            dilation_h: u(self.dilation[0]),
            dilation_w: u(self.dilation[1]),
            groups: u(self.groups),
        }
    }

    /// The patches of x [N, C, H, W] as a matrix: rows (c, i, j), columns (n, oy, ox).
    pub(crate) fn patches(&self, x: &Shape, kernel: [usize; 2], y: [usize; 2]) -> Operand {
        let walk = |axis: usize| Walk {
            start: -(self.padding[2 * axis] as isize),
            k: self.dilation[axis] as isize,
            c: self.stride[axis] as isize,
            len: x[2 + axis],
        };
        Operand {
            step_z: x[1] / self.groups * x[2] * x[3],
            plane_k: x[2] * x[3],
            plane_c: x[1] * x[2] * x[3],
            y: walk(0),
            x: walk(1),
            k_digits: kernel,
            c_digits: y,
        }
    }

    /// What the tiled kernels compute: rows o, columns (n, oy, ox), terms (c, i, j).
    fn product(&self, x: &Shape, w: &Shape, y: &Shape) -> Product {
        let (per_group, k, positions) = (w[0] / self.groups, w[1] * w[2] * w[3], y[2] * y[3]);
        Product {
            m: per_group,
            n: y[0] * positions,
            k,
            depth: self.groups,
            a: Operand::matrix(per_group * k, 1, k),
            b: self.patches(x, [w[2], w[3]], [y[2], y[3]]),
            y: Target {
                offset: 0,
                step_z: per_group * positions,
                step_row: positions,
                steps: [y[1] * positions, y[3], 1],
            },
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], shape: &Shape) {
        y.fill(T::of(0.0));
        self.for_each_term(x[0].shape, x[1].shape, shape, |at_x, at_w, at_y| {
            y[at_y] += x[0].data[at_x] * x[1].data[at_w];
        });
    }
}

/// Twin of `ConvParams` in `conv.wgsl`, shared by the three faces.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct ConvParams {
    n: u32,
    c: u32,
    h: u32,
    w: u32,
    o: u32,
    oh: u32,
    ow: u32,
    kh: u32,
    kw: u32,
    stride_h: u32,
    stride_w: u32,
    top: u32,
    left: u32,
    dilation_h: u32,
    dilation_w: u32,
    groups: u32,
}

/// Twin of `Params` in `conv2d.wgsl` and `conv2d_input.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct FinishedParams {
    pub conv: ConvParams,
    pub epilogue: Epilogue,
}

impl bias_activation::Product for Conv2d {
    const ACTIVATED: &'static str = "conv2d_activated";
    const CHANNELS: usize = 1;

    fn by_channels(&self, x: &[&Shape], y: &Shape) -> Vec<Product> {
        vec![self.product(x[0], x[1], y)]
    }

    fn gpu_finished(&self, gpu: &Gpu, x: &[GpuView], y: GpuView, finish: Finish) -> Result<()> {
        let product = self.product(x[0].shape, x[1].shape, y.shape);
        let variant = tuning::choose(gpu, &[product])?;
        if variant != Variant::Naive {
            let buffers = [x[1].buffer, x[0].buffer, y.buffer];
            return gemm::run(gpu, variant, &[product], buffers, finish, y.shape.len(), "conv2d");
        }
        let conv = self.gpu_params(x[0].shape, x[1].shape, y.shape);
        gpu.run(&KernelCall {
            kernel: Kernel::new("conv2d", "naive"),
            reads: &[x[0].buffer, x[1].buffer, finish.bias.unwrap_or(x[1].buffer)],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&FinishedParams { conv, epilogue: finish.epilogue(1) }),
            workgroups: grid(y.shape.len() as u64, 64),
            label: "conv2d",
        })
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x", "w"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        self.check(x[0], x[1], None).map(Shape::from)
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], shape: &Shape) {
        cpu::conv::forward(&self.sizes(x[0].shape, x[1].shape, shape), x[0].data, x[1].data, y);
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        bias_activation::Product::gpu_finished(self, gpu, x, y, Finish::NONE)
    }

    fn flop(&self, x: &[&Shape], y: &Shape) -> f64 {
        2.0 * y.len() as f64 * x[1][1..].iter().product::<usize>() as f64
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (x, w) = (&x[0], &x[1]);
        vec![
            needs[0].then(|| apply(Conv2dInput { conv: *self, size: [x.dim(2), x.dim(3)] }, &[dy, w])),
            needs[1].then(|| apply(Conv2dWeight { conv: *self, kernel: [w.dim(2), w.dim(3)] }, &[x, dy])),
        ]
    }
}

/// Convolutions.
impl Tensor {
    /// Convolution of images [N, C, H, W] with weights [O, C/groups, KH, KW]; result [N, O, OH, OW].
    #[track_caller]
    pub fn conv2d(&self, w: &Tensor, conv: Conv2d) -> Tensor {
        apply(conv, &[self, w])
    }

    /// Transposed convolution of images [N, I, H, W] with weights [I, O/groups, KH, KW], giving [N, O, size]: the
    /// input gradient of the convolution `conv` that takes images of `size` to [H, W].
    #[track_caller]
    pub fn conv_transpose2d(&self, w: &Tensor, conv: Conv2d, size: [usize; 2]) -> Tensor {
        apply(Conv2dInput { conv, size }, &[self, w])
    }

    /// The weight gradient of the convolution `conv` of these images [N, C, H, W] by its output gradient dy
    /// [N, O, OH, OW]; result [O, C/groups, kernel].
    #[track_caller]
    pub fn conv2d_weight(&self, dy: &Tensor, conv: Conv2d, kernel: [usize; 2]) -> Tensor {
        apply(Conv2dWeight { conv, kernel }, &[self, dy])
    }

    /// Adds b `[C]` to each channel of images [N, C, H, W].
    #[track_caller]
    pub fn add_channel_bias(&self, b: &Tensor) -> Tensor {
        self + b.reshape([1, b.len(), 1, 1])
    }
}

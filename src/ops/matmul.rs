//! Matrix products, batched, with either operand transposed: y = a·b.

use crate::cpu::matmul::{Matrix, matmul};
use crate::cpu::parallel::for_chunks;
use crate::error::Result;
use crate::gpu::gemm::{self, Epilogue, Finish, Operand, Product, Target};
use crate::gpu::tuning::{self, Variant};
use crate::gpu::{Gpu, Kernel, KernelCall, grid};
use crate::ops::bias_activation;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};

/// y[s, i, j] = Σ_l a[s, i, l]·b[s, l, j], with a read as [s, l, i] if `transpose_a` and b as [s, j, l] if `transpose_b`.
#[derive(Clone, Copy, Debug)]
pub struct Matmul {
    /// Whether a is stored [s, l, i].
    pub(super) transpose_a: bool,
    /// Whether b is stored [s, j, l].
    pub(super) transpose_b: bool,
}

/// Batch size and matrix sizes.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
}

impl Matmul {
    fn sizes(&self, a: &Shape, b: &Shape) -> Sizes {
        let (m, k) = if self.transpose_a { (a[2], a[1]) } else { (a[1], a[2]) };
        Sizes { batch: a[0], m, n: if self.transpose_b { b[1] } else { b[2] }, k }
    }

    /// What the tiled kernels compute.
    fn product(&self, Sizes { batch, m, n, k }: Sizes) -> Product {
        let stored = |z, rows, columns, transposed| match transposed {
            true => Operand::matrix(z, 1, rows),
            false => Operand::matrix(z, columns, 1),
        };
        Product {
            m,
            n,
            k,
            depth: batch,
            // As [k, m]: b's orientation, so a's flag means the opposite.
            a: stored(m * k, k, m, !self.transpose_a),
            b: stored(k * n, k, n, self.transpose_b),
            y: Target { offset: 0, step_z: m * n, step_row: n, steps: [1, 0, 0] },
        }
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let Sizes { batch, m, n, k } = self.sizes(x[0].shape, x[1].shape);
        for s in 0..batch {
            let (a, b) = (&x[0].data[s * m * k..], &x[1].data[s * k * n..]);
            for i in 0..m {
                for j in 0..n {
                    let mut total = T::of(0.0);
                    for l in 0..k {
                        let a = if self.transpose_a { a[l * m + i] } else { a[i * k + l] };
                        let b = if self.transpose_b { b[j * k + l] } else { b[l * n + j] };
                        total += a * b;
                    }
                    y[(s * m + i) * n + j] = total;
                }
            }
        }
    }
}

/// Twin of `Params` in `matmul.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    n: u32,
    k: u32,
    transpose_a: u32,
    transpose_b: u32,
    outputs: u32,
    epilogue: Epilogue,
}

impl bias_activation::Product for Matmul {
    const ACTIVATED: &'static str = "linear_activated";
    const CHANNELS: usize = 2;

    fn by_channels(&self, x: &[&Shape], _: &Shape) -> Vec<Product> {
        // The columns of y are the rows of its transpose.
        let Product { m, n, k, depth, a, b, .. } = self.product(self.sizes(x[0], x[1]));
        let y = Target { offset: 0, step_z: m * n, step_row: 1, steps: [n, 0, 0] };
        vec![Product { m: n, n: m, k, depth, a: b, b: a, y }]
    }

    fn gpu_finished(&self, gpu: &Gpu, x: &[GpuView], y: GpuView, finish: Finish) -> Result<()> {
        let Sizes { batch, m, n, k } = self.sizes(x[0].shape, x[1].shape);
        let product = self.product(Sizes { batch, m, n, k });
        let variant = tuning::choose(gpu, &[product])?;
        if variant != Variant::Naive {
            let buffers = [x[0].buffer, x[1].buffer, y.buffer];
            return gemm::run(gpu, variant, &[product], buffers, finish, y.shape.len(), "matmul");
        }
        let params = Params {
            m: m as u32,
            n: n as u32,
            k: k as u32,
            transpose_a: self.transpose_a as u32,
            transpose_b: self.transpose_b as u32,
            outputs: (batch * m * n) as u32,
            epilogue: finish.epilogue(1),
        };
        gpu.run(&KernelCall {
            kernel: Kernel::new("matmul", "naive"),
            reads: &[x[0].buffer, x[1].buffer, finish.bias.unwrap_or(x[1].buffer)],
            writes: &[y.buffer],
            params: bytemuck::bytes_of(&params),
            workgroups: grid((batch * m * n) as u64, 64),
            label: "matmul",
        })
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["a", "b"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let (a, b) = (x[0], x[1]);
        if a.rank() != 3 || b.rank() != 3 || a[0] != b[0] {
            return Err("expects [batch, m, k] and [batch, k, n] of one batch size".into());
        }
        let Sizes { batch, m, n, k } = self.sizes(a, b);
        let other = if self.transpose_b { b[2] } else { b[1] };
        if k != other {
            return Err(format!("a has {k} columns but b has {other} rows"));
        }
        Ok([batch, m, n].into())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let Sizes { batch, m, n, k } = self.sizes(x[0].shape, x[1].shape);
        let matrix = |data, rows, cols, transposed: bool| {
            if transposed { Matrix::new(data, cols, rows, rows).t() } else { Matrix::new(data, rows, cols, cols) }
        };
        let operands = |s: usize| {
            (
                matrix(&x[0].data[s * m * k..][..m * k], m, k, self.transpose_a),
                matrix(&x[1].data[s * k * n..][..k * n], k, n, self.transpose_b),
            )
        };
        if m * n == 0 {
            return;
        }
        if batch == 1 {
            let (a, b) = operands(0);
            matmul(y, a, b);
        } else {
            for_chunks([y], m * n, |s, [y]| {
                let (a, b) = operands(s);
                matmul(y, a, b);
            });
        }
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        bias_activation::Product::gpu_finished(self, gpu, x, y, Finish::NONE)
    }

    fn flop(&self, x: &[&Shape], _: &Shape) -> f64 {
        let Sizes { batch, m, n, k } = self.sizes(x[0], x[1]);
        2.0 * (batch * m * n) as f64 * k as f64
    }

    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>> {
        let (a, b, ta, tb) = (&x[0], &x[1], self.transpose_a, self.transpose_b);
        let product =
            |a: &Tensor, b: &Tensor, transpose_a, transpose_b| apply(Matmul { transpose_a, transpose_b }, &[a, b]);
        // With A, B the operands as used: dA = dy·Bᵀ and dB = Aᵀ·dy, transposed back where the operand was.
        let da = || if ta { product(b, dy, tb, true) } else { product(dy, b, false, !tb) };
        let db = || if tb { product(dy, a, true, ta) } else { product(a, dy, !ta, false) };
        vec![needs[0].then(da), needs[1].then(db)]
    }
}

/// Matrix products.
impl Tensor {
    /// a·b for `[…, m, k]` and `[…, k, n]`; leading axes broadcast. Result `[…, m, n]`.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        self.matmul_transposed(other, false, false)
    }

    /// a·b with the last two axes of either operand swapped first.
    #[track_caller]
    pub fn matmul_transposed(&self, other: &Tensor, transpose_a: bool, transpose_b: bool) -> Tensor {
        let (a, b) = (self, other);
        let fits = a.rank() >= 2 && b.rank() >= 2;
        let lead = |t: &Tensor| Shape::from(&t.shape()[..t.rank().saturating_sub(2)]);
        let Some(batch) = Shape::broadcast(&lead(a), &lead(b)).filter(|_| fits) else {
            panic!("matmul: expects [..., m, k] and [..., k, n] (a {}, b {})", a.shape(), b.shape());
        };
        let batched = |t: &Tensor| {
            let matrix = &t.shape()[t.rank() - 2..];
            t.expand([&batch[..], matrix].concat()).reshape([batch.len(), matrix[0], matrix[1]])
        };
        let y = apply(Matmul { transpose_a, transpose_b }, &[&batched(a), &batched(b)]);
        y.reshape([&batch[..], &y.shape()[1..]].concat())
    }
}

//! Spectral normalisation of a weight by power iteration with kept state (Miyato et al. 2018), made of other ops.

use crate::tensor::{Tensor, no_grad};

/// A weight divided by (an estimate of) its largest singular value, and the iteration's new state.
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    /// W / σ, in the weight's shape.
    pub w: Tensor,
    /// σ = uᵀ·W·v, `[]`; differentiable.
    pub sigma: Tensor,
    /// The left vector `[out]`, to be handed in at the next step.
    pub u: Tensor,
    /// The right vector `[rest]`.
    pub v: Tensor,
}

impl Tensor {
    /// This weight as a matrix [out, rest], where `out` is its axis `dim` (0; 1 for transposed convolutions).
    #[track_caller]
    fn as_matrix(&self, dim: usize) -> Tensor {
        let mut order: Vec<usize> = (0..self.rank()).collect();
        order.swap(0, dim);
        let rows = if dim == 0 { self.clone() } else { self.permute(&order) };
        let out = self.dim(dim);
        rows.reshape([out, self.len() / out.max(1)])
    }

    /// x / max(‖x‖₂, eps) of all elements.
    fn unit(&self, eps: f64) -> Tensor {
        let norm = self.square().sum().sqrt();
        self / norm.clamp(eps, f32::MAX as f64)
    }

    /// Spectral normalisation: `iterations` times v ← Wᵀu/‖Wᵀu‖, u ← Wv/‖Wv‖ for W this weight as [out, rest] and the
    /// state u `[out]`, then σ = uᵀWv and W/σ. As published, u and v are constants for the gradient. With 0 iterations
    /// v comes from u and u stays: for evaluation.
    #[track_caller]
    pub fn spectral_norm(&self, u: &Tensor, dim: usize, iterations: usize, eps: f64) -> SpectralNorm {
        let matrix = self.as_matrix(dim);
        let (out, rest) = (matrix.dim(0), matrix.dim(1));
        assert!(u.shape()[..] == [out], "spectral_norm: u should be [{out}] (w {}, u {})", self.shape(), u.shape());
        let (u, v) = no_grad(|| {
            let (w, mut u) = (matrix.detach(), u.reshape([out, 1]));
            let right = |u: &Tensor| w.matmul_transposed(u, true, false).unit(eps);
            let mut v = right(&u); // [rest, 1]
            for i in 0..iterations {
                v = if i == 0 { v } else { right(&u) };
                u = w.matmul(&v).unit(eps);
            }
            (u.detach(), v.detach())
        });
        let sigma = (&u * matrix.matmul(&v)).sum();
        SpectralNorm { w: self / &sigma, sigma, u: u.reshape([out]), v: v.reshape([rest]) }
    }
}

//! Spectral normalisation of a layer's weight, with the power iteration's vector kept (Miyato et al. 2018).

use super::init::Initializer;
use super::{Mode, Parameter};
use crate::autograd::once;
use crate::tensor::Tensor;

/// What stands under a norm as its least value.
const EPS: f64 = 1e-12;

/// W/σ for a weight of which axis 0 counts the outputs; σ = uᵀWv estimates the largest singular value of W as a matrix.
pub struct SpectralNorm {
    u: Parameter,
}

impl SpectralNorm {
    /// For weights with so many outputs: u is drawn, of length 1.
    pub fn new(init: &mut Initializer, outputs: usize) -> SpectralNorm {
        SpectralNorm { u: Parameter::new(init.direction(outputs)) }
    }

    /// W/σ. A training pass takes one step of the iteration and keeps its u; other passes take u as it is. For the
    /// gradient u and v are constants, as published.
    #[track_caller]
    pub fn of(&self, w: &Tensor, mode: Mode) -> Tensor {
        let moves = mode.trains();
        let u = once(|| self.u.get());
        let normed = w.spectral_norm(&u, 0, usize::from(moves), EPS);
        if moves {
            once(|| self.u.set(normed.u.detach()));
        }
        normed.w
    }

    /// u, `[outputs]`.
    pub fn buffers(&self) -> Vec<(String, Parameter)> {
        vec![("u".into(), self.u.clone())]
    }
}

//! A layer or network that is computed again for its gradient instead of being stored.

use super::{Mode, Module, Parameter};
use crate::autograd::checkpoint;
use crate::tensor::Tensor;
use std::sync::Arc;

/// The same module, of whose pass only the input, the weights and the output are kept ([`checkpoint`]): less memory for one
/// more forward pass. Values, gradients by input and weights, dropout masks and running statistics are the module's own.
pub struct Checkpointed(Arc<dyn Module>);

impl Checkpointed {
    /// `module`, recomputed.
    pub fn new(module: impl Module + 'static) -> Checkpointed {
        Checkpointed(Arc::new(module))
    }
}

/// Puts the present values back, even if the pass panics.
struct Lent(Vec<(Parameter, Tensor)>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(place, value)| place.put(value));
    }
}

/// `module`'s output for x, of whose pass only x, the weights and the output are kept: what [`Checkpointed`] does.
#[track_caller]
pub fn recomputed(module: Arc<dyn Module>, x: &Tensor, mode: Mode) -> Tensor {
    let weights = module.parameter_tensors();
    let pass = move |x: &[Tensor]| {
        // The weights of this pass stand in for those that an optimiser may have put there since.
        let places = module.parameters().into_iter().map(|(_, place)| place);
        let _lent = Lent(places.zip(&x[1..]).map(|(place, w)| (place.clone(), lend(&place, w))).collect());
        module.forward(&x[0], mode)
    };
    checkpoint(pass, &std::iter::once(x).chain(&weights).collect::<Vec<_>>())
}

impl Module for Checkpointed {
    #[track_caller]
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        recomputed(self.0.clone(), x, mode)
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        self.0.parameters()
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.0.buffers()
    }
}

/// Puts `value` in the place and gives what was there.
fn lend(place: &Parameter, value: &Tensor) -> Tensor {
    let present = place.get();
    place.put(value.clone());
    present
}

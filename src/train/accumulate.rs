//! A batch in parts, one after the other: gradients and losses are averaged before an update, so that only a part's
//! activations are there at a time.

use crate::tensor::{Tensor, no_grad};

/// Part `i` of `parts` of a batch, along the first axis.
pub(super) fn part(batch: &Tensor, i: usize, parts: usize) -> Tensor {
    if parts == 1 {
        return batch.clone();
    }
    let n = batch.dim(0) / parts;
    no_grad(|| batch.narrow(0, i * n, n))
}

/// The mean of tensors over the parts of a batch: each loss is a mean over its part's images, and the parts are equal, so
/// that the mean of the parts' gradients is the batch's (unless a layer mixes images, as batch normalisation does).
#[derive(Default)]
pub(super) struct Mean {
    sums: Vec<Tensor>,
    parts: usize,
}

impl Mean {
    /// Adds a part's.
    pub fn add(&mut self, tensors: Vec<Tensor>) {
        self.parts += 1;
        if self.parts == 1 {
            self.sums = tensors;
            return;
        }
        no_grad(|| self.sums.iter_mut().zip(&tensors).for_each(|(sum, tensor)| *sum = &*sum + tensor));
    }

    /// The means, in order.
    pub fn take(self) -> Vec<Tensor> {
        match self.parts {
            0 | 1 => self.sums,
            parts => no_grad(|| self.sums.into_iter().map(|sum| sum * (1.0 / parts as f64)).collect()),
        }
    }
}

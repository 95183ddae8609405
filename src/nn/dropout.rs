//! Dropout whose masks have addresses: a function of the seed and a place that training sets, so a resume repeats them.

use super::{Mode, Module};
use crate::autograd::once;
use crate::rng::{Domain, Stream};
use crate::tensor::Tensor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The masks of a network are drawn one after the other from here; clones share the place.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    next: Arc<AtomicU64>,
}

impl Draws {
    /// Masks under `seed`, from place 0.
    pub fn new(seed: u64) -> Draws {
        Draws { seed, next: Arc::new(AtomicU64::new(0)) }
    }

    /// The next masks are those of `step` (of a training step, or of an image when a trained network is applied). A step
    /// may draw 65,536.
    pub fn begin(&self, step: u64) {
        self.next.store(step << 16, Ordering::Relaxed);
    }

    fn stream(&self) -> Stream {
        Stream::new(self.seed, Domain::Dropout, once(|| self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Each value is 0 with probability p, else 1/(1 − p) times itself (Srivastava et al. 2014); nothing at inference.
pub struct Dropout {
    p: f64,
    draws: Draws,
}

impl Dropout {
    /// Dropout with masks from `draws`.
    pub fn new(p: f64, draws: &Draws) -> Dropout {
        Dropout { p, draws: draws.clone() }
    }
}

impl Module for Dropout {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match mode {
            Mode::Inference => x.clone(),
            _ => x.dropout(self.p, &self.draws.stream()),
        }
    }
}

//! Which kernels a device is given in place of those that the table chooses: what was measured, and what tests force.

use super::{AdapterKind, Gpu, tuning};
use std::sync::PoisonError;

impl Gpu {
    /// Makes all products and convolutions use one kernel variant, whatever the table says; for tests and benchmarks.
    pub fn force_variant(&self, variant: Option<tuning::Variant>) {
        *self.0.forced_variant.lock().unwrap_or_else(PoisonError::into_inner) = variant;
    }

    pub(super) fn forced_variant(&self) -> Option<tuning::Variant> {
        *self.0.forced_variant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all elementwise passes, broadcasts and batch norms use one kind of kernel, whatever the table says; for tests.
    pub fn force_passes(&self, passes: Option<tuning::Passes>) {
        *self.0.forced_passes.lock().unwrap_or_else(PoisonError::into_inner) = passes;
    }

    pub(super) fn forced_passes(&self) -> Option<tuning::Passes> {
        *self.0.forced_passes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses kernels as for an adapter of another kind; for counting and checking on a software adapter what a GPU
    /// would be given.
    pub fn tune_as(&self, kind: Option<AdapterKind>) {
        *self.0.tuned_as.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }

    pub(super) fn tuned_as(&self) -> AdapterKind {
        self.0.tuned_as.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(self.0.report.kind)
    }

    pub(super) fn tuned<R>(&self, with: impl FnOnce(&tuning::Tuned) -> R) -> Option<R> {
        self.0.tuned.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(with)
    }
}

//! Spectral normalisation.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::tensor::{Device, no_grad};

pub fn function(op: &str) -> Option<Function> {
    (op == "spectral_norm").then_some(run as Function)
}

fn run(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["dim", "iterations", "eps"])?;
    let (w, u) = (i.tensor("w")?, i.tensor("u")?);
    let (dim, eps) = (i.attrs.size("dim", 0)?, i.attrs.number("eps", 1e-12)?);
    let iterations = i.attrs.size("iterations", 1)?;
    if iterations > 100_000 || dim >= w.rank() {
        return Err(Refusal::Failed(format!("dim = {dim}, iterations = {iterations}")));
    }
    let s = w.spectral_norm(u, dim, iterations, eps);
    // The true largest singular value, as information: many iterations, in f64.
    let reference = Device::Reference;
    let (exact_w, exact_u) = (w.to_device(&reference)?, u.to_device(&reference)?);
    let svd = no_grad(|| exact_w.spectral_norm(&exact_u, dim, 4000, eps)).sigma.to_device(i.device)?;
    Ok(Outputs::one("w_sn", s.w).and("sigma", s.sigma).and("u", s.u).and("v", s.v).and("sigma_svd", svd))
}

//! Reductions over axes, which disappear, under the engine's names.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::ops::reduce_more::Variance;
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    let known = [
        "sum",
        "mean",
        "max_axes",
        "min_axes",
        "prod_axes",
        "var_axes",
        "norm_axes",
        "norm1_axes",
        "norm_max_axes",
        "logsumexp",
    ];
    if op == "argmax" || op == "argmin" {
        return Some(place);
    }
    known.contains(&op).then_some(run as Function)
}

fn run(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(if i.op == "var_axes" { &["axes", "unbiased"] } else { &["axes"] })?;
    let x = i.tensor("x")?;
    let axes = i.attrs.list("axes")?;
    if axes.iter().enumerate().any(|(at, axis)| *axis >= x.rank() || axes[..at].contains(axis)) {
        return Err(Refusal::Failed(format!("axes = {axes:?}")));
    }
    Ok(Outputs::one(
        "y",
        match i.op {
            "sum" => x.sum_axes(&axes),
            "mean" => x.mean_axes(&axes),
            "max_axes" => x.max_axes(&axes),
            "min_axes" => x.min_axes(&axes),
            "prod_axes" => x.prod_axes(&axes),
            "norm_axes" => x.norm_axes(&axes),
            "norm1_axes" => x.norm1_axes(&axes),
            "norm_max_axes" => x.norm_max_axes(&axes),
            "logsumexp" => x.logsumexp(&axes),
            _ => {
                let unbiased = i.attrs.flag("unbiased", false)?;
                x.var_axes(&axes, if unbiased { Variance::Sample } else { Variance::Population })
            }
        },
    ))
}

/// The place of the extreme element along `axis`, which disappears: the first of equal ones.
fn place(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["axis"])?;
    let x = i.tensor("x")?;
    let axis = i.attrs.axis("axis", 0, x.rank())?;
    let places = if i.op == "argmax" { x.argmax(axis)? } else { x.argmin(axis)? };
    let values: Vec<f64> = places.to_vec()?.into_iter().map(f64::from).collect();
    Ok(Outputs::one("y", Tensor::from_f64(i.device, places.shape(), &values)))
}

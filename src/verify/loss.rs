//! Losses.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::ops::losses::{self, GramNorm, Reduction};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "bce" | "bce_clipped" | "bce_with_logits" => bce,
        "minimax_d" | "minimax_g" | "non_saturating_g" | "hinge_d" | "hinge_g" | "wasserstein_d" | "wasserstein_g"
        | "least_squares_d" | "least_squares_g" | "relativistic_d" | "relativistic_g" => adversarial,
        "mse" | "l1" | "smooth_l1" | "cross_entropy" | "tv_l1" | "tv_l2" => plain,
        "gram_matrix" | "style_loss" => style,
        "patch_nce" => patch_nce,
        _ => return None,
    })
}

fn reduction(i: &Inputs) -> Result<Reduction, Refusal> {
    Ok(match i.attrs.text("reduction", "mean")? {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        other => return Err(Refusal::NotSupported(format!("the reduction {other}"))),
    })
}

/// A reduced value is called `loss`, others `y`.
fn reduced(i: &Inputs, values: &Tensor) -> Result<Outputs, Refusal> {
    let value = reduction(i)?.of(values);
    Ok(Outputs::one("loss", value.clone()).and("y", value))
}

fn bce(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(if i.op == "bce_clipped" { &["reduction", "clip"] } else { &["reduction"] })?;
    let target = i.tensor("target")?;
    let values = match i.op {
        "bce" => i.tensor("p")?.bce(target),
        "bce_clipped" => i.tensor("p")?.bce_clipped(target, i.attrs.number("clip", 1e-7)?),
        _ => i.tensor("z")?.bce_with_logits(target),
    };
    reduced(i, &values)
}

fn adversarial(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[])?;
    let (real, fake) = (i.tensor("real"), i.tensor("fake")?);
    let loss = match i.op {
        "minimax_d" => losses::minimax_d(real?, fake),
        "minimax_g" => losses::minimax_g(fake),
        "non_saturating_g" => losses::non_saturating_g(fake),
        "hinge_d" => losses::hinge_d(real?, fake),
        "hinge_g" => losses::hinge_g(fake),
        "wasserstein_d" => losses::wasserstein_d(real?, fake),
        "wasserstein_g" => losses::wasserstein_g(fake),
        "least_squares_d" => losses::least_squares_d(real?, fake),
        "least_squares_g" => losses::least_squares_g(fake),
        "relativistic_d" => losses::relativistic_d(real?, fake),
        _ => losses::relativistic_g(real?, fake),
    };
    Ok(Outputs::one("loss", loss))
}

fn plain(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(match i.op {
        "tv_l1" | "tv_l2" => &[],
        "smooth_l1" => &["beta"],
        _ => &["reduction"],
    })?;
    let values = match i.op {
        "mse" => (i.tensor("a")? - i.tensor("b")?).square(),
        "l1" => (i.tensor("a")? - i.tensor("b")?).abs(),
        "smooth_l1" => {
            let loss = losses::smooth_l1(i.tensor("a")?, i.tensor("b")?, i.attrs.number("beta", 1.0)?);
            return Ok(Outputs::one("loss", loss));
        }
        "cross_entropy" => i.tensor("z")?.cross_entropy(&i.indices("label")?)?,
        "tv_l1" => return Ok(Outputs::one("loss", losses::total_variation_l1(i.tensor("x")?))),
        _ => return Ok(Outputs::one("loss", losses::total_variation_l2(i.tensor("x")?))),
    };
    reduced(i, &values)
}

fn style(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["norm"])?;
    let norm = match i.attrs.text("norm", "none")? {
        "none" => GramNorm::None,
        "H*W" => GramNorm::Places,
        "C*H*W" => GramNorm::Elements,
        other => return Err(Refusal::NotSupported(format!("the norm {other}"))),
    };
    let x = i.tensor("x")?;
    Ok(match i.op {
        "gram_matrix" => Outputs::one("y", losses::gram_matrix(x, norm)),
        _ => Outputs::one("loss", losses::style_loss(x, i.tensor("style")?, norm)),
    })
}

fn patch_nce(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["temperature"])?;
    let keys = i.tensor("k")?.detach();
    Ok(Outputs::one("loss", losses::patch_nce(i.tensor("q")?, &keys, i.attrs.number("temperature", 0.07)?)?))
}

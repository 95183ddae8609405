//! ONNX normalisations.

use super::Operator;
use super::node::Node;
use crate::tensor::Tensor;
use crate::verify::run::Refusal;

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "BatchNormalization" => batch,
        "InstanceNormalization" => instance,
        "LayerNormalization" => layer,
        "GroupNormalization" => group,
        _ => return None,
    })
}

fn batch(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(5)?;
    n.attrs.only(match n.opset {
        ..7 => &["epsilon", "momentum", "is_test", "spatial"],
        7..9 => &["epsilon", "momentum", "spatial"],
        9..14 => &["epsilon", "momentum"],
        _ => &["epsilon", "momentum", "training_mode"],
    })?;
    if !n.attrs.flag_number("spatial", true)? {
        return Err(n.not_supported("statistics of each place (spatial = 0)"));
    }
    let (x, gamma, beta) = (n.tensor(0)?, n.tensor(1)?, n.tensor(2)?);
    let (mean, var) = (n.tensor(3)?, n.tensor(4)?);
    let (eps, momentum) = (n.attrs.number("epsilon", 1e-5)?, n.attrs.number("momentum", 0.9)?);
    let train = match n.opset {
        ..7 => !n.attrs.flag_number("is_test", false)?,
        7..14 => n.outputs > 1,
        _ => n.attrs.flag_number("training_mode", false)?,
    };
    if !train {
        return Ok(vec![x.batch_norm_with(mean, var, Some(gamma), Some(beta), eps)]);
    }
    if n.outputs > 3 {
        return Err(n.not_supported("the outputs saved_mean and saved_var"));
    }
    let (y, moments) = x.batch_norm(Some(gamma), Some(beta), eps);
    let row = |i: usize| moments.narrow(0, i, 1).reshape(mean.shape());
    let moved = |old: &Tensor, new: Tensor| old * momentum + new * (1.0 - momentum);
    Ok(vec![y, moved(mean, row(0)), moved(var, row(1))])
}

fn instance(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(&["epsilon"])?;
    let eps = n.attrs.number("epsilon", 1e-5)?;
    Ok(vec![n.tensor(0)?.instance_norm(Some(n.tensor(1)?), Some(n.tensor(2)?), eps)])
}

/// Scale and shift are a number a channel, before version 21 a number a group.
fn group(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(if n.opset < 21 { &["epsilon", "num_groups"] } else { &["epsilon", "num_groups", "stash_type"] })?;
    if n.attrs.whole("stash_type", 1)? != 1 {
        return Err(n.not_supported("a stash_type other than float32"));
    }
    let (x, eps) = (n.tensor(0)?, n.attrs.number("epsilon", 1e-5)?);
    let groups = n.attrs.size("num_groups", 0)?;
    if x.rank() < 3 || groups == 0 || !x.dim(1).is_multiple_of(groups) {
        return Err(n.failed(format!("num_groups = {groups} (x {})", x.shape())));
    }
    let each = |t: &Tensor| if n.opset < 21 { t.repeat_each(0, x.dim(1) / groups) } else { t.clone() };
    Ok(vec![x.group_norm(groups, Some(&each(n.tensor(1)?)), Some(&each(n.tensor(2)?)), eps)])
}

fn layer(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(&["axis", "epsilon", "stash_type"])?;
    if n.attrs.whole("stash_type", 1)? != 1 {
        return Err(n.not_supported("a stash_type other than float32"));
    }
    let x = n.tensor(0)?;
    let (axis, eps) = (n.axis(-1, x.rank())?, n.attrs.number("epsilon", 1e-5)?);
    let axes: Vec<usize> = (axis..x.rank()).collect();
    let y = x.layer_norm(axis, Some(n.tensor(1)?), n.maybe(2)?, eps);
    let mean = x.mean_keep(&axes);
    let deviation = ((x - &mean).square().mean_keep(&axes) + eps).sqrt();
    Ok(vec![y, mean, deviation.recip()])
}

//! ONNX's optimiser steps: Momentum and Adam.

use super::Operator;
use super::node::Node;
use crate::ops::adam::{AdamStep, adam_update};
use crate::optim::sgd::Sgd;
use crate::tensor::Tensor;
use crate::verify::run::Refusal;

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "Momentum" => momentum,
        "Adam" => adam,
        _ => return None,
    })
}

/// The learning rate, the number of steps before this one, and how many parameters there are with `states` tensors each
/// beside them.
fn head(n: &Node, states: usize) -> Result<(f64, i64, usize), Refusal> {
    let step = match n.wholes(1)?.1 {
        [step] => *step,
        _ => return Err(n.failed("T should be one number")),
    };
    let rest = n.inputs.len().saturating_sub(2);
    if rest == 0 || !rest.is_multiple_of(states + 1) {
        return Err(n.failed(format!("{rest} tensors are not {} for each parameter", states + 1)));
    }
    Ok((n.number(0)?, step, rest / (states + 1)))
}

/// V' = alpha·V + beta·(G + norm·X), with beta = 1 at the first step; X' = X − R·V', or with Nesterov X − R·(G + norm·X + alpha·V').
fn momentum(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.attrs.only(&["alpha", "beta", "mode", "norm_coefficient"])?;
    let (lr, step, count) = head(n, 2)?;
    let (alpha, beta) = (n.attrs.number("alpha", 0.0)?, n.attrs.number("beta", 1.0)?);
    let nesterov = match n.attrs.text("mode", "standard")? {
        "standard" => false,
        "nesterov" => true,
        other => return Err(n.not_supported(format!("mode = {other}"))),
    };
    if alpha == 0.0 {
        return Err(n.not_supported("a momentum of 0"));
    }
    let dampening = if step > 0 { 1.0 - beta } else { 0.0 };
    let sgd = Sgd { lr, momentum: alpha, dampening, nesterov, weight_decay: n.attrs.number("norm_coefficient", 0.0)? };
    let (mut parameters, mut velocities) = (Vec::new(), Vec::new());
    for i in 2..2 + count {
        let (p, g, v) = (n.tensor(i)?, n.tensor(i + count)?, n.tensor(i + 2 * count)?);
        let (p, v) = sgd.update(p, g, Some(v));
        parameters.push(p);
        velocities.extend(v);
    }
    parameters.extend(velocities);
    Ok(parameters)
}

/// The bias correction is in the step's size, as in Keras; at the first step (T = 0) there is none.
fn adam(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.attrs.only(&["alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"])?;
    let (lr, step, count) = head(n, 3)?;
    let (beta1, beta2) = (n.attrs.number("alpha", 0.9)?, n.attrs.number("beta", 0.999)?);
    let (norm, norm_post) = (n.attrs.number("norm_coefficient", 0.0)?, n.attrs.number("norm_coefficient_post", 0.0)?);
    let corrected = |t: f64| lr * (1.0 - beta2.powf(t)).sqrt() / (1.0 - beta1.powf(t));
    let step_size = if step > 0 { corrected(step as f64) } else { lr };
    let update = AdamStep { beta1, beta2, eps: n.attrs.number("epsilon", 1e-6)?, step_size, v_scale: 1.0 };
    let update = update.prepare(n.device)?;
    let mut groups: [Vec<Tensor>; 3] = Default::default();
    for i in 2..2 + count {
        let [p, g, m, v] = [n.tensor(i)?, n.tensor(i + count)?, n.tensor(i + 2 * count)?, n.tensor(i + 3 * count)?];
        let g = if norm == 0.0 { g.clone() } else { g + p * norm };
        let [p, m, v] = adam_update(&update, p.clone(), &g, m.clone(), v.clone())?;
        let p = if norm_post == 0.0 { p } else { p * (1.0 - norm_post) };
        groups.iter_mut().zip([p, m, v]).for_each(|(group, t)| group.push(t));
    }
    Ok(groups.concat())
}

//! Gradient penalties through a small critic: losses that hold a gradient themselves.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::ops::Conv2d;
use crate::tensor::Tensor;
use crate::train::loss;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "gradient_penalty" => gradient_penalty,
        "gradient_penalty_linear" => gradient_penalty_linear,
        "r1_penalty" => r1_penalty,
        "r1_plus_logistic" => r1_plus_logistic,
        _ => return None,
    })
}

const CRITIC: [&str; 4] = ["activation", "slope", "norm", "norm_eps"];

/// Convolution k4 s2 p1, activation, convolution k4 s2 p1, normalisation, activation, dense to one number.
fn critic(i: &Inputs, x: &Tensor) -> Result<Tensor, Refusal> {
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
    let (activation, slope) = (i.attrs.text("activation", "lrelu")?, i.attrs.number("slope", 0.2)?);
    let act = |x: &Tensor| {
        Ok(match activation {
            "lrelu" => x.leaky_relu(slope),
            "relu" => x.relu(),
            "tanh" => x.tanh(),
            "softplus" => x.softplus(),
            other => return Err(Refusal::NotSupported(format!("the activation {other}"))),
        })
    };
    let h = act(&x.conv2d(i.tensor("w1")?, conv).add_channel_bias(i.tensor("b1")?))?; // [N, 6, 4, 4]
    let h = h.conv2d(i.tensor("w2")?, conv).add_channel_bias(i.tensor("b2")?); // [N, 8, 2, 2]
    let eps = i.attrs.number("norm_eps", 1e-5)?;
    let h = match i.attrs.text("norm", "none")? {
        "none" => h,
        "instance" => h.instance_norm(i.maybe("g"), i.maybe("be"), eps),
        "layer" => h.layer_norm(1, None, None, eps).channel_affine(i.maybe("g"), i.maybe("be")),
        "batch" => h.batch_norm(i.maybe("g"), i.maybe("be"), eps).0,
        other => return Err(Refusal::NotSupported(format!("the norm {other}"))),
    };
    Ok(act(&h)?.flatten().linear(i.tensor("w3")?, Some(i.tensor("b3")?))) // [N, 1]
}

/// lam·mean (‖∂D/∂x̂‖ − target)² with ‖g‖ = √(Σg² + sqrt_eps).
fn gradient_penalty(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[&CRITIC[..], &["lam", "target", "sqrt_eps"]].concat())?;
    let x_hat = loss::between(i.tensor("real")?, i.tensor("fake")?, i.tensor("alpha")?);
    let d_hat = critic(i, &x_hat)?;
    let dx = loss::slope(&d_hat, &x_hat);
    let norms = loss::slope_norms(&dx, i.attrs.number("sqrt_eps", 0.0)?); // [N]
    let penalty = loss::gradient_penalty(&norms, i.attrs.number("lam", 10.0)?, i.attrs.number("target", 1.0)?);
    Ok(Outputs::one("d_hat", d_hat).and("grad_xhat", dx).and("norm", norms).and("loss", penalty))
}

/// The same for D(x) = w·x + b, where it is lam·(‖w‖ − 1)².
fn gradient_penalty_linear(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["lam"])?;
    let x_hat = loss::between(i.tensor("real")?, i.tensor("fake")?, i.tensor("alpha")?);
    let d_hat = x_hat.linear(i.tensor("w")?, i.maybe("b"));
    let norms = loss::slope_norms(&loss::slope(&d_hat, &x_hat), 0.0);
    Ok(Outputs::one("loss", loss::gradient_penalty(&norms, i.attrs.number("lam", 10.0)?, 1.0)))
}

/// gamma/2·mean ‖∂D/∂x‖² at real images, with D(x) and the gradient.
fn r1(i: &Inputs) -> Result<(Tensor, Tensor, Tensor), Refusal> {
    let real = i.tensor("real")?;
    let d = critic(i, real)?;
    let dx = loss::slope(&d, real);
    let penalty = loss::squared_slope_penalty(&dx, i.attrs.number("gamma", 10.0)?);
    Ok((d, dx, penalty))
}

fn r1_penalty(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[&CRITIC[..], &["gamma"]].concat())?;
    let (d, dx, loss) = r1(i)?;
    Ok(Outputs::one("d", d).and("grad_x", dx).and("loss", loss))
}

fn r1_plus_logistic(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[&CRITIC[..], &["gamma"]].concat())?;
    let (d, _, penalty) = r1(i)?;
    Ok(Outputs::one("loss", (-d).softplus().mean() + penalty))
}

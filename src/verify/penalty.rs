//! Gradient penalties through a small critic: losses that hold a gradient themselves.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::autograd::differentiable_grad;
use crate::ops::Conv2d;
use crate::tensor::Tensor;

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

/// alpha·real + (1 − alpha)·fake with one alpha a sample.
fn blend(i: &Inputs) -> Result<Tensor, Refusal> {
    let (real, fake, alpha) = (i.tensor("real")?, i.tensor("fake")?, i.tensor("alpha")?);
    let mut shape = vec![1; real.rank()];
    shape[0] = real.dim(0);
    let alpha = alpha.reshape(shape);
    Ok(real * &alpha + fake * alpha.affine(-1.0, 1.0))
}

/// Σ over all axes but the first.
fn by_sample(x: &Tensor) -> Tensor {
    x.sum_axes(&(1..x.rank()).collect::<Vec<_>>())
}

/// lam·mean (‖∂D/∂x̂‖ − target)² with ‖g‖ = √(Σg² + sqrt_eps) (Gulrajani et al. 2017, eq. 3).
fn gradient_penalty(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[&CRITIC[..], &["lam", "target", "sqrt_eps"]].concat())?;
    let (lam, target) = (i.attrs.number("lam", 10.0)?, i.attrs.number("target", 1.0)?);
    let x_hat = blend(i)?;
    let d_hat = critic(i, &x_hat)?;
    let [dx] = differentiable_grad(&d_hat.sum(), [&x_hat]);
    let norm = (by_sample(&dx.square()) + i.attrs.number("sqrt_eps", 0.0)?).sqrt(); // [N]
    let loss = (&norm - target).square().mean() * lam;
    Ok(Outputs::one("d_hat", d_hat).and("grad_xhat", dx).and("norm", norm).and("loss", loss))
}

/// The same for D(x) = w·x + b, where it is lam·(‖w‖ − 1)².
fn gradient_penalty_linear(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["lam"])?;
    let x_hat = blend(i)?;
    let d_hat = x_hat.linear(i.tensor("w")?, i.maybe("b"));
    let [dx] = differentiable_grad(&d_hat.sum(), [&x_hat]);
    let norm = by_sample(&dx.square()).sqrt();
    Ok(Outputs::one("loss", (norm - 1.0).square().mean() * i.attrs.number("lam", 10.0)?))
}

/// gamma/2·mean ‖∂D/∂x‖² at real images (Mescheder et al. 2018, eq. 9), with D(x) and the gradient.
fn r1(i: &Inputs) -> Result<(Tensor, Tensor, Tensor), Refusal> {
    let real = i.tensor("real")?;
    let d = critic(i, real)?;
    let [dx] = differentiable_grad(&d.sum(), [real]);
    let penalty = by_sample(&dx.square()).mean() * (i.attrs.number("gamma", 10.0)? / 2.0);
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

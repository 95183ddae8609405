//! Normalisation layers.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::nn::init::{Init, Initializer};
use crate::nn::{BatchNorm, Convention, Mode, Module};
use crate::ops::reduce_more::Variance;
use crate::tensor::{Tensor, no_grad};

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "batch_norm_train" => batch_norm_train,
        "batch_norm_eval" => batch_norm_eval,
        "batch_norm_running" => batch_norm_running,
        "instance_norm" => instance_norm,
        "layer_norm" => layer_norm,
        "group_norm" => group_norm,
        "adain" => adain,
        _ => return None,
    })
}

fn row(moments: &Tensor, i: usize) -> Tensor {
    moments.narrow(0, i, 1).reshape([moments.dim(1)])
}

fn batch_norm_train(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps"])?;
    // Running statistics may be there; training does not read them.
    let _ = (i.maybe("running_mean"), i.maybe("running_var"));
    let (y, moments) = i.tensor("x")?.batch_norm(i.maybe("gamma"), i.maybe("beta"), i.attrs.number("eps", 1e-5)?);
    Ok(Outputs::one("y", y).and("batch_mean", row(&moments, 0)).and("batch_var_biased", row(&moments, 1)))
}

fn batch_norm_eval(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps"])?;
    let (mean, var) = (i.tensor("running_mean")?, i.tensor("running_var")?);
    let eps = i.attrs.number("eps", 1e-5)?;
    Ok(Outputs::one("y", i.tensor("x")?.batch_norm_with(mean, var, i.maybe("gamma"), i.maybe("beta"), eps)))
}

/// x holds one training batch a step; both conventions say how the running statistics move (see the index).
fn batch_norm_running(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps", "momentum", "convention"])?;
    let (x, gamma, beta) = (i.tensor("x")?, i.maybe("gamma"), i.maybe("beta"));
    let (eps, momentum) = (i.attrs.number("eps", 1e-5)?, i.attrs.number("momentum", 0.1)?);
    let convention = match i.attrs.text("convention", "torch")? {
        "torch" => Convention::Torch,
        "keras" => Convention::Keras,
        other => return Err(Refusal::NotSupported(format!("the convention {other}"))),
    };
    // The engine's own layer, with the case's values put in.
    let channels = x.dim(2);
    let mut init = Initializer::new(i.device, Init::GlorotUniform, 0, 0);
    let layer = BatchNorm::new(&mut init, channels, momentum, eps, convention);
    let places = [layer.parameters(), layer.buffers()].concat();
    let place = |name: &str| &places.iter().find(|(n, _)| n == name).expect("a layer names its values").1;
    let given = [
        ("gamma", gamma),
        ("beta", beta),
        ("running_mean", Some(i.tensor("running_mean")?)),
        ("running_var", Some(i.tensor("running_var")?)),
    ];
    for (name, value) in given {
        let Some(value) = value else { continue };
        if value.shape()[..] != [channels] {
            return Err(Refusal::Failed(format!("{name} should be [{channels}], but is {}", value.shape())));
        }
        place(name).set(value.clone());
    }
    let batch = |step: usize| x.narrow(0, step, 1).reshape(&x.shape()[1..]);
    let (mut means, mut vars, mut ys) = (Vec::new(), Vec::new(), Vec::new());
    no_grad(|| {
        for step in 0..x.dim(0) {
            ys.push(layer.forward(&batch(step), Mode::Train));
            means.push(place("running_mean").get());
            vars.push(place("running_var").get());
        }
        let stacked = |rows: &[Tensor]| Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0);
        let after = layer.forward(&batch(0), Mode::Inference);
        let outputs = Outputs::one("y", stacked(&ys)).and("y_eval_after", after);
        Ok(outputs.and("running_mean", stacked(&means)).and("running_var", stacked(&vars)))
    })
}

fn instance_norm(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps"])?;
    let y = i.tensor("x")?.instance_norm(i.maybe("gamma"), i.maybe("beta"), i.attrs.number("eps", 1e-5)?);
    Ok(Outputs::one("y", y))
}

fn layer_norm(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps", "normalized_shape"])?;
    let x = i.tensor("x")?;
    let shape = i.attrs.list("normalized_shape")?;
    let Some(axis) = x.rank().checked_sub(shape.len()).filter(|&axis| !shape.is_empty() && x.shape()[axis..] == shape)
    else {
        return Err(Refusal::Failed(format!("a normalized_shape of {shape:?}")));
    };
    let y = x.layer_norm(axis, i.maybe("gamma"), i.maybe("beta"), i.attrs.number("eps", 1e-5)?);
    Ok(Outputs::one("y", y))
}

fn group_norm(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps", "groups"])?;
    let (groups, eps) = (i.attrs.size("groups", 1)?, i.attrs.number("eps", 1e-5)?);
    Ok(Outputs::one("y", i.tensor("x")?.group_norm(groups, i.maybe("gamma"), i.maybe("beta"), eps)))
}

fn adain(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["eps", "unbiased"])?;
    let kind = if i.attrs.flag("unbiased", false)? { Variance::Sample } else { Variance::Population };
    let y = i.tensor("content")?.adain(i.tensor("style")?, i.attrs.number("eps", 1e-5)?, kind);
    Ok(Outputs::one("y", y))
}

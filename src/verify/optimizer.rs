//! Optimiser trajectories.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::autograd::grad_all;
use crate::nn::Parameter;
use crate::optim::rmsprop::{Convention, RmsProp, RmsPropState};
use crate::optim::sgd::Sgd;
use crate::optim::{Adam, AdamConfig, AdamConvention, adamw};
use crate::tensor::{Tensor, no_grad};

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "optimizer" => given_gradients,
        "optimizer_on_quadratic" => quadratic,
        _ => return None,
    })
}

/// An optimiser of one parameter and its state.
enum Optimizer {
    Sgd(Sgd, Option<Tensor>),
    RmsProp(RmsProp, RmsPropState, f64),
    Adam { adam: Adam, p: Parameter, config: AdamConfig, decay: f64, decoupled: bool },
}

impl Optimizer {
    fn new(i: &Inputs, p: &Tensor) -> Result<Optimizer, Refusal> {
        let a = i.attrs;
        let kind = a.text("kind", "")?;
        let lr = a.number("lr", 1e-3)?;
        let weight_decay = a.number("weight_decay", 0.0)?;
        Ok(match kind {
            "sgd" => {
                a.only(&["kind", "lr", "momentum", "dampening", "nesterov", "weight_decay"])?;
                let (momentum, dampening) = (a.number("momentum", 0.0)?, a.number("dampening", 0.0)?);
                Optimizer::Sgd(
                    Sgd { lr, momentum, dampening, nesterov: a.flag("nesterov", false)?, weight_decay },
                    None,
                )
            }
            "rmsprop" | "rmsprop_keras" => {
                a.only(&["kind", "lr", "alpha", "rho", "eps", "momentum", "centered", "weight_decay"])?;
                if a.has("alpha") && a.has("rho") {
                    return Err(Refusal::NotSupported(format!("{kind} with both alpha and rho: they are one setting")));
                }
                let convention = if kind == "rmsprop" { Convention::Torch } else { Convention::Keras };
                let mut r = RmsProp::new(lr, convention);
                r.rho = a.number("alpha", a.number("rho", r.rho)?)?;
                r.eps = a.number("eps", r.eps)?;
                r.momentum = a.number("momentum", 0.0)?;
                r.centered = a.flag("centered", false)?;
                // Keras takes the decay off the parameter, PyTorch adds it to the gradient.
                r.weight_decay = if kind == "rmsprop" { weight_decay } else { 0.0 };
                let decay = if kind == "rmsprop" { 0.0 } else { weight_decay };
                Optimizer::RmsProp(r, r.start(p), decay)
            }
            "adam" | "adamw" | "adam_keras" => {
                a.only(&["kind", "lr", "betas", "eps", "weight_decay"])?;
                let keras = kind == "adam_keras";
                let config = AdamConfig {
                    lr,
                    betas: if a.has("betas") { a.two_numbers("betas")? } else { [0.9, 0.999] },
                    eps: a.number("eps", if keras { 1e-7 } else { 1e-8 })?,
                    convention: if keras { AdamConvention::KerasExact } else { AdamConvention::Torch },
                };
                // PyTorch's default for this kind.
                let decay = a.number("weight_decay", if kind == "adamw" { 0.01 } else { 0.0 })?;
                // A copy: the optimiser updates in place.
                let p = Parameter::new(no_grad(|| p + 0.0));
                let adam = Adam::new(config, vec![("p".into(), p.clone())]);
                Optimizer::Adam { adam, p, config, decay, decoupled: kind != "adam" }
            }
            other => return Err(Refusal::NotSupported(format!("the optimizer {other}"))),
        })
    }

    fn step(&mut self, p: Tensor, g: &Tensor) -> Result<Tensor, Refusal> {
        Ok(match self {
            Optimizer::Sgd(sgd, velocity) => {
                let (p, new) = sgd.update(&p, g, velocity.as_ref());
                *velocity = new;
                p
            }
            Optimizer::RmsProp(rmsprop, state, decay) => {
                let p = if *decay == 0.0 { p } else { adamw::decay(&p, rmsprop.lr, *decay) };
                let (p, new) = rmsprop.update(&p, g, state);
                *state = new;
                p
            }
            Optimizer::Adam { adam, p: place, config, decay, decoupled } => {
                let g = match (*decay, *decoupled) {
                    (0.0, _) => g.clone(),
                    (decay, false) => no_grad(|| g + &p * decay),
                    (decay, true) => {
                        place.set(adamw::decay(&p, config.lr, decay));
                        g.clone()
                    }
                };
                adam.step(&[g])?;
                place.get()
            }
        })
    }

    /// The outputs after the last step: all parameters, the state, and Adam's tolerance.
    fn outputs(self, parameters: &[Tensor]) -> Outputs {
        let outputs = Outputs::one("p", Tensor::stack(&parameters.iter().collect::<Vec<_>>(), 0));
        match self {
            Optimizer::Sgd(_, None) => outputs,
            Optimizer::Sgd(_, Some(velocity)) => outputs.and("state.buf", velocity),
            Optimizer::RmsProp(_, state, _) => outputs.and("state.v", state.v),
            Optimizer::Adam { adam, config, .. } => {
                let state = adam.state();
                let [(_, m), (_, v)] = &state[..] else { unreachable!("two moments of one parameter") };
                outputs.and("state.m", m.get()).and("state.v", v.get()).within("p", 0.05 * config.lr)
            }
        }
    }
}

/// g [steps, …]: the gradient of each step.
fn given_gradients(i: &Inputs) -> Result<Outputs, Refusal> {
    let (mut p, g) = (i.tensor("p")?.clone(), i.tensor("g")?);
    if g.rank() != p.rank() + 1 || g.shape()[1..] != p.shape()[..] {
        let why = format!("expects a gradient of p's shape for each step (p {}, g {})", p.shape(), g.shape());
        return Err(Refusal::Failed(why));
    }
    let mut optimizer = Optimizer::new(i, &p)?;
    let mut parameters = Vec::new();
    for step in 0..g.dim(0) {
        let g = no_grad(|| g.narrow(0, step, 1).reshape(p.shape()));
        p = optimizer.step(p, &g)?;
        parameters.push(p.clone());
    }
    Ok(optimizer.outputs(&parameters))
}

/// Ten steps on ½·mean (A·p − y)².
fn quadratic(i: &Inputs) -> Result<Outputs, Refusal> {
    let (a, y, mut p) = (i.tensor("A")?, i.tensor("y")?, i.tensor("p")?.clone());
    let mut optimizer = Optimizer::new(i, &p)?;
    let (mut parameters, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let product = a.matmul(&p.reshape([p.len(), 1])).reshape(y.shape());
        let loss = (product - y).square().mean() * 0.5;
        let g = grad_all(&loss, &[&p]).remove(0);
        losses.push(loss.detach());
        p = optimizer.step(p, &g)?;
        parameters.push(p.clone());
    }
    let losses = Tensor::stack(&losses.iter().collect::<Vec<_>>(), 0);
    Ok(optimizer.outputs(&parameters).and("loss", losses))
}

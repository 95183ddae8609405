//! Activations.

use super::run::{Function, Inputs, Outputs, Refusal};

pub fn function(op: &str) -> Option<Function> {
    let known = [
        "leaky_relu",
        "elu",
        "relu",
        "tanh",
        "sigmoid",
        "softplus",
        "log_sigmoid",
        "softmax",
        "log_softmax",
        "silu",
        "gelu",
    ];
    known.contains(&op).then_some(run as Function)
}

fn run(i: &Inputs) -> Result<Outputs, Refusal> {
    let x = i.tensor("x")?;
    let attrs = i.attrs;
    let plain = || attrs.only(&[]);
    let axis = || {
        attrs.only(&["axis"])?;
        attrs.axis("axis", -1, x.rank())
    };
    let y = match i.op {
        "leaky_relu" => {
            attrs.only(&["slope"])?;
            x.leaky_relu(attrs.number("slope", 0.01)?)
        }
        "elu" => {
            attrs.only(&["alpha"])?;
            x.elu(attrs.number("alpha", 1.0)?)
        }
        "softmax" => x.softmax(axis()?),
        "log_softmax" => x.log_softmax(axis()?),
        "gelu" => {
            attrs.only(&["approximate"])?;
            match attrs.text("approximate", "none")? {
                "none" => x.gelu(),
                "tanh" => x.gelu_tanh(),
                other => return Err(Refusal::NotSupported(format!("gelu approximated by {other}"))),
            }
        }
        "relu" => plain().map(|()| x.relu())?,
        "tanh" => plain().map(|()| x.tanh())?,
        "sigmoid" => plain().map(|()| x.sigmoid())?,
        "softplus" => plain().map(|()| x.softplus())?,
        "silu" => plain().map(|()| x.silu())?,
        _ => plain().map(|()| x.log_sigmoid())?,
    };
    Ok(Outputs::one("y", y))
}

//! What training does beside the optimisers, under the engine's names: clipping, averages of weights, random numbers.

use super::run::{Function, Inputs, Outputs, Refusal, within_memory};
use crate::optim::{clip, ema};
use crate::rng::{Domain, Stream};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "clip_norm" => clip_norm,
        "clip_value" | "clip_weights" => clip_each,
        "ema" => average,
        "uniform" | "normal" => random,
        _ => return None,
    })
}

fn most(i: &Inputs) -> Result<f64, Refusal> {
    i.attrs.only(&["most"])?;
    let most = i.attrs.needed_number("most")?;
    if most >= 0.0 { Ok(most) } else { Err(Refusal::NotSupported(format!("most = {most}: expected a number from 0"))) }
}

/// Gradients a, b, c, …, as many as there are, together; outputs of the same names, and the norm before clipping.
fn clip_norm(i: &Inputs) -> Result<Outputs, Refusal> {
    let most = most(i)?;
    i.tensor("a")?;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let gradients: Vec<&Tensor> = names.into_iter().map_while(|name| i.maybe(name)).collect();
    let (clipped, norm) = clip::clip_norm(&gradients, most);
    Ok(names.into_iter().zip(clipped).fold(Outputs::one("norm", norm), |all, (name, g)| all.and(name, g)))
}

fn clip_each(i: &Inputs) -> Result<Outputs, Refusal> {
    let (most, x) = (most(i)?, i.tensor("x")?);
    Ok(Outputs::one("y", if i.op == "clip_value" { clip::clip_value(x, most) } else { clip::clip_weights(x, most) }))
}

fn average(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["share"])?;
    let share = i.attrs.needed_number("share")?;
    Ok(Outputs::one("y", ema::update(i.tensor("average")?, i.tensor("p")?, share)))
}

/// The engine's own streams: Philox4x32-10 with key `seed` and counter (block, 6, `index`), 6 being the domain of tests.
/// Uniform numbers are the same bits everywhere, normal ones those of the host within 2e-6.
fn random(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["shape", "seed", "index"])?;
    let shape = i.attrs.list("shape")?;
    within_memory(shape.iter().copied())?;
    let (seed, index) = (i.attrs.size("seed", 0)?, i.attrs.size("index", 0)?);
    let stream = Stream::new(seed as u64, Domain::Test, index as u64);
    Ok(match i.op {
        "uniform" => Outputs::one("y", Tensor::uniform(i.device, shape, &stream)).within("y", 0.0),
        _ => Outputs::one("y", Tensor::normal(i.device, shape, &stream)).within("y", 2e-6),
    })
}

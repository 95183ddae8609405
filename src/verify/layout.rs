//! Moving elements, gathering and scattering, under the engine's names.

use super::run::{Function, Inputs, Outputs, Refusal, within_memory};
use crate::ops::PadMode;
use crate::shape::Shape;
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "reshape" | "permute" | "expand" | "slice" | "flip" | "pad" | "tile" | "repeat_each" => of_one,
        "concat" | "stack" => together,
        "index_select" | "gather" | "scatter_add" | "embedding" => indexed,
        "pixel_shuffle" | "pixel_unshuffle" => pixels,
        "split" => split,
        _ => return None,
    })
}

fn of_one(i: &Inputs) -> Result<Outputs, Refusal> {
    let (x, attrs) = (i.tensor("x")?, i.attrs);
    attrs.only(match i.op {
        "reshape" | "expand" => &["shape"],
        "permute" | "flip" => &["axes"],
        "slice" => &["start", "step", "len"],
        "pad" => &["before", "after", "mode", "value"],
        "tile" => &["times"],
        _ => &["axis", "times"],
    })?;
    Ok(Outputs::one(
        "y",
        match i.op {
            "reshape" => {
                let shape = attrs.list("shape")?;
                within_memory(shape.iter().copied())?;
                x.reshape(shape)
            }
            "expand" => {
                let shape = Shape::from(attrs.list("shape")?);
                within_memory(shape.iter().copied())?;
                x.expand(shape)
            }
            "permute" => x.permute(&attrs.list("axes")?),
            "flip" => x.flip(&attrs.list("axes")?),
            "slice" => x.slice(&attrs.list("start")?, &attrs.list("step")?, &attrs.list("len")?),
            "pad" => pad(i, x)?,
            "tile" => {
                let times = attrs.list("times")?;
                within_memory(x.shape().iter().zip(&times).map(|(size, times)| size * times))?;
                x.tile(&times)
            }
            _ => {
                let times = attrs.size("times", 1)?;
                within_memory(x.shape().iter().copied().chain([times]))?;
                x.repeat_each(attrs.axis("axis", 0, x.rank())?, times)
            }
        },
    ))
}

fn pad(i: &Inputs, x: &Tensor) -> Result<Tensor, Refusal> {
    let (before, after) = (i.attrs.list("before")?, i.attrs.list("after")?);
    within_memory(x.shape().iter().zip(before.iter().zip(&after)).map(|(size, (b, a))| size + b + a))?;
    let mode = match i.attrs.text("mode", "constant")? {
        "constant" => return Ok(x.pad_value(&before, &after, i.attrs.number("value", 0.0)?)),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "circular" => PadMode::Circular,
        other => return Err(Refusal::NotSupported(format!("mode = {other}"))),
    };
    if i.attrs.has("value") {
        return Err(Refusal::NotSupported("a value for another mode than constant".into()));
    }
    Ok(x.pad_mode(&before, &after, mode))
}

/// Inputs a, b, c, …, as many as there are.
fn together(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["axis"])?;
    let parts: Vec<&Tensor> = ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().map_while(|n| i.maybe(n)).collect();
    let rank = i.tensor("a")?.rank();
    Ok(Outputs::one(
        "y",
        match i.op {
            "concat" => Tensor::concat(&parts, i.attrs.axis("axis", 0, rank)?),
            _ => Tensor::stack(&parts, i.attrs.axis("axis", 0, rank + 1)?),
        },
    ))
}

fn indexed(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(if i.op == "embedding" { &[] } else { &["axis"] })?;
    let (x, index) = (i.tensor(if i.op == "embedding" { "w" } else { "x" })?, i.indices("index")?);
    let axis = || i.attrs.axis("axis", 0, x.rank());
    Ok(Outputs::one(
        "y",
        match i.op {
            "index_select" => x.index_select(axis()?, &index)?,
            "gather" => x.gather(axis()?, &index)?,
            "scatter_add" => x.scatter_add(axis()?, &index, i.tensor("src")?)?,
            _ => x.embedding(&index)?,
        },
    ))
}

fn pixels(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["r"])?;
    let (x, r) = (i.tensor("x")?, i.attrs.size("r", 0)?);
    if x.rank() != 4 || r == 0 || r > 1 << 12 {
        return Err(Refusal::Failed(format!("expects images and r (r = {r})")));
    }
    Ok(Outputs::one("y", if i.op == "pixel_shuffle" { x.pixel_shuffle(r) } else { x.pixel_unshuffle(r) }))
}

/// Outputs y0, y1, …, one a size.
fn split(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["axis", "sizes"])?;
    let (x, sizes) = (i.tensor("x")?, i.attrs.list("sizes")?);
    let parts = x.split(i.attrs.axis("axis", 0, x.rank())?, &sizes);
    Ok(parts.into_iter().enumerate().fold(Outputs::default(), |all, (at, part)| all.and(&format!("y{at}"), part)))
}

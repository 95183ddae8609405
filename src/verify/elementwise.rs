//! Functions of single elements that the case format's first table has no name for: they have the engine's.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "exp" | "log" | "log1p" | "expm1" | "sqrt" | "rsqrt" | "recip" | "square" | "abs" | "sign" | "sin" | "cos"
        | "normal_cdf" | "affine" | "clamp" | "pow" => unary,
        "add" | "sub" | "mul" | "div" | "max" | "min" | "gt" | "equal" | "power" | "lerp" => binary,
        "select" => select,
        _ => return None,
    })
}

fn unary(i: &Inputs) -> Result<Outputs, Refusal> {
    let (x, attrs) = (i.tensor("x")?, i.attrs);
    attrs.only(match i.op {
        "affine" => &["scale", "shift"],
        "clamp" => &["low", "high"],
        "pow" => &["exponent"],
        _ => &[],
    })?;
    Ok(Outputs::one(
        "y",
        match i.op {
            "exp" => x.exp(),
            "log" => x.log(),
            "log1p" => x.log1p(),
            "expm1" => x.expm1(),
            "sqrt" => x.sqrt(),
            "rsqrt" => x.rsqrt(),
            "recip" => x.recip(),
            "square" => x.square(),
            "abs" => x.abs(),
            "sign" => x.sign(),
            "sin" => x.sin(),
            "cos" => x.cos(),
            "normal_cdf" => x.normal_cdf(),
            "affine" => x.affine(attrs.number("scale", 1.0)?, attrs.number("shift", 0.0)?),
            "clamp" => x.clamp(attrs.needed_number("low")?, attrs.needed_number("high")?),
            _ => x.pow(attrs.needed_number("exponent")?),
        },
    ))
}

/// a and b broadcast, as NumPy's.
fn binary(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[])?;
    let (a, b) = (i.tensor("a")?, i.tensor("b")?);
    Ok(Outputs::one(
        "y",
        match i.op {
            "add" => a + b,
            "sub" => a - b,
            "mul" => a * b,
            "div" => a / b,
            "max" => a.maximum(b),
            "min" => a.minimum(b),
            "gt" => a.gt(b),
            "equal" => a.equal(b),
            "power" => a.power(b),
            _ => a.lerp(b, i.tensor("t")?),
        },
    ))
}

/// a where the mask (numbers, whole numbers or truth values) is not 0, else b; the three broadcast.
fn select(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[])?;
    let mask = match i.maybe("mask") {
        Some(mask) => mask.clone(),
        None => {
            let mask = i.indices("mask")?;
            let values: Vec<f64> = mask.to_vec()?.into_iter().map(f64::from).collect();
            Tensor::from_f64(i.device, mask.shape(), &values)
        }
    };
    Ok(Outputs::one("y", mask.select(i.tensor("a")?, i.tensor("b")?)))
}

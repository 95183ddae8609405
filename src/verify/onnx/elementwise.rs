//! ONNX operators that work element by element.

use super::Operator;
use super::node::Node;
use crate::tensor::Tensor;
use crate::verify::run::Refusal;

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "Abs" | "Cos" | "Exp" | "Identity" | "Log" | "Neg" | "Reciprocal" | "Relu" | "Sigmoid" | "Sign" | "Sin"
        | "Softplus" | "Sqrt" | "Tanh" | "Elu" | "LeakyRelu" | "Gelu" | "HardSigmoid" | "HardSwish" | "Selu"
        | "Celu" | "Softsign" | "Mish" | "ThresholdedRelu" => unary,
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" => {
            binary
        }
        "Max" | "Min" | "Sum" | "Mean" => variadic,
        "Clip" => clip,
        "PRelu" => prelu,
        "Dropout" => dropout,
        "Where" => choose,
        _ => return None,
    })
}

/// Selu's alpha and gamma.
const SELU: [f64; 2] = [1.673_263_192_176_818_8, 1.050_701_022_148_132_3];

fn unary(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    n.attrs.only(match n.op {
        "Elu" | "LeakyRelu" | "Celu" | "ThresholdedRelu" => &["alpha"],
        "HardSigmoid" => &["alpha", "beta"],
        "Selu" => &["alpha", "gamma"],
        "Gelu" => &["approximate"],
        _ => &[],
    })?;
    let x = n.tensor(0)?;
    Ok(vec![match n.op {
        "Abs" => x.abs(),
        "Cos" => x.cos(),
        "Exp" => x.exp(),
        "Identity" => x.clone(),
        "Log" => x.log(),
        "Neg" => -x,
        "Reciprocal" => x.recip(),
        "Relu" => x.relu(),
        "Sigmoid" => x.sigmoid(),
        "Sign" => x.sign(),
        "Sin" => x.sin(),
        "Softplus" => x.softplus(),
        "Sqrt" => x.sqrt(),
        "Tanh" => x.tanh(),
        "Elu" => x.elu(n.attrs.number("alpha", 1.0)?),
        "LeakyRelu" => x.leaky_relu(n.attrs.number("alpha", 0.01)?),
        "HardSigmoid" => x.affine(n.attrs.number("alpha", 0.2)?, n.attrs.number("beta", 0.5)?).clamp(0.0, 1.0),
        "HardSwish" => x * x.affine(1.0 / 6.0, 0.5).clamp(0.0, 1.0),
        "Selu" => {
            let (alpha, gamma) = (n.attrs.number("alpha", SELU[0])?, n.attrs.number("gamma", SELU[1])?);
            x.elu(alpha) * gamma
        }
        "Celu" => {
            let alpha = n.attrs.number("alpha", 1.0)?;
            (x * (1.0 / alpha)).elu(1.0) * alpha
        }
        "Softsign" => x / (x.abs() + 1.0),
        "Mish" => x * x.softplus().tanh(),
        "ThresholdedRelu" => {
            let [alpha, zero] = [n.attrs.number("alpha", 1.0)?, 0.0].map(|v| Tensor::scalar(n.device, v));
            x.gt(&alpha).select(x, &zero)
        }
        _ => match n.attrs.text("approximate", "none")? {
            "none" => x.gelu(),
            "tanh" => x.gelu_tanh(),
            other => return Err(n.not_supported(format!("approximate = {other}"))),
        },
    }])
}

fn binary(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    // Before version 7, shapes were equal unless `broadcast` was 1, and `axis` said where b's shape begins in a's.
    n.attrs.only(if n.opset < 7 { &["broadcast", "axis"] } else { &[] })?;
    if n.attrs.whole("broadcast", 0)? != 0 && n.attrs.whole("axis", -1)? != -1 {
        return Err(n.not_supported("broadcasting along an axis, as before operator set 7"));
    }
    // Pow's exponent may be of another type than its base.
    let (a, b) = (n.tensor(0)?, if n.op == "Pow" { n.numbers(1)? } else { n.tensor(1)?.clone() });
    Ok(vec![match n.op {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        // 1 where it is true, 0 elsewhere.
        "Greater" => a.gt(&b),
        "Less" => b.gt(a),
        "Equal" => a.equal(&b),
        "GreaterOrEqual" => a.gt(&b) + a.equal(&b),
        "LessOrEqual" => b.gt(a) + a.equal(&b),
        _ => a.power(&b),
    }])
}

fn variadic(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.attrs.only(&[])?;
    let inputs = n.tensors()?;
    let (first, rest) = inputs.split_first().ok_or_else(|| n.failed("no input"))?;
    let y = rest.iter().fold((*first).clone(), |y, x| match n.op {
        "Max" => y.maximum(x),
        "Min" => y.minimum(x),
        _ => y + *x,
    });
    Ok(vec![if n.op == "Mean" { y * (1.0 / inputs.len() as f64) } else { y }])
}

fn clip(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    let x = n.tensor(0)?;
    let (low, high) = if n.opset < 11 {
        n.inputs_to(1)?;
        n.attrs.only(&["min", "max"])?;
        let bound = |key: &str| Ok::<_, Refusal>(n.attrs.maybe_number(key)?.map(|v| Tensor::scalar(n.device, v)));
        (bound("min")?, bound("max")?)
    } else {
        n.inputs_to(3)?;
        n.attrs.only(&[])?;
        (n.maybe(1)?.cloned(), n.maybe(2)?.cloned())
    };
    if let Some(bound) = [&low, &high].into_iter().flatten().find(|bound| bound.len() != 1) {
        return Err(n.failed(format!("a bound of shape {} is no single number", bound.shape())));
    }
    Ok(vec![match (low, high) {
        (None, None) => x.clone(),
        (Some(low), None) => x.maximum(&low.reshape([])),
        (None, Some(high)) => x.minimum(&high.reshape([])),
        (Some(low), Some(high)) => {
            let [low, high] = [low.item()?, high.item()?];
            // Where the bounds have changed places, every element is the upper one.
            if low <= high { x.clamp(low, high) } else { Tensor::full(n.device, x.shape(), high) }
        }
    }])
}

fn choose(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(&[])?;
    // Truth values of the file, or the 1 and 0 of a comparison before it.
    Ok(vec![n.numbers(0)?.select(n.tensor(1)?, n.tensor(2)?)])
}

/// x, or slope·x where it is below 0; the slope broadcasts to x's shape.
fn prelu(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    n.attrs.only(&[])?;
    let (x, slope) = (n.tensor(0)?, n.tensor(1)?);
    let zero = Tensor::scalar(n.device, 0.0);
    Ok(vec![zero.gt(x).select(&(x * slope), x)])
}

/// Inference: the values as they are, and a mask of ones. What training draws, each implementation has its own of.
fn dropout(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 12 { 1 } else { 3 })?;
    n.attrs.only(match n.opset {
        ..7 => &["ratio", "is_test"],
        7..12 => &["ratio"],
        _ => &["seed"],
    })?;
    let train = match n.opset {
        ..7 => !n.attrs.flag_number("is_test", false)?,
        7..12 => false,
        _ => n.maybe_wholes(2)?.is_some_and(|(_, train)| train.iter().any(|&flag| flag != 0)),
    };
    if train {
        return Err(n.not_supported("training, whose random numbers the specification leaves open"));
    }
    let x = n.tensor(0)?;
    Ok(vec![x.clone(), Tensor::full(n.device, x.shape(), 1.0)])
}

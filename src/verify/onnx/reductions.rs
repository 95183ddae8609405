//! ONNX reductions, softmax and its kin.

use super::Operator;
use super::node::Node;
use crate::tensor::Tensor;
use crate::verify::run::Refusal;

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
        | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => reduce,
        "ArgMax" | "ArgMin" => place,
        "Softmax" | "LogSoftmax" => softmax,
        _ => return None,
    })
}

fn reduce(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    // Since when the axes are an input, not an attribute.
    let since = if n.op == "ReduceSum" { 13 } else { 18 };
    n.inputs_to(if n.opset < since { 1 } else { 2 })?;
    n.attrs.only(if n.opset < since { &["axes", "keepdims"] } else { &["keepdims", "noop_with_empty_axes"] })?;
    let x = n.tensor(0)?;
    let listed = n.list(1, "axes", since)?.unwrap_or_default();
    if listed.is_empty() && n.attrs.flag_number("noop_with_empty_axes", false)? {
        // Whether squares and absolute values are still taken, implementations disagree about.
        return match n.op {
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" => Ok(vec![x.clone()]),
            _ => Err(n.not_supported("noop_with_empty_axes")),
        };
    }
    let axes: Vec<usize> = if listed.is_empty() { (0..x.rank()).collect() } else { n.places(&listed, x.rank())? };
    let nothing = axes.iter().any(|&axis| x.dim(axis) == 0);
    let y = match n.op {
        "ReduceSum" => x.sum_axes(&axes),
        "ReduceMean" => x.mean_axes(&axes),
        "ReduceMax" | "ReduceMin" if nothing => {
            let kept: Vec<usize> = (0..x.rank()).filter(|d| !axes.contains(d)).map(|d| x.dim(d)).collect();
            let sign = if n.op == "ReduceMax" { -1.0 } else { 1.0 };
            Tensor::full(n.device, kept, sign * f64::INFINITY)
        }
        "ReduceMax" => x.max_axes(&axes),
        "ReduceMin" => x.min_axes(&axes),
        "ReduceProd" => x.prod_axes(&axes),
        "ReduceL1" => x.norm1_axes(&axes),
        "ReduceL2" => x.norm_axes(&axes),
        "ReduceLogSum" => x.sum_axes(&axes).log(),
        "ReduceSumSquare" => x.square().sum_axes(&axes),
        _ if nothing => return Err(n.not_supported("the logarithm of a sum of nothing")),
        _ => x.logsumexp(&axes),
    };
    Ok(vec![if n.attrs.flag_number("keepdims", true)? { y.insert_axes(&axes) } else { y }])
}

/// The place of the largest or smallest element along an axis: the first of equal ones, or the last.
fn place(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    n.attrs.only(if n.opset < 12 { &["axis", "keepdims"] } else { &["axis", "keepdims", "select_last_index"] })?;
    let x = n.tensor(0)?;
    let axis = n.axis(0, x.rank())?;
    // The last of them is the first from behind.
    let last = n.attrs.flag_number("select_last_index", false)?;
    let x = if last { x.flip(&[axis]) } else { x.clone() };
    let places = if n.op == "ArgMax" { x.argmax(axis)? } else { x.argmin(axis)? };
    let from_start = |place: u32| if last { x.dim(axis) as f64 - 1.0 - place as f64 } else { place as f64 };
    let values: Vec<f64> = places.to_vec()?.into_iter().map(from_start).collect();
    let y = Tensor::from_f64(n.device, places.shape(), &values);
    Ok(vec![if n.attrs.flag_number("keepdims", true)? { y.insert_axis(axis) } else { y }])
}

fn softmax(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    n.attrs.only(&["axis"])?;
    let x = n.tensor(0)?;
    let along = |x: &Tensor, axis| if n.op == "Softmax" { x.softmax(axis) } else { x.log_softmax(axis) };
    if n.opset >= 13 {
        return Ok(vec![along(x, n.axis(-1, x.rank())?)]);
    }
    // Before version 13 all axes from `axis` on are one.
    let axis = n.axis(1, x.rank())?;
    let (rows, len) = (x.shape()[..axis].iter().product::<usize>(), x.shape()[axis..].iter().product::<usize>());
    Ok(vec![along(&x.reshape([rows, len]), 1).reshape(x.shape())])
}

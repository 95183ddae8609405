//! ONNX's cross-entropy, of scores and of logarithms of probabilities.

use super::Operator;
use super::node::Node;
use crate::ops::Indices;
use crate::tensor::Tensor;
use crate::verify::run::Refusal;

pub fn operator(op: &str) -> Option<Operator> {
    ["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"].contains(&op).then_some(cross_entropy as Operator)
}

/// Logits (NegativeLogLikelihoodLoss: their log softmax) [N, C, d…] and labels [N, d…]: −w[label]·ln softmax at the label, 0 where the label is `ignore_index`; the mean is
/// over the weights that took part.
fn cross_entropy(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(&["ignore_index", "reduction"])?;
    let (x, (shape, labels)) = (n.tensor(0)?, n.wholes(1)?);
    if x.rank() < 2 || x.dim(0) != shape[0] || x.shape()[2..] != shape[1..] {
        return Err(n.failed(format!("expects [N, C, …] and labels [N, …] (scores {}, labels {shape:?})", x.shape())));
    }
    let classes = x.dim(1);
    let ignored = n.attrs.maybe_whole("ignore_index")?;
    let label = |&label: &i64| match label {
        _ if Some(label) == ignored => Ok(0),
        0.. if (label as usize) < classes => Ok(label as u32),
        _ => Err(n.failed(format!("label {label} of {classes} classes"))),
    };
    let places = Indices::new(n.device, [labels.len()], labels.iter().map(label).collect::<Result<_, _>>()?);
    let counts: Vec<f64> = labels.iter().map(|&label| if Some(label) == ignored { 0.0 } else { 1.0 }).collect();
    let mut weights = Tensor::from_f64(n.device, [labels.len()], &counts);
    if let Some(given) = n.maybe(2)? {
        if given.shape()[..] != [classes] {
            return Err(n.failed(format!("expects a weight for each of {classes} classes (weights {})", given.shape())));
        }
        weights = weights * given.index_select(0, &places)?;
    }
    let log_prob = if n.op == "NegativeLogLikelihoodLoss" { x.clone() } else { x.log_softmax(1) };
    // [N, C, d…] -> [N·d…, C]
    let order: Vec<usize> = [0].into_iter().chain(2..x.rank()).chain([1]).collect();
    let rows = log_prob.permute(&order).reshape([labels.len(), classes]);
    let picked = rows.gather(1, &places.reshape([labels.len(), 1]))?.reshape([labels.len()]);
    let losses = -(picked * &weights);
    let loss = match n.attrs.text("reduction", "mean")? {
        "none" => losses.reshape(shape),
        "sum" => losses.sum(),
        "mean" => losses.sum() / weights.sum(),
        other => return Err(n.not_supported(format!("reduction = {other}"))),
    };
    Ok(vec![loss, log_prob])
}

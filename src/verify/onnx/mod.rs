//! Cases from ONNX's own operator tests: reads them, runs their graphs on engine tensors, compares.
//!
//! A case lists nodes (operator, inputs, outputs, attributes as in the ONNX specification), which run in order. One file
//! here a family of operators.

mod conv;
mod elementwise;
mod layout;
mod loss;
mod node;
mod norm;
mod optimizer;
mod products;
mod reductions;
mod resize;

use super::case::Attrs;
use super::compare::{Outcome, worst_element};
use super::run::{Refusal, Values, guarded, with_shapes};
use super::tensors::{Array, Arrays, Declared};
use crate::tensor::{Device, Tensor, no_grad};
use node::{Node, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Computes an operator's outputs, as many as it has.
type Operator = fn(&Node) -> Result<Vec<Tensor>, Refusal>;

/// One case.
#[derive(Clone, Debug)]
pub struct OnnxCase {
    /// Its name, also that of its tensors.
    pub name: String,
    /// The operator that it is about.
    pub op: String,
    /// Where it was taken from.
    pub suite: String,
    /// The file of its tensors.
    pub file: String,
    opset: u64,
    steps: Vec<Step>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// What the index says of each tensor.
    pub(super) declared: BTreeMap<String, Declared>,
}

/// One node.
#[derive(Clone, Debug)]
struct Step {
    op: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attrs: Attrs,
}

fn texts(list: Option<&Json>, what: &str) -> Result<Vec<String>, String> {
    let texts =
        list.and_then(Json::as_array).and_then(|list| list.iter().map(|v| Some(v.as_str()?.to_string())).collect());
    texts.ok_or_else(|| format!("{what} should be a list of texts"))
}

/// Reads one entry of the index.
pub(super) fn read_case(case: &Json, name: String, file: String) -> Result<OnnxCase, String> {
    let text = |key: &str| {
        let text = case.get(key).and_then(Json::as_str).map(str::to_string);
        text.ok_or_else(|| format!("`{key}` should be a text"))
    };
    let opset = case.get("opset").and_then(Json::as_u64).ok_or("`opset` should be a whole number")?;
    let nodes = case.get("nodes").and_then(Json::as_array).ok_or("`nodes` should be a list")?;
    let each = nodes.iter().enumerate();
    let steps = each.map(|(i, node)| {
        let op = node.get("op").and_then(Json::as_str).ok_or_else(|| format!("nodes[{i}].op should be a text"))?;
        let attrs = match node.get("attrs") {
            None => serde_json::Map::new(),
            Some(attrs) => attrs.as_object().cloned().ok_or_else(|| format!("nodes[{i}].attrs should be an object"))?,
        };
        Ok(Step {
            op: op.to_string(),
            inputs: texts(node.get("inputs"), &format!("nodes[{i}].inputs"))?,
            outputs: texts(node.get("outputs"), &format!("nodes[{i}].outputs"))?,
            attrs: Attrs::new(attrs),
        })
    });
    let steps = steps.collect::<Result<Vec<Step>, String>>()?;
    let mut declared = BTreeMap::new();
    let mut names = |key: &str| -> Result<Vec<String>, String> {
        let listed = match case.get(key) {
            None => return Ok(Vec::new()),
            Some(listed) => listed.as_object().ok_or_else(|| format!("`{key}` should be an object"))?,
        };
        for (name, entry) in listed {
            let said = Declared::read(entry).map_err(|why| format!("{key}.{name}: {why}"))?;
            if declared.insert(name.clone(), said).is_some() {
                return Err(format!("{key}.{name}: is given, too"));
            }
        }
        Ok(listed.keys().cloned().collect())
    };
    let (inputs, constants, outputs) = (names("inputs")?, names("constants")?, names("outputs")?);
    if outputs.is_empty() {
        return Err("`outputs` names nothing to compare".into());
    }
    let inputs = [inputs, constants].concat();
    Ok(OnnxCase { name, op: text("op")?, suite: text("suite")?, file, opset, steps, inputs, outputs, declared })
}

fn operator(op: &str) -> Option<Operator> {
    let families = [
        conv::operator,
        elementwise::operator,
        layout::operator,
        loss::operator,
        norm::operator,
        optimizer::operator,
        products::operator,
        reductions::operator,
        resize::operator,
    ];
    families.iter().find_map(|family| family(op))
}

/// Runs one case.
pub(super) fn run(case: &OnnxCase, arrays: &Arrays, device: &Device) -> Outcome {
    match guarded(|| no_grad(|| compute(case, arrays, device))) {
        Ok(got) => compare(case, arrays, &got),
        Err(outcome) => outcome,
    }
}

fn value(array: &Array, device: &Device) -> Value {
    if array.integer {
        let values = array.values.iter().map(|&v| v as i64).collect();
        return Value::Wholes { shape: array.shape.clone(), values };
    }
    Value::Tensor(Tensor::from_f64(device, &array.shape[..], &array.values))
}

fn compute(case: &OnnxCase, arrays: &Arrays, device: &Device) -> Result<Values, Refusal> {
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    for name in &case.inputs {
        values.insert(name, value(&arrays[name], device));
    }
    for step in &case.steps {
        let input = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => match values.get(name) {
                Some(value) => Ok(Some(value)),
                None => Err(Refusal::Failed(format!("{}: no node before it makes its input {name:?}", step.op))),
            },
        };
        let inputs = step.inputs.iter().map(input).collect::<Result<Vec<_>, _>>()?;
        let (opset, outputs) = (case.opset, step.outputs.len());
        // Operators of the training domain have a version count of their own; the suite gives 0.
        let opset = if opset == 0 { u64::MAX } else { opset };
        let shapes = shapes(&step.inputs, &inputs);
        let shapes = || shapes.iter().map(|(name, shape)| (name.as_str(), &shape[..]));
        let node = Node { op: &step.op, attrs: &step.attrs, opset, device, inputs, outputs };
        let made: Vec<Value> = if step.op == "Constant" {
            vec![layout::constant(&node)?]
        } else {
            let operator = operator(&step.op);
            let operator = operator.ok_or_else(|| Refusal::NotSupported(format!("the operator {}", step.op)))?;
            let made = guarded(|| operator(&node)).map_err(|outcome| match outcome {
                Outcome::NotSupported(what) => Refusal::NotSupported(what),
                Outcome::Failed { why, .. } => Refusal::Failed(with_shapes(&step.op, &why, shapes())),
                Outcome::Passed(_) => unreachable!("a refusal passes nothing"),
            })?;
            made.into_iter().map(Value::Tensor).collect()
        };
        if made.len() < outputs {
            return Err(Refusal::NotSupported(format!("{} with {outputs} outputs", step.op)));
        }
        let named = step.outputs.iter().zip(made).filter(|(name, _)| !name.is_empty());
        values.extend(named.map(|(name, value)| (name.as_str(), value)));
    }
    let mut got = Values::new();
    for name in &case.outputs {
        match values.get(name.as_str()) {
            Some(Value::Tensor(t)) => got.insert(name.clone(), (t.shape().to_vec(), t.to_vec_f64()?)),
            Some(Value::Wholes { shape, values }) => {
                got.insert(name.clone(), (shape.clone(), values.iter().map(|&v| v as f64).collect()))
            }
            None => return Err(Refusal::Failed(format!("no node makes the output {name:?}"))),
        };
    }
    Ok(got)
}

fn shapes(names: &[String], inputs: &[Option<&Value>]) -> Vec<(String, Vec<usize>)> {
    let shape = |value: &Value| match value {
        Value::Tensor(t) => t.shape().to_vec(),
        Value::Wholes { shape, .. } => shape.clone(),
    };
    names.iter().zip(inputs).filter_map(|(name, value)| Some((name.clone(), shape((*value)?)))).collect()
}

/// Relative and absolute tolerance of the suite, whose values are f32: |got − want| ≤ ABSOLUTE + RELATIVE·|want|.
const RELATIVE: f64 = 1e-4;
const ABSOLUTE: f64 = 1e-6;

fn compare(case: &OnnxCase, arrays: &Arrays, got: &Values) -> Outcome {
    let mut worst = Vec::new();
    for name in &case.outputs {
        let (want, (shape, values)) = (&arrays[name], &got[name]);
        if *shape != want.shape {
            let why = format!("{}: {name} has shape {shape:?}, expected {:?}", case.op, want.shape);
            return Outcome::Failed { why, worst: Vec::new() };
        }
        worst.push(worst_element(name, want, values, |want| ABSOLUTE + RELATIVE * want.abs()));
    }
    Outcome::of(worst)
}

//! Runs one case: values, gradients and second gradients on the device.

use super::case::{Attrs, Case};
use super::compare::{Outcome, compare, same_shape};
use super::tensors::{Array, Arrays};
use crate::autograd::{differentiable_grad_all, grad_all};
use crate::error::Error;
use crate::ops::Indices;
use crate::tensor::{Device, Tensor};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a case gave no values.
#[derive(Debug)]
pub enum Refusal {
    /// An op or attribute that the engine does not know: counted apart.
    NotSupported(String),
    /// Inputs that do not fit, or trouble on the device: a failure.
    Failed(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Failed(error.to_string())
    }
}

/// Computes a case's outputs from its inputs.
pub type Function = fn(&Inputs) -> Result<Outputs, Refusal>;

/// What a function gets.
pub struct Inputs<'a> {
    /// The op's name.
    pub op: &'a str,
    /// Its attributes.
    pub attrs: &'a Attrs,
    /// Where to compute.
    pub device: &'a Device,
    arrays: &'a Arrays,
    tensors: BTreeMap<String, Tensor>,
    /// The inputs that the function has asked for.
    asked: RefCell<BTreeSet<String>>,
    /// Those that it has asked for as indices.
    indexed: RefCell<BTreeSet<String>>,
}

impl Inputs<'_> {
    /// `in.NAME`.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Refusal> {
        self.maybe(name).ok_or_else(|| match self.arrays.contains_key(&format!("in.{name}")) {
            true => whole(name),
            false => Refusal::Failed(format!("there is no in.{name}")),
        })
    }

    /// `in.NAME` if it is there.
    pub fn maybe(&self, name: &str) -> Option<&Tensor> {
        self.asked.borrow_mut().insert(name.to_string());
        self.tensors.get(name)
    }

    /// `in.NAME` as indices.
    pub fn indices(&self, name: &str) -> Result<Indices, Refusal> {
        self.asked.borrow_mut().insert(name.to_string());
        self.indexed.borrow_mut().insert(name.to_string());
        let missing = || Refusal::Failed(format!("there is no in.{name}"));
        let Array { shape, values, .. } = self.arrays.get(&format!("in.{name}")).ok_or_else(missing)?;
        let wrong = || Refusal::Failed(format!("in.{name} should hold whole numbers from 0"));
        let index =
            |&v: &f64| if v >= 0.0 && v <= u32::MAX as f64 && v.fract() == 0.0 { Ok(v as u32) } else { Err(wrong()) };
        Ok(Indices::new(self.device, &shape[..], values.iter().map(index).collect::<Result<Vec<u32>, Refusal>>()?))
    }
}

/// An input of whole numbers that is no index.
fn whole(name: &str) -> Refusal {
    Refusal::Failed(format!("in.{name} has whole numbers: write it as float32 or float64"))
}

/// What a function returns.
#[derive(Default)]
pub struct Outputs {
    /// By role without `out.` (or with another prefix, as in `state.m`).
    values: HashMap<String, Tensor>,
    /// Absolute limits where the format names one (held on f32 devices, in `seed_keras` on all), by role without `out.`.
    limits: HashMap<String, f64>,
}

impl Outputs {
    /// One output.
    pub fn one(name: &str, value: Tensor) -> Outputs {
        Outputs::default().and(name, value)
    }

    /// One more.
    #[must_use]
    pub fn and(mut self, name: &str, value: Tensor) -> Outputs {
        self.values.insert(name.to_string(), value);
        self
    }

    /// The output of this name; if the op has one output and the case expects one, that, by the name it has there.
    fn find(&self, case: &Case, name: &str) -> Option<&Tensor> {
        let expected = || case.expected.keys().filter_map(|role| role.strip_prefix("out."));
        let single = || self.values.len() == 1 && expected().count() == 1 && expected().all(|only| only == name);
        self.values.get(name).or_else(|| self.values.values().next().filter(|_| single()))
    }

    /// With an absolute limit for an output on f32 devices.
    #[must_use]
    pub fn within(mut self, name: &str, limit: f64) -> Outputs {
        self.limits.insert(name.to_string(), limit);
        self
    }
}

/// Runs one case.
pub fn run(case: &Case, arrays: Arrays, device: &Device, function: Function) -> Outcome {
    if let Some(what) = &case.unknown {
        return Outcome::NotSupported(what.clone());
    }
    match guarded(|| compute(case, &arrays, device, function)) {
        Ok((got, limits)) => compare(case, &arrays, device, &got, &limits),
        Err(Outcome::Failed { why, worst }) => {
            let given = arrays.iter().filter_map(|(role, array)| Some((role.strip_prefix("in.")?, &array.shape[..])));
            Outcome::Failed { why: with_shapes(&case.op, &why, given), worst }
        }
        Err(outcome) => outcome,
    }
}

/// The message with the op and the shape of every input, unless it has them already.
pub fn with_shapes<'a>(op: &str, why: &str, inputs: impl Iterator<Item = (&'a str, &'a [usize])>) -> String {
    let inputs: Vec<(&str, String)> = inputs.map(|(name, shape)| (name, format!("{shape:?}"))).collect();
    let op = if why.starts_with(&format!("{op}: ")) { String::new() } else { format!("{op}: ") };
    if inputs.iter().all(|(_, shape)| why.contains(shape)) {
        return format!("{op}{why}");
    }
    let shapes = inputs.iter().map(|(name, shape)| format!("{name} {shape}")).collect::<Vec<_>>().join(", ");
    format!("{op}{why} ({shapes})")
}

/// Runs what may end in a refusal or, where shapes do not fit an op, in a panic inside the engine; either becomes an
/// outcome with its message.
pub fn guarded<T>(f: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Outcome> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Refusal::NotSupported(what))) => Err(Outcome::NotSupported(what)),
        Ok(Err(Refusal::Failed(why))) => Err(Outcome::Failed { why, worst: Vec::new() }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            Err(Outcome::Failed { why: text.unwrap_or_else(|| "the case panicked".into()), worst: Vec::new() })
        }
    }
}

/// The most elements of a tensor that an attribute may ask for: 2 GiB of f64.
const LARGEST_RESULT: usize = 1 << 28;

/// The number of elements of a result of these sizes; refused if a few bytes of attributes ask for gigabytes.
pub fn within_memory(sizes: impl IntoIterator<Item = usize>) -> Result<usize, Refusal> {
    let sizes: Vec<usize> = sizes.into_iter().collect();
    let elements = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let too_many = || Refusal::Failed(format!("the result {sizes:?} has more than {LARGEST_RESULT} elements"));
    elements.filter(|&elements| elements <= LARGEST_RESULT).ok_or_else(too_many)
}

/// Computed tensors by role: shape and values.
pub type Values = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// The outputs that a case expects, and its gradients, with the absolute limits that the op names.
pub fn compute(
    case: &Case,
    arrays: &Arrays,
    device: &Device,
    function: Function,
) -> Result<(Values, HashMap<String, f64>), Refusal> {
    let with = |prefix: &str| -> BTreeMap<String, Tensor> {
        let named = arrays.iter().filter_map(|(role, array)| Some((role.strip_prefix(prefix)?, array)));
        let floats = named.filter(|(_, array)| !array.integer);
        floats.map(|(name, a)| (name.to_string(), Tensor::from_f64(device, &a.shape[..], &a.values))).collect()
    };
    let (asked, indexed) = (RefCell::default(), RefCell::default());
    let inputs = Inputs { op: &case.op, attrs: &case.attrs, device, arrays, tensors: with("in."), asked, indexed };
    let (up, v) = (with("up."), with("v."));
    let outputs = function(&inputs)?;
    // An input that the op does not read may change what it should compute.
    let mut given = arrays.keys().filter_map(|role| role.strip_prefix("in."));
    if let Some(name) = given.find(|&name| !inputs.asked.borrow().contains(name)) {
        return Err(Refusal::NotSupported(format!("{} with an input {name}", case.op)));
    }
    // An optional input of whole numbers, which the op has not seen.
    let mut integers =
        arrays.iter().filter(|(_, array)| array.integer).filter_map(|(role, _)| role.strip_prefix("in."));
    if let Some(name) = integers.find(|&name| !inputs.indexed.borrow().contains(name)) {
        return Err(whole(name));
    }

    let mut got: Vec<(String, Tensor)> = Vec::new();
    for role in case.expected.keys() {
        if let Some(value) = outputs.find(case, role.strip_prefix("out.").unwrap_or(role)) {
            got.push((role.clone(), value.clone()));
        }
    }
    // The inputs that L is differentiated by: those listed, and those that a gradient is expected for, but for gradients
    // that the function has taken itself. Without a list of outputs, those with a cotangent make L, or the output `loss`.
    let listed = case.differentiated.iter().cloned();
    let expected = case.expected.keys().filter_map(|role| role.strip_prefix("grad.").map(str::to_string));
    let names: BTreeSet<String> =
        listed.chain(expected).filter(|name| !outputs.values.contains_key(&format!("grad.{name}"))).collect();
    let in_loss = match (&case.loss[..], up.is_empty()) {
        ([], true) => vec!["loss".to_string()],
        ([], false) => up.keys().cloned().collect(),
        (listed, _) => listed.to_vec(),
    };
    check_roles(case, arrays, &outputs, &inputs)?;
    if !names.is_empty() && (!case.loss.is_empty() || !up.is_empty() || outputs.values.contains_key("loss")) {
        let targets: Vec<&Tensor> = names.iter().map(|name| inputs.tensor(name)).collect::<Result<_, _>>()?;
        let mut total: Option<Tensor> = None;
        for name in &in_loss {
            let missing = || Refusal::Failed(format!("the op has no output {name}"));
            let y = outputs.find(case, name).ok_or_else(missing)?;
            let term = match up.get(name) {
                Some(up) => (y.reshape(up.shape()) * up).sum(),
                None => y.sum(),
            };
            total = Some(total.map_or(term.clone(), |total| total + term));
        }
        let total = total.unwrap_or_else(|| Tensor::scalar(device, 0.0));
        for (name, d) in names.iter().zip(grad_all(&total, &targets)) {
            got.push((format!("grad.{name}"), d));
        }
        if case.expected.keys().any(|role| role.starts_with("gg.")) {
            let first = differentiable_grad_all(&total, &targets);
            let pairs = names.iter().zip(&first).filter_map(|(name, d)| Some(d * v.get(name)?));
            let s = pairs.map(|t| t.sum()).reduce(|a, b| a + b);
            let s = s.ok_or_else(|| Refusal::Failed("second gradients are expected, but there is no v.*".into()))?;
            let named = names.iter().map(|name| format!("gg.{name}"));
            let named = named.chain(up.keys().map(|name| format!("gg.up.{name}")));
            let by: Vec<&Tensor> = targets.iter().copied().chain(up.values()).collect();
            got.extend(named.zip(grad_all(&s, &by)));
        }
    }
    let read = |(role, t): (String, Tensor)| Ok((role, (t.shape().to_vec(), t.to_vec_f64()?)));
    Ok((got.into_iter().map(read).collect::<Result<_, Refusal>>()?, outputs.limits))
}

/// Cotangents, directions and outputs of L that there are not would change nothing: the case means something else.
fn check_roles(case: &Case, arrays: &Arrays, outputs: &Outputs, inputs: &Inputs) -> Result<(), Refusal> {
    let op = &case.op;
    let differs = |role: &str, got: &[usize], want: &[usize]| {
        Refusal::Failed(format!("{role} has shape {got:?}, expected {want:?}"))
    };
    for name in &case.loss {
        if outputs.find(case, name).is_none() {
            return Err(Refusal::NotSupported(format!("{op} with an output {name} in `loss`")));
        }
    }
    for (role, array) in arrays {
        if let Some(name) = role.strip_prefix("up.") {
            let listed = case.loss.is_empty() || case.loss.iter().any(|listed| listed == name);
            match outputs.find(case, name).filter(|_| listed) {
                None => return Err(Refusal::NotSupported(format!("{op} with a cotangent {role} of no output in L"))),
                Some(y) if !same_shape(y.shape(), &array.shape) => return Err(differs(role, &array.shape, y.shape())),
                Some(_) => (),
            }
        }
        if let Some(name) = role.strip_prefix("v.") {
            let listed = case.differentiated.iter().any(|listed| listed == name);
            let listed = listed || case.expected.contains_key(&format!("grad.{name}"));
            match inputs.tensors.get(name).filter(|_| listed) {
                None => return Err(Refusal::NotSupported(format!("{op} with a direction {role} of no gradient"))),
                Some(x) if x.shape()[..] != array.shape[..] => return Err(differs(role, &array.shape, x.shape())),
                Some(_) => (),
            }
        }
    }
    Ok(())
}

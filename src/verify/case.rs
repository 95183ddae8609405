//! A case of the format, and its attributes, which are checked as they are read.

use crate::verify::onnx::OnnxCase;
use crate::verify::run::Refusal;
use crate::verify::tensors::Declared;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// One case of the index.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, also that of its tensors.
    pub name: String,
    /// What to compute.
    pub op: String,
    /// The group it is in.
    pub group: String,
    /// The op's settings.
    pub attrs: Attrs,
    /// The file of its tensors.
    pub file: String,
    /// Which inputs have gradients (without `in.`).
    pub differentiated: Vec<String>,
    /// Which outputs enter L (without `out.`).
    pub loss: Vec<String>,
    /// What it must return, by role.
    pub expected: BTreeMap<String, Expected>,
    /// What the index says of each tensor, given or expected, by role.
    pub(super) declared: BTreeMap<String, Declared>,
    /// A key or role that the format does not have, with its place: what the case means by it is not known.
    pub(super) unknown: Option<String>,
}

/// An entry of the index: a case of the format, or one of ONNX's.
pub enum Entry {
    /// One op, its gradients and second gradients.
    Case(Box<Case>),
    /// A graph of ONNX operators.
    Onnx(Box<OnnxCase>),
}

/// What the index says about one expected tensor.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its largest absolute value, of those that are finite; `None` where the index leaves it to the tensor.
    pub max_abs: Option<f64>,
    /// The error of the yardstick's own f32 run, relative to `max_abs`.
    pub yardstick: f64,
    /// Zero by theory: compared absolutely.
    pub zero: bool,
}

/// An op's attributes.
#[derive(Clone, Debug, Default)]
pub struct Attrs(Map<String, Value>);

/// The largest whole number of an attribute: products of two do not overflow.
const LARGEST: u64 = i32::MAX as u64;

impl Attrs {
    /// These attributes.
    pub fn new(attrs: Map<String, Value>) -> Attrs {
        Attrs(attrs)
    }

    /// Refuses attributes other than these.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Refusal::NotSupported(format!("the attribute {key}"))),
            None => Ok(()),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn wrong<T>(&self, key: &str, wanted: &str) -> Result<T, Refusal> {
        Err(Refusal::NotSupported(format!("{key} = {}: expected {wanted}", self.0.get(key).unwrap_or(&Value::Null))))
    }

    /// The attributes inside an object; none where it is missing.
    pub fn section(&self, key: &str) -> Result<Attrs, Refusal> {
        match self.get(key) {
            None => Ok(Attrs::default()),
            Some(value) => value.as_object().map_or_else(|| self.wrong(key, "an object"), |map| Ok(Attrs(map.clone()))),
        }
    }

    /// A number; `default` where it is missing.
    pub fn number(&self, key: &str, default: f64) -> Result<f64, Refusal> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().map_or_else(|| self.wrong(key, "a number"), Ok),
        }
    }

    /// A whole number from 0; `default` where it is missing.
    pub fn size(&self, key: &str, default: usize) -> Result<usize, Refusal> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => match value.as_u64().filter(|&v| v <= LARGEST) {
                Some(size) => Ok(size as usize),
                None => self.wrong(key, "a whole number from 0 (at most 2147483647)"),
            },
        }
    }

    /// A number, if it is there.
    pub fn maybe_number(&self, key: &str) -> Result<Option<f64>, Refusal> {
        self.get(key).map(|_| self.number(key, 0.0)).transpose()
    }

    /// A number that must be there.
    pub fn needed_number(&self, key: &str) -> Result<f64, Refusal> {
        self.maybe_number(key)?.map_or_else(|| self.wrong(key, "a number"), Ok)
    }

    /// A whole number of either sign, if it is there.
    pub fn maybe_whole(&self, key: &str) -> Result<Option<i64>, Refusal> {
        let value = |value: &Value| value.as_i64().map_or_else(|| self.wrong(key, "a whole number"), Ok);
        self.get(key).map(value).transpose()
    }

    /// A whole number of either sign; `default` where it is missing.
    pub fn whole(&self, key: &str, default: i64) -> Result<i64, Refusal> {
        Ok(self.maybe_whole(key)?.unwrap_or(default))
    }

    /// An axis of a tensor of `rank` axes; negative ones count from the end.
    pub fn axis(&self, key: &str, default: i64, rank: usize) -> Result<usize, Refusal> {
        let axis = self.whole(key, default)?;
        let from_start = if axis < 0 { axis + rank as i64 } else { axis };
        let outside = || Refusal::Failed(format!("{key} = {axis} of a tensor with {rank} axes"));
        usize::try_from(from_start).ok().filter(|&axis| axis < rank).ok_or_else(outside)
    }

    /// Sizes, one an entry.
    pub fn list(&self, key: &str) -> Result<Vec<usize>, Refusal> {
        match self.wholes(key)?.map(|list| list.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()) {
            Some(Ok(list)) if list.iter().all(|&v| v as u64 <= LARGEST) => Ok(list),
            _ => self.wrong(key, "a list of whole numbers from 0"),
        }
    }

    /// Whether the attribute is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A whole number from 1, or one each for height and width: strides, dilations.
    pub fn steps(&self, key: &str) -> Result<[usize; 2], Refusal> {
        let steps = self.pair(key, [1, 1])?;
        if steps.contains(&0) { self.wrong(key, "one or two whole numbers from 1") } else { Ok(steps) }
    }

    /// Whole numbers of either sign, if they are there.
    pub fn wholes(&self, key: &str) -> Result<Option<Vec<i64>>, Refusal> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list = value.as_array().and_then(|list| list.iter().map(Value::as_i64).collect());
        list.map_or_else(|| self.wrong(key, "a list of whole numbers"), |list| Ok(Some(list)))
    }

    /// 0 or 1, as ONNX writes a switch; `default` where it is missing.
    pub fn flag_number(&self, key: &str, default: bool) -> Result<bool, Refusal> {
        match self.maybe_whole(key)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => self.wrong(key, "0 or 1"),
        }
    }

    /// Numbers in lists of lists, as their shape and the numbers row-major. A number alone has no axes.
    pub fn nested(&self, key: &str) -> Result<(Vec<usize>, Vec<Number>), Refusal> {
        fn walk(value: &Value, axis: usize, shape: &mut Vec<usize>, numbers: &mut Vec<Number>) -> bool {
            match value {
                Value::Number(number) => {
                    numbers.push(number.clone());
                    axis == shape.len()
                }
                Value::Array(list) => {
                    if axis == shape.len() && numbers.is_empty() {
                        shape.push(list.len());
                    }
                    shape.get(axis) == Some(&list.len()) && list.iter().all(|v| walk(v, axis + 1, shape, numbers))
                }
                _ => false,
            }
        }
        let (mut shape, mut numbers) = (Vec::new(), Vec::new());
        match self.get(key).is_some_and(|value| walk(value, 0, &mut shape, &mut numbers)) {
            true => Ok((shape, numbers)),
            false => self.wrong(key, "numbers in lists of equal lengths"),
        }
    }

    /// A whole number, or one each for height and width.
    pub fn pair(&self, key: &str, default: [usize; 2]) -> Result<[usize; 2], Refusal> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Array(_)) => self.sizes(key),
            Some(_) => self.size(key, 0).map(|v| [v, v]),
        }
    }

    /// N whole numbers.
    pub fn sizes<const N: usize>(&self, key: &str) -> Result<[usize; N], Refusal> {
        let list = self.get(key).and_then(Value::as_array);
        let sizes = list.and_then(|list| {
            list.iter().map(|v| Some(v.as_u64().filter(|&v| v <= LARGEST)? as usize)).collect::<Option<Vec<_>>>()
        });
        match sizes.and_then(|sizes| sizes.try_into().ok()) {
            Some(sizes) => Ok(sizes),
            None => self.wrong(key, &format!("{N} whole numbers")),
        }
    }

    /// How many numbers a list has; 0 where it is missing.
    pub fn count(&self, key: &str) -> usize {
        self.get(key).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// One or two numbers for height and width.
    pub fn numbers(&self, key: &str) -> Result<[f64; 2], Refusal> {
        match self.get(key) {
            Some(Value::Array(list)) => match &list[..] {
                [Value::Number(a), Value::Number(b)] => {
                    Ok([a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN)])
                }
                _ => self.wrong(key, "one or two numbers"),
            },
            Some(Value::Number(a)) => Ok([a.as_f64().unwrap_or(f64::NAN); 2]),
            _ => self.wrong(key, "one or two numbers"),
        }
    }

    /// Just two numbers.
    pub fn two_numbers(&self, key: &str) -> Result<[f64; 2], Refusal> {
        match self.count(key) {
            2 => self.numbers(key),
            _ => self.wrong(key, "two numbers"),
        }
    }

    /// True or false; `default` where it is missing.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().map_or_else(|| self.wrong(key, "true or false"), Ok),
        }
    }

    /// A text; `default` where it is missing or null.
    pub fn text<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str, Refusal> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_str().map_or_else(|| self.wrong(key, "a text"), Ok),
        }
    }
}

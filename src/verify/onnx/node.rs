//! One node of an ONNX graph: its inputs, attributes and operator-set version, as the operators read them.

use crate::tensor::{Device, Tensor};
use crate::verify::case::Attrs;
use crate::verify::run::Refusal;

/// A value on an edge of the graph.
#[derive(Clone, Debug)]
pub enum Value {
    /// Numbers on the engine's device.
    Tensor(Tensor),
    /// Whole numbers or truth values on the host: shapes, axes, labels.
    Wholes {
        /// Their shape.
        shape: Vec<usize>,
        /// Their values, row-major.
        values: Vec<i64>,
    },
}

/// Whole numbers on the host: their shape and values.
pub type Wholes<'a> = (&'a [usize], &'a [i64]);

/// What an operator gets.
pub struct Node<'a> {
    /// The operator.
    pub op: &'a str,
    /// Its attributes.
    pub attrs: &'a Attrs,
    /// The version of the operator set; defaults depend on it.
    pub opset: u64,
    /// Where to compute.
    pub device: &'a Device,
    /// One entry an input, `None` where an optional one is left out.
    pub inputs: Vec<Option<&'a Value>>,
    /// How many outputs are asked for.
    pub outputs: usize,
}

impl Node<'_> {
    /// Refuses more inputs than these.
    pub fn inputs_to(&self, most: usize) -> Result<(), Refusal> {
        match self.inputs.len() <= most {
            true => Ok(()),
            false => Err(Refusal::NotSupported(format!("{} with {} inputs", self.op, self.inputs.len()))),
        }
    }

    /// Input `i` as numbers, if it is there.
    pub fn maybe(&self, i: usize) -> Result<Option<&Tensor>, Refusal> {
        match self.inputs.get(i).copied().flatten() {
            None => Ok(None),
            Some(Value::Tensor(t)) => Ok(Some(t)),
            Some(Value::Wholes { .. }) => {
                Err(Refusal::NotSupported(format!("{} of whole numbers or truth values (input {i})", self.op)))
            }
        }
    }

    /// Input `i` as numbers.
    pub fn tensor(&self, i: usize) -> Result<&Tensor, Refusal> {
        self.maybe(i)?.ok_or_else(|| self.missing(i))
    }

    /// All inputs, as numbers.
    pub fn tensors(&self) -> Result<Vec<&Tensor>, Refusal> {
        (0..self.inputs.len()).map(|i| self.tensor(i)).collect()
    }

    /// Input `i` as numbers on the device, whatever type it has.
    pub fn numbers(&self, i: usize) -> Result<Tensor, Refusal> {
        match self.inputs.get(i).copied().flatten() {
            None => Err(self.missing(i)),
            Some(Value::Tensor(t)) => Ok(t.clone()),
            Some(Value::Wholes { shape, values }) => {
                let values: Vec<f64> = values.iter().map(|&v| v as f64).collect();
                Ok(Tensor::from_f64(self.device, &shape[..], &values))
            }
        }
    }

    /// Input `i` as whole numbers with their shape, if it is there.
    pub fn maybe_wholes(&self, i: usize) -> Result<Option<Wholes<'_>>, Refusal> {
        match self.inputs.get(i).copied().flatten() {
            None => Ok(None),
            Some(Value::Wholes { shape, values }) => Ok(Some((shape, values))),
            Some(Value::Tensor(_)) => Err(self.failed(format!("input {i} should hold whole numbers"))),
        }
    }

    /// Input `i` as whole numbers with their shape.
    pub fn wholes(&self, i: usize) -> Result<Wholes<'_>, Refusal> {
        self.maybe_wholes(i)?.ok_or_else(|| self.missing(i))
    }

    /// The one number of input `i`.
    pub fn number(&self, i: usize) -> Result<f64, Refusal> {
        match self.tensor(i)?.to_vec_f64()?[..] {
            [number] => Ok(number),
            _ => Err(self.failed(format!("input {i} should be one number"))),
        }
    }

    /// A list that newer operator sets pass as input `i` and those before `since` as the attribute `key`.
    pub fn list(&self, i: usize, key: &str, since: u64) -> Result<Option<Vec<i64>>, Refusal> {
        if self.opset < since {
            return self.attrs.wholes(key);
        }
        Ok(self.maybe_wholes(i)?.map(|(_, values)| values.to_vec()))
    }

    /// The attribute `axis`; negative ones count from the end. `places` is the rank, or one more where the end counts.
    pub fn axis(&self, default: i64, places: usize) -> Result<usize, Refusal> {
        self.place(self.attrs.whole("axis", default)?, places)
    }

    /// An axis from 0; negative ones count from the end.
    pub fn place(&self, axis: i64, places: usize) -> Result<usize, Refusal> {
        let from_start = if axis < 0 { axis + places as i64 } else { axis };
        let inside = (0..places as i64).contains(&from_start);
        if inside { Ok(from_start as usize) } else { Err(self.failed(format!("axis {axis} of {places}"))) }
    }

    /// Distinct axes from 0, in the order given.
    pub fn places(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
        let axes: Vec<usize> = axes.iter().map(|&axis| self.place(axis, rank)).collect::<Result<_, _>>()?;
        match axes.iter().enumerate().find(|(i, axis)| axes[..*i].contains(axis)) {
            Some((_, axis)) => Err(self.failed(format!("axis {axis} twice"))),
            None => Ok(axes),
        }
    }

    /// A size from 0.
    pub fn size(&self, size: i64) -> Result<usize, Refusal> {
        let inside = (0..=i32::MAX as i64).contains(&size);
        if inside { Ok(size as usize) } else { Err(self.failed(format!("a size of {size}"))) }
    }

    /// A failure; the operator's name and the shapes of its inputs are put to it.
    pub fn failed(&self, why: impl std::fmt::Display) -> Refusal {
        Refusal::Failed(why.to_string())
    }

    /// Something that the engine does not know.
    pub fn not_supported(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::NotSupported(format!("{}: {what}", self.op))
    }

    fn missing(&self, i: usize) -> Refusal {
        self.failed(format!("input {i} is missing"))
    }
}

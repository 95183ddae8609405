//! Writes the engine's own reference cases in the case format, so that other engines can be held against this one.
//!
//! Values are the reference device's, in f64: those of the rows of the case table by the row's own function, so that reading
//! them back also holds the names and attributes here. The yardstick `f32` is the `cpu` device's error.

mod own;
mod rows;

use super::case::{Attrs, Case, Expected};
use super::run::{Values, compute, guarded};
use super::tensors::{Array, Arrays};
use crate::autograd::grad_all;
use crate::check;
use crate::error::{Error, Result};
use crate::ops::Conv2d;
use crate::report::{write_atomic, write_new};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use own::{Fill, Own};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What [`write_dir`] wrote.
#[derive(Clone, Debug)]
pub struct Written {
    /// How many cases.
    pub cases: usize,
    /// The files, the index last.
    pub files: Vec<PathBuf>,
}

/// A case ready to be written.
struct Ready {
    name: String,
    op: String,
    group: String,
    attrs: Map<String, Value>,
    given: Arrays,
    differentiated: Vec<String>,
    loss: Vec<String>,
    reference: Values,
    cpu: Values,
}

/// Writes `index.json` and a tensor file for each group into `dir`, which is made if need be: the cases whose name, op or
/// group contains `filter`. `progress` is called before each case with its name. Each file appears whole, the index last.
///
/// # Errors
/// If no case is left, a file cannot be written, or one exists and `force` is false; then none is written.
pub fn write_dir(dir: &Path, filter: Option<&str>, force: bool, mut progress: impl FnMut(&str)) -> Result<Written> {
    let wanted = |name: &str, op: &str, group: &str| {
        filter.is_none_or(|filter| [name, op, group].iter().any(|text| text.contains(filter)))
    };
    let index = dir.join("index.json");
    let free = |path: &Path| match force || path.symlink_metadata().is_err() {
        true => Ok(()),
        false => Err(Error::file(path, "exists already: choose another folder, or --force to replace it")),
    };
    // Before any work.
    free(&index)?;
    let mut ready: Vec<Ready> = Vec::new();
    for case in of_table()? {
        if wanted(&case.name, &case.op, case.group) {
            progress(&case.name);
            ready.push(case.run()?);
        }
    }
    for case in own::cases() {
        if wanted(case.name, case.op, case.group) {
            progress(case.name);
            ready.push(run_own(&case)?);
        }
    }
    if ready.is_empty() {
        let message = format!("--filter {}: no case has this in its name, op or group", filter.unwrap_or_default());
        return Err(Error::Usage(message));
    }
    let mut groups: BTreeMap<&str, Vec<&Ready>> = BTreeMap::new();
    ready.iter().for_each(|case| groups.entry(&case.group).or_default().push(case));
    let files: Vec<(PathBuf, Vec<u8>)> =
        groups.iter().map(|(group, cases)| Ok((dir.join(file_name(group)), tensors(cases)?))).collect::<Result<_>>()?;
    let cases: Vec<Value> = ready.iter().map(entry).collect();
    let text = json!({
        "format": 1,
        "written_by": concat!("toile ", env!("CARGO_PKG_VERSION")),
        "conventions": {
            "values": "f64, from plain loops; inputs, cotangents and directions are exact in float32",
            "f32": "error of this engine's float32 CPU path: absolute, and relative to max_abs",
        },
        "cases": cases,
    });
    let text = serde_json::to_string_pretty(&text).map_err(|e| Error::Invalid(e.to_string()))? + "\n";
    std::fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder", dir, e))?;
    files.iter().try_for_each(|(path, _)| free(path))?;
    let write = |path: &Path, bytes: &[u8]| if force { write_atomic(path, bytes) } else { write_new(path, bytes) };
    files.iter().try_for_each(|(path, bytes)| write(path, bytes))?;
    write(&index, text.as_bytes())?;
    let paths = files.into_iter().map(|(path, _)| path).chain([index]).collect();
    Ok(Written { cases: ready.len(), files: paths })
}

fn file_name(group: &str) -> String {
    format!("{group}.safetensors")
}

/// A row of the case table with its names in the format.
struct TableCase {
    row: check::Case,
    name: String,
    op: String,
    group: &'static str,
    inputs: Vec<String>,
    attrs: Map<String, Value>,
    index: Option<(&'static str, Array)>,
}

fn attributes(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("the attributes in this folder are JSON")
}

/// All rows that have names in the format.
fn of_table() -> Result<Vec<TableCase>> {
    let mut table: BTreeMap<String, check::Case> = check::cases().into_iter().map(|c| (c.name.clone(), c)).collect();
    let mut list = Vec::new();
    let mut take = |row: &str, op: &str, group: &'static str, inputs: &str, attrs, index| {
        let missing = || Error::Invalid(format!("the case table has no row {row:?}"));
        list.push(TableCase {
            row: table.remove(row).ok_or_else(missing)?,
            // A slash would part the name from the role.
            name: row.replace(": ", ", "),
            op: op.into(),
            group,
            inputs: inputs.split(' ').map(str::to_string).collect(),
            attrs,
            index,
        });
        Ok::<(), Error>(())
    };
    let op_of = |row: &'static str| {
        let op = row.split(": ").next().unwrap_or(row);
        rows::RENAMED.iter().find(|(here, _)| *here == op).map_or(op, |(_, there)| there)
    };
    for (group, rows) in rows::ROWS {
        for (row, inputs, attrs) in rows {
            take(row, op_of(row), group, inputs, attributes(attrs), None)?;
        }
    }
    for ((row, inputs, attrs), name, shape, values) in rows::INDEXED {
        let values = values.iter().map(|&v| v as f64).collect();
        let index = Array { shape: shape.to_vec(), values, integer: true };
        take(row, op_of(row), "layout", inputs, attributes(attrs), Some((name, index)))?;
    }
    for (what, x, w, Conv2d { stride, padding, dilation, groups }) in check::convolutions() {
        let settings = json!({ "stride": stride, "padding": padding, "dilation": dilation, "groups": groups });
        let with = |key: &str, [_, _, h, w]: [usize; 4]| {
            let mut attrs = settings.clone();
            attrs[key] = json!([h, w]);
            attrs
        };
        let faces = [
            ("conv2d", "x w", settings.clone()),
            ("conv2d_input", "dy w", with("size", x)),
            ("conv2d_weight", "x dy", with("kernel", w)),
        ];
        for (op, inputs, attrs) in faces {
            let Value::Object(attrs) = attrs else { continue };
            take(&format!("{op}: {what}"), op, "conv", inputs, attrs, None)?;
        }
    }
    for (row, inputs, attrs) in rows::KERAS_SAME {
        take(row, rows::KERAS_OP, "conv", inputs, attributes(attrs), None)?;
    }
    Ok(list)
}

impl TableCase {
    fn run(self) -> Result<Ready> {
        let TableCase { row, name, op, group, inputs, attrs, index } = self;
        let reference = Device::Reference;
        let x = row.inputs(&reference);
        let y = (row.run)(&x);
        // Scalars have weight 1.
        let scalar = y.rank() == 0;
        let output = if group == "loss" && scalar { "loss" } else { "y" };
        let up = if scalar { Tensor::scalar(&reference, 1.0) } else { row.random(&reference, y.shape(), 1001) };
        let each = x.iter().enumerate();
        let v: Vec<Tensor> = each.map(|(i, x)| row.random(&reference, x.shape(), 2001 + i as u64)).collect();
        let mut given = Arrays::new();
        for (i, name) in inputs.iter().enumerate() {
            given.insert(format!("in.{name}"), array(&x[i])?);
            if row.order >= 2 {
                given.insert(format!("v.{name}"), array(&v[i])?);
            }
        }
        if row.order >= 1 && !scalar {
            given.insert(format!("up.{output}"), array(&up)?);
        }
        given.extend(index.map(|(name, array)| (format!("in.{name}"), array)));
        let on = |device: &Device| -> Result<Values> {
            let here = |t: &Tensor| t.to_device(device);
            let x = x.iter().map(here).collect::<Result<Vec<_>>>()?;
            let (up, v) = (here(&up)?, v.iter().map(here).collect::<Result<Vec<_>>>()?);
            let y = (row.run)(&x);
            let mut values = vec![(format!("out.{output}"), y.clone())];
            if row.order >= 1 {
                let gradients = grad_all(&(&y * &up).sum(), &x.iter().collect::<Vec<_>>());
                values.extend(inputs.iter().map(|name| format!("grad.{name}")).zip(gradients));
            }
            if row.order >= 2 {
                let (_, second) = check::second_order(&*row.run, &x, &up, &v);
                let names = inputs.iter().map(|name| format!("gg.{name}"));
                let names = names.chain((!scalar).then(|| format!("gg.up.{output}")));
                values.extend(names.zip(second));
            }
            values.into_iter().map(|(role, t)| Ok((role, (t.shape().to_vec(), t.to_vec_f64()?)))).collect()
        };
        let differentiated = if row.order >= 1 { inputs.clone() } else { Vec::new() };
        let loss = if row.order >= 1 { vec![output.to_string()] } else { Vec::new() };
        let (reference, cpu) = (on(&reference)?, on(&Device::Cpu)?);
        Ok(Ready { name, op, group: group.into(), attrs, given, differentiated, loss, reference, cpu })
    }
}

fn array(t: &Tensor) -> Result<Array> {
    Ok(Array { shape: t.shape().to_vec(), values: t.to_vec_f64()?, integer: false })
}

/// Numbers for an input, the same on every machine.
fn fill(name: &str, which: &str, shape: &[usize], fill: Fill) -> Array {
    let seed = name.bytes().chain(which.bytes()).fold(23u64, |h, b| h.wrapping_mul(0x100_0000_01b3) ^ b as u64);
    let n = shape.iter().product();
    let mut stream = Stream::new(seed, Domain::Test, 0);
    let mut normal = |scale: f32| stream.normal_vec(n).into_iter().map(|v| (v * 64.0).round() / 64.0 * scale).collect();
    let values: Vec<f32> = match fill {
        Fill::Normal => normal(1.0),
        Fill::Small => normal(0.125),
        Fill::Between(low, high) => stream.uniform_vec(n, low, high),
        Fill::Exactly(values) => values.iter().copied().cycle().take(n).collect(),
    };
    Array { shape: shape.to_vec(), values: values.into_iter().map(f64::from).collect(), integer: false }
}

fn run_own(own: &Own) -> Result<Ready> {
    let attrs = attributes(own.attrs);
    let mut given: Arrays =
        own.inputs.iter().map(|(name, shape, how)| (format!("in.{name}"), fill(own.name, name, shape, *how))).collect();
    let differentiated: Vec<String> = own.differentiated.split_whitespace().map(str::to_string).collect();
    let loss: Vec<String> = own.loss.split_whitespace().map(str::to_string).collect();
    let unknown = Expected { max_abs: None, yardstick: 0.0, zero: false };
    let mut case = Case {
        name: own.name.into(),
        op: own.op.into(),
        group: own.group.into(),
        attrs: Attrs::new(attrs.clone()),
        file: String::new(),
        differentiated: differentiated.clone(),
        loss: loss.clone(),
        expected: own.outputs.iter().map(|role| (role.to_string(), unknown.clone())).collect(),
        declared: BTreeMap::new(),
        unknown: None,
    };
    let function = super::function(own.op).ok_or_else(|| Error::Invalid(format!("no op {}", own.op)))?;
    let on = |case: &Case, given: &Arrays, device: &Device| {
        guarded(|| compute(case, given, device, function))
            .map(|(values, _)| values)
            .map_err(|outcome| Error::Invalid(format!("{}: {outcome:?}", own.name)))
    };
    // Once for the outputs' shapes.
    let outputs = on(&case, &given, &Device::Reference)?;
    for name in &loss {
        let (shape, _) = &outputs[&format!("out.{name}")];
        if !shape.is_empty() {
            given.insert(format!("up.{name}"), fill(own.name, "up", shape, Fill::Normal));
        }
    }
    if own.order >= 2 {
        for name in &differentiated {
            let direction = fill(own.name, &format!("v.{name}"), &given[&format!("in.{name}")].shape, Fill::Normal);
            given.insert(format!("v.{name}"), direction);
            case.expected.insert(format!("gg.{name}"), unknown.clone());
        }
    }
    let (reference, cpu) = (on(&case, &given, &Device::Reference)?, on(&case, &given, &Device::Cpu)?);
    let [name, op, group] = [own.name, own.op, own.group].map(str::to_string);
    Ok(Ready { name, op, group, attrs, given, differentiated, loss, reference, cpu })
}

fn max_abs(values: &[f64]) -> f64 {
    values.iter().filter(|v| v.is_finite()).fold(0.0, |m: f64, v| m.max(v.abs()))
}

/// The case's entry of the index.
fn entry(case: &Ready) -> Value {
    let dtype = |array: &Array| if array.integer { "int64" } else { "float32" };
    let given = case.given.iter().map(|(role, a)| (role.clone(), json!({"dtype": dtype(a), "shape": a.shape})));
    let largest = case.reference.values().fold(0.0, |m: f64, (_, values)| m.max(max_abs(values)));
    let expected = case.reference.iter().map(|(role, (shape, values))| {
        let largest_here = max_abs(values);
        let errors: Vec<f64> = values.iter().zip(&case.cpu[role].1).map(|(want, got)| got - want).collect();
        let error = max_abs(&errors);
        let relative = if largest_here > 0.0 { error / largest_here } else { 0.0 };
        let mut entry = json!({"shape": shape, "max_abs": largest_here, "f32": [error, relative]});
        if largest_here <= 1e-12 * largest {
            entry["zero"] = true.into();
        }
        (role.clone(), entry)
    });
    json!({
        "name": case.name, "op": case.op, "group": case.group, "attrs": case.attrs, "file": file_name(&case.group),
        "given": given.collect::<Map<_, _>>(), "expected": expected.collect::<Map<_, _>>(),
        "differentiated": case.differentiated, "loss": case.loss,
    })
}

/// The tensor file of a group.
fn tensors(cases: &[&Ready]) -> Result<Vec<u8>> {
    let mut bytes: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for case in cases {
        for (role, a) in &case.given {
            let (dtype, data) = match a.integer {
                true => (Dtype::I64, a.values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect()),
                false => (Dtype::F32, a.values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect()),
            };
            bytes.insert(format!("{}/{role}", case.name), (dtype, a.shape.clone(), data));
        }
        for (role, (shape, values)) in &case.reference {
            let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            bytes.insert(format!("{}/{role}", case.name), (Dtype::F64, shape.clone(), data));
        }
    }
    let wrong = |e: safetensors::SafeTensorError| Error::Invalid(e.to_string());
    let views =
        bytes.iter().map(|(name, (dtype, shape, data))| Ok((name, TensorView::new(*dtype, shape.clone(), data)?)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    safetensors::serialize(views, None).map_err(wrong)
}

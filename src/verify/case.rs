//! The case format: `index.json`, its cases and attributes, and the tensor files, all checked as they are read.

use crate::error::{Error, Result};
use crate::verify::run::Refusal;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

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
    /// What the engine gets, by role.
    pub given: Vec<String>,
    /// What it must return, by role.
    pub expected: BTreeMap<String, Expected>,
}

/// What the index says about one expected tensor.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its largest absolute value.
    pub max_abs: f64,
    /// The error of the yardstick's own f32 run, relative to `max_abs`.
    pub yardstick: f64,
    /// Zero by theory: compared absolutely.
    pub zero: bool,
}

/// Values of one tensor of a file.
#[derive(Clone, Debug)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values; integers are exact up to 2^53.
    pub values: Vec<f64>,
    /// Whether the file has integers.
    pub integer: bool,
}

/// A case's tensors by role, such as `in.x`.
pub type Arrays = BTreeMap<String, Array>;

/// An op's attributes.
#[derive(Clone, Debug, Default)]
pub struct Attrs(Map<String, Value>);

impl Attrs {
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
            Some(value) => value.as_u64().map_or_else(|| self.wrong(key, "a whole number"), |v| Ok(v as usize)),
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
        let sizes = list.and_then(|list| list.iter().map(|v| Some(v.as_u64()? as usize)).collect::<Option<Vec<_>>>());
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

/// The text with `NaN`, `Infinity` and `-Infinity`, which some JSON writers put where a number stands, as something of
/// the same length that JSON has (so that an error's place stays right): a yardstick that is no number counts as none.
fn without_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !in_text && rest.starts_with(word));
        if let Some(word) = word {
            out.push_str(if word.len() == 3 { "0e0" } else { "null" });
            (4..word.len()).for_each(|_| out.push(' '));
            rest = &rest[word.len()..];
            continue;
        }
        let escaped = in_text && c == '\\';
        let len = c.len_utf8() + if escaped { rest.chars().nth(1).map_or(0, char::len_utf8) } else { 0 };
        in_text ^= c == '"';
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out
}

/// Reads and checks `index.json`.
pub fn read_index(dir: &Path) -> Result<Vec<Case>> {
    let path = dir.join("index.json");
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    let index: Value =
        serde_json::from_str(&without_bare_words(&text)).map_err(|e| Error::file(&path, e.to_string()))?;
    match index.get("format") {
        Some(format) if format.as_u64() == Some(1) => (),
        other => {
            let found = other.map_or("no format".to_string(), |f| format!("format {f}"));
            return Err(Error::file(&path, format!("{found}: this program reads format 1")));
        }
    }
    let cases = index.get("cases").and_then(Value::as_array);
    let cases = cases.ok_or_else(|| Error::file(&path, "`cases` should be a list"))?;
    let each = cases.iter().enumerate();
    each.map(|(i, case)| {
        read_case(case).map_err(|why| {
            let name = case.get("name").and_then(Value::as_str).map_or(format!("cases[{i}]"), str::to_string);
            Error::file(&path, format!("case {name}: {why}"))
        })
    })
    .collect()
}

fn read_case(case: &Value) -> Result<Case, String> {
    let text = |key: &str| {
        let text = case.get(key).and_then(Value::as_str).map(str::to_string);
        text.ok_or_else(|| format!("`{key}` should be a text"))
    };
    let texts = |key: &str| match case.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => {
            let texts = list.as_array().and_then(|list| list.iter().map(|v| v.as_str().map(str::to_string)).collect());
            texts.ok_or_else(|| format!("`{key}` should be a list of texts"))
        }
    };
    let object = |key: &str| {
        let object = case.get(key).map_or(Some(Map::new()), |value| value.as_object().cloned());
        object.ok_or_else(|| format!("`{key}` should be an object"))
    };
    let file = text("file")?;
    if file.contains(['/', '\\']) || file.starts_with('.') {
        return Err(format!("`file` should be the name of a file beside the index, not {file:?}"));
    }
    let listed = object("expected")?;
    let expected = listed.iter().map(|(role, v)| {
        let number = |v: Option<&Value>| v.and_then(Value::as_f64).filter(|v| v.is_finite());
        let expected = Expected {
            max_abs: number(v.get("max_abs")).ok_or_else(|| format!("expected.{role} needs a number `max_abs`"))?,
            yardstick: number(v.get("f32").and_then(|list| list.get(1))).unwrap_or(0.0),
            zero: v.get("zero").and_then(Value::as_bool).unwrap_or(false),
        };
        Ok((role.clone(), expected))
    });
    Ok(Case {
        name: text("name")?,
        op: text("op")?,
        group: text("group")?,
        attrs: Attrs(object("attrs")?),
        file,
        differentiated: texts("differentiated")?,
        loss: texts("loss")?,
        given: object("given")?.keys().cloned().collect(),
        expected: expected.collect::<Result<_, String>>()?,
    })
}

/// The tensor files of a directory, each read once.
pub struct Files {
    dir: PathBuf,
    open: HashMap<String, Vec<u8>>,
}

impl Files {
    /// None read yet.
    pub fn new(dir: &Path) -> Files {
        Files { dir: dir.to_path_buf(), open: HashMap::new() }
    }

    /// All tensors that a case names.
    pub fn tensors(&mut self, case: &Case) -> Result<Arrays> {
        let path = self.dir.join(&case.file);
        if !self.open.contains_key(&case.file) {
            let bytes = std::fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
            self.open.insert(case.file.clone(), bytes);
        }
        let tensors = SafeTensors::deserialize(&self.open[&case.file])
            .map_err(|e| Error::file(&path, format!("no safetensors file: {e}")))?;
        let roles = case.given.iter().chain(case.expected.keys());
        roles
            .map(|role| {
                let name = format!("{}/{role}", case.name);
                let view = tensors.tensor(&name).map_err(|e| Error::file(&path, format!("tensor {name}: {e}")))?;
                let values = numbers(view.dtype(), view.data());
                let values =
                    values.ok_or_else(|| Error::file(&path, format!("tensor {name} has type {:?}", view.dtype())))?;
                let integer = !matches!(view.dtype(), Dtype::F32 | Dtype::F64);
                Ok((role.clone(), Array { shape: view.shape().to_vec(), values, integer }))
            })
            .collect()
    }
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).map(|chunk| number(chunk.try_into().expect("chunks of N"))).collect()
    }
    Some(match dtype {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::F32 => each(bytes, |b| f32::from_le_bytes(b) as f64),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => each(bytes, |b| i32::from_le_bytes(b) as f64),
        Dtype::U8 => each(bytes, |b: [u8; 1]| b[0] as f64),
        _ => return None,
    })
}

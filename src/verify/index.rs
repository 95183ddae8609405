//! Reads `index.json`: checks every entry, and finds what the format does not have.

use crate::error::{Error, Result};
use crate::verify::case::{Attrs, Case, Entry, Expected};
use crate::verify::onnx;
use crate::verify::tensors::{Declared, read_whole};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What some JSON writers put where a number stands, and texts of the same length (so that an error's place stays
/// right) that stand for them here: no attribute takes those for a number.
const BARE_WORDS: [(&str, &str); 3] = [("NaN", "\"N\""), ("Infinity", "\"Infini\""), ("-Infinity", "\"-Infini\"")];

fn without_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let Some(c) = rest.chars().next() {
        if let Some((word, instead)) = BARE_WORDS.iter().find(|(word, _)| !in_text && rest.starts_with(word)) {
            out.push_str(instead);
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

/// An index holds at most this many bytes.
const LARGEST_INDEX: u64 = 256 << 20;

/// Reads and checks `index.json`.
pub fn read_index(dir: &Path) -> Result<Vec<Entry>> {
    let path = dir.join("index.json");
    let bytes = read_whole(&path, LARGEST_INDEX)?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::file(&path, format!("is no UTF-8 text from byte {}", e.utf8_error().valid_up_to())))?;
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
    let mut names = BTreeSet::new();
    let each = cases.iter().enumerate();
    each.map(|(i, case)| {
        let named = case.get("name").and_then(Value::as_str);
        let wrong = |why: String| {
            Error::file(&path, format!("case {}: {why}", named.map_or(format!("cases[{i}]"), str::to_string)))
        };
        if named.is_some_and(|name| !names.insert(name)) {
            return Err(wrong("the name is there twice".into()));
        }
        read_entry(case).map_err(wrong)
    })
    .collect()
}

/// The keys of a case, of an entry of `given`, and of one of `expected`.
const KEYS: [&str; 10] =
    ["name", "op", "group", "attrs", "file", "given", "expected", "differentiated", "loss", "note"];
const GIVEN: [&str; 3] = ["dtype", "shape", "note"];
const EXPECTED: [&str; 6] = ["dtype", "shape", "note", "max_abs", "f32", "zero"];

/// The first key that the format does not have.
fn unknown(entry: &Value, known: &[&str]) -> Option<String> {
    entry.as_object()?.keys().find(|key| !known.contains(&key.as_str())).cloned()
}

/// The largest relative error of a writer's f32 run that is believed: limits are ten times it.
const LARGEST_YARDSTICK: f64 = 1e-3;

fn read_entry(case: &Value) -> Result<Entry, String> {
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
    if file.is_empty() || file.contains(['/', '\\', '\0']) || file.starts_with('.') {
        return Err(format!("`file` should be the name of a file beside the index, not {file:?}"));
    }
    if case.get("nodes").is_some() {
        return Ok(Entry::Onnx(Box::new(onnx::read_case(case, text("name")?, file)?)));
    }
    let mut declared = BTreeMap::new();
    let mut expected = BTreeMap::new();
    let mut strange = unknown(case, &KEYS).map(|key| format!("the key {key} of a case"));
    for (role, entry) in object("given")? {
        declared.insert(role.clone(), Declared::read(&entry).map_err(|why| format!("given.{role}: {why}"))?);
        let key = unknown(&entry, &GIVEN).map(|key| format!("the key {key} of given.{role}"));
        let known = ["in.", "up.", "v."].iter().any(|prefix| role.starts_with(prefix));
        let role = || format!("the role {role} in `given` (there are in.NAME, up.NAME and v.NAME)");
        strange = strange.or(key).or_else(|| (!known).then(role));
    }
    for (role, entry) in object("expected")? {
        let wrong = |why: String| format!("expected.{role}: {why}");
        if declared.insert(role.clone(), Declared::read(&entry).map_err(wrong)?).is_some() {
            return Err(wrong("is given, too".into()));
        }
        strange = strange.or_else(|| Some(format!("the key {} of expected.{role}", unknown(&entry, &EXPECTED)?)));
        expected.insert(role.clone(), read_expected(&entry).map_err(wrong)?);
    }
    if expected.is_empty() {
        return Err("`expected` names nothing to compare".into());
    }
    Ok(Entry::Case(Box::new(Case {
        name: text("name")?,
        op: text("op")?,
        group: text("group")?,
        attrs: Attrs::new(object("attrs")?),
        file,
        differentiated: texts("differentiated")?,
        loss: texts("loss")?,
        expected,
        declared,
        unknown: strange,
    })))
}

/// A number from 0; `None` for null and for what is not finite.
fn magnitude(value: &Value) -> Result<Option<f64>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::String(word) if BARE_WORDS.iter().any(|(_, text)| text.trim_matches('"') == word) => Ok(None),
        number => number.as_f64().filter(|v| v.is_finite() && *v >= 0.0).map(Some).ok_or(()),
    }
}

fn read_expected(entry: &Value) -> Result<Expected, String> {
    let max_abs = entry.get("max_abs").ok_or(()).and_then(magnitude).map_err(|()| {
        "needs a number `max_abs` (or NaN, Infinity or null: the largest of the tensor's finite values)".to_string()
    })?;
    let zero = match entry.get("zero") {
        None | Some(Value::Null) => false,
        Some(zero) => zero.as_bool().ok_or_else(|| format!("`zero` should be true or false, not {zero}"))?,
    };
    let yardstick = match entry.get("f32") {
        None | Some(Value::Null) => 0.0,
        Some(f32) => {
            let pair = f32.as_array().filter(|pair| pair.len() == 2);
            let pair = pair.and_then(|pair| Some((magnitude(&pair[0]).ok()?, magnitude(&pair[1]).ok()?)));
            // A relative error that is no number says nothing.
            pair.ok_or_else(|| format!("`f32` should be the absolute and the relative error, not {f32}"))?
                .1
                .unwrap_or(0.0)
        }
    };
    if !zero && yardstick > LARGEST_YARDSTICK {
        return Err(format!(
            "`f32` has the relative error {yardstick:e}: more than {LARGEST_YARDSTICK:e} is no yardstick (leave `f32` out, or choose better inputs)"
        ));
    }
    Ok(Expected { max_abs, yardstick, zero })
}

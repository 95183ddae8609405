//! Case directories: the engine's own cases written and read back, and what damaged and hostile files end in.

use crate::devices;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;
use toile::Device;
use toile::verify::{Outcome, VerifyReport, verify_dir, write_dir};

pub fn all_pass(report: &VerifyReport, device: &Device) {
    for case in &report.cases {
        assert!(
            matches!(case.outcome, Outcome::Passed(_)),
            "{device}: {} ({}): {:?}",
            case.name,
            case.op,
            case.outcome
        );
    }
}

/// The engine's own cases, written once.
fn written() -> &'static Path {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        write_dir(dir.path(), None, false, |_| ()).unwrap();
        dir
    })
    .path()
}

#[test]
fn written_cases_are_read_back_on_every_device() {
    for device in devices::all() {
        let report = verify_dir(written(), &device, None).unwrap();
        all_pass(&report, &device);
        assert!(report.passed() >= 253, "{device}: only {} cases", report.passed());
    }
}

#[test]
fn writing_replaces_nothing_unasked_and_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cases");
    let first = write_dir(&place, Some("layout"), false, |_| ()).unwrap();
    assert_eq!(first.files.len(), 2);
    let before: Vec<Vec<u8>> = first.files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let refused = write_dir(&place, Some("layout"), false, |_| ()).unwrap_err().to_string();
    assert!(refused.contains("index.json") && refused.contains("--force"), "{refused}");
    // A tensor file alone is not replaced either.
    std::fs::remove_file(place.join("index.json")).unwrap();
    let refused = write_dir(&place, Some("layout"), false, |_| ()).unwrap_err().to_string();
    assert!(refused.contains("layout.safetensors"), "{refused}");
    assert!(!place.join("index.json").exists());
    let again = write_dir(&place, Some("layout"), true, |_| ()).unwrap();
    assert_eq!(before, again.files.iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>());
    assert!(write_dir(&place, Some("no such case"), true, |_| ()).unwrap_err().to_string().contains("no such case"));
}

/// The written cases with something done to each index entry, run on the CPU.
fn with_entries(change: impl Fn(&mut Value)) -> VerifyReport {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(written()).unwrap().flatten() {
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(written().join("index.json")).unwrap();
    let mut index: Value = serde_json::from_str(&text).unwrap();
    index["cases"].as_array_mut().unwrap().iter_mut().for_each(change);
    std::fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
    verify_dir(dir.path(), &Device::Cpu, None).unwrap()
}

#[test]
fn what_an_op_does_not_know_is_never_passed() {
    // An attribute more.
    let report = with_entries(|case| case["attrs"]["frobnicate"] = json!(1));
    assert_eq!(report.not_supported(), report.cases.len(), "an attribute was ignored");
    // Attributes of another type: each case with attributes is refused, whichever of them is wrong.
    for wrong in [json!("text"), json!([[1]]), json!({}), json!(-1.5)] {
        let report = with_entries(|case| {
            case["attrs"].as_object_mut().unwrap().values_mut().for_each(|value| *value = wrong.clone());
        });
        let index: Value =
            serde_json::from_str(&std::fs::read_to_string(written().join("index.json")).unwrap()).unwrap();
        for (case, entry) in report.cases.iter().zip(index["cases"].as_array().unwrap()) {
            // A negative number may be a value of another case; it must only not be this one's.
            let has_attrs = entry["attrs"].as_object().is_some_and(|attrs| !attrs.is_empty());
            let passed = matches!(case.outcome, Outcome::Passed(_));
            assert!(passed != has_attrs, "{} with attributes {wrong}: {:?}", case.name, case.outcome);
        }
    }
    // An input more.
    let file = tensors(&[
        ("c/in.x", "F32", &[2], &[1.0, -1.0]),
        ("c/in.bias", "F32", &[2], &[0.0, 0.0]),
        ("c/out.y", "F64", &[2], &[1.0, 0.0]),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let more = index(&[("given", json!({"in.x": {}, "in.bias": {}}))]);
    std::fs::write(dir.path().join("index.json"), more.to_string()).unwrap();
    std::fs::write(dir.path().join("t.safetensors"), file).unwrap();
    let report = verify_dir(dir.path(), &Device::Cpu, None).unwrap();
    assert!(matches!(&report.cases[0].outcome, Outcome::NotSupported(what) if what.contains("bias")), "{report:?}");
    // Inputs that do not fit name the op and every shape.
    let report = with_entries(|case| {
        let name = case["name"].as_str().unwrap().to_string();
        case["op"] = json!(if name == "exp" { "add" } else { case["op"].as_str().unwrap() });
    });
    let renamed = report.cases.iter().find(|case| case.name == "exp").unwrap();
    assert!(
        matches!(&renamed.outcome, Outcome::Failed { why, .. } if why.contains("add") && why.contains("[3, 5, 7]"))
    );
}

/// A safetensors file of f32 and i64 tensors.
pub fn tensors(list: &[(&str, &str, &[usize], &[f64])]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, values) in list {
        let start = data.len();
        match *dtype {
            "F32" => values.iter().for_each(|&v| data.extend((v as f32).to_le_bytes())),
            "F64" => values.iter().for_each(|&v| data.extend(v.to_le_bytes())),
            "BOOL" => values.iter().for_each(|&v| data.push(v as u8)),
            _ => values.iter().for_each(|&v| data.extend((v as i64).to_le_bytes())),
        }
        header.insert(name.to_string(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]}));
    }
    file(&Value::Object(header).to_string(), &data)
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A directory of one `relu` case with this index text and tensor file.
pub fn refusal(index: &[u8], file: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.json"), index).unwrap();
    std::fs::write(dir.path().join("t.safetensors"), file).unwrap();
    verify_dir(dir.path(), &Device::Cpu, None).unwrap_err().to_string()
}

pub fn index(changes: &[(&str, Value)]) -> Value {
    let mut case = json!({
        "name": "c", "op": "relu", "group": "g", "file": "t.safetensors", "attrs": {}, "loss": [], "differentiated": [],
        "given": {"in.x": {"dtype": "float32", "shape": [2]}}, "expected": {"out.y": {"shape": [2], "max_abs": 1.0}},
    });
    changes.iter().for_each(|(key, value)| case[*key] = value.clone());
    json!({"format": 1, "cases": [case]})
}

#[test]
fn hostile_files_get_one_clear_error() {
    let good = tensors(&[("c/in.x", "F32", &[2], &[1.0, -1.0]), ("c/out.y", "F64", &[2], &[1.0, 0.0])]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.json"), index(&[]).to_string()).unwrap();
    std::fs::write(dir.path().join("t.safetensors"), &good).unwrap();
    assert_eq!(verify_dir(dir.path(), &Device::Cpu, None).unwrap().passed(), 1, "the case that the others change");

    let says = |index: &[u8], file: &[u8], words: &[&str]| {
        let why = refusal(index, file);
        for word in words {
            assert!(why.contains(word), "{word:?} is missing in: {why}");
        }
    };
    let with = |changes: &[(&str, Value)], words: &[&str]| says(index(changes).to_string().as_bytes(), &good, words);
    // The index.
    for file in ["../t.safetensors", "/etc/hostname", "a/b", "..", ".", "", "a\\b", ".hidden"] {
        with(&[("file", json!(file))], &["index.json", "case c", "beside the index"]);
    }
    with(&[("file", json!("none.safetensors"))], &["none.safetensors", "cannot read"]);
    with(
        &[("expected", json!({"out.y": {"shape": [3], "max_abs": 1.0}}))],
        &["t.safetensors", "c/out.y", "[2]", "[3]"],
    );
    with(&[("given", json!({"in.x": {"shape": [u64::MAX, 4]}}))], &["c/in.x", "[18446744073709551615, 4]"]);
    with(&[("given", json!({"in.x": {"dtype": "int64"}}))], &["c/in.x", "float32", "int64"]);
    with(&[("given", json!({"in.x": {"shape": [-2]}}))], &["case c", "given.in.x", "[-2]"]);
    with(&[("given", json!({"in.x": 3}))], &["case c", "given.in.x"]);
    with(&[("given", json!({"in.z": {}}))], &["t.safetensors", "no tensor \"c/in.z\""]);
    with(&[("expected", json!({"out.y": {}}))], &["case c", "expected.out.y", "max_abs"]);
    with(&[("expected", json!({"out.y": {"max_abs": 1e9}}))], &["c/out.y", "1e9", "largest value 1e0"]);
    with(&[("expected", json!({"in.x": {"max_abs": 1.0}}))], &["case c", "in.x", "given, too"]);
    with(&[("attrs", json!([]))], &["case c", "`attrs`"]);
    with(&[("expected", json!({}))], &["case c", "`expected`", "nothing"]);
    with(&[("expected", json!({"out.y": {"max_abs": 1.0, "zero": 1}}))], &["case c", "out.y", "`zero`"]);
    with(&[("expected", json!({"out.y": {"max_abs": 1.0, "f32": 1e-6}}))], &["case c", "out.y", "`f32`"]);
    with(&[("expected", json!({"out.y": {"max_abs": "N/A"}}))], &["case c", "out.y", "max_abs", "null"]);
    // Limits that would let any value pass.
    with(&[("expected", json!({"out.y": {"max_abs": 1.0, "f32": [1e9, 1e9]}}))], &["case c", "out.y", "1e9", "1e-3"]);
    let zero = |max_abs: f64| json!({"out.y": {"max_abs": max_abs, "zero": true}});
    with(&[("expected", zero(1e30))], &["t.safetensors", "c/out.y", "`zero`", "1e30"]);
    with(&[("expected", zero(0.0))], &["t.safetensors", "c/out.y", "`zero`", "1e0"]);
    let mut twice = index(&[]);
    let case = twice["cases"][0].clone();
    twice["cases"].as_array_mut().unwrap().push(case);
    says(twice.to_string().as_bytes(), &good, &["index.json", "case c", "twice"]);
    says(b"{\"format\": 1, \"cases\": [\xff]}", &good, &["index.json", "UTF-8", "byte 24"]);
    says(&[b"[".repeat(100_000), b"]".repeat(100_000)].concat(), &good, &["index.json", "recursion", "line 1"]);
    says(b"{\"format\": 1e999, \"cases\": []}", &good, &["index.json", "number out of range", "line 1 column"]);
    says(b"{\"format\": 1, \"cases\": 7}", &good, &["index.json", "`cases`"]);
    // The tensor file.
    let plain = index(&[]).to_string();
    let broken = |file: &[u8], words: &[&str]| says(plain.as_bytes(), file, &[&["t.safetensors"], words].concat());
    for length in 0..good.len() {
        broken(&good[..length], &[]);
    }
    broken(&good[..5], &["ends after 5 bytes"]);
    broken(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), &["18446744073709551615 bytes", "2 are left"]);
    broken(&[&good[..], b"more"].concat(), &["no safetensors file"]);
    let entry = |shape: &str, offsets: &str| format!("\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}");
    let two = |a: String, b: String| file(&format!("{{\"c/in.x\":{{{a}}},\"c/out.y\":{{{b}}}}}"), &[0; 16]);
    broken(&two(entry("[2]", "[0,8]"), entry("[2]", "[4,12]")), &["c/out.y"]);
    broken(&two(entry("[2]", "[0,8]"), entry("[2]", "[8,99999]")), &["no safetensors file"]);
    broken(&two(entry("[2]", "[8,0]"), entry("[2]", "[8,16]")), &["no safetensors file"]);
    broken(&two(entry("[9223372036854775807,9]", "[0,8]"), entry("[2]", "[8,16]")), &["no safetensors file"]);
    broken(&two(entry("[4000000000000]", "[0,8]"), entry("[2]", "[8,16]")), &["no safetensors file"]);
    broken(&two(entry("[-1]", "[0,8]"), entry("[2]", "[8,16]")), &["no safetensors file"]);
    broken(&file("{\"c/in.x\": \"\u{1F457}", &[]), &["no safetensors file"]);
    broken(&file(&"[".repeat(100_000), &[]), &["no safetensors file"]);
    let half = tensors(&[("c/in.x", "F32", &[2], &[1.0, 2.0]), ("c/out.y", "F64", &[1], &[1.0])]);
    broken(&half, &["c/out.y", "[1]", "[2]"]);
    let odd = file("{\"c/in.x\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", &[0; 4]);
    says(index(&[("given", json!({"in.x": {}}))]).to_string().as_bytes(), &odd, &["c/in.x", "F16"]);
}

/// Bytes changed at random never end in a panic, a loop or a huge allocation, whatever the outcome.
#[test]
fn damaged_files_end_in_an_answer() {
    let text = std::fs::read(written().join("index.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    let wanted =
        ["linear", "max_pool2d", "conv_transpose2d, groups", "gather", "pad, edge", "upsample_nearest, two scales"];
    let some = all["cases"].as_array().unwrap().iter().filter(|case| wanted.contains(&case["name"].as_str().unwrap()));
    let index = json!({"format": 1, "cases": some.cloned().collect::<Vec<_>>()}).to_string().into_bytes();
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(written()).unwrap().flatten() {
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let layout = std::fs::read(written().join("layout.safetensors")).unwrap();
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut answers, mut errors) = (0, 0);
    for round in 0..200 {
        let (mut changed, mut header) = (index.clone(), layout.clone());
        for _ in 0..1 + round % 3 {
            // Digits for digits, so that much of the text stays JSON.
            let digits: Vec<usize> = (0..changed.len()).filter(|&i| changed[i].is_ascii_digit()).collect();
            match round % 2 {
                0 => changed[digits[random(digits.len())]] = b'0' + random(10) as u8,
                _ => changed[random(index.len())] = random(128) as u8,
            }
            header[random(4000)] = random(256) as u8;
        }
        std::fs::write(dir.path().join("index.json"), &changed).unwrap();
        std::fs::write(dir.path().join("layout.safetensors"), if round % 5 == 0 { &header } else { &layout }).unwrap();
        match verify_dir(dir.path(), &Device::Cpu, None) {
            Ok(report) => answers += report.cases.len(),
            Err(error) => {
                errors += 1;
                let place = dir.path().to_string_lossy().into_owned();
                assert!(error.to_string().contains(&place), "{error}");
            }
        }
    }
    assert!(answers > 100 && errors > 30, "{answers} answers, {errors} errors");
}

//! Case directories: ONNX's operator tests, the engine's own cases written and read back, and what no case may do.

use crate::devices;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use toile::Device;
use toile::verify::{Outcome, VerifyReport, verify_dir, write_dir};

fn all_pass(report: &VerifyReport, device: &Device) {
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

#[test]
fn onnx_operator_tests_on_every_device() {
    let named = std::env::var_os("TOILE_ONNX_CASES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden/onnx");
    let dir = named.clone().unwrap_or(beside);
    if named.is_none() && !dir.join("index.json").is_file() {
        println!("NO ONNX CASES at {} and TOILE_ONNX_CASES names none: this test is SKIPPED", dir.display());
        return;
    }
    for device in devices::all() {
        let report = verify_dir(&dir, &device, None).unwrap();
        all_pass(&report, &device);
        println!("{device}: {} ONNX cases passed", report.cases.len());
        assert!(named.is_some() || report.passed() >= 236, "{device}: only {} cases", report.passed());
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
fn tensors(list: &[(&str, &str, &[usize], &[f64])]) -> Vec<u8> {
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

/// One node on inputs a, b, …, and its one output, on every device.
#[track_caller]
fn node(op: &str, opset: u64, attrs: Value, inputs: &[(&str, &[usize], &[f64])], want: (&[usize], &[f64])) {
    let names = ["c/a", "c/b", "c/d", "c/e", "c/f", "c/g"];
    // An empty name leaves an optional input out.
    let named: Vec<&str> =
        inputs.iter().zip(names).map(|(input, name)| if input.0.is_empty() { "" } else { &name[2..] }).collect();
    let given = inputs.iter().zip(names).filter(|(input, _)| !input.0.is_empty());
    let mut list: Vec<_> = given.map(|((dtype, shape, values), name)| (name, *dtype, *shape, *values)).collect();
    let inputs: serde_json::Map<String, Value> =
        list.iter().map(|(name, ..)| (name[2..].to_string(), json!({}))).collect();
    list.push(("c/y", "F32", want.0, want.1));
    let index = json!({"format": 1, "cases": [{
        "name": "c", "op": op, "suite": "here", "opset": opset, "file": "t.safetensors", "inputs": inputs, "constants": {},
        "outputs": {"y": {}}, "nodes": [{"op": op, "inputs": named, "outputs": ["y"], "attrs": attrs}],
    }]});
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.path().join("t.safetensors"), tensors(&list)).unwrap();
    for device in devices::all() {
        all_pass(&verify_dir(dir.path(), &device, None).unwrap(), &device);
    }
}

/// What the suite's own cases leave out, by hand from the specification.
#[test]
fn onnx_defaults_and_settings_by_hand() {
    let row: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0];
    let x = ("F32", &[5][..], row);
    let whole = |values: &'static [f64]| {
        ("I64", [0, 1, 2, 3, 4][values.len()..].first().map_or(&[4][..], |_| LENGTHS[values.len()]), values)
    };
    const LENGTHS: [&[usize]; 5] = [&[0], &[1], &[2], &[3], &[4]];
    // Slices backwards, beyond both ends, and to nothing.
    node(
        "Slice",
        13,
        json!({}),
        &[x, whole(&[-1.0]), whole(&[-9.0]), whole(&[0.0]), whole(&[-2.0])],
        (&[3], &[5.0, 3.0, 1.0]),
    );
    node(
        "Slice",
        13,
        json!({}),
        &[x, whole(&[3.0]), whole(&[0.0]), whole(&[-1.0]), whole(&[-1.0])],
        (&[3], &[4.0, 3.0, 2.0]),
    );
    node(
        "Slice",
        13,
        json!({}),
        &[x, whole(&[1.0]), whole(&[99.0]), whole(&[0.0]), whole(&[3.0])],
        (&[2], &[2.0, 5.0]),
    );
    node("Slice", 13, json!({}), &[x, whole(&[4.0]), whole(&[2.0])], (&[0], &[]));
    node("Slice", 9, json!({"starts": [-3], "ends": [-1], "axes": [0]}), &[x], (&[2], &[3.0, 4.0]));
    // Pads: wrapped, and negative ones, which take away.
    node(
        "Pad",
        19,
        json!({"mode": "wrap"}),
        &[x, whole(&[2.0, 1.0])],
        (&[8], &[4.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0]),
    );
    node("Pad", 13, json!({}), &[x, whole(&[-1.0, 1.0])], (&[5], &[2.0, 3.0, 4.0, 5.0, 0.0]));
    node("Pad", 13, json!({"mode": "edge"}), &[x, whole(&[1.0, -3.0])], (&[3], &[1.0, 1.0, 2.0]));
    // Nothing to reduce.
    let empty = ("F32", &[2, 0][..], &[][..]);
    let inf = f64::INFINITY;
    node("ReduceMax", 18, json!({"keepdims": 0}), &[empty, whole(&[-1.0])], (&[2], &[-inf, -inf]));
    node("ReduceMin", 13, json!({"axes": [1], "keepdims": 0}), &[empty], (&[2], &[inf, inf]));
    node("ReduceSum", 13, json!({}), &[x], (&[1], &[15.0]));
    node("ReduceSum", 11, json!({"axes": [-1], "keepdims": 0}), &[x], (&[], &[15.0]));
    node("ReduceMean", 18, json!({"noop_with_empty_axes": 1}), &[x], (&[5], row));
    // Softmax of old versions takes all axes from the first on as one.
    let two = ("F32", &[1, 2, 2][..], &[0.0, 0.0, 0.0, 0.0][..]);
    node("Softmax", 12, json!({}), &[two], (&[1, 2, 2], &[0.25; 4]));
    node("Softmax", 13, json!({}), &[two], (&[1, 2, 2], &[0.5; 4]));
    // Bounds as attributes, as inputs, one left out, and the wrong way round.
    node("Clip", 6, json!({"min": 2.0, "max": 4.0}), &[x], (&[5], &[2.0, 2.0, 3.0, 4.0, 4.0]));
    node("Clip", 13, json!({}), &[x, ("", &[], &[]), ("F32", &[], &[3.5])], (&[5], &[1.0, 2.0, 3.0, 3.5, 3.5]));
    node("Clip", 13, json!({}), &[x, ("F32", &[], &[4.0]), ("F32", &[], &[2.0])], (&[5], &[2.0; 5]));
    node("Gather", 13, json!({}), &[x, whole(&[-1.0, 0.0])], (&[2], &[5.0, 1.0]));
    node("Reshape", 13, json!({}), &[two, whole(&[0.0, -1.0])], (&[1, 4], &[0.0; 4]));
    node("Squeeze", 11, json!({}), &[two], (&[2, 2], &[0.0; 4]));
    node("MatMul", 13, json!({}), &[x, x], (&[], &[55.0]));
    node(
        "Gemm",
        13,
        json!({"transA": 1, "alpha": 2.0}),
        &[("F32", &[2, 1], &[1.0, 2.0]), ("F32", &[2, 1], &[3.0, 4.0])],
        (&[1, 1], &[22.0]),
    );
    let image = |values: &'static [f64]| ("F32", &[1, 1, 1, 4][..], values);
    let four: &[f64] = &[1.0, 2.0, 3.0, 4.0];
    node(
        "MaxPool",
        12,
        json!({"kernel_shape": [1, 2], "auto_pad": "SAME_LOWER"}),
        &[image(&[1.0, 2.0, 4.0, 3.0])],
        (&[1, 1, 1, 4], &[1.0, 2.0, 4.0, 4.0]),
    );
    node(
        "AveragePool",
        19,
        json!({"kernel_shape": [1, 2], "pads": [0, 1, 0, 1], "strides": [1, 2]}),
        &[image(&[1.0, 2.0, 3.0, 4.0])],
        (&[1, 1, 1, 3], &[1.0, 2.5, 4.0]),
    );
    node(
        "Conv",
        11,
        json!({"auto_pad": "SAME_UPPER", "strides": [1, 2]}),
        &[image(&[1.0, 2.0, 3.0, 4.0]), ("F32", &[1, 1, 1, 3], &[1.0, 1.0, 1.0])],
        (&[1, 1, 1, 2], &[6.0, 7.0]),
    );
    // The total of 1 is shared: SAME_LOWER's odd one goes before.
    let ones: &[f64] = &[1.0, 1.0];
    node(
        "ConvTranspose",
        11,
        json!({"output_shape": [1, 4]}),
        &[image(&[1.0, 2.0, 3.0, 4.0]), ("F32", &[1, 1, 1, 2], ones)],
        (&[1, 1, 1, 4], &[3.0, 5.0, 7.0, 4.0]),
    );
    node(
        "ConvTranspose",
        11,
        json!({"auto_pad": "SAME_UPPER"}),
        &[image(&[1.0, 2.0, 3.0, 4.0]), ("F32", &[1, 1, 1, 2], ones)],
        (&[1, 1, 1, 4], &[1.0, 3.0, 5.0, 7.0]),
    );
    // Padding and output padding of the stride.
    node(
        "ConvTranspose",
        11,
        json!({"pads": [0, 1, 0, 0], "output_padding": [0, 1], "dilations": [1, 2]}),
        &[image(&[1.0, 2.0, 3.0, 4.0]), ("F32", &[1, 1, 1, 2], ones)],
        (&[1, 1, 1, 6], &[2.0, 4.0, 6.0, 3.0, 4.0, 0.0]),
    );
    node(
        "Resize",
        10,
        json!({"mode": "nearest"}),
        &[image(&[1.0, 2.0, 3.0, 4.0]), ("F32", &[4], &[1.0, 1.0, 1.0, 0.5])],
        (&[1, 1, 1, 2], &[1.0, 3.0]),
    );
    node(
        "Resize",
        13,
        json!({"mode": "linear", "coordinate_transformation_mode": "asymmetric"}),
        &[image(&[1.0, 2.0, 3.0, 4.0]), ("", &[], &[]), ("F32", &[4], &[1.0, 1.0, 1.0, 2.0])],
        (&[1, 1, 1, 8], &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0]),
    );
    node(
        "DepthToSpace",
        13,
        json!({"blocksize": 2, "mode": "CRD"}),
        &[("F32", &[1, 4, 1, 1], four)],
        (&[1, 1, 2, 2], four),
    );
    node("SpaceToDepth", 13, json!({"blocksize": 2}), &[("F32", &[1, 1, 2, 2], four)], (&[1, 4, 1, 1], four));
    node(
        "Where",
        16,
        json!({}),
        &[("BOOL", &[2, 1], &[1.0, 0.0]), ("F32", &[1], &[7.0]), ("F32", &[2], &[8.0, 9.0])],
        (&[2, 2], &[7.0, 7.0, 8.0, 9.0]),
    );
    // Comparisons, NaN included.
    let (a, b) = (("F32", &[4][..], &[1.0, 2.0, 3.0, f64::NAN][..]), ("F32", &[1][..], &[2.0][..]));
    node("Greater", 13, json!({}), &[a, b], (&[4], &[0.0, 0.0, 1.0, 0.0]));
    node("Less", 13, json!({}), &[a, b], (&[4], &[1.0, 0.0, 0.0, 0.0]));
    node("Equal", 13, json!({}), &[a, b], (&[4], &[0.0, 1.0, 0.0, 0.0]));
    node("GreaterOrEqual", 16, json!({}), &[a, b], (&[4], &[0.0, 1.0, 1.0, 0.0]));
    node("LessOrEqual", 16, json!({}), &[a, b], (&[4], &[1.0, 1.0, 0.0, 0.0]));
    // Places: of equal ones the first, or the last.
    let ties = ("F32", &[2, 3][..], &[3.0, 1.0, 3.0, 2.0, 5.0, 2.0][..]);
    node("ArgMax", 13, json!({"axis": 1}), &[ties], (&[2, 1], &[0.0, 1.0]));
    node("ArgMax", 13, json!({"axis": -1, "select_last_index": 1, "keepdims": 0}), &[ties], (&[2], &[2.0, 1.0]));
    node("ArgMin", 13, json!({"axis": 1, "keepdims": 0, "select_last_index": 1}), &[ties], (&[2], &[1.0, 2.0]));
    node("ArgMin", 11, json!({}), &[ties], (&[1, 3], &[1.0, 0.0, 1.0]));
    // Elements of the upper left, and back.
    let upper = ("I64", &[1, 2][..], &[-1.0, 0.0][..]);
    node("GatherElements", 13, json!({"axis": 0}), &[ties, upper], (&[1, 2], &[2.0, 1.0]));
    node("GatherElements", 13, json!({"axis": 1}), &[ties, upper], (&[1, 2], &[3.0, 3.0]));
    let new = ("F32", &[1, 2][..], &[7.0, 8.0][..]);
    node("ScatterElements", 13, json!({}), &[ties, upper, new], (&[2, 3], &[3.0, 8.0, 3.0, 7.0, 5.0, 2.0]));
    node("Scatter", 9, json!({"axis": 1}), &[ties, upper, new], (&[2, 3], &[8.0, 1.0, 7.0, 2.0, 5.0, 2.0]));
    let twice = ("I64", &[1, 2][..], &[1.0, 1.0][..]);
    node(
        "ScatterElements",
        18,
        json!({"axis": 1, "reduction": "add"}),
        &[ties, twice, new],
        (&[2, 3], &[3.0, 16.0, 3.0, 2.0, 5.0, 2.0]),
    );
    // Two groups of two channels of two: ±1 scaled and shifted, by group before version 21, by channel from there on.
    let groups = ("F32", &[1, 4, 1][..], &[1.0, 3.0, 5.0, 7.0][..]);
    let [scale, shift] = [("F32", &[2][..], &[2.0, 3.0][..]), ("F32", &[2][..], &[0.5, 0.0][..])];
    let plain = json!({"num_groups": 2, "epsilon": 0.0});
    node("GroupNormalization", 18, plain.clone(), &[groups, scale, shift], (&[1, 4, 1], &[-1.5, 2.5, -3.0, 3.0]));
    let [scale, shift] = [("F32", &[4][..], &[2.0, 3.0, 4.0, 5.0][..]), ("F32", &[4][..], &[0.0, 0.0, 0.0, 1.0][..])];
    node("GroupNormalization", 21, plain, &[groups, scale, shift], (&[1, 4, 1], &[-2.0, 3.0, -4.0, 6.0]));
    let e = std::f64::consts::E;
    node("ReduceLogSum", 18, json!({"keepdims": 0}), &[("F32", &[2], &[e * 0.5; 2])], (&[], &[1.0]));
    let chances = ("F32", &[2, 3][..], &[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0][..]);
    let labels = ("I64", &[2][..], &[2.0, 0.0][..]);
    node("NegativeLogLikelihoodLoss", 13, json!({}), &[chances, labels], (&[], &[3.5]));
    let weights = ("F32", &[3][..], &[1.0, 1.0, 3.0][..]);
    node("NegativeLogLikelihoodLoss", 13, json!({}), &[chances, labels, weights], (&[], &[13.0 / 4.0]));
    let ignoring = json!({"reduction": "none", "ignore_index": 0});
    node("NegativeLogLikelihoodLoss", 13, ignoring, &[chances, labels], (&[2], &[3.0, 0.0]));
    // Activations with kinks on both sides of them.
    let sides = ("F32", &[4][..], &[-4.0, -1.0, 1.0, 4.0][..]);
    node("HardSigmoid", 6, json!({}), &[sides], (&[4], &[0.0, 0.3, 0.7, 1.0]));
    node("HardSwish", 14, json!({}), &[sides], (&[4], &[0.0, -1.0 / 3.0, 2.0 / 3.0, 4.0]));
    node("Softsign", 1, json!({}), &[sides], (&[4], &[-0.8, -0.5, 0.5, 0.8]));
    node("ThresholdedRelu", 10, json!({}), &[sides], (&[4], &[0.0, 0.0, 0.0, 4.0]));
    let below = |x: f64| x.exp() - 1.0;
    node("Celu", 12, json!({"alpha": 2.0}), &[sides], (&[4], &[2.0 * below(-2.0), 2.0 * below(-0.5), 1.0, 4.0]));
    let selu = json!({"alpha": 2.0, "gamma": 3.0});
    node("Selu", 6, selu, &[sides], (&[4], &[6.0 * below(-4.0), 6.0 * below(-1.0), 3.0, 12.0]));
    let mish = |x: f64| x * x.exp().ln_1p().tanh();
    node("Mish", 18, json!({}), &[sides], (&[4], &[mish(-4.0), mish(-1.0), mish(1.0), mish(4.0)]));
    node("PRelu", 16, json!({}), &[sides, ("F32", &[1], &[0.5])], (&[4], &[-2.0, -0.5, 1.0, 4.0]));
    node("Dropout", 13, json!({}), &[sides], (&[4], &[-4.0, -1.0, 1.0, 4.0]));
    node("Dropout", 7, json!({"ratio": 0.5}), &[sides], (&[4], &[-4.0, -1.0, 1.0, 4.0]));
    // One step of each optimiser: Nesterov's, and Adam's first, without bias correction.
    let one = |v: &'static [f64]| ("F32", &[1][..], v);
    node(
        "Momentum",
        0,
        json!({"alpha": 0.5, "beta": 1.0, "mode": "nesterov", "norm_coefficient": 0.0}),
        &[("F32", &[], &[0.5]), ("I64", &[], &[3.0]), one(&[1.0]), one(&[2.0]), one(&[4.0])],
        (&[1], &[-1.0]),
    );
    node(
        "Adam",
        0,
        json!({"alpha": 0.5, "beta": 0.75, "epsilon": 1.0}),
        &[("F32", &[], &[0.5]), ("I64", &[], &[0.0]), one(&[1.0]), one(&[2.0]), one(&[0.0]), one(&[0.0])],
        (&[1], &[0.75]),
    );
}

#[test]
fn onnx_attributes_that_are_not_known_are_not_supported() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden/onnx");
    let Ok(text) = std::fs::read_to_string(beside.join("index.json")) else {
        println!("NO ONNX CASES at {}: this test is SKIPPED", beside.display());
        return;
    };
    let mut index: Value = serde_json::from_str(&text).unwrap();
    for case in index["cases"].as_array_mut().unwrap() {
        case["nodes"].as_array_mut().unwrap().iter_mut().for_each(|node| node["attrs"]["frobnicate"] = json!(1));
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::read_dir(&beside).unwrap().flatten().for_each(|file| {
        std::fs::write(dir.path().join(file.file_name()), std::fs::read(file.path()).unwrap()).unwrap();
    });
    std::fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
    let report = verify_dir(dir.path(), &Device::Cpu, None).unwrap();
    assert_eq!(report.not_supported(), report.cases.len());
}

/// A directory of one `relu` case with this index text and tensor file.
fn refusal(index: &[u8], file: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.json"), index).unwrap();
    std::fs::write(dir.path().join("t.safetensors"), file).unwrap();
    verify_dir(dir.path(), &Device::Cpu, None).unwrap_err().to_string()
}

fn index(changes: &[(&str, Value)]) -> Value {
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

/// One case with these changes and tensors, on a device.
fn judged(changes: &[(&str, Value)], list: &[(&str, &str, &[usize], &[f64])], device: &Device) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.json"), index(changes).to_string()).unwrap();
    std::fs::write(dir.path().join("t.safetensors"), tensors(list)).unwrap();
    verify_dir(dir.path(), device, None).unwrap().cases.remove(0).outcome
}

fn passes(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Passed(_))
}

#[test]
fn what_is_zero_by_theory_is_held_to_the_other_values() {
    // The softmax of one element is 1 whatever it is.
    let expected = json!({"out.y": {"max_abs": 1.0}, "grad.x": {"max_abs": 0.0, "zero": true}});
    let changes = [("op", json!("softmax")), ("given", json!({"in.x": {}, "up.y": {}})), ("expected", expected)];
    let with = |zero: f64| {
        let up: (&str, &str, &[usize], &[f64]) = ("c/up.y", "F32", &[1], &[2.0]);
        judged(
            &changes,
            &[
                ("c/in.x", "F32", &[1], &[3.0]),
                up,
                ("c/out.y", "F64", &[1], &[1.0]),
                ("c/grad.x", "F64", &[1], &[zero]),
            ],
            &Device::Reference,
        )
    };
    assert!(passes(&with(0.0)) && passes(&with(1e-12)));
    // A gradient that is not zero: sigmoid's.
    let expected = json!({"out.y": {"max_abs": 0.5}, "grad.x": {"max_abs": 0.0, "zero": true}});
    let changes = [("op", json!("sigmoid")), ("given", json!({"in.x": {}, "up.y": {}})), ("expected", expected)];
    let list: [(&str, &str, &[usize], &[f64]); 4] = [
        ("c/in.x", "F32", &[1], &[0.0]),
        ("c/up.y", "F32", &[1], &[1e-3]),
        ("c/out.y", "F64", &[1], &[0.5]),
        ("c/grad.x", "F64", &[1], &[0.0]),
    ];
    for device in [Device::Cpu, Device::Reference] {
        assert!(matches!(judged(&changes, &list, &device), Outcome::Failed { .. }));
    }
}

#[test]
fn shapes_are_compared_as_they_are() {
    let x: (&str, &str, &[usize], &[f64]) = ("c/in.x", "F32", &[1, 2], &[1.0, -1.0]);
    let given = ("given", json!({"in.x": {}}));
    let relu = |shape: &[usize]| {
        let changes = [given.clone(), ("expected", json!({"out.y": {"max_abs": 1.0}}))];
        judged(&changes, &[x, ("c/out.y", "F64", shape, &[1.0, 0.0])], &Device::Cpu)
    };
    assert!(passes(&relu(&[1, 2])));
    for shape in [&[2, 1][..], &[2], &[1, 2, 1], &[1, 1, 2]] {
        assert!(matches!(relu(shape), Outcome::Failed { why, .. } if why.contains("shape [1, 2]")), "{shape:?}");
    }
    let sum = |shape: &[usize]| {
        let expected = json!({"out.y": {"max_abs": 2.0}});
        let changes = [given.clone(), ("op", json!("sum")), ("attrs", json!({"axes": [0]})), ("expected", expected)];
        judged(&changes, &[("c/in.x", "F32", &[2], &[1.0, 1.0]), ("c/out.y", "F64", shape, &[2.0])], &Device::Cpu)
    };
    // A loss may be a number or a list of one.
    assert!(passes(&sum(&[])) && passes(&sum(&[1])));
    for shape in [&[1, 1][..], &[1, 1, 1]] {
        assert!(matches!(sum(shape), Outcome::Failed { why, .. } if why.contains("shape")), "{shape:?}");
    }
    // Cotangents and directions, too.
    let up = |shape: &[usize]| {
        let expected = json!({"grad.x": {"max_abs": 3.0}});
        let changes = [("given", json!({"in.x": {}, "up.y": {}})), ("expected", expected)];
        let up = ("c/up.y", "F32", shape, &[3.0, 5.0][..]);
        judged(&changes, &[x, up, ("c/grad.x", "F64", &[1, 2], &[3.0, 0.0])], &Device::Cpu)
    };
    assert!(passes(&up(&[1, 2])));
    assert!(matches!(up(&[2, 1]), Outcome::Failed { why, .. } if why.contains("up.y has shape [2, 1]")));
}

#[test]
fn values_that_are_no_numbers_are_compared_as_such() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    let with = |max_abs: &str, want: &[f64; 3]| {
        let dir = tempfile::tempdir().unwrap();
        let index = index(&[
            ("op", json!("exp")),
            ("given", json!({"in.x": {}})),
            ("expected", json!({"out.y": {"max_abs": "HERE", "f32": ["HERE", "HERE"]}})),
        ]);
        let text = index.to_string().replace("\"HERE\"", max_abs);
        std::fs::write(dir.path().join("index.json"), text).unwrap();
        let list = [("c/in.x", "F32", &[3][..], &[nan, 1e3, 0.0][..]), ("c/out.y", "F64", &[3], want)];
        std::fs::write(dir.path().join("t.safetensors"), tensors(&list)).unwrap();
        let ended = |device| verify_dir(dir.path(), &device, None).unwrap().cases.remove(0).outcome;
        // e^1000 is infinite in f64, too.
        [ended(Device::Cpu), ended(Device::Reference)]
    };
    for word in ["NaN", "Infinity", "null"] {
        assert!(with(word, &[nan, infinity, 1.0]).iter().all(passes), "{word}");
        for wrong in
            [[1.0, infinity, 1.0], [nan, nan, 1.0], [nan, -infinity, 1.0], [nan, 7.0, 1.0], [nan, infinity, nan]]
        {
            assert!(!with(word, &wrong).iter().any(passes), "{word} {wrong:?}");
        }
        assert!(!with(word, &[nan, infinity, 1.001]).iter().any(passes), "{word}: the finite value is held, too");
    }
    // As an attribute such a word is no number.
    let dir = tempfile::tempdir().unwrap();
    let text = index(&[("op", json!("leaky_relu")), ("attrs", json!({"slope": "HERE"}))]).to_string();
    let file = tensors(&[("c/in.x", "F32", &[2], &[1.0, -1.0]), ("c/out.y", "F64", &[2], &[1.0, 0.0])]);
    std::fs::write(dir.path().join("t.safetensors"), file).unwrap();
    for word in ["NaN", "Infinity", "-Infinity"] {
        std::fs::write(dir.path().join("index.json"), text.replace("\"HERE\"", word)).unwrap();
        assert_eq!(verify_dir(dir.path(), &Device::Cpu, None).unwrap().not_supported(), 1, "{word}");
    }
}

#[test]
fn what_the_format_does_not_have_is_never_passed() {
    let list: [(&str, &str, &[usize], &[f64]); 6] = [
        ("c/in.x", "F32", &[2], &[1.0, -1.0]),
        ("c/bogus.q", "F32", &[2], &[1.0, -1.0]),
        ("c/up.q", "F32", &[2], &[1.0, -1.0]),
        ("c/v.q", "F32", &[2], &[1.0, -1.0]),
        ("c/v.x", "F32", &[2], &[1.0, -1.0]),
        ("c/out.y", "F64", &[2], &[1.0, 0.0]),
    ];
    let expected = |more: Value| {
        let mut entry = json!({"max_abs": 1.0});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("expected", json!({"out.y": entry}))
    };
    assert!(passes(&judged(&[expected(json!({"note": "why", "f32": [0.0, 1e-7]}))], &list, &Device::Cpu)));
    let rows: [(&str, &[(&str, Value)]); 9] = [
        ("bogus.q", &[("given", json!({"in.x": {}, "bogus.q": {}}))]),
        ("up.q", &[("given", json!({"in.x": {}, "up.q": {}}))]),
        ("up.q", &[("given", json!({"in.x": {}, "up.q": {}})), ("loss", json!(["y"]))]),
        ("v.q", &[("given", json!({"in.x": {}, "v.q": {}}))]),
        ("v.x", &[("given", json!({"in.x": {}, "v.x": {}}))]),
        ("output q", &[("loss", json!(["q"]))]),
        ("tolerance", &[("tolerance", json!(1e-20))]),
        ("rtol", &[expected(json!({"rtol": 1e-30}))]),
        ("layout", &[("given", json!({"in.x": {"layout": "NHWC"}}))]),
    ];
    for (word, changes) in rows {
        let outcome = judged(changes, &list, &Device::Cpu);
        assert!(matches!(&outcome, Outcome::NotSupported(what) if what.contains(word)), "{word}: {outcome:?}");
    }
    // Two names of one setting.
    let settings = json!({"kind": "rmsprop", "lr": 0.5, "alpha": 0.75, "rho": 0.5});
    let changes = [
        ("op", json!("optimizer")),
        ("attrs", settings),
        ("given", json!({"in.p": {}, "in.g": {}})),
        expected(json!({})),
    ];
    let p = ("c/in.p", "F32", &[2][..], &[1.0, 1.0][..]);
    let outcome = judged(&changes, &[p, ("c/in.g", "F32", &[1, 2], &[1.0, 1.0]), list[5]], &Device::Cpu);
    assert!(matches!(&outcome, Outcome::NotSupported(what) if what.contains("alpha and rho")), "{outcome:?}");
    // Whole numbers where the op takes others, needed or not.
    let whole =
        judged(&[("given", json!({"in.x": {}}))], &[("c/in.x", "I64", &[2], &[1.0, 0.0]), list[5]], &Device::Cpu);
    assert!(matches!(&whole, Outcome::Failed { why, .. } if why.contains("in.x has whole numbers")), "{whole:?}");
    let linear = [("op", json!("linear")), ("given", json!({"in.x": {}, "in.w": {}, "in.b": {}})), expected(json!({}))];
    let bias = judged(
        &linear,
        &[
            ("c/in.x", "F32", &[1, 1], &[1.0]),
            ("c/in.w", "F32", &[2, 1], &[1.0, 0.0]),
            ("c/in.b", "I64", &[2], &[0.0, 0.0]),
            ("c/out.y", "F64", &[1, 2], &[1.0, 0.0]),
        ],
        &Device::Cpu,
    );
    assert!(matches!(&bias, Outcome::Failed { why, .. } if why.contains("in.b has whole numbers")), "{bias:?}");
}

#[test]
fn an_onnx_output_is_no_input() {
    let case = json!({
        "name": "c", "op": "Relu", "suite": "here", "opset": 14, "file": "t.safetensors", "inputs": {"x": {}},
        "constants": {}, "outputs": {"x": {}}, "nodes": [{"op": "Relu", "inputs": ["x"], "outputs": ["y"], "attrs": {}}],
    });
    let file = tensors(&[("c/x", "F32", &[2], &[1.0, -1.0])]);
    let why = refusal(json!({"format": 1, "cases": [case]}).to_string().as_bytes(), &file);
    assert!(why.contains("case c: outputs.x: is given, too"), "{why}");
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

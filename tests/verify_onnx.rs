//! Case directories of ONNX's operator tests, and its defaults by hand.

use crate::devices;
use crate::verify::{all_pass, refusal, tensors};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use toile::Device;
use toile::verify::verify_dir;

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

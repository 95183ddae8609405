//! What a case of a directory is held to: shapes, zeros, values that are no numbers, and what the format does not have.

use crate::verify::{index, tensors};
use serde_json::{Value, json};
use toile::Device;
use toile::verify::{Outcome, verify_dir};

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

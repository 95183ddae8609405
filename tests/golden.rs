//! Outside case files on every device: `toile::verify` on the cases in tests/golden.

use crate::devices;
use std::path::Path;
use toile::Device;
use toile::verify::{Outcome, verify_dir};

fn hold(device: &Device) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let report = verify_dir(&dir, device, None).unwrap();
    let mut groups: Vec<(&str, usize, usize, f64, String)> = Vec::new();
    let mut failures = Vec::new();
    for case in &report.cases {
        if groups.last().is_none_or(|(group, ..)| *group != case.group) {
            groups.push((&case.group, 0, 0, 0.0, String::new()));
        }
        let (_, passed, others, worst, place) = groups.last_mut().expect("one was pushed");
        match &case.outcome {
            Outcome::Passed(used) => {
                *passed += 1;
                if let Some(used) = used
                    && used.share() > *worst
                {
                    (*worst, *place) = (used.share(), format!("{} {}", case.name, used.role));
                }
            }
            Outcome::Failed { why, .. } => failures.push(format!("{} ({}): {why}", case.name, case.op)),
            Outcome::NotSupported(what) => {
                *others += 1;
                println!("{device}: {} is not supported: {what}", case.name);
            }
        }
    }
    for (group, passed, others, worst, place) in groups {
        println!("{device}: {group}: {passed} passed, {others} not supported; {worst:.3} of a tolerance at {place}");
    }
    assert!(failures.is_empty(), "{device}: {} cases failed:\n{}", failures.len(), failures.join("\n"));
    assert!(report.passed() >= 112, "{device}: only {} cases passed", report.passed());
    assert_eq!(report.not_supported(), 0, "{device}: every op of these files is known");
}

#[test]
fn golden_cases_on_the_reference() {
    hold(&Device::Reference);
}

#[test]
fn golden_cases_on_the_cpu() {
    hold(&Device::Cpu);
}

#[test]
fn golden_cases_on_the_gpu() {
    if let Some(gpu) = devices::gpu() {
        hold(&gpu);
    }
}

fn refusal(files: &[(&str, &[u8])]) -> String {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(dir.path().join(name), bytes).unwrap());
    verify_dir(dir.path(), &Device::Cpu, None).unwrap_err().to_string()
}

#[test]
fn broken_files_are_refused_with_name_and_place() {
    assert!(refusal(&[]).contains("cannot read"));
    assert!(refusal(&[("index.json", b"{\"format\": 1, \"cases\": [")]).contains("line 1"));
    assert!(refusal(&[("index.json", b"{\"format\": 2, \"cases\": []}")]).contains("this program reads format 1"));
    assert!(refusal(&[("index.json", b"{\"format\": 1}")]).contains("`cases` should be a list"));
    let case = |rest: &str| format!("{{\"format\": 1, \"cases\": [{{\"name\": \"c\", \"group\": \"g\", {rest}}}]}}");
    assert!(refusal(&[("index.json", case("\"op\": 3").as_bytes())]).contains("case c: "));
    let escape = case("\"op\": \"relu\", \"file\": \"../secret\", \"given\": {}, \"expected\": {}");
    assert!(refusal(&[("index.json", escape.as_bytes())]).contains("beside the index"));
    let good = case(
        "\"op\": \"relu\", \"file\": \"t.safetensors\", \"given\": {\"in.x\": {}}, \"expected\": {\"out.y\": {\"max_abs\": 1}}",
    );
    assert!(refusal(&[("index.json", good.as_bytes())]).contains("t.safetensors"));
    for tensors in
        [&b"\xff\xff\xff\xff\xff\xff\xff\xff{}"[..], b"", b"\x02\0\0\0\0\0\0\0{}", b"\x10\0\0\0\0\0\0\0{\"c/in.x\""]
    {
        let why = refusal(&[("index.json", good.as_bytes()), ("t.safetensors", tensors)]);
        assert!(why.contains("t.safetensors"), "{why}");
    }
}

#[test]
fn the_cases_are_those_of_the_shared_directory() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = own.join("../shared/golden");
    let Ok(entries) = std::fs::read_dir(&shared) else {
        println!("LEFT OUT: there is no {}", shared.display());
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|e| e == "json" || e == "safetensors") {
            let copy = own.join("tests/golden").join(path.file_name().unwrap());
            let (a, b) = (std::fs::read(&path).unwrap(), std::fs::read(&copy).unwrap_or_default());
            assert!(a == b, "{} is not {}", copy.display(), path.display());
        }
    }
}

//! `toile verify`: case directories read and written.

use crate::{refused, text, toile};
use std::process::Output;

#[test]
fn verify_reads_and_writes_case_directories() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let last = |output: &Output| text(&output.stdout).lines().last().unwrap_or_default().to_string();
    let output = toile(folder, &["verify", "--write", "cases", "--filter", "matmul"]);
    assert!(output.status.success() && last(&output) == "7 cases in 2 files", "{}", text(&output.stdout));
    refused(folder, &["verify", "--write", "cases", "--filter", "matmul"], 2, &["index.json", "exists", "--force"]);
    assert!(toile(folder, &["verify", "--write", "cases", "--filter", "matmul", "--force"]).status.success());

    let check = ["verify", "cases", "--device", "cpu"];
    let output = toile(folder, &[&check[..], &["--strict"]].concat());
    assert!(
        output.status.success() && last(&output) == "7 passed, 0 failed, 0 not supported",
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stdout).contains("worst of its tolerance"));
    let output = toile(folder, &[&check[..], &["--json"]].concat());
    let counts: serde_json::Value = serde_json::from_str(&last(&output)).unwrap();
    assert_eq!(
        (counts["passed"].as_u64(), counts["failed"].as_u64(), counts["not_supported"].as_u64()),
        (Some(7), Some(0), Some(0))
    );
    assert_eq!(text(&output.stdout).lines().count(), 8);

    // Only what did not pass, as JSON, too; and what a terminal would obey is escaped.
    let output = toile(folder, &[&check[..], &["--json", "--quiet"]].concat());
    let lines = text(&output.stdout);
    assert!(output.status.success() && lines.lines().count() == 1 && lines.contains("\"passed\":"), "{lines}");
    let index = std::fs::read_to_string(folder.join("cases/index.json")).unwrap();
    std::fs::create_dir(folder.join("odd")).unwrap();
    let odd = index.replacen("\"op\": \"matmul\"", "\"op\": \"\\u001b[31m\\u202emat\"", 1);
    assert!(odd != index);
    std::fs::write(folder.join("odd/index.json"), &odd).unwrap();
    for file in std::fs::read_dir(folder.join("cases")).unwrap().flatten().filter(|f| f.file_name() != "index.json") {
        std::fs::copy(file.path(), folder.join("odd").join(file.file_name())).unwrap();
    }
    let lines = text(&toile(folder, &["verify", "odd", "--device", "cpu"]).stdout);
    assert!(
        !lines.contains('\u{1b}') && !lines.contains('\u{202e}') && lines.contains("\\u{1b}[31m\\u{202e}mat"),
        "{lines}"
    );
    let named = odd.replacen("\"name\": \"", "\"name\": \"\\u001b[31m", 1).replacen("\"file\"", "\"elsewhere\"", 1);
    std::fs::write(folder.join("odd/index.json"), named).unwrap();
    let error = text(&toile(folder, &["verify", "odd", "--device", "cpu"]).stderr);
    assert!(!error.contains('\u{1b}') && error.contains("\\u{1b}[31m"), "{error}");

    // One case that is not known, one whose shapes do not fit.
    let index = std::fs::read_to_string(folder.join("cases/index.json")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&index).unwrap();
    changed["cases"][0]["op"] = "frobnicate".into();
    changed["cases"][1]["op"] = "add".into();
    std::fs::write(folder.join("cases/index.json"), changed.to_string()).unwrap();
    let output = toile(folder, &[&check[..], &["--quiet"]].concat());
    let lines = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{lines}");
    assert_eq!(last(&output), "5 passed, 1 failed, 1 not supported");
    for words in
        ["not supported  matmul, 5x7x3 (frobnicate)", "add: the shapes do not broadcast (a [1, 33], b [33, 9])"]
    {
        assert!(lines.contains(words), "{lines}");
    }
    assert!(lines.lines().count() == 3 && !text(&output.stderr).contains("panicked"), "{lines}");
    changed["cases"][1]["op"] = "matmul".into();
    std::fs::write(folder.join("cases/index.json"), changed.to_string()).unwrap();
    assert_eq!(toile(folder, &check).status.code(), Some(0));
    assert_eq!(toile(folder, &[&check[..], &["--strict"]].concat()).status.code(), Some(1));

    let tensors = std::fs::read(folder.join("cases/matmul.safetensors")).unwrap();
    std::fs::write(folder.join("cases/matmul.safetensors"), &tensors[..tensors.len() / 2]).unwrap();
    refused(folder, &check, 2, &["matmul.safetensors", "no safetensors file"]);
    std::fs::write(folder.join("cases/index.json"), &index[..index.len() / 2]).unwrap();
    refused(folder, &check, 2, &["index.json", "line", "column"]);
    refused(folder, &["verify", "nowhere", "--device", "cpu"], 2, &["nowhere", "cannot read"]);
    refused(folder, &["verify", "--device", "cpu"], 2, &["DIR", "--write"]);
    refused(folder, &["verify", "cases", "--device", "gpu:no such adapter"], 2, &["no such adapter"]);
    refused(folder, &["verify", "cases", "--write", "more"], 2, &["--write"]);
    refused(folder, &["verify", "cases", "--force"], 2, &["--write"]);
    refused(folder, &["verify", "--write", "more", "--filter", "nonsense"], 2, &["nonsense"]);
    assert!(!folder.join("more").exists());
}

/// Outside values hold with the plainer instructions that this processor has, too: kernels choose other ways with them.
#[test]
fn golden_values_hold_with_every_instruction_set() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for most in ["portable", "neon", "avx2", "avx512"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_toile"));
        let output =
            command.args(["verify", "--strict", "--device", "cpu", "--quiet"]).arg(&golden).env("TOILE_SIMD", most);
        let output = output.output().expect("the program starts");
        assert!(output.status.success(), "TOILE_SIMD={most}: {}", text(&output.stdout));
    }
}

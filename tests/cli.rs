//! The program as users meet it: commands, messages, exit codes, signals.

mod case_files;
mod design;
mod lanes;
mod measuring;
mod pictures;
mod stylize;
mod tutorials;

use std::path::Path;
use std::process::{Command, Output};

fn toile(folder: &Path, arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_toile")).args(arguments).current_dir(folder).output();
    run.expect("the program starts")
}

/// What the program said, with paths as they are written on most systems.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(std::path::MAIN_SEPARATOR, "/")
}

/// Runs a command that must fail with `code` and say every one of `words` in one error.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = toile(folder, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains("error:") && !error.contains("panicked"), "{arguments:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{arguments:?}: {word:?} is missing in: {error}");
    }
}

const SMALL: [&str; 8] = ["--device", "cpu", "--batch", "2", "--set", "data.count=8", "--set", "train.log_every=1"];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train"], &SMALL[..], more].concat()
}

#[test]
fn an_instruction_set_that_is_none_is_told() {
    let run = |value: &str| {
        let arguments = ["selftest", "--device", "cpu", "--filter", "matmul: 5x7x3", "--quiet"];
        Command::new(env!("CARGO_BIN_EXE_toile")).args(arguments).env("TOILE_SIMD", value).output().unwrap()
    };
    for value in ["portable", "neon", "avx2", "avx512"] {
        let output = run(value);
        assert!(output.status.success(), "{value}: {}", text(&output.stderr));
    }
    for value in ["sse", "AVX2", ""] {
        let output = run(value);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{value:?}: {error}");
        assert!(error.contains(&format!("TOILE_SIMD={value}: takes portable, neon")), "{value:?}: {error}");
    }
}

#[test]
fn train_sample_and_resume() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let output = toile(folder, &train(&["--steps", "2", "--json", "--threads", "1"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["step"], 2);
    assert_eq!(text(outcome["run"].as_str().unwrap().as_bytes()), "runs/seed-1");
    for file in
        ["recipe.toml", "metrics.jsonl", "losses.svg", "samples/step-000002.png", "checkpoints/step-000002.safetensors"]
    {
        assert!(folder.join("runs/seed-1").join(file).is_file(), "{file}");
    }
    // The next run takes the next folder.
    assert!(toile(folder, &train(&["--steps", "1", "--quiet"])).status.success());
    assert!(folder.join("runs/seed-2").is_dir());

    let output =
        toile(folder, &["train", "--resume", "runs/seed-1", "--steps", "3", "--device", "cpu", "--threads", "2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("goes on after step 2"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(folder.join("runs/seed-1/metrics.jsonl")).unwrap().lines().count(), 3);
    refused(folder, &["train", "--resume", "runs/seed-1", "--device", "cpu"], 2, &["3 steps already"]);

    let sample = ["sample", "runs/seed-1", "--count", "3", "--device", "cpu", "--threads", "1", "--out", "grid.png"];
    assert!(toile(folder, &sample).status.success());
    refused(folder, &sample, 1, &["grid.png", "exists"]);
    assert!(toile(folder, &[&sample[..], &["--force"]].concat()).status.success());
    assert!(
        toile(folder, &["sample", "runs/seed-1", "--count", "2", "--device", "cpu", "--single", "drafts"])
            .status
            .success()
    );
    assert_eq!(std::fs::read_dir(folder.join("drafts")).unwrap().count(), 2);
    refused(folder, &["sample", "runs/seed-1", "--step", "1", "--device", "cpu"], 2, &["--step 1", "[2, 3]"]);
    refused(folder, &["sample", "runs/seed-1", "--count", "0"], 2, &["--count 0"]);
    refused(folder, &["sample", "runs/seed-1", "--out", "grid.jpg"], 2, &["grid.jpg", ".png"]);
    refused(folder, &["sample", "runs/seed-1", "--out", "none/grid.png"], 1, &["none", "no folder"]);
}

#[test]
fn bad_input_gets_one_clear_error() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    std::fs::create_dir(folder.join("empty")).unwrap();
    std::fs::create_dir(folder.join("pictures")).unwrap();
    write("pictures/broken.png", b"\x89PNG\r\n\x1a\nnot really");
    write("cut-idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3]);
    write("recipe.toml", b"name = \"x\"\ninit = 3");
    write("syntax.toml", b"name = [");

    let set = |setting: &'static str| train(&["--set", setting]);
    refused(folder, &train(&["--data", "missing"]), 2, &["missing", "garments"]);
    refused(folder, &train(&["--data", "empty"]), 1, &["empty"]);
    refused(folder, &train(&["--data", "pictures"]), 1, &["broken.png"]);
    refused(folder, &train(&["--data", "cut-idx3-ubyte"]), 1, &["cut-idx3-ubyte", "7,072", "19"]);
    refused(folder, &["train", "recipe.toml"], 2, &["recipe.toml", "init"]);
    refused(folder, &["train", "syntax.toml"], 2, &["syntax.toml", "line 1"]);
    refused(folder, &["train", "nothing.toml"], 2, &["nothing.toml", "seed"]);
    refused(folder, &set("train.btch=3"), 2, &["train.btch", "`batch`"]);
    refused(folder, &set("train.batch=-3"), 2, &["train.batch", "whole number"]);
    refused(folder, &set("train.batch=0"), 2, &["train.batch", "at least 1"]);
    refused(folder, &set("train.batch=\"many\""), 2, &["train.batch", "many"]);
    refused(folder, &set("optimizer.lr=nan"), 2, &["optimizer.lr"]);
    refused(folder, &set("generator.layers.0.dense.units=128"), 2, &["generator.layers[3].shape", "[3, 7, 7]", "128"]);
    refused(folder, &set("data.size=[32,32]"), 2, &["[3, 28, 28]", "[3, 32, 32]"]);
    refused(folder, &set("discriminator.layers.5.dense.units=2"), 2, &["discriminator.layers", "[2]"]);
    refused(folder, &set("train"), 2, &["--set train", "'='"]);
    refused(folder, &set("a.b=1"), 2, &["unknown field `a`", "`train`"]);
    refused(folder, &["train", "--device", "tpu"], 2, &["tpu", "cpu"]);
    refused(folder, &["train", "--device", "gpu:no such adapter"], 1, &["no such adapter", "--device cpu"]);
    refused(folder, &["train", "--threads", "0"], 2, &["--threads"]);
    refused(folder, &["train", "--resume", "empty"], 2, &["empty", "not a run"]);
    refused(folder, &["train", "--resume", "empty", "--batch", "3"], 2, &["--batch"]);
    refused(folder, &["sample", "nowhere"], 2, &["nowhere"]);
    refused(folder, &["frobnicate"], 2, &["frobnicate"]);
    write("occupied", b"a file");
    refused(folder, &train(&["--out", "occupied", "--steps", "1"]), 2, &["occupied", "is a file"]);
    refused(folder, &["train", "cyclegan", "--data", "missing"], 2, &["missing", "trainA/"]);
    refused(folder, &train(&["--out", "pictures", "--steps", "1"]), 2, &["pictures", "not empty"]);
}

#[test]
fn a_run_says_what_memory_it_takes_and_one_that_cannot_fit_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let output = toile(place.path(), &train(&["--steps", "1", "--accumulate", "2"]));
    let told = text(&output.stderr);
    assert!(output.status.success() && told.contains("memory: about "), "{told}");
    refused(place.path(), &train(&["--accumulate", "3"]), 2, &["train.accumulate", "train.batch = 2"]);
    let ways = ["train.batch", "MiB are free", "--batch", "--accumulate", "train.checkpoint=true"];
    refused(place.path(), &["train", "dcgan", "--device", "cpu", "--batch", "65536"], 2, &ways);
    let large = ["--set", "data.size=[4096, 4096]", "--batch", "64", "--device", "cpu"];
    refused(place.path(), &[&["train", "cyclegan"], &large[..]].concat(), 2, &ways);
    // Refused at once: so many images are not gone through one by one, nor so many parts.
    for parts in ["1", "65536"] {
        let many = ["train", "fastcut", "--device", "cpu", "--batch", "65536", "--accumulate", parts];
        refused(place.path(), &[&many[..], &["--set", "data.size=[128, 128]"]].concat(), 2, &ways[..2]);
    }
    refused(
        place.path(),
        &[&["train", "adain"], &large[..]].concat(),
        2,
        &["train.batch", "MiB are free", "data.size"],
    );
    assert!(!place.path().join("runs/dcgan-1").exists(), "refused before there is a folder");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_sigkill_loses_only_the_last_steps() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let spawn = |out: &str| {
        let arguments = train(&["--steps", "100000", "--out", out, "--set", "train.checkpoint_every=2"]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_toile"));
        command.args(arguments).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let wait_for_steps = |out: &str| {
        let begun = Instant::now();
        let metrics = folder.join(out).join("metrics.jsonl");
        while std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 5 {
            assert!(begun.elapsed() < Duration::from_secs(120), "no step was made");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let signal = |child: &std::process::Child, name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };

    let child = spawn("interrupted");
    wait_for_steps("interrupted");
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("--resume interrupted"), "{}", text(&output.stdout));

    let child = spawn("killed");
    wait_for_steps("killed");
    signal(&child, "-KILL");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), None);
    for out in ["interrupted", "killed"] {
        let rows = std::fs::read_to_string(folder.join(out).join("metrics.jsonl")).unwrap().lines().count() as u64 + 2;
        let resume = ["train", "--resume", out, "--steps", &rows.to_string(), "--device", "cpu"];
        let output = toile(folder, &resume);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

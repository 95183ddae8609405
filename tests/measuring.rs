//! Commands that measure: selftest, bench, what they keep between runs, classify.

use crate::{refused, text, toile};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn selftest_and_devices() {
    let place = tempfile::tempdir().unwrap();
    let output = toile(place.path(), &["selftest", "--device", "cpu", "--filter", "matmul"]);
    let table = text(&output.stdout);
    assert!(output.status.success() && table.contains("matmul") && table.contains(" passed, 0 failed"), "{table}");
    refused(place.path(), &["selftest", "--device", "cpu", "--filter", "nonsense"], 2, &["nonsense"]);
    refused(place.path(), &["selftest", "--device", "cpu", "--minimal"], 2, &["--minimal", "cpu"]);
    refused(place.path(), &["selftest", "--device", "gpu:no such adapter"], 2, &["no such adapter"]);
    let output = toile(place.path(), &["devices", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(list["adapters"].is_array() && list["auto"].is_string(), "{list}");
}

#[test]
fn what_an_earlier_run_left_is_used_and_what_is_broken_is_done_without() {
    if std::env::var("TOILE_TEST_NO_GPU").is_ok_and(|value| value == "1") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    let run = |cache: &Path, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toile"));
        command.args(arguments).current_dir(place.path()).env("TOILE_CACHE_DIR", cache);
        command.output().expect("the program starts")
    };
    let list: serde_json::Value = serde_json::from_slice(&run(&cache, &["devices", "--json"]).stdout).unwrap();
    let adapter = &list["adapters"][0];
    let keeps = adapter["features"].as_array().unwrap().iter().any(|feature| feature == "pipeline-cache");
    let tuning = std::path::PathBuf::from(adapter["tuning_file"].as_str().unwrap());
    // Numbers and messages of a short training run.
    let train = |cache: &Path, out: &str| {
        let small =
            ["train", "--device", "gpu:0", "--batch", "2", "--steps", "1", "--set", "data.count=2", "--out", out];
        let output = run(cache, &small);
        let told = text(&output.stderr);
        assert!(output.status.success() && !told.contains("panicked"), "{told}");
        (std::fs::read_to_string(place.path().join(out).join("metrics.jsonl")).unwrap(), told)
    };
    let pipelines = || {
        let files = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == "bin")).collect::<Vec<_>>()
    };

    // Nothing is there: nothing is said; kernels are left, and taken by the next run.
    let (numbers, told) = train(&cache, "fresh");
    assert!(!told.contains("warning") && !told.contains("tuned"), "{told}");
    assert_eq!(pipelines().len(), usize::from(keeps), "a file of compiled kernels");
    let (again, told) = train(&cache, "again");
    assert!(again == numbers && !told.contains("warning"), "{told}");

    // A choice is used, that of another adapter is not.
    let choice = "[[product]]\nvariant = \"naive\"\n";
    std::fs::create_dir_all(tuning.parent().unwrap()).unwrap();
    std::fs::write(&tuning, choice).unwrap();
    let (tuned, told) = train(&cache, "tuned");
    assert!(told.contains("as tuned") && !told.contains("warning"), "{told}");
    assert_ne!(tuned, numbers, "other kernels round otherwise");
    std::fs::rename(&tuning, tuning.with_file_name("tuning-another-adapter.toml")).unwrap();
    let (other, told) = train(&cache, "other");
    assert!(other == numbers && !told.contains("tuned"), "{told}");

    // Broken files: a warning for each, and the numbers of the table.
    std::fs::write(&tuning, "[[product]]\nvariant = \"fastest\"\n").unwrap();
    pipelines().iter().for_each(|path| std::fs::write(path, b"not what was written").unwrap());
    let (broken, told) = train(&cache, "broken");
    assert!(broken == numbers && told.contains("built-in table") && told.contains("tuning"), "{told}");
    assert_eq!(told.contains("compiled again"), keeps, "{told}");
    std::fs::remove_file(&tuning).unwrap();
    let (mended, told) = train(&cache, "mended");
    assert!(mended == numbers && !told.contains("warning"), "the broken file was replaced: {told}");

    // No folder can be made there.
    std::fs::write(place.path().join("occupied"), b"a file").unwrap();
    let occupied = place.path().join("occupied/cache");
    let (without, told) = train(&occupied, "without");
    assert!(without == numbers, "{told}");
    assert_eq!(told.contains("cannot be kept"), keeps, "{told}");
    // Before minutes of measuring; /proc/self is a folder in which no file can be made.
    for folder in [&*occupied, Path::new("/proc/self")].into_iter().filter(|folder| folder.exists()) {
        let output = run(folder, &["bench", "--tune", "--device", "gpu:0"]);
        let told = text(&output.stderr);
        let place = folder.file_name().unwrap().to_str().unwrap();
        assert!(output.status.code() == Some(1) && !told.contains("panicked"), "{told}");
        assert!(
            told.contains(place) && told.contains("cannot be stored") && told.contains("TOILE_CACHE_DIR"),
            "{told}"
        );
    }
}

#[test]
fn bench_checks_and_times() {
    let place = tempfile::tempdir().unwrap();
    let rows = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let output = toile(place.path(), &[&["bench", "--device", "cpu", "--json"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let kernels = rows(&["--kernels", "--filter", "sum over"]);
    assert!(kernels[0]["limits"]["copy_gbs"].as_f64().unwrap() > 0.0, "{kernels:?}");
    assert_eq!(kernels[1]["kernel"], "sum over all but channels");
    let rate = 4.0 * 64.0 * 64.0 * 1024.0 / kernels[1]["median_s"].as_f64().unwrap() * 1e-9;
    assert!((kernels[1]["rate"].as_f64().unwrap() / rate - 1.0).abs() < 1e-9, "{kernels:?}");
    let steps = rows(&["--steps", "--filter", "w1"]);
    assert_eq!((steps.len(), &steps[0]["workload"], &steps[0]["batch"]), (1, &"w1".into(), &64.into()));
    assert!(steps[0]["first_step_s"].as_f64().unwrap() > 0.0, "{steps:?}");
    assert!(steps[0]["growth_with"].is_null(), "{steps:?}");
    let growth = rows(&["--growth", "--filter", "1x3x64x64"]);
    assert_eq!((growth.len(), &growth[0]["growth_with"], &growth[0]["size"]), (1, &"image size".into(), &64.into()));
    let profile = toile(place.path(), &["bench", "--device", "cpu", "--profile", "w1"]);
    assert!(text(&profile.stdout).contains("conv2d"), "{}", text(&profile.stdout));
    refused(place.path(), &["bench", "--device", "reference", "--kernels"], 2, &["reference", "cpu"]);
}

#[test]
fn a_classifier_is_trained_and_judges() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let small = ["data.size=[16, 16]", "data.held_out=12", "data.count=16", "classifier.width=2", "train.batch=4"];
    let settings: Vec<&str> = small.iter().flat_map(|setting| ["--set", setting]).collect();
    let output = toile(folder, &[&["train", "classifier", "--device", "cpu", "--steps", "2"], &settings[..]].concat());
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.contains("% of 12 right") && said.contains("toile classify runs/classifier-1"), "{said}");
    assert!(folder.join("runs/classifier-1/samples/step-000002.png").is_file());

    image::RgbaImage::from_pixel(20, 9, image::Rgba([200, 30, 40, 128])).save(folder.join("a.png")).unwrap();
    let classify =
        |more: &[&str]| toile(folder, &[&["classify", "runs/classifier-1", "--device", "cpu"], more].concat());
    let output = classify(&["a.png"]);
    assert!(text(&output.stdout).starts_with("a.png: "), "{}", text(&output.stderr));
    let output = classify(&["--data", "garments:outline", "--count", "9", "--size", "24", "--json"]);
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let examined = figures["examined"].as_array().unwrap();
    assert_eq!((examined.len(), &examined[0]["pictures"]), (1, &9.into()), "line drawings show no pattern: {figures}");
    let refused_with = |more: &[&str], code, words: &[&str]| {
        refused(folder, &[&["classify", "runs/classifier-1", "--device", "cpu"], more].concat(), code, words);
    };
    refused_with(&["--data", "garments:plain-velvet"], 2, &["plain-velvet", "houndstooth"]);
    refused_with(&["--data", "photos"], 2, &["--data photos"]);
    refused_with(&["none.png"], 1, &["none.png"]);
    refused_with(&["a.png", "--step", "7"], 2, &["--step 7", "[2]"]);
    refused(folder, &["sample", "runs/classifier-1"], 2, &["classifier", "toile classify"]);
    refused(folder, &["classify", "runs/none", "a.png"], 2, &["runs/none", "toile train"]);
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    let place = tempfile::tempdir().unwrap();
    let refused_with = |more: &[&str], words: &[&str]| {
        refused(place.path(), &[&["bench", "--device", "cpu"], more].concat(), 2, words);
    };
    refused(place.path(), &["bench", "--device", "tpu"], 2, &["tpu", "gpu:NAME"]);
    refused_with(&["--filter", "nonsense"], &["--filter nonsense"]);
    refused_with(&["--threads", "0"], &["--threads 0", "1 to 1024"]);
    refused_with(&["--batch", "3"], &["--batch", "--profile"]);
    refused_with(&["--tune"], &["--tune", "gpu:NAME"]);
    // Options that would be passed over.
    refused_with(&["--checked", "--kernels"], &["--checked", "gpu:NAME"]);
    refused_with(&["--as-hardware", "--steps"], &["--as-hardware", "gpu:NAME"]);
    refused_with(&["--profile", "w1", "--steps"], &["--profile", "--steps"]);
    refused_with(&["--tune", "--filter", "conv2d"], &["--tune", "--filter"]);
    // Sizes that a network cannot have.
    refused_with(&["--profile", "w3"], &["w3", "wgan-gp"]);
    refused_with(&["--profile", "w1", "--batch", "0"], &["--batch 0", "1 to 65536"]);
    refused_with(&["--profile", "w1", "--size", "30"], &["w1", "28"]);
    refused_with(&["--profile", "w1", "--width", "30"], &["w1", "64"]);
    refused_with(&["--profile", "w2", "--size", "100"], &["--size 100", "16, 32, 64"]);
    refused_with(&["--profile", "w4", "--size", "3"], &["--size 3", "multiple of 4"]);
    refused_with(&["--profile", "wgan-gp", "--size", "30"], &["--size 30", "multiple of 4"]);
    refused_with(&["--profile", "w2", "--width", "65536"], &["generator.layers", "filters"]);
    refused_with(&["--profile", "w4", "--size", "65536", "--batch", "65536"], &["too large together"]);
    if std::fs::exists("/proc/meminfo").unwrap_or(false) {
        refused_with(&["--profile", "w2", "--batch", "65536"], &["W2", "MiB are free", "--batch"]);
        refused_with(&["--profile", "w4", "--size", "65536"], &["W4", "MiB are free", "--size"]);
    }
}

/// `toile … | head` is no error.
#[test]
fn a_closed_pipe_ends_bench_quietly() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toile"));
    command.args(["bench", "--device", "cpu", "--json", "--kernels", "--filter", "sum over"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

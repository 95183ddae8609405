//! The program as users meet it: commands, messages, exit codes, signals.

mod design;
mod lanes;
mod stylize;
mod tutorials;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn toile(folder: &Path, arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_toile")).args(arguments).current_dir(folder).output();
    run.expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
fn train_sample_and_resume() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let output = toile(folder, &train(&["--steps", "2", "--json"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["step"], 2);
    assert_eq!(outcome["run"], "runs/seed-1");
    for file in
        ["recipe.toml", "metrics.jsonl", "losses.svg", "samples/step-000002.png", "checkpoints/step-000002.safetensors"]
    {
        assert!(folder.join("runs/seed-1").join(file).is_file(), "{file}");
    }
    // The next run takes the next folder.
    assert!(toile(folder, &train(&["--steps", "1", "--quiet"])).status.success());
    assert!(folder.join("runs/seed-2").is_dir());

    let output = toile(folder, &["train", "--resume", "runs/seed-1", "--steps", "3", "--device", "cpu"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("goes on after step 2"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(folder.join("runs/seed-1/metrics.jsonl")).unwrap().lines().count(), 3);
    refused(folder, &["train", "--resume", "runs/seed-1", "--device", "cpu"], 2, &["3 steps already"]);

    let sample = ["sample", "runs/seed-1", "--count", "3", "--device", "cpu", "--out", "grid.png"];
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
    refused(folder, &train(&["--out", "occupied", "--steps", "1"]), 1, &["occupied"]);
    refused(folder, &train(&["--out", "pictures", "--steps", "1"]), 2, &["pictures", "not empty"]);
}

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
    let output = run(&occupied, &["bench", "--tune", "--device", "gpu:0"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("occupied") && !told.contains("panicked"), "{told}");
}

#[test]
fn a_run_says_what_memory_it_takes_and_one_that_cannot_fit_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let output = toile(place.path(), &train(&["--steps", "1", "--accumulate", "2"]));
    let told = text(&output.stderr);
    assert!(output.status.success() && told.contains("memory: about "), "{told}");
    refused(place.path(), &train(&["--accumulate", "3"]), 2, &["train.accumulate", "train.batch = 2"]);
    if std::fs::exists("/proc/meminfo").unwrap_or(false) {
        let ways = ["train.batch", "MiB are free", "--batch", "--accumulate", "train.checkpoint=true"];
        refused(place.path(), &["train", "dcgan", "--device", "cpu", "--batch", "65536"], 2, &ways);
        let large = ["--set", "data.size=[4096, 4096]", "--batch", "64", "--device", "cpu"];
        refused(place.path(), &[&["train", "cyclegan"], &large[..]].concat(), 2, &ways);
        assert!(!place.path().join("runs/dcgan-1").exists(), "refused before there is a folder");
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
    refused(place.path(), &["bench", "--device", "cpu", "--filter", "nonsense"], 2, &["nonsense"]);
    let profile = toile(place.path(), &["bench", "--device", "cpu", "--profile", "w1"]);
    assert!(text(&profile.stdout).contains("conv2d"), "{}", text(&profile.stdout));
    refused(place.path(), &["bench", "--device", "cpu", "--profile", "w3"], 2, &["w3", "wgan-gp"]);
    refused(place.path(), &["bench", "--device", "cpu", "--tune"], 2, &["--tune", "gpu:NAME"]);
    refused(place.path(), &["bench", "--device", "reference", "--kernels"], 2, &["reference", "cpu"]);
}

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

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_sigkill_loses_only_the_last_steps() {
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

#[test]
fn translate_keeps_size_and_transparency_and_refuses_with_reasons() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let sizes = [
        "data.size=[16, 16]",
        "data.load_size=[16, 16]",
        "data.count=4",
        "translator.unet.ngf=2",
        "translator.unet.downs=3",
        "discriminator.ndf=2",
        "discriminator.layers=1",
    ];
    let mut arguments = vec!["train", "pix2pix", "--steps", "1", "--device", "cpu", "--quiet", "--out", "run"];
    sizes.iter().for_each(|setting| arguments.extend(["--set", *setting]));
    let output = toile(folder, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let output =
        toile(folder, &["metrics", "run", "--count", "5", "--sheet", "sheet.png", "--json", "--device", "cpu"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["pictures"], 5);
    let [share, distance] = ["silhouette_iou", "distance_to_answer"].map(|key| figures[key].as_f64().unwrap());
    assert!((0.0..=1.0).contains(&share) && (1.0..255.0).contains(&distance), "{figures}");
    assert_eq!(image::open(folder.join("sheet.png")).unwrap().width(), 12 * (16 * 4 + 2) + 2);
    refused(folder, &["metrics", "run", "--sheet", "sheet.png", "--device", "cpu"], 1, &["sheet.png", "exists"]);

    let pictures = folder.join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    image::RgbImage::from_fn(21, 13, |x, y| image::Rgb([(x * 12) as u8, (y * 19) as u8, 90]))
        .save(pictures.join("a.png"))
        .unwrap();
    image::RgbaImage::from_fn(9, 30, |x, _| image::Rgba([200, 10, 10, (x * 28) as u8]))
        .save(pictures.join("b.png"))
        .unwrap();
    image::GrayImage::from_pixel(1, 1, image::Luma([77])).save(pictures.join("c.png")).unwrap();
    let translate = ["translate", "run", "pictures", "--device", "cpu", "--out", "out"];
    let output = toile(folder, &translate);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let opened = |name: &str| image::open(folder.join("out").join(name)).unwrap();
    assert_eq!((opened("a.png").width(), opened("a.png").height()), (21, 13));
    assert!(!opened("a.png").color().has_alpha());
    let b = opened("b.png").into_rgba8();
    assert_eq!(b.dimensions(), (9, 30));
    assert!((0..9).all(|x| b.get_pixel(x, 7)[3] == (x * 28) as u8));
    assert_eq!(opened("c.png").width(), 1);
    let made = toile::report::read_png_text(folder.join("out/a.png")).unwrap();
    for key in ["run", "step", "model", "data", "content", "content-hash", "direction"] {
        assert!(made.iter().any(|(k, v)| k == key && !v.is_empty()), "{key} is missing in {made:?}");
    }
    // The same again gives the same bytes; without --force nothing is replaced.
    let first = std::fs::read(folder.join("out/a.png")).unwrap();
    refused(folder, &translate, 1, &["out/a.png", "--force"]);
    assert!(toile(folder, &[&translate[..], &["--force"]].concat()).status.success());
    assert!(std::fs::read(folder.join("out/a.png")).unwrap() == first);
    // One picture into one file, scaled to the training size.
    let one = ["translate", "run", "pictures/a.png", "--device", "cpu", "--out", "one.png", "--as-trained"];
    assert!(toile(folder, &one).status.success());
    assert_eq!(image::open(folder.join("one.png")).unwrap().width(), 16);

    let with = |out: &'static str, more: &[&'static str]| {
        [&["translate", "run", "pictures", "--device", "cpu", "--out", out], more].concat()
    };
    refused(folder, &with("x.png", &[]), 2, &["3 pictures", "folder"]);
    refused(folder, &with("y", &["--direction", "b-to-a"]), 2, &["A to B alone", "data.swap"]);
    refused(folder, &with("y", &["--step", "9"]), 2, &["checkpoints of steps [1]"]);
    refused(folder, &with("y", &["pictures/a.png"]), 2, &["would both become"]);
    std::fs::write(folder.join("text.png"), "no picture").unwrap();
    refused(folder, &["translate", "run", "text.png", "--device", "cpu", "--out", "y"], 1, &["text.png"]);
    refused(folder, &["sample", "run", "--device", "cpu"], 2, &["toile translate"]);
    refused(folder, &["train", "cyclegan", "--data", "pictures"], 1, &["trainA/", "source_b"]);
    refused(folder, &["train", "cut", "--data", "garments:plain-velvet"], 2, &["houndstooth"]);
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
fn styles_are_transferred_by_pixels_and_by_a_network() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    image::RgbaImage::from_fn(40, 30, |x, y| image::Rgba([200, (6 * x) as u8, 40, if y < 9 { 0 } else { 255 }]))
        .save(folder.join("a.png"))
        .unwrap();
    image::RgbImage::from_fn(30, 40, |x, y| image::Rgb([if (x + y) % 8 < 4 { 220 } else { 30 }, 90, (5 * x) as u8]))
        .save(folder.join("b.png"))
        .unwrap();
    let gatys = ["gatys", "a.png", "b.png", "--size", "32", "--evaluations", "6", "--device", "cpu", "--out", "g.png"];
    for (optimizer, search) in [("adam", "fixed"), ("lbfgs", "fixed"), ("lbfgs", "wolfe")] {
        let more = ["--optimizer", optimizer, "--line-search", search, "--force", "--json"];
        let output = toile(folder, &[&gatys[..], &more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((said["losses"].as_array().unwrap().len(), &said["written"][0]), (6, &"g.png".into()), "{said}");
    }
    let made = image::open(folder.join("g.png")).unwrap().into_rgba8();
    assert_eq!((made.dimensions(), made.get_pixel(3, 0)[3], made.get_pixel(3, 20)[3]), ((32, 24), 0, 255));
    refused(folder, &gatys, 1, &["g.png", "exists already"]);
    let with = |more: &[&'static str]| [&gatys[..gatys.len() - 1], &["new.png"], more].concat();
    refused(folder, &with(&["--features", "nowhere"]), 2, &["nowhere", "random"]);
    refused(folder, &with(&["--features", "b.png"]), 1, &["b.png", "torch_weights.py"]);
    refused(folder, &with(&["--style-layers", "relu1"]), 2, &["relu1", "scale1"]);
    refused(folder, &with(&["--lr", "11"]), 2, &["--lr 11"]);
    refused(folder, &["gatys", "a.png", "none.png", "--out", "c.png"], 1, &["none.png"]);
    refused(folder, &["gatys", "a.png", "b.png", "--out", "c.jpg"], 2, &["c.jpg", ".png"]);

    let small =
        ["--set", "data.size=[16, 16]", "--set", "data.count=8", "--steps", "1", "--batch", "2", "--device", "cpu"];
    let output = toile(folder, &[&["train", "adain"], &small[..]].concat());
    let said = text(&output.stdout);
    assert!(said.contains("toile transfer runs/adain-1") && said.contains("--style"), "{}", text(&output.stderr));
    let transfer = ["transfer", "runs/adain-1", "a.png", "--device", "cpu", "--out", "t.png"];
    let output = toile(folder, &[&transfer[..], &["--style", "b.png", "--strength", "0.5"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made = image::open(folder.join("t.png")).unwrap().into_rgba8();
    assert_eq!((made.dimensions(), made.get_pixel(3, 0)[3]), ((40, 30), 0));
    refused(folder, &[&transfer[..], &["--style", "b.png"]].concat(), 1, &["t.png", "exists already"]);
    refused(folder, &[&transfer[..], &["--force"]].concat(), 2, &["--style"]);
    refused(
        folder,
        &[&transfer[..], &["--force", "--style", "b.png", "--strength", "2"]].concat(),
        2,
        &["--strength 2"],
    );
    refused(folder, &["sample", "runs/adain-1"], 2, &["toile transfer"]);
    refused(folder, &["train", "johnson"], 2, &["objective.johnson.style"]);
}

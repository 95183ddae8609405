//! The selftest through other drivers than the other tests use: SwiftShader, and OpenGL where it offers compute. Each in
//! a process of its own, because a process loads its drivers once, and some of them crash.

use super::text;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says something past the test runner, which shows nothing of a test that passes.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "tests/lanes.rs: {line}");
}

fn left_out(lane: &str) -> bool {
    let out = std::env::var("TOILE_TEST_NO_GPU").is_ok_and(|value| value == "1");
    if out {
        say(&format!("!!! LANE {lane} SKIPPED: TOILE_TEST_NO_GPU=1 !!!"));
    }
    out
}

/// The selftest on an adapter, with these drivers; its closing line. None if there is no such adapter.
fn selftest(device: &str, manifest: Option<&Path>) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toile"));
    command.args(["selftest", "--quiet", "--device", device]).env("NODEVICE_SELECT", "1");
    if let Some(manifest) = manifest {
        // The second name is for older Vulkan loaders.
        command.env("VK_DRIVER_FILES", manifest).env("VK_ICD_FILENAMES", manifest);
    }
    let output = command.output().expect("the program starts");
    let (told, error) = (text(&output.stdout), text(&output.stderr));
    if error.contains("there is no adapter with") || error.contains("error: cannot use") {
        return None;
    }
    assert!(output.status.success(), "toile selftest --device {device}: {}\n{told}{error}", output.status);
    let last = told.lines().last().expect("a closing line").to_string();
    assert!(last.contains(" passed, 0 failed") && !last.starts_with("0 "), "{last}");
    Some(last)
}

/// SwiftShader's library: named by TOILE_SWIFTSHADER, or that of a browser.
fn swiftshader() -> Option<PathBuf> {
    const LIBRARY: &str = "libvk_swiftshader.so";
    if let Some(named) = std::env::var_os("TOILE_SWIFTSHADER") {
        let named = PathBuf::from(named);
        return Some(if named.is_dir() { named.join(LIBRARY) } else { named });
    }
    let mut folders: Vec<PathBuf> = ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/usr/lib64/chromium-browser"]
        .iter()
        .chain(&["/opt/google/chrome", "/opt/chromium.org/chromium", "/snap/chromium/current/usr/lib/chromium-browser"])
        .map(PathBuf::from)
        .collect();
    // Browsers that test frameworks unpack, a folder a version.
    if let Some(home) = std::env::var_os("HOME") {
        for (cache, inside) in [(".cache/ms-playwright", "chrome-linux"), (".cache/puppeteer/chrome", "chrome-linux64")]
        {
            let versions = std::fs::read_dir(Path::new(&home).join(cache)).into_iter().flatten().flatten();
            folders.extend(versions.map(|version| version.path().join(inside)));
        }
    }
    folders.into_iter().map(|folder| folder.join(LIBRARY)).find(|library| library.is_file())
}

#[test]
fn swiftshader_agrees_with_the_reference() {
    if left_out("swiftshader") {
        return;
    }
    let Some(library) = swiftshader() else {
        return say(
            "!!! LANE swiftshader SKIPPED: no libvk_swiftshader.so (Chromium brings one; or TOILE_SWIFTSHADER=PATH) !!!",
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("swiftshader.json");
    let driver = serde_json::json!({ "library_path": library, "api_version": "1.1.0" });
    std::fs::write(&manifest, serde_json::json!({ "file_format_version": "1.0.0", "ICD": driver }).to_string())
        .unwrap();
    match selftest("gpu:swiftshader", Some(&manifest)) {
        Some(last) => say(&format!("lane swiftshader ({}): {last}", library.display())),
        None => panic!("{} is there, but it brings no usable adapter", library.display()),
    }
}

#[test]
fn opengl_agrees_with_the_reference() {
    if left_out("gl") {
        return;
    }
    match selftest("gpu:gl", None) {
        Some(last) => say(&format!("lane gl: {last}")),
        None => say("!!! LANE gl SKIPPED: no OpenGL driver with compute shaders (Debian: libegl1 libgl1-mesa-dri) !!!"),
    }
}

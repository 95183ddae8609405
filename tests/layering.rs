//! The house rules that a machine can hold: a folder imports only what stands above it, only `gpu` names wgpu.

use std::path::{Path, PathBuf};

/// Top to bottom: each may use those before it. (`tensor` and `ops` know each other's names through the crate root only
/// downwards: `Tensor`'s methods are written in `ops`.)
const ORDER: [&str; 19] = [
    "error", "shape", "rng", "gpu", "cpu", "tensor", "ops", "autograd", "nn", "optim", "check", "data", "models",
    "metrics", "report", "train", "bench", "verify", "cli",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_folder_imports_only_what_stands_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let name = inside.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if matches!(name.as_str(), "lib" | "main") {
            continue;
        }
        let own =
            ORDER.iter().position(|o| *o == name).unwrap_or_else(|| panic!("src/{name} has no place in the order"));
        let text = std::fs::read_to_string(&path).unwrap();
        // Tests inside a file may use what they like.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in lines {
            for (at, _) in line.match_indices("crate::") {
                let word: String = line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if let Some(used) = ORDER.iter().position(|o| *o == word) {
                    seen += 1;
                    if used > own {
                        wrong.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim()));
                    }
                }
            }
            if name != "gpu" && line.contains("wgpu::") {
                wrong.push(format!("{}:{} names wgpu", inside.display(), number + 1));
            }
        }
        assert!(text.starts_with("//! "), "{}: the first line says what lives here", inside.display());
    }
    assert!(seen > 100, "only {seen} imports were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_op_has_its_shader_and_its_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<String> = toile::check::cases().iter().map(|case| case.op().to_string()).collect();
    // The implicit matrix products serve four ops; what launches them is gpu/gemm/. `limits` is no op: it is what the
    // bench holds the others against.
    let of_no_op = |shader: &&str| shader.starts_with("gemm") || *shader == "limits";
    for shader in toile::gpu::shaders().into_iter().filter(|shader| !of_no_op(shader)) {
        // A family of several shaders is a folder.
        let part = shader.strip_prefix("batch_norm").map(|part| part.trim_start_matches('_'));
        let twin = match part {
            Some("") => "batch_norm/value.rs".to_string(),
            Some("sums") => "batch_norm/gradient.rs".to_string(),
            Some(part) => format!("batch_norm/{part}.rs"),
            None => format!("{shader}.rs"),
        };
        assert!(root.join("src/ops").join(&twin).is_file(), "shaders/{shader}.wgsl has no src/ops/{twin}");
    }
    // Every name that an op gives itself in src/ops is the name of a case.
    let fused = ["activation_gradient", "batch_norm_sums", "batch_norm_input", "max_pool2d_input", "mean_of_gradient"]; // run inside gradients
    for path in sources(&root.join("src/ops")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for body in text.split("fn name(&self) -> &'static str {").skip(1) {
            let body = &body[..body.find("fn inputs").unwrap_or(body.len())];
            for op in body.split('"').skip(1).step_by(2) {
                assert!(
                    names.iter().any(|n| n == op) || fused.contains(&op),
                    "{}: op {op:?} has no case",
                    path.display()
                );
            }
        }
    }
}

/// tests/mutants.sh takes minutes; that its bugs can still be planted is seen at once.
#[test]
fn every_planted_bug_finds_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("tests/mutants.txt")).unwrap();
    let (mut planted, mut wrong) = (0, Vec::new());
    for entry in list.split("\n\n") {
        let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let (Some(name), Some(file), Some(old)) = (field("name"), field("file"), field("old")) else { continue };
        let wanted = field("in").unwrap_or("@").replacen('@', old, 1).replace("\\n", "\n");
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
        planted += 1;
        if text.matches(&wanted).count() != 1 {
            wrong.push(format!("{name}: this must stand once in {file}: {wanted}"));
        }
    }
    assert!(planted >= 30, "only {planted} entries were read");
    assert!(wrong.is_empty(), "tests/mutants.txt is out of date:\n{}", wrong.join("\n"));
}

/// Pictures of the documentation say how they were made, and nothing about the machine where that was.
#[test]
fn every_picture_of_the_documentation_records_how_it_was_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    let pictures = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let pictures: Vec<PathBuf> = pictures.filter(|path| path.extension().is_some_and(|end| end == "png")).collect();
    assert!(pictures.len() >= 15, "only {} pictures", pictures.len());
    for path in pictures {
        let text = toile::report::read_png_text(&path).unwrap();
        assert!(!text.is_empty(), "{}: records nothing", path.display());
        for (key, value) in text {
            let own = ["/home/", "/tmp/", "/root/", "/Users/", "/work/"].iter().find(|place| value.contains(**place));
            assert!(own.is_none(), "{}: {key} names a place of one machine: {value}", path.display());
        }
    }
}

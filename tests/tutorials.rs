//! The tutorials' commands, run as written: only sizes and numbers of steps are made small.

use super::{text, toile};
use std::path::Path;

/// The commands of a page: the lines of its `sh` blocks, continued lines joined.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for block in page.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default().replace("\\\n", " ");
        for line in block.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
            assert_eq!(words[0], "toile", "a tutorial's commands are the program's own: {line}");
            commands.push(words[1..].to_vec());
        }
    }
    commands
}

/// The same command, small: more settings for what trains, fewer steps where a number is written.
fn small(mut words: Vec<String>) -> Vec<String> {
    let numbers: &[(&str, &str)] = match words[0].as_str() {
        "train" => &[("--steps", "3")],
        "stylize" => &[("--steps", "2"), ("--size", "32")],
        "gatys" => &[("--evaluations", "3"), ("--size", "32")],
        _ => &[],
    };
    for (option, value) in numbers {
        match words.iter().position(|word| word == option) {
            Some(at) => words[at + 1] = value.to_string(),
            None if words[0] == "train" => {}
            None => words.extend([option.to_string(), value.to_string()]),
        }
    }
    let settings: &[&str] = match (words[0].as_str(), words.get(1).map(String::as_str)) {
        ("train", Some("--resume")) => &[],
        ("train", Some("pix2pix")) => {
            &["train.steps=2", "translator.unet.ngf=2", "discriminator.ndf=2", "data.count=4"]
        }
        ("train", Some("cyclegan" | "cut" | "fastcut")) => &[
            "train.steps=2",
            "translator.resnet.ngf=2",
            "translator.resnet.blocks=1",
            "discriminator.ndf=2",
            "data.count=4",
        ],
        ("train", Some("classifier")) => &["train.steps=2", "train.batch=4", "data.held_out=12"],
        ("train", _) => &["train.steps=2", "train.batch=2", "data.count=8"],
        _ => &[],
    };
    words.extend(settings.iter().flat_map(|setting| ["--set".to_string(), setting.to_string()]));
    words
}

fn run_page(name: &str) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap();
    let (place, commands) = (tempfile::tempdir().unwrap(), commands(&page));
    assert!(commands.len() >= 8, "{name}: only {} commands were found", commands.len());
    for command in commands {
        let command = small(command);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let output = toile(place.path(), &words);
        assert!(output.status.success(), "{name}: toile {}\n{}", words.join(" "), text(&output.stderr));
        // Each file that a command says it writes is there.
        for pair in words.windows(2).filter(|pair| ["--out", "--sheet", "--save-model"].contains(&pair[0])) {
            assert!(place.path().join(pair[1]).exists(), "{name}: toile {}: no {}", words.join(" "), pair[1]);
        }
    }
}

#[test]
fn the_first_tutorial_runs_as_written() {
    run_page("tutorial-gans.md");
}

#[test]
fn the_tutorial_on_style_runs_as_written() {
    run_page("tutorial-style.md");
}

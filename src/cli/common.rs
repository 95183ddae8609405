//! Options that many commands take, and the command as it was typed.

use super::{device, say};
use crate::Device;
use crate::error::{Error, Result};
use std::path::Path;
use std::sync::{Mutex, Once};

/// How many threads it takes.
#[derive(clap::Args)]
pub struct Threads {
    /// CPU threads [default: all cores].
    #[arg(id = "threads", long, value_name = "N")]
    pub count: Option<usize>,
}

impl Threads {
    /// Sizes the thread pool; must come before any parallel work. Only the first time counts: a command that needs the pool
    /// before it opens its device calls this by itself.
    pub fn apply(&self) -> Result<()> {
        static SIZED: Once = Once::new();
        let Some(n) = self.count else { return Ok(()) };
        if !(1..=1024).contains(&n) {
            return Err(Error::Usage(format!("--threads {n}: takes 1 to 1024")));
        }
        let mut sized = Ok(());
        SIZED.call_once(|| sized = rayon::ThreadPoolBuilder::new().num_threads(n).build_global());
        sized.map_err(|error| Error::Usage(format!("--threads {n}: {error}")))
    }
}

/// Where it computes.
#[derive(clap::Args)]
pub struct Machine {
    #[arg(long, default_value = "auto", help = device::HELP)]
    pub device: String,
    #[command(flatten)]
    pub threads: Threads,
}

impl Machine {
    /// Opens the device and says which, on standard error unless it is to be quiet.
    pub fn open(&self, printing: &Printing) -> Result<Device> {
        self.threads.apply()?;
        let (device, line) = device::open(&self.device)?;
        if !printing.quiet {
            say(&format!("device: {line}"));
        }
        Ok(device)
    }
}

/// What it prints.
#[derive(clap::Args)]
pub struct Printing {
    /// No progress and no remarks.
    #[arg(long)]
    pub quiet: bool,
    /// What was done or found, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Of a command that computes something and writes files: where it computes, what it prints, what it may replace.
#[derive(clap::Args)]
pub struct Common {
    /// Replaces files that exist.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub printing: Printing,
}

impl Common {
    /// Opens the device and says which.
    pub fn open(&self) -> Result<Device> {
        self.machine.open(&self.printing)
    }

    /// Refuses an output that exists, or whose folder does not, before any work.
    pub fn check_new(&self, path: &Path) -> Result<()> {
        check_new(path, self.force)
    }

    /// The same for a picture, whose name must say that it is a PNG.
    pub fn check_png(&self, path: &Path) -> Result<()> {
        check_png(path, self.force)
    }
}

fn check_new(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(Error::file(path, "exists already: choose another name, or replace it with --force"));
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => Err(Error::file(folder, "is no folder: make it first")),
        _ => Ok(()),
    }
}

/// As [`Common::check_png`], for commands that compute on no device.
pub fn check_png(path: &Path, force: bool) -> Result<()> {
    if !path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
        let why = "the result is a PNG file, so its name must end in .png";
        return Err(Error::Usage(format!("{}: {why}", path.display())));
    }
    check_new(path, force)
}

static COMMAND: Mutex<String> = Mutex::new(String::new());

/// Remembers the arguments, the program's name first. What has no influence on a picture (`--force`, `--quiet`, `--json`,
/// `--threads`) and where it goes (`--out`) is left out, so that equal pictures are equal files.
pub fn remember_command(arguments: &[std::ffi::OsString]) {
    let mut text = "toile".to_string();
    let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match &*word {
            "--force" | "--quiet" | "--json" => continue,
            "--threads" | "--out" => {
                words.next();
                continue;
            }
            word if word.starts_with("--threads=") || word.starts_with("--out=") => continue,
            _ => {}
        }
        let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
        text.push(' ');
        if !word.is_empty() && word.chars().all(plain) {
            text.push_str(&word);
        } else {
            // As a shell would read it.
            text.push_str(&format!("'{}'", word.replace('\'', "'\\''")));
        }
    }
    // A PNG's text cannot hold a zero; neither can an argument.
    *COMMAND.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text;
}

/// The command as it was typed.
pub fn command() -> String {
    COMMAND.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_kept_without_what_does_not_matter() {
        let words = "/bin/toile sample run --seed 3 --out x.png --force --threads=2 --quiet --single".split(' ');
        let words: Vec<std::ffi::OsString> = words.chain(["my drafts", "it's"]).map(Into::into).collect();
        remember_command(&words);
        assert_eq!(command(), "toile sample run --seed 3 --single 'my drafts' 'it'\\''s'");
    }
}

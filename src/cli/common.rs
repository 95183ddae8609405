//! Options that many commands take, and the command as it was typed.

use super::{device, say, use_threads};
use crate::Device;
use crate::error::{Error, Result};
use std::path::Path;
use std::sync::Mutex;

/// Where it computes, what it prints, what it may replace.
#[derive(clap::Args)]
pub struct Common {
    /// Replaces files that exist.
    #[arg(long)]
    pub force: bool,
    #[arg(long, default_value = "auto", help = device::HELP)]
    pub device: String,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Prints nothing but errors.
    #[arg(long)]
    pub quiet: bool,
    /// What was done as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// Opens the device and says which.
    pub fn open(&self) -> Result<Device> {
        use_threads(self.threads)?;
        let (device, line) = device::open(&self.device)?;
        if !self.quiet {
            say(&format!("device: {line}"));
        }
        Ok(device)
    }

    /// Refuses an output that exists, before any work.
    pub fn check_new(&self, path: &Path) -> Result<()> {
        if !self.force && path.symlink_metadata().is_ok() {
            return Err(Error::file(path, "exists already: choose another name, or replace it with --force"));
        }
        Ok(())
    }
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

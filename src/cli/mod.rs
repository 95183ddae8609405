//! Commands and options.

mod audit;
mod bench;
mod bench_profile;
mod blend;
mod check_data;
mod classify;
mod common;
mod device;
mod devices;
mod draw;
mod gatys;
mod interpolate;
mod metrics;
mod points;
mod progress;
mod sample;
mod selftest;
mod stylize;
mod train;
mod transfer;
mod translate;
mod variations;
mod verify;

use crate::error::{Error, Result};
use clap::{Parser, Subcommand};

/// toile drafts fashion designs with GANs that run on its own numerics engine: hand-written WGSL kernels on any Vulkan,
/// Metal, DX12 or GL adapter, or a fast CPU path.
#[derive(Parser)]
#[command(name = "toile", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
    Sample(sample::Args),
    Interpolate(interpolate::Args),
    Blend(blend::Args),
    Variations(variations::Args),
    Translate(translate::Args),
    Stylize(stylize::Args),
    Draw(draw::Args),
    Metrics(metrics::Args),
    Classify(classify::Args),
    Gatys(gatys::Args),
    Transfer(transfer::Args),
    Selftest(selftest::Args),
    Devices(devices::Args),
    Verify(verify::Args),
    CheckData(check_data::Args),
    Audit(audit::Args),
    Bench(bench::Args),
}

/// Parses the arguments of this process, runs the command and returns the exit code: 0 done, 1 failed, 2 used wrongly.
pub fn run() -> u8 {
    run_from(std::env::args_os())
}

/// The same for other arguments, of which the first is the program's name.
pub fn run_from<T: Into<std::ffi::OsString> + Clone>(arguments: impl IntoIterator<Item = T>) -> u8 {
    let arguments: Vec<std::ffi::OsString> = arguments.into_iter().map(Into::into).collect();
    common::remember_command(&arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() { 2 } else { 0 };
            return if error.print().is_ok() { code } else { 1 };
        }
    };
    let result = match cli.command {
        Command::Train(args) => train::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Interpolate(args) => interpolate::run(args),
        Command::Blend(args) => blend::run(args),
        Command::Variations(args) => variations::run(args),
        Command::Translate(args) => translate::run(args),
        Command::Stylize(args) => stylize::run(args),
        Command::Draw(args) => draw::run(args),
        Command::Metrics(args) => metrics::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Gatys(args) => gatys::run(args),
        Command::Transfer(args) => transfer::run(args),
        Command::Selftest(args) => selftest::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Verify(args) => verify::run(args),
        Command::CheckData(args) => check_data::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error}"));
            error.exit_code()
        }
    }
}

/// Writes a line to standard error. That it may be closed or full is no reason to stop: a run goes on and is saved.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a line to standard output; a closed pipe (`toile … | head`) ends the command quietly.
fn print_line(line: &str) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Error::io("cannot write", "standard output", error)),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Options of one command that have one name inside the program read each other's values.
    #[test]
    fn each_option_of_a_command_has_a_name_of_its_own() {
        for command in Cli::command().get_subcommands() {
            let mut seen = std::collections::HashSet::new();
            for option in command.get_arguments() {
                assert!(seen.insert(option.get_id()), "{}: {} twice", command.get_name(), option.get_id());
            }
        }
    }
}

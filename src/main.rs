//! The program: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Mesa's device-selection layer prints an error on machines without a display; nothing here has one to select for.
    // SAFETY: no other thread exists yet, so nothing reads the environment at the same time.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    ExitCode::from(toile::cli::run())
}

//! `toile bench --kernels` as a benchmark target: `cargo bench --bench kernels -- [--device gpu:NAME] [--filter TEXT] …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    ExitCode::from(toile::cli::run_from(["toile", "bench", "--kernels"].map(String::from).into_iter().chain(given)))
}

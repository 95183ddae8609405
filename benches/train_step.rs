//! `toile bench --steps` as a benchmark target: `cargo bench --bench train_step -- [--device gpu:NAME] [--filter w1] …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    ExitCode::from(toile::cli::run_from(["toile", "bench", "--steps"].map(String::from).into_iter().chain(given)))
}

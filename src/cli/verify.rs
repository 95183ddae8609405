//! `toile verify`: outside case files against the engine.

use super::{device, print_line, use_threads};
use crate::error::{Error, Result};
use crate::verify::{CaseReport, Outcome, verify_dir_with};
use std::path::PathBuf;

/// Runs a directory of outside case files on a device
///
/// The directory holds index.json and safetensors files (docs/testing.md).
/// An op or attribute that the engine does not know is 'not supported' and
/// counted apart. Exit code 1 if a case fails, or with --strict if one is
/// not supported.
///
/// Examples:
///
///   toile verify tests/golden --device reference
///   toile verify my-cases --device cpu --filter conv2d --strict
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The directory with index.json.
    dir: PathBuf,
    #[arg(long, default_value = "auto", help = device::HELP)]
    device: String,
    /// Only cases whose name, op or group holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// A case that is not supported counts as a failure.
    #[arg(long)]
    strict: bool,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Only what did not pass, and the last line.
    #[arg(long)]
    quiet: bool,
    /// One JSON object a case.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<u8> {
    use_threads(args.threads)?;
    let (device, line) = device::open(&args.device)?;
    if !args.quiet && !args.json {
        print_line(&format!("device: {line}"))?;
    }
    // Shapes that do not fit an op end in a panic inside the engine, which the run turns into a failed case.
    std::panic::set_hook(Box::new(|_| ()));
    let mut printed = Ok(());
    let report = verify_dir_with(&args.dir, &device, args.filter.as_deref(), |case| {
        let line = if args.json { Some(json(case)) } else { text(case, args.quiet) };
        if let (Some(line), Ok(())) = (line, &printed) {
            printed = print_line(&line);
        }
    });
    drop(std::panic::take_hook());
    printed?;
    let report = report?;
    if report.cases.is_empty() {
        let filter = args.filter.map_or("the index holds no case".into(), |f| {
            format!("--filter {f}: no case has this in its name, op or group")
        });
        return Err(Error::Usage(filter));
    }
    let (passed, failed, not_supported) = (report.passed(), report.failed(), report.not_supported());
    if !args.json {
        print_line(&format!("{passed} passed, {failed} failed, {not_supported} not supported"))?;
    }
    Ok(if failed > 0 || (args.strict && not_supported > 0) { 1 } else { 0 })
}

fn text(case: &CaseReport, quiet: bool) -> Option<String> {
    let name = format!("{} ({})", case.name, case.op);
    match &case.outcome {
        Outcome::Passed(_) if quiet => None,
        Outcome::Passed(Some(worst)) => {
            Some(format!("passed         {name}: {:.0} % of the tolerance, {}", worst.share() * 100.0, worst.role))
        }
        Outcome::Passed(None) => Some(format!("passed         {name}")),
        Outcome::NotSupported(what) => Some(format!("not supported  {name}: {what}")),
        Outcome::Failed { why, worst } => {
            let places = worst.iter().take(3).map(|w| format!("\n    {w}")).collect::<String>();
            Some(format!("FAILED         {name}: {why}{places}"))
        }
    }
}

fn json(case: &CaseReport) -> String {
    let (outcome, why, share) = match &case.outcome {
        Outcome::Passed(worst) => ("passed", None, worst.as_ref().map(|w| w.share())),
        Outcome::NotSupported(what) => ("not supported", Some(what.clone()), None),
        Outcome::Failed { why, worst } => {
            ("failed", Some(why.clone()), worst.first().map(|w| w.share()).filter(|s| s.is_finite()))
        }
    };
    serde_json::json!({
        "name": case.name, "op": case.op, "group": case.group, "outcome": outcome, "why": why, "share_of_tolerance": share,
    })
    .to_string()
}

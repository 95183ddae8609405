//! `toile verify`: outside case files against the engine, and the engine's own cases for others.

use super::common::{Machine, Printing};
use super::{device, print_line, say};
use crate::error::{Error, Result};
use crate::gpu::GpuOptions;
use crate::verify::{CaseReport, Outcome, VerifyReport, verify_dir_with, write_dir};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Runs a directory of outside case files on a device, or writes one
///
/// The directory holds index.json and safetensors files: cases of the format
/// in docs/testing.md, or ONNX operator tests. An op or attribute that the
/// engine does not know is 'not supported' and counted apart; the last line
/// holds the counts. --quiet leaves it and what did not pass; --json gives an
/// object a case and one with the counts.
///
/// With --write the engine's own reference cases are written instead, for
/// other engines to be tested with.
///
/// Exit code 0: all passed; 1: a case failed, or with --strict one is not
/// supported; 2: a wrong command line, no such device, or files that cannot be
/// read.
///
/// Examples:
///
///   toile verify tests/golden --device reference
///   toile verify my-cases --device cpu --filter conv2d --strict
///   toile verify --write our-cases
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The directory with index.json.
    #[arg(conflicts_with = "write")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    /// Only cases whose name, op or group holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// A case that is not supported counts as a failure.
    #[arg(long, conflicts_with = "write")]
    strict: bool,
    /// Write the engine's reference cases into this directory.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["device", "json"])]
    write: Option<PathBuf>,
    /// With --write: replace files that are there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: Args) -> Result<u8> {
    args.machine.threads.apply()?;
    match (&args.write, &args.dir) {
        (Some(folder), _) => write(&args, folder),
        (None, _) if args.force => Err(Error::Usage("--force goes with --write".into())),
        (None, Some(dir)) => verify(&args, dir),
        (None, None) => Err(Error::Usage(
            "verify needs DIR, a directory with index.json, or --write DIR, to write the engine's own cases there"
                .into(),
        )),
    }
}

/// A bar on a terminal while something takes long; `shown` is false where lines already show how far it is.
fn bar(shown: bool) -> ProgressBar {
    if !shown || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} cases, {elapsed}: {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn write(args: &Args, folder: &std::path::Path) -> Result<u8> {
    let bar = bar(!args.printing.quiet);
    let written = write_dir(folder, args.filter.as_deref(), args.force, |case| {
        bar.set_message(case.to_string());
        bar.inc(1);
    });
    bar.finish_and_clear();
    let written = match written {
        Err(error @ (Error::File { .. } | Error::Io { .. })) => return unusable(&error),
        other => other?,
    };
    if !args.printing.quiet {
        for file in &written.files {
            print_line(&format!("wrote {}", file.display()))?;
        }
    }
    print_line(&format!("{} cases in {} files", written.cases, written.files.len()))?;
    Ok(0)
}

/// Files that cannot be read or written are the caller's to mend, unlike a case that fails.
fn unusable(error: &Error) -> Result<u8> {
    say(&format!("error: {}", shown(&error.to_string())));
    Ok(2)
}

/// A text of an index as a terminal may have it: control characters and those that turn the direction are escaped.
fn shown(text: &str) -> String {
    let plain = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    text.chars().map(|c| if plain(c) { c.to_string() } else { c.escape_debug().to_string() }).collect()
}

/// Keeps panics' own messages off the terminal while it lives: shapes that do not fit an op end in a panic inside the
/// engine, whose message becomes the case's.
struct QuietPanics(Option<Hook>);

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send + 'static>;

impl QuietPanics {
    fn new() -> QuietPanics {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        QuietPanics(Some(before))
    }
}

impl Drop for QuietPanics {
    fn drop(&mut self) {
        // A hook cannot be set while a panic unwinds.
        if let Some(before) = self.0.take().filter(|_| !std::thread::panicking()) {
            std::panic::set_hook(before);
        }
    }
}

fn verify(args: &Args, dir: &std::path::Path) -> Result<u8> {
    let (device, line) = device::open_to_check(&args.machine.device, GpuOptions::default())?;
    if !args.printing.quiet && !args.printing.json {
        print_line(&format!("device: {line}"))?;
    }
    let bar = bar(args.printing.quiet || !std::io::stdout().is_terminal());
    let mut printed = Ok(());
    let report = {
        let _quiet = QuietPanics::new();
        verify_dir_with(dir, &device, args.filter.as_deref(), |case| {
            bar.set_message(shown(&case.name));
            bar.inc(1);
            let left_out = args.printing.quiet && matches!(case.outcome, Outcome::Passed(_));
            let line = if args.printing.json { json(case) } else { text(case) };
            if printed.is_ok() && !left_out {
                printed = bar.suspend(|| print_line(&line));
            }
        })
    };
    bar.finish_and_clear();
    printed?;
    let report = match report {
        Err(error @ (Error::File { .. } | Error::Io { .. })) => return unusable(&error),
        other => other?,
    };
    if report.cases.is_empty() {
        let filter = args.filter.as_ref().map_or("the index holds no case".into(), |f| {
            format!("--filter {f}: no case has this in its name, op or group")
        });
        return Err(Error::Usage(filter));
    }
    let (passed, failed, not_supported) = (report.passed(), report.failed(), report.not_supported());
    if args.printing.json {
        let counts = serde_json::json!({ "passed": passed, "failed": failed, "not_supported": not_supported });
        print_line(&counts.to_string())?;
    } else {
        if !args.printing.quiet {
            table(&report)?;
        }
        print_line(&format!("{passed} passed, {failed} failed, {not_supported} not supported"))?;
    }
    Ok(if failed > 0 || (args.strict && not_supported > 0) { 1 } else { 0 })
}

/// One line an op: the counts, and how much of its tolerance the worst case that passed used.
fn table(report: &VerifyReport) -> Result<()> {
    let mut ops: Vec<&str> = Vec::new();
    for case in &report.cases {
        if !ops.contains(&case.op.as_str()) {
            ops.push(&case.op);
        }
    }
    let width = ops.iter().map(|op| shown(op).chars().count()).max().unwrap_or(0).max(2);
    print_line(&format!(
        "\n{:<width$} {:>7} {:>7} {:>14}  worst of its tolerance",
        "op", "passed", "failed", "not supported"
    ))?;
    for op in ops {
        let of_op = VerifyReport { cases: report.cases.iter().filter(|case| case.op == op).cloned().collect() };
        let shares = of_op.cases.iter().filter_map(|case| match &case.outcome {
            Outcome::Passed(Some(worst)) => Some((worst.share(), worst, &case.name)),
            _ => None,
        });
        let place = shares.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(String::new(), |(share, worst, name)| {
            shown(&format!("{:.0} %, {} of {name}", share * 100.0, worst.role))
        });
        let (passed, failed, not_supported) = (of_op.passed(), of_op.failed(), of_op.not_supported());
        let op = shown(op);
        print_line(&format!("{op:<width$} {passed:>7} {failed:>7} {not_supported:>14}  {place}"))?;
    }
    Ok(())
}

fn text(case: &CaseReport) -> String {
    let name = shown(&format!("{} ({})", case.name, case.op));
    match &case.outcome {
        Outcome::Passed(Some(worst)) => {
            let role = shown(&worst.role);
            format!("passed         {name}: {:.0} % of the tolerance, {role}", worst.share() * 100.0)
        }
        Outcome::Passed(None) => format!("passed         {name}"),
        Outcome::NotSupported(what) => format!("not supported  {name}: {}", shown(what)),
        // `why` is the worst place where there is one.
        Outcome::Failed { worst, .. } if !worst.is_empty() => {
            let places = worst.iter().take(3).map(|w| format!("\n    {}", shown(&w.to_string()))).collect::<String>();
            let more = worst.len().saturating_sub(3);
            let more = if more > 0 { format!("\n    and {more} more tensors") } else { String::new() };
            format!("FAILED         {name}:{places}{more}")
        }
        Outcome::Failed { why, .. } => format!("FAILED         {name}: {}", shown(why)),
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

//! `toile selftest`: every op's cases on this machine's device.

use super::{device, print_line, use_threads};
use crate::check::{CaseReport, Check, cases, check_case};
use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Holds every op on a device against the f64 reference
///
/// Values, first and second gradients, repeated runs. On the reference
/// itself the gradients are held against central differences. Exit code 1
/// if a check fails.
///
/// Examples:
///
///   toile selftest
///   toile selftest --device gpu:llvmpipe --filter conv2d
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[arg(long, default_value = "auto", help = device::HELP)]
    device: String,
    /// Only cases whose name holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Only the last line, and what failed.
    #[arg(long)]
    quiet: bool,
    /// One JSON object a check instead of the table.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<u8> {
    use_threads(args.threads)?;
    let (device, line) = device::open(&args.device)?;
    if !args.quiet && !args.json {
        print_line(&format!("device: {line}"))?;
    }
    let wanted: Vec<_> =
        cases().into_iter().filter(|c| args.filter.as_ref().is_none_or(|f| c.name.contains(f))).collect();
    if wanted.is_empty() {
        return Err(Error::Usage(format!(
            "--filter {}: no case has this in its name",
            args.filter.unwrap_or_default()
        )));
    }
    let bar = if args.quiet || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}");
        ProgressBar::new(wanted.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    };
    let mut all: Vec<(String, CaseReport)> = Vec::new();
    for case in &wanted {
        bar.set_message(case.name.clone());
        for report in check_case(case, &device)? {
            if args.json {
                print_line(&json(&report))?;
            }
            all.push((case.op().to_string(), report));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !args.quiet && !args.json {
        table(&all)?;
    }
    let failed: Vec<&CaseReport> = all.iter().map(|(_, report)| report).filter(|report| !report.passed()).collect();
    if !args.json {
        for report in &failed {
            let (check, limit) = (report.check.name(), report.limit);
            print_line(&format!(
                "FAILED {}: {check} of {}: {}; limit {limit:.1e}",
                report.case, report.of, report.deviation
            ))?;
        }
        print_line(&format!("{} passed, {} failed", all.len() - failed.len(), failed.len()))?;
    }
    Ok(if failed.is_empty() { 0 } else { 1 })
}

/// One line an op: how many checks, and the worst error as a share of its limit for each kind.
fn table(all: &[(String, CaseReport)]) -> Result<()> {
    let mut ops: Vec<&str> = Vec::new();
    for (op, _) in all {
        if !ops.contains(&op.as_str()) {
            ops.push(op);
        }
    }
    print_line(&format!(
        "{:<16} {:>6}  {:>9} {:>9} {:>9}  worst of its limit, and where",
        "op", "checks", "value", "gradient", "2nd"
    ))?;
    for op in ops {
        let of_op = || all.iter().filter(|(o, _)| o == op).map(|(_, report)| report);
        let worst = |kinds: &[Check]| {
            let errors = of_op().filter(|r| kinds.contains(&r.check)).map(|r| r.deviation.error);
            errors.fold(None, |m: Option<f64>, e| Some(m.unwrap_or(0.0).max(e)))
        };
        let cell = |error: Option<f64>| {
            error.map_or("-".to_string(), |e| if e == 0.0 { "0".into() } else { format!("{e:.1e}") })
        };
        let share = |r: &CaseReport| match (r.limit, r.deviation.error) {
            (limit, error) if limit > 0.0 => error / limit,
            (_, 0.0) => 0.0,
            _ => f64::INFINITY,
        };
        let top = of_op().max_by(|a, b| share(a).total_cmp(&share(b)));
        let place = top.map_or(String::new(), |r| {
            let verdict = if r.passed() { "" } else { "FAILED " };
            format!(
                "{verdict}{:.0} % {} of {} at {:?} ({})",
                share(r) * 100.0,
                r.check.name(),
                r.of,
                r.deviation.index,
                r.case
            )
        });
        print_line(&format!(
            "{op:<16} {:>6}  {:>9} {:>9} {:>9}  {place}",
            of_op().count(),
            cell(worst(&[Check::Value])),
            cell(worst(&[Check::Gradient, Check::Differences])),
            cell(worst(&[Check::SecondGradient, Check::SecondDifferences])),
        ))?;
    }
    Ok(())
}

fn json(report: &CaseReport) -> String {
    serde_json::json!({
        "case": report.case, "check": report.check.name(), "of": report.of, "passed": report.passed(),
        "error": finite(report.deviation.error), "limit": report.limit, "index": report.deviation.index,
        "got": finite(report.deviation.got), "want": finite(report.deviation.want),
    })
    .to_string()
}

/// JSON has no NaN and no infinity: they are written as text.
fn finite(v: f64) -> serde_json::Value {
    if v.is_finite() { v.into() } else { v.to_string().into() }
}

//! `toile selftest`: every op's cases, in every way of computing them, on this machine's device.

use super::common::{Machine, Printing};
use super::{device, print_line, say};
use crate::check::{Case, CaseReport, Check, Expected, Variant, cases};
use crate::error::{Error, Result};
use crate::gpu::GpuOptions;
use crate::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Holds every op and every kernel variant on a device against the f64 reference
///
/// Each case of each op, small, odd and large: values, first and second
/// gradients, equal bits of repeated runs (on the CPU also of other numbers of
/// threads), guard words around every buffer, inputs left as they were. Cases of
/// products, convolutions, elementwise passes and batch norms run once more in
/// each way that the device could compute them (column `variant`). On the
/// reference itself the gradients are held against central differences.
/// Exit code 1 if a check fails, 2 if there is no such device.
///
/// Columns `value`, `gradient` and `2nd`: the worst error, relative to the
/// largest expected value of its tensor. --quiet leaves the last line and what
/// failed; --json gives an object a check and one for the whole.
///
/// Examples:
///
///   toile selftest
///   toile selftest --device gpu:llvmpipe --filter conv2d --variant tile
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    machine: Machine,
    /// Only cases whose name holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only variants whose name holds this, such as `as chosen` [default: all].
    #[arg(long, value_name = "TEXT")]
    variant: Option<String>,
    /// Open the GPU without any optional feature, with WebGPU's default limits and every access checked.
    #[arg(long)]
    minimal: bool,
    #[command(flatten)]
    printing: Printing,
}

/// Seconds between progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub fn run(args: Args) -> Result<u8> {
    args.machine.threads.apply()?;
    let begun = Instant::now();
    let options = GpuOptions { guarded: !args.minimal, minimal: args.minimal, checked: args.minimal };
    let (device, line) = device::open_to_check(&args.machine.device, options)?;
    if args.minimal && !matches!(device, Device::Gpu(_)) {
        return Err(Error::Usage(format!(
            "--minimal is about GPUs, and this would run on {line}: choose --device gpu:N"
        )));
    }
    if !args.printing.quiet && !args.printing.json {
        print_line(&format!("device: {line}"))?;
    }
    let has = |text: &Option<String>, name: &str| text.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let wanted: Vec<Case> = cases().into_iter().filter(|case| has(&args.filter, &case.name)).collect();
    let variants: Vec<Variant> =
        Variant::all(&device)?.into_iter().filter(|variant| has(&args.variant, variant.name())).collect();
    if wanted.is_empty() {
        let text = args.filter.unwrap_or_default();
        return Err(Error::Usage(format!("--filter {text}: no case has this in its name")));
    }
    let Some(first) = variants.first() else {
        let all: Vec<String> = Variant::all(&device)?.iter().map(|v| format!("\n  {}", v.name())).collect();
        let text = args.variant.unwrap_or_default();
        return Err(Error::Usage(format!("--variant {text}: this device has only{}", all.concat())));
    };
    if !wanted.iter().any(|case| variants.iter().any(|variant| variant.concerns(case))) {
        let message = format!("--variant: none of the chosen cases runs differently as `{}`", first.name());
        return Err(Error::Usage(message));
    }

    let mut all = Vec::new();
    let outcome = run_cases(&wanted, &variants, &device, &args, &mut all);
    let failed: Vec<&CaseReport> = all.iter().filter(|report| !report.passed()).collect();
    if args.printing.json {
        let worst = all.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
        let summary = serde_json::json!({
            "summary": {
                "device": line, "cases": wanted.len(), "variants": ran(&variants, &wanted),
                "passed": all.len() - failed.len(), "failed": failed.len(),
                "error": outcome.as_ref().err().map(ToString::to_string),
                "seconds": begun.elapsed().as_secs_f64(), "worst": worst.map(json),
            }
        });
        print_line(&summary.to_string())?;
        outcome?;
    } else {
        if !args.printing.quiet {
            table(&all, &variants)?;
        }
        for report in &failed {
            print_line(&format!("FAILED {report}"))?;
        }
        outcome?;
        let (passed, seconds) = (all.len() - failed.len(), begun.elapsed().as_secs_f64());
        print_line(&format!("{passed} passed, {} failed, {seconds:.0} s", failed.len()))?;
    }
    Ok(if failed.is_empty() { 0 } else { 1 })
}

/// Runs everything and shows how far it is.
fn run_cases(
    cases: &[Case],
    variants: &[Variant],
    device: &Device,
    args: &Args,
    all: &mut Vec<CaseReport>,
) -> Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let bar = if args.printing.quiet || !terminal {
        ProgressBar::hidden()
    } else {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}");
        ProgressBar::new(cases.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    };
    let begun = Instant::now();
    let mut last_line = begun;
    for (number, case) in cases.iter().enumerate() {
        let expected = Expected::new(case, 2)?;
        for variant in variants.iter().filter(|variant| variant.concerns(case)) {
            bar.set_message(format!("{} ({})", case.name, variant.name()));
            if !args.printing.quiet && !terminal && last_line.elapsed() >= LINE_EVERY {
                let seconds = begun.elapsed().as_secs();
                say(&format!("{number} of {} cases, {seconds} s: {}, {}", cases.len(), case.name, variant.name()));
                last_line = Instant::now();
            }
            let reports = expected.check(device, variant).map_err(|error| broken(case, variant, error));
            let reports = match reports {
                Ok(reports) => reports,
                Err(error) => {
                    bar.finish_and_clear();
                    return Err(error);
                }
            };
            for report in &reports {
                if args.printing.json {
                    print_line(&json(report).to_string())?;
                }
            }
            all.extend(reports);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The variants that concern one of these cases.
fn ran<'a>(variants: &'a [Variant], cases: &[Case]) -> Vec<&'a str> {
    let concerned = variants.iter().filter(|variant| cases.iter().any(|case| variant.concerns(case)));
    concerned.map(Variant::name).collect()
}

/// A device's error with the place where it came out; nothing that runs after it could be believed.
fn broken(case: &Case, variant: &Variant, error: Error) -> Error {
    Error::Gpu(format!("{}, {}: the device failed, and the selftest ends: {error}", case.name, variant.name()))
}

/// The error as a share of what it may be.
fn share(report: &CaseReport) -> f64 {
    match (report.limit, report.deviation.error) {
        (limit, error) if limit > 0.0 => error / limit,
        (_, 0.0) => 0.0,
        _ => f64::INFINITY,
    }
}

/// One line an op and variant: how many checks, the worst error of each kind, and the worst of all with its place.
fn table(all: &[CaseReport], variants: &[Variant]) -> Result<()> {
    let op = |report: &CaseReport| report.case.split(':').next().unwrap_or_default().to_string();
    let mut order: Vec<(String, String)> = Vec::new();
    let mut lines: BTreeMap<(String, String), Vec<&CaseReport>> = BTreeMap::new();
    for report in all {
        let key = (op(report), report.variant.clone());
        let reports = lines.entry(key.clone()).or_default();
        if reports.is_empty() {
            order.push(key);
        }
        reports.push(report);
    }
    let widest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let (op_width, way_width) =
        (widest(&mut order.iter().map(|(op, _)| op)).max(2), widest(&mut order.iter().map(|(_, way)| way)).max(7));
    print_line(&format!(
        "{:<op_width$}  {:<way_width$} {:>6}  {:>8} {:>8} {:>8}  worst of its limit, and where",
        "op", "variant", "checks", "value", "gradient", "2nd"
    ))?;
    for way in variants.iter().map(Variant::name) {
        for key in order.iter().filter(|(_, variant)| variant == way) {
            let reports = &lines[key];
            let worst = |kinds: &[Check]| {
                let errors = reports.iter().filter(|r| kinds.contains(&r.check)).map(|r| r.deviation.error);
                match errors.reduce(f64::max) {
                    None => "-".to_string(),
                    Some(0.0) => "0".to_string(),
                    Some(error) => format!("{error:.1e}"),
                }
            };
            let top = reports.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
            print_line(&format!(
                "{:<op_width$}  {way:<way_width$} {:>6}  {:>8} {:>8} {:>8}  {}",
                key.0,
                reports.len(),
                worst(&[Check::Value]),
                worst(&[Check::Gradient, Check::Differences]),
                worst(&[Check::SecondGradient, Check::SecondDifferences]),
                top.map_or(String::new(), |report| place(report)),
            ))?;
        }
    }
    Ok(())
}

/// The worst error of a line, and where it is.
fn place(r: &CaseReport) -> String {
    if share(r) == 0.0 {
        return "exact".to_string();
    }
    let verdict = if r.passed() { "" } else { "FAILED " };
    let what = r.case.split_once(": ").map_or(String::new(), |(_, what)| format!(" ({what})"));
    format!("{verdict}{:.0} % {} of {} at {:?}{what}", share(r) * 100.0, r.check.name(), r.of, r.deviation.index)
}

fn json(report: &CaseReport) -> serde_json::Value {
    serde_json::json!({
        "case": report.case, "variant": report.variant, "check": report.check.name(), "of": report.of,
        "passed": report.passed(), "error": finite(report.deviation.error), "limit": report.limit,
        "index": report.deviation.index, "got": finite(report.deviation.got), "want": finite(report.deviation.want),
        "note": report.note,
    })
}

/// JSON has no NaN and no infinity: they are written as text.
fn finite(v: f64) -> serde_json::Value {
    if v.is_finite() { v.into() } else { v.to_string().into() }
}

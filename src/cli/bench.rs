//! `toile bench`: what this machine's device reaches, and how that compares with its limits.

use super::bench_profile::profile;
use super::common::{Machine, Printing};
use super::{device, print_line, say};
use crate::bench::{KernelResult, Limits, StepResult, Workload, kernel_rows, measure_kernel, measure_steps};
use crate::error::{Error, Result};
use crate::gpu::{AdapterKind, GpuOptions};
use crate::tensor::Device;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Times kernels and training steps on a device
///
/// Every kernel is checked against the f64 reference before it is timed. Rates
/// are medians of five runs and stand beside the limits measured in the same
/// run: multiply-adds in registers, a copy through memory. Training steps run
/// in processes of their own: W1 the seed model, W2 DCGAN-64, W4 the CycleGAN
/// generator, and a WGAN-GP critic's step. Without --kernels, --steps or
/// --growth, all three are done. --json gives an object a row.
///
/// Examples:
///
///   toile bench
///   toile bench --device gpu:llvmpipe --kernels --filter conv2d
///   toile bench --steps --filter w2 --json
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    machine: Machine,
    /// Only kernels and workloads (w1, w2, w4, wgan-gp) whose name holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Single kernels, in GFLOP/s or GB/s.
    #[arg(long)]
    kernels: bool,
    /// Only the kernel that the tuning table chooses, not every one that a GPU has.
    #[arg(long)]
    chosen: bool,
    /// Training steps, in milliseconds, and the time from the start of a process to its first step.
    #[arg(long)]
    steps: bool,
    /// How time and memory grow with batch, image size and width.
    #[arg(long)]
    growth: bool,
    /// Prints where a step of a workload goes, op by op beside what the device's limits allow, and does nothing else
    /// [default: w2].
    #[arg(long, value_name = "WORKLOAD", num_args = 0..=1, default_missing_value = "w2",
          conflicts_with_all = ["filter", "kernels", "chosen", "steps", "growth"])]
    profile: Option<String>,
    /// Measures which kernels are fastest on this GPU adapter and stores the choice in the user's cache folder, for all
    /// later runs on it; prints it and where it is. Deleting the file restores the built-in table.
    #[arg(long, conflicts_with_all = ["profile", "filter", "kernels", "chosen", "steps", "growth", "as_hardware"])]
    tune: bool,
    /// Compile a GPU's kernels with bounds checks, to see what those cost.
    #[arg(long, conflicts_with_all = ["steps", "growth", "tune"])]
    checked: bool,
    /// Choose kernels as for a hardware GPU, whatever the adapter is: to count its dispatches on a software adapter.
    #[arg(long)]
    as_hardware: bool,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    one: One,
}

/// One workload with its sizes: what a process of its own is told, and `--profile`.
#[derive(clap::Args)]
struct One {
    #[arg(long, hide = true, value_name = "WORKLOAD")]
    one: Option<String>,
    /// Images, for --profile [default: the workload's].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Height and width of images, for --profile [default: the workload's].
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Channels of the first layer, for --profile [default: the workload's].
    #[arg(long, value_name = "N")]
    width: Option<usize>,
}

impl One {
    fn workload(&self, key: &str) -> Result<Workload> {
        let standard = Workload::named(key)?;
        let given = |option: &str, value: Option<usize>, standard: usize| match value {
            Some(value) if !(1..=1 << 16).contains(&value) => {
                Err(Error::Usage(format!("--{option} {value}: takes 1 to 65536")))
            }
            value => Ok(value.unwrap_or(standard)),
        };
        Ok(Workload {
            batch: given("batch", self.batch, standard.batch)?,
            size: given("size", self.size, standard.size)?,
            width: given("width", self.width, standard.width)?,
            ..standard
        })
    }
}

pub fn run(args: Args) -> Result<u8> {
    args.machine.threads.apply()?;
    let json = args.printing.json;
    let options = GpuOptions { checked: args.checked, ..GpuOptions::default() };
    let (device, line) = device::open_with(&args.machine.device, options)?;
    for (option, given) in [("--checked", args.checked), ("--as-hardware", args.as_hardware)] {
        if given && !matches!(device, Device::Gpu(_)) {
            return Err(Error::Usage(format!("{option}: {device} has no kernels to compile; takes --device gpu:NAME")));
        }
    }
    if let (Device::Gpu(gpu), true) = (&device, args.as_hardware) {
        gpu.tune_as(Some(AdapterKind::Discrete));
    }
    if let Some(key) = &args.one.one {
        return one(&args.one.workload(key)?, &device);
    }
    if args.tune {
        return tune(&device, &line, &args.printing);
    }
    if let Some(key) = &args.profile {
        let workload = args.one.workload(key)?;
        workload.check(&device)?;
        return profile(&workload, &device, &line, json);
    }
    if args.one.batch.or(args.one.size).or(args.one.width).is_some() {
        return Err(Error::Usage("--batch, --size and --width are for --profile: other rows have fixed sizes".into()));
    }
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let all = !(args.kernels || args.steps || args.growth || args.checked);
    let rows: Vec<_> = match all || args.kernels || args.checked {
        true => kernel_rows().into_iter().filter(|row| wanted(row.name)).collect(),
        false => Vec::new(),
    };
    let named = |w: &Workload| wanted(w.key()) || wanted(&w.to_string());
    let steps: Vec<Workload> = match all || args.steps {
        true => Workload::STANDARD.into_iter().filter(named).collect(),
        false => Vec::new(),
    };
    let mut tables = vec![(None, steps)];
    if all || args.growth {
        let growth = Workload::growth().into_iter();
        tables.extend(growth.map(|(with, rows)| (Some(with), rows.into_iter().filter(named).collect())));
    }
    tables.retain(|(_, workloads)| !workloads.is_empty());
    if rows.is_empty() && tables.is_empty() {
        let filter = args.filter.unwrap_or_default();
        return Err(Error::Usage(format!("--filter {filter}: no kernel and no workload has this in its name")));
    }
    if matches!(device, Device::Reference) && !rows.is_empty() {
        return Err(Error::Usage("--device reference: its loops are not timed; takes cpu or a GPU".into()));
    }
    let remarks = !json && !args.printing.quiet;
    if remarks {
        print_line(&format!("device: {line}"))?;
    }
    if !rows.is_empty() {
        let limits = Limits::measure(&device)?;
        print_line(&limits_text(&limits, json))?;
        for row in &rows {
            measure_kernel(row, &device, !args.chosen, &limits, |result| {
                print_line(&if json { kernel_json(&result, &device) } else { kernel_text(&result) })
            })?;
        }
    }
    // The device is closed before others open it: what it holds would be theirs.
    drop(device);
    for (growth, workloads) in &tables {
        if remarks {
            let title = growth.map_or("training steps".to_string(), |with| format!("growth with the {with}"));
            print_line(&format!("{title}, each row in a process of its own:"))?;
        }
        for workload in workloads {
            let (first_s, result) = in_own_process(workload, &args)?;
            print_line(&match json {
                true => step_json(workload, *growth, first_s, &result, &args.machine.device),
                false => step_text(workload, first_s, &result),
            })?;
        }
    }
    Ok(0)
}

fn tune(device: &Device, line: &str, printing: &Printing) -> Result<u8> {
    let json = printing.json;
    let Device::Gpu(gpu) = device else {
        return Err(Error::Usage(format!("--tune: {device} has no kernels to choose from; takes --device gpu:NAME")));
    };
    if !json && !printing.quiet {
        print_line(&format!("device: {line}"))?;
    }
    gpu.tuning_place()?; // measuring takes minutes
    let mut printed = Ok(());
    let tuned = crate::bench::tune(gpu, |trial| {
        let list: Vec<String> =
            trial.candidates.iter().take(4).map(|(name, s)| format!("{name} {:.3} ms", s * 1e3)).collect();
        let line = match json {
            true => serde_json::json!({ "problem": trial.problem, "candidates_s": trial.candidates }).to_string(),
            false => format!("{:40} {}", trial.problem, list.join(", ")),
        };
        if printed.is_ok() {
            printed = print_line(&line);
        }
    })?;
    printed?;
    let path = gpu.store_tuning(&tuned)?;
    print_line(&match json {
        true => serde_json::json!({ "stored": path }).to_string(),
        false => format!("stored in {}; delete the file to go back to the built-in table", path.display()),
    })?;
    Ok(0)
}

pub(super) fn limits_text(limits: &Limits, json: bool) -> String {
    let Limits { fma, sgemm, copy } = limits;
    if json {
        return serde_json::json!({
            "limits": { "fma_gflops": fma, "matmul_1024_gflops": sgemm, "copy_gbs": copy }
        })
        .to_string();
    }
    format!(
        "limits: {fma:.1} GFLOP/s multiply-adds in registers, {sgemm:.1} GFLOP/s own matmul 1024, {copy:.1} GB/s copy"
    )
}

fn kernel_text(r: &KernelResult) -> String {
    format!(
        "{:32} {:30} {:8.2} {:7} {:5.1} % of the limit {:10.3} ms   by processor time {:8.2}   first {:5.2} s",
        r.kernel,
        r.variant,
        r.rate,
        r.unit,
        r.of_limit,
        r.timing.median * 1e3,
        r.rate_undisturbed,
        r.first_s,
    )
}

fn kernel_json(r: &KernelResult, device: &Device) -> String {
    serde_json::json!({
        "kernel": r.kernel, "variant": r.variant, "device": device.name(), "rate": r.rate, "unit": r.unit,
        "per_cent_of_limit": r.of_limit, "median_s": r.timing.median, "best_s": r.timing.best,
        "processor_s": r.timing.processor, "rate_by_processor_time": r.rate_undisturbed, "first_s": r.first_s, "error": r.error,
    })
    .to_string()
}

fn step_text(workload: &Workload, first_s: f64, r: &StepResult) -> String {
    let mib = |bytes: Option<u64>| bytes.map_or("-".to_string(), |bytes| (bytes >> 20).to_string());
    let gpu = match r.peak_device {
        None => String::new(),
        some => format!(", {} MiB on the device, {} dispatches", mib(some), r.dispatches),
    };
    format!(
        "{:56} {:9.1} ms (best {:9.1})   first step after {first_s:6.2} s   peak {} MiB{gpu}",
        workload.to_string(),
        r.median_s * 1e3,
        r.best_s * 1e3,
        mib(r.peak_rss),
    )
}

fn step_json(workload: &Workload, growth: Option<&str>, first_s: f64, r: &StepResult, device: &str) -> String {
    let Workload { batch, size, width, .. } = workload;
    let mut row = result_json(r);
    let more = serde_json::json!({
        "workload": workload.key(), "batch": batch, "size": size, "width": width, "device": device,
        "first_step_s": first_s, "growth_with": growth,
    });
    if let (Some(row), serde_json::Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row.to_string()
}

fn result_json(r: &StepResult) -> serde_json::Value {
    serde_json::json!({
        "median_s": r.median_s, "best_s": r.best_s, "dispatches": r.dispatches,
        "peak_rss_bytes": r.peak_rss, "peak_device_bytes": r.peak_device,
    })
}

/// The word that a measuring process says after its first step.
const FIRST: &str = "first";

/// In the process of its own: times one workload, says when the first step is done and prints the rest.
fn one(workload: &Workload, device: &Device) -> Result<u8> {
    let result = measure_steps(workload, device, || {
        print_line(FIRST)?;
        std::io::stdout().flush().map_err(|e| Error::io("cannot write", "standard output", e))
    })?;
    print_line(&result_json(&result).to_string())?;
    Ok(0)
}

/// Starts this program again for one workload. Returns the seconds from the start to the end of the first step, and the
/// rest.
fn in_own_process(workload: &Workload, args: &Args) -> Result<(f64, StepResult)> {
    let failed = |what: String| Error::Invalid(format!("{workload}: {what}"));
    let program = std::env::current_exe().map_err(|e| failed(format!("this program's file is not found: {e}")))?;
    let mut command = Command::new(program);
    // The programs under benches/ are this command by themselves.
    if std::env::args().nth(1).as_deref() == Some("bench") {
        command.arg("bench");
    }
    command.args(["--one", workload.key(), "--device", &args.machine.device]);
    for (option, value) in [("--batch", workload.batch), ("--size", workload.size), ("--width", workload.width)] {
        command.args([option.to_string(), value.to_string()]);
    }
    if args.as_hardware {
        command.arg("--as-hardware");
    }
    if let Some(threads) = args.machine.threads.count {
        command.args(["--threads".to_string(), threads.to_string()]);
    }
    let start = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|e| failed(format!("the program does not start: {e}")))?;
    let mut first_s = None;
    let mut result = None;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line.map_err(|e| failed(e.to_string()))?;
        if line == FIRST {
            first_s = Some(start.elapsed().as_secs_f64());
        } else {
            result = read_result(&line);
        }
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    match (first_s, result) {
        (Some(first_s), Some(result)) if status.success() => Ok((first_s, result)),
        _ => {
            say(&format!("{workload}: the process that measured it ended with {status}"));
            Err(failed("was not measured".into()))
        }
    }
}

fn read_result(line: &str) -> Option<StepResult> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(StepResult {
        median_s: value["median_s"].as_f64()?,
        best_s: value["best_s"].as_f64()?,
        dispatches: value["dispatches"].as_u64()?,
        peak_rss: value["peak_rss_bytes"].as_u64(),
        peak_device: value["peak_device_bytes"].as_u64(),
    })
}

//! `toile train`: a recipe into a run folder, or a run further on.

use super::common::{Machine, Printing};
use super::progress::Progress;
use super::{print_line, say};
use crate::error::{Error, Result};
use crate::train::recipe::Style;
use crate::train::{AnyRecipe, Outcome, RunFolder, classifier, memory, train_any};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Trains a recipe into a run folder
///
/// The folder holds pictures, a loss plot, metrics and checkpoints. Ctrl-C
/// and SIGTERM save a checkpoint first.
///
/// Examples:
///
///   toile train
///   toile train seed --data fashion-mnist --steps 5000 --out runs/fashion
///   toile train seed --set objective.kind=minimax --set optimizer.lr=1e-4
///   toile train --resume runs/fashion --steps 10000
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A built-in recipe (seed, dcgan, cyclegan, pix2pix, cut, fastcut, classifier, adain, johnson) or a TOML file.
    #[arg(default_value = "seed", conflicts_with = "resume")]
    recipe: String,
    /// Goes on with a run from its newest checkpoint, to --steps steps in all.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["batch", "accumulate", "seed", "out", "settings"])]
    resume: Option<PathBuf>,
    /// Where the images come from: garments (drawn by the program), fashion-mnist, an IDX file, or a folder of images.
    /// For translation: garments:plain-striped and the like, a folder with trainA/ and trainB/, or one of side-by-side
    /// pairs. With --resume: where they are now.
    #[arg(long, value_name = "SOURCE")]
    data: Option<String>,
    /// Steps in all [default: the recipe's; seed: 5000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    steps: Option<u64>,
    /// Images a step [default: the recipe's; seed: 64].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Takes each batch in N equal parts, one after the other, and averages their gradients before an update: less memory,
    /// more time. Batch normalisation sees a part at a time [default: the recipe's; seed: 1].
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
    /// Of weights, latent vectors and data order [default: the recipe's; seed: 0].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    #[command(flatten)]
    machine: Machine,
    /// The run folder [default: the next free runs/NAME-K].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Changes one key of the recipe; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: Args) -> Result<u8> {
    args.machine.threads.apply()?;
    let (recipe, folder, device) = match &args.resume {
        Some(path) => {
            let folder = RunFolder::resume(path)?;
            let recipe = folder.any_recipe()?;
            let steps = args.steps.unwrap_or(recipe.train().steps);
            let mut recipe = recipe.with_steps(steps)?;
            if let Some(data) = &args.data
                && let Some(source) = recipe.sources().into_iter().next()
            {
                *source = absolute(data); // the data has moved; that it is the same is checked
            }
            // A run that was killed before its first checkpoint begins again: the same steps give the same numbers.
            let done = folder.checkpoints()?.last().copied().unwrap_or(0);
            if done >= steps {
                return Err(Error::Usage(format!(
                    "{} has done {done} steps already; --steps takes the number of steps in all, more than {done}",
                    path.display()
                )));
            }
            let device = args.machine.open(&args.printing)?;
            announce_memory(&recipe, &device, args.printing.quiet)?;
            (recipe, folder, device)
        }
        None => {
            let mut recipe = AnyRecipe::load(&args.recipe, &settings(&args))?;
            for source in recipe.sources() {
                *source = absolute(source);
            }
            // What can go wrong without a trace goes wrong before the folder exists.
            recipe.check_data().map_err(|error| match (&args.data, error) {
                (None, Error::Usage(message)) => {
                    Error::Recipe { file: args.recipe.clone(), key: "data.source".into(), message }
                }
                (_, error) => error,
            })?;
            let device = args.machine.open(&args.printing)?;
            announce_memory(&recipe, &device, args.printing.quiet)?;
            let path = args.out.clone().unwrap_or_else(|| RunFolder::next_free(recipe.name()));
            let folder = RunFolder::create(&path, &recipe)?;
            (recipe, folder, device)
        }
    };
    if !args.printing.quiet {
        say(&format!("run folder: {}", folder.path().display()));
    }
    let stop = stop_on_signals()?;
    let compiles = matches!(device, crate::Device::Gpu(_));
    let outcome = train_any(&recipe, &folder, &device, &stop, &mut Progress::new(args.printing.quiet, compiles))?;
    report(&args, &folder, &recipe, &outcome, &device)?;
    Ok(if outcome.interrupted { 1 } else { 0 })
}

/// The named options as settings, after which come those of --set.
fn settings(args: &Args) -> Vec<String> {
    let quoted = |text: &String| format!("data.source={}", toml::Value::String(text.clone()));
    let named = [
        args.data.as_ref().map(quoted),
        args.steps.map(|n| format!("train.steps={n}")),
        args.batch.map(|n| format!("train.batch={n}")),
        args.accumulate.map(|n| format!("train.accumulate={n}")),
        args.seed.map(|n| format!("train.seed={n}")),
    ];
    named.into_iter().flatten().chain(args.settings.iter().cloned()).collect()
}

/// The path of a file or folder from the root, so that a run can be resumed from anywhere; built-in names stay.
fn absolute(source: &str) -> String {
    match std::fs::canonicalize(source) {
        Ok(path) if !matches!(source, "garments" | "fashion-mnist") && !source.starts_with("garments:") => {
            path.display().to_string()
        }
        _ => source.to_string(),
    }
}

/// Says what memory the run will take, and refuses what does not fit.
fn announce_memory(recipe: &AnyRecipe, device: &crate::Device, quiet: bool) -> Result<()> {
    let estimate = memory::estimate(recipe, device)?;
    estimate.check(recipe, device)?;
    if !quiet {
        say(&format!("memory: {}", estimate.text(device)));
    }
    Ok(())
}

/// A flag that the first Ctrl-C or SIGTERM sets; a second one ends the process at once.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    let closed: &[i32] = &[signal_hook::consts::SIGHUP]; // the terminal was closed
    #[cfg(not(unix))]
    let closed: &[i32] = &[];
    for signal in signal_hook::consts::TERM_SIGNALS.iter().chain(closed) {
        // The order matters: this one looks at the flag before the next sets it.
        signal_hook::flag::register_conditional_shutdown(*signal, 1, stop.clone())
            .and_then(|_| signal_hook::flag::register(*signal, stop.clone()))
            .map_err(|error| Error::Train(format!("cannot watch for signals: {error}")))?;
    }
    Ok(stop)
}

fn report(
    args: &Args,
    folder: &RunFolder,
    recipe: &AnyRecipe,
    outcome: &Outcome,
    device: &crate::Device,
) -> Result<()> {
    let path = folder.path().display();
    let examined = match recipe {
        AnyRecipe::Classifier(_) if !outcome.interrupted => Some(classifier::examine(folder, device)?),
        _ => None,
    };
    if args.printing.json {
        let mut line = serde_json::json!({
            "run": path.to_string(), "step": outcome.step, "interrupted": outcome.interrupted,
            "samples": outcome.sample.display().to_string(), "checkpoint": outcome.checkpoint.display().to_string(),
            "losses": folder.loss_plot().display().to_string(),
        });
        if let Some(confusion) = &examined {
            line["held_out"] = confusion.total().into();
            line["held_out_accuracy"] = confusion.accuracy().into();
        }
        return print_line(&line.to_string());
    }
    if let Some(confusion) = &examined {
        print_line(&format!("held-out garments: {}", confusion.summary()))?;
    }
    if args.printing.quiet {
        if outcome.interrupted {
            say(&format!("stopped and saved at step {}; go on with: toile train --resume {path}", outcome.step));
        }
        return Ok(());
    }
    if outcome.sample.is_file() {
        print_line(&format!("pictures: {}", outcome.sample.display()))?;
        print_line(&format!("losses: {}", folder.loss_plot().display()))?;
    }
    if outcome.interrupted && !outcome.checkpoint.is_file() {
        print_line(&format!("stopped before the first step; go on with: toile train --resume {path}"))
    } else if outcome.interrupted {
        print_line(&format!("stopped and saved at step {}; go on with: toile train --resume {path}", outcome.step))
    } else {
        match recipe {
            AnyRecipe::Gan(_) => print_line(&format!("more pictures: toile sample {path} --seed 1"))?,
            AnyRecipe::Translation(_) | AnyRecipe::Stylize(_) => {
                print_line(&format!("apply it: toile translate {path} IMAGES... --out DIR"))?;
            }
            AnyRecipe::FeedForward(recipe) => {
                let style = if matches!(recipe.objective, Style::Adain(_)) { " --style STYLE" } else { "" };
                return print_line(&format!("apply it: toile transfer {path} IMAGES...{style} --out DIR"));
            }
            // Its schedule ends with it.
            AnyRecipe::Classifier(_) => return print_line(&format!("judge pictures: toile classify {path} IMAGES...")),
        }
        print_line(&format!("train on: toile train --resume {path} --steps {}", outcome.step * 2))
    }
}

//! What a user sees of a training run: a progress bar on a terminal, plain lines elsewhere.

use crate::train::{Observer, Row, run::Start};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// A first step that takes longer is explained.
const COMPILING: Duration = Duration::from_secs(1);

/// Seconds between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a run's progress on standard error.
pub struct Progress {
    quiet: bool,
    bar: Option<ProgressBar>,
    begun: Instant,
    last_line: Instant,
    from: u64,
    to: u64,
    batch: usize,
    pictures: bool,
    /// Whether kernels are compiled in the first step; and what is dropped when it is done.
    compiles: bool,
    first_step: Option<Sender<()>>,
}

impl Progress {
    /// `quiet` shows nothing; `compiles` says that the device compiles kernels in the first step.
    pub fn new(quiet: bool, compiles: bool) -> Progress {
        let now = Instant::now();
        Progress {
            quiet,
            bar: None,
            begun: now,
            last_line: now,
            from: 0,
            to: 0,
            batch: 0,
            pictures: false,
            compiles,
            first_step: None,
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(line),
            None => super::say(line),
        }
    }

    /// Says why nothing moves, unless the first step is done soon.
    fn explain_first_step(&mut self) {
        let (sender, done) = mpsc::channel();
        self.first_step = Some(sender);
        let bar = self.bar.clone();
        std::thread::spawn(move || {
            if done.recv_timeout(COMPILING) == Err(RecvTimeoutError::Timeout) {
                let line = "compiling kernels for the first step (the driver keeps them for later runs) ...";
                match bar {
                    Some(bar) => bar.println(line),
                    None => super::say(line),
                }
            }
        });
    }

    /// Images per second since the start.
    fn rate(&self, step: u64) -> f64 {
        ((step - self.from) * self.batch as u64) as f64 / self.begun.elapsed().as_secs_f64().max(1e-9)
    }
}

/// Slow steps need decimals.
fn rate_text(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

fn losses(row: &Row) -> String {
    let value = |(name, value): &(String, f64)| match name.as_str() {
        "d_real" => format!("D(x) {value:.2}"),
        "d_fake" => format!("D(G(z)) {value:.2}"),
        name => format!("{name} {value:.3}"),
    };
    row.values.iter().map(value).collect::<Vec<_>>().join("  ")
}

impl Observer for Progress {
    fn begin(&mut self, start: &Start) {
        self.say(&format!("data: {}", start.data));
        let parts = start.parameters.iter().map(|(part, count)| format!("{part} {count} parameters"));
        self.say(&parts.collect::<Vec<_>>().join(", "));
        if start.from > 0 {
            self.say(&format!("goes on after step {}", start.from));
        }
        if let Some(note) = &start.note {
            self.say(note);
        }
        (self.from, self.to, self.batch) = (start.from, start.to, start.batch);
        self.begun = Instant::now();
        self.last_line = self.begun;
        if !self.quiet && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(start.to).with_position(start.from);
            let style = "{bar:24} {pos}/{len}  {msg}  {eta} left";
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.reset_eta();
            self.bar = Some(bar);
        }
        if self.compiles && !self.quiet {
            self.explain_first_step();
        }
    }

    fn step(&mut self, step: u64, row: Option<&Row>) {
        self.first_step = None;
        let line_due = self.bar.is_none() && (self.last_line.elapsed() >= LINE_EVERY || step == self.to);
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            if let Some(row) = row {
                bar.set_message(format!("{}  {} images/s", losses(row), rate_text(self.rate(step))));
            }
            if step == self.to {
                bar.finish();
            }
        } else if let Some(row) = row.filter(|_| line_due) {
            let seconds = self.begun.elapsed().as_secs_f64() / (step - self.from) as f64 * (self.to - step) as f64;
            let (rate, to) = (rate_text(self.rate(step)), self.to);
            self.say(&format!("step {step}/{to}  {}  {rate} images/s  {seconds:.0} s left", losses(row)));
            self.last_line = Instant::now();
        }
    }

    fn wrote(&mut self, path: &Path) {
        if path.extension().is_some_and(|extension| extension == "png") && !self.pictures {
            self.pictures = true;
            self.say(&format!("first pictures: {} (more follow beside it)", path.display()));
        }
    }
}

/// Shows how far work of known length is: a bar on a terminal, a line every ten seconds elsewhere.
pub struct Count {
    what: String,
    quiet: bool,
    bar: Option<ProgressBar>,
    total: usize,
    last_line: Instant,
}

impl Count {
    /// `total` steps of `what`; `quiet` shows nothing.
    pub fn new(quiet: bool, total: usize, what: &str) -> Count {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix}  {bar:24} {pos}/{len}  {msg}  {eta} left");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total as u64).with_style(style).with_prefix(what.to_string())
        });
        Count { what: what.into(), quiet, bar, total, last_line: Instant::now() }
    }

    /// So many steps are done.
    pub fn at(&mut self, done: usize, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            bar.set_message(message.to_string());
        } else if !self.quiet && self.last_line.elapsed() >= LINE_EVERY {
            super::say(&format!("{}: {done}/{}  {message}", self.what, self.total));
            self.last_line = Instant::now();
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

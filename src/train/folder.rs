//! The run folder: recipe, metrics, samples, checkpoints, and the lock that keeps two processes out of it.

use super::recipe::{AnyRecipe, Recipe, RecipeFile};
use crate::error::{Error, Result};
use crate::report::write_atomic;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// An opened run folder. Dropping it gives the lock back.
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<File>,
}

impl RunFolder {
    /// Makes a new run folder and writes the recipe into it.
    ///
    /// # Errors
    /// A folder that exists and holds something, or cannot be made.
    pub fn create(path: &Path, recipe: &dyn RecipeFile) -> Result<RunFolder> {
        let occupied = match std::fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(_) if path.is_file() => {
                return Err(Error::Usage(format!("{} is a file: choose another --out for the run", path.display())));
            }
            Err(error) => return Err(Error::io("cannot use as a run folder", path, error)),
        };
        if occupied {
            return Err(Error::Usage(format!(
                "{} exists and is not empty: choose another --out, or go on with it: toile train --resume {}",
                path.display(),
                path.display()
            )));
        }
        for folder in [path.to_path_buf(), path.join("samples"), path.join("checkpoints")] {
            std::fs::create_dir_all(&folder).map_err(|error| Error::io("cannot make the folder", &folder, error))?;
        }
        let folder = RunFolder { path: path.into(), _lock: Some(lock(path)?) };
        folder.write_recipe(recipe)?;
        Ok(folder)
    }

    /// Opens a run to go on with it; no other process may have it open.
    ///
    /// # Errors
    /// A folder that is no run, or that another process trains in.
    pub fn resume(path: &Path) -> Result<RunFolder> {
        is_run(path)?;
        let folder = RunFolder { path: path.into(), _lock: Some(lock(path)?) };
        folder.remove_parts();
        Ok(folder)
    }

    /// Removes what a process that was killed while writing left behind; nobody else writes while the lock is held.
    fn remove_parts(&self) {
        for folder in [self.path.clone(), self.path.join("checkpoints"), self.path.join("samples")] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') && name.ends_with(".part") {
                    let _ = std::fs::remove_file(entry.path()); // what stays does no harm
                }
            }
        }
    }

    /// Opens a run to read from it, also while it trains.
    ///
    /// # Errors
    /// A folder that is no run.
    pub fn read(path: &Path) -> Result<RunFolder> {
        is_run(path)?;
        Ok(RunFolder { path: path.into(), _lock: None })
    }

    /// The next free `runs/NAME-K`.
    pub fn next_free(name: &str) -> PathBuf {
        let free = |k: &u32| !Path::new("runs").join(format!("{name}-{k}")).exists();
        Path::new("runs").join(format!("{name}-{}", (1..).find(free).unwrap_or(0)))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's recipe, of whichever kind.
    ///
    /// # Errors
    /// An unreadable or changed file that is no recipe any more.
    pub fn any_recipe(&self) -> Result<AnyRecipe> {
        let path = self.path.join("recipe.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io("cannot read", &path, error))?;
        AnyRecipe::parse(&path.display().to_string(), &text, &[])
    }

    /// The recipe of a GAN's run.
    ///
    /// # Errors
    /// As [`RunFolder::any_recipe`], and a run of another kind.
    pub fn recipe(&self) -> Result<Recipe> {
        self.any_recipe()?.gan(&self.path.display().to_string())
    }

    /// Writes the run's recipe.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_recipe(&self, recipe: &dyn RecipeFile) -> Result<()> {
        write_atomic(self.path.join("recipe.toml"), recipe.text().as_bytes())
    }

    /// `metrics.jsonl`
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// `losses.svg`
    pub fn loss_plot(&self) -> PathBuf {
        self.path.join("losses.svg")
    }

    /// `samples/step-000020.png`
    pub fn sample(&self, step: u64) -> PathBuf {
        self.path.join("samples").join(format!("step-{step:06}.png"))
    }

    /// `checkpoints/step-000020.safetensors`
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("step-{step:06}.safetensors"))
    }

    /// The steps of the checkpoints there are, oldest first.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<u64>> {
        let folder = self.path.join("checkpoints");
        let entries = std::fs::read_dir(&folder).map_err(|error| Error::io("cannot read", &folder, error))?;
        let step = |name: &str| name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse::<u64>().ok();
        let mut steps: Vec<u64> =
            entries.flatten().filter_map(|entry| step(&entry.file_name().to_string_lossy())).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// `step`, if there is a checkpoint of it; without one, the newest checkpoint's.
    ///
    /// # Errors
    /// No such checkpoint, or none at all.
    pub fn checkpoint_step(&self, step: Option<u64>) -> Result<u64> {
        let (steps, place) = (self.checkpoints()?, self.path.display());
        match step {
            Some(step) if steps.contains(&step) => Ok(step),
            Some(step) => Err(Error::Usage(format!("--step {step}: {place} has checkpoints of steps {steps:?}"))),
            None => steps.last().copied().ok_or_else(|| Error::Train(format!("{place} holds no checkpoint yet"))),
        }
    }

    /// Removes all but the newest `keep` checkpoints.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn prune(&self, keep: usize) -> Result<()> {
        let steps = self.checkpoints()?;
        for &step in &steps[..steps.len().saturating_sub(keep)] {
            let path = self.checkpoint(step);
            std::fs::remove_file(&path).map_err(|error| Error::io("cannot remove", &path, error))?;
        }
        Ok(())
    }
}

fn is_run(path: &Path) -> Result<()> {
    if path.join("recipe.toml").is_file() && path.join("checkpoints").is_dir() {
        return Ok(());
    }
    let why = if path.is_dir() { "holds no recipe.toml and checkpoints/" } else { "is not a folder" };
    Err(Error::Usage(format!("{} is not a run: it {why}; runs are made by `toile train`", path.display())))
}

fn lock(path: &Path) -> Result<File> {
    let file = path.join("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&file);
    let handle = open.map_err(|error| Error::io("cannot open", &file, error))?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => Err(Error::Train(format!(
            "{} is in use: another process trains in it (stop that one first, or choose another --out)",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::io("cannot lock", &file, error)),
    }
}

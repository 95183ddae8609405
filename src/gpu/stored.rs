//! What is kept between runs in the user's cache folder: measured kernel choices and compiled pipelines, by adapter.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::pipeline::Pipelines;
use super::tuning::Tuned;
use super::{AdapterReport, Gpu};
use crate::error::{Error, Result};

/// The variable that names another cache folder; empty for none at all.
const VARIABLE: &str = "TOILE_CACHE_DIR";

/// The folder of this program in the user's cache; none where the system has no such place or `TOILE_CACHE_DIR` is empty.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if std::env::var_os(VARIABLE).is_some() {
        return folder(VARIABLE);
    }
    let base = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        folder("HOME").map(|home| home.join("Library/Caches"))
    } else {
        folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("toile"))
}

/// A file of this kind for one adapter and driver version.
fn file(kind: &str, report: &AdapterReport, extension: &str) -> Option<PathBuf> {
    let AdapterReport { name, backend, driver, driver_info, .. } = report;
    let words: String = format!("{kind}-{name}-{backend}-{driver}-{driver_info}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    Some(cache_folder()?.join(format!("{}.{extension}", words.join("-"))))
}

/// Where the measured kernel choices of an adapter are kept; none without a cache folder.
pub fn tuning_file(report: &AdapterReport) -> Option<PathBuf> {
    file("tuning", report, "toml")
}

/// The name that a file has until it is whole.
fn beside(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.tmp", std::process::id()))
}

/// What follows the checksum, if it is right.
fn checked(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (sum, data) = bytes.split_at_checked(8)?;
    (sum == checksum(data).to_le_bytes()).then(|| data.to_vec())
}

/// FNV-1a, 64 bits.
fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Writes the compiled kernels where the next run looks for them. That it fails is no reason to stop: they are compiled
/// again.
pub(super) fn leave(pipelines: &Pipelines) {
    let (Some(cache), Some((path, known))) = (pipelines.stored.get(), pipelines.leave.get()) else { return };
    let Some(data) = cache.get_data().filter(|data| data.len() > *known) else { return };
    let beside = beside(path);
    let bytes = [&checksum(&data).to_le_bytes()[..], &data].concat();
    let written = path.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
        && std::fs::write(&beside, bytes).is_ok()
        && std::fs::rename(&beside, path).is_ok();
    if !written {
        let _ = std::fs::remove_file(&beside);
    }
}

impl Gpu {
    /// Takes the compiled kernels that an earlier run left for this adapter and driver, and leaves this run's when the
    /// device is closed, where the driver can do that. A file that is not what was written is passed over and replaced, a
    /// folder that cannot be made is done without; what is amiss is returned.
    pub fn use_stored_pipelines(&self) -> Option<String> {
        if self.options().minimal || !self.report().features.contains(&"pipeline-cache") {
            return None;
        }
        let path = file("pipelines", self.report(), "bin")?;
        let mut amiss = None;
        if let Some(folder) = path.parent()
            && let Err(error) = std::fs::create_dir_all(folder)
        {
            amiss = Some(format!("compiled kernels cannot be kept in {}: {error}", folder.display()));
        }
        let found = std::fs::read(&path).ok();
        let was_there = found.is_some();
        let stored = found.and_then(checked);
        if was_there && stored.is_none() {
            amiss = Some(format!("{} is broken: kernels are compiled again", path.display()));
        }
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("toile pipelines"), data: stored.as_deref(), fallback: true };
        // SAFETY: the bytes are as `PipelineCache::get_data` gave them: the checksum in front is that of all of them, and
        // the file is of this adapter, backend and driver version, which the driver checks again.
        let (cache, error) = self.scoped(|| unsafe { self.device().create_pipeline_cache(&descriptor) });
        if error.is_none() && self.0.pipelines.stored.set(cache).is_ok() {
            let known = stored.map_or(0, |bytes| bytes.len());
            let _ = self.0.pipelines.leave.set((path, known));
        }
        amiss
    }

    /// Where this adapter's measured kernel choices are kept.
    pub fn tuning_file(&self) -> Option<PathBuf> {
        tuning_file(self.report())
    }

    /// The same for choices that are to be stored: the folder is made, and that a file can be written there is tried.
    ///
    /// # Errors
    /// No cache folder, or one that cannot be made or written.
    pub fn tuning_place(&self) -> Result<PathBuf> {
        let path = self
            .tuning_file()
            .ok_or_else(|| Error::Usage(format!("there is no cache folder to store the choice in: set {VARIABLE}")))?;
        let folder = path.parent().unwrap_or(&path);
        let beside = beside(&path);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&beside, ""))
            .and_then(|()| std::fs::remove_file(&beside))
            .map_err(|e| {
                Error::file(folder, format!("the choice cannot be stored there: {e}; set {VARIABLE} to another folder"))
            })?;
        Ok(path)
    }

    /// Takes the kernel choices that `toile bench --tune` stored for this adapter and driver, if there are any. The
    /// program does so where it opens a device; the library does not, so that its results depend on its inputs alone.
    /// Returns whether there are any.
    ///
    /// # Errors
    /// A file that cannot be read or understood; the built-in table stays then.
    pub fn use_stored_tuning(&self) -> Result<bool> {
        let Some(path) = self.tuning_file().filter(|path| path.exists()) else { return Ok(false) };
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io("cannot read", &path, e))?;
        let tuned = Tuned::parse(&text).map_err(|why| {
            Error::file(&path, format!("{why}; delete the file, or store a choice again: bench --tune"))
        })?;
        self.use_tuning(Some(tuned));
        Ok(true)
    }

    /// Uses measured kernel choices instead of the built-in table, or the table again.
    pub fn use_tuning(&self, tuned: Option<Tuned>) {
        *self.0.tuned.lock().unwrap_or_else(PoisonError::into_inner) = tuned;
    }

    /// Stores measured kernel choices for this adapter and returns the file.
    ///
    /// # Errors
    /// No cache folder, or one that cannot be written.
    pub fn store_tuning(&self, tuned: &Tuned) -> Result<PathBuf> {
        let path = self.tuning_place()?;
        let head = format!(
            "# Kernels that `toile bench --tune` found fastest on {}.\n# Delete this file to go back to the built-in table.\n\n",
            self.report()
        );
        // Written beside its place and renamed, so that no process reads half of it.
        let beside = beside(&path);
        std::fs::write(&beside, head + &tuned.to_text()).map_err(|e| Error::io("cannot write", &beside, e))?;
        std::fs::rename(&beside, &path).map_err(|e| Error::io("cannot write", &path, e))?;
        Ok(path)
    }
}

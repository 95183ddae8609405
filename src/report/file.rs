//! Writes files whole or not at all: a temporary file beside the target, synced, then renamed.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` to `path`, replacing what is there.
///
/// Whoever reads `path` meanwhile, or after a crash, finds the old file or the new one. On an error the old file is
/// untouched and the temporary one is gone. The folder must exist.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let temporary = Temporary::write(path, bytes)?;
    fs::rename(&temporary.0, path).map_err(|e| Error::io("cannot write", path, e))?;
    sync_folder(path);
    Ok(())
}

/// [`write_atomic`] for a file that must not exist yet: if it does, it stays as it is and the error says so.
pub fn write_new(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let exists = || Error::file(path, "exists already: choose another name or remove it");
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let temporary = Temporary::write(path, bytes)?;
    // A second name for the temporary file, unlike a rename, fails if another process was faster.
    match fs::hard_link(&temporary.0, path) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(exists()),
        // Some file systems know no second names.
        Err(_) if path.symlink_metadata().is_ok() => return Err(exists()),
        Err(_) => fs::rename(&temporary.0, path).map_err(|e| Error::io("cannot write", path, e))?,
    }
    sync_folder(path);
    Ok(())
}

/// A finished temporary file that is removed when dropped, if it is still there.
struct Temporary(PathBuf);

impl Temporary {
    fn write(path: &Path, bytes: &[u8]) -> Result<Temporary> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let cannot = |e| Error::io("cannot write", path, e);
        let name = path.file_name().ok_or_else(|| Error::file(path, "names no file to write"))?;
        // Process and number, so that neither two processes nor two threads meet in one temporary file.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let hidden = format!(".{}.{}-{number}.part", name.to_string_lossy(), process::id());
        let temporary = Temporary(path.with_file_name(hidden));
        let create = || OpenOptions::new().write(true).create_new(true).open(&temporary.0);
        let mut file = create()
            .or_else(|e| match e.kind() {
                // Left by a process of the same number that was killed.
                ErrorKind::AlreadyExists => fs::remove_file(&temporary.0).and_then(|()| create()),
                _ => Err(e),
            })
            .map_err(cannot)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(cannot)?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a rename outlive a power cut, where the system can; the file itself is safe already.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, b"first").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_new(&path, b"first").unwrap();
        let text = write_new(&path, b"second").unwrap_err().to_string();
        assert!(text.contains("a.txt: exists already"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn of_many_writers_of_a_new_file_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let wins = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|i| {
                    scope.spawn({
                        let path = &path;
                        move || write_new(path, &[i; 1000]).is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|t| usize::from(t.join().unwrap())).sum::<usize>()
        });
        assert_eq!((wins, names(folder.path())), (1, vec!["a.txt".to_string()]));
    }

    #[test]
    fn errors_leave_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), "x").unwrap();
        assert!(write_atomic(&taken, b"x").unwrap_err().to_string().contains("cannot write"));
        assert_eq!(names(folder.path()), ["taken"]);
        let text = write_atomic(folder.path().join("none/a.txt"), b"x").unwrap_err().to_string();
        assert!(text.contains("cannot write") && text.contains("none"), "{text}");
        assert!(write_atomic("/", b"x").is_err() && write_new("", b"x").is_err());
    }
}

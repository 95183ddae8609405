//! Licences of pictures: the file `LICENCES` beside them, a line `pattern: licence` for each kind of file.

use super::{FASHION_MNIST_FOLDER, image_files};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name of the file.
const FILE: &str = "LICENCES";

/// What a `LICENCES` file says.
///
/// Empty lines and those that begin with `#` mean nothing. In a pattern `*` stands for any characters and `?` for one; a pattern
/// with a `/` is held against the path from the file's folder on, any other against the picture's name. The first line that
/// fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Licences {
    folder: PathBuf,
    lines: Vec<(String, String)>,
}

impl Licences {
    /// Reads the file in `folder`; nothing if there is none.
    ///
    /// # Errors
    /// A file that cannot be read, or a line without pattern or licence.
    pub fn in_folder(folder: &Path) -> Result<Option<Licences>> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("cannot read", &path, error)),
        };
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, licence) = line.split_once(':').unwrap_or((line, ""));
            let (pattern, licence) = (pattern.trim(), licence.trim());
            if pattern.is_empty() || licence.is_empty() {
                let why = format!("line {}: {line:?} is not \"pattern: licence\", such as \"*.jpg: CC0\"", number + 1);
                return Err(Error::file(&path, why));
            }
            lines.push((pattern.to_string(), licence.to_string()));
        }
        Ok(Some(Licences { folder: folder.into(), lines }))
    }

    /// The licence of a file in the folder or below it.
    pub fn of(&self, file: &Path) -> Option<&str> {
        let inside = file.strip_prefix(&self.folder).unwrap_or(file);
        let path = inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        let name = path.rsplit('/').next().unwrap_or_default();
        let fits = |pattern: &str| matches(pattern, if pattern.contains('/') { &path } else { name });
        self.lines.iter().find(|(pattern, _)| fits(pattern)).map(|(_, licence)| licence.as_str())
    }
}

/// The licence of a picture, by the `LICENCES` file in its folder.
///
/// # Errors
/// As [`Licences::in_folder`].
pub fn licence_of(picture: &Path) -> Result<Option<String>> {
    let folder = picture.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = Path::new(picture.file_name().unwrap_or_default());
    Ok(Licences::in_folder(folder)?.and_then(|licences| licences.of(&folder.join(name)).map(String::from)))
}

/// The licences of the data that `source` names ([`DataSpec::source`](super::DataSpec)), such as
/// `CC0 (12 images), not stated (3 images)`: by the `LICENCES` file in the folder, or beside an IDX file. Nothing where none is
/// stated, and for pictures that the program draws.
///
/// # Errors
/// As [`Licences::in_folder`], and a folder that cannot be read.
pub fn licences_of_source(source: &str) -> Result<Option<String>> {
    if source == "garments" || source.starts_with("garments:") {
        return Ok(None);
    }
    let path = Path::new(source);
    if source == "fashion-mnist" || path == Path::new(FASHION_MNIST_FOLDER) {
        return Ok(Some("MIT (Fashion-MNIST)".into()));
    }
    if !path.is_dir() {
        return licence_of(path);
    }
    let Some(licences) = Licences::in_folder(path)? else { return Ok(None) };
    let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let Ok(files) = image_files(path) else {
        // IDX files: one line for all of them.
        let all = licences.lines.iter().map(|(pattern, licence)| format!("{licence} ({pattern})"));
        return Ok(Some(all.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty()));
    };
    for file in &files {
        *counts.entry(licences.of(file)).or_default() += 1;
    }
    // Those that are not stated come last.
    let unknown = counts.remove(&None).map(|n| (None, n));
    let all = counts.into_iter().chain(unknown).map(|(licence, n)| {
        let plural = if n == 1 { "image" } else { "images" };
        format!("{} ({n} {plural})", licence.unwrap_or("not stated"))
    });
    Ok(Some(all.collect::<Vec<_>>().join(", ")))
}

/// Whether the text fits the pattern, `*` and `?` as in file names.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            // The last star takes one character more.
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*.jpg", "a.b.jpg", true),
            ("*.jpg", "a.jpg.png", false),
            ("a?c*e", "abcde", true),
            ("a?c*e", "abcdef", false),
            ("*a*b", "xaab", true),
            ("photo-??.png", "photo-1.png", false),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn licences_of_files_and_of_a_whole_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        std::fs::create_dir(folder.join("shoes")).unwrap();
        for name in ["a.png", "b.jpg", "c.jpg", "shoes/d.png", "shoes/e.jpg"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        let source = folder.display().to_string();
        assert_eq!(licences_of_source(&source).unwrap(), None);
        assert_eq!(licence_of(&folder.join("a.png")).unwrap(), None);
        let write = |text: &str| std::fs::write(folder.join("LICENCES"), text).unwrap();
        write("# what we bought\n\nshoes/*: CC BY 4.0: the Shoe Museum\n*.jpg : CC0\n");
        assert_eq!(licence_of(&folder.join("b.jpg")).unwrap().as_deref(), Some("CC0"));
        assert_eq!(licence_of(&folder.join("a.png")).unwrap(), None);
        let whole = "CC BY 4.0: the Shoe Museum (2 images), CC0 (2 images), not stated (1 image)";
        assert_eq!(licences_of_source(&source).unwrap().as_deref(), Some(whole));
        write("*.jpg CC0\n");
        let text = licence_of(&folder.join("b.jpg")).unwrap_err().to_string();
        assert!(text.contains("LICENCES") && text.contains("line 1") && text.contains("pattern: licence"), "{text}");
        assert_eq!(licences_of_source("garments:outline").unwrap(), None);
    }
}

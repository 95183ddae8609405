//! How a picture came to be: what its PNG records of program, command, model, data, pictures, seeds and licences.

use super::Tiling;
use crate::data::{Fingerprint, licence_of};
use crate::error::{Error, Result};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Which model made a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The run folder.
    pub run: PathBuf,
    /// The recipe's name.
    pub recipe: String,
    /// The checkpoint's step.
    pub step: u64,
    /// Identifies the checkpoint's values.
    pub model: String,
    /// Identifies the data that it was trained on.
    pub data: String,
    /// The data's licences, where they were stated.
    pub data_licence: Option<String>,
}

/// The texts of an output, pairs of keyword and value in the order in which they were added.
///
/// Keywords: `Software`, `command`; of a model `run`, `recipe`, `step`, `model`, `data`, `data-licence`; of each picture that
/// went in, by its role (`content`, `style`), `ROLE`, `ROLE-hash`, `ROLE-licence`, and from the second one of a role on
/// `ROLE-2` and so on; [`Tiling::KEY`]; and what else a command says with [`Provenance::with`].
///
/// ```
/// use toile::report::Provenance;
/// let made = Provenance::new("toile sample runs/seed-1").with("seed", 3);
/// assert_eq!(made.text()[1], ("command".to_string(), "toile sample runs/seed-1".to_string()));
/// assert_eq!(made.text()[2], ("seed".to_string(), "3".to_string()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    entries: Vec<(String, String)>,
}

impl Provenance {
    /// Begins with the program's version and the command as it was typed.
    pub fn new(command: &str) -> Provenance {
        let software = concat!("toile ", env!("CARGO_PKG_VERSION"));
        Provenance { entries: Vec::new() }.with("Software", software).with("command", command)
    }

    /// Adds an entry.
    #[must_use]
    pub fn with(mut self, keyword: &str, value: impl Display) -> Provenance {
        self.entries.push((keyword.to_string(), value.to_string()));
        self
    }

    /// Adds the model and its data. `licence` stands for the data's where training found none.
    #[must_use]
    pub fn model(self, model: &ModelIdentity, licence: Option<&str>) -> Provenance {
        let made = self
            .with("run", model.run.display())
            .with("recipe", &model.recipe)
            .with("step", model.step)
            .with("model", &model.model)
            .with("data", &model.data);
        match model.data_licence.as_deref().or(licence) {
            Some(licence) => made.with("data-licence", licence),
            None => made,
        }
    }

    /// Adds a picture that went in: where it lay, its file's hash, and its licence, which is `licence` or else what the file
    /// `LICENCES` beside it says ([`licence_of`]).
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn picture(self, role: &str, path: &Path, licence: Option<&str>) -> Result<Provenance> {
        let number = (1..).find(|n| !self.has(&numbered(role, *n))).unwrap_or(1);
        let role = numbered(role, number);
        let licence = match licence {
            Some(licence) => Some(licence.to_string()),
            None => licence_of(path)?,
        };
        let made = self.with(&role, path.display()).with(&format!("{role}-hash"), file_hash(path)?);
        Ok(match licence {
            Some(licence) => made.with(&format!("{role}-licence"), licence),
            None => made,
        })
    }

    /// Adds where the pictures of a sheet lie.
    #[must_use]
    pub fn tiles(self, tiling: &Tiling) -> Provenance {
        self.with(Tiling::KEY, tiling.text())
    }

    fn has(&self, keyword: &str) -> bool {
        self.entries.iter().any(|(known, _)| known == keyword)
    }

    /// The entries.
    pub fn text(&self) -> &[(String, String)] {
        &self.entries
    }
}

fn numbered(role: &str, number: usize) -> String {
    if number == 1 { role.to_string() } else { format!("{role}-{number}") }
}

/// What identifies a file's bytes, such as `file-0123456789abcdef`.
///
/// # Errors
/// A file that cannot be read.
pub fn file_hash(path: &Path) -> Result<String> {
    let hashed = Fingerprint::new("file").file(path);
    Ok(hashed.map_err(|error| Error::io("cannot read", path, error))?.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_role_are_numbered_and_have_their_licences() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &str| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name)
        };
        let (a, b) = (file("a.png", "a"), file("b.png", "b"));
        file("LICENCES", "b.png: CC BY 4.0, Someone\n");
        let made = Provenance::new("toile x").picture("content", &a, None).unwrap();
        let made = made.picture("content", &b, None).unwrap().picture("style", &b, Some("own work")).unwrap();
        let find = |key: &str| made.text().iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        assert_eq!(find("content"), Some(a.display().to_string().as_str()));
        assert_eq!(find("content-licence"), None);
        assert_eq!(find("content-2-licence"), Some("CC BY 4.0, Someone"));
        assert_eq!(find("style-licence"), Some("own work"));
        assert_eq!(
            (find("content-2-hash"), find("style-hash")),
            (Some(&*file_hash(&b).unwrap()), find("content-2-hash"))
        );
        assert_ne!(find("content-hash"), find("style-hash"));
        assert!(Provenance::new("x").picture("content", &folder.path().join("none"), None).is_err());
    }

    #[test]
    fn a_model_names_its_data_and_their_licence() {
        let model = ModelIdentity {
            run: "runs/x".into(),
            recipe: "seed".into(),
            step: 7,
            model: "values-1".into(),
            data: "folder-2".into(),
            data_licence: Some("CC0 (3 images)".into()),
        };
        let licence = |model: &ModelIdentity, given| {
            let made = Provenance::new("x").model(model, given);
            made.text().iter().find(|(k, _)| k == "data-licence").map(|(_, v)| v.clone())
        };
        assert_eq!(licence(&model, Some("MIT")), Some("CC0 (3 images)".into()));
        let unknown = ModelIdentity { data_licence: None, ..model };
        assert_eq!((licence(&unknown, Some("MIT")), licence(&unknown, None)), (Some("MIT".into()), None));
    }
}

//! The rows of `metrics.jsonl`: one JSON object a line, readable by any tool.

use crate::error::{Error, Result};
use crate::report::write_atomic;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is recorded of a step: `{"step":1,"images_seen":64,"d_loss":1.4,…}`. A number that is not finite is written as
/// `null` and read as NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The step, from 1.
    pub step: u64,
    /// Real images seen so far.
    pub images_seen: u64,
    /// Losses and other numbers by name.
    pub values: Vec<(String, f64)>,
}

impl Row {
    /// The value of this name; NaN if it was not recorded.
    pub fn value(&self, name: &str) -> f64 {
        self.values.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, value)| *value)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.values.len()))?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("images_seen", &self.images_seen)?;
        for (name, value) in &self.values {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A line of the file as a row, if it is one.
fn parse(line: &str) -> Option<Row> {
    let mut map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    let (step, images_seen) = (map.remove("step")?.as_u64()?, map.remove("images_seen")?.as_u64()?);
    let values = map.into_iter().map(|(name, value)| {
        let value = if value.is_null() { f64::NAN } else { value.as_f64()? };
        Some((name, value))
    });
    Some(Row { step, images_seen, values: values.collect::<Option<_>>()? })
}

/// The open file and the rows in it.
pub struct Record {
    path: PathBuf,
    file: File,
    /// All rows, oldest first.
    pub rows: Vec<Row>,
}

impl Record {
    /// Opens the record of a run that stands at `step`: rows past it (the run went on after its last checkpoint) and a
    /// last line cut short are removed.
    ///
    /// # Errors
    /// A file that cannot be read or written; a line that is no row before rows that are to stay.
    pub fn open(path: &Path, step: u64) -> Result<Record> {
        let text = match std::fs::read(path) {
            // What is not UTF-8 is no row.
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(_) if path.is_dir() => return Err(Error::file(path, "is a folder where a file must be: move it away")),
            Err(error) => return Err(Error::io("cannot read", path, error)),
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut kept = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(row) = parse(line) else {
                if lines.any(|line| parse(line).is_some_and(|row| row.step <= step)) {
                    let number = text.lines().take_while(|line| parse(line).is_some()).count() + 1;
                    let why =
                        format!("line {number} is not a row of numbers, but rows follow it: mend or remove that line");
                    return Err(Error::file(path, why));
                }
                break;
            };
            if row.step > step {
                break;
            }
            kept.push_str(line);
            kept.push('\n');
            rows.push(row);
        }
        if kept != text {
            write_atomic(path, kept.as_bytes())?;
        }
        let open = OpenOptions::new().create(true).append(true).open(path);
        let file = open.map_err(|error| Error::io("cannot open", path, error))?;
        Ok(Record { path: path.into(), file, rows })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// A file that cannot be written (a full disk).
    pub fn push(&mut self, row: Row) -> Result<()> {
        let mut line = serde_json::to_string(&row).map_err(|error| Error::file(&self.path, error.to_string()))?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| Error::io("cannot write", &self.path, error))?;
        self.rows.push(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_past_the_checkpoint_and_half_lines_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let row = |step| {
            let values = [("d_loss", 1.5), ("g_loss", f64::NAN), ("d_real", 0.5), ("d_fake", 0.25)];
            let values = values.map(|(name, value)| (name.to_string(), value)).to_vec();
            Row { step, images_seen: step * 4, values }
        };
        let mut record = Record::open(&path, 0).unwrap();
        for step in 1..=5 {
            record.push(row(step)).unwrap();
        }
        drop(record);
        let mut text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"step":1,"images_seen":4,"d_loss":1.5,"g_loss":null,"#), "{text}");
        text.push_str(r#"{"step":6,"ima"#);
        std::fs::write(&path, text).unwrap();
        let record = Record::open(&path, 3).unwrap();
        assert_eq!(record.rows.iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(record.rows[0].value("g_loss").is_nan() && record.rows[0].value("d_loss") == 1.5);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn rows_behind_a_broken_line_are_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text = b"{\"step\":1,\"images_seen\":4}\n\xff\xfe\n{\"step\":3,\"images_seen\":12}\n";
        std::fs::write(&path, text).unwrap();
        let error = Record::open(&path, 3).err().unwrap().to_string();
        assert!(error.contains("metrics.jsonl") && error.contains("line 2"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), text);
        // Those past the checkpoint go anyway.
        assert_eq!(Record::open(&path, 2).unwrap().rows.len(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }
}

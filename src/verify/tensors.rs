//! The tensor files of a case directory, checked before a number of them is used.

use crate::error::{Error, Result};
use crate::verify::case::Case;
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Values of one tensor of a file.
#[derive(Clone, Debug)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values; integers are exact up to 2^53.
    pub values: Vec<f64>,
    /// Whether the file has integers.
    pub integer: bool,
}

impl Array {
    /// The largest absolute value, of those that are finite.
    pub fn max_abs(&self) -> f64 {
        self.values.iter().filter(|v| v.is_finite()).fold(0.0, |m: f64, v| m.max(v.abs()))
    }
}

/// A case's tensors by role, such as `in.x`.
pub type Arrays = BTreeMap<String, Array>;

/// What the index says about a tensor: its shape and type, where it says so.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    shape: Option<Vec<usize>>,
    dtype: Option<String>,
}

impl Declared {
    /// Reads `shape` and `dtype` of an entry.
    pub fn read(entry: &Value) -> Result<Declared, String> {
        let entry = entry.as_object().ok_or("should be an object")?;
        let shape = match entry.get("shape") {
            None => None,
            Some(shape) => {
                let sizes = shape.as_array().map(|list| list.iter().map(|v| v.as_u64().map(|v| v as usize)));
                let sizes = sizes.and_then(|sizes| sizes.collect::<Option<Vec<_>>>());
                Some(sizes.ok_or_else(|| format!("`shape` should be a list of whole numbers, not {shape}"))?)
            }
        };
        let dtype = match entry.get("dtype") {
            None => None,
            Some(dtype) => Some(dtype.as_str().ok_or_else(|| format!("`dtype` should be a text, not {dtype}"))?.into()),
        };
        Ok(Declared { shape, dtype })
    }

    fn differs(&self, shape: &[usize], dtype: Dtype) -> Option<String> {
        match self {
            Declared { shape: Some(said), .. } if said != shape => {
                Some(format!("has shape {shape:?}, but the index says {said:?}"))
            }
            Declared { dtype: Some(said), .. } if *said != name(dtype) => {
                Some(format!("has type {}, but the index says {said}", name(dtype)))
            }
            _ => None,
        }
    }
}

/// NumPy's name of a type, as the index has it.
fn name(dtype: Dtype) -> String {
    match dtype {
        Dtype::F64 => "float64".into(),
        Dtype::F32 => "float32".into(),
        Dtype::I64 => "int64".into(),
        Dtype::I32 => "int32".into(),
        Dtype::U8 => "uint8".into(),
        Dtype::BOOL => "bool".into(),
        other => format!("{other:?}"),
    }
}

/// Reads a regular file of at most `limit` bytes whole.
pub fn read_whole(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let cannot = |e| Error::io("cannot read", path, e);
    // Asked before opening: a pipe would block there.
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err(Error::file(path, "is no regular file"));
    }
    if about.len() > limit {
        let message = format!("has {} bytes, more than the {limit} that a file of this kind may have", about.len());
        return Err(Error::file(path, message));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(cannot)?;
    Ok(bytes)
}

/// A tensor file holds at most this many bytes.
const LARGEST_FILE: u64 = 4 << 30;

/// What is zero by theory may have this much of the case's largest value.
const NOISE: f64 = 1e-10;

/// The tensor files of a directory, each read once.
pub struct Files {
    dir: PathBuf,
    open: HashMap<String, File>,
}

/// A file's bytes, its header read, and where the numbers begin.
struct File {
    bytes: Vec<u8>,
    header: Metadata,
    data: usize,
}

impl Files {
    /// None read yet.
    pub fn new(dir: &Path) -> Files {
        Files { dir: dir.to_path_buf(), open: HashMap::new() }
    }

    /// The tensors of a case; `max_abs`, from which its limits follow, is held against them.
    pub fn of_case(&mut self, case: &Case) -> Result<Arrays> {
        let arrays = self.tensors(&case.name, &case.file, &case.declared)?;
        let scale = case.scale(&arrays);
        for (role, expected) in &case.expected {
            let found = arrays[role].max_abs();
            let said = expected.max_abs.unwrap_or(found);
            // The index rounds it. What is zero by theory may be rounding noise, of either size.
            let wrong = match expected.zero {
                false if (said - found).abs() > 0.01 * found.max(1e-30) => {
                    format!("has the largest value {found:e}, but the index says {said:e}")
                }
                true if said.max(found) > NOISE * scale => {
                    let largest = said.max(found);
                    format!(
                        "has `zero`, but the largest value {largest:e}: more than {NOISE:e} of the case's {scale:e}"
                    )
                }
                _ => continue,
            };
            let message = format!("tensor {:?} {wrong}", format!("{}/{role}", case.name));
            return Err(Error::file(self.dir.join(&case.file), message));
        }
        Ok(arrays)
    }

    /// The tensors `case/role` of `file` for every role that is declared.
    pub fn tensors(&mut self, case: &str, file: &str, declared: &BTreeMap<String, Declared>) -> Result<Arrays> {
        let path = self.dir.join(file);
        let wrong = |message: String| Error::file(&path, message);
        if !self.open.contains_key(file) {
            self.open.insert(file.to_string(), File::read(read_whole(&path, LARGEST_FILE)?).map_err(wrong)?);
        }
        let file = &self.open[file];
        declared
            .iter()
            .map(|(role, declared)| {
                let name = format!("{case}/{role}");
                let info = file.header.info(&name).ok_or_else(|| wrong(format!("there is no tensor {name:?}")))?;
                if let Some(how) = declared.differs(&info.shape, info.dtype) {
                    return Err(wrong(format!("tensor {name:?} {how}")));
                }
                let (from, to) = info.data_offsets;
                let values = numbers(info.dtype, &file.bytes[file.data + from..file.data + to]);
                let unknown = || wrong(format!("tensor {name:?} has the type {:?}, which is not known", info.dtype));
                let integer = !matches!(info.dtype, Dtype::F32 | Dtype::F64);
                Ok((role.clone(), Array { shape: info.shape.clone(), values: values.ok_or_else(unknown)?, integer }))
            })
            .collect()
    }
}

impl File {
    fn read(bytes: Vec<u8>) -> Result<File, String> {
        let Some(first) = bytes.first_chunk::<8>() else {
            return Err(format!("ends after {} bytes, within the header's length (bytes 0 to 7)", bytes.len()));
        };
        let (header, rest) = (u64::from_le_bytes(*first), bytes.len() as u64 - 8);
        if header > rest {
            return Err(format!("the header, from byte 8, should have {header} bytes, but only {rest} are left"));
        }
        // Checks that the tensors' places lie within the bytes.
        let (length, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| format!("no safetensors file: {e} (header: bytes 8 to {})", header + 7))?;
        Ok(File { data: 8 + length, bytes, header })
    }
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).map(|chunk| number(chunk.try_into().expect("chunks of N"))).collect()
    }
    Some(match dtype {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::F32 => each(bytes, |b| f32::from_le_bytes(b) as f64),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => each(bytes, |b| i32::from_le_bytes(b) as f64),
        Dtype::U8 | Dtype::BOOL => each(bytes, |b: [u8; 1]| b[0] as f64),
        _ => return None,
    })
}

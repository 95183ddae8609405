//! Checkpoints: safetensors files that hold everything a run needs to go on bit for bit.

use crate::data::Fingerprint;
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::report::write_atomic;
use crate::tensor::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The version that is written; others are refused.
pub const FORMAT: u32 = 1;

/// What a checkpoint says beside its tensors. No time stamps: equal runs give equal files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Steps done.
    pub step: u64,
    /// Real images seen.
    pub images_seen: u64,
    /// Identifies the data ([`crate::data::Source::fingerprint`]).
    pub data: String,
    /// The data's licences, where they are stated ([`crate::data::licences_of_source`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences: Option<String>,
    /// The device's kind, for the number format: `reference` holds f64.
    pub device: String,
    /// Checksum of all values; filled in by [`save`].
    pub content: String,
}

/// The checksum of tensors' bytes, in order of their names.
fn checksum<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut all: Vec<(&str, &[u8])> = tensors.collect();
    all.sort_unstable();
    let add = |print: Fingerprint, (name, bytes): (&str, &[u8])| print.bytes(name.as_bytes()).bytes(bytes);
    all.into_iter().fold(Fingerprint::new("values"), add).text()
}

/// Writes `state` and `header`, whole or not at all.
///
/// # Errors
/// What went wrong on the device or the disk.
pub fn save(path: &Path, header: &Header, state: &[(String, Parameter)]) -> Result<()> {
    let mut tensors = Vec::with_capacity(state.len());
    for (name, parameter) in state {
        let tensor = parameter.get();
        let (dtype, bytes) = match tensor.device() {
            Device::Reference => (Dtype::F64, bytemuck::cast_slice(&tensor.to_vec_f64()?).to_vec()),
            _ => (Dtype::F32, bytemuck::cast_slice(&tensor.to_vec()?).to_vec()),
        };
        let finite = match dtype {
            Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(&bytes).iter().all(|v| v.is_finite()),
            _ => bytemuck::pod_collect_to_vec::<u8, f32>(&bytes).iter().all(|v| v.is_finite()),
        };
        if !finite {
            return Err(Error::Train(format!(
                "{name} is no longer a number at step {}: training has failed, and no checkpoint of it is written; the one \
                 before is good. A smaller learning rate (optimizer.lr) or another seed may help",
                header.step
            )));
        }
        tensors.push((name, dtype, tensor.shape().to_vec(), bytes));
    }
    let broken = |e: safetensors::SafeTensorError| Error::file(path, format!("cannot be written: {e}"));
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(broken)?))
        })
        .collect::<Result<Vec<_>>>()?;
    // One metadata key: the order of several would differ from run to run.
    let content = checksum(tensors.iter().map(|(name, _, _, bytes)| (name.as_str(), &bytes[..])));
    let header = Header { content, ..header.clone() };
    let text = serde_json::to_string(&header).map_err(|e| Error::file(path, e.to_string()))?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([("toile".to_string(), text)]))).map_err(broken)?;
    write_atomic(path, &bytes)
}

/// The bytes of a checkpoint, its header checked.
pub struct Loaded {
    bytes: Vec<u8>,
    path: std::path::PathBuf,
    /// What it says of itself.
    pub header: Header,
}

/// Reads a checkpoint.
///
/// # Errors
/// A file that is unreadable, cut short, no checkpoint of toile, or of another format version.
pub fn load(path: &Path) -> Result<Loaded> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
    let refuse = |why: String| {
        Error::file(path, format!("not a usable checkpoint: {why}; remove it to go on from the one before"))
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| refuse(e.to_string()))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get("toile"));
    let text = text.ok_or_else(|| refuse("it was not written by toile (no `toile` metadata)".into()))?;
    let header: Header = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
    if header.format != FORMAT {
        return Err(refuse(format!("its format is {}, this program reads {FORMAT}", header.format)));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| refuse(e.to_string()))?;
    let views = tensors.tensors();
    if checksum(views.iter().map(|(name, view)| (name.as_str(), view.data()))) != header.content {
        return Err(refuse("its values were changed after it was written (the checksum differs)".into()));
    }
    Ok(Loaded { bytes, path: path.into(), header })
}

impl Loaded {
    /// Puts the values into `state`: every entry must be there with its shape, and nothing else.
    ///
    /// # Errors
    /// The tensor that is missing, superfluous or of another shape or type.
    pub fn restore(&self, state: &[(String, Parameter)]) -> Result<()> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| self.refuse(e.to_string()))?;
        if let Some(name) = tensors.names().into_iter().find(|name| !state.iter().any(|(known, _)| known == name)) {
            return Err(self.refuse(format!("it holds {name:?}, which the recipe's networks do not have")));
        }
        self.restore_part(state)
    }

    /// Puts the values into `state`, a part of what the checkpoint holds, such as one network's weights.
    ///
    /// # Errors
    /// The tensor that is missing or of another shape or type.
    pub fn restore_part(&self, state: &[(String, Parameter)]) -> Result<()> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| self.refuse(e.to_string()))?;
        let mut values = Vec::with_capacity(state.len());
        for (name, parameter) in state {
            let place = parameter.get();
            let view = tensors.tensor(name).map_err(|_| self.refuse(format!("it lacks {name:?}")))?;
            if view.shape() != place.shape().dims() {
                return Err(self.refuse(format!("{name:?} is {:?}, not {}", view.shape(), place.shape())));
            }
            let value = match view.dtype() {
                Dtype::F32 => {
                    Tensor::new(place.device(), place.shape(), &bytemuck::pod_collect_to_vec::<u8, f32>(view.data()))
                }
                Dtype::F64 => Tensor::from_f64(
                    place.device(),
                    place.shape(),
                    &bytemuck::pod_collect_to_vec::<u8, f64>(view.data()),
                ),
                other => return Err(self.refuse(format!("{name:?} holds {other:?}, not F32 or F64"))),
            };
            values.push((parameter, value));
        }
        values.into_iter().for_each(|(parameter, value)| parameter.set(value));
        Ok(())
    }

    /// One of its tensors, whatever its shape; none if it holds no such.
    ///
    /// # Errors
    /// A tensor of a type that is not written.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| self.refuse(e.to_string()))?;
        let Ok(view) = tensors.tensor(name) else { return Ok(None) };
        let place = Parameter::new(Tensor::zeros(device, view.shape()));
        self.restore_part(&[(name.to_string(), place.clone())])?;
        Ok(Some(place.get()))
    }

    fn refuse(&self, why: String) -> Error {
        Error::file(&self.path, format!("does not fit the run's recipe: {why}"))
    }
}

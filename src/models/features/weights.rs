//! Weights by name out of a safetensors file, each with the shape that a network needs.

use crate::error::{Error, Result};
use crate::tensor::{Device, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The tensors of a safetensors file. Only those that are asked for are read: classifiers' files are mostly what features do not need.
pub struct Weights {
    header: Metadata,
    /// Where the values begin in the file, and where they end.
    values: [u64; 2],
    path: PathBuf,
    device: Device,
}

impl Weights {
    /// Reads a file's header; tensors go to `device`.
    ///
    /// # Errors
    /// A file that cannot be read or is no safetensors.
    pub fn open(path: &Path, device: &Device) -> Result<Weights> {
        let cannot = |error| Error::io("cannot read", path, error);
        let no_safetensors = |why: &str| {
            let hint = "a .pth of PyTorch becomes one by recipes/torch_weights.py";
            Error::file(path, format!("is no safetensors file ({why}); {hint}"))
        };
        let mut file = File::open(path).map_err(cannot)?;
        let length = file.metadata().map_err(cannot)?.len();
        if length < 8 {
            return Err(no_safetensors("it is too short for a header"));
        }
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(cannot)?;
        let start = u64::from_le_bytes(size).saturating_add(8);
        if start > length {
            return Err(no_safetensors("its header would be longer than the file"));
        }
        let mut text = vec![0; (start - 8) as usize];
        file.read_exact(&mut text).map_err(cannot)?;
        let header: Metadata = serde_json::from_slice(&text).map_err(|error| no_safetensors(&error.to_string()))?;
        if start.checked_add(header.data_len() as u64) != Some(length) {
            return Err(no_safetensors("its tensors do not fill the file: download or copy it again"));
        }
        Ok(Weights { header, values: [start, length], path: path.into(), device: device.clone() })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.header.info(name).is_some()
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort_unstable();
        names
    }

    /// Where the tensors go.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The values of a tensor that `network` needs.
    ///
    /// # Errors
    /// It is missing, has another shape, holds no floats or something that is not a number.
    pub fn values(&self, network: &str, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let refuse = |why: String| Err(Error::file(&self.path, why));
        let Some(info) = self.header.info(name) else {
            return refuse(format!("lacks the tensor {name:?} of shape {shape:?}, which {network} needs"));
        };
        if info.shape != shape {
            return refuse(format!("{name:?} has shape {:?}, but {network} needs {shape:?}", info.shape));
        }
        let width = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F64 => 8,
            other => return refuse(format!("{name:?} holds {other:?}; save it as F32 or F64")),
        };
        let bytes = self.bytes(info, width * shape.iter().product::<usize>())?;
        let values: Vec<f64> = match width {
            4 => bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
            _ => bytemuck::pod_collect_to_vec::<u8, f64>(&bytes),
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => refuse(format!("{name:?} holds {} at place {at}", values[at])),
            None => Ok(values),
        }
    }

    /// The bytes of a tensor, which must be so many.
    fn bytes(&self, info: &TensorInfo, count: usize) -> Result<Vec<u8>> {
        let (from, to) = info.data_offsets;
        let [start, end] = self.values;
        if to.checked_sub(from) != Some(count) || start.saturating_add(to as u64) > end {
            let why = format!("its header puts a tensor of {count} bytes at {from} to {to}: download or copy it again");
            return Err(Error::file(&self.path, why));
        }
        let read = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(start + from as u64))?;
            let mut bytes = vec![0; count];
            file.read_exact(&mut bytes).map(|()| bytes)
        };
        read().map_err(|error| Error::io("cannot read", &self.path, error))
    }

    /// The same as a tensor.
    ///
    /// # Errors
    /// As [`Weights::values`].
    pub fn tensor(&self, network: &str, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_f64(&self.device, shape.to_vec(), &self.values(network, name, shape)?))
    }
}

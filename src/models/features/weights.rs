//! Weights by name out of a safetensors file, each with the shape that a network needs.

use crate::error::{Error, Result};
use crate::tensor::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// The tensors of a safetensors file.
pub struct Weights {
    bytes: Vec<u8>,
    path: PathBuf,
    device: Device,
}

impl Weights {
    /// Reads a file; tensors go to `device`.
    ///
    /// # Errors
    /// A file that cannot be read or is no safetensors.
    pub fn open(path: &Path, device: &Device) -> Result<Weights> {
        let bytes = std::fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
        if let Err(error) = SafeTensors::deserialize(&bytes) {
            let hint = "a .pth of PyTorch becomes one by recipes/torch_weights.py";
            return Err(Error::file(path, format!("is no safetensors file ({error}); {hint}")));
        }
        Ok(Weights { bytes, path: path.into(), device: device.clone() })
    }

    fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| Error::file(&self.path, error.to_string()))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors().is_ok_and(|tensors| tensors.tensor(name).is_ok())
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.tensors().map_or(Vec::new(), |tensors| tensors.names().into_iter().map(String::from).collect());
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
        let tensors = self.tensors()?;
        let refuse = |why: String| Err(Error::file(&self.path, why));
        let Ok(view) = tensors.tensor(name) else {
            return refuse(format!("lacks the tensor {name:?} of shape {shape:?}, which {network} needs"));
        };
        if view.shape() != shape {
            return refuse(format!("{name:?} has shape {:?}, but {network} needs {shape:?}", view.shape()));
        }
        let values: Vec<f64> = match view.dtype() {
            Dtype::F32 => {
                view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
            }
            Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(view.data()),
            other => return refuse(format!("{name:?} holds {other:?}; save it as F32 or F64")),
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => refuse(format!("{name:?} holds {} at place {at}", values[at])),
            None => Ok(values),
        }
    }

    /// The same as a tensor.
    ///
    /// # Errors
    /// As [`Weights::values`].
    pub fn tensor(&self, network: &str, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_f64(&self.device, shape.to_vec(), &self.values(network, name, shape)?))
    }
}

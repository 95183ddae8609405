//! Indices: u32 numbers on a device, with a type of their own because they have no gradient.

use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};
use crate::shape::Shape;
use crate::tensor::Device;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// An array of u32 on a device: labels, places of maxima, rows of an embedding. Cloning shares it.
#[derive(Clone)]
pub struct Indices {
    shape: Shape,
    device: Device,
    values: Arc<Values>,
}

/// Host and device copy; each is made from the other when first asked for. One is always there.
struct Values {
    host: OnceLock<Vec<u32>>,
    gpu: OnceLock<GpuBuffer>,
}

impl Indices {
    /// Indices in row-major order.
    #[track_caller]
    pub fn new(device: &Device, shape: impl Into<Shape>, values: Vec<u32>) -> Indices {
        let shape = shape.into();
        assert_eq!(shape.len(), values.len(), "Indices::new: shape {shape} does not hold {} values", values.len());
        let values = Arc::new(Values { host: values.into(), gpu: OnceLock::new() });
        Indices { shape, device: device.clone(), values }
    }

    /// Indices that a kernel wrote.
    pub(crate) fn on_gpu(gpu: &Gpu, shape: Shape, buffer: GpuBuffer) -> Indices {
        let values = Arc::new(Values { host: OnceLock::new(), gpu: buffer.into() });
        Indices { shape, device: Device::Gpu(gpu.clone()), values }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of indices.
    pub fn len(&self) -> usize {
        self.shape.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The same numbers in another shape.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Indices {
        let shape = shape.into();
        assert_eq!(shape.len(), self.len(), "reshape: {} indices do not fill {shape}", self.len());
        Indices { shape, ..self.clone() }
    }

    /// The numbers on the host. Where a kernel made them, the first call waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn to_vec(&self) -> Result<Vec<u32>> {
        self.host().map(<[u32]>::to_vec)
    }

    pub(crate) fn host(&self) -> Result<&[u32]> {
        if let Some(values) = self.values.host.get() {
            return Ok(values);
        }
        let (Device::Gpu(gpu), Some(buffer)) = (&self.device, self.values.gpu.get()) else {
            unreachable!("only a GPU makes indices without a host copy")
        };
        let read = if self.is_empty() { Vec::new() } else { gpu.read(buffer, self.len() as u64 * 4)? };
        Ok(self.values.host.get_or_init(|| bytemuck::pod_collect_to_vec(&read)))
    }

    pub(crate) fn gpu(&self, gpu: &Gpu) -> Result<GpuBuffer> {
        if let Some(buffer) = self.values.gpu.get() {
            return Ok(buffer.clone());
        }
        let buffer = gpu.upload(bytemuck::cast_slice(self.host()?))?;
        Ok(self.values.gpu.get_or_init(|| buffer).clone())
    }
}

impl fmt::Debug for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Indices({} on {})", self.shape, self.device)
    }
}

//! Tensors: a shape, a storage on a device and, while recording, the op and inputs that made them.

mod device;
mod op;
pub mod plan;
pub mod profile;
pub mod real;

pub use device::{Device, Storage};
pub(crate) use op::reference_loops;
pub use op::{GpuView, Op, View, apply};
pub use real::Real;

use crate::error::{Error, Result};
use crate::shape::Shape;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An immutable, contiguous, row-major array on a device. Cloning shares it.
///
/// Values are f64 on [`Device::Reference`] and f32 elsewhere. An operation that fails on the device (memory ran out,
/// the device was lost) gives a tensor without values; the error comes out where values are read ([`Tensor::to_vec`]).
#[derive(Clone)]
pub struct Tensor(Arc<Node>);

struct Node {
    id: u64,
    shape: Shape,
    device: Device,
    storage: Storage,
    origin: Option<Origin>,
}

/// The op and the inputs that a tensor was computed from.
pub(crate) struct Origin {
    pub op: Arc<dyn Op>,
    pub inputs: Vec<Tensor>,
}

/// Numbers rise in the order of creation, so an op's inputs always have smaller ids than its output: the backward
/// walk needs no other order.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

struct RecordingGuard(bool);

impl Drop for RecordingGuard {
    fn drop(&mut self) {
        RECORDING.set(self.0);
    }
}

/// Runs `f` without recording: what it computes has no origin and cannot be differentiated through.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    let _guard = RecordingGuard(RECORDING.replace(false));
    f()
}

/// Runs `f` with recording on, whatever surrounds it.
pub(crate) fn recording<R>(f: impl FnOnce() -> R) -> R {
    let _guard = RecordingGuard(RECORDING.replace(true));
    f()
}

/// True where results remember their origin. A fused op's gradient asks this to choose between its fused form (false)
/// and the same formula in differentiable ops (true).
pub fn is_recording() -> bool {
    RECORDING.get()
}

impl Tensor {
    /// A tensor from f32 values in row-major order.
    #[track_caller]
    pub fn new(device: &Device, shape: impl Into<Shape>, values: &[f32]) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.len(), values.len(), "Tensor::new: shape {shape} does not hold {} values", values.len());
        Tensor::leaf(device, shape, device.store_f32(values))
    }

    /// A tensor from f64 values in row-major order; rounded to f32 where the device computes in f32.
    #[track_caller]
    pub fn from_f64(device: &Device, shape: impl Into<Shape>, values: &[f64]) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.len(), values.len(), "Tensor::from_f64: shape {shape} does not hold {} values", values.len());
        Tensor::leaf(device, shape, device.store_f64(values))
    }

    /// A tensor with every element `value`.
    pub fn full(device: &Device, shape: impl Into<Shape>, value: f64) -> Tensor {
        let shape = shape.into();
        let storage = device.store_full(shape.len(), value);
        Tensor::leaf(device, shape, storage)
    }

    /// A tensor of zeros.
    pub fn zeros(device: &Device, shape: impl Into<Shape>) -> Tensor {
        Tensor::full(device, shape, 0.0)
    }

    /// A tensor of one element without axes, `[]`.
    pub fn scalar(device: &Device, value: f64) -> Tensor {
        Tensor::full(device, [], value)
    }

    pub(crate) fn leaf(device: &Device, shape: Shape, storage: Storage) -> Tensor {
        Tensor::with_origin(device, shape, storage, None)
    }

    fn with_origin(device: &Device, shape: Shape, storage: Storage, origin: Option<Origin>) -> Tensor {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Tensor(Arc::new(Node { id, shape, device: device.clone(), storage, origin }))
    }

    /// The same values without an origin: gradients stop here.
    pub fn detach(&self) -> Tensor {
        Tensor::leaf(&self.0.device, self.0.shape.clone(), self.0.storage.clone())
    }

    /// The same values as made by `op` from `inputs`, while recording: for ops that compute their values otherwise.
    pub(crate) fn made_by(&self, op: impl Op, inputs: &[&Tensor]) -> Tensor {
        let origin =
            is_recording().then(|| Origin { op: Arc::new(op), inputs: inputs.iter().map(|&x| x.clone()).collect() });
        Tensor::with_origin(&self.0.device, self.0.shape.clone(), self.0.storage.clone(), origin)
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// The size of one axis.
    #[track_caller]
    pub fn dim(&self, axis: usize) -> usize {
        assert!(axis < self.rank(), "dim: axis {axis} of a tensor of shape {}", self.shape());
        self.0.shape[axis]
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.shape.rank()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.shape.len()
    }

    /// True if there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the values are.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Whether the device could compute this tensor; does not wait for it.
    ///
    /// # Errors
    /// What went wrong.
    pub fn check(&self) -> Result<()> {
        match &self.0.storage {
            Storage::Failed(why) => Err(Error::Gpu(why.to_string())),
            _ => Ok(()),
        }
    }

    /// The values as f64, row-major. On a GPU this waits for the work before it.
    ///
    /// # Errors
    /// What went wrong on the device while this tensor or one it depends on was computed.
    pub fn to_vec_f64(&self) -> Result<Vec<f64>> {
        Ok(match &self.0.storage {
            Storage::F64(values) => values.to_vec(),
            Storage::F32(values) => values.iter().map(|&v| v as f64).collect(),
            Storage::Planned(_) => vec![0.0; self.len()],
            storage => self.read_back(storage)?.iter().map(|&v| v as f64).collect(),
        })
    }

    /// The values as f32, row-major. On a GPU this waits for the work before it.
    ///
    /// # Errors
    /// What went wrong on the device while this tensor or one it depends on was computed.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        Ok(match &self.0.storage {
            Storage::F64(values) => values.iter().map(|&v| v as f32).collect(),
            Storage::F32(values) => values.to_vec(),
            Storage::Planned(_) => vec![0.0; self.len()],
            storage => self.read_back(storage)?,
        })
    }

    fn read_back(&self, storage: &Storage) -> Result<Vec<f32>> {
        match (storage, &self.0.device) {
            (Storage::Failed(why), _) => Err(Error::Gpu(why.to_string())),
            (Storage::Gpu(_), _) if self.is_empty() => Ok(Vec::new()),
            (Storage::Gpu(buffer), Device::Gpu(gpu)) => {
                Ok(bytemuck::pod_collect_to_vec(&gpu.read(buffer, self.len() as u64 * 4)?))
            }
            _ => unreachable!("storage and device always match"),
        }
    }

    /// The value of a one-element tensor.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        assert_eq!(self.len(), 1, "item: the tensor has shape {}, not one element", self.shape());
        Ok(self.to_vec_f64()?[0])
    }

    /// The same values on another device (rounded to f32 there unless it is the reference), without an origin.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::from_f64(device, self.shape(), &self.to_vec_f64()?))
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// Takes the storage out if nothing else holds this tensor, so that an optimiser can write it in place.
    pub(crate) fn into_storage(self) -> Result<Storage, Tensor> {
        match Arc::try_unwrap(self.0) {
            Ok(mut node) => Ok(std::mem::replace(&mut node.storage, Storage::Failed("taken".into()))),
            Err(shared) => Err(Tensor(shared)),
        }
    }
}

/// Drops a graph with a list instead of recursion, so that its depth cannot overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut pending = self.origin.take().map_or(Vec::new(), |origin| origin.inputs);
        while let Some(tensor) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(tensor.0)
                && let Some(origin) = node.origin.take()
            {
                pending.extend(origin.inputs);
            }
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made_by = self.0.origin.as_ref().map_or("leaf", |origin| origin.op.name());
        write!(f, "Tensor({} on {}, {made_by}", self.0.shape, self.0.device)?;
        if self.len() <= 8
            && let Ok(values) = self.to_vec_f64()
        {
            write!(f, ", {values:?}")?;
        }
        write!(f, ")")
    }
}

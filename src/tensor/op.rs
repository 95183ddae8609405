//! The trait that an operation implements, and how one is applied to tensors.

use super::{Device, Origin, Storage, Tensor, is_recording, plan, profile};
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, MIN_BUFFER_BYTES};
use crate::shape::Shape;
use std::fmt::Debug;
use std::sync::Arc;

/// An input of an op on the host: its values and shape.
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    /// Values, row-major.
    pub data: &'a [T],
    /// Their shape.
    pub shape: &'a Shape,
}

/// An input or the output of an op on a GPU: its buffer and shape.
#[derive(Clone, Copy)]
pub struct GpuView<'a> {
    /// Holds the values as f32, row-major, from its start.
    pub buffer: &'a GpuBuffer,
    /// Their shape.
    pub shape: &'a Shape,
}

/// One differentiable primitive: everything the engine knows about it.
pub trait Op: Debug + Send + Sync + 'static {
    /// The op's name, as in error messages and the case table.
    fn name(&self) -> &'static str;

    /// The names of the inputs, for error messages.
    fn inputs(&self) -> &'static [&'static str];

    /// The output's shape, or why these inputs do not fit.
    fn infer(&self, x: &[&Shape]) -> Result<Shape, String>;

    /// True if the output is the first input's values under another shape: nothing is computed.
    fn is_view(&self) -> bool {
        false
    }

    /// The place, in elements, where the output begins in the first input, if it is a stretch of that input as it lies in
    /// memory. A GPU whose buffers can be bound from there on then computes nothing.
    fn stretch(&self, _x: &[&Shape]) -> Option<usize> {
        None
    }

    /// The defining equation in plain f64 loops. Writes all of `y`.
    fn reference(&self, x: &[View<f64>], y: &mut [f64], y_shape: &Shape);

    /// The fast f32 path; an op without one runs its reference loops in f32. Writes all of `y`.
    fn cpu(&self, x: &[View<f32>], y: &mut [f32], y_shape: &Shape);

    /// Which kernel, which parameters, how many workgroups. The output buffer holds garbage before.
    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()>;

    /// Multiplications and additions that the equation needs, two for each product that is summed up; 0 where reading
    /// and writing is all that takes time. For profiles.
    fn flop(&self, _x: &[&Shape], _y: &Shape) -> f64 {
        0.0
    }

    /// dx_i = (∂y/∂x_i)ᵀ·dy for each i with `needs[i]`, in `Tensor` methods only, so that it can be differentiated
    /// again. `x` are the inputs, `y` the output, `dy` the gradient of the loss by `y`.
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor, needs: &[bool]) -> Vec<Option<Tensor>>;
}

/// Implements `reference` (and, with `cpu`, also the fast path) of an [`Op`] by a method
/// `fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], y_shape: &Shape)`.
macro_rules! reference_loops {
    () => {
        fn reference(&self, x: &[View<f64>], y: &mut [f64], y_shape: &Shape) {
            self.define(x, y, y_shape);
        }
    };
    (cpu) => {
        reference_loops!();
        fn cpu(&self, x: &[View<f32>], y: &mut [f32], y_shape: &Shape) {
            self.define(x, y, y_shape);
        }
    };
}
pub(crate) use reference_loops;

/// Computes `op` of `inputs` on their device and, while recording, remembers where the result came from.
///
/// # Panics
/// If the shapes do not fit the op or the inputs are on different devices: both are errors of the calling code.
#[track_caller]
pub fn apply(op: impl Op, inputs: &[&Tensor]) -> Tensor {
    let shapes: Vec<&Shape> = inputs.iter().map(|x| x.shape()).collect();
    let shape = match op.infer(&shapes) {
        Ok(shape) => shape,
        Err(why) => panic!("{}: {why} ({})", op.name(), named(&op, inputs, |x| x.shape().to_string())),
    };
    let device = inputs[0].device();
    if inputs.iter().any(|x| x.device() != device) {
        panic!("{}: inputs on different devices ({})", op.name(), named(&op, inputs, |x| x.device().to_string()));
    }
    let part = match inputs[0].storage() {
        Storage::Gpu(buffer) => op.stretch(&shapes).and_then(|from| part(buffer, from, shape.len())),
        _ => None,
    };
    let storage = if op.is_view() {
        inputs[0].storage().clone()
    } else if let Some(part) = part {
        Storage::Gpu(part)
    } else {
        let all: Vec<&Shape> = shapes.iter().copied().chain([&shape]).collect();
        let flop = || op.flop(&shapes, &shape);
        profile::measured(op.name(), device, &all, flop, || compute(&op, inputs, &shape, device))
    };
    let origin =
        is_recording().then(|| Origin { op: Arc::new(op), inputs: inputs.iter().map(|&x| x.clone()).collect() });
    Tensor::with_origin(device, shape, storage, origin)
}

fn named(op: &impl Op, inputs: &[&Tensor], what: impl Fn(&Tensor) -> String) -> String {
    let names = op.inputs().iter().chain(std::iter::repeat(&"x"));
    inputs.iter().zip(names).map(|(x, name)| format!("{name} {}", what(x))).collect::<Vec<_>>().join(", ")
}

/// `len` elements of a buffer from element `from` on, where a part may begin.
fn part(buffer: &GpuBuffer, from: usize, len: usize) -> Option<GpuBuffer> {
    let offset = from as u64 * 4;
    (len > 0 && offset.is_multiple_of(MIN_BUFFER_BYTES)).then(|| buffer.view(offset, len as u64 * 4))
}

/// A device's own failure, with the op's name in front if it is not there already.
fn named_failure(op: &impl Op, storage: Storage) -> Storage {
    match storage {
        Storage::Failed(why) if !why.starts_with(&format!("{}: ", op.name())) => {
            Storage::Failed(format!("{}: {why}", op.name()).into())
        }
        named => named,
    }
}

fn compute(op: &impl Op, inputs: &[&Tensor], shape: &Shape, device: &Device) -> Storage {
    if let Some(Storage::Failed(why)) = inputs.iter().map(|x| x.storage()).find(|s| matches!(s, Storage::Failed(_))) {
        return Storage::Failed(why.clone());
    }
    // Room for the size classes of buffers; no machine has as much.
    if shape.checked_len().is_none_or(|len| len > usize::MAX >> 8) {
        return Storage::Failed(format!("{}: a tensor of shape {shape} is too large", op.name()).into());
    }
    if *device == Device::Cpu
        && let Some(place) = plan::place(shape.len())
    {
        return place;
    }
    match device {
        Device::Reference => {
            let views: Vec<View<f64>> = inputs
                .iter()
                .map(|x| match x.storage() {
                    Storage::F64(data) => View { data, shape: x.shape() },
                    _ => unreachable!("the reference device stores f64"),
                })
                .collect();
            named_failure(op, device.store(shape.len(), |y| op.reference(&views, y, shape)))
        }
        Device::Cpu => {
            let views: Vec<View<f32>> = inputs
                .iter()
                .map(|x| match x.storage() {
                    Storage::F32(data) => View { data, shape: x.shape() },
                    _ => unreachable!("the cpu device stores f32"),
                })
                .collect();
            named_failure(op, device.store_on_cpu(shape.len(), |y| op.cpu(&views, y, shape)))
        }
        Device::Gpu(gpu) => {
            let views: Vec<GpuView> = inputs
                .iter()
                .map(|x| match x.storage() {
                    Storage::Gpu(buffer) => GpuView { buffer, shape: x.shape() },
                    _ => unreachable!("a gpu device stores buffers"),
                })
                .collect();
            let run = || {
                let buffer = gpu.alloc(shape.len() as u64 * 4)?;
                if !shape.is_empty() {
                    op.gpu(gpu, &views, GpuView { buffer: &buffer, shape })?;
                }
                Ok::<_, crate::Error>(buffer)
            };
            match run() {
                Ok(buffer) => Storage::Gpu(buffer),
                Err(error) => named_failure(op, Storage::Failed(error.to_string().into())),
            }
        }
    }
}

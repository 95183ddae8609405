//! The ways in which a device can compute a case: kernel variants on a GPU, instruction sets and threads on the CPU.

use super::cases::Case;
use crate::cpu::simd::Isa;
use crate::error::{Error, Result};
use crate::gpu::tuning;
use crate::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Cases of these ops run every variant of the matrix products.
const PRODUCTS: [&str; 12] = [
    "matmul",
    "linear",
    "gram",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "conv2d_activated",
    "conv2d_input_activated",
    "linear_activated",
    "conv2d_measured",
    "conv2d_input_measured",
    "linear_measured",
];

/// Cases of these ops run every kind of elementwise pass, strided copy and batch norm.
const PASSES: [&str; 25] = [
    "sum",
    "conv2d_activated",
    "affine",
    "tanh",
    "leaky_relu",
    "add",
    "sub",
    "mul",
    "div",
    "max",
    "gt",
    "lerp",
    "bce_with_logits",
    "permute",
    "expand",
    "slice",
    "flip",
    "tile",
    "moments",
    "batch_norm",
    "batch_norm_with",
    "instance_norm",
    "layer_norm",
    "group_norm",
    "softmax",
];

/// Cases of these ops run with a binding so small that the large ones are worked on in pieces.
const PIECES: [&str; 14] = [
    "affine",
    "tanh",
    "leaky_relu",
    "add",
    "sub",
    "mul",
    "div",
    "permute",
    "expand",
    "slice",
    "sum",
    "max_axes",
    "min_axes",
    "argmax",
];

/// What kernels then see of a tensor at a time, in bytes.
const PIECE_BYTES: u64 = 64 << 10;

/// One way of computing on a device.
pub struct Variant {
    name: String,
    how: How,
}

enum How {
    /// What the program does by itself.
    AsChosen,
    Products(tuning::Variant),
    Passes(tuning::Passes),
    Pieces,
    /// On threads of its own, with narrower vectors than the processor has.
    Narrower(Isa, ThreadPool),
}

impl Variant {
    /// What the device does by itself.
    pub fn as_chosen() -> Variant {
        Variant { name: "as chosen".into(), how: How::AsChosen }
    }

    /// Every way this device has: first the one it takes by itself, then each one that can be forced on it.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn all(device: &Device) -> Result<Vec<Variant>> {
        let mut all = vec![Variant::as_chosen()];
        match device {
            Device::Reference => {}
            Device::Cpu => {
                for isa in Isa::others() {
                    let how = How::Narrower(isa, pool(rayon::current_num_threads(), isa)?);
                    all.push(Variant { name: isa.name().into(), how });
                }
            }
            Device::Gpu(gpu) => {
                let products = tuning::variants(gpu).into_iter();
                all.extend(products.map(|v| Variant { name: v.to_string(), how: How::Products(v) }));
                let passes = [tuning::Passes::General, tuning::Passes::Quads(1), tuning::Passes::Quads(8)];
                all.extend(passes.map(|p| Variant { name: p.to_string(), how: How::Passes(p) }));
                all.push(Variant { name: "pieces of 64 KiB".into(), how: How::Pieces });
            }
        }
        Ok(all)
    }

    /// The name in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this case may come out differently than as chosen.
    pub fn concerns(&self, case: &Case) -> bool {
        match self.how {
            How::AsChosen | How::Narrower(..) => true,
            How::Products(_) => PRODUCTS.contains(&case.op()),
            How::Passes(_) => PASSES.contains(&case.op()),
            How::Pieces => PIECES.contains(&case.op()),
        }
    }

    /// On the CPU: threads of another number than the caller's (one, or two where it has one) that compute in this way.
    pub(super) fn other_threads(&self, device: &Device) -> Result<Option<ThreadPool>> {
        let other = if rayon::current_num_threads() > 1 { 1 } else { 2 };
        let isa = if let How::Narrower(isa, _) = self.how { isa } else { Isa::best() };
        if *device == Device::Cpu { pool(other, isa).map(Some) } else { Ok(None) }
    }

    /// Does `work` in this way.
    pub(super) fn run<R: Send>(&self, device: &Device, work: impl FnOnce() -> R + Send) -> R {
        match (&self.how, device) {
            (How::Products(variant), Device::Gpu(gpu)) => {
                gpu.force_variant(Some(*variant));
                let done = work();
                gpu.force_variant(None);
                done
            }
            (How::Passes(passes), Device::Gpu(gpu)) => {
                gpu.force_passes(Some(*passes));
                let done = work();
                gpu.force_passes(None);
                done
            }
            (How::Pieces, Device::Gpu(gpu)) => {
                gpu.limit_bindings(Some(PIECE_BYTES));
                let done = work();
                gpu.limit_bindings(None);
                done
            }
            (How::Narrower(_, pool), _) => pool.install(work),
            _ => work(),
        }
    }
}

fn pool(threads: usize, isa: Isa) -> Result<ThreadPool> {
    let built = ThreadPoolBuilder::new().num_threads(threads).start_handler(move |_| isa.limit_thread()).build();
    built.map_err(|error| Error::Invalid(format!("{threads} threads cannot be started: {error}")))
}

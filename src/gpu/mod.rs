//! The device: adapters, and a [`Gpu`] that records kernel calls on buffers. The only folder that names wgpu.
//!
//! It knows bytes and kernels, not tensors. Work is recorded, submitted in batches and run in order, so a buffer may be
//! dropped as soon as the last call that uses it is recorded, and nothing waits for the device but [`Gpu::read`] and
//! [`Gpu::wait`].
//!
//! A kernel's buffers are bound in one order, all in `@group(0)`: its inputs as `var<storage, read>`, its outputs as
//! `var<storage, read_write>`, then, unless it has none, `var<storage, read> params: Params`. (Params are no uniform on
//! purpose: older software Vulkan drivers compile a kernel anew for new values in a uniform.)

mod adapter;
mod bind;
mod buffer;
mod choices;
pub mod gemm;
mod guard;
mod health;
mod memory;
pub mod pieces;
mod pipeline;
mod recorder;
pub mod shader;
mod stats;
mod stored;
mod texture;
mod timing;
mod transfer;
pub mod tuning;

#[cfg(test)]
mod math_tests;
#[cfg(test)]
pub(crate) mod test_kernels;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use adapter::{AdapterChoice, AdapterKind, AdapterReport, LimitsReport, adapters};
pub use buffer::{GpuBuffer, MIN_BUFFER_BYTES, Readback};
pub use guard::UNWRITTEN;
pub(crate) use memory::size_text;
pub use pieces::{Pieces, Span, in_pieces, reach};
pub use pipeline::Kernel;
pub use shader::{Assembled, assemble, shaders};
pub use stats::GpuStats;
pub use stored::{cache_folder, tuning_file};
pub use texture::{GpuTexture, TEXELS_A_ROW, Textures};
pub use timing::KernelTime;

use crate::error::{Error, Result};
use buffer::{Pool, StagingPool};
use health::{Health, describe};
use pipeline::{LayoutKey, Pipelines};
use recorder::Recorder;
use stats::Counters;

/// How to open a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Compile kernels with bounds checks, loop bounds and division guards, for tests. Slower; the numbers are equal.
    pub checked: bool,
    /// Ask for WebGPU's default limits only and for no optional feature, as the weakest device would offer.
    pub minimal: bool,
    /// Lay every buffer between guard words and fill it with a pattern first, for tests; see [`Gpu::broken_guards`].
    pub guarded: bool,
}

/// One dispatch of a kernel.
pub struct KernelCall<'a> {
    /// What to run.
    pub kernel: Kernel,
    /// The inputs, in binding order.
    pub reads: &'a [&'a GpuBuffer],
    /// The outputs, in binding order. A buffer that is changed in place stands only here.
    pub writes: &'a [&'a GpuBuffer],
    /// The bytes of the kernel's `Params` struct, or none if it has no such binding.
    pub params: &'a [u8],
    /// How many workgroups; [`grid`] gives these. Nothing is run if one is zero.
    pub workgroups: [u32; 3],
    /// Who calls, for messages.
    pub label: &'a str,
}

/// An open device. Cloning shares it; all methods may be called from any thread.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    report: AdapterReport,
    options: GpuOptions,
    max_buffer_bytes: u64,
    max_binding_bytes: u64,
    /// What tests allow kernels to see at a time.
    binding_limit: AtomicU64,
    device: wgpu::Device,
    queue: wgpu::Queue,
    health: Arc<Health>,
    counters: Counters,
    pool: Arc<Pool>,
    textures: Arc<texture::TexturePool>,
    staging: StagingPool,
    pipelines: Pipelines,
    recorder: Mutex<Recorder>,
    forced_variant: Mutex<Option<tuning::Variant>>,
    forced_passes: Mutex<Option<tuning::Passes>>,
    tuned: Mutex<Option<tuning::Tuned>>,
    tuned_as: Mutex<Option<AdapterKind>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        stored::leave(&self.pipelines);
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.0.report)
    }
}

/// The workgroups for this many invocations: as many as needed in x, folded into y (and z) beyond the 65,535 that a
/// dimension may have. The last row may have some too many: a kernel finds its place with `linear_id` of
/// `shaders/lib/index.wgsl` and compares it with the count.
pub fn grid(invocations: u64, workgroup: u32) -> [u32; 3] {
    const MOST: u64 = 65_535;
    let groups = invocations.div_ceil(u64::from(workgroup.max(1)));
    let z = groups.div_ceil(MOST * MOST).max(1);
    let y = groups.div_ceil(MOST * z).max(1);
    let x = groups.div_ceil(y * z);
    [x as u32, y as u32, z as u32]
}

impl Gpu {
    /// Opens a device on the chosen adapter.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`], with the adapters there are and how to choose one, or to do without.
    pub fn open(choice: &AdapterChoice, options: GpuOptions) -> Result<Gpu> {
        let (adapter, report) = adapter::choose(choice)?;
        let (device, queue) = adapter::request(&adapter, &report, options)?;

        let health = Arc::new(Health::default());
        let on_error = health.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.set(&on_error.error, describe(&error));
        }));
        let on_loss = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                on_loss.set(&on_loss.lost, format!("the device was lost: {message}"));
            }
        });

        let limits = device.limits();
        // Kernels count elements in u32.
        let max_buffer_bytes = limits.max_buffer_size.min((16 << 30) - MIN_BUFFER_BYTES) & !(MIN_BUFFER_BYTES - 1);
        let max_binding_bytes = max_buffer_bytes.min(limits.max_storage_buffer_binding_size) & !(MIN_BUFFER_BYTES - 1);
        Ok(Gpu(Arc::new(Inner {
            report: AdapterReport { limits: LimitsReport::new(&limits), ..report },
            options,
            max_buffer_bytes,
            max_binding_bytes,
            binding_limit: AtomicU64::new(u64::MAX),
            device,
            queue,
            health,
            counters: Counters::default(),
            pool: Arc::new(Pool::new()),
            textures: Arc::default(),
            staging: StagingPool::default(),
            pipelines: Pipelines::default(),
            recorder: Mutex::new(Recorder::new()),
            forced_variant: Mutex::default(),
            forced_passes: Mutex::default(),
            tuned: Mutex::default(),
            tuned_as: Mutex::default(),
        })))
    }

    /// True if both are handles of one opened device.
    pub fn is_same(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The adapter, with the limits the device was opened with.
    pub fn report(&self) -> &AdapterReport {
        &self.0.report
    }

    /// How the device was opened.
    pub fn options(&self) -> GpuOptions {
        self.0.options
    }

    /// Whether kernels may use subgroup operations and subgroups have always this many invocations.
    pub fn has_subgroups_of(&self, size: u32) -> bool {
        let report = &self.0.report;
        let offered = !self.0.options.minimal && report.features.contains(&"subgroup");
        offered && report.subgroup_min == size && report.subgroup_max == size
    }

    /// The largest buffer, in bytes. A kernel may see less of it at a time: [`Gpu::max_binding_bytes`].
    pub fn max_buffer_bytes(&self) -> u64 {
        self.0.max_buffer_bytes
    }

    /// A buffer of at least this many bytes, whose content is whatever its memory held before.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if it is larger than the device allows or memory ran out.
    pub fn alloc(&self, bytes: u64) -> Result<GpuBuffer> {
        self.check()?;
        if self.0.options.guarded {
            return self.alloc_guarded(bytes, &mut self.lock());
        }
        match self.take_pooled(bytes, None)? {
            Some(buffer) => Ok(buffer),
            None => self.create(bytes, &mut self.lock()),
        }
    }

    /// Records a kernel call, to run after all calls made so far.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the kernel does not compile, or for trouble that the device reported about earlier calls.
    ///
    /// # Panics
    ///
    /// If a buffer is listed in both reads and writes, twice in writes, or is of another device.
    #[track_caller]
    pub fn run(&self, call: &KernelCall) -> Result<()> {
        self.run_with(call, Textures::default())
    }

    /// The same for a kernel that uses textures too.
    #[track_caller]
    pub fn run_with(&self, call: &KernelCall, textures: Textures) -> Result<()> {
        self.check()?;
        self.check_buffers(call);
        let own = textures.all().all(|texture| texture.is_from(&self.0.textures));
        assert!(own, "{}: a texture is of another device", call.label);
        if call.workgroups.contains(&0) {
            return Ok(());
        }
        let limits = &self.0.report.limits;
        let most = limits.workgroups_per_dimension;
        if call.workgroups.iter().any(|count| *count > most) {
            let [x, y, z] = call.workgroups;
            let message =
                format!("{}: a grid of {x} x {y} x {z} workgroups; the device takes {most} a side", call.label);
            return Err(Error::Gpu(message));
        }
        let most = self.max_binding_bytes();
        if let Some(buffer) = call.reads.iter().chain(call.writes).find(|buffer| buffer.bytes() > most) {
            return Err(self.too_large_to_bind(call.label, buffer.bytes()));
        }
        let bound = call.reads.len() + call.writes.len() + usize::from(!call.params.is_empty());
        let most = limits.storage_buffers_per_stage.min(255) as usize;
        if bound > most {
            return Err(Error::Gpu(format!("{}: {bound} buffers; the device takes {most}", call.label)));
        }

        let pipeline = self.0.pipelines.get(self, &call.kernel, LayoutKey::of(call, textures))?;
        let recorder = &mut self.lock();
        let params = match call.params {
            [] => None,
            bytes => Some(self.params(bytes, recorder)?),
        };
        let group = recorder.bindings.group(self, &pipeline, call, params.as_ref(), textures);
        let batch = recorder.batch();
        call.reads.iter().chain(call.writes).copied().chain(&params).for_each(|buffer| buffer.mark_used(batch));
        recorder.dispatch(self, &pipeline, group, call.workgroups, call.label)
    }

    /// Submits what is recorded.
    pub fn flush(&self) -> Result<()> {
        self.check()?;
        self.lock().submit(self)?;
        self.check()
    }

    /// Submits what is recorded and waits until all of it has run.
    pub fn wait(&self) -> Result<()> {
        self.check()?;
        self.wait_with(&mut self.lock())?;
        self.check()
    }

    /// Compiles these kernels on all cores, ahead of their first calls.
    pub fn prepare(&self, kernels: &[Kernel]) -> Result<()> {
        self.check()?;
        self.0.pipelines.prepare(self, kernels)
    }

    /// The kernels that were compiled on this device so far.
    pub fn kernels(&self) -> Vec<Kernel> {
        self.0.pipelines.kernels()
    }

    /// Gives the memory that waits in the pool back to the system.
    pub fn trim(&self) {
        self.0.textures.trim();
        let freed = self.0.pool.trim_to(0);
        self.lock().bindings.forget(&freed);
    }

    /// A call may read a buffer or write it, once, and only one of this device.
    #[track_caller]
    fn check_buffers(&self, call: &KernelCall) {
        for (place, written) in call.writes.iter().enumerate() {
            let twice = call.writes[..place].iter().chain(call.reads).any(|other| other.id() == written.id());
            assert!(!twice, "{}: {written:?} is written and also read or written again", call.label);
        }
        let own = call.reads.iter().chain(call.writes).all(|buffer| buffer.is_from(&self.0.pool));
        assert!(own, "{}: a buffer is of another device", call.label);
    }

    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.0.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    fn textures(&self) -> &Arc<texture::TexturePool> {
        &self.0.textures
    }

    fn staging(&self) -> &StagingPool {
        &self.0.staging
    }
}

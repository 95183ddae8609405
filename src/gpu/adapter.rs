//! Adapters: what there is, what it offers, and the choice of one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use super::GpuOptions;
use crate::error::{Error, Result};

/// What kind of device an adapter drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterKind {
    /// A graphics card with its own memory.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU handed through to a virtual machine.
    Virtual,
    /// A program on the processor that behaves like a GPU.
    Software,
    /// The driver does not say.
    Other,
}

impl AdapterKind {
    fn of(kind: wgpu::DeviceType) -> AdapterKind {
        match kind {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        }
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AdapterKind::Discrete => "discrete GPU",
            AdapterKind::Integrated => "integrated GPU",
            AdapterKind::Virtual => "virtual GPU",
            AdapterKind::Software => "software",
            AdapterKind::Other => "other",
        })
    }
}

/// The limits that decide what fits on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsReport {
    /// The largest buffer, in bytes.
    pub buffer_bytes: u64,
    /// The largest part of a buffer that a kernel can use, in bytes.
    pub storage_binding_bytes: u64,
    /// How many buffers a kernel can use.
    pub storage_buffers_per_stage: u32,
    /// Memory that the invocations of a workgroup share, in bytes.
    pub workgroup_memory_bytes: u32,
    /// The most invocations of a workgroup.
    pub invocations_per_workgroup: u32,
    /// The most workgroups along one side of the grid.
    pub workgroups_per_dimension: u32,
    /// What the offset of a buffer's part must be a multiple of, in bytes.
    pub offset_alignment: u32,
}

impl LimitsReport {
    pub(super) fn new(limits: &wgpu::Limits) -> LimitsReport {
        LimitsReport {
            buffer_bytes: limits.max_buffer_size,
            storage_binding_bytes: limits.max_storage_buffer_binding_size,
            storage_buffers_per_stage: limits.max_storage_buffers_per_shader_stage,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            offset_alignment: limits.min_storage_buffer_offset_alignment,
        }
    }
}

/// One adapter of this machine.
#[derive(Clone, Debug)]
pub struct AdapterReport {
    /// The number that chooses it.
    pub index: usize,
    /// The device's name.
    pub name: String,
    /// What kind of device it is.
    pub kind: AdapterKind,
    /// The interface it is reached through: vulkan, metal, dx12 or gl.
    pub backend: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version.
    pub driver_info: String,
    /// What fits on it.
    pub limits: LimitsReport,
    /// The smallest number of invocations that run in step.
    pub subgroup_min: u32,
    /// The largest number of invocations that run in step.
    pub subgroup_max: u32,
    /// What it offers of the optional features that kernels may use.
    pub features: Vec<&'static str>,
    /// Whether kernels can run on it; if not, why.
    pub usable: Result<(), String>,
}

impl fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AdapterReport { index, name, kind, backend, driver, driver_info, .. } = self;
        write!(f, "{index}: {name}, {kind}, {backend}")?;
        if !driver.is_empty() {
            write!(f, " ({})", format!("{driver} {driver_info}").trim())?;
        }
        match &self.usable {
            Ok(()) => Ok(()),
            Err(why) => write!(f, ", not usable: {why}"),
        }
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The best real GPU: discrete before integrated before virtual; never a software adapter.
    Hardware,
    /// The adapter with this number.
    Index(usize),
    /// The first adapter with this in its name or its driver's, in capital letters or not; or the first behind this
    /// interface: `vulkan`, `metal`, `dx12` or `gl`.
    Name(String),
    /// The first software adapter.
    Software,
}

/// The optional features that are asked for where they are offered.
const FEATURES: [(wgpu::Features, &str); 4] = [
    (wgpu::Features::SUBGROUP, "subgroup"),
    (wgpu::Features::SHADER_F16, "shader-f16"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
];

/// All adapters of this machine, also unusable ones, and one device several times if several drivers serve it.
pub fn adapters() -> Vec<AdapterReport> {
    let mut all = enumerate(Backends::Primary, 0);
    all.extend(enumerate(Backends::Gl, all.len()));
    all.into_iter().map(|(_, report)| report).collect()
}

/// The interfaces, in the order in which adapters are numbered. OpenGL drivers start slowly and crash more often, so
/// they are not loaded before they are needed.
#[derive(Clone, Copy, PartialEq)]
enum Backends {
    Primary,
    Gl,
}

/// The adapters behind these interfaces, numbered from `first`.
fn enumerate(backends: Backends, first: usize) -> Vec<(wgpu::Adapter, AdapterReport)> {
    static PRIMARY: OnceLock<Option<wgpu::Instance>> = OnceLock::new();
    static GL: OnceLock<Option<wgpu::Instance>> = OnceLock::new();
    let (instance, backends) = match backends {
        Backends::Primary => (&PRIMARY, wgpu::Backends::PRIMARY),
        Backends::Gl => (&GL, wgpu::Backends::GL),
    };
    // A broken driver must not take down the program that only lists what there is.
    let make = || {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = backends;
        descriptor.flags = wgpu::InstanceFlags::empty();
        descriptor.memory_budget_thresholds.for_resource_creation = Some(95);
        wgpu::Instance::new(descriptor)
    };
    let Some(instance) = instance.get_or_init(|| catch_unwind(make).ok()) else { return Vec::new() };
    let found = catch_unwind(AssertUnwindSafe(|| {
        let adapters = pollster::block_on(instance.enumerate_adapters(backends));
        (first..).zip(adapters).map(|(index, adapter)| (report(index, &adapter), adapter)).collect::<Vec<_>>()
    }));
    found.unwrap_or_default().into_iter().map(|(report, adapter)| (adapter, report)).collect()
}

fn report(index: usize, adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let limits = LimitsReport::new(&adapter.limits());
    let features = adapter.features();
    let compute = adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    AdapterReport {
        index,
        name: info.name,
        kind: AdapterKind::of(info.device_type),
        backend: info.backend.to_str().to_string(),
        driver: info.driver,
        driver_info: info.driver_info,
        usable: usable(compute, &limits),
        limits,
        subgroup_min: info.subgroup_min_size,
        subgroup_max: info.subgroup_max_size,
        features: FEATURES.iter().filter(|(flag, _)| features.contains(*flag)).map(|(_, name)| *name).collect(),
    }
}

/// Kernels are written for WebGPU's default limits.
fn usable(compute: bool, limits: &LimitsReport) -> Result<(), String> {
    if !compute {
        return Err("it offers no compute shaders".to_string());
    }
    let defaults = LimitsReport::new(&wgpu::Limits::default());
    for (what, offered, needed) in [
        ("buffers per kernel", limits.storage_buffers_per_stage, defaults.storage_buffers_per_stage),
        ("invocations per workgroup", limits.invocations_per_workgroup, defaults.invocations_per_workgroup),
        ("workgroups a side", limits.workgroups_per_dimension, defaults.workgroups_per_dimension),
        ("bytes of workgroup memory", limits.workgroup_memory_bytes, defaults.workgroup_memory_bytes),
    ] {
        if offered < needed {
            return Err(format!("it offers {offered} {what}, {needed} are needed"));
        }
    }
    Ok(())
}

/// Finds the adapter of a choice.
pub(super) fn choose(choice: &AdapterChoice) -> Result<(wgpu::Adapter, AdapterReport)> {
    let mut seen = Vec::new();
    for backends in [Backends::Primary, Backends::Gl] {
        let mut found = enumerate(backends, seen.len());
        seen.extend(found.iter().map(|(_, report)| report.clone()));
        let reports: Vec<&AdapterReport> = found.iter().map(|(_, report)| report).collect();
        if let Some(place) = pick(choice, &reports) {
            let (adapter, report) = found.swap_remove(place);
            return match &report.usable {
                Ok(()) => Ok((adapter, report)),
                Err(why) => Err(Error::Gpu(format!("cannot use {}: {why}; {}", report.name, what_there_is(&seen)))),
            };
        }
    }
    let wanted = match choice {
        AdapterChoice::Hardware => "there is no usable hardware GPU".to_string(),
        AdapterChoice::Software => "there is no usable software adapter".to_string(),
        AdapterChoice::Index(index) => format!("there is no adapter number {index}"),
        AdapterChoice::Name(name) => format!("there is no adapter with `{name}` in its name or its driver's"),
    };
    Err(Error::Gpu(format!("{wanted}; {}", what_there_is(&seen))))
}

/// The place of the chosen one of these adapters.
fn pick(choice: &AdapterChoice, reports: &[&AdapterReport]) -> Option<usize> {
    let first_of = |kind| reports.iter().position(|report| report.kind == kind && report.usable.is_ok());
    match choice {
        AdapterChoice::Hardware => {
            [AdapterKind::Discrete, AdapterKind::Integrated, AdapterKind::Virtual].into_iter().find_map(first_of)
        }
        AdapterChoice::Software => first_of(AdapterKind::Software),
        AdapterChoice::Index(index) => reports.iter().position(|report| report.index == *index),
        AdapterChoice::Name(name) => {
            let wanted = name.to_lowercase();
            let is_interface = ["vulkan", "metal", "dx12", "gl"].contains(&wanted.as_str());
            let named = |report: &&AdapterReport| {
                if is_interface {
                    return report.backend == wanted;
                }
                report.name.to_lowercase().contains(&wanted) || report.driver.to_lowercase().contains(&wanted)
            };
            let usable = reports.iter().position(|report| named(report) && report.usable.is_ok());
            usable.or_else(|| reports.iter().position(named))
        }
    }
}

/// The end of a message about an adapter that is not there.
fn what_there_is(seen: &[AdapterReport]) -> String {
    if seen.is_empty() {
        return "this machine has no Vulkan, Metal, DX12 or GL driver that was found: use --device cpu".to_string();
    }
    let list: Vec<String> = seen.iter().map(|report| format!("\n  {report}")).collect();
    format!(
        "use --device cpu, or name an adapter, software ones too, by name or number, such as --device gpu:{} or \
         --device gpu:{} (`toile devices` tells more):{}",
        seen[0].name.split([' ', '(']).next().unwrap_or_default().to_lowercase(),
        seen[0].index,
        list.concat()
    )
}

/// Opens a device with everything the adapter offers, or with as little as possible.
pub(super) fn request(
    adapter: &wgpu::Adapter,
    report: &AdapterReport,
    options: GpuOptions,
) -> Result<(wgpu::Device, wgpu::Queue)> {
    let wanted = FEATURES.iter().fold(wgpu::Features::empty(), |all, (feature, _)| all | *feature);
    let (features, limits) = match options.minimal {
        true => (wgpu::Features::empty(), wgpu::Limits::default()),
        false => (adapter.features() & wanted, adapter.limits()),
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("toile"),
        required_features: features,
        required_limits: limits,
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    let opened = catch_unwind(AssertUnwindSafe(|| pollster::block_on(adapter.request_device(&descriptor))));
    let failed = |why: String| Error::Gpu(format!("cannot open {}: {why}; use --device cpu", report.name));
    opened.map_err(|_| failed("its driver failed".to_string()))?.map_err(|error| failed(error.to_string()))
}

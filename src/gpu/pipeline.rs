//! Compiled kernels: shader modules, bind group layouts and pipelines, each made once.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use rayon::prelude::*;
use wgpu::naga;

use super::{Gpu, KernelCall, Textures, shader};
use crate::error::{Error, Result};

/// One entry point of one shader with its constants: what a pipeline is made from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// The file in the shader folder, without `.wgsl`.
    pub shader: &'static str,
    /// The entry point.
    pub entry: &'static str,
    /// Names and values (as [`f64::to_bits`]) of `override` or one-line `const` declarations.
    pub constants: Vec<(&'static str, u64)>,
}

impl Kernel {
    /// An entry point with its constants as declared.
    pub fn new(shader: &'static str, entry: &'static str) -> Kernel {
        Kernel { shader, entry, constants: Vec::new() }
    }

    /// Sets a constant: an `override` of the shader, or a `const NAME: TYPE = VALUE;` that stands on one line.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: f64) -> Kernel {
        self.constants.push((name, value.to_bits()));
        self
    }

    /// The text of the module, with the constants that are `const`s in it, and those that are `override`s, to be given
    /// to the compiler.
    ///
    /// # Errors
    /// As [`shader::assemble`].
    pub fn assemble(&self) -> Result<(shader::Assembled, Vec<(&'static str, f64)>)> {
        let (consts, overrides) = self.split_constants();
        Ok((shader::assemble(self.shader, &consts)?, overrides))
    }

    /// The constants that are `const`s of the text, with their text, and those that are `override`s.
    fn split_constants(&self) -> (Vec<(&'static str, String)>, Overrides) {
        let mut consts = Vec::new();
        let mut overrides = Vec::new();
        for (name, bits) in &self.constants {
            let value = f64::from_bits(*bits);
            match shader::const_text(self.shader, name, value) {
                Some(text) => consts.push((*name, text)),
                None => overrides.push((*name, value)),
            }
        }
        consts.sort();
        (consts, overrides)
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.shader, self.entry)?;
        for (name, bits) in &self.constants {
            write!(f, " {name}={}", f64::from_bits(*bits))?;
        }
        Ok(())
    }
}

/// What a kernel binds: that many inputs, then outputs, then perhaps its parameters; then textures, read and written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct LayoutKey {
    pub reads: u8,
    pub writes: u8,
    pub params: bool,
    pub textures: u8,
    pub stored: u8,
}

impl LayoutKey {
    pub fn of(call: &KernelCall, textures: Textures) -> LayoutKey {
        LayoutKey {
            reads: call.reads.len() as u8,
            writes: call.writes.len() as u8,
            params: !call.params.is_empty(),
            textures: textures.reads.len() as u8,
            stored: u8::from(textures.write.is_some()),
        }
    }

    pub fn key(self) -> u64 {
        let LayoutKey { reads, writes, params, textures, stored } = self;
        u64::from_le_bytes([params.into(), writes, reads, textures, stored, 0, 0, 0])
    }

    /// The kind of each binding in turn.
    fn kinds(self) -> impl Iterator<Item = wgpu::BindingType> {
        let buffer = |read_only| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let read = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let written = wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::WriteOnly,
            format: wgpu::TextureFormat::Rgba32Float,
            view_dimension: wgpu::TextureViewDimension::D2,
        };
        let textures = std::iter::repeat_n(read, self.textures.into());
        self.read_only().map(buffer).chain(textures).chain(std::iter::repeat_n(written, self.stored.into()))
    }

    /// Whether each binding in turn is read-only.
    fn read_only(self) -> impl Iterator<Item = bool> {
        let (reads, writes) = (usize::from(self.reads), usize::from(self.writes));
        (0..reads + writes + usize::from(self.params)).map(move |index| index < reads || index >= reads + writes)
    }
}

/// A kernel that is compiled or being compiled: calls of it can be recorded at once, and wait only where they are
/// submitted. So the kernels of a batch compile side by side.
pub(super) struct Pipeline {
    pub name: Arc<str>,
    pub bind_group_layout: wgpu::BindGroupLayout,
    pub layout: LayoutKey,
    kernel: Kernel,
    compiled: Once<wgpu::ComputePipeline>,
}

impl Pipeline {
    /// The compiled kernel, if it is.
    pub fn ready(&self) -> Option<&wgpu::ComputePipeline> {
        self.compiled.get()?.as_ref().ok()
    }

    /// The compiled kernel; compiles it, or waits for the thread that does.
    pub fn wait(&self, gpu: &Gpu) -> Result<wgpu::ComputePipeline> {
        let compile = || gpu.0.pipelines.compile(gpu, self).map_err(|e| e.to_string());
        self.compiled.get_or_init(compile).clone().map_err(Error::Gpu)
    }
}

/// Something made once, by whichever thread needs it first while the others wait, or the reason why it could not be.
type Once<T> = Arc<OnceLock<Result<T, String>>>;

/// The pipelines of a kernel, one for each number of buffers it was called with (in practice one).
type ByKernel = HashMap<Kernel, Vec<Arc<Pipeline>>>;

/// Names and values of override constants.
type Overrides = Vec<(&'static str, f64)>;

/// A module, and what calls of each entry point look like.
struct Module {
    module: wgpu::ShaderModule,
    assembled: shader::Assembled,
    layouts: HashMap<String, LayoutKey>,
    overrides: Vec<String>,
}

/// Everything compiled on one device.
#[derive(Default)]
pub(super) struct Pipelines {
    modules: Mutex<HashMap<String, Once<Arc<Module>>>>,
    layouts: Mutex<HashMap<LayoutKey, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>>,
    pipelines: RwLock<ByKernel>,
    /// What the driver kept of an earlier run; see [`Gpu::use_stored_pipelines`].
    pub stored: OnceLock<wgpu::PipelineCache>,
    /// Where this run's are left, and how many bytes there are of the earlier one's.
    pub leave: OnceLock<(std::path::PathBuf, usize)>,
}

impl Pipelines {
    /// The pipeline of a kernel called with this many buffers. A new one is compiled by another thread, unless the call
    /// does not look as its shader declares: then here, which tells what is wrong with it.
    pub fn get(&self, gpu: &Gpu, kernel: &Kernel, layout: LayoutKey) -> Result<Arc<Pipeline>> {
        let find = |all: &ByKernel| all.get(kernel)?.iter().find(|known| known.layout == layout).cloned();
        let known = find(&self.pipelines.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(pipeline) = known {
            if pipeline.compiled.get().is_some_and(Result::is_err) {
                pipeline.wait(gpu)?;
            }
            return Ok(pipeline);
        }
        let (module, constants) = self.module(gpu, kernel)?;
        let declared = *module.layouts.get(kernel.entry).ok_or_else(|| no_entry(kernel, &module))?;
        if let Some((name, _)) = constants.iter().find(|(name, _)| !module.overrides.iter().any(|known| known == name))
        {
            let shader = kernel.shader;
            return Err(Error::Gpu(format!("shaders/{shader}.wgsl declares no override and no const `{name}`")));
        }
        let pipeline = {
            let mut all = self.pipelines.write().unwrap_or_else(PoisonError::into_inner);
            find(&all).unwrap_or_else(|| {
                let pipeline = Arc::new(Pipeline {
                    name: kernel.to_string().into(),
                    bind_group_layout: self.layout(gpu, layout).0,
                    layout,
                    kernel: kernel.clone(),
                    compiled: Once::default(),
                });
                all.entry(kernel.clone()).or_default().push(pipeline.clone());
                pipeline
            })
        };
        if declared == layout {
            let (gpu, pipeline) = (gpu.clone(), pipeline.clone());
            // A failure is told where the kernel's first call is submitted.
            rayon::spawn(move || drop(pipeline.wait(&gpu)));
        } else {
            pipeline.wait(gpu)?;
        }
        Ok(pipeline)
    }

    /// What was compiled so far.
    pub fn kernels(&self) -> Vec<Kernel> {
        self.pipelines.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Compiles kernels on all cores, for calls with the buffers that their shaders declare.
    pub fn prepare(&self, gpu: &Gpu, kernels: &[Kernel]) -> Result<()> {
        kernels.par_iter().try_for_each(|kernel| {
            let (module, _) = self.module(gpu, kernel)?;
            let layout = module.layouts.get(kernel.entry).ok_or_else(|| no_entry(kernel, &module))?;
            self.get(gpu, kernel, *layout)?.wait(gpu).map(|_| ())
        })
    }

    /// The kernel's module and those of its constants that are overrides.
    fn module(&self, gpu: &Gpu, kernel: &Kernel) -> Result<(Arc<Module>, Overrides)> {
        let (consts, overrides) = kernel.split_constants();
        let mut label = kernel.shader.to_string();
        for (name, text) in &consts {
            label.push_str(&format!(" {name}={text}"));
        }
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let once = modules.entry(label.clone()).or_default().clone();
        drop(modules);
        let make = || make_module(gpu, kernel.shader, &consts, &label).map(Arc::new).map_err(|e| e.to_string());
        let module = once.get_or_init(make).clone().map_err(Error::Gpu)?;
        Ok((module, overrides))
    }

    fn compile(&self, gpu: &Gpu, wanted: &Pipeline) -> Result<wgpu::ComputePipeline> {
        let Pipeline { name: label, layout, kernel, .. } = wanted;
        let (module, constants) = self.module(gpu, kernel)?;
        let (_, pipeline_layout) = self.layout(gpu, *layout);
        let (pipeline, error) = gpu.scoped(|| {
            gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&pipeline_layout),
                module: &module.module,
                entry_point: Some(kernel.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    zero_initialize_workgroup_memory: false,
                },
                cache: self.stored.get(),
            })
        });
        if let Some(message) = error {
            let LayoutKey { reads, writes, params, .. } = *layout;
            let params = if params { "params" } else { "no params" };
            let message = module.assembled.map_message(&message);
            return Err(Error::Gpu(format!(
                "kernel {label} cannot be compiled for {reads} inputs, {writes} outputs and {params}: {message}"
            )));
        }
        gpu.counters().pipelines.fetch_add(1, Ordering::Relaxed);
        Ok(pipeline)
    }

    fn layout(&self, gpu: &Gpu, layout: LayoutKey) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = layouts.entry(layout).or_insert_with(|| {
            let label = format!("{} inputs, {} outputs, params {}", layout.reads, layout.writes, layout.params);
            let entries: Vec<_> = (0..)
                .zip(layout.kinds())
                .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                    binding,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty,
                    count: None,
                })
                .collect();
            let group = gpu
                .device()
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
            let pipeline = gpu.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &[Some(&group)],
                immediate_size: 0,
            });
            (group, pipeline)
        });
        made.clone()
    }
}

fn no_entry(kernel: &Kernel, module: &Module) -> Error {
    let mut entries: Vec<&str> = module.layouts.keys().map(String::as_str).collect();
    entries.sort_unstable();
    let Kernel { shader, entry, .. } = kernel;
    Error::Gpu(format!("shaders/{shader}.wgsl has no entry point `{entry}`, only: {}", entries.join(", ")))
}

fn make_module(gpu: &Gpu, shader: &str, consts: &[(&str, String)], label: &str) -> Result<Module> {
    let assembled = shader::assemble(shader, consts)?;
    let (module, info) = assembled.parse()?;
    let layouts = (module.entry_points.iter().enumerate())
        .filter_map(|(index, entry)| Some((entry.name.clone(), entry_layout(&module, info.get_entry_point(index))?)))
        .collect();
    let overrides = module.overrides.iter().filter_map(|(_, constant)| constant.name.clone()).collect();

    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl((&assembled.source).into()),
    };
    let (module, error) = gpu.scoped(|| {
        if gpu.options().checked {
            gpu.device().create_shader_module(descriptor)
        } else {
            // SAFETY: the shaders are this program's own. They index within the bounds that their parameters state,
            // their loops end and their divisors are not zero; the tests run the whole case table on a checked device, too.
            unsafe { gpu.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        }
    });
    if let Some(message) = error {
        return Err(Error::Gpu(format!("shader {label} does not compile: {}", assembled.map_message(&message))));
    }
    Ok(Module { module, assembled, layouts, overrides })
}

/// What a call of an entry point looks like, from the buffers that it uses: inputs, outputs, params. A binding it skips
/// is taken as any other entry point declares it. None if the bindings are not in this order (then a call fails).
fn entry_layout(module: &naga::Module, uses: &naga::valid::FunctionInfo) -> Option<LayoutKey> {
    let mut declared: HashMap<u32, (bool, bool)> = HashMap::new(); // binding: (read only, used by this entry point)
    let mut params_at = None;
    for (handle, variable) in module.global_variables.iter() {
        let (Some(binding), naga::AddressSpace::Storage { access }) = (&variable.binding, variable.space) else {
            continue;
        };
        let used = !uses[handle].is_empty();
        let read_only = !access.contains(naga::StorageAccess::STORE);
        if used || !declared.get(&binding.binding).is_some_and(|(_, used)| *used) {
            declared.insert(binding.binding, (read_only, used));
        }
        if variable.name.as_deref() == Some("params") {
            params_at = Some(binding.binding);
        }
    }
    let used = declared.iter().filter(|(_, (_, used))| *used).map(|(binding, _)| *binding);
    let last = used.chain(params_at).max().unwrap_or(0);
    let kinds: Vec<bool> =
        (0..=last).map(|binding| declared.get(&binding).map(|(read_only, _)| *read_only)).collect::<Option<_>>()?;
    let reads = kinds.iter().take_while(|read_only| **read_only).count();
    let writes = kinds[reads..].iter().take_while(|read_only| !**read_only).count();
    let params = reads + writes < kinds.len();
    let images = module.global_variables.iter().filter(|(handle, _)| !uses[*handle].is_empty());
    let (stored, textures): (Vec<_>, Vec<_>) = images
        .filter_map(|(_, variable)| match module.types[variable.ty].inner {
            naga::TypeInner::Image { class, .. } => Some(class),
            _ => None,
        })
        .partition(|class| matches!(class, naga::ImageClass::Storage { .. }));
    let (textures, stored) = (textures.len() as u8, stored.len() as u8);
    Some(LayoutKey { reads: reads as u8, writes: writes as u8, params, textures, stored })
}

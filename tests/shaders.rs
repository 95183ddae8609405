//! Portability of the shaders: translated to what other devices take, within WebGPU's default limits, and with the
//! parameters that the host sends.

use naga::back::{PipelineConstants, glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toile::gpu::{Kernel, shaders};

fn parsed(source: &str) -> naga::Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)))
}

/// Holds one kernel, with the constants it is run with.
pub fn hold(kernel: &Kernel) {
    let (assembled, overrides) = kernel.assemble().unwrap();
    let module = parsed(&assembled.source);
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{kernel}: {error:?}"));
    let constants: PipelineConstants = overrides.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let stage = (naga::ShaderStage::Compute, kernel.entry);
    let (module, info) = process_overrides(&module, &info, Some(stage), &constants).unwrap();
    within_limits(kernel, &module, &info);
    translates(kernel, &module, &info);
}

/// WebGPU's default limits, which every device offers.
fn within_limits(kernel: &Kernel, module: &naga::Module, info: &naga::valid::ModuleInfo) {
    let index = module.entry_points.iter().position(|entry| entry.name == kernel.entry).expect("the entry point");
    let entry = &module.entry_points[index];
    let [x, y, z] = entry.workgroup_size;
    assert!(x <= 256 && y <= 256 && z <= 64 && x * y * z <= 256, "{kernel}: a workgroup of {x} x {y} x {z}");
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let uses = info.get_entry_point(index);
    let (mut storage, mut sampled, mut stored, mut memory) = (0, 0, 0, 0);
    let mut places = Vec::new();
    for (handle, variable) in module.global_variables.iter().filter(|(handle, _)| !uses[*handle].is_empty()) {
        let _ = handle;
        match variable.space {
            naga::AddressSpace::Storage { .. } => storage += 1,
            naga::AddressSpace::Uniform => panic!("{kernel}: parameters are a storage buffer, see src/gpu/mod.rs"),
            naga::AddressSpace::WorkGroup => memory += layouter[variable.ty].size.next_multiple_of(16),
            naga::AddressSpace::Handle => match module.types[variable.ty].inner {
                naga::TypeInner::Image { class: naga::ImageClass::Storage { .. }, .. } => stored += 1,
                _ => sampled += 1,
            },
            _ => {}
        }
        places.extend(variable.binding.map(|binding| binding.binding));
    }
    assert!(storage <= 8, "{kernel}: {storage} storage buffers");
    assert!(sampled <= 16 && stored <= 4, "{kernel}: {sampled} textures read, {stored} written");
    assert!(memory <= 16 << 10, "{kernel}: {memory} bytes of workgroup memory");
    let bindings = places.len();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), bindings, "{kernel}: two of its variables have one binding");
}

/// SPIR-V for Vulkan, MSL for Metal, HLSL for DX12, GLSL for OpenGL.
fn translates(kernel: &Kernel, module: &naga::Module, info: &naga::valid::ModuleInfo) {
    let (shader_stage, entry_point) = (naga::ShaderStage::Compute, kernel.entry.to_string());
    let options = spv::PipelineOptions { shader_stage, entry_point: entry_point.clone() };
    // Subgroup operations want SPIR-V 1.3, which Vulkan 1.1 brought along.
    let target = spv::Options { lang_version: (1, 3), ..Default::default() };
    spv::write_vec(module, info, &target, Some(&options)).unwrap_or_else(|e| panic!("{kernel}: {e}"));

    let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    let written = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
    written.unwrap_or_else(|e| panic!("{kernel}: {e}"));

    let mut text = String::new();
    let options =
        hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, fake_missing_bindings: true, ..Default::default() };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((shader_stage, entry_point.clone())) };
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map(|_| ());
    written.unwrap_or_else(|e| panic!("{kernel}: {e}"));

    let mut text = String::new();
    let options = glsl::Options { version: glsl::Version::new_gles(310), ..Default::default() };
    let pipeline = glsl::PipelineOptions { shader_stage, entry_point, multiview: None };
    let policies = naga::proc::BoundsCheckPolicies::default();
    let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies);
    writer.and_then(|mut writer| writer.write()).map(|_| ()).unwrap_or_else(|e| panic!("{kernel}: {e}"));
}

/// Every entry point of every shader, with the constants as declared. (With those in use: tests/kernels.rs.)
pub fn entry_points() -> Vec<Kernel> {
    let entries = shaders().into_iter().flat_map(|shader| {
        let (assembled, _) = Kernel::new(shader, "any").assemble().unwrap();
        let names: Vec<String> = parsed(&assembled.source).entry_points.iter().map(|e| e.name.clone()).collect();
        names.into_iter().map(move |name| Kernel::new(shader, name.leak()))
    });
    entries.collect()
}

#[test]
fn every_entry_point_is_within_the_limits_and_translates() {
    let all = entry_points();
    assert!(all.len() > 30, "only {} entry points", all.len());
    all.iter().for_each(hold);
}

#[test]
fn barriers_are_where_workgroup_memory_is_handed_over() {
    // A software adapter runs a workgroup in step and may never show that a barrier is missing: so the text is held.
    // Each loop turn that writes workgroup memory has a barrier before the reading and one before the next writing.
    let mut seen = 0;
    for shader in shaders() {
        let (assembled, _) = Kernel::new(shader, "any").assemble().unwrap();
        let module = parsed(&assembled.source);
        for entry in &module.entry_points {
            let mut shared = Vec::new();
            for (handle, variable) in module.global_variables.iter() {
                if variable.space == naga::AddressSpace::WorkGroup {
                    shared.push(handle);
                }
            }
            let (mut barriers, mut writes) = (0, 0);
            count(&entry.function.body, &entry.function, &shared, &mut barriers, &mut writes);
            if writes > 0 {
                seen += 1;
                assert!(barriers >= 2, "{shader}.{}: {barriers} barriers around {writes} writes", entry.name);
            }
        }
    }
    assert!(seen > 0, "no shader writes workgroup memory");
}

#[test]
fn moments_are_handed_over_behind_three_more_barriers() {
    let barriers = |moments: f64| {
        let (assembled, _) = Kernel::new("gemm", "tile").constant("MOMENTS", moments).assemble().unwrap();
        let module = parsed(&assembled.source);
        let entry = module.entry_points.iter().find(|entry| entry.name == "tile").unwrap();
        let (mut barriers, mut writes) = (0, 0);
        count(&entry.function.body, &entry.function, &[], &mut barriers, &mut writes);
        barriers
    };
    assert_eq!(barriers(1.0), barriers(0.0) + 3);
}

/// Barriers, and stores to workgroup memory.
fn count(
    body: &naga::Block,
    function: &naga::Function,
    shared: &[naga::Handle<naga::GlobalVariable>],
    barriers: &mut usize,
    writes: &mut usize,
) {
    use naga::{Expression, Statement};
    for statement in body.iter() {
        let mut inner = |block: &naga::Block| count(block, function, shared, barriers, writes);
        match statement {
            Statement::Block(block) => inner(block),
            Statement::If { accept, reject, .. } => [accept, reject].into_iter().for_each(inner),
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| inner(&case.body)),
            Statement::Loop { body, continuing, .. } => [body, continuing].into_iter().for_each(inner),
            Statement::ControlBarrier(_) => *barriers += 1,
            Statement::Store { pointer, .. } => {
                let mut at = *pointer;
                loop {
                    match function.expressions[at] {
                        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => at = base,
                        Expression::GlobalVariable(variable) => {
                            *writes += usize::from(shared.contains(&variable));
                            break;
                        }
                        _ => break,
                    }
                }
            }
            _ => {}
        }
    }
}

/// A field of a struct in either language: name, offset, bytes.
type Fields = Vec<(String, u32, u32)>;

/// By (struct, shader file): the Rust file, and its fields' names and types.
type Twins = BTreeMap<(String, String), (PathBuf, Vec<(String, String)>)>;

/// The Rust structs that say `Twin of` a WGSL struct: by (struct, file) there, where they stand and their fields' types.
fn twins() -> Twins {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for part in text.split("Twin of `").skip(1) {
                let Some((said, body)) = part.split_once("struct ") else { continue };
                let names: Vec<&str> = said.split('`').collect();
                let files: Vec<&str> = names.iter().copied().filter(|name| name.ends_with(".wgsl")).collect();
                if files.is_empty() {
                    continue;
                }
                assert!(said.contains("repr(C)"), "{}: {}", path.display(), names[0]);
                let body = body.split_once('{').unwrap().1.split_once('}').unwrap().0;
                let fields = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
                let fields = fields.filter_map(|line| line.trim_end_matches(',').split_once(": "));
                let fields: Vec<(String, String)> =
                    fields.map(|(name, kind)| (name.trim_start_matches("pub ").into(), kind.into())).collect();
                for file in files {
                    let file = file.rsplit('/').next().unwrap().to_string();
                    found.insert((names[0].to_string(), file), (path.clone(), fields.clone()));
                }
            }
        }
    }
    found
}

/// The bytes of a Rust type made of 4-byte numbers; structs by their twins.
fn size(kind: &str, twins: &Twins) -> u32 {
    if let Some((kind, count)) =
        kind.strip_prefix('[').and_then(|k| k.strip_suffix(']')).and_then(|k| k.split_once("; "))
    {
        return size(kind, twins) * count.parse().unwrap_or_else(|_| constant(count));
    }
    match kind {
        "u32" | "i32" | "f32" => 4,
        _ => {
            let twin = twins.iter().find(|((name, _), _)| name == kind);
            let (_, (_, fields)) = twin.unwrap_or_else(|| panic!("a parameter field of type {kind}"));
            fields.iter().map(|(_, kind)| size(kind, twins)).sum()
        }
    }
}

#[test]
fn parameters_are_laid_out_as_the_host_sends_them() {
    let twins = twins();
    let mut held = std::collections::BTreeSet::new();
    for shader in shaders() {
        let (assembled, _) = Kernel::new(shader, "any").assemble().unwrap();
        let module = parsed(&assembled.source);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        for (_, variable) in module.global_variables.iter() {
            let name = variable.name.clone().unwrap_or_default();
            if variable.binding.is_none() || !name.ends_with("params") {
                continue;
            }
            // An array holds those of several products.
            let kind = match &module.types[variable.ty].inner {
                naga::TypeInner::Array { base, .. } => &module.types[*base],
                _ => &module.types[variable.ty],
            };
            let naga::TypeInner::Struct { members, .. } = &kind.inner else { panic!("{shader}: {name} is no struct") };
            let wgsl: Fields =
                members.iter().map(|m| (m.name.clone().unwrap(), m.offset, layouter[m.ty].size)).collect();
            let of = kind.name.clone().unwrap();
            let own = twins.get(&(of.clone(), format!("{shader}.wgsl")));
            let shared = || twins.iter().find(|((name, file), _)| *name == of && is_lib(file)).map(|(_, twin)| twin);
            let Some((path, fields)) = own.or_else(shared) else {
                // One or two counts need no struct on the host.
                let counts = members.len() <= 2 && wgsl.iter().all(|(_, _, size)| *size == 4);
                assert!(counts, "{shader}.wgsl: no struct in src says `Twin of `{of}` in `{shader}.wgsl``");
                continue;
            };
            let mut offset = 0;
            let rust: Fields = fields
                .iter()
                .map(|(name, kind)| {
                    let bytes = size(kind, &twins);
                    offset += bytes;
                    (name.clone(), offset - bytes, bytes)
                })
                .collect();
            assert_eq!(rust, wgsl, "{} beside {of} of shaders/{shader}.wgsl (name, offset, bytes)", path.display());
            held.insert((of, path.clone()));
        }
    }
    assert!(held.len() >= 17, "only {} parameter structs were compared", held.len());
}

fn is_lib(file: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/lib").join(file).is_file()
}

/// The value of a constant of src/shape.rs or src/ops/layout.rs.
fn constant(name: &str) -> u32 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let texts = ["shape.rs", "ops/layout.rs"].map(|file| std::fs::read_to_string(root.join(file)).unwrap());
    let declared = format!("const {name}: usize = ");
    let value = texts.iter().find_map(|text| text.split_once(&declared)?.1.split(';').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no `{declared}` was found"))
}

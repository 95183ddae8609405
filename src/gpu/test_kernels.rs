//! What the tests of this folder share: their shaders, assembled like any other, and the adapter.

use super::{AdapterChoice, Gpu, GpuOptions};

impl Gpu {
    /// Takes the device away, as a driver does that crashes.
    pub(crate) fn lose(&self) {
        self.device().destroy();
    }
}

/// Paths and texts, found beside those of the shader folder.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "test_add.wgsl",
        "//!use index
struct Params { len: u32, addend: u32 }
override SCALE: u32 = 1;
const EXTRA: u32 = 0;
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<storage, read> params: Params;
@compute @workgroup_size(64)
fn add(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < params.len {
        y[i] = x[i] * SCALE + params.addend + EXTRA;
    }
}
@compute @workgroup_size(1)
fn first(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 1u);
    if i < params.len {
        y[i] = x[i] + params.addend;
    }
}
",
    ),
    (
        "test_iota.wgsl",
        "//!use index
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn iota(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_group(wid, groups);
    if i < 100003u {
        y[i] = i * 3u + 1u;
    }
}
@compute @workgroup_size(64)
fn in_place(@builtin(global_invocation_id) gid: vec3<u32>) {
    y[gid.x] = y[gid.x] * 3u + 1u;
}
",
    ),
    (
        "test_strided.wgsl",
        "//!use index
struct Params { dims: array<u32, 6>, strides: array<u32, 6>, rank: u32, len: u32 }
@group(0) @binding(0) var<storage, read_write> y: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read> params: Params;
@compute @workgroup_size(64)
fn strided(@builtin(global_invocation_id) gid: vec3<u32>) {
    if gid.x < params.len {
        let there = address(coordinates(gid.x, params.dims), params.strides);
        y[gid.x] = vec2<u32>(strided_index(gid.x, params.rank, params.dims, params.strides), there);
    }
}
",
    ),
    (
        "test_math.wgsl",
        "//!use math
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override FUNCTION: u32 = 0;
@compute @workgroup_size(64)
fn math(@builtin(global_invocation_id) gid: vec3<u32>) {
    let v = x[gid.x];
    var w = v;
    switch FUNCTION {
        case 0u: { w = exp_f32(v); }
        case 1u: { w = expm1_f32(v); }
        case 2u: { w = log_f32(v); }
        case 3u: { w = log1p_f32(v); }
        case 4u: { w = tanh_f32(v); }
        case 5u: { w = sigmoid_f32(v); }
        case 6u: { w = softplus_f32(v); }
        case 7u: { w = exp(v); }
        case 8u: { w = log(v); }
        case 9u: { w = tanh(v); }
        case 10u: { w = sin_f32(v); }
        case 11u: { w = cos_f32(v); }
        default: {}
    }
    y[gid.x] = w;
}
",
    ),
    (
        "test_repeat.wgsl",
        "const TILE: u32 = 2;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn repeat() {
    //!repeat i 0..TILE
    let a${i}_v = ${i}u * 10u;
    //!repeat j $i..3
    y[$i * 3u + ${j}u] = a${i}_v + ${j}u; // $j
    //!end
    //!end
}
",
    ),
    (
        "test_wrong.wgsl",
        "//!use index
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
//!repeat i 0..3
const A$i = 1;
//!end
@compute @workgroup_size(1)
fn wrong() {
    y[0] = missing_name(3u);
}
",
    ),
    (
        "test_invalid.wgsl",
        "//!use math
@group(0) @binding(0) var<storage, read> y: array<f32>;
@compute @workgroup_size(1)
fn invalid() {
    y[0] = exp_f32(3.0);
}
",
    ),
    ("test_bad_repeat.wgsl", "//!use index\n//!repeat i 0..many\nconst A = $i;\n//!end\n"),
    ("test_no_end.wgsl", "\n//!repeat i 0..2\n"),
    ("test_bad_use.wgsl", "\n\n//!use nothing\n"),
    ("test_bad_variable.wgsl", "//!repeat i 0..2\nconst A$k = 1;\n//!end\n"),
];

/// A software device, opened for one test. Without one the test fails, unless the environment says that is expected:
/// then it says so and is left out.
pub(crate) fn gpu(options: GpuOptions) -> Option<Gpu> {
    match Gpu::open(&AdapterChoice::Software, options) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("TOILE_TEST_NO_GPU").is_ok_and(|value| value == "1") => {
            eprintln!("GPU TEST LEFT OUT (TOILE_TEST_NO_GPU=1): {error}");
            None
        }
        Err(error) => panic!("{error}\nTOILE_TEST_NO_GPU=1 leaves the GPU tests out"),
    }
}

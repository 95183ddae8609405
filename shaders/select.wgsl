//!use index
// y[i] = a[i] where mask[i] is not 0 (nor NaN), else b[i], for i < n: moves bits, so what is not chosen never matters.
// One invocation computes four elements; buffers are whole vec4s. Grid: ceil(n / 4) invocations in workgroups of 64,
// folded.

struct Params {
    n: u32,
}

@group(0) @binding(0) var<storage, read> mask: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn choose(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i * 4u < params.n {
        // By bits, from 1 to infinity's: compilers turn comparisons round as if there were no NaN.
        let size = bitcast<vec4<u32>>(mask[i]) & vec4<u32>(0x7fffffffu);
        y[i] = select(b[i], a[i], size - 1u < vec4<u32>(0x7f800000u));
    }
}

//!use index
// One step of Adam for n parameters, in place: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// p = p - step_size m / (sqrt(v) v_scale + eps). One invocation updates `quads` vec4s, 64 apart (buffers are whole vec4s).
// The scalars are an input, not parameters: they change at every step. Grid: ceil(n / 4 / quads) invocations in workgroups
// of 64, folded.

struct Scalars {
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
    step_size: f32,
    v_scale: f32,
}

struct Params {
    n: u32,
    quads: u32,
}

@group(0) @binding(0) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> s: Scalars;
@group(0) @binding(2) var<storage, read_write> p: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn adam(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    let start = id / 64u * 64u * params.quads + id % 64u;
    let end = min(start + 64u * params.quads, (params.n + 3u) / 4u);
    for (var i = start; i < end; i += 64u) {
        let gradient = g[i];
        let first = s.beta1 * m[i] + s.one_minus_beta1 * gradient;
        let second = s.beta2 * v[i] + s.one_minus_beta2 * gradient * gradient;
        m[i] = first;
        v[i] = second;
        p[i] = p[i] - s.step_size * first / (sqrt(second) * s.v_scale + vec4<f32>(s.eps));
    }
}

//!use index
//!use activation
// The gradient of an activation by z out of its value y = f(z): dz = dy f'(z), f chosen by `op` (a number of lib/activation.wgsl).
// (The value is computed where the sums before it are written: lib/epilogue.wgsl.)

override op: u32 = 0u;

struct Params {
    // Elements.
    n: u32,
    slope: f32,
    // vec4s an invocation computes.
    quads: u32,
}

@group(0) @binding(0) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dz: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> params: Params;

// f'(z) out of y = f(z).
fn derivative(y: f32, slope: f32) -> f32 {
    switch op {
        case LEAKY_RELU: { return select(slope, 1.0, y > 0.0); }
        case TANH: { return 1.0 - y * y; }
        case SIGMOID: { return y * (1.0 - y); }
        default: { return 1.0; }
    }
}

// Buffers are whole vec4s. Grid: ceil(n / 4 / quads) invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn gradient(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = params;
    let first = first_quad(wid, groups, local, p.quads);
    let last = min(first + p.quads * 64u, (p.n + 3u) / 4u);
    for (var i = first; i < last; i += 64u) {
        let v = y[i];
        let d = vec4<f32>(
            derivative(v.x, p.slope),
            derivative(v.y, p.slope),
            derivative(v.z, p.slope),
            derivative(v.w, p.slope),
        );
        dz[i] = dy[i] * d;
    }
}

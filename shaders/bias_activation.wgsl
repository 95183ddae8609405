//!use index
//!use math
// y = f(x + b) for x [n, c, l] and a bias a channel (l: everything behind the channel axis), f chosen by `op` (the twin of
// the table in src/ops/bias_activation.rs), and its first gradient by x out of y: dx = dy f'.

override op: u32 = 0u;

struct Params {
    n: u32,
    c: u32,
    l: u32,
    slope: f32,
    // Runs that the vec4s of a row of l are dealt to, for `rows`; vec4s an invocation computes, for `gradient`.
    runs: u32,
    quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(1) var<storage, read> dy_quads: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> y_quads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> params: Params;

fn f(z: f32, slope: f32) -> f32 {
    switch op {
        case 1u: { return select(slope * z, z, z > 0.0); }
        case 2u: { return tanh_f32(z); }
        case 3u: { return sigmoid_f32(z); }
        default: { return z; }
    }
}

// f'(z) out of y = f(z).
fn derivative(y: f32, slope: f32) -> f32 {
    switch op {
        case 1u: { return select(slope, 1.0, y > 0.0); }
        case 2u: { return 1.0 - y * y; }
        case 3u: { return y * (1.0 - y); }
        default: { return 1.0; }
    }
}

// One invocation an element. Grid: n * c * l invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn elements(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params;
    let id = linear_id(gid, groups, 64u);
    if id < p.n * p.c * p.l {
        y[id] = f(x[id] + b[id / p.l % p.c], p.slope);
    }
}

// Where l is a multiple of 4: an invocation computes every runs-th vec4 of a channel of an image.
// Grid: n * c * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn rows(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.runs;
    if row < p.n * p.c {
        let bias = b[row % p.c];
        let length = p.l / 4u;
        for (var i = id - row * p.runs; i < length; i += p.runs) {
            let z = x_quads[row * length + i] + bias;
            y_quads[row * length + i] = vec4<f32>(f(z.x, p.slope), f(z.y, p.slope), f(z.z, p.slope), f(z.w, p.slope));
        }
    }
}

// dx[i] = dy[i] f'(y[i]), with y in the place of x and dx in that of y; buffers are whole vec4s.
// Grid: ceil(n / 4 / quads) invocations in workgroups of 64, folded; n counts elements.
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
        let v = x_quads[i];
        let d = vec4<f32>(
            derivative(v.x, p.slope),
            derivative(v.y, p.slope),
            derivative(v.z, p.slope),
            derivative(v.w, p.slope),
        );
        y_quads[i] = dy_quads[i] * d;
    }
}

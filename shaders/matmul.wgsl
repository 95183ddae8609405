//!use index
//!use epilogue
// y[s, i, j] = f(bias[j] + sum over l of a[s, i, l] * b[s, l, j]); a is stored [s, l, i] if transpose_a, b [s, j, l] if transpose_b.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    transpose_a: u32,
    transpose_b: u32,
    outputs: u32,
    epilogue: Epilogue,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// One invocation computes one element. Grid: batch * m * n invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn naive(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let m = params.m;
    let n = params.n;
    let k = params.k;
    let id = linear_id(gid, groups, 64u);
    if id < params.outputs {
        let row = id / n;
        let j = id - row * n;
        let s = row / m;
        let i = row - s * m;
        var at_a = s * m * k + select(i * k, i, params.transpose_a != 0u);
        var at_b = s * k * n + select(j, j * k, params.transpose_b != 0u);
        let step_a = select(1u, m, params.transpose_a != 0u);
        let step_b = select(n, 1u, params.transpose_b != 0u);
        var total = 0.0;
        for (var l = 0u; l < k; l++) {
            total += a[at_a] * b[at_b];
            at_a += step_a;
            at_b += step_b;
        }
        let e = params.epilogue;
        let shift = select(0.0, bias[own_channel(e, j)], e.by != NO_BIAS);
        y[id] = finished(e, total + shift);
    }
}

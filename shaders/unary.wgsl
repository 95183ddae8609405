//!use index
//!use math
// y[i] = f(x[i]) for i < n, f chosen by `op` (the twin of the table in src/ops/unary.rs), with constants a and b.
// One invocation computes `quads` vec4s; buffers are whole vec4s, so the last one may reach past n.
// Grid: ceil(n / 4 / quads) invocations in workgroups of 64, folded.

override op: u32 = 0u;

struct Params {
    n: u32,
    a: f32,
    b: f32,
    quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> params: Params;

// x sigmoid(x)
fn silu(x: f32) -> f32 {
    return x * sigmoid_f32(x);
}

// The distribution function of N(0, 1): half of erfc(z) for z = -x / sqrt(2), with erfc(z) e^(z^2) = t P(t) and
// t = 1 / (1 + z / 2) for z >= 0; P as in src/tensor/real.rs.
fn normal_cdf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + abs(x) * 0.3535534);
    let p = (((((((((0.0418302737 * t - 0.226950621) * t + 0.474425928) * t - 0.427817494) * t + 0.10818156) * t
        - 0.0454118066) * t + 0.0882723409) * t + 0.176564789) * t + 0.246702629) * t + 0.282108065) * t + 0.28209434;
    // Beyond |x| = 20 the exponential is 0, whatever the square.
    let size = min(abs(x), 20.0);
    let upper = 0.5 * t * p * exp_f32(-0.5 * size * size);
    return select(select(upper, 1.0 - upper, x > 0.0), x, is_nan(x));
}

fn f(x: f32, a: f32, b: f32) -> f32 {
    switch op {
        case 0u: { return a * x + b; }
        case 1u: { return exp_f32(x); }
        case 2u: { return log_f32(x); }
        case 3u: { return log1p_f32(x); }
        case 4u: { return sqrt(x); }
        case 5u: { return 1.0 / sqrt(x); }
        case 6u: { return 1.0 / x; }
        case 7u: { return x * x; }
        case 8u: { return abs(x); }
        case 9u: { return select(select(x, -1.0, x < 0.0), 1.0, x > 0.0); }
        case 10u: { return select(a, 1.0, x > 0.0); }
        case 11u: { return select(select(a * x, x, x > 0.0), 0.0, a == 0.0 && x <= 0.0); } // relu(-inf) is 0
        case 12u: { return tanh_f32(x); }
        case 13u: { return sigmoid_f32(x); }
        case 14u: { return softplus_f32(x); }
        case 15u: { return select(select(select(x, b, x > b), a, x < a), x, is_nan(x)); }
        case 16u: { return select(0.0, 1.0, x >= a && x <= b); }
        case 17u: { return pow_f32(x, a); }
        case 18u: { return sin_f32(x); }
        case 19u: { return cos_f32(x); }
        case 20u: { return expm1_f32(x); }
        case 21u: { return silu(x); }
        case 22u: { return select(a * expm1_f32(x), x, x > 0.0); }
        case 23u: { return select(a * exp_f32(x), 1.0, x > 0.0); }
        case 24u: { return normal_cdf(x); }
        default: { return x; }
    }
}

@compute @workgroup_size(64)
fn unary(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = first_quad(wid, groups, local, params.quads);
    let a = params.a;
    let b = params.b;
    let last = min(first + params.quads * 64u, (params.n + 3u) / 4u);
    for (var i = first; i < last; i += 64u) {
        let v = x[i];
        y[i] = vec4<f32>(f(v.x, a, b), f(v.y, a, b), f(v.z, a, b), f(v.w, a, b));
    }
}

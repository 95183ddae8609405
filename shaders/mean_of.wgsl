//!use index
//!use math
// y = sum over terms t of scale_t * sum of f_t(x_i) over the range of t, and its gradient by x. f is the twin of the table in
// src/ops/mean_of.rs, with two constants a and b; a term with an empty range adds nothing.

struct TermParams {
    f: u32,
    start: u32,
    end: u32,
    scale: f32,
    a: f32,
    b: f32,
}

struct Params {
    n: u32,
    terms: array<TermParams, 2>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

var<workgroup> shares: array<f32, 64>;

// p between low and 1 - low; NaN stays.
fn clipped(p: f32, low: f32) -> f32 {
    let high = 1.0 - low;
    return select(select(select(p, high, p > high), low, p < low), p, is_nan(p));
}

fn value(t: TermParams, x: f32) -> f32 {
    switch t.f {
        case 1u: { return softplus_f32(t.a * x); }
        case 2u: {
            let z = 1.0 + t.a * x;
            return select(0.0 * z, z, z > 0.0);
        }
        case 3u: { return (x - t.a) * (x - t.a); }
        case 4u: {
            let p = clipped(x, t.b);
            return -(t.a * log_f32(p) + (1.0 - t.a) * log_f32(1.0 - p));
        }
        case 5u: { return sigmoid_f32(x); }
        default: { return x; }
    }
}

fn derivative(t: TermParams, x: f32) -> f32 {
    switch t.f {
        case 1u: { return t.a * sigmoid_f32(t.a * x); }
        case 2u: { return select(0.0, t.a, 1.0 + t.a * x > 0.0); }
        case 3u: { return 2.0 * (x - t.a); }
        case 4u: {
            let p = clipped(x, t.b);
            let slope = (1.0 - t.a) / (1.0 - p) - t.a / p;
            return select(0.0 * slope, slope, p == x);
        }
        case 5u: {
            let s = sigmoid_f32(x);
            return s * (1.0 - s);
        }
        default: { return 1.0; }
    }
}

// Each invocation adds every 64th element of a term, then halves are added until one is left: a fixed order.
// Grid: one workgroup.
@compute @workgroup_size(64)
fn mean_of(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var term = 0u; term < 2u; term++) {
        let t = params.terms[term];
        var share = 0.0;
        for (var i = t.start + local; i < t.end; i += 64u) {
            share += value(t, x[i]);
        }
        sum += t.scale * share;
    }
    shares[local] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            shares[local] += shares[local + half];
        }
    }
    workgroupBarrier();
    if local == 0u {
        y[0] = shares[0];
    }
}

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read> gradient_params: Params;

// dx[i] = dy * sum of scale_t * f_t'(x[i]) over the terms whose range holds i. Grid: n invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < gradient_params.n {
        var slope = 0.0;
        for (var term = 0u; term < 2u; term++) {
            let t = gradient_params.terms[term];
            if i >= t.start && i < t.end {
                slope += t.scale * derivative(t, x[i]);
            }
        }
        dx[i] = dy[0] * slope;
    }
}

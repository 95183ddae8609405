//!use index
//!use math
//!use span
// y = f(a, b) elementwise, f chosen by `op` (the twin of the table in src/ops/binary.rs), with one constant c.
// An operand is read through strides, 0 along the axes on which it is broadcast. Three entry points, by shape.

override op: u32 = 0u;

struct Params {
    n: u32,
    c: f32,
    // Vec4s that one invocation computes.
    quads: u32,
    // Vec4s of a row, and runs that they are dealt to, for `rows`.
    row_quads: u32,
    runs: u32,
    inner_a: u32,
    inner_b: u32,
    rank: u32,
    dims: array<u32, 6>,
    strides_a: array<u32, 6>,
    strides_b: array<u32, 6>,
    // The elements of each tensor that are bound; all of them, unless in pieces. Only `broadcast` looks at these.
    y: Span,
    a: Span,
    b: Span,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

// -t ln p - (1-t) ln(1-p) for p clipped to [c, 1-c].
fn bce(p: f32, t: f32, c: f32) -> f32 {
    let high = 1.0 - c;
    let q = select(select(select(p, high, p > high), c, p < c), p, is_nan(p));
    return -(t * log_f32(q) + (1.0 - t) * log_f32(1.0 - q));
}

// t softplus(-z) + (1-t) softplus(z), with both terms from one logarithm.
fn bce_logits(z: f32, t: f32) -> f32 {
    let tail = log1p_f32(exp_f32(-abs(z)));
    let result = t * (max(-z, 0.0) + tail) + (1.0 - t) * (max(z, 0.0) + tail);
    return select(result, z, is_nan(z));
}

// -t ln p - (1-t) ln(1-p), each logarithm at least -100.
fn bce_limited(p: f32, t: f32) -> f32 {
    let log_p = log_f32(p);
    let log_q = log1p_f32(-p); // 1 - p would lose a small p
    return -(t * select(log_p, -100.0, log_p < -100.0) + (1.0 - t) * select(log_q, -100.0, log_q < -100.0));
}

fn f(a: f32, b: f32, c: f32) -> f32 {
    switch op {
        case 0u: { return a + b; }
        case 1u: { return a - b; }
        case 2u: { return a * b; }
        case 3u: { return a / b; }
        case 4u: { return bce_logits(a, b); }
        case 5u: { return bce(a, b, c); }
        case 6u: { return bce_limited(a, b); }
        case 7u: { return select(select(b, a, a > b || is_nan(a)), b, is_nan(b)); }
        case 8u: { return select(select(b, a, a < b || is_nan(a)), b, is_nan(b)); }
        case 9u: { return select(0.0, 1.0, a > b); }
        case 10u: { return select(0.0, 1.0, a == b); }
        case 11u: { return select(select(0.0, 0.5, a == b), 1.0, a > b); }
        case 12u: { return pow_f32(a, b); }
        default: { return a; }
    }
}

@group(0) @binding(0) var<storage, read> a_quads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b_quads: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y_quads: array<vec4<f32>>;

fn f_quad(a: vec4<f32>, b: vec4<f32>, c: f32) -> vec4<f32> {
    return vec4<f32>(f(a.x, b.x, c), f(a.y, b.y, c), f(a.z, b.z, c), f(a.w, b.w, c));
}

// a and b have y's shape. (Buffers are whole vec4s, so the last one may reach past n.)
// Grid: ceil(n / 4 / quads) invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn same_shape(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = first_quad(wid, groups, local, params.quads);
    let last = min(first + params.quads * 64u, (params.n + 3u) / 4u);
    let c = params.c;
    for (var i = first; i < last; i += 64u) {
        y_quads[i] = f_quad(a_quads[i], b_quads[i], c);
    }
}

// Rows of whole vec4s, along which each operand either has one value or lies contiguous (as images with a value a
// channel do). An invocation deals with every runs-th vec4 of a row, so it looks for its place once. The strides are
// those of the other axes.
// Grid: rows * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn rows(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    let row = id / params.runs;
    if row < params.n / 4u / params.row_quads {
        let at_a = strided_index(row, params.rank, params.dims, params.strides_a);
        let at_b = strided_index(row, params.rank, params.dims, params.strides_b);
        let one_a = params.inner_a == 0u;
        let one_b = params.inner_b == 0u;
        // A vec4 that holds the one value, or the first of the row.
        let value_a = vec4<f32>(a_quads[at_a / 4u][at_a % 4u]);
        let value_b = vec4<f32>(b_quads[at_b / 4u][at_b % 4u]);
        let c = params.c;
        for (var i = id - row * params.runs; i < params.row_quads; i += params.runs) {
            var v = value_a;
            if !one_a {
                v = a_quads[at_a / 4u + i];
            }
            var w = value_b;
            if !one_b {
                w = b_quads[at_b / 4u + i];
            }
            y_quads[row * params.row_quads + i] = f_quad(v, w, c);
        }
    }
}

// Any shapes. One invocation computes four neighbouring elements, up to number n, where both operands are bound.
// Grid: ceil(n / 4) invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn broadcast(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = params.y.start + linear_id(gid, groups, 64u) * 4u;
//!repeat j 0..4
    if i + $j < params.n {
        let at_a = strided_index(i + $j, params.rank, params.dims, params.strides_a);
        let at_b = strided_index(i + $j, params.rank, params.dims, params.strides_b);
        if is_bound(at_a, params.a) && is_bound(at_b, params.b) {
            y[i + $j - params.y.start] = f(a[at_a - params.a.start], b[at_b - params.b.start], params.c);
        }
    }
//!end
}

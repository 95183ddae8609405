//!use index
//!use span
// A sparse linear map along one axis of x [outer, in_len, inner]: y[o, i, c] = sum over k of weight[k] * x[o, from[k], c]
// for k in start[i]..start[i + 1], in that order. `table` holds start [out_len + 1], then from, then the weights' bits.
// In pieces, a call adds the elements that are bound to what y holds from the pieces before.
// One invocation computes one element of y's span. Grid: as many invocations in workgroups of 64, folded.

struct Params {
    in_len: u32,
    out_len: u32,
    inner: u32,
    entries: u32,
    y: Span,
    x: Span,
    // 1 if y holds a part already.
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn axis_map(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    if id < params.y.len {
        let place = params.y.start + id;
        let row = place / params.inner;
        let c = place - row * params.inner;
        let outer = row / params.out_len;
        let i = row - outer * params.out_len;
        let image = outer * params.in_len;
        let first_from = params.out_len + 1u;
        let first_weight = first_from + params.entries;
        let last = table[i + 1u];
        var total = 0.0;
        if in_pieces && params.accumulate == 1u {
            total = y[id];
        }
        for (var k = table[i]; k < last; k++) {
            let at = (image + table[first_from + k]) * params.inner + c;
            if is_bound(at, params.x) {
                total += bitcast<f32>(table[first_weight + k]) * x[at - params.x.start];
            }
        }
        y[id] = total;
    }
}

//!use index
//!use span
// Sums over axes. x's merged axes are split into kept and summed ones; y is [outputs, chunks]: each invocation adds
// `chunk` of the `count` summed elements in order, and further passes add the parts, until one chunk remains. So no
// loop is long (old drivers stop after 65,535 turns), no atomics are needed and the order is fixed. In pieces, a call adds
// those elements that are bound, to what y holds from the pieces before.
// Grid: an invocation an element of y's span (in all outputs * chunks) in workgroups of 64, folded.

struct Params {
    count: u32,
    chunk: u32,
    chunks: u32,
    kept_rank: u32,
    summed_rank: u32,
    kept_dims: array<u32, 6>,
    kept_strides: array<u32, 6>,
    summed_dims: array<u32, 6>,
    summed_strides: array<u32, 6>,
    y: Span,
    x: Span,
    // 1 if y holds a part already.
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn sum(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    if id < params.y.len {
        let i = params.y.start + id;
        let output = i / params.chunks;
        let first = (i - output * params.chunks) * params.chunk;
        let last = min(first + params.chunk, params.count);
        let base = strided_index(output, params.kept_rank, params.kept_dims, params.kept_strides) - params.x.start;
        // Walk the innermost summed axis by its stride; look the place up anew only where a row of it ends.
        let row = params.summed_dims[5];
        let stride = params.summed_strides[5];
        var at = base;
        var left = 0u;
        // Sums of 32, then their sum: the rounding of a long row of additions grows with its length.
        var total = 0.0;
        var part = 0.0;
        if in_pieces && params.accumulate == 1u {
            total = y[id];
        }
        for (var k = first; k < last; k++) {
            if left == 0u {
                at = base + strided_index(k, params.summed_rank, params.summed_dims, params.summed_strides);
                left = row - k % row;
            }
            // `at` counts from the span's start.
            if !in_pieces || at < params.x.len {
                part += x[at];
            }
            at += stride;
            left -= 1u;
            if (k & 31u) == 31u {
                total += part;
                part = 0.0;
            }
        }
        y[id] = total + part;
    }
}

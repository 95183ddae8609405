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

// Where x and its rows are whole vec4s, and neither is in pieces.

@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;

// The chunk of vec4s from `first` to `last` (numbers of the summed vec4s, which lie `stride` apart within a row), summed for each
// component: 32 at a time, then their sums. Loops within loops, for software adapters run both sides of a branch.
fn chunk_sum(base: u32, first: u32, last: u32, row: u32, stride: u32, scale: u32) -> vec4<f32> {
    var total = vec4<f32>();
    for (var k = first; k < last;) {
        var at = (base + strided_index(k * scale, params.summed_rank, params.summed_dims, params.summed_strides)) / 4u;
        let end = min(last, k + row - k % row);
        while k < end {
            let stop = min(end, k + 32u);
            var part = vec4<f32>();
            for (; k < stop; k++) {
                part += x_quads[at];
                at += stride;
            }
            total += part;
        }
    }
    return total;
}

// The innermost axis is summed: as `sum`, by vec4s along it.
@compute @workgroup_size(64)
fn sum_along(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    if id < params.y.len {
        let output = id / params.chunks;
        let first = (id - output * params.chunks) * params.chunk;
        let last = min(first + params.chunk, params.count);
        let base = strided_index(output, params.kept_rank, params.kept_dims, params.kept_strides);
        let sums = chunk_sum(base, first / 4u, last / 4u, params.summed_dims[5] / 4u, 1u, 4u);
        y[id] = (sums.x + sums.y) + (sums.z + sums.w);
    }
}

// The innermost axis is kept: an invocation makes one chunk of four neighbouring outputs. Grid: a quarter as many invocations.
@compute @workgroup_size(64)
fn sum_across(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    if id < params.y.len / 4u {
        // Neighbouring invocations have neighbouring outputs.
        let quads = params.y.len / 4u / params.chunks;
        let chunk = id / quads;
        let output = (id - chunk * quads) * 4u;
        let first = chunk * params.chunk;
        let last = min(first + params.chunk, params.count);
        let base = strided_index(output, params.kept_rank, params.kept_dims, params.kept_strides);
        let sums = chunk_sum(base, first, last, params.summed_dims[5], params.summed_strides[5] / 4u, 1u);
//!repeat i 0..4
        y[(output + $i) * params.chunks + chunk] = sums[$i];
//!end
    }
}

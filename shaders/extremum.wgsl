//!use index
//!use math
// The largest or smallest element over axes, and its place along one axis. `least` chooses; NaN beats everything.

override least: bool = false;
override first_pass: bool = true;

struct Params {
    outputs: u32,
    count: u32,
    chunk: u32,
    chunks: u32,
    kept_rank: u32,
    summed_rank: u32,
    kept_dims: array<u32, 6>,
    kept_strides: array<u32, 6>,
    summed_dims: array<u32, 6>,
    summed_strides: array<u32, 6>,
}

struct PlaceParams {
    n: u32,
    len: u32,
    inner: u32,
    count: u32,
    chunk: u32,
    chunks: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> candidates: array<u32>;
@group(0) @binding(2) var<storage, read_write> places: array<u32>;
@group(0) @binding(3) var<storage, read> place_params: PlaceParams;

// Whether v comes before the best so far.
fn is_better(v: f32, best: f32) -> bool {
    let beats = select(v > best, v < best, least);
    return !is_nan(best) && (beats || is_nan(v));
}

// x's merged axes are split into kept and reduced ones; y is [outputs, chunks], and further passes take the best of the
// chunks, as in reduce.wgsl. Grid: outputs * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn extremum(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < params.outputs * params.chunks {
        let output = i / params.chunks;
        let first = (i - output * params.chunks) * params.chunk;
        let last = min(first + params.chunk, params.count);
        let base = strided_index(output, params.kept_rank, params.kept_dims, params.kept_strides);
        var best = 0.0;
        for (var k = first; k < last; k++) {
            let at = strided_index(k, params.summed_rank, params.summed_dims, params.summed_strides);
            let v = x[base + at];
            if k == first || is_better(v, best) {
                best = v;
            }
        }
        y[i] = best;
    }
}

// x is [outer, len, inner]. Of `count` candidates (places along len, [outer, count, inner]) the best of each chunk goes
// to places [outer, chunks, inner]; the first pass takes every place itself as a candidate (count = len).
// Grid: n = outer * chunks * inner invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn best_place(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = place_params;
    let i = linear_id(gid, groups, 64u);
    if i < p.n {
        let c = i % p.inner;
        let chunk = i / p.inner % p.chunks;
        let outer = i / p.inner / p.chunks;
        let first = chunk * p.chunk;
        let last = min(first + p.chunk, p.count);
        var best = 0.0;
        var place = 0u;
        for (var k = first; k < last; k++) {
            var candidate = k;
            if !first_pass {
                candidate = candidates[(outer * p.count + k) * p.inner + c];
            }
            let v = x[(outer * p.len + candidate) * p.inner + c];
            if k == first || is_better(v, best) {
                best = v;
                place = candidate;
            }
        }
        places[i] = place;
    }
}

//!use index
//!use math
//!use span
// The largest or smallest element over axes, and its place along one axis. `least` chooses; NaN beats everything.

override least: bool = false;
override first_pass: bool = true;

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
    // 1 if the outputs hold the best of the pieces before.
    accumulate: u32,
}

struct PlaceParams {
    inner: u32,
    count: u32,
    chunk: u32,
    chunks: u32,
    y: Span,
    x: Span,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> candidates: array<u32>;
@group(0) @binding(2) var<storage, read_write> best_values: array<f32>;
@group(0) @binding(3) var<storage, read_write> best_places: array<u32>;
@group(0) @binding(4) var<storage, read> place_params: PlaceParams;

// Whether v comes before the best so far.
fn is_better(v: f32, best: f32) -> bool {
    let beats = select(v > best, v < best, least);
    return !is_nan(best) && (beats || is_nan(v));
}

// x's merged axes are split into kept and reduced ones; y is [outputs, chunks], and further passes take the best of the
// chunks, as in reduce.wgsl; the same for pieces. The search begins at the infinity that everything equals or beats.
// Grid: an invocation an element of y's span in workgroups of 64, folded.
@compute @workgroup_size(64)
fn extremum(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    if id < params.y.len {
        let i = params.y.start + id;
        let output = i / params.chunks;
        let first = (i - output * params.chunks) * params.chunk;
        let last = min(first + params.chunk, params.count);
        let base = strided_index(output, params.kept_rank, params.kept_dims, params.kept_strides);
        var best = select(-infinity(), infinity(), least);
        if in_pieces && params.accumulate == 1u {
            best = y[id];
        }
        for (var k = first; k < last; k++) {
            let at = base + strided_index(k, params.summed_rank, params.summed_dims, params.summed_strides);
            if is_bound(at, params.x) {
                let v = x[at - params.x.start];
                if is_better(v, best) {
                    best = v;
                }
            }
        }
        y[id] = best;
    }
}

// No place: nothing was found so far.
const NOWHERE: u32 = 0xffffffffu;

// x [outer, count, inner] holds the values of candidates, whose places along the axis are k itself in the first pass, else
// `candidates` (of x's shape). The best of each chunk goes to best_values and best_places [outer, chunks, inner].
// Grid: an invocation an element of y's span in workgroups of 64, folded.
@compute @workgroup_size(64)
fn best_place(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = place_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.y.len {
        let i = p.y.start + id;
        let c = i % p.inner;
        let chunk = i / p.inner % p.chunks;
        let outer = i / p.inner / p.chunks;
        let first = chunk * p.chunk;
        let last = min(first + p.chunk, p.count);
        var best = 0.0;
        var place = NOWHERE;
        if in_pieces && p.accumulate == 1u {
            best = best_values[id];
            place = best_places[id];
        }
        for (var k = first; k < last; k++) {
            let at = (outer * p.count + k) * p.inner + c;
            if is_bound(at, p.x) {
                let v = x[at - p.x.start];
                if place == NOWHERE || is_better(v, best) {
                    best = v;
                    place = k;
                    if !first_pass {
                        place = candidates[at - p.x.start];
                    }
                }
            }
        }
        best_values[id] = best;
        best_places[id] = place;
    }
}

//!use index
//!use span
// Moving elements.

struct StridedParams {
    n: u32,
    rank: u32,
    offset: u32,
    // The innermost axis apart: its length and stride, and the runs that it is dealt to.
    row: u32,
    row_stride: u32,
    runs: u32,
    dims: array<u32, 6>,
    strides: array<u32, 6>,
    y: Span,
    x: Span,
}

struct PadParams {
    rank: u32,
    value: f32,
    dims: array<u32, 6>,
    start: array<u32, 6>,
    step: array<u32, 6>,
    x_dims: array<u32, 6>,
    y: Span,
    x: Span,
}

// x is [outer, row]; its rows become parts of y's rows.
struct PlaceParams {
    row: u32,
    y_row: u32,
    start: u32,
    x: Span,
    y: Span,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> strided_params: StridedParams;
@group(0) @binding(2) var<storage, read> pad_params: PadParams;
@group(0) @binding(2) var<storage, read> place_params: PlaceParams;

// y[i] = x[offset + sum of i_d * stride_d]: permute, expand, slice, flip. An invocation moves every runs-th element of a row,
// so it looks for its place once. n elements of y are made; in pieces, rows have one element and those are moved that are
// bound. Grid: n / row * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn strided(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    let row = id / strided_params.runs;
    if row * strided_params.row < strided_params.n {
        let from_x = strided_params.offset
            + strided_index(strided_params.y.start + row, strided_params.rank, strided_params.dims, strided_params.strides);
        let to_y = row * strided_params.row;
        if is_bound(from_x, strided_params.x) {
            for (var i = id - row * strided_params.runs; i < strided_params.row; i += strided_params.runs) {
                y[to_y + i] = x[from_x - strided_params.x.start + i * strided_params.row_stride];
            }
        }
    }
}

// y[start + i * step] = x[i], `value` elsewhere: with value 0 the adjoint of slice. One invocation writes one element of y.
// In pieces, the first piece of x brings `value`. Grid: an invocation an element of y, in workgroups of 64, folded.
@compute @workgroup_size(64)
fn pad(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < pad_params.y.len {
        var rest = pad_params.y.start + i;
        var inside = true;
        var from_x = 0u;
        var stride = 1u;
//!repeat d 0..6
        {
            let axis = 5u - $d;
            let outer = rest / pad_params.dims[axis];
            let shifted = rest - outer * pad_params.dims[axis] - pad_params.start[axis];
            // A place before `start` wraps around and is far beyond x's size.
            let at = shifted / pad_params.step[axis];
            inside = inside && at < pad_params.x_dims[axis] && at * pad_params.step[axis] == shifted;
            from_x += at * stride;
            stride *= pad_params.x_dims[axis];
            rest = outer;
        }
//!end
        if !inside {
            if pad_params.x.start == 0u {
                y[i] = pad_params.value;
            }
        } else if is_bound(from_x, pad_params.x) {
            y[i] = x[from_x - pad_params.x.start];
        }
    }
}

// y[o, start + r] = x[o, r]: one part of a concatenation. Here an invocation reads one element of x.
@compute @workgroup_size(64)
fn place(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < place_params.x.len {
        let source = place_params.x.start + i;
        let outer = source / place_params.row;
        let to = outer * place_params.y_row + place_params.start + source - outer * place_params.row;
        if is_bound(to, place_params.y) {
            y[to - place_params.y.start] = x[i];
        }
    }
}

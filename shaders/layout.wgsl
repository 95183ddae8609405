//!use index
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
}

struct PadParams {
    n: u32,
    rank: u32,
    value: f32,
    dims: array<u32, 6>,
    start: array<u32, 6>,
    step: array<u32, 6>,
    x_dims: array<u32, 6>,
}

// x is [outer, row]; its rows become parts of y's rows.
struct PlaceParams {
    n: u32,
    row: u32,
    y_row: u32,
    start: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> strided_params: StridedParams;
@group(0) @binding(2) var<storage, read> pad_params: PadParams;
@group(0) @binding(2) var<storage, read> place_params: PlaceParams;

// y[i] = x[offset + sum of i_d * stride_d]: permute, expand, slice, flip. An invocation moves every runs-th element of a row,
// so it looks for its place once. Grid: n / row * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn strided(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let id = linear_id(gid, groups, 64u);
    let row = id / strided_params.runs;
    if row * strided_params.row < strided_params.n {
        let from_x = strided_params.offset
            + strided_index(row, strided_params.rank, strided_params.dims, strided_params.strides);
        let to_y = row * strided_params.row;
        for (var i = id - row * strided_params.runs; i < strided_params.row; i += strided_params.runs) {
            y[to_y + i] = x[from_x + i * strided_params.row_stride];
        }
    }
}

// y[start + i * step] = x[i], `value` elsewhere: with value 0 the adjoint of slice. One invocation writes one element of y.
// Grid: n invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn pad(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < pad_params.n {
        var rest = i;
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
        var v = pad_params.value;
        if inside {
            v = x[from_x];
        }
        y[i] = v;
    }
}

// y[o, start + r] = x[o, r]: one part of a concatenation. Here an invocation reads one element of x, n of them.
@compute @workgroup_size(64)
fn place(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < place_params.n {
        let outer = i / place_params.row;
        y[outer * place_params.y_row + place_params.start + i - outer * place_params.row] = x[i];
    }
}

// Indices: the linear id of an invocation in a folded grid, and strided (broadcast, permuted, flipped) addresses.
//
// Shapes and strides come as six numbers each, aligned to the right: dims[5] is the innermost axis, axes that a tensor
// of lower rank lacks have length 1. Strides count elements; an axis that is broadcast has stride 0; an axis that runs
// backwards has stride 2^32 - s, since u32 sums wrap. Every length must be at least 1: nothing guards the divisions.

// The position of an invocation in a grid of workgroups of `workgroup_size` x 1 x 1 that may be folded into y and z
// because no dimension takes more than 65,535 workgroups. gid is global_invocation_id, groups is num_workgroups. A
// folded grid has a little more invocations than asked for: compare the result with the count.
fn linear_id(gid: vec3<u32>, groups: vec3<u32>, workgroup_size: u32) -> u32 {
    return gid.x + (gid.y + gid.z * groups.y) * groups.x * workgroup_size;
}

// The position of a workgroup in a folded grid. wid is workgroup_id.
fn linear_group(wid: vec3<u32>, groups: vec3<u32>) -> u32 {
    return wid.x + (wid.y + wid.z * groups.y) * groups.x;
}

// The first of several quads (vec4) that an invocation of a workgroup of 64 computes; the next ones lie 64 further on
// each, so that neighbouring invocations always use neighbouring memory.
fn first_quad(wid: vec3<u32>, groups: vec3<u32>, local: u32, quads: u32) -> u32 {
    return linear_group(wid, groups) * 64u * quads + local;
}

// The coordinates of element `linear` of a contiguous tensor of shape `dims`.
fn coordinates(linear: u32, dims: array<u32, 6>) -> array<u32, 6> {
    var at: array<u32, 6>;
    var rest = linear;
//!repeat i 1..6
    {
        let outer = rest / dims[6 - $i];
        at[6 - $i] = rest - outer * dims[6 - $i];
        rest = outer;
    }
//!end
    at[0] = rest;
    return at;
}

// The sum over the axes of coordinate times stride: where element `linear` of a tensor of shape `dims` lies in a
// tensor that is read with `strides`. Only the `rank` innermost axes are looked at (1 to 6), which saves divisions:
// the outermost of them takes what is left and needs none.
fn strided_index(linear: u32, rank: u32, dims: array<u32, 6>, strides: array<u32, 6>) -> u32 {
    var at = 0u;
    var rest = linear;
    var outer_stride = strides[5];
//!repeat i 2..7
    if rank >= ${i}u {
        let outer = rest / dims[7 - $i];
        at += (rest - outer * dims[7 - $i]) * strides[7 - $i];
        rest = outer;
        outer_stride = strides[6 - $i];
    }
//!end
    return at + rest * outer_stride;
}

// The dot product of coordinates and strides.
fn address(at: array<u32, 6>, strides: array<u32, 6>) -> u32 {
    return at[0] * strides[0] + at[1] * strides[1] + at[2] * strides[2] + at[3] * strides[3] + at[4] * strides[4]
        + at[5] * strides[5];
}

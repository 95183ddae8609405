//!use index
//!use gather
//!use texel
// Copies the parts of gathered matrices that panel products need next into panels, all operands of all products in one call:
// from texel `base` on, dst[z, block, k, c] is element (k_start + k, c_start + block * width + c) of matrix z_start + z, and 0
// beyond k_count or c_count. One invocation copies four neighbouring columns over a run of k.
// Grid: entries * stride invocations in workgroups of 64, folded.

struct Params {
    g: Gather,
    z_start: u32,
    depth: u32,
    k_start: u32,
    // Rows of the matrix, and rows of a panel.
    k_count: u32,
    k_padded: u32,
    c_start: u32,
    c_count: u32,
    blocks: u32,
    // Columns of a panel, in fours.
    quads: u32,
    run: u32,
    runs: u32,
    base: u32,
    // 0: read from src_0; 1: from src_1.
    operand: u32,
    // How many matrices are copied, and invocations for each: a multiple of 64.
    entries: u32,
    stride: u32,
}

@group(0) @binding(0) var<storage, read> src_0: array<f32>;
@group(0) @binding(1) var<storage, read> src_1: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<Params>;
@group(0) @binding(3) var dst: texture_storage_2d<rgba32float, write>;

@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let all = linear_id(gid, groups, 64u);
    let stride = params[0].stride;
    let p = params[min(all / stride, params[0].entries - 1u)];
    let g = p.g;
    let id = all % stride;
    let quad = id % p.quads;
    let run = id / p.quads % p.runs;
    let block = id / (p.quads * p.runs) % p.blocks;
    let z = id / (p.quads * p.runs * p.blocks);
    if all / stride < p.entries && z < p.depth {
        let c = p.c_start + (block * p.quads + quad) * 4u;
//!repeat j 0..4
        let column_$j = column_share(g, p.z_start + z, c + $j, p.c_count);
//!end
        let first = run * p.run;
        let last = min(first + p.run, p.k_padded);
        // k's digits, counted up instead of divided.
        let k = p.k_start + first;
        var k0 = k / (g.k_high * g.k_low);
        var k1 = k / g.k_low - k0 * g.k_high;
        var k2 = k % g.k_low;
        var at = p.base + ((z * p.blocks + block) * p.k_padded + first) * p.quads + quad;
        // Two loops of which one has no turns: both sides of a branch would be run.
//!repeat s 0..2
        for (var i = select(last, first, p.operand == ${s}u); i < last; i++) {
            let plane = k0 * g.plane_k;
            let y = select(0x40000000u, k1 * g.y_k, p.k_start + i < p.k_count);
            let x = k2 * g.x_k;
//!repeat j 0..4
            let iy_$j = y + column_$j.y;
            let ix_$j = x + column_$j.x;
            let inside_$j = iy_$j < g.h && ix_$j < g.w;
            let v_$j = src_$s[select(0u, plane + column_$j.plane + iy_$j * g.row + ix_$j, inside_$j)];
//!end
            let v = vec4<f32>(select(0.0, v_0, inside_0), select(0.0, v_1, inside_1),
                select(0.0, v_2, inside_2), select(0.0, v_3, inside_3));
            textureStore(dst, texel(at), v);
            at += p.quads;
            k2 += 1u;
            let carry = k2 == g.k_low;
            k2 = select(k2, 0u, carry);
            k1 += u32(carry);
            let carry_more = k1 == g.k_high;
            k1 = select(k1, 0u, carry_more);
            k0 += u32(carry_more);
        }
//!end
    }
}

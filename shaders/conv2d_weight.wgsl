//!use index
//!use conv
// dw[o, c, i, j] = sum over n, oy, ox of x[n, c, iy, ix] * dy[n, o, oy, ox].

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;
@group(0) @binding(3) var<storage, read> params: ConvParams;

// One invocation computes one weight. Grid: o * c/groups * kh * kw invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn naive(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params;
    let id = linear_id(gid, groups, 64u);
    let c_per_group = p.c / p.groups;
    if id < p.o * c_per_group * p.kh * p.kw {
        let j = id % p.kw;
        let i = id / p.kw % p.kh;
        let c = id / (p.kw * p.kh) % c_per_group;
        let o = id / (p.kw * p.kh * c_per_group);
        let channel = o / (p.o / p.groups) * c_per_group + c;
        var total = 0.0;
        for (var image = 0u; image < p.n; image++) {
            for (var oy = 0u; oy < p.oh; oy++) {
                let iy = oy * p.stride_h + i * p.dilation_h - p.top; // wraps far beyond h when above the image
                if iy < p.h {
                    for (var ox = 0u; ox < p.ow; ox++) {
                        let ix = ox * p.stride_w + j * p.dilation_w - p.left;
                        if ix < p.w {
                            total += x[((image * p.c + channel) * p.h + iy) * p.w + ix]
                                * dy[((image * p.o + o) * p.oh + oy) * p.ow + ox];
                        }
                    }
                }
            }
        }
        dw[id] = total;
    }
}

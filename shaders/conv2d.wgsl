//!use index
//!use conv
//!use epilogue
// y[n, o, oy, ox] = f(bias[o] + sum over c, i, j of x[n, c, iy, ix] * w[o, c, i, j]), with c in o's group.

struct Params {
    conv: ConvParams,
    epilogue: Epilogue,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// One invocation computes one element. Grid: n * o * oh * ow invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn naive(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params.conv;
    let id = linear_id(gid, groups, 64u);
    if id < p.n * p.o * p.oh * p.ow {
        let ox = id % p.ow;
        let oy = id / p.ow % p.oh;
        let o = id / (p.ow * p.oh) % p.o;
        let image = id / (p.ow * p.oh * p.o);
        let c_per_group = p.c / p.groups;
        let first = o / (p.o / p.groups) * c_per_group;
        var total = 0.0;
        for (var c = 0u; c < c_per_group; c++) {
            let plane = (image * p.c + first + c) * p.h;
            let weights = (o * c_per_group + c) * p.kh;
            for (var i = 0u; i < p.kh; i++) {
                let iy = oy * p.stride_h + i * p.dilation_h - p.top; // wraps far beyond h when above the image
                for (var j = 0u; j < p.kw; j++) {
                    let ix = ox * p.stride_w + j * p.dilation_w - p.left;
                    if iy < p.h && ix < p.w {
                        total += x[(plane + iy) * p.w + ix] * w[(weights + i) * p.kw + j];
                    }
                }
            }
        }
        let e = params.epilogue;
        let shift = select(0.0, bias[own_channel(e, o)], e.by != NO_BIAS);
        y[id] = finished(e, total + shift);
    }
}

//!use index
//!use conv
//!use epilogue
// dx[n, c, iy, ix] = f(bias[c] + sum over o, i, j of dy[n, o, oy, ox] * w[o, c, i, j] where oy * stride_h = iy + top - i * dilation_h
// has a solution, ox likewise, and o is in c's group).

struct Params {
    conv: ConvParams,
    epilogue: Epilogue,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// One invocation computes one element. Grid: n * c * h * w invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn naive(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params.conv;
    let id = linear_id(gid, groups, 64u);
    if id < p.n * p.c * p.h * p.w {
        let ix = id % p.w;
        let iy = id / p.w % p.h;
        let channel = id / (p.w * p.h) % p.c;
        let image = id / (p.w * p.h * p.c);
        let c_per_group = p.c / p.groups;
        let o_per_group = p.o / p.groups;
        let group = channel / c_per_group;
        let c = channel - group * c_per_group;
        var total = 0.0;
        for (var i = 0u; i < p.kh; i++) {
            let down = iy + p.top - i * p.dilation_h; // wraps far beyond the output when negative
            let oy = down / p.stride_h;
            for (var j = 0u; j < p.kw; j++) {
                let right = ix + p.left - j * p.dilation_w;
                let ox = right / p.stride_w;
                if oy < p.oh && ox < p.ow && oy * p.stride_h == down && ox * p.stride_w == right {
                    for (var k = 0u; k < o_per_group; k++) {
                        let o = group * o_per_group + k;
                        total += dy[((image * p.o + o) * p.oh + oy) * p.ow + ox]
                            * w[((o * c_per_group + c) * p.kh + i) * p.kw + j];
                    }
                }
            }
        }
        let e = params.epilogue;
        let shift = select(0.0, bias[own_channel(e, channel)], e.by != NO_BIAS);
        dx[id] = finished(e, total + shift);
    }
}

// Products over all o: taps[(c, i, j), (n, oy, ox)].
@group(0) @binding(0) var<storage, read> taps: array<f32>;
@group(0) @binding(1) var<storage, read> fold_bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> folded: array<f32>;
@group(0) @binding(3) var<storage, read> fold_params: Params;

// dx[n, c, iy, ix] = f(bias[c] + sum over i, j of taps[(c, i, j), (n, oy, ox)]) where both equations have solutions; one group.
// One invocation computes one element. Grid: n * c * h * w invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn fold(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = fold_params.conv;
    let id = linear_id(gid, groups, 64u);
    if id < p.n * p.c * p.h * p.w {
        let ix = id % p.w;
        let iy = id / p.w % p.h;
        let channel = id / (p.w * p.h) % p.c;
        let image = id / (p.w * p.h * p.c);
        let columns = p.n * p.oh * p.ow;
        var total = 0.0;
        for (var i = 0u; i < p.kh; i++) {
            let down = iy + p.top - i * p.dilation_h; // wraps far beyond the output when negative
            let oy = down / p.stride_h;
            let fits = oy < p.oh && oy * p.stride_h == down;
            // No turns where no place of dy reaches this row.
            for (var j = select(p.kw, 0u, fits); j < p.kw; j++) {
                let right = ix + p.left - j * p.dilation_w;
                let ox = right / p.stride_w;
                if ox < p.ow && ox * p.stride_w == right {
                    total += taps[((channel * p.kh + i) * p.kw + j) * columns + (image * p.oh + oy) * p.ow + ox];
                }
            }
        }
        let e = fold_params.epilogue;
        let shift = select(0.0, fold_bias[own_channel(e, channel)], e.by != NO_BIAS);
        folded[id] = finished(e, total + shift);
    }
}

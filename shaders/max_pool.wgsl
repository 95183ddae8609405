//!use index
//!use math
// Max pooling of planes x [planes, h, w] to y [planes, oh, ow] in three kernels: where each window's maximum lies, those
// elements, and the adjoint of taking them. Places before and after the image are skipped; every window holds at least
// one element. NaN counts as the largest; of equal ones the first in row-major order wins.

struct Params {
    n: u32,
    h: u32,
    w: u32,
    oh: u32,
    ow: u32,
    kh: u32,
    kw: u32,
    stride_h: u32,
    stride_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    top: u32,
    left: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> written_places: array<u32>;
@group(0) @binding(2) var<storage, read> places_params: Params;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

// The place (iy * w + ix) of the maximum of one window. Grid: n = planes * oh * ow invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn find(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = places_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.n {
        let ox = id % p.ow;
        let oy = id / p.ow % p.oh;
        let plane = id / p.ow / p.oh * p.h * p.w;
        var place = 0u;
        var best = 0.0;
        var found = false;
        for (var i = 0u; i < p.kh; i++) {
            let iy = oy * p.stride_h + i * p.dilation_h - p.top; // wraps far beyond the image when negative
            for (var j = 0u; j < p.kw; j++) {
                let ix = ox * p.stride_w + j * p.dilation_w - p.left;
                if iy < p.h && ix < p.w {
                    let v = x[plane + iy * p.w + ix];
                    if !found || (!is_nan(best) && (v > best || is_nan(v))) {
                        best = v;
                        place = iy * p.w + ix;
                        found = true;
                    }
                }
            }
        }
        written_places[id] = place;
    }
}

// y[plane, o] = x[plane, places[plane, o]]. Grid as above.
@compute @workgroup_size(64)
fn take(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params;
    let id = linear_id(gid, groups, 64u);
    if id < p.n {
        y[id] = x[id / (p.oh * p.ow) * p.h * p.w + places[id]];
    }
}

// y[plane, i] = sum of x[plane, o] over the windows o that hold i and have their maximum there: here x is as large as the
// pooled and y as the pooling images. Grid: n = planes * h * w invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn put(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = params;
    let id = linear_id(gid, groups, 64u);
    if id < p.n {
        let ix = id % p.w;
        let iy = id / p.w % p.h;
        let plane = id / p.w / p.h * p.oh * p.ow;
        var total = 0.0;
        for (var i = 0u; i < p.kh; i++) {
            let down = iy + p.top - i * p.dilation_h; // wraps far beyond the output when negative
            let oy = down / p.stride_h;
            for (var j = 0u; j < p.kw; j++) {
                let right = ix + p.left - j * p.dilation_w;
                let ox = right / p.stride_w;
                if oy < p.oh && ox < p.ow && oy * p.stride_h == down && ox * p.stride_w == right {
                    let o = plane + oy * p.ow + ox;
                    if places[o] == iy * p.w + ix {
                        total += x[o];
                    }
                }
            }
        }
        y[id] = total;
    }
}

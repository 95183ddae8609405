//!use index
//!use batch_norm
// The sums of dz and of dz * xhat over every group of x, for the first gradient of batch normalisation: as batch_norm_moments
// takes its statistics.

// Whether dz is dy through a leaky relu of y, or dy itself.
override activated: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
@group(0) @binding(0) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> dy_quads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> y_quads: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> partials_out: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> sums_out: array<f32>;
@group(0) @binding(5) var<storage, read> sums_params: NormParams;
// (var + eps)^-1/2 of a group.
fn inverse(p: NormParams, group: u32) -> f32 {
    return 1.0 / sqrt(moments[p.parts * p.c + group] + p.eps);
}
// What the activation lets through of dy at an element, at a vec4.
fn dz_at(p: NormParams, at: u32) -> f32 {
    if activated != 0u {
        return select(p.slope, 1.0, y[at] > 0.0) * dy[at];
    }
    return dy[at];
}

fn dz_quad(p: NormParams, at: u32) -> vec4<f32> {
    if activated != 0u {
        return select(vec4<f32>(p.slope), vec4<f32>(1.0), y_quads[at] > vec4<f32>()) * dy_quads[at];
    }
    return dy_quads[at];
}

// partials[group, chunk] = (sum of dz, sum of dz * xhat) of the chunk.
// Grid: parts * c * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn partial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = sums_params;
    let id = linear_id(gid, groups, 64u);
    let group = id / p.chunks;
    if group < p.parts * p.c {
        let part = group / p.c;
        let channel = group - part * p.c;
        let first = (id - group * p.chunks) * p.chunk;
        let last = min(first + p.chunk, p.n * p.l);
        let mean = moments[group];
        let inv = inverse(p, group);
        var sum = 0.0;
        var dot = 0.0;
        for (var k = first; k < last; k++) {
            let at = element(p, part, channel, k);
            let dz = dz_at(p, at);
            sum += dz;
            dot += dz * ((x[at] - mean) * inv);
        }
        partials_out[id] = vec2<f32>(sum, dot);
    }
}

// The same where l and chunk are multiples of 4.
@compute @workgroup_size(64)
fn partial_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = sums_params;
    let id = linear_id(gid, groups, 64u);
    let group = id / p.chunks;
    if group < p.parts * p.c {
        let part = group / p.c;
        let channel = group - part * p.c;
        let first = (id - group * p.chunks) * (p.chunk / 4u);
        let last = min(first + p.chunk / 4u, p.n * p.l / 4u);
        let mean = moments[group];
        let inv = inverse(p, group);
        var here = place(p, part, channel, first);
        var sum = vec4<f32>();
        var dot = vec4<f32>();
        for (var k = first; k < last; k++) {
            let dz = dz_quad(p, here.at);
            sum += dz;
            dot += dz * ((x_quads[here.at] - mean) * inv);
            here = next(p, here);
        }
        partials_out[id] = vec2<f32>(total(sum), total(dot));
    }
}

// Writes the sums of a group, gives those of the channel's parts so far, and writes these behind the last part.
fn write_sums(p: NormParams, part: u32, channel: u32, before: vec2<f32>, sum: vec2<f32>) -> vec2<f32> {
    let all = before + sum;
    if p.parts > 1u {
        let group = part * p.c + channel;
        sums_out[2u * p.c + group] = sum.x;
        sums_out[(2u + p.parts) * p.c + group] = sum.y;
    }
    if part + 1u == p.parts {
        sums_out[channel] = all.x;
        sums_out[p.c + channel] = all.y;
    }
    return all;
}

// The chunks of each group added in order; bindings 1 to 3 are not read. Grid: c invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = sums_params;
    let channel = linear_id(gid, groups, 64u);
    if channel < p.c {
        var all = vec2<f32>();
        for (var part = 0u; part < p.parts; part++) {
            var sum = vec2<f32>();
            for (var chunk = 0u; chunk < p.chunks; chunk++) {
                sum += partials[(part * p.c + channel) * p.chunks + chunk];
            }
            all = write_sums(p, part, channel, all, sum);
        }
    }
}

// vec4s that are added up before they are added to the rest, so that no sum runs long.
const STRETCH: u32 = 64u;
// The same by one invocation a channel, where l is a multiple of 4. Grid: c invocations in workgroups of 8, folded.
@compute @workgroup_size(8)
fn serial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = sums_params;
    let channel = linear_id(gid, groups, 8u);
    if channel < p.c {
        let count = p.n * (p.l / 4u);
        var all = vec2<f32>();
        for (var part = 0u; part < p.parts; part++) {
            let group = part * p.c + channel;
            let mean = moments[group];
            let inv = inverse(p, group);
            var here = place(p, part, channel, 0u);
            var sum = vec4<f32>();
            var dot = vec4<f32>();
            for (var first = 0u; first < count; first += STRETCH) {
                var stretch_sum = vec4<f32>();
                var stretch_dot = vec4<f32>();
                for (var k = first; k < min(first + STRETCH, count); k++) {
                    let dz = dz_quad(p, here.at);
                    stretch_sum += dz;
                    stretch_dot += dz * ((x_quads[here.at] - mean) * inv);
                    here = next(p, here);
                }
                sum += stretch_sum;
                dot += stretch_dot;
            }
            all = write_sums(p, part, channel, all, vec2<f32>(total(sum), total(dot)));
        }
    }
}

// The same by one workgroup a channel. Grid: c workgroups, folded.
@compute @workgroup_size(256)
fn channel(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = sums_params;
    let channel = min(linear_group(wid, groups), p.c - 1u);
    var all = vec2<f32>();
    for (var part = 0u; part < p.parts; part++) {
        let group = part * p.c + channel;
        let mean = moments[group];
        let inv = inverse(p, group);
        var share = vec2<f32>();
        for (var k = local; k < p.n * p.l; k += 256u) {
            let at = element(p, part, channel, k);
            let dz = dz_at(p, at);
            share += vec2<f32>(dz, dz * ((x[at] - mean) * inv));
        }
        let sum = workgroup_sum(local, share);
        if local == 0u {
            all = write_sums(p, part, channel, all, sum);
        }
    }
}

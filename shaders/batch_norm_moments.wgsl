//!use index
//!use batch_norm
// Mean and variance of every group of x for batch normalisation: by one workgroup a channel (GPUs); by one invocation a channel;
// or in two kernels: one invocation per (group, chunk of its n * l elements), then one per channel that combines the chunks in order.

// Whether running statistics follow.
override moves: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partials_out: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> partial_params: NormParams;

// partials[group, chunk] = (mean, sum of squared distances from it) of the chunk.
// Grid: parts * c * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn partial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = partial_params;
    let id = linear_id(gid, groups, 64u);
    let group = id / p.chunks;
    if group < p.parts * p.c {
        let part = group / p.c;
        let channel = group - part * p.c;
        let first = (id - group * p.chunks) * p.chunk;
        let last = min(first + p.chunk, p.n * p.l);
        // Two passes over the chunk: the mean, then the squares around it. Sums are of distances from one element, which
        // keep their digits where the values lie far from 0.
        var origin = 0.0;
        if first < last {
            origin = x[element(p, part, channel, first)];
        }
        var total = 0.0;
        for (var k = first; k < last; k++) {
            total += x[element(p, part, channel, k)] - origin;
        }
        let mean = origin + total / f32(last - first);
        var squares = 0.0;
        for (var k = first; k < last; k++) {
            let d = x[element(p, part, channel, k)] - mean;
            squares += d * d;
        }
        partials_out[id] = vec2<f32>(mean, squares);
    }
}

// The same where l and chunk are multiples of 4.
@compute @workgroup_size(64)
fn partial_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = partial_params;
    let id = linear_id(gid, groups, 64u);
    let group = id / p.chunks;
    if group < p.parts * p.c {
        let part = group / p.c;
        let channel = group - part * p.c;
        let first = (id - group * p.chunks) * (p.chunk / 4u);
        let last = min(first + p.chunk / 4u, p.n * p.l / 4u);
        let start = place(p, part, channel, first);
        var here = start;
        var origin = 0.0;
        if first < last {
            origin = x_quads[start.at].x;
        }
        var sums = vec4<f32>();
        for (var k = first; k < last; k++) {
            sums += x_quads[here.at] - origin;
            here = next(p, here);
        }
        let mean = origin + total(sums) / f32((last - first) * 4u);
        here = start;
        var squares = vec4<f32>();
        for (var k = first; k < last; k++) {
            let d = x_quads[here.at] - mean;
            squares += d * d;
            here = next(p, here);
        }
        partials_out[id] = vec2<f32>(mean, total(squares));
    }
}

@group(0) @binding(0) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> running_mean: array<f32>;
@group(0) @binding(2) var<storage, read> running_var: array<f32>;
@group(0) @binding(3) var<storage, read_write> moments_out: array<f32>;
@group(0) @binding(4) var<storage, read> moments_params: NormParams;

// The running statistics of a channel while its parts pass, as (mean, variance).
fn running_start(channel: u32) -> vec2<f32> {
    if moves != 0u {
        return vec2<f32>(running_mean[channel], running_var[channel]);
    }
    return vec2<f32>();
}

// Writes the moments of a group and gives the running statistics behind it.
fn write_moments(p: NormParams, part: u32, channel: u32, running: vec2<f32>, mean: f32, variance: f32) -> vec2<f32> {
    let group = part * p.c + channel;
    moments_out[group] = mean;
    moments_out[p.parts * p.c + group] = variance;
    let moved = running * p.keep + vec2<f32>(mean * p.mean_scale, variance * p.var_scale);
    if moves != 0u && part + 1u == p.parts {
        moments_out[2u * p.parts * p.c + channel] = moved.x;
        moments_out[(2u * p.parts + 1u) * p.c + channel] = moved.y;
    }
    return moved;
}

// The chunks of each group combined by Chan's formula. Grid: c invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = moments_params;
    let channel = linear_id(gid, groups, 64u);
    if channel < p.c {
        var running = running_start(channel);
        for (var part = 0u; part < p.parts; part++) {
            let first = (part * p.c + channel) * p.chunks;
            let origin = partials[first].x;
            var count = 0.0;
            var mean = 0.0; // from the origin
            var squares = 0.0;
            for (var chunk = 0u; chunk < p.chunks; chunk++) {
                let share = partials[first + chunk];
                let size = f32(min(p.chunk, p.n * p.l - chunk * p.chunk));
                let d = (share.x - origin) - mean;
                let sum = count + size;
                mean += d * (size / sum);
                squares += share.y + d * d * (count * (size / sum));
                count = sum;
            }
            running = write_moments(p, part, channel, running, origin + mean, squares / count);
        }
    }
}

// vec4s that are added up before they are added to the rest, so that no sum runs long.
const STRETCH: u32 = 64u;

// The same by one invocation a channel, where l is a multiple of 4. Grid: c invocations in workgroups of 8, folded.
@compute @workgroup_size(8)
fn serial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = moments_params;
    let channel = linear_id(gid, groups, 8u);
    if channel < p.c {
        let count = p.n * (p.l / 4u);
        var running = running_start(channel);
        for (var part = 0u; part < p.parts; part++) {
            let start = place(p, part, channel, 0u);
            let origin = x_quads[start.at].x;
            var here = start;
            var sum = vec4<f32>();
            for (var first = 0u; first < count; first += STRETCH) {
                var stretch = vec4<f32>();
                for (var k = first; k < min(first + STRETCH, count); k++) {
                    stretch += x_quads[here.at] - origin;
                    here = next(p, here);
                }
                sum += stretch;
            }
            let mean = origin + total(sum) / f32(count * 4u);
            here = start;
            var squares = vec4<f32>();
            for (var first = 0u; first < count; first += STRETCH) {
                var stretch = vec4<f32>();
                for (var k = first; k < min(first + STRETCH, count); k++) {
                    let d = x_quads[here.at] - mean;
                    stretch += d * d;
                    here = next(p, here);
                }
                squares += stretch;
            }
            running = write_moments(p, part, channel, running, mean, total(squares) / f32(count * 4u));
        }
    }
}

// The same by one workgroup a channel, in two passes: the mean, then the squares around it. Sums are of distances from the
// group's first element. Grid: c workgroups, folded.
@compute @workgroup_size(256)
fn channel(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = moments_params;
    let channel = min(linear_group(wid, groups), p.c - 1u);
    let count = p.n * p.l;
    var running = running_start(channel);
    for (var part = 0u; part < p.parts; part++) {
        let origin = x[element(p, part, channel, 0u)];
        var total = 0.0;
        for (var k = local; k < count; k += 256u) {
            total += x[element(p, part, channel, k)] - origin;
        }
        let mean = origin + workgroup_sum(local, vec2<f32>(total, 0.0)).x / f32(count);
        var squares = 0.0;
        for (var k = local; k < count; k += 256u) {
            let d = x[element(p, part, channel, k)] - mean;
            squares += d * d;
        }
        let sum = workgroup_sum(local, vec2<f32>(squares, 0.0)).x;
        if local == 0u {
            running = write_moments(p, part, channel, running, mean, sum / f32(count));
        }
    }
}

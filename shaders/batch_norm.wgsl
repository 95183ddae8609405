//!use index
//!use batch_norm
// Batch normalisation of x [parts * n, c, l] (batches that lie one behind the other; l: everything behind the channel axis)
// and its first gradient. A group is a channel of one part: number part * c + channel. moments are the means of all groups,
// then their variances; sums are those of dz, then those of dz * xhat, behind the totals of all parts if there are several.
//
// Statistics are taken by one workgroup a channel (GPUs); by one invocation a channel; or in two kernels: one invocation per
// (group, chunk of its n * l elements), then one per channel that combines the chunks in order.

// Whether running statistics follow.
override moves: u32 = 0u;
// Whether dz is dy through a leaky relu of y, or dy itself.
override activated: u32 = 0u;

// Where element k of a group (in order of image, then place) lies in x.
fn element(p: NormParams, part: u32, channel: u32, k: u32) -> u32 {
    let image = k / p.l;
    return ((part * p.n + image) * p.c + channel) * p.l + (k - image * p.l);
}

// Where vec4 k of a group lies in x, and how many vec4s from there to the end of the row of l.
struct Place {
    at: u32,
    left: u32,
}

fn place(p: NormParams, part: u32, channel: u32, k: u32) -> Place {
    let row = p.l / 4u;
    let image = k / row;
    return Place(((part * p.n + image) * p.c + channel) * row + (k - image * row), row - (k - image * row));
}

// The place of the group's next vec4: behind the end of a row it is one image further on.
fn next(p: NormParams, here: Place) -> Place {
    let row = p.l / 4u;
    let ends = here.left == 1u;
    return Place(here.at + 1u + select(0u, (p.c - 1u) * row, ends), select(here.left - 1u, row, ends));
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partials_out: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> two_params: NormParams;

// partials[group, chunk] = (mean, sum of squared distances from it) of the chunk.
// Grid: parts * c * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn moments_partial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = two_params;
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
fn moments_partial_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = two_params;
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
fn moments_combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
fn moments_serial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
fn moments_channel(
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

@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> normalize_params: NormParams;

// (var + eps)^-1/2 of a group.
fn inverse(p: NormParams, group: u32) -> f32 {
    return 1.0 / sqrt(moments[p.parts * p.c + group] + p.eps);
}

// y = f(gamma * (x - mean) / sqrt(var + eps) + beta) with the leaky relu f.
// Grid: parts * n * c * l invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn normalize(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = normalize_params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.l;
    let image = row / p.c;
    if image < p.parts * p.n {
        let channel = row - image * p.c;
        let group = image / p.n * p.c + channel;
        let z = gamma[channel] * ((x[id] - moments[group]) * inverse(p, group)) + beta[channel];
        y[id] = select(p.slope * z, z, z > 0.0);
    }
}

@group(0) @binding(4) var<storage, read_write> y_quads: array<vec4<f32>>;

// The same where l is a multiple of 4: an invocation computes every runs-th vec4 of a channel of an image.
// Grid: parts * n * c * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn normalize_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = normalize_params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.runs;
    let image = row / p.c;
    if image < p.parts * p.n {
        let channel = row - image * p.c;
        let group = image / p.n * p.c + channel;
        let mean = moments[group];
        let scale = gamma[channel];
        let shift = beta[channel];
        let inv = inverse(p, group);
        let length = p.l / 4u;
        for (var i = id - row * p.runs; i < length; i += p.runs) {
            let z = scale * ((x_quads[row * length + i] - mean) * inv) + shift;
            y_quads[row * length + i] = select(p.slope * z, z, z > vec4<f32>());
        }
    }
}

@group(0) @binding(2) var<storage, read> sums_dy: array<f32>;
@group(0) @binding(2) var<storage, read> sums_dy_quads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> sums_y: array<f32>;
@group(0) @binding(3) var<storage, read> sums_y_quads: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums_partials: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> sums_out: array<f32>;
@group(0) @binding(5) var<storage, read> sums_params: NormParams;

// What the activation lets through of dy at an element, at a vec4.
fn sums_dz(p: NormParams, at: u32) -> f32 {
    if activated != 0u {
        return select(p.slope, 1.0, sums_y[at] > 0.0) * sums_dy[at];
    }
    return sums_dy[at];
}

fn sums_dz_quad(p: NormParams, at: u32) -> vec4<f32> {
    if activated != 0u {
        return select(vec4<f32>(p.slope), vec4<f32>(1.0), sums_y_quads[at] > vec4<f32>()) * sums_dy_quads[at];
    }
    return sums_dy_quads[at];
}

// partials[group, chunk] = (sum of dz, sum of dz * xhat) of the chunk.
// Grid: parts * c * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn sums_partial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
            let dz = sums_dz(p, at);
            sum += dz;
            dot += dz * ((x[at] - mean) * inv);
        }
        sums_partials[id] = vec2<f32>(sum, dot);
    }
}

// The same where l and chunk are multiples of 4.
@compute @workgroup_size(64)
fn sums_partial_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
            let dz = sums_dz_quad(p, here.at);
            sum += dz;
            dot += dz * ((x_quads[here.at] - mean) * inv);
            here = next(p, here);
        }
        sums_partials[id] = vec2<f32>(total(sum), total(dot));
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
fn sums_combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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

// The same by one invocation a channel, where l is a multiple of 4. Grid: c invocations in workgroups of 8, folded.
@compute @workgroup_size(8)
fn sums_serial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
                    let dz = sums_dz_quad(p, here.at);
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
fn sums_channel(
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
            let dz = sums_dz(p, at);
            share += vec2<f32>(dz, dz * ((x[at] - mean) * inv));
        }
        let sum = workgroup_sum(local, share);
        if local == 0u {
            all = write_sums(p, part, channel, all, sum);
        }
    }
}

@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> dy_quads: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> value: array<f32>;
@group(0) @binding(5) var<storage, read> value_quads: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx_quads: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> input_params: NormParams;

// The means of dz and of dz * xhat over a group.
fn mean_sums(p: NormParams, group: u32) -> vec2<f32> {
    let first = select(0u, 2u * p.c, p.parts > 1u);
    return vec2<f32>(sums[first + group], sums[first + p.parts * p.c + group]) / f32(p.n * p.l);
}

// dx = gamma / sqrt(var + eps) * (dz - mean of dz - xhat * mean of dz * xhat).
// Grid: parts * n * c * l invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn input_gradient(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = input_params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.l;
    let image = row / p.c;
    if image < p.parts * p.n {
        let channel = row - image * p.c;
        let group = image / p.n * p.c + channel;
        let inv = inverse(p, group);
        let means = mean_sums(p, group);
        let xhat = (x[id] - moments[group]) * inv;
        var dz = dy[id];
        if activated != 0u {
            dz *= select(p.slope, 1.0, value[id] > 0.0);
        }
        dx[id] = gamma[channel] * inv * (dz - means.x - xhat * means.y);
    }
}

// The same where l is a multiple of 4: an invocation computes every runs-th vec4 of a channel of an image.
// Grid: parts * n * c * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn input_gradient_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = input_params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.runs;
    let image = row / p.c;
    if image < p.parts * p.n {
        let channel = row - image * p.c;
        let group = image / p.n * p.c + channel;
        let mean = moments[group];
        let inv = inverse(p, group);
        let scale = gamma[channel] * inv;
        let means = mean_sums(p, group);
        let slope = inv * means.y;
        let length = p.l / 4u;
        for (var i = id - row * p.runs; i < length; i += p.runs) {
            let at = row * length + i;
            var dz = dy_quads[at];
            if activated != 0u {
                dz *= select(vec4<f32>(p.slope), vec4<f32>(1.0), value_quads[at] > vec4<f32>());
            }
            dx_quads[at] = scale * (dz - means.x - (x_quads[at] - mean) * slope);
        }
    }
}

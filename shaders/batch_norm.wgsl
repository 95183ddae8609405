//!use index
// Batch normalisation of x [n, c, l] (l: everything behind the channel axis) and its first gradient.
// Statistics are taken in two kernels: one invocation per (channel, chunk of its n * l elements), then one per channel
// that combines the chunks in order; or, on GPUs, by one workgroup a channel. moments and sums are [2, c].

struct Params {
    n: u32,
    c: u32,
    l: u32,
    chunk: u32,
    chunks: u32,
    eps: f32,
    // Runs that the vec4s of a row of l are dealt to, where l is a multiple of 4.
    runs: u32,
    // Of the leaky relu behind the normalisation; 1 for none.
    slope: f32,
}

// Where element k of a channel (in order of image, then place) lies in x.
fn element(p: Params, channel: u32, k: u32) -> u32 {
    let image = k / p.l;
    return (image * p.c + channel) * p.l + (k - image * p.l);
}

// Where vec4 k of a channel lies in x, and how many vec4s from there to the end of the row of l.
struct Place {
    at: u32,
    left: u32,
}

fn place(p: Params, channel: u32, k: u32) -> Place {
    let row = p.l / 4u;
    let image = k / row;
    return Place((image * p.c + channel) * row + (k - image * row), row - (k - image * row));
}

// The place of the channel's next vec4: behind the end of a row it is one image further on.
fn next(p: Params, here: Place) -> Place {
    let row = p.l / 4u;
    let ends = here.left == 1u;
    return Place(here.at + 1u + select(0u, (p.c - 1u) * row, ends), select(here.left - 1u, row, ends));
}

fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partials_out: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> two_params: Params;

// partials[channel, chunk] = (mean, sum of squared distances from it) of the chunk.
// Grid: c * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn moments_partial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = two_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.c * p.chunks {
        let channel = id / p.chunks;
        let first = (id - channel * p.chunks) * p.chunk;
        let last = min(first + p.chunk, p.n * p.l);
        // Two passes over the chunk: the mean, then the squares around it. Sums are of distances from one element, which
        // keep their digits where the values lie far from 0.
        var origin = 0.0;
        if first < last {
            origin = x[element(p, channel, first)];
        }
        var total = 0.0;
        for (var k = first; k < last; k++) {
            total += x[element(p, channel, k)] - origin;
        }
        let mean = origin + total / f32(last - first);
        var squares = 0.0;
        for (var k = first; k < last; k++) {
            let d = x[element(p, channel, k)] - mean;
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
    if id < p.c * p.chunks {
        let channel = id / p.chunks;
        let first = (id - channel * p.chunks) * (p.chunk / 4u);
        let last = min(first + p.chunk / 4u, p.n * p.l / 4u);
        let start = place(p, channel, first);
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
@group(0) @binding(1) var<storage, read_write> combined: array<f32>;

// moments = (mean, variance), the chunks combined by Chan's formula. Grid: c invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn moments_combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = two_params;
    let channel = linear_id(gid, groups, 64u);
    if channel < p.c {
        let origin = partials[channel * p.chunks].x;
        var count = 0.0;
        var mean = 0.0; // from the origin
        var squares = 0.0;
        for (var chunk = 0u; chunk < p.chunks; chunk++) {
            let part = partials[channel * p.chunks + chunk];
            let size = f32(min(p.chunk, p.n * p.l - chunk * p.chunk));
            let d = (part.x - origin) - mean;
            let sum = count + size;
            mean += d * (size / sum);
            squares += part.y + d * d * (count * (size / sum));
            count = sum;
        }
        combined[channel] = origin + mean;
        combined[p.c + channel] = squares / count;
    }
}

@group(0) @binding(1) var<storage, read_write> channel_moments: array<f32>;

var<workgroup> shares: array<vec2<f32>, 256>;

// The sum of all invocations' values in a fixed order: halves are added until one is left.
fn workgroup_sum(local: u32, value: vec2<f32>) -> vec2<f32> {
    shares[local] = value;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            shares[local] += shares[local + half];
        }
    }
    workgroupBarrier();
    let sum = shares[0];
    workgroupBarrier();
    return sum;
}

// moments = (mean, variance) of a channel by one workgroup, in two passes: the mean, then the squares around it. Sums are
// of distances from the channel's first element. Grid: c workgroups, folded.
@compute @workgroup_size(256)
fn moments_channel(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = two_params;
    let channel = min(linear_group(wid, groups), p.c - 1u);
    let count = p.n * p.l;
    let origin = x[element(p, channel, 0u)];
    var total = 0.0;
    for (var k = local; k < count; k += 256u) {
        total += x[element(p, channel, k)] - origin;
    }
    let mean = origin + workgroup_sum(local, vec2<f32>(total, 0.0)).x / f32(count);
    var squares = 0.0;
    for (var k = local; k < count; k += 256u) {
        let d = x[element(p, channel, k)] - mean;
        squares += d * d;
    }
    let sum = workgroup_sum(local, vec2<f32>(squares, 0.0)).x;
    if local == 0u {
        channel_moments[channel] = mean;
        channel_moments[p.c + channel] = sum / f32(count);
    }
}

@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> normalize_params: Params;

// y = f(gamma * (x - mean) / sqrt(var + eps) + beta) with the leaky relu f. Grid: n * c * l invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn normalize(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = normalize_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.n * p.c * p.l {
        let channel = id / p.l % p.c;
        let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
        let z = gamma[channel] * ((x[id] - moments[channel]) * inv) + beta[channel];
        y[id] = select(p.slope * z, z, z > 0.0);
    }
}

@group(0) @binding(4) var<storage, read_write> y_quads: array<vec4<f32>>;

// The same where l is a multiple of 4: an invocation computes every runs-th vec4 of a channel of an image.
// Grid: n * c * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn normalize_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = normalize_params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.runs;
    if row < p.n * p.c {
        let channel = row % p.c;
        let mean = moments[channel];
        let scale = gamma[channel];
        let shift = beta[channel];
        let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
        let length = p.l / 4u;
        for (var i = id - row * p.runs; i < length; i += p.runs) {
            let z = scale * ((x_quads[row * length + i] - mean) * inv) + shift;
            y_quads[row * length + i] = select(p.slope * z, z, z > vec4<f32>());
        }
    }
}

@group(0) @binding(2) var<storage, read> sums_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums_partials: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> sums_params: Params;

// partials[channel, chunk] = (sum of dy, sum of dy * xhat) of the chunk.
// Grid: c * chunks invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn sums_partial(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = sums_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.c * p.chunks {
        let channel = id / p.chunks;
        let first = (id - channel * p.chunks) * p.chunk;
        let last = min(first + p.chunk, p.n * p.l);
        let mean = moments[channel];
        let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
        var sum = 0.0;
        var dot = 0.0;
        for (var k = first; k < last; k++) {
            let at = element(p, channel, k);
            sum += sums_dy[at];
            dot += sums_dy[at] * ((x[at] - mean) * inv);
        }
        sums_partials[id] = vec2<f32>(sum, dot);
    }
}

@group(0) @binding(2) var<storage, read> sums_dy_quads: array<vec4<f32>>;

// The same where l and chunk are multiples of 4.
@compute @workgroup_size(64)
fn sums_partial_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = sums_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.c * p.chunks {
        let channel = id / p.chunks;
        let first = (id - channel * p.chunks) * (p.chunk / 4u);
        let last = min(first + p.chunk / 4u, p.n * p.l / 4u);
        let mean = moments[channel];
        let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
        var here = place(p, channel, first);
        var sum = vec4<f32>();
        var dot = vec4<f32>();
        for (var k = first; k < last; k++) {
            let dy = sums_dy_quads[here.at];
            sum += dy;
            dot += dy * ((x_quads[here.at] - mean) * inv);
            here = next(p, here);
        }
        sums_partials[id] = vec2<f32>(total(sum), total(dot));
    }
}

@group(0) @binding(3) var<storage, read_write> channel_sums: array<f32>;

// sums of a channel by one workgroup. Grid: c workgroups, folded.
@compute @workgroup_size(256)
fn sums_channel(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = sums_params;
    let channel = min(linear_group(wid, groups), p.c - 1u);
    let mean = moments[channel];
    let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
    var share = vec2<f32>(0.0, 0.0);
    for (var k = local; k < p.n * p.l; k += 256u) {
        let at = element(p, channel, k);
        share += vec2<f32>(sums_dy[at], sums_dy[at] * ((x[at] - mean) * inv));
    }
    let sum = workgroup_sum(local, share);
    if local == 0u {
        channel_sums[channel] = sum.x;
        channel_sums[p.c + channel] = sum.y;
    }
}

// sums = the chunks added in order. Grid: c invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn sums_combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = two_params;
    let channel = linear_id(gid, groups, 64u);
    if channel < p.c {
        var total = vec2<f32>(0.0, 0.0);
        for (var chunk = 0u; chunk < p.chunks; chunk++) {
            total += partials[channel * p.chunks + chunk];
        }
        combined[channel] = total.x;
        combined[p.c + channel] = total.y;
    }
}

struct RunningParams {
    c: u32,
    keep: f32,
    mean_scale: f32,
    var_scale: f32,
}

@group(0) @binding(0) var<storage, read> running_mean: array<f32>;
@group(0) @binding(1) var<storage, read> running_var: array<f32>;
@group(0) @binding(2) var<storage, read> batch_moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> moved: array<f32>;
@group(0) @binding(4) var<storage, read> running_params: RunningParams;

// moved [2, c] = keep * running + scale * batch. Grid: 2 * c invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn running(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = running_params;
    let i = linear_id(gid, groups, 64u);
    if i < p.c {
        moved[i] = running_mean[i] * p.keep + batch_moments[i] * p.mean_scale;
    } else if i < 2u * p.c {
        moved[i] = running_var[i - p.c] * p.keep + batch_moments[i] * p.var_scale;
    }
}

@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read> input_params: Params;

// dx = gamma / sqrt(var + eps) * (dy - mean of dy - xhat * mean of dy * xhat).
// Grid: n * c * l invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn input_gradient(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = input_params;
    let id = linear_id(gid, groups, 64u);
    if id < p.n * p.c * p.l {
        let channel = id / p.l % p.c;
        let count = f32(p.n * p.l);
        let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
        let xhat = (x[id] - moments[channel]) * inv;
        dx[id] = gamma[channel] * inv * (dy[id] - sums[channel] / count - xhat * (sums[p.c + channel] / count));
    }
}

@group(0) @binding(4) var<storage, read> dy_quads: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dx_quads: array<vec4<f32>>;

// The same where l is a multiple of 4: an invocation computes every runs-th vec4 of a channel of an image.
// Grid: n * c * runs invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn input_gradient_quads(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let p = input_params;
    let id = linear_id(gid, groups, 64u);
    let row = id / p.runs;
    if row < p.n * p.c {
        let channel = row % p.c;
        let count = f32(p.n * p.l);
        let mean = moments[channel];
        let inv = 1.0 / sqrt(moments[p.c + channel] + p.eps);
        let scale = gamma[channel] * inv;
        let shift = sums[channel] / count;
        let slope = inv * (sums[p.c + channel] / count);
        let length = p.l / 4u;
        for (var i = id - row * p.runs; i < length; i += p.runs) {
            let at = row * length + i;
            dx_quads[at] = scale * (dy_quads[at] - shift - (x_quads[at] - mean) * slope);
        }
    }
}

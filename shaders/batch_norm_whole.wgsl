//!use index
//!use batch_norm
// Batch normalisation in one call for its value and one for its first gradient, where a channel is small enough for one workgroup
// of 256: what batch_norm_moments and `normalize`, batch_norm_sums and `input_gradient` of batch_norm compute, with their layouts. l is a multiple of 4. Grid: c workgroups, folded.

// Whether running statistics follow.
override moves: u32 = 0u;
// Whether dz is dy through a leaky relu of y, or dy itself.
override activated: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;

@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read> running_mean: array<f32>;
@group(0) @binding(4) var<storage, read> running_var: array<f32>;
@group(0) @binding(5) var<storage, read_write> moments_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> value_params: NormParams;

// In three passes: the mean, from the part's first element; the squares around it; the value.
@compute @workgroup_size(256)
fn value(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = value_params;
    let channel = min(linear_group(wid, groups), p.c - 1u);
    let quads = p.n * (p.l / 4u);
    let count = f32(quads * 4u);
    let scale = gamma[channel];
    let shift = beta[channel];
    var running = vec2<f32>();
    if moves != 0u {
        running = vec2<f32>(running_mean[channel], running_var[channel]);
    }
    for (var part = 0u; part < p.parts; part++) {
        let origin = x[quad(p, part, channel, 0u)].x;
        var sum = vec4<f32>();
        for (var k = local; k < quads; k += 256u) {
            sum += x[quad(p, part, channel, k)] - origin;
        }
        let mean = origin + workgroup_sum(local, vec2<f32>(total(sum), 0.0)).x / count;
        var squares = vec4<f32>();
        for (var k = local; k < quads; k += 256u) {
            let d = x[quad(p, part, channel, k)] - mean;
            squares += d * d;
        }
        let variance = workgroup_sum(local, vec2<f32>(total(squares), 0.0)).x / count;
        running = running * p.keep + vec2<f32>(mean * p.mean_scale, variance * p.var_scale);
        if local == 0u {
            moments_out[part * p.c + channel] = mean;
            moments_out[(p.parts + part) * p.c + channel] = variance;
            if moves != 0u && part + 1u == p.parts {
                moments_out[2u * p.parts * p.c + channel] = running.x;
                moments_out[(2u * p.parts + 1u) * p.c + channel] = running.y;
            }
        }
        let inv = 1.0 / sqrt(variance + p.eps);
        for (var k = local; k < quads; k += 256u) {
            let at = quad(p, part, channel, k);
            let z = scale * ((x[at] - mean) * inv) + shift;
            y[at] = select(p.slope * z, z, z > vec4<f32>());
        }
    }
}

@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> gradient_gamma: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> y_in: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> sums_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> gradient_params: NormParams;

// What the activation lets through of dy.
fn through(p: NormParams, at: u32) -> vec4<f32> {
    if activated != 0u {
        return select(vec4<f32>(p.slope), vec4<f32>(1.0), y_in[at] > vec4<f32>()) * dy[at];
    }
    return dy[at];
}

// In two passes: the sums of dz and of dz * xhat; dx.
@compute @workgroup_size(256)
fn gradient(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = gradient_params;
    let channel = min(linear_group(wid, groups), p.c - 1u);
    let quads = p.n * (p.l / 4u);
    let count = f32(quads * 4u);
    var all = vec2<f32>();
    for (var part = 0u; part < p.parts; part++) {
        let group = part * p.c + channel;
        let mean = moments[group];
        let inv = 1.0 / sqrt(moments[p.parts * p.c + group] + p.eps);
        var sum = vec4<f32>();
        var dot = vec4<f32>();
        for (var k = local; k < quads; k += 256u) {
            let at = quad(p, part, channel, k);
            let dz = through(p, at);
            sum += dz;
            dot += dz * ((x[at] - mean) * inv);
        }
        let sums = workgroup_sum(local, vec2<f32>(total(sum), total(dot)));
        all += sums;
        if local == 0u {
            if p.parts > 1u {
                sums_out[2u * p.c + group] = sums.x;
                sums_out[(2u + p.parts) * p.c + group] = sums.y;
            }
            if part + 1u == p.parts {
                sums_out[channel] = all.x;
                sums_out[p.c + channel] = all.y;
            }
        }
        let means = sums / count;
        let scale = gradient_gamma[channel] * inv;
        let slope = inv * means.y;
        for (var k = local; k < quads; k += 256u) {
            let at = quad(p, part, channel, k);
            dx[at] = scale * (through(p, at) - means.x - (x[at] - mean) * slope);
        }
    }
}

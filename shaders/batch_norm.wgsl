//!use index
//!use batch_norm
// Batch normalisation of x by its moments, and its first gradient by x. (batch_norm_moments and batch_norm_sums take the statistics
// that these need.)

// Whether dz is dy through a leaky relu of y, or dy itself.
override activated: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
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

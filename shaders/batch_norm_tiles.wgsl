//!use index
//!use batch_norm
// Batch normalisation of x in one call, by the moments of tiles that the product which computed x wrote beside it (gemm.tile): a
// workgroup of 256 combines the tiles of a group and normalises one of `chunks` slices of it, of `chunk` elements.
// Grid: parts * c * chunks workgroups, folded.

// Whether running statistics follow.
override moves: u32 = 0u;

struct TilesParams {
    norm: NormParams,
    // Tiles of a group, and where their counts begin.
    tiles: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(0) var<storage, read> x_quads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read> running_mean: array<f32>;
@group(0) @binding(4) var<storage, read> running_var: array<f32>;
// The moments of x, which this writes, and what becomes of running statistics; from `first` on, [3, parts * c, tiles], how many
// elements a tile has, their mean, the sum of their squared distances from it.
@group(0) @binding(5) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> y_quads: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> tiles_params: TilesParams;

// Mean and variance of a group. The formula of Chan et al. for all tiles at once: squares are those inside of the tiles, and
// those of the distances of their means from the group's.
fn combined(p: TilesParams, local: u32, group: u32) -> vec2<f32> {
    let plane = p.norm.parts * p.norm.c * p.tiles;
    let counts = p.first + group * p.tiles;
    let count = f32(p.norm.n * p.norm.l);
    let origin = statistics[counts + plane];
    var sum = 0.0;
    for (var tile = local; tile < p.tiles; tile += 256u) {
        sum += statistics[counts + tile] * (statistics[counts + plane + tile] - origin);
    }
    let mean = origin + workgroup_sum(local, vec2<f32>(sum, 0.0)).x / count;
    var squares = 0.0;
    for (var tile = local; tile < p.tiles; tile += 256u) {
        let d = statistics[counts + plane + tile] - mean;
        squares += statistics[counts + 2u * plane + tile] + statistics[counts + tile] * d * d;
    }
    return vec2<f32>(mean, workgroup_sum(local, vec2<f32>(squares, 0.0)).x / count);
}

// What a workgroup works on.
struct Slice {
    part: u32,
    channel: u32,
    // Elements of the group.
    begin: u32,
    end: u32,
    mean: f32,
    inv: f32,
}

// The slice of this workgroup, with the statistics of its group. The group's first workgroup also writes these, and the channel's
// first goes through all parts for the running statistics.
fn slice(p: TilesParams, local: u32, id: u32) -> Slice {
    let s = p.norm;
    let group = id / s.chunks;
    let place = id - group * s.chunks;
    let own = group / s.c;
    let channel = group - own * s.c;
    let leads = moves != 0u && own == 0u && place == 0u;
    var running = vec2<f32>();
    if leads {
        running = vec2<f32>(running_mean[channel], running_var[channel]);
    }
    var moments = vec2<f32>();
    for (var part = own; part < select(own + 1u, s.parts, leads); part++) {
        let these = combined(p, local, part * s.c + channel);
        running = running * s.keep + these * vec2<f32>(s.mean_scale, s.var_scale);
        if part == own {
            moments = these;
        }
    }
    if place == 0u && local == 0u {
        statistics[group] = moments.x;
        statistics[s.parts * s.c + group] = moments.y;
        if leads {
            statistics[2u * s.parts * s.c + channel] = running.x;
            statistics[(2u * s.parts + 1u) * s.c + channel] = running.y;
        }
    }
    let end = min((place + 1u) * s.chunk, s.n * s.l);
    return Slice(own, channel, place * s.chunk, end, moments.x, 1.0 / sqrt(moments.y + s.eps));
}

@compute @workgroup_size(256)
fn value(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = tiles_params;
    let own = slice(p, local, min(linear_group(wid, groups), p.norm.parts * p.norm.c * p.norm.chunks - 1u));
    for (var k = own.begin + local; k < own.end; k += 256u) {
        let at = element(p.norm, own.part, own.channel, k);
        let z = gamma[own.channel] * ((x[at] - own.mean) * own.inv) + beta[own.channel];
        y[at] = select(p.norm.slope * z, z, z > 0.0);
    }
}

// The same where l and chunk are multiples of 4.
@compute @workgroup_size(256)
fn value_quads(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let p = tiles_params;
    let own = slice(p, local, min(linear_group(wid, groups), p.norm.parts * p.norm.c * p.norm.chunks - 1u));
    let scale = gamma[own.channel];
    let shift = beta[own.channel];
    for (var k = own.begin / 4u + local; k < own.end / 4u; k += 256u) {
        let at = quad(p.norm, own.part, own.channel, k);
        let z = scale * ((x_quads[at] - own.mean) * own.inv) + shift;
        y_quads[at] = select(p.norm.slope * z, z, z > vec4<f32>());
    }
}

//!use index
//!use gather
//!use scatter
//!use epilogue
// Implicit matrix products y[row, c] = sum over k of a[k, row] * b[k, c] for matrix products and all three faces of a
// convolution. a and b are read through `Gather`, y is written through `Scatter` and ends as its
// `Epilogue` says; z counts groups or matrices.

// Outputs of one invocation are 4 * QUADS a side.
const QUADS: u32 = 1u;
// 1: the moments of what each tile holds of a row are written, too. Then f is a line on either side of 0, and k is not split.
const MOMENTS: u32 = 0u;

struct TileParams {
    a: Gather,
    b: Gather,
    y: Scatter,
    m: u32,
    n: u32,
    k: u32,
    // k is cut into `splits` runs of `run` (a multiple of 8); run s writes its sums `step_split` * s further on.
    run: u32,
    splits: u32,
    step_split: u32,
    row_tiles: u32,
    column_tiles: u32,
    depth: u32,
    // How many products stand side by side in the grid, all of as many tiles and splits.
    products: u32,
    // The columns are stretches of `span` with statistics of their own, of `span_tiles` tiles each: none reaches beyond an end.
    span: u32,
    span_tiles: u32,
    // Of whole sums: where k is split, it is left to `combine`.
    epilogue: Epilogue,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
// [3, stretch, z * m + row, product * span_tiles + tile]: how many columns of a tile there are, their mean, the sum of their
// squared distances from it.
//!repeat m 0..MOMENTS
@group(0) @binding(4) var<storage, read_write> moments: array<f32>;
//!end
@group(0) @binding(4u + MOMENTS) var<storage, read> tile_params: array<TileParams>;

// Eight k, each with 32 * QUADS rows of a and as many columns of b.
var<workgroup> tile_a: array<vec4<f32>, 64u * QUADS>;
var<workgroup> tile_b: array<vec4<f32>, 64u * QUADS>;

fn element_a(g: Gather, k: Share, c: Share) -> f32 {
    let iy = k.y + c.y;
    let ix = k.x + c.x;
    let inside = iy < g.h && ix < g.w;
    return select(0.0, a[select(0u, k.plane + c.plane + iy * g.row + ix, inside)], inside);
}

fn element_b(g: Gather, k: Share, c: Share) -> f32 {
    let iy = k.y + c.y;
    let ix = k.x + c.x;
    let inside = iy < g.h && ix < g.w;
    return select(0.0, b[select(0u, k.plane + c.plane + iy * g.row + ix, inside)], inside);
}

fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

// For real GPUs. A workgroup of 8 x 8 invocations computes 32 * QUADS rows and columns over one run of k, 8 k at a
// time: each invocation reads QUADS times four neighbours of a and of b into workgroup memory, then adds up its
// 4 * QUADS by 4 * QUADS outputs. Grid: row_tiles * column_tiles * splits * depth * products workgroups, folded: the
// phases of a transposed convolution are one call.
@compute @workgroup_size(64)
fn tile(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let id = linear_group(wid, groups);
    let all = tile_params[0];
    let row_tile = id % all.row_tiles;
    let column_tile = id / all.row_tiles % all.column_tiles;
    let layer = id / (all.row_tiles * all.column_tiles);
    let split = layer % all.splits;
    let z = layer / all.splits % all.depth;
    let product = layer / (all.splits * all.depth);
    if product < all.products {
        let p = tile_params[product];
        let first_row = row_tile * 32u * QUADS;
        let stretch = column_tile / all.span_tiles;
        let first_column = stretch * p.span + (column_tile - stretch * all.span_tiles) * 32u * QUADS;
        let limit = min((stretch + 1u) * p.span, p.n);
        let across = local % 8u;
        let down = local / 8u;
//!repeat q 0..QUADS
//!repeat j 0..4
        let row_${q}_$j = column_share(p.a, z, first_row + (across + 8u * $q) * 4u + $j, p.m);
        let column_${q}_$j = column_share(p.b, z, first_column + (across + 8u * $q) * 4u + $j, limit);
        var sum_${q}_${j}_0 = vec4<f32>();
        var sum_${q}_${j}_1 = vec4<f32>();
//!end
//!end
        let last = min((split + 1u) * p.run, p.k);
        for (var first = split * p.run; first < last; first += 8u) {
            let k_a = k_share(p.a, first + down, last);
            let k_b = k_share(p.b, first + down, last);
//!repeat q 0..QUADS
            tile_a[(down * QUADS + $q) * 8u + across] = vec4<f32>(
                element_a(p.a, k_a, row_${q}_0), element_a(p.a, k_a, row_${q}_1),
                element_a(p.a, k_a, row_${q}_2), element_a(p.a, k_a, row_${q}_3));
            tile_b[(down * QUADS + $q) * 8u + across] = vec4<f32>(
                element_b(p.b, k_b, column_${q}_0), element_b(p.b, k_b, column_${q}_1),
                element_b(p.b, k_b, column_${q}_2), element_b(p.b, k_b, column_${q}_3));
//!end
            workgroupBarrier();
//!repeat k 0..8
            {
//!repeat o 0..QUADS
                let b_$o = tile_b[($k * QUADS + $o) * 8u + across];
//!end
//!repeat q 0..QUADS
                let a_$q = tile_a[($k * QUADS + $q) * 8u + down];
//!repeat o 0..QUADS
//!repeat j 0..4
                sum_${q}_${j}_$o += a_$q[$j] * b_$o;
//!end
//!end
//!end
            }
//!end
            workgroupBarrier();
        }
        let out = p.y.offset + z * p.y.step_z + split * p.step_split;
        let e = p.epilogue;
//!repeat q 0..QUADS
//!repeat j 0..4
        let channel_${q}_$j = row_channel(e, z, first_row + (down + 8u * $q) * 4u + $j, p.m);
        let shift_${q}_$j = select(0.0, bias[channel_${q}_$j], e.by == BY_ROW);
//!end
//!end
//!repeat o 0..QUADS
        let place_$o = first_column + (across + 8u * $o) * 4u;
        let along_$o = select(vec4<f32>(), vec4<f32>(
            bias[column_channel(e, place_$o, p.n)], bias[column_channel(e, place_$o + 1u, p.n)],
            bias[column_channel(e, place_$o + 2u, p.n)], bias[column_channel(e, place_$o + 3u, p.n)]), e.by == BY_COLUMN);
//!repeat q 0..QUADS
//!repeat j 0..4
        sum_${q}_${j}_$o = bent_quad(e, sum_${q}_${j}_$o + shift_${q}_$j + along_$o);
//!end
//!end
//!repeat i 0..4
        {
            let column = place_$o + $i;
            let at = out + scatter_column(p.y, column);
//!repeat q 0..QUADS
//!repeat j 0..4
            {
                let row = first_row + (down + 8u * $q) * 4u + $j;
                if row < p.m && column < limit {
                    y[at + row * p.y.step_row] = sum_${q}_${j}_$o[$i];
                }
            }
//!end
//!end
        }
//!end
//!end
//!repeat m 0..MOMENTS
        // In two passes, through what was the operands' memory: the mean, as a distance from the tile's first column, which keeps
        // its digits where values lie far from 0; the squares around it. The eight shares of a row are added up in order.
        let count = min(limit - min(first_column, limit), 32u * QUADS);
        let ahead = vec4<u32>(0u, 1u, 2u, 3u);
        if across == 0u {
//!repeat q 0..QUADS
            tile_b[$q * 8u + down] = vec4<f32>(sum_${q}_0_0.x, sum_${q}_1_0.x, sum_${q}_2_0.x, sum_${q}_3_0.x);
//!end
        }
        workgroupBarrier();
//!repeat q 0..QUADS
        let origin_$q = tile_b[$q * 8u + down];
        var share_$q = vec4<f32>();
//!repeat o 0..QUADS
//!repeat j 0..4
        share_$q[$j] += total(select(vec4<f32>(), sum_${q}_${j}_$o - origin_$q[$j], place_$o + ahead < vec4<u32>(limit)));
//!end
//!end
        tile_a[($q * 8u + down) * 8u + across] = share_$q;
//!end
        workgroupBarrier();
//!repeat q 0..QUADS
        var distance_$q = vec4<f32>();
//!repeat l 0..8
        distance_$q += tile_a[($q * 8u + down) * 8u + $l];
//!end
        distance_$q /= f32(max(count, 1u));
        var squares_$q = vec4<f32>();
//!repeat o 0..QUADS
//!repeat j 0..4
        {
            let d = (sum_${q}_${j}_$o - origin_$q[$j]) - distance_$q[$j];
            squares_$q[$j] += total(select(vec4<f32>(), d * d, place_$o + ahead < vec4<u32>(limit)));
        }
//!end
//!end
        tile_b[($q * 8u + down) * 8u + across] = squares_$q;
//!end
        workgroupBarrier();
        let channels = all.depth * p.m;
        let tiles = all.products * all.span_tiles;
        let plane = all.column_tiles / all.span_tiles * channels * tiles;
        let slot = product * all.span_tiles + column_tile - stretch * all.span_tiles;
        if across == 0u {
//!repeat q 0..QUADS
            var around_$q = vec4<f32>();
//!repeat l 0..8
            around_$q += tile_b[($q * 8u + down) * 8u + $l];
//!end
//!repeat j 0..4
            {
                let row = first_row + (down + 8u * $q) * 4u + $j;
                if row < p.m {
                    let at = (stretch * channels + z * p.m + row) * tiles + slot;
                    moments[at] = f32(count);
                    moments[plane + at] = select(0.0, origin_$q[$j] + distance_$q[$j], count > 0u);
                    moments[2u * plane + at] = around_$q[$j];
                }
            }
//!end
//!end
        }
//!end
        const SIDE = 4u * QUADS;
        for (var i = select(SIDE * SIDE, 0u, is_curved(e)); i < SIDE * SIDE; i++) {
            let row = first_row + (down + i / SIDE / 4u * 8u) * 4u + i / SIDE % 4u;
            let column = first_column + (across + i % SIDE / 4u * 8u) * 4u + i % 4u;
            if row < p.m && column < limit {
                let at = out + scatter_column(p.y, column) + row * p.y.step_row;
                y[at] = activation(e.f, y[at], e.slope);
            }
        }
    }
}

struct CombineParams {
    n: u32,
    splits: u32,
    // 1: y holds the sums of what came before.
    accumulate: u32,
    epilogue: Epilogue,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read> combine_bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> combined: array<f32>;
@group(0) @binding(3) var<storage, read> combine_params: CombineParams;

// y[i] = f(bias + sum over s of partials[s, i], in order, behind what y holds or not). Grid: n invocations in workgroups of 64, folded.
@compute @workgroup_size(64)
fn combine(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i < combine_params.n {
        var total = 0.0;
        if combine_params.accumulate != 0u {
            total = combined[i];
        }
        for (var s = 0u; s < combine_params.splits; s++) {
            total += partials[s * combine_params.n + i];
        }
        let e = combine_params.epilogue;
        let shift = select(0.0, combine_bias[own_channel(e, i / e.plane % e.channels)], e.by != NO_BIAS);
        combined[i] = finished(e, total + shift);
    }
}

//!use index
//!use math
//!use philox
// Random numbers from a stream of Philox words: word i of the stream (seed, domain, index) is word i % 4 of the block with
// the counter (i / 4, domain, index). One invocation makes the four numbers of a block; buffers are whole vec4s.
// Grid: ceil(n / 4) invocations in workgroups of 64, folded.

struct Params {
    n: u32,
    seed_low: u32,
    seed_high: u32,
    domain: u32,
    index_low: u32,
    index_high: u32,
    // The number of the first block.
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> params: Params;

fn block(i: u32) -> vec4<u32> {
    let counter = vec4<u32>(i, params.domain, params.index_low, params.index_high);
    return philox(counter, vec2<u32>(params.seed_low, params.seed_high));
}

// Uniform in [0, 1): the word's upper 24 bits over 2^24, exact.
@compute @workgroup_size(64)
fn uniform_numbers(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i * 4u < params.n {
        y[i] = vec4<f32>(block(params.first + i) >> vec4<u32>(8u)) * 5.9604644775390625e-8;
    }
}

// sqrt(-2 ln((word + 1) / 2^32)), with full relative accuracy also where the logarithm is near 0.
fn radius(word: u32) -> f32 {
    let below_one = f32(0xffffffffu - word) * 2.3283064365386963e-10;
    let far = -log_f32((f32(word) + 1.0) * 2.3283064365386963e-10);
    let near = -log1p_f32(-below_one);
    return sqrt(2.0 * select(far, near, below_one < 0.25));
}

// (cos, sin) of 2 pi word / 2^32: the turn is cut to within an eighth of the nearest quarter in integers, then the
// Cephes library's polynomials.
fn turn(word: u32) -> vec2<f32> {
    let quarter = (word + 0x20000000u) >> 30u;
    let x = f32(bitcast<i32>(word - (quarter << 30u))) * 1.4629180792671596e-9;
    let z = x * x;
    let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * x + x;
    let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
    let swapped = select(vec2<f32>(c, s), vec2<f32>(s, c), (quarter & 1u) == 1u);
    let minus_cos = quarter == 1u || quarter == 2u;
    return vec2<f32>(select(swapped.x, -swapped.x, minus_cos), select(swapped.y, -swapped.y, (quarter & 2u) == 2u));
}

// N(0, 1) by Box and Muller: words 2k and 2k + 1 make the numbers 2k and 2k + 1.
@compute @workgroup_size(64)
fn normal_numbers(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_id(gid, groups, 64u);
    if i * 4u < params.n {
        let words = block(params.first + i);
        y[i] = vec4<f32>(radius(words.x) * turn(words.y), radius(words.z) * turn(words.w));
    }
}

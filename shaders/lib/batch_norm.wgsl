// What the kernels of batch normalisation share. x is [parts * n, c, l]: batches that lie one behind the other; l: everything
// behind the channel axis. A group is a channel of one part: number part * c + channel.

struct NormParams {
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
    parts: u32,
    // running = keep * running + scale * batch
    keep: f32,
    mean_scale: f32,
    var_scale: f32,
}

fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

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

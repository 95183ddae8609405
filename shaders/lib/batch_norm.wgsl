// What the kernels of batch normalisation share. x is [parts * n, c, l]: batches that lie one behind the other; l: everything
// behind the channel axis. A group is a channel of one part: number part * c + channel. `moments` are the means of all groups,
// then their variances; `sums` are those of dz, then those of dz * xhat, behind the totals of all parts if there are several.

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

// Where element k of a group (in order of image, then place) lies in x.
fn element(p: NormParams, part: u32, channel: u32, k: u32) -> u32 {
    let image = k / p.l;
    return ((part * p.n + image) * p.c + channel) * p.l + (k - image * p.l);
}

// Where vec4 k of a group lies in x.
fn quad(p: NormParams, part: u32, channel: u32, k: u32) -> u32 {
    let row = p.l / 4u;
    let image = k / row;
    return ((part * p.n + image) * p.c + channel) * row + (k - image * row);
}

// The same, and how many vec4s from there to the end of the row of l.
struct Place {
    at: u32,
    left: u32,
}

fn place(p: NormParams, part: u32, channel: u32, k: u32) -> Place {
    let row = p.l / 4u;
    return Place(quad(p, part, channel, k), row - k % row);
}

// The place of the group's next vec4: behind the end of a row it is one image further on.
fn next(p: NormParams, here: Place) -> Place {
    let row = p.l / 4u;
    let ends = here.left == 1u;
    return Place(here.at + 1u + select(0u, (p.c - 1u) * row, ends), select(here.left - 1u, row, ends));
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

// Matrices that are read out of a tensor without being stored: the operands of implicit matrix products.
//
// Element (k, c) of such a matrix lies at plane + y * row + x, and is 0 unless y < h and x < w, where
//   plane = offset + z * plane_z + k0 * plane_k + c0 * plane_c
//   y     = y_start + k1 * y_k + c1 * y_c,    x = x_start + k2 * x_k + c2 * x_c    (u32 sums wrap: a negative one is far beyond h)
// and (k0, k1, k2), (c0, c1, c2) are the digits of k and c: k = (k0 * k_high + k1) * k_low + k2, c likewise. z counts
// groups or matrices of a batch. All three faces of a convolution, their strides, paddings, dilations and phases, and
// matrices stored either way, are of this form (src/gpu/gemm/ makes them).

struct Gather {
    offset: u32,
    plane_z: u32,
    plane_k: u32,
    plane_c: u32,
    y_start: u32,
    y_k: u32,
    y_c: u32,
    x_start: u32,
    x_k: u32,
    x_c: u32,
    h: u32,
    w: u32,
    row: u32,
    k_high: u32,
    k_low: u32,
    c_high: u32,
    c_low: u32,
    // 1 / (k_high * k_low) and 1 / k_low
    k_all_inverse: f32,
    k_low_inverse: f32,
}

// What k or c alone add to plane, y and x.
struct Share {
    plane: u32,
    y: u32,
    x: u32,
}

// n / d as a product with 1 / d: exact for n below 2^22, where (n + 1/2) / d is farther from a whole number than the
// product's error.
fn divide(n: u32, inverse: f32) -> u32 {
    return u32((f32(n) + 0.5) * inverse);
}

// The share of column c, of the matrix z; a column from `count` on lies beyond every image.
fn column_share(g: Gather, z: u32, c: u32, count: u32) -> Share {
    let c0 = c / (g.c_high * g.c_low);
    let rest = c - c0 * (g.c_high * g.c_low);
    let c1 = rest / g.c_low;
    let y = g.y_start + c1 * g.y_c;
    return Share(
        g.offset + z * g.plane_z + c0 * g.plane_c,
        select(0x80000000u, y, c < count),
        g.x_start + (rest - c1 * g.c_low) * g.x_c,
    );
}

// The share of k; from `count` on it lies beyond every image.
fn k_share(g: Gather, k: u32, count: u32) -> Share {
    let k0 = divide(k, g.k_all_inverse);
    let rest = k - k0 * (g.k_high * g.k_low);
    let k1 = divide(rest, g.k_low_inverse);
    return Share(k0 * g.plane_k, select(0x40000000u, k1 * g.y_k, k < count), (rest - k1 * g.k_low) * g.x_k);
}

// Philox4x32-10 (Salmon et al. 2011), as in src/rng.rs: the block of four words for a counter and a key.

// The high and the low word of a * b, from products of 16-bit halves.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 16u);
    let other = a0 * b1 + (middle & 0xffffu);
    return vec2<u32>(a1 * b1 + (middle >> 16u) + (other >> 16u), a * b);
}

fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
//!repeat round 0..10
    {
        let p0 = wide_product(0xd2511f53u, c.x);
        let p1 = wide_product(0xcd9e8d57u, c.z);
        c = vec4<u32>(p1.x ^ c.y ^ k.x, p1.y, p0.x ^ c.w ^ k.y, p0.y);
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
//!end
    return c;
}

// A texture as linear memory: rows of 2048 texels (src/gpu/texture.rs).

// Where texel i lies.
fn texel(i: u32) -> vec2<u32> {
    return vec2<u32>(i % 2048u, i / 2048u);
}

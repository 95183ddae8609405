// What a device's arithmetic can do at best: chains of x = x factor + term in registers, eight vec4s side by side.
// One invocation makes turns * 8 * 8 such steps of 4 lanes and writes their sum, so that none can be left out.
// Grid: one workgroup for 64 invocations.

struct Params {
    turns: u32,
    factor: f32,
    term: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> params: Params;

@compute @workgroup_size(64)
fn fma_chains(@builtin(global_invocation_id) gid: vec3<u32>) {
    let factor = vec4<f32>(params.factor);
    let term = vec4<f32>(params.term);
    //!repeat i 0..8
    var x$i = vec4<f32>(f32(gid.x) + $i.0);
    //!end
    for (var turn = 0u; turn < params.turns; turn++) {
        //!repeat j 0..8
        //!repeat i 0..8
        x$i = fma(x$i, factor, term);
        //!end
        //!end
    }
    y[gid.x] = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7;
}

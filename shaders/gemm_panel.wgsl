//!use scatter
//!use panel
// For software adapters: y[row, c] = sum over k of a[k, row] * b[k, c] from panels, in registers alone. Barriers and
// workgroup memory would push every sum through memory, and a load costs as much as dozens of multiplications.
// One workgroup of 8 invocations computes 4 * ROWS rows by 32 * COLUMNS columns, an invocation 4 * COLUMNS columns of
// them. Grid: row_blocks * column_blocks * depth workgroups, exactly.

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> params: PanelParams;
@group(0) @binding(2) var a: texture_2d<f32>;
@group(0) @binding(3) var b: texture_2d<f32>;

@compute @workgroup_size(8)
fn plain(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let p = params;
    let row_block = wid.x % p.row_blocks;
    let column_block = wid.x / p.row_blocks % p.column_blocks;
    let z = wid.x / (p.row_blocks * p.column_blocks);
    var at_a = (z * p.row_blocks + row_block) * p.k * ROWS;
    var at_b = (z * p.column_blocks + column_block) * p.k * 8u * COLUMNS + lane;
//!repeat c 0..COLUMNS
//!repeat r 0..ROWS
//!repeat i 0..4
    var sum_${r}_${i}_$c = vec4<f32>();
//!end
//!end
//!end
    for (var k = 0u; k < p.k; k += 2u) {
        let place_a = texel(at_a);
        let place_b = texel(at_b);
//!repeat l 0..2
        {
//!repeat c 0..COLUMNS
            let b_$c = textureLoad(b, place_b + vec2<u32>(($l * COLUMNS + $c) * 8u, 0u), 0);
//!end
//!repeat r 0..ROWS
            let a_$r = textureLoad(a, place_a + vec2<u32>($l * ROWS + $r, 0u), 0);
//!repeat i 0..4
//!repeat c 0..COLUMNS
            sum_${r}_${i}_$c += a_$r[$i] * b_$c;
//!end
//!end
//!end
        }
//!end
        at_a += 2u * ROWS;
        at_b += 16u * COLUMNS;
    }
    let out = p.y.offset + (p.z_start + z) * p.y.step_z;
//!repeat c 0..COLUMNS
//!repeat j 0..4
    {
        let column = p.c_start + (column_block * COLUMNS + $c) * 32u + lane * 4u + $j;
        let at = out + scatter_column(p.y, column);
        if column < p.n {
//!repeat r 0..ROWS
//!repeat i 0..4
            {
                let row = (row_block * ROWS + $r) * 4u + $i;
                if row < p.m {
                    let here = at + row * p.y.step_row;
                    var before = 0.0;
                    if p.accumulate != 0u {
                        before = y[here];
                    }
                    y[here] = before + sum_${r}_${i}_$c[$j];
                }
            }
//!end
//!end
        }
    }
//!end
//!end
}

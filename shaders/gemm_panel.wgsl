//!use index
//!use scatter
//!use panel
// For software adapters: y[row, c] = sum over k of a[k, row] * b[k, c] from panels, in registers alone. Barriers and
// workgroup memory would push every sum through memory, and a load costs as much as dozens of multiplications.
// One workgroup of 8 invocations computes 4 * ROWS rows by 32 * COLUMNS columns, an invocation 4 * COLUMNS columns of
// them. Grid: products * stride workgroups, folded.

@compute @workgroup_size(8)
fn plain(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = block_of(linear_group(wid, groups));
    let p = params[block.product];
    if block.exists {
        var at_a = p.base_a + (block.z * p.row_blocks + block.row) * p.k * ROWS;
        var at_b = p.base_b + (block.z * p.column_blocks + block.column) * p.k * 8u * COLUMNS + lane;
//!repeat c 0..COLUMNS
//!repeat r 0..ROWS
//!repeat i 0..4
        var sum_${r}_${i}_$c = vec4<f32>();
//!end
//!end
//!end
        for (var k = 0u; k < p.k; k += 4u) {
            let place_a = texel(at_a);
            let place_b = texel(at_b);
//!repeat l 0..4
//!repeat c 0..COLUMNS
            let b_${l}_$c = textureLoad(panels, place_b + vec2<u32>(($l * COLUMNS + $c) * 8u, 0u), 0);
//!end
//!end
            // Row by row, so that its sums stay in registers meanwhile; b's values come from memory.
//!repeat r 0..ROWS
            {
//!repeat l 0..4
                let a_$l = textureLoad(panels, place_a + vec2<u32>($l * ROWS + $r, 0u), 0);
//!end
//!repeat i 0..4
//!repeat l 0..4
//!repeat c 0..COLUMNS
                sum_${r}_${i}_$c += a_$l[$i] * b_${l}_$c;
//!end
//!end
//!end
            }
//!end
            at_a += 4u * ROWS;
            at_b += 32u * COLUMNS;
        }
        let out = p.y.offset + (p.z_start + block.z) * p.y.step_z;
        let e = p.epilogue;
//!repeat r 0..ROWS
//!repeat i 0..4
        let channel_${r}_$i = row_channel(e, p.z_start + block.z, (block.row * ROWS + $r) * 4u + $i, p.m);
        let shift_${r}_$i = select(0.0, bias[channel_${r}_$i], e.by == BY_ROW);
//!end
//!end
//!repeat c 0..COLUMNS
//!repeat j 0..4
        {
            let column = p.c_start + (block.column * COLUMNS + $c) * 32u + lane * 4u + $j;
            let at = out + scatter_column(p.y, column);
            let shift = select(0.0, bias[column_channel(e, column, p.n)], e.by == BY_COLUMN);
            if column < p.n {
//!repeat r 0..ROWS
//!repeat i 0..4
                {
                    let row = (block.row * ROWS + $r) * 4u + $i;
                    if row < p.m {
                        y[at + row * p.y.step_row] = bent(e, sum_${r}_${i}_$c[$j] + shift_${r}_$i + shift);
                    }
                }
//!end
//!end
            }
        }
//!end
//!end
        bend_written(p, block, lane, out);
    }
}

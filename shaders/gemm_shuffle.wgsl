//!use index
//!use scatter
//!use panel
// For software adapters with subgroups of exactly 8: as `plain` of gemm_panel, but the subgroup loads the next texels of a
// together and hands their values round, so that a is loaded an eighth as often.
// One workgroup of 8 invocations computes 4 * ROWS rows by 32 * COLUMNS columns, an invocation 4 * COLUMNS columns of
// them. Grid: products * stride workgroups, folded.

// The texels of a that an invocation loads at a time, and how many k eight texels hold: 8 / ROWS.
const OWN: u32 = 2u;
const SHARE: u32 = 4u;

@compute @workgroup_size(8)
fn shuffle(
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
        for (var k = 0u; k < p.k; k += OWN * SHARE) {
            let place_a = texel(at_a);
            let place_b = texel(at_b);
//!repeat t 0..OWN
            let own_$t = textureLoad(panels, place_a + vec2<u32>($t * 8u + lane, 0u), 0);
//!repeat s 0..SHARE
//!repeat c 0..COLUMNS
            let b_${t}_${s}_$c = textureLoad(panels, place_b + vec2<u32>((($t * SHARE + $s) * COLUMNS + $c) * 8u, 0u), 0);
//!end
//!end
//!end
            // Row by row, so that its sums stay in registers meanwhile; b's values come from memory.
//!repeat r 0..ROWS
//!repeat i 0..4
//!repeat t 0..OWN
//!repeat s 0..SHARE
            {
                let a = subgroupShuffle(own_$t[$i], $s * ROWS + $r);
//!repeat c 0..COLUMNS
                sum_${r}_${i}_$c += a * b_${t}_${s}_$c;
//!end
            }
//!end
//!end
//!end
//!end
            at_a += OWN * 8u;
            at_b += OWN * SHARE * 8u * COLUMNS;
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

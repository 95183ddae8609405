// Where element (row, column) of a matrix product is written: offset + z * step_z + row * step_row plus the digits of
// the column, c0 * step_0 + c1 * step_1 + c2 * step_2, which are those of `Gather`.

struct Scatter {
    offset: u32,
    step_z: u32,
    step_row: u32,
    step_0: u32,
    step_1: u32,
    step_2: u32,
    c_high: u32,
    c_low: u32,
}

// The column's share of the address.
fn scatter_column(s: Scatter, c: u32) -> u32 {
    let c0 = c / (s.c_high * s.c_low);
    let rest = c - c0 * (s.c_high * s.c_low);
    let c1 = rest / s.c_low;
    return c0 * s.step_0 + c1 * s.step_1 + (rest - c1 * s.c_low) * s.step_2;
}

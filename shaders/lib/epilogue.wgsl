//!use activation
// What becomes of a sum as it is written: f(sum + bias), with one bias a channel. A channel is a row of a product (of the matrix z:
// z * step_z + row) or a column of it; in y as it lies in memory, that of the element at `place` is place / plane % channels.

// Where `bias` is read: nowhere, by row, by column.
const NO_BIAS: u32 = 0u;
const BY_ROW: u32 = 1u;
const BY_COLUMN: u32 = 2u;

struct Epilogue {
    f: u32,
    // Of the leaky relu; 1 for the other functions.
    slope: f32,
    by: u32,
    step_z: u32,
    plane: u32,
    channels: u32,
}

// Where the bias of a row is; 0 if there is none.
fn row_channel(e: Epilogue, z: u32, row: u32, rows: u32) -> u32 {
    return select(0u, z * e.step_z + min(row, rows - 1u), e.by == BY_ROW);
}

// The same of a column.
fn column_channel(e: Epilogue, column: u32, columns: u32) -> u32 {
    return select(0u, min(column, columns - 1u), e.by == BY_COLUMN);
}

// The same of a channel that is known.
fn own_channel(e: Epilogue, channel: u32) -> u32 {
    return select(0u, channel, e.by != NO_BIAS);
}

// f(z), where f is a line on either side of 0; z for the other functions, which `is_curved`.
fn bent(e: Epilogue, z: f32) -> f32 {
    return select(e.slope * z, z, z > 0.0);
}

fn bent_quad(e: Epilogue, z: vec4<f32>) -> vec4<f32> {
    return select(e.slope * z, z, z > vec4<f32>());
}

// Whether f is one of those that take many operations: kernels with many sums apply it in a loop, to what they have written.
fn is_curved(e: Epilogue) -> bool {
    return e.f > LEAKY_RELU;
}

// f(z). Software adapters run both sides of a branch, but not the inside of a loop without turns.
fn finished(e: Epilogue, z: f32) -> f32 {
    var y = bent(e, z);
    for (var turn = select(1u, 0u, is_curved(e)); turn < 1u; turn++) {
        y = activation(e.f, y, e.slope);
    }
    return y;
}

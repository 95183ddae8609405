//!use texel
//!use scatter
//!use epilogue
// What the panel products share: panels of a hold 4 * ROWS rows each, panels of b 32 * COLUMNS columns; see gemm_pack.
// ROWS and COLUMNS are powers of two, so that the texels of eight k of a panel never fall into two rows of a texture.

const ROWS: u32 = 2u;
const COLUMNS: u32 = 1u;

struct PanelParams {
    y: Scatter,
    m: u32,
    n: u32,
    // A multiple of 8.
    k: u32,
    z_start: u32,
    depth: u32,
    c_start: u32,
    row_blocks: u32,
    column_blocks: u32,
    // Where the panels of a and b begin, in texels: multiples of 128.
    base_a: u32,
    base_b: u32,
    // How many products stand side by side in the grid, and workgroups for each.
    products: u32,
    stride: u32,
    // Of whole sums: where k goes in parts, it is left to `combine` of gemm.
    epilogue: Epilogue,
}

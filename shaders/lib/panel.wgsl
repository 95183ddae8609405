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

@group(0) @binding(0) var<storage, read> bias: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<PanelParams>;
@group(0) @binding(3) var panels: texture_2d<f32>;

// What a workgroup computes: a block of rows and one of columns, of matrix z of a product.
struct Block {
    product: u32,
    row: u32,
    column: u32,
    z: u32,
    // Products have fewer blocks than there are workgroups for each.
    exists: bool,
}

fn block_of(workgroup: u32) -> Block {
    let stride = params[0].stride;
    let count = params[0].products;
    let product = min(workgroup / stride, count - 1u);
    let rows = params[product].row_blocks;
    let columns = params[product].column_blocks;
    let id = workgroup % stride;
    let z = id / (rows * columns);
    let exists = workgroup / stride < count && z < params[product].depth;
    return Block(product, id % rows, id / rows % columns, z, exists);
}

// Applies an f that takes many operations to what an invocation has written; the loop has no turns for the others.
fn bend_written(p: PanelParams, block: Block, lane: u32, out: u32) {
    const SUMS = 16u * ROWS * COLUMNS;
    let e = p.epilogue;
    for (var i = select(SUMS, 0u, is_curved(e)); i < SUMS; i++) {
        let row = block.row * ROWS * 4u + i / (4u * COLUMNS);
        let column = p.c_start + (block.column * COLUMNS + i / 4u % COLUMNS) * 32u + lane * 4u + i % 4u;
        if row < p.m && column < p.n {
            let at = out + scatter_column(p.y, column) + row * p.y.step_row;
            y[at] = activation(e.f, y[at], e.slope);
        }
    }
}

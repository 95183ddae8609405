// The sizes of a convolution, shared by its three faces: x [n, c, h, w], weights [o, c/groups, kh, kw], y [n, o, oh, ow],
// with iy = oy * stride_h + i * dilation_h - top and ix likewise.

struct ConvParams {
    n: u32,
    c: u32,
    h: u32,
    w: u32,
    o: u32,
    oh: u32,
    ow: u32,
    kh: u32,
    kw: u32,
    stride_h: u32,
    stride_w: u32,
    top: u32,
    left: u32,
    dilation_h: u32,
    dilation_w: u32,
    groups: u32,
}

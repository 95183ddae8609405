//! Case rows: the three faces of a convolution, small, large and around the edges of tiles.

use super::{Case, Tolerance::*, anything, normal};
use crate::ops::Conv2d;
use crate::tensor::Tensor;

pub(super) fn rows() -> Vec<Case> {
    [small(), large(), edges()].into_iter().flatten().collect()
}

/// A convolution's settings at a glance: stride, padding, dilation, groups.
pub(super) fn conv(stride: [usize; 2], padding: [usize; 4], dilation: [usize; 2], groups: usize) -> Conv2d {
    Conv2d { stride, padding, dilation, groups }
}

/// A row a face: the convolution of `x` with `w`, its input gradient and its weight gradient.
fn faces(what: &str, x: [usize; 4], w: [usize; 4], settings: Conv2d) -> [Case; 3] {
    let [oh, ow] = settings.output_size([x[2], x[3]], [w[2], w[3]]).expect("the rows fit");
    let y = [x[0], w[0], oh, ow];
    let forward = move |t: &[Tensor]| t[0].conv2d(&t[1], settings);
    let input = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, [x[2], x[3]]);
    let weight = move |t: &[Tensor]| t[0].conv2d_weight(&t[1], settings, [w[2], w[3]]);
    [
        Case::new(&format!("conv2d: {what}"), vec![normal(x), normal(w)], forward)
            .within(Accumulated(w[1] * w[2] * w[3])),
        Case::new(&format!("conv2d_input: {what}"), vec![normal(y), normal(w)], input)
            .within(Accumulated(w[0] * w[2] * w[3])),
        Case::new(&format!("conv2d_weight: {what}"), vec![normal(x), normal(y)], weight)
            .within(Accumulated(x[0] * oh * ow)),
    ]
}

/// Small convolutions of every kind: what is special, the shapes of the image and of the kernel, the settings.
pub fn convolutions() -> [(&'static str, [usize; 4], [usize; 4], Conv2d); 15] {
    let same = Conv2d::same([7, 6], [4, 4], [2, 1], [1, 1]);
    let [top, bottom, left, right] = same.padding;
    let lower = Conv2d { padding: [bottom, top, right, left], ..same };
    [
        ("same of Keras and of ONNX's SAME_UPPER", [2, 2, 7, 6], [3, 2, 4, 4], same),
        ("same of ONNX's SAME_LOWER", [2, 2, 7, 6], [3, 2, 4, 4], lower),
        ("3x3", [2, 3, 6, 5], [4, 3, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("1x1", [3, 5, 4, 3], [2, 5, 1, 1], conv([1, 1], [0; 4], [1, 1], 1)),
        ("4x4 stride 2", [2, 3, 8, 10], [5, 3, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("4x4 same", [2, 2, 7, 5], [3, 2, 4, 4], Conv2d::same([7, 5], [4, 4], [1, 1], [1, 1])),
        ("left-over rows", [1, 2, 11, 12], [3, 2, 3, 3], conv([3, 3], [0; 4], [1, 1], 1)),
        ("asymmetric", [2, 2, 8, 7], [3, 2, 3, 3], conv([2, 2], [1, 0, 0, 1], [1, 1], 1)),
        ("5x3 stride 2x1", [2, 2, 9, 6], [3, 2, 5, 3], conv([2, 1], [2, 1, 0, 2], [1, 1], 1)),
        ("dilated", [1, 2, 9, 8], [3, 2, 3, 2], conv([1, 2], [2, 2, 1, 1], [2, 3], 1)),
        ("stride beyond kernel", [1, 2, 9, 9], [2, 2, 2, 2], conv([3, 3], [0; 4], [1, 1], 1)),
        ("groups", [2, 4, 6, 5], [6, 2, 3, 3], conv([2, 1], [1; 4], [1, 1], 2)),
        ("depthwise", [2, 3, 5, 6], [3, 1, 3, 3], conv([1, 1], [1; 4], [1, 1], 3)),
        ("kernel as large as the image", [3, 2, 4, 4], [2, 2, 4, 4], conv([1, 1], [0; 4], [1, 1], 1)),
        ("many small images", [9, 2, 3, 3], [4, 2, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
    ]
}

fn small() -> Vec<Case> {
    let mut table: Vec<Case> =
        convolutions().into_iter().flat_map(|(what, x, w, settings)| faces(what, x, w, settings)).collect();
    for (stride, size) in [([1, 1], [5, 7]), ([2, 2], [10, 14])] {
        let settings = Conv2d::same_transpose([5, 7], [4, 4], stride, [1, 1]);
        let run = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, size);
        let name = format!("conv2d_input: Keras same, stride {}", stride[0]);
        table.push(Case::new(&name, vec![normal([2, 3, 5, 7]), normal([3, 2, 4, 4])], run).within(Accumulated(48)));
    }
    // Of the two sizes of which the convolution makes this image, the larger: one row and column of output padding.
    let settings = conv([2, 2], [1; 4], [1, 1], 1);
    let inputs = vec![normal([2, 3, 4, 5]), normal([3, 2, 3, 3])];
    let run = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], settings, [8, 10]);
    table.push(Case::new("conv2d_input: output padding", inputs, run).within(Accumulated(27)));
    table
}

/// Several workgroups, chunks and tiles. Values only, for the reference's sake.
fn large() -> Vec<Case> {
    let big = conv([2, 2], [1; 4], [1, 1], 1);
    [
        Case::new(
            "conv2d: large, any fractions",
            vec![anything([3, 33, 14, 18]), anything([33, 33, 4, 4])],
            move |x| x[0].conv2d(&x[1], big),
        )
        .within(Accumulated(528)),
        Case::new(
            "conv2d_weight: large, any fractions",
            vec![anything([19, 3, 28, 28]), anything([19, 18, 14, 14])],
            move |x| x[0].conv2d_weight(&x[1], big, [4, 4]),
        )
        .within(Accumulated(3724)),
        Case::new(
            "conv2d: large to 3 channels, any fractions",
            vec![anything([19, 20, 14, 14]), anything([3, 20, 4, 4])],
            move |x| x[0].conv2d(&x[1], big),
        )
        .within(Accumulated(320)),
        Case::new("conv2d: large", vec![normal([9, 33, 14, 18]), normal([65, 33, 4, 4])], move |x| {
            x[0].conv2d(&x[1], big)
        })
        .within(Accumulated(528)),
        Case::new("conv2d_input: large", vec![normal([9, 65, 7, 9]), normal([65, 33, 4, 4])], move |x| {
            x[0].conv_transpose2d(&x[1], big, [14, 18])
        })
        .within(Accumulated(1040)),
        Case::new("conv2d_weight: large", vec![normal([9, 33, 14, 18]), normal([9, 65, 7, 9])], move |x| {
            x[0].conv2d_weight(&x[1], big, [4, 4])
        })
        .within(Accumulated(567)),
        Case::new(
            "conv2d_input: large, to three channels",
            vec![normal([5, 70, 9, 7]), normal([70, 3, 4, 4])],
            move |x| x[0].conv_transpose2d(&x[1], big, [18, 15]),
        )
        .within(Accumulated(1120)),
        Case::new(
            "conv2d_input: to two channels, dilated, asymmetric",
            vec![normal([2, 9, 3, 7]), normal([9, 2, 3, 2])],
            move |x| x[0].conv_transpose2d(&x[1], conv([2, 1], [0, 1, 2, 1], [2, 3], 1), [8, 7]),
        )
        .within(Accumulated(54)),
    ]
    .into_iter()
    .map(|case| case.order(0))
    .collect()
}

/// Sizes around the edges of tiles, panels, splits and runs of vec4s. Values only.
fn edges() -> Vec<Case> {
    let rows: [(&str, [usize; 4], [usize; 4], Conv2d); 29] = [
        ("1x1", [3, 33, 7, 5], [31, 33, 1, 1], conv([1, 1], [0; 4], [1, 1], 1)),
        ("1x1 stride 2", [2, 9, 9, 8], [33, 9, 1, 1], conv([2, 2], [0; 4], [1, 1], 1)),
        ("2x2 stride 2", [5, 8, 8, 8], [16, 8, 2, 2], conv([2, 2], [0; 4], [1, 1], 1)),
        ("3x3 groups", [2, 66, 9, 9], [34, 33, 3, 3], conv([1, 1], [1; 4], [1, 1], 2)),
        ("4x4 stride 2", [3, 8, 16, 16], [17, 8, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("5x5 stride 3", [2, 5, 16, 13], [9, 5, 5, 5], conv([3, 3], [2, 1, 1, 2], [1, 1], 1)),
        ("5x4 stride 2 dilated 3", [2, 6, 15, 14], [10, 6, 5, 4], conv([2, 3], [3; 4], [3, 2], 1)),
        ("batch 33", [33, 4, 4, 4], [7, 4, 3, 3], conv([2, 2], [1; 4], [1, 1], 1)),
        // Images in chunks on the cpu, the last one smaller.
        ("batch 17 stride 2", [17, 6, 28, 27], [10, 3, 4, 4], conv([2, 2], [1; 4], [1, 1], 2)),
        // Few channels on one side: on the cpu without packing, and weight gradients in parts. Rows of pixels that are shorter
        // than a vector, than half of one, and such that the last vector overlaps the one before; 8 rows of weights and 1 to
        // 7 more; images one by one and whole.
        ("3 to 17", [9, 3, 10, 14], [17, 3, 4, 4], conv([1, 1], [1, 2, 1, 2], [1, 1], 1)),
        ("3 to 13 stride 2", [10, 3, 28, 26], [13, 3, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("3 to 12 odd stride 2", [2, 3, 27, 25], [12, 3, 5, 4], conv([2, 2], [2, 1, 1, 2], [1, 1], 1)),
        ("3 to 11 short rows", [9, 3, 7, 7], [11, 3, 4, 4], conv([1, 1], [1, 2, 1, 2], [1, 1], 1)),
        ("4 to 10 shortest rows", [8, 4, 5, 3], [10, 4, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("20 to 3 short rows", [9, 20, 7, 7], [3, 20, 4, 4], conv([1, 1], [2, 1, 2, 1], [1, 1], 1)),
        // Phases with different numbers of terms, and more channels of the result than rows of a tile.
        ("6 to 9 odd stride 2", [2, 6, 15, 14], [9, 6, 3, 3], conv([2, 2], [1; 4], [1, 1], 1)),
        ("20 to 5 odd stride 2", [2, 20, 11, 12], [5, 20, 3, 3], conv([2, 2], [1; 4], [1, 1], 1)),
        ("40 to 2", [2, 40, 6, 19], [2, 40, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("3 to 9 wide", [1, 3, 6, 37], [9, 3, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("2 to 15 dilated", [3, 2, 15, 21], [15, 2, 3, 3], conv([1, 2], [2, 2, 3, 3], [2, 3], 1)),
        ("6 to 4 groups", [9, 6, 15, 14], [4, 3, 3, 3], conv([1, 2], [2, 2, 1, 1], [2, 1], 2)),
        ("channel by channel", [2, 5, 9, 20], [5, 1, 3, 3], conv([1, 1], [1; 4], [1, 1], 5)),
        ("3 to 5 stride 3", [3, 3, 20, 23], [5, 3, 3, 4], conv([3, 3], [1; 4], [1, 1], 1)),
        // From 32 channels on these are computed by Winograd's algorithm on the cpu.
        ("3x3 many channels", [2, 45, 17, 23], [60, 45, 3, 3], conv([1, 1], [1; 4], [1, 1], 1)),
        ("3x3 many channels, valid", [1, 46, 34, 20], [62, 46, 3, 3], conv([1, 1], [0; 4], [1, 1], 1)),
        ("3x3 many channels, uneven", [8, 60, 6, 5], [50, 60, 3, 3], conv([1, 1], [2, 0, 1, 2], [1, 1], 1)),
        ("4x4 many channels", [9, 45, 16, 14], [60, 45, 4, 4], conv([2, 2], [1; 4], [1, 1], 1)),
        ("4x4 many channels, wide", [1, 32, 18, 104], [62, 32, 4, 4], conv([2, 2], [0, 3, 2, 1], [1, 1], 1)),
        ("4x4 many channels, uneven", [6, 47, 13, 12], [63, 47, 4, 4], conv([2, 2], [3, 1, 1, 2], [1, 1], 1)),
    ];
    rows.into_iter()
        .flat_map(|(what, x, w, settings)| faces(&format!("edge {what}"), x, w, settings))
        .map(|case| case.order(0))
        .collect()
}

//! Which rows of the case table are written, and what the case format calls them.

/// A row of the case table: its name there, the op, the inputs' names in order, the attributes as JSON.
pub type Row = (&'static str, &'static str, &'static str, &'static str);

/// A row whose function has indices inside, which the format has as an input: the row, that input's name, shape and values.
pub type Indexed = (Row, &'static str, &'static [usize], &'static [i64]);

/// Rows by group: each group is one tensor file.
pub const ROWS: [(&str, &[Row]); 7] = [
    ("elementwise", &ELEMENTWISE),
    ("layout", &LAYOUT),
    ("reductions", &REDUCTIONS),
    ("matmul", &MATMUL),
    ("norm", &NORM),
    ("resample", &RESAMPLE),
    ("loss", &LOSS),
];

const ELEMENTWISE: [Row; 49] = [
    ("affine", "affine", "x", r#"{"scale": -1.5, "shift": 0.25}"#),
    ("exp", "exp", "x", "{}"),
    ("log", "log", "x", "{}"),
    ("log1p", "log1p", "x", "{}"),
    ("expm1", "expm1", "x", "{}"),
    ("sqrt", "sqrt", "x", "{}"),
    ("rsqrt", "rsqrt", "x", "{}"),
    ("recip", "recip", "x", "{}"),
    ("square", "square", "x", "{}"),
    ("abs", "abs", "x", "{}"),
    ("sign", "sign", "x", "{}"),
    ("relu", "relu", "x", "{}"),
    ("leaky_relu", "leaky_relu", "x", r#"{"slope": 0.2}"#),
    ("tanh", "tanh", "x", "{}"),
    ("sigmoid", "sigmoid", "x", "{}"),
    ("softplus", "softplus", "x", "{}"),
    ("log_sigmoid", "log_sigmoid", "x", "{}"),
    ("silu", "silu", "x", "{}"),
    ("elu", "elu", "x", r#"{"alpha": 1.0}"#),
    ("elu: alpha 0.5", "elu", "x", r#"{"alpha": 0.5}"#),
    ("gelu", "gelu", "x", r#"{"approximate": "none"}"#),
    ("gelu_tanh", "gelu", "x", r#"{"approximate": "tanh"}"#),
    ("normal_cdf", "normal_cdf", "x", "{}"),
    ("clamp", "clamp", "x", r#"{"low": -0.5, "high": 0.75}"#),
    ("pow", "pow", "x", r#"{"exponent": 2.5}"#),
    ("pow: cube of negatives", "pow", "x", r#"{"exponent": 3.0}"#),
    ("sin", "sin", "x", "{}"),
    ("cos", "cos", "x", "{}"),
    ("add", "add", "a b", "{}"),
    ("add: channels", "add", "a b", "{}"),
    ("add: scalar left", "add", "a b", "{}"),
    ("add: both sides", "add", "a b", "{}"),
    ("sub", "sub", "a b", "{}"),
    ("sub: rows and columns", "sub", "a b", "{}"),
    ("mul", "mul", "a b", "{}"),
    ("mul: channels", "mul", "a b", "{}"),
    ("mul: rows and columns", "mul", "a b", "{}"),
    ("mul: last axis", "mul", "a b", "{}"),
    ("div", "div", "a b", "{}"),
    ("div: channels", "div", "a b", "{}"),
    ("div: scalar left", "div", "a b", "{}"),
    ("max", "max", "a b", "{}"),
    ("min", "min", "a b", "{}"),
    ("gt", "gt", "a b", "{}"),
    ("power", "power", "a b", "{}"),
    ("lerp", "lerp", "a b t", "{}"),
    ("bce", "bce", "p target", r#"{"reduction": "none"}"#),
    ("bce_clipped", "bce_clipped", "p target", r#"{"reduction": "none", "clip": 1e-7}"#),
    ("bce_with_logits", "bce_with_logits", "z target", r#"{"reduction": "none"}"#),
];

const LAYOUT: [Row; 19] = [
    ("reshape", "reshape", "x", r#"{"shape": [5, 12]}"#),
    ("permute", "permute", "x", r#"{"axes": [2, 0, 1]}"#),
    ("permute: six axes", "permute", "x", r#"{"axes": [5, 3, 1, 0, 2, 4]}"#),
    ("expand", "expand", "x", r#"{"shape": [2, 3, 4, 5]}"#),
    ("expand: scalar", "expand", "x", r#"{"shape": [3, 2]}"#),
    ("slice", "slice", "x", r#"{"start": [1, 0], "step": [2, 3], "len": [2, 3]}"#),
    ("flip", "flip", "x", r#"{"axes": [0, 2]}"#),
    ("flip: one axis", "flip", "x", r#"{"axes": [1]}"#),
    ("pad", "pad", "x", r#"{"before": [0, 1, 2], "after": [1, 0, 3], "mode": "constant"}"#),
    ("pad: value", "pad", "x", r#"{"before": [0, 1, 2], "after": [1, 0, 3], "mode": "constant", "value": -2.5}"#),
    ("pad: reflect", "pad", "x", r#"{"before": [0, 0, 4, 1], "after": [0, 0, 2, 3], "mode": "reflect"}"#),
    ("pad: edge", "pad", "x", r#"{"before": [0, 0, 4, 1], "after": [0, 0, 2, 6], "mode": "edge"}"#),
    ("pad: circular", "pad", "x", r#"{"before": [0, 0, 4, 1], "after": [0, 0, 2, 9], "mode": "circular"}"#),
    ("tile", "tile", "x", r#"{"times": [3, 1, 2]}"#),
    ("repeat_each", "repeat_each", "x", r#"{"axis": 1, "times": 3}"#),
    ("concat", "concat", "a b c", r#"{"axis": 1}"#),
    ("stack", "stack", "a b", r#"{"axis": 1}"#),
    ("pixel_shuffle", "pixel_shuffle", "x", r#"{"r": 2}"#),
    ("pixel_unshuffle", "pixel_unshuffle", "x", r#"{"r": 3}"#),
];

const REDUCTIONS: [Row; 20] = [
    ("argmax", "argmax", "x", r#"{"axis": 1}"#),
    ("argmin", "argmin", "x", r#"{"axis": 2}"#),
    ("norm_max_axes", "norm_max_axes", "x", r#"{"axes": [1]}"#),
    ("sum", "sum", "x", r#"{"axes": [0, 1, 2]}"#),
    ("sum: inner axis", "sum", "x", r#"{"axes": [2]}"#),
    ("sum: outer axis", "sum", "x", r#"{"axes": [0]}"#),
    ("sum: middle axis", "sum", "x", r#"{"axes": [1]}"#),
    ("sum: all but channels", "sum", "x", r#"{"axes": [0, 2, 3]}"#),
    ("sum: alternating", "sum", "x", r#"{"axes": [1, 3]}"#),
    ("mean", "mean", "x", r#"{"axes": [0, 2]}"#),
    ("max_axes", "max_axes", "x", r#"{"axes": [0, 2]}"#),
    ("max_axes: all", "max_axes", "x", r#"{"axes": [0, 1, 2]}"#),
    ("min_axes", "min_axes", "x", r#"{"axes": [1]}"#),
    ("prod_axes", "prod_axes", "x", r#"{"axes": [1]}"#),
    ("prod_axes: with zeros", "prod_axes", "x", r#"{"axes": [1]}"#),
    ("var_axes: population", "var_axes", "x", r#"{"axes": [0, 2], "unbiased": false}"#),
    ("var_axes: sample", "var_axes", "x", r#"{"axes": [1], "unbiased": true}"#),
    ("norm_axes", "norm_axes", "x", r#"{"axes": [0, 2]}"#),
    ("norm1_axes", "norm1_axes", "x", r#"{"axes": [1]}"#),
    ("logsumexp", "logsumexp", "x", r#"{"axes": [0, 2]}"#),
];

const MATMUL: [Row; 7] = [
    ("matmul: 5x7x3", "matmul", "a b", "{}"),
    ("matmul: 1x9x33", "matmul", "a b", "{}"),
    ("matmul: 17x1x8", "matmul", "a b", "{}"),
    ("matmul: 33x35x18", "matmul", "a b", "{}"),
    ("matmul: batch", "matmul", "a b", "{}"),
    ("matmul: broadcast batch", "matmul", "a b", "{}"),
    ("linear", "linear", "x w b", "{}"),
];

const NORM: [Row; 13] = [
    ("batch_norm", "batch_norm_train", "x gamma beta", r#"{"eps": 0.001}"#),
    ("batch_norm: rows", "batch_norm_train", "x gamma beta", r#"{"eps": 0.001}"#),
    ("batch_norm: one image", "batch_norm_train", "x gamma beta", r#"{"eps": 0.001}"#),
    ("batch_norm: no affine", "batch_norm_train", "x", r#"{"eps": 1e-5}"#),
    ("batch_norm_with", "batch_norm_eval", "x running_mean running_var gamma beta", r#"{"eps": 0.001}"#),
    ("instance_norm", "instance_norm", "x", r#"{"eps": 1e-5}"#),
    ("instance_norm: affine", "instance_norm", "x gamma beta", r#"{"eps": 0.001}"#),
    ("instance_norm: a style of each sample", "instance_norm", "x gamma beta", r#"{"eps": 0.001}"#),
    ("layer_norm", "layer_norm", "x gamma beta", r#"{"eps": 1e-5, "normalized_shape": [9]}"#),
    ("layer_norm: images", "layer_norm", "x gamma", r#"{"eps": 1e-5, "normalized_shape": [4, 5, 6]}"#),
    ("group_norm", "group_norm", "x gamma beta", r#"{"eps": 1e-5, "groups": 3}"#),
    ("adain", "adain", "content style", r#"{"eps": 1e-5, "unbiased": false}"#),
    ("adain: sample variance", "adain", "content style", r#"{"eps": 1e-5, "unbiased": true}"#),
];

const RESAMPLE: [Row; 24] = [
    ("upsample_nearest", "upsample_nearest", "x", r#"{"scale": 2}"#),
    (
        "resize_nearest: down",
        "resize_nearest",
        "x",
        r#"{"size": [3, 4], "coordinates": "asymmetric", "rule": "floor"}"#,
    ),
    (
        "resize_nearest: half-pixel",
        "resize_nearest",
        "x",
        r#"{"size": [7, 3], "coordinates": "half_pixel", "rule": "prefer_floor"}"#,
    ),
    (
        "resize_nearest: half-pixel, prefer ceil",
        "resize_nearest",
        "x",
        r#"{"size": [3, 12], "coordinates": "half_pixel", "rule": "prefer_ceil"}"#,
    ),
    (
        "resize_nearest: align corners, ceil",
        "resize_nearest",
        "x",
        r#"{"size": [3, 9], "coordinates": "align_corners", "rule": "ceil"}"#,
    ),
    ("resize_bilinear: half-pixel", "resize_bilinear", "x", r#"{"size": [9, 3], "align_corners": false}"#),
    ("resize_bilinear: align corners", "resize_bilinear", "x", r#"{"size": [7, 9], "align_corners": true}"#),
    ("resize_bilinear: asymmetric", "resize_bilinear", "x", r#"{"size": [6, 3], "coordinates": "asymmetric"}"#),
    (
        "resize_bilinear: half-pixel symmetric",
        "resize_bilinear",
        "x",
        r#"{"size": [6, 3], "coordinates": "half_pixel_symmetric"}"#,
    ),
    ("resize_bilinear: antialias", "resize_bilinear", "x", r#"{"size": [4, 2], "antialias": true}"#),
    ("resize_bilinear: antialias, up", "resize_bilinear", "x", r#"{"size": [5, 4], "antialias": true}"#),
    ("upsample_bilinear", "upsample_bilinear", "x", r#"{"scale": 2, "align_corners": false}"#),
    ("sum_pool2d", "sum_pool2d", "x", r#"{"k": 3, "s": 2, "p": 1}"#),
    ("avg_pool2d", "avg_pool2d", "x", r#"{"k": 2, "s": 2}"#),
    ("avg_pool2d: padding left out", "avg_pool2d", "x", r#"{"k": 3, "s": 2, "p": 1, "count_include_pad": false}"#),
    (
        "avg_pool2d: ceil, padding counts",
        "avg_pool2d",
        "x",
        r#"{"k": 3, "s": 2, "p": 1, "ceil_mode": true, "count_include_pad": true}"#,
    ),
    ("global_avg_pool2d", "global_avg_pool2d", "x", "{}"),
    ("blur: 3 taps", "blur", "x", r#"{"taps": 3, "stride": 1, "pad_mode": "zeros"}"#),
    ("blur: 3 taps, stride 2", "blur", "x", r#"{"taps": 3, "stride": 2, "pad_mode": "reflect"}"#),
    ("blur: 4 taps, stride 2", "blur", "x", r#"{"taps": 4, "stride": 2, "pad_mode": "edge"}"#),
    ("max_pool2d", "max_pool2d", "x", r#"{"k": 2, "s": 2}"#),
    ("max_pool2d: overlapping, padded", "max_pool2d", "x", r#"{"k": 3, "s": 2, "p": 1}"#),
    ("max_pool2d: ceil", "max_pool2d", "x", r#"{"k": 3, "s": 2, "ceil_mode": true}"#),
    ("global_max_pool2d", "global_max_pool2d", "x", "{}"),
];

const LOSS: [Row; 14] = [
    ("minimax_d", "minimax_d", "real fake", "{}"),
    ("wasserstein_d", "wasserstein_d", "real fake", "{}"),
    ("least_squares_d", "least_squares_d", "real fake", "{}"),
    ("relativistic_d", "relativistic_d", "real fake", "{}"),
    ("relativistic_g", "relativistic_g", "real fake", "{}"),
    ("hinge_d", "hinge_d", "real fake", "{}"),
    ("hinge_g", "hinge_g", "fake", "{}"),
    ("l1", "l1", "a b", r#"{"reduction": "mean"}"#),
    ("mse", "mse", "a b", r#"{"reduction": "mean"}"#),
    ("smooth_l1", "smooth_l1", "a b", r#"{"beta": 0.5}"#),
    ("total_variation_l1", "tv_l1", "x", "{}"),
    ("total_variation_l2", "tv_l2", "x", "{}"),
    ("style_loss", "style_loss", "x style", r#"{"norm": "C*H*W"}"#),
    ("gram_matrix", "gram_matrix", "x", r#"{"norm": "H*W"}"#),
];

/// Rows with indices, in group `layout`.
pub const INDEXED: [Indexed; 5] = [
    (("index_select", "index_select", "x", r#"{"axis": 1}"#), "index", &[7], &[4, 0, 0, 2, 4, 1, 4]),
    (("gather", "gather", "x", r#"{"axis": 1}"#), "index", &[2, 2, 3], &[0, 1, 3, 2, 2, 0, 3, 3, 3, 1, 0, 3]),
    (("scatter_add", "scatter_add", "x src", r#"{"axis": 1}"#), "index", &[6], &[4, 0, 0, 2, 4, 4]),
    (("embedding", "embedding", "w", "{}"), "index", &[2, 3], &[4, 0, 0, 2, 4, 1]),
    (("cross_entropy", "cross_entropy", "z", r#"{"reduction": "none"}"#), "label", &[5], &[3, 0, 1, 1, 2]),
];

/// Convolutions: the row's name after `conv2d: `, the image's and the kernel's height and width, and the settings. Each is
/// written as `conv2d`, `conv2d_input` and `conv2d_weight`.
pub const CONVOLUTIONS: [(&str, [usize; 2], [usize; 2], &str); 13] = [
    ("3x3", [6, 5], [3, 3], r#"{"stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 1}"#),
    ("1x1", [4, 3], [1, 1], r#"{"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}"#),
    (
        "4x4 stride 2",
        [8, 10],
        [4, 4],
        r#"{"stride": [2, 2], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 1}"#,
    ),
    ("4x4 same", [7, 5], [4, 4], r#"{"stride": [1, 1], "padding": [1, 2, 1, 2], "dilation": [1, 1], "groups": 1}"#),
    (
        "left-over rows",
        [11, 12],
        [3, 3],
        r#"{"stride": [3, 3], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}"#,
    ),
    ("asymmetric", [8, 7], [3, 3], r#"{"stride": [2, 2], "padding": [1, 0, 0, 1], "dilation": [1, 1], "groups": 1}"#),
    (
        "5x3 stride 2x1",
        [9, 6],
        [5, 3],
        r#"{"stride": [2, 1], "padding": [2, 1, 0, 2], "dilation": [1, 1], "groups": 1}"#,
    ),
    ("dilated", [9, 8], [3, 2], r#"{"stride": [1, 2], "padding": [2, 2, 1, 1], "dilation": [2, 3], "groups": 1}"#),
    (
        "stride beyond kernel",
        [9, 9],
        [2, 2],
        r#"{"stride": [3, 3], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}"#,
    ),
    ("groups", [6, 5], [3, 3], r#"{"stride": [2, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 2}"#),
    ("depthwise", [5, 6], [3, 3], r#"{"stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 3}"#),
    (
        "kernel as large as the image",
        [4, 4],
        [4, 4],
        r#"{"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}"#,
    ),
    (
        "many small images",
        [3, 3],
        [3, 3],
        r#"{"stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 1}"#,
    ),
];

/// Transposed convolutions under Keras's rule: the row and the attributes.
pub const KERAS_SAME: [Row; 2] = [
    (
        "conv2d_input: Keras same, stride 1",
        "conv_transpose2d_keras_same",
        "x w",
        r#"{"stride": [1, 1], "dilation": [1, 1], "groups": 1, "output_size": [5, 7]}"#,
    ),
    (
        "conv2d_input: Keras same, stride 2",
        "conv_transpose2d_keras_same",
        "x w",
        r#"{"stride": [2, 2], "dilation": [1, 1], "groups": 1, "output_size": [10, 14]}"#,
    ),
];

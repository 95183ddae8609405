//! Which rows of the case table are written, and what the case format calls them.

/// A row of the case table: its name there, the inputs' names in order, the attributes as JSON.
pub type Row = (&'static str, &'static str, &'static str);

/// What the format calls ops that the table calls otherwise.
pub const RENAMED: [(&str, &str); 5] = [
    ("batch_norm", "batch_norm_train"),
    ("batch_norm_with", "batch_norm_eval"),
    ("gelu_tanh", "gelu"),
    ("total_variation_l1", "tv_l1"),
    ("total_variation_l2", "tv_l2"),
];

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
    ("affine", "x", r#"{"scale": -1.5, "shift": 0.25}"#),
    ("exp", "x", "{}"),
    ("log", "x", "{}"),
    ("log1p", "x", "{}"),
    ("expm1", "x", "{}"),
    ("sqrt", "x", "{}"),
    ("rsqrt", "x", "{}"),
    ("recip", "x", "{}"),
    ("square", "x", "{}"),
    ("abs", "x", "{}"),
    ("sign", "x", "{}"),
    ("relu", "x", "{}"),
    ("leaky_relu", "x", r#"{"slope": 0.2}"#),
    ("tanh", "x", "{}"),
    ("sigmoid", "x", "{}"),
    ("softplus", "x", "{}"),
    ("log_sigmoid", "x", "{}"),
    ("silu", "x", "{}"),
    ("elu", "x", r#"{"alpha": 1.0}"#),
    ("elu: alpha 0.5", "x", r#"{"alpha": 0.5}"#),
    ("gelu", "x", r#"{"approximate": "none"}"#),
    ("gelu_tanh", "x", r#"{"approximate": "tanh"}"#),
    ("normal_cdf", "x", "{}"),
    ("clamp", "x", r#"{"low": -0.5, "high": 0.75}"#),
    ("pow", "x", r#"{"exponent": 2.5}"#),
    ("pow: cube of negatives", "x", r#"{"exponent": 3.0}"#),
    ("sin", "x", "{}"),
    ("cos", "x", "{}"),
    ("add", "a b", "{}"),
    ("add: channels", "a b", "{}"),
    ("add: scalar left", "a b", "{}"),
    ("add: both sides", "a b", "{}"),
    ("sub", "a b", "{}"),
    ("sub: rows and columns", "a b", "{}"),
    ("mul", "a b", "{}"),
    ("mul: channels", "a b", "{}"),
    ("mul: rows and columns", "a b", "{}"),
    ("mul: last axis", "a b", "{}"),
    ("div", "a b", "{}"),
    ("div: channels", "a b", "{}"),
    ("div: scalar left", "a b", "{}"),
    ("max", "a b", "{}"),
    ("min", "a b", "{}"),
    ("gt", "a b", "{}"),
    ("power", "a b", "{}"),
    ("lerp", "a b t", "{}"),
    ("bce", "p target", r#"{"reduction": "none"}"#),
    ("bce_clipped", "p target", r#"{"reduction": "none", "clip": 1e-7}"#),
    ("bce_with_logits", "z target", r#"{"reduction": "none"}"#),
];

const LAYOUT: [Row; 19] = [
    ("reshape", "x", r#"{"shape": [5, 12]}"#),
    ("permute", "x", r#"{"axes": [2, 0, 1]}"#),
    ("permute: six axes", "x", r#"{"axes": [5, 3, 1, 0, 2, 4]}"#),
    ("expand", "x", r#"{"shape": [2, 3, 4, 5]}"#),
    ("expand: scalar", "x", r#"{"shape": [3, 2]}"#),
    ("slice", "x", r#"{"start": [1, 0], "step": [2, 3], "len": [2, 3]}"#),
    ("flip", "x", r#"{"axes": [0, 2]}"#),
    ("flip: one axis", "x", r#"{"axes": [1]}"#),
    ("pad", "x", r#"{"before": [0, 1, 2], "after": [1, 0, 3], "mode": "constant"}"#),
    ("pad: value", "x", r#"{"before": [0, 1, 2], "after": [1, 0, 3], "mode": "constant", "value": -2.5}"#),
    ("pad: reflect", "x", r#"{"before": [0, 0, 4, 1], "after": [0, 0, 2, 3], "mode": "reflect"}"#),
    ("pad: edge", "x", r#"{"before": [0, 0, 4, 1], "after": [0, 0, 2, 6], "mode": "edge"}"#),
    ("pad: circular", "x", r#"{"before": [0, 0, 4, 1], "after": [0, 0, 2, 9], "mode": "circular"}"#),
    ("tile", "x", r#"{"times": [3, 1, 2]}"#),
    ("repeat_each", "x", r#"{"axis": 1, "times": 3}"#),
    ("concat", "a b c", r#"{"axis": 1}"#),
    ("stack", "a b", r#"{"axis": 1}"#),
    ("pixel_shuffle", "x", r#"{"r": 2}"#),
    ("pixel_unshuffle", "x", r#"{"r": 3}"#),
];

const REDUCTIONS: [Row; 20] = [
    ("argmax", "x", r#"{"axis": 1}"#),
    ("argmin", "x", r#"{"axis": 2}"#),
    ("norm_max_axes", "x", r#"{"axes": [1]}"#),
    ("sum", "x", r#"{"axes": [0, 1, 2]}"#),
    ("sum: inner axis", "x", r#"{"axes": [2]}"#),
    ("sum: outer axis", "x", r#"{"axes": [0]}"#),
    ("sum: middle axis", "x", r#"{"axes": [1]}"#),
    ("sum: all but channels", "x", r#"{"axes": [0, 2, 3]}"#),
    ("sum: alternating", "x", r#"{"axes": [1, 3]}"#),
    ("mean", "x", r#"{"axes": [0, 2]}"#),
    ("max_axes", "x", r#"{"axes": [0, 2]}"#),
    ("max_axes: all", "x", r#"{"axes": [0, 1, 2]}"#),
    ("min_axes", "x", r#"{"axes": [1]}"#),
    ("prod_axes", "x", r#"{"axes": [1]}"#),
    ("prod_axes: with zeros", "x", r#"{"axes": [1]}"#),
    ("var_axes: population", "x", r#"{"axes": [0, 2], "unbiased": false}"#),
    ("var_axes: sample", "x", r#"{"axes": [1], "unbiased": true}"#),
    ("norm_axes", "x", r#"{"axes": [0, 2]}"#),
    ("norm1_axes", "x", r#"{"axes": [1]}"#),
    ("logsumexp", "x", r#"{"axes": [0, 2]}"#),
];

const MATMUL: [Row; 7] = [
    ("matmul: 5x7x3", "a b", "{}"),
    ("matmul: 1x9x33", "a b", "{}"),
    ("matmul: 17x1x8", "a b", "{}"),
    ("matmul: 33x35x18", "a b", "{}"),
    ("matmul: batch", "a b", "{}"),
    ("matmul: broadcast batch", "a b", "{}"),
    ("linear", "x w b", "{}"),
];

const NORM: [Row; 13] = [
    ("batch_norm", "x gamma beta", r#"{"eps": 0.001}"#),
    ("batch_norm: rows", "x gamma beta", r#"{"eps": 0.001}"#),
    ("batch_norm: one image", "x gamma beta", r#"{"eps": 0.001}"#),
    ("batch_norm: no affine", "x", r#"{"eps": 1e-5}"#),
    ("batch_norm_with", "x running_mean running_var gamma beta", r#"{"eps": 0.001}"#),
    ("instance_norm", "x", r#"{"eps": 1e-5}"#),
    ("instance_norm: affine", "x gamma beta", r#"{"eps": 0.001}"#),
    ("instance_norm: a style of each sample", "x gamma beta", r#"{"eps": 0.001}"#),
    ("layer_norm", "x gamma beta", r#"{"eps": 1e-5, "normalized_shape": [9]}"#),
    ("layer_norm: images", "x gamma", r#"{"eps": 1e-5, "normalized_shape": [4, 5, 6]}"#),
    ("group_norm", "x gamma beta", r#"{"eps": 1e-5, "groups": 3}"#),
    ("adain", "content style", r#"{"eps": 1e-5, "unbiased": false}"#),
    ("adain: sample variance", "content style", r#"{"eps": 1e-5, "unbiased": true}"#),
];

const RESAMPLE: [Row; 24] = [
    ("upsample_nearest", "x", r#"{"scale": 2}"#),
    ("resize_nearest: down", "x", r#"{"size": [3, 4], "coordinates": "asymmetric", "rule": "floor"}"#),
    ("resize_nearest: half-pixel", "x", r#"{"size": [7, 3], "coordinates": "half_pixel", "rule": "prefer_floor"}"#),
    (
        "resize_nearest: half-pixel, prefer ceil",
        "x",
        r#"{"size": [3, 12], "coordinates": "half_pixel", "rule": "prefer_ceil"}"#,
    ),
    ("resize_nearest: align corners, ceil", "x", r#"{"size": [3, 9], "coordinates": "align_corners", "rule": "ceil"}"#),
    ("resize_bilinear: half-pixel", "x", r#"{"size": [9, 3], "align_corners": false}"#),
    ("resize_bilinear: align corners", "x", r#"{"size": [7, 9], "align_corners": true}"#),
    ("resize_bilinear: asymmetric", "x", r#"{"size": [6, 3], "coordinates": "asymmetric"}"#),
    ("resize_bilinear: half-pixel symmetric", "x", r#"{"size": [6, 3], "coordinates": "half_pixel_symmetric"}"#),
    ("resize_bilinear: antialias", "x", r#"{"size": [4, 2], "antialias": true}"#),
    ("resize_bilinear: antialias, up", "x", r#"{"size": [5, 4], "antialias": true}"#),
    ("upsample_bilinear", "x", r#"{"scale": 2, "align_corners": false}"#),
    ("sum_pool2d", "x", r#"{"k": 3, "s": 2, "p": 1}"#),
    ("avg_pool2d", "x", r#"{"k": 2, "s": 2}"#),
    ("avg_pool2d: padding left out", "x", r#"{"k": 3, "s": 2, "p": 1, "count_include_pad": false}"#),
    (
        "avg_pool2d: ceil, padding counts",
        "x",
        r#"{"k": 3, "s": 2, "p": 1, "ceil_mode": true, "count_include_pad": true}"#,
    ),
    ("global_avg_pool2d", "x", "{}"),
    ("blur: 3 taps", "x", r#"{"taps": 3, "stride": 1, "pad_mode": "zeros"}"#),
    ("blur: 3 taps, stride 2", "x", r#"{"taps": 3, "stride": 2, "pad_mode": "reflect"}"#),
    ("blur: 4 taps, stride 2", "x", r#"{"taps": 4, "stride": 2, "pad_mode": "edge"}"#),
    ("max_pool2d", "x", r#"{"k": 2, "s": 2}"#),
    ("max_pool2d: overlapping, padded", "x", r#"{"k": 3, "s": 2, "p": 1}"#),
    ("max_pool2d: ceil", "x", r#"{"k": 3, "s": 2, "ceil_mode": true}"#),
    ("global_max_pool2d", "x", "{}"),
];

const LOSS: [Row; 14] = [
    ("minimax_d", "real fake", "{}"),
    ("wasserstein_d", "real fake", "{}"),
    ("least_squares_d", "real fake", "{}"),
    ("relativistic_d", "real fake", "{}"),
    ("relativistic_g", "real fake", "{}"),
    ("hinge_d", "real fake", "{}"),
    ("hinge_g", "fake", "{}"),
    ("l1", "a b", r#"{"reduction": "mean"}"#),
    ("mse", "a b", r#"{"reduction": "mean"}"#),
    ("smooth_l1", "a b", r#"{"beta": 0.5}"#),
    ("total_variation_l1", "x", "{}"),
    ("total_variation_l2", "x", "{}"),
    ("style_loss", "x style", r#"{"norm": "C*H*W"}"#),
    ("gram_matrix", "x", r#"{"norm": "H*W"}"#),
];

/// Rows with indices, in group `layout`.
pub const INDEXED: [Indexed; 5] = [
    (("index_select", "x", r#"{"axis": 1}"#), "index", &[7], &[4, 0, 0, 2, 4, 1, 4]),
    (("gather", "x", r#"{"axis": 1}"#), "index", &[2, 2, 3], &[0, 1, 3, 2, 2, 0, 3, 3, 3, 1, 0, 3]),
    (("scatter_add", "x src", r#"{"axis": 1}"#), "index", &[6], &[4, 0, 0, 2, 4, 4]),
    (("embedding", "w", "{}"), "index", &[2, 3], &[4, 0, 0, 2, 4, 1]),
    (("cross_entropy", "z", r#"{"reduction": "none"}"#), "label", &[5], &[3, 0, 1, 1, 2]),
];

/// The op of [`KERAS_SAME`].
pub const KERAS_OP: &str = "conv_transpose2d_keras_same";

/// Transposed convolutions under Keras's rule.
pub const KERAS_SAME: [Row; 2] = [
    (
        "conv2d_input: Keras same, stride 1",
        "x w",
        r#"{"stride": [1, 1], "dilation": [1, 1], "groups": 1, "output_size": [5, 7]}"#,
    ),
    (
        "conv2d_input: Keras same, stride 2",
        "x w",
        r#"{"stride": [2, 2], "dilation": [1, 1], "groups": 1, "output_size": [10, 14]}"#,
    ),
];

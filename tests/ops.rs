//! The case table: what it must hold, and the reference by itself.

use toile::Device;
use toile::check::{cases, check_case};

/// The judge itself is judged by central differences. (The devices: tests/kernels.rs.)
#[test]
fn the_reference_agrees_with_finite_differences() {
    let reports = cases().into_iter().flat_map(|case| check_case(&case, &Device::Reference).expect("the reference"));
    let reports: Vec<_> = reports.collect();
    let failed: Vec<String> = reports.iter().filter(|r| !r.passed()).map(ToString::to_string).collect();
    assert!(reports.len() > 300, "only {} checks ran", reports.len());
    assert!(failed.is_empty(), "{} of {} checks failed:\n{}", failed.len(), reports.len(), failed.join("\n"));
}

/// The op table: what the engine offers, family by family; the case row that holds it (an op's name, or that of a single
/// row) and how often it can be differentiated. (Learning-rate schedules are plain numbers: src/optim/schedules.rs tests
/// them.)
const OP_TABLE: [(&str, &str); 10] = [
    (
        "elementwise",
        "neg 2; exp 2; log 2; log1p 2; sqrt 2; rsqrt 2; recip 2; square 2; abs 2; sign 0; step 0; relu 2; \
         leaky_relu 2; tanh 2; sigmoid 2; softplus 2; silu 2; gelu 2; gelu_tanh 2; elu 2; clamp 2; pow 2; sin 2; \
         cos 2; add 2; sub 2; mul 2; div 2; max 2; min 2; gt 0; select 2; lerp 2; add: both sides 2; \
         div: channels 2",
    ),
    (
        "layout",
        "reshape 2; permute 2; expand 2; tile 2; slice 2; slice: backwards in steps 2; pad 2; pad: reflect 2; \
         pad: edge 2; pad: circular 2; flip 2; concat 2; split 2; gather 2; scatter_add 2; embedding 2",
    ),
    (
        "reductions",
        "sum 2; sum: alternating 2; mean 2; max_axes 2; min_axes 2; prod_axes 2; argmax 0; argmin 0; \
         var_axes: population 2; var_axes: sample 2; norm_axes 2; logsumexp 2; softmax 2; log_softmax 2; \
         cross_entropy 2",
    ),
    (
        "matmul",
        "matmul: batch 2; matmul: broadcast batch 2; matmul: 5x7x3 at bt 2; gram 2; linear 2; linear_activated 2",
    ),
    (
        "convolution",
        "conv2d: 4x4 stride 2 2; conv2d: dilated 2; conv2d: groups 2; conv2d: depthwise 2; conv2d: asymmetric 2; \
         conv2d: 1x1 2; conv2d: 5x3 stride 2x1 2; conv2d: same of Keras and of ONNX's SAME_UPPER 2; \
         conv2d: same of ONNX's SAME_LOWER 2; conv2d_input: 4x4 stride 2 2; conv2d_input: groups 2; \
         conv2d_input: output padding 2; conv2d_weight: 4x4 stride 2 2; conv2d_weight: dilated 2; \
         conv2d_activated 2; conv2d_input_activated 2",
    ),
    (
        "resampling",
        "upsample_nearest 2; resize_nearest: down 2; resize_bilinear: align corners 2; \
         resize_bilinear: half-pixel 2; resize_bilinear: half-pixel symmetric 2; resize_bilinear: asymmetric 2; \
         resize_bilinear: antialias 2; avg_pool2d 2; sum_pool2d 2; max_pool2d: dilated, 3x2 2; \
         max_pool2d: ceil 2; max_pool2d: same 2; avg_pool2d: overlapping, same 2; global_avg_pool2d 2; \
         global_max_pool2d 2; pixel_shuffle 2; pixel_unshuffle 2; blur: 3 taps 2; blur: 3 taps, stride 2 2; \
         blur: 4 taps, stride 2 2",
    ),
    (
        "normalisation",
        "batch_norm 2; batch_norm_with 2; batch_norm: statistics of the batch at sampling 2; \
         batch_norm: running statistics 0; conv2d_measured 2; conv2d_input_measured 2; linear_measured 2; \
         instance_norm 2; instance_norm: affine 2; layer_norm 2; group_norm 2; \
         adain 2; spectral_norm 2; spectral_norm: state kept over three steps 0",
    ),
    (
        "losses",
        "bce_with_logits 2; bce 2; hinge_d 2; hinge_g 2; least_squares_d 2; least_squares_g 2; wasserstein_d 2; \
         wasserstein_g 2; relativistic_d 2; relativistic_g 2; l1 2; mse 2; smooth_l1 2; total_variation_l1 2; \
         total_variation_l2 2; patch_nce 2; minimax_d 2; minimax_g 2; non_saturating_g 2",
    ),
    ("random", "uniform 0; normal 0; dropout 2"),
    (
        "optimisers",
        "sgd 0; sgd: momentum and weight decay 0; sgd: Nesterov 0; rmsprop: PyTorch, momentum, centered 0; \
         rmsprop: Keras, momentum 0; adam: PyTorch 0; adam: Keras 0; adamw: PyTorch 0; adamw: Keras 0; \
         clip_norm 0; clip_value 0; clip_weights 0; ema 0; unrolled adam 2",
    ),
];

#[test]
fn the_case_table_holds_every_op_of_the_op_table() {
    let cases = cases();
    let entries = OP_TABLE.iter().flat_map(|(_, entries)| entries.split(';'));
    let mut missing = Vec::new();
    for entry in entries {
        let (name, order) = entry.trim().rsplit_once(' ').expect("a name and an order");
        let order: u32 = order.parse().expect("an order");
        let mut rows = cases.iter().filter(|case| case.name == name || case.op() == name);
        if !rows.any(|case| case.order >= order) {
            missing.push(format!("{name} (order {order})"));
        }
    }
    assert!(missing.is_empty(), "no case row holds: {}", missing.join("; "));
    // Each row of values only has its reason: it has no gradient, or another row of its op has one.
    let without =
        |op: &str| OP_TABLE.iter().any(|(_, entries)| entries.split(';').any(|e| e.trim() == format!("{op} 0")));
    let own = ["inside", "equal", "norm_max_axes", "max_pool2d_input"];
    for case in cases.iter().filter(|case| case.order == 0 && case.name == case.op()) {
        assert!(without(case.op()) || own.contains(&case.op()), "{}: why has it no gradient?", case.name);
    }
}

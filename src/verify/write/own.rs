//! Written cases that are no rows of the case table: settings and outputs that only the format has, trajectories, penalties.

/// How an input is filled.
#[derive(Clone, Copy)]
pub enum Fill {
    /// N(0, 1), multiples of 1/64.
    Normal,
    /// N(0, 1)/8, multiples of 1/512: weights.
    Small,
    /// Uniform between two numbers.
    Between(f32, f32),
    /// These numbers, cyclically.
    Exactly(&'static [f32]),
}

use Fill::*;

/// An input: its name, its shape, how it is filled.
type Input = (&'static str, &'static [usize], Fill);

/// One case.
pub struct Own {
    pub name: &'static str,
    pub group: &'static str,
    pub op: &'static str,
    /// As JSON.
    pub attrs: &'static str,
    pub inputs: &'static [Input],
    /// Roles with their prefix.
    pub outputs: &'static [&'static str],
    /// The output that is differentiated; empty for none.
    pub loss: &'static str,
    /// Names of inputs, with spaces between.
    pub differentiated: &'static str,
    /// 1: gradients, 2: also second ones.
    pub order: u32,
}

const PLAIN: Own = Own {
    name: "",
    group: "",
    op: "",
    attrs: "{}",
    inputs: &[],
    outputs: &["out.y"],
    loss: "y",
    differentiated: "x",
    order: 2,
};

const IMAGE: Input = ("x", &[2, 4, 6, 5], Normal);
const FAKE: &[Input] = &[("fake", &[9, 1], Between(-5.0, 5.0))];
const LOGITS: &[Input] = &[("z", &[5, 3], Between(-5.0, 5.0)), ("target", &[5, 3], Between(0.0, 1.0))];
const STEPS: &[Input] = &[("p", &[7], Normal), ("g", &[10, 7], Normal)];
const QUADRATIC: &[Input] = &[("A", &[6, 5], Normal), ("y", &[6], Normal), ("p", &[5], Normal)];
const CRITIC: [Input; 7] = [
    ("real", &[2, 3, 8, 8], Normal),
    ("w1", &[6, 3, 4, 4], Small),
    ("b1", &[6], Small),
    ("w2", &[8, 6, 4, 4], Small),
    ("b2", &[8], Small),
    ("w3", &[1, 32], Small),
    ("b3", &[1], Small),
];
const NORM: [Input; 2] = [("g", &[8], Between(0.5, 1.5)), ("be", &[8], Normal)];
const FAKES: [Input; 2] = [("fake", &[2, 3, 8, 8], Normal), ("alpha", &[2], Exactly(&[0.25, 0.625]))];
const CRITIC_AND_NORM: [Input; 9] = joined(CRITIC, NORM);
const BLEND: [Input; 9] = joined(CRITIC, FAKES);
const BLEND_AND_NORM: [Input; 11] = joined(BLEND, NORM);

/// The inputs of both, in order.
const fn joined<const A: usize, const B: usize, const N: usize>(a: [Input; A], b: [Input; B]) -> [Input; N] {
    let mut all = [a[0]; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < A { a[i] } else { b[i - A] };
        i += 1;
    }
    all
}

const fn conv(name: &'static str, op: &'static str, attrs: &'static str, w: &'static [Input]) -> Own {
    Own { name, group: "conv", op, attrs, inputs: w, differentiated: "x w b", ..PLAIN }
}

const fn on_x(name: &'static str, group: &'static str, op: &'static str, attrs: &'static str) -> Own {
    Own { name, group, op, attrs, inputs: &[IMAGE], ..PLAIN }
}

const fn loss(name: &'static str, op: &'static str) -> Own {
    Own { name, group: "loss", op, inputs: FAKE, outputs: &["out.loss"], loss: "loss", differentiated: "fake", ..PLAIN }
}

/// Named as its op.
const fn without_gradients(
    op: &'static str,
    group: &'static str,
    attrs: &'static str,
    inputs: &'static [Input],
    outputs: &'static [&'static str],
) -> Own {
    Own { name: op, group, op, attrs, inputs, outputs, loss: "", differentiated: "", order: 0 }
}

const fn optimizer(name: &'static str, attrs: &'static str, outputs: &'static [&'static str]) -> Own {
    Own { name, ..without_gradients("optimizer", "optimizer", attrs, STEPS, outputs) }
}

const fn quadratic(name: &'static str, attrs: &'static str) -> Own {
    let outputs = &["out.p", "out.loss"];
    Own { name, ..without_gradients("optimizer_on_quadratic", "optimizer", attrs, QUADRATIC, outputs) }
}

const fn running(name: &'static str, attrs: &'static str) -> Own {
    let outputs = &["out.y", "out.y_eval_after", "out.running_mean", "out.running_var"];
    Own { name, ..without_gradients("batch_norm_running", "norm", attrs, RUNNING, outputs) }
}

const fn spectral(name: &'static str, attrs: &'static str, inputs: &'static [Input]) -> Own {
    let (group, op, outputs) = ("norm", "spectral_norm", &["out.w_sn", "out.sigma", "out.u", "out.v"]);
    Own { name, group, op, attrs, inputs, outputs, loss: "w_sn", differentiated: "w", order: 1 }
}

const fn penalty(
    name: &'static str,
    op: &'static str,
    attrs: &'static str,
    inputs: &'static [Input],
    outputs: &'static [&'static str],
    differentiated: &'static str,
) -> Own {
    Own { name, group: "gradient_penalty", op, attrs, inputs, outputs, loss: "loss", differentiated, order: 1 }
}

const PENALTY_OUTPUTS: &[&str] = &["out.d_hat", "out.grad_xhat", "out.norm", "out.loss"];
const WEIGHTS: &str = "real w1 b1 w2 b2 w3 b3";

const CONVS: [Own; 8] = [
    conv(
        "conv2d, bias, dilation and groups",
        "conv2d",
        r#"{"stride": [1, 1], "padding": [2, 1, 0, 2], "pad_mode": "zeros", "dilation": [2, 1], "groups": 2}"#,
        &[IMAGE, ("w", &[6, 2, 3, 2], Normal), ("b", &[6], Normal)],
    ),
    conv(
        "conv2d, reflected",
        "conv2d",
        r#"{"stride": [2, 1], "padding": [2, 1, 1, 2], "pad_mode": "reflect", "dilation": [1, 1], "groups": 1}"#,
        &[IMAGE, ("w", &[3, 4, 3, 3], Normal), ("b", &[3], Normal)],
    ),
    conv(
        "conv2d, edges repeated",
        "conv2d",
        r#"{"stride": [1, 1], "padding": [1, 2, 3, 0], "pad_mode": "edge", "dilation": [1, 1], "groups": 1}"#,
        &[IMAGE, ("w", &[3, 4, 3, 3], Normal), ("b", &[3], Normal)],
    ),
    conv(
        "conv2d, padding on two sides by two numbers",
        "conv2d",
        r#"{"stride": [1, 1], "padding": [1, 2]}"#,
        &[IMAGE, ("w", &[2, 4, 3, 3], Normal), ("b", &[2], Normal)],
    ),
    conv(
        "conv_transpose2d, stride 2",
        "conv_transpose2d",
        r#"{"stride": [2, 2], "padding": [1, 1], "output_padding": [1, 0], "dilation": [1, 1], "groups": 1}"#,
        &[IMAGE, ("w", &[4, 3, 4, 4], Normal), ("b", &[3], Normal)],
    ),
    conv(
        "conv_transpose2d, groups",
        "conv_transpose2d",
        r#"{"stride": [3, 2], "padding": [1, 0], "output_padding": [2, 1], "dilation": [1, 1], "groups": 2}"#,
        &[IMAGE, ("w", &[4, 3, 3, 3], Normal), ("b", &[6], Normal)],
    ),
    conv(
        "conv_transpose2d, dilated",
        "conv_transpose2d",
        r#"{"stride": [1, 2], "padding": [2, 1], "output_padding": [0, 1], "dilation": [2, 3], "groups": 1}"#,
        &[IMAGE, ("w", &[4, 2, 3, 2], Normal), ("b", &[2], Normal)],
    ),
    // An output padding of the stride or more is possible where the dilation is larger.
    conv(
        "conv_transpose2d, output padding beyond the stride",
        "conv_transpose2d",
        r#"{"stride": [1, 2], "padding": [1, 0], "output_padding": [1, 2], "dilation": [3, 3], "groups": 1}"#,
        &[IMAGE, ("w", &[4, 2, 3, 2], Normal), ("b", &[2], Normal)],
    ),
];

const SMALL: [Own; 19] = [
    on_x("softmax, channels", "activation", "softmax", r#"{"axis": 1}"#),
    on_x("softmax, last axis", "activation", "softmax", r#"{"axis": -1}"#),
    on_x("log_softmax, first axis", "activation", "log_softmax", r#"{"axis": 0}"#),
    on_x("pad_reflect", "resample", "pad_reflect", r#"{"pads_lrtb": [1, 2, 3, 0]}"#),
    on_x(
        "upsample_bilinear, align corners",
        "resample",
        "upsample_bilinear",
        r#"{"scale": [2, 3], "align_corners": true}"#,
    ),
    on_x("upsample_nearest, two scales", "resample", "upsample_nearest", r#"{"scale": [3, 2]}"#),
    on_x(
        "resize_bilinear, scale",
        "resample",
        "resize_bilinear",
        r#"{"scale": 1.5, "align_corners": false, "antialias": false}"#,
    ),
    on_x(
        "max_pool2d, dilated",
        "resample",
        "max_pool2d",
        r#"{"k": [2, 3], "s": [1, 2], "p": [1, 1], "dilation": [2, 1]}"#,
    ),
    on_x("avg_pool2d, 3x2", "resample", "avg_pool2d", r#"{"k": [3, 2], "s": [2, 1], "p": [1, 0], "ceil_mode": true}"#),
    loss("minimax_g", "minimax_g"),
    loss("non_saturating_g", "non_saturating_g"),
    loss("wasserstein_g", "wasserstein_g"),
    loss("least_squares_g", "least_squares_g"),
    Own {
        attrs: r#"{"reduction": "mean"}"#,
        inputs: LOGITS,
        differentiated: "z",
        ..loss("bce_with_logits, mean", "bce_with_logits")
    },
    Own {
        attrs: r#"{"reduction": "sum"}"#,
        inputs: LOGITS,
        differentiated: "z",
        ..loss("bce_with_logits, sum", "bce_with_logits")
    },
    Own {
        attrs: r#"{"temperature": 0.5}"#,
        inputs: &[("q", &[2, 4, 5], Normal), ("k", &[2, 4, 5], Normal)],
        differentiated: "q",
        ..loss("patch_nce", "patch_nce")
    },
    Own {
        name: "batch_norm_train, with its statistics",
        group: "norm",
        op: "batch_norm_train",
        attrs: r#"{"eps": 1e-5}"#,
        inputs: &[IMAGE, ("gamma", &[4], Normal), ("beta", &[4], Normal)],
        outputs: &["out.y", "out.batch_mean", "out.batch_var_biased"],
        differentiated: "x gamma beta",
        ..PLAIN
    },
    running("batch_norm_running, torch", r#"{"convention": "torch", "momentum": 0.1, "eps": 1e-5}"#),
    running("batch_norm_running, keras", r#"{"convention": "keras", "momentum": 0.8, "eps": 0.001}"#),
];

const RUNNING: &[Input] = &[
    ("x", &[3, 4, 3, 5, 2], Normal),
    ("gamma", &[3], Normal),
    ("beta", &[3], Normal),
    ("running_mean", &[3], Normal),
    ("running_var", &[3], Between(0.5, 2.0)),
];

const SPECTRAL: [Own; 2] = [
    spectral("spectral_norm", r#"{"dim": 0, "iterations": 2}"#, &[("w", &[5, 3, 2, 2], Normal), ("u", &[5], Normal)]),
    spectral(
        "spectral_norm, transposed convolution",
        r#"{"dim": 1, "iterations": 1}"#,
        &[("w", &[5, 3, 2, 2], Normal), ("u", &[3], Normal)],
    ),
];

const MORE: [Own; 8] = [
    Own {
        name: "select",
        group: "elementwise",
        op: "select",
        inputs: &[
            ("mask", &[4, 1, 6], Exactly(&[0.0, 1.0, -2.0, 0.0, 1.0])),
            ("a", &[4, 5, 6], Normal),
            ("b", &[5, 1], Normal),
        ],
        differentiated: "a b",
        ..PLAIN
    },
    Own {
        name: "split",
        group: "layout",
        op: "split",
        attrs: r#"{"axis": 1, "sizes": [2, 1, 3]}"#,
        inputs: &[("x", &[3, 6, 2], Normal)],
        outputs: &["out.y0", "out.y1", "out.y2"],
        loss: "y0 y2",
        ..PLAIN
    },
    without_gradients(
        "clip_norm",
        "optimizer",
        r#"{"most": 1.5}"#,
        &[("a", &[3, 5], Normal), ("b", &[7], Normal)],
        &["out.a", "out.b", "out.norm"],
    ),
    without_gradients("clip_value", "optimizer", r#"{"most": 0.5}"#, &[("x", &[3, 5], Normal)], &["out.y"]),
    without_gradients("clip_weights", "optimizer", r#"{"most": 0.01}"#, &[("x", &[3, 5], Small)], &["out.y"]),
    without_gradients(
        "ema",
        "optimizer",
        r#"{"share": 0.99}"#,
        &[("average", &[3, 5], Normal), ("p", &[3, 5], Normal)],
        &["out.y"],
    ),
    without_gradients("uniform", "random", r#"{"shape": [13, 7], "seed": 23, "index": 5}"#, &[], &["out.y"]),
    without_gradients("normal", "random", r#"{"shape": [13, 7], "seed": 23, "index": 5}"#, &[], &["out.y"]),
];

const OPTIMIZERS: [Own; 17] = [
    optimizer("sgd", r#"{"kind": "sgd", "lr": 0.05}"#, &["out.p"]),
    optimizer("sgd, weight decay", r#"{"kind": "sgd", "lr": 0.05, "weight_decay": 0.01}"#, &["out.p"]),
    optimizer("sgd, momentum", r#"{"kind": "sgd", "lr": 0.05, "momentum": 0.9}"#, &["out.p", "state.buf"]),
    optimizer(
        "sgd, dampening",
        r#"{"kind": "sgd", "lr": 0.05, "momentum": 0.9, "dampening": 0.25}"#,
        &["out.p", "state.buf"],
    ),
    optimizer(
        "sgd, nesterov",
        r#"{"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": true, "weight_decay": 0.01}"#,
        &["out.p", "state.buf"],
    ),
    optimizer(
        "adam",
        r#"{"kind": "adam", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}"#,
        &["out.p", "state.m", "state.v"],
    ),
    optimizer(
        "adam, weight decay",
        r#"{"kind": "adam", "lr": 0.0002, "betas": [0.5, 0.999], "eps": 1e-8, "weight_decay": 0.01}"#,
        &["out.p", "state.m", "state.v"],
    ),
    optimizer(
        "adamw",
        r#"{"kind": "adamw", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1}"#,
        &["out.p", "state.m", "state.v"],
    ),
    optimizer(
        "adam_keras",
        r#"{"kind": "adam_keras", "lr": 0.0002, "betas": [0.5, 0.999], "eps": 1e-7}"#,
        &["out.p", "state.m", "state.v"],
    ),
    optimizer("rmsprop", r#"{"kind": "rmsprop", "lr": 0.001, "alpha": 0.99, "eps": 1e-8}"#, &["out.p", "state.v"]),
    optimizer(
        "rmsprop, centered, momentum",
        r#"{"kind": "rmsprop", "lr": 0.001, "alpha": 0.9, "eps": 1e-3, "momentum": 0.9, "centered": true}"#,
        &["out.p", "state.v"],
    ),
    optimizer(
        "rmsprop_keras",
        r#"{"kind": "rmsprop_keras", "lr": 0.001, "rho": 0.9, "eps": 1e-7}"#,
        &["out.p", "state.v"],
    ),
    optimizer(
        "rmsprop_keras, momentum, weight decay",
        r#"{"kind": "rmsprop_keras", "lr": 0.001, "rho": 0.9, "eps": 1e-7, "momentum": 0.5, "weight_decay": 0.1}"#,
        &["out.p", "state.v"],
    ),
    quadratic("sgd on a quadratic", r#"{"kind": "sgd", "lr": 0.05, "momentum": 0.9}"#),
    quadratic("adam on a quadratic", r#"{"kind": "adam", "lr": 0.001, "betas": [0.5, 0.999], "eps": 1e-8}"#),
    quadratic(
        "adam_keras on a quadratic",
        r#"{"kind": "adam_keras", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-7}"#,
    ),
    quadratic("rmsprop on a quadratic", r#"{"kind": "rmsprop", "lr": 0.001, "alpha": 0.99, "eps": 1e-8}"#),
];

const PENALTIES: [Own; 7] = [
    penalty(
        "gradient_penalty",
        "gradient_penalty",
        r#"{"activation": "lrelu", "slope": 0.2, "norm": null, "lam": 10.0, "target": 1.0, "sqrt_eps": 1e-12}"#,
        &BLEND,
        PENALTY_OUTPUTS,
        "real w1 b1 w2 b2 w3 b3 fake",
    ),
    penalty(
        "gradient_penalty, instance norm",
        "gradient_penalty",
        r#"{"activation": "tanh", "norm": "instance", "norm_eps": 0.001, "lam": 10.0, "target": 1.0, "sqrt_eps": 1e-12}"#,
        &BLEND_AND_NORM,
        PENALTY_OUTPUTS,
        "real w1 b1 w2 w3 b3 fake g be",
    ),
    penalty(
        "gradient_penalty, layer norm, to zero",
        "gradient_penalty",
        r#"{"activation": "softplus", "norm": "layer", "norm_eps": 1e-5, "lam": 5.0, "target": 0.0, "sqrt_eps": 1e-12}"#,
        &BLEND_AND_NORM,
        PENALTY_OUTPUTS,
        "real w1 b1 w2 b2 w3 b3 fake g be",
    ),
    penalty(
        "gradient_penalty_linear",
        "gradient_penalty_linear",
        r#"{"lam": 10.0}"#,
        &[
            ("real", &[3, 5], Normal),
            ("fake", &[3, 5], Normal),
            ("alpha", &[3], Exactly(&[0.25, 0.5, 0.875])),
            ("w", &[1, 5], Normal),
            ("b", &[1], Normal),
        ],
        &["out.loss"],
        "w",
    ),
    penalty(
        "r1_penalty",
        "r1_penalty",
        r#"{"activation": "lrelu", "slope": 0.2, "norm": null, "gamma": 10.0}"#,
        &CRITIC,
        &["out.d", "out.grad_x", "out.loss"],
        WEIGHTS,
    ),
    penalty(
        "r1_penalty, batch norm",
        "r1_penalty",
        r#"{"activation": "softplus", "norm": "batch", "norm_eps": 0.001, "gamma": 10.0}"#,
        &CRITIC_AND_NORM,
        &["out.d", "out.grad_x", "out.loss"],
        "real w1 b1 w2 w3 b3 g be",
    ),
    penalty(
        "r1_plus_logistic",
        "r1_plus_logistic",
        r#"{"activation": "softplus", "gamma": 10.0}"#,
        &CRITIC,
        &["out.loss"],
        WEIGHTS,
    ),
];

/// All of them.
pub fn cases() -> impl Iterator<Item = Own> {
    let all = CONVS.into_iter().chain(SMALL).chain(SPECTRAL);
    all.chain(MORE).chain(OPTIMIZERS).chain(PENALTIES)
}

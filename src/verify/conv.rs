//! Convolutions and transposed convolutions.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::ops::{Conv2d, PadMode};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "conv2d" => conv2d,
        "conv_transpose2d" => conv_transpose2d,
        "conv_transpose2d_keras_same" => keras_same,
        _ => return None,
    })
}

fn with_bias(i: &Inputs, y: Tensor) -> Outputs {
    Outputs::one("y", i.maybe("b").map_or(y.clone(), |b| y.add_channel_bias(b)))
}

fn images(t: &Tensor) -> Result<[usize; 4], Refusal> {
    let dims: Result<[usize; 4], _> = t.shape().dims().try_into();
    dims.map_err(|_| Refusal::Failed(format!("expects four axes, not {}", t.shape())))
}

fn conv2d(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "pad_mode", "dilation", "groups", "same"])?;
    let padding: [usize; 4] = match i.attrs.count("padding") {
        4 => i.attrs.sizes("padding")?,
        _ => {
            let [h, w] = i.attrs.pair("padding", [0, 0])?;
            [h, h, w, w]
        }
    };
    let conv = Conv2d {
        stride: i.attrs.pair("stride", [1, 1])?,
        padding,
        dilation: i.attrs.pair("dilation", [1, 1])?,
        groups: i.attrs.size("groups", 1)?,
    };
    let (x, w) = (i.tensor("x")?, i.tensor("w")?);
    let [top, bottom, left, right] = padding;
    let around = |mode| x.pad_mode(&[0, 0, top, left], &[0, 0, bottom, right], mode);
    let inner = Conv2d { padding: [0; 4], ..conv };
    let y = match i.attrs.text("pad_mode", "zeros")? {
        "zeros" => x.conv2d(w, conv),
        "reflect" => around(PadMode::Reflect).conv2d(w, inner),
        "edge" | "replicate" => around(PadMode::Edge).conv2d(w, inner),
        "circular" => around(PadMode::Circular).conv2d(w, inner),
        other => return Err(Refusal::NotSupported(format!("the pad_mode {other}"))),
    };
    Ok(with_bias(i, y))
}

fn conv_transpose2d(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "output_padding", "dilation", "groups"])?;
    let (x, w) = (i.tensor("x")?, i.tensor("w")?);
    let ([_, _, h, wide], [_, _, kh, kw]) = (images(x)?, images(w)?);
    let stride = i.attrs.pair("stride", [1, 1])?;
    let dilation = i.attrs.pair("dilation", [1, 1])?;
    let padding: [usize; 4] = match i.attrs.count("padding") {
        4 => i.attrs.sizes("padding")?,
        _ => {
            let [h, w] = i.attrs.pair("padding", [0, 0])?;
            [h, h, w, w]
        }
    };
    let extra = i.attrs.pair("output_padding", [0, 0])?;
    let size = |axis: usize, len: usize, kernel: usize| {
        let full = (len.max(1) - 1) * stride[axis] + (kernel.max(1) - 1) * dilation[axis] + 1 + extra[axis];
        let cropped = full.checked_sub(padding[2 * axis] + padding[2 * axis + 1]);
        cropped.ok_or_else(|| Refusal::Failed("the padding is larger than the result".into()))
    };
    let conv = Conv2d { stride, padding, dilation, groups: i.attrs.size("groups", 1)? };
    Ok(with_bias(i, x.conv_transpose2d(w, conv, [size(0, h, kh)?, size(1, wide, kw)?])))
}

fn keras_same(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "dilation", "groups", "output_size"])?;
    let (x, w) = (i.tensor("x")?, i.tensor("w")?);
    let ([_, _, h, wide], [_, _, kh, kw]) = (images(x)?, images(w)?);
    let stride = i.attrs.pair("stride", [1, 1])?;
    let dilation = i.attrs.pair("dilation", [1, 1])?;
    let size = i.attrs.pair("output_size", [h * stride[0], wide * stride[1]])?;
    if size != [h * stride[0], wide * stride[1]] {
        return Err(Refusal::NotSupported("an output_size other than input · stride".into()));
    }
    let mut conv = Conv2d::same_transpose([h, wide], [kh, kw], stride, dilation);
    conv.groups = i.attrs.size("groups", 1)?;
    Ok(with_bias(i, x.conv_transpose2d(w, conv, size)))
}

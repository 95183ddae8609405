//! Convolutions and transposed convolutions.

use super::run::{Function, Inputs, Outputs, Refusal, within_memory};
use crate::ops::{Conv2d, PadMode};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "conv2d" => conv2d,
        "conv_transpose2d" => conv_transpose2d,
        "conv_transpose2d_keras_same" => keras_same,
        "conv2d_input" => conv2d_input,
        "conv2d_weight" => conv2d_weight,
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

/// What the faces of a convolution share.
fn settings(i: &Inputs) -> Result<Conv2d, Refusal> {
    let (stride, dilation) = (i.attrs.steps("stride")?, i.attrs.steps("dilation")?);
    Ok(Conv2d { stride, padding: padding(i)?, dilation, groups: i.attrs.size("groups", 1)? })
}

fn conv2d(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "pad_mode", "dilation", "groups", "same"])?;
    let (x, w, conv) = (i.tensor("x")?, i.tensor("w")?, settings(i)?);
    let ([n, c, h, wide], [top, bottom, left, right]) = (images(x)?, conv.padding);
    within_memory([n, images(w)?[0].max(c), h + top + bottom, wide + left + right])?;
    // That Keras's rule gave the padding changes nothing.
    i.attrs.flag("same", true)?;
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

/// The input gradient of the convolution of images of `size` by w, from its output gradient dy.
fn conv2d_input(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "dilation", "groups", "size"])?;
    let (dy, w, size) = (i.tensor("dy")?, i.tensor("w")?, i.attrs.sizes("size")?);
    within_memory([images(dy)?[0], images(w)?[1], size[0], size[1]])?;
    Ok(Outputs::one("y", dy.conv_transpose2d(w, settings(i)?, size)))
}

/// The weight gradient of the convolution of x, from its output gradient dy.
fn conv2d_weight(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "dilation", "groups", "kernel"])?;
    let (x, dy, kernel) = (i.tensor("x")?, i.tensor("dy")?, i.attrs.sizes("kernel")?);
    within_memory([images(x)?[1], images(dy)?[1], kernel[0], kernel[1]])?;
    Ok(Outputs::one("y", x.conv2d_weight(dy, settings(i)?, kernel)))
}

fn conv_transpose2d(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "output_padding", "dilation", "groups"])?;
    let extra = i.attrs.pair("output_padding", [0, 0])?;
    Ok(with_bias(i, transposed(i.tensor("x")?, i.tensor("w")?, settings(i)?, extra)?))
}

/// The transposed convolution with `extra` rows and columns after its result. Within a stride those belong to the result of
/// the convolution that it transposes; more than that first take back what the padding cut off, then are zeros.
pub fn transposed(x: &Tensor, w: &Tensor, conv: Conv2d, extra: [usize; 2]) -> Result<Tensor, Refusal> {
    let ([n, _, h, wide], [_, o, kh, kw]) = (images(x)?, images(w)?);
    let (mut conv, mut size, mut zeros) = (conv, [0; 2], [0; 2]);
    for (axis, (len, kernel)) in [(h, kh), (wide, kw)].into_iter().enumerate() {
        let full = (len.max(1) - 1) * conv.stride[axis] + (kernel.max(1) - 1) * conv.dilation[axis] + 1;
        let [before, after] = [conv.padding[2 * axis], conv.padding[2 * axis + 1]];
        let cropped = (full + extra[axis]).checked_sub(before + after);
        size[axis] = cropped.ok_or_else(|| Refusal::Failed("the padding is larger than the result".into()))?;
        if extra[axis] >= conv.stride[axis] {
            zeros[axis] = extra[axis].saturating_sub(after);
            conv.padding[2 * axis + 1] = after.saturating_sub(extra[axis]);
            size[axis] -= zeros[axis];
        }
    }
    within_memory([n, o.saturating_mul(conv.groups), size[0] + zeros[0], size[1] + zeros[1]])?;
    let y = x.conv_transpose2d(w, conv, size);
    Ok(if zeros == [0; 2] { y } else { y.pad(&[0; 4], &[0, 0, zeros[0], zeros[1]]) })
}

/// `padding`: a number, [h, w], or [top, bottom, left, right].
fn padding(i: &Inputs) -> Result<[usize; 4], Refusal> {
    if i.attrs.count("padding") == 4 {
        return i.attrs.sizes("padding");
    }
    let [h, w] = i.attrs.pair("padding", [0, 0])?;
    Ok([h, h, w, w])
}

fn keras_same(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["stride", "padding", "dilation", "groups", "output_size"])?;
    match i.attrs.text("padding", "same")? {
        "same" => {}
        other => return Err(Refusal::NotSupported(format!("padding = {other}"))),
    }
    let (x, w) = (i.tensor("x")?, i.tensor("w")?);
    let ([n, _, h, wide], [_, o, kh, kw]) = (images(x)?, images(w)?);
    let (stride, dilation) = (i.attrs.steps("stride")?, i.attrs.steps("dilation")?);
    let size = i.attrs.pair("output_size", [h * stride[0], wide * stride[1]])?;
    if size != [h * stride[0], wide * stride[1]] || kh * kw == 0 {
        return Err(Refusal::NotSupported("an output_size other than input · stride".into()));
    }
    within_memory([n, o, size[0], size[1]])?;
    let mut conv = Conv2d::same_transpose([h, wide], [kh, kw], stride, dilation);
    conv.groups = i.attrs.size("groups", 1)?;
    Ok(with_bias(i, x.conv_transpose2d(w, conv, size)))
}

//! ONNX convolutions and pools of images.

use super::Operator;
use super::node::Node;
use crate::ops::{Conv2d, Pool2d};
use crate::shape::{Padding, same_padding};
use crate::tensor::Tensor;
use crate::verify::conv::transposed;
use crate::verify::run::{Refusal, within_memory};

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "Conv" => conv,
        "ConvTranspose" => conv_transpose,
        "AveragePool" | "MaxPool" => pool,
        "GlobalAveragePool" | "GlobalMaxPool" => global,
        _ => return None,
    })
}

/// Images [N, C, H, W]; the engine has no other spatial ranks.
fn images<'a>(n: &'a Node) -> Result<&'a Tensor, Refusal> {
    let x = n.tensor(0)?;
    match x.rank() {
        4 => Ok(x),
        rank => Err(n.not_supported(format!("{} spatial axes (x {})", rank.saturating_sub(2), x.shape()))),
    }
}

/// A pair of sizes from 1.
fn pair(n: &Node, key: &str) -> Result<[usize; 2], Refusal> {
    let pair = n.attrs.pair(key, [1, 1])?;
    if pair.contains(&0) { Err(n.failed(format!("{key} = {pair:?} should be from 1"))) } else { Ok(pair) }
}

/// How the padding is found.
enum Auto {
    /// As `pads` says, as [top, bottom, left, right].
    Given(Padding),
    /// ceil(size / stride) places; `lower` puts the odd one before.
    Same { lower: bool },
}

fn padding(n: &Node) -> Result<Auto, Refusal> {
    let pads: [usize; 4] = if n.attrs.count("pads") > 0 { n.attrs.sizes("pads")? } else { [0; 4] };
    let [top, left, bottom, right] = pads;
    Ok(match n.attrs.text("auto_pad", "NOTSET")? {
        "NOTSET" => Auto::Given([top, bottom, left, right]),
        "VALID" => Auto::Given([0; 4]),
        "SAME_UPPER" => Auto::Same { lower: false },
        "SAME_LOWER" => Auto::Same { lower: true },
        other => return Err(n.not_supported(format!("auto_pad = {other}"))),
    })
}

/// Padding of [h, w] for windows of `kernel`.
fn resolved(auto: &Auto, size: [usize; 2], kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Padding {
    match *auto {
        Auto::Given(padding) => padding,
        Auto::Same { lower } => {
            let along = |d: usize| {
                let (few, many) = same_padding(size[d], kernel[d].max(1), stride[d], dilation[d]);
                if lower { [many, few] } else { [few, many] }
            };
            let ([top, bottom], [left, right]) = (along(0), along(1));
            [top, bottom, left, right]
        }
    }
}

fn kernel(n: &Node, w: &Tensor) -> Result<[usize; 2], Refusal> {
    if w.rank() != 4 {
        return Err(n.failed(format!("expects weights of 4 axes (x {}, W {})", n.tensor(0)?.shape(), w.shape())));
    }
    let kernel = [w.dim(2), w.dim(3)];
    match n.attrs.pair("kernel_shape", kernel)? {
        given if given == kernel => Ok(kernel),
        given => Err(n.failed(format!("kernel_shape {given:?} for weights {}", w.shape()))),
    }
}

fn with_bias(n: &Node, y: Tensor) -> Result<Vec<Tensor>, Refusal> {
    Ok(vec![n.maybe(2)?.map_or(y.clone(), |b| y.add_channel_bias(b))])
}

fn conv(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(&["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
    let (x, w) = (images(n)?, n.tensor(1)?);
    let (size, kernel) = ([x.dim(2), x.dim(3)], kernel(n, w)?);
    let (stride, dilation) = (pair(n, "strides")?, pair(n, "dilations")?);
    let padding = resolved(&padding(n)?, size, kernel, stride, dilation);
    let settings = Conv2d { stride, padding, dilation, groups: n.attrs.size("group", 1)? };
    if let Some([h, wide]) = settings.output_size(size, kernel) {
        within_memory([x.dim(0), w.dim(0), h, wide])?;
    }
    with_bias(n, x.conv2d(w, settings))
}

fn conv_transpose(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(&[
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "output_padding",
        "output_shape",
        "pads",
        "strides",
    ])?;
    let (x, w) = (images(n)?, n.tensor(1)?);
    let (size, kernel) = ([x.dim(2), x.dim(3)], kernel(n, w)?);
    let (stride, dilation) = (pair(n, "strides")?, pair(n, "dilations")?);
    let extra = n.attrs.pair("output_padding", [0, 0])?;
    let auto = padding(n)?;
    // The wanted size, where it decides the padding: the total is shared between before and after.
    let wanted = match (n.attrs.count("output_shape"), &auto) {
        (0, Auto::Given(_)) => None,
        (0, Auto::Same { .. }) => Some([size[0] * stride[0], size[1] * stride[1]]),
        (4, _) => n.attrs.sizes::<4>("output_shape").map(|[_, _, h, w]| Some([h, w]))?,
        _ => Some(n.attrs.sizes::<2>("output_shape")?),
    };
    let padding = match (wanted, &auto) {
        (None, Auto::Given(padding)) => *padding,
        (None, Auto::Same { .. }) => [0; 4],
        (Some(wanted), auto) => {
            let mut padding = [0; 4];
            for d in 0..2 {
                let full = (size[d].max(1) - 1) * stride[d] + extra[d] + (kernel[d].max(1) - 1) * dilation[d] + 1;
                let total = full.checked_sub(wanted[d]);
                let total =
                    total.ok_or_else(|| n.not_supported(format!("a result larger than {full} along an axis")))?;
                let (few, many) = (total / 2, total - total / 2);
                // The odd one goes after only where SAME_UPPER says so.
                let upper = matches!(auto, Auto::Same { lower: false });
                (padding[2 * d], padding[2 * d + 1]) = if upper { (few, many) } else { (many, few) };
            }
            padding
        }
    };
    let settings = Conv2d { stride, padding, dilation, groups: n.attrs.size("group", 1)? };
    with_bias(n, transposed(x, w, settings, extra)?)
}

fn pool(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    let is_max = n.op == "MaxPool";
    let known = ["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides"];
    n.attrs.only(&[&known[..], &[if is_max { "storage_order" } else { "count_include_pad" }]].concat())?;
    if n.outputs > 1 {
        return Err(n.not_supported("the output Indices"));
    }
    let x = images(n)?;
    let size = [x.dim(2), x.dim(3)];
    let (kernel, stride, dilation) = (n.attrs.sizes("kernel_shape")?, pair(n, "strides")?, pair(n, "dilations")?);
    let padding = resolved(&padding(n)?, size, kernel, stride, dilation);
    let ceil_mode = n.attrs.flag_number("ceil_mode", false)?;
    let pool = Pool2d { kernel, stride, padding, dilation, ceil_mode };
    Ok(vec![match is_max {
        true => x.max_pool2d(pool)?,
        false => x.avg_pool2d(pool, n.attrs.flag_number("count_include_pad", false)?),
    }])
}

fn global(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    n.attrs.only(&[])?;
    let x = images(n)?;
    Ok(vec![if n.op == "GlobalMaxPool" { x.global_max_pool2d() } else { x.global_avg_pool2d() }])
}

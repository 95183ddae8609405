//! ONNX's Resize.

use super::Operator;
use super::node::Node;
use crate::ops::resample::{Antialias, Coordinates, Nearest, Resize};
use crate::tensor::Tensor;
use crate::verify::run::{Refusal, within_memory};

pub fn operator(op: &str) -> Option<Operator> {
    (op == "Resize").then_some(resize as Operator)
}

fn coordinates(n: &Node) -> Result<Coordinates, Refusal> {
    // Version 10 knew no other.
    let default = if n.opset < 11 { "asymmetric" } else { "half_pixel" };
    Ok(match n.attrs.text("coordinate_transformation_mode", default)? {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::TorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => return Err(n.not_supported(format!("coordinate_transformation_mode = {other}"))),
    })
}

fn nearest(n: &Node) -> Result<Nearest, Refusal> {
    let default = if n.opset < 11 { "floor" } else { "round_prefer_floor" };
    Ok(match n.attrs.text("nearest_mode", default)? {
        "round_prefer_floor" => Nearest::PreferFloor,
        "round_prefer_ceil" => Nearest::PreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        other => return Err(n.not_supported(format!("nearest_mode = {other}"))),
    })
}

fn resize(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 11 { 2 } else { 4 })?;
    // Those that only cubic interpolation and cropping read are known and have no effect on others.
    let known = [
        "mode",
        "coordinate_transformation_mode",
        "nearest_mode",
        "exclude_outside",
        "extrapolation_value",
        "cubic_coeff_a",
        "axes",
        "antialias",
        "keep_aspect_ratio_policy",
    ];
    n.attrs.only(match n.opset {
        ..11 => &known[..1],
        11..18 => &known[..6],
        _ => &known,
    })?;
    let x = n.tensor(0)?;
    let axes = match n.attrs.wholes("axes")? {
        Some(axes) => n.places(&axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    let lengths: Vec<usize> = axes.iter().map(|&axis| x.dim(axis)).collect();
    // A list of no elements counts as left out.
    let scales = n.maybe(if n.opset < 11 { 1 } else { 2 })?.filter(|scales| !scales.is_empty());
    let sizes = n.maybe_wholes(3)?.filter(|(_, sizes)| !sizes.is_empty());
    let (outs, scales): (Vec<usize>, Vec<f64>) = match (scales, sizes) {
        (Some(scales), None) => {
            let scales = scales.to_vec_f64()?;
            let out = |(&len, &scale): (&usize, &f64)| (len as f64 * scale).floor();
            (lengths.iter().zip(&scales).map(|pair| out(pair) as usize).collect(), scales)
        }
        (None, Some((_, sizes))) if sizes.len() == axes.len() => {
            let sizes = sizes.iter().map(|&size| n.size(size)).collect::<Result<Vec<_>, _>>()?;
            let scales: Vec<f64> = sizes.iter().zip(&lengths).map(|(&out, &len)| out as f64 / len as f64).collect();
            // One scale for all axes, so that none is larger or smaller than wanted; a half rounds up.
            let shared = match n.attrs.text("keep_aspect_ratio_policy", "stretch")? {
                "stretch" => None,
                "not_larger" => scales.iter().copied().reduce(f64::min),
                "not_smaller" => scales.iter().copied().reduce(f64::max),
                other => return Err(n.not_supported(format!("keep_aspect_ratio_policy = {other}"))),
            };
            match shared {
                None => (sizes, scales),
                Some(scale) => {
                    let out = |&len: &usize| (scale * len as f64 + 0.5).floor() as usize;
                    (lengths.iter().map(out).collect(), vec![scale; lengths.len()])
                }
            }
        }
        _ => return Err(n.failed("expects scales or sizes, one an axis, and not both")),
    };
    let fits = scales.len() == axes.len() && scales.iter().all(|&s| s > 0.0 && s.is_finite());
    if !fits || lengths.contains(&0) || outs.contains(&0) {
        return Err(n.failed(format!("x {} cannot become {outs:?} on the axes {axes:?}", x.shape())));
    }
    let kept = (0..x.rank()).filter(|d| !axes.contains(d)).map(|d| x.dim(d));
    within_memory(kept.chain(outs.iter().copied()))?;
    let (coordinates, rule) = (coordinates(n)?, nearest(n)?);
    let antialias = match (n.attrs.flag_number("antialias", false)?, n.attrs.flag_number("exclude_outside", false)?) {
        (false, _) => Antialias::Off,
        (true, true) => Antialias::Inside,
        (true, false) => Antialias::Edge,
    };
    let mode = n.attrs.text("mode", "nearest")?;
    if !["nearest", "linear"].contains(&mode) {
        return Err(n.not_supported(format!("mode = {mode}")));
    }
    let mut y = x.clone();
    for (i, &axis) in axes.iter().enumerate() {
        let resize = Resize { out: outs[i], scale: scales[i], coordinates };
        if outs[i] == lengths[i] && scales[i] == 1.0 {
            continue;
        }
        y = match mode {
            "nearest" => y.resize_axis_nearest(axis, resize, rule),
            _ => y.resize_axis_linear(axis, resize, antialias),
        };
    }
    Ok(vec![y])
}

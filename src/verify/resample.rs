//! Resizing, pooling and padding.

use super::run::{Function, Inputs, Outputs, Refusal, within_memory};
use crate::ops::resample::{Antialias, Coordinates, Nearest, Resize};
use crate::ops::{PadMode, Pool2d};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "upsample_nearest" | "upsample_bilinear" | "resize_bilinear" => resize,
        "avg_pool2d" | "max_pool2d" => pool,
        "global_avg_pool2d" | "global_max_pool2d" => global,
        "pad_reflect" => pad,
        "sum_pool2d" => pool,
        "resize_nearest" => resize_nearest,
        "blur" => blur,
        _ => return None,
    })
}

fn images<'a>(i: &'a Inputs) -> Result<&'a Tensor, Refusal> {
    let x = i.tensor("x")?;
    if x.rank() == 4 { Ok(x) } else { Err(Refusal::Failed(format!("expects [N, C, H, W], not {}", x.shape()))) }
}

/// By `scale` (out = ⌊len·scale⌋) or to `size`.
fn resize(i: &Inputs) -> Result<Outputs, Refusal> {
    let nearest = i.op == "upsample_nearest";
    let known = ["scale", "size", "align_corners", "antialias", "coordinates"];
    i.attrs.only(if nearest { &known[..2] } else { &known })?;
    let x = images(i)?;
    let (align, antialias) = (i.attrs.flag("align_corners", false)?, i.attrs.flag("antialias", false)?);
    if align && antialias {
        return Err(Refusal::NotSupported("align_corners together with antialias".into()));
    }
    let by_size = i.attrs.has("size");
    if by_size && i.attrs.has("scale") {
        return Err(Refusal::NotSupported("size together with scale".into()));
    }
    let sizes = if by_size { i.attrs.pair("size", [0, 0])? } else { [0, 0] };
    let scales = if by_size { [0.0; 2] } else { i.attrs.numbers("scale")? };
    if align && i.attrs.has("coordinates") {
        return Err(Refusal::NotSupported("align_corners together with coordinates".into()));
    }
    let coordinates = match (nearest, align) {
        (true, _) => Coordinates::Asymmetric,
        (_, true) => Coordinates::AlignCorners,
        _ => coordinates(i, "half_pixel")?,
    };
    let outs = [0, 1].map(|d| if by_size { sizes[d] } else { (x.dim(d + 2) as f64 * scales[d]).floor() as usize });
    within_memory([x.dim(0), x.dim(1), outs[0], outs[1]])?;
    if outs.contains(&0) || x.is_empty() {
        return Err(Refusal::Failed(format!("{outs:?} pixels")));
    }
    let y = (0..2).fold(x.clone(), |x, d| {
        let (len, out) = (x.dim(d + 2), outs[d]);
        let scale = if by_size { out as f64 / len as f64 } else { scales[d] };
        let resize = Resize { out, scale, coordinates };
        if nearest {
            x.resize_axis_nearest(d + 2, resize, Nearest::Floor)
        } else {
            x.resize_axis_linear(d + 2, resize, if antialias { Antialias::Inside } else { Antialias::Off })
        }
    });
    Ok(Outputs::one("y", y))
}

/// To `size`, place o taken from place `coordinates`(o) by `rule` (docs/testing.md names both).
fn resize_nearest(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["size", "coordinates", "rule"])?;
    let (x, size) = (images(i)?, i.attrs.sizes("size")?);
    within_memory([x.dim(0), x.dim(1), size[0], size[1]])?;
    let rule = match i.attrs.text("rule", "floor")? {
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        "prefer_floor" => Nearest::PreferFloor,
        "prefer_ceil" => Nearest::PreferCeil,
        other => return Err(Refusal::NotSupported(format!("rule = {other}"))),
    };
    Ok(Outputs::one("y", x.resize_nearest_with(size, coordinates(i, "asymmetric")?, rule)))
}

fn coordinates(i: &Inputs, default: &str) -> Result<Coordinates, Refusal> {
    Ok(match i.attrs.text("coordinates", default)? {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => return Err(Refusal::NotSupported(format!("coordinates = {other}"))),
    })
}

/// Binomial filter of 3 or 4 `taps`; `pad_mode` says what lies outside.
fn blur(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["taps", "stride", "pad_mode"])?;
    let mode = match i.attrs.text("pad_mode", "zeros")? {
        "zeros" => None,
        "reflect" => Some(PadMode::Reflect),
        "edge" => Some(PadMode::Edge),
        "circular" => Some(PadMode::Circular),
        other => return Err(Refusal::NotSupported(format!("pad_mode = {other}"))),
    };
    Ok(Outputs::one("y", images(i)?.blur(i.attrs.size("taps", 3)?, i.attrs.size("stride", 1)?, mode)))
}

fn pool(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(match i.op {
        "max_pool2d" => &["k", "s", "p", "ceil_mode", "dilation"],
        "sum_pool2d" => &["k", "s", "p", "ceil_mode"],
        _ => &["k", "s", "p", "ceil_mode", "count_include_pad"],
    })?;
    let ([h, w], kernel) = (i.attrs.pair("p", [0, 0])?, i.attrs.pair("k", [0, 0])?);
    let x = images(i)?;
    // A window reaches out of the padded image by less than itself.
    within_memory([x.dim(2) + 2 * h, kernel[0]])?;
    within_memory([x.dim(3) + 2 * w, kernel[1]])?;
    within_memory([x.dim(0), x.dim(1), x.dim(2) + 2 * h, x.dim(3) + 2 * w])?;
    if kernel.contains(&0) {
        return Err(Refusal::Failed(format!("k = {kernel:?} should be from 1")));
    }
    let pool = Pool2d {
        kernel,
        stride: i.attrs.pair("s", kernel)?,
        padding: [h, h, w, w],
        dilation: i.attrs.steps("dilation")?,
        ceil_mode: i.attrs.flag("ceil_mode", false)?,
    };
    let y = match i.op {
        "max_pool2d" => x.max_pool2d(pool)?,
        "sum_pool2d" => x.sum_pool2d(pool),
        _ => x.avg_pool2d(pool, i.attrs.flag("count_include_pad", true)?),
    };
    Ok(Outputs::one("y", y))
}

fn global(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[])?;
    let x = images(i)?;
    Ok(Outputs::one("y", if i.op == "global_avg_pool2d" { x.global_avg_pool2d() } else { x.global_max_pool2d() }))
}

fn pad(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["pads_lrtb"])?;
    let [left, right, top, bottom] = i.attrs.sizes("pads_lrtb")?;
    Ok(Outputs::one("y", images(i)?.pad_mode(&[0, 0, top, left], &[0, 0, bottom, right], PadMode::Reflect)))
}

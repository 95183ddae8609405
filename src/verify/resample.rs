//! Resizing, pooling and padding.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::ops::resample::{Antialias, Coordinates, Nearest, Resize};
use crate::ops::{PadMode, Pool2d};
use crate::tensor::Tensor;

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "upsample_nearest" | "upsample_bilinear" | "resize_bilinear" => resize,
        "avg_pool2d" | "max_pool2d" => pool,
        "global_avg_pool2d" => global,
        "pad_reflect" => pad,
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
    i.attrs.only(if nearest { &["scale", "size"] } else { &["scale", "size", "align_corners", "antialias"] })?;
    let x = images(i)?;
    let (align, antialias) = (i.attrs.flag("align_corners", false)?, i.attrs.flag("antialias", false)?);
    if align && antialias {
        return Err(Refusal::NotSupported("align_corners together with antialias".into()));
    }
    let by_size = i.attrs.count("size") > 0;
    let sizes = if by_size { i.attrs.pair("size", [0, 0])? } else { [0, 0] };
    let scales = if by_size { [0.0; 2] } else { i.attrs.numbers("scale")? };
    let coordinates = match (nearest, align) {
        (true, _) => Coordinates::Asymmetric,
        (_, true) => Coordinates::AlignCorners,
        _ => Coordinates::HalfPixel,
    };
    let y = (0..2).fold(x.clone(), |x, d| {
        let len = x.dim(d + 2);
        let out = if by_size { sizes[d] } else { (len as f64 * scales[d]).floor() as usize };
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

fn pool(i: &Inputs) -> Result<Outputs, Refusal> {
    let is_max = i.op == "max_pool2d";
    i.attrs.only(if is_max {
        &["k", "s", "p", "ceil_mode", "dilation"]
    } else {
        &["k", "s", "p", "ceil_mode", "count_include_pad"]
    })?;
    let kernel = i.attrs.pair("k", [1, 1])?;
    let [h, w] = i.attrs.pair("p", [0, 0])?;
    let pool = Pool2d {
        kernel,
        stride: i.attrs.pair("s", kernel)?,
        padding: [h, h, w, w],
        dilation: i.attrs.pair("dilation", [1, 1])?,
        ceil_mode: i.attrs.flag("ceil_mode", false)?,
    };
    let x = images(i)?;
    let y = if is_max { x.max_pool2d(pool)? } else { x.avg_pool2d(pool, i.attrs.flag("count_include_pad", true)?) };
    Ok(Outputs::one("y", y))
}

fn global(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[])?;
    Ok(Outputs::one("y", images(i)?.global_avg_pool2d()))
}

fn pad(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["pads_lrtb"])?;
    let [left, right, top, bottom] = i.attrs.sizes("pads_lrtb")?;
    Ok(Outputs::one("y", images(i)?.pad_mode(&[0, 0, top, left], &[0, 0, bottom, right], PadMode::Reflect)))
}

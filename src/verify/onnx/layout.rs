//! ONNX operators that move elements.

use super::Operator;
use super::node::{Node, Value};
use crate::ops::{Indices, PadMode};
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::verify::run::{Refusal, within_memory};

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "Concat" => concat,
        "Split" => split,
        "Slice" => slice,
        "Pad" => pad,
        "Reshape" => reshape,
        "Flatten" => flatten,
        "Squeeze" => squeeze,
        "Unsqueeze" => unsqueeze,
        "Transpose" => transpose,
        "Expand" => expand,
        "Tile" => tile,
        "Gather" => gather,
        "GatherElements" => gather_elements,
        "Scatter" | "ScatterElements" => scatter_elements,
        "DepthToSpace" => depth_to_space,
        "SpaceToDepth" => space_to_depth,
        _ => return None,
    })
}

fn concat(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.attrs.only(&["axis"])?;
    let inputs = n.tensors()?;
    let first = inputs.first().ok_or_else(|| n.failed("no input"))?;
    // Before version 4 the axis was 1 unless given.
    let axis = match n.attrs.maybe_whole("axis")? {
        None if n.opset >= 4 => return Err(n.failed("the attribute axis is missing")),
        axis => n.place(axis.unwrap_or(1), first.rank())?,
    };
    Ok(vec![Tensor::concat(&inputs, axis)])
}

fn split(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 13 { 1 } else { 2 })?;
    n.attrs.only(match n.opset {
        ..13 => &["axis", "split"],
        13..18 => &["axis"],
        _ => &["axis", "num_outputs"],
    })?;
    let x = n.tensor(0)?;
    let axis = n.axis(0, x.rank())?;
    let len = x.dim(axis);
    let sizes = match n.list(1, "split", 13)? {
        Some(sizes) => sizes.iter().map(|&size| n.size(size)).collect::<Result<Vec<_>, _>>()?,
        None => {
            let parts = n.attrs.size("num_outputs", n.outputs)?;
            if parts == 0 || (n.opset < 18 && !len.is_multiple_of(parts)) {
                return Err(n.failed(format!("{len} elements in {parts} equal parts")));
            }
            // The last part may be smaller.
            let part = len.div_ceil(parts);
            (0..parts).map(|i| part.min(len.saturating_sub(i * part))).collect()
        }
    };
    Ok(x.split(axis, &sizes))
}

fn slice(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 10 { 1 } else { 5 })?;
    n.attrs.only(if n.opset < 10 { &["starts", "ends", "axes"] } else { &[] })?;
    let x = n.tensor(0)?;
    let needed = |list: Option<Vec<i64>>, name: &str| list.ok_or_else(|| n.failed(format!("{name} is missing")));
    let starts = needed(n.list(1, "starts", 10)?, "starts")?;
    let ends = needed(n.list(2, "ends", 10)?, "ends")?;
    let axes = match n.list(3, "axes", 10)? {
        Some(axes) => n.places(&axes, x.rank())?,
        None => (0..starts.len()).collect(),
    };
    let steps = n.maybe_wholes(4)?.map_or(vec![1; starts.len()], |(_, steps)| steps.to_vec());
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || axes.iter().any(|&axis| axis >= x.rank()) {
        return Err(n.failed(format!("starts {starts:?}, ends {ends:?}, axes {axes:?} and steps {steps:?} do not fit")));
    }
    let mut y = x.clone();
    for (i, &axis) in axes.iter().enumerate() {
        let (len, step) = (y.dim(axis) as i64, steps[i]);
        let from_start = |place: i64| if place < 0 { place.saturating_add(len) } else { place };
        let (start, end) = (from_start(starts[i]), from_start(ends[i]));
        if step == 0 {
            return Err(n.failed("a step of 0"));
        }
        // Backwards is forwards along the flipped axis, on which place p is len − 1 − p.
        let (start, end) = if step > 0 {
            (start.clamp(0, len), end.clamp(0, len))
        } else {
            y = y.flip(&[axis]);
            (len - 1 - start.clamp(-1, len - 1), len - 1 - end.clamp(-1, len - 1))
        };
        let step = step.unsigned_abs() as usize;
        let count = (end - start).max(0) as usize;
        let (mut from, mut by, mut size) = (vec![0; y.rank()], vec![1; y.rank()], y.shape().to_vec());
        size[axis] = count.div_ceil(step);
        (from[axis], by[axis]) = if size[axis] > 0 { (start as usize, step.min(len as usize)) } else { (0, 1) };
        y = y.slice(&from, &by, &size);
    }
    Ok(vec![y])
}

fn pad(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(match n.opset {
        ..11 => 1,
        11..18 => 3,
        _ => 4,
    })?;
    n.attrs.only(if n.opset < 11 { &["mode", "pads", "value"] } else { &["mode"] })?;
    let x = n.tensor(0)?;
    let pads = n.list(1, "pads", 11)?.ok_or_else(|| n.failed("pads are missing"))?;
    let value = match n.opset {
        ..11 => n.attrs.number("value", 0.0)?,
        _ if n.maybe(2)?.is_some() => n.number(2)?,
        _ => 0.0,
    };
    let axes = match n.maybe_wholes(3)? {
        Some((_, axes)) => n.places(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(n.failed(format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    // A negative pad takes elements away; that comes first.
    let (mut y, mut before, mut after) = (x.clone(), vec![0; x.rank()], vec![0; x.rank()]);
    for (i, &axis) in axes.iter().enumerate() {
        let (start, end) = (pads[i], pads[i + axes.len()]);
        let crop = |pad: i64| pad.min(0).unsigned_abs() as usize;
        let kept = y.dim(axis).checked_sub(crop(start)).and_then(|len| len.checked_sub(crop(end)));
        let kept = kept.ok_or_else(|| n.failed(format!("pads {start} and {end} of {} elements", y.dim(axis))))?;
        if kept < y.dim(axis) {
            y = y.narrow(axis, crop(start), kept);
        }
        (before[axis], after[axis]) = (n.size(start.max(0))?, n.size(end.max(0))?);
    }
    within_memory((0..y.rank()).map(|d| y.dim(d) + before[d] + after[d]))?;
    Ok(vec![match n.attrs.text("mode", "constant")? {
        "constant" => y.pad_value(&before, &after, value),
        "reflect" => y.pad_mode(&before, &after, PadMode::Reflect),
        "edge" => y.pad_mode(&before, &after, PadMode::Edge),
        "wrap" => y.pad_mode(&before, &after, PadMode::Circular),
        other => return Err(n.not_supported(format!("mode = {other}"))),
    }])
}

fn reshape(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 5 { 1 } else { 2 })?;
    n.attrs.only(match n.opset {
        ..5 => &["shape"],
        5..14 => &[],
        _ => &["allowzero"],
    })?;
    let x = n.tensor(0)?;
    let wanted = n.list(1, "shape", 5)?.ok_or_else(|| n.failed("the shape is missing"))?;
    let keep_zero = n.attrs.flag_number("allowzero", false)?;
    let size = |(d, &size): (usize, &i64)| match size {
        0 if !keep_zero => {
            x.shape().get(d).copied().ok_or_else(|| n.failed(format!("shape {wanted:?} copies axis {d}")))
        }
        -1 => Ok(1),
        _ => n.size(size),
    };
    let mut shape: Vec<usize> = wanted.iter().enumerate().map(size).collect::<Result<_, _>>()?;
    let known = within_memory(shape.iter().copied())?;
    match wanted.iter().filter(|&&size| size == -1).count() {
        0 => {}
        1 if known > 0 && x.len().is_multiple_of(known) => {
            shape[wanted.iter().position(|&size| size == -1).unwrap_or(0)] = x.len() / known;
        }
        _ => return Err(n.failed(format!("the shape {wanted:?} does not fit (x {})", x.shape()))),
    }
    Ok(vec![x.reshape(shape)])
}

fn flatten(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    n.attrs.only(&["axis"])?;
    let x = n.tensor(0)?;
    // An axis may also be the rank: all of it in the rows.
    let axis = n.attrs.whole("axis", 1)?;
    let axis = if axis == x.rank() as i64 { x.rank() } else { n.place(axis, x.rank())? };
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    Ok(vec![x.reshape([product(&x.shape()[..axis]), product(&x.shape()[axis..])])])
}

fn squeeze(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 13 { 1 } else { 2 })?;
    n.attrs.only(if n.opset < 13 { &["axes"] } else { &[] })?;
    let x = n.tensor(0)?;
    let axes = match n.list(1, "axes", 13)? {
        Some(axes) => n.places(&axes, x.rank())?,
        None => (0..x.rank()).filter(|&d| x.dim(d) == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&axis| x.dim(axis) != 1) {
        return Err(n.failed(format!("axis {axis} is not of size 1 (x {})", x.shape())));
    }
    Ok(vec![x.reshape((0..x.rank()).filter(|d| !axes.contains(d)).map(|d| x.dim(d)).collect::<Vec<_>>())])
}

fn unsqueeze(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(if n.opset < 13 { 1 } else { 2 })?;
    n.attrs.only(if n.opset < 13 { &["axes"] } else { &[] })?;
    let x = n.tensor(0)?;
    let axes = n.list(1, "axes", 13)?.ok_or_else(|| n.failed("axes are missing"))?;
    Ok(vec![x.insert_axes(&n.places(&axes, x.rank() + axes.len())?)])
}

fn transpose(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(1)?;
    n.attrs.only(&["perm"])?;
    let x = n.tensor(0)?;
    let order = match n.attrs.wholes("perm")? {
        Some(order) => n.places(&order, x.rank())?,
        None => (0..x.rank()).rev().collect(),
    };
    Ok(vec![x.permute(&order)])
}

fn expand(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    n.attrs.only(&[])?;
    let (x, (_, shape)) = (n.tensor(0)?, n.wholes(1)?);
    let shape = Shape::from(shape.iter().map(|&size| n.size(size)).collect::<Result<Vec<_>, _>>()?);
    // The shape may also be the smaller one of an axis.
    let both = Shape::broadcast(x.shape(), &shape);
    let both = both.ok_or_else(|| n.failed(format!("x {} does not broadcast to {shape}", x.shape())))?;
    within_memory(both.iter().copied())?;
    Ok(vec![x.expand(both)])
}

fn tile(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    n.attrs.only(&[])?;
    let (x, (_, times)) = (n.tensor(0)?, n.wholes(1)?);
    let times = times.iter().map(|&times| n.size(times)).collect::<Result<Vec<_>, _>>()?;
    within_memory(x.shape().iter().zip(&times).map(|(size, times)| size * times))?;
    Ok(vec![x.tile(&times)])
}

fn gather(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    n.attrs.only(&["axis"])?;
    let (x, (shape, indices)) = (n.tensor(0)?, n.wholes(1)?);
    let axis = n.axis(0, x.rank())?;
    let index = |&index: &i64| n.place(index, x.dim(axis)).map(|index| index as u32);
    let indices = indices.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    let y = x.index_select(axis, &Indices::new(n.device, [indices.len()], indices))?;
    Ok(vec![y.reshape([&x.shape()[..axis], shape, &x.shape()[axis + 1..]].concat())])
}

/// One element a place of the indices, which may be shorter than x along the other axes.
fn gather_elements(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    n.attrs.only(&["axis"])?;
    let (x, (shape, indices)) = (n.tensor(0)?, n.wholes(1)?);
    let (axis, places) = places_along(n, x, shape, indices)?;
    let y = (0..x.rank()).filter(|&d| d != axis).fold(x.clone(), |y, d| y.narrow(d, 0, shape[d]));
    Ok(vec![y.gather(axis, &Indices::new(n.device, shape, places))?])
}

/// The axis, and the indices along it counted from its start.
fn places_along(n: &Node, x: &Tensor, shape: &[usize], indices: &[i64]) -> Result<(usize, Vec<u32>), Refusal> {
    let axis = n.axis(0, x.rank())?;
    let fits = |d: usize| d == axis || shape[d] <= x.dim(d);
    if shape.len() != x.rank() || !(0..x.rank()).all(fits) {
        return Err(n.failed(format!("the indices {shape:?} reach beyond x {}", x.shape())));
    }
    let place = |&index: &i64| n.place(index, x.dim(axis)).map(|index| index as u32);
    Ok((axis, indices.iter().map(place).collect::<Result<_, _>>()?))
}

/// The updates put at their places, or added there.
fn scatter_elements(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    n.attrs.only(if n.op == "Scatter" || n.opset < 16 { &["axis"] } else { &["axis", "reduction"] })?;
    let (x, (shape, indices), updates) = (n.tensor(0)?, n.wholes(1)?, n.tensor(2)?);
    let (axis, along) = places_along(n, x, shape, indices)?;
    if updates.shape()[..] != *shape {
        return Err(n.failed(format!("updates {} for indices {shape:?}", updates.shape())));
    }
    // The place in x, row-major.
    let place = |(at, &along): (usize, &u32)| {
        let (mut rest, mut place, mut stride) = (at, 0, 1);
        for d in (0..shape.len()).rev() {
            place += stride * if d == axis { along as usize } else { rest % shape[d] };
            rest /= shape[d];
            stride *= x.dim(d);
        }
        place as u32
    };
    let places: Vec<u32> = along.iter().enumerate().map(place).collect();
    let mut is_set = vec![0.0; x.len()];
    places.iter().for_each(|&place| is_set[place as usize] += 1.0);
    let (flat, updates) = (x.reshape([x.len()]), updates.reshape([places.len()]));
    let places = Indices::new(n.device, [places.len()], places);
    let y = match n.attrs.text("reduction", "none")? {
        "add" => flat.scatter_add(0, &places, &updates)?,
        "none" if is_set.iter().any(|&times| times > 1.0) => {
            return Err(n.not_supported("two updates of one place"));
        }
        "none" => {
            let new = Tensor::zeros(n.device, flat.shape()).scatter_add(0, &places, &updates)?;
            Tensor::from_f64(n.device, flat.shape(), &is_set).select(&new, &flat)
        }
        other => return Err(n.not_supported(format!("reduction = {other}"))),
    };
    Ok(vec![y.reshape(x.shape())])
}

fn block(n: &Node) -> Result<(Tensor, usize), Refusal> {
    n.inputs_to(1)?;
    let (x, r) = (n.tensor(0)?, n.attrs.size("blocksize", 0)?);
    match x.rank() == 4 && r > 0 {
        true => Ok((x.clone(), r)),
        false => Err(n.failed(format!("expects images and a blocksize (x {}, blocksize {r})", x.shape()))),
    }
}

fn depth_to_space(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.attrs.only(&["blocksize", "mode"])?;
    let (x, r) = block(n)?;
    Ok(vec![match n.attrs.text("mode", "DCR")? {
        "CRD" => x.pixel_shuffle(r),
        // The block's place is the outer part of the channel.
        "DCR" => {
            let (batch, c, h, w) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
            let x = x.reshape([batch, r * r, c / (r * r), h, w]).permute(&[0, 2, 1, 3, 4]);
            x.reshape([batch, c, h, w]).pixel_shuffle(r)
        }
        other => return Err(n.not_supported(format!("mode = {other}"))),
    }])
}

/// The inverse of DepthToSpace in DCR mode.
fn space_to_depth(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.attrs.only(&["blocksize"])?;
    let (x, r) = block(n)?;
    let (batch, c) = (x.dim(0), x.dim(1));
    let y = x.pixel_unshuffle(r);
    let (h, w) = (y.dim(2), y.dim(3));
    let y = y.reshape([batch, c, r * r, h, w]).permute(&[0, 2, 1, 3, 4]);
    Ok(vec![y.reshape([batch, c * r * r, h, w])])
}

/// `Constant`: numbers or whole numbers, nested as their axes are.
pub fn constant(n: &Node) -> Result<Value, Refusal> {
    n.inputs_to(0)?;
    n.attrs.only(&["value"])?;
    let (shape, numbers) = n.attrs.nested("value")?;
    let whole = |v: &serde_json::Number| v.as_i64();
    Ok(match numbers.iter().map(whole).collect::<Option<Vec<i64>>>() {
        Some(values) if !numbers.is_empty() => Value::Wholes { shape, values },
        _ => {
            let values: Vec<f64> = numbers.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
            Value::Tensor(Tensor::from_f64(n.device, shape, &values))
        }
    })
}

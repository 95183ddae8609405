//! A learnt style applied to a picture of any size, in any strength; several by weights, colours kept, parts left out.

use super::game::{MARGIN, MULTIPLE};
use super::picture::Content;
use super::planes::{Planes, bilinear};
use super::{Config, Style, within};
use crate::error::Result;
use crate::models::Stylist;
use crate::tensor::{Device, no_grad};
use rayon::prelude::*;

/// A learnt style.
pub struct Restyler {
    /// The network.
    pub network: Stylist,
    /// The style.
    pub style: Style,
    /// How it was learnt.
    pub config: Config,
    device: Device,
}

/// What a style changes in a picture at strength 1.
pub struct Change {
    /// What is added to the part that it restyles, [3, H, W]; elsewhere anything.
    planes: Planes,
    /// How much of each pixel is restyled, if not all.
    shares: Option<Vec<f32>>,
    /// What is added to the rest.
    ground: [f32; 3],
    /// The least and greatest value of each channel that the style has, but for its outermost hundredths.
    limits: [[f32; 2]; 3],
}

impl Restyler {
    /// A network that was trained on this style.
    pub fn new(network: Stylist, style: Style, config: Config, device: &Device) -> Restyler {
        Restyler { network, style, config, device: device.clone() }
    }

    /// What the style changes in a picture, at the picture's own size.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn change(&self, content: &Content) -> Result<Change> {
        change(&self.network, &self.style, &self.config, content, &self.device)
    }
}

/// As [`Restyler::change`]. The network sees the picture no larger than `config.size`. Where the picture is larger, gates
/// and offsets are enlarged, and picture and cloth are taken at full detail.
///
/// # Errors
/// What went wrong on the device.
pub fn change(network: &Stylist, style: &Style, config: &Config, content: &Content, device: &Device) -> Result<Change> {
    let own = content.size();
    let (part, shares) = content.part(style.thing.is_some());
    let picture = content.filled(part);
    let size = within(own, config.size);
    let x = picture.resized(size).widened(MARGIN, MULTIPLE);
    let z = style.quilt.window(&style.small, [0; 2], x.size);
    let painted = no_grad(|| network.paint(&x.tensor(device), &z.tensor(device)).0).to_vec()?;

    let [scale_h, scale_w] = [0, 1].map(|axis| size[axis] as f32 / own[axis] as f32);
    let detail = &style.detail;
    let to_detail = [0, 1].map(|axis| detail.size[axis] as f32 / style.small.size[axis] as f32);
    let same = size == own;
    let (plane, area) = (x.area(), own[0] * own[1]);
    let mut values = vec![0.0; 3 * area];
    values.par_chunks_mut(own[1]).enumerate().for_each(|(line, values)| {
        let (c, i) = (line / own[0], line % own[0]);
        let row = (i as f32 + 0.5) * scale_h - 0.5 + MARGIN as f32;
        for (j, value) in values.iter_mut().enumerate() {
            let column = (j as f32 + 0.5) * scale_w - 0.5 + MARGIN as f32;
            let cell = [(row + 0.5) as usize, (column + 0.5) as usize];
            let cloth = if same {
                z.values[c * plane + cell[0] * x.size[1] + cell[1]]
            } else {
                let [v, u] = style.quilt.from[cell[0] * style.quilt.size[1] + cell[1]];
                let place = [v as f32 + row - cell[0] as f32, u as f32 + column - cell[1] as f32];
                let place = [0, 1].map(|axis| (place[axis] + 0.5) * to_detail[axis] - 0.5);
                bilinear(&detail.values[c * detail.area()..][..detail.area()], detail.size, place[0], place[1])
            };
            let map = |k: usize| bilinear(&painted[k * plane..][..plane], x.size, row, column);
            *value = map(c) * (cloth - picture.values[line * own[1] + j]) + map(3 + c);
        }
    });
    // Thing by thing, ground by ground: the ground takes the colour of the style's.
    let ground = match (&content.area, &content.thing, style.ground) {
        (None, Some(thing), Some(ground)) if shares.is_some() => {
            let own = super::mean_outside(&content.planes, thing).unwrap_or(ground);
            [0, 1, 2].map(|c| ground[c] - own[c])
        }
        _ => [0.0; 3],
    };
    Ok(Change { planes: Planes { size: own, values }, shares, ground, limits: limits(style) })
}

/// The range of each channel's values inside a style.
fn limits(style: &Style) -> [[f32; 2]; 3] {
    let area = style.small.area();
    [0, 1, 2].map(|c| {
        let inside = |i: &usize| style.inside.as_ref().is_none_or(|inside| inside[*i]);
        let mut values: Vec<f32> = (0..area).filter(inside).map(|i| style.small.values[c * area + i]).collect();
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        [at(0.01), at(0.99)]
    })
}

/// The picture x + strength·Σ of the weighted changes, each with its weight: means of places are averaged by the weights,
/// what differs from them keeps its contrast (divided by √Σw² instead of Σw = 1; Heitz and Neyret 2018). With
/// `keep_colour` it takes the luma (Rec. 709) from there and everything else from x. Strength 0 gives x; above 1 values go
/// no further than the styles' own or those of strength 1.
pub fn restyled(content: &Content, changes: &[(f64, &Change)], strength: f64, keep_colour: bool) -> Planes {
    let area = content.planes.area();
    let change = mixed(changes);
    let total: f64 = changes.iter().map(|(weight, _)| weight).sum();
    let ground =
        |c: usize| changes.iter().map(|(w, change)| w / total * f64::from(change.ground[c])).sum::<f64>() as f32;
    let ground = [0, 1, 2].map(ground);
    let limit = |c: usize| {
        let of = |k: usize| changes.iter().map(move |(_, change)| change.limits[c][k]);
        (of(0).fold(f32::INFINITY, f32::min), of(1).fold(f32::NEG_INFINITY, f32::max))
    };
    let limits = [0, 1, 2].map(limit);
    let share = |i: usize| {
        let of = |(w, change): &(f64, &Change)| w / total * change.shares.as_ref().map_or(1.0, |s| f64::from(s[i]));
        changes.iter().map(of).sum::<f64>() as f32
    };
    let (strength, x) = (strength as f32, &content.planes.values);
    let mut values = x.clone();
    for i in 0..area {
        let share = share(i);
        let own = [0, 1, 2].map(|c| x[c * area + i]);
        let mut added = [0, 1, 2].map(|c| strength * (share * change[c * area + i] + (1.0 - share) * ground[c]));
        if strength > 1.0 {
            for c in 0..3 {
                let once = added[c] / strength;
                let (low, high) = (limits[c].0 - own[c], limits[c].1 - own[c]);
                added[c] = added[c].clamp(low.min(once), high.max(once));
            }
        }
        if added == [0.0; 3] {
            continue;
        }
        if keep_colour {
            let luma = |p: [f32; 3]| 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2];
            let y = [0, 1, 2].map(|c| (own[c] + added[c]).clamp(-1.0, 1.0));
            added = [luma(y) - luma(own); 3];
        }
        for c in 0..3 {
            values[c * area + i] = (own[c] + added[c]).clamp(-1.0, 1.0);
        }
    }
    Planes { size: content.size(), values }
}

fn mixed(changes: &[(f64, &Change)]) -> Vec<f32> {
    if let [(_, only)] = changes {
        return only.planes.values.clone();
    }
    let total: f64 = changes.iter().map(|(weight, _)| weight).sum();
    let square = changes.iter().map(|(weight, _)| (weight / total).powi(2)).sum::<f64>().sqrt();
    let mut sum = vec![0.0f32; changes[0].1.planes.values.len()];
    for (weight, Change { planes, .. }) in changes {
        let weight = weight / total;
        let mean = planes.blurred((planes.size[0].max(planes.size[1]) / 12).max(1));
        for ((sum, &value), mean) in sum.iter_mut().zip(&planes.values).zip(mean.values) {
            *sum += (weight * f64::from(mean) + weight / square * f64::from(value - mean)) as f32;
        }
    }
    sum
}

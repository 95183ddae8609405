//! How far results are from their styles and from their content, and the sheet that shows both.

use super::Args;
use super::record::{provenance, style_name};
use crate::error::Result;
use crate::metrics::colour::colour_distance;
use crate::metrics::edges::edge_agreement;
use crate::metrics::patches::{View, patch_distance};
use crate::metrics::silhouette::{overlap, silhouette};
use crate::report::{labelled_sheet, save_png};
use crate::train::stylize::{self, Change, Content, Planes, Restyler, within};
use image::{DynamicImage, RgbImage, imageops};
use std::path::Path;

/// How far a result is from its style and from its content.
pub(super) struct Measures {
    style: usize,
    strength: f64,
    /// Patch distance to the style, share of black to white.
    patches: f64,
    /// ΔE to the style.
    colour: f64,
    /// Correlation of edge maps with the content.
    edges: f64,
    /// Silhouette IoU with the content, if it shows a thing on a plain ground.
    cut: Option<f64>,
}

impl Measures {
    /// Measured at the size that was learnt on, inside what is restyled.
    pub(super) fn of(content: &Content, result: &Planes, style: &Restyler, strength: f64) -> Measures {
        let size = within(content.size(), style.config.size);
        let (part, _) = content.part(style.style.thing.is_some());
        let part = part.map(|part| stylize::resized_area(part, content.size(), size));
        let (result, own) = (result.resized(size), content.planes.resized(size));
        let shape = [3, size[0], size[1]];
        let other = &style.style.small;
        let inside = style.style.inside.as_deref();
        let view = |planes: &'_ Planes| [3, planes.size[0], planes.size[1]];
        let patches = patch_distance(
            View { values: &result.values, shape, area: part.as_deref() },
            View { values: &other.values, shape: view(other), area: inside },
        );
        let colour = colour_distance(&result.values, part.as_deref(), &other.values, inside);
        let edges = edge_agreement(&result.values, &own.values, shape, None);
        let cut = content
            .thing
            .as_ref()
            .filter(|_| !content.transparent)
            .map(|_| overlap(&silhouette(&result.values, shape), &silhouette(&own.values, shape)));
        Measures { style: 0, strength, patches, colour, edges, cut }
    }

    pub(super) fn line(&self, names: &[String]) -> String {
        let Measures { style, strength, patches, colour, edges, cut } = self;
        let cut = cut.map_or(String::new(), |cut| format!("  silhouette IoU {cut:.3}"));
        format!(
            "{}, strength {strength}: to the style {patches:.3} (patches), {colour:.1} ΔE (colours); with the content \
             {edges:.3} (edges){cut}",
            names[*style]
        )
    }

    pub(super) fn json(&self, names: &[String]) -> serde_json::Value {
        serde_json::json!({
            "style": names[self.style], "strength": self.strength, "patch_distance": self.patches,
            "colour_distance": self.colour, "edge_agreement": self.edges, "silhouette_iou": self.cut,
        })
    }
}

/// The grid of styles and strengths, and its measures.
pub(super) fn sheet(
    args: &Args,
    path: &Path,
    content: &Content,
    pictures: &[DynamicImage],
    learnt: &[Restyler],
    changes: &[Change],
) -> Result<Vec<Measures>> {
    let [h, w] = content.size();
    let longest = h.max(w).clamp(96, 384);
    let [ch, cw] = {
        let [th, tw] = within([h, w], longest);
        // Small pictures are shown larger.
        let scale = (longest / th.max(tw)).max(1);
        [th * scale, tw * scale]
    };
    let shown = |picture: &DynamicImage| -> RgbImage {
        let scaled = picture.resize(cw as u32, ch as u32, imageops::FilterType::Triangle).to_rgba8();
        let mut canvas = RgbImage::from_pixel(cw as u32, ch as u32, image::Rgb([255; 3]));
        let (x, y) = ((cw as u32 - scaled.width()) / 2, (ch as u32 - scaled.height()) / 2);
        for (px, py, pixel) in scaled.enumerate_pixels() {
            let over = |c: usize| (u32::from(pixel[c]) * u32::from(pixel[3]) + 255 * (255 - u32::from(pixel[3]))) / 255;
            canvas.put_pixel(x + px, y + py, image::Rgb([0, 1, 2].map(|c| over(c) as u8)));
        }
        canvas
    };
    let (mut cells, mut measured) = (Vec::new(), Vec::new());
    for (k, style) in learnt.iter().enumerate() {
        cells.push(shown(&pictures[k]));
        for &strength in &args.strengths {
            let planes = stylize::restyled(content, &[(1.0, &changes[k])], strength, args.keep_colour);
            measured.push(Measures { style: k, ..Measures::of(content, &planes, style, strength) });
            cells.push(shown(&DynamicImage::from(content.picture(&planes))));
        }
    }
    let mut columns = vec!["style".to_string()];
    columns.extend(args.strengths.iter().map(|strength| format!("strength {strength}")));
    let rows: Vec<String> = args.styles.iter().map(|path| style_name(path)).collect();
    let title = format!("{} restyled", style_name(&args.content));
    let (grid, tiling) = labelled_sheet(&cells, columns.len(), &rows, &columns, &title);
    let strengths: Vec<String> = args.strengths.iter().map(f64::to_string).collect();
    let made = provenance(args)?.with("strengths", strengths.join(", ")).tiles(&tiling);
    save_png(path, &grid, made.text(), args.common.force)?;
    Ok(measured)
}

//! The curves of a run as one SVG of two panels: what training minimises above, what tells how the game stands below.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

/// What one panel shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel<'a> {
    /// The vertical axis's name.
    pub unit: &'a str,
    /// The vertical axis's ends; found from the values if `None`.
    pub range: Option<(f64, f64)>,
    /// The curves: how each is called in the picture, and the name of its column. At most six.
    pub curves: Vec<(&'a str, &'a str)>,
}

/// Width and height of the picture, in CSS pixels.
const SIZE: (u32, u32) = (900, 600);
/// Units a CSS pixel: plotters rounds to whole units, which alone would make steps in smooth lines.
const FINE: u32 = 2;
/// The most pairs of points of one raw line, and points of one mean: what 900 pixels can show, and some 100 kB.
const MOST_POINTS: usize = 500;

const COLOURS: [RGBColor; 6] = [
    RGBColor(24, 110, 122),
    RGBColor(209, 73, 91),
    RGBColor(222, 150, 40),
    RGBColor(104, 80, 160),
    RGBColor(90, 150, 70),
    RGBColor(120, 100, 90),
];
const INK: RGBColor = RGBColor(52, 50, 56);
const QUIET: RGBColor = RGBColor(122, 118, 126);
const MESH: RGBColor = RGBColor(232, 229, 226);

/// Draws the columns that the panels name under `title`: a self-contained SVG, 900 x 600 CSS pixels, below some 200 kB for
/// any number of rows. `steps` are in order; `column` gives a value for each, NaN where nothing was recorded.
///
/// Light lines show every row (beyond about a thousand: the least and greatest of each group), bold lines a moving
/// mean. Values far beyond the rest are cut at the axis, and the heading says so. Rows with a NaN or infinity are
/// marked by a cross; a column that is NaN throughout counts as not recorded and gives no line.
pub fn curves_plot(steps: &[u64], panels: &[Panel; 2], column: impl Fn(&str) -> Vec<f64>, title: &str) -> String {
    let mut svg = String::new();
    draw(&mut svg, steps, panels, column, title).expect("drawing into memory does not fail");
    let (w, h) = SIZE;
    let fine = format!("<svg width=\"{}\" height=\"{}\"", w * FINE, h * FINE);
    svg.replacen(&fine, &format!("<svg width=\"{w}\" height=\"{h}\""), 1)
}

/// One curve: its name, its colour, and a value a row.
struct Curve<'a> {
    name: &'a str,
    colour: RGBColor,
    values: Vec<f64>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

fn draw(svg: &mut String, steps: &[u64], panels: &[Panel; 2], column: impl Fn(&str) -> Vec<f64>, title: &str) -> Drawn {
    let root = SVGBackend::with_string(svg, (SIZE.0 * FINE, SIZE.1 * FINE)).into_drawing_area();
    root.fill(&WHITE)?;
    let (top, rest) = root.split_vertically(42 * FINE);
    top.draw_text(title, &text(17, &INK, HPos::Left), (px(20), px(24)))?;
    let steps: Vec<f64> = steps.iter().map(|&step| step as f64).collect();
    let (upper, lower) = rest.split_vertically(300 * FINE);
    for (area, shown) in [upper, lower].iter().zip(panels) {
        let named = shown.curves.iter().zip(COLOURS.iter().cycle());
        let curves: Vec<Curve> =
            named.map(|(&(name, key), &colour)| Curve { name, colour, values: column(key) }).collect();
        let (range, cut) = shown.range.map_or_else(|| loss_range(&curves), |range| (range, None));
        panel(area, shown.unit, &steps, &curves, range, cut)?;
    }
    root.present()?;
    Ok(())
}

fn panel(area: &Area, unit: &str, steps: &[f64], curves: &[Curve], range: (f64, f64), cut: Option<String>) -> Drawn {
    let (head, body) = area.split_vertically(26 * FINE);
    let (low, high) = range;
    let span = x_range(steps);
    let mut chart = ChartBuilder::on(&body)
        .margin_right(24 * FINE)
        .margin_left(12 * FINE)
        .margin_top(4 * FINE)
        .x_label_area_size(42 * FINE)
        .y_label_area_size(56 * FINE)
        .build_cartesian_2d(span.0..span.1, low..high)?;
    chart
        .configure_mesh()
        .x_labels(9)
        .y_labels(6)
        .max_light_lines(0)
        .bold_line_style(MESH.stroke_width(FINE))
        .axis_style(QUIET.stroke_width(FINE))
        .label_style(text(12, &INK, HPos::Center))
        .axis_desc_style(text(13, &INK, HPos::Center))
        .x_desc("step")
        .y_desc(unit)
        .x_label_formatter(&|step| step_label(*step))
        .y_label_formatter(&|value| value_label(*value, high - low))
        .draw()?;

    let window = mean_window(steps.len());
    let light = |colour: RGBColor| colour.mix(if window > 1 { 0.3 } else { 1.0 }).stroke_width(FINE);
    // Cut at the axis before the mean, so that one value of 10,000 does not lift the mean of a thousand rows.
    let shown = |curve: &Curve| -> Vec<f64> {
        curve.values.iter().map(|v| if v.is_finite() { v.clamp(low, high) } else { f64::NAN }).collect()
    };
    for curve in curves {
        draw_lines(&mut chart, envelope(steps, &shown(curve)), light(curve.colour))?;
    }
    if window > 1 {
        for curve in curves {
            let bold = curve.colour.stroke_width(2 * FINE + 1);
            draw_lines(&mut chart, moving_mean(steps, &shown(curve), window), bold)?;
        }
    }
    let crosses = not_numbers(steps, curves, span);
    chart.draw_series(
        crosses.iter().map(|&x| Cross::new((x, high - 0.03 * (high - low)), px(4), INK.stroke_width(FINE))),
    )?;
    legend(&head, curves, !crosses.is_empty())?;
    let recorded = curves.iter().flat_map(|curve| &curve.values).any(|v| v.is_finite());
    let notes: Vec<String> = match window {
        _ if steps.is_empty() => vec!["no rows yet".into()],
        _ if !recorded => vec!["not recorded".into()],
        1 => cut.into_iter().collect(),
        _ => std::iter::once(format!("bold: mean of {window} rows")).chain(cut).collect(),
    };
    head.draw_text(&notes.join("; "), &text(12, &QUIET, HPos::Right), (px(SIZE.0 as i32 - 24), px(14)))?;
    Ok(())
}

/// The names of the curves in a row above the panel, where they hide no data.
fn legend(head: &Area, curves: &[Curve], crosses: bool) -> Drawn {
    let mut x = 68;
    for curve in curves.iter().filter(|curve| curve.values.iter().any(|v| v.is_finite())) {
        head.draw(&PathElement::new([(px(x), px(14)), (px(x + 22), px(14))], curve.colour.stroke_width(3 * FINE)))?;
        head.draw_text(curve.name, &text(13, &INK, HPos::Left), (px(x + 28), px(14)))?;
        x += 28 + 8 * curve.name.len() as i32 + 18;
    }
    if crosses {
        head.draw(&Cross::new((px(x + 4), px(14)), px(4), INK.stroke_width(FINE)))?;
        head.draw_text("not a number", &text(13, &INK, HPos::Left), (px(x + 14), px(14)))?;
    }
    Ok(())
}

fn px(css: i32) -> i32 {
    css * FINE as i32
}

fn text(size: u32, colour: &'static RGBColor, across: HPos) -> TextStyle<'static> {
    // plotters divides by 1.24 on the way to SVG.
    let font = ("sans-serif", f64::from(size * FINE) * 1.24);
    TextStyle::from(font).color(colour).pos(Pos::new(across, VPos::Center))
}

type Points = Vec<(f64, f64)>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw_lines(chart: &mut Chart, lines: Vec<Points>, style: ShapeStyle) -> Drawn {
    for line in lines {
        // A line of one point would be invisible.
        if let [point] = line[..] {
            chart.draw_series([Circle::new(point, px(3), ShapeStyle { filled: true, ..style })])?;
        } else {
            chart.draw_series([PathElement::new(line, style)])?;
        }
    }
    Ok(())
}

/// The values as lines, broken where values are not finite; of many rows, the least and greatest of each group.
fn envelope(steps: &[f64], values: &[f64]) -> Vec<Points> {
    let group = values.len().div_ceil(MOST_POINTS).max(1);
    let mut lines = vec![Points::new()];
    for (xs, ys) in steps.chunks(group).zip(values.chunks(group)) {
        let finite = || (0..ys.len()).filter(|&i| ys[i].is_finite());
        let least = finite().min_by(|&i, &j| ys[i].total_cmp(&ys[j]));
        let greatest = finite().max_by(|&i, &j| ys[i].total_cmp(&ys[j]));
        let line = lines.last_mut().expect("begins with one line");
        match (least, greatest) {
            (Some(i), Some(j)) => {
                line.push((xs[i.min(j)], ys[i.min(j)]));
                if i != j {
                    line.push((xs[i.max(j)], ys[i.max(j)]));
                }
            }
            _ if line.is_empty() => {}
            _ => lines.push(Points::new()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The rows of a moving mean: an odd number, 1 (no mean) for so few rows that the mean would hide them.
fn mean_window(rows: usize) -> usize {
    if rows < 12 { 1 } else { (rows / 30).max(2) | 1 }
}

/// Means over `window` rows around each of at most [`MOST_POINTS`] rows; none where half of them are not finite.
fn moving_mean(steps: &[f64], values: &[f64], window: usize) -> Vec<Points> {
    let mut lines = vec![Points::new()];
    let stride = values.len().div_ceil(MOST_POINTS).max(1);
    // The last row too, so that the line ends where the data does.
    let last = values.len().saturating_sub(1);
    let places = (0..last).step_by(stride).chain((!values.is_empty()).then_some(last));
    for i in places {
        // Near the ends one side has fewer rows: fewer on both would end the line in noise.
        let around = &values[i.saturating_sub(window / 2)..=(i + window / 2).min(last)];
        let finite: Vec<f64> = around.iter().copied().filter(|v| v.is_finite()).collect();
        let line = lines.last_mut().expect("begins with one line");
        if 2 * finite.len() > around.len() {
            line.push((steps[i], finite.iter().sum::<f64>() / finite.len() as f64));
        } else if !line.is_empty() {
            lines.push(Points::new());
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The steps whose row has a value that is not finite, at most one every few pixels.
fn not_numbers(steps: &[f64], curves: &[Curve], (low, high): (f64, f64)) -> Vec<f64> {
    let recorded: Vec<&Curve> = curves.iter().filter(|curve| curve.values.iter().any(|v| v.is_finite())).collect();
    let mut found: Vec<f64> = Vec::new();
    for (i, &step) in steps.iter().enumerate() {
        let apart = found.last().is_none_or(|last| step - last > (high - low) / 80.0);
        if apart && recorded.iter().any(|curve| !curve.values[i].is_finite()) {
            found.push(step);
        }
    }
    found
}

/// The axis of the losses, and what to say if some lie beyond it.
fn loss_range(curves: &[Curve]) -> ((f64, f64), Option<String>) {
    let mut all: Vec<f64> = curves.iter().flat_map(|c| &c.values).copied().filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let (Some(&least), Some(&greatest)) = (all.first(), all.last()) else { return ((0.0, 1.0), None) };
    let at = |share: f64| all[(share * (all.len() - 1) as f64).round() as usize];
    let (low, high) = (at(0.005), at(0.995));
    // One loss of 10,000 among losses near 1 would flatten all the others.
    if all.len() >= 50 && greatest - least > 3.0 * (high - low) && high > low {
        let range = (low - 0.25 * (high - low), high + 0.25 * (high - low));
        let beyond = all.iter().filter(|v| **v < range.0 || **v > range.1).count();
        let far = if greatest - high > low - least { greatest } else { least };
        let plural = if beyond == 1 { "value" } else { "values" };
        return (range, Some(format!("{beyond} {plural} beyond the axis, as far as {}", value_label(far, far.abs()))));
    }
    let pad = match 0.06 * (greatest - least) {
        pad if pad > 1e-9 * greatest.abs().max(least.abs()) => pad,
        _ => 0.1 * greatest.abs().max(1.0),
    };
    ((least - pad, greatest + pad), None)
}

fn x_range(steps: &[f64]) -> (f64, f64) {
    match (steps.first(), steps.last()) {
        (Some(&first), Some(&last)) if last > first => (first, last),
        // Beside 2^53 a number one larger is the same number.
        (Some(&only), _) => (only - (1e-9 * only).max(1.0), only + (1e-9 * only).max(1.0)),
        _ => (0.0, 1.0),
    }
}

/// A step as people write it: `250`, `1.5k`, `40k`, `2M`; nothing for what is no step.
fn step_label(step: f64) -> String {
    if step < 0.0 || step.fract() != 0.0 {
        return String::new();
    }
    let short = |unit: f64, name: &str| {
        let rounded = (step / unit * 100.0).round() / 100.0;
        format!("{rounded}{name}")
    };
    match step {
        s if s >= 1e6 => short(1e6, "M"),
        s if s >= 1e4 => short(1e3, "k"),
        s => format!("{s}"),
    }
}

fn value_label(value: f64, span: f64) -> String {
    match span {
        s if !(1e-3..1e5).contains(&s) => format!("{value:.1e}"),
        s if s >= 20.0 => format!("{value:.0}"),
        s if s >= 2.0 => format!("{value:.1}"),
        s if s >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Domain, Stream};

    #[derive(Clone, Copy)]
    struct PlotRow {
        step: u64,
        d_loss: f32,
        g_loss: f32,
        d_real: f32,
        d_fake: f32,
    }

    /// The plot of a GAN's rows.
    fn loss_plot(rows: &[PlotRow], title: &str) -> String {
        let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
        let panels = [
            Panel { unit: "loss", range: None, curves: vec![("discriminator", "d_loss"), ("generator", "g_loss")] },
            Panel {
                unit: "probability",
                range: Some((0.0, 1.0)),
                curves: vec![("D(x), real", "d_real"), ("D(G(z)), fake", "d_fake")],
            },
        ];
        let value = |row: &PlotRow, name: &str| match name {
            "d_loss" => row.d_loss,
            "g_loss" => row.g_loss,
            "d_real" => row.d_real,
            _ => row.d_fake,
        };
        curves_plot(&steps, &panels, |name| rows.iter().map(|row| f64::from(value(row, name))).collect(), title)
    }

    /// Losses as a GAN has them: noise around a slow drift.
    fn run(n: u64) -> Vec<PlotRow> {
        let mut noise = Stream::new(1, Domain::Test, 0);
        let row = |i| {
            let t = i as f32 / n as f32;
            let mut near = |mean: f32, spread: f32| mean + spread * (noise.uniform() + noise.uniform() - 1.0);
            PlotRow {
                step: 50 * i,
                d_loss: near(1.3 - 0.5 * t, 0.4),
                g_loss: near(0.8 + 1.5 * t.sqrt(), 0.9),
                d_real: near(0.5 + 0.25 * t.sqrt(), 0.1),
                d_fake: near(0.5 - 0.3 * t.sqrt(), 0.12),
            }
        };
        (0..n).map(row).collect()
    }

    fn checked(svg: String) -> String {
        assert!(svg.starts_with("<svg width=\"900\" height=\"600\" viewBox=\"0 0 1800 1200\""), "{}", &svg[..80]);
        assert!(svg.trim_end().ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.len() < 200_000, "{} bytes", svg.len());
        svg
    }

    #[test]
    fn a_run_has_both_panels_and_a_legend() {
        let svg = checked(loss_plot(&run(400), "seed <7> & more"));
        for text in [
            "discriminator",
            "generator",
            "D(x), real",
            "D(G(z)), fake",
            "step",
            "loss",
            "probability",
            "mean of 13 rows",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(svg.contains("seed &lt;7&gt; &amp; more"));
        assert!(!svg.contains("not a number") && !svg.contains("beyond"));
        assert_eq!(svg, loss_plot(&run(400), "seed <7> & more"));
    }

    #[test]
    fn none_one_and_two_rows() {
        assert!(checked(loss_plot(&[], "nothing")).contains("no rows yet"));
        assert!(checked(loss_plot(&run(1), "one")).matches("<circle").count() == 4);
        checked(loss_plot(&run(2), "two"));
    }

    #[test]
    fn a_hundred_thousand_rows_stay_small() {
        let mut rows = run(100_000);
        rows[70_000].g_loss = 5_000.0;
        let svg = checked(loss_plot(&rows, "long"));
        assert!(svg.contains("1 value beyond the axis, as far as 5000"));
    }

    #[test]
    fn what_is_not_a_number_is_marked() {
        let mut rows = run(300);
        for row in &mut rows[100..140] {
            row.g_loss = f32::NAN;
        }
        rows[200].d_loss = f32::INFINITY;
        rows[250].d_fake = f32::NAN;
        assert!(checked(loss_plot(&rows, "holes")).contains("not a number"));
        // Nothing but NaN: a critic has no probabilities.
        rows = run(300);
        rows.iter_mut().for_each(|row| (row.d_real, row.d_fake) = (f32::NAN, f32::NAN));
        let svg = checked(loss_plot(&rows, "critic"));
        assert!(!svg.contains("not a number") && !svg.contains("D(x), real") && svg.contains("not recorded"));
        rows.iter_mut().for_each(|row| (row.d_loss, row.g_loss) = (f32::NAN, f32::NAN));
        checked(loss_plot(&rows, "nothing recorded"));
    }

    #[test]
    fn extreme_values() {
        for value in [0.0, 3.0, -1e-20, f32::MAX, f32::MIN] {
            let row = PlotRow { step: u64::MAX, d_loss: value, g_loss: value, d_real: 2.0, d_fake: -1.0 };
            checked(loss_plot(&[row; 3], "extreme"));
        }
        let mut rows = run(60);
        rows[10].d_loss = f32::MAX;
        rows[20].d_loss = f32::MIN;
        checked(loss_plot(&rows, "spikes"));
    }

    #[test]
    fn lines_break_and_keep_the_extremes() {
        let steps: Vec<f64> = (0..6).map(f64::from).collect();
        let lines = envelope(&steps, &[1.0, f64::NAN, f64::NAN, 2.0, 3.0, f64::INFINITY]);
        assert_eq!(lines, [vec![(0.0, 1.0)], vec![(3.0, 2.0), (4.0, 3.0)]]);
        let steps: Vec<f64> = (0..5000).map(f64::from).collect();
        let mut values = vec![0.0; 5000];
        (values[1234], values[4321]) = (9.0, -9.0);
        let points: Points = envelope(&steps, &values).concat();
        assert!(points.len() <= 2 * MOST_POINTS && points.contains(&(1234.0, 9.0)) && points.contains(&(4321.0, -9.0)));
        assert_eq!(moving_mean(&steps[..3], &[1.0, 2.0, 6.0], 3), [[(0.0, 1.5), (1.0, 3.0), (2.0, 4.0)]]);
    }

    #[test]
    fn labels() {
        assert_eq!(
            [0.0, 250.0, 9500.0, 12500.0, 2e6, 0.5, -1.0].map(step_label),
            ["0", "250", "9500", "12.5k", "2M", "", ""]
        );
        assert_eq!(
            [value_label(0.5, 1.0), value_label(1234.0, 5000.0), value_label(3e38, 6e38)],
            ["0.50", "1234", "3.0e38"]
        );
    }
}

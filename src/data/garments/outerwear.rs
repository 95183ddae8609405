//! The coat.

use super::drawing::{CLOTH, Drawing, LineKind, Pen, Stuff, blade};
use super::kinds::{Cut, lerp};
use super::tops::{Body, Sleeve};

/// The coat.
pub(super) fn coat(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let wide = lerp(-0.8, 1.8, cut.width);
    let long = lerp(82.0, 97.0, cut.length);
    let belted = cut.waist > 0.55;
    let body = Body {
        neck: 7.4,
        depth: 6.0,
        vee: 0.5,
        shoulder: (20.6 + wide, 5.0),
        armpit: (19.4 + wide, 23.5),
        waist: (if belted { 17.0 } else { 18.8 } + wide, 41.0),
        hem: (lerp(21.5, 27.0, cut.flare) + wide, long),
        sag: 1.6,
    };
    Sleeve {
        shoulder: body.shoulder,
        armpit: body.armpit,
        length: lerp(53.0, 58.0, cut.sleeve),
        angle: 15.0,
        cuff: lerp(10.2, 12.0, cut.cuff),
        band: 6.0,
        band_stuff: Stuff::Trim,
        ribbed: false,
    }
    .add(&mut d);
    let back = Pen::at(0.0, -3.6).quad(5.0, -3.6, 7.2, -2.2).line(9.0, 2.0).line(4.0, 12.0).line(0.0, 14.0);
    d.part(back.both(), Stuff::Lining).depth(0.6);
    let outline = body.outline();
    d.part(outline.clone(), CLOTH);
    let (hx, hy) = body.hem;
    let mut folds = body.drape(cut.fold);
    for (x, dark) in [(0.3, 0.16), (0.72, 0.2), (-0.28, 0.10), (-0.62, 0.12), (-0.7, -0.12), (0.22, -0.1)] {
        folds.push(blade((x * hx, hy + 2.0), (0.96 * x * hx, 66.0), (0.7 * x * hx, 45.0), 1.5, dark));
    }
    d.folds(outline.clone(), folds);
    // The front: what the lapels open onto, then the overlapping edge.
    let close = lerp(24.0, 33.0, cut.neckline);
    let opening = Pen::at(0.0, 3.6).line(5.6, 0.4).quad(4.6, 0.55 * close, 0.6, close + 0.6);
    d.part(opening.line(0.0, close + 0.6).both(), Stuff::Accent).depth(0.7);
    d.line(Pen::at(-4.6, 2.6).quad(0.0, 6.4, 4.6, 2.6), LineKind::Seam);
    let edge = 6.2;
    d.line(
        Pen::at(edge - 1.4, close - 0.5).quad(edge, close + 3.0, edge, close + 10.0).line(edge, hy + 1.4),
        LineKind::Seam,
    );
    d.folds(outline, vec![blade((edge + 0.9, close), (edge + 0.9, 60.0), (edge + 0.9, hy + 4.0), 0.9, 0.35)]);
    let rows = lerp(2.0, 3.99, cut.closure) as usize;
    for i in 0..rows {
        let y = close + 3.4 + 9.0 * i as f32;
        if belted && (y - 43.0).abs() < 3.4 {
            continue;
        }
        for x in [-3.4, 3.4] {
            d.button(x, y, 1.25, Stuff::Ink);
        }
    }
    if belted {
        let (w, y) = (body.waist.0 + 0.5, 43.0);
        let belt = Pen::at(0.0, y - 1.6).quad(0.5 * w, y - 1.6, w, y - 2.2).line(w, y + 1.7).quad(
            0.5 * w,
            y + 2.3,
            0.0,
            y + 2.3,
        );
        d.part(belt.both(), Stuff::Trim);
        let tail = Pen::at(4.4, y + 1.0).line(7.4, y + 1.0).quad(8.6, y + 8.0, 8.0, y + 14.0).line(5.0, y + 14.6);
        d.part(tail.close(), Stuff::Trim).depth(0.6);
        let buckle = Pen::at(1.6, y - 2.6).line(6.6, y - 2.6).line(6.6, y + 3.2).line(1.6, y + 3.2).line(1.6, y - 2.6);
        d.part(buckle.strap(0.9), Stuff::Metal).depth(0.5);
    }
    if cut.pocket > 0.25 {
        let y = if belted { 52.0 } else { 48.0 };
        for side in [-1.0, 1.0] {
            let flap = Pen::at(9.4, y + 1.4).line(17.6, y - 0.4).line(18.0, y + 3.2).quad(14.0, y + 5.4, 9.8, y + 5.2);
            let stuff = Stuff::Cloth { turn: -12.0 * side, pivot: (13.0 * side, y) };
            d.part(flap.side(side).close(), stuff).light((-30.0, y), (26.0, y)).depth(0.7);
        }
    }
    let peak = lerp(12.0, 15.2, cut.collar);
    for side in [-1.0, 1.0] {
        let stuff = Stuff::Cloth { turn: 24.0 * side, pivot: (8.0 * side, 10.0) };
        let lapel = Pen::at(0.4, close + 0.8).cubic(3.6, 0.78 * close, peak - 0.5, 0.72 * close, peak, 10.6);
        let lapel = lapel.line(9.6, 9.4).line(5.6, 4.4).cubic(5.2, 0.4 * close, 3.0, 0.75 * close, 0.4, close + 0.8);
        d.part(lapel.side(side).close(), stuff).depth(0.45);
        d.folds(
            lapel.side(side).close(),
            vec![blade((side * 5.0, 6.0), (side * 4.2, 14.0), (0.6 * side, close), 0.9, 0.2)],
        );
        let collar =
            Pen::at(5.4, -2.4).quad(6.2, -3.5, 7.4, -2.6).cubic(9.6, -0.8, 10.4, 2.6, peak - 1.4, 8.2).line(9.4, 9.6);
        let collar = collar.quad(6.2, 6.6, 4.7, 3.4).quad(5.1, 0.4, 5.4, -2.4);
        d.part(collar.side(side).close(), Stuff::Trim).depth(0.5);
    }
    d.line(Pen::at(-hx + 0.2, hy - 3.0).quad(0.0, hy - 0.6, hx - 0.2, hy - 3.0), LineKind::Stitch);
    d
}

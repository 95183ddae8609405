//! Bag and hat.

use super::drawing::{CLOTH, Drawing, LineKind, Pen, Stuff, blade, circle};
use super::kinds::{Cut, lerp};

/// The bag.
pub(super) fn bag(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let top = lerp(24.0, 29.0, cut.width);
    let bottom = top + lerp(0.5, 6.5, cut.flare);
    let high = lerp(36.0, 48.0, cut.length);
    let arch = lerp(17.0, 31.0, cut.handle);
    let grip = lerp(10.0, 15.0, cut.cuff);
    // The far handle, darker because it is behind, then the near one.
    let handle = |lift: f32| Pen::at(-grip, 4.0).cubic(-grip, -arch + lift, grip, -arch + lift, grip, 4.0);
    d.part(handle(3.6).strap(2.5), Stuff::Lining).depth(0.5);
    let mouth = Pen::at(0.0, -2.2).quad(0.7 * top, -2.2, top - 1.6, 0.6).line(top - 1.0, 4.0).line(0.0, 4.0);
    d.part(mouth.both(), Stuff::Lining).depth(0.6);
    let body = Pen::at(0.0, 0.8)
        .quad(0.7 * top, 0.8, top - 1.4, -0.2)
        .quad(top + 0.4, -0.4, top + 0.5, 1.6)
        .cubic(top + 1.6, 0.4 * high, bottom - 0.4, 0.7 * high, bottom, high - 4.0)
        .quad(bottom + 0.2, high, bottom - 4.0, high + 0.2)
        .quad(0.5 * bottom, high + 0.9, 0.0, high + 0.9)
        .both();
    d.part(body.clone(), CLOTH);
    let s = 3.0 * (cut.fold - 0.5);
    d.folds(
        body,
        vec![
            blade((-top + 3.0, 6.0), (-top + 2.0 + s, 0.5 * high), (-bottom + 5.0, high - 2.0), 1.6, -0.14),
            blade((top - 4.0, 4.0), (top - 3.0 + s, 0.5 * high), (bottom - 4.0, high), 2.2, 0.2),
            blade((-0.5 * bottom, high), (0.0, high - 2.6), (0.6 * bottom, high), 1.8, 0.2),
            blade((grip, 4.0), (grip + 3.0, 0.35 * high), (grip + 2.0 + s, 0.6 * high), 1.2, 0.13),
            blade((-grip, 4.0), (-grip - 2.0, 0.35 * high), (-grip - 3.0 - s, 0.55 * high), 1.1, 0.10),
        ],
    );
    // A base of tougher stuff, as working bags have.
    if cut.heel > 0.5 {
        let y = lerp(0.8 * high, 0.68 * high, cut.heel);
        let at = |t: f32| top + 0.5 + (bottom - top - 0.5) * t;
        let base = Pen::at(0.0, y).line(at(0.84), y - 0.5).quad(bottom, 0.9 * high, bottom + 0.2, high - 4.0);
        let base = base.quad(bottom + 0.2, high + 0.2, bottom - 4.0, high + 0.4).quad(
            0.5 * bottom,
            high + 1.1,
            0.0,
            high + 1.1,
        );
        d.part(base.both(), Stuff::Trim);
        d.line(Pen::at(-at(0.84), y + 1.0).quad(0.0, y + 2.0, at(0.84), y + 1.0), LineKind::Stitch);
    }
    if cut.closure > 0.45 {
        let drop = lerp(13.0, 22.0, cut.collar);
        let flap = Pen::at(0.0, -0.6)
            .quad(0.7 * top, -0.6, top - 1.6, -0.6)
            .quad(top + 0.8, -0.8, top + 1.0, 2.0)
            .cubic(top + 0.8, drop - 3.0, 0.75 * top, drop, 0.4 * top, drop)
            .line(0.0, drop)
            .both();
        d.part(
            flap,
            if cut.brim > 0.5 && cut.heel <= 0.5 { Stuff::Trim } else { Stuff::Cloth { turn: 0.0, pivot: (0.0, 4.0) } },
        )
        .depth(0.7);
        let stitch =
            Pen::at(top - 0.2, 1.8).cubic(top - 0.4, drop - 4.2, 0.73 * top, drop - 1.3, 0.4 * top, drop - 1.3);
        d.lines(stitch.line(0.0, drop - 1.3), LineKind::Stitch);
        let plate = Pen::at(0.0, drop - 2.6).quad(2.8, drop - 2.6, 2.8, drop).quad(2.8, drop + 2.6, 0.0, drop + 2.6);
        d.part(plate.both(), Stuff::Metal).depth(0.8);
        d.part(circle(0.0, drop + 0.4, 0.8), Stuff::Ink).depth(0.0).fine();
    } else {
        d.line(Pen::at(-top - 0.2, 4.4).quad(0.0, 6.0, top + 0.2, 4.4), LineKind::Stitch);
        if cut.pocket > 0.4 {
            let (w, y) = (lerp(11.0, 14.0, cut.pocket), 0.36 * high);
            let pocket =
                Pen::at(0.0, y).line(w, y - 0.3).line(w + 0.8, 0.78 * high).quad(0.5 * w, 0.8 * high, 0.0, 0.8 * high);
            d.part(pocket.both(), Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) }).depth(0.4);
            d.line(Pen::at(-w, y + 2.0).line(w, y + 2.0), LineKind::Seam);
        }
    }
    d.part(handle(0.0).strap(2.7), Stuff::Trim).depth(0.8);
    d.line(handle(0.0), LineKind::Stitch);
    for side in [-1.0, 1.0] {
        let tab =
            Pen::at(grip - 2.0, 1.6).line(grip + 2.0, 1.6).line(grip + 2.0, 9.0).quad(grip, 11.6, grip - 2.0, 9.0);
        d.part(tab.side(side).close(), Stuff::Trim).depth(0.5);
        d.part(circle(side * grip, 8.2, 0.7), Stuff::Metal).depth(0.4).fine();
    }
    d
}

/// The hat.
pub(super) fn hat(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.14);
    let brim = lerp(32.0, 44.0, cut.brim);
    let crown = lerp(19.0, 21.5, cut.width);
    let high = lerp(26.0, 34.0, cut.length);
    let curl = lerp(-1.5, 5.5, cut.flare);
    let soft = cut.collar > 0.5;
    // The brim, seen from slightly above: its far side is the lighter underside.
    let front = lerp(7.5, 10.5, cut.brim);
    let far = Pen::at(0.0, -5.0).cubic(0.5 * brim, -5.0, 0.86 * brim, -4.0 - curl, brim, 0.2 - curl);
    let outline = far.cubic(0.94 * brim, 5.0, 0.55 * brim, front, 0.0, front).both();
    d.part(outline.clone(), Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) }).depth(0.9);
    d.folds(
        outline,
        vec![
            blade((-crown - 1.0, 0.0), (-2.0, 9.0), (crown + 7.0, 1.0), 2.6, 0.3),
            blade((crown, 0.0), (0.75 * brim, 1.5), (brim, 1.0 - curl), 2.4, 0.16),
            blade((-brim + 1.0, -curl), (-0.7 * brim, 4.0 - 0.4 * curl), (-0.3 * brim, 0.8 * front), 1.2, -0.2),
        ],
    );
    let rim = Pen::at(-0.97 * brim, 0.6 - curl).cubic(-0.9 * brim, 4.4, -0.52 * brim, front - 1.3, 0.0, front - 1.3);
    d.line(rim.clone(), LineKind::Stitch);
    d.line(rim.flip(), LineKind::Stitch);
    // The crown, pinched at the top or softly round.
    let top = -high;
    let half = if soft {
        Pen::at(0.0, top).cubic(0.62 * crown, top, 0.92 * crown, top + 7.0, 0.96 * crown, -0.5 * high)
    } else {
        let dent = lerp(1.6, 4.0, cut.neckline);
        Pen::at(0.0, top + dent).cubic(0.2 * crown, top + dent, 0.34 * crown, top, 0.56 * crown, top + 0.2).cubic(
            0.8 * crown,
            top + 0.6,
            0.86 * crown,
            top + 8.0,
            0.93 * crown,
            -0.45 * high,
        )
    };
    let half = half.cubic(0.97 * crown, -0.3 * high, crown, -3.0, crown, 0.0).quad(0.6 * crown, 4.4, 0.0, 4.4);
    let shape = half.both();
    d.part(shape.clone(), Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) }).depth(1.15);
    let s = 2.0 * (cut.fold - 0.5);
    let mut folds = vec![
        blade((0.8 * crown, -4.0), (0.86 * crown, -0.5 * high), (0.62 * crown, top + 4.0), 1.6, 0.14),
        blade((-0.62 * crown, -7.0), (-0.66 * crown, -0.5 * high), (-0.5 * crown, top + 5.0), 1.3, -0.2),
    ];
    if soft {
        folds.push(blade((-0.7 * crown, top + 6.5), (0.0, top + 3.0), (0.8 * crown, top + 7.5), 1.0, 0.14));
        d.line(Pen::at(-0.84 * crown, top + 6.4).quad(0.0, top + 2.4, 0.84 * crown, top + 6.4), LineKind::Seam);
    } else {
        folds.push(blade((-0.5 * crown, top + 2.0), (s, top + 10.0), (0.48 * crown, top + 2.0), 1.9, 0.26));
        folds.push(blade((0.5 * crown, top + 4.0), (0.42 * crown, top + 10.0), (0.58 * crown, top + 16.0), 1.3, 0.24));
        folds.push(blade(
            (-0.52 * crown, top + 4.0),
            (-0.44 * crown, top + 10.0),
            (-0.58 * crown, top + 16.0),
            1.2,
            0.2,
        ));
    }
    d.folds(shape, folds);
    let deep = lerp(4.5, 8.5, cut.closure);
    let lift = 0.028 * crown * deep / 6.0;
    let band = Pen::at(0.0, 4.4 - deep + 0.2)
        .quad(0.6 * crown, 4.2 - deep, crown - lift, -deep)
        .line(crown + 0.1, 0.0)
        .quad(0.6 * crown, 4.5, 0.0, 4.5);
    let stuff = Stuff::Accent;
    d.part(band.both(), stuff).depth(1.0);
    if cut.handle > 0.4 {
        let (x, y) = (0.62 * crown, 1.6 - 0.5 * deep);
        for (reach, lift) in [(-5.6, -0.4), (5.0, -1.8)] {
            let tip = x + reach;
            let bow = Pen::at(x, y - 0.9).quad(0.5 * (x + tip), y - 0.62 * deep + lift, tip, y - 0.42 * deep + lift);
            let bow = bow.quad(tip - 0.16 * reach, y + 0.5 * lift, tip, y + 0.46 * deep + 0.4 * lift);
            d.part(bow.quad(0.5 * (x + tip), y + 0.5 * deep, x, y + 0.9).close(), stuff).depth(0.7);
        }
        let knot = Pen::at(x - 1.2, y - 1.6).line(x + 1.2, y - 1.7).line(x + 1.2, y + 1.5).line(x - 1.2, y + 1.7);
        d.part(knot.close(), stuff).depth(0.4);
    }
    d
}

//! Shoe and boot, both seen from the side with the toe to the right.

use super::drawing::{Drawing, LineKind, Pen, Stuff, blade, circle};
use super::kinds::{Cut, lerp};

/// The shoe: a laced trainer.
pub(super) fn shoe(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.2);
    // The ground is at height 0. A high collar makes a high-top.
    let ankle = -lerp(23.0, 40.0, cut.length);
    let sole = lerp(4.4, 7.0, cut.heel);
    let tongue_top = ankle - lerp(2.0, 4.5, cut.collar);
    let throat = -lerp(18.5, 20.5, cut.width);
    let tongue = Pen::at(-20.0, ankle + 5.0)
        .quad(-16.5, tongue_top - 1.0, -12.0, tongue_top)
        .quad(-9.2, tongue_top + 1.2, -8.4, tongue_top + 4.5)
        .cubic(-5.0, 0.6 * ankle + 0.4 * throat, 3.0, throat - 2.0, 8.0, throat + 4.0)
        .line(-8.0, -9.0)
        .close();
    d.part(tongue, Stuff::Trim).light((-20.0, ankle), (8.0, -8.0)).depth(0.7);
    let inside = Pen::at(-36.0, ankle + 2.0)
        .quad(-28.0, ankle - 1.0, -17.0, ankle + 1.0)
        .line(-18.0, ankle + 9.0)
        .line(-33.0, ankle + 9.0);
    d.part(inside.close(), Stuff::Lining).depth(0.5);
    let upper = Pen::at(-39.5, -sole)
        .cubic(-41.5, -13.0, -37.5, -0.5 * sole + 0.62 * ankle, -38.4, ankle + 0.6)
        .quad(-37.8, ankle - 1.6, -35.4, ankle - 0.6)
        .cubic(-32.0, ankle + 5.4, -24.0, ankle + 5.6, -17.5, ankle + 0.4)
        .quad(-15.6, ankle - 0.6, -14.4, ankle + 1.4)
        .cubic(-10.0, 0.62 * ankle + 0.38 * throat, -2.0, throat + 0.5, 8.0, throat + 3.8)
        .cubic(18.0, throat + 6.4, 24.0, -15.0, 31.0, -13.2)
        .cubic(38.5, -11.4, 41.6, -8.0, 41.2, -sole + 0.6)
        .line(40.0, -sole + 2.0)
        .line(-39.0, -sole + 2.0)
        .close();
    let cloth = Stuff::Cloth { turn: 12.0, pivot: (0.0, -12.0) };
    d.part(upper.clone(), cloth).light((-36.0, -30.0), (34.0, 0.0));
    let s = 2.0 * (cut.fold - 0.5);
    d.folds(
        upper.clone(),
        vec![
            blade((10.0, throat + 5.0), (14.0, -10.0), (12.0 + s, -sole), 1.2, 0.2),
            blade((15.0, throat + 7.0), (19.0, -9.0), (16.0 + s, -sole), 1.0, 0.16),
            blade((-33.0, ankle + 6.0), (-34.5, -14.0), (-34.0, -sole), 1.6, -0.18),
            blade((-38.0, -sole - 0.6), (0.0, -sole - 2.0), (41.0, -sole - 0.4), 1.6, 0.3),
            blade((-34.0, ankle + 4.0), (-26.0, ankle + 8.2), (-17.0, ankle + 3.4), 0.8, 0.2),
        ],
    );
    // Toe cap, heel counter and eyestay lie on top of the upper.
    let toe = Pen::at(23.5, -14.2).cubic(27.0, -14.0, 29.0, -13.8, 31.0, -13.2).cubic(
        38.5,
        -11.4,
        41.6,
        -8.0,
        41.2,
        -sole + 0.6,
    );
    let toe = toe.line(20.5, -sole).quad(19.0, -10.0, 23.5, -14.2);
    let toe_stuff = if cut.pocket > 0.5 { Stuff::Pale } else { Stuff::Trim };
    d.part(toe.close(), toe_stuff).light((20.0, -16.0), (42.0, -4.0)).depth(0.8);
    d.line(Pen::at(22.2, -13.6).quad(17.6, -10.0, 19.2, -sole - 0.3), LineKind::Stitch);
    let counter_top = lerp(0.5, 0.72, cut.waist) * (ankle + sole) - sole;
    let counter = Pen::at(-39.5, -sole).cubic(-41.2, -11.0, -39.0, -15.0, -38.9, counter_top);
    let counter = counter.cubic(-33.0, counter_top + 0.5, -27.0, -12.0, -24.0, -sole);
    d.part(counter.close(), Stuff::Trim).light((-40.0, -12.0), (-22.0, -8.0)).depth(0.6);
    d.line(
        Pen::at(-37.8, counter_top + 1.4).cubic(-33.2, counter_top + 2.0, -28.4, -11.5, -25.5, -sole - 0.4),
        LineKind::Stitch,
    );
    if cut.flare > 0.35 {
        let x = lerp(-20.0, -15.0, cut.fold);
        for i in 0..(if cut.flare > 0.7 { 3 } else { 2 }) {
            let x = x + 5.4 * i as f32;
            let bar = Pen::at(x, -sole - 0.5).line(x + 5.4, -15.2).line(x + 8.0, -14.8).line(x + 2.8, -sole - 0.5);
            d.part(bar.close(), Stuff::Accent).depth(0.3);
        }
    }
    let stay = Pen::at(-17.8, ankle + 0.6)
        .quad(-15.6, ankle - 0.6, -14.4, ankle + 1.4)
        .cubic(-10.0, 0.62 * ankle + 0.38 * throat, -2.0, throat + 0.5, 8.0, throat + 3.8)
        .quad(10.4, throat + 4.6, 9.4, throat + 6.6)
        .cubic(2.0, throat + 5.6, -9.0, 0.5 * (throat + ankle) + 8.0, -17.0, ankle + 7.0)
        .quad(-18.6, ankle + 4.0, -17.8, ankle + 0.6);
    d.part(stay.close(), Stuff::Trim).light((-16.0, ankle), (8.0, -8.0)).depth(0.5);
    let rows = lerp(4.0, 6.99, cut.closure) as usize;
    for i in 0..rows {
        let t = i as f32 / (rows - 1) as f32;
        // Along the throat: the curve of the eyestay, evaluated.
        let u = 1.0 - t;
        let bez =
            |a: f32, b: f32, c: f32, e: f32| u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * e;
        let x = bez(-14.4, -10.0, -2.0, 7.0);
        let y = bez(ankle + 1.4, 0.62 * ankle + 0.38 * throat, throat + 0.5, throat + 3.6);
        let steep = lerp(0.9, 0.4, t);
        d.part(
            Pen::at(x - 1.6, y + 3.6).quad(x + 0.4, y + 0.6, x + 3.4, y - 1.7 * steep - 0.2).strap(1.5),
            Stuff::Pale,
        )
        .depth(0.4);
        d.part(circle(x - 1.9, y + 4.0, 0.55), Stuff::Metal).depth(0.0).fine();
    }
    let (bx, by) = (-11.6, ankle + 0.6);
    let loops = Pen::at(bx, by).cubic(bx - 7.0, by - 3.0, bx - 8.0, by + 6.0, bx - 0.4, by + 1.2);
    d.part(loops.strap(0.9), Stuff::Pale).depth(0.2).fine();
    let loops = Pen::at(bx, by).cubic(bx + 7.5, by - 1.4, bx + 8.0, by + 6.0, bx + 0.4, by + 1.2);
    d.part(loops.strap(0.9), Stuff::Pale).depth(0.2).fine();
    let tab = Pen::at(-39.0, ankle + 6.0)
        .line(-38.6, ankle - 0.6)
        .quad(-37.8, ankle - 2.4, -35.2, ankle - 1.2)
        .line(-36.0, ankle + 5.6);
    d.part(tab.close(), Stuff::Accent).depth(0.4);
    // The sole, its foxing line and its tread.
    let rubber = Pen::at(-40.4, -sole - 0.8)
        .cubic(-20.0, -sole + 0.5, 10.0, -sole + 0.4, 26.0, -sole - 0.2)
        .quad(38.0, -sole - 0.7, 41.8, -sole - 1.6)
        .cubic(43.4, -sole + 0.6, 42.4, -2.2, 39.2, -1.2)
        .quad(34.0, 0.0, 27.0, 0.0)
        .line(-36.0, 0.0)
        .quad(-41.6, 0.0, -41.2, -3.0)
        .close();
    d.part(rubber, Stuff::Pale).light((0.0, -sole), (2.0, 3.0)).depth(0.7);
    d.line(Pen::at(-40.8, -2.4).line(34.0, -2.4).quad(39.0, -2.4, 42.0, -3.6), LineKind::Seam);
    for i in 0..26 {
        let x = -37.5 + 2.8 * i as f32;
        d.line(Pen::at(x, -1.7).line(x, -0.3), LineKind::Rib);
    }
    d
}

/// The boot.
pub(super) fn boot(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.1);
    let shaft = -lerp(52.0, 80.0, cut.length);
    let heel = lerp(4.0, 10.0, cut.heel);
    let wide = lerp(0.0, 2.4, cut.width);
    let (back, front) = (-17.6 - wide, 2.6 + wide);
    let instep = -22.0 - 0.5 * heel;
    let rise = heel - 1.4;
    let inside = Pen::at(back + 0.6, shaft + 0.8)
        .quad(-8.0, shaft - 3.6, front - 0.8, shaft - 1.2)
        .line(front - 2.0, shaft + 4.0);
    d.part(inside.line(back + 2.0, shaft + 5.0).close(), Stuff::Lining).depth(0.5);
    let upper = Pen::at(back, shaft + 0.6)
        .quad(-7.0, shaft + 3.2, front, shaft - 1.2)
        .cubic(front + 0.4, 0.6 * shaft, 0.4, instep - 14.0, 3.6, instep)
        .cubic(6.0, instep + 6.0, 15.0, -17.5, 24.0, -14.6)
        .cubic(31.4, -12.2, 35.0, -8.0, 34.6, -3.0)
        .line(10.0, -3.0)
        .quad(0.0, -4.0 - rise, -8.0, -2.0 - rise)
        .line(-20.4, -2.0 - rise)
        .cubic(-22.6, -12.0 - rise, -18.6, instep - 6.0, -17.2, instep - 11.0)
        .cubic(-17.4, 0.55 * shaft + 0.4 * instep, back + 0.2, 0.75 * shaft, back, shaft + 0.6)
        .close();
    let cloth = Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) };
    d.part(upper.clone(), cloth).light((back, -40.0), (14.0, -24.0));
    let s = 2.0 * (cut.fold - 0.5);
    d.folds(
        upper.clone(),
        vec![
            blade((3.0, instep - 1.0), (-4.0, instep + 1.0), (-13.0, instep - 3.0 + s), 1.3, 0.26),
            blade((2.0, instep - 6.0), (-4.0, instep - 4.0), (-15.0, instep - 9.0 + s), 1.1, 0.2),
            blade((4.0, instep + 3.0), (-2.0, instep + 7.0), (-10.0, instep + 5.0 + s), 1.0, 0.18),
            blade((1.4, instep - 11.0), (-5.0, instep - 10.0), (-12.0, instep - 15.0 - s), 0.9, 0.14),
            blade((back + 4.5, shaft + 4.0), (-15.0, 0.6 * shaft), (-15.4, instep), 1.6, -0.2),
            blade((13.0, -16.5), (17.0, -10.0), (14.0, -3.0), 1.2, 0.2),
            blade((18.0, -15.0), (21.5, -9.0), (19.0, -3.0), 1.0, 0.14),
            blade((24.0, -12.5), (28.6, -10.8), (32.4, -7.0), 0.9, -0.26),
        ],
    );
    let toe =
        Pen::at(19.4, -15.8).cubic(21.0, -15.6, 22.6, -15.1, 24.0, -14.6).cubic(31.4, -12.2, 35.0, -8.0, 34.6, -3.0);
    if cut.pocket > 0.5 {
        let toe = toe.line(16.8, -3.0).quad(15.6, -10.0, 19.4, -15.8);
        d.part(toe.close(), Stuff::Trim).light((16.0, -16.0), (34.8, -4.0)).depth(0.8);
    } else {
        d.line(Pen::at(19.4, -15.8).quad(15.6, -10.0, 16.8, -3.2), LineKind::Seam);
    }
    let counter = Pen::at(-20.4, -2.0 - rise).cubic(-22.0, -9.0 - rise, -20.8, -14.0 - rise, -20.1, -17.0 - rise);
    d.part(counter.cubic(-12.0, -15.0 - rise, -7.0, -8.0 - rise, -6.0, -2.4 - rise).close(), Stuff::Trim).depth(0.5);
    if cut.closure > 0.5 {
        // Laces up the front of the shaft.
        let rows = lerp(4.0, 8.99, cut.closure) as usize;
        for i in 0..rows {
            let y = lerp(shaft + 6.0, instep - 1.0, i as f32 / (rows - 1) as f32);
            let x = lerp(front - 0.6, 1.6, i as f32 / (rows - 1) as f32);
            d.part(Pen::at(x - 6.2, y + 2.2).quad(x - 3.0, y + 0.4, x - 0.2, y - 0.8).strap(1.25), Stuff::Pale)
                .depth(0.3);
            d.part(circle(x - 6.4, y + 2.4, 0.6), Stuff::Metal).depth(0.0).fine();
        }
        d.line(Pen::at(front - 8.6, shaft + 2.0).quad(-5.6, 0.6 * shaft, -4.0, instep + 5.0), LineKind::Seam);
    } else {
        // A strap around the ankle, buckled on the side.
        let (y, half) = (instep - 6.0, lerp(1.3, 2.1, cut.collar));
        let strap = Pen::at(-17.9, y - 3.4 - half)
            .quad(-8.0, y + 1.2 - half, 2.3, y - half)
            .quad(3.0, y, 2.7, y + half)
            .quad(-8.0, y + 1.2 + half, -18.1, y - 3.4 + half);
        d.part(strap.close(), Stuff::Accent).depth(0.9);
        let (x, y) = (-7.4, y + 0.2);
        let buckle = Pen::at(x, y - half - 0.7).line(x + 4.0, y - half - 0.5).line(x + 4.0, y + half + 0.9);
        d.part(buckle.line(x, y + half + 0.7).line(x, y - half - 0.7).strap(0.9), Stuff::Metal).depth(0.4);
        d.line(Pen::at(-13.4, shaft + 8.0).quad(-12.2, 0.6 * shaft, -12.6, instep - 10.0), LineKind::Stitch);
    }
    let band = lerp(3.4, 6.5, cut.cuff);
    let cuff = Pen::at(back - 0.2, shaft + 0.6)
        .quad(-7.0, shaft + 3.2, front + 0.1, shaft - 1.2)
        .line(front + 0.2, shaft + band - 1.2);
    d.part(cuff.quad(-7.0, shaft + band + 3.4, back - 0.2, shaft + band + 0.8).close(), Stuff::Trim).depth(0.8);
    if cut.handle > 0.5 {
        let x = back + 3.4;
        let tab = Pen::at(x - 1.2, shaft + 5.0)
            .line(x - 1.0, shaft - 3.0)
            .quad(x + 0.6, shaft - 4.6, x + 2.0, shaft - 3.0)
            .line(x + 1.8, shaft + 5.2);
        d.part(tab.close(), Stuff::Accent).depth(0.3);
    }
    let sole = Pen::at(-20.8, -3.0 - rise)
        .line(-7.6, -3.0 - rise)
        .quad(0.6, -5.0 - rise, 10.0, -4.0)
        .line(34.8, -4.0)
        .quad(36.6, -1.6, 34.0, -1.0)
        .line(31.0, -0.2)
        .line(11.0, 0.0)
        .quad(2.0, -1.6 - 0.8 * rise, -7.0, -1.0 - 0.9 * rise)
        .line(-8.4, 0.0)
        .line(-20.2, 0.0)
        .quad(-20.0, -0.6 * heel, -21.4, -3.0 - rise)
        .close();
    d.part(sole, Stuff::Ink).light((0.0, -4.0 - rise), (4.0, 2.0)).depth(0.5);
    d.line(Pen::at(-20.8, -1.6 - rise).line(-7.6, -1.6 - rise), LineKind::Seam);
    d
}

//! Trousers, shorts, skirt and dress.

use super::drawing::{CLOTH, Drawing, LineKind, Pen, Point, Stuff, blade};
use super::kinds::{Cut, lerp};
use super::tops::{Body, Sleeve};

/// Long trousers.
pub(super) fn trousers(cut: &Cut) -> Drawing {
    let hem = lerp(8.6, 16.5, cut.flare);
    pair_of_legs(cut, lerp(80.0, 90.0, cut.length), hem, 0.0)
}

/// Shorts with turn-ups.
pub(super) fn shorts(cut: &Cut) -> Drawing {
    let hem = lerp(16.6, 19.5, cut.flare);
    pair_of_legs(cut, lerp(40.0, 50.0, cut.length), hem, if cut.cuff > 0.4 { lerp(2.6, 4.6, cut.cuff) } else { 0.0 })
}

/// Two legs below a waistband: `hem` is a leg's width at its end.
fn pair_of_legs(cut: &Cut, long: f32, hem: f32, turn_up: f32) -> Drawing {
    let mut d = Drawing::new(1.0);
    let waist = lerp(13.4, 15.2, cut.width);
    let hip = (waist + 3.6, 20.0);
    let crotch = lerp(27.0, 30.0, cut.width);
    let short = long < 60.0;
    let inner = if short { 2.2 } else { lerp(3.2, 1.6, (hem - 8.0) / 8.0) };
    let outer = inner + hem;
    let inside =
        Pen::at(0.0, 0.6).quad(0.6 * waist, 0.6, waist - 0.4, -0.4).line(waist, 3.0).quad(0.6 * waist, 4.4, 0.0, 4.4);
    d.part(inside.both(), Stuff::Lining).depth(0.6);
    for side in [-1.0, 1.0] {
        let knee = lerp(crotch, long, 0.42);
        let leg = Pen::at(-0.15, 4.0)
            .quad(0.6 * waist, 4.0, waist, 3.0)
            .cubic(waist + 1.6, 8.0, hip.0, 13.0, hip.0, hip.1)
            .cubic(hip.0 + 0.1, lerp(hip.1, knee, 0.9), outer - 0.1, knee, outer, long)
            .quad(0.5 * (inner + outer), long + 1.0, inner, long + 0.3)
            .cubic(inner - 0.2, knee + 4.0, 1.0, crotch + 8.0, 0.35, crotch)
            .quad(-0.15, crotch - 1.0, -0.15, crotch - 2.0);
        let turn = -side * (0.5 * (inner + outer) - 0.5 * hip.0).atan2(long - 20.0).to_degrees();
        let middle = 0.5 * (inner + outer);
        let path = leg.side(side).close();
        let part = d.part(path.clone(), Stuff::Cloth { turn, pivot: (0.5 * side * hip.0, hip.1) });
        let (a, b) = ((side * 0.5 - 0.5) * hip.0, (side * 0.5 + 0.5) * hip.0);
        part.light((a, 30.0), (b, 34.0));
        let s = 4.0 * (cut.fold - 0.5);
        let mut folds = vec![
            blade(
                (0.6 * side, crotch - 1.0),
                (0.3 * side * hip.0, crotch + 0.5),
                (0.7 * side * hip.0, crotch - 5.0 + s),
                1.0,
                0.13,
            ),
            blade(
                (0.8 * side, crotch),
                (0.35 * side * hip.0, crotch + 4.0),
                (0.75 * side * hip.0, crotch + 2.0 + s),
                0.9,
                0.1,
            ),
            blade(
                (0.9 * side, crotch + 2.0),
                (0.3 * side * hip.0, crotch + 9.0),
                (0.5 * side * hip.0, crotch + 12.0),
                0.9,
                0.08,
            ),
            // The pressed crease: light on one side of it, shadow on the other.
            blade((side * (middle - 0.5), long), (side * middle, 0.5 * long), (0.52 * side * hip.0, 20.0), 0.6, -0.16),
            blade(
                (side * (middle + 0.4), long),
                (side * (middle + 0.9), 0.5 * long),
                (0.56 * side * hip.0, 20.0),
                0.6,
                0.16,
            ),
        ];
        if !short {
            for (y, dark) in [(knee - 1.0, 0.14), (knee + 3.5, 0.13), (long - 5.0, 0.15), (long - 2.5, 0.12)] {
                let (p, q) = ((side * (inner + 0.2), y + 1.0), (side * (middle + 1.5), y - 1.2));
                folds.push(blade(p, (side * (inner + 0.3 * hem), y + 1.2), q, 0.8, dark));
            }
        }
        d.folds(path, folds);
        if turn_up > 0.0 {
            let (a, b) = (outer + 0.5, inner - 0.4);
            let band = Pen::at(a - 0.25, long - turn_up).line(a, long + 0.6).quad(middle, long + 1.6, b, long + 0.9);
            let band =
                band.line(b + 0.1, long - turn_up + 0.3).quad(middle, long - turn_up + 1.0, a - 0.25, long - turn_up);
            d.part(band.side(side).close(), Stuff::Trim).depth(0.7);
        } else {
            let y = long - 2.2;
            d.line(Pen::at(outer - 0.1, y).quad(middle, y + 1.0, inner, y + 0.3).side(side), LineKind::Stitch);
        }
        let pocket = Pen::at(waist - 5.6, 4.4).quad(waist - 4.0, 10.0, hip.0 - 0.7, 13.0);
        d.line(pocket.side(side), LineKind::Seam);
        let stitch = Pen::at(waist - 6.5, 4.4).quad(waist - 4.8, 11.0, hip.0 - 0.5, 14.2);
        d.line(stitch.side(side), LineKind::Stitch);
    }
    d.line(Pen::at(0.0, 4.0).line(0.0, crotch), LineKind::Seam);
    d.line(Pen::at(3.2, 4.4).line(3.0, 15.0).quad(2.6, 19.0, 0.2, 20.0), LineKind::Stitch);
    let band = Pen::at(0.0, 1.6).quad(0.6 * waist, 1.6, waist - 0.5, 0.2).line(waist + 0.2, 4.0);
    let band = band.quad(0.6 * waist, 5.2, 0.0, 5.2);
    let stuff = if cut.collar > 0.5 { Stuff::Trim } else { Stuff::Ground };
    d.part(band.both(), stuff).depth(0.9);
    for x in [0.42 * waist, 0.86 * waist] {
        for side in [-1.0, 1.0] {
            let (x, y) = (side * x, if x > 10.0 { 0.2 } else { 1.0 });
            let belt_loop = Pen::at(x - 0.6, y).line(x + 0.6, y).line(x + 0.6, y + 5.2).line(x - 0.6, y + 5.2);
            d.part(belt_loop.close(), Stuff::Ground).depth(0.4).fine();
        }
    }
    d.button(0.0, 3.4, 0.95, if cut.closure > 0.5 { Stuff::Metal } else { Stuff::Ink });
    d
}

/// A flaring skirt, cut from gores whose grain fans out.
struct Gores {
    waist: Point,
    hip: Point,
    hem: Point,
    /// How much lower the middle of the waist and of the hem hang than their sides.
    sag: (f32, f32),
    count: usize,
    fold: f32,
    /// Gathered at the waist.
    gathered: bool,
}

impl Gores {
    /// A point on the seam at `t` (-1 left edge, 1 right edge): 0 at the waist, 1 at the hem.
    fn seam(&self, t: f32) -> [Point; 4] {
        let ((wx, wy), (hx, hy)) = (self.waist, self.hem);
        let drop = |sag: f32| sag * (1.0 - t * t);
        let c1 = (t * self.hip.0, self.hip.1);
        let c2 = (t * (hx - 0.42 * (hx - self.hip.0)), hy - 0.4 * (hy - self.hip.1));
        [(t * wx, wy + drop(self.sag.0)), c1, c2, (t * hx, hy + drop(self.sag.1))]
    }

    fn add(&self, d: &mut Drawing) {
        let n = self.count;
        let at = |i: usize| -1.0 + 2.0 * i as f32 / n as f32;
        let outline = {
            let [p0, p1, p2, p3] = self.seam(1.0);
            let (top, bottom) = (p0.1 + self.sag.0, p3.1 + self.sag.1 - 0.4);
            let half = Pen::at(0.0, top).quad(0.6 * p0.0, top, p0.0, p0.1).cubic(p1.0, p1.1, p2.0, p2.1, p3.0, p3.1);
            half.quad(0.55 * p3.0, bottom, 0.0, bottom).both()
        };
        // Below the gores lies the whole skirt, so that nothing shines through where they meet.
        let y = 0.5 * (self.waist.1 + self.hem.1);
        let light = ((-self.hem.0, y), (self.hem.0, y + 8.0));
        d.part(outline.clone(), CLOTH).light(light.0, light.1).depth(0.9);
        // From the sides to the middle, so that the middle gore covers the seams of its neighbours.
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|&i| std::cmp::Reverse((2 * i + 1).abs_diff(n)));
        for i in order {
            let (t0, t1) = (at(i), at(i + 1));
            // Gores reach a little below their neighbours: edges that only touch would let the background through.
            let t1 = if i + 1 < n { t1 + 0.012 } else { t1 };
            let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.seam(t0), self.seam(t1));
            let tm = 0.5 * (t0 + t1);
            let [m0, _, _, m3] = self.seam(tm);
            // A curve through the middle point: the control point lies twice as far out.
            let over = |m: f32, a: f32, b: f32| 2.0 * m - 0.5 * (a + b);
            let gore = Pen::at(a0.0, a0.1)
                .quad(m0.0, over(m0.1, a0.1, b0.1), b0.0, b0.1)
                .cubic(b1.0, b1.1, b2.0, b2.1, b3.0, b3.1)
                .quad(m3.0, over(m3.1, a3.1, b3.1) + 0.9, a3.0, a3.1)
                .cubic(a2.0, a2.1, a1.0, a1.1, a0.0, a0.1)
                .close();
            // Half the fan's angle: patterns lean outwards, but hardly repeat at the seams.
            let turn = -0.45 * (tm * (self.hem.0 - self.waist.0)).atan2(self.hem.1 - self.waist.1).to_degrees();
            let part = d.part(gore, Stuff::Cloth { turn, pivot: m0 });
            part.light(light.0, light.1).depth(0.9).joined();
        }
        let mut folds = Vec::new();
        let s = 0.05 * (self.fold - 0.5);
        for i in 1..n {
            let t = at(i);
            let [w, _, c, h] = self.seam(t + s);
            folds.push(blade((h.0 + 1.2, h.1 + 3.0), (c.0 + 1.2, c.1), (w.0 + 0.2, w.1), 1.5, 0.26));
            let [w, _, c, h] = self.seam(t - 0.09 + s);
            folds.push(blade((h.0, h.1 + 3.0), c, w, 1.2, -0.16));
        }
        for i in 0..n {
            let [w, _, c, h] = self.seam(at(i) + 1.0 / n as f32);
            let dx = 1.4 * (i as f32 % 2.0 - 0.5);
            folds.push(blade(
                (h.0 + dx, h.1 + 3.0),
                (c.0 + dx, c.1),
                (0.3 * c.0 + 0.7 * w.0, 0.5 * (c.1 + w.1)),
                1.2,
                0.12,
            ));
        }
        if self.gathered {
            for i in 0..(3 * n) {
                let [w, a, c, _] = self.seam(-0.95 + 1.9 * i as f32 / (3 * n - 1) as f32);
                let reach = 0.16 + 0.1 * ((i * 7) % 5) as f32 / 5.0;
                let end = (lerp(w.0, c.0, reach), lerp(w.1, c.1, reach));
                folds.push(blade(w, (0.6 * w.0 + 0.4 * a.0, 0.5 * (w.1 + end.1)), end, 0.5, 0.26));
            }
        }
        d.folds(outline, folds);
        let up = 2.2;
        let [_, _, c, h] = self.seam(1.0);
        let (hx, y) = (h.0 - up * (h.0 - c.0) / (h.1 - c.1).max(1.0), h.1 - up);
        d.line(Pen::at(-hx, y).quad(0.0, y + 2.0 * self.sag.1 + 0.4, hx, y), LineKind::Stitch);
    }
}

/// The skirt.
pub(super) fn skirt(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let waist = lerp(13.0, 15.0, cut.width);
    let long = lerp(44.0, 62.0, cut.length);
    let hem = lerp(waist + 5.0, waist + 19.0, cut.flare);
    let hip = (lerp(waist + 4.6, waist + 7.0, cut.flare), 20.0);
    let back = Pen::at(0.0, 0.3).quad(0.6 * waist, 0.3, waist - 0.3, -0.6).line(waist, 3.0).line(0.0, 4.6);
    d.part(back.both(), Stuff::Lining).depth(0.6);
    let count = lerp(3.0, 6.99, cut.closure) as usize;
    let sag = (1.4, lerp(0.8, 4.0, cut.flare));
    Gores { waist: (waist, 3.4), hip, hem: (hem, long), sag, count, fold: cut.fold, gathered: cut.flare > 0.5 }
        .add(&mut d);
    let deep = lerp(4.6, 6.6, cut.collar);
    let band = Pen::at(0.0, 1.0).quad(0.6 * waist, 1.0, waist - 0.3, -0.4).line(waist + 0.2, deep - 0.8);
    d.part(band.quad(0.6 * waist, deep + 0.9, 0.0, deep + 0.9).both(), Stuff::Trim).depth(0.9);
    d.button(0.55 * waist, 0.5 * deep + 0.4, 1.0, Stuff::Metal);
    if cut.pocket > 0.55 {
        let y = deep + 4.0;
        d.lines(Pen::at(waist - 3.2, y - 3.0).quad(waist - 0.8, y + 3.0, waist + 2.2, y + 6.0), LineKind::Seam);
    }
    d
}

/// The dress.
pub(super) fn dress(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let sleeved = cut.sleeve > 0.4;
    let waist = (lerp(12.6, 10.8, cut.waist), 33.0);
    let shoulder = if sleeved { (17.2, 4.6) } else { (lerp(12.4, 15.0, cut.collar), 3.2) };
    let body = Body {
        neck: lerp(7.4, 9.4, cut.neckline),
        depth: lerp(7.5, 14.5, cut.neckline),
        vee: if cut.collar > 0.5 { 0.8 } else { 0.0 },
        shoulder,
        armpit: (15.4, 19.0),
        waist: (waist.0 + 0.6, 28.0),
        hem: (waist.0, waist.1),
        sag: 1.4,
    };
    if sleeved {
        Sleeve {
            shoulder: body.shoulder,
            armpit: body.armpit,
            length: lerp(9.0, 20.0, cut.sleeve),
            angle: 40.0,
            cuff: lerp(9.6, 12.0, cut.cuff),
            band: 0.0,
            band_stuff: Stuff::Trim,
            ribbed: false,
        }
        .add(&mut d);
    }
    let hem = (lerp(17.0, 30.0, cut.flare), lerp(72.0, 90.0, cut.length));
    let hip = (waist.0 + lerp(3.4, 7.5, cut.flare), waist.1 + 12.0);
    let sag = (1.2, lerp(0.8, 3.2, cut.flare));
    let count = lerp(4.0, 6.99, cut.closure) as usize;
    Gores { waist: (waist.0, waist.1 - 0.6), hip, hem, sag, count, fold: cut.fold, gathered: cut.flare > 0.45 }
        .add(&mut d);
    body.back(&mut d);
    d.part(body.outline(), CLOTH);
    let (ax, ay) = body.armpit;
    let s = 2.0 * (cut.fold - 0.5);
    d.folds(
        body.outline(),
        vec![
            blade((ax, ay + 1.0), (0.8 * ax, ay + 2.0), (0.5 * ax, ay + 4.0 + s), 0.8, 0.2),
            blade((-ax, ay + 1.0), (-0.8 * ax, ay + 2.0), (-0.5 * ax, ay + 4.0 - s), 0.8, 0.14),
            blade((0.5 * ax, ay + 3.0), (0.55 * ax, ay + 8.0), (0.45 * ax, waist.1), 1.0, 0.15),
            blade((-0.5 * ax, ay + 3.0), (-0.55 * ax, ay + 8.0), (-0.45 * ax, waist.1), 0.9, -0.12),
            blade((-0.4 * ax, ay + 4.0), (-0.42 * ax, ay + 8.0), (-0.38 * ax, waist.1), 0.7, 0.12),
        ],
    );
    // Princess seams, from the armhole to the waist.
    d.lines(
        Pen::at(ax - 1.0, ay - 4.0).cubic(0.6 * ax, ay - 1.0, 0.48 * ax, ay + 5.0, 0.5 * waist.0, waist.1),
        LineKind::Seam,
    );
    body.band(&mut d, 1.5, Stuff::Trim);
    let w = waist.0 + 0.35;
    let deep = lerp(2.4, 4.4, cut.handle);
    let (top, bottom) = (waist.1 - 0.5 * deep, waist.1 + 0.5 * deep);
    let belt = Pen::at(0.0, top + 1.2).quad(0.6 * w, top + 1.2, w, top).line(w, bottom).quad(
        0.6 * w,
        bottom + 1.3,
        0.0,
        bottom + 1.3,
    );
    d.part(belt.both(), Stuff::Trim).depth(0.9);
    if cut.pocket > 0.6 {
        let (y, x) = (waist.1 + 1.2, 3.0);
        let buckle =
            Pen::at(-x, y - 0.7 * deep).line(x, y - 0.7 * deep).line(x, y + 0.7 * deep).line(-x, y + 0.7 * deep);
        d.part(buckle.line(-x, y - 0.7 * deep).strap(0.9), Stuff::Metal).depth(0.5);
    }
    d
}

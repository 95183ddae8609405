//! T-shirt, shirt and jumper, and the bodies and sleeves that other sketches share.

use super::drawing::{Blade, CLOTH, Drawing, LineKind, Pen, Point, Stuff, blade};
use super::kinds::{Cut, lerp};
use tiny_skia::Path;

/// The right half of an upper body's outline, from the front neck to the hem's middle.
pub(super) struct Body {
    /// Where the neckline meets the shoulder seam: half the neck's width, at height 0.
    pub neck: f32,
    /// How far below that the front neckline lies.
    pub depth: f32,
    /// 0 for a round neckline, 1 for a V.
    pub vee: f32,
    pub shoulder: Point,
    pub armpit: Point,
    pub waist: Point,
    pub hem: Point,
    /// How much lower the hem's middle is than its sides.
    pub sag: f32,
}

impl Body {
    /// The front neckline from its middle to the shoulder seam, `out` units wider than the neck hole.
    pub fn neckline(&self, out: f32) -> Pen {
        let (w, d) = (self.neck + out, self.depth + out);
        let y = 0.22 * out;
        let round = 1.0 - self.vee;
        Pen::at(0.0, d).cubic(
            (0.35 + 0.28 * round) * w,
            d - (1.0 - round) * 0.38 * d,
            w,
            y + 0.52 * d * round + 0.1 * d,
            w,
            y,
        )
    }

    /// The whole outline.
    pub fn outline(&self) -> Path {
        let (sx, sy) = self.shoulder;
        let (ax, ay) = self.armpit;
        let (wx, wy) = self.waist;
        let (hx, hy) = self.hem;
        let (up, down) = (0.4 * (wy - ay), 0.42 * (hy - wy));
        self.neckline(0.0)
            .quad(0.5 * (self.neck + sx), 0.32 * sy, sx, sy)
            .cubic(sx - 1.9, sy + 0.4 * (ay - sy), ax - 2.1, ay - 0.25 * (ay - sy), ax, ay)
            .cubic(ax - 0.2, ay + up, wx, wy - up, wx, wy)
            .cubic(wx, wy + down, hx - 0.2, hy - down, hx, hy)
            .quad(0.55 * hx, hy + self.sag, 0.0, hy + self.sag)
            .both()
    }

    /// The inside of the back, which the neckline lets see.
    pub fn back(&self, drawing: &mut Drawing) {
        let w = self.neck;
        let inside = Pen::at(0.0, 1.1).cubic(0.5 * w, 1.1, 0.8 * w, 0.8, w - 0.4, 0.1).line(w + 0.4, 0.6);
        let inside = inside.cubic(w, 0.7 * self.depth, 0.6 * w, self.depth + 1.5, 0.0, self.depth + 1.5);
        drawing.part(inside.both(), Stuff::Lining).depth(0.7);
        drawing.line(Pen::at(-0.97 * w, 1.2).quad(0.0, 4.4, 0.97 * w, 1.2), LineKind::Seam);
        let label = Pen::at(0.0, 1.9).line(1.5, 1.9).line(1.5, 3.6).line(0.0, 3.6);
        drawing.part(label.both(), Stuff::Pale).depth(0.0).fine();
    }

    /// The ribbed or folded band around the neckline.
    pub fn band(&self, drawing: &mut Drawing, width: f32, stuff: Stuff) {
        let (w, d) = (self.neck + width, self.depth + width);
        let round = 1.0 - self.vee;
        let y = 0.22 * width;
        let ring = self.neckline(0.0).line(w, y);
        let ring = ring.cubic(
            w,
            y + 0.52 * d * round + 0.1 * d,
            (0.35 + 0.28 * round) * w,
            d - (1.0 - round) * 0.38 * d,
            0.0,
            d,
        );
        drawing.part(ring.both(), stuff).depth(0.5);
    }

    /// Folds that any upper body has: from the armpits, and across the waist.
    pub fn drape(&self, fold: f32) -> Vec<Blade> {
        let (ax, ay) = self.armpit;
        let (wx, wy) = self.waist;
        let (hx, hy) = self.hem;
        let s = 3.0 * (fold - 0.5);
        vec![
            blade((ax, ay + 0.5), (0.72 * ax, ay + 3.0), (0.42 * ax, ay + 9.0 + s), 1.1, 0.20),
            blade((ax - 0.5, ay + 2.0), (0.85 * ax, ay + 10.0), (0.66 * ax, ay + 19.0 + s), 1.0, 0.16),
            blade((-ax, ay + 0.5), (-0.75 * ax, ay + 4.0), (-0.46 * ax, ay + 8.0 - s), 0.9, 0.14),
            blade((-ax, ay + 3.0), (-0.8 * ax, ay + 9.0), (-0.7 * ax, ay + 16.0), 0.8, -0.12),
            blade((wx + 0.5, wy + 3.0), (0.7 * wx, wy + 2.0 + s), (0.3 * wx, wy + 5.0), 1.0, 0.13),
            blade((-wx, wy - 2.0), (-0.7 * wx, wy + 1.0), (-0.34 * wx, wy - s), 0.8, 0.10),
            blade((0.62 * hx, hy + 1.0), (0.6 * hx + s, 0.5 * (hy + wy)), (0.52 * wx, wy + 4.0), 1.3, 0.13),
            blade((-0.35 * hx, hy + 1.0), (-0.36 * hx + s, 0.5 * (hy + wy)), (-0.3 * wx, wy + 6.0), 1.2, 0.09),
            blade((-0.5 * hx, hy), (-0.5 * hx + s, 0.5 * (hy + wy)), (-0.42 * wx, wy + 4.0), 1.0, -0.10),
        ]
    }
}

/// A sleeve: it lies below the body and comes out of the armhole.
pub(super) struct Sleeve {
    pub shoulder: Point,
    pub armpit: Point,
    /// From the shoulder to the end, along the outer edge.
    pub length: f32,
    /// How far it stands off the body, in degrees from straight down.
    pub angle: f32,
    /// Width at the end.
    pub cuff: f32,
    /// Height of the band at the end, 0 for a plain hem.
    pub band: f32,
    /// What the band is made of.
    pub band_stuff: Stuff,
    /// Knitted ribs on the band.
    pub ribbed: bool,
}

impl Sleeve {
    /// Adds both sleeves.
    pub fn add(&self, drawing: &mut Drawing) {
        for side in [-1.0, 1.0] {
            self.add_side(drawing, side);
        }
    }

    fn add_side(&self, drawing: &mut Drawing, side: f32) {
        let (sx, sy) = self.shoulder;
        let (ax, ay) = self.armpit;
        let (sin, cos) = self.angle.to_radians().sin_cos();
        // A place so far along the arm and so far inwards from its outer edge.
        let on =
            |along: f32, inward: f32| (sx + 1.6 + along * sin - inward * cos, sy + 1.2 + along * cos + inward * sin);
        let long = self.length > 30.0;
        let bend = if long { 1.3 } else { 0.3 };
        let end = self.length - self.band;
        let (ox, oy) = on(end, 0.0);
        let (ix, iy) = on(end + 0.4, self.cuff);
        let (c1, c2) = (on(0.28 * end, -2.4), on(0.62 * end, -bend));
        let (d1, d2) = (on(0.66 * end, self.cuff + bend), on(0.45 * end, 0.2 + 0.55 * (self.cuff + 13.0)));
        let (d1, d2) = if long { (d1, d2) } else { (on(0.75 * end, self.cuff + 0.6), (ax + 0.5, ay - 0.2)) };
        let arm = Pen::at(0.5 * sx, sy - 1.2)
            .quad(0.85 * sx, 0.72 * sy, sx + 0.2, sy)
            .cubic(c1.0, c1.1, c2.0, c2.1, ox, oy)
            .quad(0.5 * (ox + ix) + 0.8 * sin, 0.5 * (oy + iy) + 0.8 * cos, ix, iy)
            .cubic(d1.0, d1.1, d2.0, d2.1, ax - 0.6, ay + if long { 1.5 } else { 0.4 })
            .line(0.5 * ax, ay - 2.0);
        let across = |p: Point, q: Point| if side < 0.0 { ((-p.0, p.1), (-q.0, q.1)) } else { (q, p) };
        let light = across(on(0.5 * end, -1.0), on(0.5 * end, self.cuff + 3.0));
        if self.band > 0.0 {
            let narrow = if self.ribbed { 0.8 } else { 0.35 };
            let (a, b) = (on(end - 0.5, narrow - 0.2), on(self.length, narrow + 0.4));
            let (c, d) = (on(self.length + 0.3, self.cuff - narrow - 0.2), on(end - 0.2, self.cuff - narrow + 0.2));
            let band = Pen::at(a.0, a.1).line(b.0, b.1).quad(
                0.5 * (b.0 + c.0) + 0.5 * sin,
                0.5 * (b.1 + c.1) + 0.5 * cos,
                c.0,
                c.1,
            );
            drawing.part(band.line(d.0, d.1).side(side).close(), self.band_stuff).light(light.0, light.1).depth(0.8);
            if self.ribbed {
                for i in 1..7 {
                    let inward = narrow + (self.cuff - 2.0 * narrow) * i as f32 / 7.0;
                    let (p, q) = (on(end, inward), on(self.length, inward));
                    drawing.line(Pen::at(p.0, p.1).line(q.0, q.1).side(side), LineKind::Rib);
                }
            }
        }
        // The grain of the cloth runs along the arm.
        let stuff = Stuff::Cloth { turn: -0.85 * self.angle * side, pivot: (side * sx, sy) };
        drawing.part(arm.side(side).close(), stuff).light(light.0, light.1).depth(0.85);
        if self.band == 0.0 {
            let ((px, py), (qx, qy)) = (on(end - 2.0, -0.1), on(end - 1.7, self.cuff + 0.1));
            drawing.line(Pen::at(px, py).line(qx, qy).side(side), LineKind::Stitch);
        }
        let at = |along: f32, inward: f32| {
            let (x, y) = on(along, inward);
            (side * x, y)
        };
        let middle = 0.5 * self.cuff;
        let mut folds = vec![
            // The shadow of the armhole, and the pull from the armpit.
            blade(
                (side * ax, ay + 1.0),
                (side * (ax + 0.8), 0.5 * (ay + sy)),
                (side * (sx - 0.5), sy + 2.0),
                1.5,
                0.20,
            ),
            blade((side * ax, ay), at(0.45 * end, middle + 3.0), at(0.3 * end, 2.0), 0.9, 0.13),
        ];
        if long {
            for (along, dark) in [(0.47, 0.15), (0.55, 0.17), (0.61, -0.12), (0.82, 0.13), (0.9, 0.15)] {
                let (p, q) = (at(along * end, self.cuff + 1.8), at((along - 0.06) * end, 1.2));
                folds.push(blade(p, at((along - 0.005) * end, middle), q, 0.8, dark));
            }
        }
        drawing.folds(arm.side(side).close(), folds);
    }
}

/// The T-shirt.
pub(super) fn tshirt(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let wide = lerp(-1.2, 2.2, cut.width);
    let long = lerp(59.0, 69.0, cut.length);
    let body = Body {
        neck: lerp(7.6, 9.6, cut.neckline),
        depth: lerp(6.0, 13.0, cut.neckline),
        vee: if cut.collar > 0.72 { 0.85 } else { 0.0 },
        shoulder: (20.4 + wide, 5.4),
        armpit: (19.2 + wide, 22.5),
        waist: (18.6 + wide - 2.0 * cut.waist, 0.62 * long),
        hem: (19.2 + wide + lerp(-0.6, 1.6, cut.flare), long),
        sag: 1.0,
    };
    Sleeve {
        shoulder: body.shoulder,
        armpit: body.armpit,
        length: lerp(16.0, 25.0, cut.sleeve),
        angle: 43.0 - 6.0 * cut.sleeve,
        cuff: lerp(12.2, 14.6, cut.cuff),
        band: 0.0,
        band_stuff: Stuff::Trim,
        ribbed: false,
    }
    .add(&mut d);
    body.back(&mut d);
    d.part(body.outline(), CLOTH);
    d.folds(body.outline(), body.drape(cut.fold));
    let (hx, hy) = body.hem;
    d.line(Pen::at(-hx, hy - 2.0).quad(0.0, hy - 0.4, hx, hy - 2.0), LineKind::Stitch);
    body.band(&mut d, 2.2, Stuff::Trim);
    if cut.pocket > 0.6 {
        let (s, y) = (lerp(3.0, 3.8, cut.pocket), 20.5);
        let pocket = Pen::at(10.0 - s, y).line(10.0 + s, y).line(10.0 + s, y + 1.7 * s).line(10.0, y + 2.2 * s);
        d.part(pocket.line(10.0 - s, y + 1.7 * s).close(), Stuff::Cloth { turn: 0.0, pivot: (0.0, 3.0) }).depth(0.25);
        d.line(Pen::at(10.0 - s, y + 1.4).line(10.0 + s, y + 1.4), LineKind::Stitch);
    }
    d
}

/// The shirt.
pub(super) fn shirt(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let wide = lerp(-1.0, 2.0, cut.width);
    let long = lerp(60.0, 67.0, cut.length);
    let body = Body {
        neck: 7.0,
        depth: 5.6,
        vee: 0.4,
        shoulder: (20.6 + wide, 5.2),
        armpit: (19.4 + wide, 23.0),
        waist: (18.4 + wide - 1.8 * cut.waist, 0.6 * long),
        hem: (19.4 + wide + lerp(-0.3, 1.2, cut.flare), long - 5.0),
        sag: 6.5,
    };
    Sleeve {
        shoulder: body.shoulder,
        armpit: body.armpit,
        length: lerp(48.0, 56.0, cut.sleeve),
        angle: 17.0,
        cuff: lerp(8.4, 10.0, cut.cuff),
        band: 5.0,
        band_stuff: Stuff::Trim,
        ribbed: false,
    }
    .add(&mut d);
    let stand = Pen::at(0.0, -3.4).quad(5.0, -3.4, 7.0, -2.2).line(7.6, 1.0).line(4.0, 6.0).line(0.0, 7.0);
    d.part(stand.both(), Stuff::Lining).depth(0.6);
    d.line(Pen::at(-6.8, 0.4).quad(0.0, 2.6, 6.8, 0.4), LineKind::Seam);
    let outline = body.outline();
    d.part(outline.clone(), CLOTH);
    d.folds(outline, body.drape(cut.fold));
    let bottom = body.hem.1 + body.sag;
    let yoke = Pen::at(8.2, 6.6).quad(14.0, 7.6, body.shoulder.0 - 0.8, body.shoulder.1 + 4.0);
    d.lines(yoke, LineKind::Seam);
    // The placket: a strip down the front, with its own piece of cloth.
    let placket = Pen::at(-1.9, 5.6).line(1.9, 5.6).line(1.9, bottom - 0.15).line(-1.9, bottom - 0.15);
    d.part(placket.close(), Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) }).depth(0.35);
    d.lines(Pen::at(1.35, 6.0).line(1.35, bottom - 0.6), LineKind::Stitch);
    let buttons = lerp(5.0, 7.99, cut.closure) as usize;
    for i in 0..buttons {
        d.button(0.0, lerp(11.5, bottom - 8.0, i as f32 / (buttons - 1) as f32), 0.95, Stuff::Pale);
    }
    if cut.pocket > 0.45 {
        let (s, x, y) = (lerp(3.4, 4.2, cut.pocket), 10.4, 21.0);
        let pocket = Pen::at(x - s, y).line(x + s, y).line(x + s, y + 1.7 * s).line(x, y + 2.2 * s);
        d.part(pocket.line(x - s, y + 1.7 * s).close(), Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) }).depth(0.3);
        d.line(Pen::at(x - s, y + 1.8).line(x + s, y + 1.8), LineKind::Seam);
    }
    let tip = lerp(10.5, 14.0, cut.collar);
    for side in [-1.0, 1.0] {
        let leaf = Pen::at(0.2, 5.4)
            .cubic(2.6, 3.4, 4.6, 0.8, 5.2, -2.4)
            .quad(5.8, -3.4, 7.0, -2.5)
            .quad(8.2, -1.6, 8.7, 0.8)
            .quad(9.2, 5.0, 8.4, tip);
        let leaf = leaf.quad(4.0, 0.72 * tip, 0.2, 5.4);
        d.part(leaf.side(side).close(), Stuff::Trim).depth(0.5);
        let stitch = Pen::at(8.0, 1.6).quad(8.5, 5.0, 7.7, tip - 1.5).quad(4.4, 0.68 * tip, 1.8, 5.4);
        d.line(stitch.side(side), LineKind::Stitch);
    }
    d.button(0.0, 6.4, 0.95, Stuff::Pale);
    d
}

/// The jumper.
pub(super) fn jumper(cut: &Cut) -> Drawing {
    let mut d = Drawing::new(1.0);
    let wide = lerp(0.5, 3.6, cut.width);
    let long = lerp(53.0, 61.0, cut.length);
    let high = cut.collar > 0.55;
    let body = Body {
        neck: 8.0,
        depth: if high { 3.6 } else { lerp(5.4, 8.0, cut.neckline) },
        vee: if cut.collar < 0.2 { 0.8 } else { 0.0 },
        shoulder: (21.4 + wide, 6.6),
        armpit: (20.4 + wide, 26.0),
        waist: (20.4 + wide, 0.64 * long),
        hem: (19.6 + wide + lerp(-0.8, 0.6, cut.flare), long),
        sag: 0.8,
    };
    Sleeve {
        shoulder: body.shoulder,
        armpit: body.armpit,
        length: lerp(48.0, 54.0, cut.sleeve),
        angle: 19.0,
        cuff: lerp(10.0, 12.4, cut.cuff),
        band: 6.0,
        band_stuff: Stuff::Trim,
        ribbed: true,
    }
    .add(&mut d);
    if !high {
        body.back(&mut d);
    }
    let (hx, hy) = body.hem;
    let welt = Pen::at(0.0, hy - 2.0).line(hx - 0.8, hy - 2.0).quad(hx - 0.7, hy + 3.0, hx - 1.4, hy + 6.0);
    d.part(welt.quad(0.5 * hx, hy + 7.0, 0.0, hy + 7.0).both(), Stuff::Trim).depth(0.8);
    for i in -13..=13 {
        let x = i as f32 / 13.8 * (hx - 1.2);
        d.line(Pen::at(x, hy + 0.5).line(0.98 * x, hy + 6.2), LineKind::Rib);
    }
    d.part(body.outline(), CLOTH);
    d.folds(body.outline(), body.drape(cut.fold));
    if high {
        // A turned-down roll neck.
        let top = lerp(-5.0, -9.0, cut.collar);
        let roll = Pen::at(0.0, top).cubic(4.0, top, 7.4, top - 0.2, 8.2, top + 0.8).quad(9.0, -1.6, 9.0, 0.8);
        let roll = roll.cubic(9.0, 4.6, 5.4, 5.8, 0.0, 5.8).both();
        d.part(roll.clone(), Stuff::Trim).depth(0.9);
        for i in -6..=6 {
            let x = i as f32 * 1.25;
            d.line(Pen::at(x, top + 0.8).quad(1.1 * x, -1.0, 1.08 * x, 5.2 - 0.045 * x * x), LineKind::Rib);
        }
        d.folds(roll, vec![blade((-8.5, -1.5), (0.0, 1.8), (8.8, -1.2), 0.7, 0.25)]);
    } else {
        body.band(&mut d, 3.2, Stuff::Trim);
        for i in -9..=9_i32 {
            let t = i as f32 / 9.6;
            let (s, c) = (1.35 * t).sin_cos();
            let reach = |out: f32| ((body.neck + out) * s, (body.depth + out) * c.powf(0.8));
            let ((x0, y0), (x1, y1)) = (reach(0.3), reach(2.8));
            if body.vee == 0.0 {
                d.line(Pen::at(x0, y0).line(x1, y1), LineKind::Rib);
            }
        }
    }
    d
}

//! What a sketch consists of: parts, lines and folds in painting order, and the pen that draws their outlines.

use tiny_skia::{Path, PathBuilder, Stroke, StrokeDash, Transform};

/// A place on the sketch: x to the right from the garment's middle, y downwards, about 80 units for a coat's length.
pub(super) type Point = (f32, f32);

/// What a part is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stuff {
    /// The patterned cloth, its grain turned by so many degrees about a point.
    Cloth { turn: f32, pivot: Point },
    /// Ribs, collars, cuffs: the garment's trim colour.
    Trim,
    /// The cloth's main colour without its pattern, a little darker.
    Ground,
    /// The palette's accent.
    Accent,
    /// The inside of the garment.
    Lining,
    /// The palette's darkest colour.
    Ink,
    /// Rubber soles and laces: nearly white.
    Pale,
    /// Clasps, rings, eyelets.
    Metal,
}

/// Cloth whose grain runs straight.
pub(super) const CLOTH: Stuff = Stuff::Cloth { turn: 0.0, pivot: (0.0, 0.0) };

/// A filled shape.
pub(super) struct Part {
    pub path: Path,
    pub stuff: Stuff,
    /// Where the light enters and leaves the shape: shading runs along this line.
    pub light: (Point, Point),
    /// How round the shape looks, 0 for flat.
    pub depth: f32,
    /// Left out where a pixel is bigger than the detail.
    pub fine: bool,
    /// Continues the shape below it: its edges are no edges of the garment.
    pub joined: bool,
}

impl Part {
    /// Sets how round the shape looks.
    pub fn depth(&mut self, depth: f32) -> &mut Part {
        self.depth = depth;
        self
    }

    /// Sets the line that shading runs along.
    pub fn light(&mut self, from: Point, to: Point) -> &mut Part {
        self.light = (from, to);
        self
    }

    /// Marks the shape as a continuation of the one below it.
    pub fn joined(&mut self) -> &mut Part {
        self.joined = true;
        self
    }

    /// Marks the shape as a detail of large pictures.
    pub fn fine(&mut self) -> &mut Part {
        self.fine = true;
        self
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A seam or an edge that any size shows.
    Seam,
    /// A row of stitches, large pictures only.
    Stitch,
    /// A knitted rib or a gathered pleat, large pictures only.
    Rib,
}

/// A fold of cloth: a blade along a curve that shading blurs.
pub(super) struct Blade {
    pub from: Point,
    pub via: Point,
    pub to: Point,
    pub width: f32,
    /// Above 0 shadow, below 0 light.
    pub dark: f32,
}

/// One step of painting.
pub(super) enum Op {
    Part(Part),
    Line(Path, LineKind),
    /// Folds, seen only within the path.
    Folds(Path, Vec<Blade>),
}

/// A sketch: painting steps from the back to the front.
pub(super) struct Drawing {
    pub ops: Vec<Op>,
    /// Height of a unit compared to its width: sketches of flat things are stretched a little to fill the frame.
    pub tall: f32,
}

impl Drawing {
    /// An empty sketch whose units are `tall` times as high as they are wide.
    pub fn new(tall: f32) -> Drawing {
        Drawing { ops: Vec::with_capacity(48), tall }
    }

    /// Adds a filled shape; the light falls across it from the left unless the caller says otherwise.
    pub fn part(&mut self, path: Path, stuff: Stuff) -> &mut Part {
        let b = path.bounds();
        let light = ((b.left(), b.top()), (b.right(), b.top() + 0.25 * b.height()));
        self.ops.push(Op::Part(Part { path, stuff, light, depth: 1.0, fine: false, joined: false }));
        let Some(Op::Part(part)) = self.ops.last_mut() else { unreachable!("a part was pushed just above") };
        part
    }

    /// Adds a line.
    pub fn line(&mut self, pen: Pen, kind: LineKind) {
        self.ops.push(Op::Line(pen.open(), kind));
    }

    /// Adds a line and its mirror image.
    pub fn lines(&mut self, pen: Pen, kind: LineKind) {
        self.line(pen.flip(), kind);
        self.line(pen, kind);
    }

    /// Adds folds within a shape.
    pub fn folds(&mut self, clip: Path, blades: Vec<Blade>) {
        self.ops.push(Op::Folds(clip, blades));
    }

    /// Adds a button with a rim, a shadow and thread holes.
    pub fn button(&mut self, x: f32, y: f32, r: f32, stuff: Stuff) {
        self.part(circle(x, y, r), stuff).depth(0.8);
        self.part(circle(x - 0.32 * r, y, 0.16 * r), Stuff::Lining).depth(0.0).fine();
        self.part(circle(x + 0.32 * r, y, 0.16 * r), Stuff::Lining).depth(0.0).fine();
    }

    /// The transform into a canvas of 100 by 100 that centres the garment and makes its longer side 85, and its scale.
    pub fn fit(&self) -> (Transform, f32) {
        let (mut left, mut top, mut right, mut bottom) = (f32::MAX, f32::MAX, f32::MIN, f32::MIN);
        for op in &self.ops {
            let Op::Part(part) = op else { continue };
            let b = part.path.compute_tight_bounds().unwrap_or(part.path.bounds());
            (left, top) = (left.min(b.left()), top.min(b.top()));
            (right, bottom) = (right.max(b.right()), bottom.max(b.bottom()));
        }
        let scale = 85.0 / (right - left).max(self.tall * (bottom - top));
        let (sx, sy) = (scale, scale * self.tall);
        let (x, y) = (50.0 - sx * 0.5 * (left + right), 50.0 - sy * 0.5 * (top + bottom));
        (Transform::from_row(sx, 0.0, 0.0, sy, x, y), scale)
    }
}

/// A piece of an outline.
#[derive(Clone, Copy)]
enum Segment {
    Line(Point),
    Quad(Point, Point),
    Cubic(Point, Point, Point),
}

/// Draws outlines; a symmetric garment needs only its right half.
#[derive(Clone)]
pub(super) struct Pen {
    start: Point,
    segments: Vec<Segment>,
}

impl Pen {
    /// Sets the pen down.
    pub fn at(x: f32, y: f32) -> Pen {
        Pen { start: (x, y), segments: Vec::with_capacity(12) }
    }

    /// A straight line.
    pub fn line(mut self, x: f32, y: f32) -> Pen {
        self.segments.push(Segment::Line((x, y)));
        self
    }

    /// A curve with one control point.
    pub fn quad(mut self, ax: f32, ay: f32, x: f32, y: f32) -> Pen {
        self.segments.push(Segment::Quad((ax, ay), (x, y)));
        self
    }

    /// A curve with two control points.
    pub fn cubic(mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) -> Pen {
        self.segments.push(Segment::Cubic((ax, ay), (bx, by), (x, y)));
        self
    }

    /// The mirror image.
    pub fn flip(&self) -> Pen {
        let f = |(x, y): Point| (-x, y);
        let segments = self.segments.iter().map(|segment| match *segment {
            Segment::Line(p) => Segment::Line(f(p)),
            Segment::Quad(a, p) => Segment::Quad(f(a), f(p)),
            Segment::Cubic(a, b, p) => Segment::Cubic(f(a), f(b), f(p)),
        });
        Pen { start: f(self.start), segments: segments.collect() }
    }

    /// The pen itself for the right side (1), its mirror image for the left (-1).
    pub fn side(&self, side: f32) -> Pen {
        if side < 0.0 { self.flip() } else { self.clone() }
    }

    /// The open line.
    pub fn open(&self) -> Path {
        finish(self.build())
    }

    /// The closed outline.
    pub fn close(&self) -> Path {
        let mut builder = self.build();
        builder.close();
        finish(builder)
    }

    /// The outline whose right half was drawn from its top middle to its bottom middle.
    pub fn both(&self) -> Path {
        let mut builder = self.build();
        let mirror = self.flip();
        for (i, segment) in mirror.segments.iter().enumerate().rev() {
            let (x, y) = if i == 0 { mirror.start } else { mirror.segments[i - 1].end() };
            match *segment {
                Segment::Line(_) => builder.line_to(x, y),
                Segment::Quad(a, _) => builder.quad_to(a.0, a.1, x, y),
                Segment::Cubic(a, b, _) => builder.cubic_to(b.0, b.1, a.0, a.1, x, y),
            }
        }
        builder.close();
        finish(builder)
    }

    /// A strap of that width along the line, with round ends.
    pub fn strap(&self, width: f32) -> Path {
        let stroke = Stroke {
            width,
            line_cap: tiny_skia::LineCap::Round,
            line_join: tiny_skia::LineJoin::Round,
            ..Stroke::default()
        };
        self.open().stroke(&stroke, 2.0).expect("a strap has a length and a width")
    }

    fn build(&self) -> PathBuilder {
        let mut builder = PathBuilder::new();
        builder.move_to(self.start.0, self.start.1);
        for segment in &self.segments {
            match *segment {
                Segment::Line(p) => builder.line_to(p.0, p.1),
                Segment::Quad(a, p) => builder.quad_to(a.0, a.1, p.0, p.1),
                Segment::Cubic(a, b, p) => builder.cubic_to(a.0, a.1, b.0, b.1, p.0, p.1),
            }
        }
        builder
    }
}

impl Segment {
    fn end(self) -> Point {
        match self {
            Segment::Line(p) | Segment::Quad(_, p) | Segment::Cubic(_, _, p) => p,
        }
    }
}

/// Sketches are made of finite numbers (cuts are clamped), so a path always comes out.
fn finish(builder: PathBuilder) -> Path {
    builder.finish().expect("an outline has at least two points")
}

/// A circle.
pub(super) fn circle(x: f32, y: f32, r: f32) -> Path {
    PathBuilder::from_circle(x, y, r).expect("a circle has a radius")
}

/// The stitches' dashes.
pub(super) fn dashes(length: f32) -> Option<StrokeDash> {
    StrokeDash::new(vec![length, 0.8 * length], 0.0)
}

/// A blade of shadow (`dark` above 0) or light.
pub(super) fn blade(from: Point, via: Point, to: Point, width: f32, dark: f32) -> Blade {
    Blade { from, via, to, width, dark }
}

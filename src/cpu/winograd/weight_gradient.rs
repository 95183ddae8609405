//! The gradient of the weights: products over tiles.

use super::super::CpuBuffer;
use super::super::pack::depth;
use super::super::parallel::{for_chunks, for_tasks};
use super::super::product::Shared;
use super::super::simd::vectorized;
use super::super::tile::{Multiply, Tile, TileProduct};
use super::super::vector::{Vector, with_vectors};
use super::form::Form;
use super::lanes::{Pixels, turn_out};
use super::{Panels, Plan, TILES};
use std::ops::Range;

/// Elements of transformed images that are made at a time.
const NEAR: usize = 1 << 20;
/// Panels of channels of the results that go with them.
const TALL: usize = 4;
/// Panels of the right side of a unit, three vectors each, and their vectors.
const WIDE: usize = 4;
const VECTORS: usize = 3 * WIDE;

/// dw from x and dy. Writes all of dw.
pub fn weight_gradient<F: Form>(plan: &Plan, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    with_vectors!(in_vectors, [F], (plan, x, dy, dw));
}

fn in_vectors<F: Form, V: Vector<W>, const W: usize>(plan: &Plan, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    // The register tiles of `with_tile`.
    match W {
        16 => in_tiles::<F, V, W, 8, 48>(plan, x, dy, dw),
        _ => in_tiles::<F, V, W, 4, 24>(plan, x, dy, dw),
    }
}

/// What a task computes: the weights between blocks of channels of the pixels and panels of channels of the results.
struct Unit {
    blocks: Range<usize>,
    panels: Range<usize>,
}

fn in_tiles<F: Form, V: Vector<W>, const W: usize, const MR: usize, const NR: usize>(
    plan: &Plan,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let (c, o) = (plan.c.div_ceil(W), plan.o.div_ceil(W));
    let [left, right] = [o * W / MR, (F::PHASES * c * W).div_ceil(NR)];
    let groups = plan.groups((NEAR / (F::PLACES * (left * MR + right * NR))).max(TILES), false);
    // As many blocks of channels of the pixels as fill a unit's panels.
    let blocks = VECTORS / F::PHASES;
    let mut units = Vec::new();
    for first in (0..c).step_by(blocks) {
        for top in (0..left).step_by(TALL) {
            units.push(Unit { blocks: first..c.min(first + blocks), panels: top..left.min(top + TALL) });
        }
    }
    // A unit's sums, in the order place, panel of the right side, panel of the left side.
    let size = F::PLACES * WIDE * TALL;
    let dw = Shared::new(dw);
    // The sums of one group live as long as their unit, of several until the last one.
    let mut kept = CpuBuffer::uninit(if groups.len() > 1 { (units.len() * size + 1) * MR * NR } else { 0 });
    // SAFETY: a tile is MR·NR floats, any of which may have any bits; align_to cuts at its alignment.
    let (_, kept, _) = unsafe { kept.align_to_mut::<Tile<MR, NR>>() };
    for (i, group) in groups.iter().enumerate() {
        let a = Panels { places: F::PLACES, width: MR, count: left, tiles: group.tiles };
        let b = Panels { places: F::PLACES, width: NR, count: right, tiles: group.tiles };
        let mut data = [&a, &b].map(|panels| CpuBuffer::uninit(panels.len()));
        let [to_a, to_b] = data.each_mut().map(|data| Shared::new(data));
        let tasks = c + o.div_ceil(4);
        for_tasks(group.strips.len() * tasks, |task| {
            let (strip, block) = (&group.strips[task / tasks], task % tasks);
            let mut scratch = Pixels::default();
            vectorized(
                #[inline(always)]
                || {
                    // SAFETY: nobody else has these channels of this strip.
                    unsafe {
                        if block < c {
                            return plan.pixels::<F, V, W>(x, strip, block, &b, to_b, &mut scratch);
                        }
                        for block in 4 * (block - c)..o.min(4 * (block - c) + 4) {
                            plan.results::<F, V, W>(dy, strip, block, &a, to_a, &mut scratch);
                        }
                    }
                },
            );
        });
        let work = |unit: &Unit, sums: &mut [Tile<MR, NR>]| {
            products::<F, MR, NR>(unit, [&a, &b], [&data[0], &data[1]], sums, i > 0);
            if i + 1 == groups.len() {
                vectorized(
                    #[inline(always)]
                    || finish::<F, V, W, MR, NR>(plan, unit, sums, dw),
                );
            }
        };
        if groups.len() > 1 {
            for_chunks([&mut kept[..units.len() * size]], size, |i, [sums]| work(&units[i], sums));
        } else {
            for_tasks(units.len(), |i| {
                let mut own = CpuBuffer::uninit((size + 1) * MR * NR);
                // SAFETY: as above.
                let (_, own, _) = unsafe { own.align_to_mut::<Tile<MR, NR>>() };
                work(&units[i], &mut own[..size]);
            });
        }
    }
}

/// sums = Σ_t a[t]·b[t]ᵀ of every place, or += if `add`.
fn products<F: Form, const MR: usize, const NR: usize>(
    unit: &Unit,
    [a_panels, b_panels]: [&Panels; 2],
    [a, b]: [&[f32]; 2],
    sums: &mut [Tile<MR, NR>],
    add: bool,
) {
    let (product, tiles) = (TileProduct::<MR, NR>::best(), a_panels.tiles);
    let depth = depth::<NR>(tiles);
    let right = unit.right::<F, NR>();
    for place in 0..F::PLACES {
        for (wide, panel) in right.clone().enumerate() {
            let columns = (unit.columns::<F, NR>().end - panel * NR).min(NR);
            for from in (0..tiles).step_by(depth) {
                let to = tiles.min(from + depth);
                let at = |panels: &Panels, panel: usize| place * panels.place() + panel * tiles * panels.width;
                let b = &b[at(b_panels, panel)..][from * NR..to * NR];
                for (tall, panel) in unit.panels.clone().enumerate() {
                    let a = &a[at(a_panels, panel)..][from * MR..to * MR];
                    let tile = &mut sums[(place * WIDE + wide) * TALL + tall];
                    let wanted = [MR, columns];
                    Multiply { product, a, tile, wanted, add: add || from > 0, alone: false }.run(b);
                }
            }
        }
    }
}

impl Unit {
    /// Its columns of the right side: of each block of channels a vector for each phase.
    fn columns<F: Form, const NR: usize>(&self) -> Range<usize> {
        let block = F::PHASES * NR / 3;
        self.blocks.start * block..self.blocks.end * block
    }

    /// Their panels.
    fn right<F: Form, const NR: usize>(&self) -> Range<usize> {
        self.columns::<F, NR>().start / NR..self.columns::<F, NR>().end.div_ceil(NR)
    }
}

/// The weights from their sums.
#[inline(always)]
fn finish<F: Form, V: Vector<W>, const W: usize, const MR: usize, const NR: usize>(
    plan: &Plan,
    unit: &Unit,
    sums: &[Tile<MR, NR>],
    dw: Shared,
) {
    let first = unit.right::<F, NR>().start;
    for (tall, panel) in unit.panels.clone().enumerate() {
        for r in 0..MR.min(plan.o.saturating_sub(panel * MR)) {
            for block in unit.blocks.clone() {
                let mut taps = [[0.0; W]; 16];
                for phase in 0..F::PHASES {
                    let column = (F::PHASES * block + phase) * W - first * NR;
                    let place = |place: usize| {
                        let tile = &sums[(place * WIDE + column / NR) * TALL + tall];
                        tile.0[r][column % NR..].first_chunk().expect("three vectors a row")
                    };
                    // SAFETY: `in_vectors` has V's instructions.
                    unsafe {
                        let mut places = [V::load(place(0)); 16];
                        for (i, v) in places.iter_mut().enumerate().take(F::PLACES) {
                            *v = V::load(place(i));
                        }
                        F::taps_of_places(&places, phase, &mut taps);
                    }
                }
                let at = ((panel * MR + r) * plan.c + block * W) * F::TAPS;
                let channels = (plan.c - block * W).min(W);
                // SAFETY: every weight belongs to one unit.
                unsafe { turn_out(&taps[..F::TAPS], channels, dw.part(at), F::TAPS) };
            }
        }
    }
}

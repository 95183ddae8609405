//! The gradient of the weights: products over tiles.

use super::super::CpuBuffer;
use super::super::pack::depth;
use super::super::parallel::{for_chunks, for_tasks};
use super::super::product::Shared;
use super::super::simd::{Isa, vectorized};
use super::super::tile::{Multiply, Tile, TileProduct, with_tile};
use super::lanes::{Pixels, turn_out};
use super::weights::taps_of_places;
use super::{PLACES, Panels, Plan, TILES};
use std::ops::Range;

/// Elements of transformed images that are made at a time.
const NEAR: usize = 1 << 20;
/// Blocks of channels of the pixels whose weights are computed together: with four phases each they fill four panels.
const BLOCKS: usize = 3;
/// Panels of channels of the results that go with them.
const TALL: usize = 4;
/// Panels of the right side of a unit.
const WIDE: usize = 4;

/// dw from x and dy. Writes all of dw.
pub fn weight_gradient(plan: &Plan, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    with_tile!(Isa::best(), tiled, (plan, x, dy, dw));
}

fn tiled<const MR: usize, const NR: usize>(plan: &Plan, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    // A panel of the right side is three vectors.
    match NR {
        48 => in_lanes::<16, MR, NR>(plan, x, dy, dw),
        _ => in_lanes::<8, MR, NR>(plan, x, dy, dw),
    }
}

/// What a task computes: the weights between blocks of channels of the pixels and panels of channels of the results.
struct Unit {
    blocks: Range<usize>,
    panels: Range<usize>,
}

/// Its sums, in the order place, panel of the right side, panel of the left side.
const UNIT: usize = PLACES * WIDE * TALL;

fn in_lanes<const W: usize, const MR: usize, const NR: usize>(plan: &Plan, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let (c, o) = (plan.c.div_ceil(W), plan.o.div_ceil(W));
    let [left, right] = [o * W / MR, (4 * c * W).div_ceil(NR)];
    let groups = plan.groups((NEAR / (PLACES * (left * MR + right * NR))).max(TILES), false);
    let mut units = Vec::new();
    for first in (0..c).step_by(BLOCKS) {
        for top in (0..left).step_by(TALL) {
            units.push(Unit { blocks: first..c.min(first + BLOCKS), panels: top..left.min(top + TALL) });
        }
    }
    let dw = Shared::new(dw);
    // The sums of one group live as long as their unit, of several until the last one.
    let mut kept = CpuBuffer::uninit(if groups.len() > 1 { (units.len() * UNIT + 1) * MR * NR } else { 0 });
    // SAFETY: a tile is MR·NR floats, any of which may have any bits; align_to cuts at its alignment.
    let (_, kept, _) = unsafe { kept.align_to_mut::<Tile<MR, NR>>() };
    for (i, group) in groups.iter().enumerate() {
        let a = Panels { width: MR, count: left, tiles: group.tiles };
        let b = Panels { width: NR, count: right, tiles: group.tiles };
        let mut data = [&a, &b].map(|panels| CpuBuffer::uninit(panels.len()));
        let [to_a, to_b] = data.each_mut().map(|data| Shared::new(data));
        // A strip's block of pixels is four vectors a tile, a block of results one.
        for_tasks(group.strips.len() * (c + o.div_ceil(4)), |task| {
            let (strip, block) = (&group.strips[task / (c + o.div_ceil(4))], task % (c + o.div_ceil(4)));
            let mut scratch = Pixels::default();
            vectorized(
                #[inline(always)]
                || {
                    // SAFETY: nobody else has these channels of this strip.
                    unsafe {
                        if block < c {
                            return plan.pixels::<W>(x, strip, block, &b, to_b, &mut scratch);
                        }
                        for block in 4 * (block - c)..o.min(4 * (block - c) + 4) {
                            plan.results::<W>(dy, strip, block, &a, to_a, &mut scratch);
                        }
                    }
                },
            );
        });
        let work = |unit: &Unit, sums: &mut [Tile<MR, NR>]| {
            products(unit, [&a, &b], [&data[0], &data[1]], sums, i > 0);
            if i + 1 == groups.len() {
                vectorized(
                    #[inline(always)]
                    || finish::<W, MR, NR>(plan, unit, sums, dw),
                );
            }
        };
        if groups.len() > 1 {
            for_chunks([&mut kept[..units.len() * UNIT]], UNIT, |i, [sums]| work(&units[i], sums));
        } else {
            for_tasks(units.len(), |i| {
                let mut own = CpuBuffer::uninit((UNIT + 1) * MR * NR);
                // SAFETY: as above.
                let (_, own, _) = unsafe { own.align_to_mut::<Tile<MR, NR>>() };
                work(&units[i], &mut own[..UNIT]);
            });
        }
    }
}

/// sums = Σ_t a[t]·b[t]ᵀ of every place, or += if `add`.
fn products<const MR: usize, const NR: usize>(
    unit: &Unit,
    [a_panels, b_panels]: [&Panels; 2],
    [a, b]: [&[f32]; 2],
    sums: &mut [Tile<MR, NR>],
    add: bool,
) {
    let (product, tiles) = (TileProduct::<MR, NR>::best(), a_panels.tiles);
    let depth = depth::<NR>(tiles);
    let right = unit.right::<NR>();
    for place in 0..PLACES {
        for (wide, panel) in right.clone().enumerate() {
            let columns = (unit.columns::<NR>().end - panel * NR).min(NR);
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
    /// Its columns of the right side: of each channel four phases.
    fn columns<const NR: usize>(&self) -> Range<usize> {
        // A panel is three vectors, a block of channels four.
        self.blocks.start * 4 * (NR / 3)..self.blocks.end * 4 * (NR / 3)
    }

    /// Their panels.
    fn right<const NR: usize>(&self) -> Range<usize> {
        self.columns::<NR>().start / NR..self.columns::<NR>().end.div_ceil(NR)
    }
}

/// The weights from their sums.
#[inline(always)]
fn finish<const W: usize, const MR: usize, const NR: usize>(
    plan: &Plan,
    unit: &Unit,
    sums: &[Tile<MR, NR>],
    dw: Shared,
) {
    let first = unit.right::<NR>().start;
    for (tall, panel) in unit.panels.clone().enumerate() {
        for r in 0..MR.min(plan.o.saturating_sub(panel * MR)) {
            for block in unit.blocks.clone() {
                let mut taps = [[0.0; W]; 16];
                for phase in 0..4 {
                    let column = (4 * block + phase) * W - first * NR;
                    let mut places = [[0.0; W]; PLACES];
                    for (place, v) in places.iter_mut().enumerate() {
                        let tile = &sums[(place * WIDE + column / NR) * TALL + tall];
                        v.copy_from_slice(&tile.0[r][column % NR..][..W]);
                    }
                    taps_of_places(&places, phase, &mut taps);
                }
                let at = ((panel * MR + r) * plan.c + block * W) * 16;
                let channels = (plan.c - block * W).min(W);
                // SAFETY: every weight belongs to one unit.
                unsafe { turn_out(&taps, channels, dw.part(at), 16) };
            }
        }
    }
}

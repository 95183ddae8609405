//! Padding by mirrored, repeated or wrapped elements; maps along each axis, no kernel of their own.

use crate::ops::AxisMap;
use crate::tensor::Tensor;

/// What stands around the elements of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// Mirrored at the first and last element, which are not repeated: c b | a b c | b a. Fewer than the axis has.
    Reflect,
    /// The first and the last element repeated: a a | a b c | c c.
    Edge,
    /// The axis over again: b c | a b c | a b.
    Circular,
}

impl PadMode {
    fn map(self, len: usize, before: usize, after: usize) -> AxisMap {
        AxisMap::cached(("pad", self, len, before, after), || {
            let last = len as isize - 1;
            let place = |i: isize| match self {
                PadMode::Reflect => {
                    let i = i.abs();
                    (if i > last { 2 * last - i } else { i }) as usize
                }
                PadMode::Edge => i.clamp(0, last) as usize,
                PadMode::Circular => i.rem_euclid(len as isize) as usize,
            };
            AxisMap::pick(len, (-(before as isize)..(len + after) as isize).map(place))
        })
    }
}

impl Tensor {
    /// `before[d]` and `after[d]` elements around axis d, made of the axis's own.
    #[track_caller]
    pub fn pad_mode(&self, before: &[usize], after: &[usize], mode: PadMode) -> Tensor {
        let rank = self.rank();
        let most = |axis: usize| match mode {
            PadMode::Reflect => self.dim(axis).saturating_sub(1),
            _ if self.dim(axis) == 0 => 0,
            _ => usize::MAX,
        };
        assert!(
            before.len() == rank && after.len() == rank && (0..rank).all(|d| before[d].max(after[d]) <= most(d)),
            "pad_mode: {before:?} before and {after:?} after do not fit (x {}, {mode:?})",
            self.shape()
        );
        (0..rank).filter(|&axis| before[axis] + after[axis] > 0).fold(self.clone(), |x, axis| {
            let map = mode.map(x.dim(axis), before[axis], after[axis]);
            x.map_axis(axis, &map)
        })
    }
}

//! Layers that pad, blur and enlarge images, without parameters.

use super::{Mode, Module, Strips};
use crate::ops::resample::Coordinates;
use crate::ops::{Activation, PadMode, Pool2d};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// `size` rows and columns around images [N, C, H, W], mirrored at the border; H and W must be larger than `size`.
pub struct ReflectPad {
    /// On each side.
    pub size: usize,
}

impl Module for ReflectPad {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        let around = [0, 0, self.size, self.size];
        x.pad_mode(&around, &around, PadMode::Reflect)
    }

    fn forward_strips(&self, x: Strips, _: Mode, f: Activation) -> Strips {
        let (size, [channels, height, width]) = (self.size, [x.channels(), x.height(), x.width()]);
        x.map_rows(
            [channels, height + 2 * size, width + 2 * size],
            // With what is mirrored at the ends.
            |to| to.start.saturating_sub(2 * size).min(height - size - 1)..to.end.max(size + 1).min(height),
            |x, take, to| {
                let (above, below) = (size.saturating_sub(to.start), to.end.saturating_sub(height + size));
                let inner = to.start.max(size) - size..to.end.saturating_sub(size).min(height);
                let row = |i: usize| x.narrow(2, i - take.start, 1);
                let mut parts: Vec<Tensor> = (0..above.min(to.len())).map(|i| row(size - to.start - i)).collect();
                if !inner.is_empty() {
                    parts.push(x.narrow(2, inner.start - take.start, inner.len()));
                }
                let first = to.end - below.min(to.len());
                parts.extend((first..to.end).map(|i| row(2 * (height - 1) - (i - size))));
                let joined = Tensor::concat(&parts.iter().collect::<Vec<_>>(), 2);
                f.of(&joined.pad_mode(&[0, 0, 0, size], &[0, 0, 0, size], PadMode::Reflect))
            },
        )
    }
}

/// Half the size after the filter [1, 2, 1]/4 along both axes, mirrored at the border (Zhang 2019): [N, C, H, W] ->
/// [N, C, ⌈H/2⌉, ⌈W/2⌉].
pub struct Blur;

impl Module for Blur {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.blur(3, 2, Some(PadMode::Reflect))
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        let [channels, height, width] = [x.channels(), x.height(), x.width()];
        x.map_rows(
            [channels, height.div_ceil(2), width.div_ceil(2)],
            // From two rows above, so that a strip begins at an even row.
            |to| (2 * to.start).saturating_sub(2)..(2 * to.end).min(height),
            |x, take, to| {
                let y = self.forward(x, mode);
                f.of(&y.narrow(2, to.start - take.start / 2, to.len()))
            },
        )
    }
}

/// Half the size by means over 2x2 pixels: [N, C, H, W] -> [N, C, ⌊H/2⌋, ⌊W/2⌋].
pub struct AvgPool;

impl Module for AvgPool {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.avg_pool2d(Pool2d::new(2), false)
    }
}

/// How images are enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Each pixel becomes a square.
    Nearest,
    /// Between pixel centres. Twice as large, it is a transposed convolution with [1, 3, 3, 1]/4 along each axis.
    Bilinear,
}

/// Twice the height and width.
pub struct Upsample {
    /// How.
    pub kind: Upsampling,
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        match self.kind {
            Upsampling::Nearest => x.upsample_nearest(2),
            Upsampling::Bilinear => x.upsample_bilinear(2, Coordinates::HalfPixel),
        }
    }

    fn forward_strips(&self, x: Strips, mode: Mode, f: Activation) -> Strips {
        let [channels, height, width] = [x.channels(), x.height(), x.width()];
        x.map_rows(
            [channels, 2 * height, 2 * width],
            |to| (to.start / 2).saturating_sub(1)..(to.end.div_ceil(2) + 1).min(height),
            |x, take, to| f.of(&self.forward(x, mode).narrow(2, to.start - 2 * take.start, to.len())),
        )
    }
}

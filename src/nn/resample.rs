//! Layers that pad, blur and enlarge images, without parameters.

use super::{Mode, Module};
use crate::ops::resample::Coordinates;
use crate::ops::{PadMode, Pool2d};
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
}

/// Half the size after the filter [1, 2, 1]/4 along both axes, mirrored at the border (Zhang 2019): [N, C, H, W] ->
/// [N, C, ⌈H/2⌉, ⌈W/2⌉].
pub struct Blur;

impl Module for Blur {
    fn forward(&self, x: &Tensor, _: Mode) -> Tensor {
        x.blur(3, 2, Some(PadMode::Reflect))
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
}

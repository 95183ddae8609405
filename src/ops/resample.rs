//! Resizing images, nearest and bilinear, and blurs: maps along each axis, no kernel of their own.

use crate::ops::{AxisMap, PadMode};
use crate::tensor::Tensor;

/// Where output place o lies between the input places, for sizes `len` and `out` and scale = out / len.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// (o + ½) / scale − ½: pixels are squares (PyTorch's `align_corners=False`, Keras, ONNX `half_pixel`).
    HalfPixel,
    /// As half-pixel, but around the image's centre where the size is not the scale's exactly (ONNX `half_pixel_symmetric`).
    HalfPixelSymmetric,
    /// As half-pixel, but 0 where one output place stands for all (ONNX `pytorch_half_pixel`).
    TorchHalfPixel,
    /// o·(len − 1) / (out − 1): the corner pixels stay (PyTorch's `align_corners=True`).
    AlignCorners,
    /// o / scale.
    Asymmetric,
}

/// Whether shrinking averages over what a result's pixel covers, and what then counts outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Antialias {
    /// No averaging: two neighbours, however small the result is.
    Off,
    /// Only elements inside, their weights scaled to sum 1 (PyTorch, Pillow; ONNX with `exclude_outside`).
    Inside,
    /// The border's elements again (ONNX).
    Edge,
}

/// Which input place nearest-neighbour takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nearest {
    /// ⌊place⌋ (with [`Coordinates::Asymmetric`]: PyTorch's `nearest`).
    Floor,
    /// ⌈place⌉
    Ceil,
    /// The nearer one, the lower at ½.
    PreferFloor,
    /// The nearer one, the upper at ½ (with [`Coordinates::HalfPixel`]: PyTorch's `nearest-exact`).
    PreferCeil,
}

impl Coordinates {
    fn place(self, o: usize, len: usize, out: usize, scale: f64) -> f64 {
        let (o, len, out) = (o as f64, len as f64, out as f64);
        let half_pixel = (o + 0.5) / scale - 0.5;
        match self {
            Coordinates::HalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => {
                let adjustment = out / (scale * len);
                len / 2.0 * (1.0 - adjustment) + half_pixel
            }
            Coordinates::TorchHalfPixel if out <= 1.0 => 0.0,
            Coordinates::TorchHalfPixel => half_pixel,
            // With a fractional scale it is that which says where the last corner would be.
            Coordinates::AlignCorners if scale * len == 1.0 => 0.0,
            Coordinates::AlignCorners => o * (len - 1.0) / (scale * len - 1.0),
            Coordinates::Asymmetric => o / scale,
        }
    }
}

/// How one axis is resized.
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    /// Elements of the result.
    pub out: usize,
    /// Result per input element; normally out / len. Formats such as ONNX hand a fractional one over.
    pub scale: f64,
    /// Where the output places lie.
    pub coordinates: Coordinates,
}

impl Resize {
    /// Where output place o lies; a place that is a whole number in exact arithmetic may miss it by rounding, and is
    /// put there.
    fn place(self, o: usize, len: usize) -> f64 {
        let place = self.coordinates.place(o, len, self.out, self.scale);
        if (place - place.round()).abs() < 1e-9 { place.round() } else { place }
    }

    fn nearest(self, len: usize, rule: Nearest) -> AxisMap {
        AxisMap::cached(("nearest", self.out, self.scale.to_bits(), self.coordinates, len, rule), || {
            let pick = |o: usize| {
                let place = self.place(o, len);
                let nearest = match rule {
                    Nearest::Floor => place.floor(),
                    Nearest::Ceil => place.ceil(),
                    Nearest::PreferFloor => (place - 0.5).ceil(),
                    Nearest::PreferCeil => (place + 0.5).floor(),
                };
                nearest.clamp(0.0, len as f64 - 1.0) as usize
            };
            AxisMap::pick(len, (0..self.out).map(pick))
        })
    }

    /// Triangular weights: between the two neighbours, or with `antialias` over 2 / scale elements when shrinking.
    /// Without antialias, places outside take the border's value.
    fn linear(self, len: usize, antialias: Antialias) -> AxisMap {
        AxisMap::cached(("linear", self.out, self.scale.to_bits(), self.coordinates, len, antialias), || {
            let last = len as f64 - 1.0;
            let row = |o: usize| {
                let place = self.place(o, len);
                if antialias != Antialias::Off && self.scale < 1.0 {
                    let radius = 1.0 / self.scale;
                    let reach = (place - radius).ceil() as isize..=(place + radius).floor() as isize;
                    let mut weights = vec![0.0; len];
                    for i in reach {
                        let weight = (1.0 - (i as f64 - place).abs() * self.scale).max(0.0);
                        if antialias == Antialias::Edge || (i >= 0 && i < len as isize) {
                            weights[i.clamp(0, len as isize - 1) as usize] += weight;
                        }
                    }
                    let total: f64 = weights.iter().sum();
                    let weights = weights.into_iter().map(|w| w / total);
                    return weights.enumerate().filter(|&(_, w)| w > 0.0).collect();
                }
                let place = place.clamp(0.0, last);
                let (low, part) = (place.floor() as usize, place - place.floor());
                if part == 0.0 { vec![(low, 1.0)] } else { vec![(low, 1.0 - part), (low + 1, part)] }
            };
            AxisMap::new(len, (0..self.out).map(row))
        })
    }
}

/// Resizing and blurring images [N, C, H, W].
impl Tensor {
    /// Images of `size` [h, w] by nearest neighbour; place ⌊o·len/out⌋, as PyTorch's `nearest`.
    #[track_caller]
    pub fn resize_nearest(&self, size: [usize; 2]) -> Tensor {
        self.resize_nearest_with(size, Coordinates::Asymmetric, Nearest::Floor)
    }

    /// Images of `size` [h, w] by nearest neighbour under any rule.
    #[track_caller]
    pub fn resize_nearest_with(&self, size: [usize; 2], coordinates: Coordinates, rule: Nearest) -> Tensor {
        self.each_axis(size, coordinates, |axis, len| axis.nearest(len, rule))
    }

    /// Images of `size` [h, w] by bilinear interpolation. With `antialias`, shrinking averages over what a result's
    /// pixel covers.
    #[track_caller]
    pub fn resize_bilinear(&self, size: [usize; 2], coordinates: Coordinates, antialias: Antialias) -> Tensor {
        self.each_axis(size, coordinates, |axis, len| axis.linear(len, antialias))
    }

    /// One axis by nearest neighbour, with a scale of its own.
    #[track_caller]
    pub fn resize_axis_nearest(&self, axis: usize, resize: Resize, rule: Nearest) -> Tensor {
        self.map_axis(axis, &resize.nearest(self.dim(axis), rule))
    }

    /// One axis by linear interpolation, with a scale of its own.
    #[track_caller]
    pub fn resize_axis_linear(&self, axis: usize, resize: Resize, antialias: Antialias) -> Tensor {
        self.map_axis(axis, &resize.linear(self.dim(axis), antialias))
    }

    /// `scale` times as large by nearest neighbour: each pixel becomes a square.
    #[track_caller]
    pub fn upsample_nearest(&self, scale: usize) -> Tensor {
        self.resize_nearest([self.dim(2) * scale, self.dim(3) * scale])
    }

    /// `scale` times as large by bilinear interpolation.
    #[track_caller]
    pub fn upsample_bilinear(&self, scale: usize, coordinates: Coordinates) -> Tensor {
        self.resize_bilinear([self.dim(2) * scale, self.dim(3) * scale], coordinates, Antialias::Off)
    }

    #[track_caller]
    fn each_axis(&self, size: [usize; 2], coordinates: Coordinates, map: impl Fn(Resize, usize) -> AxisMap) -> Tensor {
        assert!(
            self.rank() == 4 && size[0] * size[1] * self.dim(2) * self.dim(3) > 0,
            "resize: expects images [N, C, H, W] and a size, none of them empty (x {}, size {size:?})",
            self.shape()
        );
        (0..2).filter(|&d| size[d] != self.dim(d + 2)).fold(self.clone(), |x, d| {
            let len = x.dim(d + 2);
            let resize = Resize { out: size[d], scale: size[d] as f64 / len as f64, coordinates };
            x.map_axis(d + 2, &map(resize, len))
        })
    }

    /// Each plane under the binomial filter of 3 ([1, 2, 1]/4) or 4 ([1, 3, 3, 1]/8) taps along both axes, every
    /// `stride`-th place of it (Zhang 2019). `mode` gives what lies outside, zeros if `None`; before (taps − 1) / 2
    /// places, after taps / 2.
    #[track_caller]
    pub fn blur(&self, taps: usize, stride: usize, mode: Option<PadMode>) -> Tensor {
        let weights: &[f64] = match taps {
            3 => &[0.25, 0.5, 0.25],
            4 => &[0.125, 0.375, 0.375, 0.125],
            _ => panic!("blur: {taps} taps; there are filters of 3 and 4"),
        };
        let (before, after) = ((taps - 1) / 2, taps / 2);
        let around = |n: usize| vec![0, 0, n, n];
        let x = match mode {
            Some(mode) => self.pad_mode(&around(before), &around(after), mode),
            None => self.pad(&around(before), &around(after)),
        };
        [2, 3].into_iter().fold(x, |x, axis| {
            let len = x.dim(axis);
            assert!(len >= taps && stride > 0, "blur: stride {stride} (x {})", self.shape());
            let map = AxisMap::cached(("blur", taps, stride, len), || {
                let row = |o: usize| weights.iter().enumerate().map(|(i, &w)| (o * stride + i, w)).collect();
                AxisMap::new(len, (0..=(len - taps) / stride).map(row))
            });
            x.map_axis(axis, &map)
        })
    }
}

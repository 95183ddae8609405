//! Brings an image of any size and kind to the size and channels a network wants, never changing its aspect.

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageBuffer, Pixel, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

/// What happens to an image whose aspect is not the wanted one. It is never stretched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Scale until the image covers the wanted size, keep the centre, cut off the rest.
    #[default]
    Crop,
    /// Scale until the image lies inside the wanted size, fill the rest with the background.
    Pad,
}

/// How an image becomes `[C, H, W]` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitting {
    /// Wanted height and width, in pixels.
    pub size: [usize; 2],
    /// 1 for grey (Rec. 709 luma), 3 for RGB.
    pub channels: usize,
    /// What to do about another aspect.
    pub fit: Fit,
    /// The colour under transparent pixels and, with [`Fit::Pad`], around the image.
    pub background: [u8; 3],
}

impl Fitting {
    /// The shape `[C, H, W]` of what [`apply`](Fitting::apply) writes.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.size[0], self.size[1]]
    }

    /// Writes `image` into `out` (C·H·W bytes, in that order), scaled, cropped or padded, on the background.
    ///
    /// Transparency is resolved before scaling, so that no hidden colour bleeds into an edge; 16-bit values are
    /// rounded to 8 bits. Reduction uses Lanczos3, enlargement a triangle filter, which does not ring.
    pub fn apply(&self, image: DynamicImage, out: &mut [u8]) {
        let image = if image.color().has_alpha() { self.on_background(image) } else { image };
        if self.channels == 1 {
            let background = Rgb(self.background).to_luma();
            out.copy_from_slice(self.scale(image.into_luma8(), background).as_raw());
        } else {
            let rgb = self.scale(image.into_rgb8(), Rgb(self.background));
            let plane = rgb.as_raw().len() / 3;
            for (i, pixel) in rgb.as_raw().chunks_exact(3).enumerate() {
                for (c, &value) in pixel.iter().enumerate() {
                    out[c * plane + i] = value;
                }
            }
        }
    }

    /// [`apply`](Fitting::apply) for one grey image `[rows, columns]`, as an IDX file has it; writes one channel.
    pub(super) fn apply_grey(&self, image: GrayImage, out: &mut [u8]) {
        out.copy_from_slice(self.scale(image, Rgb(self.background).to_luma()).as_raw());
    }

    /// Lays an image with an alpha channel over the background.
    fn on_background(&self, image: DynamicImage) -> DynamicImage {
        let rgba = image.into_rgba8();
        let mut rgb = RgbImage::new(rgba.width(), rgba.height());
        for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
            let alpha = u32::from(from[3]);
            for c in 0..3 {
                let sum = alpha * u32::from(from[c]) + (255 - alpha) * u32::from(self.background[c]);
                to[c] = ((sum + 127) / 255) as u8;
            }
        }
        rgb.into()
    }

    fn scale<P: Pixel<Subpixel = u8> + 'static>(&self, image: Bytes<P>, background: P) -> Bytes<P> {
        let (w, h) = (self.size[1] as u32, self.size[0] as u32);
        if image.dimensions() == (w, h) {
            return image;
        }
        match self.fit {
            // Cropping first and scaling then is the same picture as the other order, with less work, and rounds the
            // crop to pixels of the source instead of pixels of the result.
            Fit::Crop => {
                let (cw, ch) = largest_inside(image.dimensions(), (w, h));
                let (x, y) = ((image.width() - cw) / 2, (image.height() - ch) / 2);
                resize(imageops::crop_imm(&image, x, y, cw, ch).to_image(), w, h)
            }
            Fit::Pad => {
                let (iw, ih) = largest_inside((w, h), image.dimensions());
                let small = resize(image, iw, ih);
                let mut canvas = ImageBuffer::from_pixel(w, h, background);
                imageops::replace(&mut canvas, &small, i64::from((w - iw) / 2), i64::from((h - ih) / 2));
                canvas
            }
        }
    }
}

/// The largest block side of [`block_means`]: the sum of 4096 x 4096 bytes still fits 32 bits.
const MAX_FACTOR: u32 = 4096;

type Bytes<P> = ImageBuffer<P, Vec<u8>>;

/// The largest (width, height) with the aspect of `aspect` inside `outer`, rounded to whole pixels, at least 1x1.
fn largest_inside(outer: (u32, u32), aspect: (u32, u32)) -> (u32, u32) {
    let (ow, oh, aw, ah) = (u64::from(outer.0), u64::from(outer.1), u64::from(aspect.0), u64::from(aspect.1));
    // aw/ah against ow/oh, in whole numbers.
    if aw * oh >= ow * ah {
        (outer.0, (((2 * ow * ah + aw) / (2 * aw)) as u32).clamp(1, outer.1))
    } else {
        ((((2 * oh * aw + ah) / (2 * ah)) as u32).clamp(1, outer.0), outer.1)
    }
}

fn resize<P: Pixel<Subpixel = u8> + 'static>(image: Bytes<P>, w: u32, h: u32) -> Bytes<P> {
    if image.dimensions() == (w, h) {
        return image;
    }
    if w > image.width() || h > image.height() {
        return imageops::resize(&image, w, h, FilterType::Triangle);
    }
    // A photograph of many megapixels first shrinks by whole factors to about three times the wanted size: averages
    // of blocks cost far less than the wide filter and differ invisibly after it.
    let factor = (image.width() / (3 * w)).min(image.height() / (3 * h)).min(MAX_FACTOR);
    if factor >= 2 {
        return imageops::resize(&block_means(&image, factor), w, h, FilterType::Lanczos3);
    }
    imageops::resize(&image, w, h, FilterType::Lanczos3)
}

/// Means over blocks of `factor` x `factor` pixels; what is left over at the right and below is shared on both sides.
fn block_means<P: Pixel<Subpixel = u8> + 'static>(image: &Bytes<P>, factor: u32) -> Bytes<P> {
    let (channels, factor) = (P::CHANNEL_COUNT as usize, factor as usize);
    let (iw, ih) = (image.width() as usize, image.height() as usize);
    let (w, h) = (iw / factor, ih / factor);
    let (x0, y0) = ((iw - w * factor) / 2, (ih - h * factor) / 2);
    let area = (factor * factor) as u32;
    let mut means = Vec::with_capacity(w * h * channels);
    let mut sums = vec![0u32; w * channels];
    for y in 0..h {
        sums.fill(0);
        for row in y0 + y * factor..y0 + (y + 1) * factor {
            let start = (row * iw + x0) * channels;
            let row = &image.as_raw()[start..start + w * factor * channels];
            for (sum, block) in sums.chunks_exact_mut(channels).zip(row.chunks_exact(factor * channels)) {
                for pixel in block.chunks_exact(channels) {
                    for (sum, &value) in sum.iter_mut().zip(pixel) {
                        *sum += u32::from(value);
                    }
                }
            }
        }
        means.extend(sums.iter().map(|&sum| ((sum + area / 2) / area) as u8));
    }
    ImageBuffer::from_raw(w as u32, h as u32, means).expect("one mean a block and channel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, Luma, LumaA, Rgba, RgbaImage};

    const RED: Rgb<u8> = Rgb([255, 0, 0]);
    const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

    fn fitting(h: usize, w: usize, channels: usize, fit: Fit) -> Fitting {
        Fitting { size: [h, w], channels, fit, background: [255, 255, 255] }
    }

    fn apply(fitting: Fitting, image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut out = vec![77; fitting.shape().iter().product()];
        fitting.apply(image.into(), &mut out);
        out
    }

    /// 100 wide, 50 high: blue, but for a red square of 50x50 in the middle.
    fn wide() -> RgbImage {
        RgbImage::from_fn(100, 50, |x, _| if (25..75).contains(&x) { RED } else { BLUE })
    }

    #[test]
    fn a_wide_image_is_cropped_to_its_middle() {
        let out = apply(fitting(64, 64, 3, Fit::Crop), wide());
        let (r, gb) = out.split_at(64 * 64);
        assert!(r.iter().all(|&v| v == 255) && gb.iter().all(|&v| v == 0), "only the red square is left");
        // Wanted 2:1, so nothing is cut: 50x25 of blue, red, blue.
        let out = apply(fitting(25, 50, 3, Fit::Crop), wide());
        assert_eq!((out[0], out[25], out[49]), (0, 255, 0));
    }

    #[test]
    fn a_wide_image_is_padded_above_and_below() {
        let out = apply(fitting(64, 64, 3, Fit::Pad), wide());
        // 100x50 inside 64x64 is 64x32, from row 16 to row 47.
        for (y, row) in out[2 * 64 * 64..].chunks_exact(64).enumerate() {
            let white = row.iter().all(|&v| v == 255);
            assert_eq!(white, !(16..48).contains(&y), "row {y}");
        }
        let red = &out[24 * 64..25 * 64];
        assert_eq!((red[0], red[32], red[63]), (0, 255, 0));
    }

    #[test]
    fn a_tall_image_and_a_target_that_is_not_square() {
        let tall = DynamicImage::from(wide()).rotate90();
        let out = apply(fitting(10, 30, 3, Fit::Pad), tall.clone());
        // 50x100 inside 30 wide, 10 high is 5x10, from column 12 to 16.
        let top: Vec<usize> = (0..30).filter(|&x| out[x] < 128).collect();
        assert_eq!(top, [12, 13, 14, 15, 16]);
        let out = apply(fitting(30, 10, 3, Fit::Crop), tall);
        assert!(out[..10].iter().all(|&v| v == 0) && out[150..160].iter().all(|&v| v == 255));
    }

    #[test]
    fn sizes_inside() {
        assert_eq!(largest_inside((100, 50), (64, 64)), (50, 50));
        assert_eq!(largest_inside((64, 64), (100, 50)), (64, 32));
        assert_eq!(largest_inside((64, 64), (50, 100)), (32, 64));
        assert_eq!(largest_inside((64, 64), (10_000, 1)), (64, 1));
        assert_eq!(largest_inside((7, 5), (7, 5)), (7, 5));
        assert_eq!(largest_inside((u32::MAX, 1), (1, u32::MAX)), (1, 1));
    }

    #[test]
    fn transparency_shows_the_background_and_no_hidden_colour() {
        let image = RgbaImage::from_fn(40, 40, |x, _| if x < 20 { Rgba([0, 255, 0, 0]) } else { Rgba([9, 8, 7, 255]) });
        let mut wanted = fitting(40, 40, 3, Fit::Crop);
        wanted.background = [200, 100, 50];
        let out = apply(wanted, image.clone());
        assert_eq!([out[0], out[1600], out[3200]], [200, 100, 50]);
        assert_eq!([out[39], out[1639], out[3239]], [9, 8, 7]);
        wanted.size = [10, 10];
        assert!(apply(wanted, image)[100..200].iter().all(|&green| green <= 110), "the hidden green bleeds");
        let half = apply(fitting(1, 1, 3, Fit::Crop), RgbaImage::from_pixel(1, 1, Rgba([0, 0, 0, 51])));
        assert_eq!(half, [204; 3]);
        let grey = apply(fitting(1, 1, 1, Fit::Crop), GrayAlphaImage::from_pixel(1, 1, LumaA([100, 255])));
        assert_eq!(grey, [100]);
    }

    #[test]
    fn grey_and_sixteen_bits() {
        let grey = GrayImage::from_fn(2, 1, |x, _| Luma([10 + x as u8]));
        assert_eq!(apply(fitting(1, 2, 3, Fit::Crop), grey.clone()), [10, 11, 10, 11, 10, 11]);
        assert_eq!(apply(fitting(1, 2, 1, Fit::Crop), grey), [10, 11]);
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
            ImageBuffer::from_fn(3, 1, |x, _| Luma([[0, 257 * 128, 65535][x as usize]]));
        assert_eq!(apply(fitting(1, 3, 1, Fit::Crop), deep), [0, 128, 255]);
        assert_eq!(apply(fitting(1, 1, 1, Fit::Crop), RgbImage::from_pixel(1, 1, Rgb([90, 90, 90]))), [90]);
    }

    #[test]
    fn a_large_image_shrinks_like_the_plain_filter() {
        let ramp = RgbImage::from_fn(1201, 803, |x, y| {
            let wave = 100.0 + 60.0 * (x as f32 / 90.0).sin() + 60.0 * (y as f32 / 70.0).cos();
            Rgb([wave as u8, 255 - wave as u8, (x / 5) as u8])
        });
        let (quick, plain) = (resize(ramp.clone(), 48, 32), imageops::resize(&ramp, 48, 32, FilterType::Lanczos3));
        let worst = quick.as_raw().iter().zip(plain.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(3), "{worst:?}");
        let huge = GrayImage::from_pixel(4096, 4096, Luma([255]));
        assert_eq!(block_means(&huge, MAX_FACTOR).as_raw(), &[255]);
    }
}

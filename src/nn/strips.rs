//! Images in strips of rows: a network applied to a picture whose layers' results would not fit in memory side by side.

use super::Mode;
use crate::ops::Activation;
use crate::tensor::Tensor;
use std::collections::VecDeque;
use std::ops::Range;

/// An image [1, C, H, W] as tensors [1, C, rows, W], from top to bottom. Values are those of the whole image: layers take
/// the rows that they need beyond a strip from its neighbours, and normalisation counts all strips.
///
/// A layer drops each strip as soon as no further one needs it, so that between two layers about one whole image is held.
#[derive(Clone)]
pub struct Strips {
    /// The strips, and the number of each one's first row.
    parts: VecDeque<(usize, Tensor)>,
    height: usize,
    /// The most elements that a new strip should have.
    most: usize,
}

impl Strips {
    /// An image [1, C, H, W] cut into strips of at most about `most` elements, at least a row each.
    ///
    /// # Panics
    /// If `x` is not one image.
    #[track_caller]
    pub fn cut(x: &Tensor, most: usize) -> Strips {
        assert!(
            x.rank() == 4 && x.dim(0) == 1 && x.dim(2) > 0,
            "strips: expects one image [1, C, H, W] (x {})",
            x.shape()
        );
        let rows = (most / (x.dim(1) * x.dim(3)).max(1)).max(1);
        let mut strips = Strips { parts: VecDeque::new(), height: 0, most };
        for from in (0..x.dim(2)).step_by(rows) {
            strips.push(x.narrow(2, from, rows.min(x.dim(2) - from)));
        }
        strips
    }

    /// The image in one piece.
    pub fn join(&self) -> Tensor {
        self.rows(0..self.height)
    }

    /// Rows of all strips together.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.parts[0].1.dim(3)
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.parts[0].1.dim(1)
    }

    fn push(&mut self, strip: Tensor) {
        let from = self.height;
        self.height += strip.dim(2);
        self.parts.push_back((from, strip));
    }

    /// The image's rows of these numbers.
    ///
    /// # Panics
    /// If the range is empty, or if rows were dropped.
    #[track_caller]
    pub fn rows(&self, range: Range<usize>) -> Tensor {
        let mut pieces = Vec::new();
        for (from, strip) in &self.parts {
            let (a, b) = (range.start.max(*from), range.end.min(from + strip.dim(2)));
            if a < b {
                let whole = b - a == strip.dim(2);
                pieces.push(if whole { strip.clone() } else { strip.narrow(2, a - from, b - a) });
            }
        }
        assert_eq!(
            pieces.iter().map(|piece| piece.dim(2)).sum::<usize>(),
            range.len(),
            "strips: rows {range:?} are gone"
        );
        match &pieces[..] {
            [one] => one.clone(),
            several => Tensor::concat(&several.iter().collect::<Vec<_>>(), 2),
        }
    }

    /// A layer's result of `height` rows and `channels` · `width` elements a row. Rows `a..b` of it follow by `f` from the
    /// input's rows `needed(a..b)`, which lie inside the image.
    pub fn map_rows(
        mut self,
        [channels, height, width]: [usize; 3],
        needed: impl Fn(Range<usize>) -> Range<usize>,
        mut f: impl FnMut(&Tensor, Range<usize>, Range<usize>) -> Tensor,
    ) -> Strips {
        let rows = (self.most / (channels * width).max(1)).max(1);
        let mut result = Strips { parts: VecDeque::new(), height: 0, most: self.most };
        for from in (0..height).step_by(rows) {
            let to = from..(from + rows).min(height);
            let take = needed(to.clone());
            let x = self.rows(take.clone());
            if to.end < height {
                let next = needed(to.end..to.end + 1).start;
                while self.parts.front().is_some_and(|(from, strip)| from + strip.dim(2) <= next) {
                    self.parts.pop_front();
                }
            } else {
                self.parts.clear();
            }
            result.push(f(&x, take, to));
        }
        result
    }

    /// A layer that treats each pixel by itself.
    pub fn map(mut self, f: impl Fn(&Tensor) -> Tensor) -> Strips {
        let mut result = Strips { parts: VecDeque::new(), height: 0, most: self.most };
        while let Some((_, strip)) = self.parts.pop_front() {
            result.push(f(&strip));
        }
        result
    }

    /// f of two images of the same height, strip by strip of this one.
    pub fn zip(mut self, other: &Strips, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Strips {
        let mut result = Strips { parts: VecDeque::new(), height: 0, most: self.most };
        while let Some((from, strip)) = self.parts.pop_front() {
            result.push(f(&strip, &other.rows(from..from + strip.dim(2))));
        }
        result
    }

    /// A layer that needs the whole image; for small ones.
    pub fn whole(self, f: impl FnOnce(&Tensor) -> Tensor) -> Strips {
        let (x, most) = (self.join(), self.most);
        drop(self);
        Strips::cut(&f(&x), most)
    }

    /// Mean `[C]` and biased variance `[C]` of each channel over all strips, by the pairwise formula of Chan et al. (1983).
    pub fn moments(&self) -> [Tensor; 2] {
        let total = (self.height * self.width()).max(1) as f64;
        let each: Vec<(f64, Tensor, Tensor)> = (self.parts.iter())
            .map(|(_, strip)| {
                let (moments, share) = (strip.moments(), (strip.dim(2) * strip.dim(3)) as f64 / total);
                let row = |row: usize| moments.narrow(0, row, 1).reshape([strip.dim(1)]);
                (share, row(0), row(1))
            })
            .collect();
        let sum = |terms: Vec<Tensor>| terms.into_iter().reduce(|a, b| a + b).expect("at least one strip");
        let mean = sum(each.iter().map(|(share, mean, _)| mean * *share).collect());
        let var = sum(each.iter().map(|(share, m, var)| (var + (m - &mean).square()) * *share).collect());
        [mean, var]
    }

    /// f of the image normalised by its own statistics, plus `eps`, then scaled by gamma and shifted by beta `[C]`.
    pub fn normalized(self, gamma: Option<&Tensor>, beta: Option<&Tensor>, eps: f64, f: Activation) -> Strips {
        let [mean, var] = self.moments();
        self.map(|strip| f.of(&strip.batch_norm_with(&mean, &var, gamma, beta, eps)))
    }
}

/// The rows that rows `to` of a convolution's result need, and the zeros above and below that are in reach of them.
pub(super) fn conv_rows(
    to: Range<usize>,
    height: usize,
    [kernel, stride, above]: [usize; 3],
) -> (Range<usize>, [usize; 2]) {
    let (start, end) = (to.start * stride, (to.end - 1) * stride + kernel);
    let take = start.saturating_sub(above).min(height - 1)..end.saturating_sub(above).clamp(1, height);
    (take, [above.saturating_sub(start), end.saturating_sub(above + height)])
}

/// The rows that rows `to` of a transposed convolution's result need, which crops `crop` above.
pub(super) fn transposed_rows(to: Range<usize>, height: usize, [kernel, stride, crop]: [usize; 3]) -> Range<usize> {
    let (first, last) = (to.start + crop, to.end - 1 + crop);
    // Not further down than row `first` itself begins, where the kernel is smaller than the stride.
    let start = (first + 1).saturating_sub(kernel).div_ceil(stride).min(first / stride).min(height - 1);
    start..(last / stride + 1).clamp(start + 1, height)
}

/// A layer without a face for strips: on the whole image.
pub(super) fn joined(layer: &(impl super::Module + ?Sized), x: Strips, mode: Mode, f: Activation) -> Strips {
    x.whole(|x| layer.forward_activated(x, mode, f))
}

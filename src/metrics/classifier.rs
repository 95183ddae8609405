//! Did the pattern arrive? What a trained classifier finds on images, and how often it is right.

use crate::data::Source;
use crate::data::garments::Pattern;
use crate::error::{Error, Result};
use crate::models::Classifier;
use crate::nn::{Mode, Module};
use crate::ops::resample::{Antialias, Coordinates};
use crate::tensor::{Device, Tensor, no_grad};

/// Images that go through the network at once.
const BATCH: usize = 64;

/// What the classifier says of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The likeliest pattern.
    pub pattern: Pattern,
    /// The probability that the classifier gives to it.
    pub probability: f64,
    /// The probability of each pattern, in the order of [`Pattern::ALL`].
    pub probabilities: Vec<f64>,
}

impl Verdict {
    fn of(probabilities: &[f64]) -> Verdict {
        let likelier = |best: usize, i: usize| if probabilities[i] > probabilities[best] { i } else { best };
        let best = (0..probabilities.len()).fold(0, likelier);
        Verdict { pattern: Pattern::ALL[best], probability: probabilities[best], probabilities: probabilities.to_vec() }
    }

    /// Each pattern with its probability, likeliest first.
    pub fn ranked(&self) -> Vec<(Pattern, f64)> {
        let mut ranked: Vec<_> = Pattern::ALL.into_iter().zip(self.probabilities.iter().copied()).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }
}

/// A trained classifier of the garments' patterns; [`crate::train::classifier::load`] takes it out of a run.
pub struct PatternClassifier {
    network: Classifier,
    size: [usize; 2],
}

impl PatternClassifier {
    /// `network`, with one class for each of [`Pattern::ALL`], was trained on images of `size` [height, width].
    pub fn new(network: Classifier, size: [usize; 2]) -> PatternClassifier {
        PatternClassifier { network, size }
    }

    /// Height and width of the images that it was trained on.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The network.
    pub fn network(&self) -> &Classifier {
        &self.network
    }

    /// The network alone.
    pub fn into_network(self) -> Classifier {
        self.network
    }

    /// The verdict on each image of [N, C, H, W] in [−1, 1], C 1 (grey) or 3. Images of another size are scaled to that of training
    /// first: patterns must have the size that they were learnt in.
    ///
    /// # Errors
    /// Another number of channels; what went wrong on the device.
    pub fn verdicts(&self, images: &Tensor) -> Result<Vec<Verdict>> {
        if images.rank() != 4 || !matches!(images.dim(1), 1 | 3) {
            return Err(Error::Invalid(format!("classifier: images are [N, 1 or 3, H, W], not {}", images.shape())));
        }
        let logits = no_grad(|| {
            let mut x = images.clone();
            if x.dim(1) == 1 {
                x = Tensor::concat(&[&x, &x, &x], 1);
            }
            if [x.dim(2), x.dim(3)] != self.size {
                x = x.resize_bilinear(self.size, Coordinates::HalfPixel, Antialias::Inside);
            }
            self.network.forward(&x, Mode::Inference).softmax(1)
        });
        Ok(logits.to_vec_f64()?.chunks_exact(Pattern::ALL.len()).map(Verdict::of).collect())
    }

    /// The verdicts on images [N, C, H, W] that lie in memory, in batches on `device`.
    ///
    /// # Errors
    /// As [`PatternClassifier::verdicts`].
    pub fn judge(&self, images: &[f32], shape: [usize; 3], device: &Device) -> Result<Vec<Verdict>> {
        let [c, h, w] = shape;
        let mut verdicts = Vec::new();
        for batch in images.chunks(BATCH * c * h * w) {
            verdicts.extend(self.verdicts(&Tensor::new(device, [batch.len() / (c * h * w), c, h, w], batch))?);
        }
        Ok(verdicts)
    }

    /// How the first `count` images of a source, whose labels are patterns' ids, are judged; and the verdicts.
    ///
    /// # Errors
    /// Images that cannot be read or have no label; as [`PatternClassifier::verdicts`].
    pub fn examine(&self, source: &dyn Source, count: usize, device: &Device) -> Result<(Confusion, Vec<Verdict>)> {
        let [c, h, w] = source.shape();
        let (mut confusion, mut verdicts) = (Confusion::default(), Vec::new());
        let mut numbers = (0..count.min(source.len())).peekable();
        while numbers.peek().is_some() {
            let batch: Vec<usize> = numbers.by_ref().take(BATCH).collect();
            let mut images = vec![0.0; batch.len() * c * h * w];
            let mut wanted = Vec::new();
            for (image, &i) in images.chunks_exact_mut(c * h * w).zip(&batch) {
                source.load(i, image)?;
                let label = source.label(i).and_then(|id| Pattern::ALL.get(usize::from(id)).copied());
                let none = || Error::Invalid(format!("classifier: image {i} of {} has no pattern", source.describe()));
                wanted.push(label.ok_or_else(none)?);
            }
            let found = self.judge(&images, [c, h, w], device)?;
            wanted.iter().zip(&found).for_each(|(&wanted, found)| confusion.add(wanted, found.pattern));
            verdicts.extend(found);
        }
        Ok((confusion, verdicts))
    }
}

/// How often each pattern was taken for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// By the pattern that is there, then by the one that was found, in the order of [`Pattern::ALL`].
    pub counts: [[usize; Pattern::ALL.len()]; Pattern::ALL.len()],
}

impl Confusion {
    /// One more image of `there` that was taken for `found`.
    pub fn add(&mut self, there: Pattern, found: Pattern) {
        self.counts[usize::from(there.id())][usize::from(found.id())] += 1;
    }

    /// Images in all.
    pub fn total(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Images that were judged right.
    pub fn right(&self) -> usize {
        (0..Pattern::ALL.len()).map(|i| self.counts[i][i]).sum()
    }

    /// The share that was judged right; NaN without images.
    pub fn accuracy(&self) -> f64 {
        self.right() as f64 / self.total() as f64
    }

    /// The mistakes, most frequent first: (there, found, times).
    pub fn mistakes(&self) -> Vec<(Pattern, Pattern, usize)> {
        let pairs = Pattern::ALL.into_iter().flat_map(|there| Pattern::ALL.map(|found| (there, found)));
        let times = |(there, found): (Pattern, Pattern)| {
            (there, found, self.counts[usize::from(there.id())][usize::from(found.id())])
        };
        let mut mistakes: Vec<_> = pairs.filter(|(a, b)| a != b).map(times).filter(|(.., n)| *n > 0).collect();
        mistakes.sort_by_key(|(.., n)| std::cmp::Reverse(*n));
        mistakes
    }

    /// In words: the share, its N, the patterns that are found least often, the most frequent mistakes.
    pub fn summary(&self) -> String {
        let mut text = format!("{:.1} % of {} right", 100.0 * self.accuracy(), self.total());
        let mistakes = self.mistakes();
        if !mistakes.is_empty() {
            let shown = mistakes.iter().take(4);
            let list: Vec<String> =
                shown.map(|(there, found, n)| format!("{} for {} {n}", there.name(), found.name())).collect();
            let more = if mistakes.len() > list.len() { ", ..." } else { "" };
            text += &format!("; taken wrongly: {}{more}", list.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ClassifierSpec;
    use crate::nn::{Init, init::Initializer};

    #[test]
    fn confusions_are_counted_and_told() {
        let mut confusion = Confusion::default();
        (0..7).for_each(|_| confusion.add(Pattern::Plain, Pattern::Plain));
        (0..2).for_each(|_| confusion.add(Pattern::Dots, Pattern::Floral));
        confusion.add(Pattern::Stripes, Pattern::Plain);
        assert_eq!((confusion.total(), confusion.right(), confusion.accuracy()), (10, 7, 0.7));
        assert_eq!(confusion.mistakes()[0], (Pattern::Dots, Pattern::Floral, 2));
        assert_eq!(confusion.summary(), "70.0 % of 10 right; taken wrongly: dots for floral 2, stripes for plain 1");
    }

    #[test]
    fn images_of_any_size_and_grey_ones_are_judged() {
        let device = Device::Cpu;
        let network = ClassifierSpec { width: 2 }.build(12, &mut Initializer::new(&device, Init::GlorotUniform, 3, 0));
        let classifier = PatternClassifier::new(network, [16, 16]);
        let grey = Tensor::new(&device, [2, 1, 16, 16], &[0.25; 512]);
        let colour = Tensor::new(&device, [2, 3, 32, 32], &[0.25; 6144]);
        let (a, b) = (classifier.verdicts(&grey).unwrap(), classifier.verdicts(&colour).unwrap());
        assert_eq!(a.len(), 2);
        for (a, b) in a.iter().zip(&b) {
            assert_eq!(a.pattern, b.pattern);
            approx::assert_abs_diff_eq!(a.probability, b.probability, epsilon = 1e-5);
            approx::assert_abs_diff_eq!(a.probabilities.iter().sum::<f64>(), 1.0, epsilon = 1e-5);
        }
        assert!(classifier.verdicts(&Tensor::zeros(&device, [1, 2, 16, 16])).is_err());
    }
}

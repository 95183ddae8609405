//! Keeps decoded images in memory as bytes, so that epochs after the first cost no decoding.

use super::{Source, volume};
use crate::error::Result;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A source that remembers the images of another one, up to a number of bytes.
///
/// Nothing is ever forgotten: once the budget is spent, the remaining images are decoded each time. With a shuffled
/// order that keeps the largest share of hits, where forgetting the oldest would keep none.
pub struct Cached<S> {
    source: S,
    images: Vec<OnceLock<Box<[u8]>>>,
    left: AtomicUsize,
}

impl<S: Source> Cached<S> {
    /// Wraps `source`; pixels take up to `budget` bytes.
    pub fn new(source: S, budget: usize) -> Cached<S> {
        let fits = source.len().min(budget.checked_div(volume(source.shape())).unwrap_or(0));
        // A data set that cannot all be kept still needs a place for each image: which ones come first is chance.
        let places = if fits == 0 { 0 } else { source.len() };
        Cached { images: (0..places).map(|_| OnceLock::new()).collect(), left: AtomicUsize::new(fits), source }
    }

    /// The number of images now in memory.
    pub fn kept(&self) -> usize {
        self.images.iter().filter(|image| image.get().is_some()).count()
    }

    /// Takes one of the places that are left; false when there is none.
    fn take_place(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl<S: Source> Source for Cached<S> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.source.shape()
    }

    fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let place = self.images.get(index);
        if let Some(image) = place.and_then(OnceLock::get) {
            out.copy_from_slice(image);
            return Ok(());
        }
        self.source.pixels(index, out)?;
        if let Some(place) = place
            && self.take_place()
            && place.set(Box::from(&*out)).is_err()
        {
            // Another thread decoded the same image meanwhile: give the second place back.
            self.left.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn label(&self, index: usize) -> Option<u8> {
        self.source.label(index)
    }

    fn common_label(&self) -> Option<u8> {
        self.source.common_label()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }

    fn fingerprint(&self) -> String {
        self.source.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Counting(Arc<AtomicUsize>);

    impl Source for Counting {
        fn len(&self) -> usize {
            10
        }

        fn shape(&self) -> [usize; 3] {
            [1, 2, 2]
        }

        fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            out.fill(index as u8);
            Ok(())
        }

        fn describe(&self) -> String {
            "counting".into()
        }

        fn fingerprint(&self) -> String {
            "counting".into()
        }
    }

    /// Decodings in the first and the second epoch, and images kept, under a budget of bytes.
    fn epochs(budget: usize) -> (usize, usize, usize) {
        let decoded = Arc::new(AtomicUsize::new(0));
        let cached = Cached::new(Counting(decoded.clone()), budget);
        let epoch = || {
            for index in 0..10 {
                let mut out = [99; 4];
                cached.pixels(index, &mut out).unwrap();
                assert_eq!(out, [index as u8; 4]);
            }
            decoded.swap(0, Ordering::Relaxed)
        };
        (epoch(), epoch(), cached.kept())
    }

    #[test]
    fn the_second_epoch_decodes_only_what_the_budget_left_out() {
        assert_eq!(epochs(1000), (10, 0, 10));
        assert_eq!(epochs(40), (10, 0, 10));
        assert_eq!(epochs(39), (10, 1, 9));
        assert_eq!(epochs(3), (10, 10, 0));
        assert_eq!(epochs(0), (10, 10, 0));
    }
}

//! The history of generated images that CycleGAN's discriminators are shown (Shrivastava et al. 2017).

use crate::nn::Parameter;
use crate::rng::{Domain, Stream};
use crate::tensor::{Tensor, no_grad};

/// Up to so many generated images. Until it is full, images are kept and shown as they come; then, with probability ½,
/// an old one is shown in place of a new one, which takes its place.
pub struct ImagePool {
    images: Vec<Parameter>,
    seed: u64,
    number: u64,
}

impl ImagePool {
    /// A pool of `size` images like `image` [1, C, H, W], not yet filled; two pools of a run have different numbers, 0
    /// and 1.
    pub fn new(size: usize, image: &Tensor, seed: u64, number: u64) -> ImagePool {
        let empty = || Parameter::new(Tensor::zeros(image.device(), image.shape()));
        ImagePool { images: (0..size).map(|_| empty()).collect(), seed, number }
    }

    /// What the discriminator sees for these images [N, C, H, W], which are numbers `first`, `first` + 1 … of the run.
    pub fn exchange(&self, images: &Tensor, first: u64) -> Tensor {
        if self.images.is_empty() {
            return images.detach();
        }
        no_grad(|| {
            let shown: Vec<Tensor> = (0..images.dim(0))
                .map(|i| {
                    let (number, image) = (first + i as u64, images.narrow(0, i, 1));
                    if number < self.images.len() as u64 {
                        self.images[number as usize].set(image.clone());
                        return image;
                    }
                    let mut draws = Stream::new(self.seed, Domain::Pool, 2 * number + self.number);
                    if draws.uniform() < 0.5 {
                        return image;
                    }
                    let place = &self.images[draws.below(self.images.len() as u32) as usize];
                    let old = place.get();
                    place.set(image);
                    old
                })
                .collect();
            match &shown[..] {
                [one] => one.clone(),
                several => Tensor::concat(&several.iter().collect::<Vec<_>>(), 0),
            }
        })
    }

    /// The images by place: part of what a checkpoint holds.
    pub fn state(&self) -> Vec<(String, Parameter)> {
        self.images.iter().enumerate().map(|(i, image)| (format!("{i:03}"), image.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    #[test]
    fn a_full_pool_gives_back_old_images_half_of_the_time() {
        let image = |v: f64| Tensor::full(&Device::Cpu, [1, 1, 1, 1], v);
        let pool = ImagePool::new(5, &image(0.0), 3, 0);
        let mut shown = Vec::new();
        for number in 0..400u64 {
            shown.push(pool.exchange(&image(number as f64), number).item().unwrap() as u64);
        }
        assert_eq!(shown[..5], [0, 1, 2, 3, 4], "while it fills");
        let old = (5..400).filter(|&k| shown[k] != k as u64).count();
        assert!((160..240).contains(&old), "{old} of 395");
        // What is shown is new or was put in before, and nothing is given back twice.
        assert!((5..400).all(|k| shown[k] <= k as u64));
        let mut given: Vec<u64> = (5..400).filter(|&k| shown[k] != k as u64).map(|k| shown[k]).collect();
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), count);
        // A pool with the same images goes on in the same way, whatever the batch.
        let other = ImagePool::new(5, &image(0.0), 3, 0);
        for ((_, from), (_, to)) in pool.state().into_iter().zip(other.state()) {
            to.set(from.get());
        }
        let pair = Tensor::concat(&[&image(400.0), &image(401.0)], 0);
        let together = other.exchange(&pair, 400).to_vec().unwrap();
        let apart = [400, 401].map(|n| pool.exchange(&image(n as f64), n).item().unwrap() as f32);
        assert_eq!(together, apart);
        assert_eq!(ImagePool::new(0, &image(0.0), 3, 0).exchange(&image(7.0), 9).item().unwrap(), 7.0);
    }
}

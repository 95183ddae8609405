//! Philox4x32-10: a counter-based generator, so the same (seed, domain, index) gives the same bits on every device.

use rand::TryRng;
use std::convert::Infallible;

/// What a random stream is for. Two domains never share a bit, whatever their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Domain {
    /// Initial weights; the index is the parameter's number.
    Init = 1,
    /// Latent vectors of a training step; the index is `2 * step + (0 for the discriminator's, 1 for the generator's)`.
    Latent = 2,
    /// The order of a data set; the index is the epoch.
    Shuffle = 3,
    /// Latent vectors of sample grids; the index is the image.
    Sample = 4,
    /// The built-in garments; the index is the image.
    Garment = 5,
    /// Test inputs; the index is the case.
    Test = 6,
    /// Augmentation; the index is the image's number in training order.
    Augment = 7,
    /// Places between real and fake images for gradient penalties; the index is the discriminator update's number.
    Penalty = 8,
    /// Dropout masks; the index is `step << 16` plus the mask's number in its step.
    Dropout = 9,
    /// Which old image a history pool gives back; the index is `2 * image + (0 or 1 for the pool)`.
    Pool = 10,
    /// Which patches are compared, and whether images are mirrored for it; the index is `step << 8` plus a layer's number.
    Patches = 11,
    /// Ways through the latent space: index 0 to 2^32 where projection begins, from there on variations.
    Walk = 32,
    /// Which block of a style lies where in a cloth made of it; the index is 0.
    Quilt = 12,
    /// What `stylize` draws in a step: windows, patches, projections; the index is `step << 8` plus the use.
    Stylize = 13,
    /// Directions that a measure projects on; the index is the direction.
    Measure = 14,
}

/// One block of Philox4x32 with ten rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut k0, mut k1]) = (counter, key);
    for _ in 0..10 {
        let p0 = 0xD251_1F53_u64 * a as u64;
        let p1 = 0xCD9E_8D57_u64 * c as u64;
        (a, b, c, d) = ((p1 >> 32) as u32 ^ b ^ k0, p1 as u32, (p0 >> 32) as u32 ^ d ^ k1, p0 as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

/// A stream of random words. It has no hidden state: word `i` is a function of (seed, domain, index, i).
///
/// ```
/// use toile::rng::{Domain, Stream};
/// let mut stream = Stream::new(7, Domain::Latent, 0);
/// let z = stream.normal_vec(100);
/// assert_eq!(z, Stream::new(7, Domain::Latent, 0).normal_vec(100));
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of `index` in `domain` under `seed`.
    pub fn new(seed: u64, domain: Domain, index: u64) -> Stream {
        Stream {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, domain as u32, index as u32, (index >> 32) as u32],
            block: [0; 4],
            used: 4,
        }
    }

    /// The key, and (domain, low and high word of the index): what a kernel needs to make the same words.
    pub(crate) fn identity(&self) -> ([u32; 2], [u32; 3]) {
        (self.key, [self.counter[1], self.counter[2], self.counter[3]])
    }

    /// The same stream from its start.
    pub(crate) fn restarted(&self) -> Stream {
        let mut stream = self.clone();
        (stream.counter[0], stream.used) = (0, 4);
        stream
    }

    /// The next 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// Uniform in [0, 1): a multiple of 2^-24, so exact in f32.
    pub fn uniform(&mut self) -> f32 {
        (self.word() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Uniform integer in 0..n (bias below n / 2^32). `n` must not be 0.
    #[track_caller]
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "below: the range 0..0 has no number");
        ((self.word() as u64 * n as u64) >> 32) as u32
    }

    /// `n` numbers from N(0, 1), by Box and Muller in f64, rounded to f32.
    pub fn normal_vec(&mut self, n: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            let u = (self.word() as f64 + 1.0) / 4_294_967_296.0; // (0, 1]
            let angle = self.word() as f64 / 4_294_967_296.0 * std::f64::consts::TAU;
            let radius = (-2.0 * u.ln()).sqrt();
            values.push((radius * angle.cos()) as f32);
            values.push((radius * angle.sin()) as f32);
        }
        values.truncate(n);
        values
    }

    /// `n` numbers uniform in [low, high).
    pub fn uniform_vec(&mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n).map(|_| self.range(low, high)).collect()
    }

    /// A random order of 0..n (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u32 + 1) as usize);
        }
        order
    }
}

/// Lets `rand`'s distributions and sequence methods draw from a stream.
impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.word() as u64 | (self.word() as u64) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn moments_and_permutation() {
        let z = Stream::new(3, Domain::Test, 0).normal_vec(100_001);
        let mean = z.iter().map(|&v| v as f64).sum::<f64>() / z.len() as f64;
        let var = z.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / z.len() as f64;
        approx::assert_abs_diff_eq!(mean, 0.0, epsilon = 0.01);
        approx::assert_relative_eq!(var, 1.0, max_relative = 0.02);
        let mut order = Stream::new(3, Domain::Shuffle, 9).permutation(1000);
        assert_ne!(order[..20], (0..20).collect::<Vec<u32>>()[..]);
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<u32>>());
    }
}

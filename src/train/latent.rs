//! A trained generator out of a run, and ways through its latent space.

use super::checkpoint;
use super::folder::RunFolder;
use super::recipe::Recipe;
use crate::error::Result;
use crate::models::{LayerSpec, output_shape};
use crate::nn::init::Initializer;
use crate::nn::{Mode, Module, Sequential, prefixed};
use crate::report::ModelIdentity;
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};
use std::collections::HashMap;

/// A GAN's generator with the weights of a checkpoint.
pub struct TrainedGenerator {
    network: Sequential,
    recipe: Recipe,
    device: Device,
    /// Which checkpoint of which run.
    pub identity: ModelIdentity,
}

impl TrainedGenerator {
    /// The generator of a run's newest checkpoint, or of that of `step`.
    ///
    /// # Errors
    /// A run of another kind or without the checkpoint.
    pub fn load(folder: &RunFolder, step: Option<u64>, device: &Device) -> Result<TrainedGenerator> {
        let recipe = folder.recipe()?;
        let step = folder.checkpoint_step(step)?;
        let network = recipe.build_generator(&mut Initializer::new(device, recipe.init, recipe.train.seed, 0))?;
        let loaded = checkpoint::load(&folder.checkpoint(step))?;
        loaded.restore_part(&prefixed("generator", [network.parameters(), network.buffers()].concat()))?;
        let identity = ModelIdentity {
            run: folder.path().into(),
            recipe: recipe.name.clone(),
            step,
            model: loaded.header.content.clone(),
            data: loaded.header.data.clone(),
            data_licence: loaded.header.licences.clone(),
        };
        Ok(TrainedGenerator { network, recipe, device: device.clone(), identity })
    }

    /// The run's recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Length of a latent vector.
    pub fn latent(&self) -> usize {
        self.recipe.generator.latent
    }

    /// Images [N, C, H, W] for latent vectors [N, latent], by the running statistics, so that each image depends on its own
    /// vector alone; recorded, so that it can be differentiated.
    pub fn forward(&self, z: &Tensor) -> Tensor {
        self.network.forward(z, Mode::Inference)
    }

    /// Images [N, C, H, W] in [−1, 1] for latent vectors [N, latent], in batches of the recipe's size.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn generate(&self, z: &[f32], mode: Mode) -> Result<Vec<f32>> {
        let latent = self.latent();
        let mut images = Vec::new();
        for z in z.chunks(latent * self.recipe.train.batch.max(16)) {
            let z = Tensor::new(&self.device, [z.len() / latent, latent], z);
            images.extend(no_grad(|| self.network.forward(&z, mode)).to_vec()?);
        }
        Ok(images)
    }

    /// The layers whose feature maps carry what [`TrainedGenerator::style_mixed`] takes over, with their height and width: each
    /// convolution, upsampling or residual block with maps of more than one pixel, except what gives the image itself.
    pub fn style_layers(&self) -> Vec<(String, [usize; 2])> {
        let layers = &self.recipe.generator.layers;
        let shapes = output_shape(layers, &[self.latent()]).expect("the recipe was checked");
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut found = Vec::new();
        for (layer, shape) in layers.iter().zip(&shapes) {
            let number = seen.entry(layer.kind()).or_default();
            *number += 1;
            let convolves = matches!(
                layer,
                LayerSpec::Conv2d { .. } | LayerSpec::ConvTranspose2d { .. } | LayerSpec::Residual { .. }
            );
            if let (true, &[_, h, w]) = (convolves, &shape[..])
                && h * w > 1
            {
                found.push((format!("{}_{number}", layer.kind()), [h, w]));
            }
        }
        found.pop(); // the image
        found
    }

    /// The image of `a` with style taken over from `b` in the feature maps of `layers`, once for each of `weights`: [N, C, H, W].
    ///
    /// A generator that is a list of layers has no styles to exchange, as StyleGAN's has: all that comes after a layer follows
    /// from what it gives. What stands in for them is the mean and spread of each channel's map (adaptive instance
    /// normalisation: Huang and Belongie 2017, eq. 8): where things are stays `a`'s, how much of each feature there is
    /// becomes `b`'s, h' = σ·(h − μ_a)/σ_a + μ with μ = (1 − w)·μ_a + w·μ_b and the same of σ.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn style_mixed(&self, a: &[f32], b: &[f32], layers: &[String], weights: &[f32]) -> Result<Vec<f32>> {
        no_grad(|| {
            let latent = self.latent();
            let z_b = Tensor::new(&self.device, [1, latent], b);
            let (_, of_b) = self.network.forward_with(&z_b, Mode::Inference, layers);
            let mut of_b = of_b.iter().map(statistics);
            let n = weights.len();
            let z_a = Tensor::new(&self.device, [n, latent], &a.repeat(n));
            let w = Tensor::new(&self.device, [n, 1, 1, 1], weights);
            let keep = Tensor::full(&self.device, [n, 1, 1, 1], 1.0) - &w;
            let mut mix = |name: &str, h: Tensor| {
                if !layers.iter().any(|layer| layer == name) {
                    return h;
                }
                let Some([mean_b, spread_b]) = of_b.next() else { return h };
                let [mean_a, spread_a] = statistics(&h); // [N, C, 1, 1]
                let (mean, spread) = (&keep * &mean_a + &w * &mean_b, &keep * &spread_a + &w * &spread_b);
                (h - mean_a) / spread_a * spread + mean
            };
            self.network.forward_edited(&z_a, Mode::Inference, &mut mix).to_vec()
        })
    }
}

/// Mean and standard deviation of each plane of [N, C, H, W], as [N, C, 1, 1].
fn statistics(h: &Tensor) -> [Tensor; 2] {
    let mean = h.mean_keep(&[2, 3]);
    let variance = (h - &mean).square().mean_keep(&[2, 3]);
    // A flat map has no spread to scale.
    [mean, variance.affine(1.0, 1e-8).sqrt()]
}

/// The way from one latent vector to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// (1 − t)·a + t·b. Between two vectors of N(0, 1) the middle is shorter than any that training saw.
    Linear,
    /// Along the great circle, sin((1 − t)·Ω)/sin Ω · a + sin(t·Ω)/sin Ω · b with the angle Ω between a and b (Shoemake 1985;
    /// White 2016, section 3.1): lengths stay those that training saw. Vectors of one direction, or of opposite ones, have no
    /// such circle and are joined by the line.
    Spherical,
}

impl Course {
    /// The vector at `t`, 0 at `a` and 1 at `b`.
    pub fn between(self, a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        let angle = cosine.clamp(-1.0, 1.0).acos();
        let [wa, wb] = match self {
            // NaN (a vector of zeros) takes the line, too.
            Course::Spherical if angle.sin() > 1e-3 => {
                [((1.0 - t) * angle).sin(), (t * angle).sin()].map(|s| s / angle.sin())
            }
            _ => [1.0 - t, t],
        };
        a.iter().zip(b).map(|(&a, &b)| (wa * f64::from(a) + wb * f64::from(b)) as f32).collect()
    }

    /// Latent vectors along all `points`, `frames` from each to the next, both counted, no point twice; `closed` goes on from
    /// the last to just before the first.
    ///
    /// # Panics
    /// With fewer than two points or frames.
    pub fn walk(self, points: &[Vec<f32>], frames: usize, closed: bool) -> Vec<Vec<f32>> {
        assert!(points.len() > 1 && frames > 1, "walk: two points and two frames are the least");
        let legs = if closed { points.len() } else { points.len() - 1 };
        let mut walk = Vec::with_capacity(legs * (frames - 1) + 1);
        for leg in 0..legs {
            let (a, b) = (&points[leg], &points[(leg + 1) % points.len()]);
            walk.extend((0..frames - 1).map(|i| self.between(a, b, i as f64 / (frames - 1) as f64)));
        }
        if !closed {
            walk.extend(points.last().cloned());
        }
        walk
    }
}

/// `count` vectors around `z`: √(1 − s²)·z + s·ε with ε from N(0, 1) and s = `spread` in [0, 1], which keeps N(0, 1) what it is.
/// Vector i depends on (seed, i) and `z` only.
pub fn around(z: &[f32], spread: f64, seed: u64, count: usize) -> Vec<Vec<f32>> {
    let keep = (1.0 - spread * spread).max(0.0).sqrt();
    let one = |i: usize| {
        let noise = Stream::new(seed, Domain::Walk, (1 << 32) + i as u64).normal_vec(z.len());
        z.iter().zip(noise).map(|(&z, e)| (keep * f64::from(z) + spread * f64::from(e)) as f32).collect()
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(z: &[f32]) -> f64 {
        z.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn great_circles_keep_the_length_and_lines_do_not() {
        let (a, b) = (vec![3.0, 0.0, 0.0], vec![0.0, 3.0, 0.0]);
        let middle = Course::Spherical.between(&a, &b, 0.5);
        assert!((length(&middle) - 3.0).abs() < 1e-6 && (middle[0] - middle[1]).abs() < 1e-6);
        assert_eq!(Course::Linear.between(&a, &b, 0.5), [1.5, 1.5, 0.0]);
        for course in [Course::Linear, Course::Spherical] {
            assert_eq!((course.between(&a, &b, 0.0), course.between(&a, &b, 1.0)), (a.clone(), b.clone()));
            // No angle, no circle: equal, opposite and zero vectors.
            for other in [vec![3.0, 0.0, 0.0], vec![-3.0, 0.0, 0.0], vec![0.0; 3]] {
                let middle = course.between(&a, &other, 0.5);
                assert_eq!(middle, [(3.0 + other[0]) / 2.0, 0.0, 0.0]);
            }
        }
    }

    #[test]
    fn walks_pass_every_point_once() {
        let points = [vec![0.0, 1.0], vec![1.0, 0.0], vec![2.0, 5.0]];
        let open = Course::Linear.walk(&points, 5, false);
        assert_eq!(open.len(), 9);
        assert_eq!((&open[0], &open[4], &open[8]), (&points[0], &points[1], &points[2]));
        assert_eq!(open[5], [1.25, 1.25]);
        let closed = Course::Linear.walk(&points, 5, true);
        assert_eq!((closed.len(), &closed[..9]), (12, &open[..]));
        assert_eq!(closed[11], [0.5, 2.0]);
    }

    #[test]
    fn variations_stay_as_long_as_their_vector_and_depend_on_their_number() {
        let z = Stream::new(3, Domain::Test, 0).normal_vec(4000);
        let near = around(&z, 0.3, 1, 3);
        assert_eq!(near[..2], around(&z, 0.3, 1, 2));
        assert!(near[0] != near[1] && near[0] != around(&z, 0.3, 2, 1)[0]);
        let cosine = z.iter().zip(&near[0]).map(|(a, b)| f64::from(a * b)).sum::<f64>() / length(&z) / length(&near[0]);
        assert!(
            (cosine - 0.91f64.sqrt()).abs() < 0.02 && (length(&near[0]) / length(&z) - 1.0).abs() < 0.03,
            "{cosine}"
        );
        assert_eq!(around(&z, 0.0, 1, 1)[0], z);
    }
}

//! Initial weights, drawn from the counter-based generator, so the same on every device.

use crate::rng::{Domain, Stream};
use crate::shape::Shape;
use crate::tensor::plan::is_planning;
use crate::tensor::{Device, Tensor};

/// How a weight starts.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Init {
    /// Uniform in ±√(6 / (fan_in + fan_out)), Keras's default (Glorot and Bengio 2010).
    GlorotUniform,
    /// N(0, std²), as DCGAN and CycleGAN have it with 0.02.
    Normal {
        /// Standard deviation.
        std: f64,
        /// Standard deviation of batch normalisation's gammas around 1 (DCGAN and pix2pix: 0.02).
        #[serde(default)]
        gamma_std: f64,
    },
    /// N(0, gain²·2 / (fan_in + fan_out)), as CUT has it with gain 0.02 (Glorot and Bengio 2010).
    GlorotNormal {
        /// What the standard deviation is multiplied by.
        gain: f64,
    },
}

/// Draws weights one after the other: the k-th one drawn depends on (seed, k) only.
pub struct Initializer {
    device: Device,
    seed: u64,
    next: u64,
    init: Init,
}

impl Initializer {
    /// Draws on `device` by `init` under `seed`, beginning with parameter number `first`. Two networks of one run
    /// begin at different numbers.
    pub fn new(device: &Device, init: Init, seed: u64, first: u64) -> Initializer {
        Initializer { device: device.clone(), seed, next: first, init }
    }

    /// A weight of `shape` whose output elements have `fan_in` inputs and whose input elements reach `fan_out` outputs.
    pub fn weight(&mut self, shape: impl Into<Shape>, fan_in: usize, fan_out: usize) -> Tensor {
        let shape = shape.into();
        if is_planning() {
            return Tensor::zeros(&self.device, shape); // nobody looks at the values
        }
        let mut stream = Stream::new(self.seed, Domain::Init, self.next);
        self.next += 1;
        let values = match self.init {
            Init::GlorotUniform => {
                let limit = (6.0 / (fan_in + fan_out) as f64).sqrt() as f32;
                stream.uniform_vec(shape.len(), -limit, limit)
            }
            Init::Normal { std, .. } => scaled(&mut stream, shape.len(), std),
            Init::GlorotNormal { gain } => {
                scaled(&mut stream, shape.len(), gain * (2.0 / (fan_in + fan_out) as f64).sqrt())
            }
        };
        Tensor::new(&self.device, shape, &values)
    }

    /// The `n` gammas of a batch normalisation: 1, or drawn around it.
    pub fn gamma(&mut self, n: usize) -> Tensor {
        let Init::Normal { gamma_std, .. } = self.init else { return self.constant(n, 1.0) };
        if gamma_std == 0.0 {
            return self.constant(n, 1.0);
        }
        let mut stream = Stream::new(self.seed, Domain::Init, self.next);
        self.next += 1;
        let values: Vec<f32> = scaled(&mut stream, n, gamma_std).into_iter().map(|v| 1.0 + v).collect();
        Tensor::new(&self.device, [n], &values)
    }

    /// A vector of `n` values whose squares sum to 1, in a direction drawn evenly.
    pub fn direction(&mut self, n: usize) -> Tensor {
        let values = Stream::new(self.seed, Domain::Init, self.next).normal_vec(n);
        self.next += 1;
        let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        Tensor::from_f64(&self.device, [n], &values.iter().map(|v| f64::from(*v) / norm).collect::<Vec<_>>())
    }

    /// A vector of `n` equal values: biases (0), gammas (1).
    pub fn constant(&self, n: usize, value: f64) -> Tensor {
        Tensor::full(&self.device, [n], value)
    }
}

/// N(0, std²)
fn scaled(stream: &mut Stream, n: usize, std: f64) -> Vec<f32> {
    stream.normal_vec(n).into_iter().map(|v| v * std as f32).collect()
}

//! Adam over a network's parameters (Kingma and Ba 2015), in Keras's and PyTorch's conventions.

use crate::error::Result;
use crate::nn::Parameter;
use crate::ops::adam::{AdamStep, Arena, adam_update_all};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Where ε stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdamConvention {
    /// p −= lr·√(1−β₂ᵗ)/(1−β₁ᵗ)·m / (√v + ε), with βᵗ from β rounded to f32, as Keras on TensorFlow has it even in
    /// f64: with β₂ = 0.999 that makes the first steps 6e-6 shorter.
    Keras,
    /// As Keras, with βᵗ in full precision.
    KerasExact,
    /// p −= lr·m̂ / (√v̂ + ε)
    Torch,
}

/// Adam's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Where it is added.
    pub convention: AdamConvention,
}

/// The moments of a network's parameters and the number of steps taken.
pub struct Adam {
    config: AdamConfig,
    parameters: Vec<(String, Parameter)>,
    first: Vec<Parameter>,
    second: Vec<Parameter>,
    steps: u64,
    /// Where all of them lie, on a GPU.
    arena: Option<Arena>,
}

impl Adam {
    /// An optimiser of these parameters, with moments 0.
    pub fn new(config: AdamConfig, parameters: Vec<(String, Parameter)>) -> Adam {
        let zeros = || {
            let zero = |(_, p): &(String, Parameter)| Parameter::new(Tensor::zeros(p.get().device(), p.get().shape()));
            parameters.iter().map(zero).collect()
        };
        Adam { config, first: zeros(), second: zeros(), parameters, steps: 0, arena: None }
    }

    /// One step along `gradients`, one for each parameter in order.
    ///
    /// # Errors
    /// What went wrong on the device, also while the gradients were computed.
    #[track_caller]
    pub fn step(&mut self, gradients: &[Tensor]) -> Result<()> {
        assert_eq!(gradients.len(), self.parameters.len(), "Adam: one gradient a parameter");
        // Nothing is touched if a gradient could not be computed.
        for g in gradients {
            g.check()?;
        }
        self.steps += 1;
        let AdamConfig { lr, betas: [beta1, beta2], eps, convention } = self.config;
        let t = self.steps as f64;
        let correction = |beta: f64| 1.0 - beta.powf(t);
        let (step_size, v_scale) = match convention {
            AdamConvention::Keras => {
                let rounded = |beta: f64| correction(f64::from(beta as f32));
                (lr * rounded(beta2).sqrt() / rounded(beta1), 1.0)
            }
            AdamConvention::KerasExact => (lr * correction(beta2).sqrt() / correction(beta1), 1.0),
            AdamConvention::Torch => (lr / correction(beta1), 1.0 / correction(beta2).sqrt()),
        };
        let Some((_, one)) = self.parameters.first() else { return Ok(()) };
        let step = AdamStep { beta1, beta2, eps, step_size, v_scale }.prepare(one.get().device())?;
        let moments = self.first.iter().zip(&self.second);
        let places: Vec<[&Parameter; 3]> =
            self.parameters.iter().zip(moments).map(|((_, p), (m, v))| [p, m, v]).collect();
        let tensors = places.iter().map(|of| of.map(Parameter::take)).collect();
        let updated = adam_update_all(&step, tensors, gradients, &mut self.arena)?;
        for (of, tensors) in places.iter().zip(updated) {
            of.iter().zip(tensors).for_each(|(place, tensor)| place.put(tensor));
        }
        Ok(())
    }

    /// Goes on with another learning rate.
    pub fn set_lr(&mut self, lr: f64) {
        self.config.lr = lr;
    }

    /// The number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Continues after so many steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The moments by name: `m.<parameter>` and `v.<parameter>`.
    pub fn state(&self) -> Vec<(String, Parameter)> {
        let named = |kind: &str, moments: &[Parameter]| -> Vec<(String, Parameter)> {
            let pairs = self.parameters.iter().zip(moments);
            pairs.map(|((name, _), moment)| (format!("{kind}.{name}"), moment.clone())).collect()
        };
        [named("m", &self.first), named("v", &self.second)].concat()
    }
}

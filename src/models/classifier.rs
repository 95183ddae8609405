//! The pattern classifier: a small convolutional network from images to one logit a class, whose layers also serve as features.

use crate::nn::init::Initializer;
use crate::nn::{
    AvgPool, BatchNorm, Conv2dLayer, ConvPadding::Zeros, Convention::Torch, Linear, Mode, Module, Parameter, Relu,
    Sequential, prefixed,
};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Widths of the stages, in units of [`ClassifierSpec::width`], and convolutions in each.
const STAGES: [(usize, usize); 4] = [(1, 1), (4, 2), (8, 2), (12, 2)];

/// The classifier's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierSpec {
    /// Filters of the first layer.
    #[serde(default = "eight")]
    pub width: usize,
}

fn eight() -> usize {
    8
}

impl ClassifierSpec {
    /// Images [N, 3, H, W], H and W at least 8, to logits [N, classes].
    ///
    /// Four stages of convolutions 3 (one zero a side, no bias), batch norm and ReLU, with means over 2x2 pixels between them:
    /// width once; 4·width, 8·width and 12·width twice each. Then the mean and the maximum of each channel, and a dense
    /// layer. With width 8: 208,372 parameters for 12 classes.
    pub fn build(&self, classes: usize, init: &mut Initializer) -> Classifier {
        let (mut stages, mut from) = (Sequential::new(), 3);
        for (stage, (factor, convs)) in (1..).zip(STAGES) {
            if stage > 1 {
                stages.push(format!("pool{}", stage - 1), AvgPool);
            }
            for i in 1..=convs {
                let to = factor * self.width;
                stages.push(format!("conv{stage}_{i}"), Conv2dLayer::new(init, from, to, 3, 1, Zeros(1), false));
                stages.push(format!("norm{stage}_{i}"), BatchNorm::new(init, to, 0.1, 1e-5, Torch));
                stages.push(format!("relu{stage}_{i}"), Relu);
                from = to;
            }
        }
        Classifier { stages, head: Linear::new(init, 2 * from, classes, true) }
    }
}

/// A network built by [`ClassifierSpec::build`].
pub struct Classifier {
    stages: Sequential,
    head: Linear,
}

impl Classifier {
    /// The layers that serve as features: the last of each stage, ReLU included.
    pub fn feature_layers() -> Vec<String> {
        (1..).zip(STAGES).map(|(stage, (_, convs))| format!("relu{stage}_{convs}")).collect()
    }

    /// What the layers of these names give for images [N, 3, H, W], by the running statistics.
    pub fn features(&self, x: &Tensor, names: &[String]) -> Vec<Tensor> {
        self.stages.features(x, Mode::Inference, names)
    }
}

impl Module for Classifier {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let y = self.stages.forward(x, mode); // [N, 12·width, H/8, W/8]
        let ends = Tensor::concat(&[&y.mean_axes(&[2, 3]), &y.max_axes(&[2, 3])], 1); // [N, 24·width]
        self.head.forward(&ends, mode) // [N, classes]
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        [self.stages.parameters(), prefixed("head", self.head.parameters())].concat()
    }

    fn buffers(&self) -> Vec<(String, Parameter)> {
        self.stages.buffers()
    }
}

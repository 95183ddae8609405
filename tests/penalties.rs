//! WGAN-GP, R1 and R2 through three discriminators: the gradients by their parameters, which are second derivatives.

use crate::devices;
use toile::autograd::grad_all;
use toile::check::compare;
use toile::models::{LayerSpec, build, dcgan, seed, sngan};
use toile::nn::init::Initializer;
use toile::nn::{Init, Mode, Module, Sequential};
use toile::rng::{Domain, Stream};
use toile::tensor::no_grad;
use toile::train::loss;
use toile::{Device, Tensor};

/// Relative limit for the reference's gradient along a direction against central differences: their own error.
const DIFFERENCES: f64 = 1e-6;
/// Relative limit for a device's gradients against the reference's, two orders through a network.
const GRADIENTS: f64 = 5e-5;

#[derive(Clone, Copy, Debug)]
enum Penalty {
    WganGp,
    R1,
    R2,
}

/// A discriminator on a device and the images it judges. Equal on every device.
struct Judged {
    network: Sequential,
    real: Tensor,
    fake: Tensor,
    alpha: Tensor,
}

impl Judged {
    fn new(layers: &[LayerSpec], image: [usize; 3], device: &Device) -> Judged {
        const BATCH: usize = 2;
        let mut init = Initializer::new(device, Init::GlorotUniform, 7, 0);
        let network = build(layers, &image, &mut init).expect("the layers fit");
        let images = |index| {
            let n = BATCH * image.iter().product::<usize>();
            let values = Stream::new(8, Domain::Test, index).uniform_vec(n, -1.0, 1.0);
            Tensor::new(device, [&[BATCH], &image[..]].concat(), &values)
        };
        let alpha = Tensor::new(device, [BATCH], &Stream::new(8, Domain::Test, 2).uniform_vec(BATCH, 0.0, 1.0));
        Judged { network, real: images(0), fake: images(1), alpha }
    }

    fn penalty(&self, penalty: Penalty) -> Tensor {
        let slope = |x: &Tensor| loss::slope(&self.network.forward(x, Mode::BatchStatistics), x);
        match penalty {
            Penalty::WganGp => {
                let x = loss::between(&self.real, &self.fake, &self.alpha);
                loss::gradient_penalty(&loss::slope_norms(&slope(&x), 0.0), 10.0, 1.0)
            }
            Penalty::R1 => loss::squared_slope_penalty(&slope(&self.real), 10.0),
            Penalty::R2 => loss::squared_slope_penalty(&slope(&self.fake), 10.0),
        }
    }

    /// The penalty's gradient by each parameter.
    fn gradients(&self, penalty: Penalty) -> Vec<Tensor> {
        let parameters = self.network.parameter_tensors();
        grad_all(&self.penalty(penalty), &parameters.iter().collect::<Vec<_>>())
    }

    /// The penalty where the parameters are moved by h·v.
    fn moved(&self, penalty: Penalty, v: &[Tensor], h: f64) -> f64 {
        let parameters = self.network.parameters();
        let before = self.network.parameter_tensors();
        parameters.iter().zip(v).for_each(|((_, p), v)| p.set(no_grad(|| p.get() + v * h)));
        let value = self.penalty(penalty).item().expect("a value");
        parameters.iter().zip(before).for_each(|((_, p), before)| p.set(before));
        value
    }
}

fn dot(a: &[Tensor], b: &[Tensor]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a * b).sum().item().expect("a value")).sum()
}

/// Half along the gradient, half anywhere: of length 1 or so, so that a small step crosses no kink of a ReLU.
fn direction(gradients: &[Tensor]) -> Vec<Tensor> {
    let unit = |t: &[Tensor]| {
        let length = dot(t, t).sqrt();
        t.iter().map(|t| t * (1.0 / length)).collect::<Vec<_>>()
    };
    let random: Vec<Tensor> = (0..)
        .zip(gradients)
        .map(|(i, g)| Tensor::normal(g.device(), g.shape(), &Stream::new(9, Domain::Test, i)))
        .collect();
    unit(gradients).iter().zip(unit(&random)).map(|(a, b)| a + b).collect()
}

fn hold(layers: &[LayerSpec], image: [usize; 3]) {
    let reference = Judged::new(layers, image, &Device::Reference);
    for penalty in [Penalty::WganGp, Penalty::R1, Penalty::R2] {
        let want = reference.gradients(penalty);
        let v = direction(&want);
        // Central differences, extrapolated.
        let slope = |h: f64| (reference.moved(penalty, &v, h) - reference.moved(penalty, &v, -h)) / (2.0 * h);
        let (got, differences) = (dot(&want, &v), (4.0 * slope(1e-5) - slope(2e-5)) / 3.0);
        let error = (got - differences).abs() / differences.abs();
        assert!(error <= DIFFERENCES, "{penalty:?}: {got:e} against differences {differences:e}, error {error:.1e}");

        let expected: Vec<Vec<f64>> = want.iter().map(|g| g.to_vec_f64().unwrap()).collect();
        let largest = expected.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(largest > 1e-6, "{penalty:?} does not depend on the parameters");
        for device in devices::all().into_iter().skip(1) {
            let got = Judged::new(layers, image, &device).gradients(penalty);
            for (((name, _), got), (want, expected)) in
                reference.network.parameters().iter().zip(got).zip(want.iter().zip(&expected))
            {
                let deviation = compare(want.shape(), &got.to_vec_f64().unwrap(), expected, 1e-2 * largest);
                assert!(deviation.error <= GRADIENTS, "{penalty:?} on {device}, {name}: {deviation}");
            }
        }
    }
}

#[test]
fn through_the_seed_discriminator() {
    hold(&seed::discriminator(), seed::IMAGE);
}

#[test]
fn through_a_residual_discriminator() {
    hold(&sngan::discriminator(6, 2, false), [3, 8, 12]);
}

#[test]
fn through_batch_norm() {
    let layers = dcgan::discriminator(&[4, 6]);
    assert!(layers.iter().any(|layer| layer.kind() == "batch_norm"));
    hold(&layers, [3, 16, 16]);
}

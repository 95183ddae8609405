//! Case rows: random numbers, optimisers, and layers that keep state.

use super::{Case, Range, Tolerance::*, normal, told};
use crate::nn::init::Initializer;
use crate::nn::{BatchNorm, Convention, Init, Mode, Module, Parameter};
use crate::optim::rmsprop::{self, RmsProp};
use crate::optim::{Adam, AdamConfig, AdamConvention, adamw, clip, ema, sgd::Sgd};
use crate::rng::{Domain, Stream};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Parameters and two gradients, none of them near 0.
fn steps() -> Vec<(Shape, Range)> {
    let away = || ([5, 7].into(), Range::Away(vec![0.0]));
    vec![normal([5, 7]), away(), away()]
}

fn adam(convention: AdamConvention, weight_decay: f64) -> impl Fn(&[Tensor]) -> Tensor + Send + Sync {
    move |x: &[Tensor]| {
        let config = AdamConfig { lr: 0.1, betas: [0.5, 0.9], eps: 1e-3, convention };
        // Another tensor on the same memory, which a step must not write while someone else holds it.
        let p = Parameter::new(x[0].detach());
        let mut adam = Adam::new(config, vec![("p".into(), p.clone())]);
        let stepped = x[1..].iter().try_for_each(|g| {
            if weight_decay > 0.0 {
                p.set(adamw::decay(&p.get(), config.lr, weight_decay));
            }
            adam.step(std::slice::from_ref(g))
        });
        told(stepped.map(|()| p.get()), x[0].device())
    }
}

fn batch_norm(x: &Tensor, convention: Convention) -> BatchNorm {
    BatchNorm::new(&mut Initializer::new(x.device(), Init::GlorotUniform, 0, 0), x.dim(1), 0.75, 1e-3, convention)
}

pub(super) fn rows() -> Vec<Case> {
    let stream = |index| Stream::new(23, Domain::Test, index);
    let step = |name: &str, run: fn(&[Tensor]) -> Tensor| Case::new(name, steps(), run).within(Transcendental).order(0);
    let loose = Limit(5e-6, "a difference divided by a standard deviation");
    let mut table = vec![
        Case::new("uniform", vec![normal([1])], move |x| Tensor::uniform(x[0].device(), [37, 29], &stream(1)))
            .within(Exact)
            .order(0),
        Case::new("normal", vec![normal([1])], move |x| Tensor::normal(x[0].device(), [37, 29], &stream(2)))
            .within(Limit(1e-6, "Box and Muller in f32"))
            .order(0),
        Case::new("dropout", vec![normal([9, 11])], move |x| x[0].dropout(0.3, &stream(3))),
    ];
    table.extend([
        step("sgd", |x| Sgd::new(0.1).update(&x[0], &x[1], None).0),
        step("sgd: momentum and weight decay", |x| {
            let sgd = Sgd { momentum: 0.9, dampening: 0.1, weight_decay: 0.01, ..Sgd::new(0.1) };
            let (p, velocity) = sgd.update(&x[0], &x[1], None);
            sgd.update(&p, &x[2], velocity.as_ref()).0
        }),
        step("sgd: Nesterov", |x| {
            let sgd = Sgd { momentum: 0.9, nesterov: true, ..Sgd::new(0.1) };
            let (p, velocity) = sgd.update(&x[0], &x[1], None);
            sgd.update(&p, &x[2], velocity.as_ref()).0
        }),
        step("rmsprop: PyTorch, momentum, centered", |x| {
            let rule = RmsProp { momentum: 0.5, centered: true, ..RmsProp::new(0.1, rmsprop::Convention::Torch) };
            let (p, state) = rule.update(&x[0], &x[1], &rule.start(&x[0]));
            rule.update(&p, &x[2], &state).0
        }),
        step("rmsprop: Keras, momentum", |x| {
            let rule = RmsProp { momentum: 0.5, ..RmsProp::new(0.1, rmsprop::Convention::Keras) };
            let (p, state) = rule.update(&x[0], &x[1], &rule.start(&x[0]));
            rule.update(&p, &x[2], &state).0
        }),
        Case::new("adam: Keras", steps(), adam(AdamConvention::Keras, 0.0)).within(Transcendental).order(0),
        Case::new("adam: PyTorch", steps(), adam(AdamConvention::Torch, 0.0)).within(Transcendental).order(0),
        Case::new("adamw: Keras", steps(), adam(AdamConvention::Keras, 0.1)).within(Transcendental).order(0),
        Case::new("adamw: PyTorch", steps(), adam(AdamConvention::Torch, 0.1)).within(Transcendental).order(0),
        step("clip_norm", |x| {
            let (clipped, norm) = clip::clip_norm(&[&x[0], &x[1], &x[2]], 2.0);
            Tensor::stack(&clipped.iter().collect::<Vec<_>>(), 0) + norm
        }),
        step("clip_value", |x| clip::clip_value(&x[0], 0.75)).within(Exact),
        step("clip_weights", |x| clip::clip_weights(&x[0], 0.5)).within(Exact),
        step("ema", |x| ema::update(&x[0], &x[1], ema::Decay::RampUp(0.9).share(3, 4, 12))),
    ]);
    let images = || vec![normal([4, 3, 5, 2])];
    table.extend([
        Case::new("batch_norm: statistics of the batch at sampling", images(), |x| {
            let layer = batch_norm(&x[0], Convention::Keras);
            // The statistics that a pass leaves behind must not matter, nor move.
            layer.forward(&(&x[0] * 3.0 + 1.0).detach(), Mode::Train);
            layer.forward(&x[0], Mode::BatchStatistics)
        })
        .within(loose),
        Case::new("batch_norm: running statistics", images(), |x| {
            let layer = batch_norm(&x[0], Convention::Torch);
            layer.forward(&(&x[0] * 3.0 + 1.0).detach(), Mode::Train);
            layer.forward(&x[0].detach(), Mode::BatchStatistics);
            let buffers: Vec<Tensor> = layer.buffers().iter().map(|(_, buffer)| buffer.get()).collect();
            Tensor::concat(&buffers.iter().collect::<Vec<_>>(), 0)
        })
        .within(Accumulated(40))
        .order(0),
        Case::new("spectral_norm: state kept over three steps", vec![normal([5, 3, 2, 2]), normal([5])], |x| {
            let step = |u: &Tensor| x[0].spectral_norm(u, 0, 1, 1e-12);
            let last = step(&step(&step(&x[1]).u).u);
            Tensor::concat(&[&last.u, &last.v, &last.sigma.reshape([1])], 0)
        })
        .within(loose)
        .order(0),
    ]);
    table
}

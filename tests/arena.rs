//! Adam over a whole network: what lies in one buffer on a GPU moves as it does tensor by tensor, whoever else looks on.

use crate::devices;
use toile::nn::Parameter;
use toile::optim::{Adam, AdamConfig, AdamConvention};
use toile::rng::{Domain, Stream};
use toile::{Device, Tensor};

/// Parameters after four steps, and what was held before the third.
fn run(device: &Device) -> (Vec<Vec<f32>>, Vec<f32>) {
    let drawn = |i: u64, shape: &[usize]| {
        let n = shape.iter().product();
        Tensor::new(device, shape, &Stream::new(3, Domain::Test, i).normal_vec(n))
    };
    let shapes: [&[usize]; 4] = [&[70], &[3, 5], &[1], &[2, 3, 4, 4]];
    let parameters: Vec<(String, Parameter)> =
        (0..).zip(shapes).map(|(i, shape)| (format!("p{i}"), Parameter::new(drawn(i, shape)))).collect();
    let config = AdamConfig { lr: 0.1, betas: [0.5, 0.9], eps: 1e-8, convention: AdamConvention::Torch };
    let mut adam = Adam::new(config, parameters.clone());
    let mut held = None;
    for step in 0..4 {
        let gradients: Vec<Tensor> = (0..).zip(shapes).map(|(i, shape)| drawn(100 * (step + 1) + i, shape)).collect();
        if step == 2 {
            held = Some(parameters[1].1.get());
        }
        if step == 3 {
            // As a checkpoint is loaded: another tensor in the place of one of them, and of a moment.
            parameters[0].1.set(drawn(50, shapes[0]));
            adam.state()[2].1.set(drawn(51, shapes[2]));
        }
        adam.step(&gradients).unwrap();
    }
    let values = parameters.iter().map(|(_, p)| p.get().to_vec().unwrap()).collect();
    (values, held.unwrap().to_vec().unwrap())
}

#[test]
fn a_network_moves_as_its_tensors_do() {
    let (want, want_held) = run(&Device::Reference);
    for device in [Some(Device::Cpu), devices::gpu()].into_iter().flatten() {
        let (got, held) = run(&device);
        let pairs = got.iter().flatten().zip(want.iter().flatten()).chain(held.iter().zip(&want_held));
        for (got, want) in pairs {
            assert!((got - want).abs() <= 3e-5 * want.abs().max(0.1), "{device}: {got} is not {want}");
        }
        assert_eq!(run(&device), (got, held), "{device}: the same again");
    }
}

//! Style transfer by optimisation: the loss falls, devices agree, L-BFGS is quicker than Adam, what is refused.

use crate::devices;
use std::sync::atomic::AtomicBool;
use toile::models::FeatureNetwork;
use toile::optim::{LbfgsConfig, LineSearch};
use toile::train::gatys::{Distance, Rule, Weights, optimise};
use toile::{Device, Tensor, autograd::grad};

/// A dark square on light ground, and stripes, [1, 3, 24, 32] and [1, 3, 32, 24].
fn pictures(device: &Device) -> [Tensor; 2] {
    let picture = |h: usize, w: usize, of: fn(usize, usize, usize) -> f32| {
        let values: Vec<f32> = (0..3 * h * w).map(|i| of(i / (h * w), i / w % h, i % w)).collect();
        Tensor::new(device, [1, 3, h, w], &values)
    };
    [
        picture(24, 32, |c, y, x| if (8..16).contains(&y) && (8..24).contains(&x) { -0.5 } else { 0.25 * c as f32 }),
        picture(32, 24, |c, y, x| if (x + y) % 6 < 3 { 0.75 } else { -0.25 - 0.25 * c as f32 }),
    ]
}

fn weights(network: &FeatureNetwork, content: f64) -> Weights {
    Weights {
        content,
        style: 1.0,
        smooth: 0.0,
        content_layer: network.content_layer().into(),
        style_layers: network.style_layers().to_vec(),
    }
}

/// The losses of each evaluation.
fn losses(device: &Device, rule: Rule, content: f64, evaluations: usize) -> Vec<f64> {
    let network = FeatureNetwork::random(1, device);
    let [picture, style] = pictures(device);
    let distance = Distance::new(&network, weights(&network, content), &picture, &style).unwrap();
    let mut seen = 0;
    let found = optimise(&distance, &picture, rule, evaluations, &AtomicBool::new(false), |number, losses| {
        seen += 1;
        assert_eq!(number, seen);
        assert!((losses.total - losses.content - losses.style).abs() <= 1e-5 * losses.total.abs());
    })
    .unwrap();
    let all: Vec<f64> = found.losses.iter().map(|losses| losses.total).collect();
    assert_eq!(all.len(), seen);
    // The picture that is returned has the loss that is claimed.
    let picture = Tensor::new(device, [1, 3, 24, 32], &found.picture);
    let again = distance.evaluate(&picture).unwrap().0.total;
    approx::assert_relative_eq!(again, all[found.best], max_relative = 1e-3);
    assert!(all.iter().all(|&loss| loss >= all[found.best]));
    all
}

#[test]
fn l_bfgs_gets_below_a_tenth_in_half_of_adams_evaluations() {
    let below = |losses: &[f64]| losses.iter().position(|&loss| loss < 0.1 * losses[0]).map(|k| k + 1);
    let adam = losses(&Device::Cpu, Rule::Adam { lr: 0.02 }, 0.1, 60);
    let adam = below(&adam).expect("Adam gets below a tenth");
    for line_search in [LineSearch::Fixed, LineSearch::Wolfe] {
        let rule = Rule::Lbfgs(LbfgsConfig { line_search, ..LbfgsConfig::default() });
        let found = losses(&Device::Cpu, rule, 0.1, 30);
        let lbfgs = below(&found).expect("L-BFGS gets below a tenth");
        assert!(2 * lbfgs <= adam, "{line_search:?}: {lbfgs} evaluations, Adam {adam}");
    }
}

#[test]
fn the_first_losses_agree_on_every_device() {
    for rule in [Rule::Adam { lr: 0.05 }, Rule::Lbfgs(LbfgsConfig::default())] {
        let want = losses(&Device::Reference, rule, 1.0, 5);
        for device in devices::all().into_iter().skip(1) {
            for (got, want) in losses(&device, rule, 1.0, 5).iter().zip(&want) {
                approx::assert_relative_eq!(*got, *want, max_relative = 2e-3);
            }
        }
    }
}

#[test]
fn the_loss_is_its_definition_and_its_gradient_the_difference() {
    let device = Device::Reference;
    let network = FeatureNetwork::random(1, &device);
    let [picture, style] = pictures(&device);
    let chosen = Weights {
        content: 3.0,
        style: 0.5,
        smooth: 2.0,
        content_layer: "scale2".into(),
        style_layers: vec!["scale3".into(), "scale1".into()],
    };
    let distance = Distance::new(&network, chosen, &picture, &style).unwrap();
    let pixels: Vec<f64> = (0..3 * 24 * 32).map(|i| 0.5 * (0.37 * i as f64).sin()).collect();
    let x = Tensor::from_f64(&device, [1, 3, 24, 32], &pixels);
    // By hand, from the layers' values.
    let layer = |image: &Tensor, name: &str| {
        let f = network.features(image, &[name.into()]).unwrap().remove(0);
        (f.to_vec_f64().unwrap(), f.dim(1))
    };
    let size = |values: &[f64]| values.iter().map(|v| v.abs()).sum::<f64>() / values.len() as f64;
    let mut want = 0.0;
    for name in ["scale1", "scale3"] {
        let ((f, n), (a, _)) = (layer(&x, name), layer(&style, name));
        let scale = size(&a);
        let gram = |v: &[f64], i: usize, j: usize| {
            let places = v.len() / n;
            let row = |k: usize| v[k * places..][..places].iter();
            row(i).zip(row(j)).map(|(p, q)| p * q).sum::<f64>() / (scale * scale * places as f64)
        };
        let each = (0..n * n).map(|k| (gram(&f, k / n, k % n) - gram(&a, k / n, k % n)).powi(2));
        want += 0.5 * 1000.0 / (n * n) as f64 * each.sum::<f64>() / (n * n) as f64;
    }
    let ((f, _), (p, _)) = (layer(&x, "scale2"), layer(&picture, "scale2"));
    let scale = size(&p);
    let content: f64 = f.iter().zip(&p).map(|(f, p)| ((f - p) / scale).powi(2)).sum();
    want += 3.0 * content / f.len() as f64;
    let (w, plane) = (32, 24 * 32);
    let beside = |i: usize, by: usize| (pixels[i + by] - pixels[i]).powi(2);
    let right = (0..3 * plane).filter(|i| i % w < w - 1).map(|i| beside(i, 1)).sum::<f64>();
    let below = (0..3 * plane).filter(|i| i % plane < plane - w).map(|i| beside(i, w)).sum::<f64>();
    want += 2.0 * (right + below) / (3 * plane) as f64;
    let [total, ..] = distance.of(&x).unwrap();
    approx::assert_relative_eq!(total.item().unwrap(), want, max_relative = 1e-9);
    let [dx] = grad(&total, [&x]);
    let (at, h) = (3 * 24 + 7, 1e-4);
    let moved = |by: f64| {
        let mut values = x.to_vec_f64().unwrap();
        values[at] += by;
        distance.of(&Tensor::from_f64(&device, [1, 3, 24, 32], &values)).unwrap()[0].item().unwrap()
    };
    approx::assert_relative_eq!(dx.to_vec_f64().unwrap()[at], (moved(h) - moved(-h)) / (2.0 * h), max_relative = 1e-4);
}

#[test]
fn what_cannot_be_compared_says_why() {
    let network = FeatureNetwork::random(1, &Device::Cpu);
    let [picture, style] = pictures(&Device::Cpu);
    let with = |change: fn(&mut Weights), picture: &Tensor| {
        let mut weights = weights(&network, 1.0);
        change(&mut weights);
        Distance::new(&network, weights, picture, &style).err().unwrap().to_string()
    };
    assert!(with(|w| w.style_layers.push("relu9".into()), &picture).contains("relu9"));
    assert!(with(|w| w.content_layer = "conv1".into(), &picture).contains("scale1, scale2"));
    assert!(with(|_| {}, &Tensor::zeros(&Device::Cpu, [1, 3, 24, 32])).contains("mean size of 0"));
    // Stopped before it began: no picture.
    let distance = Distance::new(&network, weights(&network, 1.0), &picture, &style).unwrap();
    let stopped = optimise(&distance, &picture, Rule::Adam { lr: 0.1 }, 5, &AtomicBool::new(true), |_, _| {});
    assert!(stopped.err().unwrap().to_string().contains("stopped"));
    // Steps that are too long for numbers are an error, not a picture.
    let far = optimise(&distance, &picture, Rule::Adam { lr: 1e30 }, 5, &AtomicBool::new(false), |_, _| {});
    assert!(far.err().unwrap().to_string().contains("--lr"));
}

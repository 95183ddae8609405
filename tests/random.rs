//! Random tensors: the same bits on every device, and the right distributions.

use crate::devices;
use toile::rng::{Domain, Stream};
use toile::{Device, Tensor};

fn all_devices() -> Vec<Device> {
    [Some(Device::Reference), Some(Device::Cpu), devices::gpu()].into_iter().flatten().collect()
}

#[test]
fn uniform_numbers_have_the_same_bits_everywhere() {
    for (seed, index, n) in [(0, 0, 1), (7, 3, 1001), (u64::MAX, 1 << 40, 70_002)] {
        let stream = Stream::new(seed, Domain::Test, index);
        let want = stream.clone().uniform_vec(n, 0.0, 1.0);
        for device in all_devices() {
            let got = Tensor::uniform(&device, [n], &stream).to_vec().unwrap();
            assert_eq!(got, want, "{device}, seed {seed}");
        }
    }
}

#[test]
fn normal_numbers_agree_to_2e_6() {
    let stream = Stream::new(11, Domain::Test, 5);
    let want = stream.clone().normal_vec(200_001);
    for device in all_devices() {
        let got = Tensor::normal(&device, [200_001], &stream).to_vec().unwrap();
        let worst = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        assert!(worst <= 2e-6, "{device}: {worst:e}");
    }
}

#[test]
fn dropout_drops_the_same_elements_everywhere_and_keeps_the_mean() {
    let stream = Stream::new(5, Domain::Test, 9);
    for p in [0.0, 0.3, 0.7] {
        let masks: Vec<Vec<f32>> = all_devices()
            .iter()
            .map(|device| Tensor::dropout_mask(device, [30_000], p, &stream).to_vec().unwrap())
            .collect();
        for mask in &masks[1..] {
            assert!(mask.iter().zip(&masks[0]).all(|(a, b)| (*a == 0.0) == (*b == 0.0)), "p {p}");
        }
        let mean = masks[0].iter().map(|&v| v as f64).sum::<f64>() / 30_000.0;
        assert!((mean - 1.0).abs() < 0.03, "p {p}: mean {mean}");
    }
}

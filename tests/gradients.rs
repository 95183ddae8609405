//! Autograd itself: paths, depth, targets.

use toile::autograd::{differentiable_grad, grad};
use toile::tensor::no_grad;
use toile::{Device, Tensor};

#[test]
fn a_target_in_the_middle_and_one_off_the_path() {
    let x = Tensor::new(&Device::Reference, [2], &[2.0, 3.0]);
    let other = Tensor::new(&Device::Reference, [3], &[1.0; 3]);
    let y = x.square();
    let loss = (&y * &x).sum();
    let [dx, dy, dother] = grad(&loss, [&x, &y, &other]);
    assert_eq!(dx.to_vec().unwrap(), [12.0, 27.0]);
    assert_eq!(dy.to_vec().unwrap(), [2.0, 3.0]);
    assert_eq!(dother.to_vec().unwrap(), [0.0; 3]);
}

#[test]
fn third_order() {
    let x = Tensor::scalar(&Device::Reference, 2.0);
    let y = x.pow(4.0);
    let [d1] = differentiable_grad(&y, [&x]);
    let [d2] = differentiable_grad(&d1, [&x]);
    let [d3] = grad(&d2, [&x]);
    assert_eq!([d1, d2, d3].map(|d| d.item().unwrap()), [32.0, 48.0, 48.0]);
}

#[test]
fn a_graph_of_100_000_nodes_does_not_overflow_the_stack() {
    let x = Tensor::scalar(&Device::Reference, 1.0);
    let mut y = x.clone();
    for _ in 0..100_000 {
        y = y.affine(1.0, 1e-6);
    }
    let [dx] = grad(&y, [&x]);
    assert_eq!(dx.item().unwrap(), 1.0);
    drop(y);
}

#[test]
fn nothing_is_recorded_without_grad() {
    let x = Tensor::scalar(&Device::Cpu, 3.0);
    let y = no_grad(|| x.square());
    let [dx] = grad(&y.square(), [&x]);
    assert_eq!(dx.item().unwrap(), 0.0);
    let [dx] = grad(&x.square(), [&x]);
    assert_eq!(dx.item().unwrap(), 6.0);
}

#[test]
#[should_panic(expected = "conv2d: input has 3 channels but weight expects 64 (x [8, 3, 32, 32], w [128, 64, 4, 4])")]
fn a_mismatch_names_the_op_and_every_shape() {
    let (x, w) = (Tensor::zeros(&Device::Cpu, [8, 3, 32, 32]), Tensor::zeros(&Device::Cpu, [128, 64, 4, 4]));
    x.conv2d(&w, Default::default());
}

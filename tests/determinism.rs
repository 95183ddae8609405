//! The `cpu` device gives the same bits whatever the number of threads.

use toile::ops::Conv2d;
use toile::rng::{Domain, Stream};
use toile::train::{Gan, Recipe};
use toile::{Device, Tensor};

/// Runs `work` on 1, 2 and 3 threads and holds the results against each other, bit by bit.
fn same_bits(what: &str, work: impl Fn() -> Vec<Tensor> + Sync) {
    let bits = |threads: usize| -> Vec<Vec<u32>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let values = |t: &Tensor| t.to_vec().expect("host values").into_iter().map(f32::to_bits).collect();
            work().iter().map(values).collect()
        })
    };
    let one = bits(1);
    assert!(one.iter().any(|values| !values.is_empty()));
    assert!(one == bits(2), "{what}: two threads give other bits than one");
    assert!(one == bits(3), "{what}: three threads give other bits than one");
}

fn normal(seed: u64, shape: &[usize]) -> Tensor {
    let values = Stream::new(seed, Domain::Test, 0).normal_vec(shape.iter().product());
    Tensor::new(&Device::Cpu, shape, &values)
}

#[test]
fn convolutions() {
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
    let (x, w, dy) = (normal(1, &[9, 33, 22, 26]), normal(2, &[37, 33, 4, 4]), normal(3, &[9, 37, 11, 13]));
    same_bits("conv2d", || vec![x.conv2d(&w, conv)]);
    same_bits("conv2d_input", || vec![dy.conv_transpose2d(&w, conv, [22, 26])]);
    same_bits("conv2d_weight", || vec![x.conv2d_weight(&dy, conv, [4, 4])]);
}

#[test]
fn matmuls() {
    for (m, n, k) in [(300, 170, 190), (64, 1, 6272), (1, 6272, 64), (70, 1900, 65)] {
        let (a, b) = (normal(1, &[m, k]), normal(2, &[k, n]));
        same_bits("matmul", || vec![a.matmul(&b)]);
    }
}

#[test]
fn sums_and_batch_norm() {
    let x = normal(1, &[37, 11, 31, 29]);
    same_bits("sum", || vec![x.sum(), x.sum_axes(&[0, 2, 3]), x.sum_axes(&[0]), x.sum_axes(&[1, 3])]);
    let (gamma, beta) = (normal(2, &[11]), normal(3, &[11]));
    same_bits("batch_norm", || {
        let (y, moments) = x.batch_norm(Some(&gamma), Some(&beta), 1e-3);
        let gradients = toile::autograd::grad(&y.square().sum(), [&x, &gamma, &beta]);
        gradients.into_iter().chain([y, moments]).collect()
    });
}

#[test]
fn a_training_step() {
    same_bits("a step of the seed recipe", || {
        let recipe = Recipe::load("seed", &["train.batch=11".to_string()]).expect("the seed recipe");
        let mut gan = Gan::new(&recipe, &Device::Cpu).expect("a checked recipe");
        let real = normal(4, &[11, 3, 28, 28]).tanh();
        let noise = gan.noise(0);
        let outcome = gan.step(&real, &noise).expect("a step");
        let state = gan.state().into_iter().map(|(_, parameter)| parameter.get());
        state.chain([outcome.d_loss, outcome.g_loss]).collect()
    });
}

//! Jacobian- and Hessian-vector products, recomputation, hooks, optimisers as functions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use toile::autograd::{
    checkpoint, differentiable_grad, grad, grad_all, grad_consuming, hvp, jvp, once, with_gradient_hook,
};
use toile::gpu::{AdapterChoice, Gpu, GpuOptions};
use toile::nn::init::{Init, Initializer};
use toile::nn::{BatchNorm, Checkpointed, Convention, Draws, Dropout, Linear, Mode, Module, Sequential, Tanh};
use toile::optim::rmsprop::{self, RmsProp};
use toile::optim::sgd::Sgd;
use toile::optim::{clip, ema};
use toile::rng::{Domain, Stream};
use toile::shape::Shape;
use toile::tensor::{GpuView, Op, View, apply, no_grad};
use toile::{Device, Tensor};

fn normal(shape: &[usize], index: u64) -> Tensor {
    Tensor::normal(&Device::Reference, shape, &Stream::new(2, Domain::Test, index))
}

fn close(a: &Tensor, b: &Tensor, limit: f64) {
    let (a, b) = (a.to_vec_f64().unwrap(), b.to_vec_f64().unwrap());
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).for_each(|(a, b)| assert!((a - b).abs() <= limit, "{a} is not {b}"));
}

fn network(x: &[Tensor]) -> Tensor {
    x[0].matmul(&x[1]).tanh().matmul(&x[2]).softplus()
}

#[test]
fn jvp_agrees_with_differences() {
    let x = [normal(&[3, 4], 0), normal(&[4, 5], 1), normal(&[5, 2], 2)];
    let v = [normal(&[3, 4], 3), normal(&[4, 5], 4), normal(&[5, 2], 5)];
    let (y, dy) = jvp(network, &x.iter().collect::<Vec<_>>(), &v.iter().collect::<Vec<_>>());
    let moved = |h: f64| network(&x.iter().zip(&v).map(|(x, v)| x + v * h).collect::<Vec<_>>());
    close(&y, &network(&x), 0.0);
    close(&dy, &((moved(1e-5) - moved(-1e-5)) * 0.5e5), 1e-8);
}

#[test]
fn hvp_agrees_with_differences_of_gradients() {
    let (x, v) = (normal(&[7], 0), normal(&[7], 1));
    let loss = |x: &Tensor| (x.tanh() * x.square()).sum().exp();
    let slope = |x: Tensor| grad(&loss(&x), [&x])[0].clone();
    let want = (slope(&x + &v * 1e-5) - slope(&x - &v * 1e-5)) * 0.5e5;
    let got = hvp(&loss(&x), &[&x], &[&v]).remove(0);
    let scale = want.to_vec_f64().unwrap().iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    close(&got, &want, 1e-6 * scale);
}

#[test]
fn checkpointed_gradients_of_both_orders_are_those_of_the_plain_graph() {
    let x = [normal(&[3, 4], 0), normal(&[4, 5], 1), normal(&[5, 2], 2)];
    let v: Vec<Tensor> = (0..3).map(|i| normal(x[i].shape(), 10 + i as u64)).collect();
    let targets: Vec<&Tensor> = x.iter().collect();
    let plain = (network(&x) * 2.0).square().sum();
    let kept = (checkpoint(network, &targets) * 2.0).square().sum();
    close(&plain, &kept, 0.0);
    for (a, b) in grad_all(&plain, &targets).iter().zip(&grad_all(&kept, &targets)) {
        close(a, b, 1e-13);
    }
    let second = |loss: &Tensor| hvp(loss, &targets, &v.iter().collect::<Vec<_>>());
    for (a, b) in second(&plain).iter().zip(&second(&kept)) {
        close(a, b, 1e-11);
    }
}

#[test]
fn hooks_see_and_change_gradients_by_name() {
    let x = Tensor::new(&Device::Cpu, [2], &[1.0, 2.0]);
    let hidden = x.named("x").square().named("hidden");
    let loss = (&hidden * 3.0).sum();
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = seen.clone();
    let hook = move |name: &str, d: &Tensor| {
        log.borrow_mut().push((name.to_string(), d.to_vec().unwrap()));
        (name == "hidden").then(|| d * 2.0)
    };
    let [dx] = with_gradient_hook(hook, || grad(&loss, [&x]));
    assert_eq!(dx.to_vec().unwrap(), [12.0, 24.0]);
    let want = [("hidden".to_string(), vec![3.0, 3.0]), ("x".to_string(), vec![12.0, 24.0])];
    assert_eq!(*seen.borrow(), want);
    assert_eq!(grad(&loss, [&x])[0].to_vec().unwrap(), [6.0, 12.0]);
}

#[test]
fn second_gradients_go_through_hooks() {
    let x = Tensor::scalar(&Device::Reference, 2.0);
    let y = x.named("x").pow(3.0);
    let [d] = with_gradient_hook(|_, d| Some(d * 1.0), || differentiable_grad(&y, [&x]));
    assert_eq!(grad(&d, [&x])[0].item().unwrap(), 12.0);
}

#[test]
fn clipping() {
    let device = Device::Cpu;
    let (a, b) = (Tensor::new(&device, [2], &[3.0, 0.0]), Tensor::new(&device, [1], &[4.0]));
    let (clipped, norm) = clip::clip_norm(&[&a, &b], 1.0);
    assert_eq!(norm.item().unwrap(), 5.0);
    close(&clipped[0], &Tensor::new(&device, [2], &[0.6, 0.0]), 1e-6);
    let (same, _) = clip::clip_norm(&[&a, &b], 10.0);
    close(&same[1], &b, 0.0);
    assert_eq!(clip::clip_weights(&a, 0.5).to_vec().unwrap(), [0.5, 0.0]);
    assert_eq!(clip::clip_value(&-a, 0.5).to_vec().unwrap(), [-0.5, 0.0]);
    assert_eq!(ema::update(&b, &Tensor::zeros(&device, [1]), 0.75).to_vec().unwrap(), [3.0]);
}

#[test]
fn optimisers_go_downhill() {
    let target = normal(&[6], 3);
    let loss = |p: &Tensor| (p - &target).square().sum();
    let slope = |p: &Tensor| grad(&loss(p), [p])[0].clone();
    let start = Tensor::zeros(&Device::Reference, [6]);

    let sgd = Sgd { momentum: 0.9, nesterov: true, ..Sgd::new(0.02) };
    let (mut p, mut velocity) = (start.clone(), None);
    for _ in 0..300 {
        (p, velocity) = sgd.update(&p, &slope(&p), velocity.as_ref());
    }
    assert!(loss(&p).item().unwrap() < 1e-10);

    for convention in [rmsprop::Convention::Torch, rmsprop::Convention::Keras] {
        let rmsprop = RmsProp { momentum: 0.5, centered: true, ..RmsProp::new(0.01, convention) };
        let (mut p, mut state) = (start.clone(), rmsprop.start(&start));
        for _ in 0..400 {
            (p, state) = rmsprop.update(&p, &slope(&p), &state);
        }
        assert!(loss(&p).item().unwrap() < 0.1 * loss(&start).item().unwrap(), "{convention:?}");
    }
    let kept = no_grad(|| p.detach());
    assert_eq!(kept.shape(), start.shape());
}

#[test]
fn spectral_norm_holds_u_and_v_constant() {
    let (w, u, up) = (normal(&[5, 7], 0), normal(&[5], 1), normal(&[5, 7], 2));
    let sn = w.spectral_norm(&u, 0, 3, 1e-12);
    let [dw] = grad(&(&sn.w * &up).sum(), [&w]);
    // dW = up/σ − <up, W>/σ²·u·vᵀ
    let s = sn.sigma.detach();
    let outer = sn.u.reshape([5, 1]).matmul(&sn.v.reshape([1, 7]));
    close(&dw, &(&up / &s - outer * ((&up * &w).sum() / s.square())), 1e-12);
}

/// The identity, which counts how many of its nodes live and notes the count at each gradient.
#[derive(Debug)]
struct Probe {
    live: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<usize>>>,
}

impl Probe {
    fn of(x: &Tensor, live: &Arc<AtomicUsize>, seen: &Arc<Mutex<Vec<usize>>>) -> Tensor {
        live.fetch_add(1, Ordering::Relaxed);
        apply(Probe { live: live.clone(), seen: seen.clone() }, &[x])
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Op for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok(x[0].clone())
    }

    fn reference(&self, x: &[View<f64>], y: &mut [f64], _: &Shape) {
        y.copy_from_slice(x[0].data);
    }

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        y.copy_from_slice(x[0].data);
    }

    fn gpu(&self, _: &Gpu, _: &[GpuView], _: GpuView) -> toile::Result<()> {
        unreachable!("the probe runs on the host")
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        self.seen.lock().unwrap().push(self.live.load(Ordering::Relaxed));
        vec![Some(dy + 0.0)]
    }
}

#[test]
fn a_consuming_walk_frees_the_graph_as_it_passes() {
    let (live, seen) = (Arc::default(), Arc::default());
    let x = Tensor::new(&Device::Cpu, [8], &[1.0; 8]);
    let chain = || (0..50).fold(x.clone(), |y, _| Probe::of(&(&y * 1.0), &live, &seen)).sum();

    let loss = chain();
    grad(&loss, [&x]);
    assert_eq!(seen.lock().unwrap().drain(..).collect::<Vec<_>>(), [50; 50], "a loss that is kept keeps its graph");
    drop(loss);
    assert_eq!(live.load(Ordering::Relaxed), 0);

    let dx = grad_consuming(chain(), &[&x]).remove(0);
    assert_eq!(*seen.lock().unwrap(), (1..=50).rev().collect::<Vec<_>>());
    assert_eq!(dx.to_vec().unwrap(), [1.0; 8]);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
fn a_consuming_walk_has_a_lower_peak_of_device_memory() {
    if crate::devices::gpu().is_none() {
        return;
    }
    // A device of its own, whose memory no other test uses.
    let gpu = Gpu::open(&AdapterChoice::Hardware, GpuOptions::default())
        .or_else(|_| Gpu::open(&AdapterChoice::Software, GpuOptions::default()))
        .unwrap();
    let device = Device::Gpu(gpu.clone());
    let bytes = 4 << 14;
    let x = Tensor::full(&device, [1 << 14], 0.5);
    let w: Vec<Tensor> = (0..24).map(|_| Tensor::full(&device, [1 << 14], 1.0)).collect();
    let targets: Vec<&Tensor> = w.iter().collect();
    // Two tensors a link are made for its gradient, which is a third, and is kept.
    let chain = || w.iter().fold(x.clone(), |y, w| (y * w).tanh()).sum();
    let consumed = grad_consuming(chain(), &targets).remove(0).to_vec().unwrap();
    let first = gpu.stats().bytes_peak;
    let loss = chain();
    assert_eq!(grad_all(&loss, &targets)[0].to_vec().unwrap(), consumed);
    let second = gpu.stats().bytes_peak;
    println!("{first} bytes at most where the graph is freed, {second} where it is kept");
    assert!(first >= 72 * bytes && second >= first + 12 * bytes, "{first} {second}");
}

#[test]
fn a_graph_of_100_000_nodes_is_differentiated_twice() {
    // y = xⁿ at 1: y' = n and y'' = n·(n − 1), all exact.
    let n = 100_000;
    let x = Tensor::scalar(&Device::Reference, 1.0);
    let y = (1..n).fold(x.clone(), |y, _| y * &x);
    let [d] = differentiable_grad(&y, [&x]);
    assert_eq!(d.item().unwrap(), n as f64);
    let dd = grad_consuming(d, &[&x]).remove(0);
    assert_eq!(dd.item().unwrap(), n as f64 * (n as f64 - 1.0));
}

/// A network with dropout and batch norm, the weights it starts from, and the loss's gradients after two steps.
fn two_passes(device: &Device, recomputed: bool) -> Vec<Vec<f64>> {
    let mut init = Initializer::new(device, Init::GlorotUniform, 3, 0);
    let draws = Draws::new(5);
    let mut inside = Sequential::new();
    inside.push("dense", Linear::new(&mut init, 6, 8, true));
    inside.push("norm", BatchNorm::new(&mut init, 8, 0.9, 1e-3, Convention::Keras));
    inside.push("dropout", Dropout::new(0.5, &draws));
    inside.push("act", Tanh);
    inside.push("dropout2", Dropout::new(0.25, &draws));
    let network: Box<dyn Module> =
        if recomputed { Box::new(Checkpointed::new(Checkpointed::new(inside))) } else { Box::new(inside) };
    let mut found = Vec::new();
    for step in 0..2 {
        let x = Tensor::normal(device, [5, 6], &Stream::new(2, Domain::Test, step));
        let weights = network.parameter_tensors();
        let loss = network.forward(&x, Mode::Train).square().sum();
        // A change of the weights before the walk must not reach the recomputation.
        network.parameters().iter().for_each(|(_, p)| p.set((p.get() * 0.5).detach()));
        let targets: Vec<&Tensor> = [&x].into_iter().chain(&weights).collect();
        found.push(loss.to_vec_f64().unwrap());
        found.extend(grad_consuming(loss, &targets).iter().map(|d| d.to_vec_f64().unwrap()));
    }
    found.extend(network.buffers().iter().map(|(_, b)| b.get().to_vec_f64().unwrap()));
    found
}

#[test]
fn a_checkpointed_network_draws_the_same_masks_and_moves_its_statistics_once() {
    for device in crate::devices::all() {
        let (plain, recomputed) = (two_passes(&device, false), two_passes(&device, true));
        assert!(plain[1].iter().any(|v| *v != 0.0));
        assert_eq!(plain.len(), 2 * 6 + 2);
        assert_eq!(plain, recomputed, "{device}");
    }
}

#[test]
fn a_checkpoint_stores_less() {
    let (live, seen) = (Arc::default(), Arc::default());
    let x = Tensor::new(&Device::Cpu, [8], &[1.0; 8]);
    let y = {
        let (live, seen) = (Arc::clone(&live), Arc::clone(&seen));
        checkpoint(move |x| (0..50).fold(x[0].clone(), |y, _| Probe::of(&y, &live, &seen)), &[&x])
    };
    assert_eq!(live.load(Ordering::Relaxed), 0, "nothing inside is kept");
    let plain = (0..50).fold(x.clone(), |y, _| Probe::of(&y, &live, &seen));
    assert_eq!(live.load(Ordering::Relaxed), 50);
    drop(plain);
    assert_eq!(grad_consuming(y.sum(), &[&x])[0].to_vec().unwrap(), [1.0; 8]);
    assert_eq!(seen.lock().unwrap().first(), Some(&50), "the gradient computes it again");
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
#[should_panic(expected = "computes something else when it is called again")]
fn a_checkpointed_function_that_draws_more_the_second_time_is_refused() {
    let calls = AtomicUsize::new(0);
    let x = Tensor::scalar(&Device::Cpu, 1.0);
    let y = checkpoint(
        move |x| (0..calls.fetch_add(1, Ordering::Relaxed)).fold(x[0].clone(), |y, _| y * once(|| 2.0)),
        &[&x],
    );
    grad(&y, [&x]);
}

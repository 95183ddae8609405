//! Jacobian- and Hessian-vector products, recomputation, hooks, optimisers as functions.

use toile::autograd::{checkpoint, differentiable_grad, grad, grad_all, hvp, jvp, with_gradient_hook};
use toile::optim::rmsprop::{Convention, RmsProp};
use toile::optim::sgd::Sgd;
use toile::optim::{clip, ema};
use toile::rng::{Domain, Stream};
use toile::tensor::no_grad;
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

    for convention in [Convention::Torch, Convention::Keras] {
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

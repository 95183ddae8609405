//! Looking at gradients, and changing them, where a tensor was given a name.

use crate::error::Result;
use crate::gpu::Gpu;
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Tensor, View, apply};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

type Hook = dyn Fn(&str, &Tensor) -> Option<Tensor>;

thread_local! {
    static HOOKS: RefCell<Vec<Rc<Hook>>> = const { RefCell::new(Vec::new()) };
}

struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        HOOKS.with_borrow_mut(|hooks| drop(hooks.pop()));
    }
}

/// Runs `f` with a hook: whenever a gradient passes a tensor named by [`Tensor::named`] on this thread, `hook(name,
/// gradient)` is called, and what it returns, if anything, goes on in its place. Hooks nest, outer ones first.
///
/// ```
/// use toile::{Device, Tensor, autograd::{grad, with_gradient_hook}};
/// let x = Tensor::new(&Device::Cpu, [2], &[1.0, 2.0]);
/// let loss = (x.named("x") * 3.0).sum();
/// let [dx] = with_gradient_hook(|name, d| (name == "x").then(|| d * 10.0), || grad(&loss, [&x]));
/// assert_eq!(dx.to_vec()?, [30.0, 30.0]);
/// # Ok::<(), toile::Error>(())
/// ```
pub fn with_gradient_hook<R>(hook: impl Fn(&str, &Tensor) -> Option<Tensor> + 'static, f: impl FnOnce() -> R) -> R {
    HOOKS.with_borrow_mut(|hooks| hooks.push(Rc::new(hook)));
    let _installed = Installed;
    f()
}

/// The same values, with a name that gradient hooks are told.
#[derive(Clone, Debug)]
struct Named {
    name: Arc<str>,
}

impl Op for Named {
    fn name(&self) -> &'static str {
        "named"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        Ok(x[0].clone())
    }

    fn is_view(&self) -> bool {
        true
    }

    fn reference(&self, x: &[View<f64>], y: &mut [f64], _: &Shape) {
        y.copy_from_slice(x[0].data);
    }

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        y.copy_from_slice(x[0].data);
    }

    fn gpu(&self, _: &Gpu, _: &[GpuView], _: GpuView) -> Result<()> {
        Ok(()) // a view: never launched
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let hooks = HOOKS.with_borrow(Vec::clone);
        vec![Some(hooks.iter().fold(dy.clone(), |dy, hook| hook(&self.name, &dy).unwrap_or(dy)))]
    }
}

impl Tensor {
    /// The same tensor under a name, where [`with_gradient_hook`] sees the gradients that flow back through it.
    pub fn named(&self, name: &str) -> Tensor {
        apply(Named { name: name.into() }, &[self])
    }
}

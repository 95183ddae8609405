//! What a computation would hold in memory, found by going through it with tensors that have shapes but no values.

use super::Storage;
use crate::cpu::buffer::{KEEP, SMALL, size_class};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of tensors' values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// The most that tensors hold at a time.
    pub live: u64,
    /// The most that the `cpu` device's pool of buffers has taken from the system for it.
    pub resident: u64,
}

/// The pool of `cpu` buffers as it would be; counts are of f32 values. Twin of `cpu/buffer.rs`.
#[derive(Default)]
struct Account {
    live: u64,
    resident: u64,
    /// Elements in `free`, by their classes.
    kept: usize,
    /// How much of each free buffer was ever written: the system gives no memory for the rest.
    free: HashMap<usize, Vec<usize>>,
    most: Planned,
}

/// The place of a tensor without values.
pub struct Place {
    account: Arc<Mutex<Account>>,
    len: usize,
    touched: usize,
}

thread_local! {
    static PLAN: RefCell<Option<Arc<Mutex<Account>>>> = const { RefCell::new(None) };
}

/// Puts back what was there before, even if the work panics.
struct Within(Option<Arc<Mutex<Account>>>);

impl Drop for Within {
    fn drop(&mut self) {
        PLAN.set(self.0.take());
    }
}

/// Runs `work` without computing anything: what it makes on this thread on [`Device::Cpu`](super::Device) has a shape and takes
/// its place, but has no values; where values are read, they are 0. Returns the most bytes that there were at a time.
pub fn plan<R>(work: impl FnOnce() -> R) -> (R, Planned) {
    let account = Arc::new(Mutex::new(Account::default()));
    let within = Within(PLAN.replace(Some(account.clone())));
    let result = work();
    drop(within);
    let most = account.lock().unwrap_or_else(PoisonError::into_inner).most;
    (result, most)
}

/// Whether values are left out here.
pub(crate) fn is_planning() -> bool {
    PLAN.with_borrow(Option::is_some)
}

/// A place for `len` values, where a plan is made.
pub(super) fn place(len: usize) -> Option<Storage> {
    let account = PLAN.with_borrow(Clone::clone)?;
    let touched = account.lock().unwrap_or_else(PoisonError::into_inner).take(len);
    Some(Storage::Planned(Arc::new(Place { account, len, touched })))
}

impl Account {
    /// Takes a buffer; gives how much of it has been written then.
    fn take(&mut self, len: usize) -> usize {
        let free = self.free.get_mut(&size_class(len)).filter(|_| len >= SMALL).and_then(Vec::pop);
        if free.is_some() {
            self.kept -= size_class(len);
        }
        let before = free.unwrap_or(0);
        let touched = before.max(len);
        self.live += 4 * len as u64;
        self.resident += 4 * (touched - before) as u64;
        self.most.live = self.most.live.max(self.live);
        self.most.resident = self.most.resident.max(self.resident);
        touched
    }

    fn give_back(&mut self, len: usize, touched: usize) {
        self.live -= 4 * len as u64;
        let class = size_class(len);
        if len >= SMALL && self.kept + class <= KEEP {
            self.kept += class;
            self.free.entry(class).or_default().push(touched);
        } else {
            self.resident -= 4 * touched as u64;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.len, self.touched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::grad;
    use crate::tensor::{Device, Tensor};

    #[test]
    fn a_plan_counts_what_is_there_at_a_time() {
        let work = |n: usize| {
            let x = Tensor::zeros(&Device::Cpu, [n]);
            let y = (&x * 2.0).exp(); // x, 2x, y
            drop(y);
            let z = &x + 1.0; // x, z
            z.to_vec().map(|values| values.len())
        };
        let (read, planned) = plan(|| work(1 << 20));
        assert_eq!(read.unwrap(), 1 << 20);
        // Nothing else: neither of the two is freed while the gradient could need it.
        assert_eq!(planned, Planned { live: 12 << 20, resident: 12 << 20 });
        assert!(!is_planning());
        let x = Tensor::new(&Device::Cpu, [2], &[1.0, 2.0]);
        assert_eq!(grad(&x.square().sum(), [&x])[0].to_vec().unwrap(), [2.0, 4.0], "afterwards values are back");
    }

    #[test]
    fn a_plan_goes_through_gradients() {
        let values = |n: usize| {
            let x = Tensor::zeros(&Device::Cpu, [n]);
            grad(&x.square().square().sum(), [&x])[0].shape().len()
        };
        let (len, planned) = plan(|| values(5000));
        assert_eq!(len, 5000);
        assert!((4 * 20_000..=7 * 20_000).contains(&planned.live), "{planned:?}");
        let (_, twice) = plan(|| values(10_000));
        assert!(twice.live > planned.live * 19 / 10, "{twice:?} against {planned:?}");
    }
}

//! What a recomputed part must find as it was: draws and running state, noted at the first pass and handed out at the next.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

/// What [`once`] gave, in order.
pub(super) type Notes = Vec<Arc<dyn Any + Send + Sync>>;

enum Pass {
    /// A part's first pass: what it takes is noted.
    First(Notes),
    /// The part again: it gets what was noted, from this place on.
    Again(Notes, usize),
}

thread_local! {
    static PASSES: RefCell<Vec<Pass>> = const { RefCell::new(Vec::new()) };
}

/// Takes its pass off the list, even if the part panics.
struct Entered;

impl Entered {
    fn new(pass: Pass) -> Entered {
        PASSES.with_borrow_mut(|passes| passes.push(pass));
        Entered
    }

    fn leave(self) -> Option<Pass> {
        std::mem::forget(self);
        PASSES.with_borrow_mut(Vec::pop)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        PASSES.with_borrow_mut(|passes| drop(passes.pop()));
    }
}

/// Runs `f` and notes what it takes from [`once`].
pub(super) fn noting<R>(f: impl FnOnce() -> R) -> (R, Notes) {
    let entered = Entered::new(Pass::First(Vec::new()));
    let result = f();
    match entered.leave() {
        Some(Pass::First(notes)) => (result, notes),
        _ => unreachable!("passes are left in the order opposite to entering"),
    }
}

/// Runs `f` again: [`once`] gives what it gave the first time.
pub(super) fn replaying<R>(notes: &Notes, f: impl FnOnce() -> R) -> R {
    let _entered = Entered::new(Pass::Again(notes.clone(), 0));
    f()
}

/// `make()`, which may change state; or, where a part of a graph is computed again for its gradient
/// ([`checkpoint`](super::checkpoint)), what it gave the first time, and nothing is made. Layers whose pass draws or
/// moves something take it from here.
#[track_caller]
pub fn once<T: Clone + Send + Sync + 'static>(make: impl FnOnce() -> T) -> T {
    let noted = PASSES.with_borrow_mut(|passes| match passes.iter_mut().rev().find(|p| matches!(p, Pass::Again(..))) {
        Some(Pass::Again(notes, next)) => {
            *next += 1;
            Some(notes.get(*next - 1).cloned())
        }
        _ => None,
    });
    let value = match noted {
        Some(note) => note.and_then(|note| note.downcast_ref::<T>().cloned()).unwrap_or_else(|| {
            panic!("checkpoint: the function computes something else when it is called again for the gradient")
        }),
        None => make(),
    };
    PASSES.with_borrow_mut(|passes| {
        // Parts inside the one that is computed again, or all if none is.
        for pass in passes.iter_mut().rev() {
            match pass {
                Pass::First(notes) => notes.push(Arc::new(value.clone())),
                Pass::Again(..) => break,
            }
        }
    });
    value
}

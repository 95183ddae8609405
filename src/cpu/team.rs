//! Threads that share out numbered tasks. They stay awake for a while between calls: waking a sleeping thread takes longer
//! than most ops of a training step.

use super::simd::Isa;
use std::any::Any;
use std::cell::Cell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread without work stays awake. Between the ops of a step it is needed again within microseconds.
const AWAKE: Duration = Duration::from_micros(30);
/// Turns of waiting between two looks at the clock, and chances for other programs.
const TURNS: usize = 64;

/// What a slot holds when it holds no job, or one that its thread has begun; other values are a job's address.
const FREE: usize = 0;
const TAKEN: usize = 1;

/// The place where a thread finds its next job.
struct Slot {
    state: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Tasks that are being shared out. Each participant begins with a range of its own, so that it meets the same data again from op to
/// op, and then takes from the others' ranges.
struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    count: usize,
    /// The next task of each participant's range.
    next: Vec<Next>,
    isa: Isa,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A counter in a cache line of its own.
#[repr(align(64))]
struct Next(AtomicUsize);

impl Job<'_> {
    fn end(&self, range: usize) -> usize {
        (range + 1) * self.count / self.next.len()
    }

    fn run(&self, participant: usize) {
        let ranges = self.next.len();
        let all = || {
            for range in (participant..ranges).chain(0..participant) {
                let (next, end) = (&self.next[range].0, self.end(range));
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= end {
                        break;
                    }
                    (self.work)(task);
                }
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(all)) {
            // Nobody begins another task.
            (0..ranges).for_each(|range| self.next[range].0.store(self.end(range), Ordering::Relaxed));
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }
}

/// All threads but the callers', in the order they were started. Whoever shares out tasks holds the lock.
static TEAM: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread works on a task: what it calls is not shared out again.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Calls `work(0)` to `work(count - 1)`, each once, on as many threads as the pool around the caller has. If one panics,
/// so does this, after those that had begun.
pub fn for_tasks(count: usize, work: impl Fn(usize) + Sync) {
    let threads = if count < 2 || AT_WORK.get() { 1 } else { rayon::current_num_threads().min(count) };
    // Threads that another caller has would have to be waited for.
    let Some(mut team) = (threads > 1).then(|| TEAM.try_lock().ok()).flatten() else {
        return (0..count).for_each(work);
    };
    while team.len() < threads - 1 && start(&mut team) {}
    let slots = &team[..(threads - 1).min(team.len())];
    let next = |range: usize| Next(AtomicUsize::new(range * count / (slots.len() + 1)));
    let next = (0..=slots.len()).map(next).collect();
    let job = Job { work: &work, count, next, isa: Isa::best(), panic: Mutex::new(None) };
    let address = (&raw const job).expose_provenance();
    for slot in slots {
        slot.state.store(address, Ordering::SeqCst);
        if slot.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = slot.thread.get()
        {
            thread.unpark();
        }
    }
    AT_WORK.set(true);
    job.run(slots.len());
    AT_WORK.set(false);
    // The job lives until no thread has it: from those that have not begun it is taken back.
    for slot in slots {
        if slot.state.compare_exchange(address, FREE, Ordering::Acquire, Ordering::Acquire).is_err() {
            let mut turns = 0usize;
            while slot.state.load(Ordering::Acquire) != FREE {
                turns += 1;
                if turns.is_multiple_of(TURNS) { thread::yield_now() } else { spin_loop() }
            }
        }
    }
    drop(team);
    if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
}

/// Starts one more thread; false if the system has none.
fn start(team: &mut Vec<&'static Slot>) -> bool {
    let slot: &'static Slot = Box::leak(Box::new(Slot {
        state: AtomicUsize::new(FREE),
        asleep: AtomicBool::new(false),
        thread: OnceLock::new(),
    }));
    let participant = team.len();
    let started =
        thread::Builder::new().name(format!("toile-{}", participant + 1)).spawn(move || serve(slot, participant));
    let Ok(handle) = started else { return false };
    slot.thread.get_or_init(|| handle.thread().clone());
    team.push(slot);
    true
}

fn serve(slot: &'static Slot, participant: usize) {
    AT_WORK.set(true);
    loop {
        let address = wait(slot);
        if slot.state.compare_exchange(address, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_err() {
            continue; // taken back
        }
        // SAFETY: the address is that of a Job in `for_tasks`, which does not return before this slot is free again.
        let job = unsafe { &*std::ptr::with_exposed_provenance::<Job>(address) };
        job.isa.limit_thread();
        job.run(participant);
        slot.state.store(FREE, Ordering::Release);
    }
}

/// The address of the next job.
fn wait(slot: &Slot) -> usize {
    let mut since = Instant::now();
    loop {
        for _ in 0..TURNS {
            let address = slot.state.load(Ordering::Acquire);
            if address != FREE {
                return address;
            }
            spin_loop();
        }
        if since.elapsed() < AWAKE {
            thread::yield_now();
            continue;
        }
        slot.asleep.store(true, Ordering::SeqCst);
        while slot.asleep.load(Ordering::SeqCst) && slot.state.load(Ordering::SeqCst) == FREE {
            thread::park();
        }
        slot.asleep.store(false, Ordering::SeqCst);
        since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(threads: usize, work: impl FnOnce() + Send) {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work);
    }

    #[test]
    fn every_task_once() {
        on(4, || {
            for count in [0, 1, 2, 3, 5, 64, 1000] {
                let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                for_tasks(count, |i| {
                    // A task's own tasks.
                    for_tasks(3, |_| _ = done[i].fetch_add(1, Ordering::Relaxed));
                });
                assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 3), "{count} tasks");
            }
        });
    }

    #[test]
    fn sleepers_wake() {
        on(3, || {
            let done = AtomicUsize::new(0);
            for _ in 0..3 {
                thread::sleep(3 * AWAKE);
                for_tasks(8, |_| _ = done.fetch_add(1, Ordering::Relaxed));
            }
            assert_eq!(done.into_inner(), 24);
        });
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        on(3, || {
            for _ in 0..20 {
                let caught = catch_unwind(|| for_tasks(50, |i| assert!(i != 7, "seven")));
                assert!(caught.is_err());
                let done = AtomicUsize::new(0);
                for_tasks(50, |_| _ = done.fetch_add(1, Ordering::Relaxed));
                assert_eq!(done.into_inner(), 50, "tasks after a panic");
            }
        });
    }
}

//! The threads: made once, fed with parts of a task, asleep between frames.
//!
//! Owns when a thread wakes, spins and sleeps. Refuses nested tasks.
//!
//! Terms: a *task* is a function of a part's number; *parts* are claimed one by one, so a thread that the system holds
//! up takes fewer. A task ends when its last part has ended.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A task: gets a part's number and, as the second argument, the number of the thread that runs it.
type Body<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Rounds that a thread looks for work before it sleeps, about 50 us: longer than the gap between two layers, much
/// shorter than that between two frames.
const SPIN: usize = 3_000;

/// A fixed number of threads, the caller's among them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    idle: Condvar,
    /// Copy of `State::epoch` that a spinning thread may read without the lock.
    epoch: AtomicU64,
    /// The next part to claim.
    next: AtomicUsize,
    /// Workers inside the current task.
    running: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    task: Option<Task>,
    epoch: u64,
    sleepers: usize,
    panicked: bool,
    stop: bool,
}

#[derive(Clone, Copy)]
struct Task {
    body: Body<'static>,
    parts: usize,
}

impl Pool {
    /// `threads` threads in all, at least one: the caller's, so that 1 starts none.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let spawn = |index: usize| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("cpu-engine-{index}"));
            // A thread that the system refuses, and those after it, are missed only as speed.
            thread.spawn(move || shared.work(index)).ok()
        };
        let workers = (1..threads).map_while(spawn).collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// Threads in all.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `body(part, thread)` for each part of `0..parts`; `thread` is below [`Pool::threads`], and no two parts run
    /// at once under the same number.
    ///
    /// # Panics
    /// If `body` panics, after all parts have ended.
    pub fn run(&self, parts: usize, body: Body<'_>) {
        if self.workers.is_empty() || parts <= 1 {
            (0..parts).for_each(|part| body(part, 0));
            return;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: only the lifetime is changed. Workers take the task from `State::task` and count themselves in
        // `running` under the same lock; `Open::drop` removes the task and waits until nobody is counted, so `body` is
        // not used after this function, even if a part panics.
        let body = unsafe { std::mem::transmute::<Body<'_>, Body<'static>>(body) };
        let task = Task { body, parts };
        let open = Open::new(&self.shared, task);
        self.shared.drain(task, 0);
        drop(open);
        let panicked = std::mem::take(&mut self.shared.lock().panicked);
        assert!(!panicked, "a part of a task panicked");
    }

    /// Runs `body(chunk's number, thread, chunk)` for each chunk of `len` values, the last one what is left.
    ///
    /// # Panics
    /// If `len` is 0, or as [`Pool::run`].
    pub fn each_chunk(
        &self,
        values: &mut [f32],
        len: usize,
        body: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) {
        let (all, start) = (values.len(), Start(values.as_mut_ptr()));
        self.run(all.div_ceil(len), &|part, thread| {
            let first = part * len;
            let n = len.min(all - first);
            // SAFETY: `first + n` is at most `all`; each part runs once and has its own `n` values, and `values` stay
            // borrowed until the last part has ended.
            let chunk = unsafe { std::slice::from_raw_parts_mut(start.at(first), n) };
            body(part, thread, chunk);
        });
    }
}

/// Where values begin that several threads write, each its own part.
struct Start(*mut f32);

// SAFETY: an address; `Pool::each_chunk` says why no two threads write to one place.
unsafe impl Sync for Start {}

impl Start {
    /// A method, so that a closure captures the whole and not the pointer in it.
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.epoch.fetch_add(1, Ordering::Release);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker that panicked has been reported by the task in which it did.
            let _ = worker.join();
        }
    }
}

/// A task that workers may join, as long as this lives.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared, task: Task) -> Self {
        shared.next.store(0, Ordering::Relaxed);
        let mut state = shared.lock();
        state.task = Some(task);
        state.epoch += 1;
        shared.epoch.store(state.epoch, Ordering::Release);
        // Waking costs a system call, so only for those who sleep.
        if state.sleepers > 0 {
            shared.wake.notify_all();
        }
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.lock().task = None;
        for _ in 0..SPIN {
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
        let mut state = self.0.lock();
        while self.0.running.load(Ordering::Acquire) > 0 {
            state = self.0.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A worker's stay in a task.
struct Stay<'a>(&'a Shared);

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.panicked |= thread::panicking();
        self.0.running.fetch_sub(1, Ordering::Release);
        drop(state);
        self.0.idle.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, task: Task, thread: usize) {
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part >= task.parts {
                return;
            }
            (task.body)(part, thread);
        }
    }

    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            for _ in 0..SPIN {
                if self.epoch.load(Ordering::Acquire) != seen {
                    break;
                }
                std::hint::spin_loop();
            }
            let mut state = self.lock();
            while state.epoch == seen && !state.stop {
                state.sleepers += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.sleepers -= 1;
            }
            if state.stop {
                return;
            }
            seen = state.epoch;
            // None: the others were done before this thread came.
            let Some(task) = state.task else { continue };
            self.running.fetch_add(1, Ordering::Relaxed);
            drop(state);
            let _stay = Stay(self);
            self.drain(task, thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_once_for_any_number_of_threads() {
        for threads in 1..=4 {
            let pool = Pool::new(threads);
            for parts in [0, 1, 2, 3, 17, 100] {
                for _ in 0..50 {
                    let counts: Vec<AtomicUsize> =
                        (0..parts).map(|_| AtomicUsize::new(0)).collect();
                    pool.run(parts, &|part, thread| {
                        assert!(thread < pool.threads());
                        counts[part].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                }
            }
        }
    }

    #[test]
    fn every_value_is_in_one_chunk() {
        for threads in 1..=3 {
            let pool = Pool::new(threads);
            for (n, len) in [(0, 1), (1, 1), (7, 3), (12, 4), (5, 100)] {
                let mut values = vec![0.0; n];
                pool.each_chunk(&mut values, len, &|part, _, chunk| {
                    chunk.iter_mut().for_each(|value| *value += 1.0 + part as f32);
                });
                let expected: Vec<f32> = (0..n).map(|i| 1.0 + (i / len) as f32).collect();
                assert_eq!(values, expected, "{threads} threads, {n} values by {len}");
            }
        }
    }

    #[test]
    fn a_part_that_panics_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2);
        let run = std::panic::AssertUnwindSafe(|| pool.run(8, &|part, _| assert_ne!(part, 5)));
        assert!(std::panic::catch_unwind(run).is_err());
        let count = AtomicUsize::new(0);
        pool.run(8, &|_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 8);
    }
}

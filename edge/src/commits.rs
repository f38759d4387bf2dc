//! The thread that makes durable what waits in the log, so that a refusal or an event waits no longer than it may.
//!
//! Owns only the waiting: what may wait and for how long is the journal's ([`crate::journal::Wait`]). It is a thread of its own because
//! the loop may be inside a network for seconds. It sleeps while nothing waits. Without it nothing waits: each entry is then durable
//! before the next one.

use crate::state::{Shared, State};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park, park_timeout};
use std::time::Duration;
use threshold_record::Cause;

/// The thread, which ends with this.
#[derive(Debug)]
pub struct Commits {
    shared: Shared,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Commits {
    /// Lets entries wait, and sees to it that none waits for too long.
    ///
    /// # Errors
    /// If the system gives no thread; nothing waits then.
    pub fn spawn(shared: &Shared) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (of_thread, ended) = (shared.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("commits".to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| wait(&of_thread, &ended))).is_err() {
                let mut state = of_thread.lock();
                let_nothing_wait(&mut state);
                let why = "the program panicked while it wrote the log; start the unit again, and report this";
                state.fail(Cause::Store, why);
            }
        })?;
        if let Some(journal) = shared.lock().journal_mut() {
            journal.let_wait(Some(thread.thread().clone()));
        }
        Ok(Self { shared: shared.clone(), stop, thread: Some(thread) })
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        let_nothing_wait(&mut self.shared.lock());
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It holds nothing but the shared state, and a panic in it was told.
            let _ = thread.join();
        }
    }
}

/// What waits now is made durable, and nothing waits from then on.
fn let_nothing_wait(state: &mut State) {
    if let Some(journal) = state.journal_mut() {
        journal.let_wait(None);
    }
    state.commit_waiting();
}

/// An unpark that comes before the park ends it at once, so that no entry is missed.
fn wait(shared: &Shared, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let due_ms = shared.lock().commit_due();
        match due_ms {
            Some(ms) => park_timeout(Duration::from_millis(ms)),
            None => park(),
        }
    }
}

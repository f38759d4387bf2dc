//! Work over many pictures with one worker a thread, results in the order of the input.
//!
//! Owns the handing out of items. Each worker starts its own state (an engine of one thread), because a network on
//! one picture gains less from a second thread than a second picture does.
//! Refuses to go on after an error: the first one in the order of the input is the answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Applies `work` to every item on `threads` workers, each with a state of its own from `start`.
///
/// # Errors
/// The first error in the order of the items; one of `start` before all.
pub fn over<T, S, R, E>(
    items: &[T],
    threads: usize,
    start: impl Fn() -> Result<S, E> + Sync,
    work: impl Fn(&mut S, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, Result<R, E>)>> = Mutex::new(Vec::with_capacity(items.len()));
    let start_errors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                let mut state = match start() {
                    Ok(state) => state,
                    Err(error) => {
                        failed.store(true, Ordering::Relaxed);
                        return lock(&start_errors).push(error);
                    }
                };
                while !failed.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(place) else { break };
                    let result = work(&mut state, item);
                    if result.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    lock(&done).push((place, result));
                }
            });
        }
    });
    if let Some(error) = lock(&start_errors).pop() {
        return Err(error);
    }
    let mut done = std::mem::take(&mut *lock(&done));
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// States that outlast one call of [`over`], for work that comes in batches: an engine takes longer to start than a face to embed.
#[derive(Debug)]
pub struct Pool<S>(Mutex<Vec<S>>);

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<S> Pool<S> {
    /// Does some work with a state that nobody else has, a fresh one if all are in use.
    ///
    /// # Errors
    /// That of `fresh`, else of the work.
    pub fn with<R, E>(
        &self,
        fresh: impl FnOnce() -> Result<S, E>,
        work: impl FnOnce(&mut S) -> Result<R, E>,
    ) -> Result<R, E> {
        let kept = lock(&self.0).pop();
        let mut state = kept.map_or_else(fresh, Ok)?;
        let done = work(&mut state);
        lock(&self.0).push(state);
        done
    }
}

/// A worker that panicked ends the scope with its panic; what the others left behind is still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(items: &[u32], threads: usize) -> Result<Vec<u32>, String> {
        let work = |_: &mut (), &item: &u32| {
            if item == 13 { Err("thirteen".to_owned()) } else { Ok(item * item) }
        };
        over(items, threads, || Ok(()), work)
    }

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<u32> = (100..1100).collect();
        let expected: Vec<u32> = items.iter().map(|item| item * item).collect();
        assert_eq!(squares(&items, 7), Ok(expected));
        assert_eq!(squares(&[], 7), Ok(vec![]));
    }

    #[test]
    fn an_error_of_an_item_is_the_answer() {
        assert_eq!(squares(&(0..50).collect::<Vec<_>>(), 3), Err("thirteen".to_owned()));
    }

    #[test]
    fn an_error_of_a_start_is_the_answer() {
        let answer = over(&[1], 2, || Err("no engine"), |(): &mut (), _| Ok(()));
        assert_eq!(answer, Err("no engine"));
    }
}

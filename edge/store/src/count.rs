//! How far the store counts: entries, batches, generations, steps of a counter and turns.
//!
//! Owns the one bound of all of them. What is read is at most [`MOST`], or the object that says it is damaged, whoever sealed it; what
//! is made is one more than what was read and at most that too, or it is not made. So no sum of them overflows, no number begins anew
//! from 0, which would be the past again, and no unit writes what its next start refuses.
//! Refuses numbers that end by themselves with a fault of their own: ids of people, contexts, segments and data keys.

use crate::error::StoreError;

/// The highest number: one each microsecond for a hundred thousand years.
pub(crate) const MOST: u64 = u64::MAX / 4;

/// What is wrong with a number that is higher.
pub(crate) const UNREACHED: &str = "a number that no unit reaches";

/// The number after one.
///
/// # Errors
/// [`StoreError::NumbersUsedUp`].
pub(crate) fn after(number: u64) -> Result<u64, StoreError> {
    if number < MOST { Ok(number + 1) } else { Err(StoreError::NumbersUsedUp) }
}

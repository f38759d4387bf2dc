//! The keeper's counter: by it a whole flash that was put back as it once was is found.
//!
//! Owns the order. The anchor names the step that it is bound to; the one that names the next step is durable first, then the counter
//! makes it. So the flash stands where the counter does or, after a cut between the two, one step further, which the next start makes
//! up for; never before it. A flash of before is therefore an older one, whatever cut came, and nothing that was acknowledged is lost.
//! The other order would have to take a flash one step behind, which is what somebody has who put it back.
//! A step is made by each start and with the first anchor after a change of the gallery, the roster or the tombstones, of which a
//! counter's memory bears hundreds of thousands; not by an entry, an attempt, or a new segment of the log.
//! What is put back between two steps is not found: of entries and of the lock-out those since the last.

use super::Store;
use crate::anchor::Anchor;
use crate::count;
use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::keys::Counter;

/// What each step is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bound {
    boot: u32,
    generation: u64,
    administrators: u64,
    tombstones: u32,
}

impl From<&Anchor> for Bound {
    fn from(anchor: &Anchor) -> Self {
        let Anchor { boot, generation, administrators, tombstones, .. } = *anchor;
        Self { boot, generation, administrators, tombstones }
    }
}

/// How the store stands with its keeper's counter.
#[derive(Debug, Default)]
pub(super) struct Counting {
    /// Where the counter stands, as far as it is known; `None` without one.
    at: Option<u64>,
    bound: Bound,
    /// The flash names a step that the counter has not been heard to make.
    owed: bool,
}

impl Counting {
    /// Holds the anchor of the flash against the counter, and makes up for a step that was cut off.
    ///
    /// # Errors
    /// [`StoreError::OlderFlash`], [`StoreError::OtherCounter`], of the keeper.
    pub(super) fn open(keyring: &Keyring, anchor: &Anchor) -> Result<Self, StoreError> {
        let Some(Counter { at, first }) = keyring.counter()? else { return Ok(Self::default()) };
        let found = anchor.counter.unwrap_or(first);
        if found < at {
            return Err(StoreError::OlderFlash { found, expected: at });
        }
        if found.checked_sub(at) > Some(1) {
            return Err(StoreError::OtherCounter { found, expected: at });
        }
        if found > at {
            keyring.count_to(found)?;
        }
        Ok(Self { at: Some(found), ..Self::default() })
    }

    /// The step that an anchor has to name, if none is owed; `None` without a counter.
    fn named_by(&self, anchor: &Anchor) -> Result<Option<u64>, StoreError> {
        let is_due = self.bound != Bound::from(anchor);
        self.at.map(|at| if is_due { count::after(at) } else { Ok(at) }).transpose()
    }

    /// True while the flash names a step that the counter has not been heard to make.
    pub(super) fn owes(&self) -> bool {
        self.owed
    }

    /// Where the counter stands; `None` without one.
    pub(super) fn at(&self) -> Option<u64> {
        self.at
    }
}

impl Store {
    /// Has the anchor name its step, before it is written.
    ///
    /// # Errors
    /// [`StoreError::NumbersUsedUp`].
    pub(super) fn name_step(&mut self) -> Result<(), StoreError> {
        self.anchor.counter = self.counting.named_by(&self.anchor)?;
        Ok(())
    }

    /// Notes that the anchor is on the flash with the step that it names, and has the counter make that.
    ///
    /// # Errors
    /// See [`Store::make_step`].
    pub(super) fn step_named(&mut self) -> Result<(), StoreError> {
        self.counting.bound = Bound::from(&self.anchor);
        self.counting.owed = self.anchor.counter > self.counting.at;
        self.make_step()
    }

    /// Has the counter make the step that the flash names and that it owes.
    ///
    /// # Errors
    /// Of the keeper; the step stays owed, and is made before the next write of the log or the anchor, or there is none.
    pub(super) fn make_step(&mut self) -> Result<(), StoreError> {
        if let Some(at) = self.counting.at.filter(|_| self.counting.owed) {
            let next = count::after(at)?;
            self.keyring.count_to(next)?;
            self.counting.at = Some(next);
            self.counting.owed = false;
        }
        Ok(())
    }
}

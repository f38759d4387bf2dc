//! The lock-out as the unit keeps it: read at the start, made durable before a probe is scored (safety rule 3) and before anybody is told
//! of an attack, ended by an administrator.
//!
//! Refuses to count: `policy::lockout` does.

use super::State;
use threshold_policy::{LockedOut, Lockout, Policy};
use threshold_record::{EntryKind, KeyTag, LogEntry};
use threshold_store::StoreError;

/// Why an attempt was not opened; no probe may be scored then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAttempt {
    /// The unit is locked out.
    LockedOut(LockedOut),
    /// The attempt could not be made durable.
    Store,
}

impl State {
    /// Takes whether a presentation-attack detector judges, and after how many attacks in a row an administrator is asked for; before
    /// the embedder.
    pub fn set_attack_detection(&mut self, judges_attacks: bool, spoofs_most: u8) {
        (self.judges_attacks, self.spoofs_most) = (judges_attacks, spoofs_most);
    }

    /// True if a presentation-attack detector judges.
    #[must_use]
    pub fn judges_attacks(&self) -> bool {
        self.judges_attacks
    }

    /// Takes up the count where the start before left it.
    pub(super) fn restore_lockout(&mut self, policy: &Policy) {
        let Some(journal) = &self.journal else { return };
        let now_ms = self.clock.monotonic_ms();
        // Zeros stand there before the first attempt of a unit's life; anything else is restored, damage as a lock-out.
        self.lockout = match journal.store().lockout() {
            [0, 0, 0, 0] => Lockout::default(),
            bytes => Lockout::restore(bytes, policy, self.spoofs_most, now_ms),
        };
    }

    /// Whether an attempt may be opened now.
    ///
    /// # Errors
    /// [`LockedOut`], with the time left if it has an end.
    pub fn lockout(&self) -> Result<(), LockedOut> {
        self.lockout.standing(self.clock.monotonic_ms())
    }

    /// Opens an attempt; it is counted as failed, durably, when this returns (safety rule 3).
    ///
    /// # Errors
    /// [`NoAttempt`]; no probe may be scored then.
    pub fn open_attempt(&mut self) -> Result<(), NoAttempt> {
        let now_ms = self.clock.monotonic_ms();
        self.lockout.open_attempt(&self.derived.policy, now_ms).map_err(NoAttempt::LockedOut)?;
        if self.save_lockout() { Ok(()) } else { Err(NoAttempt::Store) }
    }

    /// Makes the end of a lock-out durable whose time is over, while nobody is there: the next start would begin it again.
    pub fn lapse_lockout(&mut self) {
        if self.lockout.lapse(self.clock.monotonic_ms()) {
            self.save_lockout();
        }
    }

    /// Makes the count durable, if it is not; true then. Without an embedder it was never read, and is left as it is.
    pub(super) fn save_lockout(&mut self) -> bool {
        let bytes = self.lockout.to_bytes();
        let Some(journal) = self.journal.as_mut().filter(|_| self.embedder.is_some()) else {
            return false;
        };
        if journal.store().lockout() == bytes {
            return true;
        }
        match journal.store_mut().save_lockout(bytes) {
            Ok(()) => true,
            Err(error) => {
                self.store_failed(&error);
                false
            }
        }
    }

    /// The attempt that was opened ended without an admission; true if that is durable.
    pub(super) fn fail_attempt(&mut self) -> bool {
        self.lockout.fail(&self.derived.policy, self.clock.monotonic_ms());
        self.save_lockout()
    }

    /// An administrator ends the lock-out that lasts and begins its counts anew; true if one lasted. The entry that says who did it is
    /// durable before that. Nothing happens if nothing was counted.
    ///
    /// # Errors
    /// [`StoreError`]; the lock-out may then last.
    pub fn unlock(&mut self, by: KeyTag) -> Result<bool, StoreError> {
        let lasted = self.lockout().is_err();
        let unlocked = Lockout::default();
        let counted = self.name_again()?.store().lockout();
        let is_none = counted == [0; Lockout::LEN] || counted == unlocked.to_bytes();
        if is_none && self.lockout == unlocked {
            return Ok(false);
        }
        let journal = self.name_again()?;
        journal.write(LogEntry { by, ..LogEntry::of(EntryKind::Unlocked) })?;
        journal.store_mut().save_lockout(unlocked.to_bytes())?;
        self.lockout = unlocked;
        self.tell_arming();
        Ok(lasted)
    }
}

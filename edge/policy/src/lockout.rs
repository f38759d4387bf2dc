//! The lock-out counter: failed attempts in a row, and the pause that follows.
//!
//! An attempt counts as failed from the moment that it opens, and the unit makes the opened state durable
//! ([`Lockout::to_bytes`]) before it scores the first probe of a visit. Pulling the plug then leaves a failed attempt
//! behind, not a fresh one (safety rule 3). The clock starts anew with the process, so a lock-out that was
//! running when the power went starts again in full.
//!
//! ```text
//! 0 version u8 (1) | 1 failures u8 | 2 locked u8 (0, 1) | 3 reserved, zero
//! ```

use crate::Policy;

/// Failed attempts in a row, and the lock-out that they led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lockout {
    failures: u8,
    locked_until_ms: Option<u64>,
}

/// The unit is locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("locked out for another {} s after too many failed attempts; wait", remaining_ms.div_ceil(1000))]
pub struct LockedOut {
    /// Time left, milliseconds.
    pub remaining_ms: u64,
}

impl Lockout {
    /// Bytes of the durable form.
    pub const LEN: usize = 4;
    const VERSION: u8 = 1;

    /// The state that stands in durable bytes, at the start of the process. Bytes of another version or shape
    /// count as a lock-out: damage must not be worth fresh attempts.
    #[must_use]
    pub fn restore(bytes: [u8; Self::LEN], policy: &Policy, now_ms: u64) -> Self {
        let [version, failures, locked, reserved] = bytes;
        let sound = version == Self::VERSION && locked <= 1 && reserved == 0;
        let failures = if sound { failures } else { u8::MAX };
        let locked = locked == 1 || failures >= policy.attempts;
        Self { failures, locked_until_ms: locked.then(|| Self::end(policy, now_ms)) }
    }

    /// The durable form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        [Self::VERSION, self.failures, u8::from(self.locked_until_ms.is_some()), 0]
    }

    /// Opens an attempt and counts it as failed. Make `to_bytes` durable before the probe is scored.
    ///
    /// # Errors
    /// [`LockedOut`] while a lock-out lasts; nothing is counted then.
    pub fn open_attempt(&mut self, policy: &Policy, now_ms: u64) -> Result<(), LockedOut> {
        // An attempt that was opened and never ended is a failed one.
        self.fail(policy, now_ms);
        self.standing(now_ms)?;
        if self.locked_until_ms.take().is_some() {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        Ok(())
    }

    /// The open attempt ended in an admission: the count starts again.
    pub fn pass(&mut self) {
        *self = Self::default();
    }

    /// The open attempt ended with somebody who was recognised and may not enter now: no guess, so it counts no longer. Those before
    /// it do: whoever may not enter makes no room for guesses.
    pub fn take_back(&mut self) {
        self.failures = self.failures.saturating_sub(1);
    }

    /// The open attempt ended in a refusal: it stays counted, and the last one allowed locks out.
    pub fn fail(&mut self, policy: &Policy, now_ms: u64) {
        if self.failures >= policy.attempts && self.locked_until_ms.is_none() {
            self.locked_until_ms = Some(Self::end(policy, now_ms));
        }
    }

    /// Whether an attempt may be opened now.
    ///
    /// # Errors
    /// [`LockedOut`] with the time left.
    pub fn standing(&self, now_ms: u64) -> Result<(), LockedOut> {
        match self.locked_until_ms {
            Some(until_ms) if now_ms < until_ms => {
                Err(LockedOut { remaining_ms: until_ms - now_ms })
            }
            _ => Ok(()),
        }
    }

    /// Failed attempts in a row, an open one included.
    #[must_use]
    pub fn failures(&self) -> u8 {
        self.failures
    }

    fn end(policy: &Policy, now_ms: u64) -> u64 {
        now_ms.saturating_add(u64::from(policy.lockout_s) * 1000)
    }
}

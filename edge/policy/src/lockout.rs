//! The lock-out: failed attempts in a row, with the pause that follows, and attacks in a row, after which an administrator decides.
//!
//! An attempt counts as failed from the moment that it opens, and the unit makes the opened state durable
//! ([`Lockout::to_bytes`]) before it scores the first probe of a visit. Pulling the plug then leaves a failed attempt
//! behind, not a fresh one (safety rule 3). The clock starts anew with the process, so a lock-out that was
//! running when the power went starts again in full; one whose time was over does not, once that was made
//! durable ([`Lockout::lapse`]).
//! An attack (a visit of which a frame was judged a spoof) is counted when it is judged, durably before anybody is told and before the
//! next probe is scored: a plug that was pulled before that leaves a failed attempt, and nothing was learnt by it. In a row means
//! without an admission between, as for failed attempts: whoever shows the own face between two masks begins no new row. That
//! lock-out has no end in time, since an attack is no honest mistake that a pause answers: an administrator begins with [`Lockout::default`].
//!
//! ```text
//! 0 version u8 (1) | 1 failures u8 | 2 locked u8 (0 no, 1 for a while, 2 until unlocked) | 3 spoofs u8
//! ```
//! A program from before attacks were counted takes a count of them, or the 2, for damage, which is a lock-out for a while.

use crate::Policy;

/// Failed attempts and attacks in a row, and the lock-out that they led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lockout {
    failures: u8,
    spoofs: u8,
    locked: Option<Until>,
}

/// How long a lock-out lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Ms(u64),
    Unlocked,
}

/// The unit is locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockedOut {
    /// Too many attempts failed.
    #[error("locked out for another {} s after too many failed attempts; wait", remaining_ms.div_ceil(1000))]
    Failures {
        /// Time left, milliseconds.
        remaining_ms: u64,
    },
    /// Too many attacks were seen.
    #[error(
        "locked out after too many attacks in a row, until an administrator unlocks it; threshold unlock"
    )]
    Spoofs,
}

impl LockedOut {
    /// Time left, milliseconds; `None` if time does not end it.
    #[must_use]
    pub const fn remaining_ms(self) -> Option<u64> {
        match self {
            Self::Failures { remaining_ms } => Some(remaining_ms),
            Self::Spoofs => None,
        }
    }
}

impl Lockout {
    /// Bytes of the durable form.
    pub const LEN: usize = 4;
    const VERSION: u8 = 1;

    /// Attacks in a row after which the unit locks out, where nothing else is configured.
    ///
    /// Each is a try at the detector, which passes some part of them; each is also a verdict that may be wrong about somebody live.
    /// At 5 % of live faces judged spoofs one honest visitor in 20 is a count of 1, which the next admission takes back, and three of
    /// three are one in 8,000, if their errors fall independently; with two in a row it would be one in 400, and an administrator
    /// would be called for honest people.
    pub const SPOOFS: u8 = 3;

    /// The state that stands in durable bytes, at the start of the process. Bytes of another version or shape
    /// count as a lock-out: damage must not be worth fresh attempts.
    #[must_use]
    pub fn restore(bytes: [u8; Self::LEN], policy: &Policy, spoofs_most: u8, now_ms: u64) -> Self {
        let [version, failures, locked, spoofs] = bytes;
        let sound = version == Self::VERSION && locked <= 2;
        let (failures, spoofs) = if sound { (failures, spoofs) } else { (u8::MAX, 0) };
        let until_unlocked = sound && (locked == 2 || spoofs >= spoofs_most);
        let locked = match (locked, until_unlocked) {
            (_, true) => Some(Until::Unlocked),
            (1, _) => Some(Self::end(policy, now_ms)),
            _ => (failures >= policy.attempts).then(|| Self::end(policy, now_ms)),
        };
        Self { failures, spoofs, locked }
    }

    /// The durable form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let locked = match self.locked {
            None => 0,
            Some(Until::Ms(_)) => 1,
            Some(Until::Unlocked) => 2,
        };
        [Self::VERSION, self.failures, locked, self.spoofs]
    }

    /// Opens an attempt and counts it as failed. Make `to_bytes` durable before the probe is scored.
    ///
    /// # Errors
    /// [`LockedOut`] while a lock-out lasts; nothing is counted then.
    pub fn open_attempt(&mut self, policy: &Policy, now_ms: u64) -> Result<(), LockedOut> {
        // An attempt that was opened and never ended is a failed one.
        self.fail(policy, now_ms);
        self.standing(now_ms)?;
        self.lapse(now_ms);
        self.failures = self.failures.saturating_add(1);
        Ok(())
    }

    /// Forgets a lock-out whose time is over, and the failed attempts that led to it; true if there was one. As long as that is not
    /// durable, a start begins it again.
    pub fn lapse(&mut self, now_ms: u64) -> bool {
        let is_over = matches!(self.locked, Some(Until::Ms(until_ms)) if now_ms >= until_ms);
        if is_over {
            (self.failures, self.locked) = (0, None);
        }
        is_over
    }

    /// The open attempt ended in an admission: the counts start again. What only an administrator ends stays.
    pub fn pass(&mut self) {
        if !self.needs_unlocking() {
            *self = Self::default();
        }
    }

    /// The open attempt was judged an attack; the last one of `spoofs_most` locks out until an administrator unlocks it.
    pub fn spoofed(&mut self, spoofs_most: u8) {
        self.spoofs = self.spoofs.saturating_add(1);
        if self.spoofs >= spoofs_most {
            self.locked = Some(Until::Unlocked);
        }
    }

    /// True if time does not end the lock-out, and an administrator does.
    #[must_use]
    pub fn needs_unlocking(&self) -> bool {
        self.locked == Some(Until::Unlocked)
    }

    /// The open attempt ended with somebody who was recognised and may not enter now: no guess, so it counts no longer. Those before
    /// it do: whoever may not enter makes no room for guesses.
    pub fn take_back(&mut self) {
        self.failures = self.failures.saturating_sub(1);
    }

    /// The open attempt ended in a refusal: it stays counted, and the last one allowed locks out.
    pub fn fail(&mut self, policy: &Policy, now_ms: u64) {
        if self.failures >= policy.attempts && self.locked.is_none() {
            self.locked = Some(Self::end(policy, now_ms));
        }
    }

    /// Whether an attempt may be opened now.
    ///
    /// # Errors
    /// [`LockedOut`], with the time left if it has an end.
    pub fn standing(&self, now_ms: u64) -> Result<(), LockedOut> {
        match self.locked {
            Some(Until::Unlocked) => Err(LockedOut::Spoofs),
            Some(Until::Ms(until_ms)) if now_ms < until_ms => {
                Err(LockedOut::Failures { remaining_ms: until_ms - now_ms })
            }
            _ => Ok(()),
        }
    }

    /// Failed attempts in a row, an open one included.
    #[must_use]
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// Attacks in a row.
    #[must_use]
    pub fn spoofs(&self) -> u8 {
        self.spoofs
    }

    fn end(policy: &Policy, now_ms: u64) -> Until {
        Until::Ms(now_ms.saturating_add(u64::from(policy.lockout_s) * 1000))
    }
}

//! Credentials in the loop: what one begins, and how many may.
//!
//! Owns the trait of what reads them. A credential names a person and proves nothing: it begins a visit whose frames, from that
//! instant on, are compared with that person. Refuses to carry anything over: what was compared before a claim counts nothing
//! after it, and each claim is an attempt of its own. One that names nobody is a failed attempt, counted durably before the
//! refusal, so that numbers are not guessed faster than faces.

use super::{Course, Sign, Unit};
use crate::state::NoAttempt;
use threshold_models::frame::Frame;
use threshold_policy::Subject;
use threshold_record::Credential;

/// A claim that waited for longer is not taken: whoever made it has gone, or tried again.
const CLAIM_MS: u64 = 10_000;

/// Claims at once: a queue of people, each with a badge.
const BURST: u32 = 20;

/// Time after which there is one more: no more people than that walk through a door.
const EVERY_MS: u64 = 2_000;

/// A credential that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// What was read.
    pub credential: Credential,
    /// When, monotonic milliseconds.
    pub at_ms: u64,
}

/// Where credentials come from.
pub trait Reader: Send {
    /// The next credential that was read; returns at once.
    fn next(&mut self) -> Option<Presented>;
}

/// Reads nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoReader;

impl Reader for NoReader {
    fn next(&mut self) -> Option<Presented> {
        None
    }
}

/// How many claims may begin a visit, each of which writes entries: a reader that is played with fills no log.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimRation {
    left: u32,
    since_ms: u64,
    dropped: u64,
}

impl Default for ClaimRation {
    fn default() -> Self {
        Self { left: BURST, since_ms: 0, dropped: 0 }
    }
}

impl ClaimRation {
    /// A claim came: how many were dropped before it, or nothing, and then it is dropped.
    fn take(&mut self, now_ms: u64) -> Option<u64> {
        let earned = now_ms.saturating_sub(self.since_ms) / EVERY_MS;
        self.since_ms += earned * EVERY_MS;
        self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(BURST);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }
}

impl Unit {
    /// Takes a credential: the visit of an earlier one ends, and one of the person whom it names begins.
    pub(super) fn claim(&mut self, presented: Presented) {
        let now_ms = self.clock.monotonic_ms();
        let is_late = now_ms.saturating_sub(presented.at_ms) >= CLAIM_MS;
        if is_late || !self.shared.lock().mode().verifies() {
            return;
        }
        let Some(dropped) = self.claims.take(now_ms) else { return };
        if dropped > 0 {
            self.notices
                .tell(&format!("reader: {dropped} credentials came too fast and were dropped"));
        }
        let announced = match &self.course {
            // A visit of which somebody was compared, or gave another credential, ends here, with its own decision and entry.
            Course::Open(visit) => {
                let announced = visit.announced;
                if visit.is_claimed() || visit.attempt_open {
                    self.conclude();
                }
                announced
            }
            Course::Spent { announced, .. } => *announced,
            Course::Idle => false,
        };
        let subject = self.shared.lock().claim(presented.credential);
        // From now on: no frame of before is evidence for it, however late the loop came to either.
        self.begin(subject, announced, now_ms);
        self.show(Sign::Look);
        if subject == Subject::Nobody {
            self.count_a_guess();
        }
        self.ask();
    }

    /// A credential that names nobody is a failed attempt.
    fn count_a_guess(&mut self) {
        let Course::Open(visit) = &mut self.course else { return };
        let mut state = self.shared.lock();
        let standing = state.standing(Subject::Nobody, visit.lockout);
        if standing.fault.is_some() || standing.armed.is_err() || standing.lockout.is_err() {
            return;
        }
        match state.open_attempt() {
            Ok(()) => visit.attempt_open = true,
            Err(NoAttempt::LockedOut(locked)) => visit.lockout = Err(locked),
            // The state knows of the fault already, and the decision will say it.
            Err(NoAttempt::Store) => {}
        }
    }

    /// True if a frame may tell something: a face alone, where that says anything; or one that was captured after the claim.
    pub(super) fn may_tell(&self, frame: &Frame) -> bool {
        match &self.course {
            Course::Open(visit) if visit.is_claimed() => {
                frame.captured_at_ms >= visit.evidence.begun_ms()
            }
            _ => !self.shared.lock().needs_credential(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_played_with_begins_few_visits_and_nothing_goes_uncounted() {
        let mut ration = ClaimRation::default();
        let (mut taken, mut dropped) = (0, 0);
        // An hour of ten claims a second.
        for now_ms in (0..3_600_000).step_by(100) {
            if let Some(before) = ration.take(now_ms) {
                (taken, dropped) = (taken + 1, dropped + before);
            }
        }
        assert_eq!(taken, u64::from(BURST) + 3_600_000 / EVERY_MS - 1);
        assert_eq!(taken + dropped + ration.dropped, 36_000);
    }
}

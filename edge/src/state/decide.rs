//! Deciding: how the unit stands for a visit, the attempts that are counted, and the decision with its entry.
//!
//! Owns the order of both: an attempt is durable before its first probe is scored (safety rule 3), and a decision is written down
//! before it comes with a permit (safety rule 1). So is the count of attacks, before the visitor is told. Refuses to judge: `policy::decide`
//! does (safety rule 2).

use super::State;
use crate::journal::{Permit, StageTimes};
use threshold_models::engine::Embedding;
use threshold_models::search::{Candidate, Candidates};
use threshold_policy::{Evidence, LockedOut, Lockout, Standing, Subject, Verdict, decide};
use threshold_record::{Cause, Decision, EntryKind, KeyTag, LogEntry, Reason};
use threshold_store::StoreError;

/// A decision that was made, and what came of it.
#[derive(Debug)]
pub struct Decided {
    /// Admit or refuse. An admission whose entry could not be made durable comes without a permit, and opens nothing.
    pub decision: Decision,
    /// The entry as it stands in the log, that of a refusal perhaps not durable yet; `None` if it could not be written.
    pub entry: Option<LogEntry>,
    /// Leave to move the lock.
    pub permit: Option<Permit>,
}

/// Why an attempt was not opened; no probe may be scored then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAttempt {
    /// The unit is locked out.
    LockedOut(LockedOut),
    /// The attempt could not be made durable.
    Store,
}

impl State {
    /// Whom an embedding is most like; for a claimed person how like them it is, and beside that who else is more than the
    /// threshold of 1:N asks without a calibration, which only raises it: it hides nobody who is a reason to refuse. Whoever has the claimed person's face by the enrolled templates is nobody else here: it is what the
    /// credential was asked for.
    ///
    /// # Errors
    /// In words, if there is no gallery or the embedding is not of its length.
    pub fn search(&self, subject: Subject, probe: &Embedding) -> Result<Candidates, String> {
        let index = self.index.as_ref().ok_or("no gallery is loaded")?;
        let found = match subject {
            Subject::Everybody => index.search(probe),
            Subject::Person(person) => index.verify(probe, person).and_then(|found| {
                let threshold = self.shipped.unwrap_or(self.derived).policy.threshold;
                let known = |other: &Candidate| threshold.accepts(other.score);
                let of_one_face = self.of_one_face(person);
                let runner_up = match of_one_face.as_slice() {
                    [_] => found.runner_up,
                    _ => {
                        let theirs = |&one: &_| usize::from(self.templates_of(one));
                        let theirs: usize = of_one_face.iter().map(theirs).sum();
                        let mut top = index.top(probe, theirs + 1)?.into_iter();
                        top.find(|other| !of_one_face.contains(&other.person))
                    }
                };
                Ok(Candidates { runner_up: runner_up.filter(known), ..found })
            }),
            Subject::Nobody => Ok(Candidates::default()),
        };
        found.map_err(|error| error.to_string())
    }

    /// How the unit stands for a visit of which the frames are compared so.
    #[must_use]
    pub fn standing(&self, subject: Subject, lockout: Result<(), LockedOut>) -> Standing<'_> {
        let people = match (&self.index, &self.journal) {
            (Some(index), Some(journal)) if !index.is_empty() => {
                journal.store().gallery().map_or(0, |gallery| gallery.n_people() as u32)
            }
            _ => 0,
        };
        let armed = match self.refuses(subject) {
            Some(why) => Err(why),
            // Whoever stands there is looked at for another's sake.
            None if self.is_enrolling() => Err(Cause::Enrolling),
            None if self.started => Ok(()),
            None => Err(Cause::None),
        };
        let fault = self.faults.first().map(|&(part, _)| part);
        Standing { armed, fault, lockout, people, mode: self.mode(), nearest: self.nearest() }
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

    pub(super) fn save_lockout(&mut self) -> bool {
        let bytes = self.lockout.to_bytes();
        let Some(journal) = self.journal.as_mut() else { return false };
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

    /// Asks for the decision of a visit; `None` while more frames are needed. A decision is written down before this
    /// returns, an admission durably, and only then it comes with a permit.
    pub fn decide(
        &mut self,
        evidence: &Evidence,
        lockout: Result<(), LockedOut>,
        attempt_open: bool,
        times: impl FnOnce(u64) -> StageTimes,
    ) -> Option<Decided> {
        let subject = evidence.subject();
        let policy = self.policy_for(subject);
        let standing = self.standing(subject, lockout);
        let Verdict::Decided(outcome) =
            decide(&policy, evidence, &standing, |person| self.may_enter(person))
        else {
            return None;
        };
        let mut decision = outcome.decision();
        let outcome_reason = outcome.reason();
        self.stats.decision(outcome_reason);
        let written = match self.journal {
            Some(_) => {
                let times = times(outcome.at_ms());
                self.name_again()
                    .and_then(|journal| journal.write_decision(outcome, times))
                    .map_err(|error| self.store_failed(&error))
            }
            None => Err(()),
        };
        let (entry, permit) = match written {
            Ok((entry, permit)) => (Some(entry), permit),
            Err(()) => (None, None),
        };
        let permit = permit.map(|permit| {
            let card = self.card_of(permit.person());
            permit.with_card(card)
        });
        if permit.is_some() {
            if let Decision::Admit(person) = decision {
                self.admissions.note(person, self.clock.monotonic_ms());
            }
            self.lockout.pass();
            self.save_lockout();
            self.count_admission();
        } else if attempt_open && entry.is_some() && outcome_reason == Reason::Schedule {
            self.lockout.take_back();
            self.save_lockout();
        } else if attempt_open {
            let is_attack = evidence.is_attack();
            if is_attack {
                self.lockout.spoofed(self.spoofs_most);
            }
            let is_counted = self.fail_attempt();
            if is_attack && !is_counted {
                // Nobody is told what was not counted.
                decision = Decision::Refuse(Reason::Fault);
            }
            self.tell_arming();
        }
        Some(Decided { decision, entry, permit })
    }

    /// An administrator ends the lock-out that lasts and begins its counts anew; true if one lasted. The entry that says who did it is
    /// durable before that. Nothing happens if nothing was counted.
    ///
    /// # Errors
    /// [`StoreError`]; the lock-out may then last.
    pub fn unlock(&mut self, by: KeyTag) -> Result<bool, StoreError> {
        let lasted = self.lockout().is_err();
        let journal = self.name_again()?;
        let (counted, unlocked) = (journal.store().lockout(), Lockout::default());
        if counted == [0; Lockout::LEN] || counted == unlocked.to_bytes() {
            return Ok(false);
        }
        journal.write(LogEntry { by, ..LogEntry::of(EntryKind::Unlocked) })?;
        journal.store_mut().save_lockout(unlocked.to_bytes())?;
        self.lockout = unlocked;
        self.tell_arming();
        Ok(lasted)
    }

    /// The attempt that was opened ended without an admission; true if that is durable.
    fn fail_attempt(&mut self) -> bool {
        self.lockout.fail(&self.derived.policy, self.clock.monotonic_ms());
        self.save_lockout()
    }
}

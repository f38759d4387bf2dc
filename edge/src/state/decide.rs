//! Deciding: how the unit stands for a visit, and the decision with its entry.
//!
//! Owns the order: a decision is written down before it comes with a permit (safety rule 1), and an attack is counted before the visitor
//! is told. Refuses to judge: `policy::decide` does (safety rule 2).

use super::State;
use crate::journal::{Permit, StageTimes};
use threshold_models::engine::Embedding;
use threshold_models::search::{Candidate, Candidates};
use threshold_policy::{Evidence, LockedOut, Standing, Subject, Verdict, decide};
use threshold_record::{Cause, Decision, LogEntry, Reason};

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
        } else if attempt_open
            && entry.is_some()
            && outcome_reason == Reason::Schedule
            && evidence.compared() < 2 * u32::from(policy.frames_needed)
        {
            // Beside those that agree there were too few others for another's admission: no guess was made before.
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
}

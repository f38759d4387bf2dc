//! The decision: the only place that makes an [`Admission`].
//!
//! In this order, the first that holds decides:
//! 1. a part of the unit failed: `Fault` with the part as cause;
//! 2. the unit is not armed, or its policy does not check: `NotArmed`;
//! 3. a lock-out lasts: `LockedOut`, with the cause `Spoofs` if only an administrator ends it;
//! 4. the gallery is empty: `EmptyGallery`;
//! 5. a credential names nobody: `Unknown`; the mode asks for one and none was given: pending, and `Unknown` at the end;
//! 6. a frame of the visit was judged a spoof: `Spoof`;
//! 7. k of the last n compared frames accept one person and none of the n accepts another: `Ambiguous` with the cause `SameFace`
//!    if the face was compared with everybody and another enrolled person has the same (`calibrate`), else `Admit` if that person
//!    may enter now, `Schedule` with the cause if not;
//! 8. the visit goes on and its limit of compared frames is not reached: pending;
//! 9. at the end of the visit, by how near it came to an admission: `Ambiguous` (a score reached the threshold and
//!    another person's came within the margin, or two people were accepted; the cause says if those two are near twins by their
//!    own templates), `TooFewFrames` (somebody was accepted,
//!    in too few frames), `Unknown` (compared, nobody reached the threshold), `Quality` (never compared; the cause of
//!    the best frame).
//!
//! Whether a person may enter is asked about nobody but the one whom the face would admit, and last: somebody whose validity
//! has ended stays a candidate and a runner-up, so that no ambiguity is resolved in favour of the other one.
//!
//! A visit whose subject is one person (1:1) takes what its frames say of that person alone: whoever else they are like
//! can be a reason to refuse, and never one to admit: `Unknown` with the cause `OtherThanClaimed`, before the others of 9.
//!
//! Faults come first because a unit in doubt about itself must not tell who stands before it; ambiguity comes
//! before unknown because it is the one that the administrator can do something about.

use crate::calibrate::{Alike, Nearest};
use crate::evidence::{Candidate, Evidence, Observation, Subject};
use crate::{LockedOut, Policy};
use threshold_record::{
    Cause, Decision, EntryKind, LogEntry, Mode, PersonId, Presentation, Reason, Score, Threshold,
};

/// Leave to open the door once for one person. Holding one proves that [`decide`] admitted that person.
///
/// It can be neither copied nor made elsewhere. The journal takes it with the outcome's entry, and the lock takes it
/// after the entry is durable.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an admission that nobody takes to the lock opens nothing"]
pub struct Admission {
    person: PersonId,
}

impl Admission {
    /// Who may enter.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.person
    }
}

/// How the unit stands, apart from the visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing<'a> {
    /// Fine after self-test and gallery load, if the threshold keeps the owner's rule; why not otherwise.
    pub armed: Result<(), Cause>,
    /// The part that failed, if one did; [`Cause::Store`] among them.
    pub fault: Option<Cause>,
    /// What [`crate::Lockout::standing`] said when the visit began.
    pub lockout: Result<(), LockedOut>,
    /// People in the gallery.
    pub people: u32,
    /// With whom a face is compared.
    pub mode: Mode,
    /// Whom each enrolled person is most like, in order of the people, as far as that was compared.
    pub nearest: &'a [Nearest],
}

/// What is known of a visit so far.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// More frames are needed.
    Pending,
    /// The visit's one decision.
    Decided(Outcome),
}

/// The decision of a visit and what it rests on. Only [`decide`] makes one.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    admission: Option<Admission>,
    reason: Reason,
    cause: Cause,
    presentation: Presentation,
    quality: u8,
    best: Option<Candidate>,
    runner_up: Option<Candidate>,
    threshold: Threshold,
    frames_agreed: u8,
    subject: Subject,
    at_ms: u64,
}

impl Outcome {
    /// Admit or refuse, to be told and printed; it opens nothing.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match &self.admission {
            Some(admission) => Decision::Admit(admission.person),
            None => Decision::Refuse(self.reason),
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What lies behind the reason.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// With whom the visit's frames were compared.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// The most alike person of the deciding frame, or the claimed one.
    #[must_use]
    pub fn best(&self) -> Option<Candidate> {
        self.best
    }

    /// The most alike other person of the deciding frame.
    #[must_use]
    pub fn runner_up(&self) -> Option<Candidate> {
        self.runner_up
    }

    /// Quality of the deciding frame, percent.
    #[must_use]
    pub fn quality(&self) -> u8 {
        self.quality
    }

    /// Frames that accepted the person admitted, or the one that came nearest.
    #[must_use]
    pub fn frames_agreed(&self) -> u8 {
        self.frames_agreed
    }

    /// When the deciding frame was captured, monotonic milliseconds; the visit's begin if it had none.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// The log entry of this decision; the journal adds sequence, boot, times and contexts. That of a 1:1 visit names the
    /// claimed person whatever its frames say.
    #[must_use]
    pub fn entry(&self) -> LogEntry {
        let of = |candidate: Option<Candidate>| {
            candidate.map_or((PersonId::NOBODY, Score(0.0)), |it| (it.person, it.score))
        };
        let ((person, best_score), (runner_up, runner_up_score)) =
            (of(self.best), of(self.runner_up));
        let person = match self.subject {
            Subject::Person(claimed) => claimed,
            Subject::Everybody | Subject::Nobody => person,
        };
        LogEntry {
            reason: self.reason,
            cause: self.cause,
            presentation: self.presentation,
            quality: self.quality,
            person,
            runner_up,
            best_score,
            runner_up_score,
            threshold: self.threshold.0,
            ..LogEntry::of(EntryKind::Decision)
        }
    }

    /// The leave to open the door, if this is an admission; takes it out, so that one visit is one pulse.
    pub fn take_admission(&mut self) -> Option<Admission> {
        self.admission.take()
    }
}

/// Decides a visit, or says that more frames are needed. The file's header gives the order. `may_enter` says of the person whom
/// the face would admit whether the person may enter now, as [`crate::may_enter`] judges.
#[must_use]
pub fn decide(
    policy: &Policy,
    evidence: &Evidence,
    standing: &Standing<'_>,
    may_enter: impl FnOnce(PersonId) -> Result<(), Cause>,
) -> Verdict {
    let refuse = |reason, cause| refusal(policy, evidence, reason, cause);
    if let Some(part) = standing.fault {
        return refuse(Reason::Fault, part);
    }
    if let Err(why) = standing.armed {
        return refuse(Reason::NotArmed, why);
    }
    if policy.check().is_err() {
        return refuse(Reason::NotArmed, Cause::None);
    }
    match standing.lockout {
        Ok(()) => {}
        Err(LockedOut::Failures { .. }) => return refuse(Reason::LockedOut, Cause::None),
        Err(LockedOut::Spoofs) => return refuse(Reason::LockedOut, Cause::Spoofs),
    }
    if standing.people == 0 {
        return refuse(Reason::EmptyGallery, Cause::None);
    }
    match (evidence.subject(), standing.mode) {
        (Subject::Nobody, _) => return refuse(Reason::Unknown, Cause::UnknownCredential),
        (Subject::Everybody, mode) if !mode.identifies() => {
            return match evidence.is_closed() {
                true => refuse(Reason::Unknown, Cause::NoCredential),
                false => Verdict::Pending,
            };
        }
        // The mode was changed while the visit went on.
        (Subject::Person(_), mode) if !mode.verifies() => {
            return refuse(Reason::NotArmed, Cause::None);
        }
        _ => {}
    }
    if let Some(spoof) = evidence.spoof() {
        return decided(policy, evidence, Some(spoof), Reason::Spoof, Cause::None);
    }
    let leader = leader(policy, evidence);
    if let Some(leader) = leader
        && leader.rivals == 0
        && leader.frames >= policy.frames_needed
    {
        let same = || policy.alike_of(standing.nearest, leader.person) == Alike::SameFace;
        let (reason, cause) = match evidence.subject() {
            Subject::Everybody if same() => (Reason::Ambiguous, Cause::SameFace),
            _ => match may_enter(leader.person) {
                Ok(()) => (Reason::Matched, Cause::None),
                Err(cause) => (Reason::Schedule, cause),
            },
        };
        let mut outcome = outcome(policy, evidence, Some(leader.frame), reason, cause);
        outcome.frames_agreed = leader.frames;
        outcome.admission =
            (reason == Reason::Matched).then_some(Admission { person: leader.person });
        return Verdict::Decided(outcome);
    }
    if !evidence.is_closed() && evidence.compared() < u32::from(policy.frames_limit) {
        return Verdict::Pending;
    }
    at_the_end(policy, evidence, leader, standing.nearest)
}

/// The person whom most frames of the window accept.
#[derive(Clone, Copy)]
struct Leader<'a> {
    person: PersonId,
    frames: u8,
    /// Frames that accept somebody else.
    rivals: u8,
    /// The accepting frame of the highest score.
    frame: &'a Observation,
}

/// Whom a compared frame accepts: score at the threshold, margin over any other person, presentation as asked.
fn accepted(policy: &Policy, subject: Subject, frame: &Observation) -> Option<Candidate> {
    let best = reaches(policy, subject, frame)?;
    // Written so that a NaN anywhere fails the comparison; a runner-up who is the best again hides the real one.
    let clear = frame.runner_up.is_none_or(|other| {
        other.person != best.person && best.score.0 - other.score.0 >= policy.margin
    });
    (clear && policy.counts(frame.presentation)).then_some(best)
}

/// The best candidate of a frame if it is a person of whom the visit is, of good quality, at the threshold. Policy looks at the quality
/// again although the unit should not have compared a poor frame.
fn reaches(policy: &Policy, subject: Subject, frame: &Observation) -> Option<Candidate> {
    frame.best.filter(|best| {
        subject.may_be(best.person)
            && frame.quality >= policy.quality_min
            && best.score.0.is_finite()
            && policy.threshold.accepts(best.score)
    })
}

fn leader<'a>(policy: &Policy, evidence: &'a Evidence) -> Option<Leader<'a>> {
    let (window, subject) = (evidence.window(policy.frames_window), evidence.subject());
    let accepting =
        || window.iter().filter_map(|seen| accepted(policy, subject, seen).map(|who| (who, seen)));
    let mut leader: Option<Leader<'a>> = None;
    for (person, first) in accepting().map(|(who, frame)| (who.person, frame)) {
        // A frame of a 1:1 visit that is somebody else's says no as one of 1:N does that accepts another.
        let others = window.iter().filter(|frame| is_of_another(subject, frame)).count() as u8;
        let mut counted = Leader { person, frames: 0, rivals: others, frame: first };
        let mut top = f32::NEG_INFINITY;
        for (other, frame) in accepting() {
            if other.person != person {
                counted.rivals += 1;
                continue;
            }
            counted.frames += 1;
            if other.score.0 > top {
                top = other.score.0;
                counted.frame = frame;
            }
        }
        if leader.is_none_or(|leader| counted.frames > leader.frames) {
            leader = Some(counted);
        }
    }
    leader
}

fn at_the_end(
    policy: &Policy,
    evidence: &Evidence,
    leader: Option<Leader<'_>>,
    nearest: &[Nearest],
) -> Verdict {
    let (window, subject) = (evidence.window(policy.frames_window), evidence.subject());
    if let Some(frame) = window.iter().find(|frame| is_of_another(subject, frame)) {
        let cause = Cause::OtherThanClaimed;
        return decided(policy, evidence, Some(frame), Reason::Unknown, cause);
    }
    if let Some(leader) = leader {
        let (reason, cause) = match leader.rivals {
            0 => (Reason::TooFewFrames, Cause::None),
            _ => (Reason::Ambiguous, twins(policy, nearest, leader.frame)),
        };
        let mut outcome = outcome(policy, evidence, Some(leader.frame), reason, cause);
        outcome.frames_agreed = leader.frames;
        return Verdict::Decided(outcome);
    }
    let near = |frame: &&Observation| {
        reaches(policy, subject, frame).is_some() && policy.counts(frame.presentation)
    };
    if let Some(frame) = window.iter().find(near) {
        let cause = twins(policy, nearest, frame);
        return decided(policy, evidence, Some(frame), Reason::Ambiguous, cause);
    }
    let Some(compared) = evidence.best_compared() else {
        let cause = evidence.best_poor().map_or(Cause::NoFace, |poor| poor.cause);
        return decided(policy, evidence, evidence.best_poor(), Reason::Quality, cause);
    };
    // Somebody was accepted earlier in the visit than the window reaches, or only in frames that do not count.
    let reason = match reaches(policy, subject, compared) {
        Some(_) => Reason::TooFewFrames,
        None => Reason::Unknown,
    };
    decided(policy, evidence, Some(compared), reason, compared.cause)
}

/// What the two people of a frame are to each other by their own templates, if that is why it is ambiguous.
fn twins(policy: &Policy, nearest: &[Nearest], frame: &Observation) -> Cause {
    let both = frame.best.zip(frame.runner_up);
    match both.map(|(best, other)| policy.alike_both(nearest, best.person, other.person)) {
        Some(Alike::SameFace) => Cause::SameFace,
        Some(Alike::NearTwins) => Cause::NearTwins,
        Some(Alike::Apart) | None => Cause::None,
    }
}

/// True for a frame of a 1:1 visit that is more like somebody else who is enrolled than like the claimed person.
fn is_of_another(subject: Subject, frame: &Observation) -> bool {
    matches!(subject, Subject::Person(_))
        && frame.best.zip(frame.runner_up).is_some_and(|(best, other)| other.score.0 > best.score.0)
}

fn refusal(policy: &Policy, evidence: &Evidence, reason: Reason, cause: Cause) -> Verdict {
    let frame = evidence.best_compared().or(evidence.best_poor());
    decided(policy, evidence, frame, reason, cause)
}

fn decided(
    policy: &Policy,
    evidence: &Evidence,
    frame: Option<&Observation>,
    reason: Reason,
    cause: Cause,
) -> Verdict {
    Verdict::Decided(outcome(policy, evidence, frame, reason, cause))
}

fn outcome(
    policy: &Policy,
    evidence: &Evidence,
    frame: Option<&Observation>,
    reason: Reason,
    cause: Cause,
) -> Outcome {
    let subject = evidence.subject();
    Outcome {
        admission: None,
        reason,
        cause,
        presentation: frame.map_or(Presentation::NotAssessed, |frame| frame.presentation),
        quality: frame.map_or(0, |frame| frame.quality),
        // What a frame says of somebody whom the visit is not of stands in no entry as if it did.
        best: frame.and_then(|frame| frame.best).filter(|best| match subject {
            Subject::Everybody => true,
            subject => subject.may_be(best.person),
        }),
        runner_up: frame.and_then(|frame| frame.runner_up),
        threshold: policy.threshold,
        frames_agreed: 0,
        subject,
        at_ms: frame.map_or(evidence.begun_ms(), |frame| frame.at_ms),
    }
}

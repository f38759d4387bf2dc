//! Tests of the area `door`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

mod access;
mod acknowledged;
mod administration;
mod again;
mod attacks;
mod calibrate;
mod camera;
mod clock;
mod commissioned;
mod commits;
mod config;
mod controller;
mod ending;
mod enrolment;
mod enrolment_photos;
mod entry;
mod evidence;
mod faults;
mod faulty_line;
mod forecast;
mod gallery;
mod heat;
mod hostile;
mod kept;
mod keys;
mod line;
mod lockout;
mod long;
mod manager;
mod people;
mod plain_model;
mod policy;
mod prune;
mod recognise;
mod replay;
mod replug;
mod reserve;
mod rig;
mod rule;
mod score;
mod service;
mod settings;
mod signs;
mod staged;
mod update;
mod verify;
mod visits;

use threshold_policy::settings::PresentationRule;
use threshold_policy::{Candidate, Evidence, Observation, Outcome, Policy, Standing, Verdict};
use threshold_record::{Cause, Mode, PersonId, Presentation, Score, Threshold};

const ADA: PersonId = PersonId(1);
const GRACE: PersonId = PersonId(2);
const EMMY: PersonId = PersonId(3);

/// Threshold 0.5, margin 0.125 (both exact in binary), two of three frames.
fn settings() -> Policy {
    Policy {
        threshold: Threshold(Score(0.5)),
        margin: 0.125,
        frames_needed: 2,
        frames_window: 3,
        frames_limit: 10,
        quality_min: 40,
        presentation: PresentationRule::AcceptNotAssessed,
        attempts: 3,
        lockout_s: 60,
    }
}

/// An armed unit without a fault and with people.
const READY: Standing<'static> = Standing {
    armed: Ok(()),
    fault: None,
    lockout: Ok(()),
    people: 3,
    mode: Mode::Identify,
    nearest: &[],
};

/// Nothing limits when anybody may enter.
fn anybody(_: PersonId) -> Result<(), Cause> {
    Ok(())
}

/// A good frame with a best candidate and, if its score is a number, a runner-up.
fn seen(best: (PersonId, f32), runner_up: (PersonId, f32)) -> Observation {
    let candidate = |(person, score): (PersonId, f32)| Candidate { person, score: Score(score) };
    Observation {
        at_ms: 0,
        quality: 80,
        cause: Cause::None,
        presentation: Presentation::NotAssessed,
        best: Some(candidate(best)),
        runner_up: Some(candidate(runner_up)),
    }
}

/// A frame that accepts this person under [`settings`].
fn accepts(person: PersonId) -> Observation {
    let other = if person == EMMY { ADA } else { EMMY };
    seen((person, 0.75), (other, 0.25))
}

/// The evidence of frames at 100 ms, 200 ms and so on.
fn visit(frames: &[Observation]) -> Evidence {
    let mut evidence = Evidence::begin(50);
    for (i, frame) in (1..).zip(frames) {
        evidence.observe(Observation { at_ms: 100 * i, ..*frame });
    }
    evidence
}

fn closed(frames: &[Observation]) -> Evidence {
    let mut evidence = visit(frames);
    evidence.close();
    evidence
}

/// The outcome of a verdict that must be one.
fn outcome(verdict: Verdict) -> Outcome {
    let Verdict::Decided(outcome) = verdict else { panic!("not decided") };
    outcome
}

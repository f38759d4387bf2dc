//! `decide` against a plain model of its header, on random visits.
//!
//! The model keeps every frame of the visit in a list, counts by walking it, and shares no line with the policy. It is
//! slow and obvious; the two must give the same answer to every visit, after every frame.

use crate::{READY, anybody, settings};
use std::collections::BTreeMap;
use threshold_policy::settings::PresentationRule;
use threshold_policy::{
    Candidate, Evidence, LockedOut, Observation, Policy, Standing, Verdict, decide,
};
use threshold_record::{Cause, Decision, PersonId, Presentation, Reason, Score, Threshold};
use threshold_tests::lots::Lots;

/// Visits; each is decided after every one of its frames.
const VISITS: u32 = 40_000;

/// Frames that count: each later than the one before, none after the end.
fn counted(frames: &[Observation]) -> Vec<Observation> {
    let mut kept: Vec<Observation> = vec![];
    for frame in frames {
        if kept.last().is_none_or(|last| frame.at_ms > last.at_ms) {
            kept.push(*frame);
        }
    }
    kept
}

/// Whether a frame may count at all, and its best score reaches the threshold.
fn reaches(policy: &Policy, frame: &Observation) -> bool {
    let Some(best) = frame.best else { return false };
    let score = best.score.0;
    let finite = !score.is_nan() && !score.is_infinite();
    best.person != PersonId(0)
        && finite
        && score >= policy.threshold.0.0
        && frame.quality >= policy.quality_min
}

fn presented(policy: &Policy, frame: &Observation) -> bool {
    match policy.presentation {
        PresentationRule::RequireLive => frame.presentation == Presentation::Live,
        PresentationRule::AcceptNotAssessed => frame.presentation != Presentation::Spoof,
    }
}

/// The person that a frame accepts.
fn accepted(policy: &Policy, frame: &Observation) -> Option<PersonId> {
    let best = frame.best?;
    if !reaches(policy, frame) || !presented(policy, frame) {
        return None;
    }
    if let Some(other) = frame.runner_up {
        let lead = best.score.0 - other.score.0;
        let enough = lead >= policy.margin;
        if other.person == best.person || !enough {
            return None;
        }
    }
    Some(best.person)
}

/// What must come of a visit; `None` while more frames are needed.
fn model(
    policy: &Policy,
    frames: &[Observation],
    ended: bool,
    standing: &Standing<'_>,
) -> Option<Decision> {
    let refuse = |reason| Some(Decision::Refuse(reason));
    if standing.fault.is_some() {
        return refuse(Reason::Fault);
    }
    if standing.armed.is_err() {
        return refuse(Reason::NotArmed);
    }
    if standing.lockout.is_err() {
        return refuse(Reason::LockedOut);
    }
    if standing.people == 0 {
        return refuse(Reason::EmptyGallery);
    }
    let frames = counted(frames);
    if frames.iter().any(|frame| frame.presentation == Presentation::Spoof) {
        return refuse(Reason::Spoof);
    }
    let compared: Vec<&Observation> = frames.iter().filter(|frame| frame.best.is_some()).collect();
    let first = compared.len().saturating_sub(policy.frames_window.into());
    let mut votes: BTreeMap<PersonId, usize> = BTreeMap::new();
    for frame in &compared[first..] {
        if let Some(person) = accepted(policy, frame) {
            *votes.entry(person).or_default() += 1;
        }
    }
    if let [(&person, &count)] = votes.iter().collect::<Vec<_>>()[..]
        && count >= usize::from(policy.frames_needed)
    {
        return Some(Decision::Admit(person));
    }
    if !ended && compared.len() < usize::from(policy.frames_limit) {
        return None;
    }
    if votes.len() > 1 {
        return refuse(Reason::Ambiguous);
    }
    if votes.len() == 1 {
        return refuse(Reason::TooFewFrames);
    }
    if compared[first..].iter().any(|frame| reaches(policy, frame) && presented(policy, frame)) {
        return refuse(Reason::Ambiguous);
    }
    // Whether the highest score of the visit is one that was accepted earlier, or in a frame that does not count.
    let highest = compared.iter().filter(|frame| frame.best.is_some_and(|b| b.score.0.is_finite()));
    let score = |frame: &&&Observation| frame.best.map_or(f32::MIN, |best| best.score.0);
    let top = highest.clone().map(|frame| score(&frame)).fold(f32::NEG_INFINITY, f32::max);
    // Of equal ones the first.
    let top = highest.clone().find(|frame| score(frame) == top);
    match top {
        Some(frame) if reaches(policy, frame) => refuse(Reason::TooFewFrames),
        _ if compared.is_empty() => refuse(Reason::Quality),
        _ => refuse(Reason::Unknown),
    }
}

/// Scores on and beside every border, and some that are no numbers.
fn score(lots: &mut Lots, policy: &Policy) -> Score {
    let (threshold, margin) = (policy.threshold.0.0, policy.margin);
    Score(match lots.below(24) {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => threshold,
        4 => threshold.next_down(),
        5 => threshold + margin,
        6 => threshold - margin,
        7 => (threshold + margin).next_down(),
        8..16 => threshold + lots.unit() * 0.5,
        _ => lots.unit() * 2.0 - 1.0,
    })
}

fn candidate(lots: &mut Lots, policy: &Policy) -> Candidate {
    // Mostly one person, so that admissions happen; sometimes nobody.
    let person = PersonId(lots.one_of(&[1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 0]));
    Candidate { person, score: score(lots, policy) }
}

fn frame(lots: &mut Lots, policy: &Policy, at_ms: u64) -> Observation {
    let mut frame = match lots.below(8) {
        0 => Observation::no_face(at_ms),
        1 => Observation::poor(at_ms, lots.below(60) as u8, Cause::Blurred),
        _ => {
            let best = candidate(lots, policy);
            let runner_up = (lots.below(4) != 0).then(|| {
                let other = candidate(lots, policy);
                // Usually another person, and usually well behind.
                let score = if lots.below(3) == 0 { other.score } else { Score(-1.0) };
                let person = if lots.below(16) == 0 { best.person } else { PersonId(9) };
                Candidate { person, score }
            });
            let quality = lots.one_of(&[100, 80, 60, policy.quality_min, 39]);
            Observation { quality, best: Some(best), runner_up, ..Observation::no_face(at_ms) }
        }
    };
    frame.presentation = match lots.below(120) {
        0 => Presentation::Spoof,
        1..60 => Presentation::Live,
        _ => Presentation::NotAssessed,
    };
    frame
}

fn policy(lots: &mut Lots) -> Policy {
    let frames_window = 1 + lots.below(6) as u8;
    let frames_needed = 1 + lots.below(u64::from(frames_window)) as u8;
    let policy = Policy {
        threshold: Threshold(Score(lots.one_of(&[0.5, 0.25, -0.25, 0.9]))),
        margin: lots.one_of(&[0.0, 0.0625, 0.125, 1.0]),
        frames_needed,
        frames_window,
        frames_limit: u16::from(frames_needed) + lots.below(12) as u16,
        quality_min: lots.one_of(&[0, 40, 60]),
        presentation: lots.one_of(&[
            PresentationRule::AcceptNotAssessed,
            PresentationRule::AcceptNotAssessed,
            PresentationRule::RequireLive,
        ]),
        ..settings()
    };
    policy.check().unwrap();
    policy
}

fn standing(lots: &mut Lots) -> Standing<'static> {
    let mut standing = READY;
    match lots.below(40) {
        0 => standing.fault = Some(Cause::Camera),
        1 => standing.armed = Err(Cause::None),
        2 => standing.lockout = Err(LockedOut::Failures { remaining_ms: 1 }),
        4 => standing.lockout = Err(LockedOut::Spoofs),
        3 => standing.people = 0,
        _ => {}
    }
    standing
}

/// Covers 40,000 visits of up to 20 frames, decided after each: above 400,000 evidences. Settings, standings, scores on
/// every border, numbers that are none, repeated and late frames are drawn; what is drawn how often is checked at the
/// end, so that the test does not pass by seeing nothing but refusals.
#[test]
fn every_visit_ends_as_the_plain_model_says() {
    let mut lots = Lots(21);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut decided = 0;
    for visit in 0..VISITS {
        let (policy, standing) = (policy(&mut lots), standing(&mut lots));
        let mut evidence = Evidence::begin(0);
        let mut frames: Vec<Observation> = vec![];
        let mut now_ms = 0;
        let count = lots.below(20);
        for i in 0..=count {
            if i > 0 {
                now_ms += lots.below(4);
                let back = if lots.below(10) == 0 { lots.below(3) } else { 0 };
                let frame = frame(&mut lots, &policy, now_ms.saturating_sub(back));
                evidence.observe(frame);
                frames.push(frame);
            }
            let ended = i == count;
            if ended {
                evidence.close();
            }
            let expected = model(&policy, &frames, ended, &standing);
            let found = match decide(&policy, &evidence, &standing, anybody) {
                Verdict::Pending => None,
                Verdict::Decided(mut outcome) => {
                    let decision = outcome.decision();
                    let person = outcome.take_admission().map(|admission| admission.person());
                    match decision {
                        Decision::Admit(who) => assert_eq!(person, Some(who)),
                        Decision::Refuse(_) => assert_eq!(person, None),
                    }
                    assert_eq!(outcome.take_admission(), None);
                    Some(decision)
                }
            };
            assert_eq!(found, expected, "visit {visit}: {policy:?}\n{frames:#?}");
            decided += 1;
            let what = match found {
                None => "pending".to_owned(),
                Some(Decision::Admit(_)) => "admit".to_owned(),
                Some(Decision::Refuse(reason)) => reason.text().to_owned(),
            };
            *seen.entry(what).or_default() += 1;
        }
    }
    assert!(decided >= 400_000, "{decided}");
    let expected = [
        "pending",
        "admit",
        "fault",
        "not_armed",
        "locked_out",
        "empty_gallery",
        "spoof",
        "ambiguous",
        "too_few_frames",
        "unknown",
        "quality",
    ];
    for what in expected {
        let count = seen.get(what).copied().unwrap_or(0);
        assert!(count >= 500, "{what} was seen {count} times: {seen:?}");
    }
}

//! The evidence of a visit: which frames count, and that each counts once.

use crate::{ADA, EMMY, GRACE, READY, accepts, anybody, closed, outcome, seen, settings, visit};
use threshold_policy::{Evidence, Observation, Verdict, decide};
use threshold_record::{Cause, Presentation, Reason, Score};

fn at(at_ms: u64, frame: Observation) -> Observation {
    Observation { at_ms, ..frame }
}

/// Frames and compared frames taken in of frames at these times.
fn counted(begun_ms: u64, times: &[u64]) -> u32 {
    let mut evidence = Evidence::begin(begun_ms);
    times.iter().for_each(|&at_ms| evidence.observe(at(at_ms, accepts(ADA))));
    assert_eq!(evidence.frames(), evidence.compared());
    evidence.frames()
}

#[test]
fn a_frame_that_comes_twice_or_late_counts_once() {
    assert_eq!(counted(0, &[]), 0);
    assert_eq!(counted(0, &[10, 20, 30]), 3);
    assert_eq!(counted(0, &[10, 10, 10, 10]), 1);
    assert_eq!(counted(0, &[10, 20, 20, 10, 15, 20, 21]), 3);
    assert_eq!(counted(0, &[30, 20, 10]), 1);
    // The frame that the visit began with is the first one, whatever its time.
    assert_eq!(counted(50, &[50, 50, 51]), 2);
    assert_eq!(counted(50, &[40, 41]), 2);
    assert_eq!(counted(0, &[u64::MAX, u64::MAX, 0]), 1);
}

#[test]
fn one_picture_shown_again_and_again_admits_nobody() {
    let mut evidence = Evidence::begin(0);
    for _ in 0..1000 {
        evidence.observe(at(40, accepts(ADA)));
        evidence.observe(at(39, accepts(ADA)));
    }
    assert_eq!(decide(&settings(), &evidence, &READY, anybody), Verdict::Pending);
    evidence.close();
    assert_eq!(
        outcome(decide(&settings(), &evidence, &READY, anybody)).reason(),
        Reason::TooFewFrames
    );
}

#[test]
fn a_late_frame_that_was_a_spoof_is_dropped_like_any_other() {
    let mut evidence = Evidence::begin(0);
    evidence.observe(at(40, accepts(ADA)));
    evidence.observe(Observation { presentation: Presentation::Spoof, ..at(40, accepts(ADA)) });
    assert_eq!(evidence.frames(), 1);
    assert_eq!(decide(&settings(), &evidence, &READY, anybody), Verdict::Pending);
}

#[test]
fn a_closed_visit_takes_nothing_more() {
    let mut evidence = visit(&[accepts(ADA)]);
    assert!(!evidence.is_closed());
    evidence.close();
    assert!(evidence.is_closed());
    evidence.observe(at(10_000, accepts(ADA)));
    evidence.observe(at(10_001, accepts(ADA)));
    assert_eq!((evidence.frames(), evidence.compared()), (1, 1));
    assert_eq!(
        outcome(decide(&settings(), &evidence, &READY, anybody)).reason(),
        Reason::TooFewFrames
    );
    evidence.close();
    assert!(evidence.is_closed());
}

#[test]
fn frames_without_a_candidate_are_frames_and_not_compared() {
    let poor = Observation::poor(0, 30, Cause::Blurred);
    let evidence = visit(&[Observation::no_face(0), poor, accepts(ADA)]);
    assert_eq!((evidence.begun_ms(), evidence.frames(), evidence.compared()), (50, 3, 1));
}

#[test]
fn the_best_of_all_frames_is_remembered_past_the_window() {
    let best = Observation { quality: 66, ..seen((EMMY, 0.4375), (ADA, 0.0)) };
    let far = seen((GRACE, 0.25), (ADA, 0.125));
    let mut frames = vec![far; 40];
    frames[3] = best;
    let outcome = outcome(decide(&settings(), &closed(&frames), &READY, anybody));
    assert_eq!((outcome.reason(), outcome.at_ms(), outcome.quality()), (Reason::Unknown, 400, 66));
    assert_eq!(outcome.entry().person, EMMY);
}

#[test]
fn a_score_that_is_no_number_does_not_hide_the_best_frame() {
    let far = seen((GRACE, 0.25), (ADA, 0.125));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bad = seen((EMMY, bad), (ADA, 0.0));
        for frames in [[bad, far, bad], [far, bad, bad], [bad, bad, far]] {
            let entry = outcome(decide(&settings(), &closed(&frames), &READY, anybody)).entry();
            assert_eq!((entry.person, entry.best_score), (GRACE, Score(0.25)));
        }
        // Accepted before the window, and a frame without a number since: too few frames, not unknown.
        let no = seen((GRACE, 0.25), (ADA, 0.125));
        let frames = [bad, accepts(ADA), no, no, no];
        let reason = outcome(decide(&settings(), &closed(&frames), &READY, anybody)).reason();
        assert_eq!(reason, Reason::TooFewFrames);
    }
}

#[test]
fn a_visit_of_very_many_frames_stays_bounded_and_decided() {
    let mut evidence = Evidence::begin(0);
    for i in 1..100_000 {
        evidence.observe(at(i, seen((ADA, 0.25), (GRACE, 0.125))));
    }
    assert_eq!(evidence.compared(), 99_999);
    assert!(size_of::<Evidence>() < 2048);
    assert_eq!(outcome(decide(&settings(), &evidence, &READY, anybody)).reason(), Reason::Unknown);
}

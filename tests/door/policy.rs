//! `decide`, rule by rule in the order of its header: each reason, what goes before what, and what the outcome says.

use crate::{
    ADA, EMMY, GRACE, READY, accepts, anybody, closed, outcome, seen, settings as policy, visit,
};
use threshold_policy::settings::PresentationRule;
use threshold_policy::{
    Candidate, Evidence, LockedOut, Observation, Policy, Standing, Verdict, decide,
};
use threshold_record::{
    Cause, Decision, EntryKind, LogEntry, PersonId, Presentation, Reason, Score, Threshold,
};

fn refused(policy: &Policy, evidence: &Evidence, standing: &Standing<'_>) -> (Reason, Cause) {
    let mut outcome = outcome(decide(policy, evidence, standing, anybody));
    assert_eq!(outcome.decision(), Decision::Refuse(outcome.reason()));
    assert_eq!(outcome.take_admission(), None);
    (outcome.reason(), outcome.cause())
}

/// What becomes of a visit: an admission, a reason at its end, or nothing yet.
#[track_caller]
fn check(policy: &Policy, evidence: &Evidence, expected: Option<Decision>) {
    let found = match decide(policy, evidence, &READY, anybody) {
        Verdict::Pending => None,
        Verdict::Decided(outcome) => Some(outcome.decision()),
    };
    assert_eq!(found, expected);
}

const fn admit(person: PersonId) -> Option<Decision> {
    Some(Decision::Admit(person))
}

const fn refuse(reason: Reason) -> Option<Decision> {
    Some(Decision::Refuse(reason))
}

fn live(frame: Observation) -> Observation {
    Observation { presentation: Presentation::Live, ..frame }
}

fn spoof(frame: Observation) -> Observation {
    Observation { presentation: Presentation::Spoof, ..frame }
}

#[test]
fn the_first_rule_that_holds_decides() {
    // Every rule up to the spoof, in order; evidence that would admit stands behind all of them.
    let (failures, spoofs) = (LockedOut::Failures { remaining_ms: 1500 }, LockedOut::Spoofs);
    for broken in 0..1 << 6 {
        let holds = |rule: u32| broken >> rule & 1 == 1;
        let standing = Standing {
            fault: holds(0).then_some(Cause::Store),
            armed: if holds(1) { Err(Cause::TooManyRefusals) } else { Ok(()) },
            lockout: match holds(2) {
                true => Err(if holds(5) { spoofs } else { failures }),
                false => Ok(()),
            },
            people: if holds(3) { 0 } else { 3 },
            ..READY
        };
        let mut frames = [accepts(ADA), accepts(ADA), accepts(ADA)];
        if holds(4) {
            frames[0] = spoof(frames[0]);
        }
        let expected = [
            (Reason::Fault, Cause::Store),
            (Reason::NotArmed, Cause::TooManyRefusals),
            (Reason::LockedOut, if holds(5) { Cause::Spoofs } else { Cause::None }),
            (Reason::EmptyGallery, Cause::None),
            (Reason::Spoof, Cause::None),
        ];
        match (0..5).find(|&rule| holds(rule)) {
            Some(rule) => {
                let found = refused(&policy(), &visit(&frames), &standing);
                assert_eq!(found, expected[rule as usize], "rules {broken:05b}");
            }
            None => check(&policy(), &visit(&frames), admit(ADA)),
        }
    }
}

#[test]
fn a_fault_of_any_part_refuses_with_that_part() {
    for &part in Cause::ALL {
        let standing = Standing { fault: Some(part), ..READY };
        let evidence = visit(&[accepts(ADA), accepts(ADA)]);
        assert_eq!(refused(&policy(), &evidence, &standing), (Reason::Fault, part));
        // Before the first frame, too.
        assert_eq!(refused(&policy(), &visit(&[]), &standing), (Reason::Fault, part));
    }
}

#[test]
fn settings_that_do_not_check_admit_nobody() {
    let evidence = visit(&[accepts(ADA), accepts(ADA), accepts(ADA)]);
    let bad = [
        Policy { threshold: Threshold(Score(f32::NAN)), ..policy() },
        Policy { threshold: Threshold(Score(f32::NEG_INFINITY)), ..policy() },
        Policy { margin: -0.5, ..policy() },
        Policy { margin: f32::NAN, ..policy() },
        Policy { frames_needed: 0, ..policy() },
        Policy { frames_window: 17, ..policy() },
        Policy { frames_limit: 1, ..policy() },
        Policy { quality_min: 101, ..policy() },
        Policy { attempts: 0, ..policy() },
        Policy { lockout_s: 0, ..policy() },
    ];
    for policy in bad {
        assert_eq!(refused(&policy, &evidence, &READY), (Reason::NotArmed, Cause::None));
    }
}

#[test]
fn k_of_the_last_n_frames_admit() {
    let (yes, no) = (accepts(ADA), seen((ADA, 0.25), (GRACE, 0.125)));
    let poor = Observation::poor(0, 20, Cause::Blurred);
    let p = policy();
    check(&p, &visit(&[]), None);
    check(&p, &visit(&[yes]), None);
    check(&p, &visit(&[yes, yes]), admit(ADA));
    check(&p, &visit(&[yes, no, yes]), admit(ADA));
    // The first has left the window of three.
    check(&p, &visit(&[yes, no, no, yes]), None);
    check(&p, &visit(&[yes, no, no, yes, yes]), admit(ADA));
    // Frames that were not compared leave nothing in the window and push nothing out of it.
    check(&p, &visit(&[yes, poor, poor, poor, poor, yes]), admit(ADA));
    check(&p, &visit(&[poor; 9]), None);
    let three = Policy { frames_needed: 3, ..p };
    check(&three, &visit(&[yes, yes]), None);
    check(&three, &visit(&[yes, yes, yes]), admit(ADA));
    let one = Policy { frames_needed: 1, frames_window: 1, ..p };
    check(&one, &visit(&[yes]), admit(ADA));
    let most = Policy { frames_needed: 16, frames_window: 16, frames_limit: 16, ..p };
    check(&most, &visit(&[yes; 15]), None);
    check(&most, &visit(&[yes; 16]), admit(ADA));
}

#[test]
fn an_admission_waits_for_no_end_of_the_visit_and_survives_one() {
    let frames = [accepts(ADA), accepts(ADA)];
    check(&policy(), &visit(&frames), admit(ADA));
    check(&policy(), &closed(&frames), admit(ADA));
}

#[test]
fn a_rival_in_the_window_stops_an_admission() {
    let (ada, grace) = (accepts(ADA), accepts(GRACE));
    let no = seen((ADA, 0.25), (GRACE, 0.125));
    let p = policy();
    check(&p, &visit(&[ada, grace, ada]), None);
    check(&p, &closed(&[ada, grace, ada]), refuse(Reason::Ambiguous));
    check(&p, &closed(&[ada, grace]), refuse(Reason::Ambiguous));
    // Once the rival has left the window, the person enters.
    check(&p, &visit(&[grace, ada, ada]), None);
    check(&p, &visit(&[grace, ada, no, ada]), admit(ADA));
    check(&p, &visit(&[grace, ada, ada, ada]), admit(ADA));
    // Three people, each accepted once; nobody leads.
    check(&p, &closed(&[ada, grace, accepts(EMMY)]), refuse(Reason::Ambiguous));
    // A rival below the threshold or within the margin is none.
    let near = seen((GRACE, 0.625), (ADA, 0.5625));
    check(&p, &visit(&[ada, near, ada]), admit(ADA));
}

#[test]
fn a_score_at_the_threshold_is_accepted_and_one_just_below_is_not() {
    let at = |score: f32| [seen((ADA, score), (GRACE, 0.0)); 3];
    check(&policy(), &visit(&at(0.5)), admit(ADA));
    check(&policy(), &closed(&at(0.5_f32.next_down())), refuse(Reason::Unknown));
    check(&policy(), &visit(&at(1.0)), admit(ADA));
    // dlib's scores are not bounded by 1 on either side.
    check(&policy(), &visit(&at(1.25)), admit(ADA));
    check(&policy(), &closed(&at(-3.0)), refuse(Reason::Unknown));
}

#[test]
fn a_lead_of_exactly_the_margin_is_enough_and_any_less_is_ambiguous() {
    let lead = |runner_up: f32| [seen((ADA, 0.75), (GRACE, runner_up)); 3];
    check(&policy(), &visit(&lead(0.625)), admit(ADA));
    check(&policy(), &closed(&lead(0.625_f32.next_up())), refuse(Reason::Ambiguous));
    check(&policy(), &closed(&lead(0.75)), refuse(Reason::Ambiguous));
    // A "runner-up" above the best is no lead either.
    check(&policy(), &closed(&lead(0.875)), refuse(Reason::Ambiguous));
    // Without a margin a draw is a lead of 0.
    let none = Policy { margin: 0.0, ..policy() };
    check(&none, &visit(&lead(0.75)), admit(ADA));
    check(&none, &closed(&lead(0.75_f32.next_up())), refuse(Reason::Ambiguous));
    // A gallery of one person has no runner-up.
    let alone = Observation { runner_up: None, ..seen((ADA, 0.75), (GRACE, 0.0)) };
    check(&policy(), &visit(&[alone; 2]), admit(ADA));
}

#[test]
fn a_runner_up_who_is_the_best_again_hides_the_real_one_and_admits_nobody() {
    let twice = seen((ADA, 0.75), (ADA, 0.25));
    check(&policy(), &closed(&[twice; 3]), refuse(Reason::Ambiguous));
}

#[test]
fn a_score_that_is_no_number_admits_nobody() {
    for best in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let frame = seen((ADA, best), (GRACE, 0.0));
        check(&policy(), &closed(&[frame; 3]), refuse(Reason::Unknown));
        let alone = Observation { runner_up: None, ..frame };
        check(&policy(), &closed(&[alone; 3]), refuse(Reason::Unknown));
    }
    for runner_up in [f32::NAN, f32::INFINITY] {
        let frame = seen((ADA, 0.75), (GRACE, runner_up));
        check(&policy(), &closed(&[frame; 3]), refuse(Reason::Ambiguous));
    }
    // Infinitely unlike is unlike.
    let far = seen((ADA, 0.75), (GRACE, f32::NEG_INFINITY));
    check(&policy(), &visit(&[far; 2]), admit(ADA));
}

#[test]
fn nobody_is_never_admitted() {
    let nobody = seen((PersonId::NOBODY, 0.9), (GRACE, 0.1));
    check(&policy(), &closed(&[nobody; 3]), refuse(Reason::Unknown));
    check(&policy(), &visit(&[nobody, accepts(ADA), accepts(ADA)]), admit(ADA));
}

#[test]
fn a_frame_of_poor_quality_counts_for_nothing_although_it_was_compared() {
    let with = |quality: u8| Observation { quality, ..accepts(ADA) };
    check(&policy(), &visit(&[with(40), with(40)]), admit(ADA));
    check(&policy(), &closed(&[with(39), with(39), with(39)]), refuse(Reason::Unknown));
    check(&policy(), &visit(&[with(100), with(39)]), None);
    // As a rival it counts for nothing either.
    let rival = Observation { quality: 39, ..accepts(GRACE) };
    check(&policy(), &visit(&[with(80), rival, with(80)]), admit(ADA));
}

#[test]
fn only_live_frames_count_where_the_owner_asks_for_it() {
    let strict = Policy { presentation: PresentationRule::RequireLive, ..policy() };
    let (plain, alive) = (accepts(ADA), live(accepts(ADA)));
    check(&strict, &closed(&[plain; 3]), refuse(Reason::TooFewFrames));
    check(&strict, &visit(&[alive, plain]), None);
    check(&strict, &visit(&[alive, plain, alive]), admit(ADA));
    check(&policy(), &visit(&[alive, plain]), admit(ADA));
    // A rival in a frame that nobody judged live is none.
    check(&strict, &visit(&[alive, accepts(GRACE), alive]), admit(ADA));
    // Near, but not live: nothing that the administrator could mend about the people.
    let near = seen((ADA, 0.75), (GRACE, 0.7));
    check(&strict, &closed(&[near; 3]), refuse(Reason::TooFewFrames));
    check(&strict, &closed(&[live(near); 3]), refuse(Reason::Ambiguous));
}

#[test]
fn one_frame_judged_a_spoof_refuses_the_whole_visit() {
    let fake = spoof(accepts(ADA));
    let no_face = spoof(Observation::no_face(0));
    let [yes, live] = [accepts(ADA), live(accepts(ADA))];
    for rule in [PresentationRule::AcceptNotAssessed, PresentationRule::RequireLive] {
        let p = Policy { presentation: rule, ..policy() };
        check(&p, &visit(&[fake]), refuse(Reason::Spoof));
        check(&p, &visit(&[live, live, fake]), refuse(Reason::Spoof));
        // Long gone from the window, and never compared.
        check(&p, &visit(&[fake, live, live, live, live, live]), refuse(Reason::Spoof));
        check(&p, &visit(&[no_face, live, live]), refuse(Reason::Spoof));
        check(&p, &closed(&[yes, fake]), refuse(Reason::Spoof));
    }
    // The entry shows the frame that was judged, not a better one.
    let fake = Observation { quality: 55, ..spoof(seen((GRACE, 0.375), (ADA, 0.25))) };
    let entry = outcome(decide(&policy(), &visit(&[yes, fake, yes]), &READY, anybody)).entry();
    assert_eq!((entry.person, entry.quality), (GRACE, 55));
    assert_eq!(entry.presentation, Presentation::Spoof);
}

#[test]
fn a_visit_is_pending_until_its_limit_of_compared_frames() {
    let no = seen((ADA, 0.25), (GRACE, 0.125));
    let poor = Observation::poor(0, 20, Cause::TooDark);
    check(&policy(), &visit(&[no; 9]), None);
    check(&policy(), &visit(&[no; 10]), refuse(Reason::Unknown));
    // Frames that were not compared do not count towards it.
    check(&policy(), &visit(&[poor; 200]), None);
    let mixed: Vec<Observation> = [no, poor, poor].repeat(9);
    check(&policy(), &visit(&mixed), None);
    check(&policy(), &visit(&[&mixed[..], &[no]].concat()), refuse(Reason::Unknown));
    // The last frame allowed may still admit, and so may later ones, should the unit look on.
    let yes = accepts(ADA);
    let frames = [&[no; 8][..], &[yes, yes]].concat();
    check(&policy(), &visit(&frames), admit(ADA));
    // At the limit somebody was accepted once.
    let frames = [&[no; 9][..], &[yes]].concat();
    check(&policy(), &visit(&frames), refuse(Reason::TooFewFrames));
}

#[test]
fn the_end_of_a_visit_says_how_near_it_came() {
    let yes = accepts(ADA);
    let no = seen((ADA, 0.25), (GRACE, 0.125));
    let near = seen((ADA, 0.75), (GRACE, 0.7));
    let poor = Observation::poor(0, 20, Cause::TooDark);
    let p = policy();
    check(&p, &closed(&[yes]), refuse(Reason::TooFewFrames));
    check(&p, &closed(&[yes, no, no]), refuse(Reason::TooFewFrames));
    check(&p, &closed(&[near]), refuse(Reason::Ambiguous));
    check(&p, &closed(&[near, no]), refuse(Reason::Ambiguous));
    check(&p, &closed(&[no, no, poor]), refuse(Reason::Unknown));
    check(&p, &closed(&[poor]), refuse(Reason::Quality));
    check(&p, &closed(&[]), refuse(Reason::Quality));
    // Accepted once beats near once: that frame shows whom.
    check(&p, &closed(&[near, yes]), refuse(Reason::TooFewFrames));
    // Accepted, but longer ago than the window reaches.
    check(&p, &closed(&[yes, no, no, no]), refuse(Reason::TooFewFrames));
    check(&p, &closed(&[no, poor, poor]), refuse(Reason::Unknown));
}

#[test]
fn a_visit_without_a_compared_frame_names_the_cause_of_its_best_one() {
    let of = |frames: &[Observation]| refused(&policy(), &closed(frames), &READY);
    assert_eq!(of(&[]), (Reason::Quality, Cause::NoFace));
    assert_eq!(of(&[Observation::no_face(0); 3]), (Reason::Quality, Cause::NoFace));
    for &cause in Cause::ALL {
        let poor = Observation::poor(0, 25, cause);
        let worse = Observation::poor(0, 10, Cause::NoFace);
        assert_eq!(of(&[worse, poor, worse]), (Reason::Quality, cause));
    }
    // Of two equally good ones, the first.
    let frames =
        [Observation::poor(0, 25, Cause::TooFar), Observation::poor(0, 25, Cause::Blurred)];
    assert_eq!(of(&frames), (Reason::Quality, Cause::TooFar));
    // A compared frame says Unknown, however many poor ones stand beside it.
    let no = Observation { cause: Cause::TooDark, ..seen((ADA, 0.25), (GRACE, 0.125)) };
    assert_eq!(of(&[frames[0], no, frames[1]]), (Reason::Unknown, Cause::TooDark));
}

#[test]
fn an_outcome_gives_one_admission_and_then_none() {
    let mut outcome = outcome(decide(&policy(), &visit(&[accepts(ADA); 2]), &READY, anybody));
    assert_eq!(outcome.decision(), Decision::Admit(ADA));
    let admission = outcome.take_admission().unwrap();
    assert_eq!(admission.person(), ADA);
    assert_eq!(outcome.take_admission(), None);
    assert_eq!(outcome.take_admission(), None);
    // What was decided stays on record: the entry is the same before and after.
    assert_eq!(outcome.reason(), Reason::Matched);
    assert_eq!(outcome.entry().person, ADA);
}

#[test]
fn an_admission_tells_of_its_best_frame() {
    let frames = [
        Observation { quality: 60, ..seen((ADA, 0.625), (GRACE, 0.125)) },
        Observation { quality: 70, ..live(seen((ADA, 0.875), (EMMY, 0.25))) },
        Observation { quality: 90, ..seen((GRACE, 0.375), (ADA, 0.25)) },
    ];
    let strict = Policy { frames_window: 4, ..policy() };
    let outcome = outcome(decide(&strict, &visit(&frames), &READY, anybody));
    assert_eq!(outcome.frames_agreed(), 2);
    assert_eq!((outcome.at_ms(), outcome.quality()), (200, 70));
    assert_eq!(outcome.best(), Some(Candidate { person: ADA, score: Score(0.875) }));
    assert_eq!(outcome.runner_up(), Some(Candidate { person: EMMY, score: Score(0.25) }));
    let expected = LogEntry {
        reason: Reason::Matched,
        presentation: Presentation::Live,
        quality: 70,
        person: ADA,
        runner_up: EMMY,
        best_score: Score(0.875),
        runner_up_score: Score(0.25),
        threshold: Score(0.5),
        ..LogEntry::of(EntryKind::Decision)
    };
    assert_eq!(outcome.entry(), expected);
}

#[test]
fn a_refusal_tells_of_the_frame_that_it_rests_on() {
    let about = |frames: &[Observation], standing: &Standing<'_>| {
        let outcome = outcome(decide(&policy(), &closed(frames), standing, anybody));
        (outcome.entry().person, outcome.at_ms(), outcome.frames_agreed())
    };
    let far = seen((GRACE, 0.25), (ADA, 0.125));
    let nearer = seen((EMMY, 0.375), (ADA, 0.125));
    assert_eq!(about(&[far, nearer, far], &READY), (EMMY, 200, 0));
    assert_eq!(about(&[far, accepts(ADA), far], &READY), (ADA, 200, 1));
    let poor = Observation::poor(0, 25, Cause::TooDark);
    assert_eq!(about(&[Observation::no_face(0), poor], &READY), (PersonId::NOBODY, 200, 0));
    // Nothing seen: the visit's begin.
    assert_eq!(about(&[], &READY), (PersonId::NOBODY, 50, 0));
    let faulty = Standing { fault: Some(Cause::Engine), ..READY };
    assert_eq!(about(&[far, nearer], &faulty), (EMMY, 200, 0));
    // Two people accepted: the one with more frames, and how many those were.
    let frames = [accepts(GRACE), accepts(ADA), accepts(ADA)];
    assert_eq!(about(&frames, &READY), (ADA, 200, 2));
}

#[test]
fn a_lone_best_candidate_leaves_the_runner_up_nobody_in_the_entry() {
    let alone = Observation { runner_up: None, ..accepts(ADA) };
    let entry = outcome(decide(&policy(), &visit(&[alone; 2]), &READY, anybody)).entry();
    assert_eq!((entry.runner_up, entry.runner_up_score), (PersonId::NOBODY, Score(0.0)));
}

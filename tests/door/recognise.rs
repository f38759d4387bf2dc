//! An engine that recognises in one go: nothing is scored before its attempt is durable, every decision is the one that the steps
//! one by one lead to, and nobody who was removed is found by what the engine still holds.

use crate::rig::{Rig, Show};
use crate::verify::{of, two_enrolled};
use crate::{ADA, GRACE};
use std::sync::Arc;
use threshold_record::{Cause, Credential, EntryKind, LogEntry, Mode, Reason};
use threshold_wire::endpoints::RemovePerson;
use threshold_wire::message::PersonRemove;

/// How many frames were recognised in one go.
fn looks(rig: &Rig) -> usize {
    rig.one_go.lock().unwrap().looks
}

/// Failed attempts that the flash held at each embedding.
fn attempts(rig: &Rig) -> Vec<u8> {
    rig.told.lock().unwrap().attempts_at_embed.clone()
}

#[test]
fn the_frame_that_opens_an_attempt_goes_step_by_step_and_those_after_it_in_one_go() {
    let mut rig = two_enrolled(Mode::Identify).in_one_go();
    rig.show(&[Show::Nobody, Show::Arrival, Show::Nobody, Show::Dark]);
    assert_eq!((looks(&rig), attempts(&rig)), (0, vec![]), "no attempt, no score");
    rig.show(&[Show::Face(1)]);
    assert_eq!((looks(&rig), attempts(&rig)), (0, vec![1]), "durable before the first score");
    rig.show(&[Show::Dark, Show::Nobody, Show::Face(1), Show::Face(1)]);
    assert_eq!((looks(&rig), rig.pulses()), (4, 1));
    // The frame without a face has no probe.
    assert_eq!(attempts(&rig), [1; 4]);
    // Whoever was decided about is looked for, not compared.
    rig.show(&[Show::Face(1), Show::Face(1), Show::Departure]);
    assert_eq!((looks(&rig), attempts(&rig).len()), (4, 4));
    assert!(rig.told.lock().unwrap().not_durable.is_empty());
}

#[test]
fn what_will_be_refused_anyway_is_not_scored_in_one_go_either() {
    let mut rig = two_enrolled(Mode::Identify).in_one_go();
    // A part that fails in the middle of a visit.
    rig.show(&[Show::Arrival, Show::Face(9), Show::Face(9)]);
    assert_eq!(looks(&rig), 1);
    rig.shared.lock().fail(Cause::Lock, "it is jammed");
    rig.show(&[Show::Face(9), Show::Face(9), Show::Departure]);
    assert_eq!((looks(&rig), attempts(&rig).len()), (1, 2));
    rig.shared.lock().mend(Cause::Lock);
    // Strangers until the unit is locked out.
    while rig.decisions().last().map(|entry| entry.reason) != Some(Reason::LockedOut) {
        rig.visit(Show::Face(9), 4);
    }
    let before = (looks(&rig), attempts(&rig).len());
    rig.visit(Show::Face(1), 6);
    assert_eq!((looks(&rig), attempts(&rig).len(), rig.pulses()), (before.0, before.1, 0));
}

/// Everything in the log but the times that a frame took.
fn told(rig: &Rig) -> Vec<LogEntry> {
    let without = |entry: LogEntry| LogEntry { detect_dms: 0, embed_dms: 0, ..entry };
    rig.log().into_iter().map(without).collect()
}

#[test]
fn every_decision_is_the_one_that_the_steps_one_by_one_lead_to() {
    type Visit = (Option<Credential>, &'static [Show]);
    let visits: [Visit; 14] = [
        (None, &[Show::Face(1); 5]),
        (None, &[Show::Face(2); 2]),
        (None, &[Show::Face(9); 5]),
        (None, &[Show::Between(1, 2); 5]),
        (None, &[Show::Nobody; 3]),
        (None, &[Show::Dark; 5]),
        (None, &[Show::Face(1), Show::Dark, Show::Face(1), Show::Dark]),
        (None, &[Show::Face(1), Show::Face(1), Show::Beside(2), Show::Beside(2), Show::Beside(2)]),
        (None, &[Show::Face(9), Show::Nobody, Show::Face(1), Show::Face(1), Show::Face(1)]),
        (Some(of(ADA)), &[Show::Face(1); 4]),
        (Some(of(ADA)), &[Show::Face(2); 4]),
        (Some(of(GRACE)), &[Show::Face(9); 4]),
        (None, &[Show::Face(9); 5]),
        (None, &[Show::Face(1); 5]),
    ];
    let run = |mut rig: Rig| {
        for (credential, shows) in visits {
            rig.show(&[Show::Arrival]);
            credential.into_iter().for_each(|credential| rig.give(credential));
            rig.show(shows);
            rig.show(&[Show::Departure]);
            // Longer than any rest, and than a lock-out.
            rig.clock.advance(if shows == [Show::Face(9); 5] { 5_000 } else { 1_000_000 });
        }
        (told(&rig), rig.pulses(), attempts(&rig).len(), looks(&rig))
    };
    let (steps, pulses, embedded, none) = run(two_enrolled(Mode::Both));
    let (at_once, pulses_at_once, embedded_at_once, looks) =
        run(two_enrolled(Mode::Both).in_one_go());
    assert_eq!(at_once, steps);
    assert_eq!((pulses_at_once, none), (pulses, 0));
    assert!(pulses >= 4 && looks > 10, "{pulses} pulses, {looks} looks");
    // What the dark hides is scored in one go, and counts no more for it.
    assert!(embedded_at_once > embedded);
    let reasons: Vec<_> = steps
        .iter()
        .filter(|entry| entry.kind == EntryKind::Decision)
        .map(|entry| entry.reason)
        .collect();
    for reason in [Reason::Matched, Reason::Unknown, Reason::Ambiguous, Reason::Quality] {
        assert!(reasons.contains(&reason), "{reason:?} of {reasons:?}");
    }
}

#[test]
fn a_claim_is_compared_step_by_step_with_whom_it_names() {
    let mut rig = two_enrolled(Mode::Both).in_one_go();
    for (claimed, face, opens) in [(ADA, 1, true), (GRACE, 1, false), (GRACE, 2, true)] {
        let before = rig.pulses();
        rig.give(of(claimed));
        rig.show(&[Show::Face(face); 4]);
        assert_eq!(rig.pulses() - before, usize::from(opens), "{claimed:?} {face}");
        rig.show(&[Show::Nobody; 200]);
    }
    assert_eq!(looks(&rig), 0);
}

#[test]
fn the_engine_holds_the_gallery_as_it_is_before_it_looks_again() {
    // As long as an idle unit goes without a look.
    const IDLE: [Show; 14] = [Show::Nobody; 14];
    let mut rig = Rig::new().in_one_go();
    let held = |rig: &Rig| {
        let one_go = rig.one_go.lock().unwrap();
        let held = one_go.held.as_ref().unwrap();
        (0..held.len()).map(|i| held.owner(i).0.0).collect::<Vec<_>>()
    };
    rig.show(&IDLE);
    assert!(held(&rig).is_empty());
    rig.enrol("Ada", 1);
    rig.enrol("Grace", 2);
    rig.show(&IDLE);
    assert_eq!(held(&rig), [1, 2]);
    let brought = rig.one_go.lock().unwrap().brought;
    rig.visit(Show::Face(2), 5);
    rig.show(&IDLE);
    assert_eq!(rig.one_go.lock().unwrap().brought, brought, "nothing changed");
    rig.call::<RemovePerson>(&PersonRemove { person: ADA }).unwrap();
    rig.show(&IDLE);
    assert_eq!(held(&rig), [2]);
    // A gallery that may not be searched is none.
    rig.shared.lock().wipe().unwrap();
    rig.show(&IDLE);
    assert!(rig.one_go.lock().unwrap().held.is_none());
}

#[test]
fn whoever_is_removed_during_a_visit_is_let_in_by_no_frame_of_it() {
    let mut rig = two_enrolled(Mode::Identify).in_one_go();
    rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1)]);
    assert_eq!((looks(&rig), rig.pulses()), (1, 0));
    rig.call::<RemovePerson>(&PersonRemove { person: ADA }).unwrap();
    rig.show(&[Show::Face(1); 6]);
    rig.show(&[Show::Departure]);
    // What her first frames told stands in the entry, and counts nothing.
    assert_eq!((rig.decisions()[0].reason, rig.pulses()), (Reason::TooFewFrames, 0));
    assert_eq!(looks(&rig), 7);
}

#[test]
fn whoever_is_removed_while_the_deciding_frame_is_compared_is_not_let_in_by_it() {
    let mut rig = two_enrolled(Mode::Identify).in_one_go();
    rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1)]);
    let shared = rig.shared.clone();
    rig.one_go.lock().unwrap().meanwhile = Some(Box::new(move || {
        let mut state = shared.lock();
        state.journal_mut().unwrap().store_mut().remove_person(ADA).unwrap();
        state.gallery_changed();
    }));
    rig.show(&[Show::Face(1)]);
    assert!(rig.one_go.lock().unwrap().meanwhile.is_none(), "it was compared at once");
    assert_eq!(rig.pulses(), 0);
    rig.show(&[Show::Face(1); 6]);
    rig.show(&[Show::Departure]);
    assert_eq!((rig.decisions()[0].reason, rig.pulses()), (Reason::TooFewFrames, 0));
    assert_eq!(looks(&rig), 8);
}

#[test]
fn an_engine_that_fails_in_one_go_is_replaced_and_its_spare_is_brought_the_gallery() {
    let mut rig = two_enrolled(Mode::Identify).in_one_go().backed(900, true);
    let first = Arc::clone(&rig.one_go);
    rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1), Show::EmbedFails]);
    rig.show(&[Show::Face(1), Show::Face(1), Show::Face(1), Show::Departure]);
    let entry = *rig.decisions().last().unwrap();
    assert_eq!((entry.reason, entry.cause), (Reason::Fault, Cause::Engine));
    let looked = first.lock().unwrap().looks;
    rig.visit(Show::Face(1), 5);
    assert_eq!((rig.pulses(), first.lock().unwrap().looks), (1, looked));
    assert!(rig.log().iter().any(|entry| entry.kind == EntryKind::FellBack));
}

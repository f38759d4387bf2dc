//! Visits: when one begins and ends, what it becomes, and that it is one decision, one entry and at most one pulse.

use crate::rig::{MAKING, Rig, Show, TICK_MS};
use std::sync::atomic::Ordering;
use threshold_record::{Cause, EntryKind, PersonId, Presentation, Reason};
use threshold_store::Object;
use threshold_wire::endpoints::{GetStats, RemovePerson};
use threshold_wire::message::{Nothing, PersonRemove};

/// Somebody who stays in view is asked again so long after a decision.
const REST_MS: u64 = 3_000;

/// Ada is number 1 and enrolled, Grace is number 2 and enrolled.
fn two_enrolled() -> Rig {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.enrol("Grace", 2);
    rig
}

#[test]
fn each_visit_becomes_its_decision() {
    for (show, frames, reason, cause, person) in [
        (Show::Face(1), 5, Reason::Matched, Cause::None, 1),
        (Show::Face(2), 3, Reason::Matched, Cause::None, 2),
        (Show::Face(2), 2, Reason::TooFewFrames, Cause::None, 2),
        (Show::Face(9), 5, Reason::Unknown, Cause::None, 1),
        (Show::Between(1, 2), 5, Reason::Ambiguous, Cause::None, 1),
        (Show::Nobody, 5, Reason::Quality, Cause::NoFace, 0),
        (Show::Dark, 5, Reason::Quality, Cause::TooDark, 0),
    ] {
        let mut rig = two_enrolled();
        rig.visit(show, frames);
        let decisions = rig.decisions();
        assert_eq!(decisions.len(), 1, "{show:?}");
        let entry = decisions[0];
        assert_eq!((entry.reason, entry.cause), (reason, cause), "{show:?}");
        assert_eq!(entry.person.0, person, "{show:?}");
        assert_eq!(entry.presentation, Presentation::NotAssessed);
        assert_eq!(rig.pulses(), usize::from(reason == Reason::Matched), "{show:?}");
    }
}

#[test]
fn an_admission_says_who_by_how_much_and_when() {
    let mut rig = two_enrolled();
    rig.visit(Show::Face(1), 8);
    let entry = rig.decisions()[0];
    assert_eq!((entry.person.0, entry.runner_up.0), (1, 2));
    assert!((entry.best_score.0 - 1.0).abs() < 1e-3 && entry.runner_up_score.0.abs() < 1e-3);
    assert!(entry.threshold.0 > 0.5 && entry.quality >= 50);
    // Decided with the third frame: two intervals after the first.
    assert_eq!(entry.total_dms as u64, 2 * TICK_MS * 10);
    assert_eq!((entry.context_model, entry.context_policy, entry.context_config), (1, 5, 3));
    assert_eq!(entry.boot, 1);
    assert_eq!(rig.told.lock().unwrap().pulses, [entry.sequence]);
}

#[test]
fn a_refusal_that_needs_no_probe_scores_none() {
    let mut rig = two_enrolled();
    rig.visit(Show::Dark, 5);
    rig.visit(Show::Nobody, 5);
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty());
    assert_eq!(rig.decisions().len(), 2);
}

#[test]
fn an_empty_gallery_refuses_everybody() {
    let mut rig = Rig::new();
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.decisions()[0].reason, Reason::EmptyGallery);
    assert_eq!(rig.pulses(), 0);
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty());
}

#[test]
fn a_person_who_was_removed_stays_out_from_the_next_visit_on() {
    let mut rig = two_enrolled();
    rig.visit(Show::Face(1), 5);
    let person = rig.decisions()[0].person;
    rig.call::<RemovePerson>(&PersonRemove { person }).unwrap();
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.decisions()[1].reason, Reason::Unknown);
    // After a restart too.
    let mut again = Rig::on(&rig.flash);
    again.visit(Show::Face(1), 5);
    assert_eq!(again.decisions()[2].reason, Reason::Unknown);
    assert_eq!((rig.pulses(), again.pulses()), (1, 0));
}

#[test]
fn a_face_that_nobody_announced_begins_a_visit_and_its_absence_ends_it() {
    let mut rig = two_enrolled();
    rig.show(&[Show::Nobody; 20]);
    assert!(rig.decisions().is_empty(), "an empty corridor is no visit");
    rig.show(&[Show::Face(9); 4]);
    assert!(rig.decisions().is_empty(), "a stranger is looked at again while in view");
    rig.show(&[Show::Nobody; 10]);
    assert!(rig.decisions().is_empty(), "a turned head is no departure");
    rig.show(&[Show::Face(9); 4]);
    rig.show(&[Show::Nobody; 30]);
    assert_eq!(rig.decisions().len(), 1);
    assert_eq!(rig.decisions()[0].reason, Reason::Unknown);
}

#[test]
fn somebody_who_stays_is_admitted_once_and_asked_again_after_a_rest() {
    let mut rig = two_enrolled();
    rig.show(&[Show::Face(1); 10]);
    assert_eq!(rig.pulses(), 1);
    rig.show(&vec![Show::Face(1); (2_500 / TICK_MS) as usize]);
    assert_eq!(rig.pulses(), 1, "the rest is not over");
    rig.show(&vec![Show::Face(1); (1_000 / TICK_MS) as usize]);
    assert_eq!(rig.pulses(), 2);
    assert_eq!(rig.decisions().len(), 2);
}

#[test]
fn the_next_person_need_not_wait_for_the_rest() {
    let mut rig = two_enrolled();
    rig.show(&[Show::Face(1); 5]);
    rig.show(&vec![Show::Nobody; (1_100 / TICK_MS) as usize]);
    rig.show(&[Show::Face(2); 5]);
    let people: Vec<u32> = rig.decisions().iter().map(|entry| entry.person.0).collect();
    assert_eq!(people, [1, 2]);
}

#[test]
fn somebody_who_cannot_be_compared_gets_an_answer_in_time() {
    let mut rig = two_enrolled();
    rig.show(&vec![Show::Dark; (9_000 / TICK_MS) as usize]);
    assert!(rig.decisions().is_empty());
    rig.show(&vec![Show::Dark; (1_100 / TICK_MS) as usize]);
    assert_eq!(rig.decisions().len(), 1);
    assert_eq!(rig.decisions()[0].cause, Cause::TooDark);
    // The field saturates at 6.5 s.
    assert_eq!(rig.decisions()[0].total_dms, u16::MAX);
}

#[test]
fn a_processor_that_compares_for_seconds_takes_no_evidence_from_a_visit() {
    let mut rig = two_enrolled();
    rig.embed_ms.store(7_000, Ordering::SeqCst);
    rig.show(&[Show::Face(1); 3]);
    assert_eq!(rig.pulses(), 1, "three frames agree, after 21 s");
    rig.show(&[Show::Nobody; 30]);
    rig.show(&[Show::Face(9); 4]);
    assert_eq!(rig.decisions().len(), 1, "a stranger is compared as often as elsewhere");
    rig.show(&[Show::Face(9)]);
    assert_eq!(rig.decisions().len(), 2, "and no more: the window of five is full");
    assert_eq!(rig.decisions()[1].reason, Reason::Unknown);
}

#[test]
fn a_slow_comparison_is_no_departure() {
    let mut rig = two_enrolled();
    rig.embed_ms.store(7_000, Ordering::SeqCst);
    rig.show(&[Show::Face(1), Show::Nothing, Show::Face(1), Show::Nothing, Show::Face(1)]);
    assert_eq!(rig.pulses(), 1);
    rig.embed_ms.store(0, Ordering::SeqCst);
    rig.show(&[Show::Nobody; 30]);
    rig.embed_ms.store(7_000, Ordering::SeqCst);
    rig.show(&[Show::Face(9)]);
    rig.show(&vec![Show::Nobody; (900 / TICK_MS) as usize]);
    assert_eq!(rig.decisions().len(), 1);
    rig.show(&vec![Show::Nobody; (200 / TICK_MS) as usize]);
    assert_eq!(rig.decisions().len(), 2, "an absence counts from the end of the comparison");
}

#[test]
fn a_slow_search_for_faces_is_no_departure_and_no_fresh_attempt() {
    let mut rig = two_enrolled();
    rig.detect_ms.store(1_500, Ordering::SeqCst);
    // A frame that is too dark to compare does not end the visit of whoever is in it.
    rig.show(&[Show::Face(1), Show::Dark, Show::Face(1), Show::Face(1)]);
    assert_eq!((rig.decisions().len(), rig.pulses()), (1, 1));
    // Whoever stays is still there, and rests before being asked again.
    rig.show(&[Show::Face(1)]);
    assert_eq!(rig.decisions().len(), 1);
}

#[test]
fn a_visit_ends_although_the_camera_stalls() {
    let mut rig = two_enrolled();
    rig.show(&[Show::Face(9); 3]);
    rig.show(&[Show::Nothing; 30]);
    assert_eq!(rig.decisions().len(), 1);
}

#[test]
fn an_arrival_during_a_visit_ends_that_visit_first() {
    let mut rig = two_enrolled();
    rig.show(&[Show::Arrival, Show::Face(9), Show::Face(9), Show::Arrival]);
    rig.show(&[Show::Face(1), Show::Face(1), Show::Face(1), Show::Departure]);
    let reasons: Vec<Reason> = rig.decisions().iter().map(|entry| entry.reason).collect();
    assert_eq!(reasons, [Reason::Unknown, Reason::Matched]);
}

#[test]
fn a_start_is_written_down_and_recognition_changes_no_gallery() {
    let mut rig = two_enrolled();
    let kinds: Vec<EntryKind> = rig.log().iter().map(|entry| entry.kind).collect();
    let enrolled = EntryKind::Enrolled;
    let owners = [EntryKind::RecoveryKeySet, EntryKind::Commissioned, EntryKind::PhotoAcknowledged];
    assert_eq!(
        (kinds[0], &kinds[1..4], kinds[4]),
        (EntryKind::Boot, &owners[..], EntryKind::Armed)
    );
    assert_eq!(kinds[5..], [enrolled; 4], "two people, a template each");
    let gallery = |rig: &Rig| rig.flash.bytes(threshold_store::Object::GallerySegment(1));
    let before = gallery(&rig);
    for show in [Show::Face(1), Show::Face(9), Show::Between(1, 2), Show::Dark] {
        rig.visit(show, 5);
    }
    assert_eq!(gallery(&rig), before);
}

#[test]
fn the_store_is_tidied_while_a_camera_that_never_rests_shows_nobody() {
    let mut rig = two_enrolled();
    let enrolled = rig.flash.writes();
    rig.show(&[Show::Nobody]);
    assert!(rig.flash.writes() > enrolled, "what the enrolments left is bound");
    rig.show(&[Show::Nobody; 20]);
    let tidy = rig.flash.writes();
    rig.show(&[Show::Nobody; 20]);
    assert_eq!(rig.flash.writes(), tidy, "and once there is nothing more, nothing is written");
    assert_eq!(rig.decisions(), [], "an empty room is no visit");
}

#[test]
fn the_frames_of_two_people_are_never_evidence_for_one() {
    for (one, other) in [
        // A stranger beside somebody enrolled, and two whom one person's template resembles.
        (Show::Face(1), Show::Beside(9)),
        (Show::Beside(1), Show::Face(9)),
        (Show::Face(1), Show::Beside(1)),
    ] {
        let mut rig = two_enrolled();
        rig.show(&[Show::Arrival]);
        for _ in 0..10 {
            rig.show(&[one, other, one, one, other]);
        }
        rig.show(&[Show::Departure]);
        assert_eq!(rig.pulses(), 0, "{one:?} {other:?}");
        assert_eq!(rig.decisions().len(), 1);
        // Whoever stays is admitted.
        rig.show(&[Show::Arrival, other, Show::Face(1), Show::Face(1), Show::Face(1)]);
        assert_eq!(rig.pulses(), 1, "{one:?} {other:?}");
    }
}

#[test]
fn one_attempt_is_of_three_faces_at_most() {
    let mut rig = two_enrolled();
    // Strangers' photos one after another, each for the frames that an admission takes.
    let photos: Vec<Show> =
        (0..3).flat_map(|_| [[Show::Face(9); 3], [Show::Beside(8); 3]]).flatten().collect();
    let embeds = |rig: &Rig| rig.told.lock().unwrap().attempts_at_embed.len();
    rig.show(&photos[..9]);
    assert_eq!((rig.decisions().len(), embeds(&rig)), (0, 9), "somebody may step in front");
    rig.show(&photos[9..]);
    let decided = rig.decisions();
    assert_eq!((decided.len(), embeds(&rig)), (1, 9), "the fourth is not compared");
    assert_eq!(decided[0].reason, Reason::Unknown);
    // Whoever stays has the next attempt after the rest, and is let in as ever.
    rig.show(&vec![Show::Face(1); (REST_MS / TICK_MS) as usize + 3]);
    assert_eq!(rig.pulses(), 1);
    assert_eq!(rig.told.lock().unwrap().attempts_at_embed[9..], [2; 3]);
    // A face that is too dark to compare uses none up.
    let mut rig = two_enrolled();
    rig.show(&[Show::Face(9), Show::Dark, Show::Beside(9), Show::Dark, Show::Face(1)]);
    rig.show(&[Show::Face(1); 2]);
    assert_eq!(rig.pulses(), 1);
}

#[test]
fn the_time_of_a_frame_begins_with_what_the_camera_made_of_it() {
    let mut rig = two_enrolled();
    rig.show(&[Show::Nobody; 3]);
    let stats = rig.call::<GetStats>(&Nothing {}).unwrap();
    assert_eq!(stats.frame.calls, 3);
    assert!(u128::from(stats.frame.p50_us) >= MAKING.as_micros(), "{:?}", stats.frame);
}

#[test]
fn nobody_is_missed_although_an_idle_unit_looks_at_few_frames() {
    let mut rig = two_enrolled();
    let stats = |rig: &mut Rig| rig.call::<GetStats>(&Nothing {}).unwrap();
    rig.show(&[Show::Nobody; 100]);
    let idle = stats(&mut rig);
    assert_eq!((idle.frames, idle.visits), (100, 0));
    assert!((8..=9).contains(&idle.searched), "{idle:?}");
    // Whoever stirs anything is seen with the first frame: three frames are an admission.
    rig.show(&[Show::Face(1); 3]);
    assert_eq!(rig.pulses(), 1);
    // Whoever stirs nothing is seen within half a second.
    rig.show(&vec![Show::Nobody; (2_000 / TICK_MS) as usize]);
    let visits = stats(&mut rig).visits;
    rig.show(&vec![Show::Unseen; (500 / TICK_MS) as usize + 1]);
    assert_eq!(stats(&mut rig).visits, visits + 1);
    // During a visit every frame is looked at.
    let searched = stats(&mut rig).searched;
    rig.show(&[Show::Unseen; 10]);
    assert_eq!(stats(&mut rig).searched, searched + 10);
    let decisions = stats(&mut rig).decisions;
    assert_eq!(decisions.first().map(|it| (it.reason, it.count)), Some((0, 1)));
}

#[test]
fn no_visit_changes_the_gallery_whatever_becomes_of_it() {
    let mut rig = two_enrolled();
    let kept = |rig: &Rig| {
        let numbers = 0..64;
        let segments = numbers.map(|number| rig.flash.bytes(Object::GallerySegment(number)));
        let mut all: Vec<_> = segments.collect();
        all.extend([Object::Gallery, Object::Tombstones].map(|object| rig.flash.bytes(object)));
        all
    };
    let state = |rig: &Rig| {
        let state = rig.shared.lock();
        let gallery = state.journal().unwrap().store().gallery().unwrap();
        let of = |id| gallery.member(PersonId(id)).map(|member| member.templates.clone());
        (gallery.generation(), of(1), of(2))
    };
    let before = (kept(&rig), state(&rig));
    assert!(before.0.iter().flatten().any(|bytes| !bytes.is_empty()));
    assert!(before.1.1.as_ref().is_some_and(|templates| !templates.is_empty()));
    // One who is admitted over and over, one who is nearly somebody, a stranger, nobody, and no light.
    for _ in 0..3 {
        for show in [Show::Face(1), Show::Between(1, 2), Show::Face(9), Show::Nobody, Show::Dark] {
            rig.visit(show, 5);
        }
    }
    assert_eq!(rig.decisions().len(), 15);
    assert!(rig.pulses() >= 3);
    assert_eq!((kept(&rig), state(&rig)), before);
}

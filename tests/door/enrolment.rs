//! Enrolment at the door: what is taken, what ends it, that no two people are mixed, and that the door decides nobody meanwhile.

use crate::keys::{Bench, administrator, refused};
use crate::rig::{LEN, MODEL, Rig, Show, TICK_MS, axis, template};
use threshold_edge::service::Desk;
use threshold_edge::unit::Sign;
use threshold_models::search::quantise;
use threshold_record::{
    Access, Cause, Credential, EnrolmentEnd, EntryKind, HeadPose, LogEntry, Mode, Name, PersonId,
    Reason, Role, Template,
};
use threshold_store::{FlashFault, MockFlash};
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::access::AccessSet;
use threshold_wire::endpoints::{
    BeginEnrolment, CancelEnrolment, FindRedundant, GetEnrolment, KeepEnrolment, PutTemplate,
    RemovePerson, SetAccess, SetMode,
};
use threshold_wire::enrolment::{
    EnrolmentBegin, EnrolmentBegun, EnrolmentNumber, EnrolmentRefused, EnrolmentStage,
    EnrolmentStatus,
};
use threshold_wire::message::{PersonRemove, TemplatePut, TemplateRedundant};
use threshold_wire::policy::ModeSet;

/// Frames in which three shots of a pose are taken, one every 200 ms.
const FRAMES: usize = 16;

/// An enrolment that nobody asks for ends after so long, and any after this.
const SILENCE_MS: u64 = 5_000;
const LONGEST_MS: u64 = 90_000;

fn request(name: &str) -> EnrolmentBegin {
    EnrolmentBegin { name: Name::new(name).unwrap(), templates: 3, force: false }
}

fn begin(rig: &mut Rig, name: &str) -> EnrolmentNumber {
    of(rig.call::<BeginEnrolment>(&request(name)).unwrap())
}

fn of(begun: EnrolmentBegun) -> EnrolmentNumber {
    EnrolmentNumber { number: begun.number }
}

fn status(rig: &mut Rig, of: EnrolmentNumber) -> EnrolmentStatus {
    rig.call::<GetEnrolment>(&of).unwrap()
}

/// Shows a face from all sides.
fn sides(rig: &mut Rig, number: usize) {
    for show in [Show::Face(number), Show::Left(number), Show::Right(number)] {
        rig.show(&[show; FRAMES]);
    }
}

fn no(refused: EnrolmentRefused) -> RequestError {
    RequestError::BadEnrolment(refused)
}

fn generation(rig: &Rig) -> u64 {
    let state = rig.shared.lock();
    state.journal().unwrap().store().gallery().unwrap().generation()
}

fn templates(rig: &Rig, person: PersonId) -> Vec<Template> {
    let state = rig.shared.lock();
    let gallery = state.journal().unwrap().store().gallery().unwrap();
    gallery.member(person).map(|member| member.templates.clone()).unwrap_or_default()
}

fn people(rig: &Rig) -> usize {
    rig.shared.lock().journal().unwrap().store().gallery().unwrap().n_people()
}

fn lockout(rig: &Rig) -> [u8; 4] {
    rig.shared.lock().journal().unwrap().store().lockout()
}

/// The entries of enrolments: what each tells, and how it ended.
fn told(rig: &Rig) -> Vec<LogEntry> {
    let is_told = |entry: &LogEntry| {
        matches!(entry.kind, EntryKind::EnrolmentBegun | EntryKind::EnrolmentEnded)
    };
    rig.log().into_iter().filter(is_told).collect()
}

/// How the last one ended, by the log.
fn end(rig: &Rig) -> (EnrolmentEnd, Cause, PersonId) {
    let last = *told(rig).last().unwrap();
    assert_eq!(last.kind, EntryKind::EnrolmentEnded);
    (EnrolmentEnd::from_code(last.runner_up.0 as u8), last.cause, last.person)
}

#[test]
fn a_person_is_enrolled_from_all_sides_as_one_change_and_then_comes_in() {
    let mut rig = Rig::new();
    let of = begin(&mut rig, "Ada");
    let (before, writes) = (generation(&rig), rig.flash.writes());
    assert_eq!(status(&mut rig, of).pose, HeadPose::Frontal);
    rig.show(&[Show::Face(1); FRAMES]);
    let half = status(&mut rig, of);
    assert_eq!((half.stage, half.taken), (EnrolmentStage::Gathering, [3, 0, 0]));
    assert_eq!((half.pose, half.cause, half.frames), (HeadPose::Left, Cause::None, FRAMES as u32));
    assert_eq!(rig.call::<KeepEnrolment>(&of), Err(no(EnrolmentRefused::NotEnough)));
    sides(&mut rig, 1);
    let enough = status(&mut rig, of);
    assert_eq!((enough.stage, enough.taken), (EnrolmentStage::Enough, [3, 3, 3]));
    assert_eq!(rig.flash.writes(), writes, "nothing is written before it is kept");

    let kept = rig.call::<KeepEnrolment>(&of).unwrap();
    let poses: Vec<_> = kept.templates.iter().map(|it| (it.slot, it.pose)).collect();
    assert_eq!(poses, [(0, HeadPose::Frontal), (1, HeadPose::Left), (2, HeadPose::Right)]);
    assert_eq!((kept.person, kept.added, kept.generation), (PersonId(1), true, before + 1));
    let ada = templates(&rig, kept.person);
    assert!(ada.len() == 3 && ada.iter().all(|held| held.quality >= 50), "{ada:?}");
    let log = rig.log();
    let last: Vec<_> = log[log.len() - 3..].iter().map(|it| (it.kind, it.person.0)).collect();
    let kinds = [EntryKind::EnrolmentBegun, EntryKind::Enrolled, EntryKind::EnrolmentEnded];
    assert_eq!(last, [(kinds[0], 0), (kinds[1], 1), (kinds[2], 1)]);
    assert_eq!(end(&rig), (EnrolmentEnd::Kept, Cause::None, PersonId(1)));
    assert_eq!((rig.decisions(), rig.pulses()), (vec![], 0), "an enrolment is no visit");
    assert!(rig.told.lock().unwrap().attempts_at_embed.iter().all(|&count| count == 0));
    let over = rig.call::<KeepEnrolment>(&of);
    assert_eq!(over, Err(no(EnrolmentRefused::Unknown)), "kept once");

    // Whoever stands there is asked after a rest, as after a decision.
    rig.show(&vec![Show::Face(1); (2_800 / TICK_MS) as usize]);
    assert_eq!(rig.pulses(), 0);
    rig.show(&[Show::Face(1); 10]);
    assert_eq!(rig.pulses(), 1);
    let mut again = Rig::on(&rig.flash);
    again.visit(Show::Left(1), 5);
    assert_eq!(again.pulses(), 1, "after a start too");
}

#[test]
fn somebody_who_is_enrolled_gets_further_templates_in_free_slots_and_nobody_elses() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    let begun = rig.call::<BeginEnrolment>(&request("Ada")).unwrap();
    assert_eq!(begun.person, ada);
    sides(&mut rig, 1);
    let kept = rig.call::<KeepEnrolment>(&of(begun)).unwrap();
    let slots: Vec<u8> = kept.templates.iter().map(|it| it.slot).collect();
    assert_eq!((kept.person, kept.added, slots), (ada, false, vec![1, 2, 3]));
    assert_eq!(told(&rig)[0].person, ada);

    // The name is hers, and the face is not.
    let of = begin(&mut rig, "Ada");
    sides(&mut rig, 5);
    let unlike = rig.call::<KeepEnrolment>(&of);
    assert_eq!(unlike, Err(no(EnrolmentRefused::UnlikeOwn { person: ada })));
    assert_eq!(end(&rig), (EnrolmentEnd::NotKept, Cause::None, PersonId::NOBODY));
    assert_eq!(templates(&rig, ada).len(), 4);

    // As many as are asked for, and as there is room for.
    for (asked, kept) in [(1, 1), (8, 3)] {
        let begin = EnrolmentBegin { templates: asked, ..request("Ada") };
        let begun = rig.call::<BeginEnrolment>(&begin).unwrap();
        sides(&mut rig, 1);
        let done = rig.call::<KeepEnrolment>(&self::of(begun)).unwrap();
        assert_eq!(done.templates.len(), kept);
    }
    let full = rig.call::<BeginEnrolment>(&request("Ada")).unwrap_err();
    assert_eq!(full, RequestError::SlotsFull { person: ada, max: 8 });
}

#[test]
fn where_there_is_no_room_one_template_takes_the_place_of_the_one_that_was_given_out_before() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    // Hers too, each aside by its own axis, and slot 6 hardly: beside slot 0 it tells the least.
    for slot in 1..8u8 {
        let mut aside = axis(1);
        aside.0[60 + usize::from(slot)] = if slot == 6 { 0.01 } else { 0.3 };
        let (scale, vector) = quantise(&aside);
        let vector = vector.into_iter().collect();
        let template = Template { scale, vector, quality: 10, ..template(ada, slot, 0) };
        rig.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
    }
    let before = templates(&rig, ada);
    assert_eq!(before.len(), 8);
    let begin = EnrolmentBegin { templates: 1, ..request("Ada") };
    let of = of(rig.call::<BeginEnrolment>(&begin).unwrap());
    sides(&mut rig, 1);
    // A face that is nobody's, so that hers alone count.
    let (scale, vector) =
        (0.001, (0..LEN).map(|at| if at % 2 == 0 { 127 } else { -127 }).collect());
    let asked = TemplateRedundant { model: MODEL, person: ada, quality: 0, scale, vector };
    let goes = rig.call::<FindRedundant>(&asked).unwrap().template.unwrap();
    assert_eq!(goes, before[6], "poorer than slot 0, which is as near to it");
    let kept = rig.call::<KeepEnrolment>(&of).unwrap();
    assert_eq!((kept.added, kept.templates.len(), kept.templates[0].slot), (false, 1, 6));
    let after = templates(&rig, ada);
    let same = |slot: usize| after[slot] == before[slot];
    assert!(after.len() == 8 && !same(6) && (0..8).filter(|&slot| slot != 6).all(same));
    // And it may be put back.
    rig.call::<PutTemplate>(&TemplatePut { model: MODEL, template: goes }).unwrap();
    assert_eq!(templates(&rig, ada), before);
}

#[test]
fn while_it_lasts_the_door_decides_nobody_and_no_attempt_is_counted() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    let badge = Credential::Keypad { digits: 4, number: 1234 };
    let access = Access { credentials: [badge].into_iter().collect(), ..Access::default() };
    let set = AccessSet { person: ada, was: Access::default(), access };
    rig.call::<SetAccess>(&set).unwrap();
    rig.call::<SetMode>(&ModeSet { mode: Mode::Both }).unwrap();
    // A visit that is open has its refusal, and its attempt counts.
    rig.show(&[Show::Face(9); 2]);
    let begin = EnrolmentBegin { force: true, ..request("Twin") };
    let of = of(rig.call::<BeginEnrolment>(&begin).unwrap());
    rig.signs();
    rig.show(&[Show::Face(1)]);
    let refused = (Reason::NotArmed, Cause::Enrolling);
    let reasons = |rig: &Rig| {
        rig.decisions().iter().map(|entry| (entry.reason, entry.cause)).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&rig), [refused]);
    let counted = lockout(&rig);
    assert_eq!(rig.signs().last(), Some(&Sign::Look));
    // Whoever rings, stays, goes, and comes again is nobody's visit.
    for _ in 0..3 {
        rig.visit(Show::Face(1), 20);
    }
    assert_eq!(reasons(&rig), [refused]);
    // A badge has its answer, and is no attempt either.
    rig.give(badge);
    rig.show(&[Show::Face(1); 10]);
    rig.give(Credential::Keypad { digits: 4, number: 99 });
    rig.show(&[Show::Face(1); 10]);
    assert_eq!(reasons(&rig), [refused; 3]);
    assert_eq!((rig.pulses(), lockout(&rig)), (0, counted));
    let attempts = rig.told.lock().unwrap().attempts_at_embed.clone();
    assert!(attempts.iter().skip(2).all(|&count| count == counted[1]), "{attempts:?}");
    let cancelled = rig.call::<CancelEnrolment>(&of).unwrap();
    assert_eq!(cancelled.stage, EnrolmentStage::Ended(EnrolmentEnd::Cancelled));
    rig.show(&[Show::Nobody; 40]);
    rig.show(&[Show::Face(1); 5]);
    assert_eq!(rig.pulses(), 1);
}

#[test]
fn a_lock_out_is_neither_got_around_nor_reset() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    while rig.decisions().last().is_none_or(|last| last.reason != Reason::LockedOut) {
        rig.visit(Show::Face(9), 6);
    }
    let locked = lockout(&rig);
    let of = begin(&mut rig, "Grace");
    sides(&mut rig, 2);
    rig.call::<KeepEnrolment>(&of).unwrap();
    assert_eq!(lockout(&rig), locked);
    for show in [Show::Face(2), Show::Face(1)] {
        rig.visit(show, 6);
        assert_eq!(rig.decisions().last().unwrap().reason, Reason::LockedOut);
    }
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn a_unit_that_nobody_commissioned_enrols_as_from_photos_and_stays_locked() {
    let mut rig = Rig::bare(&MockFlash::new());
    let of = begin(&mut rig, "Ada");
    sides(&mut rig, 1);
    assert!(rig.call::<KeepEnrolment>(&of).unwrap().added);
    rig.show(&[Show::Nobody; 40]);
    rig.visit(Show::Face(1), 6);
    let last = *rig.decisions().last().unwrap();
    assert_eq!((last.reason, last.cause), (Reason::NotArmed, Cause::NotCommissioned));
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn a_poor_frame_has_the_doors_own_cause_and_is_not_taken() {
    for (show, cause) in [
        (Show::Nobody, Cause::NoFace),
        (Show::Dark, Cause::TooDark),
        (Show::Two(1), Cause::MoreThanOne),
    ] {
        let mut rig = Rig::new();
        let of = begin(&mut rig, "Ada");
        // The engine of the bench panics if it is asked for an embedding of these.
        rig.show(&[show; FRAMES]);
        let poor = status(&mut rig, of);
        assert_eq!((poor.cause, poor.taken), (cause, [0; 3]), "{show:?}");
        assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty(), "{show:?}");
        assert_eq!(poor.stage, EnrolmentStage::Gathering);
    }
    // A side is taken after the front, against which it is held.
    let mut rig = Rig::new();
    let of = begin(&mut rig, "Ada");
    rig.show(&[Show::Left(1); FRAMES]);
    let turned = status(&mut rig, of);
    assert_eq!((turned.taken, turned.cause, turned.yaw_deg), ([0; 3], Cause::None, 20));
}

#[test]
fn another_face_gives_up_what_was_gathered() {
    let gone = vec![Show::Nobody; (1_000 / TICK_MS) as usize];
    for (first, between, then) in [
        // In the very same place, beside it, and after a while.
        (8, vec![], Show::Face(2)),
        (8, vec![], Show::Beside(1)),
        (8, gone, Show::Face(1)),
        // After one that is alike to both, who are not alike.
        (3, vec![Show::Between(1, 2); 5], Show::Face(2)),
    ] {
        let mut rig = Rig::new();
        let of = begin(&mut rig, "Ada");
        rig.show(&vec![Show::Face(1); first]);
        rig.show(&between);
        let before = status(&mut rig, of);
        assert!(before.taken[0] == 2 || before.discarded == 1, "{then:?}: {before:?}");
        rig.show(&[then; 5]);
        let now = status(&mut rig, of);
        assert_eq!(now.discarded, 1, "{then:?}: {now:?}");
        assert!(now.taken[0] <= 1, "{then:?}: {now:?}");
    }
    // Somebody who passes behind, or a blink of the detector, gives nothing up.
    let mut rig = Rig::new();
    let of = begin(&mut rig, "Ada");
    rig.show(&[Show::Face(1); FRAMES]);
    rig.show(&[Show::Two(1); 5]);
    rig.show(&[Show::Nobody; 5]);
    rig.show(&[Show::Face(1); 5]);
    let now = status(&mut rig, of);
    assert_eq!((now.discarded, now.taken), (0, [3, 0, 0]));
}

#[test]
fn templates_of_two_people_are_never_mixed_whatever_comes_before_the_camera() {
    let mut enrolled = 0;
    for seed in 0..40 {
        let mut lots = Lots(9_000 + seed);
        let mut rig = Rig::new();
        let of = begin(&mut rig, "Ada");
        let mut number = 1;
        for _ in 0..30 {
            if lots.below(5) == 0 {
                number = 3 - number;
            }
            let show = match lots.below(10) {
                0 => Show::Beside(number),
                1 => Show::Between(1, 2),
                2..=4 => Show::Left(number),
                5..=7 => Show::Right(number),
                _ => Show::Face(number),
            };
            rig.show(&vec![show; if lots.below(3) == 0 { 2 } else { FRAMES }]);
            if status(&mut rig, of).stage == EnrolmentStage::Enough {
                let kept = rig.call::<KeepEnrolment>(&of).unwrap();
                let ada = templates(&rig, kept.person);
                let is = |number: usize| {
                    let (_, vector) = quantise(&axis(number));
                    ada.iter().any(|held| held.vector[..] == vector[..])
                };
                assert!(!(is(1) && is(2)), "seed {seed}");
                enrolled += 1;
                break;
            }
        }
    }
    assert!(enrolled >= 4, "{enrolled} of 40 became an enrolment");
}

#[test]
fn a_face_that_is_enrolled_already_ends_it_and_only_an_owner_hears_whose() {
    let roles = [(1, Role::Enroller), (2, Role::Owner)];
    for (byte, role) in roles {
        let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
        let mut session = bench.session(2);
        let ada = enrolled_over(&mut session, "Ada", &bench, 1);
        let mut session = bench.session(byte);
        let of = of(session.call::<BeginEnrolment>(&request("Eve")).unwrap());
        bench.rig.borrow_mut().show(&[Show::Face(1); 5]);
        let ended = session.call::<GetEnrolment>(&of).unwrap();
        assert_eq!(ended.stage, EnrolmentStage::Ended(EnrolmentEnd::SomebodyElse), "{role:?}");
        assert_eq!(ended.cause, Cause::AnotherPerson);
        let named = (role == Role::Owner).then_some(ada);
        assert_eq!(ended.resembled.map(|other| other.person), named, "{role:?}");
        let kept = refused(session.call::<KeepEnrolment>(&of));
        assert_eq!(kept, no(EnrolmentRefused::Unknown));
        let rig = bench.rig.borrow();
        let ended = (EnrolmentEnd::SomebodyElse, Cause::AnotherPerson, PersonId::NOBODY);
        assert_eq!((end(&rig), people(&rig)), (ended, 1), "the log names nobody");
        assert_eq!(told(&rig).last().unwrap().by, crate::keys::key(byte).key_id().tag());
    }
}

/// Enrols a number over a session, at the door.
fn enrolled_over<T: threshold_host::session::port::Transport>(
    session: &mut threshold_host::session::Session<T>,
    name: &str,
    bench: &Bench,
    number: usize,
) -> PersonId {
    let of = of(session.call::<BeginEnrolment>(&request(name)).unwrap());
    sides(&mut bench.rig.borrow_mut(), number);
    session.call::<KeepEnrolment>(&of).unwrap().person
}

#[test]
fn twins_are_enrolled_where_the_enroller_says_so_and_who_came_meanwhile_is_found() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let begin_forced = EnrolmentBegin { force: true, ..request("Twin") };
    let of = of(rig.call::<BeginEnrolment>(&begin_forced).unwrap());
    sides(&mut rig, 1);
    assert!(rig.call::<KeepEnrolment>(&of).unwrap().added);
    // Enrolled from a photo while the frames were taken.
    let of = begin(&mut rig, "Eve");
    sides(&mut rig, 3);
    let emmy = rig.enrol("Emmy", 3);
    let refused = rig.call::<KeepEnrolment>(&of);
    assert_eq!(refused, Err(no(EnrolmentRefused::SomebodyElse { other: Some(emmy) })));
    assert_eq!(end(&rig).0, EnrolmentEnd::SomebodyElse);
    assert_eq!(people(&rig), 3);
}

#[test]
fn who_was_removed_meanwhile_is_not_brought_back_and_a_name_that_was_taken_stays() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    let of = begin(&mut rig, "Ada");
    sides(&mut rig, 1);
    rig.call::<RemovePerson>(&PersonRemove { person: ada }).unwrap();
    let gone = rig.call::<KeepEnrolment>(&of).unwrap_err();
    assert_eq!(gone, RequestError::UnknownPerson { person: ada });
    assert_eq!((end(&rig).0, people(&rig)), (EnrolmentEnd::NotKept, 0));
    let of = begin(&mut rig, "Grace");
    sides(&mut rig, 2);
    let grace = rig.enrol("Grace", 7);
    let taken = rig.call::<KeepEnrolment>(&of).unwrap_err();
    assert_eq!(taken, RequestError::NameTaken { person: grace });
    assert_eq!(templates(&rig, grace).len(), 1);
    // The id of whoever was removed is not given out again.
    let of = begin(&mut rig, "Emmy");
    sides(&mut rig, 4);
    assert_eq!(rig.call::<KeepEnrolment>(&of).unwrap().person, PersonId(3));
}

#[test]
fn what_cannot_be_begun_is_refused_and_writes_nothing() {
    let mut rig = Rig::new();
    for templates in [0, 9] {
        let begin = EnrolmentBegin { templates, ..request("Ada") };
        let refused = rig.call::<BeginEnrolment>(&begin).unwrap_err();
        assert_eq!(refused, no(EnrolmentRefused::BadCount { most: 8 }));
    }
    let unknown = EnrolmentNumber { number: 1 };
    assert_eq!(rig.call::<GetEnrolment>(&unknown), Err(no(EnrolmentRefused::Unknown)));
    assert_eq!(rig.call::<CancelEnrolment>(&unknown), Err(no(EnrolmentRefused::Unknown)));
    rig.show(&[Show::Broken]);
    let refused = rig.call::<BeginEnrolment>(&request("Ada")).unwrap_err();
    assert_eq!(refused, RequestError::NotReady { part: Cause::Camera });
    assert_eq!(told(&rig), []);
    // The camera mends with its next frame.
    rig.show(&[Show::Nobody]);
    let of = begin(&mut rig, "Ada");
    let busy = no(EnrolmentRefused::Busy);
    assert_eq!(rig.call::<BeginEnrolment>(&request("Eve")).unwrap_err(), busy);
    let mut second = Desk::new(rig.shared.clone(), true);
    std::mem::swap(&mut rig.desk, &mut second);
    assert_eq!(rig.call::<BeginEnrolment>(&request("Eve")).unwrap_err(), busy);
    rig.desk.hung_up();
    assert_eq!(status(&mut rig, of).stage, EnrolmentStage::Gathering, "another line's end is none");
    // A lock or a reader at fault keeps nobody from being enrolled, a store does.
    rig.shared.lock().fail(Cause::Lock, "it is jammed");
    assert_eq!(status(&mut rig, of).stage, EnrolmentStage::Gathering);
    rig.shared.lock().fail(Cause::Store, "it is full");
    assert_eq!(status(&mut rig, of).stage, EnrolmentStage::Ended(EnrolmentEnd::Fault));
}

#[test]
fn only_who_began_it_may_ask_for_it_and_only_an_enroller_begins_one() {
    let roles = [(1, Role::Viewer), (2, Role::Enroller), (3, Role::Owner)];
    let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
    let too_low = RequestError::RoleTooLow { least: Role::Enroller, role: Role::Viewer };
    let mut viewer = bench.session(1);
    assert_eq!(refused(viewer.call::<BeginEnrolment>(&request("Ada"))), too_low);
    // The next session over the line ends what the one before began.
    let of = of(bench.session(2).call::<BeginEnrolment>(&request("Ada")).unwrap());
    let mut owner = bench.session(3);
    assert_eq!(refused(owner.call::<GetEnrolment>(&of)), no(EnrolmentRefused::Unknown));
    assert_eq!(refused(owner.call::<KeepEnrolment>(&of)), no(EnrolmentRefused::Unknown));
    assert_eq!(end(&bench.rig.borrow()).0, EnrolmentEnd::LineGone);
    let begun = told(&bench.rig.borrow())[0];
    assert_eq!(begun.by, crate::keys::key(2).key_id().tag());
}

/// Ends an enrolment whose face was seen from all sides, in one way.
fn check_end(how: fn(&mut Rig, EnrolmentNumber), expected: EnrolmentEnd, cause: Cause) {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let before = (generation(&rig), people(&rig));
    let of = begin(&mut rig, "Grace");
    sides(&mut rig, 2);
    how(&mut rig, of);
    assert_eq!(end(&rig), (expected, cause, PersonId::NOBODY), "{expected:?}");
    assert_eq!((generation(&rig), people(&rig)), before, "{expected:?}");
    let ended = status(&mut rig, of);
    assert_eq!((ended.stage, ended.taken), (EnrolmentStage::Ended(expected), [0; 3]));
    let kept = rig.call::<KeepEnrolment>(&of);
    assert_eq!(kept, Err(no(EnrolmentRefused::Unknown)), "{expected:?}");
    assert_eq!(told(&rig).len(), 2, "it ends once");
    if cause != Cause::Engine {
        // Back to normal.
        rig.show(&[Show::Nobody; 40]);
        rig.show(&[Show::Face(1); 5]);
        assert_eq!(rig.pulses(), 1, "{expected:?}");
    }
}

#[test]
fn whatever_ends_it_leaves_nothing_and_a_door_that_works() {
    check_end(
        |rig, of| {
            rig.call::<CancelEnrolment>(&of).unwrap();
        },
        EnrolmentEnd::Cancelled,
        Cause::None,
    );
    check_end(
        |rig, _| rig.show(&vec![Show::Face(2); (SILENCE_MS / TICK_MS) as usize + 1]),
        EnrolmentEnd::LineGone,
        Cause::None,
    );
    check_end(|rig, _| rig.desk.hung_up(), EnrolmentEnd::LineGone, Cause::None);
    check_end(
        |rig, of| {
            for _ in 0..LONGEST_MS / 1_000 {
                rig.show(&vec![Show::Dark; (1_000 / TICK_MS) as usize]);
                status(rig, of);
            }
        },
        EnrolmentEnd::TimedOut,
        Cause::TooDark,
    );
    check_end(|rig, _| rig.show(&[Show::Broken]), EnrolmentEnd::Fault, Cause::Camera);
    check_end(|rig, _| rig.show(&[Show::DetectFails]), EnrolmentEnd::Fault, Cause::Engine);
    check_end(|rig, _| rig.show(&[Show::Panics]), EnrolmentEnd::Fault, Cause::Engine);
}

#[test]
fn a_unit_that_stops_says_that_it_has_ended() {
    let mut rig = Rig::new();
    begin(&mut rig, "Ada");
    rig.shared.lock().stop();
    assert_eq!(end(&rig), (EnrolmentEnd::Cancelled, Cause::None, PersonId::NOBODY));
    let mut again = Rig::on(&rig.flash);
    let unknown = again.call::<GetEnrolment>(&EnrolmentNumber { number: 1 });
    assert_eq!(unknown, Err(no(EnrolmentRefused::Unknown)), "a start knows of none");
}

#[test]
fn a_store_that_fails_keeps_all_of_it_or_nothing_and_never_without_an_entry() {
    for failing in 1..=3 {
        for fault in [FlashFault::Io, FlashFault::Full] {
            let mut rig = Rig::new();
            rig.enrol("Ada", 1);
            let of = begin(&mut rig, "Grace");
            sides(&mut rig, 2);
            rig.flash.fail_at(rig.flash.writes() + failing, fault);
            let kept = rig.call::<KeepEnrolment>(&of);
            // What is owed is paid by the next entry that the log takes.
            for _ in 0..3 {
                rig.visit(Show::Face(2), 6);
            }
            assert!(rig.shared.lock().owes_nothing(), "write {failing}");
            let again = Rig::on(&rig.flash);
            let grace = templates(&again, PersonId(2)).len();
            assert!(grace == 0 || grace == 3, "write {failing}: {grace} templates");
            assert!(grace == 3 || kept.is_err(), "write {failing}");
            let named =
                |entry: &LogEntry| entry.kind == EntryKind::Enrolled && entry.person == PersonId(2);
            assert!(grace == 0 || again.log().iter().any(named), "write {failing}");
        }
    }
}

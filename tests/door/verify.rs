//! A badge or number, then a face: who is compared with whom, and that no order of things lets anybody in whom their own face
//! does not.

use crate::keys::{Bench, administrator, key, refused};
use crate::rig::{LEN, Rig, Show, TICK_MS};
use crate::rule;
use crate::{ADA, EMMY, GRACE, READY, accepts, outcome, seen, settings};
use threshold_edge::state::ReaderStanding;
use threshold_edge::unit::Sign;
use threshold_policy::{Evidence, Observation, Policy, Standing, Subject, Verdict, decide};
use threshold_record::{
    Access, Cause, Credential, Decision, EntryKind, LogEntry, Metric, Mode, PersonId, Reason, Role,
};
use threshold_store::MockFlash;
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, GetPolicy, RemovePerson, SetMode, WithdrawPhoto};
use threshold_wire::message::{Armed, Nothing, PersonRemove, ReaderState};
use threshold_wire::policy::{ModeSet, PolicyInfo};

/// A number that nobody has.
const GUESS: Credential = Credential::Wiegand26 { facility: 9, card: 9 };

/// What a person was given.
pub(crate) fn of(person: PersonId) -> Credential {
    Credential::Keypad { digits: 4, number: person.0 }
}

/// Enrols a number under a name, and gives the person a number to type.
fn enrol(rig: &mut Rig, name: &str, number: usize) -> PersonId {
    let person = rig.enrol(name, number);
    let access = Access { credentials: [of(person)].into_iter().collect(), ..Access::default() };
    let mut state = rig.shared.lock();
    state.journal_mut().unwrap().store_mut().set_access(person, access).unwrap();
    state.gallery_changed();
    person
}

fn set_mode(rig: &mut Rig, mode: Mode) -> PolicyInfo {
    rig.call::<SetMode>(&ModeSet { mode }).unwrap()
}

/// Ada is number 1 and enrolled, Grace is number 2 and enrolled.
pub(crate) fn two_enrolled(mode: Mode) -> Rig {
    let mut rig = Rig::new();
    let enrolled = (enrol(&mut rig, "Ada", 1), enrol(&mut rig, "Grace", 2));
    assert_eq!(enrolled, (ADA, GRACE));
    set_mode(&mut rig, mode);
    rig
}

/// What the log has of claims and decisions: kind, person, reason and cause.
fn told(rig: &Rig) -> Vec<(EntryKind, u32, Reason, Cause)> {
    let of = |entry: &LogEntry| (entry.kind, entry.person.0, entry.reason, entry.cause);
    let log = rig.log();
    let told = log.iter().map(of);
    told.filter(|of| matches!(of.0, EntryKind::Claim | EntryKind::Decision)).collect()
}

const fn claim(person: u32) -> (EntryKind, u32, Reason, Cause) {
    (EntryKind::Claim, person, Reason::Matched, Cause::None)
}

const fn decision(person: u32, reason: Reason, cause: Cause) -> (EntryKind, u32, Reason, Cause) {
    (EntryKind::Decision, person, reason, cause)
}

fn failures(rig: &Rig) -> u8 {
    rig.shared.lock().journal().unwrap().store().lockout()[1]
}

#[test]
fn a_badge_and_its_owners_face_open_the_door_once() {
    for mode in [Mode::Verify, Mode::Both] {
        let mut rig = two_enrolled(mode);
        rig.give(of(GRACE));
        rig.show(&[Show::Face(2); 6]);
        assert_eq!(told(&rig), [claim(2), decision(2, Reason::Matched, Cause::None)], "{mode:?}");
        assert_eq!((rig.pulses(), failures(&rig)), (1, 0));
        assert!(rig.told.lock().unwrap().not_durable.is_empty());
        assert_eq!(rig.signs(), [Sign::Look, Sign::Granted]);
    }
}

#[test]
fn what_each_face_comes_to_after_adas_badge() {
    for (show, frames, reason, cause) in [
        (Show::Face(1), 3, Reason::Matched, Cause::None),
        (Show::Face(1), 2, Reason::TooFewFrames, Cause::None),
        (Show::Face(2), 60, Reason::Unknown, Cause::OtherThanClaimed),
        (Show::Face(9), 60, Reason::Unknown, Cause::None),
        // As much Grace's as Ada's: it is nobody's.
        (Show::Between(1, 2), 60, Reason::Ambiguous, Cause::None),
        (Show::Dark, 5, Reason::Quality, Cause::TooDark),
        (Show::Nobody, 5, Reason::Quality, Cause::NoFace),
        (Show::Nothing, 0, Reason::Quality, Cause::NoFace),
    ] {
        let mut rig = two_enrolled(Mode::Verify);
        rig.give(of(ADA));
        rig.show(&[Show::Nothing]);
        rig.show(&vec![show; frames]);
        rig.clock.advance(10_000);
        rig.show(&[Show::Nothing]);
        // The claimed person stands in the entry, also where no frame was compared with them.
        assert_eq!(told(&rig), [claim(1), decision(1, reason, cause)], "{show:?}");
        assert_eq!(rig.pulses(), usize::from(reason == Reason::Matched), "{show:?}");
        let runner_up = rig.decisions()[0].runner_up;
        let is_of_grace = matches!(show, Show::Face(2) | Show::Between(..));
        assert_eq!(runner_up, if is_of_grace { GRACE } else { PersonId::NOBODY }, "{show:?}");
    }
}

#[test]
fn a_face_alone_opens_nothing_and_is_no_visit_where_a_credential_is_asked_for() {
    let mut rig = two_enrolled(Mode::Verify);
    rig.show(&[Show::Face(1); 400]);
    assert_eq!(told(&rig), []);
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty(), "nobody is compared");
    // Whoever was announced is told.
    rig.visit(Show::Face(1), 200);
    assert_eq!(told(&rig), [decision(0, Reason::Unknown, Cause::NoCredential)]);
    assert_eq!((rig.pulses(), failures(&rig)), (0, 0));
    // An announced one may give it while they stand there, and one who gave it may then be announced.
    rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1)]);
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 3]);
    rig.show(&[Show::Departure]);
    rig.give(of(ADA));
    rig.show(&[Show::Nothing, Show::Arrival, Show::Face(1), Show::Face(1), Show::Face(1)]);
    let opened = [claim(1), decision(1, Reason::Matched, Cause::None)];
    assert_eq!(told(&rig)[1..], [opened, opened].concat());
    assert_eq!(rig.pulses(), 2);
}

#[test]
fn without_a_credential_both_compares_with_everybody_and_identify_takes_none() {
    let mut rig = two_enrolled(Mode::Both);
    rig.visit(Show::Face(2), 3);
    assert_eq!(told(&rig), [decision(2, Reason::Matched, Cause::None)]);

    let mut rig = two_enrolled(Mode::Identify);
    rig.give(of(ADA));
    rig.give(GUESS);
    rig.visit(Show::Face(2), 3);
    assert_eq!(told(&rig), [decision(2, Reason::Matched, Cause::None)]);
}

#[test]
fn what_was_compared_before_a_credential_counts_nothing_after_it() {
    // Two frames of three, then the badge: not one of them is carried over, be it of 1:N or of the same badge.
    for first in [None, Some(ADA), Some(GRACE)] {
        let mut rig = two_enrolled(Mode::Both);
        first.into_iter().for_each(|first| rig.give(of(first)));
        rig.show(&[Show::Face(1); 2]);
        rig.give(of(ADA));
        rig.show(&[Show::Face(1); 2]);
        assert_eq!(rig.pulses(), 0, "{first:?}");
        rig.show(&[Show::Face(1)]);
        assert_eq!(rig.pulses(), 1, "{first:?}");
        let mut expected = vec![claim(1), decision(1, Reason::Matched, Cause::None)];
        let ended = match first {
            // The visit of before has its own decision, whatever came of it.
            None => vec![decision(1, Reason::TooFewFrames, Cause::None)],
            Some(ADA) => vec![claim(1), decision(1, Reason::TooFewFrames, Cause::None)],
            Some(_) => vec![claim(2), decision(2, Reason::Unknown, Cause::OtherThanClaimed)],
        };
        expected.splice(0..0, ended);
        assert_eq!(told(&rig), expected);
    }
    // Frames of before the claim that come late are no evidence for it either.
    let mut evidence = Evidence::about(Subject::Person(ADA), 1_000);
    evidence.observe(Observation::no_face(999));
    assert_eq!(evidence.frames(), 0);
    evidence.observe(Observation::no_face(1_000));
    assert_eq!(evidence.frames(), 1);
}

#[test]
fn each_claim_is_an_attempt_of_its_own() {
    let mut rig = two_enrolled(Mode::Both);
    for attempts in 1..=10 {
        rig.give(of(if attempts % 2 == 0 { ADA } else { GRACE }));
        rig.show(&[Show::Face(9); 2]);
        assert_eq!(failures(&rig), attempts);
    }
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 5]);
    assert_eq!(told(&rig).last(), Some(&decision(1, Reason::LockedOut, Cause::None)));
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn a_guessed_number_is_a_failed_attempt_that_no_start_forgets() {
    let mut rig = two_enrolled(Mode::Verify);
    for attempts in 1..=10 {
        rig.give(GUESS);
        rig.show(&[Show::Face(1)]);
        let refused = decision(0, Reason::Unknown, Cause::UnknownCredential);
        assert_eq!(told(&rig)[2 * attempts - 2..], [claim(0), refused]);
        if attempts == 5 {
            rig = Rig::on(&rig.flash.clone());
        }
        assert_eq!(usize::from(failures(&rig)), attempts);
    }
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty());
    rig = Rig::on(&rig.flash.clone());
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 5]);
    assert_eq!(told(&rig).last(), Some(&decision(1, Reason::LockedOut, Cause::None)));
    // Waited through, the right badge and face open it, and the count is gone.
    rig.clock.advance(60_000);
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 5]);
    assert_eq!((rig.pulses(), failures(&rig)), (1, 0));
}

#[test]
fn a_claim_without_a_face_ends_after_ten_seconds_and_costs_no_attempt() {
    let mut rig = two_enrolled(Mode::Verify);
    rig.give(of(ADA));
    rig.show(&vec![Show::Nobody; 9_900 / TICK_MS as usize]);
    assert_eq!(told(&rig), [claim(1)], "a turned head and an empty picture end nothing before");
    rig.show(&[Show::Nobody; 5]);
    assert_eq!(told(&rig)[1..], [decision(1, Reason::Quality, Cause::NoFace)]);
    assert_eq!(failures(&rig), 0);
    rig.show(&[Show::Face(1); 100]);
    assert_eq!((told(&rig).len(), rig.pulses()), (2, 0));
}

#[test]
fn a_reader_that_is_played_with_fills_no_log() {
    let mut rig = two_enrolled(Mode::Verify);
    for _ in 0..2_000 {
        rig.give(GUESS);
        rig.show(&[Show::Nothing]);
    }
    // Twenty at once and one every two seconds, each with its decision.
    assert!(told(&rig).len() <= 2 * (20 + 40), "{}", told(&rig).len());
    rig.clock.advance(60_000);
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 3]);
    assert_eq!(rig.pulses(), 1);
    assert!(rig.notices().contains("credentials came too fast"), "{}", rig.notices());
}

#[test]
fn a_claimed_person_who_is_removed_is_let_in_by_no_frame_of_before() {
    let mut rig = two_enrolled(Mode::Verify);
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 2]);
    rig.call::<RemovePerson>(&PersonRemove { person: ADA }).unwrap();
    rig.show(&[Show::Face(1); 100]);
    assert_eq!(rig.pulses(), 0);
    // What names nobody any more is a guess.
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 5]);
    let refused = decision(0, Reason::Unknown, Cause::UnknownCredential);
    assert_eq!(told(&rig).last(), Some(&refused));
}

#[test]
fn a_mode_that_changes_during_a_visit_opens_nothing() {
    let mut rig = two_enrolled(Mode::Both);
    rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1)]);
    set_mode(&mut rig, Mode::Verify);
    rig.show(&[Show::Face(1); 10]);
    rig.show(&[Show::Departure]);
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 2]);
    set_mode(&mut rig, Mode::Identify);
    rig.show(&[Show::Face(1)]);
    assert_eq!(rig.pulses(), 0);
    let expected = [
        decision(1, Reason::Unknown, Cause::NoCredential),
        claim(1),
        decision(1, Reason::NotArmed, Cause::None),
    ];
    assert_eq!(told(&rig), expected);
}

#[test]
fn a_reader_that_is_not_there_locks_only_a_door_that_asks_for_a_credential() {
    for (mode, armed) in [
        (Mode::Identify, Armed::Armed),
        (Mode::Both, Armed::Armed),
        (Mode::Verify, Armed::Refuses(Cause::Reader)),
    ] {
        let mut rig = two_enrolled(mode);
        let why = "line 3 is in use".to_owned();
        rig.shared.lock().set_reader(ReaderStanding::Failed(why));
        let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
        assert_eq!((info.armed, info.reader), (armed, Some(ReaderState::Failed)), "{mode:?}");
        let policy = info.policy.unwrap();
        assert_eq!((policy.refusal, policy.one.refusal), (None, Some(Cause::Reader)));
        assert!(rig.notices().contains("reader: line 3 is in use"));
        rig.visit(Show::Face(1), 3);
        assert_eq!(rig.pulses(), usize::from(mode != Mode::Verify), "{mode:?}");
        let disarmed = rig
            .log()
            .iter()
            .any(|entry| (entry.kind, entry.cause) == (EntryKind::Disarmed, Cause::Reader));
        assert_eq!(disarmed, mode == Mode::Verify);
        rig.shared.lock().set_reader(ReaderStanding::None);
        assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, armed);
        assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().reader, None);
    }
}

#[test]
fn too_many_people_are_no_reason_against_a_comparison_with_one() {
    let mut rig = rule::rig();
    (1..LEN).for_each(|number| {
        enrol(&mut rig, &format!("person {number}"), number);
    });
    let many = rig.call::<GetPolicy>(&Nothing {}).unwrap();
    assert_eq!(many.refusal.map(|refusal| refusal.why), Some(Cause::TooManyRefusals));
    // One template of one person: FPIR 1e-3 lies at 0.65 of this model.
    let distance = Metric::SquaredL2.distance(many.one.threshold.0);
    assert!((0.6499..=0.65).contains(&distance), "{distance}");
    assert_eq!((many.one.templates, many.one.refusal), (1, None));
    for mode in [Mode::Both, Mode::Verify] {
        set_mode(&mut rig, mode);
        assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Armed);
        let (pulses, decisions) = (rig.pulses(), rig.decisions().len());
        // A face alone is nobody's visit: it could only be refused.
        rig.show(&[Show::Face(7); 100]);
        assert_eq!(rig.decisions().len(), decisions, "{mode:?}");
        rig.give(of(PersonId(7)));
        rig.show(&[Show::Face(7); 3]);
        assert_eq!(rig.pulses(), pulses + 1, "{mode:?}");
        let entry = *rig.decisions().last().unwrap();
        assert!((entry.threshold.0 - many.one.threshold.0.0).abs() < 1e-4);
    }
    // Two templates are two chances: the threshold of whoever has them lies further out, and nobody else's does.
    let two = threshold_wire::message::TemplatePut {
        model: crate::rig::MODEL,
        template: crate::rig::template(PersonId(7), 1, 0),
    };
    rig.call::<threshold_wire::endpoints::PutTemplate>(&two).unwrap();
    let strictest = rig.call::<GetPolicy>(&Nothing {}).unwrap().one;
    assert_eq!(strictest.templates, 2);
    assert!(strictest.threshold.0.0 > many.one.threshold.0.0);
    for (person, threshold) in [(7, strictest.threshold), (8, many.one.threshold)] {
        rig.give(of(PersonId(person)));
        rig.show(&[Show::Face(person as usize); 3]);
        let entry = *rig.decisions().last().unwrap();
        assert_eq!((entry.reason, entry.person.0), (Reason::Matched, person));
        assert!((entry.threshold.0 - threshold.0.0).abs() < 1e-4, "{person}");
    }
}

#[test]
fn no_threshold_of_one_person_lies_below_the_floor() {
    let rig = two_enrolled(Mode::Verify);
    let state = rig.shared.lock();
    let floor = Policy::for_model(Metric::SquaredL2, 1.14).threshold;
    // Of the rig's model FPIR 1e-3 would lie far beyond it.
    assert_eq!(state.strictest_for_one().1.policy.threshold, floor);
}

#[test]
fn only_an_owner_settles_the_mode_and_it_outlasts_every_start() {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
    let verify = ModeSet { mode: Mode::Verify };
    for (byte, role) in &roles[1..] {
        let too_low = RequestError::RoleTooLow { least: Role::Owner, role: *role };
        assert_eq!(refused(bench.session(*byte).call::<SetMode>(&verify)), too_low);
    }
    assert_eq!(bench.session(1).call::<SetMode>(&verify).unwrap().mode, Mode::Verify);
    let set = |entry: &LogEntry| entry.kind == EntryKind::PolicySet;
    let acts: Vec<_> = bench.rig.borrow().log().into_iter().filter(set).collect();
    assert_eq!(acts.iter().map(|entry| entry.by).collect::<Vec<_>>(), [key(1).key_id().tag()]);

    let mut rig = Rig::new();
    for mode in [Mode::Verify, Mode::Both, Mode::Both, Mode::Identify] {
        let settled =
            |rig: &Rig| rig.log().iter().filter(|entry| entry.kind == EntryKind::PolicySet).count();
        let (before, was) = (settled(&rig), rig.shared.lock().mode());
        set_mode(&mut rig, mode);
        assert_eq!(settled(&rig) - before, usize::from(was != mode), "once each");
        rig = Rig::on(&rig.flash.clone());
        assert_eq!(rig.shared.lock().mode(), mode);
    }
}

#[test]
fn a_mode_that_could_not_be_written_down_does_not_hold() {
    let flash = MockFlash::new();
    let mut rig = Rig::on(&flash);
    enrol(&mut rig, "Ada", 1);
    set_mode(&mut rig, Mode::Verify);
    flash.set_capacity(Some(0));
    rig.call::<SetMode>(&ModeSet { mode: Mode::Identify }).unwrap_err();
    assert_eq!(rig.shared.lock().mode(), Mode::Verify);
    flash.set_capacity(None);
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), 0);
    assert_eq!(Rig::on(&flash).shared.lock().mode(), Mode::Verify);
}

#[test]
fn a_claim_that_could_not_be_written_down_opens_nothing() {
    let flash = MockFlash::new();
    let mut rig = Rig::on(&flash);
    enrol(&mut rig, "Ada", 1);
    set_mode(&mut rig, Mode::Verify);
    flash.set_capacity(Some(0));
    rig.give(of(ADA));
    rig.show(&[Show::Face(1); 5]);
    flash.set_capacity(None);
    rig.show(&[Show::Face(1); 5]);
    assert_eq!((rig.pulses(), told(&rig).len()), (0, 0));
}

/// Safety rule 9: a photo and somebody's badge open this door too.
#[test]
fn a_credential_replaces_no_acknowledgement() {
    let mut rig = two_enrolled(Mode::Verify);
    rig.call::<WithdrawPhoto>(&Nothing {}).unwrap();
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    assert_eq!(info.armed, Armed::Refuses(Cause::NotAcknowledged));
    for credential in [of(ADA), GUESS] {
        rig.give(credential);
        rig.show(&[Show::Face(1); 5]);
        let (_, _, reason, cause) = *told(&rig).last().unwrap();
        assert_eq!((reason, cause), (Reason::NotArmed, Cause::NotAcknowledged));
    }
    assert_eq!((rig.pulses(), failures(&rig)), (0, 0));
}

#[test]
fn a_claim_is_decided_by_the_claimed_persons_scores_alone() {
    let of = |subject, frames: &[Observation]| {
        let mut evidence = Evidence::about(subject, 50);
        for (i, frame) in (1..).zip(frames) {
            evidence.observe(Observation { at_ms: 100 * i, ..*frame });
        }
        evidence
    };
    let refused = |evidence: &mut Evidence, mode| {
        evidence.close();
        let standing = Standing { mode, ..READY };
        let outcome = outcome(decide(&settings(), evidence, &standing, |_| Ok(())));
        assert!(matches!(outcome.decision(), Decision::Refuse(_)));
        let entry = outcome.entry();
        (entry.reason, entry.cause, entry.person, entry.runner_up)
    };
    let ada = Subject::Person(ADA);
    let verify = Standing { mode: Mode::Verify, ..READY };
    let admitted = decide(&settings(), &of(ada, &[accepts(ADA); 2]), &verify, |_| Ok(()));
    assert_eq!(outcome(admitted).decision(), Decision::Admit(ADA));
    // Whatever is said of somebody else admits nobody, and stands in no entry as the claimed person's score.
    let mut of_grace = of(ada, &[accepts(GRACE); 10]);
    let unknown = (Reason::Unknown, Cause::None, ADA, EMMY);
    assert_eq!(refused(&mut of_grace, Mode::Verify), unknown);
    // One frame of the window that is somebody else's is enough against it.
    let graces = seen((ADA, 0.25), (GRACE, 0.75));
    let mut mixed = of(ada, &[accepts(ADA), graces, accepts(ADA)]);
    assert_eq!(decide(&settings(), &mixed, &verify, |_| Ok(())), Verdict::Pending);
    let other = (Reason::Unknown, Cause::OtherThanClaimed, ADA, GRACE);
    assert_eq!(refused(&mut mixed, Mode::Verify), other);
    // Nobody claimed, nobody asked for, and a mode that takes no claim.
    for (subject, mode, reason, cause) in [
        (Subject::Nobody, Mode::Verify, Reason::Unknown, Cause::UnknownCredential),
        (Subject::Nobody, Mode::Both, Reason::Unknown, Cause::UnknownCredential),
        (Subject::Everybody, Mode::Verify, Reason::Unknown, Cause::NoCredential),
        (ada, Mode::Identify, Reason::NotArmed, Cause::None),
    ] {
        let found = refused(&mut of(subject, &[accepts(ADA); 3]), mode);
        assert_eq!((found.0, found.1), (reason, cause), "{subject:?} {mode:?}");
    }
    assert_eq!(
        decide(&settings(), &of(Subject::Everybody, &[]), &verify, |_| Ok(())),
        Verdict::Pending
    );
}

/// Covers 60 units of 150 acts each: faces, credentials, gaps, announcements, faults of the camera and pulled plugs in any
/// order. No pulse but behind a durable admission of the person whom the last claim of that start names.
#[test]
fn no_order_of_faces_claims_and_starts_admits_anybody_but_the_claimed_person_by_their_own_face() {
    let (mut pulses, mut refusals) = (0, 0);
    for seed in 0..60 {
        let mut lots = Lots(seed);
        let flash = MockFlash::new();
        let mut rig = two_enrolled_on(&flash);
        let mut face = 1;
        let mut checked = 0;
        for _ in 0..150 {
            match lots.below(12) {
                0 => rig.give(of(lots.one_of(&[ADA, GRACE, PersonId(3)]))),
                1 => rig.give(of(if face == 1 { ADA } else { GRACE })),
                2 => rig.give(lots.one_of(&[GUESS, of(PersonId(77))])),
                3 => face = lots.one_of(&[1, 2, 9]),
                4 => rig.clock.advance(lots.below(12_000)),
                5 => rig.show(&[lots.one_of(&[Show::Arrival, Show::Departure, Show::Broken])]),
                6 => rig.show(&[lots.one_of(&[Show::Nobody, Show::Dark, Show::Nothing])]),
                7 if lots.below(4) == 0 => {
                    checked += check_pulses(&rig);
                    flash.cut_power(seed);
                    flash.power_on();
                    rig = Rig::on(&flash);
                    rig.clock.advance(60_000);
                }
                8 => rig.show(&[Show::Between(1, 2), Show::Beside(face)]),
                _ => rig.show(&vec![Show::Face(face); 1 + lots.below(4) as usize]),
            }
            let shown = rig.pulses();
            let told = told(&rig);
            let admitted =
                told.iter().filter(|of| of.2 == Reason::Matched && of.0 != EntryKind::Claim);
            assert!(admitted.count() >= shown, "seed {seed}");
        }
        checked += check_pulses(&rig);
        pulses += checked;
        refusals += told(&rig).iter().filter(|of| of.2 != Reason::Matched).count();
        // Each admission stands behind the claim of the same person, with no other claim or decision between.
        let told = told(&rig);
        for (at, entry) in told.iter().enumerate() {
            if entry.0 == EntryKind::Decision && entry.2 == Reason::Matched {
                assert_eq!(at.checked_sub(1).map(|before| told[before]), Some(claim(entry.1)));
            }
        }
    }
    assert!(pulses > 100 && refusals > 400, "{pulses} pulses, {refusals} refusals");
}

fn two_enrolled_on(flash: &MockFlash) -> Rig {
    let mut rig = Rig::on(flash);
    let enrolled = (enrol(&mut rig, "Ada", 1), enrol(&mut rig, "Grace", 2));
    assert_eq!(enrolled, (ADA, GRACE));
    set_mode(&mut rig, Mode::Verify);
    rig
}

/// Every pulse of this start has a durable entry that admits; how many there were.
fn check_pulses(rig: &Rig) -> usize {
    let seen = rig.told.lock().unwrap();
    assert!(seen.not_durable.is_empty());
    seen.pulses.len()
}

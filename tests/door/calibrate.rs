//! Calibration at the door: people of one face are told apart by a credential alone, strangers who came near raise the threshold when
//! an owner says so, and nothing ever lowers it.

use crate::keys::{Bench, administrator, key, refused};
use crate::rig::{LEN, MODEL, Rig, Show, template};
use crate::{ADA, GRACE, READY, anybody, closed, outcome, rule, seen, settings};
use std::time::Instant;
use threshold_models::engine::Embedding;
use threshold_models::search::{Index, quantise};
use threshold_policy::calibrate::{
    ALLOWED_MOST, Asked, RETRY_MS, Visit, asked, highest_rate, is_stranger,
};
use threshold_policy::forecast::Site;
use threshold_policy::rule::{Measured, derive};
use threshold_policy::{Alike, Calibrated, Nearest, Policy, Standing, decide};
use threshold_record::{
    Access, Cause, Credential, Decision, EntryKind, KeyTag, Metric, Mode, ModelId, ModelTag, Name,
    PersonId, Reason, Role, Score, Template, Threshold, ThresholdRule,
};
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::calibrate::{CalibrateAsk, CalibrateStep, CalibrateTold};
use threshold_wire::endpoints::{
    Calibrate, GetPolicy, PutPerson, PutTemplate, RemovePerson, SetMode, SetPolicy,
};
use threshold_wire::message::{IfThere, Nothing, PersonPut, PersonRemove, TemplatePut};
use threshold_wire::policy::{ModeSet, PolicyInfo, PolicySet};

fn ask(rig: &mut Rig, step: CalibrateStep, except: &[u64]) -> CalibrateTold {
    let except = except.iter().copied().collect();
    rig.call::<Calibrate>(&CalibrateAsk { step, except }).unwrap()
}

/// Asks for a calibration and lets the loop go round until it is there.
fn calibrated(rig: &mut Rig) -> CalibrateTold {
    ask(rig, CalibrateStep::Begin, &[]);
    for _ in 0..100 {
        rig.show(&[Show::Nothing]);
    }
    ask(rig, CalibrateStep::Look, &[])
}

fn policy(rig: &mut Rig) -> PolicyInfo {
    rig.call::<GetPolicy>(&Nothing {}).unwrap()
}

fn number(person: PersonId) -> Credential {
    Credential::Keypad { digits: 4, number: person.0 }
}

fn give_number(rig: &mut Rig, person: PersonId) {
    let credentials = [number(person)].into_iter().collect();
    let access = Access { credentials, ..Access::default() };
    let mut state = rig.shared.lock();
    state.journal_mut().unwrap().store_mut().set_access(person, access).unwrap();
    state.gallery_changed();
}

fn last(rig: &Rig) -> (PersonId, Reason, Cause) {
    let entry = *rig.decisions().last().unwrap();
    (entry.person, entry.reason, entry.cause)
}

#[test]
fn one_photo_under_two_names_admits_neither_by_the_face_and_both_by_a_credential() {
    let mut rig = Rig::new();
    assert_eq!((rig.enrol("Ada", 1), rig.enrol("Grace", 1)), (ADA, GRACE));
    // Another photo of Ada's, from which no face of Grace's template is near: the margin alone would admit it.
    rig.enrol("Ada", 2);
    rig.call::<SetMode>(&ModeSet { mode: Mode::Both }).unwrap();
    for person in [ADA, GRACE] {
        give_number(&mut rig, person);
    }
    rig.show(&[Show::Nothing]);
    for face in [1, 2] {
        rig.visit(Show::Face(face), 60);
        assert_eq!(last(&rig), (ADA, Reason::Ambiguous, Cause::SameFace), "{face}");
    }
    assert_eq!(rig.pulses(), 0);
    for (pulses, person) in (1..).zip([ADA, GRACE]) {
        rig.give(number(person));
        rig.show(&[Show::Face(1); 4]);
        assert_eq!(last(&rig), (person, Reason::Matched, Cause::None));
        assert_eq!(rig.pulses(), pulses);
        rig.clock.advance(20_000);
        rig.show(&[Show::Nothing; 2]);
    }
    // A number of one of them and the face of somebody else is what it ever was.
    rig.give(number(GRACE));
    rig.show(&[Show::Face(9); 3]);
    rig.clock.advance(20_000);
    rig.show(&[Show::Nothing]);
    assert_eq!(last(&rig), (GRACE, Reason::Unknown, Cause::None));
    let told = calibrated(&mut rig);
    assert_eq!((told.near_twins, told.same_face, told.pairs.len()), (2, 2, 1));
    let pair = told.pairs[0];
    assert_eq!((pair.person, pair.other, pair.alike), (ADA, GRACE, Cause::SameFace));
    // With the one gone the other is admitted by the face again.
    rig.call::<RemovePerson>(&PersonRemove { person: GRACE }).unwrap();
    rig.show(&[Show::Nothing]);
    rig.visit(Show::Face(1), 3);
    assert_eq!(last(&rig), (ADA, Reason::Matched, Cause::None));
}

#[test]
fn three_of_one_face_are_told_apart_by_their_credentials() {
    let mut rig = Rig::new();
    let people = ["Ada", "Grace", "Emmy"].map(|name| rig.enrol(name, 1));
    rig.call::<SetMode>(&ModeSet { mode: Mode::Both }).unwrap();
    people.iter().for_each(|&person| give_number(&mut rig, person));
    rig.show(&[Show::Nothing]);
    for person in people {
        rig.give(number(person));
        rig.show(&[Show::Face(1); 4]);
        assert_eq!(last(&rig), (person, Reason::Matched, Cause::None));
        rig.clock.advance(20_000);
        rig.show(&[Show::Nothing; 2]);
    }
}

#[test]
fn an_empty_gallery_and_a_person_without_a_template_calibrate_to_the_shipped_threshold() {
    let mut rig = Rig::new();
    let told = calibrated(&mut rig);
    assert_eq!((told.people, told.pairs.len(), told.near_twins), (0, 0, 0));
    let derived = told.derived.unwrap();
    assert_eq!((derived.asked, derived.threshold), (None, told.shipped));
    let name = Name::new("Ada").unwrap();
    rig.call::<PutPerson>(&PersonPut { name, if_there: IfThere::Refuse }).unwrap();
    rig.enrol("Grace", 2);
    let told = calibrated(&mut rig);
    assert_eq!((told.people, told.without_template, told.pairs.len()), (2, 1, 0));
    ask(&mut rig, CalibrateStep::Apply, &[]);
    let policy = policy(&mut rig);
    assert_eq!(policy.threshold, told.shipped);
    assert_eq!(policy.calibration.unwrap().strangers, 0);
}

/// A face between two axes was a stranger's at ten people, whose threshold it did not reach, and would be admitted at one.
fn after_a_stranger() -> Rig {
    let mut rig = rule::rig();
    for number in 1..11 {
        rig.enrol(&format!("person {number}"), number);
    }
    rig.visit(Show::Between(1, 127), 3);
    assert_eq!(last(&rig), (ADA, Reason::Unknown, Cause::None));
    for id in 2..=10 {
        rig.call::<RemovePerson>(&PersonRemove { person: PersonId(id) }).unwrap();
    }
    rig.clock.advance(2 * RETRY_MS);
    rig
}

#[test]
fn a_stranger_who_came_near_raises_the_threshold_by_the_owners_word_until_it_is_taken_back() {
    let mut rig = after_a_stranger();
    let told = calibrated(&mut rig);
    let strangers = told.strangers.unwrap();
    assert_eq!((strangers.visits, strangers.comparable, strangers.retries), (1, 1, 0));
    assert_eq!(strangers.highest[0].person, ADA);
    let derived = told.derived.unwrap();
    assert!(!derived.shown && derived.refusal.is_none() && derived.threshold.0 > told.shipped.0);
    assert_eq!(derived.asked, Some(derived.threshold));
    assert!(!derived.threshold.accepts(strangers.highest[0].score));
    // Nothing holds before the owner says so.
    assert_eq!((policy(&mut rig).threshold, policy(&mut rig).calibration), (told.shipped, None));
    ask(&mut rig, CalibrateStep::Apply, &[]);
    let entry = *rig.log().last().unwrap();
    assert_eq!((entry.kind, entry.by), (EntryKind::Calibrated, KeyTag::NOBODY));
    assert!((entry.threshold.0 - derived.threshold.0.0).abs() < 1e-4, "{entry:?}");
    let held = policy(&mut rig);
    assert_eq!(held.threshold, derived.threshold);
    assert!(!held.calibration.unwrap().stale);
    assert!(held.one.threshold < held.threshold, "1:1 is not what strangers were compared in");
    rig.visit(Show::Between(1, 127), 3);
    assert_eq!((last(&rig).1, rig.pulses()), (Reason::Unknown, 0));
    // It outlives a start, and is stale once the gallery grew.
    let mut rig = Rig::of(&rig.flash.clone(), Some(rule::model()));
    assert_eq!(policy(&mut rig).threshold, derived.threshold);
    rig.enrol("Grace", 2);
    let grown = policy(&mut rig);
    assert!(grown.calibration.unwrap().stale && grown.threshold >= derived.threshold);
    rig.call::<RemovePerson>(&PersonRemove { person: PersonId(11) }).unwrap();
    ask(&mut rig, CalibrateStep::Drop, &[]);
    assert_eq!((policy(&mut rig).threshold, policy(&mut rig).calibration), (told.shipped, None));
    rig.visit(Show::Between(1, 127), 3);
    assert_eq!((last(&rig).1, rig.pulses()), (Reason::Matched, 1));
}

#[test]
fn whom_a_stricter_threshold_hides_still_speaks_against_a_claim() {
    let mut rig = after_a_stranger();
    let grace = rig.enrol("Grace", 2);
    give_number(&mut rig, ADA);
    rig.call::<SetMode>(&ModeSet { mode: Mode::Both }).unwrap();
    let claim = |rig: &mut Rig| {
        rig.show(&[Show::Nothing]);
        rig.give(number(ADA));
        rig.show(&[Show::Between(1, 2); 4]);
        rig.clock.advance(20_000);
        rig.show(&[Show::Nothing; 2]);
        let entry = *rig.decisions().last().unwrap();
        assert_eq!((entry.reason, entry.runner_up), (Reason::Ambiguous, grace));
        (entry.threshold.0, entry.runner_up_score.0)
    };
    claim(&mut rig);
    calibrated(&mut rig);
    ask(&mut rig, CalibrateStep::Apply, &[]);
    // Nobody so alike is recognised by the face any more; that the face is as near to Grace's is no less true.
    let (_, runner_up) = claim(&mut rig);
    assert!(runner_up < policy(&mut rig).threshold.0.0);
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn what_is_in_force_is_lowered_by_taking_it_away_alone() {
    let mut rig = after_a_stranger();
    let told = calibrated(&mut rig);
    let sequence = told.strangers.unwrap().highest[0].sequence;
    ask(&mut rig, CalibrateStep::Apply, &[]);
    let held = policy(&mut rig).threshold;
    assert!(held.0 > told.shipped.0);
    let without = ask(&mut rig, CalibrateStep::Apply, &[sequence]);
    assert_eq!(without.strangers.unwrap().visits, 0);
    // It stays, with what it rests on.
    let kept = policy(&mut rig);
    assert_eq!((kept.threshold, kept.calibration.unwrap().strangers), (held, 1));
    let entries =
        |rig: &Rig| rig.log().iter().filter(|entry| entry.kind == EntryKind::Calibrated).count();
    let before = entries(&rig);
    ask(&mut rig, CalibrateStep::Apply, &[sequence]);
    assert_eq!(entries(&rig), before, "nothing is said twice");
    ask(&mut rig, CalibrateStep::Drop, &[]);
    ask(&mut rig, CalibrateStep::Apply, &[sequence]);
    assert_eq!(policy(&mut rig).threshold, told.shipped);
}

#[test]
fn whoever_is_enrolled_while_the_log_is_read_was_compared_with_nobody_in_it() {
    let mut rig = after_a_stranger();
    calibrated(&mut rig);
    rig.enrol("Grace", 2);
    for _ in 0..100 {
        rig.show(&[Show::Nothing]);
    }
    let told = ask(&mut rig, CalibrateStep::Apply, &[]);
    assert!(told.derived.is_some_and(|derived| !derived.shown));
    assert_eq!(told.strangers.unwrap().comparable, 0);
    assert!(policy(&mut rig).calibration.unwrap().stale);
}

#[test]
fn an_entry_that_the_owner_knows_better_is_left_out() {
    let mut rig = after_a_stranger();
    let told = calibrated(&mut rig);
    let sequence = told.strangers.unwrap().highest[0].sequence;
    let without = ask(&mut rig, CalibrateStep::Look, &[sequence]);
    assert_eq!(without.strangers.unwrap().visits, 0);
    assert_eq!(without.derived.unwrap().threshold, told.shipped);
}

#[test]
fn whoever_tried_again_and_was_recognised_is_no_stranger_and_neither_is_a_claim() {
    let mut rig = rule::rig();
    rig.enrol("Ada", 1);
    give_number(&mut rig, ADA);
    rig.call::<SetMode>(&ModeSet { mode: Mode::Both }).unwrap();
    // Two frames only, then again: it was Ada.
    rig.visit(Show::Face(1), 2);
    assert_eq!(last(&rig), (ADA, Reason::TooFewFrames, Cause::None));
    rig.visit(Show::Face(1), 3);
    rig.clock.advance(2 * RETRY_MS);
    // Somebody with her number: compared with her alone.
    rig.give(number(ADA));
    rig.show(&[Show::Face(9); 3]);
    rig.clock.advance(2 * RETRY_MS);
    rig.show(&[Show::Nothing; 2]);
    assert_eq!(last(&rig), (ADA, Reason::Unknown, Cause::None));
    let strangers = calibrated(&mut rig).strangers.unwrap();
    assert_eq!((strangers.visits, strangers.retries), (0, 1));
}

#[test]
fn a_stranger_as_like_as_a_photo_is_refused_as_a_calibration() {
    let mut rig = rule::rig();
    rig.enrol("Ada", 1);
    rig.visit(Show::Face(1), 2);
    rig.clock.advance(2 * RETRY_MS);
    let told = calibrated(&mut rig);
    assert_eq!(told.derived.unwrap().refusal, Some(Cause::TooManyRefusals));
    ask(&mut rig, CalibrateStep::Apply, &[]);
    let policy = policy(&mut rig);
    assert_eq!((policy.threshold, policy.calibration), (told.shipped, None));
}

#[test]
fn only_an_owner_hears_who_is_whose_twin_and_the_log_names_the_owner() {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
    let except = heapless::Vec::new();
    let mut ask = CalibrateAsk { step: CalibrateStep::Begin, except };
    for (byte, role) in &roles[1..] {
        let too_low = RequestError::RoleTooLow { least: Role::Owner, role: *role };
        assert_eq!(refused(bench.session(*byte).call::<Calibrate>(&ask)), too_low);
    }
    let mut owner = bench.session(1);
    owner.call::<Calibrate>(&ask).unwrap();
    bench.rig.borrow_mut().show(&[Show::Nothing; 9]);
    ask.step = CalibrateStep::Apply;
    assert!(owner.call::<Calibrate>(&ask).unwrap().derived.is_some());
    let entry = *bench.rig.borrow().log().last().unwrap();
    assert_eq!((entry.kind, entry.by), (EntryKind::Calibrated, key(1).key_id().tag()));
}

#[test]
fn a_retry_is_one_of_the_same_person_and_start_within_a_minute() {
    let visit = |at_ms, person: PersonId, recognised| Visit {
        sequence: at_ms,
        boot: 1,
        at_ms,
        person,
        score: Score(0.5),
        recognised,
    };
    let refused = visit(100_000, ADA, false);
    for (other, stranger) in [
        (visit(100_000 + RETRY_MS, ADA, true), false),
        (visit(100_001 + RETRY_MS, ADA, true), true),
        (visit(101_000, GRACE, true), true),
        (visit(101_000, ADA, false), true),
        (Visit { boot: 2, ..visit(101_000, ADA, true) }, true),
    ] {
        assert_eq!(is_stranger(&[refused, other], 0), stranger, "{other:?}");
    }
    for (at_ms, stranger) in [(100_000 - RETRY_MS, false), (99_999 - RETRY_MS, true)] {
        assert_eq!(is_stranger(&[visit(at_ms, ADA, true), refused], 1), stranger, "{at_ms}");
    }
    assert!(!is_stranger(&[visit(1, ADA, true)], 0), "whoever was recognised is none");
}

#[test]
fn bounds_are_those_of_clopper_and_pearson() {
    for (k, n, expected) in [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (0, 10, 0.2589),
        (1, 10, 0.3942),
        (0, 3000, 0.000_998),
        (10, 1000, 0.016_91),
        (200, 86_400, 0.002_602),
        (201, 86_400, 1.0),
        (199, 200, 0.999_74),
        (195, 200, 0.9901),
        (150, 151, 0.999_66),
        (200, 205, 0.9904),
    ] {
        let found = highest_rate(k, n);
        assert!((found / expected - 1.0).abs() < 2e-3, "{k} of {n}: {found}, not {expected}");
    }
}

#[test]
fn strangers_ask_for_a_threshold_that_keeps_the_target_or_lies_above_them_all() {
    let scores = |n: u32| (0..n).map(|i| Score(0.6 - 1e-5 * i as f32)).collect::<Vec<_>>();
    assert_eq!(asked(&[], Some(0.01)), None);
    for (n, fpir, allowed, shown) in [
        (1, Some(0.01), 0, false),
        (298, Some(0.01), 0, false),
        (299, Some(0.01), 0, true),
        (473, Some(0.01), 1, true),
        (5000, None, 0, false),
        (86_400, Some(0.1), ALLOWED_MOST as u32, true),
    ] {
        let scores = scores(n);
        let found = asked(&scores, fpir).unwrap();
        let Asked { threshold, .. } = found;
        assert_eq!((found.allowed, found.shown), (allowed, shown), "{n} at {fpir:?}");
        let above = scores.iter().filter(|&&score| threshold.accepts(score)).count();
        assert!(above <= allowed as usize, "{n} at {fpir:?}: {above}");
        if let (true, Some(fpir)) = (shown, fpir) {
            assert!(highest_rate(above as u32, n) <= fpir * 1.001);
        }
    }
}

#[test]
fn whatever_is_calibrated_the_threshold_is_never_below_the_shipped_one() {
    let (mut lots, distributions) = (Lots(3), rule::model());
    let model =
        Measured { id: MODEL, metric: Metric::SquaredL2, distributions: Some(&distributions) };
    let floor = Policy::for_model(Metric::SquaredL2, 1.14);
    let mut raised = 0;
    for _ in 0..2_000 {
        let people = 1 + lots.below(40) as u32;
        let site = Site { people, templates_each: 1.0, strangers_a_day: 0.0, visits_a_day: 0.0 };
        let score = 0.5 + 0.5 * lots.unit();
        let score = Score(lots.one_of(&[f32::NAN, -1.0, score, f32::INFINITY]));
        let rule = match lots.below(3) {
            0 => ThresholdRule::Fixed { model: MODEL, threshold: Threshold(Score(0.7)) },
            _ => ThresholdRule::Target { fpir: 1e-3 },
        };
        let id = lots.one_of(&[MODEL, ModelId([8; 32])]);
        let calibrated = Calibrated {
            model: id,
            by: KeyTag::NOBODY,
            threshold: Threshold(score),
            people,
            templates: people,
            newest: ADA,
            strangers: 9,
        };
        let with = Calibrated::floor(Some(&calibrated), &floor, MODEL);
        let shipped = derive(&rule, &floor, &model, &site).policy.threshold;
        let found = derive(&rule, &with, &model, &site).policy.threshold;
        let expected = match id == MODEL && score > shipped.0 {
            true => Threshold(score),
            false => shipped,
        };
        assert_eq!(found, expected, "{calibrated:?}");
        raised += u32::from(found > shipped);
    }
    assert!(raised > 100, "{raised}");
}

fn vector(lots: &mut Lots) -> Vec<f32> {
    (0..LEN).map(|_| (0..4).map(|_| lots.unit() - 0.5).sum()).collect()
}

fn unit(values: Vec<f32>) -> Embedding {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    Embedding(values.into_iter().map(|value| value / norm).collect())
}

/// Of 3,000 pairs from one photo to 0.25 alike, each searched by the door's own index with a probe halfway between the two and with
/// each one's own template.
#[test]
fn nobody_equally_alike_to_near_twins_is_admitted_by_the_face() {
    let mut lots = Lots(11);
    let policy = Policy { frames_needed: 1, frames_window: 1, ..settings() };
    let mut seen_as = [0u32; 3];
    for turn in 0..3_000 {
        let a = unit(vector(&mut lots));
        let apart = if turn % 10 == 0 { 0.0 } else { 4.0 * lots.unit() };
        let other = unit(vector(&mut lots));
        let b = unit(a.0.iter().zip(&other.0).map(|(a, b)| a + apart * b).collect());
        let of = |person: PersonId, embedding: &Embedding| {
            let (scale, vector) = quantise(embedding);
            let vector = vector.into_iter().collect();
            Template { person, slot: 0, quality: 90, model: ModelTag([7; 8]), scale, vector }
        };
        let index = Index::new(Metric::SquaredL2, &[of(ADA, &a), of(GRACE, &b)]).unwrap();
        let score = index.verify(&a, ADA).unwrap().runner_up.unwrap().score;
        let back = index.verify(&b, GRACE).unwrap().runner_up.unwrap().score;
        assert!((score.0 - back.0).abs() < 1e-5, "either way the same");
        let nearest = [
            Nearest { person: ADA, other: GRACE, score },
            Nearest { person: GRACE, other: ADA, score },
        ];
        let standing = Standing { nearest: &nearest, ..READY };
        let alike = policy.alike(score);
        seen_as[alike as usize] += 1;
        let between = unit(a.0.iter().zip(&b.0).map(|(a, b)| a + b).collect());
        for (probe, own) in [(&between, false), (&a, true), (&b, true)] {
            let found = index.search(probe).unwrap();
            let (best, other) = (found.best.unwrap(), found.runner_up.unwrap());
            let frame = seen((best.person, best.score.0), (other.person, other.score.0));
            let outcome = outcome(decide(&policy, &closed(&[frame]), &standing, anybody));
            let admitted = matches!(outcome.decision(), Decision::Admit(_));
            if !own || alike == Alike::SameFace {
                assert!(!admitted, "{alike:?} {score:?}: {outcome:?}");
                let cause = match alike {
                    Alike::Apart => Cause::None,
                    Alike::NearTwins => Cause::NearTwins,
                    Alike::SameFace => Cause::SameFace,
                };
                assert_eq!((outcome.reason(), outcome.cause()), (Reason::Ambiguous, cause));
            } else if alike == Alike::Apart {
                assert!(admitted, "{score:?}: {outcome:?}");
            }
        }
    }
    assert!(seen_as.iter().all(|&n| n > 100), "{seen_as:?}");
}

#[test]
fn the_levels_of_likeness_end_where_they_say() {
    let policy = settings();
    for (score, alike) in [
        (0.374, Alike::Apart),
        (0.375, Alike::NearTwins),
        (0.875, Alike::NearTwins),
        (0.876, Alike::SameFace),
        (1.0, Alike::SameFace),
        (f32::NAN, Alike::SameFace),
        (-2.0, Alike::Apart),
    ] {
        assert_eq!(policy.alike(Score(score)), alike, "{score}");
    }
}

/// A slice is bounded, and a gallery of 300 people is compared in so many as its size takes.
#[test]
fn pairs_are_compared_in_slices_and_never_while_a_visit_is_open() {
    let mut rig = Rig::new();
    // So many arm at a loose target alone, and a unit that is not armed ends the visit at once.
    let rule = ThresholdRule::Target { fpir: ThresholdRule::FPIR_MOST };
    rig.call::<SetPolicy>(&PolicySet { rule }).unwrap();
    for number in 0..300 {
        let put = PersonPut {
            name: Name::new(&format!("person {number}")).unwrap(),
            if_there: IfThere::Refuse,
        };
        let person = rig.call::<PutPerson>(&put).unwrap().person;
        let template = template(person, 0, number % LEN);
        rig.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
    }
    let compared = |rig: &Rig| rig.shared.lock().templates_compared();
    assert_eq!(compared(&rig), (0, false));
    rig.show(&[Show::Arrival]);
    // The step in which somebody comes begins with a slice; none follows while the visit is open.
    let (first, _) = compared(&rig);
    assert!(first > 0 && first as usize * 300 <= threshold_edge::state::WORK, "{first}");
    rig.show(&[Show::Nobody; 5]);
    assert_eq!(compared(&rig), (first, false));
    rig.show(&[Show::Departure, Show::Nothing, Show::Nothing]);
    assert_eq!(compared(&rig), (300, true));
    let told = calibrated(&mut rig);
    assert_eq!(
        (told.compared, told.near_twins),
        (300, 300),
        "every axis is two people's or three's"
    );
}

/// Prints what all pairs of 1,000 people with three templates take by the index; `--nocapture` shows it.
#[test]
#[allow(clippy::print_stdout, reason = "a figure for whoever asks for it")]
fn pace_of_all_pairs_of_a_thousand_people() {
    let mut lots = Lots(5);
    for len in [128usize, 512] {
        let embeddings: Vec<Embedding> =
            (0..3_000).map(|_| unit((0..len).map(|_| lots.unit() - 0.5).collect())).collect();
        let templates: Vec<Template> = (0u32..)
            .zip(&embeddings)
            .map(|(i, embedding)| {
                let (scale, vector) = quantise(embedding);
                let (person, slot) = (PersonId(i / 3 + 1), (i % 3) as u8);
                let vector = vector.into_iter().collect();
                Template { person, slot, quality: 90, model: ModelTag([7; 8]), scale, vector }
            })
            .collect();
        let index = Index::new(Metric::SquaredL2, &templates).unwrap();
        let start = Instant::now();
        let found = embeddings.iter().zip(&templates).filter(|(probe, template)| {
            index.verify(probe, template.person).is_ok_and(|found| found.runner_up.is_some())
        });
        assert_eq!(found.count(), 3_000);
        let whole = start.elapsed();
        let slice = whole / (9_000_000 / threshold_edge::state::WORK as u32);
        println!(
            "{len} components: all pairs of 3,000 templates in {whole:.1?}, a slice of {slice:.1?}"
        );
    }
}

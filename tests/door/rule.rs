//! The rule at the door: the threshold moves with the gallery before anybody is compared with it, a unit that cannot keep its
//! target stays locked and says why, and only an owner settles another.

use crate::keys::{Bench, administrator, key, refused};
use crate::rig::{MODEL, Rig, Show, template};
use threshold_models::import::description;
use threshold_models::pack::Network;
use threshold_policy::Policy;
use threshold_policy::forecast::Site;
use threshold_policy::rule::{self, Measured};
use threshold_record::distribution::INDEPENDENT;
use threshold_record::{
    Cause, ContextKind, Distributions, EntryKind, KeyTag, LogEntry, ModelId, PersonId, Quantile,
    Reason, Role, Score, Threshold, ThresholdRule,
};
use threshold_store::{FlashFault, MockFlash};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, GetPolicy, PutTemplate, RemovePerson, SetPolicy};
use threshold_wire::message::{Armed, Info, Nothing, PersonRemove, TemplatePut};
use threshold_wire::policy::{PolicyInfo, PolicyRefusal, PolicySet};

/// FMR 10^-1 at 0.85, a half decade every 0.05, so 1e-3 at 0.65, 1e-4 at 0.55 and 1e-5 at 0.45, squared L2; half of the
/// genuine at 0.5. A face between two axes is 0.586 from each.
pub(crate) fn model() -> Distributions {
    let exact = |at: f32| Quantile { at, low: at, high: at };
    Distributions {
        impostor: std::array::from_fn(|knot| exact(0.85 - 0.05 * knot as f32)),
        tail: exact(0.05),
        genuine: [0.1, 0.3, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85].map(exact),
        templates: INDEPENDENT,
    }
}

pub(crate) fn rig() -> Rig {
    Rig::of(&MockFlash::new(), Some(model()))
}

const fn target(fpir: f64) -> PolicySet {
    PolicySet { rule: ThresholdRule::Target { fpir } }
}

const fn fixed(score: f32) -> PolicySet {
    let threshold = Threshold(Score(score));
    PolicySet { rule: ThresholdRule::Fixed { model: MODEL, threshold } }
}

fn info(rig: &mut Rig) -> (Info, PolicyInfo) {
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    let policy = info.policy.unwrap();
    (info, policy)
}

fn enrol_many(rig: &mut Rig, numbers: std::ops::Range<usize>) {
    numbers.for_each(|number| {
        rig.enrol(&format!("person {number}"), number);
    });
}

fn distance(policy: &PolicyInfo) -> f32 {
    threshold_record::Metric::SquaredL2.distance(policy.threshold.0)
}

#[track_caller]
fn near(found: f32, expected: f32) {
    assert!((found - expected).abs() < 1e-3, "found {found}, expected {expected}");
}

#[test]
fn the_threshold_rises_with_the_gallery_and_falls_with_it() {
    let mut rig = rig();
    let (_, policy) = info(&mut rig);
    assert_eq!((policy.rule, policy.people), (ThresholdRule::DEFAULT, 0));
    assert_eq!(policy.threshold, policy.floor, "nobody can be taken for anybody");
    let ada = rig.enrol("Ada", 1);
    near(distance(&info(&mut rig).1), 0.65);
    rig.visit(Show::Between(1, 127), 3);
    enrol_many(&mut rig, 2..11);
    let (_, policy) = info(&mut rig);
    near(distance(&policy), 0.55);
    let forecast = policy.forecast.unwrap();
    assert!((forecast.fpir_high / 1e-3 - 1.0).abs() < 1e-3, "{forecast:?}");
    assert!((forecast.fnir - 0.3).abs() < 1e-3, "{forecast:?}");
    rig.visit(Show::Between(1, 127), 3);
    (2..=10).for_each(|id| {
        rig.call::<RemovePerson>(&PersonRemove { person: PersonId(id) }).unwrap();
    });
    near(distance(&info(&mut rig).1), 0.65);
    rig.visit(Show::Between(1, 127), 3);
    let decisions = rig.decisions();
    let found: Vec<_> = decisions.iter().map(|entry| (entry.person, entry.reason)).collect();
    assert_eq!(found, [(ada, Reason::Matched), (ada, Reason::Unknown), (ada, Reason::Matched)]);
    assert_eq!(rig.pulses(), 2);
}

#[test]
fn a_visit_under_way_is_decided_by_the_threshold_of_the_grown_gallery() {
    let mut rig = rig();
    let ada = rig.enrol("Ada", 1);
    rig.show(&[Show::Arrival, Show::Between(1, 127), Show::Between(1, 127)]);
    // Two of the three frames are scored, and at one person they would count.
    for slot in 1..8 {
        let template = template(ada, slot, 2 + usize::from(slot));
        rig.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
    }
    // Templates count, not people.
    near(distance(&info(&mut rig).1), 0.56);
    rig.show(&[Show::Between(1, 127), Show::Departure]);
    assert_eq!((rig.decisions()[0].reason, rig.pulses()), (Reason::Unknown, 0));
}

#[test]
fn whom_a_visit_under_way_found_is_not_admitted_once_removed() {
    let mut rig = rig();
    let ada = rig.enrol("Ada", 1);
    enrol_many(&mut rig, 2..6);
    let face = Show::Between(1, 127);
    // With five people it lies beyond the threshold, with four within: all three frames would count.
    rig.show(&[Show::Arrival, face, face, face]);
    assert_eq!(rig.decisions(), []);
    rig.call::<RemovePerson>(&PersonRemove { person: ada }).unwrap();
    near(distance(&info(&mut rig).1), 0.59);
    rig.show(&[Show::Departure]);
    assert_eq!((rig.decisions()[0].reason, rig.pulses()), (Reason::TooFewFrames, 0));
}

#[test]
fn a_target_out_of_reach_leaves_the_door_locked_and_says_why() {
    let mut rig = rig();
    enrol_many(&mut rig, 1..32);
    assert_eq!(info(&mut rig).0.armed, Armed::Armed);
    enrol_many(&mut rig, 32..33);
    let why = Cause::TooManyRefusals;
    let (told, policy) = info(&mut rig);
    assert_eq!(told.armed, Armed::Refuses(why));
    assert_eq!(policy.refusal, Some(PolicyRefusal { why, people_at_most: 31 }));
    let entry = *rig.log().last().unwrap();
    let disarmed = rig.log().into_iter().rfind(|entry| entry.kind == EntryKind::Disarmed).unwrap();
    assert_eq!((disarmed.cause, entry.kind), (why, EntryKind::Enrolled));
    assert!(rig.notices().contains("have at most 31 people"), "{}", rig.notices());
    rig.visit(Show::Face(1), 5);
    let decision = rig.decisions()[0];
    assert_eq!((decision.reason, decision.cause), (Reason::NotArmed, why));
    assert_eq!(rig.pulses(), 0);
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty(), "no probe was scored");
    // A start refuses too, and one person fewer arms.
    let mut rig = Rig::of(&rig.flash, Some(model()));
    assert_eq!(info(&mut rig).0.armed, Armed::Refuses(why));
    rig.call::<RemovePerson>(&PersonRemove { person: PersonId(32) }).unwrap();
    assert_eq!(info(&mut rig).0.armed, Armed::Armed);
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), 1);
}

#[test]
fn further_than_measured_is_no_threshold() {
    let mut rig = rig();
    rig.enrol("Ada", 1);
    rig.call::<SetPolicy>(&target(1e-7)).unwrap();
    let why = Cause::BeyondMeasurement;
    let (told, policy) = info(&mut rig);
    assert_eq!(told.armed, Armed::Refuses(why));
    assert_eq!(policy.refusal, Some(PolicyRefusal { why, people_at_most: 0 }));
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn a_model_that_nobody_measured_arms_at_the_owners_risk_only() {
    let mut rig = Rig::of(&MockFlash::new(), None);
    rig.enrol("Ada", 1);
    let why = Cause::NotMeasured;
    let (told, policy) = info(&mut rig);
    assert_eq!(told.armed, Armed::Refuses(why));
    assert_eq!((policy.forecast, policy.threshold), (None, policy.floor));
    rig.visit(Show::Face(1), 3);
    assert_eq!((rig.decisions()[0].cause, rig.pulses()), (why, 0));
    let policy = rig.call::<SetPolicy>(&fixed(0.75)).unwrap();
    assert_eq!((policy.threshold.0, policy.refusal), (Score(0.75), None));
    let kinds: Vec<_> = rig.log().iter().rev().take(2).map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Armed, EntryKind::PolicySet]);
    assert!(rig.notices().contains("fixed by the owner, who takes the risk"), "{}", rig.notices());
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), 1);
}

#[test]
fn an_owners_fixed_threshold_arms_what_no_target_would_and_says_what_it_means() {
    let mut rig = rig();
    enrol_many(&mut rig, 1..41);
    assert_eq!(info(&mut rig).0.armed, Armed::Refuses(Cause::TooManyRefusals));
    // Distance 0.65, FMR 1e-3.
    let policy = rig.call::<SetPolicy>(&fixed(0.675)).unwrap();
    let forecast = policy.forecast.unwrap();
    assert!((forecast.fpir - (1.0 - (1.0 - 1e-3f64).powi(40))).abs() < 1e-4, "{forecast:?}");
    assert_eq!(info(&mut rig).0.armed, Armed::Armed);
    assert!(rig.notices().contains("forecast FPIR 3.9e-2"), "{}", rig.notices());
    enrol_many(&mut rig, 41..43);
    assert_eq!(info(&mut rig).1.threshold.0, Score(0.675), "it stays whatever the gallery holds");
    rig.visit(Show::Between(1, 127), 3);
    assert_eq!(rig.pulses(), 1);
}

#[test]
fn what_no_owner_may_settle_changes_nothing() {
    let mut rig = rig();
    rig.enrol("Ada", 1);
    let (before, entries) = (info(&mut rig).1, rig.log().len());
    for fpir in [0.0, -1.0, 0.11, f64::NAN, f64::INFINITY] {
        let error = rig.call::<SetPolicy>(&target(fpir)).unwrap_err();
        assert_eq!(error, RequestError::BadTarget, "{fpir}");
    }
    // The floor is 0.969, a score of 0.5155.
    for score in [0.515, 1.0, f32::NAN, f32::INFINITY, -1.0] {
        let error = rig.call::<SetPolicy>(&fixed(score)).unwrap_err();
        assert_eq!(error, RequestError::BadThreshold, "{score}");
    }
    let other = ModelId([8; 32]);
    let rule = ThresholdRule::Fixed { model: other, threshold: Threshold(Score(0.9)) };
    let error = rig.call::<SetPolicy>(&PolicySet { rule }).unwrap_err();
    assert_eq!(error, RequestError::WrongModel { unit: MODEL, host: other });
    // What is settled already is no change.
    rig.call::<SetPolicy>(&PolicySet { rule: ThresholdRule::DEFAULT }).unwrap();
    assert_eq!((info(&mut rig).1, rig.log().len()), (before, entries));
}

#[test]
fn a_viewer_reads_an_owner_settles_and_the_log_names_the_key() {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
    for (byte, role) in &roles[1..] {
        let mut session = bench.session(*byte);
        assert_eq!(session.call::<GetPolicy>(&Nothing {}).unwrap().rule, ThresholdRule::DEFAULT);
        let too_low = RequestError::RoleTooLow { least: Role::Owner, role: *role };
        assert_eq!(refused(session.call::<SetPolicy>(&target(1e-4))), too_low);
    }
    assert_eq!(refused(bench.greet().call::<GetPolicy>(&Nothing {})), RequestError::InsecureLink);
    let policy = bench.session(1).call::<SetPolicy>(&target(1e-4)).unwrap();
    assert_eq!(policy.rule, target(1e-4).rule);
    let set = |entry: &LogEntry| entry.kind == EntryKind::PolicySet;
    let acts: Vec<_> = bench.rig.borrow().log().into_iter().filter(set).collect();
    assert_eq!(acts.len(), 1);
    assert_eq!((acts[0].by, acts[0].about), (key(1).key_id().tag(), KeyTag::NOBODY));
}

#[test]
fn what_was_settled_last_survives_starts_and_power_cuts() {
    let mut rig = rig();
    rig.enrol("Ada", 1);
    // Back and forth: the last one counts, though the log holds the same words before.
    for fpir in [1e-4, 1e-2, 1e-4, 1e-2, 1e-4] {
        rig.call::<SetPolicy>(&target(fpir)).unwrap();
    }
    let flash = rig.flash;
    for seed in 0..8 {
        flash.cut_power(seed);
        flash.power_on();
        let mut rig = Rig::of(&flash, Some(model()));
        assert_eq!(info(&mut rig).1.rule, target(1e-4).rule);
        near(distance(&info(&mut rig).1), 0.55);
        rig.visit(Show::Between(1, 127), 3);
        assert_eq!(rig.pulses(), 0);
    }
}

#[test]
fn a_cut_while_an_owner_settles_leaves_the_old_rule_or_the_new_one() {
    let mut rig = rig();
    rig.enrol("Ada", 1);
    rig.call::<SetPolicy>(&target(1e-4)).unwrap();
    let (mut old, mut new) = (0, 0);
    for at in 1..5 {
        for seed in 0..8 {
            let flash = rig.flash.copy();
            let mut unit = Rig::of(&flash, Some(model()));
            flash.cut_power_at(flash.writes() + at, seed);
            let said = unit.call::<SetPolicy>(&target(1e-2));
            flash.power_on();
            let found = info(&mut Rig::of(&flash, Some(model()))).1.rule;
            if said.is_ok() {
                assert_eq!(found, target(1e-2).rule, "what was acknowledged is there");
            }
            match found {
                found if found == target(1e-2).rule => new += 1,
                found if found == target(1e-4).rule => old += 1,
                found => panic!("{found:?}"),
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn a_rule_whose_entry_could_not_be_written_does_not_come_into_force() {
    let mut rig = rig();
    rig.enrol("Ada", 1);
    rig.call::<SetPolicy>(&target(1e-4)).unwrap();
    let before = info(&mut rig).1;
    let shipped = rig.shared.lock().shipped();
    rig.flash.fail_at(rig.flash.writes() + 1, FlashFault::Full);
    let error = rig.call::<SetPolicy>(&target(1e-2)).unwrap_err();
    assert_eq!(error, RequestError::StoreFault { part: Cause::Store });
    assert_eq!(info(&mut rig).1, before);
    assert_eq!(rig.shared.lock().shipped(), shipped, "what a claim holds others against");
    // The store mends with the next visit, and the rule that failed does not come with it.
    rig.visit(Show::Between(1, 127), 3);
    rig.visit(Show::Between(1, 127), 3);
    assert_eq!((rig.decisions().last().unwrap().reason, rig.pulses()), (Reason::Unknown, 0));
    let mut again = Rig::of(&rig.flash, Some(model()));
    assert_eq!(info(&mut again).1.rule, target(1e-4).rule);
}

#[test]
fn a_rule_settled_again_after_a_failure_is_in_the_log_before_it_is_acknowledged() {
    let acts =
        |rig: &Rig| rig.log().iter().filter(|entry| entry.kind == EntryKind::PolicySet).count();
    for (write, stopped) in [(1, false), (2, true)] {
        let mut rig = rig();
        rig.call::<SetPolicy>(&target(1e-4)).unwrap();
        rig.flash.fail_at(rig.flash.writes() + write, FlashFault::Io);
        rig.call::<SetPolicy>(&target(1e-2)).unwrap_err();
        // The flash may hold the looser one; who asks for the stricter one again must not hear that all is well.
        let again = rig.call::<SetPolicy>(&target(1e-4));
        assert_eq!((again.is_err(), acts(&rig)), (stopped, if stopped { 1 } else { 2 }));
        let mut next = Rig::of(&rig.flash, Some(model()));
        assert_eq!(info(&mut next).1.rule, target(1e-4).rule);
    }
}

#[test]
fn a_fixed_threshold_of_another_model_arms_nothing() {
    let mut rig = rig();
    rig.call::<SetPolicy>(&fixed(0.9)).unwrap();
    {
        let mut state = rig.shared.lock();
        let embedder = state.embedder().unwrap().clone();
        let policy = *state.policy();
        let other = threshold_edge::state::EmbedderFacts { id: ModelId([8; 32]), ..embedder };
        state.set_embedder(other, policy);
    }
    assert_eq!(info(&mut rig).0.armed, Armed::Refuses(Cause::Policy));
}

#[test]
fn a_policy_of_a_later_version_locks_and_is_left_as_it_is() {
    let rig = rig();
    {
        let mut state = rig.shared.lock();
        let journal = state.journal_mut().unwrap();
        journal.set_context(ContextKind::Policy, &[7, 1, 2, 3]).unwrap();
        journal.write(LogEntry::of(EntryKind::LogRead)).unwrap();
    }
    for _ in 0..3 {
        let mut again = Rig::of(&rig.flash, Some(model()));
        let told = again.call::<GetInfo>(&Nothing {}).unwrap();
        assert_eq!((told.armed, told.policy), (Armed::Fault(Cause::Policy), None));
        let not_ready = RequestError::NotReady { part: Cause::Policy };
        assert_eq!(again.call::<SetPolicy>(&target(1e-2)).unwrap_err(), not_ready);
        again.enrol("Ada", 1);
        again.visit(Show::Face(1), 3);
        let decision = *again.decisions().last().unwrap();
        assert_eq!((decision.reason, decision.cause), (Reason::Fault, Cause::Policy));
        assert!(again.notices().contains("context of version 7"), "{}", again.notices());
    }
}

/// What ARCHITECTURE.md says of the published weights.
#[test]
fn the_default_target_arms_the_published_weights_up_to_so_many_people() {
    let derived = |network, people| {
        let meta = description(network);
        let (embedder, scores) = (meta.embedder.as_ref().unwrap(), meta.scores().unwrap());
        let floor = Policy::for_model(embedder.metric, embedder.threshold_distance);
        let distributions = Some(&scores.distributions);
        let model = Measured { id: MODEL, metric: embedder.metric, distributions };
        let site = Site { people, templates_each: 1.0, strangers_a_day: 0.0, visits_a_day: 0.0 };
        let derived = rule::derive(&ThresholdRule::DEFAULT, &floor, &model, &site);
        let distance = embedder.metric.distance(derived.policy.threshold.0);
        let fnir = 100.0 * derived.forecast.unwrap().fnir.at;
        (
            format!("{distance:.3} {fnir:.0} %"),
            derived.refusal.map(|refusal| refusal.people_at_most),
        )
    };
    for (network, expected, most) in [
        (
            Network::InceptionResnetV1,
            ["0.854 6 %", "0.615 20 %", "0.544 27 %", "0.186 100 %", "-0.000 100 %"],
            45,
        ),
        (
            Network::DlibResnet29,
            ["0.527 11 %", "0.461 36 %", "0.425 53 %", "0.289 100 %", "0.196 100 %"],
            24,
        ),
    ] {
        let found = [1, 10, 30, 100, 1000].map(|people| derived(network, people));
        assert_eq!(found.clone().map(|(text, _)| text), expected, "{found:?}");
        assert_eq!(found[3].1, Some(most));
        assert!(derived(network, most).1.is_none() && derived(network, most + 1).1.is_some());
    }
}

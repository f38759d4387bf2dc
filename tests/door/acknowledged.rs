//! Safety rule 9: no path leads to a permit without an owner's acknowledgement that a photo opens this door.

use crate::keys::{Bench, administrator, key, refused};
use crate::rig::{Rig, Show};
use threshold_edge::service::Desk;
use threshold_policy::Policy;
use threshold_policy::rule::{Owner, Settled};
use threshold_record::{
    Administrator, Cause, ContextKind, EntryKind, KeyTag, LogEntry, Metric, Reason, Role,
    ThresholdRule, context,
};
use threshold_store::{FlashFault, MockFlash, Object};
use threshold_wire::RequestError;
use threshold_wire::administration::AdministratorRole;
use threshold_wire::endpoints::{
    AcknowledgePhoto, GetInfo, GetPolicy, SetPolicy, SetRole, WithdrawPhoto,
};
use threshold_wire::message::{Armed, Nothing};
use threshold_wire::policy::{PolicyRefusal, PolicySet};

const WHY: Cause = Cause::NotAcknowledged;

fn armed(rig: &mut Rig) -> Armed {
    rig.call::<GetInfo>(&Nothing {}).unwrap().armed
}

/// Ada, who is enrolled, comes to a unit that must refuse her, without scoring a probe.
#[track_caller]
fn refuses(rig: &mut Rig) {
    let before = rig.told.lock().unwrap().attempts_at_embed.len();
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
    assert_eq!(rig.told.lock().unwrap().attempts_at_embed.len(), before, "no probe was scored");
}

#[track_caller]
fn refuses_for_want_of_it(rig: &mut Rig) {
    assert_eq!(armed(rig), Armed::Refuses(WHY));
    refuses(rig);
    let decision = *rig.decisions().last().unwrap();
    assert_eq!((decision.reason, decision.cause), (Reason::NotArmed, WHY));
}

#[track_caller]
fn admits(rig: &mut Rig) {
    let before = rig.pulses();
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), before + 1);
}

fn kinds(rig: &Rig) -> Vec<EntryKind> {
    rig.log().iter().map(|entry| entry.kind).collect()
}

/// A unit with Ada enrolled and nothing acknowledged.
fn fresh() -> Rig {
    let mut rig = Rig::as_it_was(&MockFlash::new());
    rig.enrol("Ada", 1);
    rig
}

/// The unit as it starts again, after a power cut.
fn restarted(flash: &MockFlash, seed: u64) -> Rig {
    flash.cut_power(seed);
    flash.power_on();
    Rig::as_it_was(flash)
}

/// The unit with these administrators, whose line nobody trusts.
fn owned(rig: Rig, administrators: &[Administrator]) -> Bench {
    let bench = Bench::of(rig);
    let shared = bench.rig.borrow().shared.clone();
    bench.rig.borrow_mut().desk = Desk::new(shared, false);
    bench.store(|store| {
        for administrator in administrators {
            store.put_administrator(administrator.clone()).unwrap();
        }
    });
    bench.rig.borrow().commission();
    bench
}

#[test]
fn a_fresh_unit_refuses_until_it_is_acknowledged_and_again_once_that_is_taken_back() {
    let mut rig = fresh();
    refuses_for_want_of_it(&mut rig);
    assert!(rig.notices().contains("threshold policy acknowledge"), "{}", rig.notices());
    let mut rig = restarted(&rig.flash, 1);
    refuses_for_want_of_it(&mut rig);
    let policy = rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    assert_eq!((policy.photo, policy.refusal), (Some(KeyTag::NOBODY), None));
    let last = kinds(&rig).split_off(rig.log().len() - 2);
    assert_eq!(last, [EntryKind::PhotoAcknowledged, EntryKind::Armed]);
    admits(&mut rig);
    // Once more is no change.
    let entries = rig.log().len();
    rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    assert_eq!(rig.log().len(), entries);
    let mut rig = restarted(&rig.flash, 2);
    admits(&mut rig);
    let policy = rig.call::<WithdrawPhoto>(&Nothing {}).unwrap();
    assert_eq!(policy.refusal, Some(PolicyRefusal { why: WHY, people_at_most: 0 }));
    assert_eq!((policy.photo, armed(&mut rig)), (None, Armed::Refuses(WHY)));
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 1);
    let entries = rig.log().len();
    rig.call::<WithdrawPhoto>(&Nothing {}).unwrap();
    assert_eq!(rig.log().len(), entries);
    refuses_for_want_of_it(&mut restarted(&rig.flash, 3));
}

#[test]
fn only_an_owner_in_a_session_acknowledges_and_the_log_names_the_key() {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    let bench = owned(fresh(), &roles.map(|(byte, role)| administrator(byte, role)));
    let nobody = RequestError::InsecureLink;
    assert_eq!(refused(bench.greet().call::<AcknowledgePhoto>(&Nothing {})), nobody);
    for (byte, role) in &roles[1..] {
        let mut session = bench.session(*byte);
        let too_low = RequestError::RoleTooLow { least: Role::Owner, role: *role };
        assert_eq!(refused(session.call::<AcknowledgePhoto>(&Nothing {})), too_low);
        assert_eq!(refused(session.call::<WithdrawPhoto>(&Nothing {})), too_low);
    }
    refuses_for_want_of_it(&mut bench.rig.borrow_mut());
    let tag = key(1).key_id().tag();
    let policy = bench.session(1).call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    assert_eq!((policy.photo, policy.refusal), (Some(tag), None));
    assert_eq!(bench.session(3).call::<GetPolicy>(&Nothing {}).unwrap().photo, Some(tag));
    admits(&mut bench.rig.borrow_mut());
    bench.session(1).call::<WithdrawPhoto>(&Nothing {}).unwrap();
    let by = |kind| move |entry: &LogEntry| (entry.kind == kind).then_some(entry.by);
    let log = bench.rig.borrow().log();
    for kind in [EntryKind::PhotoAcknowledged, EntryKind::PhotoWithdrawn] {
        assert_eq!(log.iter().filter_map(by(kind)).collect::<Vec<_>>(), [tag]);
    }
}

#[test]
fn the_word_of_a_trusted_line_falls_once_the_unit_has_an_owner() {
    let mut rig = fresh();
    rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    admits(&mut rig);
    let flash = rig.flash.clone();
    let bench = owned(rig, &[administrator(1, Role::Owner), administrator(2, Role::Owner)]);
    assert_eq!(bench.session(1).call::<GetPolicy>(&Nothing {}).unwrap().photo, None);
    let mut rig = restarted(&flash, 1);
    assert_eq!(armed(&mut rig), Armed::Refuses(WHY));
    refuses(&mut rig);
    // An owner's word stays while there is an owner, be it another one, and through what happens to roles.
    let bench = owned(rig, &[]);
    bench.session(1).call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    let role = AdministratorRole { key: key(1).key_id(), role: Role::Viewer };
    bench.session(2).call::<SetRole>(&role).unwrap();
    admits(&mut bench.rig.borrow_mut());
}

#[test]
fn the_word_of_a_trusted_line_is_nothing_on_a_line_that_nobody_trusts() {
    let mut rig = fresh();
    rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    admits(&mut rig);
    let mut rig = Rig::on_a_line_that_nobody_trusts(&rig.flash);
    assert_eq!(rig.shared.lock().acknowledged(), None);
    refuses(&mut rig);
}

/// What waits in memory after writes that failed must not come to the log as the last word: neither when nothing more can wait,
/// nor at any place before.
#[test]
fn acknowledgements_that_failed_until_nothing_more_could_wait_arm_nothing() {
    for failed in [1, 2, 3, 950] {
        let mut rig = fresh();
        rig.flash.set_capacity(Some(0));
        for _ in 0..failed {
            rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap_err();
        }
        rig.flash.set_capacity(None);
        rig.shared.lock().write(LogEntry::of(EntryKind::LogRead));
        refuses_for_want_of_it(&mut Rig::as_it_was(&rig.flash));
    }
}

#[test]
fn an_acknowledgement_holds_for_whom_it_was_made_and_for_nobody_else() {
    let by_default = Settled::by_default(Policy::for_model(Metric::SquaredL2, 1.14));
    let of = |photo| Settled { photo, ..by_default };
    let (owner, line) = (Some(KeyTag([1; 4])), Some(KeyTag::NOBODY));
    for (photo, who, holds) in [
        (None, Owner::Administrator, None),
        (None, Owner::TrustedLine, None),
        (None, Owner::Nobody, None),
        (line, Owner::Administrator, None),
        (line, Owner::TrustedLine, line),
        (line, Owner::Nobody, None),
        (owner, Owner::Administrator, owner),
        (owner, Owner::TrustedLine, None),
        (owner, Owner::Nobody, None),
    ] {
        assert_eq!(of(photo).acknowledged(who), holds, "{photo:?} {who:?}");
    }
}

/// A policy's context record of a version before.
fn record_of_version(version: u8) -> Vec<u8> {
    let policy = Policy::for_model(Metric::SquaredL2, 1.14);
    let bytes = match version {
        1 => context::encode(1, &policy),
        _ => context::encode(2, &(policy, ThresholdRule::Target { fpir: 1e-2 }, 7u32)),
    };
    bytes.unwrap().to_vec()
}

#[test]
fn a_record_of_before_is_read_and_acknowledges_nothing() {
    for (version, rule) in [(1, ThresholdRule::DEFAULT), (2, ThresholdRule::Target { fpir: 1e-2 })]
    {
        let rig = fresh();
        {
            let mut state = rig.shared.lock();
            let journal = state.journal_mut().unwrap();
            journal.set_context(ContextKind::Policy, &record_of_version(version)).unwrap();
            journal.write(LogEntry::of(EntryKind::LogRead)).unwrap();
        }
        let mut again = restarted(&rig.flash, 1);
        assert_eq!(again.call::<GetPolicy>(&Nothing {}).unwrap().rule, rule);
        refuses_for_want_of_it(&mut again);
        again.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
        let mut again = restarted(&again.flash, 2);
        assert_eq!(again.call::<GetPolicy>(&Nothing {}).unwrap().rule, rule);
        admits(&mut again);
    }
}

#[test]
fn an_acknowledgement_that_could_not_be_written_arms_nothing() {
    for fault in [FlashFault::Full, FlashFault::Io] {
        let mut rig = fresh();
        rig.flash.fail_at(rig.flash.writes() + 1, fault);
        rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap_err();
        refuses(&mut rig);
        // The store may mend with a visit, and what failed does not come with it.
        refuses(&mut rig);
        assert!(!kinds(&rig).contains(&EntryKind::PhotoAcknowledged));
        refuses_for_want_of_it(&mut restarted(&rig.flash, 1));
    }
}

#[test]
fn a_cut_while_it_is_acknowledged_leaves_it_with_its_entry_or_not_at_all() {
    let (mut with, mut without) = (0, 0);
    let rig = fresh();
    for at in 1..5 {
        for seed in 0..8 {
            let flash = rig.flash.copy();
            let mut unit = Rig::as_it_was(&flash);
            flash.cut_power_at(flash.writes() + at, seed);
            let said = unit.call::<AcknowledgePhoto>(&Nothing {});
            flash.power_on();
            let mut unit = Rig::as_it_was(&flash);
            if kinds(&unit).contains(&EntryKind::PhotoAcknowledged) {
                with += 1;
                admits(&mut unit);
            } else {
                without += 1;
                assert!(said.is_err());
                refuses_for_want_of_it(&mut unit);
            }
        }
    }
    assert!(with > 0 && without > 0, "{with} {without}");
}

/// The files of the log.
fn log_files(flash: &MockFlash) -> Vec<(Object, Vec<u8>)> {
    (1..8)
        .map(Object::Segment)
        .filter_map(|object| flash.bytes(object).map(|bytes| (object, bytes)))
        .collect()
}

#[test]
fn a_log_of_before_the_withdrawal_put_back_brings_no_acknowledgement_back() {
    let mut rig = fresh();
    rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    let before = log_files(&rig.flash);
    assert!(!before.is_empty());
    rig.call::<WithdrawPhoto>(&Nothing {}).unwrap();
    refuses(&mut rig);
    // The anchor is renewed at each start, so that the log of before is known for what it is.
    let rig = restarted(&rig.flash, 1);
    for (object, bytes) in before {
        rig.flash.set_bytes(object, Some(bytes));
    }
    let mut rig = Rig::as_it_was(&rig.flash);
    assert_eq!(armed(&mut rig), Armed::Fault(Cause::Store));
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn a_wiped_unit_starts_without_it() {
    let mut rig = fresh();
    rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    refuses_for_want_of_it(&mut fresh());
    // Without its log the gallery is none either.
    for (object, _) in log_files(&rig.flash) {
        rig.flash.set_bytes(object, None);
    }
    let mut rig = Rig::as_it_was(&rig.flash);
    assert!(matches!(armed(&mut rig), Armed::Fault(_)));
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn what_the_rule_refuses_is_said_after_what_nobody_acknowledged() {
    let mut rig = fresh();
    rig.call::<SetPolicy>(&PolicySet { rule: ThresholdRule::Target { fpir: 1e-9 } }).unwrap();
    refuses_for_want_of_it(&mut rig);
    let policy = rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    let why = policy.refusal.unwrap().why;
    assert_ne!(why, WHY);
    assert_eq!(armed(&mut rig), Armed::Refuses(why));
    refuses(&mut rig);
    let disarmed: Vec<Cause> = rig
        .log()
        .iter()
        .filter(|entry| entry.kind == EntryKind::Disarmed)
        .map(|entry| entry.cause)
        .collect();
    assert_eq!(disarmed, [WHY, why]);
    // What was settled stays with the acknowledgement, and that with what is settled.
    rig.call::<SetPolicy>(&PolicySet { rule: ThresholdRule::DEFAULT }).unwrap();
    admits(&mut rig);
}

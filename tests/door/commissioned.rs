//! Safety rule 8: no path leads to a permit on a unit that is new, was wiped or lost its store, without its owner's recovery key.

use crate::keys::{Bench, BenchLine, administrator, key, name, refused};
use crate::rig::{Rig, Show, recovery_key};
use threshold_edge::service::Desk;
use threshold_host::session::{Session, SessionError};
use threshold_policy::Policy;
use threshold_policy::rule::{Commission as Given, Owner, Settled};
use threshold_record::{
    Administrator, Cause, ContextKind, EntryKind, KeyTag, LogEntry, Metric, Reason, Role,
    ThresholdRule, context,
};
use threshold_store::commission::{RECORD_BYTES, bytes as record};
use threshold_store::{FlashFault, MockFlash, Object, Series};
use threshold_wire::RequestError;
use threshold_wire::commission::{
    CHALLENGE_MS, Commission, CommissionChallenge, CommissionFinish, Commissioned, Signature,
    Signed,
};
use threshold_wire::endpoints::{
    AcknowledgePhoto, ChallengeCommission, FinishCommission, GetInfo, PutPerson, PutTemplate,
    WipeUnit,
};
use threshold_wire::handshake::Ration;
use threshold_wire::message::{Armed, IfThere, Info, Nothing, PersonPut, TemplatePut, Wipe};
use threshold_wire::recovery::{Asked, RecoveryKey};

const WHY: Cause = Cause::NotCommissioned;

/// A key that somebody else made.
fn other_key() -> RecoveryKey {
    RecoveryKey::of_bytes(*b"a passer-by's !!")
}

fn info(rig: &mut Rig) -> Info {
    rig.call::<GetInfo>(&Nothing {}).unwrap()
}

fn holds(key: &RecoveryKey) -> Commission {
    Commission::Holds(key.key_id())
}

fn waits(key: &RecoveryKey) -> Commission {
    Commission::Waits(key.key_id())
}

fn asked(
    challenge: &CommissionChallenge,
    administrator: Option<[u8; 32]>,
    key: &RecoveryKey,
) -> Asked {
    Asked {
        unit: challenge.unit,
        administrator,
        nonce: challenge.nonce,
        key: key.public(),
        successor: None,
    }
}

fn signed(asked: &Asked, key: &RecoveryKey) -> CommissionFinish {
    CommissionFinish { key: key.sign(asked), successor: None }
}

/// Commissions over a line that is trusted.
fn by_the_line(rig: &mut Rig, key: &RecoveryKey) -> Result<Commissioned, RequestError> {
    let challenge = rig.call::<ChallengeCommission>(&Nothing {})?;
    rig.call::<FinishCommission>(&signed(&asked(&challenge, None, key), key))
}

fn challenge(session: &mut Session<BenchLine>) -> CommissionChallenge {
    session.call::<ChallengeCommission>(&Nothing {}).unwrap()
}

/// Commissions in the session of the administrator with that number.
fn by(bench: &Bench, byte: u8, key: &RecoveryKey) -> Result<Commissioned, SessionError> {
    let mut session = bench.session(byte);
    let challenge = challenge(&mut session);
    let asked = asked(&challenge, Some(*crate::keys::key(byte).public()), key);
    session.call::<FinishCommission>(&signed(&asked, key))
}

/// The same, and lets another key take that one's place.
fn replace(
    bench: &Bench,
    byte: u8,
    key: &RecoveryKey,
    successor: &RecoveryKey,
) -> Result<Commissioned, SessionError> {
    let mut session = bench.session(byte);
    let challenge = challenge(&mut session);
    let administrator = Some(*crate::keys::key(byte).public());
    let asked =
        Asked { successor: Some(successor.public()), ..asked(&challenge, administrator, key) };
    let (key, successor) = (key.sign(&asked), Some(successor.sign(&asked)));
    session.call::<FinishCommission>(&CommissionFinish { key, successor })
}

/// Ada, who is enrolled, comes to a unit that must refuse her, without scoring a probe.
#[track_caller]
fn refuses(rig: &mut Rig) {
    let before = rig.told.lock().unwrap().attempts_at_embed.len();
    let pulses = rig.pulses();
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), pulses);
    assert_eq!(rig.told.lock().unwrap().attempts_at_embed.len(), before, "no probe was scored");
}

#[track_caller]
fn refuses_for_want_of_it(rig: &mut Rig) {
    assert_eq!(info(rig).armed, Armed::Refuses(WHY));
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

/// A new unit with Ada enrolled and the photo acknowledged, on a line that is trusted.
fn fresh() -> Rig {
    let mut rig = Rig::bare(&MockFlash::new());
    rig.enrol("Ada", 1);
    rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    rig
}

/// The unit as it starts again, after a power cut.
fn restarted(flash: &MockFlash, seed: u64) -> Rig {
    flash.cut_power(seed);
    flash.power_on();
    Rig::bare(flash)
}

/// The unit of a flash on a line that nobody trusts, with these administrators.
fn owned(flash: &MockFlash, administrators: &[Administrator]) -> Bench {
    let bench = Bench::of(Rig::on_a_line_that_nobody_trusts(flash));
    bench.store(|store| {
        for administrator in administrators {
            store.put_administrator(administrator.clone()).unwrap();
        }
    });
    bench
}

/// A door in service: Ada enrolled, its owner (administrator 1) has acknowledged the photo and commissioned the unit.
fn in_service() -> Bench {
    let bench = owned(&MockFlash::new(), &[administrator(1, Role::Owner)]);
    by(&bench, 1, &recovery_key()).unwrap();
    enrol(&bench, 1);
    admits(&mut bench.rig.borrow_mut());
    bench
}

/// The administrator of that number enrols Ada and acknowledges the photo.
fn enrol(bench: &Bench, byte: u8) {
    let mut session = bench.session(byte);
    let put = PersonPut { name: name(1), if_there: IfThere::Use };
    let person = session.call::<PutPerson>(&put).unwrap().person;
    let template = crate::rig::template(person, 0, 1);
    session.call::<PutTemplate>(&TemplatePut { model: crate::rig::MODEL, template }).unwrap();
    session.call::<AcknowledgePhoto>(&Nothing {}).unwrap();
}

fn flash_of(bench: &Bench) -> MockFlash {
    bench.rig.borrow().flash.clone()
}

/// Takes everything off the flash but the record, which lies elsewhere.
fn delete_the_store(flash: &MockFlash) {
    for object in Object::FIXED.into_iter().chain((1..8).map(Object::Segment)) {
        flash.set_bytes(object, None);
    }
    for segment in (1..8).map(|number| Series::Gallery.segment(number)) {
        flash.set_bytes(segment, None);
    }
    flash.keys().forget().unwrap();
}

#[test]
fn a_new_unit_refuses_until_it_is_commissioned_and_stays_so_over_a_start() {
    let mut rig = fresh();
    assert_eq!(info(&mut rig).commission, Commission::Never);
    refuses_for_want_of_it(&mut rig);
    assert!(rig.notices().contains("threshold commission"), "{}", rig.notices());
    let mut rig = restarted(&rig.flash, 1);
    refuses_for_want_of_it(&mut rig);
    let done = by_the_line(&mut rig, &recovery_key()).unwrap();
    assert_eq!(done.commission, holds(&recovery_key()));
    let last = rig.log().split_off(rig.log().len() - 3);
    let expected = [EntryKind::RecoveryKeySet, EntryKind::Commissioned, EntryKind::Armed];
    assert_eq!(last.iter().map(|entry| entry.kind).collect::<Vec<_>>(), expected);
    let about = recovery_key().key_id().tag();
    assert_eq!((last[0].about, last[1].about), (about, about));
    admits(&mut rig);
    // Once more is no change.
    let entries = rig.log().len();
    by_the_line(&mut rig, &recovery_key()).unwrap();
    assert_eq!(rig.log().len(), entries);
    let mut rig = restarted(&rig.flash, 2);
    assert_eq!(info(&mut rig).commission, holds(&recovery_key()));
    admits(&mut rig);
}

#[test]
fn a_commission_over_a_trusted_line_falls_with_the_first_owner_and_its_key_is_asked_for() {
    let mut rig = fresh();
    by_the_line(&mut rig, &recovery_key()).unwrap();
    admits(&mut rig);
    let flash = rig.flash.clone();
    refuses(&mut Rig::on_a_line_that_nobody_trusts(&flash));
    let bench = owned(&flash, &[administrator(1, Role::Owner)]);
    bench.session(1).call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    refuses_for_want_of_it(&mut bench.rig.borrow_mut());
    let known = recovery_key().key_id();
    // Whoever was at the line before the owner cannot hide his key from him.
    let found = refused(by(&bench, 1, &other_key()));
    assert_eq!(found, RequestError::OtherRecoveryKey { known });
    assert_eq!(by(&bench, 1, &recovery_key()).unwrap().commission, holds(&recovery_key()));
    admits(&mut bench.rig.borrow_mut());
    let log = bench.rig.borrow().log();
    let last = log.iter().rfind(|entry| entry.kind == EntryKind::Commissioned).unwrap();
    assert_eq!(last.by, key(1).key_id().tag());
    assert_eq!(log.iter().filter(|entry| entry.kind == EntryKind::RecoveryKeySet).count(), 1);
}

#[test]
fn a_commission_holds_for_whom_it_was_made_with_the_key_of_the_record_and_for_nobody_else() {
    let by_default = Settled::by_default(Policy::for_model(Metric::SquaredL2, 1.14));
    let (owner, line) = (KeyTag([1; 4]), KeyTag::NOBODY);
    for (by, who, recorded, expected) in [
        (owner, Owner::Administrator, Some(7), true),
        (owner, Owner::Administrator, Some(8), false),
        (owner, Owner::Administrator, None, false),
        (owner, Owner::TrustedLine, Some(7), false),
        (owner, Owner::Nobody, Some(7), false),
        (line, Owner::TrustedLine, Some(7), true),
        (line, Owner::Administrator, Some(7), false),
        (line, Owner::Nobody, Some(7), false),
    ] {
        let commission = Some(Given { by, recovery_key: [7; 32] });
        let settled = Settled { commission, ..by_default };
        let recorded: Option<[u8; 32]> = recorded.map(|byte| [byte; 32]);
        let found = settled.commissioned(who, recorded.as_ref()).is_some();
        assert_eq!(found, expected, "{by} {who:?} {recorded:?}");
    }
    assert_eq!(by_default.commissioned(Owner::Administrator, Some(&[7; 32])), None);
}

/// Pairs as a passer-by would who has the housing open: the button, and the code on the label.
fn passer_by(flash: &MockFlash) -> Bench {
    let bench = owned(flash, &[]);
    bench.rig.borrow_mut().desk.button();
    let (_, role) = bench.greet().pair(&key(9), &bench.code(), name(9)).unwrap();
    assert_eq!(role, Role::Owner);
    bench
}

#[test]
fn a_passer_by_who_wipes_pairs_and_enrols_himself_opens_no_door() {
    for deleted in [false, true] {
        let bench = in_service();
        let flash = flash_of(&bench);
        match deleted {
            true => delete_the_store(&flash),
            false => {
                let wipe = Wipe { unit: "bench".try_into().unwrap() };
                bench.session(1).call::<WipeUnit>(&wipe).unwrap();
                assert!(bench.rig.borrow().notices().contains("moves no lock before that key"));
            }
        }
        drop(bench);
        let bench = passer_by(&flash);
        enrol(&bench, 9);
        let stands = info(&mut bench.rig.borrow_mut()).commission;
        assert_eq!(stands, waits(&recovery_key()));
        refuses_for_want_of_it(&mut bench.rig.borrow_mut());
        let known = recovery_key().key_id();
        let found = refused(by(&bench, 9, &other_key()));
        assert_eq!(found, RequestError::OtherRecoveryKey { known });
        // A key of his own beside one that he has not got is no way in either.
        let found = refused(replace(&bench, 9, &other_key(), &other_key()));
        assert_eq!(found, RequestError::OtherRecoveryKey { known });
        refuses_for_want_of_it(&mut bench.rig.borrow_mut());
        drop(bench);
        let bench = owned(&flash, &[]);
        refuses_for_want_of_it(&mut bench.rig.borrow_mut());
        // The owner comes with the paper.
        bench.store(|store| store.put_administrator(administrator(1, Role::Owner)).unwrap());
        by(&bench, 1, &recovery_key()).unwrap();
        admits(&mut bench.rig.borrow_mut());
        let registered = kinds(&bench.rig.borrow()).contains(&EntryKind::RecoveryKeySet);
        assert!(!registered, "the unit knew the key");
    }
}

#[test]
fn only_an_owner_in_a_session_commissions() {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    let bench = owned(&MockFlash::new(), &roles.map(|(byte, role)| administrator(byte, role)));
    let finish = CommissionFinish {
        key: Signed { key: [1; 32], signature: Signature::new() },
        successor: None,
    };
    let mut open = bench.greet();
    assert_eq!(refused(open.call::<ChallengeCommission>(&Nothing {})), RequestError::InsecureLink);
    assert_eq!(refused(open.call::<FinishCommission>(&finish)), RequestError::InsecureLink);
    for (byte, role) in &roles[1..] {
        let mut session = bench.session(*byte);
        let too_low = RequestError::RoleTooLow { least: Role::Owner, role: *role };
        assert_eq!(refused(session.call::<ChallengeCommission>(&Nothing {})), too_low);
        assert_eq!(refused(session.call::<FinishCommission>(&finish)), too_low);
    }
}

/// A unit that waits for the recovery key, with the administrators 1 and 2 as owners.
fn waiting() -> Bench {
    let bench = in_service();
    let flash = flash_of(&bench);
    drop(bench);
    delete_the_store(&flash);
    owned(&flash, &[administrator(1, Role::Owner), administrator(2, Role::Owner)])
}

#[track_caller]
fn still_waits(bench: &Bench) {
    assert_eq!(info(&mut bench.rig.borrow_mut()).commission, waits(&recovery_key()));
    refuses(&mut bench.rig.borrow_mut());
}

#[test]
fn what_was_signed_before_for_another_or_elsewhere_commissions_nothing() {
    let bench = waiting();
    let key = recovery_key();
    let (first, second) =
        (Some(*crate::keys::key(1).public()), Some(*crate::keys::key(2).public()));
    let rest = || bench.rig.borrow().clock.advance(10 * Ration::EVERY_MS);
    let mut session = bench.session(1);
    // Without a challenge, and one that was answered already.
    let old = challenge(&mut session);
    let never = CommissionChallenge { nonce: [3; 32], ..old };
    let answer = signed(&asked(&never, first, &key), &key);
    assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
    let right = signed(&asked(&old, first, &key), &key);
    assert_eq!(refused(session.call::<FinishCommission>(&right)), RequestError::NoChallenge);
    // A challenge of before, when another one waits.
    let old = challenge(&mut session);
    challenge(&mut session);
    let replayed = signed(&asked(&old, first, &key), &key);
    assert_eq!(refused(session.call::<FinishCommission>(&replayed)), RequestError::BadProof);
    // In a minute it is over.
    let late = challenge(&mut session);
    bench.rig.borrow().clock.advance(CHALLENGE_MS + 1);
    let late = signed(&asked(&late, first, &key), &key);
    assert_eq!(refused(session.call::<FinishCommission>(&late)), RequestError::NoChallenge);
    // A challenge of one session is none in the next, of the same administrator or of another.
    for byte in [1, 2] {
        rest();
        let mut before = bench.session(1);
        let given = challenge(&mut before);
        let mut session = bench.session(byte);
        let answer = signed(&asked(&given, first, &key), &key);
        assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::NoChallenge);
    }
    // What the owner signs for himself serves no other administrator, and nobody in the open.
    for administrator in [second, None] {
        rest();
        let mut session = bench.session(1);
        let given = challenge(&mut session);
        let answer = signed(&asked(&given, administrator, &key), &key);
        assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
    }
    still_waits(&bench);
    rest();
    // A unit of other keys with the same recovery key: what one was told is nothing to the other.
    let flash = MockFlash::new();
    flash.keys().random(&mut [0; 9]).unwrap();
    let other = owned(&flash, &[administrator(1, Role::Owner)]);
    let mut theirs = other.session(1);
    let given = challenge(&mut theirs);
    let mut session = bench.session(1);
    let ours = challenge(&mut session);
    assert_ne!((given.unit, given.nonce), (ours.unit, ours.nonce));
    for (unit, nonce) in
        [(given.unit, given.nonce), (given.unit, ours.nonce), (ours.unit, given.nonce)]
    {
        let mixed = CommissionChallenge { unit, nonce, ..given };
        let answer = signed(&asked(&mixed, first, &key), &key);
        assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
        challenge(&mut session);
    }
    still_waits(&bench);
    rest();
    by(&bench, 1, &key).unwrap();
    assert_eq!(info(&mut bench.rig.borrow_mut()).commission, holds(&key));
}

/// Adds the order of the group to the second half of a signature: another signature of the same message, to a lenient check.
fn malleated(signature: &Signature) -> Signature {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes: Vec<u8> = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    Signature::from_slice(&bytes).unwrap()
}

#[test]
fn a_signature_that_is_none_a_bent_one_and_a_weak_key_prove_nothing() {
    let (bench, key) = (waiting(), recovery_key());
    let administrator = Some(*crate::keys::key(1).public());
    // Of order 1, 2, 4 and 8, and one that is no point at all.
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    // A point of order 8.
    let order_8 = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    for weak in [[0; 32], one, minus_one, order_8, [2; 32]] {
        let mut session = bench.session(1);
        for signature in [[weak, [0; 32]].concat(), vec![0; 64], vec![], vec![1; 63]] {
            bench.rig.borrow().clock.advance(2 * Ration::EVERY_MS);
            challenge(&mut session);
            let signature = Signature::from_slice(&signature).unwrap();
            let answer = CommissionFinish { key: Signed { key: weak, signature }, successor: None };
            let found = refused(session.call::<FinishCommission>(&answer));
            assert_eq!(found, RequestError::BadProof);
        }
        bench.rig.borrow().clock.advance(10 * Ration::EVERY_MS);
    }
    type Bend = fn(&CommissionFinish) -> Signature;
    let bends: [Bend; 4] = [
        |finish| malleated(&finish.key.signature),
        |finish| finish.key.signature.iter().map(|byte| byte ^ 1).collect(),
        |finish| finish.key.signature[..63].iter().copied().collect(),
        |_| Signature::new(),
    ];
    for bend in bends {
        let mut session = bench.session(1);
        let given = challenge(&mut session);
        let mut answer = signed(&asked(&given, administrator, &key), &key);
        answer.key.signature = bend(&answer);
        assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
        bench.rig.borrow().clock.advance(10 * Ration::EVERY_MS);
    }
    // Signed by somebody else in the owner's name.
    let mut session = bench.session(1);
    let given = challenge(&mut session);
    let asked = asked(&given, administrator, &key);
    let signature = other_key().sign(&asked).signature;
    let answer = CommissionFinish { key: Signed { key: key.public(), signature }, successor: None };
    assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
    still_waits(&bench);
}

#[test]
fn challenges_come_by_the_ration_of_handshakes() {
    let mut rig = fresh();
    let mut given = 0;
    while rig.call::<ChallengeCommission>(&Nothing {}).is_ok() {
        given += 1;
        assert!(given <= Ration::BURST);
    }
    let busy = rig.call::<ChallengeCommission>(&Nothing {}).unwrap_err();
    assert_eq!(busy, RequestError::TooManyTries);
    rig.clock.advance(Ration::EVERY_MS);
    by_the_line(&mut rig, &recovery_key()).unwrap();
}

#[test]
fn a_recovery_key_is_replaced_by_both_and_the_old_one_serves_no_more() {
    let bench = in_service();
    let (old, new) = (recovery_key(), other_key());
    let mut session = bench.session(1);
    let by_owner = Some(*crate::keys::key(1).public());
    // With the old one's signature alone, under another successor than is told, or under none.
    for claimed in [None, Some([8; 32])] {
        let given = challenge(&mut session);
        let asked = Asked { successor: claimed, ..asked(&given, by_owner, &old) };
        let answer = CommissionFinish { key: old.sign(&asked), successor: Some(new.sign(&asked)) };
        assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
    }
    let given = challenge(&mut session);
    let asked = Asked { successor: Some(new.public()), ..asked(&given, by_owner, &old) };
    let forged = Signed { signature: old.sign(&asked).signature, key: new.public() };
    let answer = CommissionFinish { key: old.sign(&asked), successor: Some(forged) };
    assert_eq!(refused(session.call::<FinishCommission>(&answer)), RequestError::BadProof);
    drop(session);
    assert_eq!(info(&mut bench.rig.borrow_mut()).commission, holds(&old));
    bench.rig.borrow().clock.advance(10 * Ration::EVERY_MS);
    assert_eq!(replace(&bench, 1, &old, &new).unwrap().commission, holds(&new));
    admits(&mut bench.rig.borrow_mut());
    let last = kinds(&bench.rig.borrow());
    let set = last.iter().filter(|&&kind| kind == EntryKind::RecoveryKeySet).count();
    assert_eq!(set, 2);
    let flash = flash_of(&bench);
    drop(bench);
    delete_the_store(&flash);
    let bench = owned(&flash, &[administrator(1, Role::Owner)]);
    let known = new.key_id();
    assert_eq!(refused(by(&bench, 1, &old)), RequestError::OtherRecoveryKey { known });
    by(&bench, 1, &new).unwrap();
    assert_eq!(info(&mut bench.rig.borrow_mut()).commission, holds(&new));
}

#[test]
fn a_record_that_is_damaged_hostile_or_another_ones_leaves_a_locked_unit_that_says_so() {
    let flash = flash_of(&in_service());
    let sound = flash.bytes(Object::Commission).unwrap();
    assert_eq!(sound, record(&recovery_key().public()));
    let mut harmed: Vec<Vec<u8>> = (0..sound.len()).map(|len| sound[..len].to_vec()).collect();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        harmed.push(bytes);
    }
    harmed.push([&sound[..], &[0]].concat());
    harmed.push(vec![0xff; 1 << 20]);
    for (case, bytes) in harmed.into_iter().enumerate() {
        let flash = flash.copy();
        flash.set_bytes(Object::Commission, Some(bytes));
        let mut rig = Rig::on_a_line_that_nobody_trusts(&flash);
        assert_eq!(info(&mut rig).armed, Armed::Fault(WHY), "{case}");
        assert_eq!(info(&mut rig).commission, waits(&recovery_key()), "{case}");
        assert!(rig.notices().contains("the record of the recovery key: "), "{}", rig.notices());
        refuses(&mut rig);
        // Only the key that the log knows mends it.
        let bench = Bench::of(rig);
        let known = recovery_key().key_id();
        assert_eq!(refused(by(&bench, 1, &other_key())), RequestError::OtherRecoveryKey { known });
        if case % 16 == 0 {
            by(&bench, 1, &recovery_key()).unwrap();
            admits(&mut bench.rig.borrow_mut());
            assert_eq!(flash.bytes(Object::Commission).unwrap().len(), RECORD_BYTES);
            // Nobody knows the key any more, and nobody's word takes its place.
            delete_the_store(&flash);
            flash.set_bytes(Object::Commission, Some(vec![0; 8]));
            let bench = owned(&flash, &[administrator(1, Role::Owner)]);
            assert_eq!(info(&mut bench.rig.borrow_mut()).commission, Commission::Unreadable);
            for key in [recovery_key(), other_key()] {
                assert_eq!(refused(by(&bench, 1, &key)), RequestError::RecoveryRecord);
            }
            assert_eq!(flash.bytes(Object::Commission), Some(vec![0; 8]));
            refuses(&mut bench.rig.borrow_mut());
        }
    }
    // A record that is gone, or names another key, locks the unit too.
    for (record, asks_for) in
        [(None, recovery_key()), (Some(record(&other_key().public()).to_vec()), other_key())]
    {
        let flash = flash.copy();
        flash.set_bytes(Object::Commission, record);
        let mut rig = Rig::on_a_line_that_nobody_trusts(&flash);
        assert_eq!(info(&mut rig).commission, waits(&asks_for));
        refuses_for_want_of_it(&mut rig);
        let bench = Bench::of(rig);
        by(&bench, 1, &asks_for).unwrap();
        assert_eq!(info(&mut bench.rig.borrow_mut()).commission, holds(&asks_for));
    }
}

/// Cuts the power at each write of what `act` does; afterwards the unit stands for one of these keys, and moves the lock only if it
/// is commissioned with its entry in the log.
fn cuts(flash: &MockFlash, act: impl Fn(&Bench), keys: &[RecoveryKey]) -> [usize; 3] {
    let mut seen = [0; 3];
    for at in 1..12 {
        for seed in 0..4 {
            let flash = flash.copy();
            let before = Rig::on_a_line_that_nobody_trusts(&flash);
            let commissioned = |rig: &Rig| {
                kinds(rig).iter().filter(|&&kind| kind == EntryKind::Commissioned).count()
            };
            let entries = commissioned(&before);
            let held = before.shared.lock().commission();
            flash.cut_power_at(flash.writes() + at, seed);
            let bench = Bench::of(before);
            act(&bench);
            drop(bench);
            flash.power_on();
            let mut rig = Rig::on_a_line_that_nobody_trusts(&flash);
            let stands = info(&mut rig).commission;
            match stands {
                Commission::Holds(key) => {
                    assert!(keys.iter().any(|known| known.key_id() == key));
                    assert!(stands == held || commissioned(&rig) > entries, "{at} {seed}");
                    admits(&mut rig);
                    seen[0] += 1;
                }
                Commission::Waits(key) => {
                    refuses_for_want_of_it(&mut rig);
                    let known = keys.iter().find(|known| known.key_id() == key).unwrap();
                    by(&Bench::of(rig), 1, known).unwrap();
                    admits(&mut Rig::on_a_line_that_nobody_trusts(&flash));
                    seen[1] += 1;
                }
                Commission::Never => {
                    refuses_for_want_of_it(&mut rig);
                    by(&Bench::of(rig), 1, &keys[0]).unwrap();
                    admits(&mut Rig::on_a_line_that_nobody_trusts(&flash));
                    seen[2] += 1;
                }
                Commission::Unreadable => panic!("{at} {seed}: a third state"),
            }
        }
    }
    seen
}

#[test]
fn a_cut_at_every_write_leaves_a_unit_that_is_commissioned_or_waits_for_a_key_that_somebody_has() {
    let bench = owned(&MockFlash::new(), &[administrator(1, Role::Owner)]);
    enrol(&bench, 1);
    let flash = flash_of(&bench);
    drop(bench);
    let (old, new) = (recovery_key(), other_key());
    let [held, waited, never] =
        cuts(&flash, |bench| drop(by(bench, 1, &recovery_key())), std::slice::from_ref(&old));
    assert!(held > 0 && waited > 0 && never > 0, "{held} {waited} {never}");
    let flash = flash_of(&in_service());
    let act = |bench: &Bench| drop(replace(bench, 1, &recovery_key(), &other_key()));
    let [held, waited, never] = cuts(&flash, act, &[old, new]);
    assert!(held > 0 && waited > 0 && never == 0, "{held} {waited} {never}");
}

#[test]
fn a_commission_that_could_not_be_written_arms_nothing() {
    for fault in [FlashFault::Full, FlashFault::Io] {
        for at in 1..=4 {
            let mut rig = fresh();
            rig.flash.fail_at(rig.flash.writes() + at, fault);
            by_the_line(&mut rig, &recovery_key()).unwrap_err();
            refuses(&mut rig);
            // The store may mend with a visit, and what failed does not come with it.
            refuses(&mut rig);
            assert!(!kinds(&rig).contains(&EntryKind::Commissioned), "{fault:?} {at}");
            refuses(&mut restarted(&rig.flash, 1));
        }
    }
}

#[test]
fn a_unit_from_before_the_rule_is_locked_until_its_owner_commissions_it() {
    let flash = flash_of(&in_service());
    flash.set_bytes(Object::Commission, None);
    let rig = Rig::on_a_line_that_nobody_trusts(&flash);
    {
        let policy = Policy::for_model(Metric::SquaredL2, 1.14);
        let photo = Some(key(1).key_id().tag());
        let rule = ThresholdRule::Target { fpir: 1e-2 };
        let record = context::encode(3, &(policy, rule, 7u32, photo)).unwrap();
        let mut state = rig.shared.lock();
        let journal = state.journal_mut().unwrap();
        journal.set_context(ContextKind::Policy, &record).unwrap();
        journal.write(LogEntry::of(EntryKind::LogRead)).unwrap();
    }
    let mut rig = Rig::on_a_line_that_nobody_trusts(&rig.flash);
    assert_eq!(info(&mut rig).commission, Commission::Never);
    refuses_for_want_of_it(&mut rig);
    let bench = Bench::of(rig);
    by(&bench, 1, &recovery_key()).unwrap();
    admits(&mut bench.rig.borrow_mut());
    let settled = *bench.rig.borrow().shared.lock().settled().unwrap();
    assert_eq!(settled.rule, ThresholdRule::Target { fpir: 1e-2 });
}

#[test]
fn a_new_desk_has_no_challenge() {
    let mut rig = fresh();
    let given = rig.call::<ChallengeCommission>(&Nothing {}).unwrap();
    rig.desk = Desk::new(rig.shared.clone(), true);
    let key = recovery_key();
    let answer = signed(&asked(&given, None, &key), &key);
    let found = rig.call::<FinishCommission>(&answer).unwrap_err();
    assert_eq!(found, RequestError::NoChallenge);
    // Nor one that its visitor left.
    let given = rig.call::<ChallengeCommission>(&Nothing {}).unwrap();
    rig.desk.hung_up();
    let answer = signed(&asked(&given, None, &key), &key);
    let found = rig.call::<FinishCommission>(&answer).unwrap_err();
    assert_eq!(found, RequestError::NoChallenge);
}

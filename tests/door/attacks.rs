//! Attacks at a door that judges presentations: counted durably before anybody is told, and after some in a row nobody comes in until an
//! administrator unlocks the unit.

use crate::rig::{Rig, Show};
use std::collections::BTreeSet;
use threshold_edge::unit::Sign;
use threshold_policy::Lockout;
use threshold_record::{
    Access, Cause, Credential, EntryKind, Mode, PersonId, Presentation, Reason,
};
use threshold_store::{MockFlash, Store};
use threshold_tests::lots::Lots;
use threshold_wire::access::AccessSet;
use threshold_wire::endpoints::{GetInfo, SetAccess, SetMode, Unlock};
use threshold_wire::message::{Armed, Nothing};
use threshold_wire::policy::ModeSet;

/// Attacks in a row that lock out.
const K: usize = Lockout::SPOOFS as usize;

/// Ada's badge.
const BADGE: Credential = Credential::Wiegand26 { facility: 17, card: 4711 };

/// Flash on which Ada, number 1, is enrolled, with a badge, at a door that takes badges and faces.
fn with_ada() -> MockFlash {
    let flash = MockFlash::new();
    let mut rig = Rig::judging(&flash);
    let ada = rig.enrol("Ada", 1);
    let was = Access::default();
    let access = Access { credentials: [BADGE].into_iter().collect(), ..was.clone() };
    rig.call::<SetAccess>(&AccessSet { person: ada, was, access }).unwrap();
    rig.call::<SetMode>(&ModeSet { mode: Mode::Both }).unwrap();
    flash
}

fn last(rig: &Rig) -> (Reason, Cause) {
    let entry = *rig.decisions().last().unwrap();
    (entry.reason, entry.cause)
}

fn embeddings(rig: &Rig) -> usize {
    rig.told.lock().unwrap().attempts_at_embed.len()
}

/// What the flash holds of attacks, and whether a lock-out that only an administrator ends.
fn durable(flash: &MockFlash) -> (usize, bool) {
    let [_, _, locked, spoofs] =
        Store::open(Box::new(flash.copy()), flash.keys()).unwrap().0.lockout();
    (spoofs.into(), locked == 2)
}

/// Whatever anybody does at the door, nobody is let in and nobody compared.
#[track_caller]
fn is_locked(rig: &mut Rig) {
    let (before, pulses) = (embeddings(rig), rig.pulses());
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Refuses(Cause::Spoofs));
    for show in [Show::Face(1), Show::Face(9), Show::Spoof(1), Show::Nobody] {
        rig.visit(show, 5);
        assert_eq!(last(rig), (Reason::LockedOut, Cause::Spoofs), "{show:?}");
    }
    rig.give(BADGE);
    rig.show(&[Show::Face(1); 5]);
    assert_eq!(last(rig), (Reason::LockedOut, Cause::Spoofs), "a badge");
    rig.clock.advance(20_000);
    rig.show(&[Show::Face(1), Show::Nothing]);
    rig.clock.advance(86_400_000);
    rig.show(&[Show::Face(1); 5]);
    assert_eq!(last(rig), (Reason::LockedOut, Cause::Spoofs), "nobody announced, a day later");
    assert_eq!((embeddings(rig), rig.pulses()), (before, pulses));
    rig.clock.advance(20_000);
    rig.show(&[Show::Nothing]);
    rig.signs();
}

#[test]
fn three_attacks_in_a_row_lock_out_over_every_start_until_an_administrator_unlocks() {
    for at_once in [false, true] {
        let flash = with_ada();
        let mut rig = Rig::judging(&flash);
        if at_once {
            rig = rig.in_one_go();
        }
        assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().presentation, Presentation::Live);
        for n in 1..=K {
            assert_eq!(rig.shared.lock().armed(), Armed::Armed);
            rig.visit(Show::Spoof(1), 5);
            assert_eq!(last(&rig), (Reason::Spoof, Cause::None));
            // Whose face it was is told; the next visitor is somebody else, who is refused and begins no new row.
            assert_eq!(rig.decisions().last().unwrap().person, PersonId(1));
            assert_eq!(durable(&flash), (n, n == K));
            if n < K {
                rig.visit(Show::Face(9), 5);
                assert_eq!(last(&rig), (Reason::Unknown, Cause::None));
            }
        }
        assert!(rig.notices().contains("threshold unlock"));
        is_locked(&mut rig);
        let disarmed = |entry: &&threshold_record::LogEntry| {
            entry.kind == EntryKind::Disarmed && entry.cause == Cause::Spoofs
        };
        assert_eq!(rig.log().iter().filter(disarmed).count(), 1);
        // Nor does a start end it, or a version that judges nothing.
        is_locked(&mut Rig::judging(&flash));
        is_locked(&mut Rig::on(&flash));

        let mut rig = Rig::judging(&flash);
        assert!(rig.call::<Unlock>(&Nothing {}).unwrap().was_locked);
        assert_eq!((durable(&flash), rig.shared.lock().armed()), ((0, false), Armed::Armed));
        rig.visit(Show::Face(1), 5);
        assert_eq!((last(&rig).0, rig.pulses()), (Reason::Matched, 1));
        let unlocked =
            |rig: &Rig| rig.log().iter().filter(|entry| entry.kind == EntryKind::Unlocked).count();
        assert_eq!(unlocked(&rig), 1);
        assert!(!rig.call::<Unlock>(&Nothing {}).unwrap().was_locked);
        assert_eq!(unlocked(&rig), 1, "nothing was counted");
    }
}

#[test]
fn an_admission_begins_a_new_row_and_what_nobody_can_judge_is_no_admission() {
    let mut rig = Rig::judging(&with_ada());
    for _ in 0..3 {
        rig.visit(Show::Spoof(1), 5);
        rig.visit(Show::Spoof(1), 5);
        rig.visit(Show::Undecided(1), 5);
        assert_ne!(last(&rig).0, Reason::Matched);
        rig.visit(Show::Face(1), 5);
        assert_eq!(last(&rig).0, Reason::Matched);
    }
    assert_eq!(rig.pulses(), 3);
    // One frame of a visit is enough, also after others that showed somebody live, and not a second time in the same visit.
    rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1), Show::Spoof(1), Show::Spoof(1)]);
    rig.show(&[Show::Face(1), Show::Departure]);
    assert_eq!((last(&rig).0, durable(&rig.flash).0), (Reason::Spoof, 1));
}

#[test]
fn an_unlock_ends_a_pause_after_failed_attempts_too() {
    let mut rig = Rig::judging(&with_ada());
    while last_reason(&rig) != Some(Reason::LockedOut) {
        rig.visit(Show::Face(9), 5);
    }
    assert!(rig.call::<GetInfo>(&Nothing {}).unwrap().lockout_s > 0);
    assert!(rig.call::<Unlock>(&Nothing {}).unwrap().was_locked);
    rig.visit(Show::Face(1), 5);
    assert_eq!(last(&rig).0, Reason::Matched);
}

fn last_reason(rig: &Rig) -> Option<Reason> {
    rig.decisions().last().map(|entry| entry.reason)
}

/// Attacks of which the door told whoever stood there.
fn told(rig: &Rig) -> usize {
    let is_told = |sign: &Sign| matches!(sign, Sign::Refused(Reason::Spoof, _));
    rig.signs().iter().filter(|sign| is_told(sign)).count()
}

#[test]
fn a_power_cut_anywhere_between_attacks_buys_no_further_one() {
    // Safety rule 3: whoever was told has been counted, wherever the plug is pulled.
    let attacks = |rig: &mut Rig| (0..K).for_each(|_| rig.visit(Show::Spoof(1), 3));
    let writes = {
        let flash = with_ada();
        let before = flash.writes();
        attacks(&mut Rig::judging(&flash));
        flash.writes() - before
    };
    assert!(writes > 2 * K as u64, "{writes}");
    let prepared = with_ada();
    let mut counts = BTreeSet::new();
    for number in 1..=writes {
        for seed in 0..2 {
            let flash = prepared.copy();
            flash.cut_power_at(flash.writes() + number, seed);
            let mut rig = Rig::judging(&flash);
            attacks(&mut rig);
            let told_before = told(&rig);
            flash.power_on();
            let (counted, locked) = durable(&flash);
            assert!(counted >= told_before, "cut {number}: {told_before} told, {counted} durable");
            assert_eq!(locked, counted == K);
            counts.insert(counted);
            let mut rig = Rig::judging(&flash);
            for _ in counted..K {
                rig.visit(Show::Spoof(1), 3);
            }
            assert!(told_before + told(&rig) <= K);
            rig.visit(Show::Face(1), 5);
            assert_eq!(last(&rig), (Reason::LockedOut, Cause::Spoofs), "cut {number}");
            assert_eq!(rig.pulses(), 0);
        }
    }
    assert_eq!(counts, (0..=K).collect(), "the cuts lay before, between and behind");
}

#[test]
fn no_path_leads_to_an_admission_while_locked_out() {
    // Doors of drawn visits, claims, starts, cuts and hours, against a count of our own.
    let prepared = with_ada();
    let (mut admitted, mut locked_out) = (0, 0);
    for seed in 0..30 {
        let mut lots = Lots(seed);
        let flash = prepared.copy();
        let mut rig = Rig::judging(&flash);
        let mut row = 0;
        for act in 0..40 {
            let was_locked = row >= K;
            let (pulses, scored) = (rig.pulses(), embeddings(&rig));
            match lots.below(16) {
                0..5 => rig.visit(Show::Spoof(1), 3),
                5..8 => rig.visit(Show::Face(1), 4),
                8 => rig.visit(Show::Face(9), 3),
                9 => rig.visit(Show::Undecided(1), 4),
                10 => {
                    rig.give(BADGE);
                    let face = lots.one_of(&[Show::Face(1), Show::Face(9), Show::Spoof(1)]);
                    rig.show(&[face; 4]);
                    rig.clock.advance(11_000);
                    rig.show(&[Show::Nothing]);
                }
                11 => rig.clock.advance(lots.below(100_000)),
                12 => rig.show(&[Show::Arrival, Show::Face(1), Show::Spoof(1), Show::Departure]),
                13 if lots.below(3) == 0 => {
                    let told = rig.call::<Unlock>(&Nothing {}).unwrap();
                    assert!(told.was_locked || !was_locked, "seed {seed}, act {act}");
                    row = 0;
                    continue;
                }
                14 => {
                    flash.cut_power_at(flash.writes() + 1 + lots.below(4), seed);
                    rig.visit(lots.one_of(&[Show::Spoof(1), Show::Face(1)]), 3);
                    row += told(&rig);
                    let opened = rig.pulses() > pulses;
                    flash.power_on();
                    let (counted, _) = durable(&flash);
                    assert!(opened || counted >= row.min(K), "seed {seed}, act {act}");
                    assert!(!(was_locked && opened), "seed {seed}, act {act}");
                    row = counted;
                    rig = Rig::judging(&flash);
                    continue;
                }
                _ => rig = Rig::judging(&flash),
            }
            let (pulses, scored) = match rig.pulses() {
                // Another start.
                now if now < pulses => (0, 0),
                _ => (pulses, scored.min(embeddings(&rig))),
            };
            let opened = rig.pulses() - pulses;
            admitted += opened;
            if was_locked {
                assert_eq!((opened, embeddings(&rig)), (0, scored), "seed {seed}, act {act}");
                assert_eq!(told(&rig), 0);
            } else if opened > 0 {
                row = 0;
                rig.signs();
            } else {
                row += told(&rig);
                locked_out += usize::from(row >= K);
            }
            let armed = rig.shared.lock().armed();
            let expected = if row >= K { Armed::Refuses(Cause::Spoofs) } else { Armed::Armed };
            assert_eq!(armed, expected, "seed {seed}, act {act}");
        }
    }
    assert!(admitted > 10 && locked_out > 5, "{admitted} admitted, {locked_out} times locked out");
}

#[test]
fn a_unit_without_a_detector_counts_no_attacks_and_says_what_that_means() {
    let flash = MockFlash::new();
    let mut rig = Rig::on(&flash);
    rig.enrol("Ada", 1);
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().presentation, Presentation::NotAssessed);
    assert!(rig.notices().contains("A photo opens this door"));
    rig.visit(Show::Spoof(1), 4);
    assert_eq!((last(&rig).0, durable(&flash)), (Reason::Matched, (0, false)));
}

#[test]
fn a_count_that_the_store_did_not_take_is_told_to_nobody_and_made_up_for_before_anybody_else_comes()
{
    let prepared = with_ada();
    (1..K).for_each(|_| Rig::judging(&prepared).visit(Show::Spoof(1), 3));
    let mut made_up_for = 0;
    for write in 1..=12 {
        let flash = prepared.copy();
        let mut rig = Rig::judging(&flash);
        flash.fail_at(flash.writes() + write, threshold_store::FlashFault::Full);
        rig.visit(Show::Spoof(1), 3);
        let (told, counted) = (told(&rig), durable(&flash));
        assert!(told == 0 || counted == (K, true), "write {write}: {told} told, {counted:?}");
        rig.visit(Show::Spoof(1), 3);
        made_up_for += usize::from(counted.0 < K && last(&rig).0 == Reason::LockedOut);
        if matches!(rig.shared.lock().armed(), Armed::Fault(_)) {
            // A log that stopped in the middle of a batch takes nothing before the next start.
            rig = Rig::judging(&flash);
            rig.visit(Show::Spoof(1), 3);
        }
        assert_eq!(durable(&flash), (K, true), "write {write}");
        rig.visit(Show::Face(1), 5);
        assert_eq!(last(&rig), (Reason::LockedOut, Cause::Spoofs), "write {write}");
        is_locked(&mut Rig::judging(&flash));
        assert_eq!(rig.pulses(), 0);
    }
    assert!(made_up_for > 0, "the count itself found no space");
}

//! A full medium with a reserve: the door admits as often as its owner allowed, each admission durable first, and no start, no cut and
//! no other fault makes that more.

use crate::ADA;
use crate::rig::{Rig, Show};
use threshold_record::{Cause, EntryKind, LogEntry, Reason};
use threshold_store::{Flash, FlashFault, MockFlash, Object, Place, RESERVE_BYTES, Series};
use threshold_wire::RequestError;
use threshold_wire::endpoints::SetReserve;
use threshold_wire::message::Armed;
use threshold_wire::policy::{ReserveAsk, ReserveStanding, ReserveTold};

/// Bytes of everything on a flash.
fn used(flash: &MockFlash) -> usize {
    let segments =
        |of: Series| flash.segments(of).into_iter().map(move |number| of.segment(number));
    let objects = Object::FIXED.into_iter().chain([Object::Commission]);
    let objects = objects.chain(Series::ALL.into_iter().flat_map(segments));
    objects.filter_map(|object| flash.bytes(object)).map(|bytes| bytes.len()).sum()
}

/// Somebody else takes all the room that is left.
fn fill(flash: &MockFlash) {
    flash.set_capacity(Some(used(flash)));
}

fn reserve(rig: &mut Rig, admissions: Option<u8>) -> ReserveTold {
    rig.call::<SetReserve>(&ReserveAsk { admissions }).unwrap()
}

/// A unit with Ada as number 1, whose owner allowed so many admissions.
fn allowed(admissions: u8) -> Rig {
    let mut rig = Rig::new();
    assert_eq!(rig.enrol("Ada", 1), ADA);
    let told = ReserveTold { admissions, standing: ReserveStanding::Whole };
    assert_eq!(reserve(&mut rig, Some(admissions)), told);
    rig
}

/// Ada comes so many times; how often she was let in.
fn visits(rig: &mut Rig, count: usize) -> usize {
    let before = rig.pulses();
    for _ in 0..count {
        rig.visit(Show::Face(1), 5);
    }
    assert!(rig.told.lock().unwrap().not_durable.is_empty());
    rig.pulses() - before
}

/// Nobody is there for so long.
fn idle(rig: &mut Rig, ms: u64) {
    rig.clock.advance(ms);
    rig.show(&[Show::Nothing]);
}

fn armed(rig: &Rig) -> Armed {
    rig.shared.lock().armed()
}

fn of_kind(log: &[LogEntry], kind: EntryKind) -> Vec<u32> {
    log.iter().filter(|entry| entry.kind == kind).map(|entry| entry.runner_up.0).collect()
}

#[test]
fn without_the_owners_leave_a_full_medium_locks_the_door_and_nothing_is_held_back() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let none = ReserveTold { admissions: 0, standing: ReserveStanding::None };
    assert_eq!(reserve(&mut rig, None), none);
    idle(&mut rig, 120_000);
    assert_eq!(rig.flash.bytes(Object::Reserve), None);
    fill(&rig.flash);
    assert_eq!(visits(&mut rig, 4), 0);
    assert_eq!(armed(&rig), Armed::Fault(Cause::Store));
}

#[test]
fn a_full_medium_admits_as_often_as_was_allowed_and_a_start_does_not_count_anew() {
    let mut rig = allowed(3);
    assert_eq!(rig.flash.bytes(Object::Reserve).unwrap().len(), RESERVE_BYTES);
    assert_eq!(visits(&mut rig, 2), 2);
    fill(&rig.flash);
    // The first finds the medium full and is refused, the second has the reserve.
    assert_eq!((visits(&mut rig, 1), armed(&rig)), (0, Armed::Fault(Cause::Store)));
    assert_eq!((visits(&mut rig, 1), armed(&rig)), (1, Armed::Armed));
    let open = |left| ReserveTold { admissions: 3, standing: ReserveStanding::Open { left } };
    assert_eq!(reserve(&mut rig, None), open(2));
    assert!(rig.shared.lock().status().contains("2 admissions more"));
    assert_eq!(rig.flash.bytes(Object::Reserve), None);
    // The room is somebody else's again, but for a little.
    rig.flash.set_capacity(Some(used(&rig.flash) + 100_000));
    idle(&mut rig, 120_000);
    assert_eq!(reserve(&mut rig, None), open(2));
    let flash = rig.flash.clone();
    drop(rig);
    let mut rig = Rig::on(&flash);
    assert_eq!(reserve(&mut rig, None), open(2));
    assert_eq!((visits(&mut rig, 5), armed(&rig)), (2, Armed::Fault(Cause::ReserveUsedUp)));
    drop(rig);
    let mut rig = Rig::on(&flash);
    assert_eq!((visits(&mut rig, 3), armed(&rig)), (0, Armed::Fault(Cause::ReserveUsedUp)));
    assert_eq!(of_kind(&rig.log(), EntryKind::ReserveOpened), [3]);
    let refused = rig.decisions().pop().unwrap();
    assert_eq!((refused.reason, refused.cause), (Reason::Fault, Cause::ReserveUsedUp));
    // Space is there again: the reserve is held back, and only then the count has ended.
    flash.set_capacity(None);
    idle(&mut rig, 60_000);
    assert_eq!(reserve(&mut rig, None).standing, ReserveStanding::Whole);
    assert_eq!((visits(&mut rig, 2), armed(&rig)), (2, Armed::Armed));
    assert_eq!(of_kind(&rig.log(), EntryKind::ReserveWhole), [0]);
}

#[test]
fn what_helps_is_told_of_the_medium_that_is_full() {
    for (place, remedy) in [
        (Place::Folder, "; free space on the medium of the data folder"),
        (Place::Device, "; remove people, or begin anew on a larger device"),
    ] {
        let mut rig = allowed(1);
        rig.flash.set_place(place);
        fill(&rig.flash);
        assert_eq!(visits(&mut rig, 3), 1);
        assert_eq!(armed(&rig), Armed::Fault(Cause::ReserveUsedUp));
        let notices = rig.notices();
        for what in ["Full", "1 times more at most", "no admission is left of the reserve"] {
            assert!(notices.contains(&format!("{what}{remedy}")), "{what}: {notices}");
        }
    }
}

#[test]
fn a_start_on_a_full_medium_has_the_room_of_the_reserve_and_counts_from_there() {
    let rig = allowed(3);
    let flash = rig.flash.clone();
    drop(rig);
    // Full to the last byte, and with a little room that does not do for a start.
    for room in [0, 100] {
        let flash = flash.copy();
        flash.set_capacity(Some(used(&flash) + room));
        let mut rig = Rig::on(&flash);
        let open = ReserveStanding::Open { left: 3 };
        let told = ReserveTold { admissions: 3, standing: open };
        assert_eq!(reserve(&mut rig, None), told, "{room}");
        assert_eq!(of_kind(&rig.log(), EntryKind::ReserveOpened), [3], "{room}");
        assert_eq!(rig.flash.bytes(Object::Reserve), None);
        assert_eq!((visits(&mut rig, 2), armed(&rig)), (2, Armed::Armed));
        drop(rig);
        let mut rig = Rig::on(&flash);
        assert_eq!((visits(&mut rig, 3), armed(&rig)), (1, Armed::Fault(Cause::ReserveUsedUp)));
        assert_eq!(of_kind(&rig.log(), EntryKind::ReserveOpened), [3], "{room}");
    }
    // Without the owner's leave there is no reserve, and the door stays locked; so where somebody else took its room.
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let without = rig.flash.clone();
    drop(rig);
    flash.set_bytes(Object::Reserve, None);
    for flash in [without, flash] {
        fill(&flash);
        let mut rig = Rig::on(&flash);
        assert_eq!((visits(&mut rig, 3), armed(&rig)), (0, Armed::Fault(Cause::Store)));
    }
}

#[test]
fn a_start_on_a_full_medium_that_is_cut_off_lets_in_nobody_more() {
    let rig = allowed(2);
    let flash = rig.flash.clone();
    drop(rig);
    for at in 1..=30 {
        let flash = flash.copy();
        flash.set_capacity(Some(used(&flash)));
        flash.cut_power_at(at, at);
        let mut rig = Rig::on(&flash);
        let before = if flash.is_off() { 0 } else { visits(&mut rig, 1) };
        drop(rig);
        flash.cut_power(at);
        flash.power_on();
        let mut rig = Rig::on(&flash);
        let after = visits(&mut rig, 4);
        assert!(before + after <= 2, "{before} and {after}, cut at {at}");
    }
}

#[test]
fn a_medium_that_takes_nothing_for_another_reason_keeps_the_door_locked() {
    for fault in [FlashFault::ReadOnly, FlashFault::Io] {
        let mut rig = allowed(3);
        let writes = rig.flash.writes();
        (1..=1_000).for_each(|at| rig.flash.fail_at(writes + at, fault));
        assert_eq!(visits(&mut rig, 5), 0, "{fault:?}");
        assert!(rig.flash.bytes(Object::Reserve).is_some(), "{fault:?}");
        assert!(of_kind(&rig.log(), EntryKind::ReserveOpened).is_empty());
    }
}

#[test]
fn a_reserve_that_somebody_else_took_away_or_used_up_opens_nothing() {
    // Taken away by hand while the unit ran, and while it was off.
    let mut rig = allowed(3);
    rig.flash.set_bytes(Object::Reserve, None);
    fill(&rig.flash);
    assert_eq!((visits(&mut rig, 4), armed(&rig)), (0, Armed::Fault(Cause::Store)));
    let mut rig = allowed(3);
    rig.flash.set_bytes(Object::Reserve, None);
    rig.flash.set_capacity(Some(used(&rig.flash) + 100_000));
    rig = Rig::on(&rig.flash);
    assert_eq!((visits(&mut rig, 4), armed(&rig)), (0, Armed::Fault(Cause::ReserveUsedUp)));
    // Given back to a medium that is full all the same.
    let mut rig = allowed(3);
    fill(&rig.flash);
    assert_eq!(visits(&mut rig, 1), 0);
    rig.flash.set_capacity(Some(0));
    assert_eq!((visits(&mut rig, 4), armed(&rig)), (0, Armed::Fault(Cause::Store)));
}

#[test]
fn what_cannot_be_held_back_is_not_settled() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.flash.set_capacity(Some(used(&rig.flash) + 100_000));
    let asked = rig.call::<SetReserve>(&ReserveAsk { admissions: Some(3) });
    assert_eq!(asked.unwrap_err(), RequestError::StoreFault { part: Cause::ReserveUsedUp });
    assert_eq!((armed(&rig), visits(&mut rig, 1)), (Armed::Armed, 1), "the log is in order");
    let none = ReserveTold { admissions: 0, standing: ReserveStanding::None };
    assert_eq!(reserve(&mut rig, None), none);
    rig.flash.set_capacity(None);
    assert_eq!(reserve(&mut rig, Some(255)).admissions, 100);
    assert_eq!(reserve(&mut rig, Some(0)), none);
    assert_eq!(rig.flash.bytes(Object::Reserve), None);
}

#[test]
fn an_owner_who_wants_no_reserve_any_more_ends_the_count_only_where_there_is_room_again() {
    let mut rig = allowed(3);
    fill(&rig.flash);
    assert_eq!((visits(&mut rig, 2), armed(&rig)), (1, Armed::Armed));
    let refused = RequestError::StoreFault { part: Cause::ReserveUsedUp };
    let ask = |rig: &mut Rig, admissions| {
        rig.call::<SetReserve>(&ReserveAsk { admissions: Some(admissions) })
    };
    // Neither none nor more, which would begin anew; fewer hold at once, and over a start.
    assert_eq!(ask(&mut rig, 0).unwrap_err(), refused);
    assert_eq!(ask(&mut rig, 4).unwrap_err(), refused);
    let fewer = ReserveTold { admissions: 1, standing: ReserveStanding::Open { left: 1 } };
    assert_eq!(ask(&mut rig, 1).unwrap(), fewer);
    assert_eq!((visits(&mut rig, 3), armed(&rig)), (1, Armed::Fault(Cause::ReserveUsedUp)));
    assert_eq!(ask(&mut rig, 0).unwrap_err(), refused);
    assert_eq!((visits(&mut rig, 3), armed(&rig)), (0, Armed::Fault(Cause::ReserveUsedUp)));
    rig.flash.set_capacity(None);
    let none = ReserveTold { admissions: 0, standing: ReserveStanding::None };
    assert_eq!(ask(&mut rig, 0).unwrap(), none);
    assert_eq!((visits(&mut rig, 1), armed(&rig)), (1, Armed::Armed));
    assert_eq!(of_kind(&rig.log(), EntryKind::ReserveWhole), [0]);
}

#[test]
fn a_reserve_that_takes_the_last_room_is_the_logs_and_the_count_goes_on() {
    let mut rig = allowed(3);
    fill(&rig.flash);
    assert_eq!(visits(&mut rig, 2), 1);
    // Room for the reserve, and for nothing behind it.
    rig.flash.set_capacity(Some(used(&rig.flash) + RESERVE_BYTES));
    idle(&mut rig, 60_000);
    let open = ReserveTold { admissions: 3, standing: ReserveStanding::Open { left: 2 } };
    assert_eq!((reserve(&mut rig, None), rig.flash.bytes(Object::Reserve)), (open, None));
    assert_eq!((visits(&mut rig, 3), armed(&rig)), (2, Armed::Fault(Cause::ReserveUsedUp)));
}

#[test]
fn a_count_that_was_not_ended_though_the_reserve_is_there_again_is_ended_by_the_next_start() {
    let mut rig = allowed(3);
    let held = rig.flash.bytes(Object::Reserve).unwrap();
    fill(&rig.flash);
    assert_eq!(visits(&mut rig, 2), 1);
    let flash = rig.flash.clone();
    drop(rig);
    // As a cut leaves it between the reserve and its entry.
    flash.set_capacity(None);
    flash.set_bytes(Object::Reserve, Some(held));
    let mut rig = Rig::on(&flash);
    assert_eq!(reserve(&mut rig, None).standing, ReserveStanding::Whole);
    assert_eq!(of_kind(&rig.log(), EntryKind::ReserveWhole), [0]);
}

/// The power goes at every write of a life on a full medium, and the unit starts again there.
#[test]
fn no_cut_lets_in_more_than_was_allowed() {
    let life = |rig: &mut Rig| visits(rig, 4);
    let (mut at, mut cuts) = (0, 0);
    loop {
        at += 1;
        let mut rig = allowed(2);
        fill(&rig.flash);
        rig.flash.cut_power_at(rig.flash.writes() + at, at);
        let before = life(&mut rig);
        let flash = rig.flash.clone();
        drop(rig);
        if !flash.is_off() {
            break;
        }
        cuts += 1;
        flash.power_on();
        // On a medium that is full up to the anchor no store opens, and the door stays locked.
        let mut rig = Rig::on(&flash);
        let after = life(&mut rig);
        assert!(before + after <= 2, "write {at}: {before} and then {after}");
        // With space again all is as before.
        flash.set_capacity(None);
        drop(rig);
        let mut rig = Rig::on(&flash);
        idle(&mut rig, 120_000);
        assert_eq!(visits(&mut rig, 1), 1, "write {at}");
        assert_eq!(reserve(&mut rig, None).standing, ReserveStanding::Whole, "write {at}");
    }
    assert!(cuts > 20, "{cuts} cuts");
}

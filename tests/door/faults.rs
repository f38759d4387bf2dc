//! Faults: whatever fails, and whenever, the door stays locked unless an admission is written down first.
//!
//! Each test tries to break one of the design's safety rules, named beside it.

use crate::rig::{MODEL, Rig, Show, template};
use threshold_edge::state::Ending;
use threshold_record::{Cause, ContextKind, EntryKind, LogEntry, Name, PersonId, Reason};
use threshold_store::{FlashFault, MockFlash};
use threshold_wire::endpoints::{GetInfo, PutPerson, PutTemplate, Reboot, RemovePerson};
use threshold_wire::message::{
    Armed, EngineState, IfThere, Nothing, PersonPut, PersonRemove, TemplatePut,
};

/// Flash on which Ada, number 1, is enrolled.
fn with_ada() -> MockFlash {
    let flash = MockFlash::new();
    Rig::on(&flash).enrol("Ada", 1);
    flash
}

/// Visits of Ada, a stranger, and Ada again.
fn three_visits(rig: &mut Rig) {
    rig.visit(Show::Face(1), 5);
    rig.visit(Show::Face(9), 5);
    rig.visit(Show::Face(1), 5);
}

#[test]
fn no_failing_write_moves_the_lock_without_a_durable_entry() {
    // Safety rules 1 and 2.
    let writes = {
        let flash = with_ada();
        let before = flash.writes();
        three_visits(&mut Rig::on(&flash));
        flash.writes() - before
    };
    assert!(writes > 10, "{writes}");
    let mut admitted = [0usize; 3];
    for fault in [FlashFault::Io, FlashFault::Full, FlashFault::ReadOnly] {
        for number in 1..=writes {
            let flash = with_ada();
            flash.fail_at(flash.writes() + number, fault);
            let mut rig = Rig::on(&flash);
            three_visits(&mut rig);
            let told = rig.told.lock().unwrap();
            assert!(told.not_durable.is_empty(), "write {number} {fault:?}: {:?}", told.pulses);
            admitted[told.pulses.len()] += 1;
        }
    }
    // The faults did bite: some runs lost an admission, and some came through with both.
    assert!(admitted[0] > 0 && admitted[1] > 0 && admitted[2] > 0, "{admitted:?}");
}

#[test]
fn a_power_cut_anywhere_leaves_every_pulse_with_its_entry() {
    // Safety rule 1, over what the flash itself may tear and reorder.
    let writes = {
        let flash = with_ada();
        let before = flash.writes();
        three_visits(&mut Rig::on(&flash));
        flash.writes() - before
    };
    for number in 1..=writes {
        for seed in 0..8 {
            let flash = with_ada();
            flash.cut_power_at(flash.writes() + number, seed);
            let mut rig = Rig::on(&flash);
            three_visits(&mut rig);
            let pulses = rig.told.lock().unwrap().pulses.clone();
            assert!(rig.told.lock().unwrap().not_durable.is_empty());
            flash.power_on();
            let after = Rig::on(&flash);
            let admissions: Vec<u64> = after
                .decisions()
                .iter()
                .filter(|entry| entry.reason == Reason::Matched)
                .map(|entry| entry.sequence)
                .collect();
            for pulse in &pulses {
                assert!(admissions.contains(pulse), "cut {number}, seed {seed}: pulse {pulse}");
            }
        }
    }
}

#[test]
fn an_attempt_is_durable_before_its_probe_is_scored() {
    // Safety rule 3: what the flash would have held, had the plug been pulled at each embedding.
    let mut rig = Rig::on(&with_ada());
    for _ in 0..4 {
        rig.visit(Show::Face(9), 3);
    }
    rig.visit(Show::Face(1), 3);
    rig.visit(Show::Face(9), 1);
    let attempts = rig.told.lock().unwrap().attempts_at_embed.clone();
    let expected = [[1; 3], [2; 3], [3; 3], [4; 3], [5; 3]].concat();
    assert_eq!(attempts, [&expected[..], &[1]].concat());
}

#[test]
fn pulling_the_plug_buys_no_fresh_attempts() {
    // Safety rule 3.
    let flash = with_ada();
    for _ in 0..9 {
        // The plug is pulled in the middle of each visit.
        Rig::on(&flash).show(&[Show::Arrival, Show::Face(9)]);
    }
    let mut rig = Rig::on(&flash);
    rig.visit(Show::Face(9), 5);
    assert_eq!(rig.decisions().last().unwrap().reason, Reason::Unknown, "the tenth is compared");
    let scored = rig.told.lock().unwrap().attempts_at_embed.len();
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.decisions().last().unwrap().reason, Reason::LockedOut);
    let mut again = Rig::on(&flash);
    again.visit(Show::Face(1), 5);
    assert_eq!(again.decisions().last().unwrap().reason, Reason::LockedOut);
    assert!(again.call::<GetInfo>(&Nothing {}).unwrap().lockout_s > 50);
    assert_eq!(rig.told.lock().unwrap().attempts_at_embed.len(), scored, "no probe is scored");
    assert!(again.told.lock().unwrap().attempts_at_embed.is_empty());
    again.clock.advance(60_000);
    again.visit(Show::Face(1), 5);
    assert_eq!(again.decisions().last().unwrap().reason, Reason::Matched);
    assert_eq!(again.pulses(), 1);
}

#[test]
fn an_attempt_that_cannot_be_made_durable_is_not_scored() {
    let flash = with_ada();
    let mut rig = Rig::on(&flash);
    // The next write is the attempt's.
    flash.fail_at(flash.writes() + 1, FlashFault::Io);
    rig.show(&[Show::Arrival, Show::Face(1)]);
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty());
    let entry = *rig.decisions().last().unwrap();
    assert_eq!((entry.reason, entry.cause), (Reason::Fault, Cause::Store));
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn each_part_that_fails_is_a_refusal_with_that_part_as_cause() {
    // Safety rule 2.
    for (show, cause) in [
        (Show::Broken, Cause::Camera),
        (Show::DetectFails, Cause::Engine),
        (Show::EmbedFails, Cause::Engine),
        (Show::Panics, Cause::Engine),
    ] {
        let mut rig = Rig::on(&with_ada());
        rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1), show]);
        let entry = *rig.decisions().last().unwrap();
        assert_eq!((entry.reason, entry.cause), (Reason::Fault, cause), "{show:?}");
        assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Fault(cause));
        rig.show(&[Show::Face(1), Show::Face(1), Show::Face(1), Show::Departure]);
        assert_eq!(rig.pulses(), 0, "{show:?}");
        let disarmed =
            rig.log().iter().any(|entry| entry.kind == EntryKind::Disarmed && entry.cause == cause);
        assert!(disarmed, "{show:?}: {:?}", rig.log());
        assert!(rig.notices().contains(&format!("fault: {}", cause.text())), "{}", rig.notices());
        // A camera that works again mends; an engine that failed is not asked again.
        rig.visit(Show::Face(1), 5);
        assert_eq!(rig.pulses(), usize::from(cause == Cause::Camera), "{show:?}");
    }
}

/// What the log says of arming, decisions and engines, from an entry on.
fn course(rig: &Rig, from: usize) -> Vec<(EntryKind, Reason, Cause)> {
    let told = rig.log().into_iter().skip(from);
    told.map(|entry| (entry.kind, entry.reason, entry.cause)).collect()
}

#[test]
fn a_device_that_fails_is_replaced_by_what_passed_its_self_test() {
    // Safety rule 2.
    for failing in [Show::DetectFails, Show::EmbedFails] {
        let mut rig = Rig::on(&with_ada()).backed(900, true);
        let from = rig.log().len();
        // Two good frames, the one that fails, and more of the same visit than a decision needs.
        rig.show(&[Show::Arrival, Show::Face(1), Show::Face(1), failing]);
        rig.show(&[Show::Face(1), Show::Face(1), Show::Face(1), Show::Face(1), Show::Departure]);
        assert_eq!(rig.pulses(), 0, "{failing:?}");
        let expected = [
            (EntryKind::Disarmed, Reason::Matched, Cause::Engine),
            (EntryKind::Decision, Reason::Fault, Cause::Engine),
            (EntryKind::FellBack, Reason::Matched, Cause::DeviceLost),
            (EntryKind::Armed, Reason::Matched, Cause::None),
        ];
        assert_eq!(course(&rig, from), expected, "{failing:?}");
        let config = |rig: &Rig| {
            let state = rig.shared.lock();
            let store = state.journal().unwrap().store();
            store.last_context(ContextKind::Config).unwrap().to_vec()
        };
        assert_eq!(config(&rig), b"engine=spare");
        let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
        assert_eq!((info.armed, info.engine), (Armed::Armed, Some(EngineState::FellBack)));
        assert!(rig.notices().contains("the processor computes in its place"), "{}", rig.notices());
        // Who comes next is compared, and by the same threshold.
        rig.visit(Show::Face(9), 5);
        rig.visit(Show::Face(1), 5);
        let reasons: Vec<Reason> = rig.decisions().iter().map(|entry| entry.reason).collect();
        assert_eq!(reasons, [Reason::Fault, Reason::Unknown, Reason::Matched], "{failing:?}");
        assert_eq!(rig.pulses(), 1);
        // There is one spare.
        rig.show(&[Show::Arrival, Show::Face(1), failing]);
        rig.visit(Show::Face(1), 5);
        assert_eq!(rig.pulses(), 1, "{failing:?}");
        let armed = rig.call::<GetInfo>(&Nothing {}).unwrap().armed;
        assert_eq!(armed, Armed::Fault(Cause::Engine), "{failing:?}");
    }
}

#[test]
fn a_spare_that_fails_its_self_test_lets_nobody_in() {
    let mut rig = Rig::on(&with_ada()).backed(900, false);
    let from = rig.log().len();
    rig.show(&[Show::Arrival, Show::Face(1), Show::DetectFails]);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
    let fell_back = |(kind, ..): &(EntryKind, Reason, Cause)| *kind == EntryKind::FellBack;
    assert!(!course(&rig, from).iter().any(fell_back), "{:?}", course(&rig, from));
    let armed = rig.call::<GetInfo>(&Nothing {}).unwrap().armed;
    assert_eq!(armed, Armed::Fault(Cause::Engine));
    assert!(rig.notices().contains("cannot take the GPU's place"), "{}", rig.notices());
}

#[test]
fn a_panic_is_no_failing_device() {
    let mut rig = Rig::on(&with_ada()).backed(900, true);
    rig.show(&[Show::Arrival, Show::Face(1), Show::Panics]);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
    let armed = rig.call::<GetInfo>(&Nothing {}).unwrap().armed;
    assert_eq!(armed, Armed::Fault(Cause::Engine));
}

#[test]
fn a_frame_with_more_than_the_detector_holds_is_told_once_until_it_is_over() {
    let mut rig = Rig::on(&with_ada());
    let told =
        |rig: &Rig| rig.notices().matches("77 proposals more than there is room for").count();
    rig.show(&[Show::Crowd, Show::Crowd, Show::Crowd]);
    assert_eq!(told(&rig), 1);
    rig.show(&[Show::Nobody, Show::Crowd]);
    assert_eq!(told(&rig), 2);
}

#[test]
fn a_lock_that_fails_disarms() {
    let mut rig = Rig::on(&with_ada());
    *rig.jammed.lock().unwrap() = true;
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.decisions().last().unwrap().reason, Reason::Matched);
    rig.visit(Show::Face(1), 5);
    let entry = *rig.decisions().last().unwrap();
    assert_eq!((entry.reason, entry.cause), (Reason::Fault, Cause::Lock));
    assert_eq!(rig.pulses(), 1);
}

#[test]
fn a_full_flash_locks_and_space_unlocks() {
    let flash = with_ada();
    let mut rig = Rig::on(&flash);
    flash.set_capacity(Some(0));
    rig.visit(Show::Face(1), 5);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
    assert!(rig.notices().contains("free space on the medium"), "{}", rig.notices());
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Fault(Cause::Store));
    flash.set_capacity(None);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 1);
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Armed);
    let kinds: Vec<EntryKind> = rig.log().iter().map(|entry| entry.kind).collect();
    let end = &kinds[kinds.len() - 3..];
    assert_eq!(end, [EntryKind::Fault, EntryKind::Armed, EntryKind::Decision]);
}

#[test]
fn a_counter_that_makes_no_step_is_a_fault_of_the_keys_and_mends_with_the_step() {
    const FIRST: u64 = 41;
    let flash = MockFlash::new();
    flash.mock_keys().set_counter(Some(FIRST));
    Rig::on(&flash).enrol("Ada", 1);
    let mut rig = Rig::on(&flash);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 1);
    let steps = flash.keys().counter().unwrap().unwrap().at - FIRST;
    for step in 1..=40 {
        flash.mock_keys().fail_step(steps + step, false);
    }
    rig.enrol("Grace", 2);
    rig.show(&[Show::Departure]);
    rig.visit(Show::Face(1), 5);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 1);
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Fault(Cause::Keys));
    assert!(!rig.notices().contains("free space"), "{}", rig.notices());
    for _ in 0..60 {
        rig.visit(Show::Face(1), 5);
    }
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Armed);
    assert!(rig.pulses() > 1);
    let told = rig.log().into_iter().find(|entry| entry.kind == EntryKind::Fault);
    assert_eq!(told.unwrap().cause, Cause::Keys);
}

#[test]
fn a_store_that_cannot_be_opened_leaves_a_unit_that_says_so_and_stays_locked() {
    let flash = with_ada();
    flash.set_bytes(threshold_store::Object::Anchor, Some(vec![0; 48]));
    let mut rig = Rig::on(&flash);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
    assert!(rig.told.lock().unwrap().attempts_at_embed.is_empty());
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    assert_eq!((info.armed, info.log_head), (Armed::Fault(Cause::Store), None));
    assert!(rig.notices().contains("store.anchor is damaged"), "{}", rig.notices());
    assert!(rig.notices().contains("a refusal was not written down"), "{}", rig.notices());
}

#[test]
fn a_damaged_gallery_is_a_fault_that_the_log_tells() {
    let flash = with_ada();
    let mut bytes = flash.bytes(threshold_store::Object::GallerySegment(1)).unwrap();
    bytes[70] ^= 1;
    flash.set_bytes(threshold_store::Object::GallerySegment(1), Some(bytes));
    let mut rig = Rig::on(&flash);
    rig.visit(Show::Face(1), 5);
    assert_eq!(rig.pulses(), 0);
    let entry = *rig.decisions().last().unwrap();
    assert_eq!((entry.reason, entry.cause), (Reason::Fault, Cause::Gallery));
    let fault = rig.log().into_iter().find(|entry| entry.kind == EntryKind::Fault).unwrap();
    assert_eq!(fault.cause, Cause::Gallery);
}

#[test]
fn a_change_of_the_gallery_that_holds_has_its_entry_before_the_door_opens_again() {
    type Act = fn(&mut Rig) -> bool;
    let enrols: Act = |rig| {
        let put = PersonPut { name: Name::new("Grace").unwrap(), if_there: IfThere::Refuse };
        rig.call::<PutPerson>(&put).is_ok()
    };
    let adds: Act = |rig| {
        let put = TemplatePut { model: MODEL, template: template(PersonId(2), 1, 3) };
        rig.call::<PutTemplate>(&put).is_ok()
    };
    let removes: Act =
        |rig| rig.call::<RemovePerson>(&PersonRemove { person: PersonId(2) }).is_ok();
    for (what, kind, act) in [
        ("a name", EntryKind::Enrolled, enrols),
        ("a template", EntryKind::Enrolled, adds),
        ("a removal", EntryKind::Removed, removes),
    ] {
        let (mut owed, mut mended) = (0, 0);
        for failing in 1..=8 {
            let mut rig = Rig::new();
            rig.enrol("Ada", 1);
            rig.enrol("Emmy", 2);
            let told = |rig: &Rig| rig.log().iter().filter(|entry| entry.kind == kind).count();
            let generation = |rig: &mut Rig| {
                rig.call::<GetInfo>(&Nothing {}).unwrap().gallery.unwrap().generation
            };
            let before = (told(&rig), generation(&mut rig));
            rig.flash.fail_at(rig.flash.writes() + failing, FlashFault::Io);
            let done = act(&mut rig);
            let holds = generation(&mut rig) > before.1;
            let is_owed = holds && told(&rig) == before.0;
            owed += usize::from(is_owed);
            assert!(holds || !done, "{what}, write {failing}: said to be done");
            if is_owed {
                assert!(
                    !act(&mut rig),
                    "{what}, write {failing}: another change while one is owed"
                );
            }
            // The store is tried again by the loop, and takes what is owed before anybody comes in.
            (0..3).for_each(|_| rig.visit(Show::Face(1), 3));
            let told = told(&rig) > before.0;
            assert!(!holds || told || rig.pulses() == 0, "{what}, write {failing}");
            // A log that does not know what it has takes nothing more until the next start, and the door stays locked.
            mended += usize::from(is_owed && told && rig.pulses() > 0);
        }
        assert!(owed > mended && mended > 0, "{what}: {mended} of {owed} owed entries came");
    }
}

/// Puts a second template of Emmy, of face 3.
fn put_of_emmy(rig: &mut Rig) -> bool {
    let put = TemplatePut { model: MODEL, template: template(PersonId(2), 1, 3) };
    rig.call::<PutTemplate>(&put).is_ok()
}

/// Entries of that kind.
fn count(rig: &Rig, kind: EntryKind) -> usize {
    rig.log().iter().filter(|entry| entry.kind == kind).count()
}

#[test]
fn a_unit_that_is_told_to_start_again_writes_down_first_what_it_owes_or_refuses() {
    let (mut written, mut refused) = (0, 0);
    for full in [false, true] {
        for failing in 1..=5 {
            let mut rig = Rig::new();
            rig.enrol("Ada", 1);
            rig.enrol("Emmy", 2);
            let before = count(&rig, EntryKind::Enrolled);
            let flash = rig.flash.clone();
            flash.fail_at(flash.writes() + failing, FlashFault::Io);
            put_of_emmy(&mut rig);
            if full {
                flash.set_capacity(Some(0));
            }
            let templates = |rig: &mut Rig| {
                rig.call::<GetInfo>(&Nothing {}).unwrap().gallery.unwrap().templates
            };
            let holds = templates(&mut rig) == 3;
            let owes = !rig.shared.lock().owes_nothing();
            let reboots = rig.call::<Reboot>(&Nothing {}).is_ok();
            let told = count(&rig, EntryKind::Enrolled) > before;
            assert!(!holds || told || !reboots, "write {failing}, full {full}");
            written += usize::from(owes && told && reboots);
            refused += usize::from(owes && !reboots);
            rig.clock.advance(60_000);
            assert_eq!(rig.shared.lock().ending().is_some(), reboots, "write {failing}");
            drop(rig);
            flash.set_capacity(None);
            if reboots {
                // What failed may hold from this start on.
                let mut next = Rig::as_it_was(&flash);
                assert!(templates(&mut next) < 3 || count(&next, EntryKind::Enrolled) > before);
            }
        }
    }
    assert!(written > 0 && refused > 0, "{written} {refused}");
}

#[test]
fn entries_of_a_push_that_only_wait_in_the_log_are_owed_as_well() {
    let (mut written, mut refused) = (0, 0);
    for full in [false, true] {
        for failing in 1..=3 {
            let mut rig = Rig::new();
            rig.enrol("Ada", 1);
            let before = count(&rig, EntryKind::Enrolled);
            rig.flash.fail_at(rig.flash.writes() + failing, FlashFault::Io);
            let entries = [LogEntry::of(EntryKind::Enrolled); 3];
            if rig.shared.lock().write_all_or_owe(&entries).is_ok() {
                continue;
            }
            assert!(!rig.shared.lock().owes_nothing(), "write {failing}");
            if full {
                rig.flash.set_capacity(Some(0));
            }
            let reboots = rig.call::<Reboot>(&Nothing {}).is_ok();
            let told = count(&rig, EntryKind::Enrolled) >= before + entries.len();
            assert!(told || !reboots, "write {failing}, full {full}");
            written += usize::from(reboots);
            refused += usize::from(!reboots);
        }
    }
    assert!(written > 0 && refused > 0, "{written} {refused}");
}

#[test]
fn a_version_on_trial_goes_back_whatever_the_log_is_owed() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.enrol("Emmy", 2);
    rig.flash.set_capacity(Some(0));
    let _ = rig.shared.lock().write_or_owe(LogEntry::of(EntryKind::Enrolled));
    assert!(!rig.shared.lock().owes_nothing());
    rig.shared.lock().end(Ending::Reboot);
    rig.clock.advance(60_000);
    assert_eq!(rig.shared.lock().ending(), None, "a restart waits for the log");
    rig.shared.lock().end(Ending::GoBack);
    rig.clock.advance(60_000);
    assert_eq!(rig.shared.lock().ending(), Some(Ending::GoBack));
}

#[test]
fn a_unit_that_is_stopped_writes_down_first_what_it_owes() {
    let mut told = 0;
    for failing in 1..=5 {
        let mut rig = Rig::new();
        rig.enrol("Ada", 1);
        rig.enrol("Emmy", 2);
        let before = count(&rig, EntryKind::Enrolled);
        rig.flash.fail_at(rig.flash.writes() + failing, FlashFault::Io);
        put_of_emmy(&mut rig);
        let owes = !rig.shared.lock().owes_nothing();
        rig.shared.lock().stop();
        let log = rig.log();
        if owes && rig.shared.lock().owes_nothing() {
            assert!(count(&rig, EntryKind::Enrolled) > before, "write {failing}");
            assert_eq!(log.last().unwrap().kind, EntryKind::Disarmed, "behind what was owed");
            told += 1;
        } else if owes {
            assert!(rig.notices().contains("is lost: Enrolled, person 2"), "{}", rig.notices());
        }
    }
    assert!(told > 0);
}

#[test]
fn a_device_that_was_replaced_has_its_entry_and_its_engine_named_before_the_door_opens_again() {
    let mut opened = 0;
    for failing in 1..=10 {
        let mut rig = Rig::on(&with_ada()).backed(900, true);
        rig.show(&[Show::Arrival, Show::Face(1)]);
        rig.flash.fail_at(rig.flash.writes() + failing, FlashFault::Io);
        rig.show(&[Show::DetectFails, Show::Departure]);
        (0..3).for_each(|_| rig.visit(Show::Face(1), 5));
        if rig.pulses() == 0 {
            continue;
        }
        opened += 1;
        assert!(count(&rig, EntryKind::FellBack) > 0, "write {failing}");
        let last = *rig.decisions().last().unwrap();
        let state = rig.shared.lock();
        let config = state.journal().unwrap().store().context(last.context_config).unwrap();
        assert_eq!(config.unwrap().bytes, b"engine=spare", "write {failing}");
    }
    assert!(opened > 2, "{opened}");
}

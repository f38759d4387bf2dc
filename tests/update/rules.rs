//! The rules of an update: who signed it, which counter, how many starts, and what is never written over.

use crate::rig::{BOARD, Factory, files};
use std::io::Cursor;
use threshold_bundle::{BundleError, FileKind, Keys, SigningKey, development_key};
use threshold_slots::mock::MockMedium;
use threshold_slots::{Event, Maker, Slot, SlotError, SlotFault, Slots, Standing, Why};
use threshold_tests::forged::renamed;

/// A unit that runs version 1 from slot a, with version 2 of this counter on trial and started once.
fn on_trial(factory: &Factory, counter: u64) -> (MockMedium, Slots) {
    let medium = factory.confirmed();
    let update = factory.version(2, counter);
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(update)).unwrap();
    let slots = factory.boot(&medium);
    (medium, slots)
}

#[test]
fn a_version_that_is_not_confirmed_runs_three_times_and_then_the_one_before() {
    let factory = Factory::new();
    let (medium, slots) = on_trial(&factory, 2);
    assert!(slots.status().unwrap().is_on_trial());
    drop(slots);
    let chosen = || factory.slots(&medium, None).choose().unwrap();
    for left in [1, 0] {
        let choice = chosen();
        assert!(matches!(choice.why, Why::Trial { left: l } if l == left), "{choice}");
        assert_eq!(choice.manifest.version, "2");
    }
    let choice = chosen();
    assert!(matches!(choice.why, Why::NotConfirmed(Slot::B)), "{choice}");
    let status = factory.slots(&medium, Some(Slot::A)).status().unwrap();
    assert_eq!(status.untold, Some(Event::WentBack));
    for _ in 0..5 {
        let choice = chosen();
        assert_eq!(choice.manifest.version, "1", "{choice}");
        assert!(matches!(choice.why, Why::Confirmed), "{choice}");
    }
    // The version that failed is no way back for anybody.
    let error = factory.slots(&medium, Some(Slot::A)).revert().unwrap_err();
    assert!(
        matches!(error, SlotError::NoWayBack { fault: SlotFault::NeverConfirmed, .. }),
        "{error}"
    );
}

#[test]
fn the_security_counter_advances_when_a_version_is_confirmed_and_not_before() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 3);
    assert_eq!(slots.status().unwrap().counter, 1);
    assert_eq!(slots.confirm().unwrap(), Slot::B);
    let status = slots.status().unwrap();
    assert_eq!((status.counter, status.current), (3, Some(Slot::B)));
    assert_eq!(status.untold, Some(Event::Confirmed));
    slots.told().unwrap();
    assert_eq!(slots.status().unwrap().untold, None);
    // What is below it is neither taken, nor gone back to, nor started.
    let older = slots.install(&mut Cursor::new(factory.version(4, 2))).unwrap_err();
    assert!(
        matches!(older, SlotError::Bundle(BundleError::Older { found: 2, least: 3 })),
        "{older}"
    );
    let back = slots.revert().unwrap_err();
    assert!(matches!(back, SlotError::NoWayBack { slot: Slot::A, .. }), "{back}");
    assert!(back.to_string().contains("counter 1"), "{back}");
    medium.set_file(Slot::B, "threshold-edge", None);
    let error = factory.slots(&medium, None).choose().unwrap_err();
    assert!(matches!(error, SlotError::NoVersion { .. }), "{error}");
}

#[test]
fn a_refused_bundle_touches_no_slot() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let changes = medium.changes();
    let refused = |bundle: Vec<u8>| {
        let mut slots = factory.slots(&medium, Some(Slot::A));
        let SlotError::Bundle(error) = slots.install(&mut Cursor::new(bundle)).unwrap_err() else {
            panic!("refused for another reason");
        };
        error
    };
    let mut damaged = factory.version(2, 2);
    let last = damaged.len() - 1100;
    damaged[last] ^= 1;
    assert!(matches!(refused(damaged), BundleError::Damaged { .. }));
    let key = development_key();
    let everybody = Factory::of(key.clone(), key.clone(), Keys::of(&key, 1));
    assert!(matches!(refused(everybody.version(2, 2)), BundleError::Development));
    let maker = Factory::new();
    let stranger = Factory::of(SigningKey::from_bytes(&[9; 32]), maker.build, maker.keys);
    assert!(matches!(refused(stranger.version(2, 2)), BundleError::Signature { .. }));
    assert_eq!(medium.changes(), changes);
    // Who made the unit for a bench takes what everybody can make.
    let mut bench = Slots::on(Box::new(MockMedium::new()), Maker::development(BOARD), None);
    bench.install(&mut Cursor::new(everybody.version(2, 2))).unwrap();
}

#[test]
fn a_build_key_that_a_confirmed_version_revoked_brings_nothing_any_more() {
    let before = Factory::new();
    let medium = before.confirmed();
    let old = before.version(3, 1);
    let build = SigningKey::from_bytes(&[10; 32]);
    let keys = Keys { revoked: vec![before.keys.build_key.clone()], ..Keys::of(&build, 2) };
    let factory = Factory::of(before.release, build, keys);
    let update = factory.version(2, 1);
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(update)).unwrap();
    let mut slots = factory.boot(&medium);
    slots.confirm().unwrap();
    let error = slots.install(&mut Cursor::new(old)).unwrap_err();
    let revoked = BundleError::KeyRevoked { serial: 1, known: 2 }.to_string();
    assert_eq!(error.to_string(), revoked);
    // The version before was signed by that key.
    assert!(slots.revert().unwrap_err().to_string().contains(&revoked));
}

#[test]
fn the_way_back_of_a_trial_is_not_written_over() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    let error = slots.install(&mut Cursor::new(factory.version(3, 1))).unwrap_err();
    assert!(matches!(error, SlotError::OnTrial { slot: Slot::B }), "{error}");
    // But for one that could not be started anyway.
    medium.set_file(Slot::A, "threshold-edge", None);
    slots.install(&mut Cursor::new(factory.version(3, 1))).unwrap();
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "3");
}

#[test]
fn the_version_that_was_gone_back_to_is_not_written_over_before_it_runs() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    assert_eq!(slots.revert().unwrap(), Slot::A);
    // The process that was gone back from lives for a while.
    let changes = medium.changes();
    let error = slots.install(&mut Cursor::new(factory.version(3, 1))).unwrap_err();
    assert!(matches!(error, SlotError::GoingBack { slot: Slot::A }), "{error}");
    assert_eq!(medium.changes(), changes);
    let mut slots = factory.boot(&medium);
    assert_eq!(slots.status().unwrap().running, Some(Slot::A));
    slots.install(&mut Cursor::new(factory.version(3, 1))).unwrap();
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "3");
}

#[test]
fn a_stopped_unit_gets_a_version_in_the_place_of_the_one_that_may_not_be_started() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    slots.confirm().unwrap();
    medium.set_file(Slot::B, "threshold-edge", None);
    medium.fail_at(medium.changes() + 10);
    let install = |version| {
        let bundle = factory.version(version, 1);
        factory.slots(&medium, None).install(&mut Cursor::new(bundle))
    };
    install(3).unwrap_err();
    medium.power_on();
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "1");
    install(4).unwrap();
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "4");
    assert_eq!(factory.slots(&medium, Some(Slot::B)).revert().unwrap(), Slot::A);
}

#[test]
fn an_owner_who_asks_twice_goes_back_to_the_same_version() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    slots.confirm().unwrap();
    for _ in 0..3 {
        assert_eq!(slots.revert().unwrap(), Slot::A);
    }
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "1");
    // One who gives up what was installed and has not run stays with what runs.
    let mut slots = factory.boot(&medium);
    slots.install(&mut Cursor::new(factory.version(3, 1))).unwrap();
    assert_eq!(slots.revert().unwrap(), Slot::A);
    assert!(matches!(slots.revert().unwrap_err(), SlotError::NoWayBack { slot: Slot::B, .. }));
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "1");
}

#[test]
fn an_owner_goes_back_and_forth_between_versions_that_were_confirmed() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    slots.confirm().unwrap();
    assert!(matches!(slots.confirm().unwrap_err(), SlotError::NothingToConfirm));
    for (from, version) in [(Slot::B, "1"), (Slot::A, "2"), (Slot::B, "1")] {
        let back = factory.slots(&medium, Some(from)).revert().unwrap();
        assert_eq!(back, from.other());
        assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, version);
    }
}

#[test]
fn a_trial_is_ended_at_once_by_its_owner() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    assert_eq!(slots.revert().unwrap(), Slot::A);
    let choice = factory.slots(&medium, None).choose().unwrap();
    assert!(matches!(choice.why, Why::Confirmed) && choice.slot == Slot::A, "{choice}");
}

#[test]
fn a_program_that_does_not_run_from_the_slot_on_trial_confirms_nothing() {
    let factory = Factory::new();
    let (medium, _) = on_trial(&factory, 1);
    for running in [None, Some(Slot::A)] {
        let error = factory.slots(&medium, running).confirm().unwrap_err();
        assert!(matches!(error, SlotError::NothingToConfirm), "{error}");
    }
}

#[test]
fn a_first_version_that_is_never_confirmed_goes_on_since_there_is_no_other() {
    let factory = Factory::new();
    let medium = MockMedium::new();
    let error = factory.slots(&medium, None).choose().unwrap_err();
    assert!(error.to_string().contains("install one"), "{error}");
    factory.slots(&medium, None).install(&mut Cursor::new(factory.version(1, 7))).unwrap();
    for _ in 0..6 {
        let choice = factory.slots(&medium, None).choose().unwrap();
        assert_eq!(choice.manifest.version, "1");
    }
    let mut slots = factory.boot(&medium);
    slots.confirm().unwrap();
    let status = slots.status().unwrap();
    assert_eq!((status.counter, status.slots[0].standing), (7, Standing::Confirmed));
}

#[test]
fn an_installation_that_was_cut_before_any_version_was_confirmed_is_not_told_as_going_back() {
    let factory = Factory::new();
    // The version that is left lies in slot a, then in b.
    for before in [1, 2] {
        let medium = MockMedium::new();
        for version in 1..=before {
            let bundle = factory.version(version, 1);
            factory.slots(&medium, None).install(&mut Cursor::new(bundle)).unwrap();
        }
        medium.fail_at(medium.changes() + 10);
        let bundle = factory.version(before + 1, 1);
        factory.slots(&medium, None).install(&mut Cursor::new(bundle)).unwrap_err();
        medium.power_on();
        let slots = factory.boot(&medium);
        let status = slots.status().unwrap();
        let running = status.running.unwrap();
        assert_eq!(status.slots[running as usize].version.as_ref().unwrap().0, before.to_string());
        assert_eq!(status.untold, Some(Event::OnTrial));
        assert_eq!(status.slots[running.other() as usize].standing, Standing::Empty);
    }
}

#[test]
fn an_installation_that_failed_before_any_version_was_confirmed_is_tried_again_beside_the_one_that_is_there()
 {
    let factory = Factory::new();
    let medium = MockMedium::new();
    let install = |version| {
        let bundle = factory.version(version, 1);
        factory.slots(&medium, None).install(&mut Cursor::new(bundle))
    };
    install(1).unwrap();
    for _ in 0..3 {
        medium.fail_at(medium.changes() + 10);
        let error = install(2).unwrap_err();
        medium.power_on();
        assert!(matches!(error, SlotError::Bundle(BundleError::Io(_))), "{error}");
        assert_eq!(factory.slots(&medium, None).look().unwrap().manifest.version, "1");
        for (name, ..) in files(2) {
            assert_eq!(medium.file(Slot::B, name), None, "what lies in a slot that failed");
        }
    }
    install(2).unwrap();
    let chosen = factory.slots(&medium, None).look().unwrap();
    assert_eq!((chosen.manifest.version.as_str(), chosen.slot), ("2", Slot::B));
}

#[test]
fn whether_a_bundle_would_be_taken_at_all_is_asked_without_touching_anything() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    let changes = medium.changes();
    assert!(matches!(slots.may_install(), Err(SlotError::OnTrial { slot: Slot::B })));
    slots.revert().unwrap();
    assert!(matches!(slots.may_install(), Err(SlotError::GoingBack { slot: Slot::A })));
    assert!(medium.changes() > changes);
    let changes = medium.changes();
    factory.slots(&medium, Some(Slot::A)).may_install().unwrap();
    assert_eq!(medium.changes(), changes);
}

#[test]
fn a_program_that_may_not_be_executed_is_not_started_and_no_way_back() {
    let factory = Factory::new();
    let (medium, mut slots) = on_trial(&factory, 1);
    slots.confirm().unwrap();
    medium.lose_execution(Slot::A, "threshold-edge");
    let back = slots.revert().unwrap_err();
    assert!(matches!(back, SlotError::NoWayBack { fault: SlotFault::File { .. }, .. }), "{back}");
    let other = medium.copy();
    other.lose_execution(Slot::B, "threshold-edge");
    let none = factory.slots(&other, None).choose().unwrap_err();
    assert!(none.to_string().contains("may not be executed"), "{none}");
    // A pack is no program.
    medium.lose_execution(Slot::B, "packs/dlib.safetensors");
    assert_eq!(factory.slots(&medium, None).choose().unwrap().manifest.version, "2");
}

#[test]
fn a_name_that_leads_out_of_a_slot_is_neither_installed_nor_started() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let mut named = files(2);
    named.push(("aaaa", FileKind::List, b"x".to_vec()));
    let bundle = factory.bundle(2, 2, &named);
    let forged = renamed(&bundle, "aaaa", "../a", &factory.build);
    let changes = medium.changes();
    let mut slots = factory.slots(&medium, Some(Slot::A));
    let error = slots.install(&mut Cursor::new(&forged)).unwrap_err();
    let is_text =
        |error: &BundleError| matches!(error, BundleError::Text { member: "MANIFEST", .. });
    assert!(matches!(&error, SlotError::Bundle(error) if is_text(error)), "{error}");
    assert_eq!(medium.changes(), changes, "a slot was touched");
    // As if an earlier program had taken it.
    slots.install(&mut Cursor::new(bundle)).unwrap();
    let member = |at: usize| forged[at..].to_vec();
    let find = |part: &[u8]| forged.windows(part.len()).position(|window| window == part).unwrap();
    let start = find(b"# threshold bundle\n");
    let len = medium.file(Slot::B, "MANIFEST").unwrap().len();
    let signature = start + len.next_multiple_of(512) + 512;
    medium.set_file(Slot::B, "MANIFEST", Some(member(start)[..len].to_vec()));
    medium.set_file(Slot::B, "MANIFEST.sig", Some(member(signature)[..64].to_vec()));
    let status = slots.status().unwrap();
    let Err(SlotFault::Texts(error)) = &status.slots[1].version else { panic!("{status:?}") };
    assert!(is_text(error), "{error}");
    assert_eq!(factory.slots(&medium, None).choose().unwrap().slot, Slot::A);
}

#[test]
fn a_bundle_without_the_unit_s_program_goes_on_no_trial() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let mut without = files(2);
    without.remove(0);
    without.push(("threshold-edge", FileKind::List, b"no program".to_vec()));
    let bundle = factory.bundle(2, 2, &without);
    let error =
        factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(bundle)).unwrap_err();
    let no_program = matches!(error, SlotError::NotAsWritten { fault: SlotFault::NoProgram, .. });
    assert!(no_program, "{error}");
    assert_eq!(factory.slots(&medium, None).choose().unwrap().slot, Slot::A);
}

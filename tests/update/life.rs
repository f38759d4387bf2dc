//! The life of a unit: installs, starts, confirmations and going back in any order, with power cuts anywhere, against what must hold
//! whatever happens.

use crate::rig::Factory;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use threshold_slots::mock::MockMedium;
use threshold_slots::{Slot, SlotError, TRIAL_BOOTS, Why};
use threshold_tests::lots::Lots;

/// Lives, and operations in each.
const LIVES: u64 = 150;
const OPERATIONS: u64 = 25;

#[test]
fn a_unit_always_has_a_version_and_counts_every_start_of_a_trial() {
    let factory = Factory::new();
    for life in 0..LIVES {
        let mut lots = Lots(life);
        let medium = factory.confirmed();
        let mut running = Slot::A;
        let mut newest = 1;
        let mut least = 1;
        let mut starts: BTreeMap<String, u8> = BTreeMap::new();
        let mut given_up: BTreeSet<String> = BTreeSet::new();
        let mut version = "1".to_owned();
        for operation in 0..OPERATIONS {
            let at = format!("life {life}, operation {operation}");
            if lots.below(3) == 0 {
                medium.cut_power_at(medium.changes() + 1 + lots.below(30), lots.bits());
            }
            let mut slots = factory.slots(&medium, Some(running));
            // Several operations may come before the process ends, as after one by which it was told to.
            for _ in 0..=lots.below(3) {
                match lots.below(6) {
                    0 => {
                        newest += 1;
                        let bundle = factory.version(newest, least + lots.below(2));
                        let _ = slots.install(&mut Cursor::new(bundle));
                    }
                    1 => drop(slots.confirm()),
                    2 => {
                        let on_trial = slots.status().is_ok_and(|status| status.is_on_trial());
                        if slots.revert().is_ok() && on_trial {
                            given_up.insert(version.clone());
                        }
                    }
                    _ => {}
                }
            }
            drop(slots);
            // They are followed by a start, which may be cut too and is then tried again.
            let choice = loop {
                let chosen = factory.slots(&medium, None).choose();
                let cut = medium.is_off();
                medium.power_on();
                match chosen {
                    Ok(choice) if !cut => break choice,
                    chosen => assert!(cut, "{at}: {chosen:?}"),
                }
            };
            version = choice.manifest.version.clone();
            assert!(!given_up.contains(&version), "{at}: {choice}, and its owner gave it up");
            if let Why::Trial { .. } = choice.why {
                let starts = starts.entry(version.clone()).or_default();
                *starts += 1;
                assert!(*starts <= TRIAL_BOOTS, "{at}: version {version} started {starts} times");
            }
            running = choice.slot;
            let status = factory.slots(&medium, Some(running)).status().unwrap();
            assert!(
                status.counter >= least,
                "{at}: the counter went from {least} to {}",
                status.counter
            );
            assert!(choice.manifest.counter >= status.counter, "{at}: {choice}");
            least = status.counter;
        }
    }
}

#[test]
fn damage_to_one_copy_of_the_state_brings_no_older_state_back() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(factory.version(2, 2))).unwrap();
    for left in (0..TRIAL_BOOTS).rev() {
        factory.boot(&medium);
        for copy in 0..2 {
            for damage in [None, Some(Vec::new()), Some(vec![0xff; 136])] {
                let damaged: MockMedium = medium.copy();
                damaged.set_copy(copy, damage);
                let status = factory.slots(&damaged, None).status().unwrap();
                assert_eq!(status.trial.map(|trial| trial.left), Some(left));
            }
        }
    }
    let damage = || [None, Some(b"damaged".to_vec())];
    for copies in
        damage().into_iter().flat_map(|first| damage().map(|other| [first.clone(), other]))
    {
        let damaged = medium.copy();
        for (copy, bytes) in copies.into_iter().enumerate() {
            damaged.set_copy(copy, bytes);
        }
        let refused = |error: SlotError| {
            assert!(matches!(error, SlotError::StateDamaged), "{error}");
            assert!(error.to_string().contains("threshold-launch install BUNDLE"), "{error}");
        };
        let older = Cursor::new(factory.version(3, 0));
        refused(factory.slots(&damaged, None).choose().unwrap_err());
        refused(factory.slots(&damaged, None).has_version().unwrap_err());
        refused(factory.slots(&damaged, None).install(&mut { older }).unwrap_err());
        assert_eq!(damaged.changes(), 0, "a unit that lost its state was taken for a new one");
    }
}

#[test]
fn a_cut_between_the_copies_of_the_state_is_made_good_before_damage_could_use_it() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let update = factory.version(2, 2);
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(update)).unwrap();
    for seed in 0..30 {
        let cut = medium.copy();
        // The start of the trial is counted in one copy, and the power goes within the other.
        cut.cut_power_at(2, seed);
        let _ = factory.slots(&cut, None).choose();
        assert!(cut.is_off());
        cut.power_on();
        drop(factory.slots(&cut, None));
        for copy in 0..2 {
            let damaged = cut.copy();
            damaged.set_copy(copy, Some(vec![0xff; 136]));
            let trial = factory.slots(&damaged, None).status().unwrap().trial.unwrap();
            assert_eq!(trial.left, TRIAL_BOOTS - 1, "seed {seed}, copy {copy}");
        }
    }
}

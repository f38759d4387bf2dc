//! Damage of a slot: whatever is changed in it, it is not started.

use crate::rig::{Factory, files};
use std::io::Cursor;
use threshold_bundle::Texts;
use threshold_slots::{Slot, SlotError, TRIAL_BOOTS, Why};
use threshold_tests::lots::Lots;

#[test]
fn a_slot_in_which_anything_is_changed_is_not_started() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let update = factory.version(2, 1);
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(update)).unwrap();
    factory.boot(&medium).confirm().unwrap();
    let names: Vec<&str> =
        files(2).into_iter().map(|(name, _, _)| name).chain(Texts::NAMES).collect();
    let mut lots = Lots(3);
    let chosen_after = |name: &str, bytes: Option<Vec<u8>>| {
        let medium = medium.copy();
        medium.set_file(Slot::B, name, bytes);
        factory.slots(&medium, None).choose().unwrap()
    };
    for name in names {
        let whole = medium.file(Slot::B, name).unwrap();
        let mut damages = vec![None, Some([&whole[..], b"x"].concat())];
        if !whole.is_empty() {
            damages.push(Some(whole[..whole.len() - 1].to_vec()));
        }
        for _ in 0..whole.len().min(200) {
            let mut flipped = whole.clone();
            flipped[lots.below(whole.len() as u64) as usize] ^= 1 << lots.below(8);
            damages.push(Some(flipped));
        }
        for damage in damages {
            let choice = chosen_after(name, damage);
            assert_eq!(choice.slot, Slot::A, "{name}: {choice}");
            assert!(matches!(choice.why, Why::Unfit(Slot::B, _)), "{name}: {choice}");
        }
    }
    let choice = chosen_after("packs/another.safetensors", Some(b"nobody signed it".to_vec()));
    assert_eq!(choice.slot, Slot::A, "{choice}");
}

#[test]
fn a_version_on_trial_that_is_damaged_is_not_started_once() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let update = factory.version(2, 2);
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(update)).unwrap();
    medium.set_file(Slot::B, "packs/dlib.safetensors", Some(Vec::new()));
    let choice = factory.slots(&medium, None).choose().unwrap();
    assert_eq!((choice.slot, choice.manifest.version.as_str()), (Slot::A, "1"));
    let status = factory.slots(&medium, None).status().unwrap();
    assert!(status.trial.is_none() && status.counter == 1, "{status:?}");
}

#[test]
fn with_both_slots_damaged_nothing_is_started_and_both_are_named() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    medium.set_file(Slot::A, "threshold-edge", None);
    let error = factory.slots(&medium, None).choose().unwrap_err();
    assert!(matches!(error, SlotError::NoVersion { .. }));
    let words = error.to_string();
    for part in
        ["the door stays locked", "slot a: threshold-edge is damaged", "slot b: it is empty"]
    {
        assert!(words.contains(part), "{words}");
    }
    // An update makes it whole again, from a program outside the slots.
    factory.slots(&medium, None).install(&mut Cursor::new(factory.version(2, 1))).unwrap();
    assert_eq!(factory.slots(&medium, None).choose().unwrap().slot, Slot::B);
}

#[test]
fn a_start_is_counted_before_anything_of_its_version_is_read() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    factory.slots(&medium, Some(Slot::A)).install(&mut Cursor::new(factory.version(2, 2))).unwrap();
    // With no slot that may be started nothing is written after the reading.
    for slot in Slot::BOTH {
        medium.set_file(slot, "threshold-edge", None);
    }
    for left in (0..TRIAL_BOOTS).rev() {
        let error = factory.slots(&medium, None).choose().unwrap_err();
        assert!(matches!(error, SlotError::NoVersion { .. }), "{error}");
        let trial = factory.slots(&medium, None).status().unwrap().trial.unwrap();
        assert_eq!(trial.left, left);
    }
    let error = factory.slots(&medium, None).choose().unwrap_err();
    assert!(matches!(error, SlotError::NoVersion { .. }), "{error}");
}

#[test]
fn one_copy_of_the_state_that_cannot_be_read_is_a_damaged_one() {
    let factory = Factory::new();
    for copy in 0..2 {
        let medium = factory.confirmed();
        medium.make_unreadable(copy);
        let status = factory.slots(&medium, None).status().unwrap();
        assert_eq!((status.current, status.counter), (Some(Slot::A), 1), "copy {copy}");
        // It was written anew, and is as good as the other one.
        medium.make_unreadable(1 - copy);
        let choice = factory.slots(&medium, None).choose().unwrap();
        assert_eq!(choice.slot, Slot::A, "copy {copy}");
    }
}

#[test]
fn a_state_that_cannot_be_read_is_never_taken_for_that_of_a_new_unit() {
    let factory = Factory::new();
    for (unreadable, missing) in [(0, None), (1, None), (0, Some(1)), (1, Some(0))] {
        let medium = factory.confirmed();
        medium.make_unreadable(unreadable);
        match missing {
            Some(missing) => medium.set_copy(missing, None),
            None => medium.make_unreadable(1 - unreadable),
        }
        let mut slots = factory.slots(&medium, None);
        let failed = |outcome: Result<(), SlotError>| {
            let error = outcome.unwrap_err();
            assert!(matches!(error, SlotError::Io { .. }), "{unreadable}, {missing:?}: {error}");
        };
        failed(slots.choose().map(drop));
        failed(slots.has_version().map(drop));
        failed(slots.install(&mut Cursor::new(factory.version(1, 1))).map(drop));
    }
}

#[test]
fn what_the_medium_does_not_give_back_as_it_was_written_goes_on_no_trial() {
    let factory = Factory::new();
    let medium = factory.confirmed();
    let whole = medium.copy();
    factory.slots(&whole, Some(Slot::A)).install(&mut Cursor::new(factory.version(2, 2))).unwrap();
    let mut failures = 0;
    for change in 1..=whole.changes() {
        let medium = medium.copy();
        medium.lose_at(change);
        let mut slots = factory.slots(&medium, Some(Slot::A));
        let outcome = slots.install(&mut Cursor::new(factory.version(2, 2)));
        failures += usize::from(outcome.is_err());
        let choice = factory.slots(&medium, None).choose().unwrap();
        assert_eq!(choice.slot == Slot::B, outcome.is_ok(), "{change}: {outcome:?}, {choice}");
    }
    assert!(failures > 10, "{failures}");
}

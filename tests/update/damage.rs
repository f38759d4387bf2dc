//! Damage of a slot: whatever is changed in it, it is not started.

use crate::rig::{Factory, files};
use std::io::Cursor;
use threshold_bundle::Texts;
use threshold_slots::{Slot, SlotError, Why};
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

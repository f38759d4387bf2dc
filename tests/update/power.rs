//! Power cuts and failures of the medium at every change that an operation makes, over all states in which it may begin.
//!
//! The law: afterwards the slots stand as before the operation or as after it. An installation that takes the place of a version on trial
//! gives that up first, so that it may leave the version beside it alone.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use crate::rig::Factory;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use threshold_slots::mock::MockMedium;
use threshold_slots::{Slot, SlotError, Slots};

/// Lots of what a cut leaves, at each place.
const SEEDS: u64 = 10;

/// What is asked of the slots.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Install(u32, u64),
    Confirm,
    Revert,
    Choose,
    Told,
}

impl Operation {
    fn done(self, factory: &Factory, slots: &mut Slots) -> Result<(), SlotError> {
        match self {
            Self::Install(version, counter) => {
                slots.install(&mut Cursor::new(factory.version(version, counter))).map(drop)
            }
            Self::Confirm => slots.confirm().map(drop),
            Self::Revert => slots.revert().map(drop),
            Self::Choose => slots.choose().map(drop),
            Self::Told => slots.told(),
        }
    }
}

/// A state in which an operation begins.
struct Case {
    name: &'static str,
    medium: MockMedium,
    running: Option<Slot>,
    operation: Operation,
}

/// How the slots stand, as far as anybody can tell: the version that is chosen, starts of a trial that are left then, the security
/// counter.
type Standing = (Option<String>, Option<u8>, u64);

fn look(factory: &Factory, medium: &MockMedium) -> Standing {
    let copy = medium.copy();
    let chosen = factory.slots(&copy, None).choose().ok().map(|choice| {
        for file in &choice.manifest.files {
            let bytes = copy.file(choice.slot, &file.name).unwrap();
            assert_eq!(blake3::hash(&bytes).as_bytes(), &file.hash(), "{} is whole", file.name);
        }
        choice.manifest.version
    });
    let status = factory.slots(&copy, None).status().unwrap();
    (chosen, status.trial.map(|trial| trial.left), status.counter)
}

fn cases(factory: &Factory) -> Vec<Case> {
    use Operation::{Choose, Confirm, Install, Revert, Told};
    let mut cases = Vec::new();
    let mut case = |name, medium: &MockMedium, running, operation| {
        cases.push(Case { name, medium: medium.copy(), running, operation });
    };
    let empty = MockMedium::new();
    case("the first version", &empty, None, Install(1, 1));
    let first = empty.copy();
    Install(1, 1).done(factory, &mut factory.slots(&first, None)).unwrap();
    case("another version before the first was started", &first, None, Install(2, 1));
    case("the first version's start", &first, None, Choose);
    let a = Some(Slot::A);
    let started = first.copy();
    factory.boot(&started);
    case("the first version is confirmed", &started, a, Confirm);
    case("another version while the first is on trial", &started, a, Install(2, 1));
    let confirmed = factory.confirmed();
    case("an update", &confirmed, a, Install(2, 2));
    case("the start of a confirmed version", &confirmed, None, Choose);
    case("what happened is told", &confirmed, a, Told);
    let pending = confirmed.copy();
    Install(2, 2).done(factory, &mut factory.slots(&pending, a)).unwrap();
    case("another update before the first was started", &pending, a, Install(3, 2));
    case("a trial is ended before it began", &pending, a, Revert);
    let trial = pending.copy();
    for left in (0..3_u8).rev() {
        case("a start of a trial", &trial, None, Choose);
        factory.boot(&trial);
        assert_eq!(look(factory, &trial).1, left.checked_sub(1));
        case("a trial is confirmed", &trial, Some(Slot::B), Confirm);
        case("a trial is ended", &trial, Some(Slot::B), Revert);
    }
    case("a trial that has no start left", &trial, None, Choose);
    let updated = pending.copy();
    factory.boot(&updated).confirm().unwrap();
    case("a second update", &updated, Some(Slot::B), Install(3, 5));
    let equal = confirmed.copy();
    Install(2, 1).done(factory, &mut factory.slots(&equal, a)).unwrap();
    factory.boot(&equal).confirm().unwrap();
    case("back to the version before", &equal, Some(Slot::B), Revert);
    let damaged = equal.copy();
    damaged.set_file(Slot::B, "threshold-edge", Some(b"damaged".to_vec()));
    case("the start after a damage", &damaged, None, Choose);
    cases
}

/// A bundle that can be read once: who reads it again is told that the medium failed.
struct Once(Cursor<Vec<u8>>, u32);

impl Read for Once {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.1 {
            ..2 => self.0.read(into),
            _ => Err(io::Error::other("the bundle is gone")),
        }
    }
}

impl Seek for Once {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.1 += 1;
        self.0.seek(to)
    }
}

/// How the slots stand with an installation that came no further than emptying its slot.
fn emptied(factory: &Factory, case: &Case) -> Option<Standing> {
    let Operation::Install(version, counter) = case.operation else { return None };
    let medium = case.medium.copy();
    let mut bundle = Once(Cursor::new(factory.version(version, counter)), 0);
    factory.slots(&medium, case.running).install(&mut bundle).unwrap_err();
    Some(look(factory, &medium)).filter(|(version, ..)| version.is_some())
}

#[test]
fn after_a_power_cut_anywhere_the_version_before_or_the_version_after_is_chosen() {
    let factory = Factory::new();
    let mut cuts = 0;
    for case in cases(&factory) {
        let before = look(&factory, &case.medium);
        let whole = case.medium.copy();
        case.operation.done(&factory, &mut factory.slots(&whole, case.running)).unwrap();
        let after = look(&factory, &whole);
        let emptied = emptied(&factory, &case);
        let allowed = [Some(&before), Some(&after), emptied.as_ref()];
        for change in 1..=whole.changes() {
            for seed in 0..SEEDS {
                let medium = case.medium.copy();
                medium.cut_power_at(change, seed);
                let outcome =
                    case.operation.done(&factory, &mut factory.slots(&medium, case.running));
                assert!(medium.is_off(), "{}: change {change} is one", case.name);
                medium.power_on();
                let left = look(&factory, &medium);
                let at = format!("{}, cut in change {change}, seed {seed}: {outcome:?}", case.name);
                assert!(allowed.contains(&Some(&left)), "{at}: {left:?}, not one of {allowed:?}");
                // Whoever was told that it was done relies on it.
                if outcome.is_ok() && !matches!(case.operation, Operation::Choose) {
                    assert_eq!(left, after, "{at}");
                }
                // And the unit goes on: what was cut off is done again.
                if left != after && matches!(case.operation, Operation::Install(..)) {
                    case.operation
                        .done(&factory, &mut factory.slots(&medium, case.running))
                        .unwrap();
                    assert_eq!(look(&factory, &medium), after, "{at}, and again");
                }
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts >= 1000, "{cuts}");
}

#[test]
fn a_first_installation_that_was_cut_anywhere_is_made_good_by_the_next_boot() {
    let factory = Factory::new();
    // As `threshold-launch install --if-none`, which threshold-first.service runs at each boot.
    let boot = |medium: &MockMedium| {
        let mut slots = factory.slots(medium, None);
        match slots.has_version()? {
            true => Ok(()),
            false => Operation::Install(1, 1).done(&factory, &mut slots),
        }
    };
    let whole = MockMedium::new();
    boot(&whole).unwrap();
    let after = look(&factory, &whole);
    assert_eq!(after.0.as_deref(), Some("1"));
    for change in 1..=whole.changes() {
        for seed in 0..SEEDS {
            let at = format!("change {change}, seed {seed}");
            for cuts in [true, false] {
                let medium = MockMedium::new();
                match cuts {
                    true => medium.cut_power_at(change, seed),
                    false => medium.fail_at(change),
                }
                let _: Result<(), SlotError> = boot(&medium);
                medium.power_on();
                boot(&medium).unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(look(&factory, &medium), after, "{at}");
                // Once more changes nothing.
                let changes = medium.changes();
                boot(&medium).unwrap();
                assert_eq!(medium.changes(), changes, "{at}");
            }
        }
    }
}

#[test]
fn after_a_failure_of_the_medium_anywhere_the_version_before_or_the_version_after_is_chosen() {
    let factory = Factory::new();
    for case in cases(&factory) {
        let before = look(&factory, &case.medium);
        let whole = case.medium.copy();
        case.operation.done(&factory, &mut factory.slots(&whole, case.running)).unwrap();
        let after = look(&factory, &whole);
        let emptied = emptied(&factory, &case);
        for change in 1..=whole.changes() {
            let medium = case.medium.copy();
            medium.fail_at(change);
            let outcome = case.operation.done(&factory, &mut factory.slots(&medium, case.running));
            medium.power_on();
            let left = look(&factory, &medium);
            let at = format!("{}, failure of change {change}: {outcome:?}", case.name);
            let allowed = [Some(&before), Some(&after), emptied.as_ref()];
            let choosing = matches!(case.operation, Operation::Choose);
            match outcome {
                Ok(()) if !choosing => assert_eq!(left, after, "{at}"),
                // A start that could not be counted is none of the trial, which is then over: the version before is chosen from then on.
                _ if choosing && before.1.is_some() && left.1.is_none() => {
                    assert_eq!(left, (Some("1".to_owned()), None, before.2), "{at}");
                }
                _ => assert!(allowed.contains(&Some(&left)), "{at}: {left:?}, not {allowed:?}"),
            }
        }
    }
}

//! The keeper's counter: no cut and no failing step locks a unit, and no flash of before a step opens after it.

use crate::{MODEL, entry, name, template};
use threshold_record::{Administrator, PersonId, Role};
use threshold_store::{KeyError, MockFlash, Store, StoreError};

/// A counter that begins where one of a used TPM may.
const FIRST: u64 = 41;

fn counted() -> MockFlash {
    let flash = MockFlash::new();
    flash.mock_keys().set_counter(Some(FIRST));
    flash
}

fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys())?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

fn at(flash: &MockFlash) -> u64 {
    flash.keys().counter().unwrap().unwrap().at
}

fn administrator(mark: u8) -> Administrator {
    Administrator { key: [mark; 32], name: name("owner"), role: Role::Owner }
}

type Act = fn(&mut Store) -> Result<(), StoreError>;

/// What a unit does that a counter is for, and what it is not for between.
const ACTS: [Act; 7] = [
    |store| store.add_person(name("Ada")).map(drop),
    |store| store.put_template(template(PersonId(1), 0, 1)),
    |store| store.put_administrator(administrator(1)),
    |store| store.commit(entry(1)).map(drop),
    |store| store.save_lockout([1, 0, 0, 0]),
    |store| store.remove_person(PersonId(1)).map(drop),
    |store| store.add_person(name("Grace")).map(drop),
];

/// One act, and what follows once the unit idles.
fn act(store: &mut Store, act: usize) -> Result<(), StoreError> {
    ACTS[act](store)?;
    while store.tidy_up()? {}
    Ok(())
}

#[test]
fn a_step_is_made_by_a_start_and_a_change_of_gallery_or_roster_and_by_nothing_else() {
    let flash = counted();
    let mut store = open(&flash).unwrap();
    assert_eq!((store.counter(), at(&flash)), (Some(FIRST + 1), FIRST + 1));
    let mut steps = Vec::new();
    for number in 0..ACTS.len() {
        let before = at(&flash);
        act(&mut store, number).unwrap();
        steps.push(at(&flash) - before);
    }
    assert_eq!(steps, [1, 1, 1, 0, 0, 1, 1]);
    for mark in 0..1000 {
        store.commit(entry(mark)).unwrap();
    }
    let before = at(&flash);
    assert_eq!(store.counter(), Some(before));
    drop(store);
    drop(open(&flash).unwrap());
    assert_eq!(at(&flash), before + 1);
}

#[test]
fn whatever_flash_of_before_a_step_is_put_back_is_refused_and_the_last_one_opens() {
    let flash = counted();
    let mut store = open(&flash).unwrap();
    let mut older = Vec::new();
    for number in 0..ACTS.len() {
        older.push((at(&flash), flash.copy()));
        act(&mut store, number).unwrap();
    }
    drop(store);
    let now = at(&flash);
    for (was, copy) in &older {
        let opened = Store::open(Box::new(copy.copy()), flash.keys());
        match opened {
            Err(error) if *was < now => {
                assert_eq!(error, StoreError::OlderFlash { found: *was, expected: now });
            }
            opened => panic!("step {was} of {now}: {}", opened.is_ok()),
        }
    }
    assert_eq!(at(&flash), now, "a start that is refused makes no step");
    drop(open(&flash).unwrap());
    // A counter of another unit, which is not so far.
    flash.mock_keys().set_counter(Some(3));
    let error = open(&flash).err().unwrap();
    assert_eq!(error, StoreError::OtherCounter { found: now + 1, expected: 3 });
    assert!(error.to_string().contains("recovery key"));
}

/// Does everything, as far as it is let; gives how many acts were acknowledged, and flashes from before each.
fn run(flash: &MockFlash, at_most: usize) -> (usize, Vec<(u64, MockFlash)>) {
    let mut older = Vec::new();
    let Ok(mut store) = open(flash) else { return (0, older) };
    for number in 0..at_most {
        older.push((at(flash), flash.copy()));
        if act(&mut store, number).is_err() {
            return (number, older);
        }
    }
    (at_most, older)
}

/// After a cut or a failing step: the next start works, has what was acknowledged, and refuses what stands before its step.
fn starts_again(flash: &MockFlash, acknowledged: usize, older: &[(u64, MockFlash)], what: &str) {
    let store = match open(flash) {
        Ok(store) => store,
        Err(error) => panic!("{what}: the unit does not start: {error}"),
    };
    assert_eq!(store.counter(), Some(at(flash)), "{what}");
    let has = |person| store.gallery().unwrap().member(PersonId(person)).is_some();
    // The sixth act is the removal, of which nobody knows while it is not acknowledged.
    assert!(!(1..5).contains(&acknowledged) || has(1), "{what}");
    assert!(acknowledged < 6 || !has(1), "{what}");
    assert!(acknowledged < 3 || store.roster().administrators().len() == 1, "{what}");
    for (was, copy) in older {
        assert!(*was < at(flash), "{what}");
        let opened = Store::open(Box::new(copy.copy()), flash.keys());
        assert!(matches!(opened, Err(StoreError::OlderFlash { .. })), "{what}: step {was}");
    }
}

#[test]
fn a_power_cut_at_any_write_leaves_a_unit_that_starts_and_no_older_flash_that_does() {
    let writes = {
        let flash = counted();
        run(&flash, ACTS.len());
        flash.writes()
    };
    let mut cuts = 0;
    for write in 1..=writes {
        for seed in 0..20 {
            let flash = counted();
            flash.cut_power_at(write, seed);
            let (acknowledged, older) = run(&flash, ACTS.len());
            assert!(flash.is_off());
            flash.power_on();
            starts_again(&flash, acknowledged, &older, &format!("write {write}, seed {seed}"));
            cuts += 1;
        }
    }
    assert!(cuts >= 300, "{cuts} cuts");
}

#[test]
fn a_step_that_fails_made_or_not_is_made_up_for_by_the_next_write_or_start() {
    let steps = {
        let flash = counted();
        run(&flash, ACTS.len());
        at(&flash) - FIRST
    };
    for step in 1..=steps {
        for made in [false, true] {
            let what = format!("step {step}, made: {made}");
            // The power goes with it.
            let flash = counted();
            flash.mock_keys().fail_step(step, made);
            let (acknowledged, older) = run(&flash, ACTS.len());
            starts_again(&flash, acknowledged, &older, &what);
            // Or the unit goes on.
            let flash = counted();
            flash.mock_keys().fail_step(step, made);
            let Ok(mut store) = open(&flash) else { continue };
            let mut older = Vec::new();
            for number in 0..ACTS.len() {
                older.push(flash.copy());
                // What waits for the step is told by the next entry; the step is asked for again then.
                act(&mut store, number).unwrap();
            }
            store.commit(entry(9)).unwrap();
            // No two anchors named the same step: none of before the last change opens beside it.
            for (number, copy) in older.iter().enumerate() {
                let opened = Store::open(Box::new(copy.copy()), flash.keys());
                let refused = matches!(opened, Err(StoreError::OlderFlash { .. }));
                assert!(refused, "{what}: before act {number}");
            }
            let stands = (store.counter(), at(&flash));
            assert_eq!(stands.0, Some(stands.1), "{what}");
            drop(store);
            drop(open(&flash).unwrap());
        }
    }
}

#[test]
fn a_keeper_without_a_counter_writes_the_anchor_of_before_and_one_that_gets_a_counter_binds_it() {
    let flash = MockFlash::new();
    drop(open(&flash).unwrap());
    assert_eq!(open(&flash).unwrap().counter(), None);
    let (unbound, error) = (flash.copy(), KeyError::NoCounter { to: 1 });
    assert_eq!(flash.keys().count_to(1).unwrap_err(), error);
    flash.mock_keys().set_counter(Some(FIRST));
    assert_eq!(open(&flash).unwrap().counter(), Some(FIRST + 1));
    // The flash of before it was bound, which names no step.
    let opened = Store::open(Box::new(unbound.copy()), flash.keys());
    let expected = StoreError::OlderFlash { found: FIRST, expected: FIRST + 1 };
    assert_eq!(opened.err().unwrap(), expected);
    // Taken from the keeper again, it binds no more.
    flash.mock_keys().set_counter(None);
    assert_eq!(open(&flash).unwrap().counter(), None);
}

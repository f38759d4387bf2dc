//! Wiping: nothing is left, and a wipe that was begun is finished, wherever the power went.

use crate::{MODEL, entry, name, open, template};
use threshold_store::{Flash, FlashFault, MockFlash, Object, Series, Store, StoreError};

/// A store with people, a log, a removal.
fn filled() -> (MockFlash, Store) {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    for text in ["Ada", "Grace", "Emmy"] {
        let person = store.add_person(name(text)).unwrap();
        store.put_template(template(person, 0, 1)).unwrap();
    }
    store.remove_person(threshold_record::PersonId(2)).unwrap();
    for mark in 0..20 {
        store.commit(entry(mark)).unwrap();
    }
    (flash, store)
}

/// Everything that stands on a flash.
fn objects(flash: &MockFlash) -> Vec<Object> {
    let numbers = |series: Series| {
        let numbers = flash.segments(series).into_iter();
        numbers.map(move |number| series.segment(number)).collect::<Vec<_>>()
    };
    let all = Series::ALL.into_iter().flat_map(numbers).chain(Object::FIXED);
    all.filter(|&object| flash.bytes(object).is_some()).collect()
}

#[test]
fn a_wiped_unit_is_a_new_one_and_what_was_copied_before_opens_no_more() {
    let (flash, mut store) = filled();
    let before = store.identity();
    let copied: Vec<_> =
        objects(&flash).into_iter().map(|one| (one, flash.bytes(one).unwrap())).collect();
    store.wipe().unwrap();
    assert!(store.gallery().is_none());
    drop(store);
    assert_eq!(objects(&flash), []);
    assert!(flash.keys().secret().unwrap().is_none());
    // The pages of before, put back beside the keeper that forgot.
    let old = MockFlash::new();
    copied.iter().for_each(|(object, bytes)| old.set_bytes(*object, Some(bytes.clone())));
    let refused = Store::open(Box::new(old), flash.keys());
    assert!(matches!(refused, Err(StoreError::NoSecret)));
    let store = open(&flash);
    assert_ne!(store.identity(), before);
    let found = (store.boot(), store.log_head(), store.gallery().unwrap().n_people());
    assert_eq!((found, store.roster().administrators().len()), ((1, 0, 0), 0));
}

#[test]
fn a_wipe_that_is_cut_or_fails_anywhere_leaves_the_unit_as_it_was_or_a_new_one() {
    let writes = {
        let (flash, mut store) = filled();
        let before = flash.writes();
        store.wipe().unwrap();
        before..flash.writes() + 2
    };
    let (mut old, mut new) = (0, 0);
    for write in writes {
        for harm in 0..6u64 {
            let (flash, mut store) = filled();
            let before = store.identity();
            match harm {
                0 => flash.fail_at(write, FlashFault::Io),
                seed => flash.cut_power_at(write, seed),
            }
            let wiped = store.wipe();
            drop(store);
            flash.power_on();
            // The power goes again while the next start finishes it.
            flash.cut_power_at(flash.writes() + 1 + harm % 3, harm);
            let _ = Store::open(Box::new(flash.clone()), flash.keys());
            flash.power_on();
            let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
            let people = store.load_gallery(MODEL).unwrap().n_people();
            match store.identity() == before {
                true => {
                    assert!(wiped.is_err(), "a wipe was acknowledged and is none: {write} {harm}");
                    assert_eq!((people, store.log_head() >= 20), (2, true));
                    old += 1;
                }
                false => {
                    assert_eq!((people, store.log_head()), (0, 0));
                    new += 1;
                }
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} as before, {new} new");
}

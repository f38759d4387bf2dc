//! What a write that failed leaves behind, and what must not come of it later.

use crate::{MODEL, entry, name, template};
use threshold_store::{
    Flash, FlashFault, LogSize, MockFlash, Object, Store, StoreError, StoreSize,
};

fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    // A few records fill a segment of the gallery.
    let log = LogSize { segment_bytes: 1600, segments: 2 };
    let size = StoreSize { log, gallery_segment_bytes: 700 };
    let (mut store, _) = Store::open_sized(Box::new(flash.clone()), flash.keys(), size)?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

/// Makes the next write fail; of a replace, with its effect or without.
fn fail_next(flash: &mut MockFlash, with_effect: bool) {
    if (flash.writes() + 1).is_multiple_of(2) != with_effect {
        // The mock gives a failed replace its effect by the number of the write.
        flash.remove(Object::SingleLog).unwrap();
    }
    flash.fail_at(flash.writes() + 1, FlashFault::Io);
}

#[test]
fn the_data_key_of_a_segment_that_may_be_there_is_kept() {
    for changes in 0..12 {
        for with_effect in [true, false] {
            let mut flash = MockFlash::new();
            let mut store = open(&flash).unwrap();
            let id = store.add_person(name("Ada")).unwrap();
            for mark in 0..changes {
                store.put_template(template(id, mark % 5, 1)).unwrap();
            }
            fail_next(&mut flash, with_effect);
            store.put_template(template(id, 5, 2)).unwrap_err();
            store.rotate_keys().unwrap();
            // Until no segment of the log has the key before.
            for mark in 0..40 {
                store.commit(entry(mark)).unwrap();
            }
            while store.tidy_up().unwrap() {}
            drop(store);
            let store = open(&flash);
            assert!(store.is_ok(), "{changes} changes, {with_effect}: {}", store.err().unwrap());
        }
    }
}

#[test]
fn so_many_keys_that_the_ring_could_not_be_read_are_refused() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    store.commit(entry(1)).unwrap();
    let refused = (0..1100).find_map(|_| store.rotate_keys().err());
    drop(store);
    assert!(open(&flash).is_ok());
    assert!(refused.is_some());
}

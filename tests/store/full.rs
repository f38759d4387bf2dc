//! A full medium and one that fails: the old state stays, the error says so, and the log never gets a gap.

use crate::{MODEL, entry, name, open, template};
use threshold_store::{Flash, FlashFault, MockFlash, Object, Store, StoreError};

fn used(flash: &MockFlash) -> usize {
    crate::OBJECTS.iter().filter_map(|&object| flash.bytes(object)).map(|bytes| bytes.len()).sum()
}

#[test]
fn a_full_medium_leaves_the_old_gallery_and_says_what_to_do() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let ada = store.add_person(name("Ada")).unwrap();
    let before = store.gallery().unwrap().clone();
    flash.set_capacity(Some(used(&flash) + 150));
    let error = store.put_template(template(ada, 0, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot append to gallery.00000001.seg: Full; free space on the medium of the data folder"
    );
    assert_eq!(store.gallery(), Some(&before));
    flash.set_capacity(None);
    // At the next start, and if the unit goes on.
    assert_eq!(open(&flash.copy()).gallery(), Some(&before));
    store.put_template(template(ada, 0, 1)).unwrap();
    assert_eq!(store.gallery().unwrap().n_templates(), 1);
}

#[test]
fn a_full_log_takes_entries_again_once_there_is_space() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.commit(entry(1)).unwrap();
    flash.set_capacity(Some(used(&flash) + 40));
    let error = store.commit(entry(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot append to events.00000001.log: Full; free space on the medium of the data folder"
    );
    assert_eq!(store.log_head(), 1);
    flash.set_capacity(None);
    assert_eq!(store.commit(entry(3)).unwrap().sequence, 2);
    drop(store);
    let (store, cut) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    assert_eq!(cut, None);
    assert_eq!(store.log_page(2, 9).unwrap()[0].person.0, 3);
}

#[test]
fn a_failed_sync_stops_the_log_until_it_is_opened_again() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.commit(entry(1)).unwrap();
    flash.fail_at(flash.writes() + 2, FlashFault::Io);
    assert!(store.commit(entry(2)).is_err());
    assert_eq!(store.commit(entry(3)), Err(StoreError::LogStopped));
    assert_eq!(store.log_head(), 1);
    assert_eq!(store.log_page(1, 9).unwrap().len(), 1, "what was durable can still be read");
    drop(store);
    // The entry whose sync failed can be read and may never be durable, so it does not count.
    let mut store = open(&flash);
    assert_eq!(store.commit(entry(4)).unwrap().sequence, 2);
}

#[test]
fn an_error_at_any_write_leaves_a_store_that_opens() {
    let life = |flash: &MockFlash| -> Result<(), StoreError> {
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys())?;
        store.load_gallery(MODEL)?;
        let ada = store.add_person(name("Ada"))?;
        store.put_template(template(ada, 0, 1))?;
        store.commit(entry(1))?;
        store.save_lockout([1, 1, 0, 0])?;
        store.remove_person(ada)?;
        store.append(entry(2))?;
        store.sync()
    };
    let flash = MockFlash::new();
    life(&flash).unwrap();
    for write in 1..=flash.writes() {
        let flash = MockFlash::new();
        flash.fail_at(write, FlashFault::Io);
        let _ = life(&flash);
        let mut store = open(&flash);
        let head = store.log_head();
        assert_eq!(store.commit(entry(9)).unwrap().sequence, head + 1, "write {write}");
        store.add_person(name("Grace")).unwrap();
    }
}

#[test]
fn a_removal_that_cannot_erase_still_removes_for_good() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let ada = store.add_person(name("Ada")).unwrap();
    store.put_template(template(ada, 0, 1)).unwrap();
    let sealed = flash.bytes(Object::GallerySegment(1)).unwrap()[24..].to_vec();
    drop(store);
    // Write 1 of a removal is both the tombstone and the segment without her; if that fails write 2 is the tombstone and write 3 the
    // segment. What of a failed write stands goes by its number.
    for (shift, goes_on) in (0..4).flat_map(|shift| [(shift, false), (shift, true)]) {
        let mut flash = flash.copy();
        let mut store = open(&flash);
        (0..shift).for_each(|_| flash.remove(Object::SingleLog).unwrap());
        flash.fail_at(flash.writes() + 1, FlashFault::Io);
        flash.fail_at(flash.writes() + 3, FlashFault::Io);
        let error = store.remove_person(ada).unwrap_err();
        assert!(matches!(error, StoreError::NotErased { person, .. } if person == ada), "{error}");
        assert_eq!(store.gallery().unwrap().n_people(), 0);
        // What the log and the anchor say from here on does not ask more of the gallery than the flash holds.
        store.commit(entry(1)).unwrap();
        store.save_lockout([1, 1, 0, 0]).unwrap();
        if goes_on {
            // The unit goes on: what is left is erased when it idles.
            while store.tidy_up().unwrap() {}
        }
        drop(store);
        let mut store = open(&flash);
        assert_eq!(store.gallery().unwrap().n_people(), 0);
        while store.tidy_up().unwrap() {}
        let left = flash.bytes(Object::GallerySegment(1)).unwrap();
        assert!(!sealed.chunks(16).any(|piece| left.windows(16).any(|bytes| bytes == piece)));
    }
}

#[test]
fn a_removal_whose_first_write_fails_is_done_by_those_that_follow() {
    for shift in 0..4 {
        let mut flash = MockFlash::new();
        let mut store = open(&flash);
        let ada = store.add_person(name("Ada")).unwrap();
        (0..shift).for_each(|_| flash.remove(Object::SingleLog).unwrap());
        flash.fail_at(flash.writes() + 1, FlashFault::Full);
        store.remove_person(ada).unwrap();
        let entry = store.commit(entry(1)).unwrap();
        assert!(store.receipt(ada, entry.sequence).is_some(), "nothing is left to erase");
        drop(store);
        let store = open(&flash);
        assert!(store.was_removed(ada) && store.gallery().unwrap().n_people() == 0);
    }
}

#[test]
fn a_full_gallery_says_so() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let ada = store.add_person(name("Ada")).unwrap();
    for slot in 0..8 {
        store.put_template(template(ada, slot, 1)).unwrap();
    }
    assert_eq!(store.gallery().unwrap().member(ada).unwrap().free_slot(), None);
    assert_eq!(
        store.put_template(template(ada, 8, 1)).unwrap_err().to_string(),
        "the template is not fit to be compared (slot 8: a person has slots 0 to 7); enrol again"
    );
    assert_eq!(
        store.add_person(name("Ada")).unwrap_err().to_string(),
        "person 1 has that name already; give another name, or add templates to that person"
    );
}

//! What a write that failed or was cut off leaves behind, and what must not come of it later.

use crate::{MODEL, entry, name, template};
use threshold_record::{Administrator, Role};
use threshold_store::{
    FileKeys, Flash, FlashFault, KeyProvider, LogSize, MockFlash, Object, Series, Store,
    StoreError, StoreSize,
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
fn who_was_enrolled_further_after_a_removal_that_failed_stays() {
    // What stands of a write that failed goes by its number: of tombstone and segment any, all or none.
    for shift in 0..4 {
        let mut flash = MockFlash::new();
        let mut store = open(&flash).unwrap();
        let id = store.add_person(name("Ada")).unwrap();
        (0..shift).for_each(|_| flash.remove(Object::SingleLog).unwrap());
        // Both at once, and then the tombstone alone.
        flash.fail_at(flash.writes() + 1, FlashFault::Io);
        flash.fail_at(flash.writes() + 2, FlashFault::Io);
        store.remove_person(id).unwrap_err();
        assert!(store.gallery().unwrap().member(id).is_some(), "as before");
        store.put_template(template(id, 0, 1)).unwrap();
        drop(store);
        let store = open(&flash).unwrap();
        let member = store.gallery().unwrap().member(id);
        assert_eq!(member.map(|held| held.templates.len()), Some(1), "{shift}");
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

#[test]
fn a_roster_whose_write_failed_does_not_pass_for_a_later_one() {
    let mut flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    let administrator = |text: &str, mark: u8| Administrator {
        key: [mark; 32],
        name: name(text),
        role: Role::Owner,
    };
    let grace = administrator("Grace", 2);
    store.put_administrator(administrator("Ada", 1)).unwrap();
    store.put_administrator(grace.clone()).unwrap();
    fail_next(&mut flash, true);
    store.put_administrator(administrator("Emmy", 3)).unwrap_err();
    let failed = flash.bytes(Object::Administrators);
    store.revoke_administrator(grace.key_id()).unwrap();
    drop(store);
    flash.set_bytes(Object::Administrators, failed);
    match open(&flash) {
        Err(StoreError::RolledBack { object: Object::Administrators, .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(store) => panic!("taken: {:?}", store.roster().of_key(grace.key_id())),
    }
}

#[test]
fn a_roster_that_is_not_sealed_is_never_taken() {
    // Formats 1 and 2 had none.
    let mut plain = b"THRADM\r\n\x01\0\0\0".to_vec();
    plain.extend_from_slice(&1_u64.to_le_bytes());
    plain.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    plain.extend_from_slice(&[9; 32]);
    plain.extend_from_slice(&[Role::Owner.code(), 1, b'M']);
    for format in ["format-1", "format-2"] {
        let flash = crate::golden::flash(format);
        flash.set_bytes(Object::Administrators, Some(plain.clone()));
        let opened = Store::open(Box::new(flash.clone()), flash.keys());
        assert!(
            matches!(opened, Err(StoreError::Damaged { object: Object::Administrators, .. })),
            "{format}: {:?}",
            opened.map(|(store, _)| store.roster().clone())
        );
    }
}

#[test]
fn beside_the_ring_of_a_conversion_nothing_but_what_it_began_with_is_taken() {
    let plain = crate::golden::flash("format-2");
    let open = |flash: &MockFlash| Store::open(Box::new(flash.clone()), flash.keys());
    // Somebody keeps the ring of a conversion that was cut off; it is over at the next start.
    let flash = crate::golden::flash("format-2");
    flash.cut_power_at(4, 1);
    open(&flash).err().unwrap();
    let ring = flash.bytes(Object::Keys);
    flash.power_on();
    open(&flash).unwrap();
    // Later, without the secret: everything as it was before it, and one object of his own.
    let segments = plain.segments(Series::Log).into_iter().map(Object::Segment);
    let objects: Vec<Object> = Object::FIXED.into_iter().chain(segments).collect();
    let put_back = || {
        let flash = flash.copy();
        for number in flash.segments(Series::Log) {
            flash.set_bytes(Object::Segment(number), None);
        }
        objects.iter().for_each(|&object| flash.set_bytes(object, plain.bytes(object)));
        flash.set_bytes(Object::Keys, ring.clone());
        flash
    };
    // That is the whole folder as it once was, which no flash can tell alone.
    assert_eq!(open(&put_back()).unwrap().0.log_head(), crate::golden::ENTRIES);
    for &object in objects.iter().filter(|&&object| object != Object::Keys) {
        let Some(bytes) = plain.bytes(object) else { continue };
        let forged = forged(object, bytes);
        let flash = put_back();
        flash.set_bytes(object, Some(forged));
        let refused = open(&flash).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{object}: {refused:?}");
    }
}

/// Other bytes of an object that is not sealed, with a sound checksum.
fn forged(object: Object, mut bytes: Vec<u8>) -> Vec<u8> {
    let end = match object {
        Object::Gallery => bytes.len() - 32,
        Object::Segment(_) => 60,
        _ => bytes.len() - 4,
    };
    let (at, sum) = match object {
        // A letter of the first name.
        Object::Gallery => (69, 32),
        // The highest sequence, the number of the first tombstone, the lock-out.
        Object::Segment(_) => (24, 4),
        _ => (end - 4, 4),
    };
    bytes[at] ^= 1;
    let (covered, rest) = bytes.split_at_mut(end);
    let crc = crc32fast::hash(covered).to_le_bytes();
    let hash = blake3::hash(covered);
    rest[..sum].copy_from_slice(if sum == 4 { &crc } else { hash.as_bytes() });
    bytes
}

#[test]
fn a_secret_that_was_being_kept_when_the_power_went_is_forgotten_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unit.key");
    let keys = FileKeys::at(&path);
    keys.keep(&zeroize::Zeroizing::new([7; 32])).unwrap();
    // Cut off between the link and the removal of the other name.
    std::fs::hard_link(&path, folder.path().join("unit.key.tmp")).unwrap();
    keys.forget().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    keys.forget().unwrap();
}

//! The data key is changed, and the unit's secret is forgotten.

use crate::{MODEL, entry, name, template};
use threshold_record::{ContextKind, LogEntry, PersonId};
use threshold_store::{
    Flash, FlashFault, LogSize, MockFlash, Object, Series, Store, StoreError, verify,
};

const SIZE: LogSize = LogSize { segment_bytes: 1600, segments: 3 };

fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    let (mut store, _) = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE)?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

/// Bytes of the ring: it grows and shrinks with its data keys.
fn ring(flash: &MockFlash) -> usize {
    flash.bytes(Object::Keys).unwrap().len()
}

/// A store with entries and people.
fn furnished() -> MockFlash {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    for text in ["Ada", "Grace"] {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, 1)).unwrap();
    }
    store.remove_person(PersonId(2)).unwrap();
    let number = store.context_number(ContextKind::Config, b"a=1").unwrap();
    for mark in 1..=12 {
        store.commit(LogEntry { context_config: number, ..entry(mark) }).unwrap();
    }
    store.save_lockout([1, 2, 0, 0]).unwrap();
    flash
}

fn check(store: &Store, last: u64) {
    assert_eq!((store.log_head(), store.lockout()), (last, [1, 2, 0, 0]));
    let page = store.log_page(0, 999).unwrap();
    assert_eq!(page.first().unwrap().sequence, store.log_oldest());
    assert_eq!(page.last().unwrap().sequence, last);
    assert_eq!(store.context(1).unwrap().unwrap().bytes, b"a=1");
    let people: Vec<_> = store.gallery().unwrap().members().map(|one| one.person.id).collect();
    assert_eq!(people, [PersonId(1)]);
}

#[test]
fn an_old_data_key_goes_once_no_segment_needs_it() {
    let flash = furnished();
    let mut store = open(&flash).unwrap();
    let one_key = ring(&flash);
    let segments = flash.segments(Series::Log);
    store.rotate_keys().unwrap();
    assert!(ring(&flash) > one_key);
    check(&store, 12);
    store.commit(entry(1)).unwrap();
    assert!(flash.segments(Series::Log).last() > segments.last(), "a segment begins with it");
    let (identity, id) = (store.identity(), store.store_id());
    drop(store);
    let mut store = open(&flash).unwrap();
    assert_eq!((store.identity(), store.store_id()), (identity, id));
    check(&store, 13);
    assert!(ring(&flash) > one_key, "the older segments are still there");
    let verified = verify(&flash, &flash.keys(), Some(&store.checkpoint())).unwrap();
    assert_eq!((verified.entries, verified.first_bad), (13, None));
    while flash.segments(Series::Log)[0] <= *segments.last().unwrap() {
        store.commit(LogEntry { context_config: 1, ..entry(1) }).unwrap();
    }
    let last = store.log_head();
    drop(store);
    let mut store = open(&flash).unwrap();
    // The gallery's segments are sealed anew when the unit idles.
    while store.tidy_up().unwrap() {}
    check(&store, last);
    drop(store);
    check(&open(&flash).unwrap(), last);
    assert_eq!(ring(&flash), one_key);
}

#[test]
fn a_change_of_the_key_survives_a_cut_and_an_error_at_every_write() {
    let life = |flash: &MockFlash| -> Result<(), StoreError> {
        let mut store = open(flash)?;
        store.rotate_keys()?;
        store.commit(entry(1))?;
        store.rotate_keys()?;
        drop(store);
        open(flash).map(|_| ())
    };
    let flash = furnished();
    let before = flash.writes();
    life(&flash).unwrap();
    for write in 1..=flash.writes() - before {
        for lot in 0..5 {
            let flash = furnished();
            match lot {
                4 => flash.fail_at(before + write, FlashFault::Io),
                lot => flash.cut_power_at(before + write, lot),
            }
            assert!(life(&flash).is_err() || flash.is_off() || lot == 4);
            if lot < 4 && !flash.is_off() {
                flash.cut_power(lot);
            }
            flash.power_on();
            let mut store = open(&flash).unwrap();
            check(&store, store.log_head());
            assert!((12..=13).contains(&store.log_head()));
            let head = store.log_head();
            assert_eq!(store.commit(entry(2)).unwrap().sequence, head + 1, "write {write}, {lot}");
            drop(store);
            let store = open(&flash).unwrap();
            let verified = verify(&flash, &flash.keys(), Some(&store.checkpoint())).unwrap();
            assert_eq!(verified.first_bad, None);
        }
    }
}

#[test]
fn once_the_secret_is_forgotten_nothing_opens_and_nothing_can_be_read() {
    let flash = furnished();
    let entries = open(&flash).unwrap().log_page(1, 99).unwrap();
    let objects: Vec<Object> = Object::FIXED
        .into_iter()
        .chain(flash.segments(Series::Log).into_iter().map(Object::Segment))
        .collect();
    let image: Vec<u8> =
        objects.iter().filter_map(|&object| flash.bytes(object)).flatten().collect();
    let holds = |part: &[u8]| image.windows(part.len()).any(|window| window == part);
    for entry in entries {
        // Sequence, kind and person, wherever an entry lies.
        let bytes = entry.to_bytes();
        assert!(!holds(&bytes[..16]) && !holds(&bytes[24..36]) && !holds(&bytes[48..]));
    }
    assert!(!holds(b"Ada") && !holds(b"a=1") && !holds(&[1; 16]));
    flash.keys().forget().unwrap();
    assert_eq!(open(&flash).err(), Some(StoreError::NoSecret));
    assert_eq!(verify(&flash, &flash.keys(), None), Err(StoreError::NoSecret));
    // A secret that comes after it is another one.
    flash.keys().keep(&zeroize::Zeroizing::new([3; 32])).unwrap();
    assert_eq!(open(&flash).err(), Some(StoreError::WrongSecret));
}

//! Damaged, foreign, older and misplaced segments of a gallery: always a fault that names what and what to do, or exactly the
//! gallery that was.

use crate::{MODEL, name, template};
use threshold_record::PersonId;
use threshold_store::{
    Flash, Gallery, LogSize, MockFlash, Object, Series, Store, StoreError, StoreSize,
};

const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 4096, segments: 2 }, gallery_segment_bytes: 1000 };

/// Bytes of a segment's header and of a batch's prefix.
const HEADER: usize = 24;
const PREFIX: usize = 12;

fn start(flash: &MockFlash) -> Store {
    let mut store = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE).unwrap().0;
    store.load_gallery(MODEL).unwrap();
    store
}

fn enrol(store: &mut Store, text: &str) -> PersonId {
    let id = store.add_person(name(text)).unwrap();
    store.put_template(template(id, 0, id.0 as i8)).unwrap();
    id
}

/// A gallery of several segments, some of them cleaned and merged, the last one of several batches, all bound.
fn furnished() -> MockFlash {
    let flash = MockFlash::new();
    let mut store = start(&flash);
    for at in 0..9 {
        enrol(&mut store, &format!("person {at}"));
    }
    store.remove_person(PersonId(2)).unwrap();
    store.remove_person(PersonId(5)).unwrap();
    while store.tidy_up().unwrap() {}
    enrol(&mut store, "a late one");
    store.put_template(template(PersonId(1), 0, 77)).unwrap();
    store.save_lockout([1, 0, 0, 0]).unwrap();
    let segments = flash.segments(Series::Gallery);
    assert!(segments.len() >= 3, "{segments:?}");
    flash
}

fn load(flash: &MockFlash) -> Result<Gallery, StoreError> {
    let mut store = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE)?.0;
    store.load_gallery(MODEL).cloned()
}

fn segments(flash: &MockFlash) -> Vec<Object> {
    flash.segments(Series::Gallery).into_iter().map(Object::GallerySegment).collect()
}

/// Where each batch of a segment begins and ends.
fn batches(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        ranges.push(at..at + PREFIX + len);
        at += PREFIX + len;
    }
    ranges
}

/// An error of the gallery, with a remedy.
fn check(outcome: Result<Gallery, StoreError>, what: &str) {
    let error = outcome.err().unwrap_or_else(|| panic!("{what} was taken"));
    let text = error.to_string();
    assert!(text.contains("gallery.0000"), "{what}: {text}");
    assert!(text.contains("; restore the") || text.contains("; start the newer"), "{what}: {text}");
}

#[test]
fn a_flipped_bit_or_an_end_that_is_missing_is_found_in_every_segment_of_a_gallery() {
    let flash = furnished();
    for object in segments(&flash) {
        let sound = flash.bytes(object).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            flash.set_bytes(object, Some(bytes));
            check(load(&flash.copy()), &format!("{object}, byte {at} flipped"));
            flash.set_bytes(object, Some(sound[..at].to_vec()));
            check(load(&flash.copy()), &format!("{object} cut to {at}"));
            let mut bytes = sound.clone();
            bytes[at..].fill(0xff);
            flash.set_bytes(object, Some(bytes));
            check(load(&flash.copy()), &format!("{object} erased from {at}"));
        }
        flash.set_bytes(object, None);
        check(load(&flash.copy()), &format!("{object} missing"));
        flash.set_bytes(object, Some(sound));
    }
}

#[test]
fn batches_and_segments_that_were_dropped_doubled_or_swapped_are_found() {
    let flash = furnished();
    let whole = load(&flash.copy()).unwrap();
    let objects = segments(&flash);
    for &object in &objects {
        let sound = flash.bytes(object).unwrap();
        let ranges = batches(&sound);
        let header = &sound[..HEADER];
        for (at, range) in ranges.iter().enumerate() {
            let without = [&sound[..range.start], &sound[range.end..]].concat();
            flash.set_bytes(object, Some(without));
            check(load(&flash.copy()), &format!("{object} without batch {at}"));
            // A batch that stands twice does not open at its second place: a torn end at the end, and damage before it.
            let doubled = [&sound[..range.end], &sound[range.start..]].concat();
            flash.set_bytes(object, Some(doubled));
            match load(&flash.copy()) {
                Ok(found) => assert_eq!(found, whole),
                outcome => check(outcome, &format!("{object} with batch {at} twice")),
            }
            for other in &ranges[at + 1..] {
                let swapped = [
                    &sound[..range.start],
                    &sound[other.clone()],
                    &sound[range.end..other.start],
                    &sound[range.clone()],
                    &sound[other.end..],
                ];
                flash.set_bytes(object, Some(swapped.concat()));
                check(load(&flash.copy()), &format!("{object} with batches swapped"));
            }
        }
        for &other in objects.iter().filter(|&&other| other != object) {
            flash.set_bytes(object, flash.bytes(other));
            check(load(&flash.copy()), &format!("{other} for {object}"));
            // And under its own header.
            let body = flash.bytes(other).unwrap()[HEADER..].to_vec();
            flash.set_bytes(object, Some([header, &body].concat()));
            check(load(&flash.copy()), &format!("{other} under the header of {object}"));
        }
        flash.set_bytes(object, Some(sound));
    }
    // A copy under the next number.
    let number = flash.segments(Series::Gallery).last().unwrap() + 1;
    flash.set_bytes(Object::GallerySegment(number), flash.bytes(objects[0]));
    check(load(&flash.copy()), "a segment twice");
}

#[test]
fn an_older_segment_put_back_is_found_or_changes_nothing() {
    // Every state of every segment over a life, put into the last state.
    let flash = MockFlash::new();
    let mut store = start(&flash);
    let mut seen: Vec<(Object, Vec<u8>)> = Vec::new();
    let mut note = |flash: &MockFlash| {
        for object in segments(flash) {
            let held = (object, flash.bytes(object).unwrap());
            if !seen.contains(&held) {
                seen.push(held);
            }
        }
    };
    for at in 1..=16 {
        let id = store.add_person(name(&format!("person {at}"))).unwrap();
        note(&flash);
        store.put_template(template(id, 0, at)).unwrap();
        note(&flash);
        if at % 3 == 0 {
            store.remove_person(PersonId(at as u32 - 1)).unwrap();
            note(&flash);
        }
        if at % 4 == 0 {
            store.put_template(template(PersonId(1), 0, at)).unwrap();
            while store.tidy_up().unwrap() {
                note(&flash);
            }
        }
        note(&flash);
    }
    store.save_lockout([1, 0, 0, 0]).unwrap();
    drop(store);
    let whole = load(&flash.copy()).unwrap();
    let (mut found, mut same) = (0, 0);
    for (object, bytes) in &seen {
        if flash.bytes(*object).as_ref() == Some(bytes) {
            continue;
        }
        let copy = flash.copy();
        copy.set_bytes(*object, Some(bytes.clone()));
        match load(&copy) {
            Ok(gallery) => {
                assert_eq!(gallery, whole, "{object}");
                same += 1;
            }
            outcome => {
                check(outcome, &object.to_string());
                found += 1;
            }
        }
    }
    assert!(found > 20 && same > 2, "{found} found, {same} without effect");
}

#[test]
fn segments_of_another_unit_are_not_taken() {
    let (flash, other) = (furnished(), MockFlash::new());
    // The same life under other keys.
    let keys = std::sync::Arc::new(threshold_store::MockKeys::seeded(5));
    let open = Store::open_sized(Box::new(other.clone()), keys, SIZE);
    let mut store = open.unwrap().0;
    store.load_gallery(MODEL).unwrap();
    for at in 0..9 {
        enrol(&mut store, &format!("person {at}"));
    }
    for object in segments(&other) {
        let copy = flash.copy();
        copy.set_bytes(object, other.bytes(object));
        check(load(&copy), &format!("another unit's {object}"));
    }
    let copy = flash.copy();
    for object in segments(&flash) {
        copy.set_bytes(object, None);
    }
    for object in segments(&other) {
        copy.set_bytes(object, other.bytes(object));
    }
    check(load(&copy), "another unit's gallery");
}

#[test]
fn a_segment_that_another_stands_for_may_be_in_any_state() {
    let flash = MockFlash::new();
    let mut store = start(&flash);
    for at in 0..8 {
        enrol(&mut store, &format!("person {at}"));
    }
    for at in [1, 2, 3, 4, 5] {
        store.remove_person(PersonId(at)).unwrap();
    }
    let before: Vec<(Object, Vec<u8>)> =
        segments(&flash).into_iter().map(|object| (object, flash.bytes(object).unwrap())).collect();
    while store.tidy_up().unwrap() {}
    drop(store);
    let gone: Vec<&(Object, Vec<u8>)> =
        before.iter().filter(|(object, _)| flash.bytes(*object).is_none()).collect();
    assert!(!gone.is_empty(), "nothing was merged");
    let whole = load(&flash.copy()).unwrap();
    for (object, bytes) in gone {
        for left in [bytes.clone(), bytes[..10].to_vec(), Vec::new(), vec![0xff; 99]] {
            let copy = flash.copy();
            copy.set_bytes(*object, Some(left));
            let mut store = start(&copy);
            assert_eq!(store.gallery(), Some(&whole));
            while store.tidy_up().unwrap() {}
            assert_eq!(copy.bytes(*object), None, "{object}");
        }
    }
}

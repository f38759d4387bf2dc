//! After a removal and cleaning nothing of the person's templates is left on the flash, in whichever segments they stood.

use crate::{MODEL, name, template};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use threshold_record::PersonId;
use threshold_store::{
    FileFlash, FileKeys, Flash, LogSize, MockFlash, Object, Series, Store, StoreSize,
};

/// So that few people fill several segments.
const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 4096, segments: 2 }, gallery_segment_bytes: 8192 };

/// People besides the one who is removed.
const PEOPLE: usize = 30;

/// The image of a flash: its objects one after the other.
pub(crate) fn image(flash: &MockFlash) -> Vec<u8> {
    let segments = |series| {
        let numbers = flash.segments(series).into_iter();
        numbers.map(move |number| Series::segment(series, number))
    };
    let objects = Object::FIXED.into_iter().chain(Series::ALL.into_iter().flat_map(segments));
    objects.filter_map(|object| flash.bytes(object)).flatten().collect()
}

/// The image of a folder: its files one after the other.
fn files(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Pieces of 16 bytes, from every place.
pub(crate) fn pieces(image: &[u8]) -> BTreeSet<[u8; 16]> {
    image.windows(16).map(|piece| piece.try_into().unwrap()).collect()
}

/// A vector that is easily found, as it would stand in the plain.
fn plain(mark: i8) -> [u8; 16] {
    [mark as u8; 16]
}

/// Enrols people, among them one whose templates come early and late, one of them twice, and removes that one. `image` reads
/// everything that is on the flash.
fn remove_and_look(store: &mut Store, image: impl Fn() -> Vec<u8>) {
    store.load_gallery(MODEL).unwrap();
    let mut written = BTreeSet::new();
    let grace = store.add_person(name("Grace")).unwrap();
    // Enough between them that each stands in a segment of its own.
    let others: Vec<PersonId> =
        (0..PEOPLE).map(|at| store.add_person(name(&format!("person {at}"))).unwrap()).collect();
    let mut put = |store: &mut Store, slot, mark| {
        let before = pieces(&image());
        store.put_template(template(grace, slot, mark)).unwrap();
        let after = pieces(&image());
        written.extend(after.difference(&before).copied());
    };
    put(store, 0, 91);
    for &person in &others {
        store.put_template(template(person, 0, 5)).unwrap();
    }
    put(store, 0, 92);
    put(store, 1, 93);
    for &person in &others {
        store.put_template(template(person, 1, 6)).unwrap();
    }
    put(store, 2, 94);
    let there = pieces(&image());
    assert!(written.len() > 800, "four batches of more than 200 bytes");
    assert!(written.iter().filter(|piece| there.contains(*piece)).count() > 700);
    let removed = store.remove_person(grace).unwrap();
    assert_eq!(removed.templates.len(), 3);
    let mut steps = 0;
    while store.tidy_up().unwrap() {
        steps += 1;
    }
    assert!(steps > 0, "Grace's templates stood in several segments");
    let left = pieces(&image());
    let found = written.iter().filter(|piece| left.contains(*piece)).count();
    assert_eq!(found, 0, "pieces of sealed batches are left");
    for mark in [91, 92, 93, 94] {
        assert!(!left.contains(&plain(mark)));
    }
    let gallery = store.gallery().unwrap();
    assert_eq!((gallery.n_people(), gallery.n_templates()), (PEOPLE, 2 * PEOPLE));
}

#[test]
fn after_a_removal_and_cleaning_nothing_of_the_templates_is_in_the_flash() {
    let flash = MockFlash::new();
    let mut store = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE).unwrap().0;
    remove_and_look(&mut store, || image(&flash));
    drop(store);
    assert_eq!(crate::open(&flash).gallery().unwrap().n_templates(), 2 * PEOPLE);
}

#[test]
fn after_a_removal_and_cleaning_nothing_of_the_templates_is_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Arc::new(FileKeys::at(&folder.path().join("unit.key")));
    let flash = FileFlash::open(folder.path()).unwrap();
    let mut store = Store::open_sized(Box::new(flash), keys, SIZE).unwrap().0;
    remove_and_look(&mut store, || files(folder.path()));
}

#[test]
fn a_person_in_one_segment_is_off_the_flash_when_the_removal_returns() {
    let flash = MockFlash::new();
    let mut store = crate::open(&flash);
    let ada = store.add_person(name("Ada")).unwrap();
    let before = pieces(&image(&flash));
    let grace = store.add_person(name("Grace")).unwrap();
    store.put_template(template(grace, 0, 91)).unwrap();
    let sealed: Vec<[u8; 16]> = pieces(&flash.bytes(Object::GallerySegment(1)).unwrap())
        .difference(&before)
        .copied()
        .collect();
    store.remove_person(grace).unwrap();
    let left = pieces(&image(&flash));
    assert!(sealed.len() > 300 && !sealed.iter().any(|piece| left.contains(piece)));
    assert_eq!(store.gallery().unwrap().members().map(|held| held.person.id).next(), Some(ada));
}

//! What the store's fuzz targets share: images of a flash, and the law that holds whatever an image holds.
//!
//! Owns the one place where a store is opened, the life that a sound image went through, and the checksums that are made
//! to fit again so that the readers behind them are reached. Refuses to know a layout beyond where a checksum stands.

pub mod cells;
pub mod checksum;
pub mod reseal;

use threshold_record::{
    Administrator, ContextKind, EntryKind, LogEntry, ModelId, Name, PersonId, Role, Template,
};
use threshold_store::{LogSize, MockFlash, Object, Store, StoreError, StoreSize};

/// The model of every gallery here.
pub const MODEL: ModelId = ModelId([7; 32]);

/// Few small segments, so that an image has several.
const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 1024, segments: 4 }, gallery_segment_bytes: 1024 };

/// The one place where a store is opened here.
fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE).map(|(store, _)| store)
}

fn template(person: PersonId, slot: u8) -> Template {
    let vector = (0..128).map(|at| at as i8 - 64).collect();
    Template { person, slot, quality: 80, model: MODEL.tag(), scale: 0.01, vector }
}

/// Sound images of the newest format: of a store that was only opened, of one with people, and of one with something in
/// every object and in several segments. A target works on copies.
///
/// # Panics
/// If the store does not do its work on sound flash.
#[must_use]
pub fn sound() -> [MockFlash; 3] {
    let flash = MockFlash::new();
    let mut store = open(&flash).expect("an empty flash opens");
    let bare = flash.copy();
    store.load_gallery(MODEL).expect("an empty gallery");
    for text in ["Ada", "Grace", "Emmy"] {
        let id = store.add_person(Name::new(text).expect("a name")).expect("room");
        store.put_template(template(id, 0)).expect("room");
    }
    let people = flash.copy();
    store.remove_person(PersonId(2)).expect("a person who is there");
    for mark in 0..60_u8 {
        let config = store.context_number(ContextKind::Config, &[mark / 20]).expect("room");
        let entry = LogEntry { context_config: config, ..LogEntry::of(EntryKind::Decision) };
        store.append(entry).expect("room");
        if mark % 4 == 0 {
            store.sync().expect("room");
        }
    }
    store.save_lockout([1, 2, 3, 4]).expect("room");
    [bare, people, flash.copy()]
}

/// The flash of format 2, which no later store may refuse: nothing in it is sealed, so that its readers can be reached.
const FORMAT_2: [(Object, &[u8]); 7] = [
    (Object::Anchor, include_bytes!("../../../../tests/store/golden/format-2/store.anchor")),
    (Object::Gallery, include_bytes!("../../../../tests/store/golden/format-2/gallery.snapshot")),
    (
        Object::Tombstones,
        include_bytes!("../../../../tests/store/golden/format-2/gallery.tombstones"),
    ),
    (
        Object::Segment(1),
        include_bytes!("../../../../tests/store/golden/format-2/events.00000001.log"),
    ),
    (
        Object::Segment(2),
        include_bytes!("../../../../tests/store/golden/format-2/events.00000002.log"),
    ),
    (
        Object::Segment(3),
        include_bytes!("../../../../tests/store/golden/format-2/events.00000003.log"),
    ),
    (
        Object::Segment(4),
        include_bytes!("../../../../tests/store/golden/format-2/events.00000004.log"),
    ),
];

/// Some objects of the flash of format 2.
#[must_use]
pub fn format_2(wanted: impl Fn(Object) -> bool) -> MockFlash {
    let flash = MockFlash::new();
    for (object, bytes) in FORMAT_2.into_iter().filter(|(object, _)| wanted(*object)) {
        flash.set_bytes(object, Some(bytes.to_vec()));
    }
    flash
}

/// Makes the anchor of a flash of format 2 one that asks for nothing, and that says so in the words of a version: 1 for a log
/// in one file, 2 for segments.
#[must_use]
pub fn asking_for_nothing(flash: MockFlash, version: u8) -> MockFlash {
    let mut anchor = FORMAT_2[0].1.to_vec();
    anchor[8] = version;
    anchor[12..].fill(0);
    checksum::make_fit(Object::Anchor, &mut anchor);
    flash.set_bytes(Object::Anchor, Some(anchor));
    flash
}

/// Opens an image and does with it what a unit does.
///
/// # Panics
/// If the law is broken: an image is refused, or what it holds can be read, goes on, and is there at the next start.
pub fn live(image: &MockFlash) {
    let flash = image.copy();
    let Ok(mut store) = open(&flash) else { return };
    let loaded = store.load_gallery(MODEL).is_ok();
    let readable = read(&store);
    // The numbers may be used up; then it says so.
    let committed = store.commit(LogEntry::of(EntryKind::Boot)).ok();
    let changed = loaded && change(&mut store);
    let gallery = store.gallery().cloned();
    // The roster may be full, or have this one.
    let administrator = Administrator {
        key: [0xa5; 32],
        name: Name::new("a late owner").expect("a name"),
        role: Role::Owner,
    };
    let _ = store.put_administrator(administrator);
    let roster = store.roster().clone();
    drop(store);
    let Ok(mut store) = open(&flash) else {
        panic!(
            "a store that opened, took {committed:?} and changed ({changed}) does not open again"
        );
    };
    if let Some(committed) = committed {
        assert!(store.log_head() >= committed.sequence, "an acknowledged entry is lost");
        let page = store.log_page(committed.sequence, 1);
        assert_eq!(page.as_deref(), Ok(&[committed][..]));
    }
    if let Some(gallery) = gallery {
        assert_eq!(store.load_gallery(MODEL), Ok(&gallery), "another gallery at the next start");
    }
    assert_eq!(store.roster(), &roster, "another roster at the next start");
    assert!(read(&store) || !readable, "what could be read cannot any more");
}

/// Reads all entries with their contexts; false if a part of the log is damaged, which only its reader finds.
fn read(store: &Store) -> bool {
    let mut from = store.log_oldest();
    loop {
        let Ok(page) = store.log_page(from, 7) else { return false };
        let Some(last) = page.last() else { break };
        for (entry, sequence) in page.iter().zip(from..) {
            assert_eq!(entry.sequence, sequence, "a gap");
            for number in [entry.context_model, entry.context_policy, entry.context_config] {
                let _ = store.context(number);
            }
        }
        let Some(next) = last.sequence.checked_add(1) else { break };
        from = next;
    }
    from == 0 || from > store.log_head()
}

/// Changes the gallery in every way; false if a change was refused.
fn change(store: &mut Store) -> bool {
    let Ok(name) = Name::new("a late one") else { return false };
    let Ok(id) = store.add_person(name) else { return false };
    let put = store.put_template(template(id, 1)).is_ok();
    let first = store.gallery().and_then(|gallery| gallery.members().next());
    let first = first.map_or(id, |member| member.person.id);
    let removed = store.remove_person(first).is_ok();
    assert!(store.gallery().is_some_and(|gallery| gallery.member(first).is_none()));
    put && removed && store.save_lockout([1, 1, 1, 1]).is_ok()
}

/// Lives with objects of an image put in place of what stood there, as they are and with its checksums made to fit.
pub fn live_with(image: &MockFlash, objects: &[(Object, &[u8])]) {
    let image = image.copy();
    for &(object, bytes) in objects {
        image.set_bytes(object, Some(bytes.to_vec()));
    }
    live(&image);
    let mut is_another = false;
    for &(object, bytes) in objects {
        let mut fit = bytes.to_vec();
        checksum::make_fit(object, &mut fit);
        is_another |= fit != bytes;
        image.set_bytes(object, Some(fit));
    }
    // What fitted as it was is the same image again.
    if is_another {
        live(&image);
    }
}

//! A flash of each released format, kept for ever under `golden`: every later store opens it and finds what was there.
//!
//! The newest format's files are also made anew and compared, so that the format cannot change unseen.
//! `THRESHOLD_BLESS=1 cargo test -p threshold-tests --test store` writes them anew, for a format that was never released;
//! `cargo xtask tidy` then asks for a line in the changelog. Released ones are never blessed anew.

use crate::{MODEL, name, open, template};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use threshold_record::{
    Access, ContextKind, Credential, Interval, KeyTag, LogEntry, ModelId, PersonId, Schedule,
    ScheduleId, Template,
};
use threshold_store::{
    Beside, Flash, KEY_FILE, LogSize, Member, MockFlash, Object, Series, Store, StoreSize,
};
use threshold_tests::entry::full_entry;
use zeroize::Zeroizing;

/// The formats that this program writes: of a gallery of one model, and of one beside which another model's templates lie.
const NEWEST: [&str; 2] = ["format-4", "format-5"];

/// The model of what lies beside the gallery in the last one.
const OTHER: ModelId = ModelId([8; 32]);

/// So that the golden log has several segments, and the golden gallery too.
const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 1024, segments: 8 }, gallery_segment_bytes: 1024 };

/// Entries of each golden log.
pub(crate) const ENTRIES: u64 = 40;

fn folder(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("store/golden").join(format)
}

/// The files of a format.
fn files(format: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder(format)).unwrap().map(Result::unwrap);
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

/// The flash of a format.
pub(crate) fn flash(format: &str) -> MockFlash {
    let files = files(format);
    let flash = MockFlash::new();
    let segments = (1..9).flat_map(|n| [Object::Segment(n), Object::GallerySegment(n)]);
    for object in Object::FIXED.into_iter().chain(segments) {
        flash.set_bytes(object, files.get(&object.name()).cloned());
    }
    if let Some(secret) = files.get(KEY_FILE) {
        flash.keys().keep(&Zeroizing::new(secret.as_slice().try_into().unwrap())).unwrap();
    }
    flash
}

/// The configuration in force at a sequence: it changes, and an older one comes back.
fn config(sequence: u64) -> &'static [u8] {
    if (10..20).contains(&sequence) { b"b=2" } else { b"a=1" }
}

/// The entry of that sequence, its contexts to be named.
fn golden_entry(sequence: u64) -> LogEntry {
    let (context_model, context_policy, context_config) = (1, 2, 0);
    // The formats are older than the entry's administrators.
    let (by, about) = (KeyTag::NOBODY, KeyTag::NOBODY);
    LogEntry { context_model, context_policy, context_config, by, about, ..full_entry(sequence) }
}

/// The schedule of the newest format.
fn office() -> Schedule {
    let hours = Interval { days: 0b1_1111, from: 7 * 60, to: 19 * 60 };
    let night = Interval { days: 1 << 6, from: 22 * 60, to: 6 * 60 };
    let intervals = [hours, night].into_iter().collect();
    Schedule { id: ScheduleId(2), name: name("office"), intervals }
}

/// What holds of Emmy in the newest format.
fn emmys() -> Access {
    Access {
        valid_from: Some(1_800_000_000),
        valid_until: Some(1_900_000_000),
        schedule: Some(ScheduleId(2)),
        credentials: [
            Credential::Wiegand26 { facility: 12, card: 345 },
            Credential::Wiegand34 { facility: 1200, card: 34_567 },
            Credential::Keypad { digits: 4, number: 42 },
        ]
        .into_iter()
        .collect(),
    }
}

/// Emmy's template of the other model.
fn emmys_other() -> Template {
    Template { model: OTHER.tag(), ..template(PersonId(3), 5, 9) }
}

/// What every golden flash went through; those before format 4 without schedule and access, those before format 5 without a second
/// model.
fn life(flash: &MockFlash, format: &str) {
    let (mut store, _) = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE).unwrap();
    store.load_gallery(MODEL).unwrap();
    for (at, text) in ["Ada", "Grace", "Emmy"].into_iter().enumerate() {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, at as i8 + 1)).unwrap();
    }
    store.put_schedule(office()).unwrap();
    store.set_access(PersonId(3), emmys()).unwrap();
    store.remove_person(PersonId(2)).unwrap();
    if format == "format-5" {
        store.begin_beside(OTHER).unwrap();
        let emmy = store.gallery().unwrap().member(PersonId(3)).unwrap().person.clone();
        store.put_beside(&[Member::of(emmy, vec![emmys_other()])]).unwrap();
    }
    assert_eq!(store.context_number(ContextKind::Model, b"a model").unwrap(), 1);
    assert_eq!(store.context_number(ContextKind::Policy, b"a policy").unwrap(), 2);
    for sequence in 1..=ENTRIES {
        let number = store.context_number(ContextKind::Config, config(sequence)).unwrap();
        let entry = LogEntry { context_config: number, ..golden_entry(sequence) };
        let entry = store.append(entry).unwrap();
        assert_eq!(entry.sequence, sequence);
        if sequence % 3 == 0 {
            store.sync().unwrap();
        }
    }
    store.sync().unwrap();
    store.save_lockout([1, 2, 3, 4]).unwrap();
}

/// Finds everything that [`life`] left.
pub(crate) fn check(store: &Store) {
    let gallery = store.gallery().unwrap();
    let people: Vec<&str> = gallery.members().map(|member| member.person.name.as_str()).collect();
    assert_eq!(people, ["Ada", "Emmy"]);
    let templates: Vec<_> = gallery.templates().cloned().collect();
    assert_eq!(templates, [template(PersonId(1), 0, 1), template(PersonId(3), 0, 3)]);
    assert_eq!(store.lockout(), [1, 2, 3, 4]);
    assert_eq!(store.log_oldest(), 1);
    let entries = store.log_page(1, ENTRIES as usize).unwrap();
    assert_eq!(entries.len() as u64, ENTRIES);
    for (entry, sequence) in entries.into_iter().zip(1..) {
        assert_eq!(LogEntry { context_config: 0, ..entry }, golden_entry(sequence));
        for (number, kind, bytes) in [
            (entry.context_model, ContextKind::Model, &b"a model"[..]),
            (entry.context_policy, ContextKind::Policy, b"a policy"),
            (entry.context_config, ContextKind::Config, config(sequence)),
        ] {
            let context = store.context(number).unwrap().unwrap();
            assert_eq!((context.kind, context.bytes.as_slice()), (kind, bytes), "{sequence}");
        }
    }
}

#[test]
fn every_released_format_opens_and_holds_what_was_written() {
    let formats = ["format-1", "format-2", "format-3", "format-4", "format-5"];
    // As programs wrote them whose removals took one step after the other: the same formats, other segments.
    for folder in formats.into_iter().chain(["format-4-stepwise", "format-5-stepwise"]) {
        let (flash, format) = (flash(folder), folder.trim_end_matches("-stepwise"));
        let (mut store, cut) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
        assert_eq!(cut, None);
        store.load_gallery(MODEL).unwrap();
        assert_eq!((store.log_head(), store.boot()), (ENTRIES, 2), "{format}");
        check(&store);
        let gallery = store.gallery().unwrap();
        if NEWEST.contains(&format) {
            assert_eq!(gallery.schedules().collect::<Vec<_>>(), [&office()]);
            assert_eq!(gallery.member(PersonId(3)).unwrap().access(), emmys());
        } else {
            // One without goes on with.
            assert_eq!(gallery.schedules().next(), None);
            assert!(gallery.members().all(|member| member.access.is_none()));
            store.put_schedule(office()).unwrap();
            store.set_access(PersonId(3), emmys()).unwrap();
        }
        for credential in emmys().credentials {
            assert_eq!(store.gallery().unwrap().claimed(credential), Some(PersonId(3)));
        }
        // It goes on, and stays.
        let entry = LogEntry { context_config: 0, ..golden_entry(1) };
        assert_eq!(store.commit(entry).unwrap().sequence, ENTRIES + 1);
        drop(store);
        let store = open(&flash);
        check(&store);
        assert_eq!(store.gallery().unwrap().member(PersonId(3)).unwrap().access(), emmys());
        let beside = Beside { model: OTHER, people: 1, templates: 1, without: 1 };
        assert_eq!(store.beside(), Some(beside).filter(|_| format == "format-5"), "{format}");
        drop(store);
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
        let opened =
            store.load_gallery(OTHER).map(|gallery| gallery.templates().cloned().collect());
        assert_eq!(opened.ok(), (format == "format-5").then(|| vec![emmys_other()]), "{format}");
    }
}

#[test]
fn the_newest_formats_are_written_to_the_byte() {
    NEWEST.into_iter().for_each(is_written_to_the_byte);
}

fn is_written_to_the_byte(format: &str) {
    let flash = MockFlash::new();
    life(&flash, format);
    let mut made = BTreeMap::new();
    let segments = |series| {
        flash.segments(series).into_iter().map(move |number| Series::segment(series, number))
    };
    for object in Object::FIXED.into_iter().chain(Series::ALL.into_iter().flat_map(segments)) {
        if let Some(bytes) = flash.bytes(object) {
            made.insert(object.name(), bytes);
        }
    }
    made.insert(KEY_FILE.to_owned(), flash.keys().secret().unwrap().unwrap().to_vec());
    if std::env::var_os("THRESHOLD_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(folder(format)).unwrap();
        for (name, bytes) in &made {
            std::fs::write(folder(format).join(name), bytes).unwrap();
        }
    }
    assert!(made == files(format), "another layout of {format} (THRESHOLD_BLESS=1 accepts it)");
}

//! The log's segments: which are kept, what is read of them, and what an older, missing or damaged one does.

use crate::{MODEL, entry};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use threshold_record::{ContextKind, LogEntry};
use threshold_store::{
    Flash, FlashError, FlashFault, LogSize, MockFlash, Object, Series, Store, StoreError,
};

/// Four segments of nine entries each, and room for small contexts.
const SIZE: LogSize = LogSize { segment_bytes: 1600, segments: 4 };

/// Bytes of a batch of one entry.
const ENTRY_BATCH: usize = 131;

fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    let (mut store, _) = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE)?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

/// A log in which entries 1 to `last` were committed under two contexts.
fn written(last: u32) -> MockFlash {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    let context_model = store.context_number(ContextKind::Model, b"m").unwrap();
    let context_config = store.context_number(ContextKind::Config, b"a=1").unwrap();
    for mark in 1..=last {
        let entry = LogEntry { context_model, context_config, ..entry(mark) };
        store.commit(entry).unwrap();
    }
    flash
}

fn segment(number: u32) -> Object {
    Object::Segment(number)
}

#[test]
fn the_oldest_segment_goes_and_a_reader_is_told_where_the_log_begins() {
    let flash = written(100);
    let store = open(&flash).unwrap();
    let segments = flash.segments(Series::Log);
    assert_eq!(segments.len(), 4);
    assert!(segments[0] > 5);
    let oldest = store.log_oldest();
    assert!(oldest > 60 && store.log_head() == 100, "{oldest}");
    let page = store.log_page(1, 999).unwrap();
    let sequences: Vec<u64> = page.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (oldest..=100).collect::<Vec<_>>());
    // What the entries refer to was written in a segment that is gone, and carried along.
    for entry in page {
        assert_eq!(store.context(entry.context_model).unwrap().unwrap().bytes, b"m");
        assert_eq!(store.context(entry.context_config).unwrap().unwrap().bytes, b"a=1");
    }
    assert_eq!((store.context(0), store.context(3)), (Ok(None), Ok(None)));
}

#[test]
fn a_context_that_went_with_its_entries_is_told_from_one_that_is_there() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    for mark in 1..=60 {
        let text = format!("a={}", mark / 20);
        let number = store.context_number(ContextKind::Config, text.as_bytes()).unwrap();
        store.commit(LogEntry { context_config: number, ..entry(mark) }).unwrap();
    }
    for store in [store, open(&flash).unwrap()] {
        assert_eq!(store.context(1), Ok(None));
        for entry in store.log_page(0, 99).unwrap() {
            let expected = format!("a={}", entry.sequence / 20);
            let context = store.context(entry.context_config).unwrap().unwrap();
            assert_eq!(context.bytes, expected.as_bytes());
        }
    }
}

#[test]
fn an_entry_may_refer_to_contexts_in_force_only() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    let first = store.context_number(ContextKind::Config, b"a=1").unwrap();
    store.context_number(ContextKind::Config, b"a=2").unwrap();
    let error = store.commit(LogEntry { context_config: first, ..entry(1) }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an entry refers to context 1, which is not in force; name the context to the store first"
    );
    assert_eq!(store.context_number(ContextKind::Config, b"a=1").unwrap(), first);
    store.commit(LogEntry { context_config: first, ..entry(1) }).unwrap();
}

#[test]
fn a_segment_that_is_missing_or_older_is_a_fault() {
    let flash = written(100);
    let segments = flash.segments(Series::Log);
    for &number in &segments {
        let copy = flash.copy();
        copy.set_bytes(segment(number), None);
        // Without the last one the one before is the last, and counts a segment that has been removed.
        let text = open(&copy).err().unwrap().to_string();
        assert!(text.contains("(the file is missing); restore"), "{text}");
        // An older state of the segment, or another segment in its place.
        for other in &segments {
            let mut bytes = flash.bytes(segment(*other)).unwrap();
            if *other == number {
                bytes.truncate(bytes.len() - ENTRY_BATCH);
            }
            if Some(other) == segments.last() && *other == number {
                continue;
            }
            let copy = flash.copy();
            copy.set_bytes(segment(number), Some(bytes));
            assert!(open(&copy).is_err(), "{number} is now {other}");
        }
    }
    let copy = flash.copy();
    segments.iter().for_each(|&number| copy.set_bytes(segment(number), None));
    assert!(matches!(open(&copy).err().unwrap(), StoreError::RolledBack { found: 0, .. }));
    // What the anchor does not know of yet is what a torn write leaves: the last entries only.
    let bytes = flash.bytes(segment(segments[3])).unwrap();
    copy.set_bytes(segment(segments[3]), Some(bytes));
    assert!(open(&copy).is_err());
}

#[test]
fn no_flipped_bit_of_a_segment_goes_unseen_by_who_reads_it() {
    let flash = written(40);
    // A start writes the anchor, which has seen all entries then.
    open(&flash).unwrap();
    for number in flash.segments(Series::Log) {
        let sound = flash.bytes(segment(number)).unwrap();
        for at in 0..sound.len() * 8 {
            let copy = flash.copy();
            let mut bytes = sound.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            copy.set_bytes(segment(number), Some(bytes));
            let read = open(&copy).and_then(|store| {
                (1..=2).try_for_each(|number| store.context(number).map(|_| ()))?;
                store.log_page(0, 999)
            });
            assert!(read.is_err(), "segment {number}, bit {at}");
        }
    }
}

#[test]
fn a_removed_segment_that_is_there_again_in_any_state_is_no_part_of_the_log() {
    let flash = written(50);
    let before = flash.segments(Series::Log);
    let old = flash.bytes(segment(before[0])).unwrap();
    let mut store = open(&flash).unwrap();
    while flash.segments(Series::Log) == before {
        store.commit(entry(9)).unwrap();
    }
    let (oldest, head) = (store.log_oldest(), store.log_head());
    drop(store);
    let half = old.len() / 2;
    let erased = [&old[..half], &vec![0xff; old.len() - half]].concat();
    for left in [old.clone(), old[..half].to_vec(), old[..64].to_vec(), erased, Vec::new()] {
        let copy = flash.copy();
        copy.set_bytes(segment(before[0]), Some(left));
        let store = open(&copy).unwrap();
        assert_eq!((store.log_oldest(), store.log_head()), (oldest, head));
        assert_eq!(copy.segments(Series::Log), flash.segments(Series::Log), "it is removed");
    }
}

#[test]
fn who_pulls_the_plug_again_and_again_does_not_push_the_history_out() {
    let flash = written(36);
    for pull in 0..500 {
        let mut store = open(&flash).unwrap();
        // Three sealed segments, each at least half full of batches that begin a start, with its state.
        let entries = store.log_head() + 1 - store.log_oldest();
        assert!(entries >= 9, "{entries} entries after {pull} pulls");
        flash.cut_power_at(flash.writes() + 2, pull);
        assert!(store.commit(entry(1)).is_err());
        flash.power_on();
    }
}

#[test]
fn what_a_start_shows_is_durable() {
    let flash = written(2);
    let bytes = flash.bytes(segment(1)).unwrap();
    let older = written(1);
    // A process that was killed between a write and its sync.
    let mut killed = older.copy();
    killed.append(segment(1), &bytes[older.bytes(segment(1)).unwrap().len()..]).unwrap();
    for seed in 0..50 {
        let copy = killed.copy();
        assert_eq!(open(&copy).unwrap().log_head(), 2);
        copy.cut_power(seed);
        copy.power_on();
        assert_eq!(open(&copy).unwrap().log_head(), 2);
        // And one that went on after the sync failed: the entry counts for nothing, although it can be read.
        let copy = older.copy();
        let mut store = open(&copy).unwrap();
        copy.fail_at(copy.writes() + 2, FlashFault::Io);
        assert!(store.commit(entry(2)).is_err());
        drop(store);
        assert_eq!(open(&copy).unwrap().log_head(), 1);
        copy.cut_power(seed);
        copy.power_on();
        assert_eq!(open(&copy).unwrap().log_head(), 1);
    }
}

#[test]
fn the_last_context_of_a_kind_is_known_after_every_segment_and_start() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    assert_eq!(store.last_context(ContextKind::Policy), None);
    store.context_number(ContextKind::Policy, b"p1").unwrap();
    store.context_number(ContextKind::Policy, b"p2").unwrap();
    store.context_number(ContextKind::Config, b"a=1").unwrap();
    store.sync().unwrap();
    // Entries that refer to no context, over starts that name none.
    for mark in 1..=60 {
        assert_eq!(store.last_context(ContextKind::Policy), Some(&b"p2"[..]), "{mark}");
        store.commit(entry(mark)).unwrap();
        if mark % 7 == 0 {
            store = open(&flash).unwrap();
        }
    }
    assert!(flash.segments(Series::Log)[0] > 1, "the segment that it was written in is gone");
    assert_eq!(store.last_context(ContextKind::Config), Some(&b"a=1"[..]));
}

#[test]
fn a_context_and_the_entry_after_it_are_durable_together_wherever_a_segment_ends() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    let (mut old, mut new) = (0, 0);
    for mark in 1..=24 {
        store.commit(entry(mark)).unwrap();
        for (write, seed) in (1..=6).flat_map(|write| (0..4).map(move |seed| (write, seed))) {
            let cut = flash.copy();
            let mut unit = open(&cut).unwrap();
            let head = unit.log_head();
            cut.cut_power_at(cut.writes() + write, seed);
            let named = unit.context_number(ContextKind::Policy, b"a rule that was settled");
            let _ = named.and_then(|_| unit.commit(entry(mark)));
            cut.power_on();
            let left = open(&cut).unwrap();
            let is_there = left.last_context(ContextKind::Policy).is_some();
            assert_eq!(is_there, left.log_head() > head, "entry {mark}, write {write}, {seed}");
            if is_there { new += 1 } else { old += 1 }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn nothing_more_comes_into_a_segment_once_the_next_may_be_there() {
    for odd in [false, true] {
        let flash = written(9);
        let mut store = open(&flash).unwrap();
        if flash.writes().is_multiple_of(2) == odd {
            store.save_lockout([0; 4]).unwrap();
        }
        // The next segment is made, or is not; either way the store hears of an error.
        flash.fail_at(flash.writes() + 1, FlashFault::Io);
        assert!(store.commit(entry(10)).is_err());
        // A context is short enough for what is left of the segment.
        let number = store.context_number(ContextKind::Policy, b"p").unwrap();
        store.sync().unwrap();
        drop(store);
        let store = open(&flash).unwrap();
        assert_eq!(store.context(number).unwrap().unwrap().bytes, b"p", "{odd}");
    }
}

/// Flash that counts the bytes read of each segment.
#[derive(Clone)]
struct Counted(MockFlash, Arc<Mutex<BTreeMap<u32, usize>>>);

impl Counted {
    /// Bytes read of each segment since the last call.
    fn take(&self) -> BTreeMap<u32, usize> {
        std::mem::take(&mut self.1.lock().unwrap())
    }
}

impl Flash for Counted {
    fn segments(&self, of: Series) -> Vec<u32> {
        self.0.segments(of)
    }
    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        self.0.len(object)
    }
    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        let read = self.0.read(object, offset, into)?;
        if let Object::Segment(number) = object {
            *self.1.lock().unwrap().entry(number).or_default() += read;
        }
        Ok(read)
    }
    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.append(object, bytes)
    }
    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.0.sync(object)
    }
    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.replace(object, bytes)
    }
    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.0.remove(object)
    }
}

#[test]
fn an_open_reads_headers_and_the_last_segment_and_a_page_its_own_segments() {
    let size = LogSize { segment_bytes: 1600, segments: 60 };
    let counted = Counted(MockFlash::new(), Arc::default());
    let (mut store, _) =
        Store::open_sized(Box::new(counted.clone()), counted.0.keys(), size).unwrap();
    for mark in 1..=300 {
        store.commit(entry(mark)).unwrap();
    }
    drop(store);
    // A dirty stop.
    let last = *counted.segments(Series::Log).last().unwrap();
    let mut torn = counted.0.bytes(segment(last)).unwrap();
    torn.extend_from_slice(&[64, 0, 0xbf]);
    counted.0.set_bytes(segment(last), Some(torn));
    counted.take();
    let (store, cut) =
        Store::open_sized(Box::new(counted.clone()), counted.0.keys(), size).unwrap();
    assert!(cut.is_some());
    // Of every other one the head, and what ties it to the next.
    let whole: Vec<u32> =
        counted.take().into_iter().filter(|&(_, read)| read > 350).map(|(at, _)| at).collect();
    assert_eq!(whole, [last]);
    for from in 1..=300 {
        let page = store.log_page(from, 1).unwrap();
        assert_eq!((page.len(), page[0].sequence), (1, from));
        assert!(counted.take().len() <= 1, "from {from}");
        assert_eq!(store.log_page(from, 9).unwrap()[0].sequence, from);
        assert!(counted.take().len() <= 2, "from {from}");
    }
}

#[test]
fn a_thousand_entries_from_anywhere_touch_three_segments() {
    let size = LogSize { segment_bytes: 64 << 10, segments: 30 };
    let counted = Counted(MockFlash::new(), Arc::default());
    let (mut store, _) =
        Store::open_sized(Box::new(counted.clone()), counted.0.keys(), size).unwrap();
    for mark in 1..=20_000 {
        store.append(entry(mark)).unwrap();
        if mark % 20 == 0 {
            store.sync().unwrap();
        }
    }
    assert!(counted.segments(Series::Log).len() > 20);
    for from in (1..19_000).step_by(77) {
        counted.take();
        let page = store.log_page(from, 1000).unwrap();
        assert_eq!((page.len(), page[0].sequence), (1000, from));
        assert!(counted.take().len() <= 3, "from {from}");
    }
}

//! A log of format 1, in a single file, or of format 2, in segments that are not sealed, becomes sealed segments at its first
//! start, whatever happens meanwhile.
//!
//! Files of format 1 are made here byte by byte, since no program writes them any more; those of format 2 are the golden ones.

use crate::golden::{self, ENTRIES};
use crate::{MODEL, entry};
use std::collections::BTreeMap;
use threshold_record::LogEntry;
use threshold_store::{
    Flash, FlashFault, LogSize, MockFlash, Object, Series, Store, StoreError, TailCut,
};
use threshold_tests::lots::Lots;

/// A log of format 1 and what it holds.
struct Single {
    bytes: Vec<u8>,
    records: u64,
    entries: Vec<LogEntry>,
    contexts: BTreeMap<u16, Vec<u8>>,
}

impl Single {
    fn new() -> Self {
        let mut bytes = b"THRLOG\r\n\x01\0\0\0".to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        Self { bytes, records: 0, entries: Vec::new(), contexts: BTreeMap::new() }
    }

    fn record(&mut self, kind: u8, body: &[u8]) {
        self.records += 1;
        let len = body.len() as u16;
        let mut bytes = [len.to_le_bytes(), (!len).to_le_bytes(), [kind, 0], [0, 0]].concat();
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        self.bytes.extend_from_slice(&bytes);
    }

    /// A log of so many entries, among which contexts appear, are left and come back.
    fn drawn(entries: u64, lots: &mut Lots) -> Self {
        let mut log = Self::new();
        for sequence in 1..=entries {
            if log.contexts.is_empty() || lots.below(6) == 0 {
                let number = log.contexts.len() as u16 + 1;
                let text = format!("a={number}").into_bytes();
                let [low, high] = number.to_le_bytes();
                log.record(2, &[&[low, high, 2], &text[..]].concat());
                log.contexts.insert(number, text);
            }
            let context_config = 1 + lots.below(log.contexts.len() as u64) as u16;
            let entry = LogEntry { sequence, context_config, ..entry(sequence as u32) };
            log.record(1, &entry.to_bytes());
            log.entries.push(entry);
        }
        log
    }

    /// A flash that holds it, with an anchor of format 1 that had seen `head`.
    fn flash(&self, head: u64) -> MockFlash {
        let mut anchor = b"THRANC\r\n\x01\0\0\0".to_vec();
        anchor.extend_from_slice(&[0; 12]);
        anchor.extend_from_slice(&head.to_le_bytes());
        anchor.extend_from_slice(&[0; 12]);
        anchor.extend_from_slice(&crc32fast::hash(&anchor).to_le_bytes());
        let flash = MockFlash::new();
        flash.set_bytes(Object::Anchor, Some(anchor));
        flash.set_bytes(Object::SingleLog, Some(self.bytes.clone()));
        flash
    }

    /// Compares the segments with it.
    fn check(&self, store: &Store, what: &str) {
        assert_eq!(store.log_head(), self.entries.len() as u64, "{what}");
        let oldest = store.log_oldest().max(1) as usize;
        let page = store.log_page(0, usize::MAX).unwrap();
        assert_eq!(page, self.entries[oldest - 1..], "{what}");
        for entry in page {
            let context = store.context(entry.context_config).unwrap();
            let context = context.unwrap_or_else(|| panic!("{what}: context of {entry:?}"));
            assert_eq!(context.bytes, self.contexts[&entry.context_config][..], "{what}");
        }
    }
}

fn open(flash: &MockFlash, size: LogSize) -> Result<(Store, Option<TailCut>), StoreError> {
    Store::open_sized(Box::new(flash.clone()), flash.keys(), size)
}

/// Many segments, few, and so few that the oldest entries go.
const SIZES: [LogSize; 3] = [
    LogSize { segment_bytes: 1000, segments: 50 },
    LogSize { segment_bytes: 4000, segments: 3 },
    LogSize { segment_bytes: 1000, segments: 3 },
];

#[test]
fn a_log_in_one_file_survives_a_cut_and_an_error_at_every_write_of_its_conversion() {
    let mut lots = Lots(11);
    for (round, size) in (0..24).zip(SIZES.into_iter().cycle()) {
        let single = Single::drawn(lots.below(60), &mut lots);
        let head = lots.below(single.entries.len() as u64 + 1);
        let whole = single.flash(head);
        let (mut store, cut) = open(&whole, size).unwrap();
        assert_eq!((cut, whole.bytes(Object::SingleLog)), (None, None));
        single.check(&store, "without a cut");
        let writes = whole.writes();
        assert_eq!(store.commit(entry(1)).unwrap().sequence, single.entries.len() as u64 + 1);
        for write in 1..=writes {
            for lot in 0..4 {
                let flash = single.flash(head);
                let what = format!("round {round}, write {write}, lot {lot}");
                match lot {
                    3 => flash.fail_at(write, FlashFault::Io),
                    lot => flash.cut_power_at(write, lot),
                }
                let _ = open(&flash, size);
                if lot < 3 && !flash.is_off() {
                    flash.cut_power(lot);
                }
                flash.power_on();
                // The next try may be another program's, with segments of another size.
                let size = if lot == 1 { SIZES[1] } else { size };
                let (mut store, _) = open(&flash, size).unwrap();
                single.check(&store, &what);
                store.commit(entry(1)).unwrap();
                drop(store);
                let (store, cut) = open(&flash, size).unwrap();
                assert_eq!((store.log_head(), cut), (single.entries.len() as u64 + 1, None));
                assert_eq!(flash.bytes(Object::SingleLog), None, "{what}");
            }
        }
    }
}

#[test]
fn a_torn_end_of_the_single_file_is_left_out_and_told() {
    let single = Single::drawn(20, &mut Lots(1));
    let flash = single.flash(20);
    let torn = [&single.bytes[..], &[64, 0, 0xbf, 0xff, 1]].concat();
    flash.set_bytes(Object::SingleLog, Some(torn));
    let (store, cut) = open(&flash, SIZES[0]).unwrap();
    assert_eq!(cut, Some(TailCut { head: 20, bytes: 5 }));
    single.check(&store, "torn");
    // A first start that was cut off left less than a header.
    for bytes in [None, Some(Vec::new()), Some(single.bytes[..9].to_vec())] {
        let flash = single.flash(0);
        flash.set_bytes(Object::SingleLog, bytes);
        assert_eq!(open(&flash, SIZES[0]).unwrap().0.log_head(), 0);
    }
}

#[test]
fn a_single_file_that_is_damaged_older_or_gone_is_a_fault_and_stays_as_it_is() {
    let single = Single::drawn(20, &mut Lots(2));
    let check = |bytes: Option<Vec<u8>>, expected: &str| {
        let flash = single.flash(20);
        flash.set_bytes(Object::SingleLog, bytes.clone());
        let anchor = flash.bytes(Object::Anchor);
        let error = open(&flash, SIZES[0]).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!((flash.bytes(Object::SingleLog), flash.bytes(Object::Anchor)), (bytes, anchor));
    };
    let spoilt = |at: usize| {
        let mut bytes = single.bytes.clone();
        bytes[at] ^= 4;
        Some(bytes)
    };
    check(spoilt(3), "events.log is damaged at byte 0 (not the header of a log)");
    check(spoilt(50), "(a record that was durable is not whole)");
    let shorter = single.bytes[..single.bytes.len() - 84].to_vec();
    check(Some(shorter), "events.log stands at 19, but this unit had reached 20");
    check(None, "events.log stands at 0, but this unit had reached 20");
    for at in 0..single.bytes.len() * 8 {
        let mut bytes = single.bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let flash = single.flash(20);
        flash.set_bytes(Object::SingleLog, Some(bytes));
        assert!(open(&flash, SIZES[0]).is_err(), "bit {at}");
    }
}

#[test]
fn an_older_single_file_beside_segments_changes_nothing() {
    let single = Single::drawn(20, &mut Lots(3));
    let flash = single.flash(20);
    let (mut store, _) = open(&flash, SIZES[0]).unwrap();
    store.commit(entry(5)).unwrap();
    drop(store);
    flash.set_bytes(Object::SingleLog, Some(single.bytes.clone()));
    let (store, _) = open(&flash, SIZES[0]).unwrap();
    assert_eq!((store.log_head(), flash.segments(Series::Log).is_empty()), (21, false));
    assert_eq!(flash.bytes(Object::SingleLog), None);
}

/// Checks a flash of format 2 after its conversion.
fn check_converted(flash: &MockFlash, size: LogSize, what: &str) {
    let (mut store, _) = open(flash, size).unwrap();
    store.load_gallery(MODEL).unwrap();
    assert_eq!(store.log_head(), ENTRIES, "{what}");
    golden::check(&store);
    // Numbers go on, and nothing of the old log is left.
    assert!(flash.segments(Series::Log).into_iter().all(|number| number > 4), "{what}");
    let keys = flash.keys();
    let verified = threshold_store::verify(flash, &keys, Some(&store.checkpoint())).unwrap();
    assert_eq!((verified.entries, verified.first_bad), (ENTRIES, None), "{what}");
    let entries = store.log_page(1, usize::MAX).unwrap();
    let start = store.oldest_checkpoint().unwrap();
    let end = store.checkpoint();
    threshold_store::verify_entries(&store.identity(), Some(&start), entries, &end).unwrap();
    store.commit(entry(1)).unwrap();
    drop(store);
    let (store, cut) = open(flash, size).unwrap();
    assert_eq!((store.log_head(), cut), (ENTRIES + 1, None), "{what}");
}

#[test]
fn a_log_of_plain_segments_survives_a_cut_and_an_error_at_every_write_of_its_conversion() {
    let sizes = [
        LogSize { segment_bytes: 1000, segments: 50 },
        LogSize::default(),
        LogSize { segment_bytes: 4000, segments: 3 },
    ];
    for size in sizes {
        let whole = golden::flash("format-2");
        open(&whole, size).unwrap();
        let writes = whole.writes();
        for write in 1..=writes {
            for lot in 0..6 {
                let flash = golden::flash("format-2");
                match lot {
                    5 => flash.fail_at(write, FlashFault::Io),
                    lot => flash.cut_power_at(write, lot),
                }
                let _ = open(&flash, size);
                if lot < 5 && !flash.is_off() {
                    flash.cut_power(lot);
                }
                flash.power_on();
                // Once more, in the middle of the next try.
                let again = flash.copy();
                again.cut_power_at(write, lot + 1);
                let _ = open(&again, size);
                if !again.is_off() {
                    again.cut_power(lot);
                }
                again.power_on();
                let size = if lot == 1 { LogSize::default() } else { size };
                for flash in [flash, again] {
                    check_converted(&flash, size, &format!("{size:?}, write {write}, lot {lot}"));
                }
            }
        }
    }
}

#[test]
fn plain_segments_that_are_damaged_older_or_gone_are_a_fault_and_stay_as_they_are() {
    let sound = golden::flash("format-2");
    let segments = sound.segments(Series::Log);
    let size = LogSize::default();
    for &number in &segments {
        let object = Object::Segment(number);
        let bytes = sound.bytes(object).unwrap();
        let mut kept = vec![None, Some(bytes[..bytes.len() / 2].to_vec())];
        for at in (0..bytes.len()).step_by(3) {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 4;
            kept.push(Some(spoilt));
        }
        for bytes in kept {
            let flash = golden::flash("format-2");
            flash.set_bytes(object, bytes);
            let before: Vec<_> =
                segments.iter().map(|&number| flash.bytes(Object::Segment(number))).collect();
            assert!(open(&flash, size).is_err(), "{object}");
            let after: Vec<_> =
                segments.iter().map(|&number| flash.bytes(Object::Segment(number))).collect();
            assert!(before == after, "{object}");
        }
    }
}

#[test]
fn a_plain_segment_is_no_part_of_a_sealed_log() {
    let flash = MockFlash::new();
    let (mut store, _) = open(&flash, LogSize::default()).unwrap();
    store.commit(entry(1)).unwrap();
    drop(store);
    let plain = golden::flash("format-2").bytes(Object::Segment(1)).unwrap();
    flash.set_bytes(Object::Segment(1), Some(plain));
    let error = open(&flash, LogSize::default()).err().unwrap().to_string();
    assert!(error.contains("(a segment that is not sealed, in a log that is)"), "{error}");
}

#[test]
fn numbers_that_would_run_over_are_damage_and_no_end_of_the_program() {
    let mut single = Single::new();
    for number in 1..=65_536_u32 {
        let [low, high] = (number as u16).to_le_bytes();
        single.record(2, &[low, high, 2]);
    }
    let refused = open(&single.flash(0), SIZES[0]).err();
    assert!(matches!(refused, Some(StoreError::Damaged { object: Object::SingleLog, .. })));
    // A segment of format 2 of the last number, as `segment` draws it.
    let last = u32::MAX.to_le_bytes();
    let mut segment = [&b"THRSEG\r\n\x01\0\0\0"[..], &last, &last, &[0; 4]].concat();
    segment.extend_from_slice(&1_u64.to_le_bytes());
    segment.extend_from_slice(&[0; 28]);
    segment.extend_from_slice(&crc32fast::hash(&segment).to_le_bytes());
    let flash = golden::flash("format-2");
    for number in flash.segments(Series::Log) {
        flash.set_bytes(Object::Segment(number), None);
    }
    let mut anchor = b"THRANC\r\n\x02\0\0\0".to_vec();
    anchor.extend_from_slice(&[0; 32]);
    anchor.extend_from_slice(&crc32fast::hash(&anchor).to_le_bytes());
    flash.set_bytes(Object::Anchor, Some(anchor));
    let object = Object::Segment(u32::MAX);
    flash.set_bytes(object, Some(segment));
    let refused = open(&flash, SIZES[0]).err().unwrap();
    assert!(matches!(refused, StoreError::Damaged { object: blamed, .. } if blamed == object));
}

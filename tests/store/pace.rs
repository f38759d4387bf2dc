//! How fast the log takes events, beside a plain sequential write of as many bytes in the same run, and what an event
//! takes on flash. Times are printed, and judged in a release build alone; `-- --nocapture pace` shows them.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use crate::entry;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use threshold_record::{ContextKind, LogEntry};
use threshold_store::{Flash, LogSize, MockFlash, Object, Series, Store};
use threshold_tests::skipped;

const EVENTS: u32 = 200_000;
const BATCH: u32 = 500;

/// Bytes of all segments in a folder.
fn log_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let of_log =
        |file: &std::fs::DirEntry| file.file_name().to_string_lossy().starts_with("events.");
    files.filter(of_log).map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn the_log_keeps_pace_with_a_plain_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_folder(&folder.path().join("data")).unwrap();
    let number = store.context_number(ContextKind::Config, &[b'c'; 200]).unwrap();
    let mut plain = File::create(folder.path().join("plain")).unwrap();
    let bytes = vec![0x5a; 64 + 67 * BATCH as usize];
    let (mut log_time, mut plain_time) = (Duration::ZERO, Duration::ZERO);
    // In turns, so that what else the machine does meets both alike.
    for batch in 0..EVENTS / BATCH {
        let start = Instant::now();
        for mark in 0..BATCH {
            let mut entry = entry(batch * BATCH + mark);
            entry.context_config = number;
            store.append(entry).unwrap();
        }
        store.sync().unwrap();
        log_time += start.elapsed();
        let start = Instant::now();
        plain.write_all(&bytes).unwrap();
        plain.sync_data().unwrap();
        plain_time += start.elapsed();
    }
    drop(store);
    let bytes = log_bytes(&folder.path().join("data"));
    let start = Instant::now();
    let (store, cut) = Store::open_folder(&folder.path().join("data")).unwrap();
    let open_time = start.elapsed();
    assert_eq!((store.log_head(), cut), (u64::from(EVENTS), None));
    let start = Instant::now();
    let (mut from, mut pages) = (1, 0);
    while let Some(last) = store.log_page(from, 32).unwrap().last() {
        (from, pages) = (last.sequence + 1, pages + 1);
    }
    let read_time = start.elapsed();
    let each = bytes as f64 / f64::from(EVENTS);
    let pace = plain_time.as_secs_f64() / log_time.as_secs_f64();
    println!(
        "{EVENTS} events in batches of {BATCH}: log {log_time:.2?}, plain write {plain_time:.2?}, {pace:.2} of its pace; {each:.2} \
         bytes an event; opened in {open_time:.2?}; {pages} pages of 32 read in {read_time:.2?}"
    );
    match cfg!(debug_assertions) {
        true => {
            skipped("the log's pace beside a plain file", "not optimised: cargo xtask soak store")
        }
        false => assert!(pace >= 0.5, "{pace:.2} of a plain write's pace"),
    }
    assert!(each <= 68.0, "{each} bytes an event");
}

#[test]
fn five_million_events_take_450_mb_as_a_unit_batches_them() {
    let flash = MockFlash::new();
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    let number = store.context_number(ContextKind::Config, &[b'c'; 200]).unwrap();
    let log = |flash: &MockFlash| {
        let numbers = flash.segments(Series::Log).into_iter();
        numbers.map(|number| flash.bytes(Object::Segment(number)).unwrap().len()).sum::<usize>()
    };
    let before = log(&flash);
    // A day's quarter of an hour: 20 events a second and one sync, an admission a minute, with the lock-out before its probe
    // and after it.
    let (seconds, mut events) = (15 * 60, 0);
    for second in 0..seconds {
        for _ in 0..20 {
            events += 1;
            store.append(LogEntry { context_config: number, ..entry(events) }).unwrap();
        }
        store.sync().unwrap();
        if second % 60 == 59 {
            events += 1;
            store.save_lockout([1, 1, 0, 0]).unwrap();
            store.commit(LogEntry { context_config: number, ..entry(events) }).unwrap();
            store.save_lockout([1, 0, 0, 0]).unwrap();
        }
    }
    let written = (log(&flash) - before) as f64;
    // Each segment has a head beside its batches, here that of the first and its contexts.
    let size = LogSize::default();
    let room = f64::from(size.segment_bytes) - (before + 3 * 518) as f64;
    let each = written / f64::from(events) * f64::from(size.segment_bytes) / room;
    let most = u64::from(size.segments + 1) * u64::from(size.segment_bytes);
    // In all segments but the one that goes and the one that fills.
    let held = f64::from(size.segments - 1) * f64::from(size.segment_bytes) / each;
    let mb_a_day = written / f64::from(seconds) * 86_400.0 / 1e6;
    println!(
        "{each:.2} bytes an event: {:.0} MB for 5,000,000, {held:.0} events in {most} bytes, {mb_a_day:.0} MB a day",
        5.0 * each
    );
    assert!(5e6 * each <= 450e6 && most <= 450_000_000, "{each} bytes an event, {most} bytes");
    assert!(held >= 6_000_000.0, "{held} events");
}

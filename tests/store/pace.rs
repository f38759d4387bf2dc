//! How fast the log takes events, beside a plain sequential write of the same bytes in the same run, and what an event
//! takes on flash. Times are printed and not judged; `-- --nocapture pace` shows them.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use crate::entry;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use threshold_record::ContextKind;
use threshold_store::{LogSize, Store};

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
fn an_event_takes_at_most_90_bytes_and_the_log_keeps_pace_with_a_plain_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_folder(&folder.path().join("data")).unwrap();
    let number = store.context_number(ContextKind::Config, &[b'c'; 200]).unwrap();
    let mut plain = File::create(folder.path().join("plain")).unwrap();
    let bytes = vec![0x5a; 84 * BATCH as usize];
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
    println!(
        "{EVENTS} events in batches of {BATCH}: log {log_time:.2?}, plain write {plain_time:.2?}, {:.2} of its pace; {each:.2} \
         bytes an event; opened in {open_time:.2?}; {pages} pages of 32 read in {read_time:.2?}",
        plain_time.as_secs_f64() / log_time.as_secs_f64()
    );
    assert!(each <= 90.0, "{each} bytes an event");
    // 5,000,000 events in 450 MB: the whole log, and in all segments but the one that goes and the one that fills.
    let size = LogSize::default();
    let most = u64::from(size.segments + 1) * u64::from(size.segment_bytes);
    assert!(most <= 450_000_000, "{most} bytes");
    let held = f64::from(size.segments - 1) * f64::from(size.segment_bytes) / each;
    assert!(held >= 5_000_000.0, "{held} events");
}
